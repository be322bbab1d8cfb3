#include "tls/identity.h"

#include "core/hex.h"
#include "core/utf8.h"
#include "tls/wolfssl.h"
#include "tls/x509_name.h"

#include <string.h>

#include <wolfssl/wolfcrypt/hash.h>

enum { IDENTITY_MAX = 255, TAG_UTF8 = 0x0c, TAG_PRINTABLE = 0x13, TAG_IA5 = 0x16 };

bool identity_is_valid(struct span value) {
    return value.len <= IDENTITY_MAX && utf8_is_name(value.data, value.len);
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
    bool found = false;
    switch (kind) {
    case IDENTITY_FINGERPRINT:
        return fingerprint(der, out);
    case IDENTITY_CN:
        found = x509_common_name(cert->subject, &value, &tag) == 1 && is_string(tag);
        break;
    case IDENTITY_SAN_DNS:
        found = only_alt_name(cert, X509_ALT_DNS, &value);
        break;
    case IDENTITY_SAN_URI:
        found = only_alt_name(cert, X509_ALT_URI, &value);
        break;
    }
    return found && copy(value, out);
}
