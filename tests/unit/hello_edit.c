#include "hello_edit.h"

#include <check.h>
#include <string.h>

enum {
    RECORD = 5,
    MESSAGE = 4,
    SUPPORTED_GROUPS = 10,
    KEY_SHARE = 51,
    HANDSHAKE = 22,
    CHANGE_CIPHER_SPEC = 20
};

static size_t get16(const struct buf *b, size_t at) {
    ck_assert_uint_le(at + 2, b->len);
    return (size_t)b->data[at] << 8 | b->data[at + 1];
}

static void add16(struct buf *b, size_t at, size_t more) {
    size_t value = get16(b, at) + more;
    ck_assert_uint_lt(value, 65536);
    b->data[at] = (uint8_t)(value >> 8);
    b->data[at + 1] = (uint8_t)value;
}

static void insert(struct buf *b, size_t at, const uint8_t *data, size_t len) {
    size_t tail = b->len - at;
    ck_assert(buf_append(b, data, len, SIZE_MAX));
    memmove(b->data + at + len, b->data + at, tail);
    memcpy(b->data + at, data, len);
    add16(b, RECORD - 2, len);
    add16(b, RECORD + MESSAGE - 2, len);
}

static size_t suites_at(const struct buf *hello) {
    size_t at = RECORD + MESSAGE + 2 + 32;
    return at + 1 + hello->data[at];
}

static size_t extensions_at(const struct buf *hello) {
    size_t at = suites_at(hello);
    at += 2 + get16(hello, at);
    return at + 1 + hello->data[at];
}

/* The extension's content, after its length. */
static size_t extension_at(const struct buf *hello, unsigned type) {
    size_t at = extensions_at(hello) + 2;
    while (get16(hello, at) != type) {
        at += 4 + get16(hello, at + 2);
    }
    return at + 4;
}

void hello_add_suites(struct buf *hello, const uint8_t *suites, size_t len) {
    size_t at = suites_at(hello);
    add16(hello, at, len);
    insert(hello, at + 2, suites, len);
}

/* To the list that is the extension's content. */
static void add_to_extension(struct buf *hello, unsigned type, const uint8_t *data, size_t len) {
    size_t at = extension_at(hello, type);
    add16(hello, extensions_at(hello), len);
    add16(hello, at - 2, len);
    add16(hello, at, len);
    insert(hello, at + 2, data, len);
}

void hello_add_groups(struct buf *hello, const uint8_t *groups, size_t len) {
    add_to_extension(hello, SUPPORTED_GROUPS, groups, len);
}

void hello_add_key_shares(struct buf *hello, const uint8_t *shares, size_t len) {
    add_to_extension(hello, KEY_SHARE, shares, len);
}

void hello_move_key_shares_first(struct buf *hello) {
    size_t from = extension_at(hello, KEY_SHARE) - 4, to = extensions_at(hello) + 2;
    size_t len = 4 + get16(hello, from + 2);
    uint8_t extension[4096];
    ck_assert_uint_le(len, sizeof extension);
    memcpy(extension, hello->data + from, len);
    memmove(hello->data + to + len, hello->data + to, from - to);
    memcpy(hello->data + to, extension, len);
}

uint8_t *hello_key_share(struct buf *hello, unsigned group, size_t *len) {
    size_t at = extension_at(hello, KEY_SHARE) + 2;
    while (get16(hello, at) != group) {
        at += 4 + get16(hello, at + 2);
    }
    *len = get16(hello, at + 2);
    return hello->data + at + 4;
}

void recut_plaintext(struct buf *flight, size_t size) {
    struct buf cut = {0};
    size_t at = 0;
    while (at + RECORD <= flight->len && flight->data[at] == HANDSHAKE) {
        size_t body = get16(flight, at + 3);
        for (size_t done = 0; done < body;) {
            size_t n = body - done < size ? body - done : size;
            const uint8_t header[] = {HANDSHAKE, 3, 3, (uint8_t)(n >> 8), (uint8_t)n};
            ck_assert(buf_append(&cut, header, sizeof header, SIZE_MAX));
            ck_assert(buf_append(&cut, flight->data + at + RECORD + done, n, SIZE_MAX));
            done += n;
        }
        at += RECORD + body;
    }
    ck_assert(buf_append(&cut, flight->data + at, flight->len - at, SIZE_MAX));
    buf_free(flight);
    *flight = cut;
}
