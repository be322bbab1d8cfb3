/* OpenSSL, set up so that every server does the same work: one group, one suite per version. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include "client.h"

SSL_CTX *tls_new(const struct load_options *options);

/* A connection over the client's socket, with the client's session where one is to be resumed. */
SSL *tls_connection(struct client *c);

/* Ends the program when the handshake was not the one to be measured. Takes the session that a
 * resumption by TLS 1.2 has renewed. */
void tls_check(struct client *c);

#endif
