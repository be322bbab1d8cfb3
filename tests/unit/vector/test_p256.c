/* Our parts of ECDSA with P-256 against OpenSSL and the library's own code. */
#include "run.h"

#include <vector/inverse.h>
#include <vector/kernels.h>
#include <vector/p256.h>

#include <wolfssl/wolfcrypt/types.h>

#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/sp.h>

#include <check.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { WORDS = POSTERN_P256_WORDS, BYTES = 8 * WORDS };

static const char *const moduli[] = {
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", /* P-256: the prime, */
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", /* the order */
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed", /* 2^255 - 19 */
    "3",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff43", /* 2^256 - 189 */
};
enum { PRIME, ORDER, MODULI = sizeof moduli / sizeof *moduli };

static BN_CTX *numbers;
static int compared;

static BIGNUM *from_hex(const char *hex) {
    BIGNUM *n = NULL;
    ck_assert_int_ne(BN_hex2bn(&n, hex), 0);
    return n;
}

static BIGNUM *from_words(const uint64_t words[WORDS]) {
    return BN_lebin2bn((const unsigned char *)words, BYTES, NULL);
}

static void to_words(uint64_t words[WORDS], const BIGNUM *n) {
    ck_assert_int_eq(BN_bn2lebinpad(n, (unsigned char *)words, BYTES), BYTES);
}

static struct postern_modulus modulus_of(const BIGNUM *m) {
    struct postern_modulus modulus;
    BIGNUM *rest = BN_dup(m), *limb = BN_new(), *two_62 = BN_new();
    for (int i = 0; i < POSTERN_INVERSE_LIMBS; i++) {
        BN_copy(limb, rest);
        BN_mask_bits(limb, 62); /* fails where it is shorter, and changes nothing */
        modulus.limbs[i] = (int64_t)BN_get_word(limb);
        BN_rshift(rest, rest, 62);
    }
    BN_set_bit(two_62, 62);
    ck_assert_ptr_nonnull(BN_mod_inverse(limb, m, two_62, numbers));
    modulus.inverse = BN_get_word(limb);
    BN_free(rest);
    BN_free(limb);
    BN_free(two_62);
    return modulus;
}

static void check_inverse(const BIGNUM *x, const BIGNUM *m) {
    const struct postern_modulus modulus = modulus_of(m);
    const struct postern_modulus *const both[2] = {&modulus, &modulus};
    uint64_t words[2][WORDS], one[WORDS], two[2][WORDS], expected[WORDS] = {0};
    to_words(words[0], x);
    to_words(words[1], x);
    postern_invert(one, words[0], &modulus);
    postern_invert_two(two, (const void *)words, both);
    if (!BN_is_zero(x)) {
        BIGNUM *inverse = BN_mod_inverse(NULL, x, m, numbers);
        ck_assert_ptr_nonnull(inverse);
        to_words(expected, inverse);
        BN_free(inverse);
    }
    ck_assert_mem_eq(one, expected, BYTES);
    ck_assert_mem_eq(two[0], expected, BYTES);
    ck_assert_mem_eq(two[1], expected, BYTES);
    compared++;
}

START_TEST(inverses_are_openssls) {
    BIGNUM *m = from_hex(moduli[_i]), *x = BN_new();
    for (int i = 0; i < 3000; i++) {
        ck_assert_int_eq(BN_rand_range(x, m), 1);
        check_inverse(x, m);
    }
    BN_free(x);
    BN_free(m);
}
END_TEST

/* Around 0, the modulus, and each power of two. */
START_TEST(inverses_at_the_edges_are_openssls) {
    BIGNUM *m = from_hex(moduli[_i]), *x = BN_new();
    for (int bit = 0; bit < 256; bit++) {
        for (int more = -2; more <= 2; more++) {
            BN_zero(x);
            BN_set_bit(x, bit);
            more < 0 ? BN_sub_word(x, (BN_ULONG)-more) : BN_add_word(x, (BN_ULONG)more);
            BN_nnmod(x, x, m, numbers);
            check_inverse(x, m);
            BN_sub(x, m, x);
            BN_nnmod(x, x, m, numbers);
            check_inverse(x, m);
        }
    }
    BN_free(x);
    BN_free(m);
}
END_TEST

/* Both at once, of which each has its modulus. */
START_TEST(inverses_of_a_signature_are_openssls) {
    uint64_t in[2][WORDS], out[2][WORDS], expected[WORDS];
    for (int i = 0; i < 1000; i++) {
        for (int n = PRIME; n <= ORDER; n++) {
            BIGNUM *m = from_hex(moduli[n]), *x = BN_new();
            ck_assert_int_eq(BN_rand_range(x, m), 1);
            to_words(in[n], x);
            BN_free(x);
            BN_free(m);
        }
        postern_p256_invert(out[PRIME], out[ORDER], in[PRIME], in[ORDER]);
        for (int n = PRIME; n <= ORDER; n++) {
            BIGNUM *m = from_hex(moduli[n]), *x = from_words(in[n]);
            ck_assert_ptr_nonnull(BN_mod_inverse(x, x, m, numbers));
            to_words(expected, x);
            ck_assert_mem_eq(out[n], expected, BYTES);
            BN_free(x);
            BN_free(m);
        }
    }
}
END_TEST

static void check_digits(const uint64_t number[WORDS]) {
    struct postern_p256_digit digits[POSTERN_P256_DIGITS];
    BIGNUM *sum = BN_new(), *expected = from_words(number);
    postern_p256_digits(digits, number);
    for (int i = POSTERN_P256_DIGITS - 1; i >= 0; i--) {
        BN_lshift(sum, sum, POSTERN_P256_WINDOW);
        ck_assert_uint_le(digits[i].size, POSTERN_P256_MULTIPLES);
        ck_assert_uint_le(digits[i].negative, 1);
        digits[i].negative ? BN_sub_word(sum, digits[i].size) : BN_add_word(sum, digits[i].size);
    }
    ck_assert_int_eq(BN_cmp(sum, expected), 0);
    BN_free(sum);
    BN_free(expected);
}

START_TEST(digits_are_the_number) {
    static const unsigned char patterns[] = {0, 0xff, 0x40, 0x81, 0x7f, 0x80, 0xc0};
    uint64_t number[WORDS];
    for (size_t i = 0; i < sizeof patterns; i++) {
        memset(number, patterns[i], sizeof number);
        check_digits(number);
    }
    for (int bit = 0; bit < 256; bit++) {
        memset(number, 0, sizeof number);
        number[bit / 64] = UINT64_C(1) << bit % 64;
        check_digits(number);
    }
    for (int i = 0; i < 10000; i++) {
        ck_assert_int_eq(RAND_bytes((unsigned char *)number, sizeof number), 1);
        check_digits(number);
    }
}
END_TEST

START_TEST(every_place_is_chosen) {
    struct postern_p256_point row[POSTERN_P256_MULTIPLES + 1], chosen;
    ck_assert_int_eq(RAND_bytes((unsigned char *)row, sizeof row), 1);
    for (unsigned place = 0; place <= POSTERN_P256_MULTIPLES; place++) {
        postern_p256_choose(&chosen, row, place);
        ck_assert_mem_eq(&chosen, &row[place], sizeof chosen);
    }
}
END_TEST

/* --- signatures --- */

enum { EDGES = 256 + 256 + 8, SIGNATURES = EDGES + 2000 };

static struct signature {
    uint64_t hash[WORDS], key[WORDS], k[WORDS];
    uint64_t r[WORDS], s[WORDS]; /* by the library's own code */
} signatures[SIGNATURES];

static void reverse(unsigned char out[BYTES], const uint64_t words[WORDS]) {
    for (int i = 0; i < BYTES; i++) {
        out[i] = ((const unsigned char *)words)[BYTES - 1 - i];
    }
}

static void mp_from_words(mp_int *n, const uint64_t words[WORDS]) {
    unsigned char bytes[BYTES];
    reverse(bytes, words);
    ck_assert_int_eq(mp_init(n), 0);
    ck_assert_int_eq(mp_read_unsigned_bin(n, bytes, BYTES), 0);
}

static void words_from_mp(uint64_t words[WORDS], mp_int *n) {
    unsigned char bytes[BYTES];
    uint64_t turned[WORDS];
    ck_assert_int_eq(mp_to_unsigned_bin_len(n, bytes, BYTES), 0);
    memcpy(turned, bytes, BYTES);
    reverse((unsigned char *)words, turned);
}

/* By the library, with that k, and with the kernel if that is in use. */
static void sign(uint64_t r[WORDS], uint64_t s[WORDS], const struct signature *c) {
    mp_int key, k, r_number, s_number;
    unsigned char hash[BYTES];
    WC_RNG rng;
    ck_assert_int_eq(wc_InitRng(&rng), 0);
    mp_from_words(&key, c->key);
    mp_from_words(&k, c->k);
    ck_assert_int_eq(mp_init_multi(&r_number, &s_number, NULL, NULL, NULL, NULL), 0);
    reverse(hash, c->hash);
    ck_assert_int_eq(sp_ecc_sign_256(hash, BYTES, &rng, &key, &r_number, &s_number, &k, NULL), 0);
    words_from_mp(r, &r_number);
    words_from_mp(s, &s_number);
    wc_FreeRng(&rng);
}

static void random_below_order(uint64_t words[WORDS]) {
    BIGNUM *order = from_hex(moduli[ORDER]), *x = BN_new();
    do {
        ck_assert_int_eq(BN_rand_range(x, order), 1);
    } while (BN_is_zero(x));
    to_words(words, x);
    BN_free(x);
    BN_free(order);
}

/* The first have a k with a single bit, or all but one, or at an end of its range. */
static void choose_k(uint64_t k[WORDS], int i) {
    random_below_order(k);
    if (i >= EDGES) {
        return;
    }
    BIGNUM *order = from_hex(moduli[ORDER]), *x = BN_new();
    if (i < 512) {
        BN_set_bit(x, i % 256);
    } else {
        BN_set_word(x, (BN_ULONG)(i - 511));
    }
    if (i >= 256 && i % 2 == 0) {
        BN_sub(x, order, x);
    }
    BN_nnmod(x, x, order, numbers);
    to_words(k, x);
    BN_free(x);
    BN_free(order);
}

/* Before the kernel is in use. */
static void make_signatures(void) {
    for (int i = 0; i < SIGNATURES; i++) {
        struct signature *c = &signatures[i];
        ck_assert_int_eq(RAND_bytes((unsigned char *)c->hash, BYTES), 1);
        if (i % 16 == 0) {
            memset(c->hash, i % 32 == 0 ? 0xff : 0, BYTES);
        }
        random_below_order(c->key);
        choose_k(c->k, i);
        sign(c->r, c->s, c);
    }
    ck_assert_uint_eq(postern_kernels_start(), 0);
}

START_TEST(signatures_are_the_librarys_own) {
    uint64_t r[WORDS], s[WORDS];
    ck_assert(postern_kernel_is_used(POSTERN_KERNEL_P256));
    for (int i = 0; i < SIGNATURES; i++) {
        sign(r, s, &signatures[i]);
        ck_assert_mem_eq(r, signatures[i].r, BYTES);
        ck_assert_mem_eq(s, signatures[i].s, BYTES);
    }
    printf("%d signatures compared with the library's own code's\n", SIGNATURES);
    fflush(stdout);
}
END_TEST

static EVP_PKEY *public_key_of(const uint64_t private_key[WORDS]) {
    static char name[] = "P-256";
    unsigned char octets[1 + 2 * BYTES];
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = EC_POINT_new(group);
    BIGNUM *scalar = from_words(private_key);
    ck_assert_int_eq(EC_POINT_mul(group, point, scalar, NULL, NULL, numbers), 1);
    ck_assert_uint_eq(EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets,
                                         sizeof octets, numbers),
                      sizeof octets);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, octets, sizeof octets),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, parameters), 1);
    EVP_PKEY_CTX_free(ctx);
    BN_free(scalar);
    EC_POINT_free(point);
    EC_GROUP_free(group);
    return key;
}

static bool verifies(const uint64_t r[WORDS], const uint64_t s[WORDS], const struct signature *c) {
    unsigned char hash[BYTES], *der = NULL;
    reverse(hash, c->hash);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    ck_assert_int_eq(ECDSA_SIG_set0(signature, from_words(r), from_words(s)), 1);
    int len = i2d_ECDSA_SIG(signature, &der);
    ck_assert_int_gt(len, 0);
    EVP_PKEY *key = public_key_of(c->key);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    ck_assert_int_eq(EVP_PKEY_verify_init(ctx), 1);
    bool right = EVP_PKEY_verify(ctx, der, (size_t)len, hash, BYTES) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    OPENSSL_free(der);
    ECDSA_SIG_free(signature);
    return right;
}

START_TEST(openssl_verifies_signatures) {
    uint64_t r[WORDS], s[WORDS];
    for (int i = 0; i < SIGNATURES; i += 4) {
        const struct signature *c = &signatures[i];
        postern_p256_sign(r, s, c->hash, c->key, c->k);
        ck_assert(verifies(r, s, c));
    }
}
END_TEST

static void print_count(void) {
    if (compared > 0) {
        printf("%d inverses compared with OpenSSL's\n", compared);
        fflush(stdout);
    }
}

int main(void) {
    if ((postern_kernels_offered() & POSTERN_KERNEL_P256) == 0) {
        puts("skipped: this processor has no AVX-512 IFMA");
        return RUN_SKIPPED;
    }
    numbers = BN_CTX_new();
    Suite *suite = suite_create("p256");
    TCase *test = tcase_create("p256");
    tcase_add_unchecked_fixture(test, make_signatures, NULL);
    tcase_add_checked_fixture(test, NULL, print_count);
    tcase_add_loop_test(test, inverses_are_openssls, 0, MODULI);
    tcase_add_loop_test(test, inverses_at_the_edges_are_openssls, 0, MODULI);
    tcase_add_test(test, inverses_of_a_signature_are_openssls);
    tcase_add_test(test, digits_are_the_number);
    tcase_add_test(test, every_place_is_chosen);
    tcase_add_test(test, signatures_are_the_librarys_own);
    tcase_add_test(test, openssl_verifies_signatures);
    tcase_set_timeout(test, 60);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
