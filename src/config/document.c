#include "config/document.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_LEN = 64 };

#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const struct {
    const char *word, *written, *name; /* the last for examples */
} section_kinds[SECTION_COUNT] = {
    [SECTION_POSTERN] = {"postern", "[postern]", ""},
    [SECTION_LISTENER] = {"listener", "a [listener NAME] section", "mqtt"},
    [SECTION_CERTIFICATE] = {"certificate", "a [certificate NAME] section", "main"},
    [SECTION_ROUTE] = {"route", "a [route NAME] section", "web"},
};

int location_fail(struct location location, struct error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error_set_args(err, format, args);
    va_end(args);
    if (location.option != NULL) {
        return error_prefix(err, "%s", location.option);
    }
    if (location.file == NULL) {
        return error_prefix(err, "command line");
    }
    if (location.line == 0) {
        return error_prefix(err, "%s", location.file);
    }
    return error_prefix(err, "%s:%u", location.file, location.line);
}

static size_t min3(size_t a, size_t b, size_t c) {
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

/* Levenshtein's distance: how many letters must be changed, added or removed. */
static size_t edit_distance(const char *a, const char *b) {
    enum { LONGEST = 64 };
    size_t row[LONGEST + 1], b_len = strlen(b);
    if (strlen(a) > LONGEST || b_len > LONGEST) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_len; j++) {
            size_t above = row[j + 1];
            row[j + 1] = min3(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = above;
        }
    }
    return row[b_len];
}

static bool is_near(const char *given, const char *known, size_t *best) {
    size_t distance = edit_distance(given, known);
    if (distance > 1 + strlen(known) / 3 || distance >= *best) {
        return false;
    }
    *best = distance;
    return true;
}

static void print_section(const struct document_section *section, char *text, size_t size) {
    snprintf(text, size, "[%s%s%s]", section_kinds[section->kind].word,
             section->name != NULL ? " " : "", section->name != NULL ? section->name : "");
}

static int fail_unknown_section(struct location location, const char *header, struct error *err) {
    size_t len = strcspn(header, " \t"), best = SIZE_MAX;
    char word[80];
    const char *near = NULL;
    snprintf(word, sizeof word, "%.*s", len < sizeof word ? (int)len : 79, header);
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (is_near(word, section_kinds[i].word, &best)) {
            near = section_kinds[i].word;
        }
    }
    if (near != NULL) {
        return location_fail(location, err, "unknown section [%.80s]; did you mean [%s%.80s]?",
                             header, near, header + len);
    }
    return location_fail(location, err,
                         "unknown section [%.80s]; there are [postern], [listener NAME], "
                         "[route NAME] and [certificate NAME]",
                         header);
}

static int check_name(struct location location, enum config_section kind, const char *name,
                      struct error *err) {
    const char *word = section_kinds[kind].word;
    if (kind == SECTION_POSTERN) {
        return *name == '\0' ? 0
                             : location_fail(location, err,
                                             "section [postern %.80s]: [postern] takes no "
                                             "name; write [postern]",
                                             name);
    }
    if (*name == '\0') {
        return location_fail(location, err, "section [%s] has no name; write it as in [%s %s]",
                             word, word, section_kinds[kind].name);
    }
    if (strlen(name) > NAME_MAX_LEN) {
        return location_fail(location, err, "the name %.80s is too long; at most %d bytes", name,
                             NAME_MAX_LEN);
    }
    if (name[strspn(name, NAME_BYTES)] != '\0') {
        return location_fail(location, err,
                             "the name %.80s has a character that names may not have; use "
                             "letters, digits, and . _ -",
                             name);
    }
    return 0;
}

static int check_first(const struct document *document, const struct document_section *section,
                       struct error *err) {
    for (size_t i = 0; i < document->count; i++) {
        const struct document_section *other = &document->sections[i];
        if (other->kind == section->kind &&
            (section->name == NULL || strcmp(other->name, section->name) == 0)) {
            char text[128];
            print_section(section, text, sizeof text);
            return location_fail((struct location){document->file, section->line, NULL}, err,
                                 "section %s is defined twice, first in line %u; %s", text,
                                 other->line,
                                 section->name != NULL ? "give one another name" : "join them");
        }
    }
    return 0;
}

static int append(struct document *document, const struct document_section *section,
                  struct error *err) {
    struct document_section *sections =
        reallocarray(document->sections, document->count + 1, sizeof *sections);
    if (sections == NULL) {
        error_set(err, "out of memory");
        return -1;
    }
    document->sections = sections;
    sections[document->count] = *section;
    document->count++;
    return 0;
}

static void free_section(struct document_section *section) {
    for (size_t i = 0; section->settings != NULL && i < config_key_count; i++) {
        free(section->settings[i].value);
    }
    free(section->settings);
    free(section->name);
}

int document_begin(struct document *document, const char *header, unsigned line,
                   struct error *err) {
    struct location location = {document->file, line, NULL};
    size_t word_len = strcspn(header, " \t");
    const char *name = header + word_len + strspn(header + word_len, " \t");
    struct document_section section = {.kind = SECTION_COUNT, .line = line};
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        const char *word = section_kinds[i].word;
        if (strlen(word) == word_len && memcmp(word, header, word_len) == 0) {
            section.kind = (enum config_section)i;
        }
    }
    if (section.kind == SECTION_COUNT) {
        return fail_unknown_section(location, header, err);
    }
    if (check_name(location, section.kind, name, err) != 0) {
        return -1;
    }
    section.settings = calloc(config_key_count, sizeof *section.settings);
    section.name = section.kind == SECTION_POSTERN ? NULL : strdup(name);
    if (section.settings == NULL || (section.kind != SECTION_POSTERN && section.name == NULL)) {
        error_set(err, "out of memory");
    } else if (check_first(document, &section, err) == 0 && append(document, &section, err) == 0) {
        return 0;
    }
    free_section(&section);
    return -1;
}

/* Of Mosquitto's configuration, which was written beside ours or instead of it. */
static bool is_of_broker(const char *key) {
    static const char *const keys[] = {"password_file", "acl_file", "allow_anonymous",
                                       "persistence"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int fail_unknown_key(struct location location, const struct document_section *section,
                            const char *given, struct error *err) {
    size_t best = SIZE_MAX;
    const char *near = NULL;
    char text[128];
    print_section(section, text, sizeof text);
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        if (!config_key_is_in(key, section->kind) && strcmp(key->name, given) == 0) {
            return location_fail(location, err, "key %s does not belong in %s; it belongs in %s",
                                 given, text, section_kinds[key->section].written);
        }
        if (config_key_is_in(key, section->kind) && is_near(given, key->name, &best)) {
            near = key->name;
        }
    }
    if (near != NULL) {
        return location_fail(location, err, "unknown key %.64s in %s; did you mean %s?", given,
                             text, near);
    }
    return location_fail(location, err, "unknown key %.64s in %s; %s", given, text,
                         is_of_broker(given) ? "that is the broker's setting, and stays there"
                                             : "postern.conf(5) lists the keys");
}

int document_set(struct document *document, const char *key, const char *value, unsigned line,
                 const char *option, struct error *err) {
    struct location location = {document->file, line, option};
    if (document->count == 0) {
        return location_fail(location, err,
                             "key %.64s stands before any section; write [postern], "
                             "[listener NAME] or [certificate NAME] above it",
                             key);
    }
    struct document_section *section = &document->sections[document->count - 1];
    for (size_t i = 0; i < config_key_count; i++) {
        if (!config_key_is_in(&config_keys[i], section->kind) ||
            strcmp(config_keys[i].name, key) != 0) {
            continue;
        }
        struct document_setting *setting = &section->settings[i];
        if (setting->value != NULL && option != NULL) {
            return location_fail(location, err, "given twice; once is enough");
        }
        if (setting->value != NULL) {
            return location_fail(location, err,
                                 "key %s is given twice, first in line %u; remove one", key,
                                 setting->line);
        }
        *setting = (struct document_setting){strdup(value), line, option};
        return setting->value != NULL ? 0 : error_set(err, "out of memory");
    }
    return fail_unknown_key(location, section, key, err);
}

void document_free(struct document *document) {
    for (size_t i = 0; i < document->count; i++) {
        free_section(&document->sections[i]);
    }
    free(document->sections);
    *document = (struct document){0};
}

const struct document_section *document_section(const struct document *document,
                                                enum config_section kind, size_t index) {
    for (size_t i = 0; i < document->count; i++) {
        if (document->sections[i].kind == kind && index-- == 0) {
            return &document->sections[i];
        }
    }
    return NULL;
}

const struct document_setting *document_setting(const struct document_section *section,
                                                const char *key) {
    static const struct document_setting none = {0};
    for (size_t i = 0; section != NULL && i < config_key_count; i++) {
        if (config_key_is_in(&config_keys[i], section->kind) &&
            strcmp(config_keys[i].name, key) == 0) {
            return &section->settings[i];
        }
    }
    return &none;
}

struct location document_location(const struct document *document,
                                  const struct document_section *section, const char *key) {
    const struct document_setting *setting = document_setting(section, key);
    unsigned line = setting->value != NULL ? setting->line : section != NULL ? section->line : 0;
    return (struct location){document->file, line, setting->option};
}
