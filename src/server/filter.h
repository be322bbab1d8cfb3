/* The filter of system calls (seccomp(2)), made of the table in syscalls.c. */
#ifndef POSTERN_SERVER_FILTER_H
#define POSTERN_SERVER_FILTER_H

#include "core/error.h"

/* From now on all threads of the process make only calls of the table; another one writes the line
 * `forbidden system call` and ends the process by SIGSYS, without a core file. Needs no_new_privs.
 * Cannot be undone. 0, or -1 with the reason: then there is no filter. */
int filter_apply(struct error *err) __attribute__((warn_unused_result));

#endif
