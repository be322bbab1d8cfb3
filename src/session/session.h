/* One client and its broker connection: states, pumping, the single way to end.
 *
 * A session is one allocation. What only some moments need is allocated for those moments: `struct
 * pending` until the broker is connected, a side's queue while a peer does not take all. When both
 * sockets are closed (and no slow step is under way) the session goes to the worker's dead, and is
 * freed, with all that is in it, at the end of the worker's turn: until then the
 * poller may hold its address.
 *
 * session.c owns life and end, handshake.c the way to an established TLS connection, opening.c the
 * way to a connected broker, pump.c the bytes after that. All run on the worker's thread. */
#ifndef POSTERN_SESSION_SESSION_H
#define POSTERN_SESSION_SESSION_H

#include "broker/dial.h"
#include "core/buf.h"
#include "core/list.h"
#include "core/reason.h"
#include "net/conn.h"
#include "net/deadline.h"
#include "session/runtime.h"
#include "tls/engine.h"
#include "wire/client_hello.h"
#include "wire/mqtt_connect.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

enum session_state {
    SESSION_HELLO,     /* until the ClientHello is whole */
    SESSION_HANDSHAKE, /* holds a handshake slot */
    SESSION_CONNECT,   /* established; with mqtt on, until the CONNECT packet is whole */
    SESSION_DIALING,   /* the broker is being reached */
    SESSION_STREAMING,
    SESSION_ENDED /* the closing line is written; what is queued may still leave */
};

/* A handshake step that is made on the worker's second stack (strangers.h): the engine, its input
 * and its output are apart from all others, which go on meanwhile. */
struct slow_step {
    struct buf in;       /* ciphertext of the client */
    struct engine_io io; /* in_len is what is left of it */
    enum engine_status status;
};

/* What is needed only until the broker is connected. */
struct pending {
    struct session *session;
    struct buf cipher; /* from the client, not decrypted yet */
    struct buf plain;  /* decrypted, for the broker */
    struct client_hello hello;
    struct address destination; /* from a balancer's header; ADDRESS_NONE: our own address */
    struct slow_step slow;
    struct dial dial;
};

struct session {
    struct worker *worker;
    struct runtime *runtime; /* NULL until the ClientHello is whole */
    uint32_t listener;       /* index in any runtime */
    uint16_t backend;        /* index: the one that took the connection */
    uint8_t state;           /* enum session_state */
    bool slot : 1;           /* counted in the listener's handshakes */
    bool slow : 1;           /* its handshake steps may take long */
    bool in_step : 1;        /* one is under way: nobody else touches the engine */
    bool silent : 1;         /* no byte has come */
    bool established : 1;
    bool client_eof : 1; /* its TCP end has come; what came before may still wait for the broker */
    bool header_due : 1; /* a balancer's PROXY header must come first */
    bool answer_due : 1; /* with mqtt on: the broker has not said anything yet */
    bool broker_first : 1; /* the broker ended before the client */
    struct list link;      /* in the worker's silent, sessions, over or dead */
    struct list ready;     /* in the worker's unfinished, or the strangers' waiting */
    struct list queue;     /* in a handshake queue */
    struct deadline progress, silence;
    struct engine engine;
    struct mqtt_follower follower; /* mqtt = identity: a second CONNECT would be another name */
    struct pending *pending;       /* NULL once streaming */
    char *server_name;             /* as in the ClientHello; NULL: none */
    uint64_t up, down;             /* plaintext bytes */
    uint64_t accepted_ms;
    struct address peer;
    struct conn client, broker;
};

/* --- session.c --- */

/* Takes over `fd`, a connection from `peer`, and serves what it has said already. False without
 * memory: then the connection is closed. */
bool session_begin(struct worker *w, size_t listener, int fd, const struct address *peer)
    __attribute__((warn_unused_result));

/* Goes on with both sides, where there is something to read or to send. May end the session. */
void session_serve(struct session *s);

/* Frees a dead session; on the worker's thread, and not within poller_dispatch. */
void session_free(struct session *s);

/* Whether there are descriptors for one more session, after the oldest silent client has made room
 * if need be. */
bool session_make_room(struct worker *w) __attribute__((warn_unused_result));

/* Lets the oldest silent client of this worker go, unless it has only just come. True if one went.
 */
bool session_evict_silent(struct worker *w);

/* max_connections and the backends' state, for the client behind `s->peer`. False if the session
 * ended. */
bool session_check_limits(struct session *s) __attribute__((warn_unused_result));

/* Whether that runtime's CRL lists the client's certificate. The handshake is complete. */
bool session_is_revoked(const struct session *s, const struct runtime *by);

/* A reload: ends the session if the new runtime asks for that and its CRL lists the certificate. */
void session_check_revoked(struct session *s, const struct runtime *now);

/* The only way out: writes the closing line, sends what is queued (close_notify included, where the
 * other end may still read), and closes both sockets. May be called twice; `s` may not be used
 * afterwards except in callbacks that return first when the session has ended. `error` is the
 * detail for the line, or NULL. */
void session_end(struct session *s, enum reason reason, const char *error);

/* Ends it without waiting for anything; also when it has ended and lingers. */
void session_abort(struct session *s);

/* After the closing line, when a side has nothing left to take or to say, or the slow step is over:
 * closes what is done, and is dead when all is. */
void session_linger(struct session *s);

static inline bool session_is_over(const struct session *s) {
    return s->state == SESSION_ENDED;
}

/* Of the session's runtime, or of the current one before there is a ClientHello. */
const struct config_listener *session_config(const struct session *s);

/* A deadline was reached. */
void session_on_progress_due(struct session *s);
void session_on_silence_due(struct session *s);

/* --- handshake.c --- */

/* Ciphertext came. May end the session. */
void handshake_feed(struct session *s, const uint8_t *data, size_t len);

/* One step of a queued session. */
void handshake_step(struct session *s);

/* The same in three parts, of which only the second takes long, touches nothing but the session's
 * `slow` and its engine, and may pause. The first returns false if the session ended instead. */
bool handshake_begin_slow(struct session *s) __attribute__((warn_unused_result));
void handshake_make_slow(struct session *s);
void handshake_end_slow(struct session *s);

/* The client's TCP end, or a reset, came meanwhile. Whoever leaves before the handshake was paid
 * for is dropped; later, its last words are read first: they may be the alert that says why. */
void handshake_on_client_gone(struct session *s, const char *error);

/* Gives the slot back, if the session holds one. */
void handshake_leave(struct session *s);

/* --- opening.c --- */

/* The handshake is complete: see the CONNECT packet where asked, and reach the broker. May end the
 * session. */
void connect_begin(struct session *s);

/* Ciphertext came before the broker was connected. May end the session. */
void connect_feed(struct session *s, const uint8_t *data, size_t len);
void connect_expire(struct session *s); /* connect_timeout */

/* The client's TCP end came meanwhile: goes on only for bytes that the broker is still to have. May
 * end the session. */
void connect_on_client_eof(struct session *s);

void connect_free(struct session *s);

/* --- pump.c --- */

/* Sets up the two sides, without sockets. */
void relay_init(struct session *s);

/* Reads what that side says, for the length of its turn, and sees to what waits for it. May end the
 * session. */
void relay_serve(struct session *s, struct conn *side);

/* Both ends are there: hands over what came early and starts reading. May end the session. */
void relay_start(struct session *s);

/* Client to broker: decrypts and sends. All of the ciphertext is used up, whatever the broker
 * takes. May end the session. */
void relay_up(struct session *s, const uint8_t *cipher, size_t len);

/* One side has ended in order (close_notify, FIN); the session goes on for the other, if it can. */
void relay_note_end(struct session *s, struct conn *side);

/* Sends all of it or queues the rest; false if that ended the session. */
bool relay_send(struct session *s, struct conn *to, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* Sends what the engine has appended to the worker's output. False if that ended the session. */
bool relay_flush_engine(struct session *s) __attribute__((warn_unused_result));

/* Reads that side from now on; what comes goes where the session's state wants it. */
void relay_read(struct session *s, struct conn *from);
void relay_stop_reading(struct conn *from);

#endif
