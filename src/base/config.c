#include "base/config.h"

#include "base/config_check.h"
#include "base/config_draft.h"
#include "base/config_lines.h"
#include "base/config_value.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file of more than this is not one of ours. */
enum { FILE_MAX = 1 << 20 };

#define MS       1
#define S        1000
#define DAY      86400000
#define P(field) offsetof(struct config, field)
#define L(field) offsetof(struct config_listener, field)
#define C(field) offsetof(struct config_certificate, field)

static const struct config_word automatic[] = {{"auto", 0}, {NULL, 0}};
static const struct config_word off[] = {{"off", CONFIG_OFF}, {NULL, 0}};
static const struct config_word at_once[] = {{"off", CONFIG_OFF}, {"0", CONFIG_OFF}, {NULL, 0}};
static const struct config_word networks_off[] = {{"off", 0}, {NULL, 0}};
static const struct config_word log_levels[] = {{"error", LOG_LEVEL_ERROR},
                                                {"warning", LOG_LEVEL_WARNING},
                                                {"info", LOG_LEVEL_INFO},
                                                {"debug", LOG_LEVEL_DEBUG},
                                                {NULL, 0}};
static const struct config_word log_formats[] = {
    {"text", LOG_FORMAT_TEXT}, {"json", LOG_FORMAT_JSON}, {NULL, 0}};
static const struct config_word reloads[] = {
    {"signal", RELOAD_SIGNAL}, {"watch", RELOAD_WATCH}, {NULL, 0}};
static const struct config_word tls_versions[] = {
    {"1.2", CONFIG_TLS_1_2}, {"1.3", CONFIG_TLS_1_3}, {NULL, 0}};
static const struct config_word client_auths[] = {{"none", CLIENT_AUTH_NONE},
                                                  {"optional", CLIENT_AUTH_OPTIONAL},
                                                  {"required", CLIENT_AUTH_REQUIRED},
                                                  {NULL, 0}};
static const struct config_word crl_expireds[] = {
    {"accept", CRL_EXPIRED_ACCEPT}, {"refuse", CRL_EXPIRED_REFUSE}, {NULL, 0}};
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

/* One row per key: to add a key, add a row (and its field in config.h, and its entry in
 * postern.conf(5), which a test compares with this). */
/* clang-format off */
const struct config_key config_keys[] = {
    {"workers",       SECTION_POSTERN, KIND_COUNT,    P(workers),          "auto",   1, 256, automatic},
    {"log_level",     SECTION_POSTERN, KIND_WORD,     P(log_level),        "info",   0, 0, log_levels},
    {"log_format",    SECTION_POSTERN, KIND_WORD,     P(log_format),       "text",   0, 0, log_formats},
    {"reload",        SECTION_POSTERN, KIND_WORD,     P(reload),           "signal", 0, 0, reloads},
    {"drain_timeout", SECTION_POSTERN, KIND_DURATION, P(drain_timeout_ms), "30s",    100 * MS, DAY, at_once},
    {"ticket_keys",   SECTION_POSTERN, KIND_PATH,     P(ticket_keys),      "",       0, 0, NULL},

    {"listen",       SECTION_LISTENER, KIND_ADDRESSES,    0, "[::]:8883",      0, 0, NULL},
    {"backend",      SECTION_LISTENER, KIND_BACKENDS,     0, "127.0.0.1:1883", 0, 0, NULL},
    {"certificates", SECTION_LISTENER, KIND_CERTIFICATES, 0, NULL,             0, 0, NULL},
    {"tls_min", SECTION_LISTENER, KIND_WORD, L(tls_min), "1.2", 0, 0, tls_versions},
    {"tls_max", SECTION_LISTENER, KIND_WORD, L(tls_max), "1.3", 0, 0, tls_versions},
    {"ciphers", SECTION_LISTENER, KIND_TEXT, L(ciphers), "",    0, 0, NULL},
    {"client_auth",      SECTION_LISTENER, KIND_WORD, L(client_auth),      "none",   0, 0, client_auths},
    {"client_ca",        SECTION_LISTENER, KIND_PATH, L(client_ca),        "",       0, 0, NULL},
    {"client_crl",       SECTION_LISTENER, KIND_PATH, L(client_crl),       "",       0, 0, NULL},
    {"crl_expired",      SECTION_LISTENER, KIND_WORD, L(crl_expired),      "accept", 0, 0, crl_expireds},
    {"revoked_sessions", SECTION_LISTENER, KIND_WORD, L(revoked_sessions), "keep",   0, 0, revoked_sessions},
    {"identity",         SECTION_LISTENER, KIND_WORD, L(identity),         "cn",     0, 0, identities},
    {"proxy_protocol",   SECTION_LISTENER, KIND_WORD, L(proxy_protocol),   "off",    0, 0, proxy_protocols},
    {"accept_proxy", SECTION_LISTENER, KIND_NETWORKS, 0, "off", 0, 0, networks_off},
    {"mqtt",             SECTION_LISTENER, KIND_WORD,  L(mqtt),             "off",   0, 0, mqtts},
    {"max_connect_size", SECTION_LISTENER, KIND_SIZE,  L(max_connect_size), "64k",   128, 1 << 20, NULL},
    {"max_record_size",  SECTION_LISTENER, KIND_SIZE,  L(max_record_size),  "16384", 512, 16384, NULL},
    {"max_connections",  SECTION_LISTENER, KIND_COUNT, L(max_connections),  "0",     0, 10000000, NULL},
    {"max_handshakes",   SECTION_LISTENER, KIND_COUNT, L(max_handshakes),   "512",   1, 100000, NULL},
    {"first_byte_timeout",     SECTION_LISTENER, KIND_DURATION, L(first_byte_timeout_ms),     "5s",  100 * MS, DAY, NULL},
    {"handshake_timeout",      SECTION_LISTENER, KIND_DURATION, L(handshake_timeout_ms),      "10s", 100 * MS, DAY, NULL},
    {"connect_packet_timeout", SECTION_LISTENER, KIND_DURATION, L(connect_packet_timeout_ms), "10s", 100 * MS, DAY, NULL},
    {"connect_timeout",        SECTION_LISTENER, KIND_DURATION, L(connect_timeout_ms),        "5s",  100 * MS, DAY, NULL},
    {"write_timeout",          SECTION_LISTENER, KIND_DURATION, L(write_timeout_ms),          "60s", 100 * MS, DAY, NULL},
    {"close_timeout",          SECTION_LISTENER, KIND_DURATION, L(close_timeout_ms),          "10s", 100 * MS, DAY, NULL},
    {"idle_timeout",           SECTION_LISTENER, KIND_DURATION, L(idle_timeout_ms),           "off", 100 * MS, 30ull * DAY, off},

    {"cert",  SECTION_CERTIFICATE, KIND_PATH, C(cert),  NULL, 0, 0, NULL},
    {"chain", SECTION_CERTIFICATE, KIND_PATH, C(chain), "",   0, 0, NULL},
    {"key",   SECTION_CERTIFICATE, KIND_PATH, C(key),   NULL, 0, 0, NULL},
};
/* clang-format on */
const size_t config_key_count = sizeof config_keys / sizeof config_keys[0];

/* A draft on its way to become a config. */
struct build {
    const struct draft *draft;
    struct config *config;
    char *folder; /* of the file, for relative paths; NULL from a command line */
    struct error *err;
};

static bool find_word(const struct config_word *words, const char *text, uint64_t *value) {
    for (; words != NULL && words->text != NULL; words++) {
        if (strcmp(words->text, text) == 0) {
            *value = words->value;
            return true;
        }
    }
    return false;
}

static void print_words(const struct config_word *words, char *text, size_t size) {
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; words != NULL && words[i].text != NULL && len < size; i++) {
        const char *between = i == 0 ? "" : words[i + 1].text != NULL ? ", " : " or ";
        len += (size_t)snprintf(text + len, size - len, "%s%s", between, words[i].text);
    }
}

static int fail_range(const struct config_key *key, struct error *err) {
    char min[32], max[32], words[128];
    if (key->kind == KIND_DURATION) {
        value_print_duration(key->min, min, sizeof min);
        value_print_duration(key->max, max, sizeof max);
    } else if (key->kind == KIND_SIZE) {
        value_print_size(key->min, min, sizeof min);
        value_print_size(key->max, max, sizeof max);
    } else {
        snprintf(min, sizeof min, "%ju", (uintmax_t)key->min);
        snprintf(max, sizeof max, "%ju", (uintmax_t)key->max);
    }
    print_words(key->words, words, sizeof words);
    return error_set(err, "out of range; %s to %s%s%s", min, max, key->words != NULL ? ", or " : "",
                     words);
}

static int parse_number(const struct config_key *key, const char *text, uint64_t *value,
                        struct error *err) {
    if (find_word(key->words, text, value)) {
        return 0;
    }
    int (*parse)(const char *, uint64_t *, struct error *) = key->kind == KIND_DURATION
                                                                 ? value_duration
                                                             : key->kind == KIND_SIZE ? value_size
                                                                                      : value_count;
    if (parse(text, value, err) != 0) {
        char words[128];
        print_words(key->words, words, sizeof words);
        size_t len = strlen(err->text);
        if (words[0] != '\0') {
            snprintf(err->text + len, sizeof err->text - len, ", or %s", words);
        }
        return -1;
    }
    return *value >= key->min && *value <= key->max ? 0 : fail_range(key, err);
}

static int set_word(const struct config_key *key, const char *text, char *field,
                    struct error *err) {
    uint64_t value;
    _Static_assert(sizeof(enum log_level) == sizeof(unsigned), "enums are stored as unsigned");
    if (!find_word(key->words, text, &value)) {
        char words[128];
        print_words(key->words, words, sizeof words);
        return error_set(err, "no such choice; %s", words);
    }
    unsigned word = (unsigned)value;
    memcpy(field, &word, sizeof word);
    return 0;
}

static int set_text(const struct build *b, const struct config_key *key, const char *text,
                    char *field) {
    char *copy = NULL;
    int result = text[0] == '\0'
                     ? 0
                     : value_path(text, key->kind == KIND_PATH ? b->folder : NULL, &copy, b->err);
    memcpy(field, &copy, sizeof copy);
    return result;
}

/* A zeroed element more at the end of a list; NULL without memory. */
static void *add_element(void **array, size_t *count, size_t size, struct error *err) {
    char *grown = reallocarray(*array, *count + 1, size);
    if (grown == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    *array = grown;
    memset(grown + *count * size, 0, size);
    return grown + (*count)++ * size;
}

static int add_address(const struct build *b, struct config_listener *l, const char *item) {
    struct config_address *address =
        add_element((void **)&l->addresses, &l->address_count, sizeof *address, b->err);
    return address != NULL ? value_address(item, address, b->err) : -1;
}

static int add_backend(const struct build *b, struct config_listener *l, const char *item) {
    struct config_backend *backend =
        add_element((void **)&l->backends, &l->backend_count, sizeof *backend, b->err);
    return backend != NULL ? value_backend(item, b->folder, backend, b->err) : -1;
}

static int add_network(const struct build *b, struct config_listener *l, const char *item) {
    struct config_network *network =
        add_element((void **)&l->accept_proxy, &l->accept_proxy_count, sizeof *network, b->err);
    return network != NULL ? value_network(item, network, b->err) : -1;
}

static int add_certificate(const struct build *b, struct config_listener *l, const char *item) {
    const struct config *config = b->config;
    for (size_t i = 0; i < config->certificate_count; i++) {
        if (strcmp(config->certificates[i].name, item) == 0) {
            const struct config_certificate **place = add_element(
                (void **)&l->certificates, &l->certificate_count, sizeof *place, b->err);
            if (place == NULL) {
                return -1;
            }
            *place = &config->certificates[i];
            return 0;
        }
    }
    return error_set(b->err,
                     "no section [certificate %.64s] is defined; define it, or name one "
                     "that is",
                     item);
}

static int set_list(const struct build *b, const struct config_key *key, const char *text,
                    struct config_listener *l) {
    int (*add)(const struct build *, struct config_listener *, const char *) =
        key->kind == KIND_ADDRESSES  ? add_address
        : key->kind == KIND_BACKENDS ? add_backend
        : key->kind == KIND_NETWORKS ? add_network
                                     : add_certificate;
    uint64_t unused;
    if (find_word(key->words, text, &unused)) {
        return 0;
    }
    for (const char *next = text; next != NULL;) {
        char *item = NULL;
        int result = value_next_item(&next, &item, b->err);
        if (result == 0) {
            result = add(b, l, item);
        }
        free(item);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int set_value(const struct build *b, const struct config_key *key, const char *text,
                     char *base) {
    char *field = base + key->offset;
    uint64_t number;
    switch (key->kind) {
    case KIND_WORD:
        return set_word(key, text, field, b->err);
    case KIND_TEXT:
    case KIND_PATH:
        return set_text(b, key, text, field);
    case KIND_COUNT:
    case KIND_SIZE:
        if (parse_number(key, text, &number, b->err) != 0) {
            return -1;
        }
        *(size_t *)(void *)field = (size_t)number;
        return 0;
    case KIND_DURATION:
        return parse_number(key, text, (uint64_t *)(void *)field, b->err);
    case KIND_ADDRESSES:
    case KIND_BACKENDS:
    case KIND_NETWORKS:
    case KIND_CERTIFICATES:
        return set_list(b, key, text, (struct config_listener *)(void *)base);
    }
    return -1;
}

/* The value as it was given, wrong. */
static int blame_value(const struct build *b, const struct config_key *key,
                       const struct draft_setting *setting) {
    const char *hash = strstr(setting->value, " #");
    size_t len = strlen(b->err->text);
    if (hash != NULL && setting->option == NULL) {
        snprintf(b->err->text + len, sizeof b->err->text - len,
                 " (a comment behind a value begins with ;)");
    }
    if (setting->option != NULL) {
        return error_prefix(b->err, "%s %.80s", setting->option, setting->value);
    }
    error_prefix(b->err, "%s = %.80s", key->name, setting->value);
    return error_prefix(b->err, "%s:%u", b->draft->file, setting->line);
}

static int apply_given(const struct build *b, const struct config_key *key,
                       const struct draft_setting *setting, char *base) {
    struct place place = {b->draft->file, setting->line, setting->option};
    bool may_be_empty = key->fallback != NULL && key->fallback[0] == '\0';
    if (setting->value[0] == '\0' && !may_be_empty) {
        if (key->fallback == NULL) {
            return place_fail(place, b->err, "%s has no value; write one behind the =", key->name);
        }
        return place_fail(place, b->err, "%s has no value; leave the line out for the default, %s",
                          key->name, key->fallback);
    }
    if (setting->value[0] == '"' || setting->value[0] == '\'') {
        return place_fail(place, b->err, "%s has a value in quotes; leave them out", key->name);
    }
    return set_value(b, key, setting->value, base) == 0 ? 0 : blame_value(b, key, setting);
}

/* A key that was not given and has no plain default. */
static int apply_missing(const struct build *b, const struct config_key *key,
                         const struct draft_section *section, char *base) {
    struct place place = {b->draft->file, section->line, NULL};
    if (key->kind != KIND_CERTIFICATES) {
        if (b->draft->file == NULL) {
            return error_set(b->err, "command line: --%s is missing; name the file in PEM format",
                             key->name);
        }
        return place_fail(place, b->err, "[certificate %s] has no %s; write %s = FILE",
                          section->name, key->name, key->name);
    }
    if (b->config->certificate_count == 1) {
        return add_certificate(b, (struct config_listener *)(void *)base,
                               b->config->certificates[0].name);
    }
    if (b->config->certificate_count == 0) {
        return place_fail(place, b->err,
                          "[listener %s] has no certificate to show; define one in "
                          "a section [certificate NAME]",
                          section->name);
    }
    return place_fail(place, b->err,
                      "[listener %s] names no certificates, and several are "
                      "defined; write certificates = NAME",
                      section->name);
}

/* Sets every key of one section, given or not, in the struct at `base`. */
static int apply_section(const struct build *b, const struct draft_section *section, char *base) {
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const struct draft_setting *setting = &section->settings[i];
        int result = 0;
        if (key->section != section->kind) {
            continue;
        }
        if (setting->value != NULL) {
            result = apply_given(b, key, setting, base);
        } else if (key->fallback == NULL) {
            result = apply_missing(b, key, section, base);
        } else if (key->kind == KIND_ADDRESSES && b->config->listener_count > 1) {
            result = place_fail((struct place){b->draft->file, section->line, NULL}, b->err,
                                "[listener %s] has no listen; where there are several listeners, "
                                "each names its addresses",
                                section->name);
        } else {
            result = set_value(b, key, key->fallback, base);
        }
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int apply_postern(const struct build *b) {
    const struct draft_section *section = draft_section(b->draft, SECTION_POSTERN, 0);
    if (section != NULL) {
        return apply_section(b, section, (char *)b->config);
    }
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].section == SECTION_POSTERN &&
            set_value(b, &config_keys[i], config_keys[i].fallback, (char *)b->config) != 0) {
            return -1;
        }
    }
    return 0;
}

static int apply_certificates(const struct build *b) {
    const struct draft_section *section;
    for (size_t i = 0; (section = draft_section(b->draft, SECTION_CERTIFICATE, i)) != NULL; i++) {
        struct config_certificate *certificate =
            add_element((void **)&b->config->certificates, &b->config->certificate_count,
                        sizeof *certificate, b->err);
        if (certificate == NULL) {
            return -1;
        }
        certificate->line = section->line;
        certificate->name = strdup(section->name);
        if (certificate->name == NULL) {
            return error_set(b->err, "out of memory");
        }
        if (apply_section(b, section, (char *)certificate) != 0) {
            return -1;
        }
    }
    return 0;
}

/* After the certificates: the listeners point at them. */
static int apply_listeners(const struct build *b) {
    struct config *config = b->config;
    size_t count = 0;
    while (draft_section(b->draft, SECTION_LISTENER, count) != NULL) {
        count++;
    }
    if (count == 0) {
        return place_fail((struct place){b->draft->file, 0, NULL}, b->err,
                          "there is no [listener NAME] section, so that nothing would be served; "
                          "write one, as in [listener mqtt]");
    }
    config->listeners = calloc(count, sizeof *config->listeners);
    if (config->listeners == NULL) {
        return error_set(b->err, "out of memory");
    }
    config->listener_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct draft_section *section = draft_section(b->draft, SECTION_LISTENER, i);
        struct config_listener *l = &config->listeners[i];
        l->line = section->line;
        l->name = strdup(section->name);
        if (l->name == NULL) {
            return error_set(b->err, "out of memory");
        }
        if (apply_section(b, section, (char *)l) != 0) {
            return -1;
        }
    }
    return 0;
}

/* The folder with its slash: "/etc/postern/" of /etc/postern/postern.conf, "" of postern.conf. */
static int copy_names(struct build *b, const char *file) {
    const char *slash = strrchr(file, '/');
    b->config->file = strdup(file);
    b->folder = strndup(file, slash != NULL ? (size_t)(slash - file) + 1 : 0);
    return b->config->file != NULL && b->folder != NULL ? 0 : error_set(b->err, "out of memory");
}

static struct config *build_config(const struct draft *draft, struct error *err) {
    struct build b = {draft, calloc(1, sizeof *b.config), NULL, err};
    int result = b.config != NULL ? 0 : error_set(err, "out of memory");
    if (result == 0 && draft->file != NULL) {
        result = copy_names(&b, draft->file);
    }
    if (result == 0) {
        result = apply_postern(&b);
    }
    if (result == 0) {
        result = apply_certificates(&b);
    }
    if (result == 0) {
        result = apply_listeners(&b);
    }
    if (result == 0) {
        result = config_check(b.config, draft, err);
    }
    free(b.folder);
    if (result != 0) {
        config_free(b.config);
        return NULL;
    }
    config_warn(b.config, draft);
    return b.config;
}

/* What inih's handler needs, and what collects a value that comes in pieces. */
struct reading {
    struct draft *draft;
    struct lines lines;
    char value[LINES_MAX + 1];
    size_t value_len;
    char key[128]; /* inih cuts the name when it repeats it with a later piece */
};

static int on_header(void *arg, const char *text, struct error *err) {
    struct reading *r = arg;
    return draft_begin(r->draft, text, r->lines.number, err);
}

/* inih's handler: 0 is its word for failure. The section is the draft's last. */
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
    if (draft_set(r->draft, r->key, r->value, r->lines.number, NULL, r->lines.err) != 0) {
        r->lines.failed = true;
        return 0;
    }
    return 1;
}

static int read_draft(struct draft *draft, const char *text, size_t len, struct error *err) {
    struct reading *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return error_set(err, "out of memory");
    }
    r->draft = draft;
    r->lines = (struct lines){.file = draft->file,
                              .next = text,
                              .end = text + len,
                              .on_header = on_header,
                              .arg = r,
                              .err = err};
    int parsed = ini_parse_stream(lines_read, &r->lines, on_pair, r);
    int result = lines_end(&r->lines);
    if (result == 0 && parsed != 0) {
        result = error_set(err, "%s: the INI library cannot read the file", draft->file);
    }
    free(r);
    return result;
}

/* The whole file; the caller frees it. NULL with the reason in err. */
static char *read_file(const char *file, size_t *len, struct error *err) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    char *text = malloc(FILE_MAX + 1);
    ssize_t got = 0;
    *len = 0;
    if (fd < 0 || text == NULL) {
        error_set(err, "%s: cannot open the configuration: %s", file, strerror(errno));
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
        error_set(err, "%s: larger than 1 MiB, which no configuration is", file);
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
    struct draft draft = {.file = file};
    struct config *config = NULL;
    size_t len;
    char *text = read_file(file, &len, err);
    if (text != NULL && read_draft(&draft, text, len, err) == 0) {
        config = build_config(&draft, err);
    }
    free(text);
    draft_free(&draft);
    return config;
}

static int draft_options(struct draft *draft, const char *section, const char *header,
                         const struct config_option *options, size_t count, struct error *err) {
    if (draft_begin(draft, header, 0, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(options[i].section, section) == 0 &&
            draft_set(draft, options[i].key, options[i].value, 0, options[i].option, err) != 0) {
            return -1;
        }
    }
    return 0;
}

struct config *config_from_options(const struct config_option *options, size_t count,
                                   struct error *err) {
    struct draft draft = {0};
    struct config *config = NULL;
    if (draft_options(&draft, "postern", "postern", options, count, err) == 0 &&
        draft_options(&draft, "listener", "listener mqtt", options, count, err) == 0 &&
        draft_options(&draft, "certificate", "certificate main", options, count, err) == 0) {
        config = build_config(&draft, err);
    }
    draft_free(&draft);
    return config;
}

static void free_listener(struct config_listener *l) {
    for (size_t i = 0; i < l->address_count; i++) {
        free(l->addresses[i].text);
    }
    for (size_t i = 0; i < l->backend_count; i++) {
        free(l->backends[i].text);
        free(l->backends[i].host);
        free(l->backends[i].path);
    }
    free(l->addresses);
    free(l->backends);
    free(l->certificates);
    free(l->accept_proxy);
    free(l->name);
    free(l->ciphers);
    free(l->client_ca);
    free(l->client_crl);
}

void config_free(struct config *config) {
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        free_listener(&config->listeners[i]);
    }
    for (size_t i = 0; i < config->certificate_count; i++) {
        free(config->certificates[i].name);
        free(config->certificates[i].cert);
        free(config->certificates[i].chain);
        free(config->certificates[i].key);
    }
    free(config->listeners);
    free(config->certificates);
    free(config->ticket_keys);
    free(config->file);
    free(config);
}

void config_each_file(const struct config *config, void (*visit)(const char *file, void *arg),
                      void *arg) {
    if (config->ticket_keys != NULL) {
        visit(config->ticket_keys, arg);
    }
    for (size_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        visit(certificate->cert, arg);
        if (certificate->chain != NULL) {
            visit(certificate->chain, arg);
        }
        visit(certificate->key, arg);
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *l = &config->listeners[i];
        if (l->client_ca != NULL) {
            visit(l->client_ca, arg);
        }
        if (l->client_crl != NULL) {
            visit(l->client_crl, arg);
        }
    }
}
