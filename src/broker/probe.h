/* Backends that are down: dialled until one of their addresses accepts a connection.
 *
 * The longer a backend has been down, the longer is the pause between two attempts: a quarter of
 * that time, a tenth of a second at least and five seconds at most. So a restarted broker is found
 * at once, and one that stays away costs next to nothing; its log gets one connection, the one that
 * finds it.
 *
 * One thread probes a backend for the whole process (backend_claim_probe). A probe ends when its
 * backend is up again, or has no users any more. The thread's loop calls prober_on_time. */
#ifndef POSTERN_BROKER_PROBE_H
#define POSTERN_BROKER_PROBE_H

#include "broker/backend.h"
#include "broker/dial.h"
#include "core/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The pause between attempts, and after how long without an answer an address is given up. */
enum { PROBE_MIN_MS = 100, PROBE_MAX_MS = 5000, PROBE_ANSWER_MS = 5000 };

/* The probes of one thread. Embedded in what owns the thread's loop; the fields are probe.c's. */
struct prober {
    struct dialer *dialer;
    struct list running;
    uint64_t due_ms;
    bool closing;
};

/* From now on the backends that dials of `dialer` find down are probed. The dialer must outlive the
 * prober. */
void prober_init(struct prober *prober, struct dialer *dialer);

/* For backends that were found to be down without a dial: each is probed unless it is already. */
void prober_watch(struct prober *prober, const struct dial_target *target);

/* When prober_on_time must be called; UINT64_MAX: not at all. */
uint64_t prober_next_ms(const struct prober *prober);
void prober_on_time(struct prober *prober);

/* Ends the probes and starts none any more. May be called twice. */
void prober_close(struct prober *prober);

#endif
