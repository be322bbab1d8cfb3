/* Dials of several threads, on a clock that is turned by hand and with sockets in memory: how a
 * broker's bounds are kept, what waits and in which order, and what happens to thousands of clients
 * whose broker is restarted. */
#include "../unit/run.h"
#include "broker/dial.h"
#include "broker/probe.h"
#include "core/log.h"
#include "loop.h"
#include "random.h"
#include "sockets.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, TIME_LIMIT_MS = 5000, BEGIN_MS = 1000 };

static struct poller *poller;
static struct dialer dialers[THREADS];
static struct prober probers[THREADS];
static struct backend_table *table;
static struct config_dials bounds;
static const struct config_sources any_source;

/* --- the broker --- */

/* It takes so many connections from its queue in each millisecond. A request that finds the queue
 * full is dropped, and sent again by the kernel a second later. */
static struct {
    bool up;
    size_t queued, queue_max, accepts_a_ms;
    struct {
        struct sim_socket *sock;
        uint64_t again_ms;
    } dropped[4096];
    size_t dropped_count;
    unsigned taken[40000]; /* in each millisecond since BEGIN_MS */
    size_t connects, refusals;
    size_t ports; /* that one source has; 0: enough */
    size_t used[256];
} broker;

static void take(void) {
    broker.queued++;
    broker.taken[sim_clock_ms() - BEGIN_MS]++;
}

static int on_connect(struct sim_socket *sock, const char *path) {
    size_t source = sock->own.family != ADDRESS_NONE ? sock->own.bytes[3] : 1;
    broker.connects++;
    if (broker.ports > 0 && broker.used[source] >= broker.ports) {
        return EADDRNOTAVAIL;
    }
    if (!broker.up) {
        broker.refusals++;
        return ECONNREFUSED;
    }
    if (broker.queued < broker.queue_max) {
        broker.used[source]++;
        take();
        return 0;
    }
    sock->dropped = false; /* see on_closed */
    broker.dropped[broker.dropped_count].sock = sock;
    broker.dropped[broker.dropped_count++].again_ms = sim_clock_ms() + 1000;
    return EINPROGRESS;
}

static void forget(size_t i) {
    broker.dropped[i].sock->dropped = true;
    broker.dropped[i] = broker.dropped[--broker.dropped_count];
}

static void on_closed(struct sim_socket *sock) {
    for (size_t i = 0; i < broker.dropped_count; i++) {
        if (broker.dropped[i].sock == sock) {
            forget(i);
            return;
        }
    }
}

static void broker_works(void) {
    broker.queued -= broker.queued < broker.accepts_a_ms ? broker.queued : broker.accepts_a_ms;
    for (size_t i = broker.dropped_count; i-- > 0;) {
        if (broker.dropped[i].again_ms > sim_clock_ms()) {
            continue;
        }
        broker.dropped[i].again_ms += 1000;
        if (broker.queued < broker.queue_max) {
            struct sim_socket *sock = broker.dropped[i].sock;
            forget(i);
            sim_connected(sock);
            take();
        }
    }
}

/* The most that it was given in any second. */
static unsigned most_in_a_second(void) {
    unsigned sum = 0, most = 0;
    for (size_t i = 0; i < sizeof broker.taken / sizeof *broker.taken; i++) {
        sum += broker.taken[i];
        sum -= i >= 1000 ? broker.taken[i - 1000] : 0;
        most = sum > most ? sum : most;
    }
    return most;
}

/* --- clients --- */

struct client {
    struct dial dial;
    struct dialer *dialer;
    struct backend *backend;
    struct dial_target target;
    bool done;
    int status;
    unsigned refusals;
    uint64_t due_ms, back_ms, done_ms; /* back: after a refusal */
    unsigned place;                    /* who was connected before */
};

static unsigned connected;

static void on_done(struct dial *dial, int status) {
    struct client *c = container_of(dial, struct client, dial);
    struct poll_handle socket = {.fd = -1};
    c->done = true;
    c->status = status;
    c->done_ms = sim_clock_ms();
    if (status == 0) {
        c->place = connected++;
        dial_take(dial, &socket);
        poll_handle_close(&socket);
    } else {
        c->refusals++;
        c->back_ms = sim_clock_ms() + 1000;
    }
}

static void start(struct client *c) {
    c->target = (struct dial_target){
        .backends = &c->backend, .backend_count = 1, .bounds = &bounds, .sources = &any_source};
    c->done = false;
    c->due_ms = sim_clock_ms() + TIME_LIMIT_MS;
    dial_start(&c->dial, c->dialer, &c->target, on_done);
}

static struct backend *the_backend(void) {
    static char text[] = "127.0.0.1:1883", host[] = "127.0.0.1";
    struct config_backend config = {.text = text, .host = host, .port = 1883};
    struct backend *b = backend_get(table, &config);
    ck_assert_ptr_nonnull(b);
    return b;
}

/* Which thread a client is with is up to the kernel. */
static struct client *new_clients(size_t count) {
    struct client *clients = calloc(count, sizeof *clients);
    ck_assert_ptr_nonnull(clients);
    for (size_t i = 0; i < count; i++) {
        clients[i].dialer = &dialers[random_below(THREADS)];
        clients[i].backend = the_backend();
    }
    return clients;
}

static void millisecond(void) {
    sim_clock_advance(1);
    broker_works();
    for (size_t i = 0; i < THREADS; i++) {
        do {
            dialer_on_time(&dialers[i]);
        } while (dialer_next_ms(&dialers[i]) <= sim_clock_ms());
        prober_on_time(&probers[i]);
    }
    while (!sim_poller_is_idle(poller)) {
        poller_dispatch(poller);
    }
}

static void milliseconds(unsigned count) {
    while (count-- > 0) {
        millisecond();
    }
}

/* Those whose time is up, or who come back after a refusal, within this millisecond. True if all
 * are connected. */
static bool look_after(struct client *clients, size_t count) {
    size_t served = 0;
    for (size_t i = 0; i < count; i++) {
        struct client *c = &clients[i];
        served += c->done && c->status == 0;
        if (c->done && c->status != 0 && c->back_ms <= sim_clock_ms()) {
            start(c);
        } else if (!c->done && c->due_ms <= sim_clock_ms()) {
            c->due_ms += TIME_LIMIT_MS;
            dial_expire(&c->dial);
        }
    }
    return served == count;
}

static void setup(void) {
    int status;
    struct sim_hooks hooks = {.on_connect = on_connect, .on_closed = on_closed};
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    random_seed(1);
    sim_sockets_begin(&hooks);
    sim_clock_begin(BEGIN_MS, 0);
    poller = poller_new(&status);
    table = backend_table_new(0);
    for (size_t i = 0; i < THREADS; i++) {
        dialer_init(&dialers[i], NULL, poller);
        prober_init(&probers[i], &dialers[i]);
    }
    memset(&broker, 0, sizeof broker);
    broker.up = true;
    broker.queue_max = broker.accepts_a_ms = SIZE_MAX;
    bounds = (struct config_dials){0};
    connected = 0;
}

static void teardown(void) {
    for (size_t i = 0; i < THREADS; i++) {
        prober_close(&probers[i]);
        dialer_close(&dialers[i]);
        ck_assert_uint_eq(dialer_next_ms(&dialers[i]), UINT64_MAX);
        ck_assert_uint_eq(prober_next_ms(&probers[i]), UINT64_MAX);
    }
    ck_assert_uint_eq(sim_open_descriptors(), 0);
    poller_free(poller);
    backend_table_free(table);
}

/* --- bounds --- */

START_TEST(what_is_too_much_waits_and_is_served_in_order) {
    struct client *clients = new_clients(20);
    bounds.under_way = 5;
    broker.queue_max = 0; /* no answer, until it works again */
    for (size_t i = 0; i < 20; i++) {
        clients[i].dialer = &dialers[0];
        start(&clients[i]);
    }
    ck_assert_uint_eq(broker.connects, 5);
    milliseconds(100);
    ck_assert_uint_eq(broker.connects, 5);
    broker.queue_max = SIZE_MAX;
    milliseconds(1100);
    ck_assert(look_after(clients, 20));
    for (size_t i = 5; i < 20; i++) {
        ck_assert_uint_eq(clients[i].place, i);
    }
    free(clients);
}
END_TEST

START_TEST(those_who_yield_are_served_after_all_others) {
    struct client *clients = new_clients(12);
    bounds.under_way = 1;
    broker.queue_max = 0;
    for (size_t i = 0; i < 12; i++) {
        clients[i].dialer = &dialers[0];
        start(&clients[i]);
        if (i >= 1 && i <= 5) {
            dial_yield(&clients[i].dial);
            dial_yield(&clients[i].dial); /* again is nothing new */
        }
    }
    dial_cancel(&clients[3].dial);
    broker.queue_max = SIZE_MAX;
    milliseconds(1500);
    for (size_t i = 6; i < 12; i++) {
        ck_assert_uint_eq(clients[i].place, i - 5);
    }
    ck_assert(clients[1].place == 7 && clients[2].place == 8 && !clients[3].done);
    ck_assert(clients[4].place == 9 && clients[5].place == 10);
    free(clients);
}
END_TEST

START_TEST(those_who_yield_while_their_broker_is_down_are_served_last_too) {
    struct client *clients = new_clients(20);
    broker.up = false;
    for (size_t i = 0; i < 20; i++) {
        clients[i].dialer = &dialers[0];
        start(&clients[i]);
    }
    for (size_t i = 0; i < 10; i++) {
        dial_yield(&clients[i].dial);
    }
    broker.up = true;
    milliseconds(1000);
    ck_assert(look_after(clients, 20));
    for (size_t i = 0; i < 20; i++) {
        ck_assert_uint_eq(clients[i].place < 10, i >= 10);
    }
    free(clients);
}
END_TEST

START_TEST(the_bound_holds_over_all_threads) {
    struct client *clients = new_clients(400);
    bounds.under_way = 30;
    broker.queue_max = 0;
    for (size_t i = 0; i < 400; i++) {
        start(&clients[i]);
    }
    milliseconds(500);
    ck_assert_uint_eq(broker.connects, 30);
    broker.queue_max = SIZE_MAX;
    for (unsigned i = 0; i < 2000; i++) {
        ck_assert_uint_le(broker.dropped_count, 30);
        millisecond();
    }
    ck_assert(look_after(clients, 400));
    free(clients);
}
END_TEST

START_TEST(one_that_leaves_while_it_waits_leaves_its_place_in_the_queue) {
    struct client *clients = new_clients(3);
    bounds.under_way = 1;
    broker.queue_max = 0;
    for (size_t i = 0; i < 3; i++) {
        start(&clients[i]);
    }
    milliseconds(50);
    dial_cancel(&clients[1].dial);
    ck_assert(!dial_is_under_way(&clients[1].dial));
    dial_cancel(&clients[0].dial); /* under way: gives its place to the third */
    broker.queue_max = SIZE_MAX;
    milliseconds(25);
    ck_assert(clients[2].done && clients[2].status == 0);
    ck_assert(!clients[0].done && !clients[1].done);
    free(clients);
}
END_TEST

START_TEST(those_who_leave_as_their_turn_comes_leave_no_trace) {
    struct client *clients = new_clients(21);
    bounds.under_way = 10;
    broker.queue_max = 0;
    for (size_t i = 0; i < 20; i++) {
        clients[i].dialer = &dialers[0];
        start(&clients[i]);
    }
    for (size_t i = 0; i < 10; i++) {
        dial_cancel(&clients[i].dial);
    }
    sim_clock_advance(20);
    dialer_on_time(&dialers[0]); /* ten may begin, and some of them do in this turn */
    ck_assert(broker.connects > 10 && broker.connects < 20);
    for (size_t i = 10; i < 20; i++) {
        dial_cancel(&clients[i].dial);
    }
    broker.queue_max = SIZE_MAX;
    start(&clients[20]);
    ck_assert(clients[20].done && clients[20].status == 0); /* nobody is before it */
    free(clients);
}
END_TEST

START_TEST(one_whose_turn_does_not_come_is_busy_and_its_broker_not_down) {
    struct client *clients = new_clients(2);
    bounds.under_way = 1;
    broker.queue_max = 0;
    start(&clients[0]);
    start(&clients[1]);
    milliseconds(100);
    dial_expire(&clients[1].dial);
    ck_assert(clients[1].done && clients[1].status == UV_EBUSY);
    ck_assert(!backend_is_down(clients[0].backend));
    dial_cancel(&clients[0].dial);
    free(clients);
}
END_TEST

START_TEST(an_attempt_that_began_after_a_wait_has_its_time) {
    struct client *clients = new_clients(2);
    bounds.under_way = 1;
    broker.queue_max = 0;
    start(&clients[0]);
    start(&clients[1]);
    milliseconds(100);
    dial_cancel(&clients[0].dial);
    milliseconds(25);
    ck_assert_uint_eq(broker.connects, 2);
    dial_expire(&clients[1].dial); /* the wait's time */
    ck_assert(!clients[1].done);
    dial_expire(&clients[1].dial);
    ck_assert(clients[1].done && clients[1].status == UV_ETIMEDOUT);
    free(clients);
}
END_TEST

/* --- up and down --- */

START_TEST(one_connect_without_an_answer_does_not_mark_the_broker_down) {
    struct client *clients = new_clients(4);
    for (size_t i = 0; i < 2; i++) {
        broker.queue_max = 0;
        start(&clients[0]);
        milliseconds(1);
        broker.queue_max = SIZE_MAX;
        start(&clients[1]); /* another one is served meanwhile */
        ck_assert(clients[1].done && clients[1].status == 0);
        dial_expire(&clients[0].dial);
        ck_assert_int_eq(clients[0].status, UV_ETIMEDOUT);
    }
    broker.queue_max = 0;
    for (size_t i = 0; i < 3; i++) {
        milliseconds(1);
        ck_assert(!backend_is_down(clients[0].backend));
        start(&clients[i]);
        dial_expire(&clients[i].dial);
        ck_assert_int_eq(clients[i].status, UV_ETIMEDOUT);
    }
    ck_assert(backend_is_down(clients[0].backend)); /* three in a row, and no other */
    free(clients);
}
END_TEST

START_TEST(clients_wait_for_a_broker_that_is_being_restarted) {
    struct client *clients = new_clients(50);
    broker.up = false;
    for (size_t i = 0; i < 50; i++) {
        start(&clients[i]);
    }
    milliseconds(1500);
    ck_assert(backend_is_down(clients[0].backend));
    ck_assert_uint_lt(broker.refusals, 12); /* the first, and probes */
    broker.up = true;
    milliseconds(500);
    ck_assert(look_after(clients, 50));
    ck_assert(!backend_is_down(clients[0].backend));
    free(clients);
}
END_TEST

/* Established sessions are served between two turns. */
START_TEST(those_who_waited_for_a_broker_do_not_all_dial_in_one_turn) {
    struct client *clients = new_clients(50);
    broker.up = false;
    for (size_t i = 0; i < 50; i++) {
        clients[i].dialer = &dialers[0];
        start(&clients[i]);
    }
    broker.up = true;
    backend_mark_up(clients[0].backend, sim_clock_ms());
    sim_clock_advance(20);
    size_t before = broker.connects, turns = 0;
    for (; dialer_next_ms(&dialers[0]) <= sim_clock_ms(); turns++) {
        size_t connects = broker.connects;
        dialer_on_time(&dialers[0]);
        ck_assert_uint_le(broker.connects - connects, 8);
    }
    ck_assert_uint_eq(broker.connects - before, 50);
    ck_assert_uint_ge(turns, 50 / 8);
    free(clients);
}
END_TEST

START_TEST(a_wait_for_a_broker_ends_with_the_reason_why_it_is_down) {
    struct client *clients = new_clients(2);
    broker.up = false;
    start(&clients[0]);
    start(&clients[1]); /* it is known by now */
    ck_assert_uint_eq(broker.refusals, 1);
    for (size_t i = 0; i < 2; i++) {
        dial_expire(&clients[i].dial);
        ck_assert(clients[i].done && clients[i].status == UV_ECONNREFUSED);
    }
    start(&clients[0]);
    dial_cancel(&clients[0].dial);
    ck_assert(!dial_is_under_way(&clients[0].dial));
    free(clients);
}
END_TEST

START_TEST(the_longer_a_broker_is_away_the_less_it_is_probed) {
    static const unsigned spans_ms[] = {1000, 10000, 60000, 600000};
    static const size_t most[] = {11, 11, 13, 121};
    struct client *clients = new_clients(1);
    broker.up = false;
    start(&clients[0]);
    dial_expire(&clients[0].dial);
    for (size_t i = 0; i < 4; i++) {
        size_t before = broker.refusals;
        milliseconds(spans_ms[i]);
        ck_assert_uint_gt(broker.refusals, before);
        ck_assert_uint_le(broker.refusals - before, most[i]);
    }
    free(clients);
}
END_TEST

START_TEST(a_broker_that_is_back_gets_one_probe) {
    struct client *clients = new_clients(1);
    broker.up = false;
    start(&clients[0]);
    dial_expire(&clients[0].dial);
    milliseconds(2000);
    broker.up = true;
    milliseconds(10000);
    ck_assert(!backend_is_down(clients[0].backend));
    ck_assert_uint_eq(most_in_a_second(), 1);
    free(clients);
}
END_TEST

/* --- the herd --- */

static void restart_under(size_t count) {
    struct client *clients = new_clients(count);
    unsigned most = 0;
    bool all = false;
    broker.up = false;
    broker.queue_max = 100; /* as Mosquitto's */
    broker.accepts_a_ms = 8;
    for (size_t i = 0; i < count; i++) {
        start(&clients[i]);
    }
    for (unsigned ms = 0; ms < 11000 && !all; ms++) {
        broker.up = ms >= 1000;
        millisecond();
        all = look_after(clients, count);
    }
    ck_assert(all);
    ck_assert_uint_le(sim_clock_ms() - BEGIN_MS, 11000); /* one second it was away */
    for (size_t i = 0; i < count; i++) {
        most = clients[i].refusals > most ? clients[i].refusals : most;
    }
    ck_assert_uint_le(most, 1);
    ck_assert_uint_le(most_in_a_second(), bounds.rate.count);
    free(clients);
}

START_TEST(thousands_of_clients_of_a_restarted_broker_are_all_served_within_its_bounds) {
    static const struct config_dials some[] = {
        {512, {10000, 1000}}, {256, {2000, 1000}}, {64, {1500, 1000}}};
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        if (i > 0) {
            teardown();
            setup();
        }
        bounds = some[i];
        restart_under(9000);
    }
}
END_TEST

/* --- ports --- */

START_TEST(when_the_ports_of_one_source_are_used_up_the_next_is_taken) {
    struct client *clients = new_clients(500);
    broker.ports = 100;
    for (size_t i = 0; i < 500; i++) {
        start(&clients[i]);
    }
    ck_assert(look_after(clients, 500));
    for (size_t source = 1; source <= 5; source++) {
        ck_assert_uint_eq(broker.used[source], 100);
    }
    ck_assert_uint_le(broker.connects, 500 + 4); /* a full one is asked once */
    free(clients);
}
END_TEST

START_TEST(without_any_port_a_dial_fails_and_its_broker_is_not_down) {
    struct client *clients = new_clients(70);
    broker.ports = 1;
    for (size_t i = 0; i < 64; i++) {
        start(&clients[i]);
        ck_assert(clients[i].done && clients[i].status == 0);
    }
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    start(&clients[64]);
    size_t connects = broker.connects;
    start(&clients[65]); /* which asks for no more of them */
    ck_assert_uint_eq(broker.connects, connects);
    for (size_t i = 64; i < 66; i++) {
        ck_assert(clients[i].done && clients[i].status == UV_EADDRNOTAVAIL);
    }
    ck_assert(!backend_is_down(clients[0].backend));
    broker.used[30] = 0;
    milliseconds(1001);
    start(&clients[66]);
    ck_assert(clients[66].done && clients[66].status == 0);
    free(clients);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("dials");
    TCase *test = tcase_create("dials");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_set_timeout(test, 60);
    tcase_add_test(test, what_is_too_much_waits_and_is_served_in_order);
    tcase_add_test(test, those_who_yield_are_served_after_all_others);
    tcase_add_test(test, those_who_yield_while_their_broker_is_down_are_served_last_too);
    tcase_add_test(test, the_bound_holds_over_all_threads);
    tcase_add_test(test, one_that_leaves_while_it_waits_leaves_its_place_in_the_queue);
    tcase_add_test(test, those_who_leave_as_their_turn_comes_leave_no_trace);
    tcase_add_test(test, one_whose_turn_does_not_come_is_busy_and_its_broker_not_down);
    tcase_add_test(test, an_attempt_that_began_after_a_wait_has_its_time);
    tcase_add_test(test, one_connect_without_an_answer_does_not_mark_the_broker_down);
    tcase_add_test(test, clients_wait_for_a_broker_that_is_being_restarted);
    tcase_add_test(test, those_who_waited_for_a_broker_do_not_all_dial_in_one_turn);
    tcase_add_test(test, a_wait_for_a_broker_ends_with_the_reason_why_it_is_down);
    tcase_add_test(test, the_longer_a_broker_is_away_the_less_it_is_probed);
    tcase_add_test(test, a_broker_that_is_back_gets_one_probe);
    tcase_add_test(test,
                   thousands_of_clients_of_a_restarted_broker_are_all_served_within_its_bounds);
    tcase_add_test(test, when_the_ports_of_one_source_are_used_up_the_next_is_taken);
    tcase_add_test(test, without_any_port_a_dial_fails_and_its_broker_is_not_down);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
