/* When a certificate is worth a warning. The clock is the test's own. */
#include "run.h"
#include "server/expiry.h"

#include <check.h>

enum { HOUR = 3600, DAY = 24 * HOUR };

static const int64_t from = 1800000000; /* in 2027 */

/* How long before its end something of that lifetime begins to be warned of. */
static void check_begin(int64_t lifetime, int64_t ahead) {
    int64_t to = from + lifetime;
    ck_assert(!expiry_is_due(from, to, from));
    ck_assert(!expiry_is_due(from, to, to - ahead - 1));
    ck_assert(expiry_is_due(from, to, to - ahead));
    ck_assert(expiry_is_due(from, to, to));
    ck_assert(expiry_is_due(from, to, to + 1));
}

START_TEST(a_third_of_a_short_lifetime_is_enough) {
    check_begin(6 * DAY, 2 * DAY);
    check_begin(45 * DAY, 15 * DAY);
    check_begin(24 * HOUR, 8 * HOUR);
}
END_TEST

START_TEST(ninety_days_are_where_both_rules_meet) {
    check_begin(89 * DAY + 1, (89 * DAY + 1) / 3);
    check_begin(90 * DAY, 30 * DAY);
    check_begin(91 * DAY, 30 * DAY);
}
END_TEST

START_TEST(a_ca_of_ten_years_warns_for_a_month) {
    check_begin(3653LL * DAY, 30 * DAY);
    check_begin(253402300799 - from, 30 * DAY); /* until 99991231235959Z: no end */
}
END_TEST

START_TEST(what_has_ended_stays_due) {
    ck_assert(expiry_is_due(from, from + DAY, from + 1000LL * DAY));
}
END_TEST

START_TEST(what_is_not_valid_yet_is_not_due) {
    ck_assert(!expiry_is_due(from, from + 6 * DAY, from - DAY));
    ck_assert(!expiry_is_due(from, from + 6 * DAY, 0)); /* a machine without a clock */
}
END_TEST

START_TEST(dates_in_the_wrong_order_end_at_the_end) {
    ck_assert(!expiry_is_due(from, from - 9 * DAY, from - 10 * DAY));
    ck_assert(expiry_is_due(from, from - 9 * DAY, from - 9 * DAY + 1));
    ck_assert(expiry_is_due(from, from - 9 * DAY, from));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("expiry");
    TCase *tc = tcase_create("due");
    tcase_add_test(tc, a_third_of_a_short_lifetime_is_enough);
    tcase_add_test(tc, ninety_days_are_where_both_rules_meet);
    tcase_add_test(tc, a_ca_of_ten_years_warns_for_a_month);
    tcase_add_test(tc, what_has_ended_stays_due);
    tcase_add_test(tc, what_is_not_valid_yet_is_not_due);
    tcase_add_test(tc, dates_in_the_wrong_order_end_at_the_end);
    suite_add_tcase(suite, tc);
    return run_suite(suite, CK_FORK_GETENV);
}
