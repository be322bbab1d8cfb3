/* Bytes as hexadecimal digits. */
#ifndef POSTERN_CORE_HEX_H
#define POSTERN_CORE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads 2 * `len` digits, in upper or lower case, into `len` bytes. False if one is not a digit;
 * the bytes before it may have been written. */
bool hex_read(const char *text, uint8_t *bytes, size_t len) __attribute__((warn_unused_result));

/* Writes 2 * `len` digits in lower case, and a NUL: `text` has room for 2 * `len` + 1 bytes. */
void hex_print(const uint8_t *bytes, size_t len, char *text);

#endif
