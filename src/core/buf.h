/* A byte buffer that grows up to a bound given with each call.
 *
 * Embedded in what uses it. It owns its memory; zeroed is empty. All may read the fields; `len` may
 * be reduced or, after buf_reserve, increased by what was written at its end. */
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

/* Makes room for `more` bytes after `len`. False if that would be more than `limit` bytes in all,
 * or without memory; the buffer is then unchanged. Memory that has become too small is wiped, so
 * that a secret in a buffer is in one place however the buffer grew. */
bool buf_reserve(struct buf *b, size_t more, size_t limit) __attribute__((warn_unused_result));

/* Appends a copy of the bytes; false as in buf_reserve. */
bool buf_append(struct buf *b, const void *data, size_t len, size_t limit)
    __attribute__((warn_unused_result));

/* Removes the first `len` bytes, or all if there are fewer, and moves the rest to the front. */
void buf_consume(struct buf *b, size_t len);

/* Frees the memory and leaves an empty buffer. */
void buf_free(struct buf *b);

/* The same for a buffer that held a secret: its memory is overwritten before. */
void buf_wipe(struct buf *b);

#endif
