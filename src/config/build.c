#include "config/build.h"

#include "config/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void *build_add_element(void **array, size_t *count, size_t size, struct error *err) {
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
        build_add_element((void **)&l->addresses, &l->address_count, sizeof *address, b->err);
    return address != NULL ? config_parse_address(item, address, b->err) : -1;
}

static int add_backend(const struct build *b, struct config_listener *l, const char *item) {
    struct config_backend *backend =
        build_add_element((void **)&l->backends, &l->backend_count, sizeof *backend, b->err);
    return backend != NULL ? config_parse_backend(item, b->folder, backend, b->err) : -1;
}

static int add_certificate(const struct build *b, struct config_listener *l, const char *item) {
    const struct config *config = b->config;
    for (size_t i = 0; i < config->certificate_count; i++) {
        if (strcmp(config->certificates[i].name, item) == 0) {
            const struct config_certificate **entry = build_add_element(
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

static int add_server_name(const struct build *b, struct config_listener *l, const char *item) {
    char **name =
        build_add_element((void **)&l->server_names, &l->server_name_count, sizeof *name, b->err);
    return name != NULL ? config_parse_server_name(item, name, b->err) : -1;
}

static int add_to_listener(const struct build *b, const struct config_key *key, void *base,
                           const char *item) {
    switch (key->kind) {
    case KIND_ADDRESSES:
        return add_address(b, base, item);
    case KIND_BACKENDS:
        return add_backend(b, base, item);
    case KIND_SERVER_NAMES:
        return add_server_name(b, base, item);
    default:
        return add_certificate(b, base, item);
    }
}

static int add_network(const struct build *b, const struct config_key *key, void *base,
                       const char *item) {
    struct config_networks *networks = (void *)((char *)base + key->offset);
    struct address_network *network =
        build_add_element((void **)&networks->all, &networks->count, sizeof *network, b->err);
    return network != NULL ? config_parse_network(item, network, b->err) : -1;
}

static int add_source(const struct build *b, const struct config_key *key, void *base,
                      const char *item) {
    struct config_sources *sources = (void *)((char *)base + key->offset);
    struct address *source =
        build_add_element((void **)&sources->all, &sources->count, sizeof *source, b->err);
    return source != NULL ? config_parse_source(item, source, b->err) : -1;
}

static int add_protocol(const struct build *b, const struct config_key *key, void *base,
                        const char *item) {
    struct config_protocols *protocols = (void *)((char *)base + key->offset);
    char **protocol =
        build_add_element((void **)&protocols->all, &protocols->count, sizeof *protocol, b->err);
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
    if (text[0] == '\0' || find_word(key->words, text, &unused)) {
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

static int set_admin(const struct build *b, const struct config_key *key, const char *text,
                     void *field) {
    uint64_t unused;
    return find_word(key->words, text, &unused)
               ? 0
               : config_parse_admin(text, b->folder, field, b->err);
}

int build_set(const struct build *b, const struct config_key *key, const char *text, char *base) {
    void *field = base + key->offset;
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
        *(size_t *)field = (size_t)number;
        return 0;
    case KIND_DURATION:
        return parse_number(key, text, field, b->err);
    case KIND_ADDRESSES:
    case KIND_BACKENDS:
    case KIND_NETWORKS:
    case KIND_SOURCES:
    case KIND_ALPN:
    case KIND_DIALS:
    case KIND_CERTIFICATES:
    case KIND_SERVER_NAMES:
        return set_list(b, key, text, base);
    case KIND_LISTENERS:
        return 0;
    case KIND_RATE:
        return set_rate(b, key, text, field);
    case KIND_ADMIN:
        return set_admin(b, key, text, field);
    }
    return -1;
}
