/* Shared secrets of X25519 for the next steps of several handshakes, computed at once: by our own
 * vector code eight take as long as three one by one (docs/vector-code.md). A step finds its secret
 * by the keys that it would be computed from, so a wrong guess costs time and nothing else. */
#ifndef POSTERN_TLS_AGREEMENT_H
#define POSTERN_TLS_AGREEMENT_H

#include "tls/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client_hello;
struct engine;
struct tls_context;

enum {
    AGREEMENTS_MAX = 8,
    AGREEMENTS_WORTHWHILE = 3 /* fewer take longer together than one by one */
};

/* What is known before a step. Before the handshake begins `engine` is NULL, and `ctx` and `hello`
 * are what engine_open will be given. Later `in` has the `len` bytes that the client has sent and
 * the engine has not consumed. All of it stays the caller's. */
struct agreement_step {
    const struct engine *engine;
    const struct tls_context *ctx;
    const struct client_hello *hello;
    const uint8_t *in;
    size_t len;
};

/* Whether the step will ask for a shared secret that can be computed now: ECDHE with X25519, of TLS
 * 1.2 or 1.3, alone or in the hybrid. False in builds and on processors without the vector code. */
bool agreement_is_due(const struct agreement_step *step);

/* Computes those of `count` steps (AGREEMENTS_MAX at most), each of which is due. They are for this
 * thread's next calls of engine_handshake without a stack; results that nobody asked for are
 * overwritten by those of the fourth call after this one. */
void agreements_compute(const struct agreement_step *steps, size_t count);

#endif
