/* What depends on the insides of wolfSSL rather than on its documented interface, and on the
 * patches of our own build of it. Read this file when the library is upgraded: each function says
 * what the library does and why that is not enough. Versions: 5.5.4 and 5.7.2 are Debian's 12 and
 * 13, 5.9.2 is our own. */
#ifndef POSTERN_TLS_QUIRKS_H
#define POSTERN_TLS_QUIRKS_H

#include "core/buf.h"
#include "tls/wolfssl.h"
#include "wire/alert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- start --- */

/* The library detects the features of the processor when an algorithm is first used, and stores
 * them without a lock. This uses each one once, before there are threads. 0 or -1. */
int quirks_use_every_algorithm(void) __attribute__((warn_unused_result));

/* The library fills in some of a context when its first connection is made, without a lock. This
 * makes one, before the context is shared with other threads. False if there can be none. */
bool quirks_warm_up(WOLFSSL_CTX *ctx) __attribute__((warn_unused_result));

/* --- pauses --- */

/* From here on, the library's long computations on this thread (RSA) call `may_pause` every few
 * microseconds; NULL: they do not. The call may switch stacks: the library holds no lock then, and
 * no state of the thread. Only our own build on x86-64 and aarch64 does it (postern_pause.h). */
void quirks_set_pause(void (*may_pause)(void *arg), void *arg);

/* For long computations of our own, between their parts. */
void quirks_may_pause(void);

/* --- keys --- */

/* The library keeps a context's private key in ordinary memory. The size of it, for
 * quirks_move_key; 0 with the distribution's library, which has no say in where it keeps it
 * (postern_key.h). */
size_t quirks_key_size(const WOLFSSL_CTX *ctx);

/* Moves the key to memory of the caller, and overwrites the library's copy. quirks_forget_key comes
 * before wolfSSL_CTX_free, when no handshake needs the key any more; then the memory may be freed.
 */
void quirks_move_key(WOLFSSL_CTX *ctx, uint8_t *to);
void quirks_forget_key(WOLFSSL_CTX *ctx);

/* --- alerts --- */

/* Sends a fatal alert now, unless one was sent before. The library answers every refusal of our
 * verify callback with bad_certificate, whatever the reason, and some failures with nothing: its
 * own alert then does not follow ours (one-alert.diff). Only our own build: false with the
 * distribution's, or if it fails (postern_alert.h). */
bool quirks_send_alert(WOLFSSL *ssl, uint8_t description);

/* How a flight of the client begins, which may arrive in pieces. Zeroed: none of it is known. */
struct flight_start {
    uint8_t bytes[13]; /* ChangeCipherSpec, alert */
    uint8_t len;
    bool answered; /* the next byte begins another flight */
};

/* Adds what came next of this flight; what is beyond the start is left out. */
void quirks_note_flight(struct flight_start *start, const uint8_t *in, size_t len);

/* Whether the flight is a fatal alert in plaintext, perhaps after the ChangeCipherSpec that TLS 1.3
 * clients send for middle boxes. A client that refuses our certificate may send it so; 5.5.4 and
 * 5.7.2 report a parse error instead, and may do so at the alert's header: then what the client
 * complains about has not come yet and the description is 0. */
bool quirks_is_plaintext_alert(const struct flight_start *start, uint8_t *description);

/* Appends a fatal alert in plaintext; false without memory. For failures that the library does not
 * report to the client (no version in common, which it reports as no suite in common; in 5.5.4 and
 * 5.7.2 also a missing certificate), before ChangeCipherSpec. */
bool quirks_append_alert(struct buf *out, uint8_t description) __attribute__((warn_unused_result));

/* --- records --- */

/* Appends what the library sends during the handshake, its plaintext handshake records cut to
 * `record_size`: it does so itself only with max_fragment_length (SendHandshakeMsg in internal.c).
 * The transcript covers messages, not records (RFC 5246 6.2.1), so nothing but the receiver's
 * buffer notices. `buf` holds whole records, as the send callback gets them. `*plaintext` becomes
 * false with ChangeCipherSpec: what follows is encrypted and stays as it is. False without memory.
 */
bool quirks_append_flight(struct buf *out, const uint8_t *buf, size_t len, size_t record_size,
                          bool *plaintext) __attribute__((warn_unused_result));

/* --- established connections --- */

/* The handshake is complete: frees what only resumption needed of the library (postern_relay.h).
 * With the distribution's library nothing. */
void quirks_end_handshake(WOLFSSL *ssl);

/* Records are made at the end of `out` until quirks_return_output, as long as there is room for
 * `size` bytes of them: the send callback then gets them where they are to be, and calls
 * quirks_keep_output, which is false for what is elsewhere. With the distribution's library, or
 * without memory, all is elsewhere. */
void quirks_lend_output(WOLFSSL *ssl, struct buf *out, size_t size);
bool quirks_keep_output(WOLFSSL *ssl, struct buf *out, const uint8_t *record, size_t len);
void quirks_return_output(WOLFSSL *ssl);

/* For the receive callback, which is asked for the header of a record that is here as a whole: true
 * if the library decrypts it where it is, and the header counts as received. Until all of it is
 * read; then quirks_take_input_back. quirks_own_input is where a callback puts what it copies
 * instead of `buf`. With the distribution's library all is copied. */
bool quirks_lend_record(WOLFSSL *ssl, uint8_t *record, size_t len);
uint8_t *quirks_own_input(WOLFSSL *ssl, uint8_t *buf);
void quirks_take_input_back(WOLFSSL *ssl);

/* --- sessions --- */

/* Resumption has forward secrecy too: psk_ke alone (RFC 8446 4.2.9) is refused. 5.5.4 cannot refuse
 * it, and takes psk_dhe_ke where the client offers both. */
void quirks_require_key_exchange(WOLFSSL_CTX *ctx);

enum { QUIRKS_SESSION_ID_SIZE = 32 };

/* The ID in a session that wolfSSL_i2d_SSL_SESSION wrote: side (1 byte), creation time (4), timeout
 * (4), length of the ID (1), ID. No function of the lean build returns it. NULL if that is no such
 * session, or its ID has another size. */
const uint8_t *quirks_session_id(const uint8_t *session, size_t len);

#endif
