#include "tls/file_kind.h"
#include "tls/crl.h"
#include "tls/x509.h"

#include <string.h>

enum kind {
    KIND_UNKNOWN,
    KIND_UTF16,
    KIND_PKCS12,
    KIND_PKCS7,
    KIND_PKCS7_TEXT,
    KIND_CERTIFICATE,
    KIND_CERTIFICATE_TEXT,
    KIND_KEY,
    KIND_KEY_TEXT,
    KIND_LIST,
    KIND_LIST_TEXT,
    KIND_REQUEST,
    KIND_OTHER_DER,
    KIND_COUNT
};

/* FILE_CERTIFICATES, FILE_KEY, FILE_LISTS. */
static const char *const hints[KIND_COUNT][FILE_WANTED_COUNT] = {
    [KIND_UTF16] = {"; it is UTF-16 text; convert it: iconv -f UTF-16 -t ASCII OLD >NEW",
                    "; it is UTF-16 text; convert it: iconv -f UTF-16 -t ASCII OLD >NEW",
                    "; it is UTF-16 text; convert it: iconv -f UTF-16 -t ASCII OLD >NEW"},
    [KIND_PKCS12] = {"; it is a PKCS#12 file; convert it: openssl pkcs12 -in OLD -nokeys -out NEW",
                     "; it is a PKCS#12 file; convert it: openssl pkcs12 -in OLD -nocerts -nodes "
                     "-out NEW",
                     "; it is a PKCS#12 file, for certificates and keys"},
    [KIND_PKCS7] = {"; it is PKCS#7 in DER format; convert it: openssl pkcs7 -inform DER -in OLD "
                    "-print_certs -out NEW",
                    "; it is PKCS#7, which has no private keys",
                    "; it is PKCS#7 in DER format; convert it: openssl pkcs7 -inform DER -in OLD "
                    "-print_certs -out NEW"},
    [KIND_PKCS7_TEXT] = {"; it is PKCS#7; convert it: openssl pkcs7 -in OLD -print_certs -out NEW",
                         "; it is PKCS#7, which has no private keys",
                         "; it is PKCS#7; convert it: openssl pkcs7 -in OLD -print_certs -out NEW"},
    [KIND_CERTIFICATE] = {"; it is a certificate in DER format; convert it: openssl x509 -inform "
                          "DER -in OLD -out NEW",
                          "; it is a certificate; name the file of the private key in key",
                          "; it is a certificate"},
    [KIND_CERTIFICATE_TEXT] = {"", "; it is a certificate; name the file of the private key in key",
                               "; it is a certificate"},
    [KIND_KEY] = {"; it is a private key",
                  "; it is a private key in DER format; convert it: openssl pkey -inform DER -in "
                  "OLD -out NEW",
                  "; it is a private key"},
    [KIND_KEY_TEXT] = {"; it is a private key", "", "; it is a private key"},
    [KIND_LIST] = {"; it is a revocation list", "; it is a revocation list",
                   "; it is a revocation list in DER format; convert it: openssl crl -inform DER "
                   "-in OLD -out NEW"},
    [KIND_LIST_TEXT] = {"; it is a revocation list", "; it is a revocation list", ""},
    [KIND_REQUEST] = {"; it is a request for a certificate, which a CA has to sign",
                      "; it is a request for a certificate", "; it is a request for a certificate"},
    [KIND_OTHER_DER] = {"; it may be in DER format: openssl asn1parse -inform DER -in OLD shows it",
                        "; it may be in DER format: openssl asn1parse -inform DER -in OLD shows it",
                        "; it may be in DER format: openssl asn1parse -inform DER -in OLD shows "
                        "it"},
};

static bool begins(struct span bytes, const char *with, size_t len) {
    return bytes.len >= len && memcmp(bytes.data, with, len) == 0;
}
#define BEGINS(bytes, with) begins(bytes, with, sizeof(with) - 1)

/* What is inside the outermost SEQUENCE. Its length may be indefinite: PKCS#12 and PKCS#7 files are
 * BER. */
static struct span inside(struct span file) {
    size_t header = 2;
    if (file.len >= 2 && file.data[1] > 0x80) {
        header += file.data[1] & 0x7f;
    }
    header = header < file.len ? header : file.len;
    return (struct span){file.data + header, file.len - header};
}

/* PKCS#8 (RFC 5208 and 5958), encrypted or not, RSAPrivateKey (RFC 8017 A.1.2), ECPrivateKey
 * (RFC 5915 3). */
static bool is_key(struct span content) {
    struct span algorithm;
    if (BEGINS(content, "\x02\x01\x00\x30") || BEGINS(content, "\x02\x01\x01\x30") ||
        BEGINS(content, "\x02\x01\x00\x02") || BEGINS(content, "\x02\x01\x01\x04")) {
        return true;
    }
    return der_take_tag(&content, DER_SEQUENCE, &algorithm) &&
           BEGINS(algorithm, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05") &&
           der_next_is(content, DER_OCTET_STRING);
}

static enum kind kind_of_der(struct span file) {
    struct x509 cert;
    struct crl crl;
    struct span content = inside(file);
    if (x509_read(&cert, file.data, file.len)) {
        return KIND_CERTIFICATE;
    }
    if (crl_read(&crl, file.data, file.len)) {
        return KIND_LIST;
    }
    if (BEGINS(content, "\x02\x01\x03\x30")) {
        return KIND_PKCS12;
    }
    if (BEGINS(content, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02")) {
        return KIND_PKCS7;
    }
    if (is_key(content)) {
        return KIND_KEY;
    }
    return file.data[1] >= 0x80 ? KIND_OTHER_DER : KIND_UNKNOWN; /* text may begin with a 0 */
}

static enum kind kind_of_block(const struct pem_block *block) {
    static const struct {
        const char *label;
        enum kind kind;
    } labels[] = {
        {"PKCS7", KIND_PKCS7_TEXT},
        {"PKCS #7 SIGNED DATA", KIND_PKCS7_TEXT},
        {"CERTIFICATE REQUEST", KIND_REQUEST},
        {"NEW CERTIFICATE REQUEST", KIND_REQUEST},
    };
    if (pem_is_certificate(block)) {
        return KIND_CERTIFICATE_TEXT;
    }
    if (pem_is_key(block)) {
        return KIND_KEY_TEXT;
    }
    if (pem_is_crl(block)) {
        return KIND_LIST_TEXT;
    }
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        if (strcmp(block->label, labels[i].label) == 0) {
            return labels[i].kind;
        }
    }
    return KIND_UNKNOWN;
}

static enum kind kind_of(const struct pem *pem) {
    struct span file = {pem->file.data, pem->file.len};
    if (pem->count > 0) {
        return kind_of_block(&pem->blocks[0]);
    }
    if (BEGINS(file, "\xff\xfe") || BEGINS(file, "\xfe\xff") || BEGINS(file, "-\0-\0") ||
        BEGINS(file, "\0-\0-")) {
        return KIND_UTF16;
    }
    return file.len > 2 && file.data[0] == DER_SEQUENCE ? kind_of_der(file) : KIND_UNKNOWN;
}

const char *file_kind_hint(const struct pem *pem, enum file_wanted wanted) {
    const char *hint = hints[kind_of(pem)][wanted];
    return hint != NULL ? hint : "";
}
