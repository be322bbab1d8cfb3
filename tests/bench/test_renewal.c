/* A server may renew the ticket of a session that is resumed by TLS 1.2, as Go's and rustls' do.
 * The client then resumes with the new one. */
#include "tls.h" /* before Check, which has a macro of its own called fail */

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run.h"

enum { RENEW = 2, KEEP = 1 };

static int renewals;

/* ssl(3): SSL_CTX_set_tlsext_ticket_key_evp_cb. One key for all. */
static int on_ticket(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt) {
    static const unsigned char key[32] = {1};
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key, sizeof key),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    (void)ssl;
    if (encrypt) {
        memset(name, 'k', 16);
        RAND_bytes(iv, 16);
        EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key, iv);
    } else {
        EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key, iv);
        renewals++;
    }
    EVP_MAC_CTX_set_params(mac, parameters);
    return encrypt ? KEEP : RENEW;
}

static SSL_CTX *server_new(void) {
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = X509_new();
    X509_set_pubkey(certificate, key);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    ck_assert_int_gt(X509_sign(certificate, key, EVP_sha256()), 0);
    ck_assert_int_eq(SSL_CTX_use_certificate(server, certificate), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(server, key), 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(server, on_ticket);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return server;
}

/* One handshake over a pair of sockets; tls_check ends the program if it is not the right one. */
static void connect_once(struct client *c, SSL_CTX *server) {
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    SSL *theirs = SSL_new(server);
    SSL_set_fd(theirs, ends[1]);
    SSL_set_accept_state(theirs);
    c->fd = ends[0];
    c->ssl = tls_connection(c);
    for (int turn = 0, done = 0; turn < 10 && done != 2; turn++) {
        done = (SSL_do_handshake(c->ssl) == 1) + (SSL_do_handshake(theirs) == 1);
    }
    tls_check(c);
    SSL_shutdown(c->ssl);
    SSL_shutdown(theirs);
    SSL_free(c->ssl);
    SSL_free(theirs);
    close(ends[0]);
    close(ends[1]);
}

START_TEST(a_renewed_ticket_is_resumed_in_turn) {
    static struct load load = {.options = {.tls = TLS1_2_VERSION,
                                           .key = EVP_PKEY_EC,
                                           .resume = RESUME_TICKET,
                                           .group = GROUP_X25519}};
    load.tls = tls_new(&load.options);
    SSL_CTX *server = server_new();
    struct client client = {.load = &load};
    connect_once(&client, server);
    ck_assert_ptr_nonnull(client.session);
    for (int i = 1; i <= 5; i++) {
        SSL_SESSION *before = client.session;
        connect_once(&client, server);
        ck_assert_int_eq(renewals, i);
        ck_assert_ptr_ne(client.session, before);
    }
    SSL_SESSION_free(client.session);
    SSL_CTX_free(load.tls);
    SSL_CTX_free(server);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("renewal");
    TCase *test = tcase_create("renewal");
    tcase_add_test(test, a_renewed_ticket_is_resumed_in_turn);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
