/* Messages that carry open descriptors from one process to another (unix(7), SCM_RIGHTS). */
#ifndef POSTERN_SERVER_PASSING_H
#define POSTERN_SERVER_PASSING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { PASSING_MAX = 64 }; /* descriptors in one message; the kernel allows 253 */

/* Sends one message over a unix datagram or packet socket, to that address or (NULL) to its peer,
 * without waiting. The descriptors stay the caller's. False with errno. */
bool passing_send(int fd, const struct sockaddr *to, socklen_t to_len, const void *data, size_t len,
                  const int *fds, size_t count) __attribute__((warn_unused_result));

/* Receives one message. Its descriptors are the caller's, close-on-exec, and `*count` of them. The
 * number of bytes; 0 at the end; -1 with errno: EMSGSIZE for a message that is longer or has more
 * descriptors than there is room for, or than this process may open; all of it is dropped then. */
ssize_t passing_receive(int fd, void *data, size_t size, int fds[PASSING_MAX], size_t *count)
    __attribute__((warn_unused_result));

#endif
