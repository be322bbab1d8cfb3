/* What one end sends: bytes that are known by their position, so that whatever arrives can be
 * checked alone, and a loss, a repetition or a mix-up of two streams is seen at once. */
#ifndef POSTERN_SIM_STREAM_H
#define POSTERN_SIM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STREAM_HEAD_MAX = 128 };

struct stream {
    uint8_t head[STREAM_HEAD_MAX]; /* the first bytes; the body follows */
    size_t head_len;
    size_t body_offset; /* where in the table of all content the body begins */
    bool framed;        /* the body is a row of MQTT PUBLISH packets */
};

/* Once for each seed: fills the table. */
void stream_prepare(void);

/* With a body of its own and no head. */
struct stream stream_make(bool framed);

void stream_fill(const struct stream *s, uint64_t position, uint8_t *into, size_t len);
bool stream_matches(const struct stream *s, uint64_t position, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

#endif
