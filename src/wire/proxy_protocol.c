#include "wire/proxy_protocol.h"

#include "wire/cursor.h"

#include <stdio.h>
#include <string.h>

enum {
    V2_FIXED = 16,
    V2_VERSION = 0x20,
    COMMAND_LOCAL = 0,
    COMMAND_PROXY = 1,
    FAMILY_UNSPEC = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    UNIX_ADDRESSES = 216,

    TLV_HEADER = 3,
    TYPE_AUTHORITY = 0x02,
    TYPE_CRC32C = 0x03,
    CRC32C_SIZE = 4,
    TYPE_SSL = 0x20,
    SUBTYPE_SSL_VERSION = 0x21,
    SUBTYPE_SSL_CN = 0x22,
    SUBTYPE_SSL_CIPHER = 0x23,
    CLIENT_SSL = 0x01,
    CLIENT_CERT_CONN = 0x02,
    CLIENT_CERT_SESS = 0x04
};

static const uint8_t v1_start[6] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t v2_signature[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                         '\n', 'Q',  'U',  'I',  'T', '\n'};

/* --- version 1 --- */

/* The bytes up to a space, which is taken with them, or up to the end. */
static bool take_word(struct cursor *line, struct cursor *word) {
    const uint8_t *space = memchr(line->at, ' ', line->left);
    struct cursor separator;
    if (space == NULL) {
        return take(line, line->left, word);
    }
    return take(line, (size_t)(space - line->at), word) && take(line, 1, &separator) &&
           line->left > 0;
}

static bool word_is(const struct cursor *word, const char *expected) {
    return word->left == strlen(expected) && memcmp(word->at, expected, word->left) == 0;
}

static bool take_address(struct cursor *line, bool ipv6, struct address *a) {
    struct cursor word;
    return take_word(line, &word) && word.left > 0 &&
           (memchr(word.at, ':', word.left) != NULL) == ipv6 &&
           memchr(word.at, '%', word.left) == NULL &&
           address_parse_host((const char *)word.at, word.left, a) == ADDRESS_OK;
}

static bool take_port(struct cursor *line, struct address *a) {
    char text[6];
    struct cursor word;

    if (!take_word(line, &word) || word.left >= sizeof text ||
        (word.left > 1 && word.at[0] == '0') || memchr(word.at, '\0', word.left) != NULL) {
        return false;
    }
    memcpy(text, word.at, word.left);
    text[word.left] = '\0';
    return address_parse_port(text, &a->port);
}

/* What is between "PROXY " and CR LF. */
static enum proxy_header_status read_line(struct cursor line, struct proxy_header *out) {
    struct address source = {0}, destination = {0};
    struct cursor protocol;

    if (line.left >= 7 && memcmp(line.at, "UNKNOWN", 7) == 0 &&
        (line.left == 7 || line.at[7] == ' ')) {
        return PROXY_HEADER_OK; /* what follows is ignored, as specified */
    }
    if (!take_word(&line, &protocol) ||
        !(word_is(&protocol, "TCP4") || word_is(&protocol, "TCP6"))) {
        return PROXY_HEADER_BAD;
    }
    const bool ipv6 = word_is(&protocol, "TCP6");
    if (!take_address(&line, ipv6, &source) || !take_address(&line, ipv6, &destination) ||
        !take_port(&line, &source) || !take_port(&line, &destination) || line.left != 0) {
        return PROXY_HEADER_BAD;
    }
    out->source = source;
    out->destination = destination;
    out->has_addresses = true;
    return PROXY_HEADER_OK;
}

static enum proxy_header_status parse_v1(const uint8_t *data, size_t len,
                                         struct proxy_header *out) {
    const size_t seen = len < PROXY_HEADER_V1_MAX ? len : PROXY_HEADER_V1_MAX;
    size_t at = sizeof v1_start;

    while (at < seen && data[at] != '\r' && data[at] != '\n') {
        at++;
    }
    if (at + 1 < seen) {
        if (data[at] != '\r' || data[at + 1] != '\n') {
            return PROXY_HEADER_BAD;
        }
        out->size = at + 2;
        return read_line((struct cursor){data + sizeof v1_start, at - sizeof v1_start}, out);
    }
    const bool full = seen == PROXY_HEADER_V1_MAX;
    return full || (at < seen && data[at] == '\n') ? PROXY_HEADER_BAD : PROXY_HEADER_MORE;
}

/* --- version 2 --- */

static bool take_addresses(struct cursor *c, size_t size, struct proxy_header *out) {
    struct cursor from, to;
    uint16_t from_port, to_port;
    if (!take(c, size, &from) || !take(c, size, &to) || !take_u16(c, &from_port) ||
        !take_u16(c, &to_port)) {
        return false;
    }
    out->source = address_from_bytes(from.at, size, from_port);
    out->destination = address_from_bytes(to.at, size, to_port);
    return true;
}

/* The size of the addresses of a family and transport; false if they are not specified. */
static bool addresses_size(uint8_t family, size_t *size) {
    static const size_t sizes[] = {0, 12, 36, UNIX_ADDRESSES};
    if (family >> 4 > 3 || (family & 0xf) > 2) {
        return false;
    }
    *size = (family & 0xf) == 0 ? 0 : sizes[family >> 4];
    return true;
}

/* CRC-32C (RFC 4960, appendix B), continued from `crc`. Half a byte at a time: headers are short.
 */
static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t len) {
    static const uint32_t table[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                       0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                       0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                       0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 0xf];
        crc = crc >> 4 ^ table[crc & 0xf];
    }
    return crc;
}

/* The checksum is that of the whole header with zeros in its own place. */
static bool checksum_is_right(struct cursor value, const uint8_t *header, size_t size) {
    static const uint8_t zeros[CRC32C_SIZE] = {0};
    uint32_t expected;
    if (value.left != CRC32C_SIZE) {
        return false;
    }
    const uint8_t *after = value.at + CRC32C_SIZE;
    uint32_t crc = crc32c(UINT32_MAX, header, (size_t)(value.at - header));
    crc = crc32c(crc, zeros, sizeof zeros);
    crc = crc32c(crc, after, (size_t)(header + size - after));
    return take_u32(&value, &expected) && expected == ~crc;
}

static bool check_tlvs(struct cursor tlvs, const uint8_t *header, size_t size) {
    bool checked = false;
    while (tlvs.left >= TLV_HEADER) {
        struct cursor value;
        uint8_t type;
        if (!take_u8(&tlvs, &type) || !take_vector16(&tlvs, &value)) {
            return false;
        }
        if (type == TYPE_CRC32C) {
            if (checked || !checksum_is_right(value, header, size)) {
                return false;
            }
            checked = true;
        }
    }
    return true;
}

/* A header of the command PROXY, which is whole; `content` follows its fixed part. */
static enum proxy_header_status read_block(const uint8_t *data, uint8_t family, size_t addresses,
                                           struct cursor content, struct proxy_header *out) {
    struct cursor tlvs = content, skipped;
    if (!take(&tlvs, addresses, &skipped) || !check_tlvs(tlvs, data, out->size)) {
        return PROXY_HEADER_BAD;
    }
    if (family == FAMILY_TCP4 || family == FAMILY_TCP6) {
        out->has_addresses = take_addresses(&content, family == FAMILY_TCP4 ? 4 : 16, out);
        return out->has_addresses ? PROXY_HEADER_OK : PROXY_HEADER_BAD;
    }
    return PROXY_HEADER_OK;
}

static enum proxy_header_status parse_v2(const uint8_t *data, size_t len,
                                         struct proxy_header *out) {
    struct cursor c = {data, len};
    struct cursor signature, content;
    uint8_t version = 0, family = 0;
    uint16_t size = 0;
    size_t needed = 0;

    if (!take(&c, sizeof v2_signature, &signature) || !take_u8(&c, &version)) {
        return PROXY_HEADER_MORE;
    }
    const uint8_t command = version & 0xf;
    if ((version & 0xf0) != V2_VERSION || command > COMMAND_PROXY) {
        return PROXY_HEADER_BAD;
    }
    if (!take_u8(&c, &family)) {
        return PROXY_HEADER_MORE;
    }
    if (command == COMMAND_PROXY && !addresses_size(family, &needed)) {
        return PROXY_HEADER_BAD;
    }
    if (!take_u16(&c, &size)) {
        return PROXY_HEADER_MORE;
    }
    if (size > PROXY_HEADER_IN_MAX - V2_FIXED || size < needed) {
        return PROXY_HEADER_BAD;
    }
    if (!take(&c, size, &content)) {
        return PROXY_HEADER_MORE;
    }
    out->size = V2_FIXED + (size_t)size;
    return command == COMMAND_LOCAL ? PROXY_HEADER_OK
                                    : read_block(data, family, needed, content, out);
}

enum proxy_header_status proxy_header_parse(const uint8_t *data, size_t len,
                                            struct proxy_header *out) {
    memset(out, 0, sizeof *out);
    if (len == 0) {
        return PROXY_HEADER_MORE;
    }
    const bool is_v1 = data[0] == v1_start[0];
    const uint8_t *start = is_v1 ? v1_start : v2_signature;
    const size_t start_len = is_v1 ? sizeof v1_start : sizeof v2_signature;
    if (memcmp(data, start, len < start_len ? len : start_len) != 0) {
        return PROXY_HEADER_BAD;
    }
    if (len < start_len) {
        return PROXY_HEADER_MORE;
    }
    return is_v1 ? parse_v1(data, len, out) : parse_v2(data, len, out);
}

/* --- writing --- */

/* The size of each address in a header with both; 0: a header without addresses. */
static size_t common_size(const struct address *source, const struct address *destination) {
    if (source->family == ADDRESS_NONE || destination->family == ADDRESS_NONE) {
        return 0;
    }
    return source->family == ADDRESS_IPV4 && destination->family == ADDRESS_IPV4 ? 4 : 16;
}

size_t proxy_header_v1(const struct address *source, const struct address *destination,
                       char out[PROXY_HEADER_V1_MAX + 1]) {
    char from[ADDRESS_TEXT_SIZE], to[ADDRESS_TEXT_SIZE];
    const size_t size = common_size(source, destination);
    const bool map_from = size == 16 && source->family == ADDRESS_IPV4;
    const bool map_to = size == 16 && destination->family == ADDRESS_IPV4;
    int len;
    if (size == 0) {
        len = snprintf(out, PROXY_HEADER_V1_MAX + 1, "PROXY UNKNOWN\r\n");
    } else {
        len = snprintf(out, PROXY_HEADER_V1_MAX + 1, "PROXY TCP%c %s%s %s%s %u %u\r\n",
                       size == 4 ? '4' : '6', map_from ? "::ffff:" : "",
                       address_print_host(source, from), map_to ? "::ffff:" : "",
                       address_print_host(destination, to), source->port, destination->port);
    }
    return len > 0 && len <= PROXY_HEADER_V1_MAX ? (size_t)len : 0;
}

struct block {
    uint8_t *data;
    size_t len;
    bool full; /* something did not fit: the block must not be sent */
};

static void put(struct block *b, const void *data, size_t len) {
    if (b->full || len > PROXY_HEADER_OUT_MAX - b->len) {
        b->full = true;
        return;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_u8(struct block *b, unsigned value) {
    put(b, &(uint8_t){(uint8_t)value}, 1);
}

static void put_u16(struct block *b, size_t value) {
    put(b, (const uint8_t[]){(uint8_t)(value >> 8), (uint8_t)(value & 0xff)}, 2);
}

static void put_tlv(struct block *b, uint8_t type, const char *text) {
    const size_t len = text == NULL ? 0 : strnlen(text, PROXY_HEADER_OUT_MAX + 1);
    if (len > 0) {
        put_u8(b, type);
        put_u16(b, len);
        put(b, text, len);
    }
}

/* For a length that is known only when what it counts has been written. */
static void set_u16(struct block *b, size_t at, size_t value) {
    if (!b->full) {
        b->data[at] = (uint8_t)(value >> 8);
        b->data[at + 1] = (uint8_t)(value & 0xff);
    }
}

static void put_ssl(struct block *b, const struct proxy_tls *tls) {
    const size_t start = b->len;
    const unsigned client = CLIENT_SSL | (tls->connection_certificate ? CLIENT_CERT_CONN : 0u) |
                            (tls->session_certificate ? CLIENT_CERT_SESS : 0u);
    put_u8(b, TYPE_SSL);
    put_u16(b, 0);
    put_u8(b, client);
    put_u16(b, 0);
    put_u16(b, tls->session_certificate ? 0 : 1);
    put_tlv(b, SUBTYPE_SSL_VERSION, tls->version);
    put_tlv(b, SUBTYPE_SSL_CN, tls->common_name);
    put_tlv(b, SUBTYPE_SSL_CIPHER, tls->cipher);
    set_u16(b, start + 1, b->len - start - TLV_HEADER);
}

static void put_address(struct block *b, const struct address *a, size_t size) {
    uint8_t bytes[16];
    if (size == 4) {
        put(b, a->bytes, size);
    } else {
        address_to_ipv6(a, bytes);
        put(b, bytes, size);
    }
}

static size_t build_v2(const struct address *from, const struct address *to,
                       const struct proxy_tls *tls, const char *authority, uint8_t *out) {
    struct block b = {.data = out};
    const size_t size = common_size(from, to);

    put(&b, v2_signature, sizeof v2_signature);
    put_u8(&b, V2_VERSION | COMMAND_PROXY);
    put_u8(&b, size == 4 ? FAMILY_TCP4 : size == 16 ? FAMILY_TCP6 : FAMILY_UNSPEC);
    put_u16(&b, 0);
    if (size > 0) {
        put_address(&b, from, size);
        put_address(&b, to, size);
        put_u16(&b, from->port);
        put_u16(&b, to->port);
    }
    put_tlv(&b, TYPE_AUTHORITY, authority);
    if (tls != NULL) {
        put_ssl(&b, tls);
    }
    set_u16(&b, V2_FIXED - 2, b.len - V2_FIXED);
    return b.full ? 0 : b.len;
}

size_t proxy_header_v2(const struct address *source, const struct address *destination,
                       const struct proxy_tls *tls, uint8_t out[PROXY_HEADER_OUT_MAX]) {
    if (tls != NULL && tls->common_name != NULL &&
        strnlen(tls->common_name, PROXY_HEADER_NAME_MAX + 1) > PROXY_HEADER_NAME_MAX) {
        return 0;
    }
    if (tls != NULL) {
        const size_t size = build_v2(source, destination, tls, tls->server_name, out);
        if (size > 0) {
            return size;
        }
    }
    return build_v2(source, destination, tls, NULL, out);
}
