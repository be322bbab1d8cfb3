#include "net/deadline.h"
#include "run.h"

#include <check.h>
#include <stdlib.h>

START_TEST(the_deadline_set_first_is_due_first) {
    struct deadlines all = {0};
    struct deadline a = {0}, b = {0};
    ck_assert(deadline_set(&all, &a, 100, 50));
    ck_assert(deadline_set(&all, &b, 110, 50));
    ck_assert_uint_eq(deadlines_next(&all), 150);
    ck_assert_ptr_null(deadlines_take_due(&all, 149));
    ck_assert_ptr_eq(deadlines_take_due(&all, 160), &a);
    ck_assert_ptr_eq(deadlines_take_due(&all, 160), &b);
    ck_assert_ptr_null(deadlines_take_due(&all, 1000));
    ck_assert(!deadline_is_set(&a));
    deadlines_free(&all);
}
END_TEST

START_TEST(setting_a_deadline_again_moves_it_after_the_others) {
    struct deadlines all = {0};
    struct deadline a = {0}, b = {0};
    ck_assert(deadline_set(&all, &a, 0, 50));
    ck_assert(deadline_set(&all, &b, 10, 50));
    ck_assert(deadline_set(&all, &a, 20, 50));
    ck_assert_ptr_eq(deadlines_take_due(&all, 60), &b);
    ck_assert_ptr_null(deadlines_take_due(&all, 69));
    ck_assert_ptr_eq(deadlines_take_due(&all, 70), &a);
    deadlines_free(&all);
}
END_TEST

START_TEST(each_duration_has_its_own_order) {
    struct deadlines all = {0};
    struct deadline late = {0}, soon = {0};
    ck_assert(deadline_set(&all, &late, 0, 1000));
    ck_assert(deadline_set(&all, &soon, 500, 10));
    ck_assert_uint_eq(deadlines_next(&all), 510);
    ck_assert_ptr_eq(deadlines_take_due(&all, 510), &soon);
    ck_assert_uint_eq(deadlines_next(&all), 1000);
    ck_assert(deadline_set(&all, &late, 510, 10));
    ck_assert_uint_eq(deadlines_next(&all), 520);
    deadline_clear(&late);
    ck_assert_uint_eq(deadlines_next(&all), UINT64_MAX);
    deadlines_free(&all);
}
END_TEST

START_TEST(the_duration_off_unsets_a_deadline) {
    struct deadlines all = {0};
    struct deadline a = {0};
    ck_assert(deadline_set(&all, &a, 0, 10));
    ck_assert(deadline_set(&all, &a, 0, UINT64_MAX));
    ck_assert(!deadline_is_set(&a));
    ck_assert(deadline_set(&all, &a, 0, UINT64_MAX));
    ck_assert_uint_eq(deadlines_next(&all), UINT64_MAX);
    deadline_clear(&a);
    deadlines_free(&all);
}
END_TEST

/* Against a plain table: after any sequence of calls, exactly the deadlines that are due are taken
 * out. */
START_TEST(any_sequence_of_calls_agrees_with_a_plain_table) {
    enum { COUNT = 50, STEPS = 20000 };
    static const uint64_t durations[] = {5, 50, 500, 77, UINT64_MAX};
    struct deadlines all = {0};
    struct deadline d[COUNT] = {{0}};
    uint64_t at[COUNT], now = 0;
    unsigned seed = 7;
    for (size_t i = 0; i < COUNT; i++) {
        at[i] = UINT64_MAX;
    }
    for (size_t step = 0; step < STEPS; step++) {
        size_t i = (size_t)rand_r(&seed) % COUNT;
        uint64_t duration = durations[(size_t)rand_r(&seed) % 5];
        now += (uint64_t)rand_r(&seed) % 3;
        ck_assert(deadline_set(&all, &d[i], now, duration));
        at[i] = duration == UINT64_MAX ? UINT64_MAX : now + duration;
        struct deadline *due;
        while ((due = deadlines_take_due(&all, now)) != NULL) {
            ck_assert_uint_le(at[due - d], now);
            at[due - d] = UINT64_MAX;
        }
        uint64_t next = UINT64_MAX;
        for (size_t k = 0; k < COUNT; k++) {
            next = at[k] < next ? at[k] : next;
        }
        ck_assert_uint_gt(next, now);
        ck_assert_uint_eq(deadlines_next(&all), next);
    }
    for (size_t i = 0; i < COUNT; i++) {
        deadline_clear(&d[i]);
    }
    deadlines_free(&all);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("deadline");
    TCase *tests = tcase_create("deadline");
    tcase_add_test(tests, the_deadline_set_first_is_due_first);
    tcase_add_test(tests, setting_a_deadline_again_moves_it_after_the_others);
    tcase_add_test(tests, each_duration_has_its_own_order);
    tcase_add_test(tests, the_duration_off_unsets_a_deadline);
    tcase_add_test(tests, any_sequence_of_calls_agrees_with_a_plain_table);
    suite_add_tcase(suite, tests);
    return run_suite(suite, CK_FORK_GETENV);
}
