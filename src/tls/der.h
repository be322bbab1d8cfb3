/* Reading DER (X.690): one element after the other from the front of a span, never past its end.
 *
 * Strict: definite lengths in their shortest form and single-byte tags. Nothing is copied and
 * nothing is allocated; spans point into the caller's bytes. */
#ifndef POSTERN_TLS_DER_H
#define POSTERN_TLS_DER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
    const uint8_t *data;
    size_t len;
};

bool span_equal(struct span a, struct span b);

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_UTF8 = 0x0c,
    DER_PRINTABLE = 0x13,
    DER_TELETEX = 0x14,
    DER_IA5 = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_UNIVERSAL = 0x1c,
    DER_BMP = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT = 0x80,            /* [n] of a simple type is DER_CONTEXT | n */
    DER_CONTEXT_CONSTRUCTED = 0xa0 /* [n] of a constructed one */
};

/* Takes one element from the front of `in`: its tag and content; `whole` (may be NULL) is set to it
 * with its header. False, and `in` as it was, if there is none. */
bool der_take(struct span *in, uint8_t *tag, struct span *content, struct span *whole);
/* The same, for an element that must have this tag. */
bool der_take_tag(struct span *in, uint8_t wanted, struct span *content);
bool der_take_whole(struct span *in, uint8_t wanted, struct span *whole);
bool der_next_is(struct span in, uint8_t tag);

/* TRUE or FALSE as DER writes them. */
bool der_take_boolean(struct span *in, bool *value);
/* A non-negative INTEGER without leading zeros; larger ones become UINT32_MAX. */
bool der_take_number(struct span *in, uint32_t *value);
/* An INTEGER's content without leading zeros (one is left of a zero). */
bool der_take_magnitude(struct span *in, struct span *value);
/* UTCTime or GeneralizedTime as RFC 5280 4.1.2.5 has them, in seconds since 1970. */
bool der_take_time(struct span *in, int64_t *out);

bool der_is_oid(struct span oid, const char *bytes, size_t len);
#define DER_IS_OID(oid, bytes) der_is_oid(oid, bytes, sizeof(bytes) - 1)

#endif
