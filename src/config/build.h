/* For sections.c: from the text of a value to the field that it is for. */
#ifndef POSTERN_CONFIG_BUILD_H
#define POSTERN_CONFIG_BUILD_H

#include "config/document.h"
#include "config/types.h"
#include "core/error.h"

#include <stddef.h>

/* A configuration that is being made of a document. */
struct build {
    const struct document *document;
    struct config *config; /* its certificates are complete before any listener names one */
    char *folder;          /* of the file, for relative paths; NULL from a command line */
    struct error *err;
};

/* Sets the field of that key in the section's struct at `base`, which was zeroed. 0; or -1 with
 * what is wrong, without file, line and key. What is allocated belongs to the struct, also then. */
int build_set(const struct build *b, const struct config_key *key, const char *text, char *base)
    __attribute__((warn_unused_result));

/* Appends a zeroed element to a list. NULL without memory. */
void *build_add_element(void **array, size_t *count, size_t size, struct error *err);

#endif
