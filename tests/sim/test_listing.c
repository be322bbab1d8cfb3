/* The list of sessions, taken a few at a time while sessions come and go; and what is counted. */
#include "fixture.h"
#include "session/admission.h"
#include "session/closing.h"
#include "session/listing.h"

#include <string.h>

static struct listing_row rows[64];

/* Takes up to `max`; returns how many came. */
static size_t take(size_t walk, size_t max, bool more) {
    bool has_more;
    size_t count = listing_take(&world.pool, walk, rows, max, &has_more);
    ck_assert_int_eq(has_more, more);
    return count;
}

static void is_row(const struct listing_row *row, const struct client *c) {
    ck_assert(address_is_equal(&row->client, &c->addr));
}

START_TEST(sessions_come_in_pages_the_oldest_first) {
    struct client *all[5];
    for (int i = 0; i < 5; i++) {
        all[i] = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    }
    listing_begin(&world.pool, 0);
    ck_assert_uint_eq(take(0, 2, true), 2);
    is_row(&rows[0], all[0]);
    is_row(&rows[1], all[1]);
    ck_assert_uint_eq(take(0, 2, true), 2);
    is_row(&rows[0], all[2]);
    ck_assert_uint_eq(take(0, 2, false), 1);
    is_row(&rows[0], all[4]);
    ck_assert_uint_eq(take(0, 2, false), 0);
}
END_TEST

START_TEST(one_that_ends_between_two_pages_is_left_out) {
    struct client *all[4];
    for (int i = 0; i < 4; i++) {
        all[i] = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    }
    listing_begin(&world.pool, 0);
    listing_begin(&world.pool, 1);
    ck_assert_uint_eq(take(0, 1, true), 1);
    session_end_now(world_session(all[0]), REASON_DRAINED,
                    NULL); /* before both walks, and at one */
    session_end_now(world_session(all[1]), REASON_DRAINED, NULL); /* where the walks stand */
    world_settle();
    ck_assert_uint_eq(take(0, 9, false), 2);
    is_row(&rows[0], all[2]);
    is_row(&rows[1], all[3]);
    ck_assert_uint_eq(take(1, 9, false), 2);
    is_row(&rows[0], all[2]);
}
END_TEST

START_TEST(those_that_come_after_the_first_page_are_not_listed) {
    struct client *c = fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    listing_begin(&world.pool, 3);
    sim_clock_advance(10);
    world_turn();
    (void)fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    ck_assert_uint_eq(take(3, 9, false), 1);
    is_row(&rows[0], c);
}
END_TEST

START_TEST(a_row_says_what_is_known_of_the_session) {
    (void)fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    (void)fixture_accept(CLIENT_SILENT, SITE_PLAIN);
    listing_begin(&world.pool, 0);
    ck_assert_uint_eq(take(0, 9, false), 2);
    ck_assert_int_eq(rows[0].phase, PHASE_RELAYING);
    ck_assert_ptr_nonnull(rows[0].version);
    ck_assert_ptr_nonnull(rows[0].cipher);
    ck_assert_ptr_nonnull(rows[0].backend);
    ck_assert_uint_eq(rows[0].listener, SITE_PLAIN);
    ck_assert_int_eq(rows[1].phase, PHASE_HELLO);
    ck_assert_ptr_null(rows[1].version);
    ck_assert_ptr_null(rows[1].backend);
    ck_assert_str_eq(rows[1].identity, "");
}
END_TEST

static uint64_t in_phase(size_t listener, enum phase_id phase) {
    return counter_get(&world.pool.metrics->listeners[listener].phases[phase]);
}

START_TEST(sessions_are_counted_in_their_phase_until_they_are_freed) {
    struct client *c = fixture_reach(PHASE_RELAYING, SITE_PLAIN);
    const struct metrics_listener *m = &world.pool.metrics->listeners[SITE_PLAIN];
    ck_assert_uint_eq(in_phase(SITE_PLAIN, PHASE_RELAYING), 1);
    ck_assert_uint_eq(in_phase(SITE_PLAIN, PHASE_HELLO), 0);
    ck_assert_uint_eq(counter_get(&m->accepted), 1);
    session_end_now(world_session(c), REASON_DRAINED, NULL);
    ck_assert_uint_eq(in_phase(SITE_PLAIN, PHASE_RELAYING), 0);
    ck_assert_uint_eq(in_phase(SITE_PLAIN, PHASE_CLOSING), 1);
    ck_assert_uint_eq(counter_get(&m->ended[REASON_DRAINED]), 1);
    sim_clock_advance(3000); /* nobody reads our last words for longer */
    world_turn();
    world_settle();
    ck_assert_uint_eq(in_phase(SITE_PLAIN, PHASE_CLOSING), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("listing");
    TCase *test = tcase_create("listing");
    fixture_add(test);
    tcase_add_test(test, sessions_come_in_pages_the_oldest_first);
    tcase_add_test(test, one_that_ends_between_two_pages_is_left_out);
    tcase_add_test(test, those_that_come_after_the_first_page_are_not_listed);
    tcase_add_test(test, a_row_says_what_is_known_of_the_session);
    tcase_add_test(test, sessions_are_counted_in_their_phase_until_they_are_freed);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
