/* The checked configuration as a value: what every key of postern.conf(5) has become.
 *
 * The fields of all structs here may be read by every room; only src/config writes them. */
#ifndef POSTERN_CONFIG_TYPES_H
#define POSTERN_CONFIG_TYPES_H

#include "core/address.h"
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
enum config_psk_plain { PSK_PLAIN_REFUSE, PSK_PLAIN_ACCEPT };
enum config_proxy_protocol { PROXY_PROTOCOL_OFF, PROXY_PROTOCOL_V1, PROXY_PROTOCOL_V2 };
enum config_mqtt { MQTT_OFF, MQTT_CHECK, MQTT_IDENTITY };
enum config_client_id { CLIENT_ID_FREE, CLIENT_ID_IDENTITY, CLIENT_ID_PREFIX };
enum config_alpn_required { ALPN_NOT_REQUIRED, ALPN_REQUIRED };
enum config_unknown_name { UNKNOWN_NAME_SERVE, UNKNOWN_NAME_REFUSE };
enum config_dial { DIAL_AFTER_FIRST_BYTE, DIAL_AFTER_HANDSHAKE };
enum config_reload { RELOAD_SIGNAL, RELOAD_WATCH };
enum config_switch { CONFIG_SWITCH_OFF, CONFIG_SWITCH_ON };

/* A broker: HOST:PORT ([v6]:port too) or unix:/path. */
struct config_backend {
    char *text;
    char *host;    /* NULL for unix: */
    uint16_t port; /* 0 for unix: */
    char *path;    /* NULL for HOST:PORT */
};

/* A list of networks; it owns `all`. */
struct config_networks {
    struct address_network *all;
    size_t count;
};

/* So many in each period; count 0: no limit. */
struct config_rate {
    uint32_t count;
    uint32_t period_ms;
};

/* Connections to a broker: how many may be under way, and how fast they may begin. */
struct config_dials {
    size_t under_way; /* 0: no bound */
    struct config_rate rate;
};

/* Local addresses to connect from, with port 0; it owns `all`. */
struct config_sources {
    struct address *all;
    size_t count; /* 0: the system chooses */
};

/* Application protocols (RFC 7301), in order of preference: 1 to 255 characters each. It owns all.
 */
struct config_protocols {
    char **all;
    size_t count;
};

struct config_certificate {
    char *name;
    char *cert;  /* absolute, or relative to the working directory: ready to open */
    char *chain; /* NULL: none named */
    char *key;
    unsigned line; /* of the section's header; 0: from the command line */
};

/* A listener, or one of its routes: the clients of a listener that ask for certain server names or
 * offer certain protocols (session/route.h has the order). A route has every field of a listener,
 * its name and addresses too: what its own section sets, and else what the listener's does. */
struct config_listener {
    char *name;
    unsigned line;             /* of the listener's section; of a route, its own */
    struct address *addresses; /* to listen on; [::] serves IPv4 as well */
    size_t address_count;
    struct config_backend *backends;
    size_t backend_count;
    const struct config_certificate **certificates; /* point into struct config; in order */
    size_t certificate_count;                       /* 0: none, only with psk_file */
    enum config_tls_version tls_min, tls_max;
    char *ciphers; /* NULL: the default */
    char *groups;  /* NULL: the default */
    struct config_protocols alpn;
    enum config_alpn_required alpn_required;
    enum config_unknown_name unknown_name; /* of what no route is for */

    enum config_client_auth client_auth;
    char *client_ca;    /* NULL: none */
    char *client_crl;   /* NULL: none */
    char *client_allow; /* NULL: none */
    char *psk_file;     /* NULL: none */
    enum config_psk_plain psk_plain;
    enum config_crl_expired crl_expired;
    enum config_x509_v1 client_x509_v1;
    uint64_t resumption_lifetime_ms; /* from the full handshake */
    enum config_revoked_sessions revoked_sessions;
    enum config_identity identity;
    enum config_proxy_protocol proxy_protocol;
    struct config_networks accept_proxy; /* count 0: off */
    struct config_networks allow;        /* count 0: all */
    struct config_networks deny;         /* count 0: none */
    enum config_mqtt mqtt;
    enum config_client_id client_id;
    enum config_dial dial; /* with mqtt off */
    size_t max_connect_size;
    size_t max_record_size;
    size_t max_connections;             /* 0: no limit of ours */
    size_t max_connections_per_address; /* 0: no limit */
    struct config_rate new_connections_per_address;
    size_t max_handshakes;
    struct config_dials max_dials;
    struct config_sources backend_source;
    struct config_rate session_log; /* count 0: all */

    /* Milliseconds, or CONFIG_OFF. */
    uint64_t first_byte_timeout_ms;
    uint64_t handshake_timeout_ms;
    uint64_t first_data_timeout_ms; /* with mqtt off */
    uint64_t connect_packet_timeout_ms;
    uint64_t connect_timeout_ms;
    uint64_t write_timeout_ms;
    uint64_t close_timeout_ms;
    uint64_t idle_timeout_ms;
    uint64_t tcp_keepalive_ms; /* of the client's side, both */
    uint64_t tcp_user_timeout_ms;

    struct config_listener *routes; /* in the order of the file; a route has none */
    size_t route_count;             /* fits in 16 bits: a file of 1 MiB has no room for more */

    char *route; /* its name; NULL: this is a listener. Of routes alone: */
    /* Lower case, without a dot at the end; "*.example.org" is any one label and the rest. */
    char **server_names;
    size_t server_name_count; /* 0: any name, or none */
    bool by_protocol;         /* it is for clients that offer one of `alpn` */
};

/* Where metrics are served: HOST:PORT or unix:/path. It owns both strings. */
struct config_admin {
    char *text; /* NULL: off */
    struct address address;
    char *path; /* NULL for HOST:PORT */
};

struct config {
    char *file;     /* as named by the user; NULL from the command line */
    size_t workers; /* 0: auto, one per processor the program may use */
    enum log_level log_level;
    enum log_format log_format;
    enum config_reload reload;
    uint64_t drain_delay_ms;   /* between the signal to stop and the end of accepting */
    uint64_t drain_timeout_ms; /* CONFIG_OFF: at once */
    char *takeover;            /* the socket by which another process takes over; NULL: none */
    char *ticket_keys;         /* file shared by several instances; NULL: made at start, rotated */
    struct config_admin admin;
    char *user, *group; /* names or numbers, for a process that root starts; NULL: not given */
    enum config_switch sandbox;
    enum config_switch core_dumps;
    struct config_listener *listeners;
    size_t listener_count;
    struct config_certificate *certificates;
    size_t certificate_count;
};

void config_free(struct config *config);            /* NULL is fine */
void config_admin_free(struct config_admin *admin); /* what it owns; config_free does so too */

/* How the file writes the value of a key that is a choice, for messages: "v2" for proxy_protocol
 * and PROXY_PROTOCOL_V2. A value that no word stands for is a mistake of ours. */
const char *config_word(const char *key, uint64_t value);

/* Whether the broker takes identities of clients for names: then no client comes in whose identity
 * cannot be one. */
bool config_gives_names(const struct config_listener *listener);

/* Calls `visit` for every file that the configuration names: certificates, chains, keys, CAs, CRLs,
 * lists of clients, pre-shared keys, ticket keys. The same file may come twice. */
void config_each_file(const struct config *config, void (*visit)(const char *file, void *arg),
                      void *arg);

#endif
