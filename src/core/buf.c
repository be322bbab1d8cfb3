#include "core/buf.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 512 };

static void wipe(struct buf *b) {
    if (b->cap > 0) {
        explicit_bzero(b->data, b->cap);
    }
}

bool buf_reserve(struct buf *b, size_t more, size_t limit) {
    if (b->len > limit || more > limit - b->len) {
        return false;
    }
    size_t need = b->len + more;
    if (need <= b->cap) {
        return true;
    }
    size_t cap = b->cap > 0 ? b->cap : FIRST_SIZE;
    cap = cap < limit ? cap : limit;
    while (cap < need) {
        cap = cap > limit / 2 ? limit : cap * 2;
    }
    uint8_t *data = malloc(cap);
    if (data == NULL) {
        return false;
    }
    if (b->len > 0) {
        memcpy(data, b->data, b->len);
    }
    wipe(b);
    free(b->data);
    b->data = data;
    b->cap = cap;
    return true;
}

bool buf_append(struct buf *b, const void *data, size_t len, size_t limit) {
    if (!buf_reserve(b, len, limit)) {
        return false;
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
    return true;
}

void buf_consume(struct buf *b, size_t len) {
    if (len >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + len, b->len - len);
    b->len -= len;
}

void buf_free(struct buf *b) {
    free(b->data);
    *b = (struct buf){0};
}

void buf_wipe(struct buf *b) {
    wipe(b);
    buf_free(b);
}
