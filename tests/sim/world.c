#include "world.h"

#include "allocations.h"
#include "backends.h"
#include "broker/backend.h"
#include "random.h"
#include "session/admission.h"
#include "session/closing_line.h"
#include "session/drain.h"
#include "session/eviction.h"
#include "session/scheduler.h"
#include "session/session.h"
#include "session/state.h"
#include "trace.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct world world;

/* --- the log --- */

ssize_t __wrap_write(int fd, const void *data, size_t len);
ssize_t __real_write(int fd, const void *data, size_t len);

/* The lines are written, for what that may find, and dropped. */
ssize_t __wrap_write(int fd, const void *data, size_t len) {
    return fd == STDERR_FILENO ? (ssize_t)len : __real_write(fd, data, len);
}

void __wrap_closing_line_write(struct session *s, enum reason reason, const char *detail);
void __real_closing_line_write(struct session *s, enum reason reason, const char *detail);

/* The dial of a session that waited had no memory, and the session is served in a later turn. */
static bool had_trouble_before(const struct session *s, enum reason reason) {
    return reason == REASON_OUT_OF_MEMORY && s->phase == PHASE_DIALLING && s->pending->dial_done &&
           s->pending->dial_status == UV_ENOMEM && sim_troubles() > 0;
}

void __wrap_closing_line_write(struct session *s, enum reason reason, const char *detail) {
    unsigned failing = allocations_fail_one_in(0);
    struct client *c = sim_socket_of(s->client.handle.fd)->peer;
    NEED(c->lines == 0, "client %u: a second closing line: %s after %s", c->id, reason_name(reason),
         reason_name(c->reason));
    c->lines++;
    c->reason = reason;
    c->established = s->established;
    c->up_logged = s->up;
    c->down_logged = s->down;
    if (!world.forged && !had_trouble_before(s, reason)) {
        causes_check(c, reason, loop_now_ms(world.loop) - s->accepted_ms);
    }
    bool sure = !c->spoiled && !world.forged;
    NEED(s->up <= c->up_sent || !sure, "client %u: up is too much", c->id);
    NEED(c->broker == NULL || s->down <= c->broker->down_sent || !sure,
         "client %u: down is too much", c->id);
    world.reasons[reason]++;
    world.ended++;
    world.established += s->established;
    allocations_fail_one_in(failing);
    __real_closing_line_write(s, reason, detail);
}

/* --- sockets --- */

void __wrap_conn_close(struct conn *conn);
void __real_conn_close(struct conn *conn);

void __wrap_conn_close(struct conn *conn) {
    if (conn_is_open(conn) && conn->queue != NULL) {
        sim_socket_of(conn->handle.fd)->cut = true;
    }
    __real_conn_close(conn);
}

static struct session *dialling_with(int fd) {
    for (struct list *l = world.pool.live.next; l != &world.pool.live; l = l->next) {
        struct session *s = session_of(container_of(l, struct pool_member, link));
        if (s->pending != NULL && s->pending->dial.handle.fd == fd) {
            return s;
        }
    }
    trace_fail("no session dials with descriptor %d", fd);
}

/* Only a client that has been accepted reaches a broker. */
static void check_may_dial(const struct session *s, const struct client *c) {
    bool known = c->cert == SITE_GOOD || c->cert == SITE_REVOCABLE ||
                 (c->cert == SITE_NAMELESS && c->listener != SITE_IDENTITY);
    NEED(s->established, "client %u: a dial before the handshake is over", c->id);
    NEED(known || !site_wants_certificate(c->listener), "client %u: a dial with certificate %d",
         c->id, c->cert);
    NEED(!site_is_mqtt(c->listener) || (c->kind != CLIENT_NOT_MQTT && c->up_sent >= c->up.head_len),
         "client %u: a dial without CONNECT", c->id);
    NEED(c->kind != CLIENT_FOREIGN_ID, "client %u: a dial with the client ID of another", c->id);
}

struct session *world_session(const struct client *c) {
    struct poll_handle *handle = c->sock->handle;
    return handle != NULL ? container_of(handle, struct session, client.handle) : NULL;
}

/* A queue that is full is a unix socket's way of being slow. */
static int on_connect(struct sim_socket *sock, const char *path) {
    struct session *s = dialling_with(sock->fd);
    struct client *c = sim_socket_of(s->client.handle.fd)->peer;
    size_t which = path != NULL ? 0 : sock->remote.port - 1000u;
    unsigned failing = allocations_fail_one_in(0);
    struct broker_end *b = broker_new(sock, c);
    allocations_fail_one_in(failing);
    check_may_dial(s, c);
    list_append(&world.brokers, &b->link);
    switch (world.moods[which]) {
    case MOOD_REFUSES:
        return path != NULL ? ENOENT : ECONNREFUSED;
    case MOOD_IS_SLOW:
        return path != NULL ? EAGAIN : EINPROGRESS;
    default:
        broker_take(b);
        return 0;
    }
}

/* --- the pool's hooks --- */

static bool can_accept(void *arg) {
    return world.queued > 0 && !world.starved && !world.pool.draining;
}

static void starve(void) {
    world.starved = true;
    pool_retry(&world.pool);
}

static bool accept_one(void *arg) {
    if (!can_accept(NULL)) {
        return false;
    }
    if (admission_is_crowded(&world.pool, world.queue[0]->listener)) {
        return false;
    }
    if (admission_make_room(&world.pool, world.queue[0]->listener) != ADMISSION_ROOM) {
        starve();
        return false;
    }
    struct client *c = world.queue[0];
    world.queued--;
    memmove(world.queue, world.queue + 1, world.queued * sizeof *world.queue);
    world.accepted++;
    int fd = sim_accept(c->sock);
    if (!session_begin(&world.pool, c->listener, fd, &c->addr)) {
        NEED(c->sock->closed && c->lines == 0, "client %u: no session, and no end", c->id);
        c->lines++;
        world.ended++;
        starve();
        return false;
    }
    return true;
}

static void accept_again(void *arg) {
    world.starved = false;
}

/* There is no other pool to ask. */
static void ask_for_room(void *arg, size_t listener) {
}

static void on_drained(void *arg) {
    world.pool_is_over = true;
}

/* --- what other threads ask for --- */

static void on_wake(void *arg) {
    if (world.mail.adopt != NULL) {
        admission_adopt(&world.pool, world.mail.adopt);
    }
    if (world.mail.room) {
        (void)eviction_from_pool(&world.pool);
    }
    if (world.mail.lookup && sim_lookup_is_under_way()) {
        sim_lookup_end(world.mail.lookup_status);
    }
    if (world.mail.stop) {
        drain_now(&world.pool);
    } else if (world.mail.drain) {
        drain_begin(&world.pool, world.mail.drain_ms);
    }
    memset(&world.mail, 0, sizeof world.mail);
}

bool world_lists(const struct client *c) {
    return site_wants_certificate(c->listener) && c->cert == SITE_REVOCABLE &&
           (world.variant == SITE_REVOKING || world.variant == SITE_KEEPING);
}

static void note_established(void) {
    for (struct list *l = world.clients.next; l != &world.clients; l = l->next) {
        struct client *c = container_of(l, struct client, link);
        const struct session *s = world_session(c);
        c->kept = s != NULL && s->established;
    }
}

void world_adopt(enum site_variant variant) {
    world.reloads++;
    struct runtime *old = world.runtime;
    note_established();
    world.runtime = site_load(variant);
    world.variant = variant;
    world.mail.adopt = runtime_ref(world.runtime);
    loop_wake(world.loop);
    world_turn();
    runtime_retire(old);
    runtime_unref(old);
}

/* --- begin and end --- */

static void make_pool(void) {
    struct loop_hooks loop_hooks = {.arg = &world.pool,
                                    .has_work = scheduler_has_work,
                                    .next_deadline_ms = pool_next_deadline_ms,
                                    .on_deadline = scheduler_on_deadline,
                                    .on_turn = scheduler_on_turn,
                                    .on_wake = on_wake};
    struct pool_hooks pool_hooks = {.can_accept = can_accept,
                                    .accept = accept_one,
                                    .accept_again = accept_again,
                                    .ask_for_room = ask_for_room,
                                    .drained = on_drained};
    int status;
    world.loop = loop_new(&loop_hooks, &status);
    world.pool_is_over = world.starved = false;
    NEED(pool_init(&world.pool, world.loop, world.limits, world.runtime, &pool_hooks), "no memory");
}

void world_begin(bool troubled) {
    struct sim_hooks hooks = {.on_connect = on_connect, .troubled = troubled};
    memset(&world, 0, sizeof world);
    list_init(&world.clients);
    list_init(&world.brokers);
    sim_sockets_begin(&hooks);
    sim_clock_begin(1000, 2000);
    world.limits = limits_new(SITE_LISTENERS, 1, WORLD_MAX_SESSIONS);
    world.runtime = site_load(SITE_BASE);
    NEED(world.limits != NULL, "no memory");
    make_pool();
}

static void free_pool(void) {
    pool_close(&world.pool);
    pool_free(&world.pool);
    loop_free(world.loop);
}

void world_renew_pool(void) {
    free_pool();
    make_pool();
}

void world_end(void) {
    world.mail.stop = true;
    loop_wake(world.loop);
    for (int i = 0; i < 1000 && !world.pool_is_over; i++) {
        world_turn();
    }
    NEED(world.pool_is_over, "drain_now leaves sessions");
    world_clean();
    free_pool();
    while (!list_is_empty(&world.clients)) {
        client_free(container_of(world.clients.next, struct client, link));
    }
    NEED(list_is_empty(&world.brokers), "a broker's connection is left");
    NEED(sim_open_descriptors() == 0, "%zu descriptors are left", sim_open_descriptors());
    runtime_unref(world.runtime);
    limits_free(world.limits);
}

/* --- turns --- */

void world_turn(void) {
    world.troubles_before = sim_troubles();
    allocations_fail_one_in(world.failing);
    sim_turn(world.loop);
    allocations_fail_one_in(0);
}

/* Whatever there is to do, it has an end. */
void world_settle(void) {
    for (unsigned turns = 0; !sim_is_idle(world.loop) && !world.pool_is_over; turns++) {
        NEED(turns < 100000, "the loop does not come to rest");
        world_turn();
    }
}

struct client *world_connect(enum client_kind kind, size_t listener, enum site_cert cert) {
    NEED(world.queued < sizeof world.queue / sizeof *world.queue, "the queue is full");
    struct client *c = client_new(kind, listener, cert);
    list_append(&world.clients, &c->link);
    world.client_count++;
    world.queue[world.queued++] = c;
    return c;
}

/* An end that was never connected, or whose client's session is over too. */
static void clean_brokers(void) {
    for (struct list *l = world.brokers.next, *next; l != &world.brokers; l = next) {
        struct broker_end *b = container_of(l, struct broker_end, link);
        next = l->next;
        if (b->sock->closed && b->client->broker != b) {
            broker_free(b);
        }
    }
}

static void finish(struct client *c) {
    struct broker_end *b = c->broker;
    if (b != NULL && !world.forged) {
        while (b->sock->out.len > 0) {
            broker_read(b, SIZE_MAX);
        }
        broker_read(b, 0);
    }
    if (!world.forged) {
        client_check_end(c);
    }
    if (b != NULL) {
        broker_free(b);
    }
    client_free(c);
    world.client_count--;
}

void world_clean(void) {
    clean_brokers();
    for (struct list *l = world.clients.next, *next; l != &world.clients; l = next) {
        struct client *c = container_of(l, struct client, link);
        next = l->next;
        if (c->sock->closed && (c->broker == NULL || c->broker->sock->closed)) {
            finish(c);
        }
    }
}
