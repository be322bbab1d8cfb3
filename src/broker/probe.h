/* Backends that are down: dialled once a second until one of their addresses takes a connection.
 *
 * One thread probes a backend for the whole process (backend_claim_probe). A probe ends when its
 * backend is up again, or has no users any more. */
#ifndef POSTERN_BROKER_PROBE_H
#define POSTERN_BROKER_PROBE_H

#include "broker/backend.h"
#include "broker/dial.h"
#include "core/list.h"

#include <stdbool.h>
#include <stddef.h>

/* A backend that is down is dialled so often; an address that is silent for so many periods is
 * given up. */
enum { PROBE_PERIOD_MS = 1000, PROBE_PERIODS = 5 };

/* The probes of one thread. Embedded in what owns the thread's loop; the fields are probe.c's. */
struct prober {
    struct dialer *dialer;
    struct list running;
    bool closing;
};

/* Probes from now on what the dials of `dialer`, which must outlive the prober, find down. */
void prober_init(struct prober *prober, struct dialer *dialer);

/* For backends that were found to be all down without a dial: sees to it that each is probed. */
void prober_watch(struct prober *prober, struct backend *const *backends, size_t count);

/* Ends the probes and starts none any more; the loop must run until their timers are closed. May be
 * called twice. */
void prober_close(struct prober *prober);

#endif
