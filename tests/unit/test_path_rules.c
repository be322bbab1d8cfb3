/* What each certificate of a path must be: CAs, the client's own, their names and signatures, and
 * the reason of each refusal. */
#include "paths.h"
#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pki root, outsider;

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    struct pki first = pki_make((struct pki_spec){.cn = "x", .key = PKI_RSA8192}, NULL);
    pki_free(&first); /* its key is there for all tests */
    root = paths_ca("Root", NULL);
    outsider = paths_ca("Outsider", NULL);
}

static void finally(void) {
    pki_free(&root);
    pki_free(&outsider);
    paths_clear();
    pki_clean();
    tls_library_stop();
}

/* --- what a CA must be --- */

static const struct {
    struct pki_spec spec;
    enum reason reason;
} subs[] = {
    {{.ca = 1}, REASON_NONE},
    {{.ca = 1, .key_usage = "none"}, REASON_NONE},
    {{.ca = 1, .key_usage = "digitalSignature,keyCertSign"}, REASON_NONE},
    {{.ca = 1, .key_usage = "cRLSign"}, REASON_WRONG_USAGE},
    {{.ca = 0, .key_usage = "keyCertSign"}, REASON_UNKNOWN_CA},
    {{.ca = 1, .basic = "none"}, REASON_UNKNOWN_CA},
    {{.ca = 1, .basic = "CA:FALSE"}, REASON_UNKNOWN_CA},
    {{.ca = 1, .basic = "CA:TRUE"}, REASON_NONE},
    {{.ca = 1, .basic = "CA:TRUE,pathlen:0"}, REASON_NONE},
    {{.ca = 1, .basic = "CA:TRUE,pathlen:128"}, REASON_NONE},
    {{.ca = 1, .basic = "CA:TRUE,pathlen:70000"}, REASON_NONE},
    {{.ca = 1, .usage = "clientAuth"}, REASON_NONE},
    {{.ca = 1, .usage = "serverAuth,clientAuth"}, REASON_NONE},
    {{.ca = 1, .usage = "anyExtendedKeyUsage"}, REASON_NONE},
    {{.ca = 1, .usage = "serverAuth"}, REASON_WRONG_USAGE},
    {{.ca = 1, .usage = "codeSigning"}, REASON_WRONG_USAGE},
    {{.ca = 1, .from_day = -20, .to_day = -1}, REASON_EXPIRED},
    {{.ca = 1, .from_day = 1}, REASON_NOT_YET_VALID},
    {{.ca = 1, .key = PKI_RSA2048}, REASON_NONE},
    {{.ca = 1, .key = PKI_RSA4096}, REASON_NONE},
    {{.ca = 1, .key = PKI_RSA8192}, REASON_NONE},
    {{.ca = 1, .key = PKI_P384}, REASON_NONE},
    {{.ca = 1, .key = PKI_P521}, REASON_NONE},
    {{.ca = 1, .key = PKI_ED25519}, REASON_NONE},
    {{.ca = 1, .key = PKI_RSA1024}, REASON_WEAK_KEY},
    {{.ca = 1, .key = PKI_RSA2048_LARGE_EXPONENT}, REASON_TOO_LARGE},
    {{.ca = 1, .extra = "1.2.3.4=critical,ASN1:NULL"}, REASON_CRITICAL_EXTENSION},
    {{.ca = 1, .extra = "1.2.3.4=ASN1:NULL"}, REASON_NONE},
    {{.ca = 1, .extra = "policyConstraints=requireExplicitPolicy:0"}, REASON_CRITICAL_EXTENSION},
    {{.ca = 1, .extra = "2.5.29.32=critical,DER:3006300406022a03"}, REASON_NONE},
};

START_TEST(an_intermediate_must_be_a_ca_for_clients) {
    struct pki_spec spec = subs[_i].spec;
    if (spec.key == PKI_RSA8192 && is_distribution_library()) {
        return;
    }
    spec.cn = "Middle";
    struct pki middle = pki_make(spec, &root);
    struct pki end = paths_device(&middle);
    TRUST(&root);
    BAD(subs[_i].reason, &end, &middle);
    /* A fault in one CA does not matter where another path avoids it. */
    TRUST(&root, &outsider);
    struct pki other =
        pki_make((struct pki_spec){.cn = "Middle", .ca = 1, .key_of = &middle}, &outsider);
    enum reason weak = subs[_i].reason == REASON_WEAK_KEY || subs[_i].reason == REASON_TOO_LARGE
                           ? subs[_i].reason
                           : REASON_NONE;
    BAD(weak, &end, &middle, &other);
    TRUST(&middle);
    BAD(subs[_i].reason, &end);
    pki_free(&other);
    pki_free(&end);
    pki_free(&middle);
}
END_TEST

/* --- what a client's certificate must be --- */

static const struct {
    struct pki_spec spec;
    enum reason reason;
} leaves[] = {
    {{.usage = NULL}, REASON_NONE},
    {{.usage = "clientAuth"}, REASON_NONE},
    {{.usage = "serverAuth"}, REASON_WRONG_USAGE},
    {{.usage = "serverAuth,clientAuth"}, REASON_NONE},
    {{.key_usage = "digitalSignature"}, REASON_NONE},
    {{.key_usage = "keyEncipherment"}, REASON_WRONG_USAGE},
    {{.key_usage = "digitalSignature,keyCertSign"}, REASON_WRONG_USAGE},
    {{.constraints = "permitted;DNS:example.org"}, REASON_BAD_ENCODING},
    {{.extra = "1.2.3.4=critical,ASN1:NULL"}, REASON_CRITICAL_EXTENSION},
    {{.key = PKI_RSA1024}, REASON_WEAK_KEY},
    {{.key = PKI_RSA2048_LARGE_EXPONENT}, REASON_TOO_LARGE},
    {{.key = PKI_RSA8192}, REASON_NONE},
    {{.key = PKI_P521}, REASON_NONE},
    {{.key = PKI_ED25519}, REASON_NONE},
    {{.key = PKI_ED448}, REASON_KEY_TYPE},
    {{.key = PKI_SECP256K1}, REASON_KEY_TYPE},
    {{.from_day = -9, .to_day = -1}, REASON_EXPIRED},
    {{.from_day = 1}, REASON_NOT_YET_VALID},
    {{.serial = "0"}, REASON_BAD_ENCODING},
    {{.serial = "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"}, REASON_NONE},
    {{.serial = "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"}, REASON_NONE}, /* 21 octets */
    {{.serial = "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"}, REASON_BAD_ENCODING},
    /* Alternative names that are none: an INTEGER, [9], and a DNS name as a constructed value. */
    {{.extra = "2.5.29.17=DER:3003020161"}, REASON_BAD_ENCODING},
    {{.extra = "2.5.29.17=DER:3003890161"}, REASON_BAD_ENCODING},
    {{.extra = "2.5.29.17=DER:3005a203160161"}, REASON_BAD_ENCODING},
    {{.version1 = 1}, REASON_V1_CERTIFICATE},
    {{.hash = "SHA1"}, REASON_WEAK_SIGNATURE},
    {{.hash = "SHA224"}, REASON_WEAK_SIGNATURE},
    {{.hash = "SHA384"}, REASON_NONE},
    {{.hash = "SHA512"}, REASON_NONE},
};

START_TEST(a_client_must_present_a_client_certificate) {
    struct pki_spec spec = leaves[_i].spec;
    spec.cn = "device";
    struct pki end = pki_make(spec, &root);
    TRUST(&root);
    BAD(leaves[_i].reason, &end);
    pki_free(&end);
}
END_TEST

START_TEST(version_1_is_accepted_for_leaves_alone) {
    struct pki old = pki_make((struct pki_spec){.cn = "old", .version1 = 1}, &root);
    struct pki old_ca = pki_make((struct pki_spec){.cn = "Old CA", .version1 = 1}, &root);
    struct pki of_old = pki_make((struct pki_spec){.cn = "x", .issuer_key_id = "none"}, &old_ca);
    TRUST(&root);
    BAD(REASON_V1_CERTIFICATE, &old);
    paths_rules.accept_v1 = true;
    GOOD(&old);
    BAD(REASON_V1_CERTIFICATE, &of_old, &old_ca);
    TRUST(&old_ca);
    BAD(REASON_V1_CERTIFICATE, &of_old);
    pki_free(&of_old);
    pki_free(&old_ca);
    pki_free(&old);
}
END_TEST

/* --- name constraints --- */

static const struct {
    const char *constraints, *cn, *alt;
    bool allowed;
} names[] = {
    {"permitted;DNS:a.example", "x", "DNS:a.example", true},
    {"permitted;DNS:a.example", "x", "DNS:d.A.Example", true},
    {"permitted;DNS:a.example", "x", "DNS:b.example", false},
    {"permitted;DNS:a.example", "x", "DNS:ba.example", false},
    {"permitted;DNS:a.example", "x", "DNS:a.example,DNS:b.example", false},
    {"permitted;DNS:.a.example", "x", "DNS:a.example", false},
    {"permitted;DNS:.a.example", "x", "DNS:d.a.example", true},
    {"permitted;DNS:a.example,permitted;DNS:b.example", "x", "DNS:b.example", true},
    {"excluded;DNS:a.example", "x", "DNS:d.a.example", false},
    {"excluded;DNS:a.example", "x", "DNS:b.example", true},
    {"excluded;DNS:d.a.example", "x", "DNS:*.a.example", false},
    {"permitted;DNS:a.example", "x", NULL, true},
    {"permitted;DNS:a.example", "x", "URI:urn:x", true},
    /* Common names that are host names are constrained as well, whatever other names there are. */
    {"permitted;DNS:a.example", "b.example", NULL, false},
    {"permitted;DNS:a.example", "b.example", "IP:192.0.2.1", false},
    {"permitted;DNS:a.example", "b.example", "URI:urn:x", false},
    {"permitted;DNS:a.example", "b.example", "RID:1.2.3.4", false},
    {"permitted;DNS:a.example", "b.example", "email:x@a.example", false},
    {"permitted;DNS:a.example", "b.example", "DNS:a.example", false},
    {"permitted;DNS:a.example", "a.example", NULL, true},
    {"excluded;DNS:a.example", "a.example", NULL, false},
    {"excluded;DNS:a.example", "pump 1", NULL, true},
    {"permitted;email:a.example", "x", "email:x@a.example", true},
    {"permitted;email:a.example", "x", "email:x@d.a.example", false},
    {"permitted;email:.a.example", "x", "email:x@d.a.example", true},
    {"permitted;email:x@a.example", "x", "email:x@A.example", true},
    {"permitted;email:x@a.example", "x", "email:X@a.example", false},
    {"permitted;email:a.example", "x", "email:a.example", false},
    {"permitted;email:a.example", "x", "email:x@b@a.example", false},
    {"permitted;IP:192.0.2.0/255.255.255.0", "x", "IP:192.0.2.77", true},
    {"permitted;IP:192.0.2.0/255.255.255.0", "x", "IP:192.0.3.77", false},
    {"permitted;IP:192.0.2.0/255.255.255.0", "x", "IP:2001:db8::1", false},
    {"excluded;IP:192.0.2.0/255.255.255.0", "x", "IP:2001:db8::1", true},
    {"permitted;IP:192.0.2.0/255.0.255.0", "x", "IP:192.0.2.77", false},
    {"permitted;URI:a.example", "x", "URI:mqtts://a.example/x", true},
    {"permitted;URI:a.example", "x", "URI:mqtts://u@a.example:8883", true},
    {"permitted;URI:a.example", "x", "URI:mqtts://a.example@b.example", false},
    {"permitted;URI:a.example", "x", "URI:mqtts://d.a.example", false},
    {"permitted;URI:.a.example", "x", "URI:mqtts://d.a.example", true},
    {"permitted;URI:a.example", "x", "URI:urn:x", false},
    {"excluded;URI:a.example", "x", "URI:urn:x", false},
    {"excluded;URI:a.example", "x", "URI:http://192.0.2.1", false},
    {"permitted;dirName:within", "x", NULL, true},
    {"excluded;dirName:within", "x", NULL, false},
    {"permitted;dirName:elsewhere", "x", NULL, false},
    {"permitted;RID:1.2.3.4", "x", NULL, true},
    {"permitted;RID:1.2.3.4", "x", "RID:1.2.3.4", false}, /* cannot be compared */
    {"excluded;RID:1.2.3.5", "x", "RID:1.2.3.4", false},
};

START_TEST(names_must_keep_to_the_constraints_of_every_ca_above) {
    char critical[200];
    snprintf(critical, sizeof critical, "critical,%s", names[_i].constraints);
    struct pki bound =
        pki_make((struct pki_spec){.cn = "B", .ca = 1, .constraints = critical}, &root);
    struct pki below = paths_ca("B2", &bound);
    struct pki_spec spec = {.cn = names[_i].cn, .alt = names[_i].alt};
    struct pki near = pki_make(spec, &bound), far = pki_make(spec, &below);
    enum reason wanted = names[_i].allowed ? REASON_NONE : REASON_NAME_CONSTRAINT;
    TRUST(&root);
    BAD(wanted, &near, &bound);
    BAD(wanted, &far, &below, &bound);
    TRUST(&bound);
    BAD(wanted, &near);
    pki_free(&near);
    pki_free(&far);
    pki_free(&below);
    pki_free(&bound);
}
END_TEST

static char *many(const char *format, int count, const char *text) {
    char *all = malloc((size_t)count * (80 + strlen(text))), *at = all;
    for (int i = 0; i < count; i++) {
        at += sprintf(at, format, i > 0 ? "," : "", text, i);
    }
    return all;
}

/* Each name is compared with each constraint, and may be long. */
START_TEST(comparing_names_with_constraints_is_bounded) {
    char longer[600] = {0};
    memset(longer, 'n', sizeof longer - 1);
    const struct {
        int count;
        const char *label;
        enum reason reason;
    } cases[] = {
        {60, "pump", REASON_NONE}, {200, "pump", REASON_TOO_LARGE}, {60, longer, REASON_TOO_LARGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *limits = many("%spermitted;DNS:%.0sd%d.example", cases[i].count, "");
        char *alt = many("%sDNS:%s.d%d.example", cases[i].count, cases[i].label);
        struct pki bound =
            pki_make((struct pki_spec){.cn = "B", .ca = 1, .constraints = limits}, &root);
        struct pki end = pki_make((struct pki_spec){.cn = "x", .alt = alt}, &bound);
        TRUST(&root);
        BAD(cases[i].reason, &end, &bound);
        pki_free(&end);
        pki_free(&bound);
        free(alt);
        free(limits);
    }
}
END_TEST

/* --- signatures --- */

static const char *const pss[] = {"SHA256", "SHA384", "SHA512"};

START_TEST(signatures_by_rsa_pss_are_checked) {
    struct pki signer =
        pki_make((struct pki_spec){.cn = "Signer", .ca = 1, .key = PKI_RSA2048}, NULL);
    TRUST(&signer);
    for (int salt = -1; salt <= 32; salt += 33) { /* that of the hash; 32 */
        struct pki end = pki_make(
            (struct pki_spec){.cn = "x", .hash = pss[_i], .pss = 1, .pss_salt = salt}, &signer);
        GOOD(&end);
        unsigned char *der = NULL;
        int len = i2d_X509(end.cert, &der);
        struct x509 cert;
        der[len - 1] ^= 1;
        ck_assert(x509_read(&cert, der, (size_t)len));
        paths_is(path_build(&paths_rules, &cert, 1, &paths_found), REASON_UNKNOWN_CA);
        OPENSSL_free(der);
        pki_free(&end);
    }
    pki_free(&signer);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("path_rules");
    TCase *tc = tcase_create("path_rules");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, paths_setup, NULL);
    tcase_add_loop_test(tc, an_intermediate_must_be_a_ca_for_clients, 0,
                        sizeof subs / sizeof *subs);
    tcase_add_loop_test(tc, a_client_must_present_a_client_certificate, 0,
                        sizeof leaves / sizeof *leaves);
    tcase_add_test(tc, version_1_is_accepted_for_leaves_alone);
    tcase_add_loop_test(tc, names_must_keep_to_the_constraints_of_every_ca_above, 0,
                        sizeof names / sizeof *names);
    tcase_add_test(tc, comparing_names_with_constraints_is_bounded);
    tcase_add_loop_test(tc, signatures_by_rsa_pss_are_checked, 0, sizeof pss / sizeof *pss);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
