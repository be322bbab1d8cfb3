/* The coroutine as a thread, for C libraries without makecontext (musl). Control is handed over by
 * semaphores: either the caller or the computation runs, never both. */
#include "tls/coroutine.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>

struct coroutine {
    pthread_t thread;
    sem_t inside, outside; /* the turn of the computation, and of its caller */
    void (*work)(void *arg);
    void *arg;
    bool busy;
    bool ending;
};

static void wait_for(sem_t *turn) {
    while (sem_wait(turn) != 0) {
        assert(errno == EINTR);
    }
}

void coroutine_pause(struct coroutine *c) {
    sem_post(&c->outside);
    wait_for(&c->inside);
}

static void *inside(void *arg) {
    struct coroutine *c = arg;
    for (;;) {
        wait_for(&c->inside);
        if (c->ending) {
            return NULL;
        }
        c->work(c->arg);
        c->busy = false;
        sem_post(&c->outside);
    }
}

/* Signals are for the threads that expect them, but for the one that reports a system call which is
 * forbidden to this thread: the kernel ends a process that blocks it, without a report. */
static int start_thread(struct coroutine *c, const pthread_attr_t *attributes) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&c->thread, attributes, inside, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static int start(struct coroutine *c, size_t stack_size) {
    pthread_attr_t attributes;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0) {
        return rc;
    }
    rc = pthread_attr_setstacksize(&attributes, stack_size);
    if (rc == 0) {
        rc = start_thread(c, &attributes);
    }
    pthread_attr_destroy(&attributes);
    return rc;
}

struct coroutine *coroutine_new(size_t stack_size) {
    struct coroutine *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    sem_init(&c->inside, 0, 0);
    sem_init(&c->outside, 0, 0);
    if (start(c, stack_size) != 0) {
        sem_destroy(&c->inside);
        sem_destroy(&c->outside);
        free(c);
        return NULL;
    }
    return c;
}

void coroutine_free(struct coroutine *c) {
    if (c == NULL) {
        return;
    }
    assert(!c->busy);
    c->ending = true;
    sem_post(&c->inside);
    pthread_join(c->thread, NULL);
    sem_destroy(&c->inside);
    sem_destroy(&c->outside);
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
    sem_post(&c->inside);
    wait_for(&c->outside);
    return !c->busy;
}
