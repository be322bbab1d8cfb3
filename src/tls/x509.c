#include "tls/x509.h"
#include "tls/x509_name.h"

#include <string.h>

/* --- the public key --- */

static unsigned bit_length(struct span n) {
    while (n.len > 0 && n.data[0] == 0) {
        n.data++;
        n.len--;
    }
    unsigned bits = 0;
    if (n.len > 0) {
        for (uint8_t top = n.data[0]; top; top = (uint8_t)(top >> 1)) {
            bits++;
        }
    }
    return n.len > 0 ? (unsigned)(n.len - 1) * 8 + bits : 0;
}

static bool read_rsa_key(struct x509 *cert, struct span key) {
    struct span rsa, modulus, exponent;
    if (!der_take_tag(&key, DER_SEQUENCE, &rsa) || !der_take_magnitude(&rsa, &modulus) ||
        !der_take_magnitude(&rsa, &exponent)) {
        return false;
    }
    cert->key = X509_KEY_RSA;
    cert->key_bits = bit_length(modulus);
    cert->exponent_bits = bit_length(exponent);
    cert->public_key = modulus;
    return true;
}

bool x509_is_compressed(struct span point) {
    return point.len > 0 && (point.data[0] == 2 || point.data[0] == 3);
}

static void read_curve(struct x509 *cert, struct span curve) {
    static const struct {
        const char *oid;
        size_t len;
        enum x509_key key;
        unsigned bits;
    } curves[] = {
        {"\x2a\x86\x48\xce\x3d\x03\x01\x07", 8, X509_KEY_P256, 256},
        {"\x2b\x81\x04\x00\x22", 5, X509_KEY_P384, 384},
        {"\x2b\x81\x04\x00\x23", 5, X509_KEY_P521, 521},
    };
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++) {
        if (der_is_oid(curve, curves[i].oid, curves[i].len)) {
            cert->key = curves[i].key;
            cert->key_bits = curves[i].bits;
        }
    }
}

static bool read_public_key(struct x509 *cert, struct span spki) {
    struct span algorithm, oid, curve, bits;
    if (!der_take_tag(&spki, DER_SEQUENCE, &algorithm) ||
        !der_take_tag(&algorithm, DER_OID, &oid) || !der_take_tag(&spki, DER_BIT_STRING, &bits) ||
        bits.len < 1 || spki.len != 0) {
        return false;
    }
    struct span key = {bits.data + 1, bits.len - 1}; /* after the count of unused bits */
    cert->key = X509_KEY_OTHER;
    if (DER_IS_OID(oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")) {
        return read_rsa_key(cert, key);
    }
    if (DER_IS_OID(oid, "\x2a\x86\x48\xce\x3d\x02\x01") &&
        der_take_tag(&algorithm, DER_OID, &curve)) {
        cert->public_key = key;
        cert->has_compressed_key = x509_is_compressed(key);
        read_curve(cert, curve);
    } else if (DER_IS_OID(oid, "\x2b\x65\x70")) { /* RFC 8410 */
        cert->key = X509_KEY_ED25519;
        cert->key_bits = 253; /* as OpenSSL counts them */
        cert->public_key = key;
        return key.len == 32 && algorithm.len == 0;
    }
    return true;
}

/* --- extensions --- */

bool x509_take_extension(struct span *list, struct span *oid, bool *critical, struct span *value) {
    struct span ext;
    if (!der_take_tag(list, DER_SEQUENCE, &ext) || !der_take_tag(&ext, DER_OID, oid)) {
        return false;
    }
    *critical = false;
    if (der_next_is(ext, DER_BOOLEAN) && !der_take_boolean(&ext, critical)) {
        return false;
    }
    return der_take_tag(&ext, DER_OCTET_STRING, value) && ext.len == 0;
}

static bool read_basic_constraints(struct x509 *cert, struct span value) {
    struct span inner;
    if (!der_take_tag(&value, DER_SEQUENCE, &inner) || value.len != 0 ||
        (der_next_is(inner, DER_BOOLEAN) && !der_take_boolean(&inner, &cert->is_ca))) {
        return false;
    }
    if (der_next_is(inner, DER_INTEGER)) {
        cert->has_path_length = true;
        if (!der_take_number(&inner, &cert->path_length)) {
            return false;
        }
    }
    return inner.len == 0;
}

static bool read_key_usage(struct x509 *cert, struct span value) {
    struct span bits;
    cert->has_key_usage = true;
    if (!der_take_tag(&value, DER_BIT_STRING, &bits) || value.len != 0 || bits.len < 1 ||
        bits.data[0] > 7 || (bits.len == 1 && bits.data[0] != 0)) {
        return false;
    }
    for (unsigned i = 0; bits.len > 1 && i < 8; i++) {
        if (bits.data[1] & (0x80u >> i)) {
            cert->key_usage |= 1u << i;
        }
    }
    return true;
}

#define SERVER_AUTH "\x2b\x06\x01\x05\x05\x07\x03\x01"
#define CLIENT_AUTH "\x2b\x06\x01\x05\x05\x07\x03\x02"
#define ANY_PURPOSE "\x55\x1d\x25\x00"

static bool read_purposes(struct x509 *cert, struct span value) {
    struct span list, oid;
    cert->has_purposes = true;
    if (!der_take_tag(&value, DER_SEQUENCE, &list) || value.len != 0 || list.len == 0) {
        return false;
    }
    while (list.len > 0) {
        if (!der_take_tag(&list, DER_OID, &oid)) {
            return false;
        }
        cert->for_server_auth |= DER_IS_OID(oid, SERVER_AUTH) || DER_IS_OID(oid, ANY_PURPOSE);
        cert->for_client_auth |= DER_IS_OID(oid, CLIENT_AUTH) || DER_IS_OID(oid, ANY_PURPOSE);
    }
    return true;
}

static bool read_alt_names(struct x509 *cert, struct span value) {
    struct span rest, one;
    unsigned type;
    if (!der_take_tag(&value, DER_SEQUENCE, &cert->alt_names) || value.len != 0) {
        return false;
    }
    for (rest = cert->alt_names; x509_next_alt_name(&rest, &type, &one);) {
    }
    return rest.len == 0;
}

/* Hints, which anybody can write; what cannot be read is as good as none. */
static bool read_subject_key_id(struct x509 *cert, struct span value) {
    (void)der_take_tag(&value, DER_OCTET_STRING, &cert->subject_key_id);
    return true;
}

static bool read_authority_key_id(struct x509 *cert, struct span value) {
    struct span inner;
    if (der_take_tag(&value, DER_SEQUENCE, &inner)) {
        (void)der_take_tag(&inner, DER_CONTEXT | 0, &cert->authority_key_id);
    }
    return true;
}

static bool read_name_constraints(struct x509 *cert, struct span value) {
    return der_take_tag(&value, DER_SEQUENCE, &cert->name_constraints) && value.len == 0 &&
           cert->name_constraints.len > 0;
}

/* With the default policy, any, these change nothing unless policyConstraints asks for an explicit
 * policy. */
static bool read_policies(struct x509 *cert, struct span value) {
    (void)cert;
    struct span content;
    return der_take_tag(&value, DER_SEQUENCE, &content) && value.len == 0;
}

/* Policies are not processed, so nobody can have an explicit one. */
static bool read_policy_constraints(struct x509 *cert, struct span value) {
    (void)value;
    cert->unknown_critical = true;
    return true;
}

static bool read_number(struct x509 *cert, struct span value) {
    (void)cert;
    uint32_t number;
    return der_take_number(&value, &number) && value.len == 0;
}

/* The TLS feature extension (RFC 7633) asks for TLS extensions by their numbers: 5 for a stapled
 * OCSP response. It is of interest in a server's certificate alone, and only a hint there. */
static bool asks_for_stapling(struct span value) {
    enum { STATUS_REQUEST = 5 };
    struct span list;
    uint32_t feature;
    bool asks = false;
    if (!der_take_tag(&value, DER_SEQUENCE, &list)) {
        return false;
    }
    while (der_take_number(&list, &feature)) {
        asks |= feature == STATUS_REQUEST;
    }
    return asks;
}

/* id-ce extensions, 2.5.29.x, that are understood. */
static const struct {
    enum {
        SUBJECT_KEY_ID = 14,
        KEY_USAGE = 15,
        SUBJECT_ALT_NAME = 17,
        BASIC_CONSTRAINTS = 19,
        NAME_CONSTRAINTS = 30,
        CERTIFICATE_POLICIES = 32,
        POLICY_MAPPINGS = 33,
        AUTHORITY_KEY_ID = 35,
        POLICY_CONSTRAINTS = 36,
        EXT_KEY_USAGE = 37,
        INHIBIT_ANY_POLICY = 54
    } last;
    bool (*read)(struct x509 *cert, struct span value);
} readers[] = {
    {SUBJECT_KEY_ID, read_subject_key_id},
    {KEY_USAGE, read_key_usage},
    {SUBJECT_ALT_NAME, read_alt_names},
    {BASIC_CONSTRAINTS, read_basic_constraints},
    {NAME_CONSTRAINTS, read_name_constraints},
    {CERTIFICATE_POLICIES, read_policies},
    {POLICY_MAPPINGS, read_policies},
    {AUTHORITY_KEY_ID, read_authority_key_id},
    {POLICY_CONSTRAINTS, read_policy_constraints},
    {EXT_KEY_USAGE, read_purposes},
    {INHIBIT_ANY_POLICY, read_number},
};

static void read_extension(struct x509 *cert, struct span oid, bool critical, struct span value,
                           unsigned *seen) {
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (oid.len != 3 || oid.data[0] != 0x55 || oid.data[1] != 0x1d ||
            oid.data[2] != (uint8_t)readers[i].last) {
            continue;
        }
        bool is_hint = readers[i].last == SUBJECT_KEY_ID || readers[i].last == AUTHORITY_KEY_ID;
        if ((*seen & 1u << i) != 0 || !readers[i].read(cert, value)) {
            cert->malformed = true;
        }
        /* RFC 5280 4.2.1.1 and 4.2.1.2: never critical; nothing is enforced by them here. */
        cert->unknown_critical |= critical && is_hint;
        *seen |= 1u << i;
        return;
    }
    cert->must_staple |=
        DER_IS_OID(oid, "\x2b\x06\x01\x05\x05\x07\x01\x18") && asks_for_stapling(value);
    cert->unknown_critical |= critical;
}

static bool read_extensions(struct x509 *cert, struct span wrapped) {
    struct span list, oid, value;
    bool critical;
    unsigned seen = 0;
    if (!der_take_tag(&wrapped, DER_SEQUENCE, &list) || wrapped.len != 0) {
        return false;
    }
    cert->malformed |= cert->version != 3;
    while (list.len > 0) {
        if (!x509_take_extension(&list, &oid, &critical, &value)) {
            return false;
        }
        read_extension(cert, oid, critical, value, &seen);
    }
    return true;
}

/* --- the certificate --- */

static bool read_version(struct x509 *cert, struct span *tbs) {
    struct span wrapped;
    uint32_t version = 0;
    if (der_next_is(*tbs, DER_CONTEXT_CONSTRUCTED | 0) &&
        (!der_take_tag(tbs, DER_CONTEXT_CONSTRUCTED | 0, &wrapped) ||
         !der_take_number(&wrapped, &version) || wrapped.len != 0 || version > 2)) {
        return false;
    }
    cert->version = version + 1;
    return true;
}

static bool read_names_and_dates(struct x509 *cert, struct span *tbs) {
    struct span validity;
    if (!der_take_whole(tbs, DER_SEQUENCE, &cert->issuer) ||
        !der_take_tag(tbs, DER_SEQUENCE, &validity) ||
        !der_take_time(&validity, &cert->not_before) ||
        !der_take_time(&validity, &cert->not_after) || validity.len != 0 ||
        !der_take_whole(tbs, DER_SEQUENCE, &cert->subject)) {
        return false;
    }
    cert->malformed |= !x509_name_hash(cert->issuer, &cert->issuer_hash);
    cert->malformed |= !x509_name_hash(cert->subject, &cert->subject_hash);
    cert->self_issued = x509_name_equal(cert->subject, cert->issuer);
    return true;
}

/* Two unique identifiers, which nobody uses, and the extensions. */
static bool read_rest(struct x509 *cert, struct span tbs) {
    struct span content;
    uint8_t tag;
    while (tbs.len > 0) {
        if (!der_take(&tbs, &tag, &content, NULL)) {
            return false;
        }
        if (tag == (DER_CONTEXT_CONSTRUCTED | 3)) {
            return tbs.len == 0 && read_extensions(cert, content);
        }
        if (tag != (DER_CONTEXT | 1) && tag != (DER_CONTEXT | 2)) {
            return false;
        }
    }
    return true;
}

static bool read_tbs(struct x509 *cert, struct span tbs) {
    struct span algorithm, spki;
    if (!read_version(cert, &tbs) || !der_take_magnitude(&tbs, &cert->serial) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &algorithm) || !read_names_and_dates(cert, &tbs) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &cert->key_info)) {
        return false;
    }
    cert->malformed |= !span_equal(algorithm, cert->signature.algorithm);
    struct span whole = cert->key_info;
    return der_take_tag(&whole, DER_SEQUENCE, &spki) && read_public_key(cert, spki) &&
           read_rest(cert, tbs);
}

bool x509_read(struct x509 *cert, const uint8_t *der, size_t len) {
    struct span in = {der, len}, outer, tbs, body, bits;
    memset(cert, 0, sizeof *cert);
    cert->der = in;
    if (!der_take_tag(&in, DER_SEQUENCE, &outer) || in.len != 0 ||
        !der_take_whole(&outer, DER_SEQUENCE, &cert->signature.body) ||
        !der_take_whole(&outer, DER_SEQUENCE, &cert->signature.algorithm) ||
        !der_take_tag(&outer, DER_BIT_STRING, &bits) || bits.len < 1 || outer.len != 0) {
        return false;
    }
    cert->malformed |= bits.data[0] != 0; /* unused bits at the end */
    cert->signature.signature = (struct span){bits.data + 1, bits.len - 1};
    body = cert->signature.body;
    return der_take_tag(&body, DER_SEQUENCE, &tbs) && read_tbs(cert, tbs);
}

/* GeneralName (RFC 5280 4.2.1.6): context tags 0 to 8, of which these are constructed. */
static bool is_general_name(uint8_t tag) {
    enum { CLASS = 0xc0, CONSTRUCTED = 0x20, LAST = 8 };
    static const unsigned constructed = 1u << 0 | 1u << 3 | 1u << 4 | 1u << 5;
    unsigned type = tag & 0x1f;
    return (tag & CLASS) == DER_CONTEXT && type <= LAST &&
           ((tag & CONSTRUCTED) != 0) == ((constructed >> type & 1) != 0);
}

bool x509_next_alt_name(struct span *rest, unsigned *type, struct span *value) {
    struct span after = *rest;
    uint8_t tag;
    if (!der_take(&after, &tag, value, NULL) || !is_general_name(tag)) {
        return false;
    }
    *rest = after;
    *type = tag & 0x1f;
    return true;
}

/* --- what OpenSSL trusts a certificate for --- */

/* `otherwise`: for a list that cannot be read. */
static bool lists_clients(struct span purposes, bool otherwise) {
    struct span oid;
    bool found = false;
    while (purposes.len > 0) {
        if (!der_take_tag(&purposes, DER_OID, &oid)) {
            return otherwise;
        }
        found |= DER_IS_OID(oid, CLIENT_AUTH) || DER_IS_OID(oid, ANY_PURPOSE);
    }
    return found;
}

bool x509_trusts_clients(struct span trust) {
    enum { REJECTED = DER_CONTEXT_CONSTRUCTED | 0 };
    struct span lists, purposes;
    if (trust.len == 0) {
        return true;
    }
    if (!der_take_tag(&trust, DER_SEQUENCE, &lists) || trust.len != 0) {
        return false;
    }
    if (der_next_is(lists, DER_SEQUENCE) &&
        (!der_take_tag(&lists, DER_SEQUENCE, &purposes) ||
         (purposes.len > 0 && !lists_clients(purposes, false)))) {
        return false;
    }
    return !der_next_is(lists, REJECTED) ||
           (der_take_tag(&lists, REJECTED, &purposes) && !lists_clients(purposes, true));
}
