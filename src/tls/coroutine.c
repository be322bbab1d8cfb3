#include "tls/coroutine.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

/* The sanitizers must be told whenever the stack changes. */
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

/* A stack, and where on it control rests while it is on the other. */
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

static void arrive(struct coroutine *f, struct place *here, struct place *from) {
#ifdef __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(here->fake_stack, &bottom, &size);
    if (from == &f->outside) { /* which differs from call to call */
        from->bottom = bottom;
        from->size = size;
    }
#endif
    (void)f;
    (void)here;
    (void)from;
}

static void switch_stacks(struct coroutine *f, struct place *from, struct place *to) {
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&from->fake_stack, to->bottom, to->size);
#endif
#ifdef __SANITIZE_THREAD__
    from->sanitizer_fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->sanitizer_fiber, 0);
#endif
    swapcontext(&from->context, &to->context); /* fails only where it cannot return */
    arrive(f, from, to);
}

void coroutine_pause(struct coroutine *f) {
    switch_stacks(f, &f->inside, &f->outside);
}

/* makecontext passes ints: a pointer travels in two. The computation's frame never returns, so that
 * one stack serves one computation after the other. */
static void inside(unsigned high, unsigned low) {
    struct coroutine *f = (struct coroutine *)((uintptr_t)high << 16 << 16 | low);
    arrive(f, &f->inside, &f->outside);
    for (;;) {
        f->work(f->arg);
        f->busy = false;
        coroutine_pause(f);
    }
}

static void prepare_stack(struct coroutine *f) {
    uintptr_t self = (uintptr_t)f;
    getcontext(&f->inside.context);
    f->inside.context.uc_stack.ss_sp = (char *)f->memory + f->guard;
    f->inside.context.uc_stack.ss_size = f->size - f->guard;
    makecontext(&f->inside.context, (void (*)(void))inside, 2, (unsigned)(self >> 16 >> 16),
                (unsigned)self);
#ifdef __SANITIZE_ADDRESS__
    f->inside.bottom = f->inside.context.uc_stack.ss_sp;
    f->inside.size = f->inside.context.uc_stack.ss_size;
#endif
#ifdef __SANITIZE_THREAD__
    f->inside.sanitizer_fiber = __tsan_create_fiber(0);
#endif
}

struct coroutine *coroutine_new(size_t stack_size) {
    struct coroutine *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return NULL;
    }
    f->guard = (size_t)sysconf(_SC_PAGESIZE);
    f->size = (stack_size + f->guard - 1) / f->guard * f->guard + f->guard;
    f->memory = mmap(NULL, f->size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (f->memory == MAP_FAILED) {
        free(f);
        return NULL;
    }
    if (mprotect(f->memory, f->guard, PROT_NONE) != 0) {
        munmap(f->memory, f->size);
        free(f);
        return NULL;
    }
    prepare_stack(f);
    return f;
}

void coroutine_free(struct coroutine *f) {
    if (f == NULL) {
        return;
    }
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(f->inside.sanitizer_fiber);
#endif
    munmap(f->memory, f->size);
    free(f);
}

bool coroutine_run(struct coroutine *f, void (*work)(void *arg), void *arg) {
    f->work = work;
    f->arg = arg;
    f->busy = true;
    return coroutine_resume(f);
}

bool coroutine_resume(struct coroutine *f) {
    switch_stacks(f, &f->outside, &f->inside);
    return !f->busy;
}
