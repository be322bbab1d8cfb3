/* Upstream's code for RSA and the NIST curves, with our own RSA-2048 (rsa_blinding.h) and our own
 * signatures with P-256 (p256.h) for private keys where these are in use. The library calls the
 * same functions as ever: upstream's have other names here.
 *
 * Each part is deleted together with rsa.c or p256.c; postern_sp.c is compiled in its place in the
 * end. */
#if POSTERN_VECTOR_RSA
#define sp_RsaPrivate_2048 upstream_RsaPrivate_2048
#endif
#if POSTERN_VECTOR_P256
#define sp_ecc_sign_256 upstream_ecc_sign_256
#endif
#include "postern_sp.c"
#undef sp_RsaPrivate_2048
#undef sp_ecc_sign_256

#include "vector/kernels.h"
#include "vector/p256.h"
#include "vector/rsa_blinding.h"

#include <stdbool.h>
#include <string.h>

#if POSTERN_VECTOR_RSA

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len);

/* False if the number does not fit. */
static bool words_from_mp(uint64_t *words, unsigned count, const mp_int *number) {
    if (number->used > count) {
        return false;
    }
    XMEMSET(words, 0, count * sizeof *words);
    XMEMCPY(words, number->dp, number->used * sizeof *words);
    return true;
}

int sp_RsaPrivate_2048(const byte *in, word32 in_len, const mp_int *d, const mp_int *p,
                       const mp_int *q, const mp_int *dp, const mp_int *dq, const mp_int *qinv,
                       const mp_int *n, byte *out, word32 *out_len) {
    enum { HALF = POSTERN_RSA_WORDS };
    struct postern_rsa_key key;
    uint64_t modulus[2 * HALF];
    bool ours = postern_kernel_is_used(POSTERN_KERNEL_RSA) && in_len == POSTERN_RSA_BYTES &&
                *out_len >= POSTERN_RSA_BYTES && words_from_mp(key.p, HALF, p) &&
                words_from_mp(key.q, HALF, q) && words_from_mp(key.dp, HALF, dp) &&
                words_from_mp(key.dq, HALF, dq) && words_from_mp(key.qinv, HALF, qinv) &&
                words_from_mp(modulus, 2 * HALF, n) && postern_rsa_is_usable(&key, modulus) &&
                postern_rsa_private_blinded(&key, modulus, in, out);
    if (ours) {
        *out_len = POSTERN_RSA_BYTES;
    }
    explicit_bzero(&key, sizeof key);
    return ours ? MP_OKAY
                : upstream_RsaPrivate_2048(in, in_len, d, p, q, dp, dq, qinv, n, out, out_len);
}

#endif

#if POSTERN_VECTOR_P256

int sp_ecc_sign_256(const byte *hash, word32 hash_len, WC_RNG *rng, const mp_int *priv, mp_int *rm,
                    mp_int *sm, mp_int *km, void *heap);

_Static_assert(sizeof(sp_table_entry_256) == sizeof(struct postern_p256_point) &&
                   sizeof p256_table == POSTERN_P256_DIGITS * (POSTERN_P256_MULTIPLES + 1) *
                                            sizeof(sp_table_entry_256),
               "the table is another one");

/* 2^1024 modulo the prime and 2^512 modulo the order: with R = 2^256 the powers R^4 and R^2. */
static const sp_digit r4_mod_prime[4] = {UINT64_C(0xffffffd900000015), UINT64_C(0xffffffbcffffffc6),
                                         UINT64_C(0x4000000011), UINT64_C(0x6900000032)};
static const sp_digit r2_mod_order[4] = {UINT64_C(0x83244c95be79eea2), UINT64_C(0x4699799c49bd6fa6),
                                         UINT64_C(0x2845b2392b6bec59),
                                         UINT64_C(0x66e12d94f3d95620)};

/* Everything secret. */
struct signing {
    sp_digit k[4], private_key[8], hash[8], k_inverse[4], z_inverse[4];
    sp_digit r[4], s[8], product[8], tmp[2 * 4 * 5];
    struct postern_p256_digit digits[POSTERN_P256_DIGITS];
    struct postern_p256_point choice;
    sp_point_256 sum, next;
};

/* The table's point for that digit, negated where the digit is. */
static void choose(struct signing *w, sp_point_256 *point, int i) {
    const struct postern_p256_digit *digit = &w->digits[i];
    const sp_table_entry_256 *row = &p256_table[i * (POSTERN_P256_MULTIPLES + 1)];
    postern_p256_choose(&w->choice, (const struct postern_p256_point *)row, digit->size);
    XMEMCPY(point->x, w->choice.words, 4 * sizeof(sp_digit));
    XMEMCPY(point->y, w->choice.words + 4, 4 * sizeof(sp_digit));
    XMEMCPY(point->z, p256_norm_mod, sizeof p256_norm_mod);
    point->infinity = (int)((digit->size - 1u) >> 31);
    sp_256_sub_4(w->tmp, p256_mod, point->y);
    sp_256_cond_copy_4(point->y, w->tmp, (sp_digit)0 - digit->negative);
}

/* sum = k times the base point, in coordinates of which x / z^2 is wanted. */
static void multiply_base(struct signing *w) {
    postern_p256_digits(w->digits, w->k);
    choose(w, &w->sum, POSTERN_P256_DIGITS - 1);
    for (int i = POSTERN_P256_DIGITS - 2; i >= 0; i--) {
        choose(w, &w->next, i);
        sp_256_proj_point_add_qz1_avx2_4(&w->sum, &w->sum, &w->next, w->tmp);
    }
}

static void reduce(sp_digit *number, const sp_digit *modulus) {
    sp_int64 order = sp_256_cmp_4(number, modulus);
    sp_256_cond_sub_4(number, number, modulus, (sp_digit)0 - (sp_digit)(order >= 0));
}

/* r = x / z^2, of which x and z are given times R and 1 / z is not: it is 1 / (z R). */
static void find_r(struct signing *w) {
    sp_256_mont_sqr_avx2_4(w->product, w->z_inverse, p256_mod, p256_mp_mod);
    sp_256_mont_mul_avx2_4(w->product, w->product, w->sum.x, p256_mod, p256_mp_mod);
    sp_256_mont_mul_avx2_4(w->product, w->product, r4_mod_prime, p256_mod, p256_mp_mod);
    reduce(w->product, p256_mod);
    XMEMCPY(w->r, w->product, sizeof w->r);
    reduce(w->r, p256_order);
}

/* s = (hash + r * private key) / k; a product of two is divided by R. */
static void find_s(struct signing *w) {
    sp_256_mont_mul_order_avx2_4(w->product, w->r, w->private_key);
    sp_256_mont_mul_order_avx2_4(w->product, w->product, r2_mod_order);
    sp_digit carry = sp_256_add_4(w->s, w->hash, w->product);
    sp_256_cond_sub_4(w->s, w->s, p256_order, 0 - carry);
    reduce(w->s, p256_order);
    sp_256_mont_mul_order_avx2_4(w->s, w->s, w->k_inverse);
    sp_256_mont_mul_order_avx2_4(w->s, w->s, r2_mod_order);
    reduce(w->s, p256_order);
}

/* With this k. */
static void compute(struct signing *w) {
    multiply_base(w);
    reduce(w->sum.z, p256_mod);
    postern_p256_invert(w->z_inverse, w->k_inverse, w->sum.z, w->k);
    find_r(w);
    find_s(w);
}

void postern_p256_sign(uint64_t r[4], uint64_t s[4], const uint64_t hash[4],
                       const uint64_t private_key[4], const uint64_t k[4]) {
    struct signing w;
    XMEMCPY(w.hash, hash, 4 * sizeof *hash);
    XMEMCPY(w.private_key, private_key, 4 * sizeof *private_key);
    XMEMCPY(w.k, k, 4 * sizeof *k);
    compute(&w);
    postern_vectors_done();
    XMEMCPY(r, w.r, sizeof w.r);
    XMEMCPY(s, w.s, 4 * sizeof *s);
    explicit_bzero(&w, sizeof w);
}

/* As upstream's: another k where r or s is zero, which never happens. */
static int sign(struct signing *w, WC_RNG *rng, mp_int *km) {
    for (int i = SP_ECC_MAX_SIG_GEN; i > 0; i--) {
        if (km == NULL || mp_iszero(km)) {
            int err = sp_256_ecc_gen_k_4(rng, w->k);
            if (err != MP_OKAY) {
                return err;
            }
        } else {
            sp_256_from_mp(w->k, 4, km);
            mp_zero(km);
        }
        compute(w);
        if (!sp_256_iszero_4(w->r) && !sp_256_iszero_4(w->s)) {
            return MP_OKAY;
        }
    }
    return RNG_FAILURE_E;
}

int sp_ecc_sign_256(const byte *hash, word32 hash_len, WC_RNG *rng, const mp_int *priv, mp_int *rm,
                    mp_int *sm, mp_int *km, void *heap) {
    struct signing w;
    if (!postern_kernel_is_used(POSTERN_KERNEL_P256)) {
        return upstream_ecc_sign_256(hash, hash_len, rng, priv, rm, sm, km, heap);
    }
    sp_256_from_mp(w.private_key, 4, priv);
    sp_256_from_bin(w.hash, 4, hash, hash_len > 32 ? 32 : (int)hash_len);
    int err = sign(&w, rng, km);
    postern_vectors_done();
    if (err == MP_OKAY) {
        err = sp_256_to_mp(w.r, rm);
    }
    if (err == MP_OKAY) {
        err = sp_256_to_mp(w.s, sm);
    }
    explicit_bzero(&w, sizeof w);
    return err;
}

#endif
