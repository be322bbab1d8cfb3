#include "run.h"
#include "tls/coroutine.h"

#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { STACK = 256 * 1024 };

static struct coroutine *coroutine;

static void setup(void) {
    coroutine = coroutine_new(STACK);
    ck_assert_ptr_nonnull(coroutine);
}

static void teardown(void) {
    coroutine_free(coroutine);
}

static void add_one(void *arg) {
    ++*(int *)arg;
}

/* Counts up, and pauses after every step. */
static void count_to_five(void *arg) {
    volatile int mine = 0; /* on the coroutine's stack */
    for (int i = 0; i < 5; i++) {
        mine++;
        *(int *)arg = mine;
        coroutine_pause(coroutine);
    }
    *(int *)arg = -mine;
}

/* Uses a large part of the stack by recursion and pauses at the deepest level. */
static uint64_t recurse(int depth) {
    volatile uint8_t room[1024];
    memset((void *)(uintptr_t)room, depth, sizeof room);
    if (depth == 0) {
        coroutine_pause(coroutine);
        return room[0];
    }
    uint64_t below = recurse(depth - 1);
    return below + room[sizeof room - 1];
}

static void recurse_deeply(void *arg) {
    *(uint64_t *)arg = recurse(100);
}

START_TEST(a_computation_without_a_pause_completes_at_once) {
    int count = 0;
    ck_assert(coroutine_run(coroutine, add_one, &count));
    ck_assert_int_eq(count, 1);
}
END_TEST

START_TEST(a_paused_computation_continues_where_it_was) {
    int count = 0;
    ck_assert(!coroutine_run(coroutine, count_to_five, &count));
    for (int i = 1; i < 5; i++) {
        ck_assert_int_eq(count, i);
        ck_assert(!coroutine_resume(coroutine));
    }
    ck_assert_int_eq(count, 5);
    ck_assert(coroutine_resume(coroutine));
    ck_assert_int_eq(count, -5);
}
END_TEST

START_TEST(a_coroutine_runs_one_computation_after_another) {
    int count = 0;
    for (int i = 0; i < 100; i++) {
        int steps = 0;
        bool done = coroutine_run(coroutine, count_to_five, &steps);
        while (!done) {
            done = coroutine_resume(coroutine);
        }
        ck_assert_int_eq(steps, -5);
        ck_assert(coroutine_run(coroutine, add_one, &count));
    }
    ck_assert_int_eq(count, 100);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* which report it first */
#define OVERFLOW_IS_A_SIGNAL

static void recurse_too_deeply(void *arg) {
    *(uint64_t *)arg = recurse(STACK / 1024);
}

START_TEST(a_stack_overflow_hits_the_guard_page) {
    uint64_t sum = 0;
    (void)!coroutine_run(coroutine, recurse_too_deeply, &sum);
    ck_abort_msg("recursed to %d bytes", STACK);
}
END_TEST
#endif

START_TEST(a_deep_stack_survives_a_pause) {
    uint64_t sum = 0;
    ck_assert(!coroutine_run(coroutine, recurse_deeply, &sum));
    uint8_t ours[4096];
    memset(ours, 0xa5, sizeof ours);
    ck_assert(coroutine_resume(coroutine));
    ck_assert_uint_eq(sum, 5050);
    for (size_t i = 0; i < sizeof ours; i++) {
        ck_assert_uint_eq(ours[i], 0xa5);
    }
}
END_TEST

static bool resume_from(int depth) {
    volatile uint8_t room[512];
    room[0] = (uint8_t)depth;
    bool done = depth > 0 ? resume_from(depth - 1) : coroutine_resume(coroutine);
    ck_assert_int_eq(room[0], depth);
    return done;
}

START_TEST(the_caller_may_resume_from_any_depth_of_its_stack) {
    int count = 0;
    ck_assert(!coroutine_run(coroutine, count_to_five, &count));
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(resume_from(i * 3 % 5), i == 4);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("coroutine");
    TCase *test = tcase_create("coroutine");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, a_computation_without_a_pause_completes_at_once);
    tcase_add_test(test, a_paused_computation_continues_where_it_was);
    tcase_add_test(test, a_coroutine_runs_one_computation_after_another);
    tcase_add_test(test, a_deep_stack_survives_a_pause);
#ifdef OVERFLOW_IS_A_SIGNAL
    tcase_add_test_raise_signal(test, a_stack_overflow_hits_the_guard_page, SIGSEGV);
#endif
    tcase_add_test(test, the_caller_may_resume_from_any_depth_of_its_stack);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
