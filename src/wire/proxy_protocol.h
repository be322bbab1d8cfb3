/* PROXY protocol headers, versions 1 and 2: read from a balancer in front of us, and written to the
 * broker, with the client's address.
 *
 * Pure functions over bytes, no allocation. The source is HAProxy's doc/proxy-protocol.txt. */
#ifndef POSTERN_WIRE_PROXY_PROTOCOL_H
#define POSTERN_WIRE_PROXY_PROTOCOL_H

#include "core/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- reading --- */

/* The longest header accepted: a line of version 1 has 107 bytes, a block of version 2 has 16 and
 * at most 4,096 more (addresses and TLVs). Of the TLVs only PP2_TYPE_CRC32C means something here: a
 * checksum that is wrong, or there twice, makes the header malformed, and so does a TLV that is
 * longer than what is left. One or two bytes after the last TLV are passed over, as in HAProxy.
 * With LOCAL everything after the fixed 16 bytes is discarded unread, as specified. */
enum { PROXY_HEADER_V1_MAX = 107, PROXY_HEADER_IN_MAX = 16 + 4096 };

enum proxy_header_status {
    PROXY_HEADER_OK,
    PROXY_HEADER_MORE, /* right so far: call again with more bytes, from the first one */
    PROXY_HEADER_BAD   /* not a PROXY header, or malformed */
};

struct proxy_header {
    size_t size; /* of the header; the client's own bytes follow */
    /* False for LOCAL, UNKNOWN, and what has no IP address and TCP port (UNSPEC, UNIX, datagrams):
     * the connection's own addresses apply, and those below are ADDRESS_NONE. */
    bool has_addresses;
    struct address source, destination; /* IPv4 or IPv6, each by itself */
};

/* `len` bytes from the very first one. What is not a header is known by its first wrong byte; a
 * line is checked when it ends, a block's fields one by one. `out` is filled for PROXY_HEADER_OK
 * only, but may be written to with any result. */
enum proxy_header_status proxy_header_parse(const uint8_t *data, size_t len,
                                            struct proxy_header *out)
    __attribute__((warn_unused_result));

/* --- writing --- */

enum {
    PROXY_HEADER_OUT_MAX = 500, /* Mosquitto 2.1 refuses more, and needs it in one write */
    PROXY_HEADER_NAME_MAX =
        255 /* bytes of a common name that always fit; identities have no more */
};

/* What the broker gets to know of the client's TLS; strings are NUL-terminated. */
struct proxy_tls {
    const char *version;     /* as OpenSSL names it: "TLSv1.2" */
    const char *cipher;      /* likewise: "ECDHE-RSA-AES128-GCM-SHA256"; NULL: not sent */
    const char *common_name; /* of the client's certificate, UTF-8; NULL or "": not sent */
    const char *server_name; /* sent as PP2_TYPE_AUTHORITY if it fits; NULL or "": not sent */
    /* A verified client certificate belongs to the TLS session, perhaps since before a resumption;
     * and it was presented in this connection. */
    bool session_certificate, connection_certificate;
};

/* Each writes the whole header and returns its size. If one address is IPv4 and the other IPv6,
 * both are sent as IPv6. If one is ADDRESS_NONE, version 1 has UNKNOWN, version 2 PROXY with
 * AF_UNSPEC, which keeps the TLVs meaningful (a receiver discards them with LOCAL, and
 * Mosquitto 2.1 closes). */
size_t proxy_header_v1(const struct address *source, const struct address *destination,
                       char out[PROXY_HEADER_V1_MAX + 1]) __attribute__((warn_unused_result));

/* `tls` NULL: no TLVs. Else PP2_TYPE_AUTHORITY and PP2_TYPE_SSL, in HAProxy's order: VERSION, CN,
 * CIPHER. The verify field is 0 with a session_certificate (which then was verified) and 1 without,
 * as specified. A common name is never cut: one of more than PROXY_HEADER_NAME_MAX
 * bytes (X.509 allows 64 characters, an identity has at most 255 bytes), or a header over
 * PROXY_HEADER_OUT_MAX even without the server name, yields 0 and nothing may be sent. */
size_t proxy_header_v2(const struct address *source, const struct address *destination,
                       const struct proxy_tls *tls, uint8_t out[PROXY_HEADER_OUT_MAX])
    __attribute__((warn_unused_result));

#endif
