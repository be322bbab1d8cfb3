#include "server/page_text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

void page_put(struct page_text *text, const char *bytes, size_t len) {
    text->failed = text->failed || !buf_append(text->out, bytes, len, SIZE_MAX);
}

void page_print(struct page_text *text, const char *format, ...) {
    char piece[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    page_put(text, piece, (size_t)len < sizeof piece ? (size_t)len : sizeof piece - 1);
}
