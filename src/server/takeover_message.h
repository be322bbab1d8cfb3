/* What two Posterns say to each other when the new one takes the listening sockets over from the
 * old one: the messages, their bounds, and the version of the whole.
 *
 * Over a unix packet socket (SOCK_SEQPACKET), which keeps messages apart. The new one speaks, and
 * each of its messages has one answer:
 *
 *   new                       old
 *   postern-takeover VERSION  welcome VERSION PID, or refused REASON
 *   next                      one of: sockets fixed | sockets chosen, with 1 to 64 descriptors of
 *                             one address ("chosen": its port was the system's choice);
 *                             path, with the descriptor of the takeover socket itself;
 *                             admin DEVICE INODE, with that of the admin socket: which file it
 *                             has, or 0 0;
 *                             tickets, a line feed, and what tls_tickets_export made;
 *                             end
 *   serving                   taken: from now on the new one alone accepts connections
 *
 * "refused REASON" may come in place of any answer, also without being asked: the old one goes on,
 * and the new one must end. An end of the connection without it means that the other process has
 * ended. A message that is not understood is refused: there are no optional ones, and a change that
 * adds one gives the whole another version. */
#ifndef POSTERN_SERVER_TAKEOVER_MESSAGE_H
#define POSTERN_SERVER_TAKEOVER_MESSAGE_H

#include "server/passing.h"
#include "server/socket_file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TAKEOVER_VERSION = 1, TAKEOVER_MESSAGE_MAX = 2048 };

enum takeover_kind {
    TAKEOVER_BAD,         /* not one of these, or receiving failed */
    TAKEOVER_NOTHING,     /* none is there yet, or none came in time */
    TAKEOVER_END_OF_FILE, /* the other process has ended */
    TAKEOVER_REQUEST,     /* `number` is the version */
    TAKEOVER_WELCOME,     /* `number` is the version, `pid` the old process */
    TAKEOVER_NEXT,
    TAKEOVER_SOCKETS, /* `chosen`, and descriptors */
    TAKEOVER_PATH,    /* one descriptor */
    TAKEOVER_ADMIN,   /* one descriptor, and `file` */
    TAKEOVER_TICKETS, /* `data` */
    TAKEOVER_END,
    TAKEOVER_SERVING,
    TAKEOVER_TAKEN,
    TAKEOVER_REFUSED /* `data` is the reason, and ends with NUL */
};

/* Filled here; others read it, and take descriptors out by setting them to -1. */
struct takeover_message {
    enum takeover_kind kind;
    unsigned long number;
    pid_t pid;
    bool chosen;
    struct socket_identity file;
    const uint8_t *data; /* in `bytes` */
    size_t len;
    int fds[PASSING_MAX];
    size_t fd_count;
    uint8_t bytes[TAKEOVER_MESSAGE_MAX + 1];
};

/* Receives one message; on a socket that does not block, TAKEOVER_NOTHING if none is there. Its
 * descriptors must be given back by takeover_message_clear. */
void takeover_receive(int fd, struct takeover_message *message);

/* Closes the descriptors that nobody has taken, and wipes the rest. */
void takeover_message_clear(struct takeover_message *message);

/* Sends a message of text, without waiting: there is room for it, as each message waits for its
 * answer. False if the other process has ended, which receiving reports as well. */
bool takeover_send(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool takeover_send_sockets(int fd, bool chosen, const int *fds, size_t count)
    __attribute__((warn_unused_result));
bool takeover_send_path(int fd, int path) __attribute__((warn_unused_result));
bool takeover_send_admin(int fd, const struct socket_given *admin)
    __attribute__((warn_unused_result));
bool takeover_send_tickets(int fd, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

#endif
