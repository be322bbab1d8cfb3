#include "tls.h"

#include <openssl/x509.h>

/* Keeps the newest session of a client. The return value 1 takes the reference. */
static int on_session(SSL *ssl, SSL_SESSION *session) {
    struct client *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

SSL_CTX *tls_new(const struct load_options *options) {
    /* P-256 stays in the list: in TLS 1.2 it is also what an ECDSA certificate may use. */
    const char *groups = options->group == EVP_PKEY_X25519 ? "X25519:P-256" : "P-256";
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, options->tls) != 1 ||
        SSL_CTX_set_max_proto_version(tls, options->tls) != 1 ||
        SSL_CTX_set_cipher_list(tls, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") !=
            1 ||
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(tls, groups) != 1) {
        fail("setting up TLS");
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL); /* the signature is checked all the same */
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls, 1);
    if (options->resume == RESUME_ID) {
        SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
    }
    if (options->resume != RESUME_NONE) {
        SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls, on_session);
    }
    return tls;
}

SSL *tls_connection(struct client *c) {
    SSL *ssl = SSL_new(c->load->tls);
    if (ssl == NULL || SSL_set_fd(ssl, c->fd) != 1) {
        fail("making a TLS connection");
    }
    SSL_set_connect_state(ssl);
    SSL_set_app_data(ssl, c);
    c->offered = c->session != NULL;
    if (c->offered && c->load->options.resume == RESUME_TICKET &&
        SSL_SESSION_has_ticket(c->session) == 0) {
        fail_as(EXIT_NOT_RESUMED, "the server gave a session without a ticket");
    }
    if (c->offered && SSL_set_session(ssl, c->session) != 1) {
        fail("setting the session to resume");
    }
    return ssl;
}

static void tls_check_exchange(const struct client *c) {
    EVP_PKEY *theirs = NULL;
    if (SSL_get_peer_tmp_key(c->ssl, &theirs) != 1) {
        fail("the handshake had no key exchange");
    }
    if (EVP_PKEY_get_base_id(theirs) != c->load->options.group) {
        fail("the server chose another group for the key exchange");
    }
    EVP_PKEY_free(theirs);
}

void tls_check(const struct client *c) {
    const struct load_options *o = &c->load->options;
    if (SSL_version(c->ssl) != o->tls) {
        fail("the server chose %s", SSL_get_version(c->ssl));
    }
    if (SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(c->ssl)) != NID_aes_128_gcm) {
        fail("the server chose %s", SSL_get_cipher_name(c->ssl));
    }
    bool resumed = SSL_session_reused(c->ssl) == 1;
    if (resumed && !c->offered) {
        fail("a session was resumed that nobody offered");
    }
    if (!resumed && c->offered) {
        fail_as(EXIT_NOT_RESUMED, "the server did not resume the session");
    }
    if (!resumed || o->tls == TLS1_3_VERSION) {
        tls_check_exchange(c);
    }
    X509 *leaf = SSL_get0_peer_certificate(c->ssl);
    if (leaf == NULL || EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)) != o->key) {
        fail("the server's certificate has a key of another kind");
    }
}
