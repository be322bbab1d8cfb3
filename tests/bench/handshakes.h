/* Handshakes in a row: TCP connect, TLS handshake, one byte there and back, close on both sides. */
#ifndef BENCH_HANDSHAKES_H
#define BENCH_HANDSHAKES_H

#include "client.h"

struct handshakes;

/* options.inflight clients take turns. */
struct handshakes *handshakes_new(struct load *load);

/* Makes count of them. With options.resume, each resumes the session its client has from the one
 * before. */
void handshakes_run(struct handshakes *h, uint64_t count);

/* Begins one every so often, whatever becomes of the earlier ones; one whose time comes while all
 * clients are under way waits for one of them. */
void handshakes_spread(struct handshakes *h, uint64_t per_second, uint64_t count);

/* One full handshake for each client, after which each must hold a session to resume. */
void handshakes_prime(struct handshakes *h);

#endif
