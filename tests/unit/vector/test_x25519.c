/* Our X25519 against RFC 7748, OpenSSL and the library's own code. */
#include "run.h"

#include <vector/kernels.h>
#include <vector/x25519.h>
#include <vector/x25519_ahead.h>
#include <vector/x25519_base.h>
#include <vector/x25519_eight.h>

#include <wolfssl/wolfcrypt/types.h>

#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/fe_operations.h>
#include <wolfssl/wolfcrypt/random.h>

#include <check.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = POSTERN_X25519_BYTES, BATCH = POSTERN_X25519_BATCH };

static int compared, compared_with_library, pairs_compared, compared_by_eight;

static void from_hex(unsigned char out[SIZE], const char *hex) {
    size_t len;
    ck_assert_int_eq(OPENSSL_hexstr2buf_ex(out, SIZE, &len, hex, '\0'), 1);
    ck_assert_uint_eq(len, SIZE);
}

static void clamp(unsigned char scalar[SIZE]) {
    scalar[0] &= 248;
    scalar[31] &= 127;
    scalar[31] |= 64;
}

/* As RFC 7748, 5 decodes both. */
static void x25519(unsigned char out[SIZE], const unsigned char scalar[SIZE],
                   const unsigned char point[SIZE]) {
    unsigned char clamped[SIZE];
    memcpy(clamped, scalar, SIZE);
    clamp(clamped);
    postern_x25519(out, clamped, point);
}

/* False where OpenSSL refuses the result, which is all zeros then. */
static bool openssl_x25519(unsigned char out[SIZE], const unsigned char scalar[SIZE],
                           const unsigned char point[SIZE]) {
    EVP_PKEY *ours = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, SIZE);
    EVP_PKEY *theirs = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, SIZE);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(ours, NULL);
    size_t len = SIZE;
    ck_assert_int_eq(EVP_PKEY_derive_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_derive_set_peer(ctx, theirs), 1);
    bool done = EVP_PKEY_derive(ctx, out, &len) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(theirs);
    EVP_PKEY_free(ours);
    return done;
}

/* Of random points only: for some others wolfSSL 5.9.2's own code is wrong (docs/vector-code.md).
 */
static void compare_with_library(const unsigned char scalar[SIZE],
                                 const unsigned char point[SIZE]) {
    unsigned char ours[SIZE], theirs[SIZE], clamped[SIZE], reduced[SIZE];
    memcpy(clamped, scalar, SIZE);
    clamp(clamped);
    memcpy(reduced, point, SIZE);
    reduced[SIZE - 1] &= 127;
    postern_x25519(ours, clamped, reduced);
    ck_assert_int_eq(curve25519(theirs, clamped, reduced), 0);
    ck_assert_mem_eq(ours, theirs, SIZE);
    compared_with_library++;
}

static void print_count(void) {
    if (compared > 0) {
        printf("%d secrets compared with OpenSSL's, %d with the library's own code's\n", compared,
               compared_with_library);
        fflush(stdout);
    }
    if (compared_by_eight > 0) {
        printf("%d secrets computed eight at a time compared with OpenSSL's\n", compared_by_eight);
        fflush(stdout);
    }
    if (pairs_compared > 0) {
        printf("%d public keys compared with OpenSSL's\n", pairs_compared);
        fflush(stdout);
    }
}

static void check_public_key(const unsigned char scalar[SIZE], const unsigned char public[SIZE]) {
    unsigned char theirs[SIZE];
    size_t len = SIZE;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, SIZE);
    ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, theirs, &len), 1);
    EVP_PKEY_free(key);
    ck_assert_mem_eq(public, theirs, SIZE);
    pairs_compared++;
}

static void check_batch(unsigned char scalars[BATCH][SIZE]) {
    unsigned char public_keys[BATCH][SIZE];
    for (int i = 0; i < BATCH; i++) {
        clamp(scalars[i]);
    }
    postern_x25519_base(public_keys, (const void *)scalars);
    for (int i = 0; i < BATCH; i++) {
        check_public_key(scalars[i], public_keys[i]);
    }
}

static void check_one(const unsigned char scalar[SIZE], const unsigned char point[SIZE]) {
    static const unsigned char zero[SIZE];
    unsigned char ours[SIZE], theirs[SIZE];
    x25519(ours, scalar, point);
    compared++;
    if (openssl_x25519(theirs, scalar, point)) {
        ck_assert_mem_eq(ours, theirs, SIZE);
    } else {
        ck_assert_mem_eq(ours, zero, SIZE);
    }
}

START_TEST(the_examples_of_the_rfc) {
    static const char *const examples[][3] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    for (size_t i = 0; i < 2; i++) {
        unsigned char scalar[SIZE], point[SIZE], expected[SIZE], result[SIZE];
        from_hex(scalar, examples[i][0]);
        from_hex(point, examples[i][1]);
        from_hex(expected, examples[i][2]);
        x25519(result, scalar, point);
        ck_assert_mem_eq(result, expected, SIZE);
    }
}
END_TEST

START_TEST(the_iteration_of_the_rfc) {
    unsigned char k[SIZE] = {9}, u[SIZE] = {9}, result[SIZE], expected[SIZE];
    for (int i = 0; i < 1000; i++) {
        x25519(result, k, u);
        memcpy(u, k, SIZE);
        memcpy(k, result, SIZE);
    }
    from_hex(expected, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
    ck_assert_mem_eq(k, expected, SIZE);
}
END_TEST

START_TEST(random_inputs_give_what_openssl_gives) {
    unsigned char scalar[SIZE], point[SIZE];
    for (int i = 0; i < 3000; i++) {
        ck_assert_int_eq(RAND_bytes(scalar, SIZE), 1);
        ck_assert_int_eq(RAND_bytes(point, SIZE), 1);
        check_one(scalar, point);
        compare_with_library(scalar, point);
    }
}
END_TEST

/* Whose result is zero, and the largest that bit 255 makes of one of them. */
static const char *const small_order[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

/* Where reductions and carries are at their ends: around 0, the prime and 2^255, limbs of nothing
 * but ones or zeros, and the points of small order, whose result is zero. */
START_TEST(inputs_at_the_edges_give_what_openssl_gives) {
    unsigned char scalar[SIZE], point[SIZE];
    for (size_t i = 0; i < sizeof small_order / sizeof *small_order; i++) {
        from_hex(point, small_order[i]);
        ck_assert_int_eq(RAND_bytes(scalar, SIZE), 1);
        check_one(scalar, point);
    }
    for (int bit = 0; bit < 255; bit++) {
        memset(point, 0, SIZE);
        point[bit / 8] = (unsigned char)(1 << bit % 8);
        memset(scalar, bit % 2 ? 0xff : 0, SIZE);
        check_one(scalar, point);
        for (int i = 0; i < SIZE; i++) {
            point[i] = (unsigned char)~point[i];
        }
        check_one(scalar, point);
    }
}
END_TEST

START_TEST(public_keys_of_random_scalars_are_openssls) {
    unsigned char scalars[BATCH][SIZE];
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(RAND_bytes(scalars[0], sizeof scalars), 1);
        check_batch(scalars);
    }
}
END_TEST

/* Each four bits with each value, between others that are nothing but zeros or ones, or that carry
 * into the next or just do not; the smallest and the largest scalar are among them. */
START_TEST(public_keys_of_scalars_at_the_edges_are_openssls) {
    unsigned char scalars[BATCH][SIZE];
    for (int i = 0; i < 64; i++) {
        for (int value = 0; value < 16; value++) {
            for (int lane = 0; lane < BATCH; lane++) {
                static const unsigned char rest[] = {0, 0xff, 0x88, 0x77};
                memset(scalars[lane], rest[(lane + value) % 4], SIZE);
                unsigned char *byte = &scalars[lane][i / 2];
                int shift = 4 * (i % 2);
                *byte = (unsigned char)((*byte & ~(15 << shift)) | value << shift);
            }
            check_batch(scalars);
        }
    }
}
END_TEST

/* No pair comes twice, and the library's key is one of them. */
START_TEST(pairs_are_right_and_new) {
    enum { PAIRS = 40 };
    unsigned char private_keys[PAIRS][SIZE], public_key[SIZE];
    curve25519_key key;
    WC_RNG rng;
    ck_assert_int_eq(wc_InitRng(&rng), 0);
    for (int i = 0; i < PAIRS; i++) {
        if (i % 2 == 0) {
            ck_assert_int_eq(postern_x25519_pair(private_keys[i], public_key), 0);
        } else {
            ck_assert_int_eq(wc_curve25519_init(&key), 0);
            ck_assert_int_eq(wc_curve25519_make_key(&rng, SIZE, &key), 0);
            memcpy(private_keys[i], key.k, SIZE);
            memcpy(public_key, key.p.point, SIZE);
            ck_assert(key.privSet && key.pubSet);
            wc_curve25519_free(&key);
        }
        check_public_key(private_keys[i], public_key);
        for (int before = 0; before < i; before++) {
            ck_assert_mem_ne(private_keys[before], private_keys[i], SIZE);
        }
    }
    wc_FreeRng(&rng);
}
END_TEST

/* --- eight at a time --- */

static void check_eight(unsigned char scalars[BATCH][SIZE], unsigned char points[BATCH][SIZE]) {
    static const unsigned char zero[SIZE];
    unsigned char ours[BATCH][SIZE], theirs[SIZE];
    for (int i = 0; i < BATCH; i++) {
        clamp(scalars[i]);
    }
    postern_x25519_eight(ours, (const void *)scalars, (const void *)points);
    for (int i = 0; i < BATCH; i++) {
        bool has_result = openssl_x25519(theirs, scalars[i], points[i]);
        ck_assert_mem_eq(ours[i], has_result ? theirs : zero, SIZE);
        compared_by_eight++;
    }
}

START_TEST(eight_random_inputs_give_what_openssl_gives) {
    unsigned char scalars[BATCH][SIZE], points[BATCH][SIZE];
    for (int i = 0; i < 500; i++) {
        ck_assert_int_eq(RAND_bytes(scalars[0], sizeof scalars), 1);
        ck_assert_int_eq(RAND_bytes(points[0], sizeof points), 1);
        check_eight(scalars, points);
    }
}
END_TEST

/* In each lane each of the points whose result is zero, which must not disturb the other lanes,
 * also if it is in several; and points and scalars of nothing but ones or zeros, but for one bit.
 */
START_TEST(eight_inputs_at_the_edges_give_what_openssl_gives) {
    enum { SMALL = sizeof small_order / sizeof *small_order };
    unsigned char scalars[BATCH][SIZE], points[BATCH][SIZE];
    for (int round = 0; round < BATCH * SMALL; round++) {
        ck_assert_int_eq(RAND_bytes(scalars[0], sizeof scalars), 1);
        ck_assert_int_eq(RAND_bytes(points[0], sizeof points), 1);
        for (int lane = round % BATCH; lane < BATCH; lane += 1 + round % 3) {
            from_hex(points[lane], small_order[(round / BATCH + lane) % SMALL]);
        }
        check_eight(scalars, points);
    }
    for (int bit = 0; bit < 256; bit++) {
        for (int lane = 0; lane < BATCH; lane++) {
            memset(scalars[lane], lane % 2 ? 0xff : 0, SIZE);
            memset(points[lane], lane / 2 % 2 ? 0xff : 0, SIZE);
            points[lane][bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        check_eight(scalars, points);
    }
}
END_TEST

/* --- ahead --- */

struct wanted {
    unsigned char scalars[BATCH][SIZE], points[BATCH][SIZE];
    struct postern_agreement keys[BATCH];
};

static void want_random(struct wanted *w) {
    ck_assert_int_eq(RAND_bytes(w->scalars[0], sizeof w->scalars), 1);
    ck_assert_int_eq(RAND_bytes(w->points[0], sizeof w->points), 1);
    for (int i = 0; i < BATCH; i++) {
        clamp(w->scalars[i]);
        w->keys[i] = (struct postern_agreement){w->scalars[i], w->points[i]};
    }
}

static bool take(struct wanted *w, int i) {
    unsigned char ours[SIZE], theirs[SIZE];
    if (!postern_x25519_take_secret(ours, w->scalars[i], w->points[i])) {
        return false;
    }
    ck_assert(openssl_x25519(theirs, w->scalars[i], w->points[i]));
    ck_assert_mem_eq(ours, theirs, SIZE);
    return true;
}

START_TEST(a_result_is_for_its_two_keys_and_is_taken_once) {
    struct wanted w;
    unsigned char out[SIZE];
    for (int count = 1; count <= BATCH; count++) {
        want_random(&w);
        postern_agreements_compute(w.keys, count);
        ck_assert(!postern_x25519_take_secret(out, w.scalars[0], w.points[1]));
        ck_assert(!postern_x25519_take_secret(out, w.points[0], w.points[0]));
        for (int i = 0; i < BATCH; i++) {
            ck_assert_int_eq(take(&w, i), i < count);
            ck_assert(!take(&w, i));
        }
    }
}
END_TEST

START_TEST(results_of_four_calls_are_kept) {
    struct wanted calls[5];
    for (int i = 0; i < 5; i++) {
        want_random(&calls[i]);
        postern_agreements_compute(calls[i].keys, BATCH);
    }
    for (int i = 0; i < BATCH; i++) {
        ck_assert(!take(&calls[0], i));
        for (int call = 1; call < 5; call++) {
            ck_assert(take(&calls[call], i));
        }
    }
}
END_TEST

/* The library makes a pair for a client. Returns whether the secret was there already; it is
 * what the client computes. */
static bool agree(WC_RNG *rng, const unsigned char *client_private, const unsigned char *client,
                  unsigned char our_public[SIZE]) {
    unsigned char ours[SIZE], theirs[SIZE];
    curve25519_key key;
    ck_assert_int_eq(wc_curve25519_init(&key), 0);
    ck_assert_int_eq(wc_curve25519_make_key(rng, SIZE, &key), 0);
    memcpy(our_public, key.p.point, SIZE);
    bool ahead = postern_x25519_take_secret(ours, key.k, client);
    if (!ahead) {
        postern_x25519(ours, key.k, client);
    }
    ck_assert(openssl_x25519(theirs, client_private, our_public));
    ck_assert_mem_eq(ours, theirs, SIZE);
    wc_curve25519_free(&key);
    return ahead;
}

/* Two clients with the same key, which only attackers have, get two pairs. */
START_TEST(a_pair_made_ahead_is_for_the_expected_client_and_given_once) {
    enum { AGREED = 4, NOT_AHEAD = 2 };
    unsigned char clients[BATCH][SIZE], scalars[BATCH][SIZE];
    unsigned char public_keys[AGREED + NOT_AHEAD][SIZE];
    struct postern_agreement keys[AGREED];
    WC_RNG rng;
    ck_assert_int_eq(wc_InitRng(&rng), 0);
    ck_assert_int_eq(RAND_bytes(scalars[0], sizeof scalars), 1);
    memcpy(scalars[1], scalars[0], SIZE);
    for (int i = 0; i < BATCH; i++) {
        clamp(scalars[i]);
    }
    postern_x25519_base(clients, (const void *)scalars);
    for (int i = 0; i < AGREED; i++) {
        keys[i] = (struct postern_agreement){NULL, clients[i]};
    }
    postern_agreements_compute(keys, AGREED);
    ck_assert(!agree(&rng, scalars[2], clients[2], public_keys[AGREED])); /* none is expected */
    for (int i = 0; i < AGREED; i++) {
        postern_agreement_expect(clients[i]);
        ck_assert(agree(&rng, scalars[i], clients[i], public_keys[i]));
    }
    ck_assert(!agree(&rng, scalars[3], clients[3], public_keys[AGREED + 1]));
    postern_agreement_expect(NULL);
    for (int i = 0; i < AGREED + NOT_AHEAD; i++) {
        for (int before = 0; before < i; before++) {
            ck_assert_mem_ne(public_keys[before], public_keys[i], SIZE);
        }
    }
    wc_FreeRng(&rng);
}
END_TEST

int main(void) {
    if ((postern_kernels_offered() & POSTERN_KERNEL_X25519) == 0) {
        puts("skipped: this processor has no AVX-512 IFMA");
        return RUN_SKIPPED;
    }
    if (postern_kernels_start() != 0) {
        puts("a self-test fails");
        return EXIT_FAILURE;
    }
    fe_init();
    Suite *suite = suite_create("x25519");
    TCase *test = tcase_create("x25519");
    tcase_add_checked_fixture(test, NULL, print_count);
    tcase_add_test(test, the_examples_of_the_rfc);
    tcase_add_test(test, the_iteration_of_the_rfc);
    tcase_add_test(test, random_inputs_give_what_openssl_gives);
    tcase_add_test(test, inputs_at_the_edges_give_what_openssl_gives);
    tcase_add_test(test, public_keys_of_random_scalars_are_openssls);
    tcase_add_test(test, public_keys_of_scalars_at_the_edges_are_openssls);
    tcase_add_test(test, pairs_are_right_and_new);
    tcase_add_test(test, eight_random_inputs_give_what_openssl_gives);
    tcase_add_test(test, eight_inputs_at_the_edges_give_what_openssl_gives);
    tcase_add_test(test, a_result_is_for_its_two_keys_and_is_taken_once);
    tcase_add_test(test, results_of_four_calls_are_kept);
    tcase_add_test(test, a_pair_made_ahead_is_for_the_expected_client_and_given_once);
    tcase_set_timeout(test, 60);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
