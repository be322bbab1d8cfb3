/* The user that the process becomes when root has started it. */
#ifndef POSTERN_SERVER_PRIVILEGES_H
#define POSTERN_SERVER_PRIVILEGES_H

#include "config/types.h"
#include "core/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Becomes config->user with config->group (without one, the user's own group) and the further
 * groups of that user, for good: that there is no way back is tried out. Then opens every file that
 * a reload would read, so that it does not turn out at the next renewal that the new user may not
 * read a key. Nothing happens if the process is not root's, or config->user is NULL.
 *
 * To be called when nothing needs root's rights any more; threads may be running. 0, or -1 with
 * what is wrong and the command that puts it right; the process may have become the user already.
 */
int privileges_drop(const struct config *config, struct error *err)
    __attribute__((warn_unused_result));

/* The group that the process will have after privileges_drop; its own where that will fail. */
gid_t privileges_group(const struct config *config);

/* After privileges_drop: logs who the process is now, where the configuration or root has a part in
 * that. `was_root` is what privileges_are_root returned before. */
void privileges_report(const struct config *config, bool was_root);

bool privileges_are_root(void);

#endif
