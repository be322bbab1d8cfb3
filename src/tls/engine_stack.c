/* The second stack for heavy handshake steps, and the engines that were freed in the middle of one.
 *
 * What runs there is one call of the library. It keeps no pointer into the caller's buffers while
 * it is paused: its callbacks find those of the call under way in the engine.
 *
 * A signature leaves parts of the private key in the vector registers. They are cleared here,
 * before control goes back, and not by the caller: the coroutine may be a thread, which keeps its
 * registers while it waits for the next step. */
#include "tls/engine_stack.h"

#include "core/wipe.h"
#include "tls/coroutine.h"
#include "tls/engine.h"
#include "tls/internal.h"
#include "tls/quirks.h"

#include <assert.h>
#include <stdlib.h>

/* The TLS library needs less than a tenth of it, sanitizers apart. */
enum { STACK_SIZE = 512 * 1024 };

struct engine_stack {
    struct coroutine *coroutine;
    bool (*should_pause)(void *arg);
    void *arg;
    struct engine *engine;    /* whose step is under way; NULL: none */
    struct engine_call pause; /* its call while it is paused */
    int code;                 /* what the library's call returned */
    bool abandoned;           /* the engine was freed and now belongs to the stack */
};

/* During the pause others' steps are made on the thread's own stack: they must not pause a
 * coroutine that they are not on. */
static void on_may_pause(void *arg) {
    struct engine_stack *stack = arg;
    if (stack->should_pause(stack->arg)) {
        quirks_set_pause(NULL, NULL);
        wipe_registers();
        coroutine_pause(stack->coroutine);
        quirks_set_pause(on_may_pause, stack);
    }
}

static void accept_inside(void *arg) {
    struct engine_stack *stack = arg;
    quirks_set_pause(on_may_pause, stack);
    stack->code = engine_accept(stack->engine);
    quirks_set_pause(NULL, NULL);
    wipe_registers();
}

struct engine_stack *engine_stack_new(bool (*should_pause)(void *arg), void *arg) {
    struct engine_stack *stack = calloc(1, sizeof *stack);
    if (stack == NULL) {
        return NULL;
    }
    stack->coroutine = coroutine_new(STACK_SIZE);
    if (stack->coroutine == NULL) {
        free(stack);
        return NULL;
    }
    stack->should_pause = should_pause;
    stack->arg = arg;
    stack->pause.stack = stack;
    return stack;
}

void engine_stack_free(struct engine_stack *stack) {
    if (stack == NULL) {
        return;
    }
    while (engine_stack_has_work(stack)) {
        engine_stack_work(stack);
    }
    assert(stack->engine == NULL);
    coroutine_free(stack->coroutine);
    free(stack);
}

bool engine_stack_is_free(struct engine_stack *stack, const struct engine *e) {
    engine_stack_work(stack);
    return stack->engine == NULL || stack->engine == e;
}

bool engine_stack_accept(struct engine_stack *stack, struct engine *e, int *code) {
    bool over;
    assert(stack->engine == NULL || stack->engine == e);
    if (stack->engine == e) {
        over = coroutine_resume(stack->coroutine);
    } else {
        stack->engine = e;
        over = coroutine_run(stack->coroutine, accept_inside, stack);
    }
    if (over) {
        stack->engine = NULL;
        *code = stack->code;
    }
    return over;
}

struct engine_call *engine_stack_pause(struct engine_stack *stack) {
    return &stack->pause;
}

void engine_stack_adopt(struct engine_stack *stack, struct engine *e) {
    assert(stack->engine == e && !stack->abandoned);
    stack->abandoned = true;
}

bool engine_stack_has_work(const struct engine_stack *stack) {
    return stack != NULL && stack->abandoned;
}

/* There is no more input, and the output is dropped. */
void engine_stack_work(struct engine_stack *stack) {
    struct engine *e = stack->engine;
    struct engine_input nothing = {NULL, 0};
    struct engine_call call = {.in = &nothing, .stack = stack};
    int code;
    if (!stack->abandoned) {
        return;
    }
    e->call = &call;
    bool over = engine_stack_accept(stack, e, &code);
    e->call = over ? NULL : &stack->pause;
    if (over) {
        stack->abandoned = false;
        engine_free(e);
    }
}
