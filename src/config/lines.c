#include "config/lines.h"

#include <stdio.h>
#include <string.h>

#define BLANKS " \t\v\f"

static char *fail(struct lines *lines, const char *what) {
    lines->failed = true;
    error_set(lines->err, "%s:%u: %s", lines->file, lines->number, what);
    return NULL;
}

static bool is_blank(char c) {
    return c != '\0' && strchr(BLANKS, c) != NULL;
}

static size_t trimmed_len(const char *text, size_t len) {
    while (len > 0 && is_blank(text[len - 1])) {
        len--;
    }
    return len;
}

/* A comment after a value begins with ; after a blank, as inih has it. */
static size_t len_without_comment(const char *text, size_t len) {
    for (size_t i = 1; i < len; i++) {
        if (text[i] == ';' && is_blank(text[i - 1])) {
            return trimmed_len(text, i);
        }
    }
    return trimmed_len(text, len);
}

/* Takes the next line, without its end; false with `failed` set if it has a byte that is not
 * allowed. */
static bool take_line(struct lines *lines, const char **text, size_t *len) {
    const char *start = lines->next;
    const char *end = memchr(start, '\n', (size_t)(lines->end - start));
    lines->next = end != NULL ? end + 1 : lines->end;
    lines->number++;
    if (end == NULL) {
        end = lines->end;
    }
    if (end > start && end[-1] == '\r') {
        end--;
    }
    if (lines->number == 1 && end - start >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
        start += 3;
    }
    *text = start;
    *len = (size_t)(end - start);
    if (memchr(start, '\0', *len) != NULL) {
        fail(lines, "a NUL byte; the file must be plain text (UTF-16 is not, for example)");
        return false;
    }
    if (memchr(start, '\r', *len) != NULL) {
        fail(lines, "a carriage return inside the line; lines end with LF or CR LF");
        return false;
    }
    return true;
}

/* `text` is one line that begins with [. */
static int take_header(struct lines *lines, const char *text, size_t len) {
    char name[256];
    len = len_without_comment(text, len);
    if (text[len - 1] != ']') {
        bool closed = memchr(text, ']', len) != NULL;
        fail(lines, closed ? "text after the ] of a section; begin a new line there"
                           : "a section without its ]; write it as in [listener mqtt]");
        return -1;
    }
    size_t from = 1 + strspn(text + 1, BLANKS);
    size_t to = trimmed_len(text, len - 1);
    size_t name_len = to > from ? to - from : 0;
    if (name_len >= sizeof name) {
        fail(lines, "a section's name that is too long; at most 64 bytes");
        return -1;
    }
    memcpy(name, text + from, name_len);
    name[name_len] = '\0';
    if (lines->on_header(lines->arg, name, lines->err) != 0) {
        lines->failed = true;
        return -1;
    }
    return 0;
}

/* `text` must be `key = value`. */
static int check_setting(struct lines *lines, const char *text, size_t len) {
    if (is_blank(text[0])) {
        fail(lines, "an indented line; sections and keys begin in the first column, and a value "
                    "does not continue on the next line");
        return -1;
    }
    if (len > LINES_MAX) {
        fail(lines, "the line is too long; at most 8192 bytes");
        return -1;
    }
    size_t key_len = 0;
    while (key_len < len && text[key_len] != '=' && text[key_len] != ':') {
        key_len++;
    }
    if (key_len == len) {
        fail(lines, "a line without =; write key = value, or begin a comment with ; or #");
        return -1;
    }
    if (text[key_len] == ':') {
        fail(lines, "found : instead of =; write key = value");
        return -1;
    }
    if (key_len == 0) {
        fail(lines, "a line without a key before =; write key = value");
        return -1;
    }
    if (key_len > 64) {
        fail(lines, "a key that is too long; postern.conf(5) lists the keys");
        return -1;
    }
    return 0;
}

/* How much of the rest fits into `room` so that the rest can follow: inih trims both ends of a
 * piece, and takes a piece that begins with ; or # for a comment. */
static size_t piece_len(const char *text, size_t len, size_t room) {
    if (len <= room) {
        return len;
    }
    while (room > 0 && (is_blank(text[room - 1]) || is_blank(text[room]) || text[room] == ';' ||
                        text[room] == '#')) {
        room--;
    }
    return room;
}

static char *give(struct lines *lines, char *buffer, size_t size, bool first) {
    size_t indent = first ? 0 : 1;
    size_t len = piece_len(lines->rest, lines->rest_len, size - 2 - indent);
    if (len == 0 || (first && len < lines->rest_len && memchr(lines->rest, '=', len) == NULL)) {
        return fail(lines, "the line is too long and cannot be divided; make it shorter");
    }
    buffer[0] = ' ';
    memcpy(buffer + indent, lines->rest, len);
    memcpy(buffer + indent + len, "\n", 2);
    lines->rest += len;
    lines->rest_len -= len;
    lines->owed = true;
    return buffer;
}

char *lines_read(char *buffer, int size, void *stream) {
    struct lines *lines = stream;
    const char *text;
    size_t len;
    if (lines->failed) {
        return NULL;
    }
    if (lines->owed || size < 100) {
        return fail(lines, "the INI library does not accept this line; a shorter one may help");
    }
    if (lines->rest_len > 0) {
        return give(lines, buffer, (size_t)size, false);
    }
    if (lines->next == lines->end || !take_line(lines, &text, &len)) {
        return NULL;
    }
    size_t indent = 0;
    while (indent < len && is_blank(text[indent])) {
        indent++;
    }
    if (indent == len || text[indent] == ';' || text[indent] == '#') {
        return memcpy(buffer, "\n", 2);
    }
    if (text[0] == '[') {
        return take_header(lines, text, len) == 0 ? memcpy(buffer, "\n", 2) : NULL;
    }
    len = len_without_comment(text, len);
    if (check_setting(lines, text, len) != 0) {
        return NULL;
    }
    lines->rest = text;
    lines->rest_len = len;
    return give(lines, buffer, (size_t)size, true);
}

bool lines_value_complete(const struct lines *lines) {
    return lines->rest_len == 0;
}

int lines_end(struct lines *lines) {
    if (!lines->failed && (lines->owed || lines->rest_len > 0)) {
        fail(lines, "the INI library does not accept this line; a shorter one may help");
    }
    return lines->failed ? -1 : 0;
}
