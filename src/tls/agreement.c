#include "tls/agreement.h"

#include "core/wipe.h"
#include "tls/internal.h"

#ifdef POSTERN_OWN_WOLFSSL
#include <postern_agreement.h>

#include <assert.h>
#include <string.h>

/* RFC 5246 7.4.7 and RFC 8422 5.7: a record (type, version, length), a message (type, length), the
 * key's length, the key. A client certificate may come before it, in records of its own; a key that
 * shares a record with another message is not found, and the step computes its secret itself. */
static const uint8_t client_key_exchange[] = {22, 3, 3, 0, 37, 16, 0, 0, 33, 32};
/* Certificates fill four at most; a client that sends more has them looked at by its step alone. */
enum { RECORD_HEADER = 5, RECORDS_MAX = 8 };

static_assert((int)AGREEMENTS_MAX == (int)POSTERN_AGREEMENTS,
              "as many as the library computes at once");
static_assert((int)HELLO_SHARE_SIZE == (int)POSTERN_AGREEMENT_BYTES, "a key of X25519");

static const uint8_t *find_client_key(const uint8_t *in, size_t len) {
    for (unsigned records = 0; records < RECORDS_MAX; records++) {
        if (len < sizeof client_key_exchange + POSTERN_AGREEMENT_BYTES) {
            break;
        }
        if (memcmp(in, client_key_exchange, sizeof client_key_exchange) == 0) {
            return in + sizeof client_key_exchange;
        }
        size_t record = RECORD_HEADER + ((size_t)in[3] << 8 | in[4]);
        if (record > len) {
            break;
        }
        in += record;
        len -= record;
    }
    return NULL;
}

static const struct hello_share *share_of(int group, const struct client_hello *hello) {
    switch (group) {
    case WOLFSSL_ECC_X25519:
        return &hello->x25519;
    case WOLFSSL_X25519MLKEM768:
        return &hello->hybrid;
    default:
        return NULL;
    }
}

/* The library takes the first group of ours that the client sent a share for. Of P-256 and P-384 it
 * is not known here whether it did. */
const struct hello_share *agreement_share(const struct tls_context *ctx,
                                          const struct client_hello *hello) {
    if (ctx->tls_max < CONFIG_TLS_1_3 || !hello->offers_tls13) {
        return NULL;
    }
    for (size_t i = 0; i < ctx->groups.count; i++) {
        const struct hello_share *share = share_of(ctx->groups.list[i], hello);
        if (share != NULL && share->given) {
            return share;
        }
    }
    return NULL;
}

/* What the step will ask for; with `peer` NULL nothing. */
static struct postern_agreement wanted_first(const struct agreement_step *step) {
    const struct hello_share *share = agreement_share(step->ctx, step->hello);
    return (struct postern_agreement){.peer = share != NULL ? share->key : NULL};
}

static struct postern_agreement wanted_later(const struct agreement_step *step) {
    const uint8_t *ours = postern_agreement_key(step->engine->ssl);
    return (struct postern_agreement){
        .private_key = ours,
        .peer = ours != NULL ? find_client_key(step->in, step->len) : NULL,
    };
}

static struct postern_agreement wanted(const struct agreement_step *step) {
    return step->engine == NULL ? wanted_first(step) : wanted_later(step);
}

bool agreement_is_due(const struct agreement_step *step) {
    return postern_agreements_are_possible() && wanted(step).peer != NULL;
}

void agreements_compute(const struct agreement_step *steps, size_t count) {
    struct postern_agreement all[AGREEMENTS_MAX];
    assert(count <= AGREEMENTS_MAX);
    for (size_t i = 0; i < count; i++) {
        all[i] = wanted(&steps[i]);
    }
    postern_agreements_compute(all, (int)count);
    wipe_registers(); /* parts of the secrets are there */
}

void agreement_expect(const uint8_t *share) {
    postern_agreement_expect(share);
}
#else
const struct hello_share *agreement_share(const struct tls_context *ctx,
                                          const struct client_hello *hello) {
    (void)ctx;
    (void)hello;
    return NULL;
}

bool agreement_is_due(const struct agreement_step *step) {
    (void)step;
    return false;
}

void agreements_compute(const struct agreement_step *steps, size_t count) {
    (void)steps;
    (void)count;
}

void agreement_expect(const uint8_t *share) {
    (void)share;
}
#endif
