/* Reading forward through bytes, for the parsers of src/wire. Each call takes what it asks for, or
 * returns false, and then the cursor is not to be used any more. Numbers are big-endian. */
#ifndef POSTERN_WIRE_CURSOR_H
#define POSTERN_WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
    const uint8_t *at;
    size_t left;
};

static inline bool take(struct cursor *c, size_t len, struct cursor *part) {
    if (c->left < len) {
        return false;
    }
    part->at = c->at;
    part->left = len;
    c->at += len;
    c->left -= len;
    return true;
}

static inline bool take_u8(struct cursor *c, uint8_t *value) {
    struct cursor part;
    if (!take(c, 1, &part)) {
        return false;
    }
    *value = part.at[0];
    return true;
}

static inline bool take_u16(struct cursor *c, uint16_t *value) {
    struct cursor part;
    if (!take(c, 2, &part)) {
        return false;
    }
    *value = (uint16_t)(part.at[0] << 8 | part.at[1]);
    return true;
}

static inline bool take_u32(struct cursor *c, uint32_t *value) {
    struct cursor part;
    if (!take(c, 4, &part)) {
        return false;
    }
    *value = (uint32_t)part.at[0] << 24 | (uint32_t)part.at[1] << 16 | (uint32_t)part.at[2] << 8 |
             (uint32_t)part.at[3];
    return true;
}

/* Bytes after their length, which has 8 or 16 bits. */
static inline bool take_vector8(struct cursor *c, struct cursor *part) {
    uint8_t len;
    return take_u8(c, &len) && take(c, len, part);
}

static inline bool take_vector16(struct cursor *c, struct cursor *part) {
    uint16_t len;
    return take_u16(c, &len) && take(c, len, part);
}

#endif
