/* Changes what OpenSSL's client sends, for tests of what other clients send. The client's
 * transcript is then another one: such a handshake gets as far as our first flight. */
#ifndef POSTERN_TEST_HELLO_EDIT_H
#define POSTERN_TEST_HELLO_EDIT_H

#include "core/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Of a whole ClientHello in one record: puts `len` bytes at the front of its list of cipher suites,
 * of its groups, and of its key shares; all lengths are right again. */
void hello_add_suites(struct buf *hello, const uint8_t *suites, size_t len);
void hello_add_groups(struct buf *hello, const uint8_t *groups, size_t len);
void hello_add_key_shares(struct buf *hello, const uint8_t *shares, size_t len);

/* Puts the extension with the key shares before all others. */
void hello_move_key_shares_first(struct buf *hello);

/* The public key in its share of that group, and the key's length. */
uint8_t *hello_key_share(struct buf *hello, unsigned group, size_t *len);

/* Cuts plaintext handshake records into records of at most `size` bytes, up to the
 * ChangeCipherSpec. */
void recut_plaintext(struct buf *flight, size_t size);

#endif
