/* Where places are scarce: who makes room, in which order, and who never does. */
#include "fixture.h"
#include "session/admission.h"
#include "session/closing.h"
#include "session/eviction.h"

enum { GRACE_MS = 1000 };

static void has_ended(const struct client *c, enum reason reason) {
    ck_assert_uint_eq(c->lines, 1);
    ck_assert_str_eq(reason_name(c->reason), reason_name(reason));
}

/* Its sockets are closed, and nothing lingers: the descriptors are there again. */
static void is_evicted(const struct client *c, enum reason reason) {
    has_ended(c, reason);
    ck_assert_ptr_null(world_session(c));
}

static void pass(uint64_t ms) {
    sim_clock_advance(ms);
    world_turn();
    world_settle();
}

static struct client *half_hello(size_t listener) {
    struct client *c = fixture_accept(CLIENT_HALF_HELLO, listener);
    client_send(c, SIZE_MAX);
    world_settle();
    ck_assert_int_eq(world_session(c)->wait, WAIT_HELLO);
    return c;
}

static struct client *header_alone(void) {
    struct client *c = fixture_accept(CLIENT_SILENT, SITE_BALANCED);
    struct session *s = world_session(c);
    s->header_due = true;
    ck_assert_int_eq(phase_hello.on_client_bytes(s, (uint8_t *)"PROXY UNKNOWN\r\n", 15),
                     SESSION_GOES_ON);
    ck_assert_int_eq(s->wait, WAIT_HELLO);
    return c;
}

START_TEST(the_least_advanced_goes_first) {
    struct client *relaying = fixture_reach(PHASE_RELAYING, SITE_BALANCED);
    struct client *no_connect = fixture_reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    struct client *no_byte = fixture_reach(PHASE_FIRST_BYTE, SITE_CERTS);
    struct client *no_flight = fixture_reach(PHASE_HANDSHAKE, SITE_CHECK);
    struct client *no_hello = half_hello(SITE_PLAIN);
    struct client *header = header_alone();
    struct client *silent = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    ck_assert(!eviction_from_pool(&world.pool)); /* all have only just come */
    pass(GRACE_MS);
    ck_assert(eviction_from_pool(&world.pool));
    is_evicted(silent, REASON_FIRST_BYTE_TIMEOUT);
    ck_assert(eviction_from_pool(&world.pool) && eviction_from_pool(&world.pool));
    is_evicted(no_hello, REASON_LIMIT_CONNECTIONS);
    is_evicted(header, REASON_LIMIT_CONNECTIONS);
    ck_assert(eviction_from_pool(&world.pool));
    is_evicted(no_flight, REASON_LIMIT_HANDSHAKES);
    ck_assert(eviction_from_pool(&world.pool) && eviction_from_pool(&world.pool));
    is_evicted(no_connect, REASON_CONNECT_PACKET_TIMEOUT);
    is_evicted(no_byte, REASON_FIRST_DATA_TIMEOUT);
    ck_assert(!eviction_from_pool(&world.pool));
    ck_assert_uint_eq(relaying->lines, 0);
}
END_TEST

START_TEST(a_broker_that_was_dialled_first_makes_nobody_safe) {
    struct client *c = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    pass(GRACE_MS);
    ck_assert(eviction_from_pool(&world.pool));
    is_evicted(c, REASON_FIRST_DATA_TIMEOUT);
}
END_TEST

/* One address that finishes handshakes and says nothing. */
static void silent_crowd(struct client *crowd[3]) {
    for (int i = 0; i < 3; i++) {
        crowd[i] = fixture_connect(CLIENT_GOOD, SITE_CERTS);
        crowd[i]->addr.bytes[3] = 99;
        crowd[i]->addr.bytes[2] = 99;
        world_settle();
        for (int n = 0; n < 6; n++) {
            client_send(crowd[i], SIZE_MAX);
            world_settle();
            client_read(crowd[i], SIZE_MAX);
        }
        ck_assert_int_eq(world_session(crowd[i])->wait, WAIT_DATA);
    }
}

/* A device that is slow, and such a crowd. */
START_TEST(of_those_that_say_nothing_the_busiest_address_goes_first) {
    struct client *slow = fixture_reach(PHASE_FIRST_BYTE, SITE_CERTS);
    struct client *crowd[3];
    silent_crowd(crowd);
    pass(GRACE_MS);
    ck_assert(eviction_from_pool(&world.pool) && eviction_from_pool(&world.pool));
    is_evicted(crowd[0], REASON_FIRST_DATA_TIMEOUT);
    is_evicted(crowd[1], REASON_FIRST_DATA_TIMEOUT);
    ck_assert(slow->lines == 0 && crowd[2]->lines == 0);
}
END_TEST

START_TEST(those_that_have_just_come_do_not_protect_others) {
    struct client *old = fixture_reach(PHASE_FIRST_BYTE, SITE_CERTS);
    struct client *crowd[3];
    pass(GRACE_MS);
    silent_crowd(crowd);
    ck_assert(eviction_from_pool(&world.pool));
    is_evicted(old, REASON_FIRST_DATA_TIMEOUT);
}
END_TEST

START_TEST(a_client_stays_no_longer_by_sending_a_byte_now_and_then) {
    struct client *slow = fixture_reach(PHASE_HANDSHAKE, SITE_CHECK);
    client_read(slow, SIZE_MAX);
    pass(GRACE_MS / 2);
    struct client *other = fixture_reach(PHASE_HANDSHAKE, SITE_CHECK);
    client_send(slow, 1);
    pass(GRACE_MS / 2);
    ck_assert_int_eq(world_session(slow)->wait, WAIT_FLIGHT);
    ck_assert(eviction_from_pool(&world.pool));
    is_evicted(slow, REASON_LIMIT_HANDSHAKES);
    ck_assert_uint_eq(other->lines, 0);
}
END_TEST

START_TEST(a_client_that_was_refused_and_does_not_close_goes_before_all_others) {
    struct client *silent = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    struct client *refused = fixture_accept(CLIENT_BAD_HELLO, SITE_PLAIN);
    client_send(refused, SIZE_MAX);
    pass(GRACE_MS);
    has_ended(refused, REASON_PROTOCOL_ERROR);
    ck_assert_ptr_nonnull(world_session(refused));
    ck_assert(eviction_from_pool(&world.pool));
    world_settle();
    ck_assert_ptr_null(world_session(refused));
    ck_assert_uint_eq(silent->lines, 0);
}
END_TEST

/* max_connections is 10 there. */
static void fill(struct client *clients[10], enum phase_id phase) {
    for (int i = 0; i < 10; i++) {
        clients[i] = phase == PHASE_HELLO ? fixture_accept(CLIENT_SILENT, SITE_BALANCED)
                                          : fixture_reach(phase, SITE_BALANCED);
    }
}

START_TEST(at_max_connections_a_newcomer_makes_room_after_a_second) {
    struct client *clients[10];
    struct client *elsewhere = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    fill(clients, PHASE_HELLO);
    struct client *late = fixture_connect(CLIENT_SILENT, SITE_BALANCED);
    world_settle();
    ck_assert(world.queued == 1 && late->lines == 0); /* in the kernel's queue */
    pass(GRACE_MS + 100);
    is_evicted(clients[0], REASON_FIRST_BYTE_TIMEOUT);
    ck_assert_ptr_nonnull(world_session(late));
    ck_assert(clients[1]->lines == 0 && elsewhere->lines == 0);
}
END_TEST

START_TEST(where_nobody_can_make_room_a_client_is_refused_at_once) {
    struct client *clients[10];
    fill(clients, PHASE_RELAYING);
    struct client *late = fixture_connect(CLIENT_SILENT, SITE_BALANCED);
    late->addr.bytes[0] = 10; /* not a balancer, whose header would be awaited */
    world_settle();
    has_ended(late, REASON_LIMIT_CONNECTIONS);
    for (int i = 0; i < 10; i++) {
        ck_assert_uint_eq(clients[i]->lines, 0);
    }
}
END_TEST

START_TEST(another_pool_that_asks_gets_room_once) {
    struct client *a = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    struct client *b = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    pass(GRACE_MS);
    ck_assert(admission_make_room_for_others(&world.pool, ADMISSION_ANY_LISTENER));
    ck_assert(admission_make_room_for_others(&world.pool, SITE_BALANCED));
    ck_assert(a->lines == 0 && b->lines == 0); /* there is room as it is */
    for (int i = 2; i < WORLD_MAX_SESSIONS; i++) {
        fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    }
    ck_assert(admission_make_room_for_others(&world.pool, ADMISSION_ANY_LISTENER));
    is_evicted(a, REASON_FIRST_BYTE_TIMEOUT);
    ck_assert_uint_eq(b->lines, 0);
}
END_TEST

/* A client whose balancer took its time: its own time begins with its address. */
START_TEST(a_client_does_not_make_room_for_itself) {
    struct client *clients[10];
    struct client *late = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    struct session *s = world_session(late);
    fill(clients, PHASE_RELAYING);
    limits_session_ends(world.limits, SITE_PLAIN);
    limits_newcomer_leaves(world.limits, SITE_PLAIN);
    session_stop_waiting(s);
    s->listener = SITE_BALANCED; /* the eleventh */
    limits_session_begins(world.limits, SITE_BALANCED);
    limits_session_freed(world.limits);
    session_await(s, WAIT_BYTE);
    s->header_due = true;
    pass(2 * GRACE_MS);
    ck_assert_int_eq(phase_hello.on_client_bytes(s, (uint8_t *)"PROXY UNKNOWN\r\n", 15),
                     SESSION_ENDED);
    has_ended(late, REASON_LIMIT_CONNECTIONS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("eviction");
    TCase *test = tcase_create("eviction");
    fixture_add(test);
    tcase_add_test(test, the_least_advanced_goes_first);
    tcase_add_test(test, a_broker_that_was_dialled_first_makes_nobody_safe);
    tcase_add_test(test, of_those_that_say_nothing_the_busiest_address_goes_first);
    tcase_add_test(test, those_that_have_just_come_do_not_protect_others);
    tcase_add_test(test, a_client_stays_no_longer_by_sending_a_byte_now_and_then);
    tcase_add_test(test, a_client_that_was_refused_and_does_not_close_goes_before_all_others);
    tcase_add_test(test, at_max_connections_a_newcomer_makes_room_after_a_second);
    tcase_add_test(test, where_nobody_can_make_room_a_client_is_refused_at_once);
    tcase_add_test(test, another_pool_that_asks_gets_room_once);
    tcase_add_test(test, a_client_does_not_make_room_for_itself);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
