/* When memory that sessions have left goes back to the system. */
#include "run.h"
#include "server/heap.h"

#include <check.h>

START_TEST(once_half_of_the_sessions_are_gone) {
    ck_assert(!heap_is_worth_trimming(10000, 10000));
    ck_assert(!heap_is_worth_trimming(10000, 5001));
    ck_assert(heap_is_worth_trimming(10000, 5000));
    ck_assert(heap_is_worth_trimming(10000, 0));
}
END_TEST

START_TEST(never_for_a_few) {
    ck_assert(!heap_is_worth_trimming(0, 0));
    ck_assert(!heap_is_worth_trimming(999, 0));
    ck_assert(!heap_is_worth_trimming(1000, 1));
    ck_assert(heap_is_worth_trimming(1000, 0));
}
END_TEST

START_TEST(a_session_that_came_between_the_two_counts_does_no_harm) {
    ck_assert(!heap_is_worth_trimming(5000, 5001));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("heap");
    TCase *test = tcase_create("heap");
    tcase_add_test(test, once_half_of_the_sessions_are_gone);
    tcase_add_test(test, never_for_a_few);
    tcase_add_test(test, a_session_that_came_between_the_two_counts_does_no_harm);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
