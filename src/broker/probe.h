/* Backends that are down: dialled once a second until one of their addresses accepts a connection.
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

/* How often a backend is dialled; and after how many periods without an answer an address is given
 * up. */
enum { PROBE_PERIOD_MS = 1000, PROBE_PERIODS = 5 };

/* The probes of one thread. Embedded in what owns the thread's loop; the fields are probe.c's. */
struct prober {
    struct dialer *dialer;
    struct list running;
    bool closing;
};

/* From now on the backends that dials of `dialer` find down are probed. The dialer must outlive the
 * prober. */
void prober_init(struct prober *prober, struct dialer *dialer);

/* For backends that were found to be down without a dial: each is probed unless it is already. */
void prober_watch(struct prober *prober, struct backend *const *backends, size_t count);

/* Ends the probes and starts none any more; the loop must run until their timers are closed. May be
 * called twice. */
void prober_close(struct prober *prober);

#endif
