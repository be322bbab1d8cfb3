/* The inside of a session, for the files of src/session/ alone.
 *
 * A session is one allocation. What only some phases need is allocated for them: `struct pending`
 * until the broker is connected, a connection's queue while its peer does not take all. When both
 * sockets are closed the session is freed at the end of the turn, with all that is in it: until
 * then the poller may hold its address. */
#ifndef POSTERN_SESSION_STATE_H
#define POSTERN_SESSION_STATE_H

#include "broker/dial.h"
#include "core/address.h"
#include "core/buf.h"
#include "net/conn.h"
#include "session/phase.h"
#include "session/pool.h"
#include "session/runtime.h"
#include "tls/engine.h"
#include "wire/client_hello.h"
#include "wire/mqtt_answer.h"
#include "wire/mqtt_connect.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum phase_id {
    PHASE_HELLO,          /* until the ClientHello is whole */
    PHASE_HANDSHAKE,      /* a step waits for us, or the client is awaited */
    PHASE_FIRST_BYTE,     /* with mqtt off: until the client has sent a byte of plaintext */
    PHASE_CONNECT_PACKET, /* with mqtt on: until the CONNECT packet is whole */
    PHASE_DIALLING,       /* the broker is being reached */
    PHASE_RELAYING,
    PHASE_CLOSING, /* the closing line is written; what is queued may still leave */
    PHASE_COUNT
};

/* What is needed only until the broker is connected. */
struct pending {
    struct session *session;
    struct buf cipher; /* from the client, not decrypted yet */
    struct buf plain;  /* decrypted, for the broker */
    struct client_hello hello;
    struct address destination; /* from a balancer's header; ADDRESS_NONE: our own address */
    struct dial dial;
    bool dial_starting; /* within dial_start */
    bool dial_done;
    int dial_status;
};

/* Ends. There are five facts about them, and each has one place:
 *   conn.ended         that peer will say nothing more: a FIN, an error, or (the client) its
 *                      close_notify. Nothing is read from it any more, except while closing.
 *   client_eof         the client's TCP end has come. What came before may still have to be
 *                      decrypted, and holds a close_notify if the client ended in order.
 *   conn.shut_wanted   we will send it nothing more; conn.shut: our FIN is out.
 *   broker_first       the broker ended before the client: the reason of the closing line.
 *   phase == CLOSING   the session has ended: the closing line is written.
 * session_check_ends asserts what follows from what. */
struct session {
    struct pool *pool;
    struct pool_member member;
    struct runtime *runtime; /* NULL until the ClientHello is whole */
    uint32_t listener;       /* index in any runtime */
    uint32_t wait_began_ms;  /* since accepted_ms */
    uint16_t backend;        /* index: the one that took the connection */
    uint8_t phase;           /* enum phase_id */
    uint8_t wait;            /* enum wait_kind: the pool's list that it is in */
    bool silent : 1;         /* no byte has come */
    bool header_due : 1;     /* a balancer's PROXY header must come first */
    bool heavy : 1;          /* its handshake steps may take long */
    bool counted : 1;        /* in limits: a handshake step waits for us */
    bool newcomer : 1;       /* its listener has a newcomer more in limits */
    bool shaking : 1;        /* its address has a handshake more in limits */
    bool listed : 1;         /* its address has a connection more in limits */
    bool established : 1;    /* the handshake is complete */
    bool answer_due : 1;     /* with mqtt on: the broker has not sent anything yet */
    bool answer_open : 1;    /* with mqtt on: its first packet is not known yet */
    bool client_eof : 1;
    bool broker_first : 1;
    struct engine *engine;         /* NULL until the handshake begins, and after it failed */
    struct mqtt_follower follower; /* mqtt = identity: a second CONNECT would be another name */
    struct mqtt_answer answer;     /* with mqtt on: whether the broker refuses the login */
    struct pending *pending;       /* from the first byte on; NULL once relaying */
    char *server_name;             /* as in the ClientHello; NULL: none */
    uint64_t up, down;             /* plaintext bytes */
    uint64_t accepted_ms;
    struct address client_addr;
    struct conn client, broker;
};

static inline struct session *session_of(struct pool_member *m) {
    return container_of(m, struct session, member);
}

/* Of the session's runtime, or of the current one before there is a ClientHello. */
const struct runtime_listener *session_listener(const struct session *s);
const struct config_listener *session_config(const struct session *s);

static inline bool session_is_closing(const struct session *s) {
    return s->phase == PHASE_CLOSING;
}

/* Reads that connection from now on, or no more; what comes goes to the session's phase. Reading
 * stays off after the end of what the peer sends. */
void session_read(struct session *s, struct conn *from);
void session_stop_reading(struct conn *from);

void session_free_pending(struct session *s);

/* The session waits for its client, as the newest of its kind; or no more (harmless if it does
 * not). */
void session_await(struct session *s, enum wait_kind kind);
void session_await_no_more(struct session *s);

void session_check_ends(const struct session *s);

#endif
