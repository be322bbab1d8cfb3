/* Application protocols (ALPN, RFC 7301): OpenSSL's client offers them, and says what it was
 * answered. */
#include "run.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
static struct pki server;
static const char *server_cert, *server_key;
static struct site site;
static struct tls_shared shared;
static struct tls_context *ctx;

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    server_cert = pki_certs("server.pem", &server, NULL);
    server_key = pki_key("server.key", &server);
}

static void finally(void) {
    pki_free(&server);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    struct error err;
    site_init(&site, server_cert, server_key);
    shared.tickets = tls_tickets_new(&err);
    shared.sessions = tls_session_cache_new(2, &err);
    ck_assert_ptr_nonnull(shared.tickets);
    ck_assert_ptr_nonnull(shared.sessions);
}

static void teardown(void) {
    tls_context_unref(ctx);
    tls_tickets_free(shared.tickets);
    tls_session_cache_free(shared.sessions);
}

/* The listener's protocols; the second may be NULL. */
static void serve(const char *first, const char *second, enum config_alpn_required required) {
    static char *all[2];
    all[0] = (char *)first;
    all[1] = (char *)second;
    site.listener.alpn = (struct config_protocols){all, second != NULL ? 2 : 1};
    site.listener.alpn_required = required;
    ctx = site_load(&site, &shared);
}

/* Each name with its length before it; NULL: the client has no ALPN. */
static SSL_CTX *client_that_offers(int version, const char *list) {
    SSL_CTX *client = client_new(version);
    if (list != NULL) {
        ck_assert_int_eq(
            SSL_CTX_set_alpn_protos(client, (const uint8_t *)list, (unsigned)strlen(list)), 0);
    }
    return client;
}

static bool is_protocol(const uint8_t *name, size_t len, const char *expected) {
    return len == strlen(expected) && (len == 0 || memcmp(name, expected, len) == 0);
}

static void expect_answer(SSL *client, const char *expected) {
    const uint8_t *name;
    unsigned len;
    SSL_get0_alpn_selected(client, &name, &len);
    ck_assert_msg(is_protocol(name, len, expected), "%.*s, not %s", (int)len, (const char *)name,
                  expected);
}

/* A library with HAVE_ALPN (Debian sid's 5.9.2, not ours) resumes a session only with the protocol
 * that it had. */
static bool may_not_resume(const SSL_SESSION *session, const char *expected) {
    const uint8_t *name = NULL;
    size_t len = 0;
    if (session == NULL || !is_distribution_library()) {
        return false;
    }
    SSL_SESSION_get0_alpn_selected(session, &name, &len);
    return !is_protocol(name, len, expected);
}

/* A handshake that succeeds. The session that the client gets, for `session` of the next. */
static SSL_SESSION *visit(SSL_CTX *client, SSL_SESSION *session, const char *expected) {
    struct pair p;
    pair_init(&p, client, "localhost", session);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    pair_send_up(&p, "up", 2);
    pair_send_down(&p, "down", 4);
    expect_answer(p.client, expected);
    ck_assert(SSL_session_reused(p.client) == (session != NULL) ||
              may_not_resume(session, expected));
    engine_close(p.engine, &p.out);
    pair_deliver(&p);
    SSL_shutdown(p.client);
    SSL_SESSION *got = SSL_get1_session(p.client);
    pair_free(&p);
    return got;
}

static void expect(int version, const char *list, const char *expected) {
    SSL_CTX *client = client_that_offers(version, list);
    mark_point();
    SSL_SESSION_free(visit(client, NULL, expected));
    SSL_CTX_free(client);
}

START_TEST(the_first_of_ours_that_the_client_offers_is_the_answer) {
    serve("mqtt", "x-amzn-mqtt-ca", ALPN_NOT_REQUIRED);
    expect(versions[_i], "\4mqtt", "mqtt");
    expect(versions[_i], "\16x-amzn-mqtt-ca", "x-amzn-mqtt-ca");
    expect(versions[_i], "\2h2\16x-amzn-mqtt-ca\10http/1.1", "x-amzn-mqtt-ca");
    expect(versions[_i], "\2h2\16x-amzn-mqtt-ca\4mqtt", "mqtt");
}
END_TEST

START_TEST(what_we_do_not_have_is_ignored) {
    serve("mqtt", NULL, ALPN_NOT_REQUIRED);
    expect(versions[_i], "\2h2\10http/1.1", "");
    expect(versions[_i], "\3mqt\5mqttx\4MQTT", "");
    expect(versions[_i], NULL, "");
}
END_TEST

START_TEST(a_name_may_have_255_characters) {
    char name[256], list[257];
    memset(name, 'n', 255);
    name[255] = '\0';
    snprintf(list, sizeof list, "\xff%s", name);
    serve("n", name, ALPN_NOT_REQUIRED);
    expect(versions[_i], list, name);
}
END_TEST

/* The client gets one alert, in plaintext. */
static void expect_refusal(int version, const char *list) {
    struct pair p;
    SSL_CTX *client = client_that_offers(version, list);
    pair_init(&p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_FAILED);
    ck_assert_str_eq(reason_name(engine_failure(p.engine)), "no_application_protocol");
    ck_assert_uint_eq(engine_alert(p.engine), 120);
    ck_assert_uint_eq(p.down.len, 7);
    ck_assert_uint_eq(p.down.data[6], 120);
    pair_free(&p);
    SSL_CTX_free(client);
}

START_TEST(a_client_without_one_of_ours_is_refused_where_one_is_required) {
    serve("mqtt", NULL, ALPN_REQUIRED);
    expect(versions[_i], "\2h2\4mqtt", "mqtt");
    expect_refusal(versions[_i], "\2h2\10http/1.1");
    expect_refusal(versions[_i], NULL);
}
END_TEST

/* RFC 7301 3.1: not a property of the session. */
static void expect_anew(int version, uint64_t options) {
    SSL_CTX *first = client_that_offers(version, "\4mqtt");
    SSL_CTX *other = client_that_offers(version, "\16x-amzn-mqtt-ca");
    SSL_CTX *none = client_that_offers(version, NULL);
    SSL_CTX *clients[] = {first, first, other, none, first};
    const char *answers[] = {"mqtt", "mqtt", "x-amzn-mqtt-ca", "", "mqtt"};
    SSL_SESSION *session = NULL;
    for (size_t i = 0; i < sizeof clients / sizeof *clients; i++) {
        mark_point();
        SSL_CTX_set_options(clients[i], options);
        SSL_SESSION *next = visit(clients[i], session, answers[i]);
        SSL_SESSION_free(session);
        session = next;
    }
    SSL_SESSION_free(session);
    SSL_CTX_free(first);
    SSL_CTX_free(other);
    SSL_CTX_free(none);
}

START_TEST(a_client_that_resumes_is_answered_anew) {
    serve("mqtt", "x-amzn-mqtt-ca", ALPN_NOT_REQUIRED);
    expect_anew(TLS1_3_VERSION, 0);
    expect_anew(TLS1_2_VERSION, 0);
    expect_anew(TLS1_2_VERSION, SSL_OP_NO_TICKET);
}
END_TEST

START_TEST(a_client_that_resumes_is_refused_as_others) {
    SSL_CTX *client = client_that_offers(versions[_i], NULL);
    serve("mqtt", NULL, ALPN_NOT_REQUIRED);
    SSL_SESSION *session = visit(client, NULL, "");
    tls_context_unref(ctx);
    serve("mqtt", NULL, ALPN_REQUIRED);
    struct pair p;
    pair_init(&p, client, "localhost", session);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_FAILED);
    ck_assert_uint_eq(engine_alert(p.engine), 120);
    pair_free(&p);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}
END_TEST

/* A client that has to send a second hello; the first is answered. */
static void first_hello(struct pair *p) {
    SSL_CTX *client = client_that_offers(TLS1_3_VERSION, "\2h2\4mqtt");
    SSL_CTX_set1_groups_list(client, "P-521:P-384");
    serve("mqtt", NULL, ALPN_NOT_REQUIRED);
    pair_init(p, client, "localhost", NULL);
    SSL_CTX_free(client);
    SSL_do_handshake(p->client);
    pair_collect(p);
    ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
    p->engine = engine_open(ctx, &p->hello);
    p->in = (struct engine_input){p->up.data, p->up.len};
    ck_assert_int_eq(engine_handshake(p->engine, &p->in, &p->out, NULL), ENGINE_MORE);
    p->up.len = 0;
    pair_deliver(p);
}

START_TEST(a_client_that_sends_two_hellos_is_answered_once) {
    struct pair p;
    first_hello(&p);
    expect_answer(p.client, "");
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    expect_answer(p.client, "mqtt");
    pair_free(&p);
}
END_TEST

/* RFC 8446 4.1.2: but for what was asked of it, the second hello is the first. */
START_TEST(a_second_hello_with_other_names_is_refused) {
    static const char *const changes[][2] = {
        {"\2h2\4mqtt", "\2h3\4mqtt"}, {"\2h2\4mqtt", "\4mqtt\2h2"}, {"localhost", "localhosu"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct pair p;
        first_hello(&p);
        SSL_do_handshake(p.client);
        pair_collect(&p);
        size_t len = strlen(changes[i][0]);
        uint8_t *at = memmem(p.up.data, p.up.len, changes[i][0], len);
        ck_assert_ptr_nonnull(at);
        memcpy(at, changes[i][1], len);
        p.in = (struct engine_input){p.up.data, p.up.len};
        ck_assert_int_eq(engine_handshake(p.engine, &p.in, &p.out, NULL), ENGINE_FAILED);
        ck_assert_str_eq(reason_name(engine_failure(p.engine)), "protocol_error");
        ck_assert_uint_eq(engine_alert(p.engine), 47);
        ck_assert_uint_eq(p.out.len, 7);
        pair_free(&p);
        tls_context_unref(ctx);
        ctx = NULL;
    }
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("alpn");
    TCase *tc = tcase_create("alpn");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, the_first_of_ours_that_the_client_offers_is_the_answer, 0, 2);
    tcase_add_loop_test(tc, what_we_do_not_have_is_ignored, 0, 2);
    tcase_add_loop_test(tc, a_name_may_have_255_characters, 0, 2);
    tcase_add_loop_test(tc, a_client_without_one_of_ours_is_refused_where_one_is_required, 0, 2);
    tcase_add_test(tc, a_client_that_resumes_is_answered_anew);
    tcase_add_loop_test(tc, a_client_that_resumes_is_refused_as_others, 0, 2);
    tcase_add_test(tc, a_client_that_sends_two_hellos_is_answered_once);
    if (!is_distribution_library()) {
        tcase_add_test(tc, a_second_hello_with_other_names_is_refused);
    }
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
