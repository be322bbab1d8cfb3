#include "sockets.h"

#include "allocations.h"
#include "random.h"
#include "trace.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* Descriptors above those that the system gives. As there, the lowest free one is taken: a closed
 * one is soon somebody else's. */
enum { FIRST_FD = 1000000, FDS_MAX = 4096 };

static struct sim_socket *descriptors[FDS_MAX];
static size_t open_descriptors, troubles;
static struct sim_hooks hooks;

void sim_sockets_begin(const struct sim_hooks *with) {
    NEED(open_descriptors == 0, "%zu descriptors are left open", open_descriptors);
    hooks = *with;
}

bool sim_has_trouble(unsigned one_in) {
    bool has = hooks.troubled && random_one_in(one_in);
    troubles += has;
    return has;
}

void sim_note_trouble(void) {
    troubles++;
}

size_t sim_troubles(void) {
    return troubles;
}

static bool is_interrupted(void) {
    return random_one_in(200);
}

/* --- pipes --- */

static size_t some_capacity(void) {
    static const size_t capacities[] = {100, 1460, 5000, 16384, 40000, SIM_PIPE_MAX};
    return capacities[random_below(sizeof capacities / sizeof *capacities)];
}

static void pipe_init(struct sim_pipe *p) {
    *p = (struct sim_pipe){.data = malloc(SIM_PIPE_MAX), .capacity = some_capacity()};
    NEED(p->data != NULL, "no memory");
}

static size_t pipe_room(const struct sim_pipe *p) {
    return p->capacity > p->len ? p->capacity - p->len : 0;
}

static size_t pipe_put(struct sim_pipe *p, const void *data, size_t len) {
    size_t n = len < pipe_room(p) ? len : pipe_room(p);
    if (p->head + p->len + n > SIM_PIPE_MAX) {
        memmove(p->data, p->data + p->head, p->len);
        p->head = 0;
    }
    memcpy(p->data + p->head + p->len, data, n);
    p->len += n;
    return n;
}

static size_t pipe_take(struct sim_pipe *p, void *into, size_t room) {
    size_t n = room < p->len ? room : p->len;
    memcpy(into, p->data + p->head, n);
    p->head += n;
    p->len -= n;
    if (p->len == 0) {
        p->head = 0;
        p->capacity = p->fixed ? p->capacity : some_capacity();
    }
    return n;
}

static void pipe_empty(struct sim_pipe *p) {
    p->head = p->len = 0;
}

/* --- sockets --- */

struct sim_socket *sim_socket_new(void) {
    unsigned failing = allocations_fail_one_in(0);
    struct sim_socket *sock = calloc(1, sizeof *sock);
    NEED(sock != NULL, "no memory");
    sock->fd = -1;
    sock->connected = true;
    list_init(&sock->ready);
    pipe_init(&sock->in);
    pipe_init(&sock->out);
    allocations_fail_one_in(failing);
    return sock;
}

static void free_if_unused(struct sim_socket *sock) {
    if (sock->fd < 0 && sock->dropped) {
        list_remove(&sock->ready);
        free(sock->in.data);
        free(sock->out.data);
        free(sock);
    }
}

void sim_socket_drop(struct sim_socket *sock) {
    sock->dropped = true;
    free_if_unused(sock);
}

int sim_accept(struct sim_socket *sock) {
    int i = 0;
    while (descriptors[i] != NULL) {
        i++;
        NEED(i < FDS_MAX, "descriptors run out");
    }
    descriptors[i] = sock;
    sock->fd = FIRST_FD + i;
    open_descriptors++;
    return sock->fd;
}

struct sim_socket *sim_socket_of(int fd) {
    return fd >= FIRST_FD && fd < FIRST_FD + FDS_MAX ? descriptors[fd - FIRST_FD] : NULL;
}

static struct sim_socket *of_call(int fd, const char *call) {
    struct sim_socket *sock = sim_socket_of(fd);
    NEED(sock != NULL, "%s of descriptor %d, which is not open", call, fd);
    return sock;
}

size_t sim_open_descriptors(void) {
    return open_descriptors;
}

/* Half of the pipe at most is in use, as the kernel wants it. */
static bool is_writable(const struct sim_socket *sock) {
    return pipe_room(&sock->out) * 2 >= sock->out.len && pipe_room(&sock->out) > 0;
}

unsigned sim_socket_events(const struct sim_socket *sock) {
    bool dead = sock->reset, ended = sock->in_fin || dead;
    if (sock->connecting) {
        return 0;
    }
    return (sock->in.len > 0 || ended ? POLLER_READABLE : 0u) | (ended ? POLLER_HANGUP : 0u) |
           (is_writable(sock) || dead || (sock->in_fin && sock->out_fin) ? POLLER_WRITABLE : 0u) |
           (sock->error != 0 ? POLLER_ERROR : 0u);
}

static void kill_connection(struct sim_socket *sock, int error) {
    sock->reset = true;
    sock->error = error;
    pipe_empty(&sock->out);
    sim_poller_note(sock);
}

void sim_connected(struct sim_socket *sock) {
    sock->connecting = false;
    sock->connected = true;
    sim_poller_note(sock);
}

void sim_refuse(struct sim_socket *sock, int error) {
    sock->connecting = false;
    kill_connection(sock, error);
}

/* --- the peer --- */

size_t sim_peer_room(const struct sim_socket *sock) {
    return sock->closed || sock->reset ? SIZE_MAX : pipe_room(&sock->in);
}

size_t sim_peer_send(struct sim_socket *sock, const void *data, size_t len) {
    if (sock->closed || sock->reset) {
        return len; /* it is lost */
    }
    size_t n = pipe_put(&sock->in, data, len);
    if (n > 0) {
        sim_poller_note(sock);
    }
    return n;
}

size_t sim_peer_read(struct sim_socket *sock, void *into, size_t room) {
    size_t n = pipe_take(&sock->out, into, room);
    if (n > 0 && sock->no_space && is_writable(sock)) {
        sock->no_space = false;
        sim_poller_note(sock);
    }
    return n;
}

void sim_peer_fin(struct sim_socket *sock) {
    if (!sock->in_fin && !sock->reset && !sock->closed) {
        sock->in_fin = true;
        sim_poller_note(sock);
    }
}

void sim_peer_reset(struct sim_socket *sock) {
    if (!sock->reset && !sock->closed) {
        kill_connection(sock, sock->in_fin ? EPIPE : ECONNRESET);
    }
}

void sim_peer_leave(struct sim_socket *sock) {
    sock->gone = true;
    if (sock->out.len > 0) {
        sim_peer_reset(sock);
    } else {
        sim_peer_fin(sock);
    }
}

bool sim_peer_at_end(const struct sim_socket *sock) {
    return sock->out_fin && sock->out.len == 0 && !sock->reset;
}

/* --- the product's calls --- */

int __wrap_socket(int family, int type, int protocol);
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_getsockname(int fd, struct sockaddr *sa, socklen_t *len);
ssize_t __wrap_recv(int fd, void *into, size_t room, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);
int __wrap_shutdown(int fd, int how);
int __wrap_close(int fd);
int __real_close(int fd);

static int fail(int error) {
    errno = error;
    return -1;
}

int __wrap_socket(int family, int type, int protocol) {
    NEED(type == (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC), "socket(2) of type %d", type);
    if (sim_has_trouble(300)) {
        return fail(EMFILE);
    }
    struct sim_socket *sock = sim_socket_new();
    sock->connected = false;
    sock->dropped = true; /* until a peer takes it */
    return sim_accept(sock);
}

int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len) {
    of_call(fd, "bind")->own = address_from_sockaddr(sa, len);
    return 0;
}

/* The second call for the same connection gives the result of the first. */
int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len) {
    struct sim_socket *sock = of_call(fd, "connect");
    const char *path = sa->sa_family == AF_UNIX ? ((const struct sockaddr_un *)sa)->sun_path : NULL;
    if (sock->connecting) {
        return fail(EALREADY);
    }
    if (sock->error != 0) {
        int error = sock->error;
        sock->error = 0;
        return fail(error);
    }
    if (sock->connected) {
        return 0;
    }
    if (path == NULL) {
        sock->remote = address_from_sockaddr(sa, len);
    }
    int code = hooks.on_connect(sock, path);
    if (path != NULL) {
        sock->connected = code == 0;
        return code == 0 ? 0 : fail(code);
    }
    sock->connecting = code == EINPROGRESS;
    sock->connected = code == 0;
    if (code != 0 && code != EINPROGRESS) {
        sock->reset = true;
        sock->error = code;
    }
    return fail(EINPROGRESS);
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
    struct sim_socket *sock = of_call(fd, "getsockopt");
    NEED(level == SOL_SOCKET && name == SO_ERROR && *len == sizeof(int), "getsockopt(2)");
    memcpy(value, &sock->error, sizeof sock->error);
    sock->error = 0;
    return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
    (void)of_call(fd, "setsockopt");
    return random_one_in(50) ? fail(ENOPROTOOPT) : 0;
}

int __wrap_getsockname(int fd, struct sockaddr *sa, socklen_t *len) {
    struct sim_socket *sock = of_call(fd, "getsockname");
    struct sockaddr_storage own;
    socklen_t size = address_to_sockaddr(&sock->own, &own);
    memcpy(sa, &own, *len < size ? *len : size);
    *len = size;
    return 0;
}

static ssize_t end_of_reading(struct sim_socket *sock) {
    if (sock->error != 0) {
        int error = sock->error;
        sock->error = 0;
        return fail(error);
    }
    return sock->reset || sock->in_fin ? 0 : fail(EAGAIN);
}

ssize_t __wrap_recv(int fd, void *into, size_t room, int flags) {
    struct sim_socket *sock = of_call(fd, "recv");
    NEED(sock->connected && flags == 0, "recv(2) of descriptor %d", fd);
    if (is_interrupted()) {
        return fail(EINTR);
    }
    return sock->in.len > 0 ? (ssize_t)pipe_take(&sock->in, into, room) : end_of_reading(sock);
}

ssize_t __wrap_send(int fd, const void *data, size_t len, int flags) {
    struct sim_socket *sock = of_call(fd, "send");
    NEED(sock->connected && (flags & MSG_NOSIGNAL) != 0, "send(2) to descriptor %d", fd);
    NEED(!sock->out_fin && len > 0, "send(2) of %zu bytes after FIN: %d", len, sock->out_fin);
    if (is_interrupted()) {
        return fail(EINTR);
    }
    if (sock->error != 0) {
        return end_of_reading(sock);
    }
    if (sock->reset) {
        return fail(EPIPE);
    }
    size_t n = pipe_put(&sock->out, data, len);
    sock->no_space = sock->no_space || n < len;
    if (sock->gone) {
        kill_connection(sock, EPIPE);
    }
    return n > 0 ? (ssize_t)n : fail(EAGAIN);
}

int __wrap_shutdown(int fd, int how) {
    struct sim_socket *sock = of_call(fd, "shutdown");
    NEED(how == SHUT_WR, "shutdown(2) of %d", how);
    NEED(!sock->out_fin, "shutdown(2) twice");
    if (sock->reset) {
        return fail(ENOTCONN);
    }
    sock->out_fin = true;
    return 0;
}

/* With something unread the kernel sends RST, which may overtake what the peer has not read. */
void sim_close(int fd) {
    struct sim_socket *sock = of_call(fd, "close");
    bool unread = sock->in.len > 0;
    descriptors[fd - FIRST_FD] = NULL;
    open_descriptors--;
    sock->fd = -1;
    sock->closed = true;
    sock->handle = NULL;
    list_remove(&sock->ready);
    sock->out_fin = true;
    if (unread && !sock->reset) {
        sock->reset = true;
        if (random_one_in(2)) {
            pipe_empty(&sock->out);
        }
    }
    pipe_empty(&sock->in);
    if (hooks.on_closed != NULL && !sock->dropped) {
        hooks.on_closed(sock);
    }
    free_if_unused(sock);
}

int __wrap_close(int fd) {
    if (fd < FIRST_FD) {
        return __real_close(fd);
    }
    sim_close(fd);
    return 0;
}
