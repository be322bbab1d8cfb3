/* One pool of sessions with all around it: its loop, its listeners' queues, clients and brokers. It
 * does what server/worker.c does with a pool, one turn at a time. */
#ifndef POSTERN_SIM_WORLD_H
#define POSTERN_SIM_WORLD_H

#include "core/list.h"
#include "loop.h"
#include "peers.h"
#include "session/limits.h"
#include "session/pool.h"
#include "site.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORLD_BACKENDS = 6, WORLD_MAX_SESSIONS = 40 };

/* How a backend answers those who connect. */
enum mood { MOOD_TAKES, MOOD_REFUSES, MOOD_IS_SLOW, MOOD_COUNT };

struct world {
    struct loop *loop;
    struct pool pool;
    bool pool_is_over;
    struct limits *limits;
    struct runtime *runtime; /* a reference */
    enum site_variant variant;
    enum mood moods[WORLD_BACKENDS];

    struct list clients; /* all that live */
    struct list brokers; /* ends of connections that a session has or wants */
    size_t client_count;
    struct client *queue[64]; /* to be accepted, the oldest first */
    size_t queued;
    bool starved;

    /* What the next turn is to do in on_wake. */
    struct {
        struct runtime *adopt;
        bool drain, stop, room, lookup;
        uint64_t drain_ms;
        int lookup_status;
    } mail;

    bool forged;            /* a test makes events itself: their causes are not checked */
    size_t troubles_before; /* this turn */
    unsigned reloads;
    unsigned failing; /* one allocation in so many; 0: none */

    uint64_t accepted, ended, established;
    uint64_t reasons[REASON_COUNT];
};

/* The one that runs: what is called from within the product finds it here. */
extern struct world world;

/* `troubled`: now and then a call finds no descriptors or no memory. */
void world_begin(bool troubled);
void world_end(void); /* stops the pool; all must be over then */

void world_turn(void);
void world_settle(void); /* turns until there is nothing to do */
void world_clean(void);  /* frees the peers whose connections are over, and checks their ends */

/* The session of a client that has been accepted, as long as its connection is open. */
struct session *world_session(const struct client *c);

/* Whether the current configuration's CRL lists that certificate. */
bool world_lists(const struct client *c);

struct client *world_connect(enum client_kind kind, size_t listener, enum site_cert cert);
void world_adopt(enum site_variant variant);

/* Whether that reason has a cause. */
void causes_check(const struct client *c, enum reason reason, uint64_t age_ms);

/* After a drain: another pool on the same limits. */
void world_renew_pool(void);

#endif
