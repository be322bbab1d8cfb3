/* wolfSSL has nothing of the kind, nor a pull request for it. With the first release that has RSA
 * by AVX-512 IFMA this file is deleted.
 *
 * Two exponentiations at a time, one modulo p and one modulo q, so that while one waits for a
 * result the other has the multipliers.
 *
 * Numbers are 20 limbs of 52 bits, which is what VPMADD52 multiplies. Multiplication is
 * Montgomery's with R = 2^1040 and without the last subtraction: with a, b < 4m the result is
 * ab/R + (a multiple below R of m)/R < m + m/2^12 (m < 2^1024), so less than 2m, and sums of two
 * results may be multiplied again. */
#include "vector/rsa.h"
#include "postern_pause.h"
#include "vector/intrinsics.h"
#include "vector/wipe.h"

#include <stdbool.h>
#include <string.h>

enum { WORDS = POSTERN_RSA_WORDS, LIMBS = 20, LIMB_BITS = 52, VECTORS = 5, WINDOW_BITS = 4 };
enum { WINDOWS = 1024 / WINDOW_BITS, POWERS = 1 << WINDOW_BITS };
enum { WINDOWS_A_PAUSE = 8 }; /* about 7 us */

#define LIMB_MASK   ((UINT64_C(1) << LIMB_BITS) - 1)
#define IFMA        POSTERN_IFMA
#define INLINE      static inline __attribute__((always_inline))
#define EACH_VECTOR _Pragma("GCC unroll 5") for (int j = 0; j < VECTORS; j++)

typedef __m256i vector;

/* One number modulo p, one modulo q. */
struct pair {
    _Alignas(32) uint64_t of[2][LIMBS];
};

struct moduli {
    struct pair m;
    struct pair rr;               /* R^2 */
    uint64_t negative_inverse[2]; /* -1/m modulo 2^52 */
};

/* --- words of 64 bits, limbs of 52 --- */

static void limbs_from_words(uint64_t limbs[LIMBS], const uint64_t words[WORDS]) {
    for (int i = 0; i < LIMBS; i++) {
        int word = i * LIMB_BITS / 64, shift = i * LIMB_BITS % 64;
        uint64_t low = words[word] >> shift;
        bool cut = shift > 64 - LIMB_BITS && word + 1 < WORDS;
        uint64_t high = cut ? words[word + 1] << (64 - shift) : 0;
        limbs[i] = (low | high) & LIMB_MASK;
    }
}

/* Of a number below 2^1024. */
static void words_from_limbs(uint64_t words[WORDS], const uint64_t limbs[LIMBS]) {
    memset(words, 0, WORDS * sizeof *words);
    for (int i = 0; i < LIMBS; i++) {
        int word = i * LIMB_BITS / 64, shift = i * LIMB_BITS % 64;
        words[word] |= limbs[i] << shift;
        if (shift > 64 - LIMB_BITS && word + 1 < WORDS) {
            words[word + 1] |= limbs[i] >> (64 - shift);
        }
    }
}

static void words_from_bytes(uint64_t words[WORDS], const unsigned char *bytes) {
    for (int i = 0; i < WORDS; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * (WORDS - 1 - i), sizeof word);
        words[i] = __builtin_bswap64(word);
    }
}

/* r = a - b; returns the borrow. */
static uint64_t subtract(uint64_t r[WORDS], const uint64_t a[WORDS], const uint64_t b[WORDS]) {
    uint64_t borrow = 0;
    for (int i = 0; i < WORDS; i++) {
        unsigned __int128 difference = (unsigned __int128)a[i] - b[i] - borrow;
        r[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
    return borrow;
}

/* r += b where mask is all ones, and nothing where it is 0; returns the carry. */
static uint64_t add_masked(uint64_t r[WORDS], const uint64_t b[WORDS], uint64_t mask) {
    uint64_t carry = 0;
    for (int i = 0; i < WORDS; i++) {
        unsigned __int128 sum = (unsigned __int128)r[i] + (b[i] & mask) + carry;
        r[i] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
    return carry;
}

/* x = x - m if that is not negative; `carry` is x's bit 1,024. */
static void reduce_once(uint64_t x[WORDS], uint64_t carry, const uint64_t m[WORDS]) {
    uint64_t less[WORDS];
    uint64_t keep = subtract(less, x, m) & (carry ^ 1);
    for (int i = 0; i < WORDS; i++) {
        x[i] = (x[i] & (0 - keep)) | (less[i] & (keep - 1));
    }
}

static void double_modulo(uint64_t x[WORDS], const uint64_t m[WORDS], int times) {
    while (times-- > 0) {
        uint64_t carry = x[WORDS - 1] >> 63;
        for (int i = WORDS - 1; i > 0; i--) {
            x[i] = x[i] << 1 | x[i - 1] >> 63;
        }
        x[0] <<= 1;
        reduce_once(x, carry, m);
    }
}

/* -1/m modulo 2^52, for odd m: each step doubles the number of right bits, beginning with 5. */
static uint64_t negative_inverse(uint64_t m) {
    uint64_t inverse = 3 * m ^ 2;
    for (int bits = 5; bits < LIMB_BITS; bits *= 2) {
        inverse *= 2 - m * inverse;
    }
    return (0 - inverse) & LIMB_MASK;
}

/* --- Montgomery multiplication --- */

/* One limb b of the multiplier and one step of the reduction:
 *   t = (t + km) / 2^52 + the high halves of ab and the low halves of a times the next limb,
 * with k such that t's lowest limb vanishes. On entry t already has the low halves of ab. */
INLINE IFMA void multiply_step(vector t[VECTORS], const vector *a, const vector *m, uint64_t b,
                               const uint64_t *next_b, vector inverse) {
    const vector zero = _mm256_setzero_si256();
    vector k = _mm256_madd52lo_epu64(zero, t[0], inverse);
    vector limb = _mm256_set1_epi64x((long long)b), s[VECTORS];
    k = _mm256_broadcastq_epi64(_mm256_castsi256_si128(k));
    EACH_VECTOR {
        vector part = _mm256_load_si256(a + j);
        s[j] = _mm256_madd52hi_epu64(zero, part, limb);
        if (next_b != NULL) {
            s[j] = _mm256_madd52lo_epu64(s[j], part, _mm256_set1_epi64x((long long)*next_b));
        }
    }
    POSTERN_SETTLE_5(s);
    EACH_VECTOR {
        vector part = _mm256_load_si256(m + j);
        t[j] = _mm256_madd52lo_epu64(t[j], part, k);
        s[j] = _mm256_madd52hi_epu64(s[j], part, k);
    }
    s[0] = _mm256_add_epi64(s[0], _mm256_maskz_srli_epi64(1, t[0], LIMB_BITS));
    EACH_VECTOR {
        vector above = j + 1 < VECTORS ? t[j + 1] : zero;
        t[j] = _mm256_add_epi64(_mm256_alignr_epi64(above, t[j], 1), s[j]);
    }
    POSTERN_SETTLE_5(t);
}

/* Carries what is above 52 bits. After the first round a carry is 0 or 1, and may run through any
 * number of limbs that are all ones: an addition of masks tells where it goes. */
INLINE IFMA void normalize(vector t[VECTORS]) {
    const vector zero = _mm256_setzero_si256(), one = _mm256_set1_epi64x(1);
    const vector mask = _mm256_set1_epi64x(LIMB_MASK);
    vector carry[VECTORS];
    uint32_t full = 0, over = 0;
    EACH_VECTOR {
        carry[j] = _mm256_srli_epi64(t[j], LIMB_BITS);
        t[j] = _mm256_and_si256(t[j], mask);
    }
    EACH_VECTOR {
        vector below = j > 0 ? carry[j - 1] : zero;
        t[j] = _mm256_add_epi64(t[j], _mm256_alignr_epi64(carry[j], below, 3));
        over |= (uint32_t)_mm256_cmpgt_epu64_mask(t[j], mask) << 4 * j;
        full |= (uint32_t)_mm256_cmpeq_epu64_mask(t[j], mask) << 4 * j;
    }
    uint32_t carries = (full + 2 * over) ^ full;
    EACH_VECTOR {
        t[j] = _mm256_mask_add_epi64(t[j], (__mmask8)(carries >> 4 * j & 15), t[j], one);
        t[j] = _mm256_and_si256(t[j], mask);
    }
}

/* r = ab/R modulo each modulus. r may be a or b. */
IFMA static void multiply(struct pair *r, const struct pair *a, const struct pair *b,
                          const struct moduli *mod) {
    const vector zero = _mm256_setzero_si256();
    const vector inverse_p = _mm256_set1_epi64x((long long)mod->negative_inverse[0]);
    const vector inverse_q = _mm256_set1_epi64x((long long)mod->negative_inverse[1]);
    const vector *ap = (const vector *)a->of[0], *aq = (const vector *)a->of[1];
    const vector *p = (const vector *)mod->m.of[0], *q = (const vector *)mod->m.of[1];
    const uint64_t *bp = b->of[0], *bq = b->of[1];
    vector tp[VECTORS], tq[VECTORS];
    EACH_VECTOR {
        tp[j] = _mm256_madd52lo_epu64(zero, ap[j], _mm256_set1_epi64x((long long)bp[0]));
        tq[j] = _mm256_madd52lo_epu64(zero, aq[j], _mm256_set1_epi64x((long long)bq[0]));
    }
    _Pragma("GCC unroll 1") for (int i = 0; i < LIMBS - 1; i++) {
        multiply_step(tp, ap, p, bp[i], &bp[i + 1], inverse_p);
        multiply_step(tq, aq, q, bq[i], &bq[i + 1], inverse_q);
    }
    multiply_step(tp, ap, p, bp[LIMBS - 1], NULL, inverse_p);
    multiply_step(tq, aq, q, bq[LIMBS - 1], NULL, inverse_q);
    normalize(tp);
    normalize(tq);
    EACH_VECTOR {
        _mm256_store_si256((vector *)r->of[0] + j, tp[j]);
        _mm256_store_si256((vector *)r->of[1] + j, tq[j]);
    }
}

/* r = a + b, not reduced. */
IFMA static void add(struct pair *r, const struct pair *a, const struct pair *b) {
    for (int half = 0; half < 2; half++) {
        vector t[VECTORS];
        EACH_VECTOR {
            t[j] = _mm256_add_epi64(_mm256_load_si256((const vector *)a->of[half] + j),
                                    _mm256_load_si256((const vector *)b->of[half] + j));
        }
        normalize(t);
        EACH_VECTOR {
            _mm256_store_si256((vector *)r->of[half] + j, t[j]);
        }
    }
}

/* r = the power that each half wants. Every entry of the table is read. */
IFMA static void choose(struct pair *r, const struct pair powers[POWERS], unsigned for_p,
                        unsigned for_q) {
    const unsigned wanted[2] = {for_p, for_q};
    for (int half = 0; half < 2; half++) {
        const vector want = _mm256_set1_epi64x(wanted[half]);
        vector found[VECTORS] = {0};
        for (int i = 0; i < POWERS; i++) {
            const vector here = _mm256_cmpeq_epi64(want, _mm256_set1_epi64x(i));
            EACH_VECTOR {
                vector entry = _mm256_load_si256((const vector *)powers[i].of[half] + j);
                found[j] = _mm256_or_si256(found[j], _mm256_and_si256(entry, here));
            }
        }
        EACH_VECTOR {
            _mm256_store_si256((vector *)r->of[half] + j, found[j]);
        }
    }
}

/* --- the exponentiation --- */

struct work {
    struct moduli mod;
    struct pair powers[POWERS], result, power;
    uint64_t words[2][WORDS], remainder[WORDS];
};

/* Sets the moduli up, and `first` to R, `shift` to 2^1024 R. */
static void prepare(struct work *w, const struct postern_rsa_key *key, struct pair *first,
                    struct pair *shift) {
    const uint64_t *m[2] = {key->p, key->q};
    struct moduli *mod = &w->mod;
    for (int half = 0; half < 2; half++) {
        uint64_t *x = w->words[half];
        limbs_from_words(mod->m.of[half], m[half]);
        mod->negative_inverse[half] = negative_inverse(m[half][0]);
        memset(x, 0, sizeof w->words[half]);
        subtract(x, x, m[half]); /* 2^1024 */
        limbs_from_words(shift->of[half], x);
        double_modulo(x, m[half], 16); /* R */
        limbs_from_words(first->of[half], x);
        double_modulo(x, m[half], 65);
        limbs_from_words(mod->rr.of[half], x);
    }
    /* A square of R 2^n is R 2^2n, and 65 * 16 = 1,040. */
    for (int i = 0; i < 4; i++) {
        multiply(&mod->rr, &mod->rr, &mod->rr, mod);
    }
    multiply(shift, shift, &mod->rr, mod);
}

/* result = in R, for both moduli: in = high 2^1024 + low. */
static void enter(struct work *w, const unsigned char *in, struct pair *shift) {
    struct pair *low = &w->result, *high = &w->power;
    words_from_bytes(w->words[0], in + POSTERN_RSA_BYTES / 2);
    limbs_from_words(low->of[0], w->words[0]);
    words_from_bytes(w->words[0], in);
    limbs_from_words(high->of[0], w->words[0]);
    memcpy(low->of[1], low->of[0], sizeof low->of[0]);
    memcpy(high->of[1], high->of[0], sizeof high->of[0]);
    multiply(low, low, &w->mod.rr, &w->mod);
    multiply(high, high, &w->mod.rr, &w->mod);
    multiply(high, high, shift, &w->mod);
    add(low, low, high);
}

static unsigned window(const uint64_t exponent[WORDS], int i) {
    int bit = i * WINDOW_BITS;
    return (unsigned)(exponent[bit / 64] >> bit % 64) & (POWERS - 1);
}

/* result = result^d R. */
static void raise(struct work *w, const struct postern_rsa_key *key) {
    w->powers[1] = w->result;
    for (int i = 2; i < POWERS; i++) {
        multiply(&w->powers[i], &w->powers[i - 1], &w->powers[1], &w->mod);
    }
    choose(&w->result, w->powers, window(key->dp, WINDOWS - 1), window(key->dq, WINDOWS - 1));
    for (int i = WINDOWS - 2; i >= 0; i--) {
        for (int bit = 0; bit < WINDOW_BITS; bit++) {
            multiply(&w->result, &w->result, &w->result, &w->mod);
        }
        choose(&w->power, w->powers, window(key->dp, i), window(key->dq, i));
        multiply(&w->result, &w->result, &w->power, &w->mod);
        if (i % WINDOWS_A_PAUSE == 0) {
            postern_may_pause();
        }
    }
}

/* words = result / R, fully reduced. Montgomery's product with 1 is at most m. */
static void leave(struct work *w, const struct postern_rsa_key *key) {
    memset(&w->power, 0, sizeof w->power);
    w->power.of[0][0] = w->power.of[1][0] = 1;
    multiply(&w->result, &w->result, &w->power, &w->mod);
    words_from_limbs(w->words[0], w->result.of[0]);
    words_from_limbs(w->words[1], w->result.of[1]);
    reduce_once(w->words[0], 0, key->p);
    reduce_once(w->words[1], 0, key->q);
}

/* words[0] = (words[0] - words[1]) / q modulo p (RFC 8017, 5.1.2); words[1] goes to `remainder`. q
 * may be larger than p, but not twice as large. */
static void divide_difference(struct work *w, const struct postern_rsa_key *key) {
    uint64_t *h = w->words[0];
    memcpy(w->remainder, w->words[1], sizeof w->remainder);
    uint64_t negative = subtract(h, h, w->remainder);
    negative -= add_masked(h, key->p, 0 - negative);
    add_masked(h, key->p, 0 - negative);
    memset(&w->result, 0, sizeof w->result);
    memset(&w->power, 0, sizeof w->power);
    limbs_from_words(w->result.of[0], h);
    limbs_from_words(w->power.of[0], key->qinv);
    multiply(&w->result, &w->result, &w->mod.rr, &w->mod);
    multiply(&w->power, &w->power, &w->mod.rr, &w->mod);
    multiply(&w->result, &w->result, &w->power, &w->mod);
    leave(w, key);
}

/* out = remainder + words[0] q. */
static void recombine(const struct work *w, const struct postern_rsa_key *key, unsigned char *out) {
    uint64_t product[2 * WORDS] = {0};
    memcpy(product, w->remainder, sizeof w->remainder);
    for (int i = 0; i < WORDS; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < WORDS; j++) {
            unsigned __int128 sum =
                (unsigned __int128)w->words[0][i] * key->q[j] + product[i + j] + carry;
            product[i + j] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        for (int j = i + WORDS; j < 2 * WORDS; j++) {
            unsigned __int128 sum = (unsigned __int128)product[j] + carry;
            product[j] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
    }
    for (int i = 0; i < 2 * WORDS; i++) {
        uint64_t word = __builtin_bswap64(product[i]);
        memcpy(out + 8 * (2 * WORDS - 1 - i), &word, sizeof word);
    }
}

static POSTERN_NOINLINE void compute(const struct postern_rsa_key *key, const unsigned char *in,
                                     unsigned char *out) {
    struct work w;
    struct pair shift;
    prepare(&w, key, &w.powers[0], &shift);
    enter(&w, in, &shift);
    raise(&w, key);
    leave(&w, key);
    divide_difference(&w, key);
    recombine(&w, key, out);
}

/* All frames of `compute` and of what it calls. */
POSTERN_DEFINE_WIPE_STACK(sizeof(struct work) + 4096)

void postern_rsa_private(const struct postern_rsa_key *key,
                         const unsigned char in[POSTERN_RSA_BYTES],
                         unsigned char out[POSTERN_RSA_BYTES]) {
    compute(key, in, out);
    postern_wipe_stack();
}
