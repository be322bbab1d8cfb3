/* OpenSSL, set up so that every server does the same work: one group, one suite per version. */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include "client.h"

SSL_CTX *tls_new(const struct load_options *options);

/* A connection over the client's socket, with the client's session where one is to be resumed. */
SSL *tls_connection(struct client *c);

/* Ends the program when the handshake was not the one to be measured. */
void tls_check(const struct client *c);

#endif
