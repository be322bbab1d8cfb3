/* Bytes to a session's two sockets, and what a failure to send means: common ground of the phases.
 */
#ifndef POSTERN_SESSION_TRANSFER_H
#define POSTERN_SESSION_TRANSFER_H

#include "session/phase.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sends all of it or queues what the peer does not take. */
enum verdict transfer_send(struct session *s, struct conn *to, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* Sends what the engine has appended to the pool's output; drops it once client.shut_wanted is set.
 */
enum verdict transfer_flush_engine(struct session *s) __attribute__((warn_unused_result));

/* Decrypts ciphertext that came before the broker is connected into pending->plain. Sets
 * client.ended when it held the client's close_notify. */
enum verdict transfer_decrypt_early(struct session *s, uint8_t *cipher, size_t len)
    __attribute__((warn_unused_result));

/* The same of what is in pending->cipher, as after the end of the handshake; empties it. */
enum verdict transfer_decrypt_pending(struct session *s) __attribute__((warn_unused_result));

/* While something is queued the progress deadline is write_timeout's, but only from the broker's
 * first answer on: before that it is connect_timeout's. */
enum verdict transfer_watch_queues(struct session *s) __attribute__((warn_unused_result));

/* Both sides have ended in order: the one that was first names the reason. */
enum verdict transfer_end_closed(struct session *s) __attribute__((warn_unused_result));

/* A socket failed: ends the session. Once either side has ended in order, that is just a way of
 * closing. */
enum verdict transfer_end_broken(struct session *s, struct conn *conn, int code)
    __attribute__((warn_unused_result));

/* The engine of an established session failed: ends the session. */
enum verdict transfer_end_engine(struct session *s) __attribute__((warn_unused_result));

/* The end of a broken socket, as the functions that a phase's table wants. */
enum verdict transfer_on_client_error(struct session *s, int code);
enum verdict transfer_on_send_error(struct session *s, struct conn *to, int code);

#endif
