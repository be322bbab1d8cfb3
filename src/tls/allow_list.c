#include "tls/allow_list.h"

#include "core/hex.h"
#include "tls/identity.h"
#include "tls/list_lines.h"
#include "tls/pem.h"
#include "tls/wolfssl.h"

#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/hash.h>

enum kind { KIND_NAME, KIND_CERT, KIND_KEY, KIND_COUNT };

enum { NO_IDENTITY = UINT32_MAX };

/* Sorted by kind and hash, which are one run of bytes: see compare. */
struct entry {
    uint8_t kind;
    uint8_t hash[ALLOW_HASH_SIZE]; /* of a name, too */
    uint32_t identity;             /* where in `texts`; NO_IDENTITY: none */
    uint32_t line;
};
_Static_assert(offsetof(struct entry, hash) == 1, "what is compared has no gap");

struct allow_list {
    struct entry *entries;
    size_t count, room;
    struct buf texts; /* identities, each with its NUL */
    size_t counts[KIND_COUNT];
};

/* --- the lines --- */

struct reader {
    struct allow_list *list;
    struct list_lines lines;
    bool names;
    struct error *err;
};

static const struct {
    const char *prefix, *what, *command;
} kinds[KIND_COUNT] = {
    [KIND_NAME] = {"name:", "name", NULL},
    [KIND_CERT] = {"cert-sha256:", "certificate",
                   "openssl x509 -in cert.pem -noout -fingerprint -sha256"},
    [KIND_KEY] = {"key-sha256:", "key",
                  "openssl pkey -in key.pem -pubout -outform DER | sha256sum"},
};

static struct entry *add_entry(struct reader *r, enum kind kind) {
    struct allow_list *list = r->list;
    if (list->count == list->room) {
        size_t room = list->room > 0 ? 2 * list->room : 64;
        struct entry *more = realloc(list->entries, room * sizeof *more);
        if (more == NULL) {
            error_set(r->err, "out of memory");
            return NULL;
        }
        list->entries = more;
        list->room = room;
    }
    struct entry *entry = &list->entries[list->count++];
    *entry =
        (struct entry){.kind = (uint8_t)kind, .identity = NO_IDENTITY, .line = r->lines.number};
    list->counts[kind]++;
    return entry;
}

static int check_name(const struct reader *r, struct span name) {
    return identity_is_valid(name)
               ? 0
               : list_lines_fail(
                     &r->lines,
                     "a name that no client can have: at most 255 bytes of UTF-8, without +, "
                     "#, control characters and those that cannot be seen; a comment has a "
                     "line of its own");
}

static int set_identity(struct reader *r, struct entry *entry, struct span name) {
    struct buf *texts = &r->list->texts;
    if (check_name(r, name) != 0) {
        return -1;
    }
    entry->identity = (uint32_t)texts->len; /* files are far below 4 GB */
    return buf_append(texts, name.data, name.len, SIZE_MAX) && buf_append(texts, "", 1, SIZE_MAX)
               ? 0
               : error_set(r->err, "out of memory");
}

/* 64 digits, or pairs with colons between them. */
static bool read_hash(struct span text, uint8_t hash[ALLOW_HASH_SIZE]) {
    enum { PLAIN = 2 * ALLOW_HASH_SIZE, WITH_COLONS = 3 * ALLOW_HASH_SIZE - 1 };
    const char *at = (const char *)text.data;
    if (text.len == PLAIN) {
        return hex_read(at, hash, ALLOW_HASH_SIZE);
    }
    bool good = text.len == WITH_COLONS;
    for (size_t i = 0; good && i < ALLOW_HASH_SIZE; i++, at += 3) {
        good = hex_read(at, &hash[i], 1) && (i == ALLOW_HASH_SIZE - 1 || at[2] == ':');
    }
    return good;
}

static int read_pin(struct reader *r, enum kind kind, struct span rest) {
    struct entry *entry = add_entry(r, kind);
    struct span hex = {rest.data, 0};
    if (entry == NULL) {
        return -1;
    }
    while (hex.len < rest.len && rest.data[hex.len] != ' ' && rest.data[hex.len] != '\t') {
        hex.len++;
    }
    if (!read_hash(hex, entry->hash)) {
        return list_lines_fail(
            &r->lines, "not the SHA-256 of a %s, which is 64 hexadecimal digits; %s prints it",
            kinds[kind].what, kinds[kind].command);
    }
    struct span identity = span_trim((struct span){rest.data + hex.len, rest.len - hex.len});
    return identity.len > 0 ? set_identity(r, entry, identity) : 0;
}

static bool hash_name(struct span name, uint8_t hash[ALLOW_HASH_SIZE]) {
    return wc_Sha256Hash(name.data, (word32)name.len, hash) == 0;
}

static int read_name(struct reader *r, struct span name) {
    if (!r->names) {
        return list_lines_fail(
            &r->lines, "a name: entry without client_ca, which would be anybody's word; name the "
                       "CA in client_ca, or write cert-sha256:HEX or key-sha256:HEX");
    }
    if (check_name(r, name) != 0) {
        return -1;
    }
    struct entry *entry = add_entry(r, KIND_NAME);
    if (entry == NULL) {
        return -1;
    }
    return hash_name(name, entry->hash) ? 0 : error_set(r->err, "out of memory");
}

static int read_line(struct reader *r, struct span text) {
    if (text.len > ALLOW_LINE_MAX) {
        return list_lines_fail(&r->lines, "the line is too long; at most %d bytes", ALLOW_LINE_MAX);
    }
    if (memchr(text.data, '\0', text.len) != NULL) {
        return list_lines_fail(
            &r->lines, "a NUL byte; the file must be plain text (UTF-16 is not, for example)");
    }
    if (list_lines_is_blank(text)) {
        return 0;
    }
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        size_t len = strlen(kinds[kind].prefix);
        if (text.len >= len && memcmp(text.data, kinds[kind].prefix, len) == 0) {
            struct span rest = span_trim((struct span){text.data + len, text.len - len});
            return kind == KIND_NAME ? read_name(r, rest) : read_pin(r, kind, rest);
        }
    }
    return list_lines_fail(
        &r->lines, "not an entry; write name:X, cert-sha256:HEX or key-sha256:HEX, and begin a "
                   "comment with #");
}

static int read_lines(struct reader *r) {
    struct span line;
    while (list_lines_next(&r->lines, &line)) {
        if (read_line(r, line) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- the table --- */

/* Only the front of a hash may be known. */
static int compare_front(const struct entry *a, const struct entry *b, size_t hash_size) {
    return memcmp(a, b, offsetof(struct entry, hash) + hash_size);
}

static int compare(const void *a, const void *b) {
    return compare_front(a, b, ALLOW_HASH_SIZE);
}

/* The table is sorted. Of several entries that come twice, the one that does so first. */
static int check_twice(struct reader *r) {
    const struct entry *entries = r->list->entries, *first = NULL, *second = NULL;
    for (size_t i = 1; i < r->list->count; i++) {
        const struct entry *a = &entries[i - 1], *b = &entries[i];
        const struct entry *later = a->line > b->line ? a : b;
        if (compare(a, b) == 0 && (second == NULL || later->line < second->line)) {
            first = later == a ? b : a;
            second = later;
        }
    }
    if (second == NULL) {
        return 0;
    }
    r->lines.number = second->line;
    return list_lines_fail(&r->lines, "the same %s as in line %u; remove one of the two",
                           kinds[second->kind].what, first->line);
}

static int make_table(struct reader *r) {
    struct allow_list *list = r->list;
    if (list->entries == NULL) {
        return error_set(r->err,
                         "%s: holds no entry, so that no client could connect; write name:X, "
                         "cert-sha256:HEX or key-sha256:HEX",
                         r->lines.file);
    }
    qsort(list->entries, list->count, sizeof *list->entries, compare);
    return check_twice(r);
}

struct allow_list *allow_list_parse(struct span text, const char *file, bool names,
                                    struct error *err) {
    struct allow_list *list = calloc(1, sizeof *list);
    struct reader r = {
        .list = list, .lines = list_lines_begin(text, file, err), .names = names, .err = err};
    if (list == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (read_lines(&r) == 0 && make_table(&r) == 0) {
        return list;
    }
    allow_list_free(list);
    return NULL;
}

struct allow_list *allow_list_read(const char *file, bool names, struct error *err) {
    struct buf text = {0};
    struct allow_list *list = NULL;
    bool world_readable;
    if (file_read(&text, file, &world_readable, err) == 0) {
        list = allow_list_parse((struct span){text.data, text.len}, file, names, err);
    }
    buf_free(&text);
    return list;
}

void allow_list_free(struct allow_list *list) {
    if (list != NULL) {
        free(list->entries);
        buf_free(&list->texts);
        free(list);
    }
}

struct tls_allow_counts allow_list_counts(const struct allow_list *list) {
    return (struct tls_allow_counts){.names = list->counts[KIND_NAME],
                                     .certificates = list->counts[KIND_CERT],
                                     .keys = list->counts[KIND_KEY]};
}

static const struct entry *find(const struct allow_list *list, enum kind kind, const uint8_t *hash,
                                size_t hash_size) {
    struct entry wanted = {.kind = (uint8_t)kind};
    size_t low = 0, high = list->count;
    memcpy(wanted.hash, hash, hash_size);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_front(&wanted, &list->entries[middle], hash_size);
        if (order == 0) {
            return &list->entries[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

static const struct entry *find_by_name(const struct allow_list *list, const char *name) {
    uint8_t hash[ALLOW_HASH_SIZE];
    return hash_name((struct span){(const uint8_t *)name, strlen(name)}, hash)
               ? find(list, KIND_NAME, hash, sizeof hash)
               : NULL;
}

bool allow_list_find(const struct allow_list *list, const struct allow_subject *subject,
                     struct allow_entry_view *view) {
    const struct entry *entry = NULL;
    if (subject->cert_hash != NULL) {
        entry = find(list, KIND_CERT, subject->cert_hash, subject->hash_size);
    }
    if (entry == NULL && subject->key_hash != NULL) {
        entry = find(list, KIND_KEY, subject->key_hash, subject->hash_size);
    }
    if (entry == NULL && subject->name != NULL) {
        entry = find_by_name(list, subject->name);
    }
    if (entry == NULL) {
        return false;
    }
    view->identity =
        entry->identity != NO_IDENTITY ? (const char *)list->texts.data + entry->identity : NULL;
    view->hash = entry->kind != KIND_NAME ? entry->hash : NULL;
    return true;
}
