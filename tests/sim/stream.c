#include "stream.h"

#include "random.h"

#include <string.h>

/* A prime, so that no cut at a round number repeats. */
enum { TABLE = 65521, CHUNK = 4096, FRAME = 64 };

static uint8_t table[TABLE + CHUNK];

void stream_prepare(void) {
    random_fill(table, TABLE);
    memcpy(table + TABLE, table, CHUNK);
}

struct stream stream_make(bool framed) {
    return (struct stream){.body_offset = (unsigned)random_below(TABLE), .framed = framed};
}

static void frame(uint64_t at, uint8_t *into, size_t len) {
    for (size_t i = (size_t)((FRAME - at % FRAME) % FRAME); i < len; i += FRAME) {
        into[i] = 0x30;
    }
    for (size_t i = (size_t)((FRAME + 1 - at % FRAME) % FRAME); i < len; i += FRAME) {
        into[i] = FRAME - 2;
    }
}

void stream_fill(const struct stream *s, uint64_t position, uint8_t *into, size_t len) {
    size_t n = 0;
    if (position < s->head_len) {
        n = s->head_len - (size_t)position < len ? s->head_len - (size_t)position : len;
        memcpy(into, s->head + position, n);
    }
    while (n < len) {
        uint64_t at = position + n - s->head_len;
        size_t from = (size_t)((at + s->body_offset) % TABLE);
        size_t part = len - n < CHUNK ? len - n : CHUNK;
        memcpy(into + n, table + from, part);
        if (s->framed) {
            frame(at, into + n, part);
        }
        n += part;
    }
}

bool stream_matches(const struct stream *s, uint64_t position, const uint8_t *data, size_t len) {
    uint8_t wanted[CHUNK];
    for (size_t n = 0; n < len;) {
        size_t part = len - n < CHUNK ? len - n : CHUNK;
        stream_fill(s, position + n, wanted, part);
        if (memcmp(wanted, data + n, part) != 0) {
            return false;
        }
        n += part;
    }
    return true;
}
