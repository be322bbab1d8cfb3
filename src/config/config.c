#include "config/config.h"

#include "config/document.h"
#include "config/lines.h"
#include "config/sections.h"
#include "config/values.h"
#include "core/closed_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No configuration is that large; a larger file was named by mistake. */
enum { FILE_MAX = 1 << 20 };

#define DAY   86400000ull
#define MONTH (30 * DAY)

/* A key's section and the field it sets. R: a listener's, which its routes inherit and may set. */
#define P(field) SECTION_POSTERN, offsetof(struct config, field), false
#define L(field) SECTION_LISTENER, offsetof(struct config_listener, field), false
#define R(field) SECTION_LISTENER, offsetof(struct config_listener, field), true
#define C(field) SECTION_CERTIFICATE, offsetof(struct config_certificate, field), false
#define ROUTE    SECTION_ROUTE, 0, false

static const struct config_word automatic[] = {{"auto", 0}, {NULL, 0}};
static const struct config_word off[] = {{"off", CONFIG_OFF}, {NULL, 0}};
static const struct config_word no_delay[] = {{"0", 0}, {"off", 0}, {NULL, 0}};
static const struct config_word at_once[] = {{"off", CONFIG_OFF}, {"0", CONFIG_OFF}, {NULL, 0}};
static const struct config_word networks_off[] = {{"off", 0}, {NULL, 0}};
static const struct config_word networks_all[] = {{"all", 0}, {NULL, 0}};
static const struct config_word networks_none[] = {{"none", 0}, {NULL, 0}};
static const struct config_word admin_off[] = {{"off", 0}, {NULL, 0}};
static const struct config_word rate_off[] = {{"off", 0}, {NULL, 0}};
static const struct config_word dials_off[] = {{"off", 0}, {NULL, 0}};
static const struct config_word source_auto[] = {{"auto", 0}, {NULL, 0}};
static const struct config_word rate_all[] = {{"all", 0}, {NULL, 0}};
static const struct config_word log_levels[] = {{"error", LOG_LEVEL_ERROR},
                                                {"warning", LOG_LEVEL_WARNING},
                                                {"info", LOG_LEVEL_INFO},
                                                {"debug", LOG_LEVEL_DEBUG},
                                                {NULL, 0}};
static const struct config_word log_formats[] = {{"auto", LOG_FORMAT_AUTO},
                                                 {"text", LOG_FORMAT_TEXT},
                                                 {"json", LOG_FORMAT_JSON},
                                                 {"journal", LOG_FORMAT_JOURNAL},
                                                 {NULL, 0}};
static const struct config_word reloads[] = {
    {"signal", RELOAD_SIGNAL}, {"watch", RELOAD_WATCH}, {NULL, 0}};
static const struct config_word switches[] = {
    {"on", CONFIG_SWITCH_ON}, {"off", CONFIG_SWITCH_OFF}, {NULL, 0}};
static const struct config_word tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2}, {"1.3", CONFIG_TLS_1_3}, {NULL, 0}};
static const struct config_word client_auths[] = {{"none", CLIENT_AUTH_NONE},
                                                  {"optional", CLIENT_AUTH_OPTIONAL},
                                                  {"required", CLIENT_AUTH_REQUIRED},
                                                  {NULL, 0}};
static const struct config_word x509_v1s[] = {
    {"accept", X509_V1_ACCEPT}, {"refuse", X509_V1_REFUSE}, {NULL, 0}};
static const struct config_word crl_expireds[] = {
    {"accept", CRL_EXPIRED_ACCEPT}, {"refuse", CRL_EXPIRED_REFUSE}, {NULL, 0}};
static const struct config_word certificates_none[] = {{"none", 0}, {NULL, 0}};
static const struct config_word psk_plains[] = {
    {"no", PSK_PLAIN_REFUSE}, {"yes", PSK_PLAIN_ACCEPT}, {NULL, 0}};
static const struct config_word revoked_sessions[] = {
    {"keep", REVOKED_KEEP}, {"end", REVOKED_END}, {NULL, 0}};
static const struct config_word identities[] = {{"cn", IDENTITY_CN},
                                                {"san-dns", IDENTITY_SAN_DNS},
                                                {"san-uri", IDENTITY_SAN_URI},
                                                {"fingerprint", IDENTITY_FINGERPRINT},
                                                {NULL, 0}};
static const struct config_word proxy_protocols[] = {
    {"off", PROXY_PROTOCOL_OFF}, {"v1", PROXY_PROTOCOL_V1}, {"v2", PROXY_PROTOCOL_V2}, {NULL, 0}};
static const struct config_word mqtts[] = {
    {"off", MQTT_OFF}, {"check", MQTT_CHECK}, {"identity", MQTT_IDENTITY}, {NULL, 0}};
static const struct config_word client_ids[] = {{"free", CLIENT_ID_FREE},
                                                {"identity", CLIENT_ID_IDENTITY},
                                                {"prefix", CLIENT_ID_PREFIX},
                                                {NULL, 0}};

static const struct config_word alpn_requireds[] = {
    {"no", ALPN_NOT_REQUIRED}, {"yes", ALPN_REQUIRED}, {NULL, 0}};
static const struct config_word unknown_names[] = {
    {"serve", UNKNOWN_NAME_SERVE}, {"refuse", UNKNOWN_NAME_REFUSE}, {NULL, 0}};
static const struct config_word dials[] = {
    {"first-byte", DIAL_AFTER_FIRST_BYTE}, {"handshake", DIAL_AFTER_HANDSHAKE}, {NULL, 0}};

/* One row per key: to add a key, add a row (and its field in types.h, and its entry in
 * postern.conf(5), which a test compares with this). */
/* clang-format off */
const struct config_key config_keys[] = {
    {"workers",       KIND_COUNT,    P(workers),          "auto",   1,   256, automatic},
    {"log_level",     KIND_WORD,     P(log_level),        "info",   0,   0,   log_levels},
    {"log_format",    KIND_WORD,     P(log_format),       "auto",   0,   0,   log_formats},
    {"reload",        KIND_WORD,     P(reload),           "signal", 0,   0,   reloads},
    {"drain_delay",   KIND_DURATION, P(drain_delay_ms),   "0",      100, DAY, no_delay},
    {"drain_timeout", KIND_DURATION, P(drain_timeout_ms), "30s",    100, DAY, at_once},
    {"takeover",      KIND_PATH,     P(takeover),         "",       0,   0,   NULL},
    {"ticket_keys",   KIND_PATH,     P(ticket_keys),      "",       0,   0,   NULL},
    {"admin",         KIND_ADMIN,    P(admin),            "off",    0,   0,   admin_off},
    {"user",          KIND_TEXT,     P(user),             "",       0,   0,   NULL},
    {"group",         KIND_TEXT,     P(group),            "",       0,   0,   NULL},
    {"sandbox",       KIND_WORD,     P(sandbox),          "on",     0,   0,   switches},
    {"core_dumps",    KIND_WORD,     P(core_dumps),       "off",    0,   0,   switches},

    {"listen",       KIND_ADDRESSES,    L(addresses),    "[::]:8883",      0, 0, NULL},
    {"backend",      KIND_BACKENDS,     R(backends),     "127.0.0.1:1883", 0, 0, NULL},
    {"backend_source", KIND_SOURCES,    R(backend_source), "auto",         0, 0, source_auto},
    {"certificates", KIND_CERTIFICATES, R(certificates), NULL,             0, 0, certificates_none},
    {"accept_proxy", KIND_NETWORKS,     L(accept_proxy), "off",            0, 0, networks_off},
    {"allow",        KIND_NETWORKS,     L(allow),        "all",            0, 0, networks_all},
    {"deny",         KIND_NETWORKS,     L(deny),         "none",           0, 0, networks_none},

    {"tls_min",          KIND_WORD, L(tls_min),          "1.2",    0, 0, tls_versions},
    {"tls_max",          KIND_WORD, L(tls_max),          "1.3",    0, 0, tls_versions},
    {"ciphers",          KIND_TEXT, L(ciphers),          "",       0, 0, NULL},
    {"groups",           KIND_TEXT, L(groups),           "",       0, 0, NULL},
    {"alpn",             KIND_ALPN, R(alpn),             "mqtt",   0, 0, NULL},
    {"alpn_required",    KIND_WORD, L(alpn_required),    "no",     0, 0, alpn_requireds},
    {"unknown_name",     KIND_WORD, L(unknown_name),     "serve",  0, 0, unknown_names},
    {"client_auth",      KIND_WORD, R(client_auth),      "none",   0, 0, client_auths},
    {"client_ca",        KIND_PATH, R(client_ca),        "",       0, 0, NULL},
    {"client_crl",       KIND_PATH, R(client_crl),       "",       0, 0, NULL},
    {"crl_expired",      KIND_WORD, R(crl_expired),      "accept", 0, 0, crl_expireds},
    {"client_allow",     KIND_PATH, R(client_allow),     "",       0, 0, NULL},
    {"psk_file",         KIND_PATH, R(psk_file),         "",       0, 0, NULL},
    {"psk_plain",        KIND_WORD, R(psk_plain),        "no",     0, 0, psk_plains},
    {"client_x509_v1",   KIND_WORD, R(client_x509_v1),   "accept", 0, 0, x509_v1s},
    {"revoked_sessions", KIND_WORD, R(revoked_sessions), "keep",   0, 0, revoked_sessions},
    {"identity",         KIND_WORD, R(identity),         "cn",     0, 0, identities},
    {"proxy_protocol",   KIND_WORD, R(proxy_protocol),   "off",    0, 0, proxy_protocols},
    {"mqtt",             KIND_WORD, R(mqtt),             "off",    0, 0, mqtts},
    {"client_id",        KIND_WORD, R(client_id),        "free",   0, 0, client_ids},
    {"dial",             KIND_WORD, R(dial),             "first-byte", 0, 0, dials},

    {"max_connect_size", KIND_SIZE,  L(max_connect_size), "64k",   128, 1 << 20,  NULL},
    {"max_record_size",  KIND_SIZE,  L(max_record_size),  "16384", 512, 16384,    NULL},
    {"max_connections",  KIND_COUNT, L(max_connections),  "0",     0,   10000000, NULL},
    {"max_handshakes",   KIND_COUNT, L(max_handshakes),   "512",   1,   100000,   NULL},
    {"max_dials",        KIND_DIALS, L(max_dials), "512, 10000/s", 0,   0,        dials_off},
    {"max_connections_per_address", KIND_COUNT, L(max_connections_per_address), "0",   0, 10000000, NULL},
    {"new_connections_per_address", KIND_RATE,  L(new_connections_per_address), "off", 0, 0,        rate_off},
    {"session_log",      KIND_RATE,  L(session_log),      "all",   0,   0,        rate_all},

    {"resumption_lifetime",    KIND_DURATION, L(resumption_lifetime_ms),    "24h", 60000, 30 * DAY, NULL},
    {"first_byte_timeout",     KIND_DURATION, L(first_byte_timeout_ms),     "5s",  100, DAY, NULL},
    {"handshake_timeout",      KIND_DURATION, L(handshake_timeout_ms),      "10s", 100, DAY, NULL},
    {"first_data_timeout",     KIND_DURATION, L(first_data_timeout_ms),     "10s", 100, DAY, off},
    {"connect_packet_timeout", KIND_DURATION, L(connect_packet_timeout_ms), "10s", 100, DAY, NULL},
    {"connect_timeout",        KIND_DURATION, L(connect_timeout_ms),        "5s",  100, DAY, NULL},
    {"write_timeout",          KIND_DURATION, L(write_timeout_ms),          "60s", 100, DAY, NULL},
    {"close_timeout",          KIND_DURATION, L(close_timeout_ms),          "10s", 100, DAY, NULL},
    {"idle_timeout",           KIND_DURATION, L(idle_timeout_ms),           "off", 100, MONTH, off},
    {"tcp_keepalive",          KIND_DURATION, L(tcp_keepalive_ms),          "5m",  1000, 9 * 3600000, off},
    {"tcp_user_timeout",       KIND_DURATION, L(tcp_user_timeout_ms),       "10m", 1000, DAY, off},

    {"listener",    KIND_LISTENERS,    ROUTE, NULL, 0, 0, NULL},
    {"server_name", KIND_SERVER_NAMES, ROUTE, "",   0, 0, NULL},

    {"cert",  KIND_PATH, C(cert),  NULL, 0, 0, NULL},
    {"chain", KIND_PATH, C(chain), "",   0, 0, NULL},
    {"key",   KIND_PATH, C(key),   NULL, 0, 0, NULL},
};
/* clang-format on */
const size_t config_key_count = sizeof config_keys / sizeof config_keys[0];

/* For inih's handler: the document, and the pieces of a value that is longer than inih's line. */
struct reading {
    struct document *document;
    struct lines lines;
    char value[LINES_MAX + 1];
    size_t value_len;
    char key[128]; /* of the first piece: inih cuts the name when it repeats it with a later one */
};

static int on_header(void *arg, const char *text, struct error *err) {
    struct reading *r = arg;
    return document_begin(r->document, text, r->lines.number, err);
}

/* inih's handler, which returns 0 for failure. The setting belongs to the last section. */
static int on_pair(void *arg, const char *section, const char *name, const char *value) {
    struct reading *r = arg;
    size_t len = strlen(value);
    if (r->lines.failed || !r->lines.owed || len >= sizeof r->value - r->value_len) {
        return 0;
    }
    r->lines.owed = false;
    if (r->value_len == 0) {
        snprintf(r->key, sizeof r->key, "%s", name);
    }
    memcpy(r->value + r->value_len, value, len + 1);
    r->value_len += len;
    if (!lines_value_complete(&r->lines)) {
        return 1;
    }
    r->value_len = 0;
    if (document_set(r->document, r->key, r->value, r->lines.number, NULL, r->lines.err) != 0) {
        r->lines.failed = true;
        return 0;
    }
    return 1;
}

static int read_document(struct document *document, const char *text, size_t len,
                         struct error *err) {
    struct reading *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return error_set(err, "out of memory");
    }
    r->document = document;
    r->lines = (struct lines){.file = document->file,
                              .next = text,
                              .end = text + len,
                              .on_header = on_header,
                              .arg = r,
                              .err = err};
    int parsed = ini_parse_stream(lines_read, &r->lines, on_pair, r);
    int result = lines_end(&r->lines);
    if (result == 0 && parsed != 0) {
        result = error_set(err, "%s: the INI library cannot read the file", document->file);
    }
    free(r);
    return result;
}

static void fail_open(const char *file, int error, struct error *err) {
    closed_folder_explain(file, "cannot open the configuration", error, err);
    if (error == ENOENT) {
        error_append(err, "; name it with -c, or give --cert and --key");
    }
}

/* The whole file; the caller frees it. NULL with the reason in err. */
static char *read_file(const char *file, size_t *len, struct error *err) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    char *text = malloc(FILE_MAX + 1);
    ssize_t got = 0;
    *len = 0;
    if (fd < 0 || text == NULL) {
        fail_open(file, errno, err);
        goto fail;
    }
    do {
        got = read(fd, text + *len, FILE_MAX + 1 - *len);
        if (got > 0) {
            *len += (size_t)got;
        }
    } while ((got > 0 && *len <= FILE_MAX) || (got < 0 && errno == EINTR));
    if (got < 0) {
        error_set(err, "%s: cannot read the configuration: %s", file, strerror(errno));
        goto fail;
    }
    if (*len > FILE_MAX) {
        error_set(err, "%s: larger than 1 MiB, too large for a configuration; name another file",
                  file);
        goto fail;
    }
    close(fd);
    return text;

fail:
    if (fd >= 0) {
        close(fd);
    }
    free(text);
    return NULL;
}

struct config *config_load(const char *file, struct error *err) {
    struct document document = {.file = file};
    struct config *config = NULL;
    size_t len;
    char *text = read_file(file, &len, err);
    if (text != NULL && read_document(&document, text, len, err) == 0) {
        config = config_build(&document, err);
    }
    free(text);
    document_free(&document);
    return config;
}

static int add_options(struct document *document, const char *section, const char *header,
                       const struct config_option *options, size_t count, struct error *err) {
    if (document_begin(document, header, 0, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(options[i].section, section) == 0 &&
            document_set(document, options[i].key, options[i].value, 0, options[i].option, err) !=
                0) {
            return -1;
        }
    }
    return 0;
}

struct config *config_from_options(const struct config_option *options, size_t count,
                                   struct error *err) {
    struct document document = {0};
    struct config *config = NULL;
    if (add_options(&document, "postern", "postern", options, count, err) == 0 &&
        add_options(&document, "listener", "listener mqtt", options, count, err) == 0 &&
        add_options(&document, "certificate", "certificate main", options, count, err) == 0) {
        config = config_build(&document, err);
    }
    document_free(&document);
    return config;
}

/* --- the address of the admin socket alone --- */

static int on_any_pair(void *arg, const char *section, const char *name, const char *value) {
    char **found = arg;
    if (strcmp(section, "postern") == 0 && strcmp(name, "admin") == 0) {
        free(*found);
        *found = strdup(value);
    }
    return 1;
}

static int parse_admin(const char *text, const char *file, struct config_admin *admin,
                       struct error *err) {
    char *folder = file != NULL ? config_folder_of(file) : NULL;
    int result = -1;
    if (file != NULL && folder == NULL) {
        error_set(err, "out of memory");
    } else if (config_parse_admin(text, folder, admin, err) != 0) {
        error_prefix(err, "admin = %.80s", text);
        config_admin_free(admin);
    } else {
        result = 0;
    }
    free(folder);
    return result;
}

int config_admin_of(const char *text, struct config_admin *admin, struct error *err) {
    *admin = (struct config_admin){0};
    return parse_admin(text, NULL, admin, err);
}

/* Where inih cannot read a line it goes on with the next one. */
int config_admin_in(const char *file, struct config_admin *admin, struct error *err) {
    char *text = NULL;
    *admin = (struct config_admin){0};
    if (ini_parse(file, on_any_pair, &text) < 0) {
        return error_set(err, "%s: cannot read it: %s", file, strerror(errno));
    }
    bool is_off = text == NULL || strcmp(text, "off") == 0;
    int result = is_off ? 0 : parse_admin(text, file, admin, err);
    free(text);
    return result != 0 ? error_prefix(err, "%s", file) : 0;
}
