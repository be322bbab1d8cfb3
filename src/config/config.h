/* The configuration: INI text (or a sidecar's command line) to one immutable, fully checked value.
 *
 * It is checked as far as text alone can be: every key is known and in range, every name is
 * defined, addresses are well formed. The files that it names are opened by tls/context.c.
 * postern.conf(5) describes the format; keys, defaults and ranges are in the table in config.c, one
 * row for each key. inih reads the text, but from our own reader (lines.h), because inih cuts long
 * lines, joins indented ones and does not count lines: we refuse the former two and count.
 *
 * The fields of all structs here may be read by every room; only src/config writes them. */
#ifndef POSTERN_CONFIG_CONFIG_H
#define POSTERN_CONFIG_CONFIG_H

#include "core/address.h"
#include "core/error.h"
#include "core/log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A duration that is `off`. */
#define CONFIG_OFF UINT64_MAX

enum config_tls_version { CONFIG_TLS_1_2 = 0x0303, CONFIG_TLS_1_3 = 0x0304 };
enum config_client_auth { CLIENT_AUTH_NONE, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRED };
enum config_crl_expired { CRL_EXPIRED_ACCEPT, CRL_EXPIRED_REFUSE };
enum config_x509_v1 { X509_V1_ACCEPT, X509_V1_REFUSE };
enum config_revoked_sessions { REVOKED_KEEP, REVOKED_END };
enum config_identity { IDENTITY_CN, IDENTITY_SAN_DNS, IDENTITY_SAN_URI, IDENTITY_FINGERPRINT };
enum config_proxy_protocol { PROXY_PROTOCOL_OFF, PROXY_PROTOCOL_V1, PROXY_PROTOCOL_V2 };
enum config_mqtt { MQTT_OFF, MQTT_CHECK, MQTT_IDENTITY };
enum config_reload { RELOAD_SIGNAL, RELOAD_WATCH };

/* A broker: HOST:PORT ([v6]:port too) or unix:/path. */
struct config_backend {
    char *text;
    char *host;    /* NULL for unix: */
    uint16_t port; /* 0 for unix: */
    char *path;    /* NULL for HOST:PORT */
};

struct config_certificate {
    char *name;
    char *cert;  /* absolute, or relative to the working directory: ready to open */
    char *chain; /* NULL: none named */
    char *key;
    unsigned line; /* of the section's header; 0: from the command line */
};

struct config_listener {
    char *name;
    unsigned line;
    struct address *addresses; /* to listen on; [::] serves IPv4 as well */
    size_t address_count;
    struct config_backend *backends;
    size_t backend_count;
    const struct config_certificate **certificates; /* point into struct config; in order */
    size_t certificate_count;
    enum config_tls_version tls_min, tls_max;
    char *ciphers; /* NULL: the default */

    enum config_client_auth client_auth;
    char *client_ca;  /* NULL: none */
    char *client_crl; /* NULL: none */
    enum config_crl_expired crl_expired;
    enum config_x509_v1 client_x509_v1;
    uint64_t resumption_lifetime_ms; /* from the full handshake */
    enum config_revoked_sessions revoked_sessions;
    enum config_identity identity;
    enum config_proxy_protocol proxy_protocol;
    struct address_network *accept_proxy; /* count 0: off */
    size_t accept_proxy_count;
    enum config_mqtt mqtt;
    size_t max_connect_size;
    size_t max_record_size;
    size_t max_connections; /* 0: no limit of ours */
    size_t max_handshakes;

    /* Milliseconds, or CONFIG_OFF. */
    uint64_t first_byte_timeout_ms;
    uint64_t handshake_timeout_ms;
    uint64_t connect_packet_timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t write_timeout_ms;
    uint64_t close_timeout_ms;
    uint64_t idle_timeout_ms;
};

struct config {
    char *file;     /* as named by the user; NULL from the command line */
    size_t workers; /* 0: auto, one per processor the program may use */
    enum log_level log_level;
    enum log_format log_format;
    enum config_reload reload;
    uint64_t drain_timeout_ms; /* CONFIG_OFF: at once */
    char *ticket_keys; /* file shared by several instances; NULL: made at start and rotated */
    struct config_listener *listeners;
    size_t listener_count;
    struct config_certificate *certificates;
    size_t certificate_count;
};

/* Reads and checks the whole file. NULL with the reason in `err` ("FILE:LINE: what is wrong; what
 * would be right"). What may be a mistake (a certificate that no listener uses; a listener without
 * identities for a backend that gets identities from another one) is logged as a warning. */
struct config *config_load(const char *file, struct error *err) __attribute__((warn_unused_result));

/* One `--key value` of the sidecar's command line; `section` is "postern", "listener" or
 * "certificate", `key` the key of the file. */
struct config_option {
    const char *option; /* as typed, for messages: "--listen" */
    const char *section;
    const char *key;
    const char *value;
};

/* The same value from a command line: one listener named mqtt, one certificate named main. */
struct config *config_from_options(const struct config_option *options, size_t count,
                                   struct error *err) __attribute__((warn_unused_result));

void config_free(struct config *config); /* NULL is fine */

/* Calls `visit` for every file that the configuration names: certificates, chains, keys, CAs, CRLs,
 * ticket keys. The same file may come twice. */
void config_each_file(const struct config *config, void (*visit)(const char *file, void *arg),
                      void *arg);

#endif
