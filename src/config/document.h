/* For src/config alone: the table of keys, and the document, which is a file or command line as it
 * was written: sections and their settings as text, each with its location.
 *
 * A document owns its sections, names and values; `file` and `option` are the caller's. Its fields
 * are read by build.c and validate.c, and written here. */
#ifndef POSTERN_CONFIG_DOCUMENT_H
#define POSTERN_CONFIG_DOCUMENT_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_section {
    SECTION_POSTERN,
    SECTION_LISTENER,
    SECTION_CERTIFICATE,
    SECTION_ROUTE,
    SECTION_COUNT
};

enum config_kind {
    KIND_WORD,     /* an enum */
    KIND_COUNT,    /* size_t */
    KIND_SIZE,     /* size_t, bytes */
    KIND_DURATION, /* uint64_t, milliseconds */
    KIND_TEXT,     /* char *, NULL when empty */
    KIND_PATH,     /* char *, NULL when empty */
    KIND_RATE,     /* struct config_rate */
    KIND_DIALS,    /* struct config_dials */
    KIND_NETWORKS, /* struct config_networks */
    KIND_SOURCES,  /* struct config_sources */
    KIND_ALPN,     /* struct config_protocols */
    KIND_ADMIN,    /* struct config_admin */
    KIND_ADDRESSES,
    KIND_BACKENDS,
    KIND_CERTIFICATES,
    KIND_SERVER_NAMES,
    KIND_LISTENERS /* those that a route belongs to: no field */
};

struct config_word {
    const char *text; /* NULL ends the list */
    uint64_t value;
};

struct config_key {
    const char *name;
    enum config_kind kind;
    enum config_section section;
    size_t offset; /* in the section's struct, of a route the listener's; addresses, backends,
                      certificates and server names are known by their kind */
    bool in_route; /* of a listener's key: a route may set it, too, and inherits it otherwise */
    const char
        *fallback;     /* the default, written as in the file; "": none; NULL: see apply_missing */
    uint64_t min, max; /* counts, sizes, durations */
    const struct config_word *words; /* all values of a KIND_WORD, else those besides numbers */
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* Whether the key may be in sections of this kind. */
static inline bool config_key_is_in(const struct config_key *key, enum config_section kind) {
    return key->section == kind || (kind == SECTION_ROUTE && key->in_route);
}

struct document_setting {
    char *value; /* NULL: not given */
    unsigned line;
    const char *option; /* --listen; NULL in a file */
};

struct document_section {
    enum config_section kind;
    char *name; /* NULL for [postern] */
    unsigned line;
    struct document_setting *settings; /* by index into config_keys */
};

struct document {
    const char *file; /* as named by the user; NULL: a command line */
    struct document_section *sections;
    size_t count;
};

/* Where a mistake is: FILE:LINE, FILE alone (line 0), or an option of the command line. */
struct location {
    const char *file;
    unsigned line;
    const char *option;
};

/* Leaves "LOCATION: text" in err. Returns -1. */
int location_fail(struct location location, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Begins a section; `header` is what stands between the brackets: "listener mqtt". 0 or -1. */
int document_begin(struct document *document, const char *header, unsigned line, struct error *err)
    __attribute__((warn_unused_result));

/* One key of the section begun last. 0 or -1. */
int document_set(struct document *document, const char *key, const char *value, unsigned line,
                 const char *option, struct error *err) __attribute__((warn_unused_result));

void document_free(struct document *document); /* what it holds, not the struct */

/* The index-th section of a kind; NULL after the last. */
const struct document_section *document_section(const struct document *document,
                                                enum config_section kind, size_t index);

/* The key must be one of the section's. Never NULL; without a value when it was not given. */
const struct document_setting *document_setting(const struct document_section *section,
                                                const char *key);

/* Of a setting, or of its section's header where the setting was not given. */
struct location document_location(const struct document *document,
                                  const struct document_section *section, const char *key);

#endif
