/* One TLS connection, server side, as memory in, memory out: no sockets, no event loop.
 *
 * Every engine is bound to a `struct engine_io`, which all engines of one thread share: before a
 * call the caller points `in` at ciphertext from the peer, and after every call (reads too: alerts,
 * key updates, tickets) it takes what was appended to `out` and sends it, in order. Between calls
 * an engine holds no buffer but the partial record that the library keeps.
 *
 * Calls consume `in` from its front; what they leave unconsumed the caller gives again. engine_read
 * and engine_handshake return ENGINE_MORE only when `in` is used up. */
#ifndef POSTERN_TLS_ENGINE_H
#define POSTERN_TLS_ENGINE_H

#include "core/buf.h"
#include "core/reason.h"
#include "tls/context.h"
#include "wire/client_hello.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine_io {
    const uint8_t *in;
    size_t in_len;
    struct buf out; /* sealed bytes; grows as needed: the library's send callback never blocks */
};

enum engine_status {
    ENGINE_OK,
    ENGINE_MORE,   /* needs more ciphertext */
    ENGINE_CLOSED, /* close_notify came: the peer will send nothing more */
    ENGINE_FAILED  /* the connection is dead; engine_failure tells; an alert may be in io->out */
};

/* Embedded in a session; the fields are the engine's. */
struct engine {
    void *ssl;
    struct engine_io *io;
    struct tls_context *ctx;
    struct client_cert *peer; /* what the client's certificate said; NULL without one */
    uint16_t record_size;     /* largest plaintext per record sent */
    uint8_t alert;            /* sent or received with a failure; 0: none */
    uint8_t failure;          /* enum reason */
    uint8_t answers;          /* records sent in answer to the peer since its last data */
    bool reading;             /* within engine_read */
    bool handshaking;
    bool closed;  /* we sent close_notify */
    bool entered; /* counted as a user of ctx */
    bool resumed;
    bool cut_flight; /* TLS 1.2 plaintext flight is cut to record_size on its way out */
};

/* Chooses the certificate for this client (server name, then key type it can verify) and makes the
 * connection. Holds ctx until the handshake is complete or the engine freed. False without memory,
 * or if ctx asks for client certificates and is already retired (nothing is held then). */
bool engine_open(struct engine *e, struct tls_context *ctx, const struct client_hello *hello,
                 struct engine_io *io) __attribute__((warn_unused_result));

/* From here on the engine reads and writes there. */
void engine_use(struct engine *e, struct engine_io *io);

/* From here on, long computations on this thread call `pause` every few microseconds, which may
 * switch to another stack and let the thread do something else; NULL: they do not. Only our own
 * library on x86-64 and aarch64 calls it. */
void engine_pause_with(void (*pause)(void *arg), void *arg);

/* Goes on with the handshake: ENGINE_OK when it is complete, else ENGINE_MORE or ENGINE_FAILED.
 * This is the expensive call; engine_read and engine_write follow only after ENGINE_OK. */
enum engine_status engine_handshake(struct engine *e) __attribute__((warn_unused_result));

/* Decrypts into `plain` until `in` is used up or `cap` is reached; `*got` is always set, and valid
 * with every status. ENGINE_OK: the caller's buffer is full, call again before anything else. */
enum engine_status engine_read(struct engine *e, uint8_t *plain, size_t cap, size_t *got)
    __attribute__((warn_unused_result));

/* Seals all of `plain` in records of at most record_size. ENGINE_OK or ENGINE_FAILED. The sealed
 * size is at most engine_sealed_size(). */
enum engine_status engine_write(struct engine *e, const uint8_t *plain, size_t len)
    __attribute__((warn_unused_result));
size_t engine_sealed_size(const struct engine *e, size_t plain_len);

/* Appends close_notify (once; nothing may be written after it; reading may go on). */
void engine_close(struct engine *e);

/* Gives everything back; may be called in any state, also on a zeroed engine. */
void engine_free(struct engine *e);

/* After ENGINE_FAILED: reason for the log, the alert's number in e->alert. */
enum reason engine_failure(const struct engine *e);

/* After the handshake; static strings or owned by the engine until engine_free. */
const char *engine_version(const struct engine *e);  /* "1.2", "1.3" */
const char *engine_cipher(const struct engine *e);   /* OpenSSL's name */
const char *engine_identity(const struct engine *e); /* of the client certificate; NULL: none */
/* First common name of the client certificate; NULL: no certificate, or none that can be shown. */
const char *engine_peer_cn(const struct engine *e);
/* Whether the client showed its certificate in this connection; if it has one (engine_peer_id) and
 * did not, it was in the session that this connection resumes. */
bool engine_peer_presented(const struct engine *e);
const struct cert_id *engine_peer_id(const struct engine *e); /* NULL: no client certificate */

#endif
