/* What other clients send and OpenSSL's does not, or only with another server: it must not keep
 * them from connecting. Our own build of the library; the distribution's refuses most of it. */
#include "hello_edit.h"
#include "run.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

static struct pki ecdsa, client_ca, device;
static struct site site;
static struct tls_shared shared;
static struct tls_context *ctx;

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void once(void) {
    struct error err;
    ck_assert_msg(tls_library_start(&err) == 0, "%s", err.text);
    ecdsa = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    client_ca = pki_make((struct pki_spec){.cn = "devices", .ca = 1}, NULL);
    device = pki_make((struct pki_spec){.cn = "device", .usage = "clientAuth"}, &client_ca);
    site_init(&site, pki_certs("ecdsa.pem", &ecdsa, NULL), pki_key("ecdsa.key", &ecdsa));
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    site.listener.client_ca = (char *)pki_certs("ca.pem", &client_ca, NULL);
}

static void finally(void) {
    pki_free(&ecdsa);
    pki_free(&client_ca);
    pki_free(&device);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    struct error err;
    shared.tickets = tls_tickets_new(&err);
    ck_assert_ptr_nonnull(shared.tickets);
    ctx = site_load(&site, &shared);
}

static void teardown(void) {
    tls_context_unref(ctx);
    tls_tickets_free(shared.tickets);
}

/* --- another server --- */

struct other {
    SSL_CTX *ctx;
    size_t ticket_size;
};

static int fill_ticket(SSL *ssl, void *arg) {
    static const char filling[65536];
    const struct other *other = arg;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), filling, other->ticket_size);
}

static SSL_TICKET_RETURN take_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                     size_t len, SSL_TICKET_STATUS status, void *arg) {
    return SSL_TICKET_RETURN_IGNORE_RENEW;
}

static void move(SSL *from, SSL *to) {
    char *data;
    long len = BIO_get_mem_data(SSL_get_wbio(from), &data);
    if (len > 0) {
        ck_assert_int_eq(BIO_write(SSL_get_rbio(to), data, (int)len), len);
    }
    (void)BIO_reset(SSL_get_wbio(from));
}

static SSL *new_end(SSL_CTX *of) {
    SSL *ssl = SSL_new(of);
    BIO *in = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl, in, BIO_new(BIO_s_mem()));
    return ssl;
}

/* The session that a client keeps of an OpenSSL server, with a ticket of at least `size` bytes. */
static SSL_SESSION *session_elsewhere(SSL_CTX *client_ctx, size_t size, uint32_t early_data) {
    struct other other = {SSL_CTX_new(TLS_server_method()), size};
    SSL_CTX_use_certificate(other.ctx, ecdsa.cert);
    SSL_CTX_use_PrivateKey(other.ctx, ecdsa.key);
    SSL_CTX_set_session_ticket_cb(other.ctx, fill_ticket, take_ticket, &other);
    SSL_CTX_set_max_early_data(other.ctx, early_data);
    SSL *server = new_end(other.ctx), *client = new_end(client_ctx);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    for (int i = 0; i < 6; i++) {
        SSL_do_handshake(client);
        move(client, server);
        SSL_do_handshake(server);
        move(server, client);
    }
    char byte;
    ck_assert_int_le(SSL_read(client, &byte, 1), 0); /* the ticket of TLS 1.3 */
    SSL_SESSION *session = SSL_get1_session(client);
    const unsigned char *ticket;
    size_t len;
    SSL_SESSION_get0_ticket(session, &ticket, &len);
    ck_assert_uint_ge(len, size);
    SSL_set_shutdown(client, SSL_SENT_SHUTDOWN); /* else the session counts as broken */
    SSL_free(client);
    SSL_free(server);
    SSL_CTX_free(other.ctx);
    ERR_clear_error();
    return session;
}

/* Index 2: in TLS 1.3 with a second hello, which leaves the ticket out, as it is for another hash.
 */
START_TEST(a_ticket_of_another_server_is_ignored_whatever_its_size) {
    static const size_t sizes[] = {1, 100, 300, 1000, 2000, 2100, 12000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        SSL_CTX *client = client_new(versions[_i > 0]);
        SSL_CTX_set1_groups_list(client, _i == 2 ? "P-521:P-384" : "P-256");
        SSL_SESSION *session = session_elsewhere(client, sizes[i], 0);
        struct pair p;
        pair_init(&p, client, "localhost", session);
        ck_assert_msg(pair_handshake(&p, ctx) == ENGINE_OK, "%zu bytes: alert %u", sizes[i],
                      engine_alert(p.engine));
        ck_assert(p.hello.has_ticket && !engine_is_resumed(p.engine));
        pair_send_up(&p, "x", 1);
        pair_send_down(&p, "x", 1);
        pair_free(&p);
        SSL_SESSION_free(session);
        SSL_CTX_free(client);
    }
}
END_TEST

/* --- 0-RTT --- */

static enum engine_status send_early(struct pair *p, SSL_CTX *client, size_t len) {
    static const char data[65536];
    SSL_SESSION *session = session_elsewhere(client, 0, 65536);
    pair_init(p, client, "localhost", session);
    SSL_SESSION_free(session);
    for (size_t sent = 0, n; sent < len; sent += n) {
        size_t piece = len - sent < 4000 ? len - sent : 4000;
        ck_assert_int_eq(SSL_write_early_data(p->client, data, piece, &n), 1);
    }
    return pair_handshake(p, ctx);
}

/* Index 0: the server goes on at once; 1: it asks for another hello first. */
static SSL_CTX *early_client(int retried) {
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(client, retried ? "P-521:P-384" : "P-256");
    return client;
}

START_TEST(early_data_is_skipped) {
    static const size_t lens[] = {1, 100, 16384, 60000};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        struct pair p;
        SSL_CTX *client = early_client(_i);
        ck_assert_msg(send_early(&p, client, lens[i]) == ENGINE_OK, "%zu bytes: alert %u", lens[i],
                      engine_alert(p.engine));
        ck_assert_int_eq(SSL_get_early_data_status(p.client), SSL_EARLY_DATA_REJECTED);
        pair_send_up(&p, "late", 4);
        pair_send_down(&p, "late", 4);
        pair_free(&p);
        SSL_CTX_free(client);
    }
}
END_TEST

START_TEST(the_early_data_that_is_skipped_is_bounded) {
    struct pair p;
    SSL_CTX *client = early_client(_i);
    ck_assert_int_eq(send_early(&p, client, 65536), ENGINE_FAILED);
    ck_assert_uint_eq(engine_alert(p.engine), _i ? 10 : 20);
    pair_free(&p);
    SSL_CTX_free(client);
}
END_TEST

static enum engine_status answer(struct pair *p);

/* RFC 8446 4.2.10: the client knows by then that its 0-RTT is refused. */
START_TEST(no_early_data_is_skipped_after_the_second_hello) {
    static const uint8_t data[5 + 100] = {23, 3, 3, 0, 100};
    struct pair p;
    size_t n;
    SSL_CTX *client = early_client(1);
    SSL_SESSION *session = session_elsewhere(client, 0, 65536);
    pair_init(&p, client, "localhost", session);
    SSL_SESSION_free(session);
    SSL_CTX_free(client);
    ck_assert_int_eq(SSL_write_early_data(p.client, data, sizeof data, &n), 1);
    pair_collect(&p);
    ck_assert_int_eq(answer(&p), ENGINE_MORE);
    p.up.len = 0;
    pair_deliver(&p);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    ck_assert(buf_append(&p.up, data, sizeof data, SIZE_MAX));
    p.in = (struct engine_input){p.up.data, p.up.len};
    ck_assert_int_eq(engine_handshake(p.engine, &p.in, &p.out, NULL), ENGINE_FAILED);
    ck_assert_uint_eq(engine_alert(p.engine), 20);
    pair_free(&p);
}
END_TEST

/* --- the ClientHello --- */

static void first_hello(struct pair *p, SSL_CTX *client) {
    pair_init(p, client, "localhost", NULL);
    SSL_CTX_free(client);
    SSL_do_handshake(p->client);
    pair_collect(p);
}

/* The engine's answer to the edited hello. */
static enum engine_status answer(struct pair *p) {
    ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
    p->engine = engine_open(ctx, &p->hello);
    ck_assert_ptr_nonnull(p->engine);
    p->in = (struct engine_input){p->up.data, p->up.len};
    return engine_handshake(p->engine, &p->in, &p->out, NULL);
}

static bool is_server_hello(const struct buf *out) {
    return out->len > 45 && out->data[0] == 22 && out->data[5] == 2;
}

/* RFC 8446 4.1.3: a HelloRetryRequest is a ServerHello with this random. */
static bool is_retry(const struct buf *out) {
    static const uint8_t start[] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11};
    return is_server_hello(out) && memcmp(out->data + 11, start, sizeof start) == 0;
}

START_TEST(any_number_of_suites_may_be_listed) {
    static const size_t counts[] = {100, 151, 400, 3000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct pair p;
        uint8_t *suites = malloc(counts[i] * 2);
        for (size_t j = 0; j < counts[i]; j++) { /* some of no version, some of ours, again */
            suites[2 * j] = j % 3 ? 0xC0 : 0x13;
            suites[2 * j + 1] = (uint8_t)(j % 3 ? j : 1);
        }
        first_hello(&p, client_new(versions[_i]));
        hello_add_suites(&p.up, suites, counts[i] * 2);
        ck_assert_int_eq(answer(&p), ENGINE_MORE);
        ck_assert_msg(is_server_hello(&p.out), "%zu suites", counts[i]);
        pair_free(&p);
        free(suites);
    }
}
END_TEST

START_TEST(any_number_of_key_shares_may_be_sent) {
    static const size_t counts[] = {11, 12, 13, 500};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct pair p;
        struct buf shares = {0};
        for (size_t j = 0; j < counts[i]; j++) {
            const uint8_t share[] = {0x2a, (uint8_t)j, 0, 3, 1, 2, 3};
            ck_assert(buf_append(&shares, share, sizeof share, SIZE_MAX));
        }
        first_hello(&p, client_new(TLS1_3_VERSION));
        hello_add_key_shares(&p.up, shares.data, shares.len);
        ck_assert_int_eq(answer(&p), ENGINE_MORE);
        ck_assert_msg(is_server_hello(&p.out) && !is_retry(&p.out), "%zu shares", counts[i]);
        pair_free(&p);
        buf_free(&shares);
    }
}
END_TEST

START_TEST(a_share_of_our_own_groups_comes_once) {
    struct pair p;
    const uint8_t share[] = {0, 29, 0, 3, 1, 2, 3};
    first_hello(&p, client_new(TLS1_3_VERSION));
    hello_add_key_shares(&p.up, share, sizeof share);
    ck_assert_int_eq(answer(&p), ENGINE_FAILED);
    ck_assert_uint_eq(engine_alert(p.engine), 47);
    pair_free(&p);
}
END_TEST

START_TEST(no_group_in_common_is_reported_as_such) {
    struct pair p;
    SSL_CTX *client = client_new(versions[_i]);
    SSL_CTX_set1_groups_list(client, "P-521:X448");
    first_hello(&p, client);
    ck_assert_int_eq(answer(&p), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_NO_SHARED_GROUP);
    ck_assert_uint_eq(engine_alert(p.engine), 40);
    ck_assert_uint_eq(p.out.len, 7);
    pair_free(&p);
}
END_TEST

START_TEST(change_cipher_spec_follows_a_retry_request_at_once) {
    struct pair p;
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(client, "P-521:P-384");
    first_hello(&p, client);
    ck_assert_int_eq(answer(&p), ENGINE_MORE);
    ck_assert(is_retry(&p.out));
    static const uint8_t ccs[] = {20, 3, 3, 0, 1, 1};
    ck_assert_uint_ge(p.out.len, sizeof ccs);
    ck_assert_mem_eq(p.out.data + p.out.len - sizeof ccs, ccs, sizeof ccs);
    pair_free(&p);
}
END_TEST

/* --- records --- */

/* As pair_handshake, with the client's plaintext messages in records of `size` bytes. */
static enum engine_status recut_handshake(struct pair *p, size_t size) {
    for (int turn = 0; turn < 10 && p->status == ENGINE_MORE; turn++) {
        SSL_do_handshake(p->client);
        pair_collect(p);
        recut_plaintext(&p->up, size);
        if (p->engine == NULL) {
            ck_assert_int_eq(client_hello_parse(p->up.data, p->up.len, &p->hello), CLIENT_HELLO_OK);
            p->engine = engine_open(ctx, &p->hello);
        }
        p->in = (struct engine_input){p->up.data, p->up.len};
        p->status = engine_handshake(p->engine, &p->in, &p->out, NULL);
        p->up.len = 0;
        pair_deliver(p);
    }
    SSL_do_handshake(p->client);
    return p->status;
}

/* RFC 8446 5.1. The second hello, and the ChangeCipherSpec that shows middle boxes that all is as
 * ever. */
START_TEST(the_version_of_a_record_does_not_matter_in_tls13) {
    struct pair p;
    SSL_CTX *client = client_new(TLS1_3_VERSION);
    SSL_CTX_set1_groups_list(client, "P-521:P-384");
    first_hello(&p, client);
    ck_assert_int_eq(answer(&p), ENGINE_MORE);
    p.up.len = 0;
    pair_deliver(&p);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    for (size_t at = 0; at < p.up.len;
         at += 5 + ((size_t)p.up.data[at + 3] << 8) + p.up.data[at + 4]) {
        p.up.data[at + 2] = 1;
    }
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    pair_free(&p);
}
END_TEST

/* In TLS 1.2 the client's certificate, key exchange and signature are in plaintext too. */
START_TEST(messages_may_be_cut_anywhere) {
    for (size_t size = 1; size < 12; size++) {
        struct pair p;
        SSL_CTX *client = client_new(versions[_i]);
        SSL_CTX_use_certificate(client, device.cert);
        SSL_CTX_use_PrivateKey(client, device.key);
        pair_init(&p, client, "localhost", NULL);
        SSL_CTX_free(client);
        ck_assert_msg(recut_handshake(&p, size) == ENGINE_OK, "records of %zu bytes: alert %u",
                      size, p.engine != NULL ? engine_alert(p.engine) : 0);
        ck_assert(engine_peer_presented(p.engine));
        pair_send_up(&p, "x", 1);
        pair_free(&p);
    }
}
END_TEST

/* --- the rest --- */

START_TEST(a_client_that_fell_back_in_vain_is_refused) {
    struct pair p;
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    SSL_CTX_set_mode(client, SSL_MODE_SEND_FALLBACK_SCSV);
    first_hello(&p, client);
    ck_assert_int_eq(answer(&p), ENGINE_FAILED);
    ck_assert_int_eq(engine_failure(p.engine), REASON_UNSUPPORTED_VERSION);
    ck_assert_uint_eq(engine_alert(p.engine), 86);
    ck_assert_uint_eq(p.out.len, 7);
    pair_free(&p);
}
END_TEST

START_TEST(a_fallback_to_the_newest_version_that_is_served_is_fine) {
    struct site old = site;
    struct pair p;
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    SSL_CTX_set_mode(client, SSL_MODE_SEND_FALLBACK_SCSV);
    old.listener.tls_max = CONFIG_TLS_1_2;
    struct tls_context *old_ctx = site_load(&old, NULL);
    pair_init(&p, client, "localhost", NULL);
    SSL_CTX_free(client);
    ck_assert_int_eq(pair_handshake(&p, old_ctx), ENGINE_OK);
    pair_free(&p);
    tls_context_unref(old_ctx);
}
END_TEST

/* OpenSSL's client takes the answer for the end; others go on. */
START_TEST(renegotiation_is_declined_and_the_connection_goes_on) {
    struct pair p;
    uint8_t plain[10];
    size_t got;
    SSL_CTX *client = client_new(TLS1_2_VERSION);
    pair_init(&p, client, "localhost", NULL);
    SSL_CTX_free(client);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    ck_assert(SSL_renegotiate(p.client));
    SSL_do_handshake(p.client);
    pair_collect(&p);
    p.in = (struct engine_input){p.up.data, p.up.len};
    ck_assert_int_eq(engine_read(p.engine, &p.in, plain, sizeof plain, &got, &p.out), ENGINE_MORE);
    ck_assert_uint_eq(largest_record(&p.out, 21), p.out.len - 5); /* one alert */
    ck_assert_int_eq(engine_write(p.engine, (const uint8_t *)"x", 1, &p.out), ENGINE_OK);
    pair_deliver(&p);
    char byte;
    ck_assert_int_le(SSL_read(p.client, &byte, 1), 0);
    ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    ERR_clear_error();
    pair_free(&p);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("interop");
    TCase *tc = tcase_create("interop");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_ticket_of_another_server_is_ignored_whatever_its_size, 0, 3);
    tcase_add_loop_test(tc, early_data_is_skipped, 0, 2);
    tcase_add_loop_test(tc, the_early_data_that_is_skipped_is_bounded, 0, 2);
    tcase_add_test(tc, no_early_data_is_skipped_after_the_second_hello);
    tcase_add_loop_test(tc, any_number_of_suites_may_be_listed, 0, 2);
    tcase_add_test(tc, any_number_of_key_shares_may_be_sent);
    tcase_add_test(tc, a_share_of_our_own_groups_comes_once);
    tcase_add_loop_test(tc, no_group_in_common_is_reported_as_such, 0, 2);
    tcase_add_test(tc, change_cipher_spec_follows_a_retry_request_at_once);
    tcase_add_test(tc, the_version_of_a_record_does_not_matter_in_tls13);
    tcase_add_loop_test(tc, messages_may_be_cut_anywhere, 0, 2);
    tcase_add_test(tc, a_client_that_fell_back_in_vain_is_refused);
    tcase_add_test(tc, a_fallback_to_the_newest_version_that_is_served_is_fine);
    tcase_add_test(tc, renegotiation_is_declined_and_the_connection_goes_on);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return is_distribution_library() ? RUN_SKIPPED : run_suite(suite(), CK_FORK_GETENV);
}
