/* Sockets in memory, between the product's system calls and the peers of a test.
 *
 * --wrap gives socket(2), connect(2), send(2) and the others that the product calls to this file.
 * A pipe each way holds what is on its way; it takes only so much, and its size changes, so that
 * partial writes and EAGAIN happen. What an event reports follows epoll(7) with EPOLLET. */
#ifndef POSTERN_SIM_SOCKETS_H
#define POSTERN_SIM_SOCKETS_H

#include "core/address.h"
#include "core/list.h"
#include "net/poller.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct sim_pipe {
    uint8_t *data;
    size_t head, len, capacity;
    bool fixed; /* the capacity */
};

struct sim_socket {
    int fd;                     /* the product's; -1: not accepted yet, or closed */
    bool closed;                /* by the product */
    bool connecting, connected; /* of socket(2): until and after connect(2) has succeeded */
    struct sim_pipe in, out;    /* to the product, and from it */
    bool in_fin, out_fin;       /* FIN after what is in the pipe */
    bool reset;                 /* the connection is dead, either way */
    bool gone;                  /* the peer reads nothing more: the next send resets */
    bool cut;                   /* the product closed it with something queued */
    bool no_space;              /* send took less than it was given */
    int error;                  /* SO_ERROR */
    struct address own, remote; /* remote: what the product connects to */
    struct list ready;          /* in the poller's list, or in none */
    struct poll_handle *handle; /* watched; NULL: not */
    void *peer;                 /* the test's */
    bool dropped;               /* by the peer */
};

/* --- for the tests --- */

enum { SIM_PIPE_MAX = 65536 };

/* What the product's connect(2) meets: 0, EINPROGRESS (until sim_connected or sim_refuse), or
 * another code. `path` is NULL for TCP, whose address is in sock->remote. */
struct sim_hooks {
    int (*on_connect)(struct sim_socket *sock, const char *path);
    void (*on_closed)(struct sim_socket *sock); /* by the product; the peer may still read */
    bool troubled; /* now and then a call finds no descriptors or no memory */
};
void sim_sockets_begin(const struct sim_hooks *hooks);

/* A connection from a peer, which waits to be accepted. The peer drops it once. */
struct sim_socket *sim_socket_new(void);
void sim_socket_drop(struct sim_socket *sock);

int sim_accept(struct sim_socket *sock);  /* a descriptor for the product */
struct sim_socket *sim_socket_of(int fd); /* NULL: not open */
size_t sim_open_descriptors(void);

void sim_connected(struct sim_socket *sock);
void sim_refuse(struct sim_socket *sock, int error);

/* What the peer does. Sending gives what the pipe took; reading what was there. */
size_t sim_peer_room(const struct sim_socket *sock);
size_t sim_peer_send(struct sim_socket *sock, const void *data, size_t len);
size_t sim_peer_read(struct sim_socket *sock, void *into, size_t room);
void sim_peer_fin(struct sim_socket *sock);
void sim_peer_reset(struct sim_socket *sock);
void sim_peer_leave(struct sim_socket *sock); /* close(2): FIN, and RST for what comes later */
bool sim_peer_at_end(const struct sim_socket *sock); /* FIN, and all before it is read */

/* What the poller may report of it now (enum poller_event). */
unsigned sim_socket_events(const struct sim_socket *sock);

/* Whether a call fails now for want of something, one in so many; and how often one has. */
bool sim_has_trouble(unsigned one_in);
void sim_note_trouble(void); /* of another kind */
size_t sim_troubles(void);

/* --- for the poller --- */

void sim_poller_note(struct sim_socket *sock); /* something has become possible */
void sim_close(int fd);

#endif
