/* Who gets time, who may come in and who has to go: scheduler, pool, admission and drain. */
#include "fixture.h"
#include "session/admission.h"
#include "session/closing.h"
#include "session/drain.h"
#include "session/scheduler.h"
#include "session/session.h"
#include "tls/agreement.h"

enum { ONE_PIECE_NS = 100 * 1000, MANY_PIECES_NS = 100 };

static size_t length(const struct list *head) {
    size_t count = 0;
    for (const struct list *l = head->next; l != head; l = l->next) {
        count++;
    }
    return count;
}

static void has_ended(const struct client *c, enum reason reason) {
    ck_assert_uint_eq(c->lines, 1);
    ck_assert_str_eq(reason_name(c->reason), reason_name(reason));
}

static size_t count_ended(struct client *const *clients, size_t count, enum reason reason) {
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        ended += clients[i]->lines == 1 && clients[i]->reason == reason;
    }
    return ended;
}

/* --- scheduler --- */

START_TEST(established_sessions_are_all_served_and_pending_ones_within_a_budget) {
    struct client *established[3], *pending[3];
    for (int i = 0; i < 3; i++) {
        established[i] = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
        pending[i] = fixture_accept(CLIENT_HALF_HELLO, SITE_PLAIN);
    }
    sim_clock_set_tick(ONE_PIECE_NS);
    for (int i = 0; i < 3; i++) {
        pool_serve_later(&world.pool, &world_session(established[i])->member, true);
        pool_serve_later(&world.pool, &world_session(pending[i])->member, false);
    }
    ck_assert(scheduler_has_work(&world.pool));
    world_turn();
    ck_assert(list_is_empty(&world.pool.established_ready));
    ck_assert_uint_eq(length(&world.pool.pending_ready), 2);
    world_settle();
    ck_assert(!scheduler_has_work(&world.pool));
}
END_TEST

/* Accepting, reading and handshakes: none keeps the others out. */
START_TEST(kinds_of_work_take_turns) {
    struct client *hello = fixture_accept(CLIENT_GOOD, SITE_CERTS);
    client_send(hello, SIZE_MAX);
    struct client *half = fixture_accept(CLIENT_HALF_HELLO, SITE_PLAIN);
    world_settle();
    struct session *h = world_session(hello);
    sim_clock_set_tick(ONE_PIECE_NS);
    /* its first step is over: another one is made of nothing */
    session_stop_waiting(h);
    h->in_steps = true;
    limits_handshake_waits(world.limits, SITE_CERTS);
    pool_queue_handshake(&world.pool, &h->member, false, true);
    pool_serve_later(&world.pool, &world_session(half)->member, false);
    for (int i = 0; i < 3; i++) {
        fixture_connect(CLIENT_SILENT, SITE_PLAIN);
    }
    for (int i = 0; i < 3; i++) {
        size_t before =
            world.queued + length(&world.pool.pending_ready) + length(&world.pool.light.begun);
        world_turn();
        ck_assert_uint_lt(world.queued + length(&world.pool.pending_ready) +
                              length(&world.pool.light.begun),
                          before);
    }
    ck_assert(world.queued == 0 && list_is_empty(&world.pool.pending_ready));
    ck_assert(list_is_empty(&world.pool.light.begun));
}
END_TEST

START_TEST(accepting_is_in_pieces_of_eight) {
    for (int i = 0; i < 20; i++) {
        fixture_connect(CLIENT_SILENT, SITE_PLAIN);
    }
    sim_clock_set_tick(ONE_PIECE_NS);
    world_turn();
    ck_assert_uint_eq(world.queued, 12);
    sim_clock_set_tick(MANY_PIECES_NS);
    world_turn();
    ck_assert_uint_eq(world.queued, 0);
}
END_TEST

/* A client whose ClientHello has come; its first step is not made yet. */
static struct session *say_hello(struct client *c) {
    struct session *s = world_session(c);
    client_send(c, SIZE_MAX);
    conn_note(&s->client, POLLER_READABLE);
    session_serve(&s->member);
    ck_assert_int_eq(s->phase, PHASE_HANDSHAKE);
    ck_assert(!s->heavy && !list_is_empty(&world.pool.light.fresh));
    return s;
}

/* --- shared secrets computed together --- */

/* Clients whose first steps need one; their ClientHellos have come. */
static void say_hello_by_tls13(struct session **sessions, size_t count) {
    struct client *clients[2 * AGREEMENTS_MAX];
    for (size_t i = 0; i < count; i++) {
        do {
            clients[i] = fixture_accept(CLIENT_GOOD, SITE_CERTS);
        } while (clients[i]->version != TLS1_3_VERSION);
    }
    for (size_t i = 0; i < count; i++) {
        sessions[i] = say_hello(clients[i]);
    }
}

/* Not on processors or in builds without the vector code. */
static bool needs_secret(const struct session *s) {
    struct agreement_step step = {.ctx = session_listener(s)->tls, .hello = &s->pending->hello};
    return agreement_is_due(&step);
}

START_TEST(steps_that_need_a_secret_get_it_together_if_they_are_enough) {
    struct session *all[2 * AGREEMENTS_MAX];
    size_t count = (size_t)_i;
    say_hello_by_tls13(all, count);
    bool together = needs_secret(all[0]) && count >= AGREEMENTS_WORTHWHILE;
    sim_clock_set_tick(ONE_PIECE_NS);
    while (all[0]->in_steps) {
        world_turn();
    }
    for (size_t i = 1; i < count; i++) {
        ck_assert_int_eq(all[i]->pending->secret_ready, together && i < AGREEMENTS_MAX);
    }
    world_settle();
    ck_assert(list_is_empty(&world.pool.light.fresh));
}
END_TEST

/* Turns until none of them waits, while another client is to be read in each turn. */
static unsigned turns_beside(struct client *other, struct session *const *sessions, size_t count) {
    unsigned turns = 0;
    sim_clock_set_tick(ONE_PIECE_NS);
    for (size_t i = 0; i < count;) {
        pool_serve_later(&world.pool, &world_session(other)->member, false);
        world_turn();
        turns++;
        ck_assert_uint_lt(turns, 1000);
        while (i < count && !sessions[i]->in_steps) {
            i++;
        }
    }
    return turns;
}

/* What is read may bring more such steps. Each of sixteen pieces takes a turn here, and each step,
 * and what is read between steps. Where the steps stay too few for a batch, they wait once. */
START_TEST(a_step_waits_for_other_work_and_not_for_ever) {
    struct client *other = fixture_accept(CLIENT_HALF_HELLO, SITE_PLAIN);
    struct session *two[2];
    say_hello_by_tls13(two, 2);
    bool deferred = needs_secret(two[0]);
    unsigned turns = turns_beside(other, two, 2);
    ck_assert_uint_ge(turns, deferred ? 16 : 2);
    ck_assert_uint_le(turns, deferred ? 24 : 8);
}
END_TEST

START_TEST(a_whole_batch_waits_for_nothing) {
    struct client *other = fixture_accept(CLIENT_HALF_HELLO, SITE_PLAIN);
    struct session *all[AGREEMENTS_MAX];
    say_hello_by_tls13(all, AGREEMENTS_MAX);
    ck_assert_uint_le(turns_beside(other, all, 1), 4);
}
END_TEST

#ifdef POSTERN_PAUSES
START_TEST(a_heavy_step_pauses_and_others_go_on) {
    struct client *heavy = fixture_connect(CLIENT_GOOD, SITE_BALANCED); /* has an RSA key alone */
    sim_clock_set_tick(5000);
    client_send(heavy, SIZE_MAX);
    unsigned turns = 0, paused = 0;
    for (; turns < 10000 && heavy->sock->out.len == 0; turns++) {
        world_turn();
        paused += !list_is_empty(&world.pool.heavy.begun);
        if (paused == 3) {
            struct client *light = fixture_connect(CLIENT_GOOD, SITE_CERTS);
            client_send(light, SIZE_MAX);
            for (int i = 0; i < 10 && light->sock->out.len == 0; i++) {
                world_turn();
            }
            ck_assert_uint_gt(light->sock->out.len, 0);
            ck_assert_uint_eq(heavy->sock->out.len, 0);
        }
    }
    ck_assert_uint_gt(paused, 3);
    ck_assert_uint_lt(turns, 10000);
}
END_TEST
#endif

/* The last worker has taken the new configuration, so that the old one is retired: its CAs are
 * gone, and SITE_CERTS has an RSA key now. */
static void reload_and_retire(void) {
    struct runtime *old = world.runtime;
    world.runtime = site_load(SITE_SMALL);
    world.variant = SITE_SMALL;
    admission_adopt(&world.pool, runtime_ref(world.runtime));
    runtime_retire(old);
    runtime_unref(old);
}

START_TEST(a_step_that_a_reload_has_made_heavy_waits_with_the_heavy_ones) {
    struct client *c = fixture_accept(CLIENT_GOOD, SITE_CERTS);
    struct session *s = say_hello(c);
    reload_and_retire();
    list_remove(&s->member.queue);
    session_step(&s->member);
    ck_assert_ptr_eq(s->runtime, world.runtime);
    ck_assert(s->heavy && s->in_steps && c->sock->out.len == 0);
    ck_assert(list_is_empty(&world.pool.light.begun) && list_is_empty(&world.pool.light.fresh));
    ck_assert_uint_eq(length(&world.pool.heavy.begun), 1);
    ck_assert_uint_eq(limits_handshakes(world.limits, SITE_CERTS), 1);
    world_settle();
    ck_assert_uint_gt(c->sock->out.len, 0);
    ck_assert_uint_eq(limits_handshakes(world.limits, SITE_CERTS), 0);
}
END_TEST

#ifdef POSTERN_PAUSES
/* And pauses like any other, also while another one is in the middle of its own. */
START_TEST(a_step_that_a_reload_has_made_heavy_pauses) {
    struct client *late = fixture_accept(CLIENT_GOOD, SITE_CERTS);
    struct client *first = fixture_connect(CLIENT_GOOD, SITE_BALANCED);
    sim_clock_set_tick(5000);
    client_send(first, SIZE_MAX);
    unsigned turns = 0, paused = 0;
    for (; turns < 1000 && list_is_empty(&world.pool.heavy.begun); turns++) {
        world_turn();
    }
    ck_assert_uint_lt(turns, 1000);
    struct session *s = say_hello(late);
    reload_and_retire();
    for (turns = 0; turns < 10000 && late->sock->out.len == 0; turns++) {
        world_turn();
        paused += first->sock->out.len > 0 && !list_is_empty(&s->member.queue);
    }
    ck_assert_uint_lt(turns, 10000);
    ck_assert(s->heavy);
    ck_assert_uint_gt(paused, 3);
}
END_TEST
#endif

/* --- pool --- */

START_TEST(sessions_move_from_list_to_list) {
    struct pool *pool = &world.pool;
    struct client *c = fixture_accept(CLIENT_HALF_HELLO, SITE_PLAIN);
    struct wait_list *waits = &pool->waits[(size_t)SITE_PLAIN * WAIT_KINDS];
    ck_assert(waits[WAIT_BYTE].count == 1 && length(&pool->live) == 1 && pool->session_count == 1);
    client_send(c, SIZE_MAX);
    world_settle();
    ck_assert(waits[WAIT_BYTE].count == 0 && waits[WAIT_HELLO].count == 1);
    ck_assert(length(&pool->live) == 1 && pool->session_count == 1);
    struct client *other = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    session_end_now(world_session(other), REASON_DRAINED, NULL);
    ck_assert(length(&pool->live) == 1 && length(&pool->lingering) == 1);
    ck_assert(pool->session_count == 1 && pool->unfreed_count == 2);
    sim_clock_advance(2000);
    world_settle();
    ck_assert(length(&pool->lingering) == 0 && pool->unfreed_count == 1);
}
END_TEST

START_TEST(the_next_deadline_is_the_first_of_all) {
    struct pool *pool = &world.pool;
    ck_assert_uint_eq(pool_next_deadline_ms(pool), UINT64_MAX);
    fixture_accept(CLIENT_SILENT, SITE_PLAIN); /* first_byte_timeout is 4 s */
    uint64_t now = loop_now_ms(world.loop);
    ck_assert_uint_eq(pool_next_deadline_ms(pool), now + 4000);
    pool_retry(pool);
    ck_assert_uint_eq(pool_next_deadline_ms(pool), now + 100);
    sim_clock_advance(60);
    pool_retry(pool);
    ck_assert_uint_eq(pool_next_deadline_ms(pool), now + 100);
    sim_clock_advance(40);
    world_settle();
    ck_assert_uint_eq(pool_next_deadline_ms(pool), now + 4000);
}
END_TEST

START_TEST(a_deadline_that_was_moved_is_not_missed) {
    struct client *c = fixture_accept(CLIENT_HALF_HELLO, SITE_PLAIN);
    sim_clock_advance(3999);
    client_send(c, SIZE_MAX);
    world_settle();
    sim_clock_advance(1);
    world_settle();
    ck_assert_uint_eq(c->lines, 0);
    sim_clock_advance(5999);
    world_settle();
    ck_assert_uint_eq(c->lines, 0);
    sim_clock_advance(1);
    world_settle();
    has_ended(c, REASON_HANDSHAKE_TIMEOUT);
}
END_TEST

/* --- admission --- */

/* max_handshakes is 3 there, and 16 may wait for their clients. */
START_TEST(the_handshake_that_waits_longest_for_its_client_makes_room) {
    struct client *clients[17];
    for (size_t i = 0; i < 17; i++) {
        clients[i] = fixture_reach(PHASE_HANDSHAKE, SITE_CHECK);
        ck_assert_uint_eq(clients[0]->lines, i == 16);
    }
}
END_TEST

START_TEST(silent_clients_make_room_after_a_second) {
    struct client *clients[WORLD_MAX_SESSIONS];
    for (size_t i = 0; i < WORLD_MAX_SESSIONS; i++) {
        clients[i] = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    }
    struct client *late = fixture_connect(CLIENT_SILENT, SITE_PLAIN);
    world_settle();
    ck_assert(world.queued == 1 && world.starved);
    sim_clock_advance(999);
    world_settle();
    ck_assert_uint_eq(count_ended(clients, WORLD_MAX_SESSIONS, REASON_FIRST_BYTE_TIMEOUT), 0);
    sim_clock_advance(100);
    world_settle();
    has_ended(clients[0], REASON_FIRST_BYTE_TIMEOUT);
    ck_assert_uint_eq(count_ended(clients, WORLD_MAX_SESSIONS, REASON_FIRST_BYTE_TIMEOUT), 1);
    ck_assert_uint_eq(world.queued, 0);
    ck_assert_ptr_nonnull(world_session(late));
}
END_TEST

/* max_handshakes is 3 there. */
START_TEST(handshakes_beyond_the_limit_are_refused) {
    struct client *clients[4];
    for (size_t i = 0; i < 4; i++) {
        clients[i] = fixture_accept(CLIENT_GOOD, SITE_CHECK);
    }
    for (size_t i = 0; i < 4; i++) {
        struct session *s = world_session(clients[i]);
        client_send(clients[i], SIZE_MAX);
        conn_note(&s->client, POLLER_READABLE);
        session_serve(&s->member); /* without a step in between */
        ck_assert_uint_eq(clients[i]->lines, i == 3);
    }
    ck_assert_uint_eq(limits_handshakes(world.limits, SITE_CHECK), 3);
    has_ended(clients[3], REASON_LIMIT_HANDSHAKES);
}
END_TEST

START_TEST(a_reload_ends_revoked_sessions_where_it_should) {
    struct client *c = world_connect(CLIENT_GOOD, SITE_IDENTITY, SITE_REVOCABLE);
    c->up_max = 0;
    for (int i = 0; i < 10; i++) {
        world_settle();
        client_send(c, SIZE_MAX);
        world_settle();
        client_read(c, SIZE_MAX);
    }
    ck_assert_int_eq(world_session(c)->phase, PHASE_CONNECT_PACKET);
    world_adopt(SITE_KEEPING);
    ck_assert_uint_eq(c->lines, 0);
    world_adopt(SITE_REVOKING);
    has_ended(c, REASON_REVOKED);
}
END_TEST

/* --- drain --- */

enum { DRAINED = 10 };

START_TEST(a_drain_is_spread_over_its_time) {
    struct client *clients[DRAINED];
    for (size_t i = 0; i < DRAINED; i++) {
        clients[i] = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    }
    drain_begin(&world.pool, 5000);
    world_settle();
    ck_assert_uint_eq(world.pool.session_count, DRAINED);
    for (size_t passed = 1; passed <= DRAINED; passed++) {
        for (int tick = 0; tick < 10; tick++) {
            sim_clock_advance(50);
            world_settle();
        }
        ck_assert_uint_le(world.pool.session_count, DRAINED - passed);
        ck_assert_uint_ge(world.pool.session_count + 1, DRAINED - passed);
        has_ended(clients[passed - 1], REASON_DRAINED); /* the oldest first */
    }
    sim_clock_advance(2000);
    world_settle();
    ck_assert(world.pool_is_over);
}
END_TEST

START_TEST(clients_without_broker_are_drained_at_once) {
    struct client *silent = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    struct client *waits = fixture_reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    struct client *relays = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    fixture_connect(CLIENT_SILENT, SITE_PLAIN);
    drain_begin(&world.pool, 5000);
    world_settle();
    has_ended(silent, REASON_DRAINED);
    has_ended(waits, REASON_DRAINED);
    ck_assert_uint_eq(relays->lines, 0);
    ck_assert_uint_eq(world.queued, 1); /* nobody is accepted any more */
}
END_TEST

START_TEST(a_drain_with_grace_lets_clients_reach_their_broker) {
    struct client *silent = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    struct client *waits = fixture_reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    struct client *relays = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    drain_begin_after(&world.pool, 1000, 5000);
    sim_clock_advance(950);
    world_settle();
    ck_assert_uint_eq(silent->lines + waits->lines + relays->lines, 0);
    sim_clock_advance(50);
    world_settle();
    has_ended(silent, REASON_DRAINED);
    has_ended(waits, REASON_DRAINED);
    ck_assert_uint_eq(relays->lines, 0);
    sim_clock_advance(5000);
    world_settle();
    has_ended(relays, REASON_DRAINED);
    sim_clock_advance(2000);
    world_settle();
    ck_assert(world.pool_is_over);
}
END_TEST

START_TEST(an_empty_pool_waits_for_no_grace) {
    drain_begin_after(&world.pool, 10000, 30000);
    world_turn();
    ck_assert(world.pool_is_over);
}
END_TEST

START_TEST(a_stop_cuts_the_grace_short) {
    struct client *c = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    drain_begin_after(&world.pool, 10000, 30000);
    drain_now(&world.pool);
    has_ended(c, REASON_DRAINED);
    world_turn();
    ck_assert(world.pool_is_over);
}
END_TEST

START_TEST(a_stop_waits_for_nobody) {
    struct client *c = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    drain_now(&world.pool);
    has_ended(c, REASON_DRAINED);
    world_turn();
    ck_assert(world.pool_is_over);
}
END_TEST

START_TEST(an_empty_pool_is_drained_in_one_turn) {
    drain_begin(&world.pool, 30000);
    ck_assert(scheduler_has_work(&world.pool));
    world_turn();
    ck_assert(world.pool_is_over);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("turns");
    TCase *test = tcase_create("turns");
    fixture_add(test);
    tcase_add_test(test, established_sessions_are_all_served_and_pending_ones_within_a_budget);
    tcase_add_test(test, kinds_of_work_take_turns);
    tcase_add_test(test, accepting_is_in_pieces_of_eight);
    tcase_add_loop_test(test, steps_that_need_a_secret_get_it_together_if_they_are_enough, 1,
                        AGREEMENTS_MAX + 3);
    tcase_add_test(test, a_step_waits_for_other_work_and_not_for_ever);
    tcase_add_test(test, a_whole_batch_waits_for_nothing);
#ifdef POSTERN_PAUSES
    tcase_add_test(test, a_heavy_step_pauses_and_others_go_on);
    tcase_add_test(test, a_step_that_a_reload_has_made_heavy_pauses);
#endif
    tcase_add_test(test, a_step_that_a_reload_has_made_heavy_waits_with_the_heavy_ones);
    tcase_add_test(test, sessions_move_from_list_to_list);
    tcase_add_test(test, the_next_deadline_is_the_first_of_all);
    tcase_add_test(test, a_deadline_that_was_moved_is_not_missed);
    tcase_add_test(test, the_handshake_that_waits_longest_for_its_client_makes_room);
    tcase_add_test(test, silent_clients_make_room_after_a_second);
    tcase_add_test(test, handshakes_beyond_the_limit_are_refused);
    tcase_add_test(test, a_reload_ends_revoked_sessions_where_it_should);
    tcase_add_test(test, a_drain_is_spread_over_its_time);
    tcase_add_test(test, clients_without_broker_are_drained_at_once);
    tcase_add_test(test, a_drain_with_grace_lets_clients_reach_their_broker);
    tcase_add_test(test, an_empty_pool_waits_for_no_grace);
    tcase_add_test(test, a_stop_cuts_the_grace_short);
    tcase_add_test(test, a_stop_waits_for_nobody);
    tcase_add_test(test, an_empty_pool_is_drained_in_one_turn);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
