/* What must work within the filter of system calls: loops, which are made without an io_uring, and
 * computations that pause. */
#include "run.h"
#include "server/filter.h"
#include "tls/coroutine.h"

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

/* What the kernel says to a request that nobody would grant: EINVAL or EFAULT where there are
 * rings. */
static void ask_for_ring(void *arg) {
    int *error = arg;
    *error = syscall(SYS_io_uring_setup, 0, NULL) == -1 ? errno : 0;
}

static bool apply(void) {
    struct error err;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && filter_apply(&err) == 0;
}

START_TEST(a_ring_is_not_to_be_had_meanwhile_and_then_as_before) {
    int before, meanwhile, after;
    ask_for_ring(&before);
    filter_call_without_ring(ask_for_ring, &meanwhile);
    ask_for_ring(&after);
    ck_assert_int_eq(meanwhile, ENOSYS);
    ck_assert_int_eq(after, before);
}
END_TEST

START_TEST(the_process_itself_gives_up_nothing) {
    int filter = prctl(PR_GET_SECCOMP), privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), error;
    filter_call_without_ring(ask_for_ring, &error);
    ck_assert_int_eq(prctl(PR_GET_SECCOMP), filter);
    ck_assert_int_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), privileges);
}
END_TEST

/* This needs that no other thread with a filter is left. */
START_TEST(the_filter_can_be_applied_at_once) {
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            int error;
            filter_call_without_ring(ask_for_ring, &error);
            _exit(apply() ? 0 : 1);
        }
        int status;
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
    }
}
END_TEST

static void make_loop(void *arg) {
    ck_assert_int_eq(uv_loop_init(arg), 0);
}

static void on_timer(uv_timer_t *timer) {
    bool *ran = timer->data;
    *ran = true;
}

static void on_async(uv_async_t *async) {
    uv_close((uv_handle_t *)async, NULL);
}

/* Without the other thread libuv 1.50 and later abort at the first descriptor that is watched. The
 * exit is at once: a leak detector makes calls that the filter forbids. */
START_TEST(a_loop_runs_within_the_filter) {
    uv_loop_t loop;
    uv_async_t async;
    uv_timer_t timer;
    bool ran = false;
    filter_call_without_ring(make_loop, &loop);
    ck_assert(apply());
    ck_assert_int_eq(uv_async_init(&loop, &async, on_async), 0);
    uv_timer_init(&loop, &timer);
    timer.data = &ran;
    uv_timer_start(&timer, on_timer, 1, 0);
    ck_assert_int_eq(uv_async_send(&async), 0);
    ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
    ck_assert(ran);
    _exit(0);
}
END_TEST

static void pause_once(void *coroutine) {
    coroutine_pause(coroutine);
}

START_TEST(a_computation_can_pause_within_the_filter) {
    struct coroutine *c = coroutine_new(64 * 1024);
    ck_assert_ptr_nonnull(c);
    ck_assert(apply());
    ck_assert(!coroutine_run(c, pause_once, c));
    ck_assert(coroutine_resume(c));
    _exit(0);
}
END_TEST

/* Whether there can be a filter at all, in a process of its own. */
static bool is_possible(void) {
    pid_t child = fork();
    if (child == 0) {
        _exit(apply() ? 0 : 1);
    }
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0;
}

int main(void) {
    if (!is_possible()) {
        return RUN_SKIPPED;
    }
    Suite *suite = suite_create("filter");
    TCase *all = tcase_create("all");
    tcase_add_test(all, a_ring_is_not_to_be_had_meanwhile_and_then_as_before);
    tcase_add_test(all, the_process_itself_gives_up_nothing);
    tcase_add_test(all, the_filter_can_be_applied_at_once);
    tcase_add_test(all, a_loop_runs_within_the_filter);
    tcase_add_test(all, a_computation_can_pause_within_the_filter);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_FORK);
}
