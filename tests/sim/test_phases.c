/* Each phase of a session by itself: what it makes of every event. */
#include "allocations.h"
#include "backends.h"
#include "fixture.h"
#include "session/closing.h"
#include "session/handshake.h"
#include "session/transfer.h"

static struct client *client;
static struct session *s;

/* A client that is accepted and has said nothing. */
static void accept_client(enum client_kind kind, size_t listener) {
    client = fixture_accept(kind, listener);
    s = world_session(client);
}

/* Lets a client come as far as that phase. */
static void reach(enum phase_id phase, size_t listener) {
    client = fixture_reach(phase, listener);
    s = world_session(client);
}

/* The client's first bytes; it can speak already. */
static void say(size_t len) {
    client->up_max = len;
    while (client->up_sent < len) {
        client_send(client, SIZE_MAX);
    }
}

/* What the client has sent and nobody has read, as an event of that phase. */
static enum verdict feed(const struct phase *phase, size_t most) {
    static uint8_t bytes[SIM_PIPE_MAX];
    ssize_t n = conn_read(&s->client, bytes, most);
    ck_assert_int_gt(n, 0);
    return phase->on_client_bytes(s, bytes, (size_t)n);
}

static void ended(enum verdict verdict, enum reason reason) {
    ck_assert_int_eq(verdict, SESSION_ENDED);
    ck_assert_int_eq(s->phase, PHASE_CLOSING);
    ck_assert_uint_eq(client->lines, 1);
    ck_assert_str_eq(reason_name(client->reason), reason_name(reason));
}

static void next(enum verdict verdict) {
    ck_assert_int_eq(verdict, SESSION_NEXT_PHASE);
    ck_assert_uint_eq(client->lines, 0);
}

static void goes_on(enum verdict verdict) {
    ck_assert_int_eq(verdict, SESSION_GOES_ON);
    ck_assert_uint_eq(client->lines, 0);
}

/* --- hello --- */

START_TEST(a_hello_is_waited_for_until_it_is_whole) {
    accept_client(CLIENT_GOOD, SITE_PLAIN);
    client_send(client, SIZE_MAX);
    goes_on(feed(&phase_hello, 1));
    ck_assert(!s->silent && !deadline_is_set(&s->member.silence));
    ck_assert(deadline_is_set(&s->member.progress));
    goes_on(feed(&phase_hello, 99));
    next(feed(&phase_hello, SIZE_MAX));
    ck_assert_ptr_eq(s->runtime, world.runtime);
    ck_assert_str_eq(s->server_name, "localhost");
}
END_TEST

START_TEST(a_client_gets_the_route_for_its_name) {
    accept_client(CLIENT_GOOD, SITE_IDENTITY);
    ck_assert_ptr_null(session_config(s)->route);
    client_send(client, SIZE_MAX);
    next(feed(&phase_hello, SIZE_MAX));
    ck_assert_str_eq(session_config(s)->route, "local");
    ck_assert_ptr_eq(session_listener(s), &world.runtime->listeners[SITE_IDENTITY].routes[0]);
    accept_client(CLIENT_GOOD, SITE_CHECK); /* has none */
    client_send(client, SIZE_MAX);
    next(feed(&phase_hello, SIZE_MAX));
    ck_assert_ptr_null(session_config(s)->route);
}
END_TEST

/* And it is judged by the lists that are there when the reload comes. */
START_TEST(a_session_keeps_its_route_when_a_reload_takes_it_away) {
    reach(PHASE_CONNECT_PACKET, SITE_IDENTITY);
    world_adopt(SITE_KEEPING);
    world_settle();
    ck_assert_uint_eq(world.runtime->listeners[SITE_IDENTITY].config->route_count, 0);
    ck_assert_str_eq(session_config(s)->route, "local");
    world_adopt(SITE_REVOKING);
    world_settle();
    ck_assert_str_eq(session_config(s)->route, "local");
    ck_assert_uint_eq(client->lines, 0);
}
END_TEST

START_TEST(what_is_not_tls_ends_in_hello) {
    accept_client(CLIENT_PLAINTEXT, SITE_PLAIN);
    client_send(client, SIZE_MAX);
    ended(feed(&phase_hello, SIZE_MAX), REASON_NOT_TLS);
}
END_TEST

START_TEST(a_balancers_header_alone_leaves_its_client_silent) {
    accept_client(CLIENT_SILENT, SITE_BALANCED);
    s->header_due = true;
    goes_on(phase_hello.on_client_bytes(s, (uint8_t *)"PROXY UNKNOWN\r\n", 15));
    ck_assert(!s->header_due && deadline_is_set(&s->member.silence));
}
END_TEST

START_TEST(a_bad_header_ends_in_hello) {
    accept_client(CLIENT_SILENT, SITE_BALANCED);
    s->header_due = true;
    ended(phase_hello.on_client_bytes(s, (uint8_t *)"GET / HT", 8), REASON_BAD_PROXY_HEADER);
}
END_TEST

START_TEST(hello_has_two_deadlines) {
    accept_client(CLIENT_SILENT, SITE_PLAIN);
    ended(phase_hello.on_silence_due(s), REASON_FIRST_BYTE_TIMEOUT);
    accept_client(CLIENT_SILENT, SITE_PLAIN);
    ended(phase_hello.on_progress_due(s), REASON_HANDSHAKE_TIMEOUT);
}
END_TEST

START_TEST(a_client_that_leaves_in_hello_has_closed) {
    accept_client(CLIENT_SILENT, SITE_PLAIN);
    ended(phase_hello.on_client_eof(s), REASON_CLIENT_CLOSED);
    accept_client(CLIENT_SILENT, SITE_PLAIN);
    ended(phase_hello.on_client_error(s, UV_ECONNRESET), REASON_CLIENT_CLOSED);
}
END_TEST

/* --- handshake --- */

START_TEST(a_handshake_is_counted_until_it_waits_for_the_client) {
    accept_client(CLIENT_GOOD, SITE_CERTS);
    client_send(client, SIZE_MAX);
    next(feed(&phase_hello, SIZE_MAX));
    s->phase = PHASE_HANDSHAKE;
    goes_on(phase_handshake.enter(s));
    ck_assert(s->in_steps && s->wait == WAIT_NONE && !list_is_empty(&world.pool.light.fresh));
    ck_assert_uint_eq(limits_handshakes(world.limits, SITE_CERTS), 1);
    list_remove(&s->member.queue);
    goes_on(handshake_step(s));
    ck_assert(!s->in_steps && s->wait == WAIT_FLIGHT);
    ck_assert_uint_eq(limits_handshakes(world.limits, SITE_CERTS), 0);
    const struct wait_list *waits = &world.pool.waits[(size_t)SITE_CERTS * WAIT_KINDS];
    ck_assert_uint_eq(waits[WAIT_FLIGHT].count, 1);
}
END_TEST

START_TEST(the_last_step_completes_the_phase) {
    reach(PHASE_HANDSHAKE, SITE_PLAIN);
    for (int i = 0; i < 4 && !s->established; i++) {
        client_send(client, SIZE_MAX);
        goes_on(feed(&phase_handshake, SIZE_MAX));
        list_remove(&s->member.queue);
        enum verdict verdict = handshake_step(s);
        ck_assert_int_eq(verdict, s->established ? SESSION_NEXT_PHASE : SESSION_GOES_ON);
        client_read(client, SIZE_MAX);
    }
    ck_assert(s->established && s->wait == WAIT_NONE && !s->in_steps);
}
END_TEST

START_TEST(noise_in_the_handshake_ends_it) {
    reach(PHASE_HANDSHAKE, SITE_PLAIN);
    goes_on(phase_handshake.on_client_bytes(s, (uint8_t *)"GET / HTTP/1.0\r\n\r\n", 18));
    enum verdict verdict = handshake_step(s);
    ck_assert_int_eq(verdict, SESSION_ENDED);
    ck_assert(!client->established);
}
END_TEST

START_TEST(last_words_in_the_handshake_are_read_first) {
    reach(PHASE_HANDSHAKE, SITE_PLAIN);
    goes_on(phase_handshake.on_client_bytes(s, (uint8_t *)"\x15\x03\x03\0\x02\x02\x30", 7));
    goes_on(phase_handshake.on_client_eof(s));
    ended(handshake_step(s), REASON_ALERT_RECEIVED);
}
END_TEST

START_TEST(a_client_that_leaves_in_the_handshake_has_closed) {
    reach(PHASE_HANDSHAKE, SITE_PLAIN);
    ended(phase_handshake.on_client_eof(s), REASON_CLIENT_CLOSED);
    reach(PHASE_HANDSHAKE, SITE_PLAIN);
    ended(phase_handshake.on_client_error(s, UV_ECONNRESET), REASON_CLIENT_CLOSED);
    reach(PHASE_HANDSHAKE, SITE_PLAIN);
    ended(phase_handshake.on_progress_due(s), REASON_HANDSHAKE_TIMEOUT);
}
END_TEST

/* --- first byte --- */

static size_t dials(void) {
    size_t count = 0;
    for (struct list *l = world.brokers.next; l != &world.brokers; l = l->next) {
        count++;
    }
    return count;
}

START_TEST(the_broker_is_dialled_at_the_first_byte) {
    reach(PHASE_FIRST_BYTE, SITE_BALANCED);
    ck_assert(s->in_newcomers && s->wait == WAIT_DATA && !deadline_is_set(&s->member.progress));
    ck_assert_uint_eq(s->member.silence.at_ms, loop_now_ms(world.loop) + 7000);
    ck_assert_uint_eq(dials(), 0);
    say(1);
    next(feed(&phase_first_byte, SIZE_MAX));
    ck_assert(s->up == 1 && s->pending->plain.len == 1);
    ck_assert(!s->in_newcomers && s->wait == WAIT_NONE && !deadline_is_set(&s->member.silence));
}
END_TEST

/* Of TLS 1.3, whose client may send data with its last flight. */
static void reach_with_1_3(enum phase_id phase) {
    do {
        reach(phase, SITE_CERTS);
    } while (client->version != TLS1_3_VERSION);
}

START_TEST(a_byte_that_comes_with_the_end_of_the_handshake_is_not_waited_for) {
    reach_with_1_3(PHASE_HANDSHAKE);
    say(1);
    world_turn();
    ck_assert_int_eq(s->phase, PHASE_DIALLING);
    ck_assert(s->up == 1 && s->pending->plain.len == 1 && s->pending->cipher.len == 0);
    ck_assert(!s->in_newcomers && !deadline_is_set(&s->member.silence));
}
END_TEST

START_TEST(key_updates_are_no_first_byte) {
    reach_with_1_3(PHASE_FIRST_BYTE);
    uint64_t due_ms = s->member.silence.at_ms;
    client_update_keys(client, 3);
    client_send(client, SIZE_MAX);
    goes_on(feed(&phase_first_byte, SIZE_MAX));
    ck_assert(s->wait == WAIT_DATA && s->member.silence.at_ms == due_ms);
    client_update_keys(client, 64);
    client_send(client, SIZE_MAX);
    ended(feed(&phase_first_byte, SIZE_MAX), REASON_TLS_ERROR);
}
END_TEST

START_TEST(a_client_without_a_byte_ends_and_no_broker_is_dialled) {
    reach(PHASE_FIRST_BYTE, SITE_BALANCED);
    ended(phase_first_byte.on_silence_due(s), REASON_FIRST_DATA_TIMEOUT);
    reach(PHASE_FIRST_BYTE, SITE_BALANCED);
    ended(phase_first_byte.on_client_eof(s), REASON_CLIENT_TRUNCATED);
    reach(PHASE_FIRST_BYTE, SITE_BALANCED);
    ended(phase_first_byte.on_client_error(s, UV_ECONNRESET), REASON_CLIENT_RESET);
    reach(PHASE_FIRST_BYTE, SITE_BALANCED);
    client_close(client, false); /* close_notify alone: half closed */
    ended(feed(&phase_first_byte, SIZE_MAX), REASON_CLIENT_CLOSED);
    ck_assert_uint_eq(dials(), 0);
}
END_TEST

START_TEST(a_client_that_closes_after_its_first_byte_has_it_brought) {
    reach(PHASE_FIRST_BYTE, SITE_BALANCED);
    say(1);
    client_close(client, false);
    next(feed(&phase_first_byte, SIZE_MAX));
    ck_assert(s->client.ended && s->pending->plain.len == 1);
}
END_TEST

/* --- connect packet --- */

START_TEST(a_connect_is_waited_for_until_it_is_whole) {
    reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    client->up_max = client->up.head_len / 2;
    client_send(client, SIZE_MAX);
    goes_on(feed(&phase_connect_packet, SIZE_MAX));
    while (client->up_sent < client->up.head_len) {
        client->up_max = client->up.head_len;
        client_send(client, SIZE_MAX);
    }
    next(feed(&phase_connect_packet, SIZE_MAX));
    ck_assert_uint_eq(s->pending->plain.len, client->up.head_len);
    ck_assert_uint_eq(s->up, client->up.head_len);
}
END_TEST

START_TEST(a_connect_gets_the_clients_identity) {
    reach(PHASE_CONNECT_PACKET, SITE_IDENTITY);
    client->up_max = client->up.head_len;
    while (client->up_sent < client->up.head_len) {
        client_send(client, SIZE_MAX);
    }
    next(feed(&phase_connect_packet, SIZE_MAX));
    ck_assert_uint_eq(s->pending->plain.len, client->up_at_broker.head_len);
    ck_assert_mem_eq(s->pending->plain.data, client->up_at_broker.head, s->pending->plain.len);
}
END_TEST

START_TEST(another_packet_than_connect_ends_the_session) {
    reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    client->up.head[0] = 0x30;
    client->up_max = 10;
    while (client->up_sent == 0) {
        client_send(client, SIZE_MAX);
    }
    ended(feed(&phase_connect_packet, SIZE_MAX), REASON_NOT_MQTT);
}
END_TEST

START_TEST(without_connect_the_session_ends) {
    reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    ended(phase_connect_packet.on_progress_due(s), REASON_CONNECT_PACKET_TIMEOUT);
    reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    ended(phase_connect_packet.on_client_eof(s), REASON_CLIENT_TRUNCATED);
    reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    ended(phase_connect_packet.on_client_error(s, UV_ECONNRESET), REASON_CLIENT_RESET);
}
END_TEST

/* --- dialling --- */

START_TEST(a_broker_that_takes_it_completes_the_dial) {
    fixture_backends(MOOD_IS_SLOW);
    reach(PHASE_DIALLING, SITE_PLAIN);
    goes_on(phase_dialling.on_served(s));
    struct broker_end *b = container_of(world.brokers.next, struct broker_end, link);
    broker_take(b);
    sim_connected(b->sock);
    poller_dispatch(world.pool.poller);
    ck_assert(conn_is_open(&s->broker) && !list_is_empty(&s->member.ready));
    ck_assert_ptr_eq(b->sock->handle, &s->broker.handle);
    next(phase_dialling.on_served(s));
}
END_TEST

START_TEST(a_dial_has_its_time_for_each_backend) {
    fixture_backends(MOOD_IS_SLOW);
    reach(PHASE_DIALLING, SITE_PLAIN);
    goes_on(phase_dialling.on_progress_due(s)); /* to the second one */
    ended(phase_dialling.on_progress_due(s), REASON_BROKER_TIMEOUT);
}
END_TEST

START_TEST(brokers_that_refuse_are_waited_for_and_end_the_session) {
    fixture_backends(MOOD_REFUSES);
    reach(PHASE_DIALLING, SITE_PLAIN);
    ended(phase_dialling.on_progress_due(s), REASON_BROKER_UNREACHABLE);
}
END_TEST

static void pass_ms(uint64_t ms) {
    for (; ms > 0; ms--) {
        sim_clock_advance(1);
        world_settle();
    }
}

START_TEST(a_broker_that_is_back_in_time_serves_those_who_wait) {
    fixture_backends(MOOD_REFUSES);
    reach(PHASE_DIALLING, SITE_PLAIN);
    pass_ms(500);
    goes_on(phase_dialling.on_served(s));
    fixture_backends(MOOD_TAKES);
    sim_probe_succeed();
    pass_ms(30);
    ck_assert_int_eq(s->phase, PHASE_RELAYING);
}
END_TEST

START_TEST(clients_are_refused_early_once_waiting_has_been_of_no_use) {
    fixture_backends(MOOD_REFUSES);
    reach(PHASE_DIALLING, SITE_PLAIN);
    pass_ms(session_config(s)->connect_timeout_ms - 1);
    ck_assert_uint_eq(fixture_accept(CLIENT_GOOD, SITE_PLAIN)->lines, 0);
    pass_ms(2);
    struct client *late = fixture_connect(CLIENT_GOOD, SITE_PLAIN);
    world_settle();
    ck_assert_str_eq(reason_name(late->reason), "no_backend");
}
END_TEST

/* A unix socket's queue that is full is the broker's way of being slow. */
static void reach_full_queue(void) {
    fixture_backends(MOOD_IS_SLOW);
    reach(PHASE_CONNECT_PACKET, SITE_CHECK);
    client->up_max = client->up.head_len;
    while (client->up_sent < client->up.head_len) {
        client_send(client, SIZE_MAX);
        world_settle();
    }
    ck_assert_int_eq(s->phase, PHASE_DIALLING);
}

START_TEST(a_full_queue_of_the_broker_is_a_wait) {
    reach_full_queue();
    pass_ms(100);
    goes_on(phase_dialling.on_served(s));
    fixture_backends(MOOD_TAKES);
    pass_ms(30);
    ck_assert_int_eq(s->phase, PHASE_RELAYING);
}
END_TEST

START_TEST(a_full_queue_that_stays_full_is_a_timeout) {
    reach_full_queue();
    ended(phase_dialling.on_progress_due(s), REASON_BROKER_TIMEOUT);
}
END_TEST

START_TEST(what_comes_during_the_dial_is_bounded) {
    static uint8_t bytes[POOL_READ_SIZE];
    fixture_backends(MOOD_IS_SLOW);
    reach(PHASE_DIALLING, SITE_PLAIN);
    goes_on(phase_dialling.on_client_bytes(s, bytes, sizeof bytes - 1 - s->pending->cipher.len));
    ck_assert(s->client.reading);
    goes_on(phase_dialling.on_client_bytes(s, bytes, 1));
    ck_assert(!s->client.reading);
}
END_TEST

START_TEST(a_client_that_leaves_with_nothing_for_the_broker_ends_the_dial) {
    fixture_backends(MOOD_IS_SLOW);
    reach(PHASE_DIALLING, SITE_PLAIN);
    ended(phase_dialling.on_client_eof(s), REASON_CLIENT_TRUNCATED);
    reach(PHASE_DIALLING, SITE_PLAIN);
    ended(phase_dialling.on_client_error(s, UV_ECONNRESET), REASON_CLIENT_RESET);
    ck_assert(!dial_is_under_way(&s->pending->dial));
}
END_TEST

START_TEST(a_client_that_leaves_after_its_words_has_them_brought) {
    fixture_backends(MOOD_IS_SLOW);
    reach(PHASE_DIALLING, SITE_PLAIN);
    client->up_max = 100;
    while (client->up_sent < client->up_max) {
        client_send(client, SIZE_MAX);
    }
    goes_on(feed(&phase_dialling, SIZE_MAX));
    goes_on(phase_dialling.on_client_eof(s));
    ck_assert_uint_eq(s->pending->plain.len, 100);
    ck_assert(s->pending->dial.queued.last); /* after those who are still there */
}
END_TEST

/* --- relaying --- */

START_TEST(bytes_pass_and_count) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    client->up_max = 5;
    while (client->up_sent < 5) {
        client_send(client, SIZE_MAX);
    }
    goes_on(feed(&phase_relaying, SIZE_MAX));
    ck_assert_uint_eq(s->up, 5);
    ck_assert_uint_eq(client->broker->sock->out.len, 5);
    goes_on(phase_relaying.on_broker_bytes(s, (uint8_t *)"answer", 6));
    ck_assert_uint_eq(s->down, 6);
    ck_assert_uint_gt(client->sock->out.len, 6);
}
END_TEST

/* A client whose CONNECT its broker has got. */
static void reach_broker(size_t listener) {
    reach(PHASE_CONNECT_PACKET, listener);
    client->up_max = client->up.head_len;
    for (int i = 0; i < 20 && s->phase != PHASE_RELAYING; i++) {
        client_send(client, SIZE_MAX);
        world_settle();
    }
    ck_assert_int_eq(s->phase, PHASE_RELAYING);
}

/* A broker's answer, one byte at a time. */
static void answer(const char *bytes, size_t len) {
    uint64_t before = s->down;
    for (size_t i = 0; i < len; i++) {
        goes_on(phase_relaying.on_broker_bytes(s, (uint8_t *)bytes + i, 1));
    }
    ck_assert_uint_eq(s->down, before + len);
}

START_TEST(a_login_that_the_broker_refuses_names_the_reason) {
    static const struct {
        const char *bytes;
        size_t len;
        uint8_t code;
    } refusals[] = {{"\x20\2\0\4", 4, 4}, {"\x20\2\0\5", 4, 5}, {"\x20\3\0\x86\0", 5, 0x86}};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        reach_broker(i % 2 == 0 ? SITE_CHECK : SITE_IDENTITY);
        answer(refusals[i].bytes, refusals[i].len);
        ck_assert_uint_eq(s->answer.refusal, refusals[i].code);
        ck_assert(!s->answer_open);
        ended(phase_relaying.on_broker_eof(s), REASON_BROKER_REFUSED);
    }
}
END_TEST

START_TEST(a_refused_client_cannot_choose_another_reason) {
    reach_broker(SITE_CHECK);
    answer("\x20\2\0\5", 4);
    ended(phase_relaying.on_client_eof(s), REASON_BROKER_REFUSED);
    reach_broker(SITE_CHECK);
    answer("\x20\2\0\5", 4);
    ended(phase_relaying.on_client_error(s, UV_ECONNRESET), REASON_BROKER_REFUSED);
    reach_broker(SITE_CHECK);
    answer("\x20\2\0\5", 4);
    uint8_t noise[35] = {0x17, 3, 3, 0, 30}; /* a record that cannot be decrypted */
    ended(phase_relaying.on_client_bytes(s, noise, sizeof noise), REASON_BROKER_REFUSED);
}
END_TEST

START_TEST(what_is_no_refusal_of_the_login_changes_nothing) {
    reach_broker(SITE_CHECK);
    answer("\x20\2\0\0\x20\2\0\5", 8); /* only the first packet counts */
    goes_on(phase_relaying.on_broker_eof(s));
    ended(phase_relaying.on_client_eof(s), REASON_BROKER_CLOSED);
    reach(PHASE_RELAYING, SITE_PLAIN);
    answer("\x20\2\0\5", 4);
    goes_on(phase_relaying.on_broker_eof(s));
    ended(phase_relaying.on_client_eof(s), REASON_BROKER_CLOSED);
}
END_TEST

START_TEST(what_a_peer_does_not_take_stops_the_other) {
    static uint8_t bytes[POOL_READ_SIZE];
    reach(PHASE_RELAYING, SITE_PLAIN);
    client->sock->out.capacity = 100;
    goes_on(phase_relaying.on_broker_bytes(s, bytes, sizeof bytes));
    ck_assert(s->client.queue != NULL && !s->broker.reading && s->client.reading);
    ck_assert(deadline_is_set(&s->member.progress));
    goes_on(phase_relaying.on_progress_due(s));
    ended(phase_relaying.on_progress_due(s), REASON_WRITE_TIMEOUT);
}
END_TEST

START_TEST(an_empty_queue_starts_the_other_again) {
    static uint8_t bytes[1000];
    reach(PHASE_RELAYING, SITE_PLAIN);
    client->sock->out.capacity = 100;
    goes_on(phase_relaying.on_broker_bytes(s, bytes, sizeof bytes));
    client->sock->out.capacity = SIM_PIPE_MAX;
    ck_assert_int_eq(conn_flush(&s->client), 0);
    goes_on(phase_relaying.on_sent(s, &s->client));
    ck_assert(s->broker.reading && !deadline_is_set(&s->member.progress));
}
END_TEST

START_TEST(a_queue_from_before_the_broker_is_under_write_timeout) {
    accept_client(CLIENT_GOOD, SITE_PLAIN);
    for (int i = 0; i < 20 && s->phase != PHASE_RELAYING; i++) {
        client_send(client, SIZE_MAX);
        client->sock->out.capacity = client->shaken ? 0 : SIM_PIPE_MAX; /* takes no ticket */
        world_settle();
        client_read(client, SIZE_MAX);
    }
    ck_assert_int_eq(s->phase, PHASE_RELAYING);
    ck_assert(s->client.queue != NULL && !s->broker.reading);
    ck_assert(deadline_is_set(&s->member.progress));
}
END_TEST

START_TEST(the_first_side_that_ends_names_the_reason) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    goes_on(phase_relaying.on_broker_eof(s));
    ck_assert(s->broker.ended && s->client.shut && !s->broker.shut_wanted);
    ended(phase_relaying.on_client_eof(s), REASON_BROKER_CLOSED);

    reach(PHASE_RELAYING, SITE_PLAIN);
    client_close(client, false);
    goes_on(feed(&phase_relaying, SIZE_MAX));
    ck_assert(s->client.ended && s->broker.shut && !s->client.shut_wanted);
    ended(phase_relaying.on_broker_eof(s), REASON_CLIENT_CLOSED);
}
END_TEST

START_TEST(an_end_out_of_order_ends_both_sides) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    ended(phase_relaying.on_client_eof(s), REASON_CLIENT_TRUNCATED);
    reach(PHASE_RELAYING, SITE_PLAIN);
    ended(phase_relaying.on_client_error(s, UV_ECONNRESET), REASON_CLIENT_RESET);
    reach(PHASE_RELAYING, SITE_PLAIN);
    ended(phase_relaying.on_broker_error(s, UV_ECONNRESET), REASON_BROKER_RESET);
    reach(PHASE_RELAYING, SITE_PLAIN);
    ended(phase_relaying.on_send_error(s, &s->broker, UV_EPIPE), REASON_BROKER_RESET);
}
END_TEST

/* A client that sends until nothing is read from it any more. */
static void fill_up(void) {
    client->up_max = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        client_send(client, SIZE_MAX);
        world_settle();
    }
    ck_assert(!s->client.reading && client->sock->in.len > 0);
    ck_assert_uint_eq(client->lines, 0);
}

/* Its broker takes next to nothing. */
static void reach_deaf_broker(void) {
    reach_broker(SITE_CHECK);
    answer("\x20\2\0\0", 4);
    client->broker->sock->out.fixed = true;
    client->broker->sock->out.capacity = 100;
}

static void was_reset(void) {
    ck_assert_uint_eq(client->lines, 1);
    ck_assert_str_eq(reason_name(client->reason), "client_reset");
}

START_TEST(a_reset_is_seen_while_the_client_is_not_read) {
    reach_deaf_broker();
    fill_up();
    client_reset(client);
    world_settle();
    was_reset();

    fixture_backends(MOOD_IS_SLOW);
    reach(PHASE_DIALLING, SITE_PLAIN);
    fill_up();
    client_reset(client);
    world_settle();
    was_reset();
    ck_assert_ptr_null(world_session(client)); /* and its dial with it */
}
END_TEST

START_TEST(a_reset_is_seen_that_comes_before_reading_stops) {
    reach_deaf_broker();
    client->up_max = UINT64_MAX;
    for (int i = 0; i < 4; i++) {
        client_send(client, SIZE_MAX);
    }
    client_reset(client);
    world_settle();
    was_reset();
}
END_TEST

START_TEST(a_client_that_ends_while_it_is_not_read_is_brought_to_its_broker) {
    for (int i = 0; i < 2; i++) {
        reach_deaf_broker();
        fill_up();
        client_fin(client);
        world_settle();
        ck_assert_uint_eq(client->lines, 0);
        if (i == 1) { /* it is gone, and answers what comes late */
            client_reset(client);
            world_settle();
            ck_assert_uint_eq(client->lines, 0);
        }
        uint64_t before = s->up;
        size_t unread = client->sock->in.len;
        client->broker->sock->out.capacity = SIM_PIPE_MAX;
        for (int turn = 0; turn < 20; turn++) {
            broker_read(client->broker, SIZE_MAX);
            world_settle();
        }
        ck_assert_uint_gt(client->up_sent, before);
        ck_assert(unread > 0 && client->broker->up_got > before);
        ck_assert_str_eq(reason_name(client->reason), "client_truncated");
    }
}
END_TEST

START_TEST(a_reset_after_an_end_in_order_is_just_a_close) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    goes_on(phase_relaying.on_broker_eof(s));
    ended(phase_relaying.on_client_error(s, UV_ECONNRESET), REASON_BROKER_CLOSED);
    ck_assert(!conn_is_open(&s->client) && !conn_is_open(&s->broker)); /* nobody is waited for */
}
END_TEST

START_TEST(a_client_that_breaks_when_it_gets_the_end_is_no_reset) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    client_reset(client);
    ended(phase_relaying.on_broker_eof(s), REASON_BROKER_CLOSED);
    ck_assert(!conn_is_open(&s->client) && !conn_is_open(&s->broker));
}
END_TEST

START_TEST(nothing_follows_bytes_that_were_lost) {
    static const uint8_t bytes[1000];
    reach(PHASE_RELAYING, SITE_PLAIN);
    client->sock->out.capacity = client->sock->out.len + 100;
    (void)allocations_fail_one_in(1); /* no memory for the queue */
    enum verdict verdict = transfer_send(s, &s->client, bytes, sizeof bytes);
    (void)allocations_fail_one_in(0);
    ended(verdict, REASON_OUT_OF_MEMORY);
    client->sock->out.capacity = SIM_PIPE_MAX;
    size_t sent = client->sock->out.len;
    world_settle();
    ck_assert_uint_eq(client->sock->out.len, sent);
    ck_assert_int_eq(s->client.queue == NULL && s->client.cut, true);
}
END_TEST

START_TEST(without_memory_for_close_notify_there_is_no_end_in_order) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    buf_free(&world.pool.sealed);
    (void)allocations_fail_one_in(1);
    enum verdict verdict = phase_relaying.on_broker_eof(s);
    (void)allocations_fail_one_in(0);
    ended(verdict, REASON_OUT_OF_MEMORY);
}
END_TEST

START_TEST(silence_has_three_names) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    ended(phase_relaying.on_silence_due(s), REASON_FIRST_DATA_TIMEOUT);
    reach(PHASE_RELAYING, SITE_PLAIN);
    say(1);
    goes_on(feed(&phase_relaying, SIZE_MAX));
    ended(phase_relaying.on_silence_due(s), REASON_IDLE_TIMEOUT);
    reach(PHASE_RELAYING, SITE_PLAIN);
    goes_on(phase_relaying.on_broker_eof(s));
    ended(phase_relaying.on_silence_due(s), REASON_CLOSE_TIMEOUT);
}
END_TEST

START_TEST(a_broker_that_speaks_first_does_not_speak_for_its_client) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    uint64_t due_ms = s->member.silence.at_ms;
    ck_assert(s->in_newcomers && s->wait == WAIT_DATA && due_ms == loop_now_ms(world.loop) + 7000);
    goes_on(phase_relaying.on_broker_bytes(s, (uint8_t *)"welcome", 7));
    ck_assert(s->in_newcomers && s->member.silence.at_ms == due_ms);
    say(1);
    goes_on(feed(&phase_relaying, SIZE_MAX));
    ck_assert(!s->in_newcomers && s->wait == WAIT_NONE);
    ck_assert_uint_eq(s->member.silence.at_ms, loop_now_ms(world.loop) + 40000); /* idle */
}
END_TEST

/* --- closing --- */

static void begin_closing(void) {
    reach(PHASE_RELAYING, SITE_PLAIN);
    session_end_now(s, REASON_DRAINED, NULL);
    ck_assert_int_eq(s->phase, PHASE_CLOSING);
    ck_assert(s->client.shut && s->broker.shut);
}

START_TEST(a_closing_session_waits_for_both_ends) {
    begin_closing();
    ck_assert_int_eq(phase_closing.on_broker_bytes(s, NULL, 100), SESSION_GOES_ON);
    ck_assert_int_eq(phase_closing.on_broker_eof(s), SESSION_GOES_ON);
    ck_assert(!conn_is_open(&s->broker) && conn_is_open(&s->client));
    ck_assert(list_is_empty(&world.pool.closed));
    ck_assert_int_eq(phase_closing.on_client_eof(s), SESSION_GOES_ON);
    ck_assert(!conn_is_open(&s->client) && !list_is_empty(&world.pool.closed));
}
END_TEST

START_TEST(a_closing_session_waits_two_seconds) {
    begin_closing();
    ck_assert(deadline_is_set(&s->member.silence));
    ck_assert_uint_eq(s->member.silence.at_ms, loop_now_ms(world.loop) + 2000);
    ck_assert_int_eq(phase_closing.on_silence_due(s), SESSION_GOES_ON);
    ck_assert(!list_is_empty(&world.pool.closed));
    ck_assert_uint_eq(client->lines, 1);
}
END_TEST

static void add_until_the_dial(TCase *test) {
    tcase_add_test(test, a_hello_is_waited_for_until_it_is_whole);
    tcase_add_test(test, a_client_gets_the_route_for_its_name);
    tcase_add_test(test, a_session_keeps_its_route_when_a_reload_takes_it_away);
    tcase_add_test(test, what_is_not_tls_ends_in_hello);
    tcase_add_test(test, a_balancers_header_alone_leaves_its_client_silent);
    tcase_add_test(test, a_bad_header_ends_in_hello);
    tcase_add_test(test, hello_has_two_deadlines);
    tcase_add_test(test, a_client_that_leaves_in_hello_has_closed);
    tcase_add_test(test, a_handshake_is_counted_until_it_waits_for_the_client);
    tcase_add_test(test, the_last_step_completes_the_phase);
    tcase_add_test(test, noise_in_the_handshake_ends_it);
    tcase_add_test(test, last_words_in_the_handshake_are_read_first);
    tcase_add_test(test, a_client_that_leaves_in_the_handshake_has_closed);
    tcase_add_test(test, the_broker_is_dialled_at_the_first_byte);
    tcase_add_test(test, a_byte_that_comes_with_the_end_of_the_handshake_is_not_waited_for);
    tcase_add_test(test, key_updates_are_no_first_byte);
    tcase_add_test(test, a_client_without_a_byte_ends_and_no_broker_is_dialled);
    tcase_add_test(test, a_client_that_closes_after_its_first_byte_has_it_brought);
    tcase_add_test(test, a_connect_is_waited_for_until_it_is_whole);
    tcase_add_test(test, a_connect_gets_the_clients_identity);
    tcase_add_test(test, another_packet_than_connect_ends_the_session);
    tcase_add_test(test, without_connect_the_session_ends);
}

static void add_from_the_dial_on(TCase *test) {
    tcase_add_test(test, a_broker_that_takes_it_completes_the_dial);
    tcase_add_test(test, a_dial_has_its_time_for_each_backend);
    tcase_add_test(test, brokers_that_refuse_are_waited_for_and_end_the_session);
    tcase_add_test(test, a_broker_that_is_back_in_time_serves_those_who_wait);
    tcase_add_test(test, clients_are_refused_early_once_waiting_has_been_of_no_use);
    tcase_add_test(test, a_full_queue_of_the_broker_is_a_wait);
    tcase_add_test(test, a_full_queue_that_stays_full_is_a_timeout);
    tcase_add_test(test, what_comes_during_the_dial_is_bounded);
    tcase_add_test(test, a_client_that_leaves_with_nothing_for_the_broker_ends_the_dial);
    tcase_add_test(test, a_client_that_leaves_after_its_words_has_them_brought);
    tcase_add_test(test, bytes_pass_and_count);
    tcase_add_test(test, a_login_that_the_broker_refuses_names_the_reason);
    tcase_add_test(test, a_refused_client_cannot_choose_another_reason);
    tcase_add_test(test, what_is_no_refusal_of_the_login_changes_nothing);
    tcase_add_test(test, what_a_peer_does_not_take_stops_the_other);
    tcase_add_test(test, an_empty_queue_starts_the_other_again);
    tcase_add_test(test, a_queue_from_before_the_broker_is_under_write_timeout);
    tcase_add_test(test, the_first_side_that_ends_names_the_reason);
    tcase_add_test(test, an_end_out_of_order_ends_both_sides);
    tcase_add_test(test, a_reset_is_seen_while_the_client_is_not_read);
    tcase_add_test(test, a_reset_is_seen_that_comes_before_reading_stops);
    tcase_add_test(test, a_client_that_ends_while_it_is_not_read_is_brought_to_its_broker);
    tcase_add_test(test, a_reset_after_an_end_in_order_is_just_a_close);
    tcase_add_test(test, a_client_that_breaks_when_it_gets_the_end_is_no_reset);
    tcase_add_test(test, nothing_follows_bytes_that_were_lost);
    tcase_add_test(test, without_memory_for_close_notify_there_is_no_end_in_order);
    tcase_add_test(test, silence_has_three_names);
    tcase_add_test(test, a_broker_that_speaks_first_does_not_speak_for_its_client);
    tcase_add_test(test, a_closing_session_waits_for_both_ends);
    tcase_add_test(test, a_closing_session_waits_two_seconds);
}

int main(void) {
    Suite *suite = suite_create("phases");
    TCase *test = tcase_create("phases");
    fixture_add(test);
    add_until_the_dial(test);
    add_from_the_dial_on(test);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
