#include "constrained.h"

#include <check.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

enum { HOUR = 3600 };

static long next_serial = 1;

static void extend(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    if (value == NULL) {
        return;
    }
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    ck_assert_ptr_nonnull(ext);
    ck_assert_int_eq(X509_add_ext(cert, ext, -1), 1);
    X509_EXTENSION_free(ext);
}

static void add_extensions(X509 *cert, X509 *issuer, const struct constrained_spec *spec) {
    if (spec->ca) {
        extend(cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
        extend(cert, issuer, NID_key_usage, "critical,keyCertSign");
    }
    if (!spec->no_key_id) {
        extend(cert, issuer, NID_subject_key_identifier, "hash");
        extend(cert, issuer, NID_authority_key_identifier, cert != issuer ? "keyid" : NULL);
    }
    extend(cert, issuer, NID_subject_alt_name, spec->alt);
    extend(cert, issuer, NID_name_constraints, spec->constraints);
}

struct constrained constrained_make(struct constrained_spec spec,
                                    const struct constrained *issuer) {
    struct constrained made = {.cert = X509_new(), .key = EVP_EC_gen("P-256")};
    const struct constrained *by = issuer != NULL ? issuer : &made;
    X509_NAME *name = X509_get_subject_name(made.cert);
    const unsigned char *cn = (const unsigned char *)spec.cn;
    X509_set_version(made.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), next_serial++);
    X509_gmtime_adj(X509_getm_notBefore(made.cert), -HOUR);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), 24 * HOUR);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, cn, -1, -1, 0);
    X509_set_issuer_name(made.cert, X509_get_subject_name(by->cert));
    X509_set_pubkey(made.cert, made.key);
    add_extensions(made.cert, by->cert, &spec);
    ck_assert_int_gt(X509_sign(made.cert, by->key, EVP_sha256()), 0);
    made.len = i2d_X509(made.cert, &made.der);
    ck_assert_int_gt(made.len, 0);
    return made;
}

void constrained_free(struct constrained *made) {
    X509_free(made->cert);
    EVP_PKEY_free(made->key);
    OPENSSL_free(made->der);
}
