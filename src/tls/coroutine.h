/* A second stack for a computation that would keep its caller too long: it pauses, the caller does
 * something else, and the computation goes on where it was.
 *
 * All but coroutine_free on the thread that made the fiber; at most one computation at a time. */
#ifndef POSTERN_TLS_COROUTINE_H
#define POSTERN_TLS_COROUTINE_H

#include <stdbool.h>
#include <stddef.h>

struct coroutine;

/* Its stack has a guard page below; what is never used of it costs no memory. NULL without memory.
 */
struct coroutine *coroutine_new(size_t stack_size) __attribute__((warn_unused_result));
void coroutine_free(struct coroutine *fiber); /* not while a computation is paused; NULL is fine */

/* Begins a computation. Both return true when it has returned, false when it has paused: then
 * coroutine_resume goes on with it. */
bool coroutine_run(struct coroutine *fiber, void (*work)(void *arg), void *arg)
    __attribute__((warn_unused_result));
bool coroutine_resume(struct coroutine *fiber) __attribute__((warn_unused_result));

/* Within the computation: back to whoever called coroutine_run or coroutine_resume. */
void coroutine_pause(struct coroutine *fiber);

#endif
