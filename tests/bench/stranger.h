/* The cheapest client that still completes a full handshake: TLS 1.2, ECDHE-RSA-AES128-GCM-SHA256,
 * X25519, no extension that a server can do without (RFC 5246, 5288, 7748, 8422).
 *
 * A general TLS library spends as much on its side of a handshake as the proxy does, most of it on
 * certificates. In a storm that would make the generator the one that is overrun. So strangers use
 * a key share made once, and neither read the certificate nor check the signature: the proxy's work
 * is the same. That the handshake is real is shown by the byte that must come back through it. */
#ifndef BENCH_STRANGER_H
#define BENCH_STRANGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What strangers share: algorithms and the key share. */
struct stranger_kit;

struct stranger_kit *stranger_kit_new(void);

struct stranger;

/* One stranger at a time uses a memory of this; it may be begun again at any time. */
struct stranger *stranger_new(struct stranger_kit *kit);

enum { STRANGER_OUT = 512 }; /* no call below writes more */

/* Starts over; returns the length of the ClientHello that was written to out. */
size_t stranger_begin(struct stranger *s, uint8_t out[STRANGER_OUT]);

/* Takes bytes from the server and writes what must be sent now (*out_len, often 0). Returns true
 * when the echoed byte is there, and close_notify was written. Ends the program at anything that
 * is not as it should be. */
bool stranger_take(struct stranger *s, const uint8_t *data, size_t len, uint8_t out[STRANGER_OUT],
                   size_t *out_len);

#endif
