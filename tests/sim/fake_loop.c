#include "loop.h"

#include "random.h"
#include "sockets.h"
#include "trace.h"

#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

struct loop {
    struct loop_hooks hooks;
    struct poller *poller;
    uint64_t now_ms;
    bool woken;
};

/* --- the clock --- */

static uint64_t now_ns, tick;

void sim_clock_begin(uint64_t ms, uint64_t tick_ns) {
    now_ns = ms * 1000 * 1000;
    tick = tick_ns;
}

void sim_clock_set_tick(uint64_t tick_ns) {
    tick = tick_ns;
}

void sim_clock_advance(uint64_t ms) {
    now_ns += ms * 1000 * 1000;
}

uint64_t sim_clock_ms(void) {
    return now_ns / 1000 / 1000;
}

uint64_t loop_now_ns(void) {
    return now_ns += tick;
}

uint64_t loop_now_ms(const struct loop *loop) {
    return loop->now_ms;
}

/* What else asks for the time, both TLS libraries among it, finds these instead of libc's: the
 * dates in certificates and tickets, and with them the lengths of signatures, are the same in each
 * run. */
enum { BEGINNING = 1767225600 }; /* 2026-01-01 */

time_t time(time_t *out) {
    time_t now = (time_t)(BEGINNING + now_ns / 1000 / 1000 / 1000);
    if (out != NULL) {
        *out = now;
    }
    return now;
}

int gettimeofday(struct timeval *out, void *zone) {
    out->tv_sec = time(NULL);
    out->tv_usec = (suseconds_t)(now_ns / 1000 % (1000 * 1000));
    return 0;
}

#if defined(__GLIBC__) && __SIZEOF_LONG__ == 4
/* The same for a TLS library that was built with a time_t of 32 bits. */
long time_of_32_bits(long *out) __asm__("time");
int day_time_of_32_bits(long out[2], void *zone) __asm__("gettimeofday");

long time_of_32_bits(long *out) {
    long now = (long)time(NULL);
    if (out != NULL) {
        *out = now;
    }
    return now;
}

int day_time_of_32_bits(long out[2], void *zone) {
    struct timeval now;
    gettimeofday(&now, zone);
    out[0] = (long)now.tv_sec;
    out[1] = (long)now.tv_usec;
    return 0;
}
#endif

/* For what asks libuv itself. */
uint64_t __wrap_uv_now(const uv_loop_t *uv);

uint64_t __wrap_uv_now(const uv_loop_t *uv) {
    return sim_clock_ms();
}

/* --- the loop --- */

struct loop *loop_new(const struct loop_hooks *hooks, int *status) {
    struct loop *loop = calloc(1, sizeof *loop);
    NEED(loop != NULL, "no memory");
    loop->hooks = *hooks;
    loop->now_ms = sim_clock_ms();
    loop->poller = poller_new(status);
    return loop;
}

void loop_free(struct loop *loop) {
    poller_free(loop->poller);
    free(loop);
}

void loop_wake(struct loop *loop) {
    loop->woken = true;
}

struct poller *loop_poller(const struct loop *loop) {
    return loop->poller;
}

uv_loop_t *loop_uv(struct loop *loop) {
    return NULL;
}

static void run_deadline(struct loop *loop) {
    if (loop->hooks.next_deadline_ms(loop->hooks.arg) <= loop->now_ms) {
        loop->hooks.on_deadline(loop->hooks.arg);
    }
}

static void run_events(struct loop *loop) {
    poller_dispatch(loop->poller);
    if (loop->woken) {
        loop->woken = false;
        loop->hooks.on_wake(loop->hooks.wake_arg);
    }
}

/* In some versions of libuv the timers come after the sockets. */
void sim_turn(struct loop *loop) {
    bool timers_last = random_one_in(2);
    loop->now_ms = sim_clock_ms();
    if (!timers_last) {
        run_deadline(loop);
    }
    uint64_t events_ns = loop_now_ns();
    run_events(loop);
    if (timers_last) {
        run_deadline(loop);
    }
    (void)loop->hooks.on_turn(loop->hooks.arg, events_ns);
}

bool sim_is_idle(struct loop *loop) {
    return sim_poller_is_idle(loop->poller) && !loop->woken &&
           !loop->hooks.has_work(loop->hooks.arg) &&
           loop->hooks.next_deadline_ms(loop->hooks.arg) > sim_clock_ms();
}
