/* What the unit tests on the simulation's fakes begin and end with. */
#ifndef POSTERN_SIM_FIXTURE_H
#define POSTERN_SIM_FIXTURE_H

#include "../unit/run.h"
#include "random.h"
#include "session/state.h"
#include "stream.h"
#include "world.h"

#include <check.h>

static inline void fixture_once(void) {
    random_seed(1);
    stream_prepare();
    site_begin();
}

static inline void fixture_finally(void) {
    clients_forget_sessions();
    site_end();
}

static inline void fixture_backends(enum mood mood) {
    for (int i = 0; i < WORLD_BACKENDS; i++) {
        world.moods[i] = mood;
    }
}

static inline void fixture_setup(void) {
    world_begin(false);
    world.forged = true;
    fixture_backends(MOOD_TAKES);
}

static inline void fixture_teardown(void) {
    world_end();
}

static inline void fixture_add(TCase *test) {
    tcase_add_unchecked_fixture(test, fixture_once, fixture_finally);
    tcase_add_checked_fixture(test, fixture_setup, fixture_teardown);
    tcase_set_timeout(test, 60);
}

/* A client whose pipes take what comes, waiting to be accepted; it says nothing by itself. */
static inline struct client *fixture_connect(enum client_kind kind, size_t listener) {
    struct client *c =
        world_connect(kind, listener, site_wants_certificate(listener) ? SITE_GOOD : SITE_NONE);
    c->sock->in.capacity = c->sock->out.capacity = SIM_PIPE_MAX;
    c->sock->in.fixed = c->sock->out.fixed = true;
    c->up_max = 0;
    return c;
}

static inline struct client *fixture_accept(enum client_kind kind, size_t listener) {
    struct client *c = fixture_connect(kind, listener);
    world_settle();
    ck_assert_ptr_nonnull(world_session(c));
    return c;
}

/* A client that has come as far as that phase. It says one byte where the next phase wants one. */
static inline struct client *fixture_reach(enum phase_id phase, size_t listener) {
    struct client *c = fixture_accept(CLIENT_GOOD, listener);
    for (int i = 0; i < 20 && world_session(c)->phase < phase; i++) {
        c->up_max = world_session(c)->phase == PHASE_FIRST_BYTE ? 1 : c->up_max;
        client_send(c, SIZE_MAX);
        world_settle();
        client_read(c, SIZE_MAX);
    }
    ck_assert_int_eq(world_session(c)->phase, phase);
    return c;
}

#endif
