/* What our changes to the library's check of name constraints promise: name-constraints-cn.diff
 * (CVE-2026-89134) and name-constraints-path.diff (CVE-2026-89133), both in
 * subprojects/packagefiles/wolfssl. */
#include "constrained.h"
#include "run.h"

#include <user_settings.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

static WOLFSSL_CERT_MANAGER *manager;

static int verify(const struct constrained *node) {
    return wolfSSL_CertManagerVerifyBuffer(manager, node->der, node->len, WOLFSSL_FILETYPE_ASN1);
}

static void trust(const struct constrained *node) {
    ck_assert_int_eq(
        wolfSSL_CertManagerLoadCABuffer(manager, node->der, node->len, WOLFSSL_FILETYPE_ASN1),
        WOLFSSL_SUCCESS);
}

/* As for a chain that a client sends: verified, then trusted to sign. */
static void pass_and_trust(const struct constrained *node) {
    ck_assert_int_eq(verify(node), WOLFSSL_SUCCESS);
    trust(node);
}

static void setup(void) {
    ck_assert_int_eq(wolfSSL_Init(), WOLFSSL_SUCCESS);
    manager = wolfSSL_CertManagerNew();
    ck_assert_ptr_nonnull(manager);
}

static void teardown(void) {
    wolfSSL_CertManagerFree(manager);
    wolfSSL_Cleanup();
}

static const char *const OWN_DNS = "critical,permitted;DNS:tenant.example";

static const struct {
    struct constrained_spec leaf;
    int code;
} names[] = {
    {{.cn = "dev.tenant.example"}, WOLFSSL_SUCCESS},
    {{.cn = "dev.other.example"}, ASN_NAME_INVALID_E},
    {{.cn = "dev.tenant.example", .alt = "IP:192.0.2.1"}, WOLFSSL_SUCCESS},
    {{.cn = "dev.other.example", .alt = "IP:192.0.2.1"}, ASN_NAME_INVALID_E},
    {{.cn = "dev.other.example", .alt = "URI:urn:dev:1"}, ASN_NAME_INVALID_E},
    {{.cn = "dev.other.example", .alt = "RID:1.2.3.4"}, ASN_NAME_INVALID_E},
    {{.cn = "dev.other.example", .alt = "email:dev@tenant.example"}, ASN_NAME_INVALID_E},
    /* With a DNS name the common name is only a label (RFC 6125, 6.4.4). */
    {{.cn = "Pump 1", .alt = "DNS:dev.tenant.example"}, WOLFSSL_SUCCESS},
    {{.cn = "Pump 1", .alt = "IP:192.0.2.1,DNS:dev.tenant.example"}, WOLFSSL_SUCCESS},
    {{.cn = "Pump 1", .alt = "DNS:dev.other.example"}, ASN_NAME_INVALID_E},
};

START_TEST(a_common_name_without_a_dns_name_beside_it_is_bound_too) {
    struct constrained ca = constrained_make(
        (struct constrained_spec){.cn = "Tenant CA", .ca = true, .constraints = OWN_DNS}, NULL);
    struct constrained leaf = constrained_make(names[_i].leaf, &ca);
    trust(&ca);
    ck_assert_int_eq(verify(&leaf), names[_i].code);
    constrained_free(&leaf);
    constrained_free(&ca);
}
END_TEST

static const struct {
    const char *cn, *alt;
    int code;
} leaves[] = {
    {"dev.tenant.example", NULL, WOLFSSL_SUCCESS},
    {"dev.tenant.example", "DNS:dev.tenant.example", WOLFSSL_SUCCESS},
    {"dev", "DNS:dev.other.example", ASN_NAME_INVALID_E},
    {"dev.other.example", NULL, ASN_NAME_INVALID_E},
    {"dev.tenant.example", "URI:https://other.example/1", WOLFSSL_SUCCESS},
};

/* root > tenant (constrained) > middle (not constrained) > lower (not constrained) > leaf */
START_TEST(constraints_reach_below_a_ca_that_has_none) {
    struct constrained root =
        constrained_make((struct constrained_spec){.cn = "Root", .ca = true}, NULL);
    struct constrained tenant = constrained_make(
        (struct constrained_spec){.cn = "Tenant CA", .ca = true, .constraints = OWN_DNS}, &root);
    struct constrained middle = constrained_make(
        (struct constrained_spec){.cn = "ca1.tenant.example", .ca = true}, &tenant);
    struct constrained lower = constrained_make(
        (struct constrained_spec){.cn = "ca2.tenant.example", .ca = true}, &middle);
    struct constrained_spec spec = {.cn = leaves[_i].cn, .alt = leaves[_i].alt};
    struct constrained near = constrained_make(spec, &middle), far = constrained_make(spec, &lower);
    trust(&root);
    pass_and_trust(&tenant);
    pass_and_trust(&middle);
    pass_and_trust(&lower);
    ck_assert_int_eq(verify(&near), leaves[_i].code);
    ck_assert_int_eq(verify(&far), leaves[_i].code);
    struct constrained *all[] = {&far, &near, &lower, &middle, &tenant, &root};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        constrained_free(all[i]);
    }
}
END_TEST

/* Two constrained CAs in one path: a name must please both. */
START_TEST(constraints_of_each_ca_in_the_path_hold) {
    struct constrained root = constrained_make(
        (struct constrained_spec){.cn = "Root", .ca = true, .constraints = OWN_DNS}, NULL);
    struct constrained wider = constrained_make(
        (struct constrained_spec){
            .cn = "ca.tenant.example", .ca = true, .constraints = "critical,permitted;DNS:example"},
        &root);
    struct constrained good = constrained_make(
        (struct constrained_spec){.cn = "d", .alt = "DNS:dev.tenant.example"}, &wider);
    struct constrained bad = constrained_make(
        (struct constrained_spec){.cn = "d", .alt = "DNS:dev.other.example"}, &wider);
    trust(&root);
    pass_and_trust(&wider);
    ck_assert_int_eq(verify(&good), WOLFSSL_SUCCESS);
    ck_assert_int_eq(verify(&bad), ASN_NAME_INVALID_E);
    struct constrained *all[] = {&bad, &good, &wider, &root};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        constrained_free(all[i]);
    }
}
END_TEST

/* A certificate whose issuer has its own name looks like a root, but is none: the CA above it is
 * found all the same. With and without key identifiers, as the library then searches by name. */
START_TEST(a_self_issued_ca_does_not_shake_constraints_off) {
    bool no_key_id = _i == 1;
    struct constrained_spec tenant = {
        .cn = "ca.tenant.example", .ca = true, .constraints = OWN_DNS, .no_key_id = no_key_id};
    struct constrained_spec next = {.cn = "ca.tenant.example", .ca = true, .no_key_id = no_key_id};
    struct constrained root = constrained_make(tenant, NULL), again = constrained_make(next, &root);
    struct constrained leaf = constrained_make(
        (struct constrained_spec){
            .cn = "d", .alt = "DNS:dev.other.example", .no_key_id = no_key_id},
        &again);
    trust(&root);
    pass_and_trust(&again);
    ck_assert_int_ne(verify(&leaf), WOLFSSL_SUCCESS);
    constrained_free(&leaf);
    constrained_free(&again);
    constrained_free(&root);
}
END_TEST

START_TEST(two_roots_do_not_constrain_each_other) {
    struct constrained bound = constrained_make(
        (struct constrained_spec){.cn = "Bound", .ca = true, .constraints = OWN_DNS}, NULL);
    struct constrained free_ca =
        constrained_make((struct constrained_spec){.cn = "Free", .ca = true}, NULL);
    struct constrained leaf = constrained_make(
        (struct constrained_spec){.cn = "d", .alt = "DNS:dev.other.example"}, &free_ca);
    trust(&bound);
    trust(&free_ca);
    ck_assert_int_eq(verify(&leaf), WOLFSSL_SUCCESS);
    constrained_free(&leaf);
    constrained_free(&free_ca);
    constrained_free(&bound);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("name constraints");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, a_common_name_without_a_dns_name_beside_it_is_bound_too, 0,
                        sizeof names / sizeof *names);
    tcase_add_loop_test(tests, constraints_reach_below_a_ca_that_has_none, 0,
                        sizeof leaves / sizeof *leaves);
    tcase_add_test(tests, constraints_of_each_ca_in_the_path_hold);
    tcase_add_loop_test(tests, a_self_issued_ca_does_not_shake_constraints_off, 0, 2);
    tcase_add_test(tests, two_roots_do_not_constrain_each_other);
    suite_add_tcase(suite, tests);
    return run_suite(suite, CK_FORK_GETENV);
}
