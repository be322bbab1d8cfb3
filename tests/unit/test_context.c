#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct pki root, inter, leaf, other, rsa, small;
static const char *leaf_cert, *leaf_key, *full_chain, *chain_with_root, *inter_file, *rsa_cert,
    *rsa_key, *other_key, *garbage, *empty;
static struct site site;

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    root = pki_make((struct pki_spec){.cn = "Test root", .ca = 1}, NULL);
    inter = pki_make((struct pki_spec){.cn = "Test inter", .ca = 1}, &root);
    leaf = pki_make((struct pki_spec){.cn = "mqtt.example.org",
                                      .alt = "DNS:mqtt.example.org,DNS:*.Dev.example.org,"
                                             "IP:192.0.2.1,IP:2001:db8::1"},
                    &inter);
    rsa = pki_make((struct pki_spec){.cn = "x", .key = PKI_RSA2048, .alt = "DNS:mqtt.example.org"},
                   &inter);
    other = pki_make((struct pki_spec){.cn = "other.example.org"}, NULL);
    small = pki_make((struct pki_spec){.cn = "p384.example.org", .key = PKI_P384}, NULL);
    leaf_cert = pki_certs("leaf.pem", &leaf, NULL);
    leaf_key = pki_key("leaf.key", &leaf);
    full_chain = pki_certs("full.pem", &leaf, &inter, NULL);
    chain_with_root = pki_certs("all.pem", &leaf, &inter, &root, NULL);
    inter_file = pki_certs("inter.pem", &inter, NULL);
    rsa_cert = pki_certs("rsa.pem", &rsa, &inter, NULL);
    rsa_key = pki_key("rsa.key", &rsa);
    other_key = pki_key("other.key", &other);
    garbage = pki_text("garbage.pem", "-----BEGIN CERTIFICATE-----\n%%%%%%%%\n"
                                      "-----END CERTIFICATE-----\n");
    empty = pki_text("empty.pem", "");
}

static void finally(void) {
    struct pki *all[] = {&root, &inter, &leaf, &other, &rsa, &small};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
    pki_clean();
    tls_library_stop();
}

/* Loading fails, and the message has all the words. */
static void refused(const char *cert, const char *chain, const char *key, const char *words[]) {
    struct error err = {""};
    site_init(&site, NULL, NULL);
    site_add(&site, cert, chain, key);
    ck_assert_ptr_null(tls_context_load(&site.listener, NULL, &err));
    for (; *words != NULL; words++) {
        ck_assert_msg(strstr(err.text, *words) != NULL, "\"%s\" is not in: %s", *words, err.text);
    }
}
#define REFUSED(cert, chain, key, ...)                                                             \
    refused(cert, chain, key, (const char *[]){"listener mqtt", "main", __VA_ARGS__, NULL})

START_TEST(a_missing_file_is_named) {
    REFUSED("/nonexistent/c.pem", NULL, leaf_key, "main: cert: /nonexistent/c.pem", "No such file");
    REFUSED(leaf_cert, "/nonexistent/h.pem", leaf_key, "chain: /nonexistent/h.pem", "No such file");
    REFUSED(leaf_cert, NULL, "/nonexistent/k.pem", "key: /nonexistent/k.pem", "No such file");
    REFUSED("/tmp", NULL, leaf_key, "/tmp", "not a regular file");
}
END_TEST

START_TEST(garbage_is_refused) {
    REFUSED(garbage, NULL, leaf_key, "garbage.pem", "not base64");
    REFUSED(empty, NULL, leaf_key, "empty.pem", "no certificate");
    REFUSED(leaf_key, NULL, leaf_cert, "leaf.key", "no certificate",
            "it is a private key; exchange cert and key");
    REFUSED(leaf_key, NULL, leaf_key, "leaf.key", "no certificate",
            "it is a private key; name the file of the certificate in cert");
    REFUSED(leaf_cert, NULL, leaf_cert, "leaf.pem", "no private key",
            "it is a certificate; name the file of the private key in key");
    REFUSED(leaf_cert, NULL, empty, "empty.pem", "no private key");
    REFUSED(pki_text("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n"), NULL, leaf_key, "cut.pem",
            "no matching END");
    REFUSED(pki_text("nonsense.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n"
                                     "-----END CERTIFICATE-----\n"),
            NULL, leaf_key, "nonsense.pem", "damaged");
    REFUSED(leaf_cert, NULL,
            pki_text("nonsense.key", "-----BEGIN PRIVATE KEY-----\nMIIB\n"
                                     "-----END PRIVATE KEY-----\n"),
            "nonsense.key", "damaged");
    REFUSED(leaf_cert, NULL,
            pki_text("enc.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n"
                                "-----END ENCRYPTED PRIVATE KEY-----\n"),
            "enc.key", "encrypted", "pass phrase");
}
END_TEST

START_TEST(a_named_chain_without_a_certificate_is_refused) {
    REFUSED(leaf_cert, empty, leaf_key, "empty.pem", "no certificate");
}
END_TEST

START_TEST(a_key_of_another_certificate_is_refused) {
    REFUSED(leaf_cert, NULL, other_key, "other.key", "does not belong", "mqtt.example.org",
            "leaf.pem", "install the key and the certificate of one renewal together");
    REFUSED(leaf_cert, NULL, rsa_key, "rsa.key", "does not belong", "ECDSA P-256");
    REFUSED(rsa_cert, NULL, leaf_key, "leaf.key", "does not belong", "RSA 2048");
}
END_TEST

START_TEST(a_chain_in_the_wrong_order_is_refused) {
    REFUSED(pki_certs("wrong1.pem", &inter, &leaf, NULL), NULL, leaf_key, "wrong1.pem",
            "wrong order", "CN=Test inter", "Test root");
    REFUSED(leaf_cert, pki_certs("wrong2.pem", &root, &inter, NULL), leaf_key, "wrong2.pem",
            "wrong order", "mqtt.example.org", "Test inter", "Test root");
    REFUSED(leaf_cert, pki_certs("wrong3.pem", &root, &inter, &other, NULL), leaf_key, "wrong3.pem",
            "wrong order");
}
END_TEST

static int certificates_sent(const char *cert, const char *chain) {
    site_init(&site, NULL, NULL);
    site_add(&site, cert, chain, leaf_key);
    struct tls_context *ctx = site_load(&site, NULL);
    SSL_CTX *client = client_new(0);
    struct pair p;
    pair_init(&p, client, "mqtt.example.org", NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    int count = sk_X509_num(SSL_get_peer_cert_chain(p.client));
    pair_free(&p);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
    return count;
}

START_TEST(a_root_at_the_end_of_the_chain_is_tolerated_and_not_sent) {
    ck_assert_int_eq(certificates_sent(leaf_cert, NULL), 1);
    ck_assert_int_eq(certificates_sent(full_chain, NULL), 2);
    ck_assert_int_eq(certificates_sent(chain_with_root, NULL), 2);
    ck_assert_int_eq(certificates_sent(leaf_cert, inter_file), 2);
    ck_assert_int_eq(certificates_sent(full_chain, inter_file), 2);
}
END_TEST

/* A certificate that is trusted under another root, with a key of another name, or by a CA whose
 * key changed: clients get what they need, and nothing that may confuse them. */
START_TEST(what_plays_no_part_in_the_chain_is_not_sent) {
    struct pki far = pki_make((struct pki_spec){.cn = "Far root", .ca = 1}, NULL);
    struct pki cross =
        pki_make((struct pki_spec){.cn = "Test inter", .ca = 1, .key_of = &inter}, &far);
    struct pki rekeyed = pki_make((struct pki_spec){.cn = "Test inter", .ca = 1}, &root);
    struct pki sibling = pki_make((struct pki_spec){.cn = "old.example.org"}, &inter);
    const struct {
        const char *chain;
        int sent;
    } cases[] = {
        {pki_certs("part0.pem", &other, NULL), 1},
        {pki_certs("part1.pem", &other, &inter, NULL), 2},
        {pki_certs("part2.pem", &inter, &other, NULL), 2},
        {pki_certs("part3.pem", &inter, &cross, &far, NULL), 2},
        {pki_certs("part4.pem", &cross, &inter, &root, NULL), 2},
        {pki_certs("part5.pem", &rekeyed, &inter, NULL), 2},
        {pki_certs("part6.pem", &rekeyed, NULL), 1},
        {pki_certs("part7.pem", &inter, &sibling, &root, NULL), 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int sent = certificates_sent(leaf_cert, cases[i].chain);
        ck_assert_msg(sent == cases[i].sent, "%s: %d are sent", cases[i].chain, sent);
    }
    struct pki *made[] = {&far, &cross, &rekeyed, &sibling};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
        pki_free(made[i]);
    }
}
END_TEST

START_TEST(chains_have_a_limit) {
    enum { LINKS = 10 };
    struct pki cas[LINKS], own;
    for (size_t i = 0; i < LINKS; i++) {
        char name[20];
        snprintf(name, sizeof name, "CA %zu", i);
        cas[i] = pki_make((struct pki_spec){.cn = name, .ca = 1}, i == 0 ? &root : &cas[i - 1]);
    }
    own = pki_make((struct pki_spec){.cn = "long.example.org"}, &cas[LINKS - 1]);
    const char *key = pki_key("long.key", &own);
    REFUSED(pki_certs("long.pem", &own, &cas[9], &cas[8], &cas[7], &cas[6], &cas[5], &cas[4],
                      &cas[3], &cas[2], &cas[1], NULL),
            NULL, key, "long.pem", "more than 9");
    site_init(&site,
              pki_certs("short.pem", &own, &cas[9], &cas[8], &cas[7], &cas[6], &cas[5], &cas[4],
                        &cas[3], &cas[2], NULL),
              key);
    tls_context_unref(site_load(&site, NULL));
    for (size_t i = 0; i < LINKS; i++) {
        pki_free(&cas[i]);
    }
    pki_free(&own);
}
END_TEST

START_TEST(certificates_are_described) {
    site_init(&site, full_chain, leaf_key);
    site_add(&site, rsa_cert, NULL, rsa_key);
    struct tls_context *ctx = site_load(&site, NULL);
    ck_assert_uint_eq(tls_context_certificates(ctx), 2);
    const struct tls_certificate_info *info = tls_context_certificate(ctx, 0);
    ck_assert_str_eq(info->section, "main");
    ck_assert_str_eq(info->file, full_chain);
    ck_assert_str_eq(info->subject, "O=Test, CN=mqtt.example.org");
    ck_assert_str_eq(info->names, "mqtt.example.org, *.Dev.example.org, 192.0.2.1, 2001:db8::1");
    ck_assert_str_eq(info->key_type, "ECDSA P-256");
    ck_assert_int_gt(info->not_after, info->not_before);
    ASN1_INTEGER *serial = X509_get_serialNumber(leaf.cert);
    BIGNUM *bn = ASN1_INTEGER_to_BN(serial, NULL);
    char *hex = BN_bn2hex(bn);
    ck_assert_str_eq(info->serial, hex);
    OPENSSL_free(hex);
    BN_free(bn);
    ck_assert_str_eq(tls_context_certificate(ctx, 1)->key_type, "RSA 2048");
    ck_assert_ptr_null(tls_context_certificate(ctx, 2));
    tls_context_unref(ctx);
}
END_TEST

START_TEST(expired_and_not_yet_valid_certificates_are_served) {
    struct pki early = pki_make((struct pki_spec){.cn = "early", .from_day = 5}, NULL);
    struct pki late =
        pki_make((struct pki_spec){.cn = "late", .from_day = -20, .to_day = -10}, NULL);
    site_init(&site, pki_certs("early.pem", &early, NULL), pki_key("early.key", &early));
    site_add(&site, pki_certs("late.pem", &late, NULL), NULL, pki_key("late.key", &late));
    tls_context_unref(site_load(&site, NULL));
    pki_free(&early);
    pki_free(&late);
}
END_TEST

START_TEST(keys_in_older_formats_load) {
    char command[600], path[300];
    static const char *forms[] = {"ec -in %s -out %s 2>/dev/null",
                                  "pkey -in %s -traditional -out %s 2>/dev/null"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s", pki_text(i ? "old1.key" : "old0.key", ""));
        char form[200];
        snprintf(form, sizeof form, "openssl %s", forms[i]);
        snprintf(command, sizeof command, form, leaf_key, path);
        ck_assert_int_eq(system(command), 0);
        site_init(&site, leaf_cert, path);
        tls_context_unref(site_load(&site, NULL));
    }
}
END_TEST

START_TEST(unknown_suites_are_refused_with_a_list_of_the_known_ones) {
    struct error err = {""};
    site_init(&site, full_chain, leaf_key);
    site.listener.ciphers = (char *)"ECDHE-RSA-AES128-GCM-SHA256:RC4-MD5";
    ck_assert_ptr_null(tls_context_load(&site.listener, NULL, &err));
    ck_assert_msg(strstr(err.text, "RC4-MD5") != NULL &&
                      strstr(err.text, "TLS_AES_128_GCM_SHA256") != NULL,
                  "%s", err.text);
}
END_TEST

static void served(struct tls_context *ctx, int version, const char *name, const char *ciphers,
                   const char *sigalgs, const char *cn) {
    SSL_CTX *client = client_new(version);
    if (ciphers != NULL) {
        ck_assert(SSL_CTX_set_cipher_list(client, ciphers));
    }
    if (sigalgs != NULL) {
        ck_assert(SSL_CTX_set1_sigalgs_list(client, sigalgs));
    }
    struct pair p;
    char got[100] = "";
    pair_init(&p, client, name, NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    X509 *cert = SSL_get1_peer_certificate(p.client);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, got, sizeof got);
    ck_assert_str_eq(got, cn);
    X509_free(cert);
    pair_free(&p);
    SSL_CTX_free(client);
}

START_TEST(the_certificate_is_chosen_by_name_then_by_key_type) {
    struct pki wild =
        pki_make((struct pki_spec){.cn = "wild", .alt = "DNS:*.dev.example.org"}, NULL);
    struct pki exact =
        pki_make((struct pki_spec){.cn = "exact", .alt = "DNS:a.dev.example.org"}, NULL);
    site_init(&site, rsa_cert, rsa_key); /* CN=x, the first */
    site_add(&site, pki_certs("leaf2.pem", &leaf, &inter, NULL), NULL, leaf_key);
    site_add(&site, pki_certs("wild.pem", &wild, NULL), NULL, pki_key("wild.key", &wild));
    site_add(&site, pki_certs("exact.pem", &exact, NULL), NULL, pki_key("exact.key", &exact));
    struct tls_context *ctx = site_load(&site, NULL);
    for (int v = TLS1_2_VERSION; v <= TLS1_3_VERSION; v++) {
        served(ctx, v, "mqtt.example.org", NULL, NULL, "mqtt.example.org");
        served(ctx, v, "MQTT.example.org", NULL, NULL, "mqtt.example.org");
        served(ctx, v, "a.dev.example.org", NULL, NULL, "exact");
        /* The wildcards of two certificates match: the first in order is used. */
        served(ctx, v, "b.dev.example.org", NULL, NULL, "mqtt.example.org");
        served(ctx, v, "b.c.dev.example.org", NULL, NULL, "mqtt.example.org");
        served(ctx, v, NULL, NULL, NULL, "mqtt.example.org");
        served(ctx, v, "mqtt.example.org", NULL, "rsa_pss_rsae_sha256:RSA+SHA256", "x");
        served(ctx, v, NULL, NULL, "rsa_pss_rsae_sha256:RSA+SHA256", "x");
    }
    served(ctx, TLS1_2_VERSION, "mqtt.example.org", "ECDHE-RSA-AES128-GCM-SHA256", NULL, "x");
    tls_context_unref(ctx);
    pki_free(&wild);
    pki_free(&exact);
}
END_TEST

START_TEST(an_unknown_name_gets_the_first_certificate) {
    site_init(&site, pki_certs("first.pem", &other, NULL), other_key);
    site_add(&site, full_chain, NULL, leaf_key);
    struct tls_context *ctx = site_load(&site, NULL);
    served(ctx, 0, "unknown.example.net", NULL, NULL, "other.example.org");
    served(ctx, 0, NULL, NULL, NULL, "other.example.org");
    served(ctx, 0, "dev.example.org", NULL, NULL, "other.example.org");
    tls_context_unref(ctx);
}
END_TEST

START_TEST(p384_certificates_are_served) {
    site_init(&site, pki_certs("p384.pem", &small, NULL), pki_key("p384.key", &small));
    struct tls_context *ctx = site_load(&site, NULL);
    served(ctx, TLS1_2_VERSION, NULL, NULL, NULL, "p384.example.org");
    served(ctx, TLS1_3_VERSION, NULL, NULL, NULL, "p384.example.org");
    tls_context_unref(ctx);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("context");
    TCase *tc = tcase_create("context");
    tcase_set_timeout(tc, 60);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_test(tc, a_missing_file_is_named);
    tcase_add_test(tc, garbage_is_refused);
    tcase_add_test(tc, a_named_chain_without_a_certificate_is_refused);
    tcase_add_test(tc, a_key_of_another_certificate_is_refused);
    tcase_add_test(tc, a_chain_in_the_wrong_order_is_refused);
    tcase_add_test(tc, a_root_at_the_end_of_the_chain_is_tolerated_and_not_sent);
    tcase_add_test(tc, what_plays_no_part_in_the_chain_is_not_sent);
    tcase_add_test(tc, chains_have_a_limit);
    tcase_add_test(tc, certificates_are_described);
    tcase_add_test(tc, expired_and_not_yet_valid_certificates_are_served);
    tcase_add_test(tc, keys_in_older_formats_load);
    tcase_add_test(tc, unknown_suites_are_refused_with_a_list_of_the_known_ones);
    tcase_add_test(tc, the_certificate_is_chosen_by_name_then_by_key_type);
    tcase_add_test(tc, an_unknown_name_gets_the_first_certificate);
    tcase_add_test(tc, p384_certificates_are_served);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
