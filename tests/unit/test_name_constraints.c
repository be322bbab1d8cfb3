/* Tenants whose CA may only issue certain names, through whole handshakes: what keeps to the
 * constraints is accepted, and every way around them is refused. Two of the ways are open in
 * wolfSSL 5.9.2 itself (CVE-2026-89133, CVE-2026-89134). */
#include "run.h"
#include "tls_pair.h"

#include <check.h>

enum { SENT_MAX = 4 };

static struct pki server, root, tenant, middle, lower, again;
static struct site site;
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* root > tenant (constrained) > middle > lower; and a CA of the tenant that has the tenant's own
 * name, so that it looks like a root. */
static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    root = pki_make((struct pki_spec){.cn = "Root", .ca = 1}, NULL);
    tenant = pki_make((struct pki_spec){.cn = "Tenant CA",
                                        .ca = 1,
                                        .constraints = "critical,permitted;DNS:tenant.example"},
                      &root);
    middle = pki_make((struct pki_spec){.cn = "Middle CA", .ca = 1}, &tenant);
    lower = pki_make((struct pki_spec){.cn = "Lower CA", .ca = 1}, &middle);
    again = pki_make((struct pki_spec){.cn = "Tenant CA", .ca = 1}, &tenant);
}

static void finally(void) {
    struct pki *all[] = {&server, &root, &tenant, &middle, &lower, &again};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    site_init(&site, pki_certs("server.pem", &server, NULL), pki_key("server.key", &server));
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)pki_certs("root.pem", &root, NULL);
}

/* A client with these names, whose certificate the first of `cas` issued; it sends them too. */
static enum reason visit(const char *cn, const char *alt, int version,
                         const struct pki *const cas[SENT_MAX]) {
    struct pki leaf = pki_make((struct pki_spec){.cn = cn, .alt = alt}, cas[0]);
    struct tls_context *ctx = site_load(&site, NULL);
    SSL_CTX *client = client_new(version);
    struct pair p;
    ck_assert_int_eq(SSL_CTX_use_certificate(client, leaf.cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, leaf.key), 1);
    for (size_t i = 0; cas[i] != NULL; i++) {
        ck_assert_int_eq(SSL_CTX_add1_chain_cert(client, cas[i]->cert), 1);
    }
    pair_init(&p, client, "localhost", NULL);
    enum engine_status status = pair_handshake(&p, ctx);
    enum reason reason = engine_failure(p.engine);
    ck_assert_int_eq(status == ENGINE_OK, reason == REASON_NONE);
    pair_free(&p);
    SSL_CTX_free(client);
    tls_context_unref(ctx);
    pki_free(&leaf);
    return reason;
}

static const struct {
    const char *cn, *alt;
    enum reason reason;
} names[] = {
    {"dev.tenant.example", NULL, REASON_NONE},
    {"dev.tenant.example", "IP:192.0.2.1", REASON_NONE},
    {"Pump 1", NULL, REASON_NONE}, /* not a host name */
    {"Pump 1", "DNS:dev.tenant.example", REASON_NONE},
    {"dev.other.example", NULL, REASON_NAME_CONSTRAINT},
    {"dev.other.example", "IP:192.0.2.1", REASON_NAME_CONSTRAINT},
    {"dev.other.example", "URI:urn:dev:1", REASON_NAME_CONSTRAINT},
    {"dev.other.example", "RID:1.2.3.4", REASON_NAME_CONSTRAINT},
    {"dev.other.example", "email:dev@tenant.example", REASON_NAME_CONSTRAINT},
    {"dev.other.example", "DNS:dev.tenant.example", REASON_NAME_CONSTRAINT},
    {"Pump 1", "DNS:dev.other.example", REASON_NAME_CONSTRAINT},
    {"Pump 1", "DNS:dev.tenant.example,DNS:dev.other.example", REASON_NAME_CONSTRAINT},
    {"Pump 1", "DNS:tenant.example.other.example", REASON_NAME_CONSTRAINT},
};
enum { NAMES = sizeof names / sizeof *names };

static void judge(int at, const struct pki *const cas[SENT_MAX]) {
    for (size_t v = 0; v < 2; v++) {
        enum reason reason = visit(names[at].cn, names[at].alt, versions[v], cas);
        ck_assert_msg(reason == names[at].reason, "CN %s, %s: %s", names[at].cn, names[at].alt,
                      reason_name(reason));
    }
}

START_TEST(a_certificate_must_keep_to_the_constraints_of_its_issuer) {
    judge(_i, (const struct pki *const[SENT_MAX]){&tenant});
}
END_TEST

START_TEST(constraints_apply_below_a_ca_that_has_none) {
    judge(_i, (const struct pki *const[SENT_MAX]){&middle, &tenant});
    judge(_i, (const struct pki *const[SENT_MAX]){&lower, &middle, &tenant});
}
END_TEST

START_TEST(a_ca_with_its_issuers_name_does_not_end_the_constraints) {
    judge(_i, (const struct pki *const[SENT_MAX]){&again, &tenant});
}
END_TEST

/* The tenant issues a CA with wider constraints: those of the tenant's own CA still apply. */
START_TEST(constraints_of_every_ca_in_the_path_hold) {
    struct pki wider = pki_make((struct pki_spec){.cn = "Wider CA",
                                                  .ca = 1,
                                                  .constraints = "critical,permitted;DNS:example"},
                                &tenant);
    judge(_i, (const struct pki *const[SENT_MAX]){&wider, &tenant});
    pki_free(&wider);
}
END_TEST

START_TEST(a_ca_beside_a_constrained_one_is_not_constrained) {
    struct pki other = pki_make((struct pki_spec){.cn = "Other CA", .ca = 1}, &root);
    const struct pki *const cas[SENT_MAX] = {&other, &tenant};
    ck_assert_int_eq(visit("dev.other.example", NULL, versions[_i], cas), REASON_NONE);
    pki_free(&other);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("name constraints");
    TCase *tests = tcase_create("all");
    tcase_add_unchecked_fixture(tests, once, finally);
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, a_certificate_must_keep_to_the_constraints_of_its_issuer, 0, NAMES);
    tcase_add_loop_test(tests, constraints_apply_below_a_ca_that_has_none, 0, NAMES);
    tcase_add_loop_test(tests, a_ca_with_its_issuers_name_does_not_end_the_constraints, 0, NAMES);
    tcase_add_loop_test(tests, constraints_of_every_ca_in_the_path_hold, 0, NAMES);
    tcase_add_loop_test(tests, a_ca_beside_a_constrained_one_is_not_constrained, 0, 2);
    suite_add_tcase(suite, tests);
    return run_suite(suite, CK_FORK_GETENV);
}
