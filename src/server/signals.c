#include "server/signals.h"

#include <pthread.h>

static void on_hangup(uv_signal_t *handle, int number) {
    const struct signals *signals = handle->data;
    signals->events.reload(signals->events.arg);
}

static void on_terminate(uv_signal_t *handle, int number) {
    const struct signals *signals = handle->data;
    signals->events.stop(signals->events.arg);
}

static int start(struct signals *signals, uv_loop_t *loop, uv_signal_t *handle, uv_signal_cb cb,
                 int number) {
    handle->data = signals;
    int rc = uv_signal_init(loop, handle);
    return rc != 0 ? rc : uv_signal_start(handle, cb, number);
}

int signals_init(struct signals *signals, uv_loop_t *loop, struct signals_events events,
                 struct error *err) {
    signals->events = events;
    int rc = start(signals, loop, &signals->hangup, on_hangup, SIGHUP);
    if (rc == 0) {
        rc = start(signals, loop, &signals->terminate, on_terminate, SIGTERM);
    }
    if (rc == 0) {
        rc = start(signals, loop, &signals->interrupt, on_terminate, SIGINT);
    }
    return rc == 0 ? 0 : error_set(err, "cannot watch for signals: %s", uv_strerror(rc));
}

void signals_hold(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

void signals_block_for_threads(sigset_t *before) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t set;
    sigfillset(&set);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        sigdelset(&set, faults[i]);
    }
    pthread_sigmask(SIG_BLOCK, &set, before);
}
