/* session_log: how many `session end` lines a listener may have, over all threads. */
#include "run.h"
#include "session/limits.h"

#include <check.h>
#include <pthread.h>

enum { LISTENERS = 2, THREADS = 4, ENDS = 10000 };

static const struct config_rate all = {0, 0}, hundred_a_second = {100, 1000},
                                ten_an_hour = {10, 3600000};
static struct limits *limits;

static void setup(void) {
    limits = limits_new(LISTENERS, THREADS, 1000);
    ck_assert_ptr_nonnull(limits);
}

static void teardown(void) {
    limits_free(limits);
}

/* How many of so many ends are logged; `missing` grows by what their lines count as left out. */
static uint64_t ends(size_t listener, uint64_t now_ms, struct config_rate rate, unsigned count,
                     uint64_t *missing) {
    uint64_t logged = 0, suppressed;
    for (unsigned i = 0; i < count; i++) {
        if (limits_end_may_be_logged(limits, listener, now_ms, rate, &suppressed)) {
            logged++;
            *missing += suppressed;
        }
    }
    return logged;
}

START_TEST(all_means_all) {
    uint64_t missing = 0;
    ck_assert_uint_eq(ends(0, 1000, all, ENDS, &missing), ENDS);
    ck_assert_uint_eq(missing, 0);
}
END_TEST

START_TEST(a_rate_bounds_the_lines_and_nothing_is_lost) {
    uint64_t missing = 0;
    ck_assert_uint_eq(ends(0, 1000, hundred_a_second, ENDS, &missing), 100);
    ck_assert_uint_eq(ends(0, 1500, hundred_a_second, ENDS, &missing), 50);
    ck_assert_uint_eq(missing, ENDS - 100);
    ck_assert_uint_eq(limits_take_suppressed_ends(limits, 0), ENDS - 50);
    ck_assert_uint_eq(limits_take_suppressed_ends(limits, 0), 0);
    ck_assert_uint_eq(ends(0, 60000, hundred_a_second, 100, &missing), 100);
}
END_TEST

START_TEST(each_listener_has_its_own) {
    uint64_t missing = 0;
    ck_assert_uint_eq(ends(0, 1000, ten_an_hour, ENDS, &missing), 10);
    ck_assert_uint_eq(ends(1, 1000, ten_an_hour, ENDS, &missing), 10);
    ck_assert_uint_eq(limits_take_suppressed_ends(limits, 1), ENDS - 10);
}
END_TEST

/* A reload to another rate: what was left out before is counted all the same. */
START_TEST(the_rate_may_change) {
    uint64_t missing = 0;
    (void)ends(0, 1000, ten_an_hour, ENDS, &missing);
    ck_assert_uint_eq(ends(0, 1000, all, ENDS, &missing), ENDS);
    ck_assert_uint_eq(limits_take_suppressed_ends(limits, 0), ENDS - 10);
}
END_TEST

struct count {
    uint64_t logged, missing;
};

static void *end_many(void *arg) {
    struct count *count = arg;
    count->logged = ends(0, 1000, hundred_a_second, ENDS, &count->missing);
    return NULL;
}

START_TEST(all_threads_share_one_rate) {
    pthread_t threads[THREADS];
    struct count counts[THREADS] = {0};
    uint64_t logged = 0, missing = 0;
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, end_many, &counts[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        logged += counts[i].logged;
        missing += counts[i].missing;
    }
    ck_assert_uint_eq(logged, 100);
    ck_assert_uint_eq(logged + missing + limits_take_suppressed_ends(limits, 0), THREADS * ENDS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("session_log");
    TCase *test = tcase_create("session_log");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, all_means_all);
    tcase_add_test(test, a_rate_bounds_the_lines_and_nothing_is_lost);
    tcase_add_test(test, each_listener_has_its_own);
    tcase_add_test(test, the_rate_may_change);
    tcase_add_test(test, all_threads_share_one_rate);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
