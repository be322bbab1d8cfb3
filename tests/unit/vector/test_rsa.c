/* Our RSA, bare and with blinding, against OpenSSL's arithmetic. */
#include "run.h"
#include "watched_rsa.h"

#include <vector/kernels.h>
#include <vector/rsa_blinding.h>

#include <check.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After OpenSSL's, whose function names this defines away. */
#include <wolfssl/wolfcrypt/types.h>

#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

struct rsa {
    BIGNUM *n, *d, *p, *q, *dp, *dq, *qinv;
};

static BN_CTX *ctx;
static int compared;

static void setup(void) {
    ctx = BN_CTX_new();
    ck_assert_ptr_nonnull(ctx);
}

static void teardown(void) {
    BN_CTX_free(ctx);
    if (compared > 0) {
        printf("%d powers compared with OpenSSL's, each with and without blinding\n", compared);
        fflush(stdout);
    }
}

static BIGNUM *part(const EVP_PKEY *key, const char *name) {
    BIGNUM *number = NULL;
    ck_assert_int_eq(EVP_PKEY_get_bn_param(key, name, &number), 1);
    return number;
}

static struct rsa make_rsa(void) {
    EVP_PKEY *key = EVP_RSA_gen(2048);
    ck_assert_ptr_nonnull(key);
    struct rsa rsa = {
        .n = part(key, OSSL_PKEY_PARAM_RSA_N),
        .d = part(key, OSSL_PKEY_PARAM_RSA_D),
        .p = part(key, OSSL_PKEY_PARAM_RSA_FACTOR1),
        .q = part(key, OSSL_PKEY_PARAM_RSA_FACTOR2),
        .dp = part(key, OSSL_PKEY_PARAM_RSA_EXPONENT1),
        .dq = part(key, OSSL_PKEY_PARAM_RSA_EXPONENT2),
        .qinv = part(key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1),
    };
    EVP_PKEY_free(key);
    return rsa;
}

/* The same key with its primes named the other way round: q may be the larger one. */
static void swap_primes(struct rsa *rsa) {
    BN_swap(rsa->p, rsa->q);
    BN_swap(rsa->dp, rsa->dq);
    ck_assert_ptr_nonnull(BN_mod_inverse(rsa->qinv, rsa->q, rsa->p, ctx));
}

static void free_rsa(struct rsa *rsa) {
    BIGNUM *all[] = {rsa->n, rsa->d, rsa->p, rsa->q, rsa->dp, rsa->dq, rsa->qinv};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        BN_free(all[i]);
    }
}

static void words(uint64_t out[POSTERN_RSA_WORDS], const BIGNUM *number) {
    int size = 8 * POSTERN_RSA_WORDS;
    ck_assert_int_eq(BN_bn2lebinpad(number, (unsigned char *)out, size), size);
}

static struct postern_rsa_key our_key(const struct rsa *rsa) {
    struct postern_rsa_key key;
    words(key.p, rsa->p);
    words(key.q, rsa->q);
    words(key.dp, rsa->dp);
    words(key.dq, rsa->dq);
    words(key.qinv, rsa->qinv);
    return key;
}

static void check_one(const struct rsa *rsa, const BIGNUM *input) {
    unsigned char in[POSTERN_RSA_BYTES], ours[POSTERN_RSA_BYTES], theirs[POSTERN_RSA_BYTES];
    struct postern_rsa_key key = our_key(rsa);
    uint64_t n[2 * POSTERN_RSA_WORDS];
    BIGNUM *result = BN_new();
    ck_assert_int_eq(BN_mod_exp(result, input, rsa->d, rsa->n, ctx), 1);
    ck_assert_int_eq(BN_bn2binpad(result, theirs, sizeof theirs), sizeof theirs);
    ck_assert_int_eq(BN_bn2binpad(input, in, sizeof in), sizeof in);
    postern_rsa_private(&key, in, ours);
    ck_assert_mem_eq(ours, theirs, sizeof ours);
    memset(ours, 0, sizeof ours);
    ck_assert_int_eq(BN_bn2lebinpad(rsa->n, (unsigned char *)n, sizeof n), sizeof n);
    ck_assert(postern_rsa_private_blinded(&key, n, in, ours));
    ck_assert_mem_eq(ours, theirs, sizeof ours);
    BN_free(result);
    compared++;
}

START_TEST(random_inputs_give_what_openssl_gives) {
    BIGNUM *input = BN_new();
    for (int i = 0; i < 6; i++) {
        struct rsa rsa = make_rsa();
        if (i % 2 == 1) {
            swap_primes(&rsa);
        }
        for (int j = 0; j < 40; j++) {
            ck_assert_int_eq(BN_rand_range(input, rsa.n), 1);
            check_one(&rsa, input);
        }
        free_rsa(&rsa);
    }
    BN_free(input);
}
END_TEST

/* Around every place where a carry, a borrow or a reduction begins to happen. */
START_TEST(inputs_at_the_edges_give_what_openssl_gives) {
    struct rsa rsa = make_rsa();
    BIGNUM *input = BN_new();
    const BIGNUM *centres[] = {rsa.n, rsa.p, rsa.q};
    for (size_t i = 0; i < 3; i++) {
        for (unsigned step = 1; step <= 3; step++) {
            BN_copy(input, centres[i]);
            ck_assert_int_eq(BN_sub_word(input, step), 1);
            check_one(&rsa, input);
        }
    }
    for (int bits = 0; bits < 2048; bits += bits < 1000 ? 52 : 8) {
        BN_zero(input);
        ck_assert_int_eq(BN_set_bit(input, bits), 1);
        if (BN_cmp(input, rsa.n) < 0) {
            check_one(&rsa, input);
        }
        ck_assert_int_eq(BN_sub_word(input, 1), 1);
        check_one(&rsa, input);
    }
    BN_free(input);
    free_rsa(&rsa);
}
END_TEST

/* Primes of nothing but ones, or nearly, make every limb full: 2^1024 - 105 is the largest prime
 * below 2^1024, 2^1023 + 1155 the smallest above 2^1023. */
START_TEST(primes_at_the_ends_of_their_range_work) {
    struct rsa rsa = {BN_new(), BN_new(), BN_new(), BN_new(), BN_new(), BN_new(), BN_new()};
    BIGNUM *e = BN_new(), *p1 = BN_new(), *q1 = BN_new(), *phi = BN_new(), *input = BN_new();
    BN_set_bit(rsa.p, 1024);
    BN_sub_word(rsa.p, 105);
    BN_set_bit(rsa.q, 1023);
    BN_add_word(rsa.q, 1155);
    ck_assert_int_eq(BN_check_prime(rsa.p, ctx, NULL), 1);
    ck_assert_int_eq(BN_check_prime(rsa.q, ctx, NULL), 1);
    BN_set_word(e, 65537);
    BN_mul(rsa.n, rsa.p, rsa.q, ctx);
    BN_sub(p1, rsa.p, BN_value_one());
    BN_sub(q1, rsa.q, BN_value_one());
    BN_mul(phi, p1, q1, ctx);
    ck_assert_ptr_nonnull(BN_mod_inverse(rsa.d, e, phi, ctx));
    BN_mod(rsa.dp, rsa.d, p1, ctx);
    BN_mod(rsa.dq, rsa.d, q1, ctx);
    ck_assert_ptr_nonnull(BN_mod_inverse(rsa.qinv, rsa.q, rsa.p, ctx));
    for (int i = 0; i < 100; i++) {
        if (i == 50) {
            swap_primes(&rsa);
        }
        ck_assert_int_eq(BN_rand_range(input, rsa.n), 1);
        check_one(&rsa, input);
    }
    BIGNUM *all[] = {e, p1, q1, phi, input};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        BN_free(all[i]);
    }
    free_rsa(&rsa);
}
END_TEST

/* More keys than a thread keeps pairs for, and each more often than a pair is used. */
START_TEST(keys_used_in_turns_are_blinded_each_by_its_own_pairs) {
    enum { KEYS = 6, TURNS = 70 };
    struct rsa keys[KEYS];
    BIGNUM *input = BN_new();
    for (int k = 0; k < KEYS; k++) {
        keys[k] = make_rsa();
    }
    for (int i = 0; i < KEYS * TURNS; i++) {
        const struct rsa *rsa = &keys[i < KEYS * TURNS / 2 ? i % KEYS : i / TURNS];
        ck_assert_int_eq(BN_rand_range(input, rsa->n), 1);
        check_one(rsa, input);
    }
    for (int k = 0; k < KEYS; k++) {
        free_rsa(&keys[k]);
    }
    BN_free(input);
}
END_TEST

/* Of 100 calls, 4 make a pair: the first and each 32nd after it. */
START_TEST(the_exponentiation_gets_another_number_each_time) {
    enum { CALLS = 100, PAIRS = 4 };
    struct rsa rsa = make_rsa();
    struct postern_rsa_key key = our_key(&rsa);
    uint64_t n[2 * POSTERN_RSA_WORDS];
    unsigned char in[POSTERN_RSA_BYTES] = {[POSTERN_RSA_BYTES - 1] = 2}, out[POSTERN_RSA_BYTES];
    ck_assert_int_eq(BN_bn2lebinpad(rsa.n, (unsigned char *)n, sizeof n), sizeof n);
    watched_rsa.calls = 0;
    for (int i = 0; i < CALLS; i++) {
        ck_assert(postern_rsa_private_blinded(&key, n, in, out));
    }
    ck_assert_uint_eq(watched_rsa.calls, CALLS + PAIRS);
    for (int i = 0; i < CALLS + PAIRS; i++) {
        ck_assert_mem_ne(watched_rsa.inputs[i], in, sizeof in);
        for (int j = 0; j < i; j++) {
            ck_assert_mem_ne(watched_rsa.inputs[i], watched_rsa.inputs[j], sizeof in);
        }
    }
    free_rsa(&rsa);
}
END_TEST

START_TEST(keys_that_cannot_be_right_are_left_to_the_library) {
    struct rsa rsa = make_rsa();
    struct postern_rsa_key key = our_key(&rsa), wrong = key;
    uint64_t n[2 * POSTERN_RSA_WORDS];
    ck_assert_int_eq(BN_bn2lebinpad(rsa.n, (unsigned char *)n, sizeof n), sizeof n);
    ck_assert(postern_rsa_is_usable(&key, n));
    memcpy(wrong.dq, key.q, sizeof key.q);
    ck_assert(!postern_rsa_is_usable(&wrong, n));
    wrong.dq[0]--; /* q is odd: this is q - 1 */
    ck_assert(postern_rsa_is_usable(&wrong, n));
    wrong = key;
    memset(wrong.dp, 0xff, sizeof wrong.dp);
    ck_assert(!postern_rsa_is_usable(&wrong, n));
    wrong = key;
    wrong.p[0]--;
    ck_assert(!postern_rsa_is_usable(&wrong, n));
    n[0]--;
    ck_assert(!postern_rsa_is_usable(&key, n));
    free_rsa(&rsa);
}
END_TEST

enum { SIGNATURES = 100 };

/* With PKCS #1, whose signatures are the same each time; by the library. */
static void sign_all(const EVP_PKEY *key, unsigned char out[SIGNATURES][POSTERN_RSA_BYTES]) {
    unsigned char *der = NULL;
    RsaKey library_key;
    WC_RNG rng;
    word32 at = 0;
    int len = i2d_PrivateKey(key, &der);
    ck_assert_int_gt(len, 0);
    ck_assert_int_eq(wc_InitRng(&rng), 0);
    ck_assert_int_eq(wc_InitRsaKey(&library_key, NULL), 0);
    ck_assert_int_eq(wc_RsaPrivateKeyDecode(der, &at, &library_key, (word32)len), 0);
    for (int i = 0; i < SIGNATURES; i++) {
        unsigned char digest[32] = {(unsigned char)i};
        ck_assert_int_eq(
            wc_RsaSSL_Sign(digest, sizeof digest, out[i], POSTERN_RSA_BYTES, &library_key, &rng),
            POSTERN_RSA_BYTES);
    }
    wc_FreeRsaKey(&library_key);
    wc_FreeRng(&rng);
    OPENSSL_free(der);
}

START_TEST(signatures_are_those_of_the_librarys_own_code) {
    static unsigned char theirs[SIGNATURES][POSTERN_RSA_BYTES], ours[SIGNATURES][POSTERN_RSA_BYTES];
    EVP_PKEY *key = EVP_RSA_gen(2048);
    watched_rsa.calls = 0;
    sign_all(key, theirs);
    ck_assert_uint_eq(watched_rsa.calls, 0);
    ck_assert_uint_eq(postern_kernels_start(), 0);
    watched_rsa.calls = 0;
    sign_all(key, ours);
    ck_assert_uint_gt(watched_rsa.calls, SIGNATURES);
    ck_assert_mem_eq(ours, theirs, sizeof ours);
    EVP_PKEY_free(key);
    printf("%d signatures compared with those of the library's own code\n", SIGNATURES);
    fflush(stdout);
}
END_TEST

int main(void) {
    if ((postern_kernels_offered() & POSTERN_KERNEL_RSA) == 0) {
        puts("skipped: this processor has no AVX-512 IFMA");
        return RUN_SKIPPED;
    }
    Suite *suite = suite_create("rsa");
    TCase *test = tcase_create("rsa");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_test(test, random_inputs_give_what_openssl_gives);
    tcase_add_test(test, inputs_at_the_edges_give_what_openssl_gives);
    tcase_add_test(test, primes_at_the_ends_of_their_range_work);
    tcase_add_test(test, signatures_are_those_of_the_librarys_own_code);
    tcase_add_test(test, keys_used_in_turns_are_blinded_each_by_its_own_pairs);
    tcase_add_test(test, the_exponentiation_gets_another_number_each_time);
    tcase_add_test(test, keys_that_cannot_be_right_are_left_to_the_library);
    tcase_set_timeout(test, 60);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
