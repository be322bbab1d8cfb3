/* Results are found again by the keys that they were computed from: a caller that asks with the
 * same keys gets what the computation would give. Deleted together with x25519.c. */
#include "vector/x25519_ahead.h"
#include "vector/x25519_eight.h"

#include <string.h>

enum { BATCH = POSTERN_X25519_BATCH, BYTES = POSTERN_X25519_BYTES, KEPT = 4 * BATCH };

_Static_assert((int)POSTERN_AGREEMENTS == (int)BATCH, "a batch");
_Static_assert((int)POSTERN_AGREEMENT_BYTES == (int)BYTES, "a key");

struct result {
    bool has_secret;
    bool has_pair; /* made here, and not given away yet */
    unsigned char private_key[BYTES], public_key[BYTES];
    unsigned char peer[BYTES], secret[BYTES];
};

static _Thread_local struct {
    struct result results[KEPT];
    int next; /* where the next batch goes */
    const unsigned char *expected;
} ahead;

/* Time does not depend on the bytes. */
static bool is_same(const unsigned char *a, const unsigned char *b) {
    unsigned different = 0;
    for (int i = 0; i < BYTES; i++) {
        different |= a[i] ^ b[i];
    }
    return different == 0;
}

static int fill(struct result *r, const struct postern_agreement *wanted) {
    memcpy(r->peer, wanted->peer, BYTES);
    if (wanted->private_key != NULL) {
        memcpy(r->private_key, wanted->private_key, BYTES);
        return 0;
    }
    r->has_pair = true;
    return postern_x25519_pair(r->private_key, r->public_key);
}

static void keep(struct result *batch, unsigned char secrets[BATCH][BYTES], int count) {
    for (int i = 0; i < count; i++) {
        memcpy(batch[i].secret, secrets[i], BYTES);
        batch[i].has_secret = true;
    }
}

void postern_x25519_ahead(const struct postern_agreement *wanted, int count) {
    unsigned char secrets[BATCH][BYTES], scalars[BATCH][BYTES], points[BATCH][BYTES];
    struct result *batch = ahead.results + ahead.next;
    int bad = 0;
    explicit_bzero(batch, BATCH * sizeof *batch);
    ahead.next = (ahead.next + BATCH) % KEPT;
    for (int i = 0; i < BATCH; i++) { /* lanes that are left compute the first one again */
        if (i < count) {
            bad |= fill(&batch[i], &wanted[i]);
        }
        memcpy(scalars[i], batch[i < count ? i : 0].private_key, BYTES);
        memcpy(points[i], batch[i < count ? i : 0].peer, BYTES);
    }
    if (bad == 0) {
        postern_x25519_eight(secrets, (const void *)scalars, (const void *)points);
        keep(batch, secrets, count);
    } else {
        explicit_bzero(batch, BATCH * sizeof *batch);
    }
    explicit_bzero(secrets, sizeof secrets);
    explicit_bzero(scalars, sizeof scalars);
}

void postern_x25519_expect(const unsigned char *peer) {
    ahead.expected = peer;
}

int postern_x25519_take_pair(unsigned char private_key[BYTES], unsigned char public_key[BYTES]) {
    for (int i = 0; i < KEPT && ahead.expected != NULL; i++) {
        struct result *r = &ahead.results[i];
        if (r->has_pair && is_same(r->peer, ahead.expected)) {
            r->has_pair = false;
            memcpy(private_key, r->private_key, BYTES);
            memcpy(public_key, r->public_key, BYTES);
            return 0;
        }
    }
    return postern_x25519_pair(private_key, public_key);
}

bool postern_x25519_take_secret(unsigned char out[BYTES], const unsigned char private_key[BYTES],
                                const unsigned char peer[BYTES]) {
    for (int i = 0; i < KEPT; i++) {
        struct result *r = &ahead.results[i];
        if (r->has_secret && is_same(r->peer, peer) && is_same(r->private_key, private_key)) {
            memcpy(out, r->secret, BYTES);
            explicit_bzero(r, sizeof *r);
            return true;
        }
    }
    return false;
}
