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

static void write_text(const char *text) {
    ck_assert_int_eq(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* Delivers the events that the poller has. */
static void dispatch(void) {
    poller_dispatch(poller);
}

START_TEST(a_short_read_means_that_nothing_is_left) {
    dispatch();
    ck_assert(!conn.readable);
    write_text("hello");
    dispatch();
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), 5);
    ck_assert_mem_eq(got, "hello", 5);
    ck_assert(!conn.readable);
    write_text("again");
    dispatch();
    ck_assert(conn.readable);
}
END_TEST

START_TEST(after_a_read_that_fills_the_buffer_the_conn_stays_readable) {
    write_text("hello");
    dispatch();
    ck_assert_int_eq(conn_read(&conn, got, 3), 3);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, 2), 2);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, 2), 0);
    ck_assert(!conn.readable);
}
END_TEST

START_TEST(the_end_is_noticed_without_another_system_call) {
    write_text("bye");
    shutdown(peer, SHUT_WR);
    dispatch();
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), 3);
    ck_assert(conn.readable);
    int fd = conn.handle.fd;
    conn.handle.fd = -1; /* no call on it would succeed */
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), UV_EOF);
    conn.handle.fd = fd;
    ck_assert(!conn.readable);
}
END_TEST

START_TEST(the_end_is_not_reported_before_the_data_in_front_of_it) {
    write_text("goodbye");
    shutdown(peer, SHUT_WR);
    dispatch();
    ck_assert_int_eq(conn_read(&conn, got, 4), 4);
    ck_assert_int_eq(conn_read(&conn, got, 3), 3);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, 4), UV_EOF);
}
END_TEST

/* A unix socket whose other end closes with something unread reports an error after the data. */
START_TEST(an_error_after_data_is_reported) {
    ck_assert_int_eq(conn_send(&conn, poller, (const uint8_t *)"unread", 6), 0);
    write_text("bye");
    close(peer);
    peer = -1;
    dispatch();
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), 3);
    ck_assert(conn.readable);
    ck_assert_int_eq(conn_read(&conn, got, sizeof got), UV_ECONNRESET);
}
END_TEST

/* Sends until the socket is full and something is queued; returns how many bytes were passed in
 * all. */
static size_t fill_socket(void) {
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

/* Reads `total` bytes at the other end, while the conn sends what is queued. */
static void check_arrival(size_t total) {
    for (size_t at = 0; at < total;) {
        dispatch();
        ssize_t n = recv(peer, got, sizeof got, MSG_DONTWAIT);
        ck_assert_int_gt(n, 0);
        for (ssize_t i = 0; i < n; i++) {
            ck_assert_uint_eq(got[i], (uint8_t)((at + (size_t)i) * 31 >> 3));
        }
        at += (size_t)n;
    }
    dispatch();
}

START_TEST(queued_bytes_are_sent_in_order) {
    size_t total = fill_socket();
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

START_TEST(fin_is_sent_after_queued_bytes) {
    size_t total = fill_socket();
    conn_shut(&conn);
    ck_assert(!conn.shut);
    check_arrival(total);
    ck_assert(conn.shut);
    ck_assert_int_eq(recv(peer, got, sizeof got, MSG_DONTWAIT), 0);
}
END_TEST

START_TEST(a_queue_is_stuck_if_it_has_not_moved_between_two_calls) {
    ck_assert(!conn_is_stuck(&conn));
    fill_socket();
    static uint8_t more[1000000]; /* than the socket takes at once when it has room again */
    ck_assert_int_eq(conn_send(&conn, poller, more, sizeof more), 0);
    ck_assert(!conn_is_stuck(&conn));
    ck_assert_int_eq(conn_flush(&conn), 0); /* sends nothing, which must not count as progress */
    ck_assert(conn_is_stuck(&conn));
    ck_assert(conn_is_stuck(&conn));
    size_t before = conn_waiting(&conn);
    while (conn_waiting(&conn) == before) {
        ck_assert_int_gt(recv(peer, got, sizeof got, MSG_DONTWAIT), 0);
        dispatch();
    }
    ck_assert(!conn_is_stuck(&conn));
    ck_assert(conn_is_stuck(&conn));
}
END_TEST

START_TEST(sending_to_a_closed_peer_is_an_error_and_raises_no_signal) {
    close(peer);
    peer = -1;
    ck_assert_int_eq(conn_send(&conn, poller, (const uint8_t *)"x", 1), UV_EPIPE);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("conn");
    TCase *test = tcase_create("conn");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, a_short_read_means_that_nothing_is_left);
    tcase_add_test(test, after_a_read_that_fills_the_buffer_the_conn_stays_readable);
    tcase_add_test(test, the_end_is_noticed_without_another_system_call);
    tcase_add_test(test, the_end_is_not_reported_before_the_data_in_front_of_it);
    tcase_add_test(test, an_error_after_data_is_reported);
    tcase_add_test(test, queued_bytes_are_sent_in_order);
    tcase_add_test(test, fin_is_sent_after_queued_bytes);
    tcase_add_test(test, a_queue_is_stuck_if_it_has_not_moved_between_two_calls);
    tcase_add_test(test, sending_to_a_closed_peer_is_an_error_and_raises_no_signal);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
