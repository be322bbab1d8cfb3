#include "backends.h"

#include "broker/lookup.h"
#include "broker/probe.h"
#include "loop.h"
#include "random.h"
#include "sockets.h"
#include "trace.h"

/* --- lookups: of one name at a time --- */

static struct backend *looked_up; /* NULL: none */
static struct list waiting;

void lookups_init(struct lookups *lookups, uv_loop_t *loop) {
    looked_up = NULL;
    list_init(&waiting);
}

int lookup_wait(struct lookups *lookups, struct backend *backend, struct lookup_waiter *waiter) {
    if (sim_has_trouble(100)) {
        return UV_ENOMEM;
    }
    NEED(looked_up == NULL || looked_up == backend, "two names");
    looked_up = backend;
    list_append(&waiting, &waiter->link);
    return 0;
}

void lookup_cancel(struct lookup_waiter *waiter) {
    list_remove(&waiter->link);
}

void lookups_close(struct lookups *lookups) {
    NEED(list_is_empty(&waiting), "a dial waits for a name as the pool is closed");
    looked_up = NULL;
}

bool sim_lookup_is_under_way(void) {
    return looked_up != NULL;
}

static void call_waiters(int status, const struct address *addresses, size_t count) {
    struct list now;
    list_init(&now);
    list_append(&waiting, &now);
    list_remove(&waiting);
    while (!list_is_empty(&now)) {
        struct lookup_waiter *waiter = container_of(now.next, struct lookup_waiter, link);
        list_remove(&waiter->link);
        waiter->done(waiter, status, addresses, count);
    }
}

void sim_lookup_end(int status) {
    struct address addresses[BACKEND_ADDRESSES];
    size_t count = status == 0 ? 1 + (size_t)random_below(BACKEND_ADDRESSES) : 0;
    struct backend *backend = looked_up;
    for (size_t i = 0; i < count; i++) {
        uint8_t ip[] = {10, 9, 0, (uint8_t)i};
        addresses[i] = address_from_bytes(ip, sizeof ip, backend_port(backend));
    }
    if (count > 0) {
        backend_store_addresses(backend, sim_clock_ms(), addresses, count);
    }
    looked_up = NULL;
    call_waiters(status, addresses, count);
}

/* --- probes --- */

enum { PROBED_MAX = 8 };

static struct backend *probed[PROBED_MAX];
static size_t probed_count;

static void on_down(void *arg, struct backend *backend, const struct config_sources *sources) {
    if (backend_claim_probe(backend)) {
        NEED(probed_count < PROBED_MAX, "more probes than backends");
        probed[probed_count++] = backend;
    }
}

void prober_init(struct prober *prober, struct dialer *dialer) {
    probed_count = 0;
    dialer_on_down(dialer, on_down, prober);
}

void prober_watch(struct prober *prober, const struct dial_target *target) {
    for (size_t i = 0; i < target->backend_count; i++) {
        on_down(prober, target->backends[i], target->sources);
    }
}

uint64_t prober_next_ms(const struct prober *prober) {
    return UINT64_MAX;
}

void prober_on_time(struct prober *prober) {
}

void prober_close(struct prober *prober) {
    while (probed_count > 0) {
        backend_release_probe(probed[--probed_count]);
    }
}

size_t sim_probes(void) {
    return probed_count;
}

void sim_probe_succeed(void) {
    size_t which = (size_t)random_below(probed_count);
    struct backend *backend = probed[which];
    probed[which] = probed[--probed_count];
    backend_release_probe(backend);
    backend_mark_up(backend, sim_clock_ms());
}
