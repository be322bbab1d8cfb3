#include "wire/proxy_protocol.h"

#include "wire/cursor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define V2_FIXED       16
#define V2_VERSION     0x20
#define COMMAND_LOCAL  0
#define COMMAND_PROXY  1
#define FAMILY_UNSPEC  0x00
#define FAMILY_TCP4    0x11
#define FAMILY_TCP6    0x21
#define UNIX_ADDRESSES 216

#define TLV_HEADER          3
#define TYPE_AUTHORITY      0x02
#define TYPE_SSL            0x20
#define SUBTYPE_SSL_VERSION 0x21
#define SUBTYPE_SSL_CN      0x22
#define SUBTYPE_SSL_CIPHER  0x23
#define CLIENT_SSL          0x01
#define CLIENT_CERT_CONN    0x02
#define CLIENT_CERT_SESS    0x04

static const uint8_t v1_start[6] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t v2_signature[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                         '\n', 'Q',  'U',  'I',  'T', '\n'};
static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* An address and a port, in the bytes that the wire wants. */
struct endpoint {
    size_t size;       /* 4, 16, or 0: neither IPv4 nor IPv6 */
    uint8_t bytes[16]; /* network order */
    uint16_t port;     /* host order */
};

static void endpoint_unmap(struct endpoint *e) {
    if (e->size == 16 && memcmp(e->bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        memmove(e->bytes, e->bytes + sizeof mapped_prefix, 4);
        e->size = 4;
    }
}

static void endpoint_map(struct endpoint *e) {
    if (e->size == 4) {
        memmove(e->bytes + sizeof mapped_prefix, e->bytes, 4);
        memcpy(e->bytes, mapped_prefix, sizeof mapped_prefix);
        e->size = 16;
    }
}

static void endpoint_from(struct endpoint *e, const struct sockaddr *sa) {
    memset(e, 0, sizeof *e);
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        e->size = 4;
        memcpy(e->bytes, &in.sin_addr, 4);
        e->port = ntohs(in.sin_port);
    } else if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        e->size = 16;
        memcpy(e->bytes, &in6.sin6_addr, 16);
        e->port = ntohs(in6.sin6_port);
        endpoint_unmap(e);
    }
}

static void endpoint_to(const struct endpoint *e, struct sockaddr_storage *sa) {
    memset(sa, 0, sizeof *sa);
    if (e->size == 4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(e->port)};
        memcpy(&in.sin_addr, e->bytes, 4);
        memcpy(sa, &in, sizeof in);
    } else {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(e->port)};
        memcpy(&in6.sin6_addr, e->bytes, 16);
        memcpy(sa, &in6, sizeof in6);
    }
}

static void set_addresses(struct proxy_header *out, struct endpoint *source,
                          struct endpoint *destination) {
    endpoint_unmap(source);
    endpoint_unmap(destination);
    endpoint_to(source, &out->source);
    endpoint_to(destination, &out->destination);
    out->has_addresses = true;
}

/* ---- version 1 ---- */

/* The bytes up to a space or the end, which are taken with it. */
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

static bool take_address(struct cursor *line, int family, struct endpoint *e) {
    char text[INET6_ADDRSTRLEN];
    struct cursor word;

    if (!take_word(line, &word) || word.left >= sizeof text ||
        memchr(word.at, '\0', word.left) != NULL) {
        return false;
    }
    memcpy(text, word.at, word.left);
    text[word.left] = '\0';
    e->size = family == AF_INET ? 4 : 16;
    return inet_pton(family, text, e->bytes) == 1;
}

static bool take_port(struct cursor *line, struct endpoint *e) {
    struct cursor word;
    unsigned port = 0;

    if (!take_word(line, &word) || word.left < 1 || word.left > 5 ||
        (word.left > 1 && word.at[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < word.left; i++) {
        if (word.at[i] < '0' || word.at[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(word.at[i] - '0');
    }
    e->port = (uint16_t)port;
    return port <= UINT16_MAX;
}

/* What is between "PROXY " and CR LF. */
static enum proxy_header_status read_line(struct cursor line, struct proxy_header *out) {
    struct endpoint source = {0}, destination = {0};
    struct cursor protocol;

    if (line.left >= 7 && memcmp(line.at, "UNKNOWN", 7) == 0 &&
        (line.left == 7 || line.at[7] == ' ')) {
        return PROXY_HEADER_OK; /* whatever follows is to be ignored */
    }
    if (!take_word(&line, &protocol) ||
        !(word_is(&protocol, "TCP4") || word_is(&protocol, "TCP6"))) {
        return PROXY_HEADER_BAD;
    }
    const int family = word_is(&protocol, "TCP4") ? AF_INET : AF_INET6;
    if (!take_address(&line, family, &source) || !take_address(&line, family, &destination) ||
        !take_port(&line, &source) || !take_port(&line, &destination) || line.left != 0) {
        return PROXY_HEADER_BAD;
    }
    set_addresses(out, &source, &destination);
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

/* ---- version 2 ---- */

static bool take_endpoints(struct cursor *c, size_t size, struct endpoint *source,
                           struct endpoint *destination) {
    struct cursor from, to;
    if (!take(c, size, &from) || !take(c, size, &to) || !take_u16(c, &source->port) ||
        !take_u16(c, &destination->port)) {
        return false;
    }
    source->size = destination->size = size;
    memcpy(source->bytes, from.at, size);
    memcpy(destination->bytes, to.at, size);
    return true;
}

/* Bytes of addresses that a family and transport need; false if there is no such pair. */
static bool addresses_size(uint8_t family, size_t *size) {
    static const size_t sizes[] = {0, 12, 36, UNIX_ADDRESSES};
    if (family >> 4 > 3 || (family & 0xf) > 2) {
        return false;
    }
    *size = (family & 0xf) == 0 ? 0 : sizes[family >> 4];
    return true;
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
    if (command == COMMAND_PROXY && (family == FAMILY_TCP4 || family == FAMILY_TCP6)) {
        struct endpoint source = {0}, destination = {0};
        if (!take_endpoints(&content, family == FAMILY_TCP4 ? 4 : 16, &source, &destination)) {
            return PROXY_HEADER_BAD;
        }
        set_addresses(out, &source, &destination);
    }
    return PROXY_HEADER_OK;
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

/* ---- going out ---- */

/* Both of one size, or both of size 0. */
static void endpoints_from(struct endpoint *source, const struct sockaddr *from,
                           struct endpoint *destination, const struct sockaddr *to) {
    endpoint_from(source, from);
    endpoint_from(destination, to);
    if (source->size == 0 || destination->size == 0) {
        source->size = destination->size = 0;
    } else if (source->size != destination->size) {
        endpoint_map(source);
        endpoint_map(destination);
    }
}

size_t proxy_header_v1(const struct sockaddr *source, const struct sockaddr *destination,
                       char out[PROXY_HEADER_V1_MAX + 1]) {
    char from_text[INET6_ADDRSTRLEN], to_text[INET6_ADDRSTRLEN];
    struct endpoint from, to;

    endpoints_from(&from, source, &to, destination);
    const int family = from.size == 4 ? AF_INET : AF_INET6;
    int len;
    if (from.size == 0 || inet_ntop(family, from.bytes, from_text, sizeof from_text) == NULL ||
        inet_ntop(family, to.bytes, to_text, sizeof to_text) == NULL) {
        len = snprintf(out, PROXY_HEADER_V1_MAX + 1, "PROXY UNKNOWN\r\n");
    } else {
        len = snprintf(out, PROXY_HEADER_V1_MAX + 1, "PROXY TCP%c %s %s %u %u\r\n",
                       from.size == 4 ? '4' : '6', from_text, to_text, from.port, to.port);
    }
    return len > 0 && len <= PROXY_HEADER_V1_MAX ? (size_t)len : 0;
}

struct block {
    uint8_t *data;
    size_t len;
    bool full; /* something did not fit: the block is of no use */
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

/* Lengths that are known only behind what they count; both fit into 500. */
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

static size_t build_v2(const struct endpoint *from, const struct endpoint *to,
                       const struct proxy_tls *tls, const char *authority, uint8_t *out) {
    struct block b = {.data = out};

    put(&b, v2_signature, sizeof v2_signature);
    put_u8(&b, V2_VERSION | COMMAND_PROXY);
    put_u8(&b, from->size == 4 ? FAMILY_TCP4 : from->size == 16 ? FAMILY_TCP6 : FAMILY_UNSPEC);
    put_u16(&b, 0);
    if (from->size > 0) {
        put(&b, from->bytes, from->size);
        put(&b, to->bytes, to->size);
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

size_t proxy_header_v2(const struct sockaddr *source, const struct sockaddr *destination,
                       const struct proxy_tls *tls, uint8_t out[PROXY_HEADER_OUT_MAX]) {
    struct endpoint from, to;

    if (tls != NULL && tls->common_name != NULL &&
        strnlen(tls->common_name, PROXY_HEADER_NAME_MAX + 1) > PROXY_HEADER_NAME_MAX) {
        return 0;
    }
    endpoints_from(&from, source, &to, destination);
    if (tls != NULL) {
        const size_t size = build_v2(&from, &to, tls, tls->server_name, out);
        if (size > 0) {
            return size;
        }
    }
    return build_v2(&from, &to, tls, NULL, out);
}
