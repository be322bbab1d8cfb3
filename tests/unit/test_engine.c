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
    rsa = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost",
                                     .key = PKI_RSA2048}, NULL);
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
    ck_assert_str_eq(engine_version(&p.engine), _i ? "1.3" : "1.2");
    ck_assert_str_eq(engine_cipher(&p.engine), SSL_get_cipher_name(p.client));
    ck_assert_ptr_null(engine_identity(&p.engine));
    pair_send_up(&p, "hello", 5);
    pair_send_down(&p, "hello", 5);
    engine_close(&p.engine);
    pair_deliver(&p);
    char byte;
    ck_assert_int_eq(SSL_read(p.client, &byte, 1), 0);
    ck_assert_int_eq(SSL_get_error(p.client, 0), SSL_ERROR_ZERO_RETURN);
    pair_free(&p);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("engine");
    TCase *tc = tcase_create("engine");
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_client_of_either_version_gets_its_bytes_back, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
