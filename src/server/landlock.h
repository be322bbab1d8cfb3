/* Landlock: the process gives up what it may do with files and other processes (landlock(7)). */
#ifndef POSTERN_SERVER_LANDLOCK_H
#define POSTERN_SERVER_LANDLOCK_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

/* From now on this thread, and those that it starts, cannot run a program, nor change, make, rename
 * or remove any file, but that it may remove what is below the folders in `removable` (descriptors;
 * -1: none). Reading is not restricted, because a reload may name any file, nor are the modes of
 * files, which the filter of system calls protects. What is open stays usable.
 *
 * From version 6 on (Linux 6.12) it cannot send signals to other processes either, nor connect to
 * their abstract unix sockets, which no mode protects: unless `notifies_abstract`, as a service
 * manager's socket may be one. Needs no_new_privs.
 *
 * The version of Landlock that the kernel has (1 and more); 0: it has none, or the system calls are
 * not permitted here; -1 with the reason. */
int landlock_restrict(const int *removable, size_t count, bool notifies_abstract, struct error *err)
    __attribute__((warn_unused_result));

#endif
