/* When memory that sessions have left goes back to the system. */
#include "run.h"
#include "server/heap.h"

#include <check.h>

START_TEST(once_half_of_the_sessions_are_gone) {
    struct heap heap = {0};
    ck_assert(!heap_look(&heap, 10000, 10000));
    ck_assert(!heap_look(&heap, 5001, 5001));
    ck_assert(heap_look(&heap, 5000, 5000));
    ck_assert(!heap_look(&heap, 5000, 5000)); /* once */
    ck_assert(heap_look(&heap, 0, 0));
    ck_assert(!heap_look(&heap, 0, 0));
}
END_TEST

START_TEST(never_for_a_few) {
    struct heap heap = {0};
    ck_assert(!heap_look(&heap, 999, 999));
    ck_assert(!heap_look(&heap, 0, 0));
    ck_assert(!heap_look(&heap, 1000, 1000));
    ck_assert(!heap_look(&heap, 1, 1));
    ck_assert(heap_look(&heap, 0, 0));
}
END_TEST

START_TEST(a_peak_between_two_looks_counts) {
    struct heap heap = {0};
    ck_assert(!heap_look(&heap, 10, 10));
    ck_assert(heap_look(&heap, 5000, 10));
    ck_assert(!heap_look(&heap, 10, 10));
}
END_TEST

START_TEST(the_most_counts_since_the_last_time) {
    struct heap heap = {0};
    ck_assert(!heap_look(&heap, 4000, 4000));
    ck_assert(heap_look(&heap, 1000, 1000));
    ck_assert(!heap_look(&heap, 3000, 3000));
    ck_assert(!heap_look(&heap, 1600, 1600));
    ck_assert(heap_look(&heap, 1500, 1500));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("heap");
    TCase *test = tcase_create("heap");
    tcase_add_test(test, once_half_of_the_sessions_are_gone);
    tcase_add_test(test, never_for_a_few);
    tcase_add_test(test, a_peak_between_two_looks_counts);
    tcase_add_test(test, the_most_counts_since_the_last_time);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
