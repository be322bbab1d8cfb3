#include "tls.h"

#include <openssl/x509.h>
#include <strings.h>

/* Keeps the newest session of a client. The return value 1 takes the reference. */
static int on_session(SSL *ssl, SSL_SESSION *session) {
    struct client *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

static const struct {
    const char *name;  /* the library's */
    const char *offer; /* P-256 too: in TLS 1.2 it is also what an ECDSA certificate may use */
} groups[GROUP_COUNT] = {
    [GROUP_X25519] = {"x25519", "X25519:P-256"},
    [GROUP_P256] = {"secp256r1", "P-256"},
    [GROUP_HYBRID] = {"X25519MLKEM768", "X25519MLKEM768:P-256"},
};

static void offer_group(SSL_CTX *tls, enum group group) {
    if (SSL_CTX_set1_groups_list(tls, groups[group].offer) == 1) {
        return;
    }
    if (group == GROUP_HYBRID) {
        fail_as(EXIT_NOT_OFFERED, "%s has no %s", OpenSSL_version(OPENSSL_VERSION),
                groups[group].name);
    }
    fail("setting up TLS: %s", groups[group].offer);
}

static void use_certificate(SSL_CTX *tls, const struct load_options *options) {
    if (options->certificate == NULL) {
        return;
    }
    if (SSL_CTX_use_certificate_chain_file(tls, options->certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, options->key_file, SSL_FILETYPE_PEM) != 1) {
        fail("the clients' certificate: %s, %s", options->certificate, options->key_file);
    }
}

SSL_CTX *tls_new(const struct load_options *options) {
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, options->tls) != 1 ||
        SSL_CTX_set_max_proto_version(tls, options->tls) != 1 ||
        SSL_CTX_set_cipher_list(tls, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") !=
            1 ||
        SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256") != 1) {
        fail("setting up TLS");
    }
    offer_group(tls, options->group);
    use_certificate(tls, options);
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
        fail_as(EXIT_NOT_OFFERED, "the server gave a session without a ticket");
    }
    if (c->offered && SSL_set_session(ssl, c->session) != 1) {
        fail("setting the session to resume");
    }
    return ssl;
}

static void check_exchange(const struct client *c) {
    int group = (int)SSL_get_negotiated_group(c->ssl);
    const char *name = SSL_group_to_name(c->ssl, group);
    const char *wanted = groups[c->load->options.group].name;
    if (name == NULL || strcasecmp(name, wanted) != 0) {
        fail("the server chose another group for the key exchange: %s, not %s",
             name != NULL ? name : "none", wanted);
    }
}

static void check_own_certificate(const struct client *c) {
    int signed_with;
    if (SSL_get_signature_type_nid(c->ssl, &signed_with) != 1 || signed_with == NID_undef) {
        fail("the server did not ask for the client's certificate");
    }
}

/* With TLS 1.2 the library does not report a session that came with a resumption, as servers send
 * that renew tickets, and marks the one that was offered as used up. */
static void keep_renewed(struct client *c) {
    SSL_SESSION *now = SSL_get0_session(c->ssl);
    if (now != c->session && SSL_SESSION_has_ticket(now)) {
        SSL_SESSION_up_ref(now);
        SSL_SESSION_free(c->session);
        c->session = now;
    }
}

void tls_check(struct client *c) {
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
        fail_as(EXIT_NOT_OFFERED, "the server did not resume the session");
    }
    if (!resumed || o->tls == TLS1_3_VERSION) {
        check_exchange(c);
    }
    if (!resumed && o->certificate != NULL) {
        check_own_certificate(c);
    }
    if (resumed && o->tls == TLS1_2_VERSION) {
        keep_renewed(c);
    }
    X509 *leaf = SSL_get0_peer_certificate(c->ssl);
    if (leaf == NULL || EVP_PKEY_get_base_id(X509_get0_pubkey(leaf)) != o->key) {
        fail("the server's certificate has a key of another kind");
    }
}
