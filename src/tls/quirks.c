#include "tls/quirks.h"

#include <string.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>
#include <wolfssl/wolfcrypt/curve25519.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/random.h>
#ifdef WOLFSSL_HAVE_MLKEM
#include <wolfssl/wolfcrypt/wc_mlkem.h>
#endif
#ifdef POSTERN_OWN_WOLFSSL
#include <postern_alert.h>
#include <postern_key.h>
#include <postern_pause.h>
#include <postern_relay.h>
#endif

/* --- start --- */

/* Any bytes below the modulus are a public key; twelve bits each. */
static int use_mlkem(WC_RNG *rng) {
#ifdef WOLFSSL_HAVE_MLKEM
    uint8_t public[WC_ML_KEM_768_PUBLIC_KEY_SIZE] = {0}, cipher[WC_ML_KEM_768_CIPHER_TEXT_SIZE],
            secret[WC_ML_KEM_SS_SZ];
    MlKemKey key;
    if (wc_MlKemKey_Init(&key, WC_ML_KEM_768, NULL, INVALID_DEVID) != 0) {
        return -1;
    }
    int bad = wc_MlKemKey_DecodePublicKey(&key, public, sizeof public) |
              wc_MlKemKey_Encapsulate(&key, cipher, secret, rng);
    wc_MlKemKey_Free(&key);
    return bad;
#else
    (void)rng;
    return 0;
#endif
}

int quirks_use_every_algorithm(void) {
    uint8_t key[32] = {1}, text[64] = {0}, tag[16], digest[64];
    Aes aes;
    WC_RNG rng;
    ecc_key ecc;
    curve25519_key x25519;
    int bad = wc_AesInit(&aes, NULL, INVALID_DEVID) | wc_AesGcmSetKey(&aes, key, sizeof key) |
              wc_AesGcmEncrypt(&aes, text, text, sizeof text, key, 12, tag, sizeof tag, key, 13);
    wc_AesFree(&aes);
    bad |= wc_ChaCha20Poly1305_Encrypt(key, key, key, 13, text, sizeof text, text, tag);
    bad |= wc_Hash(WC_HASH_TYPE_SHA256, text, sizeof text, digest, 32);
    bad |= wc_Hash(WC_HASH_TYPE_SHA384, text, sizeof text, digest, 48);
    if (bad || wc_InitRng(&rng) != 0) {
        return -1;
    }
    if (wc_ecc_init(&ecc) == 0) {
        bad |= wc_ecc_make_key(&rng, 32, &ecc);
        wc_ecc_free(&ecc);
    }
    if (wc_curve25519_init(&x25519) == 0) {
        bad |= wc_curve25519_make_key(&rng, CURVE25519_KEYSIZE, &x25519);
        wc_curve25519_free(&x25519);
    }
    bad |= use_mlkem(&rng);
    wc_FreeRng(&rng);
    return bad ? -1 : 0;
}

bool quirks_warm_up(WOLFSSL_CTX *ctx) {
    WOLFSSL *ssl = wolfSSL_new(ctx);
    wolfSSL_free(ssl);
    return ssl != NULL;
}

/* --- pauses --- */

void quirks_set_pause(void (*may_pause)(void *arg), void *arg) {
#ifdef POSTERN_OWN_WOLFSSL
    postern_pause = (struct postern_pause){.call = may_pause, .arg = arg};
#else
    (void)may_pause;
    (void)arg;
#endif
}

void quirks_may_pause(void) {
#ifdef POSTERN_OWN_WOLFSSL
    postern_may_pause();
#endif
}

/* --- keys --- */

size_t quirks_key_size(const WOLFSSL_CTX *ctx) {
#ifdef POSTERN_OWN_WOLFSSL
    return postern_key_size(ctx);
#else
    (void)ctx;
    return 0;
#endif
}

void quirks_move_key(WOLFSSL_CTX *ctx, uint8_t *to) {
#ifdef POSTERN_OWN_WOLFSSL
    postern_key_move(ctx, to);
#else
    (void)ctx;
    (void)to;
#endif
}

void quirks_forget_key(WOLFSSL_CTX *ctx) {
#ifdef POSTERN_OWN_WOLFSSL
    postern_key_forget(ctx);
#else
    (void)ctx;
#endif
}

enum { RECORD_HEADER = 5, RECORD_CHANGE_CIPHER_SPEC = 20, RECORD_HANDSHAKE = 22 };

/* --- alerts --- */

bool quirks_send_alert(WOLFSSL *ssl, uint8_t description) {
#ifdef POSTERN_OWN_WOLFSSL
    return postern_alert(ssl, description) == 0;
#else
    (void)ssl;
    (void)description;
    return false;
#endif
}

void quirks_note_flight(struct flight_start *start, const uint8_t *in, size_t len) {
    if (start->answered) {
        *start = (struct flight_start){0};
    }
    size_t room = sizeof start->bytes - start->len, n = len < room ? len : room;
    if (n > 0) {
        memcpy(start->bytes + start->len, in, n);
        start->len = (uint8_t)(start->len + n);
    }
}

bool quirks_is_plaintext_alert(const struct flight_start *start, uint8_t *description) {
    static const uint8_t ccs[] = {20, 3, 3, 0, 1, 1}, type[] = {21, 3}, length[] = {0, 2};
    const uint8_t *in = start->bytes;
    size_t len = start->len;
    if (len >= sizeof ccs && memcmp(in, ccs, sizeof ccs) == 0) {
        in += sizeof ccs;
        len -= sizeof ccs;
    }
    if (len < RECORD_HEADER || memcmp(in, type, sizeof type) != 0 ||
        memcmp(in + 3, length, sizeof length) != 0 || (len > 5 && in[5] != ALERT_FATAL)) {
        return false;
    }
    *description = len > 6 ? in[6] : 0;
    return true;
}

bool quirks_append_alert(struct buf *out, uint8_t description) {
    uint8_t record[ALERT_RECORD_SIZE];
    alert_write(record, description);
    return buf_append(out, record, sizeof record, SIZE_MAX);
}

/* --- records --- */

static bool append_cut(struct buf *out, const uint8_t *record, size_t body, size_t record_size) {
    for (size_t at = 0; at < body;) {
        size_t n = body - at < record_size ? body - at : record_size;
        uint8_t header[RECORD_HEADER] = {record[0], record[1], record[2], (uint8_t)(n >> 8),
                                         (uint8_t)n};
        if (!buf_append(out, header, sizeof header, SIZE_MAX) ||
            !buf_append(out, record + RECORD_HEADER + at, n, SIZE_MAX)) {
            return false;
        }
        at += n;
    }
    return true;
}

/* In TLS 1.3 ChangeCipherSpec follows the ServerHello, so there only that is ever cut. */
bool quirks_append_flight(struct buf *out, const uint8_t *buf, size_t len, size_t record_size,
                          bool *plaintext) {
    while (*plaintext && len >= RECORD_HEADER) {
        size_t body = (size_t)buf[3] << 8 | buf[4];
        if (body > len - RECORD_HEADER) {
            break;
        }
        *plaintext = buf[0] != RECORD_CHANGE_CIPHER_SPEC;
        bool appended = buf[0] == RECORD_HANDSHAKE
                            ? append_cut(out, buf, body, record_size)
                            : buf_append(out, buf, RECORD_HEADER + body, SIZE_MAX);
        if (!appended) {
            return false;
        }
        buf += RECORD_HEADER + body;
        len -= RECORD_HEADER + body;
    }
    return buf_append(out, buf, len, SIZE_MAX);
}

/* --- established connections --- */

#ifdef POSTERN_OWN_WOLFSSL
void quirks_end_handshake(WOLFSSL *ssl) {
    postern_relay_begin(ssl);
}

void quirks_lend_output(WOLFSSL *ssl, struct buf *out, size_t size) {
    if (buf_reserve(out, size, INT32_MAX)) {
        postern_relay_lend(ssl, out->data + out->len, (unsigned)(out->cap - out->len));
    }
}

bool quirks_keep_output(WOLFSSL *ssl, struct buf *out, const uint8_t *record, size_t len) {
    if (out->data == NULL || record != out->data + out->len || len > out->cap - out->len) {
        return false;
    }
    out->len += len;
    postern_relay_sent(ssl, (unsigned)len);
    return true;
}

void quirks_return_output(WOLFSSL *ssl) {
    postern_relay_return(ssl);
}

bool quirks_lend_record(WOLFSSL *ssl, uint8_t *record, size_t len) {
    return postern_relay_lend_record(ssl, record, (unsigned)len) != 0;
}

uint8_t *quirks_own_input(WOLFSSL *ssl, uint8_t *buf) {
    return postern_relay_own_input(ssl, buf);
}

void quirks_take_input_back(WOLFSSL *ssl) {
    postern_relay_take_back(ssl);
}
#else
void quirks_end_handshake(WOLFSSL *ssl) {
    (void)ssl;
}

void quirks_lend_output(WOLFSSL *ssl, struct buf *out, size_t size) {
    (void)ssl;
    (void)out;
    (void)size;
}

bool quirks_keep_output(WOLFSSL *ssl, struct buf *out, const uint8_t *record, size_t len) {
    (void)ssl;
    (void)out;
    (void)record;
    (void)len;
    return false;
}

void quirks_return_output(WOLFSSL *ssl) {
    (void)ssl;
}

bool quirks_lend_record(WOLFSSL *ssl, uint8_t *record, size_t len) {
    (void)ssl;
    (void)record;
    (void)len;
    return false;
}

uint8_t *quirks_own_input(WOLFSSL *ssl, uint8_t *buf) {
    (void)ssl;
    return buf;
}

void quirks_take_input_back(WOLFSSL *ssl) {
    (void)ssl;
}
#endif

/* --- sessions --- */

void quirks_require_key_exchange(WOLFSSL_CTX *ctx) {
#ifdef POSTERN_OWN_WOLFSSL
    (void)wolfSSL_CTX_only_dhe_psk(ctx);
#else
    (void)ctx;
#endif
}

const uint8_t *quirks_session_id(const uint8_t *session, size_t len) {
    enum { LENGTH_AT = 9, ID_AT = 10 };
    bool usable =
        len > ID_AT + QUIRKS_SESSION_ID_SIZE && session[LENGTH_AT] == QUIRKS_SESSION_ID_SIZE;
    return usable ? session + ID_AT : NULL;
}
