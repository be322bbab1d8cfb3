/* Several routes of one listener, as the engine sees them: contexts that must not have a session in
 * common, and server names that nobody has. */
#include "run.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <string.h>

static struct pki server, ca, other_ca, device, other_device;
static const char *server_cert, *server_key, *ca_file, *other_ca_file;
static struct tls_shared shared;

enum { WAYS = 3 };
static const struct {
    int version;
    uint64_t options;
} ways[WAYS] = {{TLS1_2_VERSION, 0},
                {TLS1_2_VERSION, SSL_OP_NO_TICKET /* so by session ID */},
                {TLS1_3_VERSION, 0}};

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make(
        (struct pki_spec){.cn = "localhost", .alt = "DNS:localhost,DNS:*.example.org"}, NULL);
    ca = pki_make((struct pki_spec){.cn = "Acme CA", .ca = 1}, NULL);
    other_ca = pki_make((struct pki_spec){.cn = "Umbrella CA", .ca = 1}, NULL);
    device = pki_make((struct pki_spec){.cn = "device-1", .usage = "clientAuth"}, &ca);
    other_device = pki_make((struct pki_spec){.cn = "device-1", .usage = "clientAuth"}, &other_ca);
    server_cert = pki_certs("server.pem", &server, NULL);
    server_key = pki_key("server.key", &server);
    ca_file = pki_certs("ca.pem", &ca, NULL);
    other_ca_file = pki_certs("other-ca.pem", &other_ca, NULL);
}

static void finally(void) {
    struct pki *all[] = {&server, &ca, &other_ca, &device, &other_device};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    struct error err;
    shared.tickets = tls_tickets_new(&err);
    shared.sessions = tls_session_cache_new(8, &err);
    ck_assert(shared.tickets != NULL && shared.sessions != NULL);
}

static void teardown(void) {
    tls_tickets_free(shared.tickets);
    tls_session_cache_free(shared.sessions);
}

/* Of a route, or with NULL of the listener; with client_ca NULL nobody is asked for anything. */
static struct tls_context *load(const char *route, const char *client_ca,
                                enum config_unknown_name unknown_name) {
    struct site site;
    site_init(&site, server_cert, server_key);
    site.listener.route = (char *)route;
    site.listener.client_ca = (char *)client_ca;
    site.listener.client_auth = client_ca != NULL ? CLIENT_AUTH_REQUIRED : CLIENT_AUTH_NONE;
    site.listener.unknown_name = unknown_name;
    return site_load(&site, &shared);
}

static SSL_CTX *client_on(size_t way, const struct pki *cert) {
    SSL_CTX *client = client_new(ways[way].version);
    SSL_CTX_set_options(client, ways[way].options);
    if (cert != NULL) {
        ck_assert_int_eq(SSL_CTX_use_certificate(client, cert->cert), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, cert->key), 1);
    }
    return client;
}

/* One connection that is let in, and whether it was resumed. The session for the next one. */
static SSL_SESSION *visit(SSL_CTX *client, struct tls_context *ctx, SSL_SESSION *session,
                          bool resumed) {
    struct pair p;
    pair_init(&p, client, "localhost", session);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    pair_send_up(&p, "up", 2);
    pair_send_down(&p, "down", 4);
    ck_assert_int_eq(engine_is_resumed(p.engine), resumed);
    ck_assert_int_eq(SSL_session_reused(p.client), resumed);
    engine_close(p.engine, &p.out);
    pair_deliver(&p);
    SSL_shutdown(p.client);
    SSL_SESSION *got = SSL_get1_session(p.client);
    pair_free(&p);
    return got;
}

static void expect_refusal(SSL_CTX *client, struct tls_context *ctx, const char *name,
                           SSL_SESSION *session, const char *reason) {
    struct pair p;
    pair_init(&p, client, name, session);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_FAILED);
    ck_assert_str_eq(reason_name(engine_failure(p.engine)), reason);
    pair_free(&p);
}

/* Nothing but the names of the routes differs. */
START_TEST(a_session_is_resumed_in_its_own_route_alone) {
    struct tls_context *a = load("a", NULL, UNKNOWN_NAME_SERVE);
    struct tls_context *b = load("b", NULL, UNKNOWN_NAME_SERVE);
    struct tls_context *own = load(NULL, NULL, UNKNOWN_NAME_SERVE);
    struct tls_context *const all[] = {a, b, own};
    SSL_CTX *client = client_on((size_t)_i, NULL);
    for (size_t from = 0; from < 3; from++) {
        for (size_t to = 0; to < 3; to++) {
            mark_point();
            SSL_SESSION *session = visit(client, all[from], NULL, false);
            SSL_SESSION_free(visit(client, all[to], session, from == to));
            SSL_SESSION_free(session);
        }
    }
    SSL_CTX_free(client);
    for (size_t i = 0; i < 3; i++) {
        tls_context_unref(all[i]);
    }
}
END_TEST

/* A reload makes contexts anew; those of the same route know its sessions. */
START_TEST(a_session_is_resumed_in_its_route_after_a_reload) {
    SSL_CTX *client = client_on((size_t)_i, NULL);
    struct tls_context *before = load("a", NULL, UNKNOWN_NAME_SERVE);
    SSL_SESSION *session = visit(client, before, NULL, false);
    struct tls_context *after = load("a", NULL, UNKNOWN_NAME_SERVE);
    SSL_SESSION_free(visit(client, after, session, true));
    SSL_SESSION_free(session);
    tls_context_unref(before);
    tls_context_unref(after);
    SSL_CTX_free(client);
}
END_TEST

START_TEST(a_client_of_an_open_route_does_not_resume_in_a_closed_one) {
    SSL_CTX *client = client_on((size_t)_i, NULL);
    struct tls_context *open = load("open", NULL, UNKNOWN_NAME_SERVE);
    struct tls_context *closed = load("closed", ca_file, UNKNOWN_NAME_SERVE);
    SSL_SESSION *session = visit(client, open, NULL, false);
    expect_refusal(client, closed, "localhost", session, "no_certificate_given");
    SSL_SESSION_free(session);
    tls_context_unref(open);
    tls_context_unref(closed);
    SSL_CTX_free(client);
}
END_TEST

START_TEST(a_client_of_one_tenant_does_not_resume_with_another) {
    /* Tickets of the distribution's library have no room for a certificate. */
    bool resumes = !is_distribution_library() || ways[_i].options != 0;
    SSL_CTX *client = client_on((size_t)_i, &device);
    struct tls_context *acme = load("acme", ca_file, UNKNOWN_NAME_SERVE);
    struct tls_context *umbrella = load("umbrella", other_ca_file, UNKNOWN_NAME_SERVE);
    SSL_SESSION *session = visit(client, acme, NULL, false);
    expect_refusal(client, umbrella, "localhost", session, "unknown_ca");
    SSL_SESSION_free(visit(client, acme, session, resumes));
    SSL_SESSION_free(session);
    SSL_CTX *other = client_on((size_t)_i, &other_device);
    SSL_SESSION_free(visit(other, umbrella, NULL, false));
    SSL_CTX_free(other);
    tls_context_unref(acme);
    tls_context_unref(umbrella);
    SSL_CTX_free(client);
}
END_TEST

/* ---- unknown_name ---- */

static const struct {
    const char *name;
    bool known;
} names[] = {
    {"localhost", true},
    {"LocalHost", true},
    {"localhost.", true},
    {"a.example.org", true},
    {"example.org", false},
    {"a.b.example.org", false},
    {"localhost.local", false},
    {"other.example", false},
    {"127.0.0.1", false},
    {"no host", false},
    {NULL, false},
};

/* The client gets one alert, in plaintext. */
static void expect_unrecognized(SSL_CTX *client, struct tls_context *ctx, const char *name) {
    struct pair p;
    pair_init(&p, client, name, NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_FAILED);
    ck_assert_str_eq(reason_name(engine_failure(p.engine)), "unrecognized_name");
    ck_assert_uint_eq(engine_alert(p.engine), 112);
    ck_assert_uint_eq(p.down.len, 7);
    ck_assert_uint_eq(p.down.data[6], 112);
    pair_free(&p);
}

START_TEST(names_that_no_certificate_has_are_refused_where_that_is_asked_for) {
    struct tls_context *strict = load(NULL, NULL, UNKNOWN_NAME_REFUSE);
    struct tls_context *lenient = load(NULL, NULL, UNKNOWN_NAME_SERVE);
    struct tls_context *route = load("r", NULL, UNKNOWN_NAME_REFUSE);
    for (size_t way = 0; way < WAYS; way++) {
        SSL_CTX *client = client_on(way, NULL);
        struct tls_context *const served[] = {lenient, route, names[_i].known ? strict : lenient};
        for (size_t i = 0; i < 3; i++) {
            struct pair p;
            pair_init(&p, client, names[_i].name, NULL);
            ck_assert_int_eq(pair_handshake(&p, served[i]), ENGINE_OK);
            pair_free(&p);
        }
        if (!names[_i].known) {
            expect_unrecognized(client, strict, names[_i].name);
        }
        SSL_CTX_free(client);
    }
    tls_context_unref(strict);
    tls_context_unref(lenient);
    tls_context_unref(route);
}
END_TEST

/* Who has been let in before is refused as everybody. */
START_TEST(a_client_that_resumes_is_refused_for_its_name) {
    SSL_CTX *client = client_on((size_t)_i, NULL);
    struct tls_context *lenient = load(NULL, NULL, UNKNOWN_NAME_SERVE);
    struct tls_context *strict = load(NULL, NULL, UNKNOWN_NAME_REFUSE);
    SSL_SESSION *session = visit(client, lenient, NULL, false);
    SSL_SESSION_free(visit(client, strict, session, true));
    expect_refusal(client, strict, "other.example", session, "unrecognized_name");
    SSL_SESSION_free(session);
    tls_context_unref(strict);
    tls_context_unref(lenient);
    SSL_CTX_free(client);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tenants");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 60);
    tcase_add_unchecked_fixture(all, once, finally);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, a_session_is_resumed_in_its_own_route_alone, 0, WAYS);
    tcase_add_loop_test(all, a_session_is_resumed_in_its_route_after_a_reload, 0, WAYS);
    tcase_add_loop_test(all, a_client_of_an_open_route_does_not_resume_in_a_closed_one, 0, WAYS);
    tcase_add_loop_test(all, a_client_of_one_tenant_does_not_resume_with_another, 0, WAYS);
    tcase_add_loop_test(all, names_that_no_certificate_has_are_refused_where_that_is_asked_for, 0,
                        (int)(sizeof names / sizeof *names));
    tcase_add_loop_test(all, a_client_that_resumes_is_refused_for_its_name, 0, WAYS);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_FORK_GETENV);
}
