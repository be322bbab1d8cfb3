#include "site.h"

#include "../unit/pki.h"
#include "trace.h"

#include "tls/context.h"
#include "tls/tickets.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    struct pki certs[SITE_CERT_COUNT], ca, other_ca, server, rsa_server;
    const char *configs[SITE_VARIANTS];
    struct tls_shared tls;
    struct backend_table *backends;
    SSL_CTX *client;
} site;

/* --- certificates --- */

static void make_certificates(void) {
    site.ca = pki_make((struct pki_spec){.cn = "CA", .ca = 1}, NULL);
    site.other_ca = pki_make((struct pki_spec){.cn = "Other", .ca = 1}, NULL);
    site.server = pki_make((struct pki_spec){.cn = "localhost", .alt = "DNS:localhost"}, NULL);
    site.rsa_server = pki_make(
        (struct pki_spec){.cn = "localhost", .alt = "DNS:localhost", .key = PKI_RSA2048}, NULL);
    struct pki_spec specs[SITE_CERT_COUNT] = {
        [SITE_GOOD] = {.cn = SITE_NAME(SITE_GOOD)},
        [SITE_REVOCABLE] = {.cn = SITE_NAME(SITE_REVOCABLE)},
        [SITE_STRANGER] = {.cn = "device-1"},
        [SITE_EXPIRED] = {.cn = "old", .from_day = -20, .to_day = -1},
        [SITE_EARLY] = {.cn = "early", .from_day = 2},
        [SITE_SERVER_ONLY] = {.cn = "server", .usage = "serverAuth"},
        [SITE_NAMELESS] = {.alt = "DNS:nameless.example"},
    };
    for (int i = SITE_GOOD; i < SITE_CERT_COUNT; i++) {
        site.certs[i] = pki_make(specs[i], i == SITE_STRANGER ? &site.other_ca : &site.ca);
    }
}

/* --- configurations --- */

static char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text_of(const char *format, ...) {
    char *text;
    va_list args;
    va_start(args, format);
    NEED(vasprintf(&text, format, args) >= 0, "no memory");
    va_end(args);
    return text;
}

static const char *common(enum site_variant variant) {
    switch (variant) {
    case SITE_KEEPING:
        return "max_dials = 2, 5/s\nfirst_byte_timeout = 6s\nhandshake_timeout = "
               "20s\nconnect_packet_timeout = 15s\n"
               "first_data_timeout = off\n"
               "connect_timeout = 3s\nwrite_timeout = 15s\nclose_timeout = 12s\n";
    case SITE_SMALL:
        return "max_record_size = 1024\nidle_timeout = 30s\nclose_timeout = 8s\n"
               "write_timeout = 8s\nmax_handshakes = 4\n";
    default:
        return "max_dials = 2\nfirst_byte_timeout = 4s\nhandshake_timeout = "
               "10s\nconnect_packet_timeout = 10s\n"
               "first_data_timeout = 7s\n"
               "connect_timeout = 2s\nwrite_timeout = 8s\nclose_timeout = 8s\nidle_timeout = 40s\n";
    }
}

/* Most clients of these listeners get it, with nothing of its own but its name; a reload takes it
 * away and brings it back. */
static const char *route(enum site_variant variant) {
    return variant == SITE_BASE || variant == SITE_REVOKING
               ? "[route local]\nlistener = plain, certs, identity\nserver_name = localhost\n"
               : "";
}

static void write_config(enum site_variant variant, const char *ca, const char *crl) {
    const char *all = common(variant);
    bool lists = variant == SITE_REVOKING || variant == SITE_KEEPING;
    const char *sessions = variant == SITE_REVOKING ? "end" : "keep";
    char *auth = text_of("client_auth = required\nclient_ca = %s\n%s%s\nrevoked_sessions = %s\n",
                         ca, lists ? "client_crl = " : "", lists ? crl : "", sessions);
    char *file =
        text_of("[postern]\nlog_level = debug\nworkers = 1\n"
                "[listener plain]\nlisten = 127.0.0.1:1\nbackend = 127.0.0.1:1001, 10.0.0.2:1002\n"
                "certificates = ecdsa, rsa\ndial = handshake\n%s%s"
                "[listener certs]\nlisten = 127.0.0.1:2\nbackend = broker.example:1003\n"
                "certificates = %s\nproxy_protocol = v2\n%s%s"
                "[listener check]\nlisten = 127.0.0.1:3\nbackend = unix:/sim/broker\n"
                "certificates = ecdsa, rsa\nmqtt = check\n%s%s"
                "[listener identity]\nlisten = 127.0.0.1:4\nbackend = 127.0.0.1:1004\n"
                "certificates = ecdsa\nmqtt = identity\nidentity = cn\nclient_id = prefix\n%s%s"
                "[listener balanced]\nlisten = 127.0.0.1:5\nbackend = 10.0.0.3:1005\n"
                "certificates = rsa\naccept_proxy = 192.0.2.0/24\nproxy_protocol = v1\n"
                "max_connections = 10\n%s%s"
                "%s"
                "[certificate ecdsa]\ncert = server.pem\nkey = server.key\n"
                "[certificate rsa]\ncert = rsa.pem\nkey = rsa.key\n",
                all, variant == SITE_SMALL ? "tls_max = 1.2\n" : "",
                variant == SITE_SMALL ? "rsa" : "ecdsa", all, auth, all,
                variant == SITE_SMALL ? "" : "max_handshakes = 3\n", all, auth, all,
                variant == SITE_SMALL ? "" : "max_handshakes = 2\n", route(variant));
    char name[32];
    snprintf(name, sizeof name, "postern-%d.conf", variant);
    site.configs[variant] = pki_text(name, file);
    free(auth);
    free(file);
}

static void write_files(void) {
    const char *ca = pki_certs("ca.pem", &site.ca, NULL);
    const char *crl = pki_crl("crl.pem", &site.ca, &site.certs[SITE_REVOCABLE], 5);
    (void)pki_certs("server.pem", &site.server, NULL);
    (void)pki_key("server.key", &site.server);
    (void)pki_certs("rsa.pem", &site.rsa_server, NULL);
    (void)pki_key("rsa.key", &site.rsa_server);
    for (int i = 0; i < SITE_VARIANTS; i++) {
        write_config((enum site_variant)i, ca, crl);
    }
}

/* --- begin and end --- */

void site_begin(void) {
    struct error err;
    NEED(tls_library_start(&err) == 0, "%s", err.text);
    make_certificates();
    write_files();
    site.tls.tickets = tls_tickets_new(&err);
    site.tls.sessions = tls_session_cache_new(64, &err);
    site.backends = backend_table_new(0);
    site.client = SSL_CTX_new(TLS_client_method());
    NEED(site.tls.tickets != NULL && site.tls.sessions != NULL && site.backends != NULL, "memory");
    SSL_CTX_set_security_level(site.client, 0);
    SSL_CTX_set_session_cache_mode(site.client, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_min_proto_version(site.client, TLS1_VERSION);
}

void site_end(void) {
    struct pki *others[] = {&site.ca, &site.other_ca, &site.server, &site.rsa_server};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        pki_free(others[i]);
    }
    for (int i = SITE_GOOD; i < SITE_CERT_COUNT; i++) {
        pki_free(&site.certs[i]);
    }
    SSL_CTX_free(site.client);
    tls_tickets_free(site.tls.tickets);
    tls_session_cache_free(site.tls.sessions);
    backend_table_free(site.backends);
    pki_clean();
    tls_library_stop();
}

struct runtime *site_load(enum site_variant variant) {
    struct error err;
    struct config *config = config_load(site.configs[variant], &err);
    NEED(config != NULL, "%s", err.text);
    struct runtime *rt = runtime_load(config, &site.tls, site.backends, &err);
    NEED(rt != NULL, "%s", err.text);
    runtime_commit(rt, &site.tls);
    return rt;
}

/* --- clients --- */

SSL *site_client(int version, enum site_cert cert) {
    SSL *ssl = SSL_new(site.client);
    NEED(ssl != NULL, "no memory");
    if (version != 0) {
        SSL_set_min_proto_version(ssl, version);
        SSL_set_max_proto_version(ssl, version);
    }
    if (cert != SITE_NONE) {
        SSL_use_certificate(ssl, site.certs[cert].cert);
        SSL_use_PrivateKey(ssl, site.certs[cert].key);
    }
    SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_set_tlsext_host_name(ssl, "localhost");
    return ssl;
}

bool site_wants_certificate(size_t listener) {
    return listener == SITE_CERTS || listener == SITE_IDENTITY;
}

bool site_is_mqtt(size_t listener) {
    return listener == SITE_CHECK || listener == SITE_IDENTITY;
}
