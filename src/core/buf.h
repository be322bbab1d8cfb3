/* A byte buffer that grows to a bound its user names. It owns its memory; zeroed is empty. */
#ifndef POSTERN_CORE_BUF_H
#define POSTERN_CORE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/* Makes room for `more` bytes behind `len`. False if that would pass `limit` bytes in all, or if
 * there is no memory; the buffer is then unchanged. */
bool buf_reserve(struct buf *b, size_t more, size_t limit) __attribute__((warn_unused_result));

/* Appends a copy of the bytes; false as in buf_reserve. */
bool buf_append(struct buf *b, const void *data, size_t len, size_t limit)
    __attribute__((warn_unused_result));

/* Drops the first `len` bytes (at most what is there) and moves the rest to the front. */
void buf_consume(struct buf *b, size_t len);

/* Gives the memory back and leaves an empty buffer. */
void buf_free(struct buf *b);

#endif
