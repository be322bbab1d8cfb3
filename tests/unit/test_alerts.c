/* Whatever a client does wrong after its first record, it is sent one fatal alert, with the code of
 * RFC 8446 6.2 or RFC 5246 7.2.2, and nothing after it. Our own build of the library; the
 * distribution's is silent about some of it. */
#include "hello_edit.h"
#include "run.h"
#include "tls_pair.h"
#include "wire/alert.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct pki ecdsa, client_ca, outsider;
static struct site site;
static struct tls_context *ctx;

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void once(void) {
    struct error err;
    ck_assert_msg(tls_library_start(&err) == 0, "%s", err.text);
    ecdsa = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    client_ca = pki_make((struct pki_spec){.cn = "devices", .ca = 1}, NULL);
    outsider = pki_make((struct pki_spec){.cn = "outsider", .usage = "clientAuth"}, NULL);
    site_init(&site, pki_certs("ecdsa.pem", &ecdsa, NULL), pki_key("ecdsa.key", &ecdsa));
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)pki_certs("ca.pem", &client_ca, NULL);
}

static void finally(void) {
    pki_free(&ecdsa);
    pki_free(&client_ca);
    pki_free(&outsider);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    struct site open = site;
    open.listener.client_auth = CLIENT_AUTH_NONE;
    ctx = site_load(&open, NULL);
}

static void teardown(void) {
    tls_context_unref(ctx);
}

/* --- what the engine sends --- */

static size_t count_records(const struct buf *out) {
    size_t count = 0;
    for (size_t at = 0; at < out->len; count++) {
        ck_assert_uint_le(at + 5, out->len);
        at += 5 + ((size_t)out->data[at + 3] << 8 | out->data[at + 4]);
        ck_assert_uint_le(at, out->len);
    }
    return count;
}

/* The engine failed with that alert, which is one record and all that it sent. */
static void check_alert(const struct pair *p, enum engine_status status, uint8_t alert) {
    ck_assert_int_eq(status, ENGINE_FAILED);
    ck_assert_msg(engine_alert(p->engine) == alert, "alert %u, not %u (%s)",
                  engine_alert(p->engine), alert, reason_name(engine_failure(p->engine)));
    ck_assert_uint_eq(count_records(&p->out), 1);
    if (p->out.data[0] == 21 && p->out.len == ALERT_RECORD_SIZE) { /* not encrypted */
        ck_assert_uint_eq(p->out.data[5], ALERT_FATAL);
        ck_assert_uint_eq(p->out.data[6], alert);
    }
}

static void begin(struct pair *p, SSL_CTX *client) {
    pair_init(p, client, "localhost", NULL);
    SSL_CTX_free(client);
    SSL_do_handshake(p->client);
    pair_collect(p);
    ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
    p->engine = engine_open(ctx, &p->hello);
    ck_assert_ptr_nonnull(p->engine);
}

/* The engine overwrites its input. */
static uint8_t *copy_of(const void *data, size_t len) {
    return memcpy(malloc(len), data, len);
}

static enum engine_status give(struct pair *p, const void *data, size_t len) {
    uint8_t *copy = copy_of(data, len);
    p->in = (struct engine_input){copy, len};
    enum engine_status status = engine_handshake(p->engine, &p->in, &p->out, NULL);
    free(copy);
    return status;
}

static enum engine_status give_hello(struct pair *p) {
    enum engine_status status = give(p, p->up.data, p->up.len);
    p->up.len = 0;
    return status;
}

static enum engine_status read_bytes(struct pair *p, const void *data, size_t len) {
    uint8_t plain[100];
    size_t got;
    uint8_t *copy = copy_of(data, len);
    p->in = (struct engine_input){copy, len};
    enum engine_status status = engine_read(p->engine, &p->in, plain, sizeof plain, &got, &p->out);
    free(copy);
    return status;
}

static void connect_pair(struct pair *p, SSL_CTX *client) {
    pair_init(p, client, "localhost", NULL);
    SSL_CTX_free(client);
    ck_assert_int_eq(pair_handshake(p, ctx), ENGINE_OK);
}

/* --- within the handshake --- */

struct wrong {
    const char *bytes;
    size_t len;
    uint8_t alert;
};

/* After the server's first flight. */
static const struct wrong wrong_tls12[] = {
    {"\x19\3\3\0\1x", 6, ALERT_UNEXPECTED_MESSAGE},                /* no record type */
    {"\x14\3\3\0\1\1", 6, ALERT_UNEXPECTED_MESSAGE},               /* before the key exchange */
    {"\x14\3\3\0\1\2", 6, ALERT_UNEXPECTED_MESSAGE},               /* no ChangeCipherSpec */
    {"\x14\3\3\0\2\1\1", 7, ALERT_UNEXPECTED_MESSAGE},             /* two of them */
    {"\x17\3\3\0\1x", 6, ALERT_UNEXPECTED_MESSAGE},                /* data */
    {"\x16\3\3\0\4\x63\0\0\0", 9, ALERT_UNEXPECTED_MESSAGE},       /* no message type */
    {"\x16\3\3\0\4\x0e\0\0\0", 9, ALERT_UNEXPECTED_MESSAGE},       /* a server's message */
    {"\x16\3\3\0\5\x10\0\0\1\0", 10, ALERT_DECODE_ERROR},          /* a key of no length */
    {"\x16\3\3\0\7\x10\0\0\3\2\4\4", 12, ALERT_ILLEGAL_PARAMETER}, /* a key of two bytes */
    {"\x16\3\3\0\4\x10\xff\xff\xff", 9, ALERT_DECODE_ERROR},       /* longer than any message */
    {"\x16\3\3\x50\1", 5, ALERT_RECORD_OVERFLOW},                  /* longer than any record */
};
static const struct wrong wrong_tls13[] = {
    {"\x19\3\3\0\1x", 6, ALERT_UNEXPECTED_MESSAGE},
    {"\x14\3\3\0\1\2", 6, ALERT_UNEXPECTED_MESSAGE},
    {"\x14\3\3\0\1\1\x14\3\3\0\1\1", 12, ALERT_UNEXPECTED_MESSAGE}, /* twice */
    {"\x16\3\3\0\4\x14\0\0\0", 9, ALERT_UNEXPECTED_MESSAGE},        /* a message in plaintext */
    {"\x17\3\3\0\x11sixteen bytes and 1", 22, ALERT_BAD_RECORD_MAC},
    {"\x17\3\3\x50\1", 5, ALERT_RECORD_OVERFLOW},
};

static void check_wrong(int version, const struct wrong *wrong) {
    struct pair p;
    begin(&p, client_new(version));
    ck_assert_int_eq(give_hello(&p), ENGINE_MORE);
    p.out.len = 0;
    check_alert(&p, give(&p, wrong->bytes, wrong->len), wrong->alert);
    pair_free(&p);
}

START_TEST(a_wrong_message_of_tls12_gets_its_alert) {
    check_wrong(TLS1_2_VERSION, &wrong_tls12[_i]);
}
END_TEST

START_TEST(a_wrong_message_of_tls13_gets_its_alert) {
    check_wrong(TLS1_3_VERSION, &wrong_tls13[_i]);
}
END_TEST

/* RFC 8446 4.2.8.2 and 7.4.2. The client must not get a ServerHello first: after it, it would
 * expect encryption. */
START_TEST(a_bad_key_share_gets_an_alert_and_no_server_hello) {
    static const char *const groups[] = {"X25519", "P-256", "P-384"};
    static const unsigned numbers[] = {29, 23, 24};
    struct pair p;
    size_t len;
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(client, groups[_i]);
    begin(&p, client);
    uint8_t *key = hello_key_share(&p.up, numbers[_i], &len);
    if (numbers[_i] == 29) {
        memset(key, 0, len); /* of low order */
    } else {
        key[len - 1] ^= 1; /* not on the curve */
    }
    check_alert(&p, give_hello(&p), ALERT_ILLEGAL_PARAMETER);
    ck_assert_uint_eq(p.out.data[0], 21);
    pair_free(&p);
}
END_TEST

/* The extension comes before supported_groups here, which the library then reported as missing. */
START_TEST(an_empty_key_share_gets_a_decode_error) {
    static const uint8_t empty[] = {0, 29, 0, 0};
    struct pair p;
    begin(&p, client_new(TLS1_3_VERSION));
    hello_move_key_shares_first(&p.up);
    hello_add_key_shares(&p.up, empty, sizeof empty);
    check_alert(&p, give_hello(&p), ALERT_DECODE_ERROR);
    pair_free(&p);
}
END_TEST

START_TEST(a_refused_certificate_gets_one_alert) {
    struct pair p;
    SSL_CTX *client = client_new(versions[_i]);
    tls_context_unref(ctx);
    ctx = site_load(&site, NULL);
    SSL_CTX_use_certificate(client, outsider.cert);
    SSL_CTX_use_PrivateKey(client, outsider.key);
    begin(&p, client);
    ck_assert_int_eq(give_hello(&p), ENGINE_MORE);
    pair_deliver(&p);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    check_alert(&p, give_hello(&p), ALERT_UNKNOWN_CA);
    pair_free(&p);
}
END_TEST

START_TEST(a_missing_certificate_gets_one_alert) {
    struct pair p;
    tls_context_unref(ctx);
    ctx = site_load(&site, NULL);
    begin(&p, client_new(versions[_i]));
    ck_assert_int_eq(give_hello(&p), ENGINE_MORE);
    pair_deliver(&p);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    check_alert(&p, give_hello(&p), _i ? 116 : ALERT_HANDSHAKE_FAILURE);
    pair_free(&p);
}
END_TEST

/* --- after it --- */

START_TEST(a_forged_record_gets_one_alert) {
    static const char *const suites[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                         "ECDHE-ECDSA-CHACHA20-POLY1305"};
    static const char *const suites13[] = {"TLS_AES_128_GCM_SHA256",
                                           "TLS_CHACHA20_POLY1305_SHA256"};
    struct pair p;
    SSL_CTX *client = client_new(versions[_i / 2]);
    SSL_CTX_set_cipher_list(client, suites[_i % 2]);
    SSL_CTX_set_ciphersuites(client, suites13[_i % 2]);
    connect_pair(&p, client);
    ck_assert_int_eq(SSL_write(p.client, "hello", 5), 5);
    pair_collect(&p);
    p.up.data[p.up.len - 1] ^= 1;
    check_alert(&p, read_bytes(&p, p.up.data, p.up.len), ALERT_BAD_RECORD_MAC);
    engine_close(p.engine, &p.out);
    ck_assert_uint_eq(count_records(&p.out), 1);
    pair_free(&p);
}
END_TEST

START_TEST(a_record_of_no_type_gets_an_alert) {
    struct pair p;
    connect_pair(&p, client_new(versions[_i]));
    check_alert(&p, read_bytes(&p, "\x19\3\3\0\1x", 6), ALERT_UNEXPECTED_MESSAGE);
    pair_free(&p);
}
END_TEST

/* --- alerts of the client --- */

START_TEST(a_clients_alert_is_not_answered) {
    struct pair p;
    begin(&p, client_new(TLS1_2_VERSION));
    ck_assert_int_eq(give_hello(&p), ENGINE_MORE);
    p.out.len = 0;
    ck_assert_int_eq(give(&p, "\x15\3\3\0\2\2\x2a", 7), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_ALERT_RECEIVED);
    ck_assert_uint_eq(engine_alert(p.engine), 42);
    ck_assert_uint_eq(p.out.len, 0);
    pair_free(&p);
}
END_TEST

START_TEST(a_flood_of_warnings_is_ended) {
    struct pair p;
    enum engine_status status = ENGINE_MORE;
    begin(&p, client_new(TLS1_2_VERSION));
    ck_assert_int_eq(give_hello(&p), ENGINE_MORE);
    p.out.len = 0;
    for (int i = 0; i < 100 && status == ENGINE_MORE; i++) {
        status = give(&p, "\x15\3\3\0\2\1\x5a", 7);
    }
    check_alert(&p, status, ALERT_UNEXPECTED_MESSAGE);
    pair_free(&p);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static Suite *suite(void) {
    Suite *s = suite_create("alerts");
    TCase *tc = tcase_create("alerts");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_wrong_message_of_tls12_gets_its_alert, 0, COUNT(wrong_tls12));
    tcase_add_loop_test(tc, a_wrong_message_of_tls13_gets_its_alert, 0, COUNT(wrong_tls13));
    tcase_add_loop_test(tc, a_bad_key_share_gets_an_alert_and_no_server_hello, 0, 3);
    tcase_add_test(tc, an_empty_key_share_gets_a_decode_error);
    tcase_add_loop_test(tc, a_refused_certificate_gets_one_alert, 0, 2);
    tcase_add_loop_test(tc, a_missing_certificate_gets_one_alert, 0, 2);
    tcase_add_loop_test(tc, a_forged_record_gets_one_alert, 0, 4);
    tcase_add_loop_test(tc, a_record_of_no_type_gets_an_alert, 0, 2);
    tcase_add_test(tc, a_clients_alert_is_not_answered);
    tcase_add_test(tc, a_flood_of_warnings_is_ended);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return is_distribution_library() ? RUN_SKIPPED : run_suite(suite(), CK_FORK_GETENV);
}
