/* The filter of system calls (seccomp(2)), made of the table in syscalls.c. */
#ifndef POSTERN_SERVER_FILTER_H
#define POSTERN_SERVER_FILTER_H

#include "core/error.h"

/* From now on all threads of the process make only calls of the table; another one writes the line
 * `forbidden system call` and ends the process by SIGSYS, without a core file. Needs no_new_privs.
 * Cannot be undone. 0, or -1 with the reason: then there is no filter. */
int filter_apply(struct error *err) __attribute__((warn_unused_result));

/* Calls `function` in a thread that cannot make an io_uring, and returns when that thread is gone.
 * Where no thread can be made it is not called. The process stays without a filter.
 *
 * libuv 1.50 and later make a ring for each loop, whatever UV_USE_IO_URING says, and abort when it
 * cannot be used later. What goes by a ring is not filtered, so filter_apply forbids its use: a
 * loop that is older than the filter has to be made here. Loops that are made later get
 * ENOSYS from the filter, and do without. */
void filter_call_without_ring(void (*function)(void *arg), void *arg);

#endif
