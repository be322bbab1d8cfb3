/* UTF-8 as RFC 3629 defines it: the shortest form of each code point, no surrogates, nothing above
 * U+10FFFF. The caller decides which code points a text may have. */
#ifndef POSTERN_CORE_UTF8_H
#define POSTERN_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns the length (1 to 4) of the well-formed sequence at the front of `text`, which has `len`
 * bytes, and stores its code point. 0 if there is none, because it is malformed or cut short or
 * `len` is 0; `*code` is then unchanged. */
size_t utf8_decode(const uint8_t *text, size_t len, uint32_t *code)
    __attribute__((warn_unused_result));

/* Whether a text may name a client: it is well-formed, not empty, and has neither control
 * characters nor those that have no shape or turn or reorder others (zero width, bidirectional), so
 * that two names which look the same are the same; and no + and #, which would widen patterns in a
 * broker's access list. */
bool utf8_is_name(const uint8_t *text, size_t len) __attribute__((warn_unused_result));

#endif
