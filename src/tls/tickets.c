#include "tls/tickets.h"
#include "core/hex.h"
#include "core/log.h"
#include "core/secret.h"
#include "tls/client.h"
#include "tls/internal.h"
#include "tls/pem.h"
#include "tls/psk.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/hmac.h>

/* The library's own default, which is not visible in the headers of distribution builds. */
#ifndef WOLFSSL_TICKET_EXTRA_PADDING_SZ
#define WOLFSSL_TICKET_EXTRA_PADDING_SZ 32
#endif

enum {
    KEY_SIZE = 32,
    NAME_SIZE = WOLFSSL_TICKET_NAME_SZ,
    KEYS_MAX = 16, /* of a ticket_keys file */
    TAG_SIZE = 16,
    /* After the library's part of a ticket: our data, then two bytes with its length. */
    TRAILER_LENGTH = 2,
    EXPIRY_SIZE = 4,
    TRAILER_HEAD = 2 * EXPIRY_SIZE + 1
};

struct ticket_key {
    uint8_t name[NAME_SIZE];
    uint8_t secret[KEY_SIZE];
    int64_t made; /* monotonic seconds; own keys only */
};

struct tls_ticket_keys {
    struct ticket_key keys[KEYS_MAX];
    size_t count;
};

struct tls_tickets {
    pthread_mutex_t lock;
    bool shared;                      /* keys come from a file: no rotation of ours */
    struct ticket_key keys[KEYS_MAX]; /* the first encrypts */
    size_t count;
};

static int64_t monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static bool random_bytes(void *out, size_t len) {
    return getrandom(out, len, 0) == (ssize_t)len;
}

static bool hmac(const uint8_t key[KEY_SIZE], const char *label, const uint8_t *data, size_t len,
                 uint8_t out[32]) {
    Hmac h;
    if (wc_HmacInit(&h, NULL, INVALID_DEVID) != 0) {
        return false;
    }
    bool done = wc_HmacSetKey(&h, WC_SHA256, key, KEY_SIZE) == 0 &&
                wc_HmacUpdate(&h, (const byte *)label, (word32)strlen(label)) == 0 &&
                wc_HmacUpdate(&h, data, (word32)len) == 0 && wc_HmacFinal(&h, out) == 0;
    wc_HmacFree(&h);
    return done;
}

/* The name reveals nothing about the key and is never zero (the library refuses that). */
static bool name_key(struct ticket_key *key) {
    uint8_t digest[32];
    if (!hmac(key->secret, "postern ticket key name", NULL, 0, digest)) {
        return false;
    }
    memcpy(key->name, digest, NAME_SIZE);
    return true;
}

static bool make_key(struct ticket_key *key) {
    key->made = monotonic_seconds();
    return random_bytes(key->secret, KEY_SIZE) && name_key(key);
}

struct tls_tickets *tls_tickets_new(struct error *err) {
    bool locked; /* where not, private keys are not either, which is logged (key_unlocked) */
    struct tls_tickets *tickets = secret_new(sizeof *tickets, &locked);
    if (tickets == NULL || pthread_mutex_init(&tickets->lock, NULL) != 0 ||
        !make_key(&tickets->keys[0])) {
        secret_free(tickets, sizeof *tickets);
        error_set(err, "session tickets: no memory or no randomness");
        return NULL;
    }
    tickets->count = 1;
    return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets) {
    if (tickets == NULL) {
        return;
    }
    pthread_mutex_destroy(&tickets->lock);
    secret_free(tickets, sizeof *tickets);
}

/* With the lock held: puts a fresh key in front when the first is older than a lifetime, and drops
 * keys that have not encrypted for a lifetime. */
static void rotate(struct tls_tickets *tickets) {
    int64_t now = monotonic_seconds();
    struct ticket_key fresh;
    while (tickets->count > 1 &&
           now - tickets->keys[tickets->count - 2].made > TLS_RESUME_SECONDS) {
        size_t last = --tickets->count;
        assert(last < KEYS_MAX);
        explicit_bzero(&tickets->keys[last], sizeof tickets->keys[last]);
    }
    if (now - tickets->keys[0].made <= TLS_RESUME_SECONDS || !make_key(&fresh)) {
        return;
    }
    if (tickets->count == KEYS_MAX) {
        tickets->count--;
    }
    memmove(&tickets->keys[1], &tickets->keys[0], tickets->count * sizeof *tickets->keys);
    tickets->keys[0] = fresh;
    tickets->count++;
    explicit_bzero(&fresh, sizeof fresh);
}

/* The key that encrypts, or the one with that name. */
static bool get_key(struct tls_tickets *tickets, const uint8_t *name, struct ticket_key *key,
                    bool *old) {
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    if (!tickets->shared) {
        rotate(tickets);
    }
    for (size_t i = 0; i < tickets->count && !found; i++) {
        found = name == NULL || memcmp(tickets->keys[i].name, name, NAME_SIZE) == 0;
        if (found) {
            *key = tickets->keys[i];
            *old = i > 0;
        }
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool read_key_line(struct tls_ticket_keys *keys, const char *line, size_t len) {
    struct ticket_key *key = &keys->keys[keys->count];
    if (len != 2 * KEY_SIZE || !hex_read(line, key->secret, KEY_SIZE)) {
        return false;
    }
    keys->count++;
    return name_key(key);
}

static int read_lines(struct tls_ticket_keys *keys, const struct buf *text, const char *file,
                      struct error *err) {
    const char *at = (const char *)text->data, *end = at + text->len;
    for (unsigned number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        size_t len = (size_t)(stop - at);
        while (len > 0 && (at[len - 1] == '\r' || at[len - 1] == ' ')) {
            len--;
        }
        if (len > 0 && keys->count == KEYS_MAX) {
            return error_set(err, "%s:%u: more than %d keys", file, number, KEYS_MAX);
        }
        if (len > 0 && !read_key_line(keys, at, len)) {
            return error_set(err,
                             "%s:%u: not a key; each line is 64 hexadecimal digits "
                             "(openssl rand -hex 32)",
                             file, number);
        }
        at = newline != NULL ? newline + 1 : end;
    }
    if (keys->count == 0) {
        return error_set(err,
                         "%s: holds no key; each line is 64 hexadecimal digits "
                         "(openssl rand -hex 32)",
                         file);
    }
    return 0;
}

struct tls_ticket_keys *tls_ticket_keys_read(const char *file, struct error *err) {
    struct tls_ticket_keys *keys = calloc(1, sizeof *keys);
    struct buf text = {0};
    bool world_readable;
    if (keys == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    int result = file_read(&text, file, &world_readable, err);
    if (result == 0) {
        result = read_lines(keys, &text, file, err);
    }
    file_wipe(&text);
    if (result != 0) {
        tls_ticket_keys_free(keys);
        return NULL;
    }
    if (world_readable) {
        log_message(LOG_LEVEL_WARNING, "key readable",
                    "%s: everyone can read these ticket keys; chmod 0640 or 0600", file);
    }
    return keys;
}

void tls_ticket_keys_free(struct tls_ticket_keys *keys) {
    if (keys != NULL) {
        explicit_bzero(keys, sizeof *keys);
    }
    free(keys);
}

void tls_tickets_use(struct tls_tickets *tickets, struct tls_ticket_keys *keys) {
    struct ticket_key own;
    assert(tickets != NULL);
    bool have_own = keys == NULL && make_key(&own);
    pthread_mutex_lock(&tickets->lock);
    if (keys != NULL) {
        explicit_bzero(tickets->keys, sizeof tickets->keys);
        for (size_t i = 0; i < keys->count; i++) {
            tickets->keys[i] = keys->keys[i];
        }
        tickets->count = keys->count;
        tickets->shared = true;
    } else if (tickets->shared && have_own) {
        explicit_bzero(tickets->keys, sizeof tickets->keys);
        tickets->keys[0] = own;
        tickets->count = 1;
        tickets->shared = false;
    }
    pthread_mutex_unlock(&tickets->lock);
    tls_ticket_keys_free(keys);
    explicit_bzero(&own, sizeof own);
}

/* --- to another process --- */

/* Of a key: the secret, and its age in seconds, most significant byte first. The name follows from
 * the secret. Ages and not times, as processes may have different clocks (time namespaces). */
enum { EXPORTED_AGE = 8, EXPORTED_KEY = KEY_SIZE + EXPORTED_AGE };
_Static_assert(TLS_TICKETS_EXPORT_MAX == KEYS_MAX * EXPORTED_KEY, "room for every key");

size_t tls_tickets_export(struct tls_tickets *tickets, uint8_t out[TLS_TICKETS_EXPORT_MAX]) {
    size_t len = 0;
    pthread_mutex_lock(&tickets->lock);
    if (!tickets->shared) {
        rotate(tickets); /* a key that is made after this is unknown to the other process */
        for (size_t i = 0; i < tickets->count; i++) {
            uint64_t age = (uint64_t)(monotonic_seconds() - tickets->keys[i].made);
            memcpy(out + len, tickets->keys[i].secret, KEY_SIZE);
            for (size_t k = 0; k < EXPORTED_AGE; k++) {
                out[len + KEY_SIZE + k] = (uint8_t)(age >> (8 * (EXPORTED_AGE - 1 - k)));
            }
            len += EXPORTED_KEY;
        }
    }
    pthread_mutex_unlock(&tickets->lock);
    return len;
}

static bool read_exported(struct ticket_key *key, const uint8_t *in) {
    uint64_t age = 0;
    for (size_t k = 0; k < EXPORTED_AGE; k++) {
        age = age << 8 | in[KEY_SIZE + k];
    }
    memcpy(key->secret, in, KEY_SIZE);
    key->made = monotonic_seconds() - (int64_t)age;
    return age <= INT32_MAX && name_key(key);
}

bool tls_tickets_import(struct tls_tickets *tickets, const uint8_t *data, size_t len) {
    struct ticket_key keys[KEYS_MAX] = {0};
    size_t count = len / EXPORTED_KEY;
    bool good = len % EXPORTED_KEY == 0 && count > 0 && count <= KEYS_MAX;
    for (size_t i = 0; good && i < count; i++) {
        good = read_exported(&keys[i], data + i * EXPORTED_KEY) &&
               (i == 0 || keys[i].made <= keys[i - 1].made);
    }
    pthread_mutex_lock(&tickets->lock);
    if (good && !tickets->shared) {
        memcpy(tickets->keys, keys, sizeof keys);
        tickets->count = count;
    }
    pthread_mutex_unlock(&tickets->lock);
    explicit_bzero(keys, sizeof keys);
    return good;
}

/* Each ticket has an AES key of its own, made from its random 128-bit IV, so that keys which stay
 * in a file for years never use the same AES key and nonce twice. */
static bool ticket_cipher(Aes *aes, const struct ticket_key *key, const uint8_t *iv) {
    uint8_t secret[32];
    bool done = hmac(key->secret, "postern ticket 2", iv, WOLFSSL_TICKET_IV_SZ, secret) &&
                wc_AesInit(aes, NULL, INVALID_DEVID) == 0 &&
                wc_AesGcmSetKey(aes, secret, sizeof secret) == 0;
    explicit_bzero(secret, sizeof secret);
    return done;
}

/* What a ticket must be presented under: its key's name and IV, and all that the full handshake
 * depended on. It takes no room in the ticket. */
struct associated {
    uint8_t name[NAME_SIZE], iv[WOLFSSL_TICKET_IV_SZ], binding[TLS_HASH_SIZE];
};

static bool seal(const struct ticket_key *key, const struct associated *with, uint8_t *data,
                 size_t len, uint8_t tag[TAG_SIZE]) {
    static const uint8_t nonce[12];
    Aes aes;
    bool done = ticket_cipher(&aes, key, with->iv) &&
                wc_AesGcmEncrypt(&aes, data, data, (word32)len, nonce, sizeof nonce, tag, TAG_SIZE,
                                 (const byte *)with, sizeof *with) == 0;
    wc_AesFree(&aes);
    return done;
}

static bool unseal(const struct ticket_key *key, const struct associated *with, uint8_t *data,
                   size_t len, const uint8_t tag[TAG_SIZE]) {
    static const uint8_t nonce[12];
    Aes aes;
    bool done = ticket_cipher(&aes, key, with->iv) &&
                wc_AesGcmDecrypt(&aes, data, data, (word32)len, nonce, sizeof nonce, tag, TAG_SIZE,
                                 (const byte *)with, sizeof *with) == 0;
    wc_AesFree(&aes);
    return done;
}

/* How many times in a row a client may resume. The library numbers the tickets of one full
 * handshake in a byte and fails the handshake that would take the 256th; a client that gets near
 * that number has a full handshake instead. */
enum { GENERATIONS_MAX = 200 };

static void put_time(uint8_t *out, int64_t seconds) {
    for (size_t i = 0; i < EXPIRY_SIZE; i++) {
        out[i] = (uint8_t)((uint64_t)seconds >> (8 * i));
    }
}

static int64_t get_time(const uint8_t *in) {
    uint32_t seconds = 0;
    for (size_t i = 0; i < EXPIRY_SIZE; i++) {
        seconds |= (uint32_t)in[i] << (8 * i);
    }
    return seconds;
}

/* Our part of a ticket: its expiry, when all renewals of it expire, generation, then the client
 * certificate's. A certificate that does
 * not fit makes a ticket that says it is expired: its owner always comes back with a full
 * handshake. */
static size_t write_trailer(const struct client_cert *peer, bool certified, int64_t until,
                            uint8_t generation, uint8_t *out, size_t cap) {
    uint8_t packed[CLIENT_CERT_PACKED_MAX] = {0}; /* no certificate */
    size_t len = certified ? client_cert_pack(peer, packed) : 1;
    int64_t expires = (int64_t)time(NULL) + TLS_RESUME_SECONDS;
    expires = until < expires ? until : expires;
    if (certified && peer->id.serial_len > 0 && peer->not_after < expires) {
        expires = peer->not_after;
    }
    if (TRAILER_HEAD + len + TRAILER_LENGTH > cap) {
        expires = 0;
        len = 0;
    }
    put_time(out, expires);
    put_time(out + EXPIRY_SIZE, until);
    out[TRAILER_HEAD - 1] = generation;
    memcpy(out + TRAILER_HEAD, packed, len);
    len += TRAILER_HEAD;
    out[len] = (uint8_t)(len >> 8);
    out[len + 1] = (uint8_t)len;
    return len + TRAILER_LENGTH;
}

/* The trailer's size, or 0 if the ticket is no longer good. */
static size_t read_trailer(struct client_cert *peer, const uint8_t *ticket, size_t len) {
    if (len < TRAILER_HEAD + TRAILER_LENGTH) {
        return 0;
    }
    size_t own = (size_t)ticket[len - 2] << 8 | ticket[len - 1];
    if (own < TRAILER_HEAD || own > len - TRAILER_LENGTH) {
        return 0;
    }
    const uint8_t *data = ticket + len - TRAILER_LENGTH - own;
    peer->resume_until = get_time(data + EXPIRY_SIZE);
    peer->ticket_generation = data[TRAILER_HEAD - 1];
    if ((int64_t)time(NULL) >= get_time(data) || peer->ticket_generation >= GENERATIONS_MAX) {
        return 0;
    }
    if (!client_cert_unpack(peer, data + TRAILER_HEAD, own - TRAILER_HEAD)) {
        return 0;
    }
    return own + TRAILER_LENGTH;
}

/* `certified`: the peer's certificate, or its pre-shared key, is this connection's. If an accepted
 * ticket was not used in the end (another suite), its data about its owner does not apply. */
static int encrypt_ticket(struct tls_tickets *tickets, const struct client_cert *peer,
                          bool certified, int64_t until, uint8_t generation,
                          struct associated *with, uint8_t *mac, uint8_t *ticket, int in_len,
                          int *out_len) {
    struct ticket_key key;
    bool old;
    size_t len = (size_t)in_len;
    if (!get_key(tickets, NULL, &key, &old) || !random_bytes(with->iv, sizeof with->iv)) {
        return WOLFSSL_TICKET_RET_FATAL;
    }
    memcpy(with->name, key.name, NAME_SIZE);
    len += write_trailer(peer, certified, until, generation, ticket + len,
                         WOLFSSL_TICKET_EXTRA_PADDING_SZ);
    memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
    bool done = seal(&key, with, ticket, len, mac);
    explicit_bzero(&key, sizeof key);
    *out_len = (int)len;
    return done ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_FATAL;
}

/* Only one ticket is taken per connection, however many a TLS 1.3 client offers, so that its data
 * about the client cannot be mixed up with that of another. (It comes again after a
 * HelloRetryRequest.) */
static int decrypt_ticket(struct tls_tickets *tickets, const struct engine *e, bool tls13,
                          const struct associated *with, const uint8_t *mac, uint8_t *ticket,
                          int in_len, int *out_len) {
    static const uint8_t zero[WOLFSSL_TICKET_MAC_SZ - TAG_SIZE];
    struct client_cert *peer = e->peer;
    struct ticket_key key;
    bool old;
    if (peer->ticket_accepted && memcmp(peer->ticket_mac, mac, TAG_SIZE) != 0) {
        return WOLFSSL_TICKET_RET_REJECT;
    }
    if (memcmp(mac + TAG_SIZE, zero, sizeof zero) != 0 ||
        !get_key(tickets, with->name, &key, &old)) {
        return WOLFSSL_TICKET_RET_REJECT;
    }
    bool good = unseal(&key, with, ticket, (size_t)in_len, mac);
    explicit_bzero(&key, sizeof key);
    size_t own = good ? read_trailer(peer, ticket, (size_t)in_len) : 0;
    if (own == 0 || !clients_resume(e->ctx, peer)) {
        return WOLFSSL_TICKET_RET_REJECT;
    }
    memcpy(peer->ticket_mac, mac, TAG_SIZE);
    peer->ticket_accepted = true;
    *out_len = in_len - (int)own;
    /* In TLS 1.3 every connection gets a new ticket, and the library treats CREATE as a refusal. */
    return old && !tls13 ? WOLFSSL_TICKET_RET_CREATE : WOLFSSL_TICKET_RET_OK;
}

int tickets_callback(WOLFSSL *ssl, unsigned char name[WOLFSSL_TICKET_NAME_SZ],
                     unsigned char iv[WOLFSSL_TICKET_IV_SZ],
                     unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int encrypt, unsigned char *ticket,
                     int in_len, int *out_len, void *arg) {
    struct client_cert *peer = engine_of(ssl)->peer;
    struct associated with;
    if (peer == NULL || engine_of(ssl)->ctx == NULL || in_len <= 0) { /* not within a handshake */
        return WOLFSSL_TICKET_RET_REJECT;
    }
    memcpy(with.binding, peer->binding, sizeof with.binding);
    memcpy(with.name, name, NAME_SIZE);
    memcpy(with.iv, iv, sizeof with.iv);
    if (!encrypt) {
        return decrypt_ticket(arg, engine_of(ssl), wolfSSL_version(ssl) == TLS1_3_VERSION, &with,
                              mac, ticket, in_len, out_len);
    }
    bool resumed = wolfSSL_session_reused(ssl) != 0;
    psk_settle(engine_of(ssl));
    uint8_t generation = resumed ? (uint8_t)(peer->ticket_generation + 1) : 0;
    int64_t until = resumed ? peer->resume_until
                            : (int64_t)time(NULL) + engine_of(ssl)->ctx->resumption_seconds;
    int result = encrypt_ticket(arg, peer, peer->presented || peer->psk || resumed, until,
                                generation, &with, mac, ticket, in_len, out_len);
    peer->ticket_issued = true;
    memcpy(name, with.name, NAME_SIZE);
    memcpy(iv, with.iv, sizeof with.iv);
    return result;
}
