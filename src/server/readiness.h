/* Whether this process wants new clients: what /ready of the admin socket answers. */
#ifndef POSTERN_SERVER_READINESS_H
#define POSTERN_SERVER_READINESS_H

#include "session/runtime.h"

#include <stdatomic.h>

enum readiness_phase { READINESS_STARTING, READINESS_SERVING, READINESS_DRAINING };

/* Zeroed is starting. The server's thread moves it on with readiness_set, any thread reads it. */
struct readiness {
    atomic_uint phase; /* enum readiness_phase */
};

/* DRAINING may be set as long before draining begins as balancers need to notice: clients are
 * accepted all the same. */
void readiness_set(struct readiness *readiness, enum readiness_phase phase);
enum readiness_phase readiness_phase(const struct readiness *readiness);

/* NULL: new clients are wanted. Else why not: "starting", "draining", or "no_backend" while every
 * broker of every listener and route is known to be down. `runtime` is the current one. */
const char *readiness_obstacle(const struct readiness *readiness, const struct runtime *runtime);

#endif
