#include "core/utf8.h"

enum { SURROGATES_FIRST = 0xd800, SURROGATES_LAST = 0xdfff, CODE_LAST = 0x10ffff };

/* Of a sequence that begins with this byte; 0 for bytes that begin none, among them c0, c1 and f5
 * to ff, which no well-formed sequence has. */
static size_t length_by_lead(uint8_t lead) {
    return lead < 0x80 ? 1 : lead < 0xc2 || lead > 0xf4 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

size_t utf8_decode(const uint8_t *text, size_t len, uint32_t *code) {
    static const uint32_t shortest_of[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = len > 0 ? length_by_lead(text[0]) : 0;
    if (length == 0 || length > len) {
        return 0;
    }
    uint32_t value = length == 1 ? text[0] : text[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (text[i] & 0x3f);
    }
    if (value < shortest_of[length] || value > CODE_LAST ||
        (value >= SURROGATES_FIRST && value <= SURROGATES_LAST)) {
        return 0;
    }
    *code = value;
    return length;
}

/* Characters without a shape, and those that turn or reorder others: general category Cf of Unicode
 * 15, and the default ignorable code points. */
static bool is_invisible(uint32_t code) {
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0xad, 0xad},       {0x34f, 0x34f},     {0x600, 0x605},     {0x61c, 0x61c},
        {0x6dd, 0x6dd},     {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},
        {0x115f, 0x1160},   {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},
        {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},   {0xfe00, 0xfe0f},
        {0xfeff, 0xfeff},   {0xffa0, 0xffa0},   {0xfff0, 0xfffb},   {0xfffe, 0xffff},
        {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3},
        {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

bool utf8_is_name(const uint8_t *text, size_t len) {
    for (size_t at = 0; at < len;) {
        uint32_t code;
        size_t size = utf8_decode(text + at, len - at, &code);
        if (size == 0 || code == '+' || code == '#' || is_control(code) || is_invisible(code)) {
            return false;
        }
        at += size;
    }
    return len > 0;
}
