#include "config/build.h"

#include "config/validate.h"
#include "config/values.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct build {
    const struct document *document;
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
        config_print_duration(key->min, min, sizeof min);
        config_print_duration(key->max, max, sizeof max);
    } else if (key->kind == KIND_SIZE) {
        config_print_size(key->min, min, sizeof min);
        config_print_size(key->max, max, sizeof max);
    } else {
        snprintf(min, sizeof min, "%ju", (uintmax_t)key->min);
        snprintf(max, sizeof max, "%ju", (uintmax_t)key->max);
    }
    print_words(key->words, words, sizeof words);
    return error_set(err, "out of range; write %s to %s%s%s", min, max,
                     key->words != NULL ? ", or " : "", words);
}

static int parse_number(const struct config_key *key, const char *text, uint64_t *value,
                        struct error *err) {
    if (find_word(key->words, text, value)) {
        return 0;
    }
    int (*parse)(const char *, uint64_t *, struct error *) =
        key->kind == KIND_DURATION ? config_parse_duration
        : key->kind == KIND_SIZE   ? config_parse_size
                                   : config_parse_count;
    if (parse(text, value, err) != 0) {
        char words[128];
        print_words(key->words, words, sizeof words);
        if (words[0] != '\0') {
            return error_append(err, ", or %s", words);
        }
        bool has_no_limit = key->kind == KIND_COUNT && key->min == 0;
        return has_no_limit ? error_append(err, "; 0 is no limit") : -1;
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
        return error_set(err, "not a valid value; write %s", words);
    }
    unsigned word = (unsigned)value;
    memcpy(field, &word, sizeof word);
    return 0;
}

static int set_text(const struct build *b, const struct config_key *key, const char *text,
                    char *field) {
    char *copy = NULL;
    int result =
        text[0] == '\0'
            ? 0
            : config_parse_path(text, key->kind == KIND_PATH ? b->folder : NULL, &copy, b->err);
    memcpy(field, &copy, sizeof copy);
    return result;
}

/* Appends a zeroed element to a list; NULL without memory. */
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
    struct address *address =
        add_element((void **)&l->addresses, &l->address_count, sizeof *address, b->err);
    return address != NULL ? config_parse_address(item, address, b->err) : -1;
}

static int add_backend(const struct build *b, struct config_listener *l, const char *item) {
    struct config_backend *backend =
        add_element((void **)&l->backends, &l->backend_count, sizeof *backend, b->err);
    return backend != NULL ? config_parse_backend(item, b->folder, backend, b->err) : -1;
}

static int add_certificate(const struct build *b, struct config_listener *l, const char *item) {
    const struct config *config = b->config;
    for (size_t i = 0; i < config->certificate_count; i++) {
        if (strcmp(config->certificates[i].name, item) == 0) {
            const struct config_certificate **entry = add_element(
                (void **)&l->certificates, &l->certificate_count, sizeof *entry, b->err);
            if (entry == NULL) {
                return -1;
            }
            *entry = &config->certificates[i];
            return 0;
        }
    }
    return error_set(b->err,
                     "no section [certificate %.64s] is defined; define it, or name one "
                     "that is",
                     item);
}

static int add_to_listener(const struct build *b, const struct config_key *key, void *base,
                           const char *item) {
    switch (key->kind) {
    case KIND_ADDRESSES:
        return add_address(b, base, item);
    case KIND_BACKENDS:
        return add_backend(b, base, item);
    default:
        return add_certificate(b, base, item);
    }
}

static int add_network(const struct build *b, const struct config_key *key, void *base,
                       const char *item) {
    struct config_networks *networks = (void *)((char *)base + key->offset);
    struct address_network *network =
        add_element((void **)&networks->all, &networks->count, sizeof *network, b->err);
    return network != NULL ? config_parse_network(item, network, b->err) : -1;
}

static int add_source(const struct build *b, const struct config_key *key, void *base,
                      const char *item) {
    struct config_sources *sources = (void *)((char *)base + key->offset);
    struct address *source =
        add_element((void **)&sources->all, &sources->count, sizeof *source, b->err);
    return source != NULL ? config_parse_source(item, source, b->err) : -1;
}

static int add_protocol(const struct build *b, const struct config_key *key, void *base,
                        const char *item) {
    struct config_protocols *protocols = (void *)((char *)base + key->offset);
    char **protocol =
        add_element((void **)&protocols->all, &protocols->count, sizeof *protocol, b->err);
    return protocol != NULL ? config_parse_protocol(item, protocol, b->err) : -1;
}

static int add_item(const struct build *b, const struct config_key *key, void *base,
                    const char *item) {
    switch (key->kind) {
    case KIND_NETWORKS:
        return add_network(b, key, base, item);
    case KIND_SOURCES:
        return add_source(b, key, base, item);
    case KIND_ALPN:
        return add_protocol(b, key, base, item);
    case KIND_DIALS:
        return config_parse_dials(item, (void *)((char *)base + key->offset), b->err);
    default:
        return add_to_listener(b, key, base, item);
    }
}

static int set_list(const struct build *b, const struct config_key *key, const char *text,
                    void *base) {
    uint64_t unused;
    if (find_word(key->words, text, &unused)) {
        return 0;
    }
    for (const char *next = text; next != NULL;) {
        char *item = NULL;
        int result = config_next_item(&next, &item, b->err);
        if (result == 0) {
            result = add_item(b, key, base, item);
        }
        free(item);
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int set_rate(const struct build *b, const struct config_key *key, const char *text,
                    void *field) {
    uint64_t unused;
    if (find_word(key->words, text, &unused) || config_parse_rate(text, field, b->err) == 0) {
        return 0;
    }
    char words[128];
    print_words(key->words, words, sizeof words);
    return error_append(b->err, ", or %s", words);
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
    case KIND_SOURCES:
    case KIND_ALPN:
    case KIND_DIALS:
    case KIND_CERTIFICATES:
        return set_list(b, key, text, base);
    case KIND_RATE:
        return set_rate(b, key, text, field);
    }
    return -1;
}

/* Puts before the message where the value is, and the value as it was given. */
static int locate_error(const struct build *b, const struct config_key *key,
                        const struct document_setting *setting) {
    const char *hash = strstr(setting->value, " #");
    if (hash != NULL && setting->option == NULL) {
        error_append(b->err, " (a comment after a value begins with ;)");
    }
    if (setting->option != NULL) {
        return error_prefix(b->err, "%s %.80s", setting->option, setting->value);
    }
    error_prefix(b->err, "%s = %.80s", key->name, setting->value);
    return error_prefix(b->err, "%s:%u", b->document->file, setting->line);
}

static int apply_given(const struct build *b, const struct config_key *key,
                       const struct document_setting *setting, char *base) {
    struct location location = {b->document->file, setting->line, setting->option};
    bool may_be_empty = key->fallback != NULL && key->fallback[0] == '\0';
    if (setting->value[0] == '\0' && !may_be_empty) {
        if (key->fallback == NULL) {
            return location_fail(location, b->err,
                                 "%s has no value; write one after the =", key->name);
        }
        return location_fail(location, b->err,
                             "%s has no value; leave the line out for the default, %s", key->name,
                             key->fallback);
    }
    if (setting->value[0] == '"' || setting->value[0] == '\'') {
        return location_fail(location, b->err, "%s has a value in quotes; leave them out",
                             key->name);
    }
    return set_value(b, key, setting->value, base) == 0 ? 0 : locate_error(b, key, setting);
}

/* For a key that was not given and whose default is not a text. */
static int apply_missing(const struct build *b, const struct config_key *key,
                         const struct document_section *section, char *base) {
    struct location location = {b->document->file, section->line, NULL};
    if (key->kind != KIND_CERTIFICATES) {
        if (b->document->file == NULL) {
            return error_set(b->err, "command line: --%s is missing; name the file in PEM format",
                             key->name);
        }
        return location_fail(location, b->err, "[certificate %s] has no %s; write %s = FILE",
                             section->name, key->name, key->name);
    }
    if (b->config->certificate_count == 1) {
        return add_certificate(b, (struct config_listener *)(void *)base,
                               b->config->certificates[0].name);
    }
    if (b->config->certificate_count == 0) {
        return location_fail(location, b->err,
                             "[listener %s] has no certificate to present; define one in "
                             "a section [certificate NAME]",
                             section->name);
    }
    return location_fail(location, b->err,
                         "[listener %s] names no certificates, and several are "
                         "defined; write certificates = NAME",
                         section->name);
}

/* The default listen address is every one of the machine, IPv4 as well; a kernel without IPv6 has
 * no socket for that. */
static const char *default_value(const struct config_key *key) {
    if (key->kind != KIND_ADDRESSES) {
        return key->fallback;
    }
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno == EAFNOSUPPORT ? "0.0.0.0:8883" : key->fallback;
    }
    close(fd);
    return key->fallback;
}

/* Sets every key of one section, given or not, in the struct at `base`. */
static int apply_section(const struct build *b, const struct document_section *section,
                         char *base) {
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const struct document_setting *setting = &section->settings[i];
        int result = 0;
        if (key->section != section->kind) {
            continue;
        }
        if (setting->value != NULL) {
            result = apply_given(b, key, setting, base);
        } else if (key->fallback == NULL) {
            result = apply_missing(b, key, section, base);
        } else if (key->kind == KIND_ADDRESSES && b->config->listener_count > 1) {
            result =
                location_fail((struct location){b->document->file, section->line, NULL}, b->err,
                              "[listener %s] has no listen; where there are several listeners, "
                              "each names its addresses",
                              section->name);
        } else {
            result = set_value(b, key, default_value(key), base);
        }
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

static int apply_postern(const struct build *b) {
    const struct document_section *section = document_section(b->document, SECTION_POSTERN, 0);
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
    const struct document_section *section;
    for (size_t i = 0; (section = document_section(b->document, SECTION_CERTIFICATE, i)) != NULL;
         i++) {
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

/* After the certificates, because listeners point at them. */
static int apply_listeners(const struct build *b) {
    struct config *config = b->config;
    size_t count = 0;
    while (document_section(b->document, SECTION_LISTENER, count) != NULL) {
        count++;
    }
    if (count == 0) {
        return location_fail(
            (struct location){b->document->file, 0, NULL}, b->err,
            "there is no [listener NAME] section, so that nothing would be served; "
            "write one, as in [listener mqtt]");
    }
    config->listeners = calloc(count, sizeof *config->listeners);
    if (config->listeners == NULL) {
        return error_set(b->err, "out of memory");
    }
    config->listener_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct document_section *section = document_section(b->document, SECTION_LISTENER, i);
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

struct config *config_build(const struct document *document, struct error *err) {
    struct build b = {document, calloc(1, sizeof *b.config), NULL, err};
    int result = 0;
    if (b.config == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (document->file != NULL) {
        result = copy_names(&b, document->file);
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
        result = config_check(b.config, document, err);
    }
    free(b.folder);
    if (result != 0) {
        config_free(b.config);
        return NULL;
    }
    config_warn(b.config, document);
    return b.config;
}
