/* A wrong signature would give the private key away: from one that is right modulo only one of the
 * primes, anyone can compute the other. It must not be sent. */
#include "run.h"
#include "tls_pair.h"
#include "watched_rsa.h"

#include <check.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include <vector/kernels.h>

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static struct pki rsa;
static struct site site;
static struct tls_context *ctx;
static int signatures; /* messages with a signature that the client received */

static void setup(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    rsa = pki_make((struct pki_spec){.cn = "localhost", .key = PKI_RSA2048}, NULL);
    site_init(&site, pki_certs("rsa.pem", &rsa, NULL), pki_key("rsa.key", &rsa));
    ctx = site_load(&site, NULL);
    watched_rsa = (struct watched_rsa){0};
}

static void teardown(void) {
    tls_context_unref(ctx);
    pki_free(&rsa);
    pki_clean();
    tls_library_stop();
}

static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
                       void *arg) {
    unsigned char message = len > 0 ? *(const unsigned char *)data : 0;
    if (!sent && type == SSL3_RT_HANDSHAKE &&
        (message == SSL3_MT_SERVER_KEY_EXCHANGE || message == SSL3_MT_CERTIFICATE_VERIFY)) {
        signatures++;
    }
}

static enum engine_status handshake(int version) {
    struct pair pair;
    SSL_CTX *client = client_new(version);
    SSL_CTX_set_msg_callback(client, on_message);
    pair_init(&pair, client, NULL, NULL);
    SSL_CTX_free(client);
    signatures = 0;
    enum engine_status status = pair_handshake(&pair, ctx);
    pair_free(&pair);
    return status;
}

START_TEST(a_wrong_signature_ends_the_handshake_and_is_never_sent) {
    int version = versions[_i];
    ck_assert_int_eq(handshake(version), ENGINE_OK);
    ck_assert_int_eq(signatures, 1);
    ck_assert_uint_gt(watched_rsa.calls, 0);
    watched_rsa.broken = true;
    for (int i = 0; i < 40; i++) { /* also where a new pair for blinding is made */
        ck_assert_int_eq(handshake(version), ENGINE_FAILED);
        ck_assert_int_eq(signatures, 0);
    }
    watched_rsa.broken = false;
    for (int i = 0; i < 40; i++) {
        enum engine_status status = handshake(version);
        ck_assert_int_eq(signatures, status == ENGINE_OK);
    }
    ck_assert_int_eq(handshake(version), ENGINE_OK);
}
END_TEST

int main(void) {
    if ((postern_kernels_offered() & POSTERN_KERNEL_RSA) == 0) {
        puts("skipped: this processor has no AVX-512 IFMA");
        return RUN_SKIPPED;
    }
    Suite *suite = suite_create("rsa_faults");
    TCase *test = tcase_create("rsa_faults");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_loop_test(test, a_wrong_signature_ends_the_handshake_and_is_never_sent, 0, 2);
    tcase_set_timeout(test, 60);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
