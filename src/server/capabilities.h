/* Gives up the capabilities that are no longer needed (capabilities(7)). The calls are
 * about the calling thread and those that it starts afterwards. */
#ifndef POSTERN_SERVER_CAPABILITIES_H
#define POSTERN_SERVER_CAPABILITIES_H

#include "config/types.h"

#include <stdbool.h>

/* Whether any is held. False on a kernel without them. */
bool capabilities_are_held(void);

/* From now on no program that the process might run gets any: their bounding set is emptied, where
 * the process may do that. To be called before what takes that right away. */
void capabilities_deny_programs(void);

/* Where any is held, gives up all of them but one, and logs that. What stays is the right to read
 * files of other users, which a reload may need: CAP_DAC_READ_SEARCH; or CAP_DAC_OVERRIDE, which is
 * also the right to connect to unix sockets of other users, where a backend is one, or where the
 * former is not held, as in containers. */
void capabilities_drop(const struct config *config);

#endif
