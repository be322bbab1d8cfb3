/* client_allow in whole handshakes: who comes in by which entry, under which name, in full
 * handshakes and in resumed ones, and what a reload changes for a handshake that is under way. */
#include "run.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct pki server, ca, sub, one, two, by_sub, self, outsider;
static const char *server_cert, *server_key, *ca_file;
static struct site site;
static struct tls_shared shared;
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
static const struct way {
    int version;
    bool tickets;
} ways[] = {{TLS1_2_VERSION, true}, {TLS1_2_VERSION, false}, {TLS1_3_VERSION, true}};

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    ca = pki_make((struct pki_spec){.cn = "Client CA", .ca = 1}, NULL);
    sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1}, &ca);
    one = pki_make((struct pki_spec){.cn = "device-1"}, &ca);
    two = pki_make((struct pki_spec){.cn = "device-2"}, &ca);
    by_sub = pki_make((struct pki_spec){.cn = "device-3"}, &sub);
    self = pki_make((struct pki_spec){.cn = "admin"}, NULL);
    outsider = pki_make((struct pki_spec){.cn = "device-1"}, NULL);
    server_cert = pki_certs("server.pem", &server, NULL);
    server_key = pki_key("server.key", &server);
    ca_file = pki_certs("ca.pem", &ca, NULL);
}

static void finally(void) {
    struct pki *all[] = {&server, &ca, &sub, &one, &two, &by_sub, &self, &outsider};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    struct error err;
    site_init(&site, server_cert, server_key);
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)ca_file;
    shared.tickets = tls_tickets_new(&err);
    shared.sessions = tls_session_cache_new(100, &err);
}

static void teardown(void) {
    tls_tickets_free(shared.tickets);
    tls_session_cache_free(shared.sessions);
}

/* --- lists --- */

static const char *hex_of(const uint8_t *data, size_t len) {
    static char texts[4][2 * SHA256_DIGEST_LENGTH + 1];
    static size_t next;
    char *text = texts[next++ % 4];
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256(data, len, hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    }
    return text;
}

static const char *cert_hex(const struct pki *p) {
    unsigned char *der = NULL;
    int len = i2d_X509(p->cert, &der);
    ck_assert_int_gt(len, 0);
    const char *hex = hex_of(der, (size_t)len);
    OPENSSL_free(der);
    return hex;
}

static const char *key_hex(const struct pki *p) {
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(p->key, &der);
    ck_assert_int_gt(len, 0);
    const char *hex = hex_of(der, (size_t)len);
    OPENSSL_free(der);
    return hex;
}

/* client_allow of the site, from now on. */
static void allow(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void allow(const char *format, ...) {
    static unsigned number;
    char name[32], text[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(name, sizeof name, "allow-%u", number++);
    site.listener.client_allow = (char *)pki_text(name, text);
}

/* No CA: only pins. */
static void without_ca(void) {
    site.listener.client_ca = NULL;
}

/* --- clients --- */

static SSL_CTX *client_with(int version, const struct pki *cert, const struct pki *more) {
    SSL_CTX *client = client_new(version);
    SSL_CTX_set_security_level(client, 0);
    if (cert != NULL) {
        ck_assert_int_eq(SSL_CTX_use_certificate(client, cert->cert), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, cert->key), 1);
    }
    if (more != NULL) {
        ck_assert_int_eq(SSL_CTX_add1_chain_cert(client, more->cert), 1);
    }
    return client;
}

/* What a connection came to. */
static struct {
    enum reason reason;
    uint8_t alert, received; /* by the server's account, and by the client's */
    bool resumed;
    char identity[300], detail[300];
    SSL_SESSION *session;
} seen;

static void on_info(const SSL *ssl, int where, int value) {
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL) {
        seen.received = (uint8_t)value;
    }
}

static void look(struct pair *p) {
    char byte;
    const char *identity = engine_identity(p->engine), *detail = engine_failure_detail(p->engine);
    (void)SSL_read(p->client, &byte, 1); /* an alert */
    seen.reason = engine_failure(p->engine);
    ck_assert_int_eq(p->status == ENGINE_OK, seen.reason == REASON_NONE);
    seen.alert = engine_alert(p->engine);
    seen.resumed = engine_is_resumed(p->engine);
    snprintf(seen.identity, sizeof seen.identity, "%s", identity != NULL ? identity : "-");
    snprintf(seen.detail, sizeof seen.detail, "%s", detail != NULL ? detail : "-");
    if (p->status == ENGINE_OK) {
        pair_send_up(p, "up", 2);
        engine_close(p->engine, &p->out);
        pair_deliver(p);
        SSL_shutdown(p->client);
        seen.session = SSL_get1_session(p->client);
    }
}

static void visit(SSL_CTX *client, SSL_SESSION *session) {
    struct tls_context *ctx = site_load(&site, &shared);
    struct pair p;
    memset(&seen, 0, sizeof seen);
    SSL_CTX_set_info_callback(client, on_info);
    pair_init(&p, client, "localhost", session);
    pair_handshake(&p, ctx);
    look(&p);
    pair_free(&p);
    tls_context_unref(ctx);
}

static void one_visit(int version, const struct pki *cert, const struct pki *more) {
    SSL_CTX *client = client_with(version, cert, more);
    visit(client, NULL);
    SSL_SESSION_free(seen.session);
    SSL_CTX_free(client);
}

static void accepted(int version, const struct pki *cert, const char *identity) {
    one_visit(version, cert, NULL);
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    ck_assert_str_eq(seen.identity, identity);
}

static void is_refused(enum reason reason, uint8_t alert) {
    ck_assert_msg(seen.reason == reason, "%s, not %s", reason_name(seen.reason),
                  reason_name(reason));
    if (!is_distribution_library()) { /* it cannot send these alerts */
        ck_assert_uint_eq(seen.alert, alert);
        ck_assert_uint_eq(seen.received, alert);
    }
}

static void refused(int version, const struct pki *cert, enum reason reason, uint8_t alert) {
    one_visit(version, cert, NULL);
    is_refused(reason, alert);
}

/* --- with a CA --- */

START_TEST(of_the_clients_of_the_ca_only_those_listed_come_in) {
    char hint[100];
    allow("name:device-1\n");
    accepted(versions[_i], &one, "device-1");
    refused(versions[_i], &two, REASON_NOT_ALLOWED, 49);
    snprintf(hint, sizeof hint, "CN=device-2 (depth 0) cert-sha256:%s", cert_hex(&two));
    ck_assert_msg(strstr(seen.detail, hint) != NULL, "%s", seen.detail);
    refused(versions[_i], &outsider, REASON_UNKNOWN_CA, 48); /* it only has the name */
    allow("%s\n", strstr(hint, "cert-sha256:"));
    accepted(versions[_i], &two, "device-2");
    refused(versions[_i], &one, REASON_NOT_ALLOWED, 49);
    allow("key-sha256:%s\n", key_hex(&one));
    accepted(versions[_i], &one, "device-1");
    refused(versions[_i], &two, REASON_NOT_ALLOWED, 49);
}
END_TEST

START_TEST(the_name_that_counts_is_the_one_that_identity_chooses) {
    struct pki cert = pki_make((struct pki_spec){.cn = "device-1", .alt = "URI:urn:dev:1"}, &ca);
    site.listener.identity = IDENTITY_SAN_URI;
    allow("name:device-1\n");
    refused(versions[_i], &cert, REASON_NOT_ALLOWED, 49);
    allow("name:urn:dev:1\n");
    accepted(versions[_i], &cert, "urn:dev:1");
    refused(versions[_i], &one, REASON_NOT_ALLOWED, 49);
    pki_free(&cert);
}
END_TEST

START_TEST(an_entry_may_give_its_client_another_name) {
    struct pki odd = pki_make((struct pki_spec){.cn = "two|names"}, &ca);
    site.listener.mqtt = MQTT_IDENTITY;
    allow("cert-sha256:%s gate\nkey-sha256:%s cellar\nkey-sha256:%s yard\n", cert_hex(&one),
          key_hex(&two), key_hex(&odd));
    accepted(versions[_i], &one, "gate");
    accepted(versions[_i], &two, "cellar");
    accepted(versions[_i], &odd, "yard"); /* where its own could not be used */
    allow("key-sha256:%s\n", key_hex(&odd));
    refused(versions[_i], &odd, REASON_BAD_IDENTITY, 49);
    pki_free(&odd);
}
END_TEST

/* An entry narrows what client_ca accepts. */
START_TEST(an_entry_lets_nobody_in_whom_the_ca_does_not) {
    struct pki late = pki_make((struct pki_spec){.cn = "late", .from_day = -20, .to_day = -1}, &ca);
    struct pki lost = pki_make((struct pki_spec){.cn = "lost"}, &ca);
    site.listener.client_crl = (char *)pki_crl("lost.crl", &ca, &lost, 5);
    allow("cert-sha256:%s\nkey-sha256:%s\ncert-sha256:%s\nname:lost\n", cert_hex(&outsider),
          key_hex(&self), cert_hex(&late));
    refused(versions[_i], &outsider, REASON_UNKNOWN_CA, 48);
    refused(versions[_i], &self, REASON_UNKNOWN_CA, 48);
    refused(versions[_i], &late, REASON_EXPIRED, 45);
    refused(versions[_i], &lost, REASON_REVOKED, 44);
    pki_free(&late);
    pki_free(&lost);
}
END_TEST

START_TEST(where_certificates_are_optional_those_that_come_must_be_listed) {
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    allow("name:device-1\n");
    accepted(versions[_i], NULL, "-");
    accepted(versions[_i], &one, "device-1");
    refused(versions[_i], &two, REASON_NOT_ALLOWED, 49);
}
END_TEST

/* --- without a CA --- */

START_TEST(a_pinned_certificate_needs_no_ca) {
    without_ca();
    allow("cert-sha256:%s\n", cert_hex(&self));
    accepted(versions[_i], &self, cert_hex(&self)); /* not the name that it gives itself */
    refused(versions[_i], &outsider, REASON_NOT_ALLOWED, 49);
    refused(versions[_i], &one, REASON_NOT_ALLOWED, 49);
    allow("cert-sha256:%s gate\n", cert_hex(&self));
    accepted(versions[_i], &self, "gate");
    allow("cert-sha256:%s\n", cert_hex(&one)); /* by whatever CA */
    accepted(versions[_i], &one, cert_hex(&one));
}
END_TEST

START_TEST(a_pinned_key_may_have_any_certificate) {
    struct pki again = pki_make((struct pki_spec){.cn = "admin", .key_of = &self}, NULL);
    without_ca();
    site.listener.mqtt = MQTT_IDENTITY;
    allow("key-sha256:%s\n", key_hex(&self));
    accepted(versions[_i], &self, key_hex(&self));
    accepted(versions[_i], &again, key_hex(&self)); /* the same name */
    allow("key-sha256:%s gate\n", key_hex(&self));
    accepted(versions[_i], &again, "gate");
    refused(versions[_i], &outsider, REASON_NOT_ALLOWED, 49);
    pki_free(&again);
}
END_TEST

/* openssl req -x509 makes a CA of it. */
START_TEST(a_pinned_certificate_may_be_that_of_a_ca) {
    struct pki made = pki_make(
        (struct pki_spec){.cn = "device", .basic = "critical,CA:TRUE", .hash = "SHA1"}, NULL);
    without_ca();
    allow("cert-sha256:%s\n", cert_hex(&made));
    accepted(versions[_i], &made, cert_hex(&made));
    pki_free(&made);
}
END_TEST

/* All that is checked of a client's own certificate is checked of a pinned one. */
START_TEST(a_pinned_certificate_must_be_valid_nevertheless) {
    const struct {
        struct pki_spec spec;
        enum reason reason;
        uint8_t alert;
    } bad[] = {
        {{.cn = "late", .from_day = -20, .to_day = -1}, REASON_EXPIRED, 45},
        {{.cn = "early", .from_day = 2}, REASON_NOT_YET_VALID, 45},
        {{.cn = "server", .usage = "serverAuth"}, REASON_WRONG_USAGE, 43},
        {{.cn = "odd", .extra = "1.2.3.4=critical,DER:0500"}, REASON_CRITICAL_EXTENSION, 43},
        {{.cn = "weak", .key = PKI_RSA1024}, REASON_WEAK_KEY, 42},
    };
    without_ca();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct pki cert = pki_make(bad[i].spec, NULL);
        if (!is_distribution_library() || bad[i].spec.key != PKI_RSA1024) {
            allow("cert-sha256:%s\nkey-sha256:%s gate\n", cert_hex(&cert), key_hex(&cert));
            refused(versions[_i], &cert, bad[i].reason, bad[i].alert);
        }
        pki_free(&cert);
    }
}
END_TEST

START_TEST(a_bad_list_is_not_loaded) {
    static const struct {
        bool ca;
        const char *text, *message;
    } bad[] = {{true, "name:a\nfoo\n", ":2: not an entry; "},
               {true, "", ": holds no entry"},
               {false, "name:a\n", ":1: a name: entry without client_ca, "}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {""};
        site.listener.client_ca = bad[i].ca ? (char *)ca_file : NULL;
        allow("%s", bad[i].text);
        ck_assert_ptr_null(tls_context_load(&site.listener, &shared, &err));
        ck_assert_msg(strstr(err.text, bad[i].message) != NULL, "%s", err.text);
        ck_assert_ptr_nonnull(strstr(err.text, site.listener.client_allow));
    }
}
END_TEST

/* --- resumption --- */

/* A first connection with the certificate, then one that resumes it by what the list has become;
 * the client still has its certificate. */
static SSL_SESSION *first_visit(struct way way, const struct pki *cert, SSL_CTX **client) {
    *client = client_with(way.version, cert, NULL);
    if (!way.tickets) {
        SSL_CTX_set_options(*client, SSL_OP_NO_TICKET);
    }
    visit(*client, NULL);
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    return seen.session;
}

static void comes_back(SSL_CTX *client, SSL_SESSION *session, bool resumed, const char *identity) {
    visit(client, session);
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    ck_assert_str_eq(seen.identity, identity);
    if (!is_distribution_library()) { /* its tickets have no room for a name */
        ck_assert_int_eq(seen.resumed, resumed);
    }
    SSL_SESSION_free(seen.session);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}

static void is_kept_out(SSL_CTX *client, SSL_SESSION *session) {
    visit(client, session);
    is_refused(REASON_NOT_ALLOWED, 49);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}

START_TEST(a_client_resumes_while_its_entry_stands) {
    SSL_CTX *client;
    allow("name:device-1\n");
    SSL_SESSION *session = first_visit(ways[_i], &one, &client);
    allow("name:device-2\nname:device-1\nkey-sha256:%s x\n", key_hex(&self));
    comes_back(client, session, true, "device-1");
    without_ca();
    allow("cert-sha256:%s\n", cert_hex(&self));
    session = first_visit(ways[_i], &self, &client);
    allow("key-sha256:%s\ncert-sha256:%s\n", key_hex(&self), cert_hex(&self));
    comes_back(client, session, true, cert_hex(&self));
    allow("key-sha256:%s gate\n", key_hex(&self));
    session = first_visit(ways[_i], &self, &client);
    comes_back(client, session, true, "gate");
}
END_TEST

START_TEST(a_client_does_not_resume_past_its_entry) {
    SSL_CTX *client;
    allow("name:device-1\nname:device-2\n");
    SSL_SESSION *session = first_visit(ways[_i], &one, &client);
    allow("name:device-2\n");
    is_kept_out(client, session);
    without_ca();
    allow("cert-sha256:%s\nkey-sha256:%s\n", cert_hex(&self), key_hex(&outsider));
    session = first_visit(ways[_i], &self, &client);
    allow("key-sha256:%s\n", key_hex(&outsider));
    is_kept_out(client, session);
}
END_TEST

START_TEST(nobody_resumes_into_a_list_from_before_it) {
    SSL_CTX *client;
    SSL_SESSION *session = first_visit(ways[_i], &one, &client);
    allow("name:device-2\n");
    is_kept_out(client, session);
}
END_TEST

START_TEST(a_client_whose_entry_names_it_otherwise_has_the_new_name) {
    SSL_CTX *client;
    allow("key-sha256:%s gate\n", key_hex(&one));
    SSL_SESSION *session = first_visit(ways[_i], &one, &client);
    allow("key-sha256:%s yard\n", key_hex(&one));
    comes_back(client, session, false, "yard");
    allow("key-sha256:%s gate\n", key_hex(&one));
    session = first_visit(ways[_i], &one, &client);
    allow("key-sha256:%s\n", key_hex(&one));
    comes_back(client, session, false, "device-1");
    allow("name:device-1\n");
    session = first_visit(ways[_i], &one, &client);
    allow("name:device-1\ncert-sha256:%s gate\n", cert_hex(&one)); /* it counts before the name */
    comes_back(client, session, false, "gate");
}
END_TEST

/* --- sessions that are established --- */

static struct pair session_of(int version, const struct pki *cert) {
    struct tls_context *ctx = site_load(&site, NULL);
    SSL_CTX *client = client_with(version, cert, NULL);
    struct pair p;
    pair_init(&p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
    return p;
}

/* By what the site has become. */
static bool is_ended(struct pair *p) {
    struct tls_context *now = site_load(&site, NULL);
    bool ended = engine_is_revoked(p->engine, now);
    tls_context_unref(now);
    return ended;
}

START_TEST(a_session_stands_and_falls_with_its_entry) {
    allow("name:device-1\n");
    struct pair p = session_of(versions[_i], &one);
    allow("name:device-2\nname:device-1\n");
    ck_assert(!is_ended(&p));
    allow("cert-sha256:%s\n", cert_hex(&one)); /* another entry, the same name */
    ck_assert(!is_ended(&p));
    allow("cert-sha256:%s gate\n", cert_hex(&one));
    ck_assert(is_ended(&p));
    allow("name:device-2\n");
    ck_assert(is_ended(&p));
    site.listener.client_allow = NULL;
    ck_assert(!is_ended(&p)); /* its CA still vouches for its name */
    pair_free(&p);
}
END_TEST

START_TEST(a_session_from_before_the_list_stands_if_its_name_is_in_it) {
    struct pair p = session_of(versions[_i], &one);
    allow("name:device-1\n");
    ck_assert(!is_ended(&p));
    allow("name:device-2\n");
    ck_assert(is_ended(&p));
    pair_free(&p);
}
END_TEST

START_TEST(a_pinned_session_stands_and_falls_with_its_pin) {
    without_ca();
    allow("cert-sha256:%s\n", cert_hex(&self));
    struct pair p = session_of(versions[_i], &self);
    ck_assert(!is_ended(&p));
    allow("cert-sha256:%s gate\n", cert_hex(&self));
    ck_assert(is_ended(&p));
    allow("cert-sha256:%s\n", cert_hex(&outsider));
    ck_assert(is_ended(&p));
    site.listener.client_ca = (char *)ca_file;
    site.listener.client_allow = NULL;
    ck_assert(is_ended(&p)); /* nothing vouches for its name any more */
    pair_free(&p);
}
END_TEST

/* --- a reload during the handshake --- */

/* A handshake that begins by the site as it was loaded into `before`, and completes when the site
 * has become what it is now. */
static void come_across(struct tls_context *before, SSL_CTX *client, SSL_SESSION *session) {
    struct tls_context *now = site_load(&site, &shared);
    struct pair p;
    memset(&seen, 0, sizeof seen);
    SSL_CTX_set_info_callback(client, on_info);
    pair_init(&p, client, "localhost", session);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
    p.engine = engine_open(before, &p.hello);
    ck_assert_ptr_nonnull(p.engine);
    engine_check_by(p.engine, now);
    engine_check_by(p.engine, now);
    tls_context_retire(before);
    tls_context_unref(before);
    tls_context_unref(now);
    pair_handshake(&p, before);
    look(&p);
    SSL_SESSION_free(seen.session);
    pair_free(&p);
}

static void visit_across(struct tls_context *before, int version, const struct pki *cert,
                         const struct pki *more) {
    SSL_CTX *client = client_with(version, cert, more);
    come_across(before, client, NULL);
    SSL_CTX_free(client);
}

START_TEST(a_client_whose_ca_a_reload_revokes_during_its_handshake_is_refused) {
    struct tls_context *before = site_load(&site, &shared);
    site.listener.client_crl = (char *)pki_crl("sub.crl", &ca, &sub, 5);
    visit_across(before, versions[_i], &by_sub, &sub);
    is_refused(REASON_REVOKED, 44);
    ck_assert_msg(strstr(seen.detail, "CN=Sub (depth 1)") != NULL, "%s", seen.detail);
}
END_TEST

START_TEST(a_client_that_a_reload_revokes_during_its_handshake_is_refused) {
    struct tls_context *before = site_load(&site, &shared);
    site.listener.client_crl = (char *)pki_crl("one.crl", &ca, &one, 5);
    visit_across(before, versions[_i], &one, NULL);
    is_refused(REASON_REVOKED, 44);
}
END_TEST

START_TEST(a_client_whose_ca_or_entry_a_reload_removes_during_its_handshake_is_refused) {
    struct pki other = pki_make((struct pki_spec){.cn = "Other CA", .ca = 1}, NULL);
    struct tls_context *before = site_load(&site, &shared);
    site.listener.client_ca = (char *)pki_certs("other.pem", &other, NULL);
    visit_across(before, versions[_i], &one, NULL);
    is_refused(REASON_UNKNOWN_CA, 48);
    site.listener.client_ca = (char *)ca_file;
    allow("name:device-1\n");
    before = site_load(&site, &shared);
    allow("name:device-2\n");
    visit_across(before, versions[_i], &one, NULL);
    is_refused(REASON_NOT_ALLOWED, 49);
    ck_assert_ptr_nonnull(strstr(seen.detail, cert_hex(&one)));
    pki_free(&other);
}
END_TEST

START_TEST(a_client_that_a_reload_does_not_concern_completes_its_handshake) {
    struct tls_context *before = site_load(&site, &shared);
    site.listener.client_crl = (char *)pki_crl("two.crl", &ca, &two, 5);
    allow("key-sha256:%s gate\n", key_hex(&one));
    visit_across(before, versions[_i], &one, NULL);
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    ck_assert_str_eq(seen.identity, "gate"); /* by what is in force now */
}
END_TEST

/* --- the same with a session that is resumed --- */

static void other_ca(void) {
    struct pki other = pki_make((struct pki_spec){.cn = "Other CA", .ca = 1}, NULL);
    site.listener.client_ca = (char *)pki_certs("other.pem", &other, NULL);
    pki_free(&other);
}
static void revoked_sub(void) {
    const char *own = pki_crl("own.crl", &ca, &sub, 5), *held = pki_crl("held.crl", &sub, NULL, 5);
    site.listener.client_crl = (char *)pki_joined("revoked.crl", own, held);
}
static void list_of_sub(void) {
    const char *own = pki_crl("own.crl", &ca, NULL, 5);
    const char *held = pki_crl("held.crl", &sub, &by_sub, 5);
    site.listener.client_crl = (char *)pki_joined("both.crl", own, held);
}
static void first_list(void) {
    site.listener.client_crl = (char *)pki_crl("first.crl", &ca, NULL, 5);
}
static void other_identity(void) {
    site.listener.identity = IDENTITY_FINGERPRINT;
}
static void no_version_1(void) {
    site.listener.client_x509_v1 = X509_V1_REFUSE;
}
static void other_name(void) {
    allow("key-sha256:%s gate\n", key_hex(&by_sub));
}

/* A session of a client that sent its intermediate, resumed while a reload changes that. */
static void resume_across(struct way way, void (*change)(void)) {
    SSL_CTX *client = client_with(way.version, &by_sub, &sub);
    if (!way.tickets) {
        SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
    }
    visit(client, NULL);
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    SSL_SESSION *session = seen.session;
    struct tls_context *before = site_load(&site, &shared);
    change();
    come_across(before, client, session);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}

static void (*const stricter[])(void) = {other_ca,       revoked_sub,  list_of_sub, first_list,
                                         other_identity, no_version_1, other_name};

START_TEST(nobody_resumes_past_a_reload_that_comes_during_the_handshake) {
    if (is_distribution_library() && ways[_i].tickets) {
        return; /* its tickets have no room for a name */
    }
    for (size_t i = 0; i < sizeof stricter / sizeof *stricter; i++) {
        teardown();
        setup();
        resume_across(ways[_i], stricter[i]);
        ck_assert_msg(seen.resumed, "change %zu", i);
        ck_assert_msg(seen.reason == REASON_NO_CERTIFICATE_GIVEN ||
                          seen.reason == REASON_NOT_ALLOWED,
                      "change %zu: %s", i, reason_name(seen.reason));
        if (seen.reason == REASON_NO_CERTIFICATE_GIVEN) {
            is_refused(REASON_NO_CERTIFICATE_GIVEN, ways[_i].version == TLS1_2_VERSION ? 40 : 116);
        }
    }
}
END_TEST

static void nothing(void) {
}

START_TEST(a_reload_that_changes_nothing_for_it_lets_a_client_resume) {
    resume_across(ways[_i], nothing);
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    ck_assert_str_eq(seen.identity, "device-3");
}
END_TEST

/* In full handshakes and in resumed ones. */
START_TEST(a_reload_during_the_handshake_may_require_certificates) {
    static const enum config_client_auth from[] = {CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL};
    for (size_t i = 0; i < 2; i++) {
        site.listener.client_auth = from[i];
        SSL_CTX *client;
        SSL_SESSION *session = first_visit(ways[_i], NULL, &client);
        struct tls_context *full = site_load(&site, &shared), *resumed = site_load(&site, &shared);
        site.listener.client_auth = CLIENT_AUTH_REQUIRED;
        come_across(full, client, NULL);
        ck_assert(!seen.resumed);
        is_refused(REASON_NO_CERTIFICATE_GIVEN, ways[_i].version == TLS1_2_VERSION ? 40 : 116);
        come_across(resumed, client, session);
        ck_assert(seen.resumed);
        is_refused(REASON_NO_CERTIFICATE_GIVEN, ways[_i].version == TLS1_2_VERSION ? 40 : 116);
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
    }
}
END_TEST

START_TEST(where_none_are_required_a_reload_refuses_nobody_without_one) {
    SSL_CTX *client;
    site.listener.client_auth = CLIENT_AUTH_NONE;
    SSL_SESSION *session = first_visit(ways[_i], NULL, &client);
    struct tls_context *full = site_load(&site, &shared), *resumed = site_load(&site, &shared);
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    come_across(full, client, NULL);
    ck_assert_int_eq(seen.reason, REASON_NONE);
    come_across(resumed, client, session);
    ck_assert_int_eq(seen.reason, REASON_NONE);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("client_allow");
    TCase *tc = tcase_create("client_allow");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, of_the_clients_of_the_ca_only_those_listed_come_in, 0, 2);
    tcase_add_loop_test(tc, the_name_that_counts_is_the_one_that_identity_chooses, 0, 2);
    tcase_add_loop_test(tc, an_entry_may_give_its_client_another_name, 0, 2);
    tcase_add_loop_test(tc, an_entry_lets_nobody_in_whom_the_ca_does_not, 0, 2);
    tcase_add_loop_test(tc, where_certificates_are_optional_those_that_come_must_be_listed, 0, 2);
    tcase_add_loop_test(tc, a_pinned_certificate_needs_no_ca, 0, 2);
    tcase_add_loop_test(tc, a_pinned_key_may_have_any_certificate, 0, 2);
    tcase_add_loop_test(tc, a_pinned_certificate_may_be_that_of_a_ca, 0, 2);
    tcase_add_loop_test(tc, a_pinned_certificate_must_be_valid_nevertheless, 0, 2);
    tcase_add_test(tc, a_bad_list_is_not_loaded);
    tcase_add_loop_test(tc, a_client_resumes_while_its_entry_stands, 0, 3);
    tcase_add_loop_test(tc, a_client_does_not_resume_past_its_entry, 0, 3);
    tcase_add_loop_test(tc, nobody_resumes_into_a_list_from_before_it, 0, 3);
    tcase_add_loop_test(tc, a_client_whose_entry_names_it_otherwise_has_the_new_name, 0, 3);
    tcase_add_loop_test(tc, a_session_stands_and_falls_with_its_entry, 0, 2);
    tcase_add_loop_test(tc, a_session_from_before_the_list_stands_if_its_name_is_in_it, 0, 2);
    tcase_add_loop_test(tc, a_pinned_session_stands_and_falls_with_its_pin, 0, 2);
    tcase_add_loop_test(tc, a_client_whose_ca_a_reload_revokes_during_its_handshake_is_refused, 0,
                        2);
    tcase_add_loop_test(tc, a_client_that_a_reload_revokes_during_its_handshake_is_refused, 0, 2);
    tcase_add_loop_test(
        tc, a_client_whose_ca_or_entry_a_reload_removes_during_its_handshake_is_refused, 0, 2);
    tcase_add_loop_test(tc, a_client_that_a_reload_does_not_concern_completes_its_handshake, 0, 2);
    tcase_add_loop_test(tc, nobody_resumes_past_a_reload_that_comes_during_the_handshake, 0, 3);
    tcase_add_loop_test(tc, a_reload_that_changes_nothing_for_it_lets_a_client_resume, 0, 3);
    tcase_add_loop_test(tc, a_reload_during_the_handshake_may_require_certificates, 0, 3);
    tcase_add_loop_test(tc, where_none_are_required_a_reload_refuses_nobody_without_one, 0, 3);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
