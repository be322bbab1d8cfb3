/* Landlock: the process gives up what it may do with files (landlock(7)). */
#ifndef POSTERN_SERVER_LANDLOCK_H
#define POSTERN_SERVER_LANDLOCK_H

#include "core/error.h"

#include <stddef.h>

/* From now on this thread, and those that it starts, cannot run a program, nor change, make, rename
 * or remove any file, but for files and sockets right below the folders in `writable`. Reading is
 * not restricted, because a reload may name any file. What is open stays usable. Needs
 * no_new_privs.
 *
 * The version of Landlock that the kernel has (1 and more); 0: it has none, or the system calls are
 * not permitted here; -1 with the reason. */
int landlock_restrict(const char *const *writable, size_t count, struct error *err)
    __attribute__((warn_unused_result));

#endif
