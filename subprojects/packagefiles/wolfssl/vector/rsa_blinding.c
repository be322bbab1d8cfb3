/* Deleted together with rsa.c.
 *
 * A pair of A and A^-d costs as much as a signature. So a pair is used 32 times; in between both
 * numbers are squared, which makes another pair (OpenSSL does the same). Each thread keeps the
 * pairs of the keys that it used last. They say nothing about the key: A and A^-d are a message and
 * its signature, of which everybody can make some. A fault while a pair is made spoils 32
 * signatures, which the library's own check (VerifyRsaSign) keeps from being sent. */
#include "vector/rsa_blinding.h"
#include "vector/wipe.h"

#include "user_settings.h"

#include <string.h>

enum { HALF = POSTERN_RSA_WORDS, WORDS = 2 * HALF, USES = 32, KEYS = 4 };

/* Numbers modulo n are Montgomery's with R = 2^2048, below R and not always below n. */
struct modulus {
    const uint64_t *n;
    uint64_t negative_inverse; /* -1/n modulo 2^64 */
};

struct pair {
    uint64_t a[WORDS], inverse[WORDS]; /* A R and A^-d R */
};

/* Upstream's assembly; its time depends on no number. */
extern void sp_2048_mul_32(uint64_t product[2 * WORDS], const uint64_t a[WORDS],
                           const uint64_t b[WORDS]);
/* x[0] to x[31] = x / R modulo m. */
extern void sp_2048_mont_reduce_32(uint64_t x[2 * WORDS], const uint64_t m[WORDS],
                                   uint64_t negative_inverse);

/* --- numbers modulo n --- */

static void words_from_bytes(uint64_t words[WORDS], const unsigned char *bytes) {
    for (int i = 0; i < WORDS; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * (WORDS - 1 - i), sizeof word);
        words[i] = __builtin_bswap64(word);
    }
}

static void bytes_from_words(unsigned char *bytes, const uint64_t words[WORDS]) {
    for (int i = 0; i < WORDS; i++) {
        uint64_t word = __builtin_bswap64(words[i]);
        memcpy(bytes + 8 * (WORDS - 1 - i), &word, sizeof word);
    }
}

/* Each step doubles the number of right bits, beginning with 5. */
static struct modulus modulus_of(const uint64_t n[WORDS]) {
    uint64_t inverse = 3 * n[0] ^ 2;
    for (int bits = 5; bits < 64; bits *= 2) {
        inverse *= 2 - n[0] * inverse;
    }
    return (struct modulus){n, 0 - inverse};
}

/* r = a b / R. r may be a or b. */
static void multiply(uint64_t r[WORDS], const uint64_t a[WORDS], const uint64_t b[WORDS],
                     const struct modulus *mod) {
    uint64_t product[2 * WORDS];
    sp_2048_mul_32(product, a, b);
    sp_2048_mont_reduce_32(product, mod->n, mod->negative_inverse);
    memcpy(r, product, WORDS * sizeof *r);
}

/* x = x - n if that is not negative; `carry` is x's bit 2,048. */
static void reduce_once(uint64_t x[WORDS], uint64_t carry, const uint64_t n[WORDS]) {
    uint64_t less[WORDS], borrow = 0;
    for (int i = 0; i < WORDS; i++) {
        unsigned __int128 difference = (unsigned __int128)x[i] - n[i] - borrow;
        less[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    uint64_t keep = 0 - (borrow & (carry ^ 1));
    for (int i = 0; i < WORDS; i++) {
        x[i] = (x[i] & keep) | (less[i] & ~keep);
    }
}

/* R^2 modulo n: a square of R 2^k is R 2^2k, from R 2 on. */
static void square_of_r(uint64_t r[WORDS], const struct modulus *mod) {
    memset(r, 0, WORDS * sizeof *r);
    reduce_once(r, 1, mod->n); /* R */
    uint64_t carry = r[WORDS - 1] >> 63;
    for (int i = WORDS - 1; i > 0; i--) {
        r[i] = r[i] << 1 | r[i - 1] >> 63;
    }
    r[0] <<= 1;
    reduce_once(r, carry, mod->n);
    for (int k = 1; k < 64 * WORDS; k *= 2) {
        multiply(r, r, r, mod);
    }
}

/* --- pairs --- */

/* exponent = m - 1 - exponent, so that x^exponent becomes its inverse modulo m (Fermat). Returns
 * the borrow: 1 if the exponent is not below m. */
static uint64_t negate_exponent(uint64_t exponent[HALF], const uint64_t m[HALF]) {
    uint64_t borrow = 1;
    for (int i = 0; i < HALF; i++) {
        unsigned __int128 difference = (unsigned __int128)m[i] - exponent[i] - borrow;
        exponent[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

static bool make_pair(struct pair *pair, const struct postern_rsa_key *key,
                      const struct modulus *mod) {
    static const uint64_t one[WORDS] = {1};
    struct postern_rsa_key inverting = *key;
    unsigned char bytes[POSTERN_RSA_BYTES];
    uint64_t number[WORDS];
    if (postern_random((unsigned char *)pair->a, sizeof pair->a) != 0) {
        return false;
    }
    negate_exponent(inverting.dp, key->p);
    negate_exponent(inverting.dq, key->q);
    multiply(number, pair->a, one, mod); /* A */
    bytes_from_words(bytes, number);
    postern_rsa_private(&inverting, bytes, bytes);
    words_from_bytes(pair->inverse, bytes); /* A^-d */
    square_of_r(number, mod);
    multiply(pair->inverse, pair->inverse, number, mod);
    return true;
}

struct entry {
    uint64_t n[WORDS];
    struct pair pair;
    int uses;
};

static _Thread_local struct {
    struct entry entries[KEYS];
    unsigned oldest;
} kept;

static struct entry *find_entry(const uint64_t n[WORDS]) {
    for (int i = 0; i < KEYS; i++) {
        if (memcmp(kept.entries[i].n, n, sizeof kept.entries[i].n) == 0) {
            return &kept.entries[i];
        }
    }
    return NULL;
}

static void keep_pair(const struct pair *pair, const uint64_t n[WORDS]) {
    struct entry *entry = find_entry(n);
    if (entry == NULL) {
        entry = &kept.entries[kept.oldest++ % KEYS];
        memcpy(entry->n, n, sizeof entry->n);
    }
    entry->pair = *pair;
    entry->uses = 1;
}

/* A pair that was never used before. Making one may pause, and somebody else may be here
 * meanwhile; nothing else here does, so what is kept is always whole. */
static bool take_pair(struct pair *pair, const struct postern_rsa_key *key,
                      const struct modulus *mod) {
    struct entry *entry = find_entry(mod->n);
    if (entry != NULL && entry->uses < USES) {
        multiply(entry->pair.a, entry->pair.a, entry->pair.a, mod);
        multiply(entry->pair.inverse, entry->pair.inverse, entry->pair.inverse, mod);
        entry->uses++;
        *pair = entry->pair;
        return true;
    }
    if (!make_pair(pair, key, mod)) {
        return false;
    }
    keep_pair(pair, mod->n);
    return true;
}

/* --- the whole --- */

bool postern_rsa_is_usable(const struct postern_rsa_key *key, const uint64_t n[WORDS]) {
    struct postern_rsa_key inverting = *key;
    uint64_t borrow = negate_exponent(inverting.dp, key->p) | negate_exponent(inverting.dq, key->q);
    explicit_bzero(&inverting, sizeof inverting);
    return (key->p[0] & key->q[0] & n[0] & ~borrow & 1) != 0;
}

static POSTERN_NOINLINE bool compute(const struct postern_rsa_key *key, const uint64_t n[WORDS],
                                     const unsigned char *in, unsigned char *out) {
    struct modulus mod = modulus_of(n);
    struct pair pair;
    unsigned char blinded[POSTERN_RSA_BYTES];
    uint64_t number[WORDS];
    if (!take_pair(&pair, key, &mod)) {
        return false;
    }
    words_from_bytes(number, in);
    multiply(number, number, pair.a, &mod);
    bytes_from_words(blinded, number);
    postern_rsa_private(key, blinded, blinded);
    words_from_bytes(number, blinded);
    multiply(number, number, pair.inverse, &mod);
    reduce_once(number, 0, n);
    bytes_from_words(out, number);
    return true;
}

/* All frames of `compute` and of what it calls; postern_rsa_private wipes its own. */
POSTERN_DEFINE_WIPE_STACK(sizeof(struct pair) + sizeof(struct postern_rsa_key) + 4096)

bool postern_rsa_private_blinded(const struct postern_rsa_key *key,
                                 const uint64_t n[2 * POSTERN_RSA_WORDS],
                                 const unsigned char in[POSTERN_RSA_BYTES],
                                 unsigned char out[POSTERN_RSA_BYTES]) {
    bool done = compute(key, n, in, out);
    postern_wipe_stack();
    return done;
}
