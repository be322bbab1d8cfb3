#include "tls/x509.h"
#include "tls/wolfssl.h"

#include <stdio.h>
#include <string.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/signature.h>

enum {
    TAG_BOOLEAN = 0x01,
    TAG_INTEGER = 0x02,
    TAG_BIT_STRING = 0x03,
    TAG_OCTET_STRING = 0x04,
    TAG_OID = 0x06,
    TAG_UTC_TIME = 0x17,
    TAG_GENERALIZED_TIME = 0x18,
    TAG_SEQUENCE = 0x30,
    TAG_SET = 0x31,
    TAG_CONTEXT_0 = 0xa0,
    TAG_CONTEXT_3 = 0xa3
};

/* Takes one element from the front of `in`: its tag and content; `whole` (may be NULL) is set to it
 * with its header. DER: definite, shortest lengths; single-byte tags. */
static bool take(struct span *in, uint8_t *tag, struct span *content, struct span *whole) {
    const uint8_t *p = in->data;
    size_t left = in->len;
    if (left < 2 || (p[0] & 0x1f) == 0x1f) {
        return false;
    }
    size_t header = 2, len = p[1];
    if (len == 0x80 || len > 0x84) {
        return false;
    }
    if (len > 0x80) {
        size_t bytes = len - 0x80;
        header += bytes;
        if (left < header || p[2] == 0) {
            return false;
        }
        len = 0;
        for (size_t i = 0; i < bytes; i++) {
            len = len << 8 | p[2 + i];
        }
        if (len < 0x80) {
            return false;
        }
    }
    if (len > left - header) {
        return false;
    }
    *tag = p[0];
    *content = (struct span){p + header, len};
    if (whole != NULL) {
        *whole = (struct span){p, header + len};
    }
    *in = (struct span){p + header + len, left - header - len};
    return true;
}

static bool take_tag(struct span *in, uint8_t wanted, struct span *content) {
    struct span rest = *in;
    uint8_t tag;
    if (!take(&rest, &tag, content, NULL) || tag != wanted) {
        return false;
    }
    *in = rest;
    return true;
}

static bool next_is(struct span in, uint8_t tag) {
    return in.len > 0 && in.data[0] == tag;
}

static bool is_oid(struct span oid, const char *bytes, size_t len) {
    return oid.len == len && memcmp(oid.data, bytes, len) == 0;
}
#define IS_OID(oid, bytes) is_oid(oid, bytes, sizeof bytes - 1)

static bool take_serial(struct span *in, struct span *serial) {
    if (!take_tag(in, TAG_INTEGER, serial) || serial->len == 0) {
        return false;
    }
    while (serial->len > 1 && serial->data[0] == 0) {
        serial->data++;
        serial->len--;
    }
    return true;
}

/* Days since 1970-01-01 of a civil date (proleptic Gregorian). */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

/* Year, month, day, hour, minute, second. */
static bool is_time(const int64_t field[6]) {
    static const int64_t most[] = {9999, 12, 31, 23, 59, 59};
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        if (field[i] > most[i]) {
            return false;
        }
    }
    int64_t first = days_from_civil(field[0], field[1], 1);
    int64_t next = days_from_civil(field[0] + field[1] / 12, field[1] % 12 + 1, 1);
    return field[1] >= 1 && field[2] >= 1 && field[2] <= next - first;
}

/* YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ (RFC 5280 4.1.2.5). */
static bool take_time(struct span *in, int64_t *out) {
    uint8_t tag;
    struct span t;
    if (!take(in, &tag, &t, NULL) || (tag != TAG_UTC_TIME && tag != TAG_GENERALIZED_TIME)) {
        return false;
    }
    size_t year_digits = tag == TAG_UTC_TIME ? 2 : 4;
    if (t.len != year_digits + 11 || t.data[t.len - 1] != 'Z') {
        return false;
    }
    int64_t field[6] = {0};
    for (size_t i = 0; i + 1 < t.len; i++) {
        if (t.data[i] < '0' || t.data[i] > '9') {
            return false;
        }
        size_t f = i < year_digits ? 0 : 1 + (i - year_digits) / 2;
        field[f] = field[f] * 10 + (t.data[i] - '0');
    }
    if (tag == TAG_UTC_TIME) {
        field[0] += field[0] >= 50 ? 1900 : 2000;
    }
    if (!is_time(field)) {
        return false;
    }
    *out = days_from_civil(field[0], field[1], field[2]) * 86400 + field[3] * 3600 + field[4] * 60 +
           field[5];
    return true;
}

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
    return n.len ? (unsigned)(n.len - 1) * 8 + bits : 0;
}

static bool read_public_key(struct x509 *cert, struct span spki) {
    struct span algorithm, oid, curve, bits, rsa, modulus;
    if (!take_tag(&spki, TAG_SEQUENCE, &algorithm) || !take_tag(&algorithm, TAG_OID, &oid) ||
        !take_tag(&spki, TAG_BIT_STRING, &bits) || bits.len < 1) {
        return false;
    }
    cert->key = X509_KEY_OTHER;
    if (IS_OID(oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")) {
        struct span key = {bits.data + 1, bits.len - 1};
        if (!take_tag(&key, TAG_SEQUENCE, &rsa) || !take_tag(&rsa, TAG_INTEGER, &modulus)) {
            return false;
        }
        cert->key = X509_KEY_RSA;
        cert->key_bits = bit_length(modulus);
        while (modulus.len > 0 && modulus.data[0] == 0) {
            modulus.data++;
            modulus.len--;
        }
        cert->public_key = modulus;
    } else if (IS_OID(oid, "\x2a\x86\x48\xce\x3d\x02\x01") &&
               take_tag(&algorithm, TAG_OID, &curve)) {
        cert->public_key = (struct span){bits.data + 1, bits.len - 1};
        if (IS_OID(curve, "\x2a\x86\x48\xce\x3d\x03\x01\x07")) {
            cert->key = X509_KEY_P256;
            cert->key_bits = 256;
        } else if (IS_OID(curve, "\x2b\x81\x04\x00\x22")) {
            cert->key = X509_KEY_P384;
            cert->key_bits = 384;
        }
    }
    return true;
}

/* Steps through Extensions: OID, critical, content of the OCTET STRING. */
static bool take_extension(struct span *in, struct span *oid, bool *critical, struct span *value) {
    struct span ext, flag;
    if (!take_tag(in, TAG_SEQUENCE, &ext) || !take_tag(&ext, TAG_OID, oid)) {
        return false;
    }
    *critical = false;
    if (next_is(ext, TAG_BOOLEAN)) {
        if (!take_tag(&ext, TAG_BOOLEAN, &flag) || flag.len != 1) {
            return false;
        }
        *critical = flag.data[0] != 0;
    }
    return take_tag(&ext, TAG_OCTET_STRING, value) && ext.len == 0;
}

static bool read_extensions(struct x509 *cert, struct span wrapped) {
    struct span list, oid, value, inner, flag;
    bool critical;
    if (!take_tag(&wrapped, TAG_SEQUENCE, &list)) {
        return false;
    }
    while (list.len > 0) {
        if (!take_extension(&list, &oid, &critical, &value)) {
            return false;
        }
        if (IS_OID(oid, "\x55\x1d\x11")) { /* subjectAltName */
            if (cert->alt_names.data != NULL || !take_tag(&value, TAG_SEQUENCE, &cert->alt_names)) {
                return false;
            }
        } else if (IS_OID(oid, "\x55\x1d\x13")) { /* basicConstraints */
            if (!take_tag(&value, TAG_SEQUENCE, &inner)) {
                return false;
            }
            if (next_is(inner, TAG_BOOLEAN)) {
                cert->is_ca = take_tag(&inner, TAG_BOOLEAN, &flag) && flag.len == 1 && flag.data[0];
            }
        }
    }
    return true;
}

bool x509_read(struct x509 *cert, const uint8_t *der, size_t len) {
    struct span in = {der, len}, outer, tbs, ignored, validity, spki, extensions;
    uint8_t tag;
    memset(cert, 0, sizeof *cert);
    if (!take_tag(&in, TAG_SEQUENCE, &outer) || in.len != 0 ||
        !take_tag(&outer, TAG_SEQUENCE, &tbs)) {
        return false;
    }
    if (next_is(tbs, TAG_CONTEXT_0) && !take_tag(&tbs, TAG_CONTEXT_0, &ignored)) { /* version */
        return false;
    }
    if (!take_serial(&tbs, &cert->serial) || !take_tag(&tbs, TAG_SEQUENCE, &ignored) ||
        !take(&tbs, &tag, &ignored, &cert->issuer) || tag != TAG_SEQUENCE ||
        !take_tag(&tbs, TAG_SEQUENCE, &validity) || !take_time(&validity, &cert->not_before) ||
        !take_time(&validity, &cert->not_after) || !take(&tbs, &tag, &ignored, &cert->subject) ||
        tag != TAG_SEQUENCE || !take(&tbs, &tag, &spki, &cert->key_info) || tag != TAG_SEQUENCE ||
        !read_public_key(cert, spki)) {
        return false;
    }
    while (tbs.len > 0) {
        if (!take(&tbs, &tag, &extensions, NULL)) {
            return false;
        }
        if (tag == TAG_CONTEXT_3 && !read_extensions(cert, extensions)) {
            return false;
        }
    }
    return true;
}

bool x509_next_alt_name(struct span *rest, unsigned *type, struct span *value) {
    uint8_t tag;
    if (!take(rest, &tag, value, NULL)) {
        return false;
    }
    *type = tag & 0x1f;
    return true;
}

/* Steps through the attributes of a Name's RDNs. `set` holds what is left of the current RDN. */
static bool take_attribute(struct span *rdns, struct span *set, struct span *oid, uint8_t *tag,
                           struct span *value) {
    struct span pair;
    if (set->len == 0 && !take_tag(rdns, TAG_SET, set)) {
        return false;
    }
    return take_tag(set, TAG_SEQUENCE, &pair) && take_tag(&pair, TAG_OID, oid) &&
           take(&pair, tag, value, NULL);
}

size_t x509_common_name(struct span name, struct span *value, uint8_t *tag) {
    struct span rdns, set = {0}, oid, v;
    uint8_t t;
    size_t count = 0;
    if (!take_tag(&name, TAG_SEQUENCE, &rdns)) {
        return 0;
    }
    while (take_attribute(&rdns, &set, &oid, &t, &v)) {
        if (!IS_OID(oid, "\x55\x04\x03")) {
            continue;
        }
        if (count++ == 0) {
            *value = v;
            *tag = t;
        }
    }
    return count;
}

static const char *attribute_name(struct span oid) {
    static const struct {
        char last;
        const char *name;
    } names[] = {{3, "CN"}, {4, "SN"}, {5, "serialNumber"}, {6, "C"},
                 {7, "L"},  {8, "ST"}, {10, "O"},           {11, "OU"}};
    if (oid.len == 3 && oid.data[0] == 0x55 && oid.data[1] == 0x04) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (oid.data[2] == names[i].last) {
                return names[i].name;
            }
        }
    }
    return "?";
}

void x509_name_text(struct span name, char *out, size_t cap) {
    struct span rdns, set = {0}, oid, value;
    uint8_t tag;
    size_t used = 0;
    out[0] = '\0';
    if (!take_tag(&name, TAG_SEQUENCE, &rdns)) {
        return;
    }
    while (take_attribute(&rdns, &set, &oid, &tag, &value) && used + 2 < cap) {
        int n = snprintf(out + used, cap - used, "%s%s=", used ? ", " : "", attribute_name(oid));
        used += n < 0 ? 0 : (size_t)n;
        for (size_t i = 0; i < value.len && used + 1 < cap; i++) {
            out[used++] = value.data[i] >= 0x20 && value.data[i] < 0x7f ? (char)value.data[i] : '?';
        }
        if (used >= cap) {
            used = cap - 1;
        }
        out[used] = '\0';
    }
}

bool x509_read_crl(struct x509_crl *crl, const uint8_t *der, size_t len) {
    struct span in = {der, len}, outer, tbs, ignored, wrapped, list, oid, value, algorithm;
    uint8_t tag;
    bool critical;
    memset(crl, 0, sizeof *crl);
    if (!take_tag(&in, TAG_SEQUENCE, &outer) || in.len != 0 ||
        !take(&outer, &tag, &tbs, &crl->signed_part) || tag != TAG_SEQUENCE ||
        !take_tag(&outer, TAG_SEQUENCE, &algorithm) ||
        !take_tag(&algorithm, TAG_OID, &crl->signature_oid) ||
        !take_tag(&outer, TAG_BIT_STRING, &crl->signature) || crl->signature.len < 1) {
        return false;
    }
    crl->signature.data++; /* the count of unused bits */
    crl->signature.len--;
    if (next_is(tbs, TAG_INTEGER) && !take_tag(&tbs, TAG_INTEGER, &ignored)) {
        return false;
    }
    if (!take_tag(&tbs, TAG_SEQUENCE, &ignored) || !take(&tbs, &tag, &ignored, &crl->issuer) ||
        tag != TAG_SEQUENCE || !take_time(&tbs, &crl->this_update)) {
        return false;
    }
    if ((next_is(tbs, TAG_UTC_TIME) || next_is(tbs, TAG_GENERALIZED_TIME)) &&
        !take_time(&tbs, &crl->next_update)) {
        return false;
    }
    if (next_is(tbs, TAG_SEQUENCE) && !take_tag(&tbs, TAG_SEQUENCE, &crl->revoked)) {
        return false;
    }
    if (next_is(tbs, TAG_CONTEXT_0)) {
        if (!take_tag(&tbs, TAG_CONTEXT_0, &wrapped) || !take_tag(&wrapped, TAG_SEQUENCE, &list) ||
            wrapped.len != 0) {
            return false;
        }
        while (list.len > 0) {
            if (!take_extension(&list, &oid, &critical, &value)) {
                return false;
            }
            crl->special |= critical;
        }
    }
    /* What is left over was not read: it might be the list itself, under a tag that others accept.
     */
    return tbs.len == 0 && outer.len == 0;
}

static const struct {
    const char *oid;
    size_t len;
    enum wc_HashType hash;
    bool rsa;
} signatures[] = {
    {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", 9, WC_HASH_TYPE_SHA256, true},
    {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", 9, WC_HASH_TYPE_SHA384, true},
    {"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", 9, WC_HASH_TYPE_SHA512, true},
    {"\x2a\x86\x48\xce\x3d\x04\x03\x02", 8, WC_HASH_TYPE_SHA256, false},
    {"\x2a\x86\x48\xce\x3d\x04\x03\x03", 8, WC_HASH_TYPE_SHA384, false},
    {"\x2a\x86\x48\xce\x3d\x04\x03\x04", 8, WC_HASH_TYPE_SHA512, false},
};

static bool rsa_signed(const struct x509_crl *crl, enum wc_HashType hash,
                       const struct x509 *issuer) {
    RsaKey key;
    word32 at = 0;
    if (wc_InitRsaKey(&key, NULL) != 0) {
        return false;
    }
    bool good = wc_RsaPublicKeyDecode(issuer->key_info.data, &at, &key,
                                      (word32)issuer->key_info.len) == 0 &&
                wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_RSA_W_ENC, crl->signed_part.data,
                                   (word32)crl->signed_part.len, crl->signature.data,
                                   (word32)crl->signature.len, &key, sizeof key) == 0;
    wc_FreeRsaKey(&key);
    return good;
}

static bool ecc_signed(const struct x509_crl *crl, enum wc_HashType hash,
                       const struct x509 *issuer) {
    ecc_key key;
    word32 at = 0;
    if (wc_ecc_init(&key) != 0) {
        return false;
    }
    bool good = wc_EccPublicKeyDecode(issuer->key_info.data, &at, &key,
                                      (word32)issuer->key_info.len) == 0 &&
                wc_SignatureVerify(hash, WC_SIGNATURE_TYPE_ECC, crl->signed_part.data,
                                   (word32)crl->signed_part.len, crl->signature.data,
                                   (word32)crl->signature.len, &key, sizeof key) == 0;
    wc_ecc_free(&key);
    return good;
}

bool x509_crl_signed_by(const struct x509_crl *crl, const struct x509 *issuer) {
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        if (is_oid(crl->signature_oid, signatures[i].oid, signatures[i].len)) {
            return signatures[i].rsa ? rsa_signed(crl, signatures[i].hash, issuer)
                                     : ecc_signed(crl, signatures[i].hash, issuer);
        }
    }
    return false;
}

bool x509_next_revoked(struct span *rest, struct span *serial, bool *bad) {
    struct span entry;
    *bad = false;
    if (rest->len == 0) {
        return false;
    }
    if (take_tag(rest, TAG_SEQUENCE, &entry) && take_serial(&entry, serial)) {
        return true;
    }
    *bad = true;
    return false;
}
