/* Nonces of ECDSA signatures. Two signatures of different messages with one nonce give the private
 * key away, so no nonce may repeat, even in copies of the process's memory and when the kernel
 * gives the same random bytes again, as after a virtual machine's snapshot was started twice. */
#include "run.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/settings.h>

enum { R_MAX = 48 };

static const struct {
    int curve;
    int size;
} curves[] = {{ECC_SECP256R1, 32}, {ECC_SECP384R1, 48}};

static bool kernel_repeats;

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);

ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags) {
    if (!kernel_repeats) {
        return __real_getrandom(out, len, flags);
    }
    memset(out, 0x5a, len);
    return (ssize_t)len;
}

static WC_RNG rng;
static ecc_key key;

static void setup(void) {
    ck_assert_int_eq(wc_InitRng(&rng), 0);
    kernel_repeats = false;
}

static void teardown(void) {
    wc_ecc_free(&key);
    wc_FreeRng(&rng);
}

static void make_key(int i) {
    ck_assert_int_eq(wc_ecc_init(&key), 0);
    ck_assert_int_eq(wc_ecc_make_key_ex(&rng, curves[i].size, &key, curves[i].curve), 0);
}

/* Signs a hash whose bytes are all `message`; `r` is what the nonce made. */
static void sign(unsigned char message, unsigned char r[R_MAX]) {
    unsigned char hash[32], signature[160], s[R_MAX];
    word32 size = sizeof signature, r_size = R_MAX, s_size = R_MAX;
    int valid = 0;
    memset(hash, message, sizeof hash);
    ck_assert_int_eq(wc_ecc_sign_hash(hash, sizeof hash, signature, &size, &rng, &key), 0);
    ck_assert_int_eq(wc_ecc_verify_hash(signature, size, hash, sizeof hash, &valid, &key), 0);
    ck_assert_int_eq(valid, 1);
    memset(r, 0, R_MAX);
    ck_assert_int_eq(wc_ecc_sig_to_rs(signature, size, r, &r_size, s, &s_size), 0);
}

/* What a copy of this process's memory signs. */
static void sign_in_a_copy(unsigned char message, unsigned char r[R_MAX]) {
    int ends[2], status;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        sign(message, r);
        _exit(write(ends[1], r, R_MAX) == R_MAX ? 0 : 1);
    }
    close(ends[1]);
    ck_assert_int_eq(read(ends[0], r, R_MAX), R_MAX);
    close(ends[0]);
    ck_assert(waitpid(child, &status, 0) == child && status == 0);
}

START_TEST(copies_of_the_memory_never_share_a_nonce) {
    unsigned char first[R_MAX], second[R_MAX];
    make_key(_i);
    sign(1, first); /* the thread has random bytes in stock now */
    sign_in_a_copy(2, first);
    sign_in_a_copy(3, second);
    ck_assert_mem_ne(first, second, R_MAX);
}
END_TEST

START_TEST(different_messages_have_different_nonces_whatever_the_kernel_gives) {
    unsigned char first[R_MAX], second[R_MAX];
    make_key(_i);
    kernel_repeats = true;
    sign_in_a_copy(2, first);
    sign_in_a_copy(3, second);
    ck_assert_mem_ne(first, second, R_MAX);
}
END_TEST

START_TEST(different_keys_have_different_nonces_whatever_the_kernel_gives) {
    unsigned char first[R_MAX], second[R_MAX];
    make_key(_i);
    kernel_repeats = true;
    sign_in_a_copy(2, first);
    kernel_repeats = false;
    wc_ecc_free(&key);
    make_key(_i);
    kernel_repeats = true;
    sign_in_a_copy(2, second);
    ck_assert_mem_ne(first, second, R_MAX);
}
END_TEST

/* So that a fault in one of two signatures of a message does not reveal the key. */
START_TEST(the_same_message_has_a_new_nonce_each_time) {
    unsigned char first[R_MAX], second[R_MAX];
    make_key(_i);
    sign(2, first);
    sign(2, second);
    ck_assert_mem_ne(first, second, R_MAX);
}
END_TEST

int main(void) {
    const int curve_count = sizeof curves / sizeof *curves;
    Suite *suite = suite_create("nonces");
    TCase *test = tcase_create("nonces");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_add_loop_test(test, copies_of_the_memory_never_share_a_nonce, 0, curve_count);
    tcase_add_loop_test(test, different_messages_have_different_nonces_whatever_the_kernel_gives, 0,
                        curve_count);
    tcase_add_loop_test(test, different_keys_have_different_nonces_whatever_the_kernel_gives, 0,
                        curve_count);
    tcase_add_loop_test(test, the_same_message_has_a_new_nonce_each_time, 0, curve_count);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
