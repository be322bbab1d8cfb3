/* The dialler over loopback: which addresses and backends it tries, what it reports, what it leaves
 * untouched, and how a backend that was down is found to be up again. */
#include "broker/dial.h"
#include "broker/probe.h"
#include "core/log.h"
#include "polling.h"
#include "run.h"

#include <check.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* Everything that is awaited happens within milliseconds; a machine may be slow. */
enum { PATIENCE_MS = 30000, SOCKETS = 32 };

static uv_loop_t loop;
static struct poller *poller;
static struct dialer dialer;
static struct prober prober;
static struct backend_table *table;
static int sockets[SOCKETS];
static size_t socket_count;

/* --- names: this program's getaddrinfo takes the place of the C library's --- */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool held; /* lookups wait */
    atomic_uint calls;
    int error;
    struct sockaddr_in found[BACKEND_ADDRESSES + 2];
    size_t count;
} names = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    struct addrinfo *list = NULL;
    pthread_mutex_lock(&names.mutex);
    names.calls++;
    while (names.held) {
        pthread_cond_wait(&names.changed, &names.mutex);
    }
    for (size_t i = names.count; names.error == 0 && i > 0; i--) {
        struct addrinfo *one = calloc(1, sizeof *one);
        one->ai_addr = (struct sockaddr *)&names.found[i - 1];
        one->ai_addrlen = sizeof names.found[0];
        one->ai_next = list;
        list = one;
    }
    *result = list;
    pthread_mutex_unlock(&names.mutex);
    return names.error;
}

void freeaddrinfo(struct addrinfo *list) {
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

static void hold_names(bool held) {
    pthread_mutex_lock(&names.mutex);
    names.held = held;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.mutex);
}

static void name_has(uint16_t port) {
    names.found[names.count++] = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* --- sockets --- */

static int keep(int fd) {
    ck_assert_int_ge(fd, 0);
    ck_assert_uint_lt(socket_count, SOCKETS);
    sockets[socket_count++] = fd;
    return fd;
}

/* A port of our own where nobody listens. */
static int bind_port(uint16_t *port) {
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
    *port = ntohs(sa.sin_port);
    return fd;
}

static uint16_t refusing_port(void) {
    uint16_t port;
    bind_port(&port);
    return port;
}

static uint16_t listening_port(void) {
    uint16_t port;
    ck_assert_int_eq(listen(bind_port(&port), 16), 0);
    return port;
}

/* Its queue is full, so that Linux drops further connection requests. */
static int bind_silent_port(uint16_t *port) {
    int listening = bind_port(port);
    ck_assert_int_eq(listen(listening, 0), 0);
    struct sockaddr_in sa = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd;
    do {
        fd = keep(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        (void)connect(fd, (struct sockaddr *)&sa, sizeof sa);
    } while (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    ck_assert_int_eq(errno, EALREADY);
    close(sockets[--socket_count]); /* or it would compete for the place that becomes free */
    return listening;
}

static uint16_t silent_port(void) {
    uint16_t port;
    bind_silent_port(&port);
    return port;
}

/* --- backends --- */

static struct backend *make_backend(const char *host, uint16_t port, const char *path) {
    char text[128];
    snprintf(text, sizeof text, "%s:%u", path != NULL ? path : host, port);
    struct config_backend config = {
        .text = text, .host = (char *)host, .port = port, .path = (char *)path};
    struct backend *b = backend_get(table, &config);
    ck_assert_ptr_nonnull(b);
    return b;
}

static struct backend *at_port(uint16_t port) {
    return make_backend("127.0.0.1", port, NULL);
}

static struct backend *named(void) {
    return make_backend("broker.example", 1883, NULL);
}

/* --- one attempt and its outcome --- */

struct attempt {
    struct dial dial;
    struct dial_target target;
    unsigned done;
    int status;
    size_t backend;
    struct poll_handle socket;
    unsigned events;
};

static void on_socket_ready(struct poll_handle *handle, unsigned events) {
    container_of(handle, struct attempt, socket)->events++;
}

static void on_done(struct dial *dial, int status) {
    struct attempt *a = container_of(dial, struct attempt, dial);
    a->done++;
    a->status = status;
    if (status == 0) {
        a->backend = dial_backend(dial);
        dial_take(dial, &a->socket);
    }
}

static const struct config_sources any_source;
static struct config_dials bounds;

static struct dial_target target_of(struct backend *const *backends, size_t count) {
    return (struct dial_target){
        .backends = backends, .backend_count = count, .bounds = &bounds, .sources = &any_source};
}

static void start(struct attempt *a, struct backend *const *backends, size_t count) {
    *a = (struct attempt){.socket = {.fd = -1, .on_ready = on_socket_ready},
                          .target = target_of(backends, count)};
    dial_start(&a->dial, &dialer, &a->target, on_done);
}

static void turn(void) {
    uv_run(&loop, UV_RUN_NOWAIT);
    dialer_on_time(&dialer);
    prober_on_time(&prober);
    wait_and_dispatch(poller, 5);
}

#define wait_until(condition)                                                                      \
    do {                                                                                           \
        uint64_t end_ms = uv_hrtime() / 1000000 + PATIENCE_MS;                                     \
        while (!(condition)) {                                                                     \
            ck_assert_msg(uv_hrtime() / 1000000 < end_ms, "never came: %s", #condition);           \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

/* For what must not happen: turns of the loop in which it would. */
static void turn_a_while(void) {
    for (int i = 0; i < 20; i++) {
        turn();
    }
}

/* One whose brokers are all down waits for them until its time is up. */
static void expect_failure(struct attempt *a, int status) {
    wait_until(a->done > 0 || a->dial.state == DIAL_DOWN);
    if (a->done == 0) {
        dial_expire(&a->dial);
    }
    ck_assert_uint_eq(a->done, 1);
    ck_assert_str_eq(uv_err_name(a->status), uv_err_name(status));
    ck_assert(!dial_is_under_way(&a->dial));
}

static void expect_connection(struct attempt *a, size_t backend) {
    wait_until(a->done > 0);
    ck_assert_uint_eq(a->done, 1);
    ck_assert_msg(a->status == 0, "%s", uv_strerror(a->status));
    ck_assert_uint_eq(a->backend, backend);
    ck_assert_int_ge(a->socket.fd, 0);
    poll_handle_close(&a->socket);
}

static void setup(void) {
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    poller = make_poller();
    dialer_init(&dialer, &loop, poller);
    prober_init(&prober, &dialer);
    table = backend_table_new(0);
    ck_assert_ptr_nonnull(table);
    bounds = (struct config_dials){0};
    socket_count = names.count = 0;
    names.calls = 0;
    names.error = 0;
    hold_names(false);
}

static void teardown(void) {
    hold_names(false);
    prober_close(&prober);
    dialer_close(&dialer);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0); /* nothing of it is left open */
    poller_free(poller);
    backend_table_free(table);
    while (socket_count > 0) {
        close(sockets[--socket_count]);
    }
}

/* --- one address --- */

START_TEST(a_broker_that_listens_is_reached) {
    struct backend *b = at_port(listening_port());
    struct attempt a;
    start(&a, &b, 1);
    expect_connection(&a, 0);
    ck_assert(!backend_is_down(b));
}
END_TEST

START_TEST(a_refusal_is_reported_and_the_backend_is_down) {
    struct backend *b = at_port(refusing_port());
    struct attempt a;
    start(&a, &b, 1);
    expect_failure(&a, UV_ECONNREFUSED);
    ck_assert(backend_is_down(b));
}
END_TEST

START_TEST(an_attempt_waits_until_it_is_expired) {
    struct backend *b = at_port(silent_port());
    struct attempt a;
    start(&a, &b, 1);
    turn_a_while();
    ck_assert_uint_eq(a.done, 0);
    ck_assert(dial_is_under_way(&a.dial));
    dial_expire(&a.dial);
    expect_failure(&a, UV_ETIMEDOUT);
    dial_expire(&a.dial); /* nothing is under way */
    ck_assert_uint_eq(a.done, 1);
}
END_TEST

START_TEST(a_unix_socket_is_reached_and_a_missing_one_is_down) {
    char path[64];
    snprintf(path, sizeof path, P_tmpdir "/postern-dial-%d", (int)getpid());
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path));
    int fd = keep(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(listen(fd, 4), 0);
    struct backend *b = make_backend(NULL, 0, path);
    struct attempt a;
    start(&a, &b, 1);
    expect_connection(&a, 0);
    unlink(path);
    start(&a, &b, 1);
    expect_failure(&a, UV_ENOENT);
    ck_assert(backend_is_down(b));
}
END_TEST

/* The path, for the caller to unlink, of a socket whose queue is full. Returns what listens. */
static int full_unix_socket(char path[64]) {
    snprintf(path, 64, P_tmpdir "/postern-dial-%d", (int)getpid());
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path));
    int listening = keep(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)), fd;
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&sa, sizeof sa), 0);
    ck_assert_int_eq(listen(listening, 0), 0);
    do {
        fd = keep(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    } while (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    return listening;
}

START_TEST(a_full_unix_socket_is_busy_and_not_down) {
    char path[64];
    full_unix_socket(path);
    struct backend *b = make_backend(NULL, 0, path);
    struct attempt a;
    start(&a, &b, 1);
    turn_a_while();
    ck_assert_uint_eq(a.done, 0);
    dial_expire(&a.dial);
    expect_failure(&a, UV_EAGAIN);
    ck_assert(!backend_is_down(b));
    unlink(path);
}
END_TEST

START_TEST(dials_to_a_full_unix_socket_are_served_in_order_as_there_is_room) {
    char path[64];
    int listening = full_unix_socket(path);
    struct backend *b = make_backend(NULL, 0, path);
    struct attempt attempts[3];
    for (size_t i = 0; i < COUNT(attempts); i++) {
        start(&attempts[i], &b, 1);
    }
    for (size_t i = 0; i < COUNT(attempts); i++) {
        turn_a_while();
        ck_assert_uint_eq(attempts[i].done, 0);
        close(accept(listening, NULL, NULL));
        expect_connection(&attempts[i], 0);
    }
    unlink(path);
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_down) {
    char path[121];
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    struct backend *b = make_backend(NULL, 0, path);
    struct attempt a;
    start(&a, &b, 1);
    expect_failure(&a, UV_ENAMETOOLONG);
    ck_assert(backend_is_down(b));
}
END_TEST

START_TEST(running_out_of_descriptors_does_not_mark_the_broker_down) {
    struct backend *b = at_port(listening_port());
    struct rlimit before, none;
    struct attempt a;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    start(&a, &b, 1);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect_failure(&a, UV_EMFILE);
    ck_assert(!backend_is_down(b));
}
END_TEST

START_TEST(the_taken_socket_reports_to_its_new_owner) {
    uint16_t port;
    int listening = bind_port(&port);
    ck_assert_int_eq(listen(listening, 4), 0);
    struct backend *b = at_port(port);
    struct attempt a;
    start(&a, &b, 1);
    wait_until(a.done > 0);
    ck_assert_int_eq(a.status, 0);
    ck_assert_int_eq(poller_watch(poller, &a.socket, POLLER_READABLE), 0);
    int accepted = keep(accept(listening, NULL, NULL));
    ck_assert_int_eq(write(accepted, "x", 1), 1);
    wait_until(a.events > 0);
    poll_handle_close(&a.socket);
}
END_TEST

/* Starts a dial that has no answer yet. `backend` is the dial's until it is done. Returns the
 * listening socket. */
static int start_at_silent_port(struct attempt *a, struct backend **backend) {
    uint16_t port;
    int listening = bind_silent_port(&port);
    *backend = at_port(port);
    start(a, backend, 1);
    turn_a_while();
    ck_assert_uint_eq(a->done, 0);
    return listening;
}

/* Linux sends its SYN again after a second. */
START_TEST(a_slow_broker_is_reached) {
    struct attempt a;
    struct backend *b;
    int listening = start_at_silent_port(&a, &b);
    keep(accept(listening, NULL, NULL));
    wait_until(a.done > 0);
    ck_assert_msg(a.status == 0, "%s", uv_strerror(a.status));
    ck_assert_int_eq(poller_watch(poller, &a.socket, POLLER_READABLE), 0);
    ck_assert_int_eq(write(keep(accept(listening, NULL, NULL)), "x", 1), 1);
    wait_until(a.events > 0);
    poll_handle_close(&a.socket);
}
END_TEST

START_TEST(a_late_refusal_is_reported) {
    struct attempt a;
    struct backend *b;
    int listening = start_at_silent_port(&a, &b);
    ck_assert_int_eq(shutdown(listening, SHUT_RDWR),
                     0); /* still bound: nobody else gets the port */
    expect_failure(&a, UV_ECONNREFUSED);
    ck_assert(backend_is_down(b));
}
END_TEST

static void free_attempt(struct dial *dial, int status) {
    struct poll_handle taken = {.fd = -1};
    if (status == 0) {
        dial_take(dial, &taken);
        poll_handle_close(&taken);
    }
    free(dial);
    names.error = status; /* marks that it was called */
}

START_TEST(the_callback_may_free_the_dial) {
    struct backend *backends[] = {at_port(refusing_port()), at_port(listening_port())};
    for (size_t i = 0; i < COUNT(backends); i++) {
        struct dial *dial = malloc(sizeof *dial);
        struct dial_target target = target_of(&backends[i], 1);
        names.error = 1;
        dial_start(dial, &dialer, &target, free_attempt);
        if (names.error > 0) {
            dial_expire(dial); /* it waits for the broker */
        }
        ck_assert_int_le(names.error, 0);
    }
}
END_TEST

/* --- several addresses, several backends --- */

START_TEST(the_second_address_of_a_name_is_tried) {
    struct backend *b = named();
    struct attempt a;
    name_has(refusing_port());
    name_has(listening_port());
    start(&a, &b, 1);
    expect_connection(&a, 0);
    ck_assert(!backend_is_down(b));
}
END_TEST

START_TEST(after_a_silent_address_expires_the_next_one_is_tried) {
    struct backend *b = named();
    struct attempt a;
    name_has(silent_port());
    name_has(listening_port());
    start(&a, &b, 1);
    wait_until(names.calls == 1);
    turn_a_while();
    ck_assert_uint_eq(a.done, 0);
    dial_expire(&a.dial);
    expect_connection(&a, 0);
    ck_assert(!backend_is_down(b));
}
END_TEST

START_TEST(addresses_beyond_those_kept_are_ignored) {
    struct backend *b = named();
    struct attempt a;
    uint16_t refusing = refusing_port();
    for (size_t i = 0; i < COUNT(names.found); i++) {
        name_has(refusing);
    }
    start(&a, &b, 1);
    expect_failure(&a, UV_ECONNREFUSED);
}
END_TEST

START_TEST(the_second_backend_is_tried_and_the_first_one_is_skipped_afterwards) {
    uint16_t port;
    int first = bind_port(&port);
    struct backend *backends[] = {at_port(port), at_port(listening_port())};
    struct attempt a;
    start(&a, backends, 2);
    expect_connection(&a, 1);
    ck_assert(backend_is_down(backends[0]));
    ck_assert_int_eq(listen(first, 4), 0); /* it would take a connection, but is known as down */
    start(&a, backends, 2);
    expect_connection(&a, 1);
}
END_TEST

START_TEST(when_all_are_down_a_dial_waits_for_the_first_that_is_back) {
    uint16_t port;
    int second = bind_port(&port);
    struct backend *backends[] = {at_port(refusing_port()), at_port(port)};
    struct attempt a;
    start(&a, backends, 2);
    expect_failure(&a, UV_ECONNREFUSED);
    ck_assert(backends_all_down(backends, 2));
    start(&a, backends, 2);
    turn_a_while();
    ck_assert_uint_eq(a.done, 0);
    ck_assert_int_eq(listen(second, 4), 0);
    expect_connection(&a, 1);
    ck_assert(backend_is_down(backends[0]));
    ck_assert(!backend_is_down(backends[1]));
}
END_TEST

START_TEST(the_last_failure_is_the_one_reported) {
    struct backend *backends[] = {at_port(refusing_port()), at_port(silent_port())};
    struct attempt a;
    start(&a, backends, 2);
    turn_a_while();
    ck_assert(backend_is_down(backends[0]));
    dial_expire(&a.dial);
    expect_failure(&a, UV_ETIMEDOUT);
}
END_TEST

/* --- names --- */

START_TEST(dials_for_one_name_share_its_lookup) {
    struct backend *b = named();
    struct attempt attempts[3];
    name_has(listening_port());
    hold_names(true);
    for (size_t i = 0; i < COUNT(attempts); i++) {
        start(&attempts[i], &b, 1);
    }
    wait_until(names.calls == 1);
    turn_a_while();
    hold_names(false);
    for (size_t i = 0; i < COUNT(attempts); i++) {
        expect_connection(&attempts[i], 0);
    }
    ck_assert_uint_eq(names.calls, 1);
}
END_TEST

START_TEST(each_dial_of_a_shared_lookup_reports_its_own_failure) {
    struct backend *b = named();
    struct attempt attempts[3];
    name_has(refusing_port());
    hold_names(true);
    for (size_t i = 0; i < COUNT(attempts); i++) {
        start(&attempts[i], &b, 1);
    }
    hold_names(false);
    for (size_t i = 0; i < COUNT(attempts); i++) {
        expect_failure(&attempts[i], UV_ECONNREFUSED);
    }
}
END_TEST

START_TEST(the_addresses_of_a_name_are_kept_until_a_failure) {
    uint16_t port;
    int fd = bind_port(&port);
    ck_assert_int_eq(listen(fd, 4), 0);
    struct backend *b = named();
    struct attempt a;
    name_has(port);
    for (int i = 0; i < 2; i++) {
        start(&a, &b, 1);
        expect_connection(&a, 0);
    }
    ck_assert_uint_eq(names.calls, 1);
    names.found[0].sin_port = htons(refusing_port());
    backend_forget_addresses(b);
    start(&a, &b, 1);
    expect_failure(&a, UV_ECONNREFUSED);
    ck_assert_uint_ge(names.calls, 2);
    /* The name has its first address again, which a new lookup finds. */
    unsigned calls = names.calls;
    names.found[0].sin_port = htons(port);
    start(&a, &b, 1);
    expect_connection(&a, 0);
    ck_assert_uint_gt(names.calls, calls);
}
END_TEST

START_TEST(an_unknown_name_is_down_and_the_next_backend_is_tried) {
    struct backend *backends[] = {named(), at_port(listening_port())};
    struct attempt a;
    names.error = EAI_NONAME;
    start(&a, backends, 1);
    expect_failure(&a, UV_EAI_NONAME);
    ck_assert(backend_is_down(backends[0]));
    start(&a, backends, 2);
    expect_connection(&a, 1);
}
END_TEST

START_TEST(a_name_without_addresses_is_down) {
    struct backend *b = named();
    struct attempt a;
    start(&a, &b, 1);
    expect_failure(&a, UV_EAI_NODATA);
    ck_assert(backend_is_down(b));
}
END_TEST

START_TEST(after_a_slow_lookup_expires_the_next_backend_is_tried) {
    struct backend *backends[] = {named(), at_port(listening_port())};
    struct attempt a;
    name_has(refusing_port());
    hold_names(true);
    start(&a, backends, 2);
    wait_until(names.calls == 1);
    dial_expire(&a.dial);
    expect_connection(&a, 1);
    ck_assert(backend_is_down(backends[0]));
    hold_names(false);
    turn_a_while();
    ck_assert_uint_eq(a.done, 1);
}
END_TEST

/* libuv looks up two names at a time: the others have not begun. */
START_TEST(lookups_that_have_not_begun_are_cancelled_with_the_dialler) {
    static const char *const hosts[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct attempt attempts[COUNT(hosts)];
    struct backend *backends[COUNT(hosts)];
    hold_names(true);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        backends[i] = make_backend(hosts[i], 1883, NULL);
        start(&attempts[i], &backends[i], 1);
    }
    wait_until(names.calls > 0);
    for (size_t i = 0; i < COUNT(hosts); i++) {
        dial_cancel(&attempts[i].dial);
    }
    dialer_close(&dialer);
    hold_names(false);
    uv_run(&loop, UV_RUN_DEFAULT); /* returns: every lookup is over */
    ck_assert_uint_lt(names.calls, COUNT(hosts));
    for (size_t i = 0; i < COUNT(hosts); i++) {
        ck_assert_uint_eq(attempts[i].done, 0);
        ck_assert(!backend_is_down(backends[i]));
    }
}
END_TEST

/* --- giving up --- */

START_TEST(a_dial_is_cancelled_in_every_state) {
    struct backend *name = named(), *silent = at_port(silent_port());
    struct backend *listening = at_port(listening_port());
    struct attempt a = {0};
    dial_cancel(&a.dial); /* never started */

    hold_names(true);
    name_has(refusing_port());
    start(&a, &name, 1);
    dial_cancel(&a.dial);
    dial_cancel(&a.dial);
    hold_names(false);
    turn_a_while();
    ck_assert_uint_eq(a.done, 0);
    ck_assert(!dial_is_under_way(&a.dial));

    start(&a, &silent, 1);
    ck_assert(dial_is_under_way(&a.dial));
    dial_cancel(&a.dial);
    ck_assert_int_eq(a.dial.handle.fd, -1);
    turn_a_while();
    ck_assert_uint_eq(a.done, 0);
    ck_assert(!backend_is_down(silent));

    start(&a, &listening, 1);
    expect_connection(&a, 0);
    dial_cancel(&a.dial); /* over */
    ck_assert_uint_eq(a.done, 1);
}
END_TEST

START_TEST(cancelling_one_dial_of_a_shared_lookup_does_not_affect_the_others) {
    struct backend *b = named();
    struct attempt attempts[3];
    name_has(listening_port());
    hold_names(true);
    for (size_t i = 0; i < COUNT(attempts); i++) {
        start(&attempts[i], &b, 1);
    }
    dial_cancel(&attempts[1].dial);
    hold_names(false);
    expect_connection(&attempts[0], 0);
    expect_connection(&attempts[2], 0);
    ck_assert_uint_eq(attempts[1].done, 0);
}
END_TEST

static struct attempt *to_cancel;

static void cancel_another(struct dial *dial, int status) {
    on_done(dial, status);
    dial_cancel(&to_cancel->dial);
}

START_TEST(a_callback_may_cancel_the_next_dial_of_the_same_lookup) {
    struct backend *b = named();
    struct attempt attempts[2];
    name_has(listening_port());
    hold_names(true);
    start(&attempts[0], &b, 1);
    start(&attempts[1], &b, 1);
    attempts[0].dial.done = cancel_another;
    to_cancel = &attempts[1];
    hold_names(false);
    expect_connection(&attempts[0], 0);
    turn_a_while();
    ck_assert_uint_eq(attempts[1].done, 0);
}
END_TEST

/* --- probes --- */

START_TEST(a_successful_probe_marks_a_backend_as_up) {
    uint16_t port;
    int fd = bind_port(&port);
    struct backend *b = at_port(port);
    struct attempt a;
    start(&a, &b, 1);
    expect_failure(&a, UV_ECONNREFUSED);
    ck_assert(!backend_claim_probe(b)); /* one is on its way */
    ck_assert_int_eq(listen(fd, 4), 0);
    wait_until(!backend_is_down(b));
    wait_until(backend_claim_probe(b)); /* and it is over */
    backend_release_probe(b);
}
END_TEST

START_TEST(a_probe_gives_up_a_silent_address_and_tries_the_next) {
    struct backend *b = named();
    name_has(silent_port());
    name_has(listening_port());
    backend_mark_down(b, UV_ETIMEDOUT, uv_now(&loop));
    struct dial_target target = target_of(&b, 1);
    prober_watch(&prober, &target);
    wait_until(!backend_is_down(b));
}
END_TEST

START_TEST(a_backend_found_down_by_another_thread_is_probed_too) {
    struct backend *backends[] = {at_port(listening_port()), at_port(listening_port())};
    struct dial_target target = target_of(backends, 2);
    struct attempt a;
    backend_mark_down(backends[0], UV_ECONNREFUSED, uv_now(&loop));
    start(&a, backends, 2);
    expect_connection(&a, 1); /* the first was passed over */
    ck_assert(!backend_claim_probe(backends[0]));
    backend_mark_down(backends[1], UV_ECONNREFUSED, uv_now(&loop));
    prober_watch(&prober, &target);
    ck_assert(!backend_claim_probe(backends[1]));
    wait_until(!backend_is_down(backends[0]) && !backend_is_down(backends[1]));
}
END_TEST

START_TEST(a_backend_without_users_is_no_longer_probed) {
    struct backend *b = at_port(refusing_port());
    struct dial_target target = target_of(&b, 1);
    backend_mark_down(b, UV_ECONNREFUSED, uv_now(&loop));
    prober_watch(&prober, &target);
    backend_put(b);
    wait_until(!backend_is_down(b));
    ck_assert(backend_claim_probe(b));
}
END_TEST

START_TEST(a_closed_prober_starts_no_probe) {
    struct backend *b = at_port(refusing_port());
    struct dial_target target = target_of(&b, 1);
    backend_mark_down(b, UV_ECONNREFUSED, uv_now(&loop));
    prober_watch(&prober, &target);
    prober_close(&prober);
    ck_assert(backend_claim_probe(b)); /* its own probe has ended */
    backend_release_probe(b);
    prober_watch(&prober, &target);
    ck_assert(backend_claim_probe(b));
}
END_TEST

/* --- backends --- */

START_TEST(all_listeners_that_name_a_backend_share_its_record) {
    struct backend *b = named();
    ck_assert_ptr_eq(named(), b);
    ck_assert_ptr_ne(at_port(1), b);
    ck_assert_str_eq(backend_text(b), "broker.example:1883");
    ck_assert_str_eq(backend_host(b), "broker.example");
    ck_assert_uint_eq(backend_port(b), 1883);
    ck_assert_ptr_null(backend_path(b));
    backend_put(b);
    ck_assert(backend_is_used(b));
    backend_put(b);
    ck_assert(!backend_is_used(b));
    backend_put(NULL);
}
END_TEST

START_TEST(addresses_of_a_name_expire_and_numeric_ones_do_not) {
    struct backend *name = named(), *number = at_port(1883);
    struct address found = address_from_bytes((const uint8_t[]){192, 0, 2, 7}, 4, 1883);
    struct address out[BACKEND_ADDRESSES];
    char text[ADDRESS_TEXT_SIZE];
    ck_assert_uint_eq(backend_addresses(name, 0, out), 0);
    backend_store_addresses(name, 1000, &found, 1);
    ck_assert_uint_eq(backend_addresses(name, 10999, out), 1);
    ck_assert_str_eq(address_print(&out[0], text), "192.0.2.7:1883");
    ck_assert_uint_eq(backend_addresses(name, 11000, out), 0);
    backend_store_addresses(name, 20000, &found, 1);
    backend_forget_addresses(name);
    ck_assert_uint_eq(backend_addresses(name, 20000, out), 0);

    backend_forget_addresses(number);
    ck_assert_uint_eq(backend_addresses(number, UINT64_MAX - 1, out), 1);
    ck_assert_str_eq(address_print(&out[0], text), "127.0.0.1:1883");
}
END_TEST

static TCase *add_case(Suite *suite, const char *name) {
    TCase *test = tcase_create(name);
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_set_timeout(test, 2 * PATIENCE_MS / 1000.0);
    suite_add_tcase(suite, test);
    return test;
}

static void add_dials(Suite *suite) {
    TCase *one = add_case(suite, "one address"), *several = add_case(suite, "several");
    tcase_add_test(one, a_broker_that_listens_is_reached);
    tcase_add_test(one, a_refusal_is_reported_and_the_backend_is_down);
    tcase_add_test(one, an_attempt_waits_until_it_is_expired);
    tcase_add_test(one, a_unix_socket_is_reached_and_a_missing_one_is_down);
    tcase_add_test(one, a_full_unix_socket_is_busy_and_not_down);
    tcase_add_test(one, dials_to_a_full_unix_socket_are_served_in_order_as_there_is_room);
    tcase_add_test(one, a_path_that_no_socket_can_have_is_down);
    tcase_add_test(one, running_out_of_descriptors_does_not_mark_the_broker_down);
    tcase_add_test(one, the_taken_socket_reports_to_its_new_owner);
    tcase_add_test(one, a_slow_broker_is_reached);
    tcase_add_test(one, a_late_refusal_is_reported);
    tcase_add_test(one, the_callback_may_free_the_dial);
    tcase_add_test(several, the_second_address_of_a_name_is_tried);
    tcase_add_test(several, after_a_silent_address_expires_the_next_one_is_tried);
    tcase_add_test(several, addresses_beyond_those_kept_are_ignored);
    tcase_add_test(several, the_second_backend_is_tried_and_the_first_one_is_skipped_afterwards);
    tcase_add_test(several, when_all_are_down_a_dial_waits_for_the_first_that_is_back);
    tcase_add_test(several, the_last_failure_is_the_one_reported);
}

static void add_names_and_probes(Suite *suite) {
    TCase *lookup = add_case(suite, "names"), *cancel = add_case(suite, "cancel");
    TCase *probe = add_case(suite, "probes"), *backend = add_case(suite, "backends");
    tcase_add_test(lookup, dials_for_one_name_share_its_lookup);
    tcase_add_test(lookup, each_dial_of_a_shared_lookup_reports_its_own_failure);
    tcase_add_test(lookup, the_addresses_of_a_name_are_kept_until_a_failure);
    tcase_add_test(lookup, an_unknown_name_is_down_and_the_next_backend_is_tried);
    tcase_add_test(lookup, a_name_without_addresses_is_down);
    tcase_add_test(lookup, after_a_slow_lookup_expires_the_next_backend_is_tried);
    tcase_add_test(lookup, lookups_that_have_not_begun_are_cancelled_with_the_dialler);
    tcase_add_test(cancel, a_dial_is_cancelled_in_every_state);
    tcase_add_test(cancel, cancelling_one_dial_of_a_shared_lookup_does_not_affect_the_others);
    tcase_add_test(cancel, a_callback_may_cancel_the_next_dial_of_the_same_lookup);
    tcase_add_test(probe, a_successful_probe_marks_a_backend_as_up);
    tcase_add_test(probe, a_probe_gives_up_a_silent_address_and_tries_the_next);
    tcase_add_test(probe, a_backend_found_down_by_another_thread_is_probed_too);
    tcase_add_test(probe, a_backend_without_users_is_no_longer_probed);
    tcase_add_test(probe, a_closed_prober_starts_no_probe);
    tcase_add_test(backend, all_listeners_that_name_a_backend_share_its_record);
    tcase_add_test(backend, addresses_of_a_name_expire_and_numeric_ones_do_not);
}

int main(void) {
    Suite *suite = suite_create("dial");
    add_dials(suite);
    add_names_and_probes(suite);
    return run_suite(suite, CK_FORK_GETENV);
}
