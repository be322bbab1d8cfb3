/* The signals that the process understands: SIGHUP reloads, SIGTERM and SIGINT stop. */
#ifndef POSTERN_SERVER_SIGNALS_H
#define POSTERN_SERVER_SIGNALS_H

#include "core/error.h"

#include <signal.h>
#include <uv.h>

/* Called on the loop. */
struct signals_events {
    void *arg;
    void (*reload)(void *arg);
    void (*stop)(void *arg);
};

/* Embedded in struct server; the fields are signals.c's. The handles are closed with the loop. */
struct signals {
    uv_signal_t hangup, terminate, interrupt;
    struct signals_events events;
};

/* Receives the signals from now on; what arrives before the loop runs is reported when it does. 0,
 * or -1 with the reason. */
int signals_init(struct signals *signals, uv_loop_t *loop, struct signals_events events,
                 struct error *err) __attribute__((warn_unused_result));

/* Blocks the three signals in this thread, to be called before their handles are closed: one that
 * came later would end the process with a wrong exit code. */
void signals_hold(void);

/* Blocks every signal for the threads that this one starts, but those of faults, which would kill
 * the process without a report if they were blocked. pthread_sigmask(3) with `before` undoes it. */
void signals_block_for_threads(sigset_t *before);

#endif
