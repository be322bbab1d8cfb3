/* What it costs to check lists by CAs that clients send along: counted, not timed. */
#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <string.h>

enum { LONG = 20000, ENTRIES = 6000 }; /* such a list has some 200 KB; no certificate here has 20 */

static struct pki server, root;
static struct site site;
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* How many times something long was hashed; with the distribution's library that stays 0. */
static unsigned reads;

int __real_wc_Sha256Update(void *sha, const unsigned char *data, unsigned len);
int __wrap_wc_Sha256Update(void *sha, const unsigned char *data, unsigned len);
int __wrap_wc_Sha256Update(void *sha, const unsigned char *data, unsigned len) {
    reads += len >= LONG;
    return __real_wc_Sha256Update(sha, data, len);
}
int __real_wc_Sha512Update(void *sha, const unsigned char *data, unsigned len);
int __wrap_wc_Sha512Update(void *sha, const unsigned char *data, unsigned len);
int __wrap_wc_Sha512Update(void *sha, const unsigned char *data, unsigned len) {
    reads += len >= LONG;
    return __real_wc_Sha512Update(sha, data, len);
}

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    root = pki_make((struct pki_spec){.cn = "Root", .ca = 1}, NULL);
    site_init(&site, pki_certs("server.pem", &server, NULL), pki_key("server.key", &server));
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)pki_certs("root.pem", &root, NULL);
}

static void finally(void) {
    pki_free(&server);
    pki_free(&root);
    pki_clean();
    tls_library_stop();
}

static enum reason visit(struct tls_context *ctx, int version, const struct pki *leaf,
                         const struct pki *cas, size_t count) {
    SSL_CTX *client = client_new(version);
    struct pair p;
    ck_assert_int_eq(SSL_CTX_use_certificate(client, leaf->cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, leaf->key), 1);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(SSL_CTX_add1_chain_cert(client, cas[i].cert), 1);
    }
    pair_init(&p, client, "localhost", NULL);
    reads = 0;
    pair_handshake(&p, ctx);
    enum reason reason = engine_failure(p.engine);
    pair_free(&p);
    SSL_CTX_free(client);
    return reason;
}

static const struct {
    enum pki_key key;
    unsigned reads; /* at most, by one client */
} kinds[] = {{PKI_P256, 0}, {PKI_RSA2048, 0}, {PKI_ED25519, 2}};

/* Debian 13's library (5.7.2) refuses a client that sends an Ed25519 CA, before any list is looked
 * at. It returns MEMORY_E although no allocation failed; the engine reports it as a certificate
 * that cannot be read. */
static bool cannot_read_sent_ca(struct tls_context *ctx, enum pki_key key, int version,
                                const struct pki *device, const struct pki *sub) {
    return strstr(tls_library_version(), "5.7.2") != NULL && key == PKI_ED25519 &&
           visit(ctx, version, device, sub, 1) == REASON_BAD_ENCODING;
}

/* A tenant has a CA of its own that the root certified several times under the name of another.
 * Each of them might have signed the long list of that one. */
START_TEST(a_tenant_cannot_have_a_long_list_of_another_read_again_and_again) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct pki_spec spec = {.cn = "Sub", .ca = 1, .key = kinds[i].key};
        struct pki sub = pki_make(spec, &root), fake[6] = {pki_make(spec, &root)};
        struct pki device = pki_make((struct pki_spec){.cn = "device"}, &sub);
        struct pki tenant = pki_make((struct pki_spec){.cn = "tenant"}, &fake[0]);
        for (size_t j = 1; j < sizeof fake / sizeof *fake; j++) {
            fake[j] = pki_make((struct pki_spec){.cn = "Sub", .ca = 1, .key_of = &fake[0]}, &root);
        }
        const char *own = pki_crl("root.crl", &root, NULL, 5);
        site.listener.client_crl =
            (char *)pki_joined("lists.crl", own, pki_crl_long("sub.crl", &sub, ENTRIES));
        struct tls_context *ctx = site_load(&site, NULL);
        if (!cannot_read_sent_ca(ctx, kinds[i].key, versions[_i], &device, &sub)) {
            size_t count = sizeof fake / sizeof *fake;
            enum reason reason = visit(ctx, versions[_i], &tenant, fake, count);
            ck_assert_msg(reason == REASON_NO_CRL || reason == REASON_TOO_LARGE, "%s",
                          reason_name(reason));
            ck_assert_uint_le(reads, kinds[i].reads);
            ck_assert_int_eq(visit(ctx, versions[_i], &device, &sub, 1), REASON_NONE);
            ck_assert_uint_le(reads, kinds[i].reads);
        }
        tls_context_unref(ctx);
        for (size_t j = sizeof fake / sizeof *fake; j-- > 0;) {
            pki_free(&fake[j]);
        }
        pki_free(&tenant);
        pki_free(&device);
        pki_free(&sub);
    }
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("client_lists");
    TCase *tc = tcase_create("client_lists");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_loop_test(tc, a_tenant_cannot_have_a_long_list_of_another_read_again_and_again, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
