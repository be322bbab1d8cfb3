#include "broker/connect.h"

#include "broker/ports.h"
#include "broker/source.h"
#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

/* A broker on another machine that has vanished is found within two to three minutes. */
enum { KEEPALIVE_MS = 60000, USER_TIMEOUT_MS = 120000 };

/* Of so many dials one asks which port the system chose. */
enum { DIALS_PER_LOOK = 16 };

static int open_socket(struct poll_handle *handle, int family) {
    handle->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return handle->fd >= 0 ? 0 : uv_translate_sys_error(errno);
}

/* CONNECT_DONE, or 0 if it is under way, or a libuv code. Linux completes a connect over loopback
 * within the call, but still returns EINPROGRESS; a second call returns the result and saves a turn
 * of the loop. */
static int connect_to(struct poll_handle *handle, struct poller *poller, const struct sockaddr *sa,
                      socklen_t len, bool ask_again) {
    int rc = connect(handle->fd, sa, len);
    if (rc != 0 && errno == EINPROGRESS && ask_again) {
        rc = connect(handle->fd, sa, len);
    }
    if (rc == 0) {
        return CONNECT_DONE;
    }
    if (errno != EINPROGRESS && errno != EALREADY) {
        return uv_translate_sys_error(errno);
    }
    return poller_watch(poller, handle, POLLER_READABLE | POLLER_WRITABLE);
}

static int connect_unix(struct poll_handle *handle, struct poller *poller, const char *path) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof sa.sun_path) {
        return UV_ENAMETOOLONG;
    }
    memcpy(sa.sun_path, path, len + 1);
    int rc = open_socket(handle, AF_UNIX);
    if (rc != 0) {
        return rc;
    }
    return connect_to(handle, poller, (const struct sockaddr *)&sa, sizeof sa, false);
}

/* --- TCP --- */

/* Of connect_tcp, beside what connect_begin returns: the source cannot be used. */
enum { SOURCE_UNUSABLE = CONNECT_DONE + 1 };

/* The port is left to connect(2), which finds one that is free for this broker; bind(2) would take
 * one that is free for all. */
static int bind_source(const struct poll_handle *handle, const struct address *source) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(source, &sa);
    socket_set(handle->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    return bind(handle->fd, (const struct sockaddr *)&sa, len) == 0 ? 0
                                                                    : uv_translate_sys_error(errno);
}

/* Where this machine has no IPv6 address (IPv6 is off, as in many containers), connect(2) fails as
 * it does without a free port. For a datagram it fails likewise, and that needs no TCP port. */
static bool has_own_address(const struct address *to, const struct sockaddr *sa, socklen_t len) {
    if (to->family != ADDRESS_IPV6) {
        return true;
    }
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return true;
    }
    bool has = connect(fd, sa, len) == 0 || errno != EADDRNOTAVAIL;
    close(fd);
    return has;
}

/* Over loopback the kernel reports at once when the other end is closed, so that keepalive would
 * only cost a few system calls for each client. */
static int connect_tcp(struct poll_handle *handle, struct poller *poller,
                       const struct connect_target *to, const struct address *source) {
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(to->address, &sa);
    bool loopback = address_is_loopback(to->address);
    int rc = open_socket(handle, to->address->family == ADDRESS_IPV4 ? AF_INET : AF_INET6);
    if (rc != 0) {
        return rc;
    }
    rc = source->family != ADDRESS_NONE ? bind_source(handle, source) : 0;
    if (rc != 0) {
        backend_note_bad_source(to->backend, source, rc, to->now_ms);
        return SOURCE_UNUSABLE;
    }
    if (backend_searches_all_ports(to->backend)) {
        ports_search_all(handle->fd);
    }
    socket_set(handle->fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!loopback) {
        socket_keep_alive(handle->fd, KEEPALIVE_MS, USER_TIMEOUT_MS);
    }
    rc = connect_to(handle, poller, (const struct sockaddr *)&sa, len, loopback);
    if (rc == UV_EADDRNOTAVAIL && source->family == ADDRESS_NONE &&
        !has_own_address(to->address, (const struct sockaddr *)&sa, len)) {
        return UV_ENETUNREACH;
    }
    return rc;
}

/* Asking for every port would cost one more system call for each session. */
static void note_port(const struct poll_handle *handle, struct backend *b, size_t source,
                      size_t count) {
    if (backend_dials(b) % DIALS_PER_LOOK == 0) {
        backend_note_port(b, source, count, socket_own_address(handle->fd).port);
    }
}

/* From the source that had a free port last, or the next one that has. */
static int connect_from_any(struct poll_handle *handle, struct poller *poller,
                            const struct connect_target *to) {
    struct backend *b = to->backend;
    size_t count = source_count(to->sources, to->address), first = backend_source(b);
    bool used_up = false;
    if (!backend_has_ports(b, to->now_ms)) {
        return UV_EADDRNOTAVAIL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t index = (first + i) % count;
        struct address source = source_at(to->sources, to->address, index);
        int rc = connect_tcp(handle, poller, to, &source);
        if (rc != UV_EADDRNOTAVAIL && rc != SOURCE_UNUSABLE) {
            if (i > 0) {
                backend_use_source(b, index);
            }
            if (rc >= 0) {
                note_port(handle, b, index, count);
            }
            return rc;
        }
        used_up = used_up || rc == UV_EADDRNOTAVAIL;
        poll_handle_close(handle);
    }
    if (used_up) {
        backend_note_no_ports(b, to->now_ms);
    }
    return UV_EADDRNOTAVAIL;
}

int connect_begin(struct poll_handle *handle, struct poller *poller,
                  const struct connect_target *target,
                  void (*on_ready)(struct poll_handle *handle, unsigned events)) {
    const char *path = backend_path(target->backend);
    *handle = (struct poll_handle){.fd = -1, .on_ready = on_ready};
    int rc = path != NULL ? connect_unix(handle, poller, path)
                          : connect_from_any(handle, poller, target);
    if (rc < 0) {
        poll_handle_close(handle);
    }
    return rc;
}
