/* What the parts of a takeover must hold by themselves; test_takeover.py has the whole. */
#include "run.h"
#include "server/bind.h"
#include "server/stop.h"
#include "server/takeover_message.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- which worker serves which socket --- */

START_TEST(every_socket_is_served_and_no_worker_is_without_one) {
    for (size_t sockets = 1; sockets <= 20; sockets++) {
        for (size_t workers = 1; workers <= 20; workers++) {
            const struct bound bound = {.fd_count = sockets};
            const struct bound_set set = {.all = (struct bound[]){bound}, .count = 1};
            size_t served[20] = {0}, watched = 0;
            for (size_t w = 0; w < workers; w++) {
                struct bound_share share = bound_share(&bound, w, workers);
                ck_assert_uint_lt(share.first, sockets);
                for (size_t i = share.first; i < sockets; i += share.step) {
                    served[i]++;
                    watched++;
                }
            }
            for (size_t i = 0; i < sockets; i++) {
                ck_assert_uint_ge(served[i], 1);
                ck_assert_uint_le(served[i], (workers + sockets - 1) / sockets);
            }
            ck_assert_uint_eq(watched, bind_watched(&set, workers));
        }
    }
}
END_TEST

/* --- messages --- */

static int ends[2];

static void open_pair(void) {
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
}

static void close_pair(void) {
    close(ends[0]);
    close(ends[1]);
}

static enum takeover_kind kind_of(const void *data, size_t len) {
    struct takeover_message m;
    ck_assert_int_eq((int)send(ends[0], data, len, 0), (int)len);
    takeover_receive(ends[1], &m);
    enum takeover_kind kind = m.kind;
    takeover_message_clear(&m);
    return kind;
}

START_TEST(only_what_the_protocol_has_is_a_message) {
    static const struct {
        const char *text;
        enum takeover_kind kind;
    } rows[] = {
        {"postern-takeover 1", TAKEOVER_REQUEST},
        {"postern-takeover 4000000000", TAKEOVER_REQUEST},
        {"welcome 1 77", TAKEOVER_WELCOME},
        {"next", TAKEOVER_NEXT},
        {"tickets\n", TAKEOVER_TICKETS},
        {"end", TAKEOVER_END},
        {"serving", TAKEOVER_SERVING},
        {"taken", TAKEOVER_TAKEN},
        {"refused why", TAKEOVER_REFUSED},
        {"postern-takeover", TAKEOVER_BAD},
        {"postern-takeover one", TAKEOVER_BAD},
        {"welcome ", TAKEOVER_BAD},
        {"next ", TAKEOVER_BAD},
        {"nex", TAKEOVER_BAD},
        {"END", TAKEOVER_BAD},
        {"sockets fixed", TAKEOVER_BAD}, /* without descriptors */
        {"path", TAKEOVER_BAD},
        {"admin 1 2", TAKEOVER_BAD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ck_assert_int_eq(kind_of(rows[i].text, strlen(rows[i].text)), rows[i].kind);
    }
}
END_TEST

START_TEST(messages_have_a_bound) {
    char text[TAKEOVER_MESSAGE_MAX + 1];
    memset(text, 'x', sizeof text);
    memcpy(text, "refused ", 8);
    ck_assert_int_eq(kind_of(text, TAKEOVER_MESSAGE_MAX), TAKEOVER_REFUSED);
    ck_assert_int_eq(kind_of(text, TAKEOVER_MESSAGE_MAX + 1), TAKEOVER_BAD);
}
END_TEST

static bool is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(descriptors_come_close_on_exec_and_those_not_taken_are_closed) {
    struct takeover_message m;
    int given[PASSING_MAX];
    for (size_t i = 0; i < PASSING_MAX; i++) {
        given[i] = ends[0];
    }
    ck_assert(takeover_send_sockets(ends[0], true, given, PASSING_MAX));
    takeover_receive(ends[1], &m);
    ck_assert_int_eq(m.kind, TAKEOVER_SOCKETS);
    ck_assert(m.chosen);
    ck_assert_uint_eq(m.fd_count, PASSING_MAX);
    int kept = m.fds[3], left = m.fds[4];
    ck_assert_int_eq(fcntl(kept, F_GETFD), FD_CLOEXEC);
    m.fds[3] = -1;
    takeover_message_clear(&m);
    ck_assert(is_open(kept));
    ck_assert(!is_open(left));
    close(kept);
}
END_TEST

START_TEST(descriptors_beyond_the_bound_are_closed) {
    struct takeover_message m;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE((PASSING_MAX + 1) * sizeof(int))] = {0};
    struct iovec text = {.iov_base = (char[]){"sockets fixed"}, .iov_len = 13};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN((PASSING_MAX + 1) * sizeof(int))};
    for (size_t i = 0; i <= PASSING_MAX; i++) {
        memcpy(CMSG_DATA(header) + i * sizeof(int), &ends[0], sizeof(int));
    }
    int next = dup(ends[0]);
    close(next);
    ck_assert_int_eq((int)sendmsg(ends[0], &message, 0), 13);
    takeover_receive(ends[1], &m);
    ck_assert_int_eq(m.kind, TAKEOVER_BAD);
    ck_assert_uint_eq(m.fd_count, 0);
    takeover_message_clear(&m);
    int again = dup(ends[0]);
    ck_assert_int_eq(again, next); /* none of them is open */
    close(again);
}
END_TEST

START_TEST(nothing_and_the_end_are_distinguished) {
    struct takeover_message m;
    takeover_receive(ends[1], &m);
    ck_assert_int_eq(m.kind, TAKEOVER_NOTHING);
    close(ends[0]);
    takeover_receive(ends[1], &m);
    ck_assert_int_eq(m.kind, TAKEOVER_END_OF_FILE);
}
END_TEST

/* The kernel reports a reset first. */
START_TEST(a_last_word_is_heard_although_ours_was_not_read) {
    struct takeover_message m;
    ck_assert(takeover_send(ends[1], "serving"));
    ck_assert(takeover_send(ends[0], "refused %s", "too late"));
    close(ends[0]);
    takeover_receive(ends[1], &m);
    ck_assert_int_eq(m.kind, TAKEOVER_REFUSED);
    ck_assert_str_eq((const char *)m.data, "too late");
    takeover_message_clear(&m);
    takeover_receive(ends[1], &m);
    ck_assert_int_eq(m.kind, TAKEOVER_END_OF_FILE);
}
END_TEST

START_TEST(keys_pass_unchanged) {
    struct takeover_message m;
    uint8_t keys[640];
    for (size_t i = 0; i < sizeof keys; i++) {
        keys[i] = (uint8_t)(i * 7);
    }
    ck_assert(takeover_send_tickets(ends[0], keys, sizeof keys));
    takeover_receive(ends[1], &m);
    ck_assert_int_eq(m.kind, TAKEOVER_TICKETS);
    ck_assert_uint_eq(m.len, sizeof keys);
    ck_assert_mem_eq(m.data, keys, sizeof keys);
    takeover_message_clear(&m);
    for (size_t i = 0; i < sizeof m.bytes; i++) {
        ck_assert_uint_eq(m.bytes[i], 0); /* wiped */
    }
}
END_TEST

/* --- stop --- */

static uv_loop_t loop;
static struct stop stop;
static char history[16];

static void note(char what) {
    size_t len = strlen(history);
    ck_assert_uint_lt(len, sizeof history - 1);
    history[len] = what;
}

static void on_drains(void *arg) {
    note('d');
}

static void on_disconnects(void *arg) {
    note('c');
}

static void on_ends(void *arg) {
    note('e');
}

static void open_stop(void) {
    memset(history, 0, sizeof history);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    stop_init(
        &stop, &loop,
        (struct stop_events){.drains = on_drains, .disconnects = on_disconnects, .ends = on_ends});
}

static void close_stop(void) {
    uv_close((uv_handle_t *)&stop.delay, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

START_TEST(without_a_delay_clients_are_disconnected_at_once) {
    ck_assert(!stop_is_draining(&stop));
    stop_request(&stop, 0);
    ck_assert(stop_is_draining(&stop));
    ck_assert_str_eq(history, "c");
    stop_request(&stop, 0);
    stop_request(&stop, 0);
    ck_assert_str_eq(history, "ce");
}
END_TEST

START_TEST(with_a_delay_it_drains_first) {
    stop_request(&stop, 1);
    ck_assert_str_eq(history, "d");
    ck_assert(stop_is_draining(&stop));
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_str_eq(history, "dc");
    stop_request(&stop, 1);
    ck_assert_str_eq(history, "dce");
}
END_TEST

START_TEST(a_second_signal_during_the_delay_ends_everything) {
    stop_request(&stop, 3600000);
    stop_request(&stop, 3600000);
    ck_assert_str_eq(history, "dce");
    ck_assert(!uv_is_active((uv_handle_t *)&stop.delay));
}
END_TEST

START_TEST(a_takeover_waits_for_no_delay) {
    stop_request(&stop, 3600000);
    stop_without_delay(&stop);
    stop_without_delay(&stop);
    ck_assert_str_eq(history, "dc");
    ck_assert(!uv_is_active((uv_handle_t *)&stop.delay));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("takeover");
    TCase *shares = tcase_create("shares");
    tcase_add_test(shares, every_socket_is_served_and_no_worker_is_without_one);
    suite_add_tcase(suite, shares);
    TCase *messages = tcase_create("messages");
    tcase_add_checked_fixture(messages, open_pair, close_pair);
    tcase_add_test(messages, only_what_the_protocol_has_is_a_message);
    tcase_add_test(messages, messages_have_a_bound);
    tcase_add_test(messages, descriptors_come_close_on_exec_and_those_not_taken_are_closed);
    tcase_add_test(messages, descriptors_beyond_the_bound_are_closed);
    tcase_add_test(messages, nothing_and_the_end_are_distinguished);
    tcase_add_test(messages, a_last_word_is_heard_although_ours_was_not_read);
    tcase_add_test(messages, keys_pass_unchanged);
    suite_add_tcase(suite, messages);
    TCase *stops = tcase_create("stop");
    tcase_add_checked_fixture(stops, open_stop, close_stop);
    tcase_add_test(stops, without_a_delay_clients_are_disconnected_at_once);
    tcase_add_test(stops, with_a_delay_it_drains_first);
    tcase_add_test(stops, a_second_signal_during_the_delay_ends_everything);
    tcase_add_test(stops, a_takeover_waits_for_no_delay);
    suite_add_tcase(suite, stops);
    return run_suite(suite, CK_FORK_GETENV);
}
