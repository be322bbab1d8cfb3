/* What the process gives up once it has all that it needs: see filter.h and landlock.h. */
#ifndef POSTERN_SERVER_SANDBOX_H
#define POSTERN_SERVER_SANDBOX_H

#include "config/types.h"

#include <stddef.h>

/* Applies what the kernel has, unless sandbox = off, and logs in one line what is in force and what
 * cannot be. `removable`: the folders (O_PATH; -1: none) of unix sockets that the process removes
 * at its end.
 *
 * To be called once all sockets are bound and before the first thread is started: Landlock reaches
 * only this thread and those that it starts. */
void sandbox_apply(const struct config *config, const int *removable, size_t count);

/* Calls `function`, which makes a loop that is used after sandbox_apply, too: filter.h says why
 * that must be done here, and when it is not called. Returns when it has; before the configuration
 * is read, for either setting. */
void sandbox_make_loop(void (*function)(void *arg), void *arg);

#endif
