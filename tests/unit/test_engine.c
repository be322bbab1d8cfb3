#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct pki ecdsa, rsa;
static const char *ecdsa_cert, *ecdsa_key, *rsa_cert, *rsa_key;
static struct site site;
static struct tls_context *ctx;

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void once(void) {
    struct error err;
    ck_assert_msg(tls_library_start(&err) == 0, "%s", err.text);
    ecdsa = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    rsa = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost", .key = PKI_RSA2048},
                   NULL);
    ecdsa_cert = pki_certs("ecdsa.pem", &ecdsa, NULL);
    ecdsa_key = pki_key("ecdsa.key", &ecdsa);
    rsa_cert = pki_certs("rsa.pem", &rsa, NULL);
    rsa_key = pki_key("rsa.key", &rsa);
}

static void finally(void) {
    pki_free(&ecdsa);
    pki_free(&rsa);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    site_init(&site, ecdsa_cert, ecdsa_key);
    ctx = site_load(&site, NULL);
}

static void teardown(void) {
    tls_context_unref(ctx);
}

static void connect_pair(struct pair *p, int version) {
    SSL_CTX *client = client_new(version);
    pair_init(p, client, "localhost", NULL);
    SSL_CTX_free(client);
    ck_assert_int_eq(pair_handshake(p, ctx), ENGINE_OK);
    ck_assert(SSL_is_init_finished(p->client));
}

START_TEST(a_client_of_either_version_gets_its_bytes_back) {
    struct pair p;
    connect_pair(&p, versions[_i]);
    ck_assert_str_eq(engine_version(p.engine), _i ? "1.3" : "1.2");
    ck_assert_str_eq(engine_cipher(p.engine), SSL_get_cipher_name(p.client));
    ck_assert_ptr_null(engine_identity(p.engine));
    pair_send_up(&p, "hello", 5);
    pair_send_down(&p, "hello", 5);
    engine_close(p.engine, &p.out);
    pair_deliver(&p);
    char byte;
    ck_assert_int_eq(SSL_read(p.client, &byte, 1), 0);
    ck_assert_int_eq(SSL_get_error(p.client, 0), SSL_ERROR_ZERO_RETURN);
    pair_free(&p);
}
END_TEST

static void reload_with(struct site *with) {
    tls_context_unref(ctx);
    ctx = site_load(with, NULL);
}

static uint8_t *pattern(size_t len) {
    uint8_t *data = malloc(len);
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)(i * 31 + (i >> 8));
    }
    return data;
}

START_TEST(everything_works_byte_by_byte) {
    struct pair p;
    SSL_CTX *client = client_new(versions[_i]);
    pair_init(&p, client, "localhost", NULL);
    SSL_CTX_free(client);
    p.step = 1;
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    uint8_t *data = pattern(40000);
    pair_send_up(&p, data, 40000);
    pair_send_down(&p, data, 40000);
    free(data);
    pair_free(&p);
}
END_TEST

START_TEST(a_write_larger_than_any_record_arrives_whole) {
    struct pair p;
    connect_pair(&p, versions[_i]);
    uint8_t *data = pattern(1 << 20);
    static const size_t sizes[] = {1, 16383, 16384, 16385, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        pair_send_down(&p, data, sizes[i]);
        pair_send_up(&p, data, sizes[i]);
    }
    free(data);
    pair_free(&p);
}
END_TEST

START_TEST(the_reader_may_take_little_at_a_time) {
    struct pair p;
    connect_pair(&p, versions[_i]);
    uint8_t *data = pattern(30000), *got_all = malloc(30000);
    size_t total = 0, got;
    ck_assert_int_eq(SSL_write(p.client, data, 30000), 30000);
    pair_collect(&p);
    p.in = (struct engine_input){p.up.data, p.up.len};
    enum engine_status status;
    while ((status = engine_read(p.engine, &p.in, got_all + total, 7, &got, &p.out)) == ENGINE_OK) {
        ck_assert_uint_eq(got, 7);
        total += got;
        ck_assert_uint_le(total + 7, 30007);
    }
    ck_assert_int_eq(status, ENGINE_MORE);
    ck_assert_uint_eq(total + got, 30000);
    ck_assert_mem_eq(data, got_all, 30000);
    p.up.len = 0;
    free(data);
    free(got_all);
    pair_free(&p);
}
END_TEST

START_TEST(after_the_peers_close_notify_we_can_still_write) {
    struct pair p;
    uint8_t plain[10];
    size_t got;
    connect_pair(&p, versions[_i]);
    ck_assert_int_eq(SSL_write(p.client, "last", 4), 4);
    SSL_shutdown(p.client);
    pair_collect(&p);
    p.in = (struct engine_input){p.up.data, p.up.len};
    ck_assert_int_eq(engine_read(p.engine, &p.in, plain, sizeof plain, &got, &p.out),
                     ENGINE_CLOSED);
    ck_assert_uint_eq(got, 4);
    ck_assert_int_eq(engine_read(p.engine, &p.in, plain, sizeof plain, &got, &p.out),
                     ENGINE_CLOSED);
    ck_assert_uint_eq(got, 0);
    pair_send_down(&p, "still here", 10);
    engine_close(p.engine, &p.out);
    pair_deliver(&p);
    ck_assert_int_eq(SSL_shutdown(p.client), 1);
    p.up.len = 0;
    pair_free(&p);
}
END_TEST

START_TEST(after_our_close_notify_we_can_still_read) {
    struct pair p;
    uint8_t plain[10];
    size_t got;
    char byte;
    connect_pair(&p, versions[_i]);
    engine_close(p.engine, &p.out);
    engine_close(p.engine, &p.out);
    pair_deliver(&p);
    ck_assert_int_le(SSL_read(p.client, &byte, 1), 0);
    ck_assert_int_eq(SSL_get_error(p.client, 0), SSL_ERROR_ZERO_RETURN);
    ck_assert_int_eq(engine_write(p.engine, (const uint8_t *)"x", 1, &p.out), ENGINE_FAILED);
    pair_send_up(&p, "from client", 11);
    SSL_shutdown(p.client);
    pair_collect(&p);
    p.in = (struct engine_input){p.up.data, p.up.len};
    ck_assert_int_eq(engine_read(p.engine, &p.in, plain, sizeof plain, &got, &p.out),
                     ENGINE_CLOSED);
    ck_assert_uint_eq(p.out.len, 0);
    p.up.len = 0;
    pair_free(&p);
}
END_TEST

START_TEST(key_updates_are_followed_and_answered) {
    struct pair p;
    connect_pair(&p, TLS1_3_VERSION);
    for (int i = 0; i < 3; i++) {
        ck_assert(SSL_key_update(p.client,
                                 i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED));
        pair_send_up(&p, "after the update", 16);
        pair_send_down(&p, "and back", 8);
    }
    pair_free(&p);
}
END_TEST

START_TEST(records_are_capped_for_clients_that_negotiate_nothing) {
    static const size_t caps[] = {512, 1024, 4096};
    for (size_t i = 0; i < 3; i++) {
        struct pair p;
        site.listener.max_record_size = caps[i];
        reload_with(&site);
        connect_pair(&p, versions[_i]);
        if (versions[_i] == TLS1_2_VERSION) {
            ck_assert_uint_le(largest_record(&p.down, 0), caps[i] + 24);
        }
        p.down.len = 0;
        uint8_t *data = pattern(10000);
        pair_send_down(&p, data, 10000);
        ck_assert_uint_le(largest_record(&p.down, 23), caps[i] + 24);
        ck_assert_uint_ge(largest_record(&p.down, 23), caps[i]);
        free(data);
        pair_free(&p);
    }
}
END_TEST

START_TEST(max_fragment_length_is_granted_and_kept) {
    static const struct {
        uint8_t mode;
        size_t size;
    } modes[] = {{TLSEXT_max_fragment_length_512, 512},
                 {TLSEXT_max_fragment_length_1024, 1024},
                 {TLSEXT_max_fragment_length_4096, 4096}};
    for (size_t i = 0; i < 3; i++) {
        struct pair p;
        SSL_CTX *client = client_new(versions[_i]);
        SSL_CTX_set_tlsext_max_fragment_length(client, modes[i].mode);
        pair_init(&p, client, "localhost", NULL);
        SSL_CTX_free(client);
        p.step = i ? 0 : 1;
        ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
        ck_assert_int_eq(SSL_SESSION_get_max_fragment_length(SSL_get_session(p.client)),
                         modes[i].mode);
        uint8_t *data = pattern(20000);
        pair_send_down(&p, data, 20000);
        pair_send_up(&p, data, 20000);
        ck_assert_uint_gt(largest_record(&p.down, 0), modes[i].size);
        ck_assert_uint_le(largest_record(&p.down, 0), modes[i].size + 24);
        free(data);
        pair_free(&p);
    }
}
END_TEST

/* The engine's side of a handshake that must fail. */
static void fails(SSL_CTX *client, enum reason reason, uint8_t alert) {
    struct pair p;
    mark_point();
    pair_init(&p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_FAILED);
    ck_assert_msg(engine_failure(p.engine) == reason, "%s, not %s",
                  reason_name(engine_failure(p.engine)), reason_name(reason));
    ck_assert_uint_eq(engine_alert(p.engine), alert);
    pair_free(&p);
    SSL_CTX_free(client);
}

START_TEST(a_client_without_a_common_suite_gets_an_alert) {
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(client, "ECDHE-RSA-AES128-GCM-SHA256");
    fails(client, REASON_NO_SHARED_CIPHER, 40);
    client = client_new(TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(client, "AES128-SHA:AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256");
    fails(client, REASON_NO_SHARED_CIPHER, 40);
    client = client_new(TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(client, "TLS_AES_128_CCM_SHA256");
    fails(client, REASON_NO_SHARED_CIPHER, 40);
    client = client_new(TLS1_3_VERSION);
    SSL_CTX_set1_sigalgs_list(client, "rsa_pss_rsae_sha256");
    fails(client, REASON_NO_SHARED_CIPHER, 40);
    client = client_new(TLS1_2_VERSION);
    SSL_CTX_set1_groups_list(client, "P-521");
    fails(client, REASON_NO_SHARED_GROUP, 40);
}
END_TEST

START_TEST(a_client_of_an_unsupported_version_gets_an_alert) {
    SSL_CTX *client = client_new(TLS1_1_VERSION);
    SSL_CTX_set_security_level(client, 0);
    fails(client, REASON_UNSUPPORTED_VERSION, 70);
    site.listener.tls_min = CONFIG_TLS_1_3;
    reload_with(&site);
    fails(client_new(TLS1_2_VERSION), REASON_UNSUPPORTED_VERSION, 70);
    site.listener.tls_min = site.listener.tls_max = CONFIG_TLS_1_2;
    reload_with(&site);
    fails(client_new(TLS1_3_VERSION), REASON_UNSUPPORTED_VERSION, 70);
    struct pair p;
    connect_pair(&p, 0);
    ck_assert_str_eq(engine_version(p.engine), "1.2");
    pair_free(&p);
}
END_TEST

START_TEST(a_client_that_rejects_our_certificate_is_reported_with_its_alert) {
    SSL_CTX *client = client_new(versions[_i]);
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
    fails(client, REASON_ALERT_RECEIVED, SSL_AD_UNKNOWN_CA);
}
END_TEST

START_TEST(such_an_alert_may_come_in_pieces) {
    SSL_CTX *client = client_new(versions[_i]);
    SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
    for (size_t step = 1; step <= 13; step++) {
        struct pair p;
        pair_init(&p, client, "localhost", NULL);
        p.step = step;
        ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_FAILED);
        ck_assert_int_eq(engine_failure(p.engine), REASON_ALERT_RECEIVED);
        bool cut_early = is_distribution_library() && engine_alert(p.engine) == 0;
        ck_assert(cut_early || engine_alert(p.engine) == SSL_AD_UNKNOWN_CA);
        pair_free(&p);
    }
    SSL_CTX_free(client);
}
END_TEST

START_TEST(a_hello_retry_request_works) {
    struct pair p;
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(client, "P-521:P-384");
    pair_init(&p, client, "localhost", NULL);
    SSL_CTX_free(client);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    pair_send_up(&p, "x", 1);
    pair_free(&p);
}
END_TEST

/* RFC 8446 D.4: middle boxes expect it where the client sent a session ID, as OpenSSL does. */
START_TEST(tls13_looks_like_resumption_to_middle_boxes) {
    struct pair p;
    connect_pair(&p, TLS1_3_VERSION);
    if (!is_distribution_library()) {
        ck_assert_uint_eq(largest_record(&p.down, 20), 1);
    }
    pair_free(&p);
}
END_TEST

START_TEST(suites_are_chosen_in_the_servers_order) {
    struct pair p;
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    SSL_CTX_set_cipher_list(client, "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
                                    "ECDHE-ECDSA-AES128-GCM-SHA256");
    site.listener.ciphers = (char *)"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384";
    reload_with(&site);
    pair_init(&p, client, "localhost", NULL);
    SSL_CTX_free(client);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    ck_assert_str_eq(engine_cipher(p.engine), "ECDHE-ECDSA-CHACHA20-POLY1305");
    pair_send_down(&p, "x", 1);
    pair_free(&p);
}
END_TEST

START_TEST(every_suite_works) {
    static const char *suites[] = {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                                   "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-GCM-SHA256",
                                   "ECDHE-RSA-AES256-GCM-SHA384",   "ECDHE-RSA-CHACHA20-POLY1305",
                                   "TLS_AES_128_GCM_SHA256",        "TLS_AES_256_GCM_SHA384",
                                   "TLS_CHACHA20_POLY1305_SHA256"};
    site_add(&site, rsa_cert, NULL, rsa_key);
    reload_with(&site);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        bool tls13 = strncmp(suites[i], "TLS_", 4) == 0;
        SSL_CTX *client = client_new(tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
        struct pair p;
        if (tls13) {
            SSL_CTX_set_ciphersuites(client, suites[i]);
        } else {
            SSL_CTX_set_cipher_list(client, suites[i]);
        }
        pair_init(&p, client, "localhost", NULL);
        SSL_CTX_free(client);
        ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
        ck_assert_str_eq(engine_cipher(p.engine), suites[i]);
        pair_send_up(&p, "x", 1);
        pair_send_down(&p, "x", 1);
        pair_free(&p);
    }
}
END_TEST

/* Flips one byte of what the client sends during the handshake. */
START_TEST(a_damaged_handshake_fails_and_never_hangs) {
    for (size_t at = 0;; at++) {
        struct pair p;
        SSL_CTX *client = client_new(versions[_i]);
        pair_init(&p, client, "localhost", NULL);
        SSL_CTX_free(client);
        SSL_do_handshake(p.client);
        pair_collect(&p);
        ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
        size_t hello_len = p.up.len;
        if (at >= hello_len) {
            pair_free(&p);
            break;
        }
        p.up.data[at] ^= 0x41;
        p.engine = engine_open(ctx, &p.hello);
        ck_assert_ptr_nonnull(p.engine);
        enum engine_status status = pair_handshake(&p, ctx);
        if (at != 1 && at != 2) { /* the record's version is ignored (RFC 8446 5.1) */
            ck_assert_msg(status != ENGINE_OK, "byte %zu", at);
        }
        if (status == ENGINE_FAILED) {
            ck_assert_int_ne(engine_failure(p.engine), REASON_NONE);
            ck_assert_int_ne(engine_failure(p.engine), REASON_OUT_OF_MEMORY);
        }
        pair_free(&p);
    }
}
END_TEST

static void reads_fail(struct pair *p, const void *data, size_t len, uint8_t alert) {
    uint8_t plain[100];
    size_t got;
    uint8_t *copy = memcpy(malloc(len), data, len); /* the engine overwrites its input */
    p->in = (struct engine_input){copy, len};
    ck_assert_int_eq(engine_read(p->engine, &p->in, plain, sizeof plain, &got, &p->out),
                     ENGINE_FAILED);
    free(copy);
    ck_assert_int_eq(engine_failure(p->engine), REASON_TLS_ERROR);
    ck_assert_uint_eq(engine_alert(p->engine), alert);
    ck_assert_int_eq(engine_read(p->engine, &p->in, plain, sizeof plain, &got, &p->out),
                     ENGINE_FAILED);
    ck_assert_int_eq(engine_write(p->engine, plain, 1, &p->out), ENGINE_FAILED);
    engine_close(p->engine, &p->out);
}

START_TEST(a_forged_record_ends_the_connection) {
    struct pair p;
    connect_pair(&p, versions[_i]);
    ck_assert_int_eq(SSL_write(p.client, "hello", 5), 5);
    pair_collect(&p);
    p.up.data[p.up.len - 1] ^= 1;
    reads_fail(&p, p.up.data, p.up.len, 20);
    ck_assert_uint_gt(p.out.len, 0);
    pair_free(&p);
}
END_TEST

START_TEST(garbage_ends_the_connection) {
    struct pair p;
    connect_pair(&p, versions[_i]);
    uint8_t alert = is_distribution_library() ? engine_alert(p.engine) : 70;
    reads_fail(&p, "GET / HTTP/1.1\r\n\r\n", 18, alert);
    pair_free(&p);
}
END_TEST

START_TEST(an_alert_ends_the_connection) {
    struct pair p;
    connect_pair(&p, TLS1_2_VERSION);
    /* OpenSSL has no call to send one: our own record is damaged, so that the client sends an
     * alert. */
    ck_assert_int_eq(engine_write(p.engine, (const uint8_t *)"x", 1, &p.out), ENGINE_OK);
    p.out.data[p.out.len - 1] ^= 1;
    pair_deliver(&p);
    char byte;
    ck_assert_int_le(SSL_read(p.client, &byte, 1), 0);
    pair_collect(&p);
    reads_fail(&p, p.up.data, p.up.len, 20);
    pair_free(&p);
}
END_TEST

START_TEST(renegotiation_is_refused) {
    struct pair p;
    connect_pair(&p, TLS1_2_VERSION);
    ck_assert(SSL_renegotiate(p.client));
    SSL_do_handshake(p.client);
    pair_collect(&p);
    uint8_t plain[100];
    size_t got;
    p.in = (struct engine_input){p.up.data, p.up.len};
    enum engine_status status = engine_read(p.engine, &p.in, plain, sizeof plain, &got, &p.out);
    ck_assert_uint_eq(got, 0);
    /* Refused with a warning or with the end of the connection; never carried out. */
    if (status == ENGINE_FAILED) {
        ck_assert_int_eq(engine_failure(p.engine), REASON_TLS_ERROR);
    } else {
        ck_assert_int_eq(status, ENGINE_MORE);
    }
    pair_deliver(&p);
    ck_assert_int_le(SSL_do_handshake(p.client), 0);
    pair_free(&p);
}
END_TEST

START_TEST(a_client_that_leaves_is_distinguished_from_a_faulty_one) {
    struct pair p;
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    static const uint8_t close_notify[] = {21, 3, 3, 0, 2, 1, 0};
    pair_init(&p, client, "localhost", NULL);
    SSL_CTX_free(client);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
    ck_assert(buf_append(&p.up, close_notify, sizeof close_notify, SIZE_MAX));
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_CLIENT_CLOSED);
    pair_free(&p);
}
END_TEST

START_TEST(an_established_connection_outlives_its_context) {
    struct pair p;
    connect_pair(&p, versions[_i]);
    tls_context_retire(ctx);
    tls_context_unref(ctx);
    ctx = NULL;
    pair_send_up(&p, "x", 1);
    pair_send_down(&p, "x", 1);
    pair_free(&p);
}
END_TEST

START_TEST(an_engine_can_be_freed_at_any_time) {
    engine_free(NULL);
    for (int turns = 0; turns < 4; turns++) {
        struct pair p;
        SSL_CTX *client = client_new(versions[_i]);
        pair_init(&p, client, "localhost", NULL);
        SSL_CTX_free(client);
        SSL_do_handshake(p.client);
        pair_collect(&p);
        ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
        p.engine = engine_open(ctx, &p.hello);
        ck_assert_ptr_nonnull(p.engine);
        for (int i = 0; i < turns; i++) {
            p.in = (struct engine_input){p.up.data, p.up.len / 4 * (size_t)turns};
            enum engine_status status = engine_handshake(p.engine, &p.in, &p.out, NULL);
            ck_assert_int_eq(status, ENGINE_MORE);
            buf_consume(&p.up, p.up.len / 4 * (size_t)turns);
        }
        pair_free(&p);
    }
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("engine");
    TCase *tc = tcase_create("engine");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_client_of_either_version_gets_its_bytes_back, 0, 2);
    tcase_add_loop_test(tc, everything_works_byte_by_byte, 0, 2);
    tcase_add_loop_test(tc, a_write_larger_than_any_record_arrives_whole, 0, 2);
    tcase_add_loop_test(tc, the_reader_may_take_little_at_a_time, 0, 2);
    tcase_add_loop_test(tc, after_the_peers_close_notify_we_can_still_write, 0, 2);
    tcase_add_loop_test(tc, after_our_close_notify_we_can_still_read, 0, 2);
    tcase_add_test(tc, key_updates_are_followed_and_answered);
    tcase_add_loop_test(tc, records_are_capped_for_clients_that_negotiate_nothing, 0, 2);
    tcase_add_loop_test(tc, max_fragment_length_is_granted_and_kept, 0, 2);
    tcase_add_test(tc, a_client_without_a_common_suite_gets_an_alert);
    tcase_add_test(tc, a_client_of_an_unsupported_version_gets_an_alert);
    tcase_add_loop_test(tc, a_client_that_rejects_our_certificate_is_reported_with_its_alert, 0, 2);
    tcase_add_loop_test(tc, such_an_alert_may_come_in_pieces, 0, 2);
    tcase_add_test(tc, a_hello_retry_request_works);
    tcase_add_test(tc, tls13_looks_like_resumption_to_middle_boxes);
    tcase_add_test(tc, suites_are_chosen_in_the_servers_order);
    tcase_add_test(tc, every_suite_works);
    tcase_add_loop_test(tc, a_damaged_handshake_fails_and_never_hangs, 0, 2);
    tcase_add_loop_test(tc, a_forged_record_ends_the_connection, 0, 2);
    tcase_add_loop_test(tc, garbage_ends_the_connection, 0, 2);
    tcase_add_test(tc, an_alert_ends_the_connection);
    tcase_add_test(tc, renegotiation_is_refused);
    tcase_add_test(tc, a_client_that_leaves_is_distinguished_from_a_faulty_one);
    tcase_add_loop_test(tc, an_established_connection_outlives_its_context, 0, 2);
    tcase_add_loop_test(tc, an_engine_can_be_freed_at_any_time, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
