#include "server/passing.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* In musl, where both lengths are a socklen_t, CMSG_NXTHDR has such a conversion. */
#pragma GCC diagnostic ignored "-Wsign-conversion"

bool passing_send(int fd, const struct sockaddr *to, socklen_t to_len, const void *data, size_t len,
                  const int *fds, size_t count) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSING_MAX * sizeof(int))] = {0};
    struct iovec text = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
                             .msg_namelen = to_len,
                             .msg_iov = &text,
                             .msg_iovlen = 1};
    if (count > PASSING_MAX) {
        errno = EMSGSIZE;
        return false;
    }
    if (count > 0) {
        message.msg_control = control;
        message.msg_controllen = (socklen_t)CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = (socklen_t)CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    ssize_t sent;
    do {
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* The kernel installs what fits into the control buffer, which is PASSING_MAX descriptors. */
static size_t take_descriptors(struct msghdr *message, int fds[PASSING_MAX]) {
    size_t count = 0;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h != NULL; h = CMSG_NXTHDR(message, h)) {
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
            size_t here = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds + count, CMSG_DATA(h), here * sizeof(int));
            count += here;
        }
    }
    return count;
}

ssize_t passing_receive(int fd, void *data, size_t size, int fds[PASSING_MAX], size_t *count) {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSING_MAX * sizeof(int))];
    struct iovec text = {.iov_base = data, .iov_len = size};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    *count = 0;
    do {
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return -1;
    }
    *count = take_descriptors(&message, fds);
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
        while (*count > 0) {
            close(fds[--*count]);
        }
        errno = EMSGSIZE;
        return -1;
    }
    return got;
}
