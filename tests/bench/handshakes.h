/* Handshakes in a row: TCP connect, TLS handshake, one byte there and back, close on both sides. */
#ifndef BENCH_HANDSHAKES_H
#define BENCH_HANDSHAKES_H

#include "client.h"

struct handshakes;

/* options.inflight clients take turns. */
struct handshakes *handshakes_new(struct load *load);

/* Makes count of them, or starts new ones until the time is over; returns how many were done.
 * With options.resume, each resumes the session its client has from the one before. */
uint64_t handshakes_count(struct handshakes *h, uint64_t count);
uint64_t handshakes_for(struct handshakes *h, uint64_t ns);

/* One full handshake for each client, after which each must hold a session to resume. */
void handshakes_prime(struct handshakes *h);

#endif
