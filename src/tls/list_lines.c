#include "tls/list_lines.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

struct list_lines list_lines_begin(struct span text, const char *file, struct error *err) {
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf}; /* U+FEFF, as some editors write it */
    if (text.len >= sizeof mark && memcmp(text.data, mark, sizeof mark) == 0) {
        text.data += sizeof mark;
        text.len -= sizeof mark;
    }
    return (struct list_lines){.file = file, .rest = text, .err = err};
}

bool list_lines_next(struct list_lines *lines, struct span *line) {
    struct span *rest = &lines->rest;
    if (rest->len == 0) {
        return false;
    }
    const uint8_t *newline = memchr(rest->data, '\n', rest->len);
    size_t len = newline != NULL ? (size_t)(newline - rest->data) : rest->len;
    size_t used = newline != NULL ? len + 1 : len;
    len -= len > 0 && rest->data[len - 1] == '\r';
    *line = span_trim((struct span){rest->data, len});
    rest->data += used;
    rest->len -= used;
    lines->number++;
    return true;
}

bool list_lines_is_blank(struct span line) {
    return line.len == 0 || line.data[0] == '#';
}

int list_lines_fail(const struct list_lines *lines, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error_set_args(lines->err, format, args);
    va_end(args);
    return error_prefix(lines->err, "%s:%u", lines->file, lines->number);
}

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t';
}

struct span span_trim(struct span text) {
    while (text.len > 0 && is_blank(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && is_blank(text.data[text.len - 1])) {
        text.len--;
    }
    return text;
}
