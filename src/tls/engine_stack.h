/* Handshakes that may pause in the middle of a step (engine.h). */
#ifndef POSTERN_TLS_ENGINE_STACK_H
#define POSTERN_TLS_ENGINE_STACK_H

#include <stdbool.h>

struct engine_stack;

/* A second stack, on which one heavy handshake step at a time can be left in the middle: what takes
 * long is a signature with an RSA key (tls_context_is_heavy). Each thread has its own.
 *
 * `should_pause` is asked every few microseconds while a step computes. It is called within
 * engine_handshake, engine_stack_work and engine_stack_free only, but perhaps on a thread of the
 * stack's own, while the caller waits in that call: it may read whatever the caller may, and
 * nothing thread-local. Only our own library on x86-64 and aarch64 asks; others make every step in
 * one piece. NULL without memory. */
struct engine_stack *engine_stack_new(bool (*should_pause)(void *arg), void *arg)
    __attribute__((warn_unused_result));

/* All its engines are freed; the step that one of them left is brought to its end. On the thread
 * that used it. NULL is fine. */
void engine_stack_free(struct engine_stack *stack);

/* Whether the step of a freed engine is under way (false for NULL); and continues it until it is
 * over or should pause. engine_handshake with this stack does so too, before its own work. */
bool engine_stack_has_work(const struct engine_stack *stack);
void engine_stack_work(struct engine_stack *stack);

#endif
