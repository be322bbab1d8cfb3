/* The path builder by itself: which chains are trusted, in any order and among other certificates,
 * and how much work that may take. */
#include "paths.h"
#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

static struct pki root, sub, leaf, outsider;

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    root = paths_ca("Root", NULL);
    sub = paths_ca("Sub", &root);
    leaf = paths_device(&sub);
    outsider = paths_ca("Outsider", NULL);
}

static void finally(void) {
    struct pki *all[] = {&root, &sub, &leaf, &outsider};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
    paths_clear();
    pki_clean();
    tls_library_stop();
}

/* --- ways to a CA --- */

START_TEST(a_path_is_found_in_any_order_and_among_other_certificates) {
    struct pki late = pki_make(
        (struct pki_spec){.cn = "Sub", .ca = 1, .from_day = -9, .to_day = -1, .key_of = &sub},
        &root);
    TRUST(&root);
    GOOD(&leaf, &sub);
    ck_assert_uint_eq(paths_found.count, 3);
    ck_assert_ptr_eq(paths_found.certs[0], &paths_sent[0]);
    ck_assert_ptr_eq(paths_found.certs[1], &paths_sent[1]);
    ck_assert_ptr_eq(paths_found.certs[2], paths_anchors[0]);
    GOOD(&leaf, &sub, &root);
    GOOD(&leaf, &root, &sub);
    GOOD(&leaf, &outsider, &sub);
    GOOD(&leaf, &outsider, &leaf, &sub, &sub, &outsider);
    GOOD(&leaf, &late, &sub);
    BAD(REASON_EXPIRED, &leaf, &late);
    ck_assert_ptr_eq(paths_found.blamed, &paths_sent[1]);
    ck_assert_uint_eq(paths_found.depth, 1);
    BAD(REASON_UNKNOWN_CA, &leaf);
    BAD(REASON_UNKNOWN_CA, &leaf, &root);
    BAD(REASON_UNKNOWN_CA, &leaf, &outsider);
    pki_free(&late);
}
END_TEST

START_TEST(any_ca_of_the_path_may_be_the_trusted_one) {
    TRUST(&sub);
    GOOD(&leaf);
    GOOD(&leaf, &sub);
    GOOD(&leaf, &sub, &root);
    ck_assert_uint_eq(paths_found.count, 2);
    TRUST(&root, &sub);
    GOOD(&leaf);
    TRUST(&leaf);
    BAD(REASON_UNKNOWN_CA, &leaf);
}
END_TEST

START_TEST(an_expired_root_does_not_affect_another) {
    struct pki old = pki_make(
        (struct pki_spec){.cn = "Root", .ca = 1, .from_day = -9, .to_day = -1, .key_of = &root},
        NULL);
    struct pki crossed =
        pki_make((struct pki_spec){.cn = "Root", .ca = 1, .key_of = &root}, &outsider);
    TRUST(&old);
    BAD(REASON_EXPIRED, &leaf, &sub);
    ck_assert_ptr_eq(paths_found.blamed, paths_anchors[0]);
    ck_assert_uint_eq(paths_found.depth, 2);
    TRUST(&old, &root);
    GOOD(&leaf, &sub);
    TRUST(&old, &outsider);
    GOOD(&leaf, &sub, &crossed);
    ck_assert_uint_eq(paths_found.count, 4);
    BAD(REASON_EXPIRED, &leaf, &sub);
    TRUST(&root);
    GOOD(&leaf, &sub, &crossed);
    pki_free(&crossed);
    pki_free(&old);
}
END_TEST

START_TEST(key_identifiers_and_shared_keys_decide_nothing) {
    struct pki odd = pki_make(
        (struct pki_spec){.cn = "Odd", .ca = 1, .key_id = "01:02:03", .key_of = &sub}, &root);
    struct pki bare = pki_make((struct pki_spec){.cn = "Sub", .ca = 1, .key_id = "none"}, &root);
    struct pki of_bare = pki_make((struct pki_spec){.cn = "x", .issuer_key_id = "none"}, &bare);
    struct pki of_odd = paths_device(&odd);
    TRUST(&root);
    GOOD(&of_odd, &odd);
    GOOD(&of_odd, &sub, &odd);
    BAD(REASON_UNKNOWN_CA, &of_odd, &sub);
    GOOD(&of_bare, &bare);
    GOOD(&of_bare, &sub, &bare);
    GOOD(&leaf, &bare, &odd, &sub);
    pki_free(&of_odd);
    pki_free(&of_bare);
    pki_free(&bare);
    pki_free(&odd);
}
END_TEST

START_TEST(chains_of_ten_are_built_and_longer_ones_too) {
    struct pki chain[15], end;
    TRUST(&root);
    for (int i = 0; i < 15; i++) {
        char name[20];
        snprintf(name, sizeof name, "Level %d", i);
        chain[i] = paths_ca(name, i > 0 ? &chain[i - 1] : &root);
    }
    end = paths_device(&chain[14]);
    const struct pki *certs[20] = {&end};
    for (size_t i = 0; i < 15; i++) {
        certs[1 + i] = &chain[14 - i];
    }
    paths_is(paths_build(certs), REASON_NONE);
    ck_assert_uint_eq(paths_found.count, 17);
    for (size_t i = 0; i < 15; i++) {
        certs[1 + i] = &chain[i * 7 % 15];
    }
    paths_is(paths_build(certs), REASON_NONE);
    certs[16] = &outsider;
    paths_is(paths_build(certs), REASON_TOO_LARGE);
    for (int i = 0; i < 15; i++) {
        pki_free(&chain[i]);
    }
    pki_free(&end);
}
END_TEST

/* --- names --- */

/* An issuer may write its name in a certificate differently from its own subject. */
static void set_name(X509_NAME *name, int type, const char *o, const char *cn) {
    while (X509_NAME_entry_count(name) > 0) {
        X509_NAME_ENTRY_free(X509_NAME_delete_entry(name, 0));
    }
    X509_NAME_add_entry_by_txt(name, "O", type, (const unsigned char *)o, -1, -1, 0);
    X509_NAME_add_entry_by_txt(name, "CN", type, (const unsigned char *)cn, -1, -1, 0);
}

static enum reason with_issuer(int type, const char *o, const char *cn) {
    struct pki odd = paths_device(&sub);
    set_name(X509_get_issuer_name(odd.cert), type, o, cn);
    X509_sign(odd.cert, sub.key, EVP_sha256());
    enum reason reason = SENT(&odd, &sub);
    pki_free(&odd);
    return reason;
}

START_TEST(names_compare_as_rfc_5280_says) {
    TRUST(&root);
    paths_is(with_issuer(V_ASN1_PRINTABLESTRING, "Test", "Sub"), REASON_NONE);
    paths_is(with_issuer(V_ASN1_UTF8STRING, "TEST", "sUB"), REASON_NONE);
    paths_is(with_issuer(V_ASN1_IA5STRING, "  test ", "Sub  "), REASON_NONE);
    paths_is(with_issuer(V_ASN1_UTF8STRING, "Te st", "Sub"), REASON_UNKNOWN_CA);
    paths_is(with_issuer(V_ASN1_UTF8STRING, "Test", "Sub2"), REASON_UNKNOWN_CA);
    paths_is(with_issuer(V_ASN1_UTF8STRING, "Test", ""), REASON_UNKNOWN_CA);
}
END_TEST

START_TEST(a_multi_valued_rdn_compares_in_any_order) {
    struct pki first = paths_ca("A", &root), end;
    X509_NAME *name = X509_get_subject_name(first.cert);
    X509_NAME_add_entry_by_txt(name, "OU", V_ASN1_UTF8STRING, (const unsigned char *)"unit", -1, -1,
                               -1);
    X509_sign(first.cert, root.key, EVP_sha256());
    end = paths_device(&first);
    TRUST(&root);
    GOOD(&end, &first);
    /* The elements of a set are ordered by their encoding, so a longer string type moves one. */
    X509_NAME *issuer = X509_get_issuer_name(end.cert);
    set_name(issuer, V_ASN1_PRINTABLESTRING, "Test", "a");
    X509_NAME_add_entry_by_txt(issuer, "OU", V_ASN1_BMPSTRING,
                               (const unsigned char *)"\0U\0n\0i\0t", 8, -1, -1);
    X509_sign(end.cert, first.key, EVP_sha256());
    GOOD(&end, &first);
    pki_free(&end);
    pki_free(&first);
}
END_TEST

START_TEST(path_lengths_count_the_cas_below) {
    struct pki top = pki_make(
        (struct pki_spec){.cn = "Top", .ca = 1, .basic = "critical,CA:TRUE,pathlen:1"}, NULL);
    struct pki one = paths_ca("One", &top), two = paths_ca("Two", &one),
               own = paths_ca("One", &one);
    struct pki of_one = paths_device(&one), of_two = paths_device(&two),
               of_own = paths_device(&own);
    TRUST(&top);
    GOOD(&of_one, &one);
    GOOD(&of_own, &own, &one); /* self-issued: not counted */
    BAD(REASON_PATH_LENGTH, &of_two, &two, &one);
    ck_assert_uint_eq(paths_found.depth, 3);
    struct pki *all[] = {&top, &one, &two, &own, &of_one, &of_two, &of_own};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
}
END_TEST

/* --- bounds --- */

START_TEST(the_work_is_bounded) {
    struct pki same[15];
    const struct pki *certs[17] = {NULL};
    struct pki end;
    /* Cross-certificates in every direction, all of one name: as many paths as possible. */
    for (size_t i = 0; i < 15; i++) {
        same[i] = paths_ca("Same", i > 0 ? &same[i - 1] : NULL);
        certs[1 + i] = &same[i];
    }
    end = paths_device(&same[14]);
    certs[0] = &end;
    TRUST(&root);
    enum reason reason = paths_build(certs);
    ck_assert(reason == REASON_TOO_LARGE || reason == REASON_UNKNOWN_CA);
    ck_assert_uint_le(paths_signatures, PATH_SIGNATURES_MAX);
    paths_signatures = 0;
    TRUST(&same[0]);
    reason = paths_build(certs);
    ck_assert(reason == REASON_TOO_LARGE || reason == REASON_NONE);
    ck_assert_uint_le(paths_signatures, PATH_SIGNATURES_MAX);
    for (size_t i = 0; i < 15; i++) {
        pki_free(&same[i]);
    }
    pki_free(&end);
}
END_TEST

/* A CA may have a key that makes its signatures expensive, and make many more. */
START_TEST(expensive_keys_are_few) {
    struct pki key = pki_make((struct pki_spec){.cn = "Top", .ca = 1, .key = PKI_RSA8192}, NULL);
    struct pki chain[12], end;
    const struct pki *certs[14] = {&end};
    for (int i = 0; i < 12; i++) {
        char name[20];
        snprintf(name, sizeof name, "Level %d", i);
        chain[i] = pki_make((struct pki_spec){.cn = name, .ca = 1, .key_of = &key},
                            i > 0 ? &chain[i - 1] : &key);
        certs[12 - i] = &chain[i];
    }
    end = paths_device(&chain[11]);
    TRUST(&key);
    paths_is(paths_build(certs), REASON_TOO_LARGE);
    ck_assert_uint_le(paths_signatures, 8);
    pki_free(&end);
    end = paths_device(&chain[1]);
    GOOD(&end, &chain[1], &chain[0]);
    for (int i = 0; i < 12; i++) {
        pki_free(&chain[i]);
    }
    pki_free(&end);
    pki_free(&key);
}
END_TEST

/* With an exponent of 64 bits it takes four times as long as with the usual one of 17. */
START_TEST(a_pinned_certificate_may_not_have_an_expensive_key_either) {
    struct pki cert = pki_make((struct pki_spec){.cn = "device", .key = PKI_RSA8192}, NULL);
    TRUST(&root);
    BAD(REASON_UNKNOWN_CA, &cert);
    struct x509 *read = &paths_sent[0];
    paths_is(path_pinned(&paths_rules, read, &paths_found), REASON_NONE);
    read->exponent_bits = PATH_EXPONENT_BITS_MAX;
    paths_is(path_pinned(&paths_rules, read, &paths_found), REASON_TOO_LARGE);
    pki_free(&cert);
}
END_TEST

/* As long as a client makes them, and in two spellings, so that they cannot be compared by byte. */
static enum reason spelled_in_two_ways(const char *name, size_t count) {
    struct pki same[3], end;
    const struct pki *certs[6] = {&end};
    for (size_t i = 0; i < count; i++) {
        same[i] = paths_ca("Same", NULL);
        set_name(X509_get_subject_name(same[i].cert), V_ASN1_UTF8STRING, "Test", name);
        set_name(X509_get_issuer_name(same[i].cert), V_ASN1_PRINTABLESTRING, "Test", name);
        X509_sign(same[i].cert, same[i].key, EVP_sha256());
        certs[1 + i] = &same[i];
    }
    end = paths_device(&same[0]);
    set_name(X509_get_issuer_name(end.cert), V_ASN1_PRINTABLESTRING, "Test", name);
    X509_sign(end.cert, same[0].key, EVP_sha256());
    TRUST(&root);
    enum reason reason = paths_build(certs);
    for (size_t i = 0; i < count; i++) {
        pki_free(&same[i]);
    }
    pki_free(&end);
    return reason;
}

START_TEST(comparing_names_is_bounded) {
    char name[3000] = {0};
    memset(name, 'n', sizeof name - 1);
    paths_is(spelled_in_two_ways("Same", 3), REASON_UNKNOWN_CA);
    paths_is(spelled_in_two_ways(name, 1), REASON_UNKNOWN_CA);
    paths_is(spelled_in_two_ways(name, 3), REASON_TOO_LARGE);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("path");
    TCase *tc = tcase_create("path");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, paths_setup, NULL);
    tcase_add_test(tc, a_path_is_found_in_any_order_and_among_other_certificates);
    tcase_add_test(tc, any_ca_of_the_path_may_be_the_trusted_one);
    tcase_add_test(tc, an_expired_root_does_not_affect_another);
    tcase_add_test(tc, key_identifiers_and_shared_keys_decide_nothing);
    tcase_add_test(tc, chains_of_ten_are_built_and_longer_ones_too);
    tcase_add_test(tc, names_compare_as_rfc_5280_says);
    tcase_add_test(tc, a_multi_valued_rdn_compares_in_any_order);
    tcase_add_test(tc, path_lengths_count_the_cas_below);
    tcase_add_test(tc, the_work_is_bounded);
    tcase_add_test(tc, comparing_names_is_bounded);
    if (!is_distribution_library()) {
        tcase_add_test(tc, expensive_keys_are_few);
        tcase_add_test(tc, a_pinned_certificate_may_not_have_an_expensive_key_either);
    }
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
