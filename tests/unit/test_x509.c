#include "pki.h"
#include "run.h"
#include "tls/crl.h"
#include "tls/identity.h"
#include "tls/signature.h"
#include "tls/x509_name.h"

#include <check.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pki ca, leaf;
static unsigned char *der, *crl_der;
static size_t der_len, crl_len;

static void once(void) {
    ca = pki_make((struct pki_spec){.cn = "CA", .ca = 1, .key = PKI_RSA2048}, NULL);
    leaf = pki_make((struct pki_spec){.cn = "a|b", .alt = "DNS:x.example,URI:urn:u,IP:192.0.2.1"},
                    &ca);
    int len = i2d_X509(leaf.cert, &der);
    ck_assert_int_gt(len, 0);
    der_len = (size_t)len;
    FILE *f = fopen(pki_crl("crl.pem", &ca, &leaf, 3), "r");
    X509_CRL *crl = PEM_read_X509_CRL(f, NULL, NULL, NULL);
    fclose(f);
    len = i2d_X509_CRL(crl, &crl_der);
    ck_assert_int_gt(len, 0);
    crl_len = (size_t)len;
    X509_CRL_free(crl);
}

static void finally(void) {
    OPENSSL_free(der);
    OPENSSL_free(crl_der);
    pki_free(&ca);
    pki_free(&leaf);
    pki_clean();
}

/* Reads everything that can be read; returns whether it is a certificate. */
static bool read_all(const uint8_t *data, size_t len) {
    struct x509 cert;
    char text[256];
    if (!x509_read(&cert, data, len)) {
        return false;
    }
    x509_name_text(cert.subject, text, 20);
    x509_name_text(cert.issuer, text, sizeof text);
    for (int kind = IDENTITY_CN; kind <= IDENTITY_FINGERPRINT; kind++) {
        if (identity_read((enum config_identity)kind, &cert, (struct span){data, len}, text)) {
            ck_assert_uint_le(strlen(text), 255);
        }
    }
    return true;
}

static bool read_crl(const uint8_t *data, size_t len) {
    struct crl crl;
    struct span rest, serial;
    bool bad = false;
    if (!crl_read(&crl, data, len)) {
        return false;
    }
    for (rest = crl.revoked; crl_next_revoked(&rest, &serial, &bad);) {
        ck_assert_uint_ge(serial.len, 1);
    }
    return !bad;
}

START_TEST(a_certificate_is_read) {
    struct x509 cert;
    struct span value, rest;
    uint8_t tag;
    unsigned type, types = 0;
    char text[100];
    ck_assert(x509_read(&cert, der, der_len));
    ck_assert_int_eq(cert.key, X509_KEY_P256);
    ck_assert(!cert.is_ca);
    ck_assert_uint_eq(x509_common_name(cert.subject, &value, &tag), 2);
    ck_assert_uint_eq(value.len, 1);
    ck_assert_uint_eq(value.data[0], 'a');
    x509_name_text(cert.issuer, text, sizeof text);
    ck_assert_str_eq(text, "O=Test, CN=CA");
    for (rest = cert.alt_names; x509_next_alt_name(&rest, &type, &value);) {
        types |= 1u << type;
    }
    ck_assert_uint_eq(types, 1u << X509_ALT_DNS | 1u << X509_ALT_URI | 1u << X509_ALT_IP);
    int64_t now = (int64_t)time(NULL);
    ck_assert_int_le(llabs(cert.not_before - (now - 3600)), 60);
    ck_assert_int_le(llabs(cert.not_after - (now + 30 * 86400)), 60);
}
END_TEST

static bool signed_by(const struct crl *crl, const struct x509 *issuer) {
    return signature_check(&crl->signature, issuer) == REASON_NONE;
}

START_TEST(a_crl_is_read_and_its_signature_checked) {
    struct crl crl;
    struct x509 issuer, cert;
    struct span serial;
    bool bad;
    unsigned char *ca_der = NULL;
    int ca_len = i2d_X509(ca.cert, &ca_der);
    ck_assert(x509_read(&issuer, ca_der, (size_t)ca_len));
    ck_assert(x509_read(&cert, der, der_len));
    ck_assert(crl_read(&crl, crl_der, crl_len));
    ck_assert(!crl.special);
    ck_assert(crl_next_revoked(&crl.revoked, &serial, &bad));
    ck_assert_uint_eq(serial.len, cert.serial.len);
    ck_assert_mem_eq(serial.data, cert.serial.data, serial.len);
    ck_assert(!crl_next_revoked(&crl.revoked, &serial, &bad));
    ck_assert(!bad);
    ck_assert(signed_by(&crl, &issuer));
    ck_assert(!signed_by(&crl, &cert));
    size_t from = (size_t)(crl.signature.body.data - crl_der), to = from + crl.signature.body.len;
    for (size_t i = from; i < to; i += 3) {
        crl_der[i] ^= 1;
        ck_assert(!crl_read(&crl, crl_der, crl_len) || !signed_by(&crl, &issuer));
        crl_der[i] ^= 1;
    }
    OPENSSL_free(ca_der);
}
END_TEST

/* Whether the certificate is read with that date as notAfter; its dates are UTCTime. */
static bool is_read_with_not_after(const char *end) {
    struct x509 cert;
    static const uint8_t utc_time[] = {0x17, 13};
    uint8_t *copy = malloc(der_len);
    memcpy(copy, der, der_len);
    uint8_t *start = memmem(copy, der_len, utc_time, sizeof utc_time);
    ck_assert_ptr_nonnull(start);
    ck_assert_uint_eq(start[15], utc_time[0]);
    memcpy(start + 17, end, 13);
    bool good = x509_read(&cert, copy, der_len);
    free(copy);
    return good;
}

START_TEST(a_date_that_does_not_exist_is_refused) {
    static const char *const good[] = {"280229235959Z", "491231000000Z", "500101000000Z"};
    static const char *const bad[] = {"270229000000Z", "270431000000Z", "271301000000Z",
                                      "270001000000Z", "270100000000Z", "270101240000Z",
                                      "270101006000Z", "270101000060Z", "2701010000000"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(is_read_with_not_after(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(!is_read_with_not_after(bad[i]), "%s", bad[i]);
    }
}
END_TEST

/* If a list with another tag were skipped, nothing would be revoked. */
START_TEST(a_crl_with_unexpected_content_is_refused) {
    struct crl crl;
    ck_assert(crl_read(&crl, crl_der, crl_len));
    uint8_t *list_tag = (uint8_t *)crl.revoked.data - 2;
    ck_assert_uint_eq(*list_tag, 0x30);
    *list_tag = 0x10;
    ck_assert(!crl_read(&crl, crl_der, crl_len));
    *list_tag = 0x30;
    ck_assert(crl_read(&crl, crl_der, crl_len));
}
END_TEST

START_TEST(a_truncated_certificate_or_crl_is_refused) {
    for (size_t len = 0; len < der_len; len++) {
        /* So that AddressSanitizer finds a read one byte past the end. */
        uint8_t *copy = malloc(len + 1);
        uint8_t *exact = realloc(copy, len ? len : 1);
        memcpy(exact, der, len);
        ck_assert(!read_all(exact, len));
        free(exact);
    }
    for (size_t len = 0; len < crl_len; len++) {
        uint8_t *copy = malloc(len ? len : 1);
        memcpy(copy, crl_der, len);
        ck_assert(!read_crl(copy, len));
        free(copy);
    }
}
END_TEST

START_TEST(damaged_input_is_read_within_its_bounds) {
    uint8_t *copy = malloc(der_len), *copy_crl = malloc(crl_len);
    for (size_t i = 0; i < der_len; i++) {
        for (int value = 0; value < 256; value++) {
            memcpy(copy, der, der_len);
            copy[i] = (uint8_t)value;
            (void)read_all(copy, der_len);
        }
    }
    for (size_t i = 0; i < crl_len; i++) {
        for (int value = 0; value < 256; value += 5) {
            memcpy(copy_crl, crl_der, crl_len);
            copy_crl[i] = (uint8_t)value;
            (void)read_crl(copy_crl, crl_len);
        }
    }
    free(copy);
    free(copy_crl);
}
END_TEST

/* X509_CERT_AUX: purposes, rejected ones, and what is of no interest here. */
START_TEST(trust_settings_that_exclude_clients_or_cannot_be_read_are_no_trust) {
#define AUX(bytes) (const uint8_t *)(bytes), sizeof(bytes) - 1
#define SERVER     "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"
#define CLIENT     "\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02"
    static const struct {
        const uint8_t *bytes;
        size_t len;
        bool trusts;
    } cases[] = {
        {AUX(""), true},
        {AUX("\x30\x00"), true},
        {AUX("\x30\x02\x30\x00"), true},
        {AUX("\x30\x03\x0c\x01x"), true},
        {AUX("\x30\x0c\x30\x0a" CLIENT), true},
        {AUX("\x30\x16\x30\x14" SERVER CLIENT), true},
        {AUX("\x30\x0c\xa0\x0a" SERVER), true},
        {AUX("\x30\x0c\x30\x0a" SERVER), false},
        {AUX("\x30\x0c\xa0\x0a" CLIENT), false},
        {AUX("\x30\x18\x30\x0a" CLIENT "\xa0\x0a" CLIENT), false},
        {AUX("\x30\x00\x00"), false},
        {AUX("\x30\x05"), false},
        {AUX("\x01\x00"), false},
        {AUX("\x30\x04\x30\x02\x06\x05"), false},
        {AUX("\x30\x04\xa0\x02\x06\x05"), false},
        {AUX("\x30\x02\xa0\x05"), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct span settings = {cases[i].bytes, cases[i].len};
        ck_assert_msg(x509_trusts_clients(settings) == cases[i].trusts, "case %zu", i);
    }
}
END_TEST

int main(void) {
    Suite *s = suite_create("x509");
    TCase *tc = tcase_create("x509");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_test(tc, trust_settings_that_exclude_clients_or_cannot_be_read_are_no_trust);
    tcase_add_test(tc, a_certificate_is_read);
    tcase_add_test(tc, a_crl_is_read_and_its_signature_checked);
    tcase_add_test(tc, a_date_that_does_not_exist_is_refused);
    tcase_add_test(tc, a_crl_with_unexpected_content_is_refused);
    tcase_add_test(tc, a_truncated_certificate_or_crl_is_refused);
    tcase_add_test(tc, damaged_input_is_read_within_its_bounds);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
