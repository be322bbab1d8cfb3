#include "tls/identity.h"

#include "core/hex.h"
#include "core/utf8.h"
#include "tls/wolfssl.h"
#include "tls/x509_name.h"

#include <string.h>

#include <wolfssl/wolfcrypt/hash.h>

enum { IDENTITY_MAX = 255, TAG_UTF8 = 0x0c, TAG_PRINTABLE = 0x13, TAG_IA5 = 0x16 };

/* Characters without a shape, and those that turn or reorder others: two names that look the same
 * must be the same. Unicode 15, general category Cf, and the default ignorable code points. */
static bool is_invisible(uint32_t code) {
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0xad, 0xad},       {0x34f, 0x34f},     {0x600, 0x605},     {0x61c, 0x61c},
        {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},
        {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},
        {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},   {0xfffe, 0xffff},
        {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3},
        {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

bool identity_is_valid(struct span value) {
    for (size_t at = 0; at < value.len;) {
        uint32_t code;
        size_t len = utf8_decode(value.data + at, value.len - at, &code);
        if (len == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0) || code == '+' ||
            code == '#' || is_invisible(code)) {
            return false;
        }
        at += len;
    }
    return value.len > 0 && value.len <= IDENTITY_MAX;
}

static bool copy(struct span value, char out[256]) {
    if (!identity_is_valid(value)) {
        return false;
    }
    memcpy(out, value.data, value.len);
    out[value.len] = '\0';
    return true;
}

static bool is_string(uint8_t tag) {
    return tag == TAG_UTF8 || tag == TAG_PRINTABLE || tag == TAG_IA5;
}

/* The only alternative name of that type. */
static bool only_alt_name(const struct x509 *cert, unsigned wanted, struct span *value) {
    struct span rest = cert->alt_names, one;
    unsigned type, found = 0;
    while (x509_next_alt_name(&rest, &type, &one)) {
        if (type == wanted) {
            *value = one;
            found++;
        }
    }
    return found == 1 && rest.len == 0;
}

bool identity_hash(struct span der, uint8_t hash[32]) {
    return wc_Sha256Hash(der.data, (word32)der.len, hash) == 0;
}

static bool fingerprint(struct span der, char out[256]) {
    uint8_t hash[32];
    if (!identity_hash(der, hash)) {
        return false;
    }
    hex_print(hash, sizeof hash, out);
    return true;
}

bool identity_read(enum config_identity kind, const struct x509 *cert, struct span der,
                   char out[256]) {
    struct span value = {0};
    uint8_t tag = 0;
    if (kind == IDENTITY_FINGERPRINT) {
        return fingerprint(der, out);
    }
    bool found =
        kind == IDENTITY_CN
            ? x509_common_name(cert->subject, &value, &tag) == 1 && is_string(tag)
            : only_alt_name(cert, kind == IDENTITY_SAN_DNS ? X509_ALT_DNS : X509_ALT_URI, &value);
    return found && copy(value, out);
}
