/* The lines of a file that is a list, as client_allow and psk_file are: a byte order mark at its
 * front and a CR at the end of a line mean nothing. */
#ifndef POSTERN_TLS_LIST_LINES_H
#define POSTERN_TLS_LIST_LINES_H

#include "core/error.h"
#include "tls/der.h"

#include <stdbool.h>

struct list_lines {
    const char *file;  /* for messages */
    struct span rest;  /* what is not read yet */
    unsigned number;   /* of the line that was read last; 0: none */
    struct error *err; /* for list_lines_fail */
};

/* From the first line of `text`, which must stay. */
struct list_lines list_lines_begin(struct span text, const char *file, struct error *err);

/* The next line without its end, and without blanks around it. False if there is none. */
bool list_lines_next(struct list_lines *lines, struct span *line);

/* Whether such a line is empty or a comment, which begins with #. */
bool list_lines_is_blank(struct span line);

/* "FILE:LINE: ..."; returns -1. */
int list_lines_fail(const struct list_lines *lines, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct span span_trim(struct span text); /* without spaces and tabs around it */

#endif
