/* Text that a page of the admin socket is made of. */
#ifndef POSTERN_SERVER_PAGE_TEXT_H
#define POSTERN_SERVER_PAGE_TEXT_H

#include "core/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends to the caller's buffer. Once memory was missing, nothing is appended any more. */
struct page_text {
    struct buf *out;
    bool failed;
};

void page_put(struct page_text *text, const char *bytes, size_t len);

/* Of one call 511 bytes at most; the rest is cut. */
void page_print(struct page_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
