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

/* What is needed only until the broker is connected. */
struct pending {
    struct session *session;
    uint64_t queued_ns; /* when its handshake step became due; 0: none waits, or it has begun */
    struct buf cipher;  /* from the client, not decrypted yet */
    struct buf plain;   /* decrypted, for the broker */
    struct client_hello hello;
    struct address destination; /* from a balancer's header; ADDRESS_NONE: our own address */
    struct dial dial;
    bool secret_ready;  /* its next step's shared secret was computed ahead */
    bool dial_starting; /* within dial_start */
    bool dial_done;
    uint8_t alert; /* that answers the ClientHello; 0: none */
    int dial_status;
};

/* What is known of the ends, and where (a blank line before each, so that clang-format keeps them):
 *
 * - conn.ended: nothing more of what that peer sends is relayed. The broker: a FIN or an error. The
 *   client: its close_notify or an error, and a FIN only while closing. What a client sends after
 *   its close_notify is read and dropped.
 *
 * - client_eof: the client's FIN has come. What came before may still have to be decrypted, and
 *   holds a close_notify if the client ended in order.
 *
 * - conn.shut_wanted: nothing more is queued for that peer; conn.shut: our FIN is out.
 *
 * - broker_first: the broker ended before the client: the reason of the closing line.
 *
 * - phase == CLOSING: the session has ended: the closing line is written.
 *
 * What the socket itself reported (hung_up, at_end) is conn.h's. session_check_ends asserts what
 * follows from what, after each event that session.c passes to a phase. */
struct session {
    struct pool *pool;
    struct pool_member member;
    struct runtime *runtime; /* NULL until the ClientHello is whole */
    uint32_t listener;       /* index in any runtime */
    uint32_t wait_began_ms;  /* since accepted_ms */
    uint16_t route;          /* of its listener in `runtime`: see runtime_at */
    uint16_t backend;        /* index: the one that took the connection */
    uint8_t phase;           /* enum phase_id */
    uint8_t wait;            /* enum wait_kind: the pool's list that it is in */
    bool silent : 1;         /* no byte has come */
    bool header_due : 1;     /* a balancer's PROXY header must come first */
    bool heavy : 1;          /* its handshake steps may take long */
    bool in_steps : 1;       /* counted in limits: a handshake step waits for us */
    bool in_newcomers : 1;   /* counted in limits, with its listener */
    bool in_handshakes : 1;  /* counted in limits, with its address */
    bool in_connections : 1; /* counted in limits, with its address */
    bool established : 1;    /* the handshake is complete */
    bool answer_due : 1;     /* with mqtt on: the broker has not sent anything yet */
    bool answer_open : 1;    /* with mqtt on: its first packet is not known yet */
    bool client_eof : 1;
    bool broker_first : 1;
    struct engine *engine;         /* NULL until the handshake begins, and after it failed */
    struct mqtt_follower follower; /* mqtt = identity: a second CONNECT would be another name */
    struct mqtt_answer answer;     /* with mqtt on: whether the broker refuses the login */
    uint32_t accepted_s;           /* by the system's clock then: seconds since 1970 */
    struct pending *pending;       /* from the first byte on; NULL once relaying */
    char *server_name;             /* as in the ClientHello; NULL: none */
    uint64_t up, down;             /* plaintext bytes */
    uint64_t accepted_ms;          /* by the loop's clock */
    struct address client_addr;
    struct conn client, broker;
};

static inline struct session *session_of(struct pool_member *m) {
    return container_of(m, struct session, member);
}

/* The session is in that phase from now on, and counted there. */
void session_set_phase(struct session *s, enum phase_id phase);

/* What its listener counts on this thread. */
struct metrics_listener *session_metrics(const struct session *s);

/* Takes the runtime, and the route in it for the session's ClientHello. */
void session_take_runtime(struct session *s, struct runtime *runtime);

/* The session's route, or else its listener: of its runtime, or of the current one before there is
 * a ClientHello. */
const struct runtime_listener *session_listener(const struct session *s);
const struct config_listener *session_config(const struct session *s);

static inline bool session_is_closing(const struct session *s) {
    return s->phase == PHASE_CLOSING;
}

/* Starts and stops reading that connection; what comes goes to the session's phase. Reading stays
 * off after the end of what the peer sends. */
void session_read(struct session *s, struct conn *from);
void session_stop_reading(struct conn *from);

void session_free_pending(struct session *s);

/* The session waits for its client from now on, as the newest of that kind. */
void session_await(struct session *s, enum wait_kind kind);
/* It no longer does, if it did. */
void session_stop_waiting(struct session *s);

void session_check_ends(const struct session *s);

#endif
