/* Wycheproof's cases through the library and through the kernels, one line each as
 * test_wycheproof.py writes them: algorithm, number, result ("valid", "acceptable", "invalid"),
 * then fields in hexadecimal; "-" is an empty one.
 *
 * usage: wycheproof library|kernels: with the library's own code alone, or with the kernels where
 * they are in use. Writes what is wrong, and how many cases of each kind there were. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/types.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/wc_mlkem.h>

#include <vector/kernels.h>
#if POSTERN_VECTOR_GCM
#include <vector/gcm.h>
#endif
#if POSTERN_VECTOR_X25519
#include <vector/x25519.h>
#endif

enum { FIELDS = 8, MOST = 1 << 16, TAG = 16 };

struct field {
    unsigned char *bytes;
    word32 len;
};

struct line {
    char *name, *number, *result;
    struct field fields[FIELDS];
    int count;
};

enum verdict { RIGHT, WRONG, NOT_OFFERED };

static WC_RNG rng;
static unsigned char out[MOST], tag[TAG];
static bool valid, acceptable; /* of the present line */

/* What the case says of a text or signature that was taken, or not. */
static enum verdict judge(bool taken) {
    return acceptable || taken == valid ? RIGHT : WRONG;
}

static bool same(const unsigned char *bytes, size_t len, const struct field *field) {
    return len == field->len && memcmp(bytes, field->bytes, len) == 0;
}

static enum wc_HashType hash_of(const struct field *name) {
    static const struct {
        const char *name;
        enum wc_HashType type;
    } hashes[] = {
        {"SHA-256", WC_HASH_TYPE_SHA256},
        {"SHA-384", WC_HASH_TYPE_SHA384},
        {"SHA-512", WC_HASH_TYPE_SHA512},
    };
    for (size_t i = 0; i < sizeof hashes / sizeof *hashes; i++) {
        if (same((const unsigned char *)hashes[i].name, strlen(hashes[i].name), name)) {
            return hashes[i].type;
        }
    }
    return WC_HASH_TYPE_NONE;
}

/* --- AES-GCM: key, nonce, AAD, text, ciphertext, tag --- */

static enum verdict gcm(const struct field f[FIELDS]) {
    Aes aes;
    if (wc_AesInit(&aes, NULL, INVALID_DEVID) != 0 ||
        wc_AesGcmSetKey(&aes, f[0].bytes, f[0].len) != 0) {
        return NOT_OFFERED;
    }
    bool taken = wc_AesGcmDecrypt(&aes, out, f[4].bytes, f[4].len, f[1].bytes, f[1].len, f[5].bytes,
                                  f[5].len, f[2].bytes, f[2].len) == 0;
    enum verdict verdict = judge(taken && same(out, f[4].len, &f[3]));
    if (valid && (wc_AesGcmEncrypt(&aes, out, f[3].bytes, f[3].len, f[1].bytes, f[1].len, tag, TAG,
                                   f[2].bytes, f[2].len) != 0 ||
                  !same(out, f[3].len, &f[4]) || !same(tag, TAG, &f[5]))) {
        verdict = WRONG;
    }
    wc_AesFree(&aes);
    return verdict;
}

/* The library gives the kernel long texts only, and here are short ones. */
static enum verdict gcm_kernel(const struct field f[FIELDS]) {
#if POSTERN_VECTOR_GCM
    Aes aes;
    if (!postern_kernel_is_used(POSTERN_KERNEL_GCM) || f[1].len != POSTERN_GCM_NONCE ||
        f[2].len > POSTERN_GCM_BLOCK || wc_AesInit(&aes, NULL, INVALID_DEVID) != 0 ||
        wc_AesGcmSetKey(&aes, f[0].bytes, f[0].len) != 0) {
        return NOT_OFFERED;
    }
    struct postern_gcm work = {(const unsigned char *)aes.key, (int)aes.rounds, f[1].bytes,
                               f[2].bytes, f[2].len};
    postern_gcm_decrypt(&work, f[4].bytes, out, f[4].len, tag);
    enum verdict verdict = judge(same(tag, TAG, &f[5]) && same(out, f[4].len, &f[3]));
    postern_gcm_encrypt(&work, f[3].bytes, out, f[3].len, tag);
    if (valid && (!same(out, f[3].len, &f[4]) || !same(tag, TAG, &f[5]))) {
        verdict = WRONG;
    }
    wc_AesFree(&aes);
    return verdict;
#else
    return NOT_OFFERED;
#endif
}

/* --- X25519: scalar, point, shared secret --- */

/* The library may refuse what the case calls acceptable, but it may not compute something else. */
static enum verdict x25519(const struct field f[FIELDS]) {
    curve25519_key ours, theirs;
    word32 len = CURVE25519_KEYSIZE;
    wc_curve25519_init(&ours);
    wc_curve25519_init(&theirs);
#ifdef WOLFSSL_CURVE25519_BLINDING /* of the C code alone */
    wc_curve25519_set_rng(&ours, &rng);
#endif
    bool taken =
        wc_curve25519_import_private_ex(f[0].bytes, f[0].len, &ours, EC25519_LITTLE_ENDIAN) == 0 &&
        wc_curve25519_import_public_ex(f[1].bytes, f[1].len, &theirs, EC25519_LITTLE_ENDIAN) == 0 &&
        wc_curve25519_shared_secret_ex(&ours, &theirs, out, &len, EC25519_LITTLE_ENDIAN) == 0;
    wc_curve25519_free(&ours);
    wc_curve25519_free(&theirs);
    return taken && !same(out, len, &f[2]) ? WRONG : judge(taken);
}

static enum verdict x25519_kernel(const struct field f[FIELDS]) {
#if POSTERN_VECTOR_X25519
    unsigned char scalar[POSTERN_X25519_BYTES];
    if (!postern_kernel_is_used(POSTERN_KERNEL_X25519) || f[0].len != sizeof scalar ||
        f[1].len != sizeof scalar) {
        return NOT_OFFERED;
    }
    memcpy(scalar, f[0].bytes, sizeof scalar);
    scalar[0] &= 248;
    scalar[31] = (unsigned char)((scalar[31] & 127) | 64);
    postern_x25519(out, scalar, f[1].bytes);
    return same(out, sizeof scalar, &f[2]) ? RIGHT : WRONG;
#else
    return NOT_OFFERED;
#endif
}

/* --- ML-KEM-768: public key, random bytes, ciphertext, shared secret --- */

static enum verdict mlkem(const struct field f[FIELDS]) {
    unsigned char secret[WC_ML_KEM_SS_SZ];
    MlKemKey key;
    if (wc_MlKemKey_Init(&key, WC_ML_KEM_768, NULL, INVALID_DEVID) != 0) {
        return NOT_OFFERED;
    }
    bool taken =
        wc_MlKemKey_DecodePublicKey(&key, f[0].bytes, f[0].len) == 0 &&
        wc_MlKemKey_EncapsulateWithRandom(&key, out, secret, f[1].bytes, (int)f[1].len) == 0;
    wc_MlKemKey_Free(&key);
    bool right =
        same(out, WC_ML_KEM_768_CIPHER_TEXT_SIZE, &f[2]) && same(secret, sizeof secret, &f[3]);
    return taken && !right ? WRONG : judge(taken);
}

/* --- RSA: hash, key, message, signature --- */

/* The length of the digest, 0 on failure. */
static word32 digest_of(unsigned char digest[WC_MAX_DIGEST_SIZE], enum wc_HashType hash,
                        const struct field *message) {
    int size = wc_HashGetDigestSize(hash);
    if (size <= 0 || wc_Hash(hash, message->bytes, message->len, digest, (word32)size) != 0) {
        return 0;
    }
    return (word32)size;
}

static enum verdict pkcs1(const struct field f[FIELDS]) {
    unsigned char digest[WC_MAX_DIGEST_SIZE], info[MAX_DER_DIGEST_SZ];
    enum wc_HashType hash = hash_of(&f[0]);
    RsaKey key;
    word32 at = 0;
    if (hash == WC_HASH_TYPE_NONE) {
        return NOT_OFFERED;
    }
    word32 size = digest_of(digest, hash, &f[2]);
    word32 len = wc_EncodeSignature(info, digest, size, wc_HashGetOID(hash));
    if (size == 0 || len == 0 || wc_InitRsaKey(&key, NULL) != 0 ||
        wc_RsaPrivateKeyDecode(f[1].bytes, &at, &key, f[1].len) != 0) {
        return WRONG;
    }
    int made = wc_RsaSSL_Sign(info, len, out, sizeof out, &key, &rng);
    wc_FreeRsaKey(&key);
    return made > 0 && same(out, (size_t)made, &f[3]) ? RIGHT : WRONG;
}

static enum verdict pss(const struct field f[FIELDS]) {
    unsigned char digest[WC_MAX_DIGEST_SIZE];
    enum wc_HashType hash = hash_of(&f[0]);
    RsaKey key;
    word32 at = 0;
    word32 size = digest_of(digest, hash, &f[2]);
    if (size == 0 || wc_InitRsaKey(&key, NULL) != 0 ||
        wc_RsaPublicKeyDecode(f[1].bytes, &at, &key, f[1].len) != 0) {
        return WRONG;
    }
    int result = wc_RsaPSS_VerifyCheck(f[3].bytes, f[3].len, out, sizeof out, digest, size, hash,
                                       WC_MGF1SHA256, &key);
    wc_FreeRsaKey(&key);
    return judge(result > 0);
}

/* --- ECDSA: hash, key, message, signature --- */

static enum verdict ecdsa(const struct field f[FIELDS]) {
    unsigned char digest[WC_MAX_DIGEST_SIZE];
    enum wc_HashType hash = hash_of(&f[0]);
    ecc_key key;
    word32 at = 0;
    int good = 0;
    word32 size = digest_of(digest, hash, &f[2]);
    if (size == 0 || wc_ecc_init(&key) != 0 ||
        wc_EccPublicKeyDecode(f[1].bytes, &at, &key, f[1].len) != 0) {
        return WRONG;
    }
    bool taken =
        wc_ecc_verify_hash(f[3].bytes, f[3].len, digest, size, &good, &key) == 0 && good == 1;
    wc_ecc_free(&key);
    return judge(taken);
}

/* --- lines --- */

static struct kind {
    const char *name;
    int fields;
    enum verdict (*check)(const struct field fields[FIELDS]);
    enum verdict (*check_kernel)(const struct field fields[FIELDS]); /* apart from the library */
    int verdicts[3], kernel_verdicts[3];
} kinds[] = {
    {.name = "gcm", .fields = 6, .check = gcm, .check_kernel = gcm_kernel},
    {.name = "x25519", .fields = 3, .check = x25519, .check_kernel = x25519_kernel},
    {.name = "mlkem", .fields = 4, .check = mlkem},
    {.name = "pkcs1", .fields = 4, .check = pkcs1},
    {.name = "pss", .fields = 4, .check = pss},
    {.name = "ecdsa", .fields = 4, .check = ecdsa},
};

/* In place. */
static bool decode(struct field *field, char *hex) {
    size_t digits = strcmp(hex, "-") == 0 ? 0 : strlen(hex);
    field->bytes = (unsigned char *)hex;
    field->len = (word32)(digits / 2);
    for (size_t i = 0; i < digits / 2; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;
        field->bytes[i] = (unsigned char)strtoul(pair, &end, 16);
        if (*end != '\0') {
            return false;
        }
    }
    return digits % 2 == 0 && field->len <= MOST;
}

static bool parse(struct line *line, char *text) {
    char *rest = NULL;
    line->name = strtok_r(text, " \n", &rest);
    line->number = strtok_r(NULL, " \n", &rest);
    line->result = strtok_r(NULL, " \n", &rest);
    line->count = 0;
    for (char *hex; (hex = strtok_r(NULL, " \n", &rest)) != NULL; line->count++) {
        if (line->count == FIELDS || !decode(&line->fields[line->count], hex)) {
            return false;
        }
    }
    return line->result != NULL;
}

static void count(int verdicts[3], enum verdict verdict, const struct line *line, const char *by) {
    verdicts[verdict]++;
    if (verdict == WRONG) {
        printf("%s %s, which is %s: wrong by %s\n", line->name, line->number, line->result, by);
    }
}

static bool check_line(const struct line *line) {
    valid = strcmp(line->result, "valid") == 0;
    acceptable = strcmp(line->result, "acceptable") == 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, line->name) == 0 && kinds[i].fields == line->count) {
            count(kinds[i].verdicts, kinds[i].check(line->fields), line, "the library");
            if (kinds[i].check_kernel != NULL) {
                count(kinds[i].kernel_verdicts, kinds[i].check_kernel(line->fields), line,
                      "the kernel alone");
            }
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv) {
    char *text = NULL;
    size_t size = 0;
    struct line line;
    int wrong = 0;
    if (argc == 2 && strcmp(argv[1], "kernels") == 0 && postern_kernels_start() != 0) {
        puts("a self-test fails");
        return EXIT_FAILURE;
    }
    if (wc_InitRng(&rng) != 0) {
        return EXIT_FAILURE;
    }
    while (getline(&text, &size, stdin) > 0) {
        if (!parse(&line, text) || !check_line(&line)) {
            puts("a line that is not understood");
            return EXIT_FAILURE;
        }
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct kind *k = &kinds[i];
        printf("%s: library %d right, %d wrong, %d not offered; kernel alone %d right, %d wrong\n",
               k->name, k->verdicts[RIGHT], k->verdicts[WRONG], k->verdicts[NOT_OFFERED],
               k->kernel_verdicts[RIGHT], k->kernel_verdicts[WRONG]);
        wrong += k->verdicts[WRONG] + k->kernel_verdicts[WRONG];
    }
    if (postern_kernel_is_used(POSTERN_KERNEL_X25519)) {
        puts("x25519 kernel in use");
    }
    free(text);
    return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
