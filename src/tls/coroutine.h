/* A second stack for a computation that would keep its caller too long: it pauses, the caller does
 * something else, and the computation continues where it was.
 *
 * coroutine.c switches stacks on the caller's thread (makecontext). coroutine_thread.c does the
 * same for C libraries without that: the computation has a thread of its own, which runs only while
 * the caller waits for it. Which one is built is the option `coroutine`; callers must not rely on
 * either: a computation uses nothing thread-local of its caller.
 *
 * All but coroutine_free on the thread that made the coroutine; at most one computation at a time.
 */
#ifndef POSTERN_TLS_COROUTINE_H
#define POSTERN_TLS_COROUTINE_H

#include <stdbool.h>
#include <stddef.h>

struct coroutine;

/* Its stack has a guard page below; the part that is never used costs no memory. NULL without
 * memory (or threads). */
struct coroutine *coroutine_new(size_t stack_size) __attribute__((warn_unused_result));
void coroutine_free(struct coroutine *c); /* not while a computation is paused; NULL is fine */

/* Begins a computation. Both return true when it has returned, false when it has paused: then
 * coroutine_resume continues it. */
bool coroutine_run(struct coroutine *c, void (*work)(void *arg), void *arg)
    __attribute__((warn_unused_result));
bool coroutine_resume(struct coroutine *c) __attribute__((warn_unused_result));

/* Within the computation: back to the caller of coroutine_run or coroutine_resume. */
void coroutine_pause(struct coroutine *c);

#endif
