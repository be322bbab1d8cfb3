/* The configuration file's lines on their way to inih, counted and checked.
 *
 * inih calls lines_read as its fgets. It cuts lines at 200 bytes or so, takes an indented line for
 * the previous key again, says nothing of empty sections, and `:` is as good as `=` to it. So what
 * is not plainly a section's header, a comment or `key = value` is refused here, and a value longer
 * than inih's line goes to it in pieces, as the continuation lines it knows. */
#ifndef POSTERN_CONFIG_LINES_H
#define POSTERN_CONFIG_LINES_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Longest line that holds a key, comment excluded. */
#define LINES_MAX 8192

struct lines {
    const char *file; /* for messages */
    const char *next, *end;
    unsigned number; /* of the current line, from 1 */

    /* Called for each header with what stands between the brackets, trimmed. 0, or -1 with err. */
    int (*on_header)(void *arg, const char *text, struct error *err);
    void *arg;

    struct error *err;
    bool failed; /* and err says why; lines_read then ends the file */

    /* What of the current line inih has not got yet, and whether it owes us a call of its handler
     * for what it got. The handler clears `owed`. */
    const char *rest;
    size_t rest_len;
    bool owed;
};

/* inih's reader; `stream` is a struct lines. */
char *lines_read(char *buffer, int size, void *stream);

/* Whether the handler has now got the whole value. */
bool lines_value_complete(const struct lines *lines);

/* After ini_parse_stream: 0 if all went well, else -1. */
int lines_end(struct lines *lines) __attribute__((warn_unused_result));

#endif
