#include "run.h"
#include "tls/tickets.h"
#include "tls_pair.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct pki server, ca, other_ca, inter, late_inter, outsider_ca;
static struct pki good, rsa_good, second, expired, early, revoked, server_only, outsider, by_inter,
    by_late, self;
static const char *server_cert, *server_key, *ca_file, *both_cas, *crl, *empty_crl, *stale_crl;
static struct site site;
static struct tls_shared shared;
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* Seconds by which the clock of the code under test is ahead; OpenSSL's is not. */
static time_t ahead;

#if defined(__GLIBC__) && __SIZEOF_LONG__ == 4
#define TIME "__time64" /* what time() is there with a 64-bit time_t */
#else
#define TIME "time"
#endif
time_t __real_time(time_t *out) __asm__("__real_" TIME);
time_t __wrap_time(time_t *out) __asm__("__wrap_" TIME);
time_t __wrap_time(time_t *out) {
    time_t now = __real_time(NULL) + ahead;
    if (out != NULL) {
        *out = now;
    }
    return now;
}

static void make_clients(void) {
    good = pki_make((struct pki_spec){.cn = "device-1",
                                      .usage = "clientAuth",
                                      .alt = "DNS:dev1.example,URI:urn:dev:1"},
                    &ca);
    rsa_good = pki_make((struct pki_spec){.cn = "device-rsa", .key = PKI_RSA2048}, &ca);
    second = pki_make((struct pki_spec){.cn = "device-2"}, &other_ca);
    expired = pki_make((struct pki_spec){.cn = "old", .from_day = -20, .to_day = -1}, &ca);
    early = pki_make((struct pki_spec){.cn = "early", .from_day = 2}, &ca);
    revoked = pki_make((struct pki_spec){.cn = "lost"}, &ca);
    server_only = pki_make((struct pki_spec){.cn = "srv", .usage = "serverAuth"}, &ca);
    outsider = pki_make((struct pki_spec){.cn = "outsider"}, &outsider_ca);
    by_inter = pki_make((struct pki_spec){.cn = "device-3"}, &inter);
    by_late = pki_make((struct pki_spec){.cn = "device-4"}, &late_inter);
    self = pki_make((struct pki_spec){.cn = "device-1"}, NULL);
}

static void once(void) {
    struct error err;
    ck_assert_int_eq(tls_library_start(&err), 0);
    server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    ca = pki_make((struct pki_spec){.cn = "Client CA", .ca = 1}, NULL);
    other_ca = pki_make((struct pki_spec){.cn = "Other CA", .ca = 1}, NULL);
    outsider_ca = pki_make((struct pki_spec){.cn = "Outsider CA", .ca = 1}, NULL);
    inter = pki_make((struct pki_spec){.cn = "Client inter", .ca = 1}, &ca);
    late_inter = pki_make(
        (struct pki_spec){.cn = "Late inter", .ca = 1, .from_day = -20, .to_day = -2}, &ca);
    make_clients();
    server_cert = pki_certs("server.pem", &server, NULL);
    server_key = pki_key("server.key", &server);
    ca_file = pki_certs("ca.pem", &ca, NULL);
    both_cas = pki_certs("cas.pem", &other_ca, &ca, NULL);
    crl = pki_crl("crl.pem", &ca, &revoked, 5);
    empty_crl = pki_crl("empty.pem", &ca, NULL, 5);
    stale_crl = pki_crl("stale.pem", &ca, &revoked, -1);
}

static void finally(void) {
    struct pki *all[] = {&server,      &ca,       &other_ca, &inter,   &late_inter, &outsider_ca,
                         &good,        &rsa_good, &second,   &expired, &early,      &revoked,
                         &server_only, &outsider, &by_inter, &by_late, &self};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        pki_free(all[i]);
    }
    pki_clean();
    tls_library_stop();
}

static void setup(void) {
    struct error err;
    site_init(&site, server_cert, server_key);
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
    site.listener.client_ca = (char *)ca_file;
    shared.tickets = tls_tickets_new(&err);
    shared.sessions = tls_session_cache_new(100, &err);
}

static void teardown(void) {
    tls_tickets_free(shared.tickets);
    tls_session_cache_free(shared.sessions);
}

static SSL_CTX *client_with(int version, const struct pki *cert, const struct pki *more) {
    SSL_CTX *client = client_new(version);
    SSL_CTX_set_security_level(client, 1);
    if (cert != NULL) {
        ck_assert_int_eq(SSL_CTX_use_certificate(client, cert->cert), 1);
        ck_assert_int_eq(SSL_CTX_use_PrivateKey(client, cert->key), 1);
    }
    if (more != NULL) {
        ck_assert_int_eq(SSL_CTX_add1_chain_cert(client, more->cert), 1);
    }
    return client;
}

/* One connection; what the engine reports of it is left in `seen`. */
static struct {
    enum engine_status status;
    enum reason reason;
    uint8_t alert;
    bool resumed, presented, has_id;
    char identity[300];
    struct cert_id id;
    SSL_SESSION *session;
} seen;

static void look(struct pair *p) {
    const char *identity = engine_identity(p->engine);
    const struct cert_id *id = engine_peer_id(p->engine);
    memset(&seen, 0, sizeof seen);
    seen.status = p->status;
    seen.reason = engine_failure(p->engine);
    seen.alert = engine_alert(p->engine);
    seen.resumed = engine_is_resumed(p->engine);
    if (p->status != ENGINE_OK) {
        return;
    }
    seen.presented = engine_peer_presented(p->engine);
    snprintf(seen.identity, sizeof seen.identity, "%s", identity != NULL ? identity : "-");
    seen.has_id = id != NULL;
    if (id != NULL) {
        seen.id = *id;
    }
    pair_send_up(p, "up", 2);
    pair_send_down(p, "down", 4);
    engine_close(p->engine, &p->out);
    pair_deliver(p);
    SSL_shutdown(p->client);
    seen.session = SSL_get1_session(p->client);
}

static void visit_in(struct tls_context *ctx, SSL_CTX *client, SSL_SESSION *session) {
    struct pair p;
    pair_init(&p, client, "localhost", session);
    pair_handshake(&p, ctx);
    look(&p);
    pair_free(&p);
}

static void visit(SSL_CTX *client, SSL_SESSION *session) {
    struct tls_context *ctx = site_load(&site, &shared);
    visit_in(ctx, client, session);
    tls_context_unref(ctx);
}

static void one_visit(int version, const struct pki *cert, const struct pki *more) {
    SSL_CTX *client = client_with(version, cert, more);
    visit(client, NULL);
    SSL_SESSION_free(seen.session);
    SSL_CTX_free(client);
}

static void accepted(int version, const struct pki *cert, const struct pki *more,
                     const char *identity) {
    one_visit(version, cert, more);
    ck_assert_msg(seen.status == ENGINE_OK, "%s", reason_name(seen.reason));
    ck_assert_str_eq(seen.identity, identity);
    ck_assert_int_eq(seen.presented, cert != NULL);
    ck_assert_int_eq(seen.has_id, cert != NULL);
}

static void refused(int version, const struct pki *cert, const struct pki *more, enum reason reason,
                    uint8_t alert) {
    one_visit(version, cert, more);
    ck_assert_int_eq(seen.status, ENGINE_FAILED);
    ck_assert_msg(seen.reason == reason, "%s, not %s", reason_name(seen.reason),
                  reason_name(reason));
    if (!is_distribution_library()) { /* wolfSSL 5.5.4 has fewer alerts */
        ck_assert_uint_eq(seen.alert, alert);
    }
}

START_TEST(a_client_of_the_ca_is_identified_by_name) {
    accepted(versions[_i], &good, NULL, "device-1");
    if (!is_distribution_library() ||
        versions[_i] == TLS1_3_VERSION) { /* 5.5.4 asks for the server's key type */
        accepted(versions[_i], &rsa_good, NULL, "device-rsa");
    }
    accepted(versions[_i], &good, &ca, "device-1");          /* the client sends the root too */
    accepted(versions[_i], &good, &outsider_ca, "device-1"); /* and an unrelated CA */
}
END_TEST

START_TEST(a_client_without_a_certificate_is_refused_where_one_is_required) {
    refused(versions[_i], NULL, NULL, REASON_NO_CERTIFICATE_GIVEN, _i ? 116 : 40);
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    accepted(versions[_i], NULL, NULL, "-");
    accepted(versions[_i], &good, NULL, "device-1");
    refused(versions[_i], &outsider, NULL, REASON_UNKNOWN_CA, 48);
    site.listener.client_auth = CLIENT_AUTH_NONE;
    one_visit(versions[_i], &good, NULL);
    ck_assert_str_eq(seen.identity, "-");
}
END_TEST

START_TEST(bad_certificates_are_refused_each_with_its_reason) {
    refused(versions[_i], &outsider, NULL, REASON_UNKNOWN_CA, 48);
    refused(versions[_i], &outsider, &outsider_ca, REASON_UNKNOWN_CA, 48);
    refused(versions[_i], &self, NULL, REASON_UNKNOWN_CA, 48);
    refused(versions[_i], &second, NULL, REASON_UNKNOWN_CA, 48);
    refused(versions[_i], &expired, NULL, REASON_EXPIRED, 45);
    refused(versions[_i], &early, NULL, REASON_NOT_YET_VALID, 45);
    refused(versions[_i], &server_only, NULL, REASON_WRONG_USAGE, 43);
}
END_TEST

START_TEST(several_cas_are_trusted) {
    site.listener.client_ca = (char *)both_cas;
    accepted(versions[_i], &good, NULL, "device-1");
    accepted(versions[_i], &second, NULL, "device-2");
    refused(versions[_i], &outsider, NULL, REASON_UNKNOWN_CA, 48);
}
END_TEST

START_TEST(every_client_must_send_its_intermediate) {
    struct tls_context *ctx = site_load(&site, &shared);
    SSL_CTX *whole = client_with(versions[_i], &by_inter, &inter);
    SSL_CTX *part = client_with(versions[_i], &by_inter, NULL);
    for (int i = 0; i < 2; i++) {
        visit_in(ctx, part, NULL);
        ck_assert_int_eq(seen.reason, REASON_UNKNOWN_CA);
        visit_in(ctx, whole, NULL);
        ck_assert_msg(seen.status == ENGINE_OK, "%s", reason_name(seen.reason));
        ck_assert_str_eq(seen.identity, "device-3");
        SSL_SESSION_free(seen.session);
    }
    SSL_CTX_free(whole);
    SSL_CTX_free(part);
    tls_context_unref(ctx);
    site.listener.client_ca = (char *)pki_certs("root+inter.pem", &ca, &inter, NULL);
    accepted(versions[_i], &by_inter, NULL, "device-3");
}
END_TEST

START_TEST(clients_of_an_expired_intermediate_are_refused) {
    one_visit(versions[_i], &by_late, &late_inter);
    ck_assert_int_eq(seen.status, ENGINE_FAILED);
}
END_TEST

START_TEST(clients_listed_in_a_crl_are_refused) {
    site.listener.client_crl = (char *)crl;
    accepted(versions[_i], &good, NULL, "device-1");
    refused(versions[_i], &revoked, NULL, REASON_REVOKED, 44);
    site.listener.client_crl = (char *)empty_crl;
    accepted(versions[_i], &revoked, NULL, "lost");
}
END_TEST

START_TEST(an_expired_crl_still_refuses_what_it_lists) {
    site.listener.client_crl = (char *)stale_crl;
    accepted(versions[_i], &good, NULL, "device-1");
    refused(versions[_i], &revoked, NULL, REASON_REVOKED, 44);
    site.listener.crl_expired = CRL_EXPIRED_REFUSE;
    refused(versions[_i], &good, NULL, REASON_NO_CRL, 46);
    refused(versions[_i], &revoked, NULL, REASON_REVOKED, 44);
}
END_TEST

START_TEST(once_there_are_crls_clients_of_a_ca_without_one_are_refused) {
    site.listener.client_ca = (char *)both_cas;
    site.listener.client_crl = (char *)crl;
    accepted(versions[_i], &good, NULL, "device-1");
    refused(versions[_i], &second, NULL, REASON_NO_CRL, 46);
}
END_TEST

START_TEST(clients_of_a_revoked_intermediate_are_refused) {
    const char *root_crl = pki_crl("root.crl", &ca, &inter, 5);
    const char *root_clean = pki_crl("root-clean.crl", &ca, NULL, 5);
    const char *inter_crl = pki_crl("inter.crl", &inter, NULL, 5);
    site.listener.client_ca = (char *)pki_certs("ri.pem", &ca, &inter, NULL);
    site.listener.client_crl = (char *)pki_joined("clean.crl", root_clean, inter_crl);
    accepted(versions[_i], &by_inter, NULL, "device-3");
    accepted(versions[_i], &by_inter, &inter, "device-3");
    site.listener.client_crl = (char *)pki_joined("both.crl", root_crl, inter_crl);
    refused(versions[_i], &by_inter, NULL, REASON_REVOKED, 44);
    refused(versions[_i], &by_inter, &inter, REASON_REVOKED, 44);
    /* The intermediate is not configured; the client sends it. */
    site.listener.client_ca = (char *)ca_file;
    site.listener.client_crl = (char *)root_crl;
    refused(versions[_i], &by_inter, &inter, REASON_REVOKED, 44);
}
END_TEST

/* Lists of CAs that clients bring; those of CAs that nobody brings do no harm. */
START_TEST(a_list_may_be_by_an_intermediate) {
    const char *root_crl = pki_crl("for-root.crl", &ca, NULL, 5);
    const char *strange =
        pki_joined("strange.crl", root_crl, pki_crl("strange-only.crl", &outsider_ca, NULL, 5));
    struct pki lost = pki_make((struct pki_spec){.cn = "lost-too"}, &inter);
    struct pki silent = pki_make(
        (struct pki_spec){
            .cn = "Client inter", .ca = 1, .key_usage = "critical,keyCertSign", .key_of = &inter},
        &ca);
    site.listener.client_crl = (char *)strange;
    accepted(versions[_i], &good, NULL, "device-1");
    refused(versions[_i], &by_inter, &inter, REASON_NO_CRL, 46);
    site.listener.client_crl =
        (char *)pki_joined("all.crl", strange, pki_crl("for-inter.crl", &inter, &lost, 5));
    for (int i = 0; i < 2; i++) {
        accepted(versions[_i], &by_inter, &inter, "device-3");
        refused(versions[_i], &lost, &inter, REASON_REVOKED, 44);
        accepted(versions[_i], &good, NULL, "device-1");
    }
    refused(versions[_i], &lost, &silent, REASON_NO_CRL, 46); /* may not sign lists */
    site.listener.client_crl =
        (char *)pki_joined("stale-inter.crl", strange, pki_crl("old-inter.crl", &inter, &lost, -1));
    accepted(versions[_i], &by_inter, &inter, "device-3");
    refused(versions[_i], &lost, &inter, REASON_REVOKED, 44);
    site.listener.crl_expired = CRL_EXPIRED_REFUSE;
    refused(versions[_i], &by_inter, &inter, REASON_NO_CRL, 46);
    pki_free(&silent);
    pki_free(&lost);
}
END_TEST

/* In one context: which list is whose is remembered there, and must not change a decision. */
static void visit_twice(const struct pki *device, const struct pki *issuer, int version,
                        enum reason reason) {
    struct tls_context *ctx = site_load(&site, NULL);
    for (int i = 0; i < 2; i++) {
        SSL_CTX *client = client_with(version, device, issuer);
        visit_in(ctx, client, NULL);
        ck_assert_msg(seen.reason == reason, "%s", reason_name(seen.reason));
        SSL_SESSION_free(seen.session);
        SSL_CTX_free(client);
    }
    tls_context_unref(ctx);
}

START_TEST(lists_whose_signatures_are_expensive_are_few) {
    if (is_distribution_library()) {
        return; /* it has no such keys */
    }
    struct pki heavy = pki_make((struct pki_spec){.cn = "Heavy", .ca = 1, .key = PKI_RSA8192}, &ca);
    struct pki device = pki_make((struct pki_spec){.cn = "device-6"}, &heavy);
    struct pki lost = pki_make((struct pki_spec){.cn = "device-7"}, &heavy);
    const char *lists =
        pki_joined("h1.crl", pki_crl("hr.crl", &ca, NULL, 5), pki_crl("h.crl", &heavy, NULL, 5));
    lists = pki_joined("h2.crl", lists, pki_crl("hl.crl", &heavy, &lost, 5));
    site.listener.client_crl = (char *)lists;
    visit_twice(&device, &heavy, versions[_i], REASON_NONE);
    visit_twice(&lost, &heavy, versions[_i], REASON_REVOKED);
    lists = pki_joined("h3.crl", lists, pki_crl("hm.crl", &heavy, NULL, 5));
    site.listener.client_crl =
        (char *)pki_joined("h4.crl", lists, pki_crl("hn.crl", &heavy, NULL, 5));
    visit_twice(&device, &heavy, versions[_i], REASON_TOO_LARGE);
    pki_free(&lost);
    pki_free(&device);
    pki_free(&heavy);
}
END_TEST

/* In one context: what one client showed is remembered there, if anything is. */
START_TEST(a_ca_of_the_same_key_under_a_name_written_in_another_way_takes_no_list_away) {
    struct pki variant =
        pki_make((struct pki_spec){.cn = "CLIENT INTER", .ca = 1, .key_of = &inter}, &ca);
    site.listener.client_crl =
        (char *)pki_joined("both-names.crl", pki_crl("root-list.crl", &ca, NULL, 5),
                           pki_crl("inter-list.crl", &inter, NULL, 5));
    struct tls_context *ctx = site_load(&site, NULL);
    const struct pki *shown[] = {&variant, &inter, &variant, &inter};
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        SSL_CTX *client = client_with(versions[_i], &by_inter, shown[i]);
        visit_in(ctx, client, NULL);
        ck_assert_msg(seen.status == ENGINE_OK, "%zu: %s", i, reason_name(seen.reason));
        SSL_SESSION_free(seen.session);
        SSL_CTX_free(client);
    }
    tls_context_unref(ctx);
    pki_free(&variant);
}
END_TEST

static const struct {
    const char *point;
    bool is_used, for_devices;
} points[] = {
    {"fullname:URI:https://ca.example/crl", true, true}, /* as step-ca has it */
    {"onlyuser:TRUE", true, true},
    {"onlyCA:TRUE", true, false},
    {"indirectCRL:TRUE", false, false},
    {"onlyAA:TRUE", false, false},
    {"onlysomereasons:keyCompromise", false, false},
};

START_TEST(a_list_counts_for_what_it_covers) {
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        struct error err = {""};
        site.listener.client_crl = (char *)pki_crl_for("point.crl", &ca, &revoked, points[i].point);
        if (!points[i].is_used) {
            ck_assert_ptr_null(tls_context_load(&site.listener, &shared, &err));
            ck_assert_ptr_nonnull(strstr(err.text, "partial or indirect"));
        } else if (points[i].for_devices) {
            accepted(versions[_i], &good, NULL, "device-1");
            refused(versions[_i], &revoked, NULL, REASON_REVOKED, 44);
        } else {
            refused(versions[_i], &good, NULL, REASON_NO_CRL, 46);
        }
    }
}
END_TEST

START_TEST(a_list_may_be_signed_by_rsa_pss) {
    struct pki signer = pki_make((struct pki_spec){.cn = "PSS", .ca = 1, .key = PKI_RSA2048}, NULL);
    struct pki lost = pki_make((struct pki_spec){.cn = "lost"}, &signer);
    struct pki kept = pki_make((struct pki_spec){.cn = "kept"}, &signer);
    site.listener.client_ca = (char *)pki_certs("pss.pem", &signer, NULL);
    site.listener.client_crl = (char *)pki_crl_pss("pss.crl", &signer, &lost);
    accepted(versions[_i], &kept, NULL, "kept");
    refused(versions[_i], &lost, NULL, REASON_REVOKED, 44);
    pki_free(&kept);
    pki_free(&lost);
    pki_free(&signer);
}
END_TEST

static void not_loaded(const char *word) {
    struct error err = {""};
    ck_assert_ptr_null(tls_context_load(&site.listener, &shared, &err));
    ck_assert_msg(strstr(err.text, word) != NULL, "\"%s\" is not in: %s", word, err.text);
    ck_assert_ptr_nonnull(strstr(err.text, "listener mqtt"));
}

START_TEST(bad_ca_and_crl_files_are_refused) {
    site.listener.client_ca = NULL;
    not_loaded("client_ca");
    site.listener.client_ca = (char *)"/nonexistent/ca.pem";
    not_loaded("listener mqtt: client_ca: /nonexistent/ca.pem: cannot open: No such file");
    site.listener.client_ca = (char *)server_key;
    not_loaded("holds no certificate");
    site.listener.client_ca = (char *)pki_certs("leaf-as-ca.pem", &good, NULL);
    not_loaded("is not the certificate of a CA");
    site.listener.client_ca = (char *)ca_file;
    site.listener.client_crl = (char *)ca_file;
    not_loaded("client_crl: ");
    not_loaded("holds no revocation list");
    site.listener.client_crl = NULL;
    site.listener.client_allow = (char *)"nonexistent.allow";
    char folder[256], message[512];
    ck_assert_ptr_nonnull(getcwd(folder, sizeof folder));
    snprintf(message, sizeof message, "client_allow: %s/nonexistent.allow: cannot open: No such",
             folder);
    not_loaded(message);
    site.listener.client_allow = NULL;
    struct pki impostor = pki_make((struct pki_spec){.cn = "Client CA", .ca = 1}, NULL);
    site.listener.client_crl = (char *)pki_crl("forged.crl", &impostor, NULL, 5);
    not_loaded("not signed by the CA");
    pki_free(&impostor);
}
END_TEST

START_TEST(identities_come_from_the_configured_source) {
    unsigned char hash[32];
    char hex[65];
    X509_digest(good.cert, EVP_sha256(), hash, NULL);
    for (int i = 0; i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    }
    site.listener.identity = IDENTITY_SAN_DNS;
    accepted(versions[_i], &good, NULL, "dev1.example");
    site.listener.identity = IDENTITY_SAN_URI;
    accepted(versions[_i], &good, NULL, "urn:dev:1");
    site.listener.identity = IDENTITY_FINGERPRINT;
    accepted(versions[_i], &good, NULL, hex);
}
END_TEST

static char too_long[300];

static const struct {
    const char *cn, *alt;
    enum config_identity kind;
} bad_identities[] = {
    {NULL, NULL, IDENTITY_CN},
    {"two|names", NULL, IDENTITY_CN},
    {"plus+", NULL, IDENTITY_CN},
    {"#", NULL, IDENTITY_CN},
    {"zero\xe2\x80\x8bwidth", NULL, IDENTITY_CN},
    {"\xe2\x80\xaereverse", NULL, IDENTITY_CN},
    {"soft\xc2\xadhyphen", NULL, IDENTITY_CN},
    {"tab\there", NULL, IDENTITY_CN},
    {"c1 \xc2\x85", NULL, IDENTITY_CN},
    {"x", NULL, IDENTITY_SAN_DNS},
    {"x", "DNS:a,DNS:b", IDENTITY_SAN_DNS},
    {"x", "DNS:a+b", IDENTITY_SAN_DNS},
    {"x", "URI:urn:a,URI:urn:b", IDENTITY_SAN_URI},
    {"x", too_long, IDENTITY_SAN_URI},
};

START_TEST(a_bad_identity_is_refused_where_the_broker_gets_it) {
    memset(too_long, 'a', 270);
    memcpy(too_long, "URI:urn:", 8);
    for (size_t i = 0; i < sizeof bad_identities / sizeof *bad_identities; i++) {
        struct pki bad = pki_make(
            (struct pki_spec){.cn = bad_identities[i].cn, .alt = bad_identities[i].alt}, &ca);
        site.listener.identity = bad_identities[i].kind;
        site.listener.mqtt = MQTT_OFF;
        accepted(versions[_i], &bad, NULL, "-");
        site.listener.mqtt = MQTT_IDENTITY;
        refused(versions[_i], &bad, NULL, REASON_BAD_IDENTITY, 49);
        site.listener.mqtt = MQTT_OFF;
        site.listener.proxy_protocol = PROXY_PROTOCOL_V2;
        refused(versions[_i], &bad, NULL, REASON_BAD_IDENTITY, 49);
        site.listener.proxy_protocol = PROXY_PROTOCOL_V1; /* it has no name */
        accepted(versions[_i], &bad, NULL, "-");
        site.listener.proxy_protocol = PROXY_PROTOCOL_OFF;
        pki_free(&bad);
    }
}
END_TEST

/* ---- Resumption ---- */

struct way {
    int version;
    bool tickets;
};
static const struct way ways[] = {
    {TLS1_2_VERSION, true}, {TLS1_2_VERSION, false}, {TLS1_3_VERSION, true}};

/* A first connection with the certificate, a change, a second connection with the session. The
 * second one has no certificate to fall back on. */
static void come_back(struct way way, const struct pki *cert, const struct pki *more,
                      void (*change)(void)) {
    SSL_CTX *with = client_with(way.version, cert, more),
            *without = client_with(way.version, NULL, NULL);
    if (!way.tickets) {
        SSL_CTX_set_options(with, SSL_OP_NO_TICKET);
        SSL_CTX_set_options(without, SSL_OP_NO_TICKET);
    }
    visit(with, NULL);
    ck_assert_msg(seen.status == ENGINE_OK, "%s", reason_name(seen.reason));
    SSL_SESSION *session = seen.session;
    if (change != NULL) {
        change();
    }
    visit(without, session);
    SSL_SESSION_free(seen.session);
    SSL_SESSION_free(session);
    SSL_CTX_free(with);
    SSL_CTX_free(without);
}

/* With the distribution's library a ticket has no room for an identity. */
static bool can_resume(struct way way) {
    return !is_distribution_library() || !way.tickets;
}

START_TEST(a_resumed_client_keeps_its_identity) {
    site.listener.client_crl = (char *)crl;
    come_back(ways[_i], &good, NULL, NULL);
    if (!can_resume(ways[_i])) {
        ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
        return;
    }
    ck_assert_int_eq(seen.status, ENGINE_OK);
    ck_assert(seen.resumed);
    ck_assert(!seen.presented);
    ck_assert_str_eq(seen.identity, "device-1");
    ck_assert(seen.has_id);
    site.listener.identity = IDENTITY_SAN_URI;
    come_back(ways[_i], &good, NULL, NULL);
    ck_assert(seen.resumed);
    ck_assert_str_eq(seen.identity, "urn:dev:1");
}
END_TEST

START_TEST(a_name_too_long_for_a_ticket_means_full_handshakes) {
    char name[160] = "URI:urn:";
    memset(name + 8, 'n', 140);
    struct pki device = pki_make((struct pki_spec){.cn = "x", .alt = name}, &ca);
    site.listener.identity = IDENTITY_SAN_URI;
    come_back(ways[_i], &device, NULL, NULL);
    if (ways[_i].tickets) {
        ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    } else {
        ck_assert_str_eq(seen.identity, name + 4);
    }
    pki_free(&device);
}
END_TEST

static void crl_now_lists_it(void) {
    site.listener.client_crl = (char *)crl;
}
static void another_ca(void) {
    site.listener.client_ca = (char *)both_cas;
}
static void another_identity(void) {
    site.listener.identity = IDENTITY_FINGERPRINT;
}
static void stricter_crl(void) {
    site.listener.crl_expired = CRL_EXPIRED_REFUSE;
}
static void another_listener(void) {
    site.listener.name = (char *)"other";
}
static void (*const changes[])(void) = {crl_now_lists_it, another_ca, another_identity,
                                        stricter_crl, another_listener};

START_TEST(a_change_of_what_was_checked_ends_resumption) {
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        teardown();
        setup();
        site.listener.client_crl = (char *)empty_crl;
        come_back(ways[_i], &revoked, NULL, changes[i]);
        ck_assert_int_eq(seen.status, ENGINE_FAILED);
        ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    }
}
END_TEST

static void now_required(void) {
    site.listener.client_auth = CLIENT_AUTH_REQUIRED;
}

START_TEST(a_session_from_before_certificates_were_required_is_refused) {
    site.listener.client_auth = CLIENT_AUTH_NONE;
    come_back(ways[_i], NULL, NULL, now_required);
    ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    come_back(ways[_i], NULL, NULL, now_required);
    ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
}
END_TEST

static void twenty_minutes_later(void) {
    ahead += 1200;
}

static void three_seconds_later(void) {
    ahead += 3;
}

START_TEST(resumption_ends_when_the_certificate_expires) {
    struct pki brief = pki_make((struct pki_spec){.cn = "brief", .to_seconds = 2}, &ca);
    come_back(ways[_i], &brief, NULL, three_seconds_later);
    ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    pki_free(&brief);
}
END_TEST

START_TEST(resumption_ends_when_the_intermediate_expires) {
    struct pki brief =
        pki_make((struct pki_spec){.cn = "brief inter", .ca = 1, .to_seconds = 2}, &ca);
    struct pki device = pki_make((struct pki_spec){.cn = "device-5"}, &brief);
    come_back(ways[_i], &device, &brief, three_seconds_later);
    ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    pki_free(&device);
    pki_free(&brief);
}
END_TEST

START_TEST(resumption_ends_when_the_ca_expires) {
    struct pki brief =
        pki_make((struct pki_spec){.cn = "brief CA", .ca = 1, .to_seconds = 2}, NULL);
    struct pki device = pki_make((struct pki_spec){.cn = "device-8"}, &brief);
    site.listener.client_ca = (char *)pki_certs("brief.pem", &brief, NULL);
    come_back(ways[_i], &device, NULL, three_seconds_later);
    ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    pki_free(&device);
    pki_free(&brief);
}
END_TEST

/* A visit with what the last one left, and no certificate to fall back on. */
static void again(SSL_CTX *client) {
    SSL_SESSION *session = seen.session;
    visit(client, session);
    SSL_SESSION_free(session);
}

START_TEST(resumption_ends_a_day_after_the_full_handshake_however_often_renewed) {
    SSL_CTX *with = client_with(ways[_i].version, &good, NULL),
            *without = client_with(ways[_i].version, NULL, NULL);
    if (!ways[_i].tickets) {
        SSL_CTX_set_options(with, SSL_OP_NO_TICKET);
        SSL_CTX_set_options(without, SSL_OP_NO_TICKET);
    }
    bool renewed = ways[_i].version == TLS1_3_VERSION; /* TLS 1.2 keeps its first session */
    int hours = 0;
    visit(with, NULL);
    ck_assert_int_eq(seen.status, ENGINE_OK);
    while (seen.status == ENGINE_OK && hours < 100) {
        hours++;
        ahead += 3600;
        again(without);
    }
    ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    ck_assert_int_eq(hours, !can_resume(ways[_i]) ? 1 : renewed ? 24 : 2);
    SSL_CTX_free(with);
    SSL_CTX_free(without);
}
END_TEST

START_TEST(resumption_ends_with_a_list_that_must_not_expire) {
    site.listener.client_crl = (char *)pki_crl("five-days.crl", &ca, &revoked, 5); /* from now on */
    for (int refuse = 0; refuse < 2; refuse++) {
        site.listener.crl_expired = refuse ? CRL_EXPIRED_REFUSE : CRL_EXPIRED_ACCEPT;
        ahead = 5 * 86400 - 600;
        come_back(ways[_i], &good, NULL, NULL);
        ck_assert_int_eq(seen.status == ENGINE_OK, can_resume(ways[_i]));
        come_back(ways[_i], &good, NULL, twenty_minutes_later);
        ck_assert_int_eq(seen.status == ENGINE_OK, can_resume(ways[_i]) && !refuse);
    }
}
END_TEST

/* As come_back, in one context, which remembers which list is whose. */
static void come_back_to(struct tls_context *ctx, struct way way, const struct pki *cert,
                         const struct pki *more, void (*change)(void)) {
    SSL_CTX *with = client_with(way.version, cert, more),
            *without = client_with(way.version, NULL, NULL);
    if (!way.tickets) {
        SSL_CTX_set_options(with, SSL_OP_NO_TICKET);
        SSL_CTX_set_options(without, SSL_OP_NO_TICKET);
    }
    visit_in(ctx, with, NULL);
    ck_assert_msg(seen.status == ENGINE_OK, "%s", reason_name(seen.reason));
    SSL_SESSION *session = seen.session;
    if (change != NULL) {
        change();
    }
    visit_in(ctx, without, session);
    SSL_SESSION_free(seen.session);
    SSL_SESSION_free(session);
    SSL_CTX_free(with);
    SSL_CTX_free(without);
}

/* Of an intermediate there is a list for two days, and one for five that is about CAs only. */
START_TEST(resumption_ends_with_the_list_that_covers_the_client) {
    struct pki deep = pki_make((struct pki_spec){.cn = "Deep", .ca = 1}, &inter);
    struct pki by_deep = pki_make((struct pki_spec){.cn = "device-9"}, &deep);
    const char *lists =
        pki_joined("s1.crl", pki_crl("sa.crl", &ca, NULL, 5), pki_crl("sb.crl", &inter, NULL, 2));
    lists = pki_joined("s2.crl", lists, pki_crl_for("sc.crl", &inter, NULL, "onlyCA:TRUE"));
    lists = pki_joined("s3.crl", lists, pki_crl("sd.crl", &deep, NULL, 5));
    site.listener.client_crl = (char *)lists;
    site.listener.crl_expired = CRL_EXPIRED_REFUSE;
    struct tls_context *ctx = site_load(&site, &shared);
    SSL_CTX *other = client_with(versions[1], &by_deep, &deep);
    SSL_CTX_add1_chain_cert(other, inter.cert);
    visit_in(ctx, other, NULL);
    ck_assert_msg(seen.status == ENGINE_OK, "%s", reason_name(seen.reason));
    SSL_SESSION_free(seen.session);
    SSL_CTX_free(other);
    ahead = 2 * 86400 - 600;
    come_back_to(ctx, ways[_i], &by_inter, &inter, NULL);
    ck_assert_int_eq(seen.status == ENGINE_OK, can_resume(ways[_i]));
    come_back_to(ctx, ways[_i], &by_inter, &inter, twenty_minutes_later);
    ck_assert_int_eq(seen.reason, REASON_NO_CERTIFICATE_GIVEN);
    tls_context_unref(ctx);
    pki_free(&by_deep);
    pki_free(&deep);
}
END_TEST

START_TEST(a_ca_of_the_same_key_under_a_name_written_in_another_way_ends_no_resumption) {
    struct pki variant =
        pki_make((struct pki_spec){.cn = "CLIENT INTER", .ca = 1, .key_of = &inter}, &ca);
    site.listener.client_crl = (char *)pki_joined("v.crl", pki_crl("va.crl", &ca, NULL, 5),
                                                  pki_crl("vb.crl", &inter, NULL, 5));
    site.listener.crl_expired = CRL_EXPIRED_REFUSE;
    struct tls_context *ctx = site_load(&site, &shared);
    const struct pki *sent[] = {&variant, &inter};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++) {
        come_back_to(ctx, ways[_i], &by_inter, sent[i], NULL);
        ck_assert_int_eq(seen.status == ENGINE_OK, can_resume(ways[_i]));
    }
    tls_context_unref(ctx);
    pki_free(&variant);
}
END_TEST

START_TEST(two_hundred_attempts_to_resume_past_a_revocation_fail) {
    SSL_CTX *with = client_with(ways[_i].version, &revoked, NULL);
    if (!ways[_i].tickets) {
        SSL_CTX_set_options(with, SSL_OP_NO_TICKET);
    }
    site.listener.client_crl = (char *)empty_crl;
    visit(with, NULL);
    SSL_SESSION *session = seen.session;
    ck_assert_int_eq(seen.status, ENGINE_OK);
    site.listener.client_crl = (char *)crl;
    struct tls_context *ctx = site_load(&site, &shared);
    for (int i = 0; i < 200; i++) {
        visit_in(ctx, with, session);
        ck_assert_int_eq(seen.status, ENGINE_FAILED);
        ck_assert_int_eq(seen.reason, REASON_REVOKED);
    }
    tls_context_unref(ctx);
    SSL_SESSION_free(session);
    SSL_CTX_free(with);
}
END_TEST

/* An attacker that has recorded a ticket can send it and force a full handshake by offering another
 * suite. The connection, and the tickets issued in it, must not have the identity of the ticket's
 * owner. */
START_TEST(a_recorded_ticket_gives_no_identity) {
    SSL_CTX *with = client_with(versions[_i], &good, NULL),
            *thief = client_with(versions[_i], NULL, NULL);
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    if (_i) {
        SSL_CTX_set_ciphersuites(with, "TLS_AES_256_GCM_SHA384");
    }
    visit(with, NULL);
    SSL_SESSION *stolen = seen.session;
    ck_assert_str_eq(seen.identity, "device-1");
    struct tls_context *ctx = site_load(&site, &shared);
    struct pair p;
    pair_init(&p, thief, "localhost", stolen);
    /* OpenSSL would not send it with other suites, so the suite is changed in transit. */
    SSL_do_handshake(p.client);
    pair_collect(&p);
    ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
    ck_assert(p.hello.has_ticket);
    uint8_t *suites = p.up.data + 5 + 4 + 2 + 32 + 1 + p.up.data[5 + 4 + 2 + 32];
    size_t len = (size_t)suites[0] << 8 | suites[1];
    for (size_t i = 0; i + 1 < len && _i == 0; i += 2) {
        if (suites[2 + i] == 0xc0 && suites[3 + i] == 0x2b) { /* the suite of the session */
            suites[3 + i] = 0x2c;
        }
    }
    for (size_t i = 0; i + 1 < len && _i == 1; i += 2) {
        if (suites[2 + i] == 0x13 && suites[3 + i] == 0x02) {
            suites[3 + i] = 0x01;
        }
    }
    pair_handshake(&p, ctx);
    if (p.status == ENGINE_OK) {
        ck_assert_ptr_null(engine_identity(p.engine));
    }
    pair_free(&p);
    tls_context_unref(ctx);
    SSL_SESSION_free(stolen);
    SSL_CTX_free(with);
    SSL_CTX_free(thief);
}
END_TEST

START_TEST(a_retired_context_finishes_its_handshakes_and_starts_no_more) {
    struct tls_context *ctx = site_load(&site, &shared);
    SSL_CTX *client = client_with(versions[_i], &good, NULL);
    struct pair p, q;
    pair_init(&p, client, "localhost", NULL);
    SSL_do_handshake(p.client);
    pair_collect(&p);
    ck_assert_int_eq(client_hello_parse(p.up.data, p.up.len, &p.hello), CLIENT_HELLO_OK);
    p.engine = engine_open(ctx, &p.hello);
    ck_assert_ptr_nonnull(p.engine);
    tls_context_retire(ctx);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    ck_assert_str_eq(engine_identity(p.engine), "device-1");
    pair_init(&q, client, "localhost", NULL);
    ck_assert_ptr_null(engine_open(ctx, &p.hello));
    tls_context_unref(ctx);
    pair_send_up(&p, "x", 1);
    pair_free(&p);
    pair_free(&q);
    SSL_CTX_free(client);
}
END_TEST

/* An established session of a client with this certificate. */
static struct pair session_of(struct tls_context *ctx, int version, const struct pki *cert) {
    SSL_CTX *client = client_with(version, cert, NULL);
    struct pair p;
    pair_init(&p, client, "localhost", NULL);
    ck_assert_int_eq(pair_handshake(&p, ctx), ENGINE_OK);
    SSL_CTX_free(client);
    return p;
}

START_TEST(a_crl_identifies_the_sessions_to_end) {
    site.listener.client_auth = CLIENT_AUTH_OPTIONAL;
    struct tls_context *before = site_load(&site, &shared);
    site.listener.client_crl = (char *)crl;
    struct tls_context *after = site_load(&site, &shared);
    struct pair lost = session_of(before, versions[_i], &revoked);
    struct pair kept = session_of(before, versions[_i], &good);
    struct pair none = session_of(before, versions[_i], NULL);
    ck_assert(!engine_is_revoked(lost.engine, before));
    ck_assert(engine_is_revoked(lost.engine, after));
    ck_assert(!engine_is_revoked(kept.engine, after));
    ck_assert(!engine_is_revoked(none.engine, after));
    tls_context_retire(after);
    ck_assert(!engine_is_revoked(lost.engine, after));
    pair_free(&lost);
    pair_free(&kept);
    pair_free(&none);
    tls_context_unref(before);
    tls_context_unref(after);
}
END_TEST

/* That is in client_ca itself, so that its sessions can be found. */
START_TEST(so_does_a_crl_that_is_about_or_by_an_intermediate) {
    const char *own = pki_crl("lr.crl", &ca, NULL, 5), *by = pki_crl("li.crl", &inter, NULL, 5);
    const char *after[] = {
        pki_joined("l1.crl", pki_crl("lq.crl", &ca, &inter, 5), by),
        pki_joined("l2.crl", own, pki_crl("lj.crl", &inter, &by_inter, 5)),
    };
    site.listener.client_ca = (char *)pki_certs("li.pem", &ca, &inter, NULL);
    site.listener.client_crl = (char *)pki_joined("l0.crl", own, by);
    struct tls_context *before = site_load(&site, &shared);
    struct pair lost = session_of(before, versions[_i], &by_inter);
    struct pair kept = session_of(before, versions[_i], &good);
    ck_assert(!engine_is_revoked(lost.engine, before));
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        site.listener.client_crl = (char *)after[i];
        struct tls_context *now = site_load(&site, &shared);
        ck_assert(engine_is_revoked(lost.engine, now));
        ck_assert(!engine_is_revoked(kept.engine, now));
        tls_context_unref(now);
    }
    pair_free(&lost);
    pair_free(&kept);
    tls_context_unref(before);
}
END_TEST

/* A session of a client that sends its intermediate, by a full handshake and by a resumption. */
static void open_sessions(struct tls_context *ctx, struct way way, struct pair sessions[2]) {
    SSL_CTX *client = client_with(way.version, &by_inter, &inter);
    if (!way.tickets) {
        SSL_CTX_set_options(client, SSL_OP_NO_TICKET);
    }
    visit_in(ctx, client, NULL);
    SSL_SESSION *earlier = seen.session;
    for (int i = 0; i < 2; i++) {
        pair_init(&sessions[i], client, "localhost", i == 0 ? NULL : earlier);
        ck_assert_int_eq(pair_handshake(&sessions[i], ctx), ENGINE_OK);
        ck_assert_int_eq(engine_is_resumed(sessions[i].engine), i == 1 && can_resume(way));
        ck_assert_str_eq(engine_identity(sessions[i].engine), "device-3");
    }
    SSL_SESSION_free(earlier);
    SSL_CTX_free(client);
}

START_TEST(so_does_one_about_an_intermediate_that_only_the_client_sent) {
    const char *by = pki_crl("si.crl", &inter, NULL, 5);
    const char *about = pki_joined("s1.crl", pki_crl("sq.crl", &ca, &inter, 5), by);
    struct pair sessions[2];
    site.listener.client_crl = (char *)pki_joined("s0.crl", pki_crl("sr.crl", &ca, NULL, 5), by);
    for (int end = 0; end < 2; end++) {
        site.listener.revoked_sessions = end ? REVOKED_END : REVOKED_KEEP;
        struct tls_context *before = site_load(&site, &shared);
        struct config_listener next = site.listener;
        next.client_crl = (char *)about;
        struct error err;
        struct tls_context *after = tls_context_load(&next, &shared, &err);
        ck_assert_ptr_nonnull(after);
        open_sessions(before, ways[_i], sessions);
        for (int i = 0; i < 2; i++) {
            ck_assert(!engine_is_revoked(sessions[i].engine, before));
            ck_assert_int_eq(engine_is_revoked(sessions[i].engine, after), end);
            pair_free(&sessions[i]);
        }
        tls_context_unref(before);
        tls_context_unref(after);
    }
}
END_TEST

static void add_full_handshakes(TCase *tc) {
    tcase_add_loop_test(tc, a_client_of_the_ca_is_identified_by_name, 0, 2);
    tcase_add_loop_test(tc, a_client_without_a_certificate_is_refused_where_one_is_required, 0, 2);
    tcase_add_loop_test(tc, bad_certificates_are_refused_each_with_its_reason, 0, 2);
    tcase_add_loop_test(tc, several_cas_are_trusted, 0, 2);
    tcase_add_loop_test(tc, every_client_must_send_its_intermediate, 0, 2);
    tcase_add_loop_test(tc, clients_of_an_expired_intermediate_are_refused, 0, 2);
    tcase_add_loop_test(tc, clients_listed_in_a_crl_are_refused, 0, 2);
    tcase_add_loop_test(tc, an_expired_crl_still_refuses_what_it_lists, 0, 2);
    tcase_add_loop_test(tc, once_there_are_crls_clients_of_a_ca_without_one_are_refused, 0, 2);
    tcase_add_loop_test(tc, clients_of_a_revoked_intermediate_are_refused, 0, 2);
    tcase_add_loop_test(tc, lists_whose_signatures_are_expensive_are_few, 0, 2);
    tcase_add_loop_test(tc, a_list_may_be_by_an_intermediate, 0, 2);
    tcase_add_loop_test(
        tc, a_ca_of_the_same_key_under_a_name_written_in_another_way_takes_no_list_away, 0, 2);
    tcase_add_loop_test(tc, a_list_counts_for_what_it_covers, 0, 2);
    tcase_add_loop_test(tc, a_list_may_be_signed_by_rsa_pss, 0, 2);
    tcase_add_test(tc, bad_ca_and_crl_files_are_refused);
    tcase_add_loop_test(tc, identities_come_from_the_configured_source, 0, 2);
    tcase_add_loop_test(tc, a_bad_identity_is_refused_where_the_broker_gets_it, 0, 2);
}

/* Not where it is linked statically: there the clock that is replaced is its as well. */
static bool openssl_has_own_clock(void) {
    int days = 0, seconds = 0;
    ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
    ahead = 3600;
    ASN1_TIME *later = X509_gmtime_adj(NULL, 0);
    ahead = 0;
    bool compared = ASN1_TIME_diff(&days, &seconds, now, later) == 1;
    ASN1_TIME_free(now);
    ASN1_TIME_free(later);
    return compared && seconds < 3600;
}

static void add_resumption(TCase *tc) {
    /* A client of TLS 1.3 says how old its ticket is, by its own clock. */
    int ways_with_two_clocks = openssl_has_own_clock() ? 3 : 2;
    tcase_add_loop_test(tc, a_resumed_client_keeps_its_identity, 0, 3);
    tcase_add_loop_test(tc, a_name_too_long_for_a_ticket_means_full_handshakes, 0, 3);
    tcase_add_loop_test(tc, a_change_of_what_was_checked_ends_resumption, 0, 3);
    tcase_add_loop_test(tc, a_session_from_before_certificates_were_required_is_refused, 0, 3);
    tcase_add_loop_test(tc, resumption_ends_when_the_certificate_expires, 0, 3);
    tcase_add_loop_test(tc, resumption_ends_when_the_intermediate_expires, 0, 3);
    tcase_add_loop_test(tc, resumption_ends_when_the_ca_expires, 0, 3);
    tcase_add_loop_test(tc, resumption_ends_a_day_after_the_full_handshake_however_often_renewed, 0,
                        ways_with_two_clocks);
    tcase_add_loop_test(tc, resumption_ends_with_a_list_that_must_not_expire, 0,
                        ways_with_two_clocks);
    tcase_add_loop_test(tc, resumption_ends_with_the_list_that_covers_the_client, 0, 3);
    tcase_add_loop_test(
        tc, a_ca_of_the_same_key_under_a_name_written_in_another_way_ends_no_resumption, 0, 3);
    tcase_add_loop_test(tc, two_hundred_attempts_to_resume_past_a_revocation_fail, 0, 3);
    tcase_add_loop_test(tc, a_recorded_ticket_gives_no_identity, 0, 2);
    tcase_add_loop_test(tc, a_retired_context_finishes_its_handshakes_and_starts_no_more, 0, 2);
    tcase_add_loop_test(tc, a_crl_identifies_the_sessions_to_end, 0, 2);
    tcase_add_loop_test(tc, so_does_a_crl_that_is_about_or_by_an_intermediate, 0, 2);
    tcase_add_loop_test(tc, so_does_one_about_an_intermediate_that_only_the_client_sent, 0, 3);
}

static Suite *suite(void) {
    Suite *s = suite_create("clients");
    TCase *tc = tcase_create("clients");
    tcase_set_timeout(tc, 120);
    tcase_add_unchecked_fixture(tc, once, finally);
    tcase_add_checked_fixture(tc, setup, teardown);
    add_full_handshakes(tc);
    add_resumption(tc);
    suite_add_tcase(s, tc);
    return s;
}

int main(void) {
    return run_suite(suite(), CK_FORK_GETENV);
}
