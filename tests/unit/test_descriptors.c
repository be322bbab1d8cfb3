/* How many of the open files are for sessions. */
#include "run.h"
#include "server/descriptors.h"

#include <check.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

START_TEST(each_session_has_two_descriptors) {
    size_t one = descriptors_sessions(1024, 1, 1);
    ck_assert_uint_gt(one, 400);
    ck_assert_uint_lt(one, 512);
    ck_assert_uint_eq(descriptors_sessions(1024 + 2000, 1, 1), one + 1000);
}
END_TEST

START_TEST(workers_and_listening_sockets_are_subtracted_first) {
    ck_assert_uint_lt(descriptors_sessions(1024, 4, 4), descriptors_sessions(1024, 4, 1));
    ck_assert_uint_lt(descriptors_sessions(1024, 4, 1), descriptors_sessions(1024, 1, 1));
    ck_assert_uint_eq(descriptors_sessions(16, 1, 1), 0);
    ck_assert_uint_eq(descriptors_sessions(1024, 64, 512), 0);
}
END_TEST

START_TEST(without_a_limit_any_number_of_sessions_fits) {
    ck_assert_uint_gt(descriptors_sessions(SIZE_MAX, 1, 1), SIZE_MAX / 4);
}
END_TEST

START_TEST(the_soft_limit_is_raised_to_the_hard_one) {
    struct rlimit limit;
    struct error err;
    size_t sessions;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_max = limit.rlim_max < 1024 ? limit.rlim_max : 1024;
    limit.rlim_cur = 256;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(descriptors_budget(1, 1, &sessions, &err), 0);
    ck_assert_uint_eq(sessions, descriptors_sessions((size_t)limit.rlim_max, 1, 1));
}
END_TEST

START_TEST(too_few_descriptors_are_refused_with_what_to_raise) {
    struct rlimit limit = {64, 64};
    struct error err;
    size_t sessions;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(descriptors_budget(1, 1, &sessions, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "limit of open files is 64"));
    ck_assert_ptr_nonnull(strstr(err.text, "LimitNOFILE="));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("descriptors");
    TCase *test = tcase_create("descriptors");
    tcase_add_test(test, each_session_has_two_descriptors);
    tcase_add_test(test, workers_and_listening_sockets_are_subtracted_first);
    tcase_add_test(test, without_a_limit_any_number_of_sessions_fits);
    tcase_add_test(test, the_soft_limit_is_raised_to_the_hard_one);
    tcase_add_test(test, too_few_descriptors_are_refused_with_what_to_raise);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
