/* Addresses of IPv4 and IPv6 with a port: the one type, its text, and its way to and from sockaddr.
 *
 * Pure functions, no allocation; only an interface's name (of link-local addresses) is asked of the
 * system. An IPv4 address mapped into IPv6 (::ffff:192.0.2.7, RFC 4291 2.5.5.2) becomes IPv4 in
 * every function that makes an address, so that no other code has to know of the two forms. */
#ifndef POSTERN_CORE_ADDRESS_H
#define POSTERN_CORE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum address_family { ADDRESS_NONE, ADDRESS_IPV4, ADDRESS_IPV6 };

/* Embedded in many structs, so that it is kept small. The functions here make it; others read it
 * and may set `port` and `scope`. Zeroed is ADDRESS_NONE: no address, or one that is neither IPv4
 * nor IPv6. */
struct address {
    uint8_t bytes[16]; /* network order; of IPv4 the first four, the rest is 0 */
    uint32_t scope;    /* the interface of a link-local IPv6 address (RFC 4007), or 0 */
    uint16_t port;     /* host order */
    uint8_t family;    /* enum address_family */
};

/* --- sockaddr and bytes --- */

struct address address_from_sockaddr(const struct sockaddr *sa, socklen_t len);

/* Returns the length; 0 for ADDRESS_NONE, and `out` has AF_UNSPEC. */
socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out);

/* `size` is 4 or 16. */
struct address address_from_bytes(const uint8_t *bytes, size_t size, uint16_t port);

/* The sixteen bytes of an IPv6 address; IPv4 is mapped into IPv6. Not for ADDRESS_NONE. */
void address_to_ipv6(const struct address *a, uint8_t out[16]);

/* --- text --- */

/* After anything but ADDRESS_OK the functions below leave zeros in `out`: ADDRESS_NONE. */
enum address_status {
    ADDRESS_OK,
    ADDRESS_NO_PORT,       /* not HOST:PORT */
    ADDRESS_BAD_PORT,      /* not 0 to 65535 */
    ADDRESS_BAD_HOST,      /* not numeric, or IPv6 without brackets, or IPv4 in them */
    ADDRESS_BAD_INTERFACE, /* what stands after % is not an interface of this system */
    ADDRESS_BAD_PREFIX,    /* of a network: not 0 to 32 or 128 */
    ADDRESS_HOST_BITS      /* of a network: bits are set after the prefix */
};

/* 0.0.0.0:8883, [::]:8883, [fe80::1%eth0]:8883; :8883 is [::]:8883. */
enum address_status address_parse(const char *text, struct address *out)
    __attribute__((warn_unused_result));

/* A host alone, of `len` bytes: 192.0.2.7, 2001:db8::7, fe80::1%eth0. The port is 0. */
enum address_status address_parse_host(const char *host, size_t len, struct address *out)
    __attribute__((warn_unused_result));

/* Digits alone, at most five of them. After false `*port` is undefined. */
bool address_parse_port(const char *text, uint16_t *port) __attribute__((warn_unused_result));

/* HOST:PORT or [HOST]:PORT taken apart; the parts point into the text and are not checked. False if
 * the text is neither, and `out` is undefined. */
struct address_parts {
    const char *host; /* without brackets */
    size_t host_len;
    bool bracketed;
    const char *port; /* to the end of the text */
};
bool address_split(const char *text, struct address_parts *out) __attribute__((warn_unused_result));

/* Room for every text below, with its NUL. */
enum { ADDRESS_TEXT_SIZE = 80 };

/* "192.0.2.7:50122", "[2001:db8::1]:1", "[fe80::1%eth0]:1", "-" for ADDRESS_NONE; and without
 * port, brackets and interface: "192.0.2.7". Both return `text`. */
const char *address_print(const struct address *a, char text[ADDRESS_TEXT_SIZE]);
const char *address_print_host(const struct address *a, char text[ADDRESS_TEXT_SIZE]);

/* --- questions --- */

/* In the port and the interface, too. */
bool address_is_equal(const struct address *a, const struct address *b);

bool address_is_any(const struct address *a);      /* 0.0.0.0, :: */
bool address_is_loopback(const struct address *a); /* 127.0.0.0/8, ::1 */

/* What limits count a client by: an IPv4 address, or the /64 of an IPv6 one, since a network of
 * that size is one customer's (RFC 6177). Port and interface are 0. */
struct address address_client_key(const struct address *a);

/* --- networks --- */

struct address_network {
    uint8_t bytes[16]; /* as in struct address; 0 after the prefix */
    uint8_t family;    /* never ADDRESS_NONE */
    uint8_t prefix;    /* bits */
};

/* 192.0.2.0/24, 2001:db8::/32, or a single address. A network of mapped addresses is IPv4. */
enum address_status address_parse_network(const char *text, struct address_network *out)
    __attribute__((warn_unused_result));

bool address_is_in(const struct address *a, const struct address_network *network);

#endif
