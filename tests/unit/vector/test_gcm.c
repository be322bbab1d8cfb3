/* AES-GCM against OpenSSL, for every length that ends at another place of a block group: by the
 * kernel, and by the library with its own code and then with the kernel. */
#include "run.h"

#include <wolfssl/wolfcrypt/types.h>

#include <wolfssl/wolfcrypt/aes.h>

#include <check.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector/gcm.h>
#include <vector/kernels.h>

enum { TAG = 16, NONCE = 12, MOST = 40000 };

static unsigned char text[MOST], ours[MOST + 1], theirs[MOST];
static unsigned char key[32], nonce[NONCE], aad[64], our_tag[TAG], their_tag[TAG];
static Aes aes;
static int compared;

static void make_key(int size) {
    ck_assert_int_eq(RAND_bytes(key, sizeof key), 1);
    ck_assert_int_eq(wc_AesInit(&aes, NULL, INVALID_DEVID), 0);
    ck_assert_int_eq(wc_AesGcmSetKey(&aes, key, (word32)size), 0);
}

static void make_texts(size_t len) {
    ck_assert_int_eq(RAND_bytes(text, (int)len + 1), 1);
    ck_assert_int_eq(RAND_bytes(nonce, sizeof nonce), 1);
    ck_assert_int_eq(RAND_bytes(aad, sizeof aad), 1);
}

static void openssl_encrypt(int size, int len, int aad_len) {
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *cipher = size == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
    int done;
    ck_assert_int_eq(EVP_EncryptInit_ex(ctx, cipher, NULL, key, nonce), 1);
    ck_assert_int_eq(EVP_EncryptUpdate(ctx, NULL, &done, aad, aad_len), 1);
    ck_assert_int_eq(EVP_EncryptUpdate(ctx, theirs, &done, text, len), 1);
    ck_assert_int_eq(EVP_EncryptFinal_ex(ctx, theirs + len, &done), 1);
    ck_assert_int_eq(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, their_tag), 1);
    EVP_CIPHER_CTX_free(ctx);
}

static int decrypt_in_place(size_t len, size_t aad_len) {
    return wc_AesGcmDecrypt(&aes, ours, ours, (word32)len, nonce, NONCE, our_tag, TAG, aad,
                            (word32)aad_len);
}

/* Not through the library, which might take another code path. */
static void check_our_own(int size, size_t len, size_t aad_len) {
    struct postern_gcm gcm = {(const unsigned char *)aes.key, size == 16 ? 10 : 14, nonce, aad,
                              aad_len};
    if (aad_len > POSTERN_GCM_BLOCK) {
        return;
    }
    postern_gcm_encrypt(&gcm, text, ours, len, our_tag);
    ck_assert_mem_eq(our_tag, their_tag, TAG);
    ck_assert_mem_eq(ours, theirs, len);
    postern_gcm_decrypt(&gcm, ours, ours, len, our_tag);
    ck_assert_mem_eq(our_tag, their_tag, TAG);
    ck_assert_mem_eq(ours, text, len);
}

/* Encrypts, compares, and decrypts in place; the byte after the text must stay as it is. */
static void check_one(int size, size_t len, size_t aad_len) {
    make_texts(len);
    openssl_encrypt(size, (int)len, (int)aad_len);
    check_our_own(size, len, aad_len);
    compared++;
    ours[len] = 0xa5;
    ck_assert_int_eq(wc_AesGcmEncrypt(&aes, ours, text, (word32)len, nonce, NONCE, our_tag, TAG,
                                      aad, (word32)aad_len),
                     0);
    ck_assert_mem_eq(our_tag, their_tag, TAG);
    ck_assert_mem_eq(ours, theirs, len);
    ck_assert_uint_eq(ours[len], 0xa5);
    ck_assert_int_eq(decrypt_in_place(len, aad_len), 0);
    ck_assert_mem_eq(ours, text, len);
    ck_assert_uint_eq(ours[len], 0xa5);
}

START_TEST(every_length_up_to_some_groups_is_right) {
    make_key(16);
    for (size_t len = 1; len < POSTERN_GCM_WORTHWHILE + 1100; len++) {
        check_one(16, len, 13);
    }
}
END_TEST

START_TEST(records_of_both_key_sizes_and_versions_are_right) {
    static const size_t lengths[] = {1, 16, 768, 1024, 4096, 16384, 16385, 16640, 32768, 39999};
    for (int size = 16; size <= 32; size += 16) {
        make_key(size);
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            for (size_t aad_len = 1; aad_len <= 20;
                 aad_len++) { /* more than a block goes upstream */
                check_one(size, lengths[i], aad_len);
            }
        }
    }
}
END_TEST

/* With more than 256 blocks the counter carries from its last byte. */
START_TEST(texts_of_all_ones_and_zeros_are_right) {
    make_key(16);
    for (int i = 0; i < 2; i++) {
        make_texts(16384);
        memset(text, i ? 0xff : 0, 16384);
        memset(nonce, 0xff, sizeof nonce);
        openssl_encrypt(16, 16384, 5);
        ck_assert_int_eq(
            wc_AesGcmEncrypt(&aes, ours, text, 16384, nonce, NONCE, our_tag, TAG, aad, 5), 0);
        ck_assert_mem_eq(our_tag, their_tag, TAG);
        ck_assert_mem_eq(ours, theirs, 16384);
    }
}
END_TEST

START_TEST(a_changed_bit_anywhere_is_found) {
    size_t len = 2000;
    make_key(16);
    for (int i = 0; i < 300; i++) {
        check_one(16, len, 13);
        memcpy(ours, theirs, len);
        size_t bit = (size_t)rand() % (8 * len);
        if (i % 3 == 0) {
            ours[bit / 8] ^= (unsigned char)(1 << bit % 8);
        } else if (i % 3 == 1) {
            our_tag[bit / 8 % TAG] ^= (unsigned char)(1 << bit % 8);
        } else {
            aad[bit % 13] ^= (unsigned char)(1 << bit % 8);
        }
        ck_assert_int_ne(decrypt_in_place(len, 13), 0);
    }
}
END_TEST

static void print_count(void) {
    if (compared == 0) {
        return;
    }
    printf("%d texts compared with OpenSSL's, by the kernel and by the library with %s\n", compared,
           postern_kernel_is_used(POSTERN_KERNEL_GCM) ? "the kernel" : "its own code");
    fflush(stdout);
}

static int run_all(void) {
    Suite *suite = suite_create("gcm");
    TCase *test = tcase_create("gcm");
    tcase_add_checked_fixture(test, NULL, print_count);
    tcase_add_test(test, every_length_up_to_some_groups_is_right);
    tcase_add_test(test, records_of_both_key_sizes_and_versions_are_right);
    tcase_add_test(test, texts_of_all_ones_and_zeros_are_right);
    tcase_add_test(test, a_changed_bit_anywhere_is_found);
    tcase_set_timeout(test, 60);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}

int main(void) {
    if ((postern_kernels_offered() & POSTERN_KERNEL_GCM) == 0) {
        puts("skipped: this processor has no AVX-512 with VAES");
        return RUN_SKIPPED;
    }
    int result = run_all();
    if (postern_kernels_start() != 0) {
        puts("a self-test fails");
        return EXIT_FAILURE;
    }
    return result == EXIT_SUCCESS ? run_all() : result;
}
