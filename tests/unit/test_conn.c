#include "net/conn.h"
#include "polling.h"
#include "run.h"

#include <check.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

static struct poller *poller;
static struct conn conn;
static int peer; /* the other end */
static uint8_t got[65536];

static void on_ready(struct poll_handle *handle, unsigned events) {
    conn_note(&conn, events);
    if ((events & POLLER_WRITABLE) != 0) {
        ck_assert_int_eq(conn_flush(&conn), 0);
    }
}

static void open_pair(int a, int b) {
    conn_init(&conn, on_ready);
    conn.handle.fd = a;
    peer = b;
    ck_assert_int_eq(fcntl(a, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(conn_open(&conn, poller), 0);
}

static void setup(void) {
    int ends[2];
    poller = make_poller();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    open_pair(ends[0], ends[1]);
}

static void teardown(void) {
    conn_close(&conn);
    conn_close(&conn);
    ck_assert(!conn_is_open(&conn));
    close(peer);
    poller_free(poller);
}

static void say(const char *text) {
    ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* What the poller has to tell is told. */
static void look(void) {
    poller_dispatch(poller);
}

START_TEST(a_short_read_says_that_there_is_no_more) {
    look();
    ck_assert(!conn.readable);
    say("hello");
    look();
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), 5);
    ck_assert_mem_eq(got, "hello", 5);
    ck_assert(!conn.readable);
    say("again");
    look();
    ck_assert(conn.readable);
}
END_TEST

START_TEST(a_read_that_fills_the_room_stays_readable) {
    say("hello");
    look();
    ck_assert_int_eq(conn_read(&conn, got, 3), 3);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, 2), 2);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, 2), 0);
    ck_assert(!conn.readable);
}
END_TEST

START_TEST(the_end_is_known_without_a_second_read) {
    say("bye");
    shutdown(peer, SHUT_WR);
    look();
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), 3);
    ck_assert(conn.readable);
    int fd = conn.handle.fd;
    conn.handle.fd = -1; /* no call on it would succeed */
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), UV_EOF);
    conn.handle.fd = fd;
    ck_assert(!conn.readable);
}
END_TEST

START_TEST(an_end_behind_more_than_the_room_is_not_told_too_soon) {
    say("goodbye");
    shutdown(peer, SHUT_WR);
    look();
    ck_assert_int_eq(conn_read(&conn, got, 4), 4);
    ck_assert_int_eq(conn_read(&conn, got, 3), 3);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, 4), UV_EOF);
}
END_TEST

/* A unix socket whose other end closes with something unread gives an error behind the data. */
START_TEST(an_error_behind_data_is_told) {
    ck_assert_int_eq(conn_send(&conn, poller, (const uint8_t *)"unread", 6), 0);
    say("bye");
    close(peer);
    peer = -1;
    look();
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), 3);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), UV_ECONNRESET);
}
END_TEST

/* Fills the socket until something waits; returns how many bytes were sent in all. */
static size_t clog_it(void) {
    static uint8_t block[8192];
    size_t total = 0;
    while (conn.queue == NULL) {
        for (size_t i = 0; i < sizeof block; i++) {
            block[i] = (uint8_t)((total + i) * 31 >> 3);
        }
        ck_assert_int_eq(conn_send(&conn, poller, block, sizeof block), 0);
        total += sizeof block;
    }
    return total;
}

/* Reads `total` bytes at the other end, while the conn sends what waits. */
static void check_arrival(size_t total) {
    for (size_t at = 0; at < total;) {
        look();
        ssize_t n = recv(peer, got, sizeof got, MSG_DONTWAIT);
        ck_assert_int_gt(n, 0);
        for (ssize_t i = 0; i < n; i++) {
            ck_assert_uint_eq(got[i], (uint8_t)((at + (size_t)i) * 31 >> 3));
        }
        at += (size_t)n;
    }
    look();
}

START_TEST(what_waits_leaves_in_order) {
    size_t total = clog_it();
    for (int i = 0; i < 5; i++) {
        uint8_t byte = (uint8_t)(total * 31 >> 3);
        ck_assert_int_eq(conn_send(&conn, poller, &byte, 1), 0);
        total++;
    }
    ck_assert_uint_ge(conn_waiting(&conn), 5);
    check_arrival(total);
    ck_assert_uint_eq(conn_waiting(&conn), 0);
    ck_assert_ptr_null(conn.queue);
}
END_TEST

START_TEST(fin_leaves_behind_what_waits) {
    size_t total = clog_it();
    conn_shut(&conn);
    ck_assert(!conn.shut);
    check_arrival(total);
    ck_assert(conn.shut);
    ck_assert_int_eq(recv(peer, got, sizeof got, MSG_DONTWAIT), 0);
}
END_TEST

START_TEST(stuck_is_what_has_not_moved_between_two_looks) {
    ck_assert(!conn_is_stuck(&conn));
    clog_it();
    static uint8_t more[1000000]; /* than the socket takes at once when it takes something again */
    ck_assert_int_eq(conn_send(&conn, poller, more, sizeof more), 0);
    ck_assert(!conn_is_stuck(&conn));
    ck_assert_int_eq(conn_flush(&conn), 0); /* moves nothing, and must not hide that */
    ck_assert(conn_is_stuck(&conn));
    ck_assert(conn_is_stuck(&conn));
    size_t before = conn_waiting(&conn);
    while (conn_waiting(&conn) == before) {
        ck_assert_int_gt(recv(peer, got, sizeof got, MSG_DONTWAIT), 0);
        look();
    }
    ck_assert(!conn_is_stuck(&conn));
    ck_assert(conn_is_stuck(&conn));
}
END_TEST

START_TEST(sending_to_nobody_is_an_error_and_no_signal) {
    close(peer);
    peer = -1;
    ck_assert_int_eq(conn_send(&conn, poller, (const uint8_t *)"x", 1), UV_EPIPE);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("conn");
    TCase *test = tcase_create("conn");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, a_short_read_says_that_there_is_no_more);
    tcase_add_test(test, a_read_that_fills_the_room_stays_readable);
    tcase_add_test(test, the_end_is_known_without_a_second_read);
    tcase_add_test(test, an_end_behind_more_than_the_room_is_not_told_too_soon);
    tcase_add_test(test, an_error_behind_data_is_told);
    tcase_add_test(test, what_waits_leaves_in_order);
    tcase_add_test(test, fin_leaves_behind_what_waits);
    tcase_add_test(test, stuck_is_what_has_not_moved_between_two_looks);
    tcase_add_test(test, sending_to_nobody_is_an_error_and_no_signal);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
