#include "server/readiness.h"

#include <stdbool.h>

void readiness_set(struct readiness *r, enum readiness_phase phase) {
    atomic_store(&r->phase, (unsigned)phase);
}

enum readiness_phase readiness_phase(const struct readiness *r) {
    return (enum readiness_phase)atomic_load(&r->phase);
}

static bool has_backend(const struct runtime *rt) {
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        for (size_t route = 0; route <= rt->config->listeners[i].route_count; route++) {
            const struct runtime_listener *l = runtime_at(rt, i, route);
            if (!backends_all_down(l->backends, l->config->backend_count)) {
                return true;
            }
        }
    }
    return false;
}

const char *readiness_obstacle(const struct readiness *r, const struct runtime *rt) {
    switch (readiness_phase(r)) {
    case READINESS_STARTING:
        return "starting";
    case READINESS_DRAINING:
        return "draining";
    case READINESS_SERVING:
        break;
    }
    return has_backend(rt) ? NULL : "no_backend";
}
