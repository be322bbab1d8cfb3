/* Pre-shared keys in whole handshakes: who comes in by which key, in both versions, what those get
 * to know who do not, and what becomes of sessions when the file changes. */
#include "hello_edit.h"
#include "run.h"
#include "tls/ciphers.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define KEY_ONE "00112233445566778899aabbccddeeff"
#define KEY_TWO "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
#define KEYS    "sensor-1:" KEY_ONE "\nsensor-2:" KEY_TWO "\n"

enum { DECRYPT_ERROR = 51, BAD_RECORD_MAC = 20, HANDSHAKE_FAILURE = 40 };

static struct pki server, ca, device;
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
    device = pki_make((struct pki_spec){.cn = "device-1"}, &ca);
    server_cert = pki_certs("server.pem", &server, NULL);
    server_key = pki_key("server.key", &server);
    ca_file = pki_certs("ca.pem", &ca, NULL);
}

static void finally(void) {
    pki_free(&server);
    pki_free(&ca);
    pki_free(&device);
    pki_clean();
    tls_library_stop();
}

/* psk_file of the site, from now on. */
static void keys(const char *text) {
    static unsigned number;
    char name[32];
    snprintf(name, sizeof name, "keys-%u", number++);
    site.listener.psk_file = (char *)pki_text(name, text);
}

/* A listener that takes keys alone. */
static void setup(void) {
    struct error err;
    site_init(&site, NULL, NULL);
    keys(KEYS);
    shared.tickets = tls_tickets_new(&err);
    shared.sessions = tls_session_cache_new(100, &err);
}

static void teardown(void) {
    tls_tickets_free(shared.tickets);
    tls_session_cache_free(shared.sessions);
}

/* And one that has a certificate as well. */
static void beside_certificates(enum config_client_auth auth) {
    site_add(&site, server_cert, NULL, server_key);
    site.listener.client_auth = auth;
    site.listener.client_ca = auth != CLIENT_AUTH_NONE ? (char *)ca_file : NULL;
}

/* --- clients --- */

/* What the client has. */
static struct {
    char identity[256];
    size_t identity_len;
    unsigned char key[64];
    size_t key_len;
    unsigned asked;      /* how often for it */
    unsigned only_first; /* it is there that often; 0: always */
} has;

static void client_has(const char *identity, const char *hex) {
    long len;
    unsigned char *key = OPENSSL_hexstr2buf(hex, &len);
    memset(&has, 0, sizeof has);
    strcpy(has.identity, identity);
    has.identity_len = strlen(identity);
    memcpy(has.key, key, (size_t)len);
    has.key_len = (size_t)len;
    OPENSSL_free(key);
}

static unsigned int on_psk(SSL *ssl, const char *hint, char *identity, unsigned int max_identity,
                           unsigned char *key, unsigned int max_key) {
    ck_assert_uint_le(has.key_len, max_key);
    snprintf(identity, max_identity, "%s", has.identity);
    memcpy(key, has.key, has.key_len);
    return (unsigned int)has.key_len;
}

/* For TLS 1.3: identities of any bytes, and none in the second hello if it should be so. */
static int on_psk_session(SSL *ssl, const EVP_MD *md, const unsigned char **identity, size_t *len,
                          SSL_SESSION **session) {
    static const unsigned char aes128[] = {0x13, 0x01};
    *session = NULL;
    *identity = NULL;
    *len = 0;
    if (has.only_first > 0 && has.asked++ >= has.only_first) {
        return 1;
    }
    *session = SSL_SESSION_new();
    ck_assert(SSL_SESSION_set1_master_key(*session, has.key, has.key_len) &&
              SSL_SESSION_set_cipher(*session, SSL_CIPHER_find(ssl, aes128)) &&
              SSL_SESSION_set_protocol_version(*session, TLS1_3_VERSION));
    *identity = (const unsigned char *)has.identity;
    *len = has.identity_len;
    return 1;
}

static SSL_CTX *client_with(int version) {
    SSL_CTX *client = client_new(version);
    SSL_CTX_set_psk_client_callback(client, on_psk);
    ck_assert(SSL_CTX_set_cipher_list(client, "PSK")); /* as mosquitto_pub --psk does */
    return client;
}

static struct {
    enum reason reason;
    uint8_t alert, received; /* by the server's account, and by the client's */
    bool resumed, has_psk;
    char identity[300], detail[300], cipher[64], group[64];
    SSL_SESSION *session;
} seen;

static void on_info(const SSL *ssl, int where, int value) {
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL) {
        seen.received = (uint8_t)value;
    }
}

static void copy(char *to, size_t size, const char *from) {
    snprintf(to, size, "%s", from != NULL ? from : "-");
}

static void look(struct pair *p) {
    char byte;
    (void)SSL_read(p->client, &byte, 1); /* an alert */
    seen.reason = engine_failure(p->engine);
    ck_assert_int_eq(p->status == ENGINE_OK, seen.reason == REASON_NONE);
    seen.alert = engine_alert(p->engine);
    copy(seen.detail, sizeof seen.detail, engine_failure_detail(p->engine));
    if (p->status != ENGINE_OK) {
        return;
    }
    seen.resumed = engine_is_resumed(p->engine);
    seen.has_psk = engine_has_psk(p->engine);
    copy(seen.identity, sizeof seen.identity, engine_identity(p->engine));
    copy(seen.cipher, sizeof seen.cipher, engine_cipher(p->engine));
    copy(seen.group, sizeof seen.group, engine_group(p->engine));
    pair_send_up(p, "up", 2);
    pair_send_down(p, "down", 4);
    engine_close(p->engine, &p->out);
    pair_deliver(p);
    SSL_shutdown(p->client);
    seen.session = SSL_get1_session(p->client);
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

static void visit_once(SSL_CTX *client) {
    visit(client, NULL);
    SSL_SESSION_free(seen.session);
    SSL_CTX_free(client);
}

static void is_accepted(const char *identity) {
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    ck_assert_str_eq(seen.identity, identity);
    ck_assert_int_eq(seen.has_psk, strcmp(identity, "-") != 0);
}

static void is_refused(enum reason reason, uint8_t alert) {
    ck_assert_msg(seen.reason == reason, "%s, not %s", reason_name(seen.reason),
                  reason_name(reason));
    ck_assert_uint_eq(seen.alert, alert);
    ck_assert_uint_eq(seen.received, alert);
}

static void accepted(int version, const char *identity, const char *key) {
    client_has(identity, key);
    visit_once(client_with(version));
    is_accepted(identity);
}

static void refused(int version, const char *identity, const char *key, enum reason reason,
                    uint8_t alert) {
    client_has(identity, key);
    visit_once(client_with(version));
    is_refused(reason, alert);
}

static uint8_t wrong_key_alert(int version) {
    return version == TLS1_2_VERSION ? BAD_RECORD_MAC : DECRYPT_ERROR;
}

/* --- coming in --- */

/* It depends on whether this processor has AES instructions. */
static const char *preferred_suite_of_tls13(void) {
    static char list[CIPHERS_MAX];
    struct error err;
    ck_assert_int_eq(ciphers_list(NULL, &(struct cipher_use){.tls13 = true}, list, &err), 0);
    list[strcspn(list, ":")] = '\0';
    return ciphers_name(list);
}

START_TEST(a_client_comes_in_by_its_key_and_has_its_name) {
    int version = versions[_i % 2];
    if (_i >= 2) {
        beside_certificates(CLIENT_AUTH_NONE);
    }
    accepted(version, "sensor-1", KEY_ONE);
    ck_assert_str_eq(seen.cipher, version == TLS1_2_VERSION ? "ECDHE-PSK-CHACHA20-POLY1305"
                                                            : preferred_suite_of_tls13());
    ck_assert_str_ne(seen.group, "-"); /* forward secrecy */
    accepted(version, "sensor-2", KEY_TWO);
}
END_TEST

START_TEST(nobody_learns_whether_an_identity_is_known) {
    int version = versions[_i];
    refused(version, "sensor-1", KEY_TWO, REASON_BAD_PSK, wrong_key_alert(version));
    ck_assert_str_eq(seen.detail, "sensor-1");
    refused(version, "sensor-3", KEY_ONE, REASON_UNKNOWN_PSK, wrong_key_alert(version));
    ck_assert_str_eq(seen.detail, "sensor-3");
}
END_TEST

START_TEST(beside_certificates_a_wrong_key_is_refused_too) {
    int version = versions[_i];
    beside_certificates(CLIENT_AUTH_NONE);
    refused(version, "sensor-1", KEY_TWO, REASON_BAD_PSK, wrong_key_alert(version));
    if (version == TLS1_2_VERSION) { /* where it names an identity, it has chosen its suite */
        refused(version, "sensor-3", KEY_ONE, REASON_UNKNOWN_PSK, BAD_RECORD_MAC);
    }
}
END_TEST

/* It may be another server's ticket. */
START_TEST(in_tls13_beside_certificates_an_unknown_identity_is_passed_over) {
    beside_certificates(CLIENT_AUTH_NONE);
    client_has("sensor-3", KEY_ONE);
    visit_once(client_with(TLS1_3_VERSION));
    is_accepted("-");
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)ca_file;
    client_has("sensor-3", KEY_ONE);
    visit_once(client_with(TLS1_3_VERSION));
    is_refused(REASON_NO_CERTIFICATE_GIVEN, 116);
}
END_TEST

START_TEST(where_certificates_are_required_a_key_is_as_good) {
    int version = versions[_i];
    beside_certificates(CLIENT_AUTH_REQUIRED);
    accepted(version, "sensor-1", KEY_ONE);
    SSL_CTX *client = client_new(version);
    ck_assert_int_eq(SSL_CTX_use_certificate(client, device.cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, device.key), 1);
    visit_once(client);
    ck_assert_msg(seen.reason == REASON_NONE, "%s", reason_name(seen.reason));
    ck_assert_str_eq(seen.identity, "device-1");
    ck_assert(!seen.has_psk);
    visit_once(client_new(version));
    is_refused(REASON_NO_CERTIFICATE_GIVEN, version == TLS1_2_VERSION ? HANDSHAKE_FAILURE : 116);
}
END_TEST

START_TEST(without_certificates_a_client_needs_a_key) {
    visit_once(client_new(versions[_i]));
    is_refused(REASON_NO_SHARED_CIPHER, HANDSHAKE_FAILURE);
    visit_once(client_new(0));
    is_refused(REASON_NO_SHARED_CIPHER, HANDSHAKE_FAILURE);
}
END_TEST

START_TEST(without_psk_file_nobody_comes_in_by_a_key) {
    site.listener.psk_file = NULL;
    beside_certificates(CLIENT_AUTH_NONE);
    refused(TLS1_2_VERSION, "sensor-1", KEY_ONE, REASON_NO_SHARED_CIPHER, HANDSHAKE_FAILURE);
    client_has("sensor-1", KEY_ONE);
    visit_once(client_with(TLS1_3_VERSION));
    is_accepted("-");
}
END_TEST

/* A NUL ends a C string, not an identity. */
START_TEST(all_bytes_of_an_identity_count) {
    client_has("sensor-1", KEY_ONE);
    has.identity_len++;
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    SSL_CTX_set_psk_use_session_callback(client, on_psk_session);
    visit_once(client);
    is_refused(REASON_UNKNOWN_PSK, DECRYPT_ERROR);
    client_has("sensor-1", KEY_ONE);
    client = client_new(TLS1_3_VERSION);
    SSL_CTX_set_psk_use_session_callback(client, on_psk_session);
    visit_once(client);
    is_accepted("sensor-1");
}
END_TEST

/* --- suites --- */

static void with_suites(const char *suites) {
    SSL_CTX *client = client_with(TLS1_2_VERSION);
    ck_assert(SSL_CTX_set_cipher_list(client, suites));
    client_has("sensor-1", KEY_ONE);
    visit_once(client);
}

START_TEST(without_forward_secrecy_only_where_the_user_wants_it) {
    static const char *const plain[] = {"PSK-AES128-GCM-SHA256", "PSK-CHACHA20-POLY1305"};
    for (size_t i = 0; i < 2; i++) {
        site.listener.psk_plain = PSK_PLAIN_REFUSE;
        with_suites(plain[i]);
        is_refused(REASON_NO_SHARED_CIPHER, HANDSHAKE_FAILURE);
        site.listener.psk_plain = PSK_PLAIN_ACCEPT;
        with_suites(plain[i]);
        is_accepted("sensor-1");
        ck_assert_str_eq(seen.cipher, plain[i]);
        ck_assert_str_eq(seen.group, "-");
        client_has("sensor-3", KEY_ONE);
    }
    with_suites("PSK-CHACHA20-POLY1305:ECDHE-PSK-CHACHA20-POLY1305");
    ck_assert_str_eq(seen.cipher, "ECDHE-PSK-CHACHA20-POLY1305");
}
END_TEST

START_TEST(plain_keys_too_are_refused_alike) {
    site.listener.psk_plain = PSK_PLAIN_ACCEPT;
    for (int known = 0; known < 2; known++) {
        SSL_CTX *client = client_with(TLS1_2_VERSION);
        ck_assert(SSL_CTX_set_cipher_list(client, "PSK-AES128-GCM-SHA256"));
        client_has(known ? "sensor-1" : "sensor-3", KEY_TWO);
        visit_once(client);
        is_refused(known ? REASON_BAD_PSK : REASON_UNKNOWN_PSK, BAD_RECORD_MAC);
    }
}
END_TEST

/* A client of TLS 1.2 that offers its key with whatever else it can do. */
START_TEST(a_key_goes_before_a_certificate) {
    beside_certificates(CLIENT_AUTH_NONE);
    with_suites("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-PSK-CHACHA20-POLY1305");
    is_accepted("sensor-1");
    with_suites("ECDHE-ECDSA-AES128-GCM-SHA256");
    is_accepted("-");
}
END_TEST

/* A key of TLS 1.3 belongs to a hash, not to one suite. */
START_TEST(each_suite_with_sha256_takes_a_key) {
    SSL_CTX *client = client_with(TLS1_3_VERSION);
    ck_assert(SSL_CTX_set_ciphersuites(client, "TLS_CHACHA20_POLY1305_SHA256"));
    client_has("sensor-1", KEY_ONE);
    visit_once(client);
    is_accepted("sensor-1");
    ck_assert_str_eq(seen.cipher, "TLS_CHACHA20_POLY1305_SHA256");
}
END_TEST

static void is_not_loaded(const char *suites, const char *message) {
    struct error err = {""};
    site.listener.ciphers = (char *)suites;
    ck_assert_ptr_null(tls_context_load(&site.listener, &shared, &err));
    ck_assert_msg(strstr(err.text, message) != NULL, "%s", err.text);
}

START_TEST(a_list_may_name_suites_with_keys) {
    is_not_loaded("PSK-AES128-GCM-SHA256",
                  "ciphers: PSK-AES128-GCM-SHA256 has no forward secrecy; remove it, or write ");
    site.listener.psk_plain = PSK_PLAIN_ACCEPT;
    site.listener.ciphers = (char *)"PSK-CHACHA20-POLY1305";
    with_suites("PSK");
    ck_assert_str_eq(seen.cipher, "PSK-CHACHA20-POLY1305"); /* and no other with keys */
    beside_certificates(CLIENT_AUTH_NONE);
    site.listener.ciphers = (char *)"ECDHE-ECDSA-AES256-GCM-SHA384";
    with_suites("PSK");
    ck_assert_str_eq(seen.cipher, "ECDHE-PSK-CHACHA20-POLY1305"); /* those are at the default */
    site.listener.psk_file = NULL;
    is_not_loaded("ECDHE-PSK-CHACHA20-POLY1305",
                  "ciphers: ECDHE-PSK-CHACHA20-POLY1305 without psk_file, which has the keys");
}
END_TEST

/* A listener and its routes have one list. */
START_TEST(a_list_for_several_routes_may_name_suites_that_one_has_no_keys_for) {
    site.listener.route = (char *)"r";
    site.listener.ciphers = (char *)"PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-GCM-SHA256:"
                                    "ECDHE-PSK-CHACHA20-POLY1305";
    with_suites("PSK");
    ck_assert_str_eq(seen.cipher, "ECDHE-PSK-CHACHA20-POLY1305"); /* psk_plain = no */
    beside_certificates(CLIENT_AUTH_NONE);
    site.listener.psk_file = NULL;
    with_suites("PSK:ECDHE-ECDSA-AES128-GCM-SHA256");
    ck_assert_str_eq(seen.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
    ck_assert(!seen.has_psk);
}
END_TEST

/* OpenSSL does not have it. */
START_TEST(ecdhe_psk_with_aes_128_gcm_is_offered) {
    static const uint8_t suite[] = {0xd0, 0x01};
    struct tls_context *ctx = site_load(&site, &shared);
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    struct pair p;
    ck_assert(SSL_CTX_set_cipher_list(client, "ECDHE-ECDSA-AES128-SHA"));
    pair_init(&p, client, "localhost", NULL);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    hello_add_suites(&p.up, suite, sizeof suite);
    ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
    p.engine = engine_open(ctx, &p.hello);
    p.in = (struct engine_input){p.up.data, p.up.len};
    ck_assert_int_eq(engine_handshake(p.engine, &p.in, &p.out, NULL), ENGINE_MORE);
    /* Record and message header, version, random, session ID of 32 bytes or none; then the suite.
     */
    const uint8_t *id = p.out.data + 5 + 4 + 2 + 32;
    ck_assert_mem_eq(id + 1 + id[0], suite, sizeof suite);
    pair_free(&p);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
}
END_TEST

/* --- key exchange in TLS 1.3 --- */

START_TEST(there_is_a_key_exchange_even_if_the_client_would_do_without) {
    SSL_CTX *client = client_with(TLS1_3_VERSION);
    SSL_CTX_set_options(client, SSL_OP_ALLOW_NO_DHE_KEX);
    client_has("sensor-1", KEY_ONE);
    visit_once(client);
    is_accepted("sensor-1");
    ck_assert_str_ne(seen.group, "-");
}
END_TEST

/* psk_key_exchange_modes with psk_ke alone; the binder is then wrong, but not looked at. */
static enum engine_status offer_psk_ke(struct pair *p, struct tls_context *ctx, SSL_CTX *client) {
    static const uint8_t modes[] = {0, 45, 0, 2, 1, 1};
    pair_init(p, client, "localhost", NULL);
    SSL_do_handshake(p->client);
    pair_collect(p);
    uint8_t *at = memmem(p->up.data, p->up.len, modes, sizeof modes);
    ck_assert_ptr_nonnull(at);
    at[sizeof modes - 1] = 0;
    ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
    p->engine = engine_open(ctx, &p->hello);
    p->in = (struct engine_input){p->up.data, p->up.len};
    return engine_handshake(p->engine, &p->in, &p->out, NULL);
}

START_TEST(a_key_without_a_key_exchange_is_not_taken) {
    static const uint8_t alert[] = {21, 3, 3, 0, 2, 2, HANDSHAKE_FAILURE};
    SSL_CTX *client = client_with(TLS1_3_VERSION);
    struct tls_context *ctx = site_load(&site, &shared);
    struct pair p;
    client_has("sensor-1", KEY_ONE);
    ck_assert_int_eq(offer_psk_ke(&p, ctx, client), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_NO_SHARED_CIPHER);
    ck_assert_uint_eq(p.out.len, sizeof alert);
    ck_assert_mem_eq(p.out.data, alert, sizeof alert);
    pair_free(&p);
    tls_context_unref(ctx);
    beside_certificates(CLIENT_AUTH_NONE); /* there is another way */
    ctx = site_load(&site, &shared);
    ck_assert_int_eq(offer_psk_ke(&p, ctx, client), ENGINE_MORE);
    pair_free(&p);
    tls_context_unref(ctx);
    SSL_CTX_free(client);
}
END_TEST

static SSL_CTX *client_that_is_asked_for_another_group(void) {
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    SSL_CTX_set_psk_use_session_callback(client, on_psk_session);
    ck_assert(SSL_CTX_set1_groups_list(client, "P-521:P-256"));
    client_has("sensor-1", KEY_ONE);
    return client;
}

START_TEST(a_key_may_come_with_a_second_hello) {
    visit_once(client_that_is_asked_for_another_group());
    is_accepted("sensor-1");
    beside_certificates(CLIENT_AUTH_REQUIRED);
    visit_once(client_that_is_asked_for_another_group());
    is_accepted("sensor-1");
}
END_TEST

/* The first hello could be a recorded one of that client. */
START_TEST(a_key_that_the_second_hello_leaves_out_proves_nothing) {
    beside_certificates(CLIENT_AUTH_NONE);
    SSL_CTX *client = client_that_is_asked_for_another_group();
    has.only_first = 1;
    visit_once(client);
    is_accepted("-");
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)ca_file;
    client = client_that_is_asked_for_another_group();
    has.only_first = 1;
    visit_once(client);
    is_refused(REASON_NO_CERTIFICATE_GIVEN, 116);
}
END_TEST

START_TEST(without_certificates_a_second_hello_needs_the_key) {
    SSL_CTX *client = client_that_is_asked_for_another_group();
    has.only_first = 1;
    visit_once(client);
    is_refused(REASON_NO_SHARED_CIPHER, HANDSHAKE_FAILURE);
}
END_TEST

/* --- sessions --- */

static SSL_SESSION *first_visit(struct way way, SSL_CTX **client) {
    *client = client_with(way.version);
    if (!way.tickets) {
        SSL_CTX_set_options(*client, SSL_OP_NO_TICKET);
    }
    client_has("sensor-1", KEY_ONE);
    visit(*client, NULL);
    is_accepted("sensor-1");
    ck_assert(!seen.resumed);
    return seen.session;
}

static void done(SSL_CTX *client, SSL_SESSION *session) {
    SSL_SESSION_free(seen.session);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
}

START_TEST(a_client_resumes_while_its_key_stands) {
    SSL_CTX *client;
    SSL_SESSION *session = first_visit(ways[_i], &client), *second;
    keys("sensor-0:" KEY_TWO "\nsensor-1:" KEY_ONE "\n");
    visit(client, session);
    is_accepted("sensor-1");
    ck_assert(seen.resumed);
    second = seen.session; /* by a renewed ticket, too */
    visit(client, second);
    is_accepted("sensor-1");
    ck_assert(seen.resumed);
    SSL_SESSION_free(second);
    done(client, session);
}
END_TEST

/* Its ticket has just room for that. */
START_TEST(a_client_with_the_longest_identity_resumes) {
    enum { LONGEST = 128 };
    char text[LONGEST + 64], identity[LONGEST + 1];
    SSL_CTX *client = client_with(ways[_i].version);
    if (!ways[_i].tickets) {
        SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
    }
    memset(identity, 'x', LONGEST);
    identity[LONGEST] = '\0';
    snprintf(text, sizeof text, "%s:" KEY_ONE "\n", identity);
    keys(text);
    client_has(identity, KEY_ONE);
    visit(client, NULL);
    is_accepted(identity);
    SSL_SESSION *session = seen.session;
    visit(client, session);
    is_accepted(identity);
    ck_assert(seen.resumed);
    done(client, session);
}
END_TEST

static void another_key(void) {
    keys("sensor-1:" KEY_TWO "\n");
}

static void no_entry(void) {
    keys("sensor-2:" KEY_TWO "\n");
}

/* In TLS 1.2 the client tries its key in the same connection, in TLS 1.3 beside its ticket. */
START_TEST(a_client_does_not_resume_past_its_key) {
    static const struct {
        void (*change)(void);
        enum reason reason;
    } changes[] = {{no_entry, REASON_UNKNOWN_PSK}, {another_key, REASON_BAD_PSK}};
    for (size_t i = 0; i < 2; i++) {
        SSL_CTX *client;
        keys(KEYS);
        SSL_SESSION *session = first_visit(ways[_i], &client);
        changes[i].change();
        visit(client, session);
        is_refused(changes[i].reason, wrong_key_alert(ways[_i].version));
        done(client, session);
    }
}
END_TEST

START_TEST(nobody_resumes_by_a_key_where_there_are_none_any_more) {
    SSL_CTX *client;
    beside_certificates(CLIENT_AUTH_OPTIONAL);
    SSL_SESSION *session = first_visit(ways[_i], &client);
    site.listener.psk_file = NULL;
    ck_assert(SSL_CTX_set_cipher_list(client, "DEFAULT"));
    visit(client, session);
    is_accepted("-"); /* as a client without a certificate */
    ck_assert(!seen.resumed);
    done(client, session);
}
END_TEST

/* Else it would be refused with its ticket at each try, although it has a key. */
START_TEST(a_client_that_needed_no_key_comes_back_with_one_where_keys_alone_count) {
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    site.listener.tls_min = CONFIG_TLS_1_3;
    beside_certificates(CLIENT_AUTH_NONE);
    visit(client, NULL);
    is_accepted("-");
    SSL_SESSION *session = seen.session;
    site.listener.certificate_count = 0;
    visit(client, session);
    ck_assert_int_ne(seen.reason, REASON_NONE);
    ck_assert_uint_ne(seen.received, 0);
    client_has("sensor-1", KEY_ONE);
    SSL_CTX_set_psk_use_session_callback(client, on_psk_session);
    visit(client, session);
    is_accepted("sensor-1");
    done(client, session);
}
END_TEST

/* Session IDs can be seen on the wire. The ticket's suite is not the server's first, so the library
 * looks at both identities before it takes the ticket. */
START_TEST(a_ticket_does_not_become_another_client_s_beside_that_one_s_session_id) {
    beside_certificates(CLIENT_AUTH_REQUIRED);
    SSL_CTX *victim = client_with(TLS1_2_VERSION), *client = client_new(TLS1_3_VERSION);
    unsigned len;
    SSL_CTX_set_options(victim, SSL_OP_NO_TICKET);
    client_has("sensor-2", KEY_TWO);
    visit(victim, NULL);
    is_accepted("sensor-2");
    SSL_SESSION *seen_on_the_wire = seen.session;
    SSL_CTX_set_psk_use_session_callback(client, on_psk_session);
    ck_assert(SSL_CTX_set_ciphersuites(client, "TLS_CHACHA20_POLY1305_SHA256"));
    client_has("sensor-1", KEY_ONE);
    visit(client, NULL);
    is_accepted("sensor-1");
    SSL_SESSION *own = seen.session;
    const uint8_t *id = SSL_SESSION_get_id(seen_on_the_wire, &len);
    memcpy(has.identity, id, len);
    has.identity_len = len;
    ck_assert(
        SSL_CTX_set_ciphersuites(client, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"));
    visit(client, own);
    is_accepted("sensor-1");
    ck_assert(seen.resumed);
    SSL_SESSION_free(seen_on_the_wire);
    SSL_CTX_free(victim);
    done(client, own);
}
END_TEST

/* A handshake that a reload overtakes before its last step. */
static void reloaded_meanwhile(int version, void (*change)(void), enum reason reason) {
    SSL_CTX *client = client_with(version);
    struct tls_context *ctx, *newer;
    struct pair p;
    keys(KEYS);
    ctx = site_load(&site, &shared);
    change();
    newer = site_load(&site, &shared);
    client_has("sensor-1", KEY_ONE);
    pair_init(&p, client, "localhost", NULL);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
    p.engine = engine_open(ctx, &p.hello);
    engine_check_by(p.engine, newer);
    tls_context_retire(ctx);
    pair_handshake(&p, ctx);
    ck_assert_int_eq(engine_failure(p.engine), reason);
    pair_free(&p);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
    tls_context_unref(newer);
}

static void no_change(void) {
}

START_TEST(a_key_that_a_reload_removes_during_the_handshake_is_refused) {
    reloaded_meanwhile(versions[_i], no_change, REASON_NONE);
    reloaded_meanwhile(versions[_i], no_entry, REASON_UNKNOWN_PSK);
    reloaded_meanwhile(versions[_i], another_key, REASON_UNKNOWN_PSK);
}
END_TEST

/* The listener had certificates, and needs keys from now on. */
START_TEST(nobody_comes_in_without_a_key_past_a_reload_that_asks_for_one) {
    SSL_CTX *client = client_new(versions[_i]);
    struct tls_context *newer = site_load(&site, &shared), *ctx;
    struct pair p;
    site.listener.psk_file = NULL;
    beside_certificates(CLIENT_AUTH_NONE);
    ctx = site_load(&site, &shared);
    pair_init(&p, client, "localhost", NULL);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
    p.engine = engine_open(ctx, &p.hello);
    engine_check_by(p.engine, newer);
    pair_handshake(&p, ctx);
    ck_assert_int_eq(engine_failure(p.engine), REASON_NO_CERTIFICATE_GIVEN);
    pair_free(&p);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
    tls_context_unref(newer);
}
END_TEST

static bool is_revoked_by(const struct engine *e) {
    struct tls_context *ctx = site_load(&site, &shared);
    bool revoked = engine_is_revoked(e, ctx);
    tls_context_unref(ctx);
    return revoked;
}

START_TEST(a_session_is_revoked_with_its_key) {
    SSL_CTX *client = client_with(versions[_i]);
    struct tls_context *ctx = site_load(&site, &shared);
    struct pair p;
    client_has("sensor-1", KEY_ONE);
    pair_init(&p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    ck_assert(!is_revoked_by(p.engine));
    keys("sensor-1:" KEY_ONE "\n");
    ck_assert(!is_revoked_by(p.engine));
    another_key();
    ck_assert(is_revoked_by(p.engine));
    no_entry();
    ck_assert(is_revoked_by(p.engine));
    site.listener.psk_file = NULL;
    beside_certificates(CLIENT_AUTH_NONE);
    ck_assert(is_revoked_by(p.engine));
    pair_free(&p);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
}
END_TEST

/* Its client could not come in any more. */
START_TEST(a_certificates_session_is_revoked_where_keys_alone_count) {
    beside_certificates(CLIENT_AUTH_REQUIRED);
    SSL_CTX *client = client_new(versions[_i]);
    struct tls_context *ctx = site_load(&site, &shared);
    struct pair p;
    ck_assert_int_eq(SSL_CTX_use_certificate(client, device.cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, device.key), 1);
    pair_init(&p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    ck_assert(!is_revoked_by(p.engine));
    site.listener.certificate_count = 0;
    site.listener.client_auth = CLIENT_AUTH_NONE;
    ck_assert(is_revoked_by(p.engine));
    pair_free(&p);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
}
END_TEST

/* --- the file --- */

START_TEST(a_bad_file_is_not_loaded) {
    struct error err = {""};
    keys("sensor+1:" KEY_ONE "\n");
    tls_context_unref(site_load(&site, &shared)); /* no broker gets the name */
    site.listener.mqtt = MQTT_IDENTITY;
    ck_assert_ptr_null(tls_context_load(&site.listener, &shared, &err));
    ck_assert_msg(strstr(err.text, ":1: an identity that cannot be a name") != NULL, "%s",
                  err.text);
    ck_assert_msg(strncmp(err.text, "listener mqtt: psk_file: ", 25) == 0, "%s", err.text);
    site.listener.mqtt = MQTT_OFF;
    site.listener.proxy_protocol = PROXY_PROTOCOL_V2;
    ck_assert_ptr_null(tls_context_load(&site.listener, &shared, &err));
}
END_TEST

static void add(TCase *tc) {
    tcase_add_loop_test(tc, a_client_comes_in_by_its_key_and_has_its_name, 0, 4);
    tcase_add_loop_test(tc, nobody_learns_whether_an_identity_is_known, 0, 2);
    tcase_add_loop_test(tc, beside_certificates_a_wrong_key_is_refused_too, 0, 2);
    tcase_add_test(tc, in_tls13_beside_certificates_an_unknown_identity_is_passed_over);
    tcase_add_loop_test(tc, where_certificates_are_required_a_key_is_as_good, 0, 2);
    tcase_add_loop_test(tc, without_certificates_a_client_needs_a_key, 0, 2);
    tcase_add_test(tc, without_psk_file_nobody_comes_in_by_a_key);
    tcase_add_test(tc, all_bytes_of_an_identity_count);
    tcase_add_test(tc, without_forward_secrecy_only_where_the_user_wants_it);
    tcase_add_test(tc, plain_keys_too_are_refused_alike);
    tcase_add_test(tc, a_key_goes_before_a_certificate);
    tcase_add_test(tc, each_suite_with_sha256_takes_a_key);
    tcase_add_test(tc, a_list_may_name_suites_with_keys);
    tcase_add_test(tc, a_list_for_several_routes_may_name_suites_that_one_has_no_keys_for);
    tcase_add_test(tc, ecdhe_psk_with_aes_128_gcm_is_offered);
    tcase_add_test(tc, there_is_a_key_exchange_even_if_the_client_would_do_without);
    tcase_add_test(tc, a_key_without_a_key_exchange_is_not_taken);
    tcase_add_test(tc, a_key_may_come_with_a_second_hello);
    tcase_add_test(tc, a_key_that_the_second_hello_leaves_out_proves_nothing);
    tcase_add_test(tc, without_certificates_a_second_hello_needs_the_key);
    tcase_add_loop_test(tc, a_client_resumes_while_its_key_stands, 0, 3);
    tcase_add_loop_test(tc, a_client_with_the_longest_identity_resumes, 0, 3);
    tcase_add_loop_test(tc, a_client_does_not_resume_past_its_key, 0, 3);
    tcase_add_loop_test(tc, nobody_resumes_by_a_key_where_there_are_none_any_more, 0, 3);
    tcase_add_test(tc, a_client_that_needed_no_key_comes_back_with_one_where_keys_alone_count);
    tcase_add_test(tc, a_ticket_does_not_become_another_client_s_beside_that_one_s_session_id);
    tcase_add_loop_test(tc, a_key_that_a_reload_removes_during_the_handshake_is_refused, 0, 2);
    tcase_add_loop_test(tc, nobody_comes_in_without_a_key_past_a_reload_that_asks_for_one, 0, 2);
    tcase_add_loop_test(tc, a_session_is_revoked_with_its_key, 0, 2);
    tcase_add_loop_test(tc, a_certificates_session_is_revoked_where_keys_alone_count, 0, 2);
    tcase_add_test(tc, a_bad_file_is_not_loaded);
}

int main(void) {
    Suite *s = suite_create("psk");
    TCase *tc = tcase_create("psk");
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    add(tc);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
