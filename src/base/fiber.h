/* A second stack for a computation that would keep its caller too long: it pauses, the caller does
 * something else, and the computation goes on where it was.
 *
 * All but fiber_free on the thread that made the fiber; at most one computation at a time. */
#ifndef POSTERN_BASE_FIBER_H
#define POSTERN_BASE_FIBER_H

#include <stdbool.h>
#include <stddef.h>

struct fiber;

/* Its stack has a guard page below; what is never used of it costs no memory. NULL without memory.
 */
struct fiber *fiber_new(size_t stack_size) __attribute__((warn_unused_result));
void fiber_free(struct fiber *fiber); /* not while a computation is paused; NULL is fine */

/* Begins a computation. Both return true when it has returned, false when it has paused: then
 * fiber_resume goes on with it. */
bool fiber_run(struct fiber *fiber, void (*work)(void *arg), void *arg)
    __attribute__((warn_unused_result));
bool fiber_resume(struct fiber *fiber) __attribute__((warn_unused_result));

/* Within the computation: back to whoever called fiber_run or fiber_resume. */
void fiber_pause(struct fiber *fiber);

#endif
