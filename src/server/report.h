/* Log lines about what is served. */
#ifndef POSTERN_SERVER_REPORT_H
#define POSTERN_SERVER_REPORT_H

#include "server/bind.h"
#include "session/runtime.h"

#include <stddef.h>

/* One line for each certificate of each listener, and of each route that has others than its
 * listener; a warning if keys could not be locked in memory. */
void report_certificates(const struct runtime *runtime);

/* One line for each address, and a warning if sockets of a socket unit are not used. */
void report_ready(const struct runtime *runtime, const struct bound_set *bound, size_t workers,
                  size_t unused_inherited);

#endif
