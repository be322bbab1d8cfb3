/* One TLS connection, server side, as memory in, memory out: no sockets, no event loop.
 *
 * A call is given the peer's ciphertext that has come and consumes it from its front; what is left
 * of it is the front of the next call's input. Whatever is to be sent to the peer is appended to
 * `out`, by reads too: alerts, key updates, tickets. Send it in order, after failures as well. An
 * engine remembers neither between calls: each call may name other memory. Between calls it holds
 * no buffer but the partial record that the library keeps.
 *
 * engine_handshake and engine_read return ENGINE_MORE only when the input is used up.
 *
 * The input is a struct engine_input (tls/types.h), which engine_read overwrites. An engine is used
 * by one thread at a time, and belongs to the caller of engine_open. */
#ifndef POSTERN_TLS_ENGINE_H
#define POSTERN_TLS_ENGINE_H

#include "core/buf.h"
#include "core/reason.h"
#include "tls/context.h"
#include "wire/client_hello.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct engine_stack;

enum engine_status {
    ENGINE_OK,
    ENGINE_MORE,   /* needs more ciphertext */
    ENGINE_PAUSED, /* of engine_handshake: needs more time */
    ENGINE_CLOSED, /* close_notify came: the peer will send nothing more */
    ENGINE_FAILED  /* the connection is dead; see engine_failure; `out` may end with an alert */
};

/* Chooses the certificate for this client (server name, then key type it can verify) and makes the
 * connection. Holds ctx until the handshake is complete or the engine freed. NULL without memory,
 * or if ctx asks for client certificates, or has pre-shared keys, and is already retired. */
struct engine *engine_open(struct tls_context *ctx, const struct client_hello *hello)
    __attribute__((warn_unused_result));

/* Frees the engine, in any state; NULL is fine. A step that is under way on a stack cannot be
 * freed: a paused engine is left to its stack, which completes the step (engine_stack_work) and
 * then frees it. In either case the caller must not use it any more. */
void engine_free(struct engine *e);

/* A reload has replaced the context that the engine was opened with. When the handshake completes,
 * the client's certificate must also pass all that `newer` asks; else it fails, with an alert, as
 * if that had been in force from the start. A client that resumes a session with a certificate is
 * refused if anything changed that a full handshake would have checked, and one without a
 * certificate if `newer` requires one; with a pre-shared key it is refused if `newer` does not have
 * that key for it. The version that was agreed on stays. Between calls of
 * engine_handshake; the last call counts, and a context that is retired already changes nothing.
 * Holds `newer` as engine_open holds ctx. */
void engine_check_by(struct engine *e, struct tls_context *newer);

/* Continues the handshake: ENGINE_OK when it is complete, else ENGINE_MORE, ENGINE_PAUSED or
 * ENGINE_FAILED. This is the expensive call; engine_read and engine_write follow only after
 * ENGINE_OK.
 *
 * With `stack` NULL it takes as long as it takes. With a stack it returns ENGINE_PAUSED when the
 * stack's owner wants its thread back: then it is to be called again, with the same stack, with
 * the unconsumed input and whatever has come after it (or without any). Meanwhile this engine may
 * only be asked or freed. Other engines may be used; one that is given the same stack returns
 * ENGINE_PAUSED, with nothing done, until this one's step is over. */
enum engine_status engine_handshake(struct engine *e, struct engine_input *in, struct buf *out,
                                    struct engine_stack *stack) __attribute__((warn_unused_result));

/* How much to read from the peer at once, `cap` at most: so much that a record ends there if the
 * next ones are as long as the last. Whole records are decrypted where they are; of others the
 * library keeps a copy until they are complete. */
size_t engine_read_size(const struct engine *e, size_t cap);

/* Decrypts into `plain` until the input is used up or `cap` is reached; `*got` is always set, and
 * valid with every status. ENGINE_OK: the caller's buffer is full, call again before anything else.
 */
enum engine_status engine_read(struct engine *e, struct engine_input *in, uint8_t *plain,
                               size_t cap, size_t *got, struct buf *out)
    __attribute__((warn_unused_result));

/* Seals all of `plain` in records of at most the size that was agreed on. ENGINE_OK or
 * ENGINE_FAILED (without memory, too). It appends at most engine_sealed_size(). */
enum engine_status engine_write(struct engine *e, const uint8_t *plain, size_t len, struct buf *out)
    __attribute__((warn_unused_result));
/* How much to write at once, `cap` at most (which is a record or more): whole records. */
size_t engine_write_size(const struct engine *e, size_t cap);
size_t engine_sealed_size(const struct engine *e, size_t plain_len);

/* After the handshake: appends close_notify (once; nothing may be written after it; reading may go
 * on). Nothing after a failure, or without memory. */
void engine_close(struct engine *e, struct buf *out);

/* After ENGINE_FAILED: the reason for the log. */
enum reason engine_failure(const struct engine *e);
/* Which certificate of the client is to blame, "CN=device (depth 0)", and for not_allowed what to
 * add to client_allow; for unknown_psk and bad_psk the identity that it named; NULL: none, or not
 * known. Until engine_free. */
const char *engine_failure_detail(const struct engine *e);
/* The alert that was sent or received with the failure; 0: none. */
uint8_t engine_alert(const struct engine *e);

/* After the handshake; static strings or owned by the engine until engine_free. */
const char *engine_version(const struct engine *e); /* "1.2", "1.3" */
const char *engine_cipher(const struct engine *e);  /* OpenSSL's name */
const char *engine_group(const struct engine *e);   /* "X25519"; NULL: no key exchange */
bool engine_is_resumed(const struct engine *e);
/* Of the client certificate, or of the pre-shared key; NULL: none. */
const char *engine_identity(const struct engine *e);
/* Whether the client presented its certificate in this connection; if it has one (engine_peer_id)
 * and did not, it was in the session that this connection resumes. */
bool engine_peer_presented(const struct engine *e);
const struct cert_id *engine_peer_id(const struct engine *e); /* NULL: no client certificate */
bool engine_has_psk(
    const struct engine *e); /* the client has a pre-shared key, not a certificate */
/* After the handshake, for revoked_sessions = end: whether the context of a later load would not
 * let the client in any more: its CRL has the client's own certificate, a CA that the client sent,
 * or the CA of its client_ca that issued the last of these; or its client_allow no entry for it, or
 * one that gives it another name; or its psk_file not the client's key under its identity. Which
 * CAs the client sent is known if its listener had revoked_sessions = end at the handshake. False
 * for clients without certificate or key, for those with certificates if the context asks for none,
 * and if it is retired. */
bool engine_is_revoked(const struct engine *e, struct tls_context *by);

#endif
