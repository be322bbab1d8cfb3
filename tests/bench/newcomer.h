/* The cheapest client that still completes a full handshake: TLS 1.2, AES128-GCM-SHA256 with ECDHE
 * and whichever key the server has, X25519, no extension that a server can do without (RFC 5246,
 * 5288, 7748, 8422).
 *
 * A general TLS library spends as much on its side of a handshake as the proxy does, most of it on
 * certificates. In a storm the generator would then be overloaded before the proxy. So newcomers
 * use a key share made once, and neither read the certificate nor check the signature: the proxy's
 * work is the same. That the handshake is real is shown by the byte that must come back through it.
 */
#ifndef BENCH_NEWCOMER_H
#define BENCH_NEWCOMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What newcomers share: algorithms and the key share. */
struct newcomer_kit;

struct newcomer_kit *newcomer_kit_new(void);

struct newcomer;

/* One newcomer at a time uses a memory of this; it may be begun again at any time. */
struct newcomer *newcomer_new(struct newcomer_kit *kit);

enum { NEWCOMER_OUT = 512 }; /* no call below writes more */

/* Starts over; returns the length of the ClientHello that was written to out. */
size_t newcomer_begin(struct newcomer *s, uint8_t out[NEWCOMER_OUT]);

/* Takes bytes from the server and writes what must be sent now (*out_len, often 0). Returns true
 * when the echoed byte is there, and close_notify was written. Ends the program at anything that
 * is not as it should be. */
bool newcomer_take(struct newcomer *s, const uint8_t *data, size_t len, uint8_t out[NEWCOMER_OUT],
                   size_t *out_len);

#endif
