/* The two ends that a session stands between: clients of every kind, and brokers. Both check all
 * that arrives against what the other end has sent, and every end against what may have caused it.
 */
#ifndef POSTERN_SIM_PEERS_H
#define POSTERN_SIM_PEERS_H

#include "core/buf.h"
#include "core/list.h"
#include "core/reason.h"
#include "site.h"
#include "sockets.h"
#include "stream.h"

#include <stdbool.h>
#include <stdint.h>

enum client_kind {
    CLIENT_GOOD,
    CLIENT_SILENT,
    CLIENT_GARBAGE,        /* noise instead of TLS */
    CLIENT_PLAINTEXT,      /* MQTT without TLS */
    CLIENT_BAD_HELLO,      /* TLS records around noise */
    CLIENT_HALF_HELLO,     /* a ClientHello that is never whole */
    CLIENT_OLD,            /* TLS 1.1 */
    CLIENT_NO_CIPHER,      /* offers nothing that is spoken here */
    CLIENT_DISTRUSTS,      /* does not accept our certificate */
    CLIENT_NOT_MQTT,       /* says something else where a CONNECT is due */
    CLIENT_SECOND_CONNECT, /* with mqtt = identity: tries another name later */
    CLIENT_FOREIGN_ID,     /* with client_id = prefix: uses the client ID of another */
    CLIENT_BAD_HEADER,     /* a balancer whose header is none */
    CLIENT_KINDS
};

struct broker_end;

struct client {
    struct list link;
    unsigned id;
    enum client_kind kind;
    size_t listener;
    int version;
    enum site_cert cert;
    struct address addr, origin; /* of the connection; of the client that the balancer speaks for */
    struct sim_socket *sock;
    struct buf raw; /* leaves before anything of TLS */
    SSL *ssl;       /* NULL: does not speak TLS */
    bool offers_session;
    unsigned reloads; /* how many there were when it began */
    struct stream up, up_at_broker, down;
    uint64_t up_sent, up_max, down_got;
    bool shaken;     /* hands */
    bool close_sent; /* close_notify */
    bool fin_due;    /* after what waits to leave */
    bool close_heard, fin_heard, broken;
    bool spoiled;      /* has done something after which nothing is certain */
    bool damaged;      /* has sent bytes that are not TLS any more */
    bool updates;      /* has asked for more answers than it reads */
    bool corrupt_next; /* of what leaves, one byte is changed */
    uint64_t stalled_until_ms;
    struct broker_end *broker; /* that took the connection; NULL: none has */

    /* What the product says of it. */
    unsigned lines;
    enum reason reason;
    bool established;
    bool kept; /* established before the reload that lists its certificate */
    uint64_t up_logged, down_logged;
};

/* A broker's end of one connection, or of one that is not made yet. */
struct broker_end {
    struct list link;
    struct sim_socket *sock;
    struct client *client;
    bool header_due;
    struct buf header;
    uint64_t up_got, down_sent, down_max;
    bool fin_sent, fin_heard, spoiled;
    uint64_t stalled_until_ms;
};

/* --- clients --- */

struct client *client_new(enum client_kind kind, size_t listener, enum site_cert cert);
void client_free(struct client *c); /* its socket is closed by the product */

void client_send(struct client *c, size_t len); /* of what waits, or of something new */
void client_read(struct client *c, size_t len);
void client_close(struct client *c, bool fin); /* close_notify; then FIN, or only later */
void client_fin(struct client *c);
void client_reset(struct client *c);
void client_leave(struct client *c);
void client_update_keys(struct client *c, unsigned times);
void client_corrupt(struct client *c);

/* Its connection is closed: whatever it may still hear, and whether it could end like that. */
void client_check_end(struct client *c);

/* Bytes that its broker should have when all has arrived. */
uint64_t client_owes_broker(const struct client *c);

void clients_forget_sessions(void); /* of TLS, that later clients resume */

/* --- brokers --- */

struct broker_end *broker_new(struct sim_socket *sock, struct client *c);
void broker_free(struct broker_end *b);
void broker_take(struct broker_end *b); /* the connection is made */

void broker_send(struct broker_end *b, size_t len);
void broker_read(struct broker_end *b, size_t len);
void broker_fin(struct broker_end *b);
void broker_reset(struct broker_end *b);

/* Whether both sides ended in order, and the log says so: then nothing may be missing. */
bool peers_ended_in_order(const struct client *c);

#endif
