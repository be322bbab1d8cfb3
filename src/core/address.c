#include "core/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS "0123456789"

enum { IPV4_SIZE = 4, IPV6_SIZE = 16, MAPPED_BITS = 96, PORT_DIGITS = 5, CLIENT_KEY_IPV6_SIZE = 8 };

static const uint8_t mapped_prefix[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};

/* --- sockaddr and bytes --- */

struct address address_from_bytes(const uint8_t *bytes, size_t size, uint16_t port) {
    struct address a = {.port = port, .family = ADDRESS_IPV4};
    if (size == IPV6_SIZE && memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        memcpy(a.bytes, bytes + sizeof mapped_prefix, IPV4_SIZE);
    } else if (size == IPV6_SIZE) {
        a.family = ADDRESS_IPV6;
        memcpy(a.bytes, bytes, IPV6_SIZE);
    } else {
        memcpy(a.bytes, bytes, IPV4_SIZE);
    }
    return a;
}

struct address address_from_sockaddr(const struct sockaddr *sa, socklen_t len) {
    if (len >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return address_from_bytes((const uint8_t *)&in.sin_addr, IPV4_SIZE, ntohs(in.sin_port));
    }
    if (len >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        struct address a =
            address_from_bytes(in6.sin6_addr.s6_addr, IPV6_SIZE, ntohs(in6.sin6_port));
        a.scope = a.family == ADDRESS_IPV6 ? in6.sin6_scope_id : 0;
        return a;
    }
    return (struct address){0};
}

socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (a->family == ADDRESS_IPV4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->bytes, IPV4_SIZE);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    if (a->family == ADDRESS_IPV6) {
        struct sockaddr_in6 in6 = {
            .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope};
        memcpy(&in6.sin6_addr, a->bytes, IPV6_SIZE);
        memcpy(out, &in6, sizeof in6);
        return sizeof in6;
    }
    return 0;
}

void address_to_ipv6(const struct address *a, uint8_t out[16]) {
    if (a->family == ADDRESS_IPV4) {
        memcpy(out, mapped_prefix, sizeof mapped_prefix);
        memcpy(out + sizeof mapped_prefix, a->bytes, IPV4_SIZE);
    } else {
        memcpy(out, a->bytes, IPV6_SIZE);
    }
}

/* --- text --- */

bool address_split(const char *text, struct address_parts *out) {
    const char *colon = strrchr(text, ':');
    *out = (struct address_parts){.host = text, .bracketed = text[0] == '['};
    if (colon == NULL) {
        return false;
    }
    out->host_len = (size_t)(colon - text);
    out->port = colon + 1;
    if (out->bracketed) {
        if (out->host_len < 2 || colon[-1] != ']') {
            return false;
        }
        out->host++;
        out->host_len -= 2;
    }
    return true;
}

bool address_parse_port(const char *text, uint16_t *port) {
    size_t digits = strspn(text, DIGITS);
    if (digits == 0 || digits > PORT_DIGITS || text[digits] != '\0') {
        return false;
    }
    unsigned long number = strtoul(text, NULL, 10);
    *port = (uint16_t)number;
    return number <= UINT16_MAX;
}

/* An IPv4 or IPv6 address without an interface, as inet_pton(3) reads them. */
static bool parse_numeric(const char *host, size_t len, struct address *out) {
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[IPV6_SIZE];
    if (len >= sizeof text || memchr(host, '\0', len) != NULL) {
        return false;
    }
    memcpy(text, host, len);
    text[len] = '\0';
    bool is_ipv6 = strchr(text, ':') != NULL;
    if (inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, bytes) != 1) {
        return false;
    }
    *out = address_from_bytes(bytes, is_ipv6 ? IPV6_SIZE : IPV4_SIZE, 0);
    return true;
}

static uint32_t find_interface(const char *name, size_t len) {
    char text[IF_NAMESIZE];
    if (len == 0 || len >= sizeof text) {
        return 0;
    }
    memcpy(text, name, len);
    text[len] = '\0';
    return if_nametoindex(text);
}

enum address_status address_parse_host(const char *host, size_t len, struct address *out) {
    const char *percent = memchr(host, '%', len);
    size_t numeric = percent != NULL ? (size_t)(percent - host) : len;
    *out = (struct address){0};
    if (!parse_numeric(host, numeric, out) ||
        (percent != NULL && memchr(host, ':', numeric) == NULL)) {
        *out = (struct address){0};
        return ADDRESS_BAD_HOST;
    }
    if (percent != NULL) {
        uint32_t scope = find_interface(percent + 1, len - numeric - 1);
        if (scope == 0) {
            *out = (struct address){0};
            return ADDRESS_BAD_INTERFACE;
        }
        out->scope = out->family == ADDRESS_IPV6 ? scope : 0;
    }
    return ADDRESS_OK;
}

enum address_status address_parse(const char *text, struct address *out) {
    struct address_parts parts;
    uint16_t port;
    *out = (struct address){0};
    if (!address_split(text, &parts)) {
        return ADDRESS_NO_PORT;
    }
    if (!address_parse_port(parts.port, &port)) {
        return ADDRESS_BAD_PORT;
    }
    if (parts.host_len == 0 && !parts.bracketed) {
        out->family = ADDRESS_IPV6;
    } else if ((memchr(parts.host, ':', parts.host_len) != NULL) != parts.bracketed) {
        return ADDRESS_BAD_HOST;
    } else {
        enum address_status status = address_parse_host(parts.host, parts.host_len, out);
        if (status != ADDRESS_OK) {
            return status;
        }
    }
    out->port = port;
    return ADDRESS_OK;
}

const char *address_print_host(const struct address *a, char text[ADDRESS_TEXT_SIZE]) {
    if (a->family == ADDRESS_NONE || inet_ntop(a->family == ADDRESS_IPV4 ? AF_INET : AF_INET6,
                                               a->bytes, text, ADDRESS_TEXT_SIZE) == NULL) {
        snprintf(text, ADDRESS_TEXT_SIZE, "-");
    }
    return text;
}

const char *address_print(const struct address *a, char text[ADDRESS_TEXT_SIZE]) {
    char host[ADDRESS_TEXT_SIZE], interface[IF_NAMESIZE + 1] = "";
    address_print_host(a, host);
    if (a->family == ADDRESS_IPV4) {
        snprintf(text, ADDRESS_TEXT_SIZE, "%.15s:%u", host, a->port);
    } else if (a->family == ADDRESS_IPV6) {
        if (a->scope != 0 && if_indextoname(a->scope, interface + 1) != NULL) {
            interface[0] = '%';
        }
        snprintf(text, ADDRESS_TEXT_SIZE, "[%.45s%s]:%u", host, interface, a->port);
    } else {
        snprintf(text, ADDRESS_TEXT_SIZE, "-");
    }
    return text;
}

/* --- questions --- */

bool address_is_equal(const struct address *a, const struct address *b) {
    return a->family == b->family && a->port == b->port && a->scope == b->scope &&
           memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool address_is_any(const struct address *a) {
    static const uint8_t zeros[IPV6_SIZE];
    return a->family != ADDRESS_NONE && memcmp(a->bytes, zeros, IPV6_SIZE) == 0;
}

bool address_is_loopback(const struct address *a) {
    static const uint8_t ipv6_loopback[IPV6_SIZE] = {[15] = 1};
    return a->family == ADDRESS_IPV4   ? a->bytes[0] == IN_LOOPBACKNET
           : a->family == ADDRESS_IPV6 ? memcmp(a->bytes, ipv6_loopback, IPV6_SIZE) == 0
                                       : false;
}

struct address address_client_key(const struct address *a) {
    struct address key = {.family = a->family};
    memcpy(key.bytes, a->bytes, a->family == ADDRESS_IPV4 ? IPV4_SIZE : CLIENT_KEY_IPV6_SIZE);
    return key;
}

/* --- networks --- */

/* Whether the first `prefix` bits are the same. */
static bool has_prefix(const uint8_t *bytes, const uint8_t *prefix_bytes, unsigned prefix) {
    unsigned whole = prefix / 8, rest = prefix % 8;
    uint8_t mask = (uint8_t)(0xff00u >> rest);
    return memcmp(bytes, prefix_bytes, whole) == 0 &&
           (rest == 0 || ((bytes[whole] ^ prefix_bytes[whole]) & mask) == 0);
}

static bool has_host_bits(const uint8_t *bytes, unsigned prefix, unsigned total) {
    for (unsigned bit = prefix; bit < total; bit++) {
        if ((bytes[bit / 8] & (0x80u >> (bit % 8))) != 0) {
            return true;
        }
    }
    return false;
}

/* Up to three digits: more are out of every range. */
static bool parse_prefix(const char *text, unsigned total, unsigned *prefix) {
    size_t digits = strspn(text, DIGITS);
    if (digits == 0 || digits > 3 || text[digits] != '\0') {
        return false;
    }
    *prefix = (unsigned)strtoul(text, NULL, 10);
    return *prefix <= total;
}

/* The prefix counts the bits of the notation that was used, also where that is a mapped address:
 * ::ffff:192.0.2.0/120 is 192.0.2.0/24, and ::ffff:0:0/90 stays IPv6. */
enum address_status address_parse_network(const char *text, struct address_network *out) {
    size_t len = strcspn(text, "/");
    struct address a;
    uint8_t bytes[IPV6_SIZE] = {0};
    *out = (struct address_network){0};
    if (!parse_numeric(text, len, &a)) {
        return ADDRESS_BAD_HOST;
    }
    bool as_ipv6 = memchr(text, ':', len) != NULL;
    unsigned total = as_ipv6 ? 8 * IPV6_SIZE : 8 * IPV4_SIZE, prefix = total;
    if (as_ipv6) {
        address_to_ipv6(&a, bytes);
    } else {
        memcpy(bytes, a.bytes, IPV4_SIZE);
    }
    if (text[len] == '/' && !parse_prefix(text + len + 1, total, &prefix)) {
        return ADDRESS_BAD_PREFIX;
    }
    if (has_host_bits(bytes, prefix, total)) {
        return ADDRESS_HOST_BITS;
    }
    bool mapped = as_ipv6 && a.family == ADDRESS_IPV4;
    if (mapped && prefix >= MAPPED_BITS) {
        prefix -= MAPPED_BITS;
        memcpy(out->bytes, a.bytes, IPV6_SIZE);
        out->family = ADDRESS_IPV4;
    } else {
        memcpy(out->bytes, bytes, IPV6_SIZE);
        out->family = as_ipv6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    }
    out->prefix = (uint8_t)prefix;
    return ADDRESS_OK;
}

bool address_is_in(const struct address *a, const struct address_network *network) {
    return a->family == network->family && has_prefix(a->bytes, network->bytes, network->prefix);
}
