/* Whole sessions under a seed: random steps, and after each a sweep of what must hold.
 *
 *     sim STEPS [SEED]
 *
 * The same seed makes the same run, byte for byte. When something does not hold, the program prints
 * the seed, the step and the last actions, and aborts. */
#include "backends.h"
#include "peers.h"
#include "random.h"
#include "stream.h"
#include "sweep.h"
#include "trace.h"
#include "world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

enum { CLIENTS_MAX = 48 };

static uint64_t step;
static unsigned settle_one_in = 3; /* else one turn: much is left to do */

/* --- picking --- */

static struct client *pick_client(void) {
    struct list *l = world.clients.next;
    if (world.client_count == 0) {
        return NULL;
    }
    for (uint64_t n = random_below(world.client_count); n > 0; n--) {
        l = l->next;
    }
    struct client *c = container_of(l, struct client, link);
    return c->stalled_until_ms <= sim_clock_ms() ? c : NULL;
}

static struct broker_end *pick_broker(void) {
    struct client *c = pick_client();
    struct broker_end *b = c != NULL ? c->broker : NULL;
    return b != NULL && !b->sock->closed && b->stalled_until_ms <= sim_clock_ms() ? b : NULL;
}

static struct broker_end *pick_connecting(void) {
    uint64_t skip = random_below(4);
    struct broker_end *found = NULL;
    for (struct list *l = world.brokers.next; l != &world.brokers; l = l->next) {
        struct broker_end *b = container_of(l, struct broker_end, link);
        if (b->sock->connecting) {
            found = b;
            if (skip-- == 0) {
                break;
            }
        }
    }
    return found;
}

static size_t amount(void) {
    return random_one_in(3) ? SIZE_MAX : random_size(40000);
}

/* --- what clients do --- */

static enum site_cert choose_cert(size_t listener) {
    if (!site_wants_certificate(listener)) {
        return SITE_NONE;
    }
    if (random_one_in(5)) {
        return (enum site_cert)random_below(SITE_CERT_COUNT);
    }
    return random_one_in(3) ? SITE_REVOCABLE : SITE_GOOD;
}

static void do_connect(void) {
    if (world.client_count >= CLIENTS_MAX) {
        return;
    }
    bool good = !random_one_in(4);
    enum client_kind kind = good ? CLIENT_GOOD : (enum client_kind)random_below(CLIENT_KINDS);
    size_t listener = (size_t)random_below(SITE_LISTENERS);
    bool claims = kind == CLIENT_SECOND_CONNECT || kind == CLIENT_FOREIGN_ID;
    listener = kind == CLIENT_BAD_HEADER ? SITE_BALANCED : claims ? SITE_IDENTITY : listener;
    const struct client *c = world_connect(kind, listener, choose_cert(listener));
    trace_action(step, "client %u of kind %d connects to listener %zu", c->id, kind, listener);
}

static void do_client_send(void) {
    struct client *c = pick_client();
    if (c != NULL && c->kind != CLIENT_SILENT) {
        size_t len = amount();
        trace_action(step, "client %u sends %zu", c->id, len);
        client_send(c, len);
    }
}

static void do_client_read(void) {
    struct client *c = pick_client();
    if (c != NULL) {
        size_t len = amount();
        trace_action(step, "client %u reads %zu", c->id, len);
        client_read(c, len);
        if (random_one_in(2)) {
            client_send(c, SIZE_MAX);
        }
    }
}

static void do_client_close(void) {
    struct client *c = pick_client();
    if (c != NULL) {
        bool fin = random_one_in(2);
        trace_action(step, "client %u closes, FIN %d", c->id, fin);
        client_close(c, fin);
    }
}

static void do_client_trouble(void) {
    struct client *c = pick_client();
    if (c == NULL) {
        return;
    }
    uint64_t what = random_below(6);
    static const char *const names[] = {"FIN",   "RST", "leaves", "damages", "updates its keys",
                                        "stalls"};
    trace_action(step, "client %u: %s", c->id, names[what]);
    switch (what) {
    case 0:
        client_fin(c);
        break;
    case 1:
        client_reset(c);
        break;
    case 2:
        client_leave(c);
        break;
    case 3:
        client_corrupt(c);
        break;
    case 4:
        client_update_keys(c, random_one_in(3) ? 3000 : 1);
        break;
    default:
        c->stalled_until_ms = sim_clock_ms() + random_below(40000);
        break;
    }
}

/* --- what brokers do --- */

static void do_broker_send(void) {
    struct broker_end *b = pick_broker();
    if (b != NULL) {
        size_t len = amount();
        trace_action(step, "broker of %u sends %zu", b->client->id, len);
        broker_send(b, len);
    }
}

static void do_broker_read(void) {
    struct broker_end *b = pick_broker();
    if (b != NULL) {
        size_t len = amount();
        trace_action(step, "broker of %u reads %zu", b->client->id, len);
        broker_read(b, len);
    }
}

static void do_broker_end(void) {
    struct broker_end *b = pick_broker();
    if (b == NULL) {
        return;
    }
    uint64_t what = random_below(4);
    trace_action(step, "broker of %u: %s", b->client->id,
                 what == 0 ? "RST" : (what == 1 ? "stalls" : "FIN"));
    if (what == 0) {
        broker_reset(b);
    } else if (what == 1) {
        b->stalled_until_ms = sim_clock_ms() + random_below(40000);
    } else {
        broker_fin(b);
    }
}

static void do_answer_connect(void) {
    struct broker_end *b = pick_connecting();
    if (b == NULL) {
        return;
    }
    bool refuses = random_one_in(4);
    trace_action(step, "broker of %u: connect, refused %d", b->client->id, refuses);
    if (refuses) {
        sim_refuse(b->sock, random_one_in(2) ? ECONNREFUSED : EHOSTUNREACH);
    } else {
        broker_take(b);
        sim_connected(b->sock);
    }
}

static void do_backends(void) {
    if (random_one_in(3)) {
        size_t which = (size_t)random_below(WORLD_BACKENDS);
        world.moods[which] = random_one_in(2) ? MOOD_TAKES : (enum mood)random_below(MOOD_COUNT);
        trace_action(step, "backend %zu: mood %d", which, world.moods[which]);
    } else if (sim_probes() > 0) {
        trace_action(step, "a probe finds its backend up");
        sim_probe_succeed();
    }
}

static void do_lookup(void) {
    static const int failures[] = {UV_EAI_NONAME, UV_EAI_AGAIN, UV_EAI_MEMORY};
    world.mail.lookup = true;
    world.mail.lookup_status = random_one_in(4) ? failures[random_below(3)] : 0;
    trace_action(step, "lookup: %d", world.mail.lookup_status);
    loop_wake(world.loop);
}

/* --- what the process does --- */

static void do_wait(void) {
    uint64_t ms = random_below(30);
    trace_action(step, "%" PRIu64 " ms", ms);
    sim_clock_advance(ms);
}

static void do_wait_long(void) {
    uint64_t next = pool_next_deadline_ms(&world.pool), now = sim_clock_ms();
    uint64_t ahead = next != UINT64_MAX && next > now ? next - now : 0; /* it may be due already */
    uint64_t ms = random_one_in(8) ? random_below(20000) : ahead;
    trace_action(step, "%" PRIu64 " ms, the next deadline in %" PRIu64, ms, ahead);
    sim_clock_advance(ms);
}

static void do_reload(void) {
    if (world.pool.draining) {
        return;
    }
    enum site_variant variant = (enum site_variant)random_below(SITE_VARIANTS);
    trace_action(step, "reload: %d", variant);
    world_adopt(variant);
}

static void do_drain(void) {
    static const uint64_t durations[] = {CONFIG_OFF, 500, 5000, 30000};
    if (!random_one_in(10)) {
        return;
    }
    world.mail.drain = true;
    world.mail.stop = random_one_in(8);
    world.mail.drain_ms = durations[random_below(4)];
    trace_action(step, "drain: %" PRIu64 " ms, stop %d", world.mail.drain_ms, world.mail.stop);
    loop_wake(world.loop);
}

static void do_process(void) {
    static const uint64_t ticks[] = {200, 2000, 2000, 20000};
    static const unsigned failing[] = {0, 0, 3000, 300};
    uint64_t what = random_below(3);
    if (what == 0) {
        sim_clock_set_tick(ticks[random_below(4)]);
        settle_one_in = random_one_in(3) ? 30 : 3;
    } else if (what == 1) {
        world.failing = failing[random_below(4)];
        trace_action(step, "one allocation in %u fails", world.failing);
    } else {
        world.mail.room = true;
        trace_action(step, "room");
        loop_wake(world.loop);
    }
}

/* --- steps --- */

static const struct {
    unsigned weight;
    void (*act)(void);
} actions[] = {
    {60, do_connect},        {220, do_client_send}, {220, do_client_read}, {20, do_client_close},
    {12, do_client_trouble}, {130, do_broker_send}, {160, do_broker_read}, {12, do_broker_end},
    {50, do_answer_connect}, {12, do_backends},     {25, do_lookup},       {70, do_wait},
    {3, do_wait_long},       {2, do_reload},        {1, do_drain},         {4, do_process},
};
enum { ACTIONS = sizeof actions / sizeof *actions };

static void act(void) {
    static unsigned total;
    if (total == 0) {
        for (size_t i = 0; i < ACTIONS; i++) {
            total += actions[i].weight;
        }
    }
    uint64_t n = random_below(total);
    size_t i = 0;
    while (n >= actions[i].weight) {
        n -= actions[i++].weight;
    }
    actions[i].act();
}

static void make_step(void) {
    act();
    if (random_one_in(settle_one_in)) {
        world_settle();
        sweep_at_rest();
    } else {
        world_turn();
    }
    sweep_always();
    world_clean();
    if (world.pool_is_over) {
        trace_action(step, "a new pool");
        world_renew_pool();
    }
}

/* --- the report --- */

static void report(uint64_t steps, uint64_t seed) {
    printf("seed %" PRIu64 ": %" PRIu64 " steps, %" PRIu64 " sessions, %" PRIu64
           " of them established, %" PRIu64 " s of their time\n",
           seed, steps, world.accepted, world.established, sim_clock_ms() / 1000);
    for (int i = 1; i < REASON_COUNT; i++) {
        if (world.reasons[i] > 0) {
            printf("%10" PRIu64 "  %s\n", world.reasons[i], reason_name((enum reason)i));
        }
    }
    printf("never:");
    for (int i = 1; i < REASON_COUNT; i++) {
        if (world.reasons[i] == 0) {
            printf(" %s", reason_name((enum reason)i));
        }
    }
    printf("\n");
}

static uint64_t some_seed(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int main(int argc, char **argv) {
    uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : some_seed();
    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    trace_begin(seed);
    random_seed(seed);
    stream_prepare();
    site_begin();
    world_begin(true);
    for (step = 1; step <= steps; step++) {
        make_step();
    }
    world_end();
    report(steps, seed);
    clients_forget_sessions();
    site_end();
    return 0;
}
