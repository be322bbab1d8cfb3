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
