/* The line from a signal handler looks like every other line of the log. */
#include "core/log.h"
#include "core/log_signal.h"
#include "run.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static time_t now;
static bool stands_still; /* else the clock is the system's, which Check needs as well */

/* CLOCK: the C library's symbol for clock_gettime(). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) __asm__("__wrap_" CLOCK);
int __real_clock_gettime(clockid_t clock, struct timespec *out) __asm__("__real_" CLOCK);
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) {
    if (!stands_still) {
        return __real_clock_gettime(clock, out);
    }
    *out = (struct timespec){.tv_sec = now, .tv_nsec = 7654321};
    return 0;
}

/* What was written to standard error since the last call: one line, without its end. */
static int pipe_ends[2];

static void take_line(char line[512]) {
    ssize_t got = read(pipe_ends[0], line, 511);
    ck_assert_int_gt(got, 0);
    ck_assert_int_eq(line[got - 1], '\n');
    line[got - 1] = '\0';
}

static void begin(void) {
    ck_assert_int_eq(pipe(pipe_ends), 0);
    ck_assert_int_eq(dup2(pipe_ends[1], STDERR_FILENO), STDERR_FILENO);
}

static void compare(enum log_format format) {
    char ours[512], usual[512];
    struct log_line line;
    stands_still = true;
    log_setup(LOG_LEVEL_INFO, format);
    log_signal("forbidden system call", "number", 59, "name", "execve");
    take_line(ours);
    log_begin(&line, LOG_LEVEL_ERROR, "forbidden system call");
    log_num(&line, "number", 59);
    log_str(&line, "name", "execve");
    log_end(&line);
    stands_still = false;
    take_line(usual);
    ck_assert_str_eq(ours, usual);
}

START_TEST(it_has_the_time_as_every_line_has_it) {
    static const time_t days[] = {0,     58,    59,    364,   365,   789,   790,
                                  11015, 11016, 11017, 20423, 47540, 47541, 157112};
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        now = days[i] * 86400 + 3600 * 23 + 59 * 60 + 58;
        compare(LOG_FORMAT_TEXT);
    }
    for (time_t day = 0; day < 3000; day++) {
        now = day * 86400 * 11 + day;
        compare(LOG_FORMAT_TEXT);
    }
}
END_TEST

START_TEST(it_is_json_where_the_log_is) {
    now = 1795600000;
    compare(LOG_FORMAT_JSON);
}
END_TEST

START_TEST(a_large_number_is_whole) {
    char line[512];
    log_signal("event", "number", UINT64_MAX, "name", "none");
    take_line(line);
    ck_assert_ptr_nonnull(strstr(line, " event number=18446744073709551615 name=none"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("log_signal");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, begin, NULL);
    tcase_add_test(all, it_has_the_time_as_every_line_has_it);
    tcase_add_test(all, it_is_json_where_the_log_is);
    tcase_add_test(all, a_large_number_is_whole);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_FORK);
}
