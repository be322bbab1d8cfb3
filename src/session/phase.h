/* What the phases of a session have in common: a table of functions, each with a verdict.
 *
 * A session goes through hello, handshake, first byte (with mqtt on: connect packet), dialling,
 * relaying, and from any of them to closing. session.c alone knows the order; a phase knows neither
 * the others nor who comes next. */
#ifndef POSTERN_SESSION_PHASE_H
#define POSTERN_SESSION_PHASE_H

#include <stddef.h>
#include <stdint.h>

struct conn;
struct session;

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

enum verdict {
    SESSION_GOES_ON,    /* in this phase */
    SESSION_NEXT_PHASE, /* this phase is complete */
    SESSION_ENDED       /* the closing line is written; the session is valid until the end of the
                           turn, but nothing may be done with it any more */
};

/* The caller acts on the verdict. A function is NULL only where its event cannot come in the phase
 * (no broker is open before dialling is over, and a deadline that is not set does not come): it is
 * called without a look. on_served, on_sent and enter may also be NULL where there is nothing to
 * do.
 *
 * A session has two deadlines. Progress: this step must be complete by then (handshake_timeout,
 * connect_packet_timeout, connect_timeout, write_timeout). Silence: begins anew with what comes
 * (first_byte_timeout, first_data_timeout, idle_timeout, close_timeout, and the two seconds of
 * closing). */
struct phase {
    enum verdict (*enter)(struct session *s);
    enum verdict (*on_served)(
        struct session *s); /* the scheduler has time for what it waited for */

    /* What came on a socket; `data` is valid during the call and may be overwritten. `code` is a
     * libuv code. After an end or an error nothing more comes from that socket. */
    enum verdict (*on_client_bytes)(struct session *s, uint8_t *data, size_t len);
    enum verdict (*on_client_eof)(struct session *s);
    enum verdict (*on_client_error)(struct session *s, int code);
    enum verdict (*on_broker_bytes)(struct session *s, uint8_t *data, size_t len);
    enum verdict (*on_broker_eof)(struct session *s);
    enum verdict (*on_broker_error)(struct session *s, int code);

    enum verdict (*on_sent)(struct session *s, struct conn *to); /* its queue is empty again */
    enum verdict (*on_send_error)(struct session *s, struct conn *to, int code);

    enum verdict (*on_progress_due)(struct session *s);
    enum verdict (*on_silence_due)(struct session *s);
};

extern const struct phase phase_hello, phase_handshake, phase_first_byte, phase_connect_packet,
    phase_dialling, phase_relaying, phase_closing;

#endif
