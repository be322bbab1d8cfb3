#include "core/list.h"
#include "net/poller.h"
#include "polling.h"
#include "run.h"

#include <check.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct thing {
    struct poll_handle polled;
    unsigned calls;
    unsigned events;
    struct thing *closes; /* when its event is reported */
};

static struct poller *poller;
static struct thing a, b;

static void on_ready(struct poll_handle *polled, unsigned events) {
    struct thing *thing = container_of(polled, struct thing, polled);
    thing->calls++;
    thing->events = events;
    if (thing->closes != NULL) {
        poll_handle_close(&thing->closes->polled);
    }
}

static void make(struct thing *thing) {
    *thing = (struct thing){.polled = {.fd = eventfd(0, EFD_NONBLOCK), .on_ready = on_ready}};
    ck_assert_int_eq(poller_watch(poller, &thing->polled, POLLER_READABLE), 0);
}

static void signal_once(const struct thing *thing) {
    ck_assert_int_eq(eventfd_write(thing->polled.fd, 1), 0);
}

/* Delivers the events that there are or that come within that time. */
static void dispatch(int timeout_ms) {
    wait_and_dispatch(poller, timeout_ms);
}

static void setup(void) {
    poller = make_poller();
    make(&a);
    make(&b);
}

static void teardown(void) {
    poll_handle_close(&a.polled);
    poll_handle_close(&b.polled);
    poll_handle_close(&b.polled); /* twice is fine */
    poller_free(poller);
}

START_TEST(each_edge_is_reported_once) {
    dispatch(0);
    ck_assert_uint_eq(a.calls + b.calls, 0);
    signal_once(&a);
    dispatch(-1);
    dispatch(0);
    ck_assert_uint_eq(a.calls, 1);
    signal_once(&a);
    signal_once(&b);
    dispatch(-1);
    ck_assert_uint_eq(a.calls, 2);
    ck_assert_uint_eq(b.calls, 1);
    ck_assert_uint_eq(b.events, POLLER_READABLE);
}
END_TEST

START_TEST(a_descriptor_closed_meanwhile_is_not_reported) {
    a.closes = &b;
    b.closes = &a;
    signal_once(&a);
    signal_once(&b);
    dispatch(-1);
    ck_assert_uint_eq(a.calls + b.calls, 1);
}
END_TEST

START_TEST(watching_again_reports_what_is_possible_by_then) {
    signal_once(&a);
    dispatch(-1);
    ck_assert_int_eq(poller_watch(poller, &a.polled, POLLER_READABLE | POLLER_WRITABLE), 0);
    dispatch(-1);
    ck_assert_uint_eq(a.calls, 2);
    ck_assert_uint_eq(a.events, POLLER_READABLE | POLLER_WRITABLE);
}
END_TEST

START_TEST(a_moved_descriptor_reports_to_its_new_handle) {
    struct thing c = {.polled = {.fd = -1, .on_ready = on_ready}};
    poll_handle_move(&a.polled, &c.polled);
    ck_assert_int_eq(a.polled.fd, -1);
    ck_assert_int_eq(poller_watch(poller, &c.polled, POLLER_READABLE), 0);
    signal_once(&c);
    dispatch(-1);
    ck_assert_uint_eq(c.calls, 1);
    ck_assert_uint_eq(a.calls, 0);
    poll_handle_close(&c.polled);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("poller");
    TCase *test = tcase_create("poller");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, each_edge_is_reported_once);
    tcase_add_test(test, a_descriptor_closed_meanwhile_is_not_reported);
    tcase_add_test(test, watching_again_reports_what_is_possible_by_then);
    tcase_add_test(test, a_moved_descriptor_reports_to_its_new_handle);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
