/* A TLS connection in memory: OpenSSL's client on one end, an engine on the other. */
#ifndef POSTERN_TEST_TLS_PAIR_H
#define POSTERN_TEST_TLS_PAIR_H

#include "pki.h"
#include "tls/engine.h"

#include <openssl/ssl.h>

struct pair {
    SSL *client;
    BIO *to_client, *from_client;
    struct engine *engine;
    struct engine_stack *stack; /* for heavy handshakes; NULL: without pauses */
    struct engine_input in;
    struct buf out;
    struct buf up;   /* bytes of the client that the engine has not been given */
    struct buf down; /* every byte that the engine sent, so that tests can examine the records */
    struct client_hello hello;
    size_t step; /* how many bytes the engine is given at a time; 0: all there is */
    enum engine_status status;
};

/* The distribution's library: no RSA keys above 4096 bits, chains of nine certificates, and what it
 * cannot read ends the handshake before we are asked. */
bool is_distribution_library(void);

/* A listener with one or more certificate sections, ready for tls_context_load. */
struct site {
    struct config_listener listener;
    struct config_certificate sections[4];
    const struct config_certificate *pointers[4];
};
void site_init(struct site *site, const char *cert, const char *key);
void site_add(struct site *site, const char *cert, const char *chain, const char *key);
struct tls_context *site_load(struct site *site, const struct tls_shared *shared);

/* `version`: TLS1_2_VERSION or TLS1_3_VERSION, 0 for both. No verification unless asked for. */
SSL_CTX *client_new(int version);

/* With name NULL no server name is sent; `session` may be NULL. */
void pair_init(struct pair *p, SSL_CTX *client, const char *name, SSL_SESSION *session);
/* Moves bytes until both ends are done or stuck. Returns the engine's last status. */
enum engine_status pair_handshake(struct pair *p, struct tls_context *ctx);
void pair_free(struct pair *p);

/* What the client has written goes to `up`; what the engine has written goes to the client. */
void pair_collect(struct pair *p);
void pair_deliver(struct pair *p);
/* Client to engine, engine to client; fails the test unless the bytes arrive whole. */
void pair_send_up(struct pair *p, const void *data, size_t len);
void pair_send_down(struct pair *p, const void *data, size_t len);
/* The largest body of a record of that type (0: any) in `data`. */
size_t largest_record(const struct buf *data, int type);

#endif
