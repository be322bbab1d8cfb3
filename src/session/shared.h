/* What the workers of one process have in common and what outlives every runtime. */
#ifndef POSTERN_SESSION_SHARED_H
#define POSTERN_SESSION_SHARED_H

#include "broker/backend.h"
#include "tls/context.h"

#include <stdatomic.h>
#include <stddef.h>

/* Counted over all workers; a listener keeps its place over reloads. */
struct listener_counts {
    atomic_size_t connections;
    atomic_size_t handshakes;
};

struct worker;

struct shared {
    struct worker *workers; /* all of them, in place before the first one runs */
    size_t worker_count;
    struct tls_shared tls;
    struct backend_table *backends;
    struct listener_counts *listeners;
    atomic_size_t sessions;
    size_t max_sessions; /* what the limit of open files allows: two each */
};

#endif
