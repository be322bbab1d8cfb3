/* Whether and how the process stops: what a signal, or another process that has taken over, leads
 * to.
 *
 *   serving --> draining (drain_delay) --> disconnecting (drain_timeout) --> ended
 *
 * While it is draining it still accepts, so that balancers, which look at /ready now and then, stop
 * sending clients before any is refused. */
#ifndef POSTERN_SERVER_STOP_H
#define POSTERN_SERVER_STOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Called on the loop, each at most once and in this order. */
struct stop_events {
    void *arg;
    void (*drains)(void *arg);      /* balancers are to notice; left out without a delay */
    void (*disconnects)(void *arg); /* stop accepting, end the sessions over drain_timeout */
    void (*ends)(void *arg);        /* end everything at once; left out without a second signal */
};

/* Embedded in struct server; the fields are stop.c's. The timer is closed with the loop. */
struct stop {
    atomic_int phase;
    uv_timer_t delay;
    struct stop_events events;
};

void stop_init(struct stop *stop, uv_loop_t *loop, struct stop_events events);

/* A signal to stop. The first time after `delay_ms`, the second time all at once. */
void stop_request(struct stop *stop, uint64_t delay_ms);

/* Another process serves: no delay. Nothing if the process disconnects its clients already. */
void stop_without_delay(struct stop *stop);

/* Whether the process stops, or is about to: what /ready answers with 503. Any thread. */
bool stop_is_draining(const struct stop *stop);

#endif
