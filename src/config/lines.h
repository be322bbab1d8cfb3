/* The lines of the configuration file on their way to inih, counted and checked.
 *
 * inih calls lines_read as its fgets. It cuts lines at about 200 bytes, takes an indented line for
 * the continuation of the previous key, does not report empty sections, and accepts `:` for `=`. So
 * a line that is not clearly a section's header, a comment or `key = value` is refused here, and a
 * value that is longer than inih's line is given to it in pieces, as continuation lines. */
#ifndef POSTERN_CONFIG_LINES_H
#define POSTERN_CONFIG_LINES_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

/* The longest line with a key, without its comment. */
#define LINES_MAX 8192

struct lines {
    const char *file; /* for messages */
    const char *next, *end;
    unsigned number; /* of the current line, from 1 */

    /* Called for each header with what stands between the brackets, trimmed. 0, or -1 with err. */
    int (*on_header)(void *arg, const char *text, struct error *err);
    void *arg;

    struct error *err;
    bool failed; /* with the reason in err; lines_read then reports the end of the file */

    /* The part of the current line that inih does not have yet, and whether a call of its handler
     * is due for the part that it has. The handler clears `owed`. */
    const char *rest;
    size_t rest_len;
    bool owed;
};

/* The reader for ini_parse_stream; `stream` is a struct lines. */
char *lines_read(char *buffer, int size, void *stream);

/* Whether the handler now has the whole value. */
bool lines_value_complete(const struct lines *lines);

/* After ini_parse_stream: 0, or -1 if a line was refused. */
int lines_end(struct lines *lines) __attribute__((warn_unused_result));

#endif
