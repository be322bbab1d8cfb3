/* Attacks on the verification of clients, through whole handshakes: what a CA that is no longer
 * trusted can issue, what is kept from earlier clients, and what one client can do to others. */
#include "run.h"
#include "tls_pair.h"

#include <check.h>
#include <malloc.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct pki server, root;
static const char *root_file;
static struct site site;
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    root = pki_make((struct pki_spec){.cn = "Root", .ca = 1}, NULL);
    root_file = pki_certs("root.pem", &root, NULL);
}

static void finally(void) {
    pki_free(&server);
    pki_free(&root);
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    site_init(&site, pki_certs("server.pem", &server, NULL), pki_key("server.key", &server));
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)root_file;
}

static char detail[300]; /* of the last refusal */

/* One handshake of a client that sends these certificates, its own first, up to NULL. */
static enum reason visit(struct tls_context *ctx, int version, const struct pki *const *sent) {
    SSL_CTX *client = client_new(version);
    struct pair p;
    SSL_CTX_set_security_level(client, 0);
    ck_assert_int_eq(SSL_CTX_use_certificate(client, sent[0]->cert), 1);
    ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, sent[0]->key), 1);
    for (size_t i = 1; sent[i] != NULL; i++) {
        ck_assert_int_eq(SSL_CTX_add1_chain_cert(client, sent[i]->cert), 1);
    }
    pair_init(&p, client, "localhost", NULL);
    enum engine_status status = pair_handshake(&p, ctx);
    enum reason reason = engine_failure(p.engine);
    const char *said = engine_failure_detail(p.engine);
    snprintf(detail, sizeof detail, "%s", said != NULL ? said : "-");
    ck_assert_int_eq(status == ENGINE_OK, reason == REASON_NONE);
    if (status == ENGINE_OK) {
        pair_send_up(&p, "up", 2);
    } else {
        ck_assert_uint_ne(engine_alert(p.engine), 0);
    }
    pair_free(&p);
    SSL_CTX_free(client);
    return reason;
}
#define VISIT(ctx, version, ...) visit(ctx, version, (const struct pki *const[]){__VA_ARGS__, NULL})

static void is(enum reason reason, enum reason wanted) {
    ck_assert_msg(reason == wanted, "%s, not %s", reason_name(reason), reason_name(wanted));
}

static const char *key_id_of(const struct pki *p) {
    static char text[3 * EVP_MAX_MD_SIZE];
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(p->cert);
    const unsigned char *data = ASN1_STRING_get0_data(id);
    for (int i = 0; i < ASN1_STRING_length(id); i++) {
        snprintf(text + 3 * i, 4, "%02x:", data[i]);
    }
    text[3 * ASN1_STRING_length(id) - 1] = '\0';
    return text;
}

/* --- a CA that is no longer trusted issues a CA with the name of a trusted one --- */

static const char *const key_ids[] = {"same", NULL, "none"};

/* Presents an impostor that `sub` issued, with every set of certificates; none may be judged better
 * than the real chain. */
static void present_impostor_of(const struct pki *sub, enum reason deserved, int version) {
    for (size_t i = 0; i < sizeof key_ids / sizeof *key_ids; i++) {
        bool same = key_ids[i] != NULL && strcmp(key_ids[i], "same") == 0;
        struct pki fake = pki_make(
            (struct pki_spec){
                .cn = "Root", .ca = 1, .key_id = same ? key_id_of(&root) : key_ids[i]},
            sub);
        struct pki leaf = pki_make(
            (struct pki_spec){.cn = "admin", .issuer_key_id = key_ids[i] != NULL ? "none" : NULL},
            &fake);
        struct tls_context *ctx = site_load(&site, NULL);
        is(VISIT(ctx, version, &leaf, &fake, sub), deserved);
        is(VISIT(ctx, version, &leaf, sub, &fake), deserved);
        is(VISIT(ctx, version, &leaf, &fake, sub, &root), deserved);
        is(VISIT(ctx, version, &leaf, &fake), REASON_UNKNOWN_CA);
        is(VISIT(ctx, version, &leaf), REASON_UNKNOWN_CA);
        tls_context_unref(ctx);
        pki_free(&leaf);
        pki_free(&fake);
    }
}

START_TEST(a_revoked_ca_cannot_issue_a_ca_with_a_trusted_name) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1}, &root);
    site.listener.client_crl = (char *)pki_crl("sub-revoked.crl", &root, &sub, 5);
    present_impostor_of(&sub, REASON_REVOKED, versions[_i]);
    pki_free(&sub);
}
END_TEST

START_TEST(an_expired_ca_cannot_issue_a_ca_with_a_trusted_name) {
    struct pki sub =
        pki_make((struct pki_spec){.cn = "Sub", .ca = 1, .from_day = -20, .to_day = -2}, &root);
    present_impostor_of(&sub, REASON_EXPIRED, versions[_i]);
    pki_free(&sub);
}
END_TEST

START_TEST(a_ca_for_other_purposes_cannot_issue_a_ca_with_a_trusted_name) {
    struct pki sub =
        pki_make((struct pki_spec){.cn = "Sub", .ca = 1, .usage = "serverAuth"}, &root);
    present_impostor_of(&sub, REASON_WRONG_USAGE, versions[_i]);
    pki_free(&sub);
}
END_TEST

START_TEST(a_leaf_cannot_issue_a_ca_with_a_trusted_name) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Device"}, &root);
    present_impostor_of(&sub, REASON_UNKNOWN_CA, versions[_i]);
    pki_free(&sub);
}
END_TEST

START_TEST(a_matching_name_alone_is_not_trusted) {
    struct pki fake =
        pki_make((struct pki_spec){.cn = "Root", .ca = 1, .key_id = key_id_of(&root)}, NULL);
    struct pki leaf = pki_make((struct pki_spec){.cn = "admin"}, &fake);
    struct pki self = pki_make((struct pki_spec){.cn = "Root"}, NULL);
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &leaf), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &leaf, &fake), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &leaf, &root), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &leaf, &fake, &root), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &self), REASON_UNKNOWN_CA);
    tls_context_unref(ctx);
    pki_free(&self);
    pki_free(&leaf);
    pki_free(&fake);
}
END_TEST

/* A CRL applies to the CA that signed it, not to another CA of the same name. */
START_TEST(a_crl_does_not_apply_to_another_ca_of_the_same_name) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1}, &root);
    struct pki namesake = pki_make((struct pki_spec){.cn = "Root", .ca = 1}, &sub);
    struct pki leaf = pki_make((struct pki_spec){.cn = "admin"}, &namesake);
    struct pki good = pki_make((struct pki_spec){.cn = "device"}, &root);
    site.listener.client_crl = (char *)pki_crl("nobody.crl", &root, NULL, 5);
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &good), REASON_NONE);
    is(VISIT(ctx, versions[_i], &leaf, &namesake, &sub), REASON_NO_CRL);
    tls_context_unref(ctx);
    pki_free(&leaf);
    pki_free(&good);
    pki_free(&namesake);
    pki_free(&sub);
}
END_TEST

/* --- nothing is kept from earlier clients --- */

static size_t memory_in_use(void) {
#ifdef __GLIBC__
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

START_TEST(a_leaf_alone_is_refused_even_after_others_sent_its_intermediates) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1}, &root);
    struct pki namesake = pki_make((struct pki_spec){.cn = "Root", .ca = 1}, &sub);
    struct pki of_sub = pki_make((struct pki_spec){.cn = "one"}, &sub);
    struct pki of_namesake = pki_make((struct pki_spec){.cn = "two"}, &namesake);
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &of_namesake, &namesake, &sub), REASON_NONE);
    is(VISIT(ctx, versions[_i], &of_sub, &sub), REASON_NONE);
    is(VISIT(ctx, versions[_i], &of_namesake), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &of_namesake, &namesake), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &of_sub), REASON_UNKNOWN_CA);
    tls_context_unref(ctx);
    pki_free(&of_namesake);
    pki_free(&of_sub);
    pki_free(&namesake);
    pki_free(&sub);
}
END_TEST

/* Certificates of CAs are public: an attacker can send one after a certificate of its own. A CA may
 * have several, and one of them may constrain it more than the others. */
START_TEST(an_outsider_cannot_lock_out_the_clients_of_a_ca) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1}, &root);
    struct pki good = pki_make((struct pki_spec){.cn = "device"}, &sub);
    struct pki cross = pki_make((struct pki_spec){.cn = "Sub",
                                                  .basic = "critical,CA:TRUE,pathlen:0",
                                                  .key_usage = "critical,keyCertSign",
                                                  .key_of = &sub},
                                &root);
    struct pki junk = pki_make((struct pki_spec){.cn = "junk"}, NULL);
    struct pki more = pki_make((struct pki_spec){.cn = "More", .ca = 1}, &sub);
    struct pki deep = pki_make((struct pki_spec){.cn = "deep"}, &more);
    struct tls_context *ctx = site_load(&site, NULL);
    for (int i = 0; i < 3; i++) {
        is(VISIT(ctx, versions[_i], &junk, &cross), REASON_UNKNOWN_CA);
        is(VISIT(ctx, versions[_i], &junk, &sub), REASON_UNKNOWN_CA);
        is(VISIT(ctx, versions[_i], &good, &sub), REASON_NONE);
        is(VISIT(ctx, versions[_i], &deep, &more, &sub), REASON_NONE);
        is(VISIT(ctx, versions[_i], &deep, &more, &cross), REASON_PATH_LENGTH);
        is(VISIT(ctx, versions[_i], &deep, &more, &cross, &sub), REASON_NONE);
    }
    tls_context_unref(ctx);
    struct pki *all[] = {&sub, &good, &cross, &junk, &more, &deep};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
}
END_TEST

START_TEST(a_tenant_cannot_lock_another_out_by_copying_its_key_identifier) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Tenant", .ca = 1}, &root);
    struct pki good = pki_make((struct pki_spec){.cn = "device"}, &sub);
    struct pki copy =
        pki_make((struct pki_spec){.cn = "Copycat", .ca = 1, .key_id = key_id_of(&sub)}, &root);
    struct pki theirs = pki_make((struct pki_spec){.cn = "copied"}, &copy);
    struct tls_context *ctx = site_load(&site, NULL);
    for (int i = 0; i < 2; i++) {
        is(VISIT(ctx, versions[_i], &theirs, &copy), REASON_NONE);
        is(VISIT(ctx, versions[_i], &good, &sub), REASON_NONE);
        is(VISIT(ctx, versions[_i], &good, &copy), REASON_UNKNOWN_CA);
        is(VISIT(ctx, versions[_i], &good, &copy, &sub), REASON_NONE);
    }
    tls_context_unref(ctx);
    pki_free(&theirs);
    pki_free(&copy);
    pki_free(&good);
    pki_free(&sub);
}
END_TEST

/* With clients that are accepted and with clients that are refused. An intermediate that was kept
 * would take 2 KB. POSTERN_CLIENTS=100000 is the long form: the first thousand, and all. */
START_TEST(memory_does_not_grow_with_what_clients_send) {
    const char *wanted = getenv("POSTERN_CLIENTS");
    long count = wanted != NULL ? strtol(wanted, NULL, 10) : 320, first = count > 1000 ? 1000 : 120;
    struct pki junk = pki_make((struct pki_spec){.cn = "junk"}, NULL);
    struct tls_context *ctx = site_load(&site, NULL);
    size_t before = 0;
    for (long i = 0; i < count; i++) {
        struct pki sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1}, &root);
        struct pki leaf = pki_make((struct pki_spec){.cn = "device"}, &sub);
        is(VISIT(ctx, versions[_i], &leaf, &sub), REASON_NONE);
        is(VISIT(ctx, versions[_i], &junk, &sub), REASON_UNKNOWN_CA);
        pki_free(&leaf);
        pki_free(&sub);
        if (i + 1 == first) { /* by then the allocator holds what it keeps for reuse */
            before = memory_in_use();
        }
    }
    size_t after = memory_in_use();
    if (wanted != NULL) {
        printf("%zu bytes in use after %ld clients, %zu after %ld\n", before, first, after, count);
    }
    ck_assert_uint_le(after, before + 100000);
    tls_context_unref(ctx);
    pki_free(&junk);
}
END_TEST

static bool is_over(const struct pki *p) {
    time_t before = time(NULL) - 1; /* it is still valid in its last second */
    return X509_cmp_time(X509_get0_notAfter(p->cert), &before) < 0;
}

START_TEST(certificates_sent_before_a_ca_expired_are_refused_afterwards) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1, .to_seconds = 3}, &root);
    struct pki namesake = pki_make((struct pki_spec){.cn = "Root", .ca = 1}, &sub);
    struct pki leaf = pki_make((struct pki_spec){.cn = "admin"}, &namesake);
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &leaf, &namesake, &sub), REASON_NONE);
    while (!is_over(&sub)) {
        usleep(50 * 1000);
    }
    is(VISIT(ctx, versions[_i], &leaf), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &leaf, &namesake), REASON_UNKNOWN_CA);
    is(VISIT(ctx, versions[_i], &leaf, &namesake, &sub), REASON_EXPIRED);
    tls_context_unref(ctx);
    pki_free(&leaf);
    pki_free(&namesake);
    pki_free(&sub);
}
END_TEST

/* --- what the log reports --- */

START_TEST(a_refusal_names_the_certificate_that_is_to_blame) {
    struct pki late =
        pki_make((struct pki_spec){.cn = "Late", .ca = 1, .from_day = -9, .to_day = -1}, &root);
    struct pki of_late = pki_make((struct pki_spec){.cn = "device"}, &late);
    struct pki server_only =
        pki_make((struct pki_spec){.cn = "web\n1", .usage = "serverAuth"}, &root);
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &of_late, &late), REASON_EXPIRED);
    ck_assert_str_eq(detail, "O=Test, CN=Late (depth 1)");
    is(VISIT(ctx, versions[_i], &of_late), REASON_UNKNOWN_CA);
    ck_assert_str_eq(detail, "O=Test, CN=device (depth 0)");
    is(VISIT(ctx, versions[_i], &server_only), REASON_WRONG_USAGE);
    if (!is_distribution_library()) {
        ck_assert_str_eq(detail, "O=Test, CN=web?1 (depth 0)");
    }
    tls_context_unref(ctx);
    pki_free(&server_only);
    pki_free(&of_late);
    pki_free(&late);
}
END_TEST

START_TEST(version_1_is_accepted_or_refused_as_configured) {
    struct pki old = pki_make((struct pki_spec){.cn = "old", .version1 = 1}, &root);
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &old), REASON_NONE);
    tls_context_unref(ctx);
    site.listener.client_x509_v1 = X509_V1_REFUSE;
    ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &old), REASON_V1_CERTIFICATE);
    tls_context_unref(ctx);
    pki_free(&old);
}
END_TEST

/* More certificates than the library reads, and some that it cannot read. */
START_TEST(the_library_passes_on_chains_of_any_length_and_junk) {
    struct pki chain[10], junk[4], end;
    const struct pki *certs[17] = {&end};
    for (int i = 0; i < 10; i++) {
        char name[20];
        snprintf(name, sizeof name, "Level %d", i);
        chain[i] = pki_make((struct pki_spec){.cn = name, .ca = 1, .serial = i == 5 ? "0" : NULL},
                            i > 0 ? &chain[i - 1] : &root);
        certs[10 - i] = &chain[i];
    }
    end = pki_make((struct pki_spec){.cn = "deep"}, &chain[9]);
    junk[0] = pki_make((struct pki_spec){.cn = "a", .key = PKI_ED448}, &root);
    junk[1] = pki_make((struct pki_spec){.cn = "b", .version1 = 1}, NULL);
    junk[2] = pki_make((struct pki_spec){.cn = "c", .serial = "0"}, NULL);
    junk[3] =
        pki_make((struct pki_spec){.cn = "d",
                                   .serial = "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
                                             "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"},
                 NULL);
    struct tls_context *ctx = site_load(&site, NULL);
    is(visit(ctx, versions[_i], certs), REASON_NONE);
    if (!is_distribution_library()) {
        for (int i = 0; i < 4; i++) {
            certs[11 + i] = &junk[i];
        }
        is(visit(ctx, versions[_i], certs), REASON_NONE);
        certs[15] = certs[16] = NULL;
        is(visit(ctx, versions[_i], certs), REASON_NONE);
    }
    tls_context_unref(ctx);
    for (int i = 0; i < 10; i++) {
        pki_free(&chain[i]);
    }
    for (int i = 0; i < 4; i++) {
        pki_free(&junk[i]);
    }
    pki_free(&end);
}
END_TEST

START_TEST(more_than_sixteen_certificates_are_refused) {
    struct pki good = pki_make((struct pki_spec){.cn = "device"}, &root);
    const struct pki *certs[18] = {&good};
    for (int i = 1; i < 17; i++) {
        certs[i] = &root;
    }
    struct tls_context *ctx = site_load(&site, NULL);
    is(visit(ctx, versions[_i], certs), REASON_TOO_LARGE);
    certs[16] = NULL;
    is(visit(ctx, versions[_i], certs), REASON_NONE);
    tls_context_unref(ctx);
    pki_free(&good);
}
END_TEST

/* As long as a chain can be that is read at all: 32 KB. */
START_TEST(a_chain_of_too_many_bytes_is_too_large) {
    static char extra[8000] = "1.2.3.4=DER:048209c4";
    struct pki wide[14], good = pki_make((struct pki_spec){.cn = "device"}, &root);
    const struct pki *certs[17] = {&good};
    size_t at = strlen(extra);
    memset(extra + at, '0', 2 * 0x9c4);
    for (int i = 0; i < 14; i++) {
        wide[i] = pki_make((struct pki_spec){.cn = "Wide", .ca = 1, .extra = extra}, &root);
        certs[1 + i] = &wide[i];
    }
    struct tls_context *ctx = site_load(&site, NULL);
    is(visit(ctx, versions[_i], certs), REASON_TOO_LARGE);
    certs[3] = NULL;
    is(visit(ctx, versions[_i], certs), REASON_NONE);
    tls_context_unref(ctx);
    for (int i = 0; i < 14; i++) {
        pki_free(&wide[i]);
    }
    pki_free(&good);
}
END_TEST

/* A multi-valued RDN, in the names of a client and of its CA. */
START_TEST(one_part_of_a_name_may_have_several_attributes) {
    struct pki sub = pki_make((struct pki_spec){.cn = "Sub", .ca = 1}, &root), leaf;
    const unsigned char unit[] = "unit";
    X509_NAME_add_entry_by_NID(X509_get_subject_name(sub.cert), NID_organizationalUnitName,
                               V_ASN1_UTF8STRING, unit, 4, -1, -1);
    X509_sign(sub.cert, root.key, EVP_sha256());
    leaf = pki_make((struct pki_spec){.cn = "device"}, &sub);
    X509_NAME_add_entry_by_NID(X509_get_subject_name(leaf.cert), NID_serialNumber,
                               V_ASN1_PRINTABLESTRING, unit, 4, -1, -1);
    X509_sign(leaf.cert, sub.key, EVP_sha256());
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &leaf, &sub), REASON_NONE);
    tls_context_unref(ctx);
    pki_free(&leaf);
    pki_free(&sub);
}
END_TEST

/* The library reads a client's own certificate before we are asked. */
START_TEST(what_the_library_cannot_read_is_not_a_matter_of_the_protocol) {
    const struct pki_spec specs[] = {
        {.cn = "x",
         .serial = "7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
                   "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"},
        {.cn = "x", .constraints = "permitted;DNS:example.org"},
        {.cn = "x", .basic = "CA:FALSE", .extra = "2.5.29.17=DER:3003890161"},
        {.cn = "x", .extra = "2.5.29.37=DER:0500"},
    };
    struct tls_context *ctx = site_load(&site, NULL);
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        struct pki leaf = pki_make(specs[i], &root);
        is(VISIT(ctx, versions[_i], &leaf), REASON_BAD_ENCODING);
        pki_free(&leaf);
    }
    tls_context_unref(ctx);
}
END_TEST

static const enum pki_key kinds[] = {PKI_P256, PKI_P384, PKI_P521, PKI_ED25519, PKI_RSA2048};

START_TEST(clients_and_their_cas_have_keys_of_any_supported_type) {
    enum pki_key kind = kinds[_i / 2];
    int version = versions[_i % 2];
    struct pki issuer = pki_make((struct pki_spec){.cn = "CA", .ca = 1, .key = kind}, NULL);
    struct pki device = pki_make((struct pki_spec){.cn = "x", .key = kind}, &issuer);
    struct pki forged = pki_make((struct pki_spec){.cn = "CA", .ca = 1, .key = kind}, NULL);
    struct pki of_forged = pki_make((struct pki_spec){.cn = "x", .key_of = &device}, &forged);
    site.listener.client_ca = (char *)pki_certs("any.pem", &issuer, NULL);
    struct tls_context *ctx = site_load(&site, NULL);
    if (!is_distribution_library() || kind == PKI_P256 || kind == PKI_P384) {
        is(VISIT(ctx, version, &device), REASON_NONE);
    }
    is(VISIT(ctx, version, &of_forged), REASON_UNKNOWN_CA);
    tls_context_unref(ctx);
    pki_free(&of_forged);
    pki_free(&forged);
    pki_free(&device);
    pki_free(&issuer);
}
END_TEST

/* --- proof of possession --- */

/* The public half of one key with the secret of another, which OpenSSL does not notice. */
static EVP_PKEY *mixed_key(EVP_PKEY *public_half, EVP_PKEY *secret_half) {
    uint8_t point[200];
    size_t point_len;
    BIGNUM *secret = NULL;
    EVP_PKEY *key = NULL;
    ck_assert_int_eq(EVP_PKEY_get_octet_string_param(public_half, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                     sizeof point, &point_len),
                     1);
    ck_assert_int_eq(EVP_PKEY_get_bn_param(secret_half, OSSL_PKEY_PARAM_PRIV_KEY, &secret), 1);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, point_len);
    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, secret);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    ck_assert_int_eq(EVP_PKEY_fromdata_init(ctx), 1);
    ck_assert_int_eq(EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(secret);
    return key;
}

START_TEST(a_client_must_have_the_key_of_its_certificate) {
    struct pki good = pki_make((struct pki_spec){.cn = "device"}, &root);
    struct pki thief = pki_make((struct pki_spec){.cn = "thief"}, &root);
    struct pki stolen = {.cert = good.cert, .key = mixed_key(good.key, thief.key)};
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &good), REASON_NONE);
    is(VISIT(ctx, versions[_i], &stolen), REASON_PROTOCOL_ERROR);
    tls_context_unref(ctx);
    EVP_PKEY_free(stolen.key);
    pki_free(&good);
    pki_free(&thief);
}
END_TEST

START_TEST(a_pinned_client_must_have_the_key_of_its_certificate) {
    struct pki good = pki_make((struct pki_spec){.cn = "device"}, NULL);
    struct pki thief = pki_make((struct pki_spec){.cn = "thief"}, NULL);
    struct pki stolen = {.cert = good.cert, .key = mixed_key(good.key, thief.key)};
    unsigned char hash[32];
    char list[100] = "cert-sha256:";
    X509_digest(good.cert, EVP_sha256(), hash, NULL);
    for (size_t i = 0; i < sizeof hash; i++) {
        snprintf(list + strlen(list), 3, "%02x", hash[i]);
    }
    site.listener.client_ca = NULL;
    site.listener.client_allow = (char *)pki_text("allow", list);
    struct tls_context *ctx = site_load(&site, NULL);
    is(VISIT(ctx, versions[_i], &good), REASON_NONE);
    is(VISIT(ctx, versions[_i], &stolen), REASON_PROTOCOL_ERROR);
    tls_context_unref(ctx);
    EVP_PKEY_free(stolen.key);
    pki_free(&good);
    pki_free(&thief);
}
END_TEST

static Suite *suite(void) {
    Suite *s = suite_create("client_trust");
    TCase *tc = tcase_create("client_trust");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, a_revoked_ca_cannot_issue_a_ca_with_a_trusted_name, 0, 2);
    tcase_add_loop_test(tc, an_expired_ca_cannot_issue_a_ca_with_a_trusted_name, 0, 2);
    tcase_add_loop_test(tc, a_ca_for_other_purposes_cannot_issue_a_ca_with_a_trusted_name, 0, 2);
    tcase_add_loop_test(tc, a_leaf_cannot_issue_a_ca_with_a_trusted_name, 0, 2);
    tcase_add_loop_test(tc, a_matching_name_alone_is_not_trusted, 0, 2);
    tcase_add_loop_test(tc, a_crl_does_not_apply_to_another_ca_of_the_same_name, 0, 2);
    tcase_add_loop_test(tc, a_leaf_alone_is_refused_even_after_others_sent_its_intermediates, 0, 2);
    tcase_add_loop_test(tc, an_outsider_cannot_lock_out_the_clients_of_a_ca, 0, 2);
    tcase_add_loop_test(tc, a_tenant_cannot_lock_another_out_by_copying_its_key_identifier, 0, 2);
    tcase_add_loop_test(tc, memory_does_not_grow_with_what_clients_send, 0, 2);
    tcase_add_loop_test(tc, certificates_sent_before_a_ca_expired_are_refused_afterwards, 0, 2);
    tcase_add_loop_test(tc, a_refusal_names_the_certificate_that_is_to_blame, 0, 2);
    tcase_add_loop_test(tc, version_1_is_accepted_or_refused_as_configured, 0, 2);
    tcase_add_loop_test(tc, the_library_passes_on_chains_of_any_length_and_junk, 0,
                        is_distribution_library() ? 0 : 2);
    tcase_add_loop_test(tc, more_than_sixteen_certificates_are_refused, 0,
                        is_distribution_library() ? 0 : 2);
    if (!is_distribution_library()) {
        tcase_add_loop_test(tc, a_chain_of_too_many_bytes_is_too_large, 0, 2);
        tcase_add_loop_test(tc, one_part_of_a_name_may_have_several_attributes, 0, 2);
        tcase_add_loop_test(tc, what_the_library_cannot_read_is_not_a_matter_of_the_protocol, 0, 2);
    }
    tcase_add_loop_test(tc, clients_and_their_cas_have_keys_of_any_supported_type, 0,
                        2 * sizeof kinds / sizeof *kinds);
    tcase_add_loop_test(tc, a_client_must_have_the_key_of_its_certificate, 0, 2);
    tcase_add_loop_test(tc, a_pinned_client_must_have_the_key_of_its_certificate, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
