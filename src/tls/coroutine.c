/* The coroutine as a stack of its own on the caller's thread. */
#include "tls/coroutine.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* The sanitizers must be notified whenever the stack changes. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

/* A stack, and where it continues when control comes back to it. */
struct place {
    ucontext_t context;
#ifdef __SANITIZE_ADDRESS__
    void *fake_stack;
    const void *bottom;
    size_t size;
#endif
#ifdef __SANITIZE_THREAD__
    void *sanitizer_fiber;
#endif
};

struct coroutine {
    struct place inside, outside;
    void *memory;
    size_t guard, size; /* of the memory: the guard page, then the stack */
    void (*work)(void *arg);
    void *arg;
    bool busy;
};

static void arrive(struct coroutine *c, struct place *here, struct place *from) {
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(here->fake_stack, &bottom, &size);
    if (from == &c->outside) { /* which differs from call to call */
        from->bottom = bottom;
        from->size = size;
    }
#endif
    (void)c;
    (void)here;
    (void)from;
}

static void switch_stacks(struct coroutine *c, struct place *from, struct place *to) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
#endif
#ifdef __SANITIZE_THREAD__
    from->sanitizer_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->sanitizer_fiber, 0);
#endif
    swapcontext(&from->context, &to->context); /* fails only where it cannot return */
    arrive(c, from, to);
}

void coroutine_pause(struct coroutine *c) {
    switch_stacks(c, &c->inside, &c->outside);
}

/* makecontext passes ints: a pointer is passed in two. The outermost frame never returns, so that
 * one stack serves one computation after another. */
static void inside(unsigned high, unsigned low) {
    struct coroutine *c = (struct coroutine *)((uintptr_t)high << 16 << 16 | low);
    arrive(c, &c->inside, &c->outside);
    for (;;) {
        c->work(c->arg);
        c->busy = false;
        coroutine_pause(c);
    }
}

static void prepare_stack(struct coroutine *c) {
    uintptr_t self = (uintptr_t)c;
    getcontext(&c->inside.context);
    c->inside.context.uc_stack.ss_sp = (char *)c->memory + c->guard;
    c->inside.context.uc_stack.ss_size = c->size - c->guard;
    makecontext(&c->inside.context, (void (*)(void))inside, 2, (unsigned)(self >> 16 >> 16),
                (unsigned)self);
#ifdef __SANITIZE_ADDRESS__
    c->inside.bottom = c->inside.context.uc_stack.ss_sp;
    c->inside.size = c->inside.context.uc_stack.ss_size;
#endif
#ifdef __SANITIZE_THREAD__
    c->inside.sanitizer_fiber = __tsan_create_fiber(0);
#endif
}

struct coroutine *coroutine_new(size_t stack_size) {
    struct coroutine *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->guard = (size_t)sysconf(_SC_PAGESIZE);
    c->size = (stack_size + c->guard - 1) / c->guard * c->guard + c->guard;
    c->memory = mmap(NULL, c->size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (c->memory == MAP_FAILED) {
        free(c);
        return NULL;
    }
    if (mprotect(c->memory, c->guard, PROT_NONE) != 0) {
        munmap(c->memory, c->size);
        free(c);
        return NULL;
    }
    prepare_stack(c);
    return c;
}

void coroutine_free(struct coroutine *c) {
    if (c == NULL) {
        return;
    }
    assert(!c->busy);
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(c->inside.sanitizer_fiber);
#endif
    munmap(c->memory, c->size);
    free(c);
}

bool coroutine_run(struct coroutine *c, void (*work)(void *arg), void *arg) {
    c->work = work;
    c->arg = arg;
    c->busy = true;
    return coroutine_resume(c);
}

bool coroutine_resume(struct coroutine *c) {
    assert(c->busy);
    switch_stacks(c, &c->outside, &c->inside);
    return !c->busy;
}
