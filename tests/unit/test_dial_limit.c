/* How many dials a broker gets, at a time and in a second, over all threads. */
#include "broker/dial_limit.h"
#include "broker/source.h"
#include "run.h"

#include <check.h>
#include <stdint.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

enum { SECONDS = 20, STEPS_MS = SECONDS * 1000 };

static struct dial_limit limit;
static struct config_dials bounds;
static unsigned begun[STEPS_MS]; /* in each millisecond */

static void setup(void) {
    dial_limit_init(&limit);
    bounds = (struct config_dials){0};
    memset(begun, 0, sizeof begun);
}

static void teardown(void) {
    dial_limit_destroy(&limit);
}

/* More dials than the rate allows, at any time: what begins. */
static void run(void) {
    for (uint64_t now_ms = 0; now_ms < STEPS_MS; now_ms++) {
        while (dial_limit_begin(&limit, &bounds, now_ms)) {
            begun[now_ms]++;
            dial_limit_end(&limit);
        }
        dial_limit_gives_up(&limit);
    }
}

static unsigned most_in(unsigned period_ms) {
    unsigned sum = 0, most = 0;
    for (unsigned i = 0; i < STEPS_MS; i++) {
        sum += begun[i];
        sum -= i >= period_ms ? begun[i - period_ms] : 0;
        most = sum > most ? sum : most;
    }
    return most;
}

static unsigned sum_of(unsigned from_ms, unsigned to_ms) {
    unsigned sum = 0;
    for (unsigned i = from_ms; i < to_ms; i++) {
        sum += begun[i];
    }
    return sum;
}

START_TEST(no_second_has_more_dials_than_the_rate_and_few_have_less) {
    static const uint32_t rates[] = {1, 2, 7, 19, 20, 50, 2000, 10000, 100000};
    for (size_t i = 0; i < COUNT(rates); i++) {
        teardown();
        setup();
        bounds.rate = (struct config_rate){rates[i], 1000};
        run();
        ck_assert_uint_le(most_in(1000), rates[i]);
        ck_assert_uint_ge(sum_of(0, STEPS_MS), rates[i] * SECONDS / 10 * 9);
    }
}
END_TEST

START_TEST(a_rate_may_be_of_a_minute) {
    bounds.rate = (struct config_rate){300, 60000};
    run();
    ck_assert_uint_le(most_in(1000), 1 + 300 / 20 + 5);
    ck_assert_uint_ge(sum_of(0, STEPS_MS), 90);
}
END_TEST

START_TEST(after_the_broker_came_back_dials_are_slower_and_irregular) {
    bounds.rate = (struct config_rate){1000, 1000};
    dial_limit_slow_down(&limit, 0);
    run();
    unsigned gentle = sum_of(1000, 9000) / 8, usual = sum_of(12000, 20000) / 8;
    ck_assert_uint_le(most_in(1000), 1000);
    ck_assert_msg(gentle * 10 < usual * 9 && gentle * 10 > usual * 7, "%u and %u", gentle, usual);
    unsigned empty = 0;
    for (unsigned i = 1000; i < 9000; i++) {
        empty += begun[i] == 0;
    }
    ck_assert_uint_gt(empty, 500); /* of the intervals of 1 to 1.6 ms some are longer than others */
    ck_assert_uint_lt(empty, 4000);
}
END_TEST

static bool begins(const struct config_dials *of, uint64_t now_ms) {
    bool admitted = dial_limit_begin(&limit, of, now_ms);
    if (admitted) {
        dial_limit_end(&limit);
    } else {
        dial_limit_gives_up(&limit);
    }
    return admitted;
}

START_TEST(a_low_rate_of_one_listener_does_not_hold_up_another) {
    struct config_dials low = {.rate = {10, 60000}}, high = {.rate = {10000, 1000}};
    for (uint64_t now_ms = 0; now_ms < STEPS_MS; now_ms++) {
        begun[now_ms] = begins(&low, now_ms);
        ck_assert(begins(&high, now_ms));
    }
    ck_assert_uint_ge(sum_of(0, STEPS_MS), 2);
    ck_assert_uint_le(sum_of(0, STEPS_MS), 4);
}
END_TEST

START_TEST(the_broker_gets_no_more_than_the_highest_rate_of_its_listeners) {
    struct config_dials low = {.rate = {30, 1000}}, high = {.rate = {100, 1000}};
    unsigned of_low = 0;
    for (uint64_t now_ms = 0; now_ms < STEPS_MS; now_ms++) {
        bool low_begins = begins(&low, now_ms);
        of_low += low_begins;
        begun[now_ms] = low_begins;
        while (begins(&high, now_ms)) {
            begun[now_ms]++;
        }
    }
    ck_assert_uint_le(most_in(1000), 101); /* one of the low rate does not wait for the high one */
    ck_assert_uint_ge(of_low, 30 * SECONDS / 10 * 9);
}
END_TEST

START_TEST(only_so_many_are_under_way) {
    bounds.under_way = 3;
    for (int i = 0; i < 3; i++) {
        ck_assert(dial_limit_begin(&limit, &bounds, 0));
    }
    ck_assert(!dial_limit_begin(&limit, &bounds, 0));
    ck_assert_uint_eq(dial_limit_admit(&limit, &bounds, 1, 0), 0);
    dial_limit_end(&limit);
    ck_assert_uint_eq(dial_limit_admit(&limit, &bounds, 1, 0), 1);
}
END_TEST

START_TEST(nobody_overtakes_what_waits) {
    bounds.under_way = 1;
    ck_assert(dial_limit_begin(&limit, &bounds, 0));
    ck_assert(!dial_limit_begin(&limit, &bounds, 0));
    dial_limit_end(&limit);
    ck_assert(!dial_limit_begin(&limit, &bounds, 0)); /* the place is the other's */
    dial_limit_gives_up(&limit);
    ck_assert_uint_eq(dial_limit_admit(&limit, &bounds, 1, 0), 1);
    dial_limit_end(&limit);
    ck_assert(dial_limit_begin(&limit, &bounds, 0));
}
END_TEST

START_TEST(what_becomes_free_is_shared_in_proportion) {
    struct config_dials none = {.under_way = 1};
    bounds.under_way = 101;
    ck_assert(dial_limit_begin(&limit, &none, 0));
    for (int i = 0; i < 400; i++) {
        ck_assert(!dial_limit_begin(&limit, &none, 0)); /* 300 of one thread, 100 of another */
    }
    ck_assert_uint_eq(dial_limit_admit(&limit, &bounds, 300, 0), 75);
    ck_assert_uint_eq(dial_limit_admit(&limit, &bounds, 100, 0), 8); /* 25 * 100 / 325 */
    for (int i = 0; i < 75 + 8; i++) {
        dial_limit_end(&limit);
    }
    ck_assert_uint_gt(dial_limit_admit(&limit, &bounds, 92, 0), 20);
}
END_TEST

START_TEST(without_bounds_nobody_waits) {
    unsigned refused = 0;
    for (int i = 0; i < 100000; i++) {
        refused += !dial_limit_begin(&limit, &bounds, 0);
    }
    ck_assert_uint_eq(refused, 0);
}
END_TEST

/* --- where connections start from --- */

static struct address parsed(const char *text) {
    struct address a;
    ck_assert_int_eq(address_parse_host(text, strlen(text), &a), ADDRESS_OK);
    return a;
}

static void is_source(const struct config_sources *sources, const struct address *to, size_t index,
                      const char *expected) {
    char text[ADDRESS_TEXT_SIZE];
    struct address a = source_at(sources, to, index);
    ck_assert_str_eq(address_print_host(&a, text), expected);
}

START_TEST(on_loopback_there_are_further_sources) {
    struct config_sources none = {0};
    struct address to = parsed("127.0.0.1");
    ck_assert_uint_ge(source_count(&none, &to), 40); /* times 28,000 is a million */
    is_source(&none, &to, 0, "-");
    is_source(&none, &to, 1, "127.0.0.2");
    is_source(&none, &to, 2, "127.0.0.3");
    is_source(&none, &to, source_count(&none, &to) - 1, "127.0.0.64");
}
END_TEST

START_TEST(elsewhere_the_system_chooses) {
    static const char *const hosts[] = {"192.0.2.7", "::1", "2001:db8::1"};
    struct config_sources none = {0};
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct address to = parsed(hosts[i]);
        ck_assert_uint_eq(source_count(&none, &to), 1);
        is_source(&none, &to, 0, "-");
    }
}
END_TEST

START_TEST(configured_sources_are_those_of_the_brokers_family) {
    struct address all[] = {parsed("192.0.2.1"), parsed("2001:db8::1"), parsed("192.0.2.2")};
    struct config_sources sources = {all, COUNT(all)};
    struct address v4 = parsed("127.0.0.1"), v6 = parsed("2001:db8::9");
    ck_assert_uint_eq(source_count(&sources, &v4), 2);
    is_source(&sources, &v4, 0, "192.0.2.1");
    is_source(&sources, &v4, 1, "192.0.2.2");
    ck_assert_uint_eq(source_count(&sources, &v6), 1);
    is_source(&sources, &v6, 0, "2001:db8::1");
    sources.count = 1;
    ck_assert_uint_eq(source_count(&sources, &v6), 1);
    is_source(&sources, &v6, 0, "-"); /* it has none */
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dial_limit");
    TCase *dials = tcase_create("dials"), *sources = tcase_create("sources");
    tcase_set_timeout(dials, 60);
    tcase_add_checked_fixture(dials, setup, teardown);
    tcase_add_test(dials, no_second_has_more_dials_than_the_rate_and_few_have_less);
    tcase_add_test(dials, a_rate_may_be_of_a_minute);
    tcase_add_test(dials, after_the_broker_came_back_dials_are_slower_and_irregular);
    tcase_add_test(dials, a_low_rate_of_one_listener_does_not_hold_up_another);
    tcase_add_test(dials, the_broker_gets_no_more_than_the_highest_rate_of_its_listeners);
    tcase_add_test(dials, only_so_many_are_under_way);
    tcase_add_test(dials, nobody_overtakes_what_waits);
    tcase_add_test(dials, what_becomes_free_is_shared_in_proportion);
    tcase_add_test(dials, without_bounds_nobody_waits);
    tcase_add_test(sources, on_loopback_there_are_further_sources);
    tcase_add_test(sources, elsewhere_the_system_chooses);
    tcase_add_test(sources, configured_sources_are_those_of_the_brokers_family);
    suite_add_tcase(suite, dials);
    suite_add_tcase(suite, sources);
    return run_suite(suite, CK_FORK_GETENV);
}
