#include "tls/psk_list.h"

#include "core/hex.h"
#include "core/log.h"
#include "core/secret.h"
#include "core/utf8.h"
#include "core/wipe.h"
#include "tls/identity.h"
#include "tls/list_lines.h"
#include "tls/pem.h"
#include "tls/wolfssl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/hmac.h>

enum { HASH_SIZE = WC_SHA256_DIGEST_SIZE };

struct entry {
    uint8_t hash[HASH_SIZE]; /* of the identity */
    uint8_t key[PSK_KEY_MAX];
    uint8_t mark[PSK_MARK_SIZE];
    uint32_t key_len;
    uint32_t line;
};

struct psk_list {
    /* In the file's order, in memory of secret_new that is never moved: no copy of a key is left
     * behind, as it would be by sorting or growing. */
    struct entry *entries;
    bool locked;
    const struct entry **sorted; /* by hash */
    size_t count, room;
    uint8_t secret[HASH_SIZE]; /* of the keys that are made up */
};

static bool hash_identity(struct span identity, uint8_t hash[HASH_SIZE]) {
    return wc_Sha256Hash(identity.data, (word32)identity.len, hash) == 0;
}

static bool hmac(const uint8_t *key, size_t key_len, uint8_t number, const uint8_t *data,
                 size_t len, uint8_t out[HASH_SIZE]) {
    Hmac h;
    if (wc_HmacInit(&h, NULL, INVALID_DEVID) != 0) {
        return false;
    }
    bool done = wc_HmacSetKey(&h, WC_SHA256, key, (word32)key_len) == 0 &&
                wc_HmacUpdate(&h, data, (word32)len) == 0 && wc_HmacUpdate(&h, &number, 1) == 0 &&
                wc_HmacFinal(&h, out) == 0;
    wc_HmacFree(&h);
    return done;
}

/* --- the lines --- */

struct reader {
    struct psk_list *list;
    struct list_lines lines;
    bool names;
};

static const char make_one[] = "openssl rand -hex 32 makes one";

static bool is_utf8(struct span text) {
    uint32_t code;
    for (size_t at = 0, size; at < text.len; at += size) {
        size = utf8_decode(text.data + at, text.len - at, &code);
        if (size == 0 || code == 0) {
            return false;
        }
    }
    return true;
}

static int check_identity(const struct reader *r, struct span identity) {
    if (identity.len == 0 || identity.len > PSK_IDENTITY_MAX) {
        return list_lines_fail(&r->lines,
                               "the identity before the colon has %zu bytes; write 1 to "
                               "%d",
                               identity.len, PSK_IDENTITY_MAX);
    }
    if (span_trim(identity).len != identity.len) {
        return list_lines_fail(&r->lines, "a blank before the colon; remove it");
    }
    if (!is_utf8(identity)) {
        return list_lines_fail(&r->lines, "the identity is not UTF-8");
    }
    if (r->names && !identity_is_valid(identity)) {
        return list_lines_fail(
            &r->lines,
            "an identity that cannot be a name for the broker (mqtt = identity, proxy_protocol = "
            "v2): use no +, #, control or invisible characters");
    }
    return 0;
}

static int check_key(const struct reader *r, struct span digits) {
    if (digits.len > 0 && digits.data[0] == '$') {
        return list_lines_fail(&r->lines,
                               "the key after the colon is a password's hash; psk_file is not a "
                               "password file, which the broker reads: %s",
                               make_one);
    }
    for (size_t i = 0; i < digits.len; i++) {
        if (strchr("0123456789abcdefABCDEF", digits.data[i]) == NULL) {
            return list_lines_fail(&r->lines,
                                   "the key after the colon is not hexadecimal digits; "
                                   "%s",
                                   make_one);
        }
    }
    if (digits.len % 2 != 0) {
        return list_lines_fail(&r->lines, "the key has an odd number of digits; is one missing, or "
                                          "a 0 at its front?");
    }
    if (digits.len < 2 * PSK_KEY_MIN || digits.len > 2 * PSK_KEY_MAX) {
        return list_lines_fail(&r->lines,
                               "the key has %zu hexadecimal digits; write %d to %d, as "
                               "shorter ones can be guessed from one recorded handshake (%s)",
                               digits.len, 2 * PSK_KEY_MIN, 2 * PSK_KEY_MAX, make_one);
    }
    return 0;
}

static int add_entry(struct reader *r, struct span identity, struct span digits) {
    struct psk_list *list = r->list;
    struct entry *entry = &list->entries[list->count];
    entry->key_len = (uint32_t)(digits.len / 2);
    entry->line = r->lines.number;
    uint8_t mark[HASH_SIZE];
    if (!hex_read((const char *)digits.data, entry->key, entry->key_len) ||
        !hash_identity(identity, entry->hash) ||
        !hmac(entry->key, entry->key_len, 0, entry->hash, sizeof entry->hash, mark)) {
        return error_set(r->lines.err, "out of memory");
    }
    memcpy(entry->mark, mark, sizeof entry->mark);
    list->sorted[list->count++] = entry;
    return 0;
}

static int read_line(struct reader *r, struct span line) {
    if (memchr(line.data, '\0', line.len) != NULL) {
        return list_lines_fail(&r->lines, "a NUL byte; the file must be plain text (UTF-16 is not, "
                                          "for example)");
    }
    const uint8_t *colon = memchr(line.data, ':', line.len);
    if (colon == NULL) {
        return list_lines_fail(&r->lines,
                               "not an entry; write IDENTITY:KEY, the key in hexadecimal "
                               "digits, and begin a comment with #");
    }
    struct span identity = {line.data, (size_t)(colon - line.data)};
    struct span digits = {colon + 1, line.len - identity.len - 1};
    if (check_identity(r, identity) != 0 || check_key(r, digits) != 0) {
        return -1;
    }
    return add_entry(r, identity, digits);
}

static int read_lines(struct reader *r) {
    struct span line;
    while (list_lines_next(&r->lines, &line)) {
        if (!list_lines_is_blank(line) && read_line(r, line) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- the table --- */

static int compare(const void *a, const void *b) {
    const struct entry *const *left = a, *const *right = b;
    return memcmp((*left)->hash, (*right)->hash, HASH_SIZE);
}

/* Sorted; of several entries that come twice, the one that does so first. */
static int check_twice(struct reader *r) {
    const struct psk_list *list = r->list;
    const struct entry *first = NULL, *second = NULL;
    for (size_t i = 1; i < list->count; i++) {
        const struct entry *a = list->sorted[i - 1], *b = list->sorted[i];
        const struct entry *later = a->line > b->line ? a : b;
        if (memcmp(a->hash, b->hash, HASH_SIZE) == 0 &&
            (second == NULL || later->line < second->line)) {
            first = later == a ? b : a;
            second = later;
        }
    }
    if (second == NULL) {
        return 0;
    }
    r->lines.number = second->line;
    return list_lines_fail(&r->lines, "the same identity as in line %u; remove one of the two",
                           first->line);
}

/* Room for every entry that the text can have. */
static int make_room(struct psk_list *list, struct span text, const char *file, struct error *err) {
    struct list_lines lines = list_lines_begin(text, file, err);
    struct span line;
    while (list_lines_next(&lines, &line)) {
        list->room += !list_lines_is_blank(line);
    }
    if (list->room == 0) {
        return error_set(err,
                         "%s: holds no key; write IDENTITY:KEY, or leave psk_file out if no client "
                         "has one",
                         file);
    }
    list->entries = secret_new(list->room * sizeof *list->entries, &list->locked);
    list->sorted = calloc(list->room, sizeof *list->sorted);
    if (list->entries == NULL || list->sorted == NULL ||
        getrandom(list->secret, sizeof list->secret, 0) != (ssize_t)sizeof list->secret) {
        return error_set(err, "out of memory");
    }
    return 0;
}

static int fill(struct psk_list *list, struct span text, const char *file, bool names,
                struct error *err) {
    struct reader r = {.list = list, .lines = list_lines_begin(text, file, err), .names = names};
    if (make_room(list, text, file, err) != 0 || read_lines(&r) != 0) {
        return -1;
    }
    qsort(list->sorted, list->count, sizeof *list->sorted, compare);
    return check_twice(&r);
}

struct psk_list *psk_list_parse(struct span text, const char *file, bool names, struct error *err) {
    struct psk_list *list = calloc(1, sizeof *list);
    if (list == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (fill(list, text, file, names, err) != 0) {
        psk_list_free(list);
        return NULL;
    }
    return list;
}

static __attribute__((noinline)) struct psk_list *
read_file(const char *file, bool names, bool *world_readable, struct error *err) {
    struct buf text = {0};
    struct psk_list *list = NULL;
    if (file_read(&text, file, world_readable, err) == 0) {
        list = psk_list_parse((struct span){text.data, text.len}, file, names, err);
    }
    file_wipe(&text);
    return list;
}

struct psk_list *psk_list_read(const char *file, bool names, struct error *err) {
    bool world_readable;
    struct psk_list *list = read_file(file, names, &world_readable, err);
    wipe_stack(); /* the library computes with keys there, and does not wipe all of it */
    wipe_registers();
    if (list != NULL && !list->locked) {
        log_message(LOG_LEVEL_WARNING, "keys not locked",
                    "%s: these keys are in memory that the system may write to swap: raise the "
                    "limit of locked memory (ulimit -l, LimitMEMLOCK=)",
                    file);
    }
    if (list != NULL && world_readable) {
        log_message(LOG_LEVEL_WARNING, "key readable",
                    "%s: everyone can read these keys; chmod 0640 or 0600", file);
    }
    return list;
}

void psk_list_free(struct psk_list *list) {
    if (list == NULL) {
        return;
    }
    secret_free(list->entries, list->room * sizeof *list->entries);
    free(list->sorted);
    explicit_bzero(list, sizeof *list);
    free(list);
}

size_t psk_list_count(const struct psk_list *list) {
    return list->count;
}

/* --- looking up --- */

/* The last entry whose hash is not above this one, or the first of all: as many steps for any
 * hash. */
static const struct entry *search(const struct psk_list *list, const uint8_t hash[HASH_SIZE]) {
    size_t at = 0;
    for (size_t count = list->count; count > 1;) {
        size_t half = count / 2;
        at += memcmp(list->sorted[at + half]->hash, hash, HASH_SIZE) <= 0 ? half : 0;
        count -= half;
    }
    return list->sorted[at];
}

/* Of the identity with this hash, always the same one while the list is loaded. Its length is that
 * of some entry. */
static bool make_up_key(const struct psk_list *list, const uint8_t hash[HASH_SIZE],
                        struct psk_found *found) {
    _Static_assert(sizeof found->key == 2 * HASH_SIZE, "it is made of two hashes");
    uint64_t number;
    memcpy(&number, hash, sizeof number);
    found->key_len = (uint8_t)list->entries[number % list->count].key_len;
    return hmac(list->secret, sizeof list->secret, 0, hash, HASH_SIZE, found->key) &&
           hmac(list->secret, sizeof list->secret, 1, hash, HASH_SIZE, found->key + HASH_SIZE);
}

bool psk_list_find(const struct psk_list *list, struct span identity, struct psk_found *found) {
    uint8_t hash[HASH_SIZE];
    if (!hash_identity(identity, hash) || !make_up_key(list, hash, found)) {
        return false;
    }
    const struct entry *entry = search(list, hash);
    found->known = memcmp(entry->hash, hash, HASH_SIZE) == 0;
    uint8_t mask = (uint8_t)(0U - found->known);
    for (size_t i = 0; i < sizeof found->key; i++) {
        found->key[i] = (uint8_t)((entry->key[i] & mask) | (found->key[i] & ~mask));
    }
    found->key_len = (uint8_t)((entry->key_len & mask) | (found->key_len & ~(unsigned)mask));
    memcpy(found->mark, entry->mark, sizeof found->mark);
    return true;
}

bool psk_list_has(const struct psk_list *list, const char *identity,
                  const uint8_t mark[PSK_MARK_SIZE]) {
    uint8_t hash[HASH_SIZE];
    if (!hash_identity((struct span){(const uint8_t *)identity, strlen(identity)}, hash)) {
        return false;
    }
    const struct entry *entry = search(list, hash);
    return memcmp(entry->hash, hash, HASH_SIZE) == 0 &&
           memcmp(entry->mark, mark, PSK_MARK_SIZE) == 0;
}
