/* Certificates, CRLs and names: what is accepted lies inside the input and is consistent; where
 * OpenSSL reads the same bytes, it reads the same serials, names, dates and keys in them. */
#include "tls/crl.h"
#include "tls/identity.h"
#include "tls/x509_name.h"

#include "fuzz.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { SEQUENCE = 0x30, SERIAL_MAX = 4096 };

static bool is_inside(struct span part, const uint8_t *data, size_t size) {
    return part.data >= data && part.data <= data + size &&
           part.len <= size - (size_t)(part.data - data);
}

static bool is_stripped(struct span number) {
    return number.len == 1 || (number.len > 1 && number.data[0] != 0);
}

/* --- against OpenSSL --- */

/* A negative number has no magnitude that both would write the same way: nothing to compare. */
static bool same_number(const ASN1_INTEGER *theirs, struct span ours) {
    uint8_t bytes[SERIAL_MAX] = {0};
    BIGNUM *number = ASN1_INTEGER_to_BN(theirs, NULL);
    CHECK(number != NULL);
    const int len = BN_num_bytes(number);
    bool same = true;
    if (!BN_is_negative(number) && len <= SERIAL_MAX) {
        (void)BN_bn2bin(number, bytes);
        same = ours.len == (size_t)(len > 0 ? len : 1) && memcmp(bytes, ours.data, ours.len) == 0;
    }
    BN_free(number);
    return same;
}

static bool same_name(const X509_NAME *theirs, struct span ours) {
    uint8_t *der = NULL;
    const int len = i2d_X509_NAME(theirs, &der);
    const bool same = len > 0 && ours.len == (size_t)len && memcmp(der, ours.data, ours.len) == 0;
    OPENSSL_free(der);
    return same;
}

static bool same_time(const ASN1_TIME *theirs, int64_t ours) {
    struct tm tm;
    return ASN1_TIME_to_tm(theirs, &tm) == 1 && (int64_t)timegm(&tm) == ours;
}

static void compare_keys(const X509 *theirs, const struct x509 *ours) {
    EVP_PKEY *key = X509_get0_pubkey(theirs);
    if (key == NULL) {
        return;
    }
    CHECK((EVP_PKEY_base_id(key) == EVP_PKEY_RSA) == (ours->key == X509_KEY_RSA));
    if (ours->key != X509_KEY_OTHER) {
        CHECK(EVP_PKEY_bits(key) == (int)ours->key_bits);
    }
}

static void compare_certificate(const struct x509 *ours, const uint8_t *data, size_t size) {
    const uint8_t *at = data;
    X509 *theirs = d2i_X509(NULL, &at, (long)size);
    if (theirs != NULL && at == data + size) {
        CHECK(same_number(X509_get0_serialNumber(theirs), ours->serial));
        CHECK(same_name(X509_get_issuer_name(theirs), ours->issuer));
        CHECK(same_name(X509_get_subject_name(theirs), ours->subject));
        CHECK(same_time(X509_get0_notBefore(theirs), ours->not_before));
        CHECK(same_time(X509_get0_notAfter(theirs), ours->not_after));
        compare_keys(theirs, ours);
        BASIC_CONSTRAINTS *basic = X509_get_ext_d2i(theirs, NID_basic_constraints, NULL, NULL);
        if (basic != NULL) {
            CHECK((basic->ca != 0) == ours->is_ca);
            BASIC_CONSTRAINTS_free(basic);
        }
    }
    X509_free(theirs);
}

static void compare_crl(const struct crl *ours, const uint8_t *data, size_t size, size_t revoked) {
    const uint8_t *at = data;
    X509_CRL *theirs = d2i_X509_CRL(NULL, &at, (long)size);
    if (theirs != NULL && at == data + size) {
        STACK_OF(X509_REVOKED) *list = X509_CRL_get_REVOKED(theirs);
        CHECK(same_name(X509_CRL_get_issuer(theirs), ours->issuer));
        CHECK(same_time(X509_CRL_get0_lastUpdate(theirs), ours->this_update));
        if (X509_CRL_get0_nextUpdate(theirs) != NULL) {
            CHECK(same_time(X509_CRL_get0_nextUpdate(theirs), ours->next_update));
        }
        CHECK((list != NULL ? (size_t)sk_X509_REVOKED_num(list) : 0) == revoked);
        for (int i = 0; i < X509_CRL_get_ext_count(theirs); i++) {
            X509_EXTENSION *ext = X509_CRL_get_ext(theirs, i);
            bool is_scope =
                OBJ_obj2nid(X509_EXTENSION_get_object(ext)) == NID_issuing_distribution_point;
            CHECK(!X509_EXTENSION_get_critical(ext) || is_scope || ours->special);
        }
    }
    X509_CRL_free(theirs);
}

/* --- by themselves --- */

static void read_name(struct span name) {
    struct span value = {0};
    uint8_t tag;
    char text[64];
    const size_t cap = 1 + name.len % sizeof text;
    if (x509_common_name(name, &value, &tag) > 0) {
        CHECK(is_inside(value, name.data, name.len));
    }
    memset(text, 'x', sizeof text);
    x509_name_text(name, text, cap);
    const size_t len = strnlen(text, sizeof text);
    CHECK(len < cap);
    for (size_t i = 0; i < len; i++) {
        CHECK(text[i] >= 0x20 && text[i] < 0x7f);
    }
}

static void read_identities(const struct x509 *cert, struct span der) {
    char text[256];
    for (int kind = IDENTITY_CN; kind <= IDENTITY_FINGERPRINT; kind++) {
        memset(text, 1, sizeof text);
        if (identity_read((enum config_identity)kind, cert, der, text)) {
            const size_t len = strnlen(text, sizeof text);
            CHECK(len > 0 && len < sizeof text);
            CHECK(strpbrk(text, "+#\n\r\x7f") == NULL);
        }
    }
}

static void read_alt_names(const struct x509 *cert) {
    struct span rest = cert->alt_names, value;
    unsigned type;
    size_t sum = 0;
    while (x509_next_alt_name(&rest, &type, &value)) {
        CHECK(is_inside(value, cert->alt_names.data, cert->alt_names.len));
        CHECK(type < 0x1f);
        sum += value.len + 2;
    }
    CHECK(sum <= cert->alt_names.len);
}

static void try_certificate(const uint8_t *data, size_t size) {
    struct x509 cert;
    if (!x509_read(&cert, data, size)) {
        return;
    }
    const struct span whole[] = {cert.issuer, cert.subject, cert.key_info};
    CHECK(is_inside(cert.serial, data, size) && is_stripped(cert.serial));
    const uint8_t *last = cert.serial.data + cert.serial.len;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        CHECK(is_inside(whole[i], data, size) && whole[i].len >= 2);
        CHECK(whole[i].data[0] == SEQUENCE && whole[i].data >= last);
        last = whole[i].data + whole[i].len;
    }
    if (cert.key != X509_KEY_OTHER) {
        CHECK(is_inside(cert.public_key, cert.key_info.data, cert.key_info.len));
        CHECK(cert.key != X509_KEY_RSA || cert.key_bits <= 8 * cert.public_key.len);
    }
    CHECK(cert.alt_names.len == 0 || is_inside(cert.alt_names, data, size));
    read_name(cert.issuer);
    read_name(cert.subject);
    read_alt_names(&cert);
    read_identities(&cert, (struct span){data, size});
    compare_certificate(&cert, data, size);
}

static void try_crl(const uint8_t *data, size_t size) {
    struct crl crl;
    struct span rest, serial;
    bool bad;
    size_t count = 0;
    if (!crl_read(&crl, data, size)) {
        return;
    }
    const struct span parts[] = {crl.issuer, crl.signature.body, crl.signature.algorithm,
                                 crl.signature.signature};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        CHECK(is_inside(parts[i], data, size));
    }
    CHECK(is_inside(crl.issuer, crl.signature.body.data, crl.signature.body.len));
    for (rest = crl.revoked; crl_next_revoked(&rest, &serial, &bad); count++) {
        CHECK(is_inside(serial, crl.revoked.data, crl.revoked.len) && is_stripped(serial));
    }
    CHECK(bad || rest.len == 0);
    read_name(crl.issuer);
    if (!bad) {
        compare_crl(&crl, data, size, count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = fuzz_copy(data, size);
    try_certificate(copy, size);
    try_crl(copy, size);
    read_name((struct span){copy, size});
    free(copy);
    return 0;
}
