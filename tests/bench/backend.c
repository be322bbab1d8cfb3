/* The plaintext server that the proxy connects to: ping, echo, a sink and a source of known content
 * (service.h). One thread, level-triggered epoll. It stands for a broker that costs nothing.
 *
 *   bench-backend ADDRESS:PORT      port 0: the system chooses
 *
 * It prints `ready ADDRESS:PORT`, then answers each line `stats` on standard input with
 * `ok accepted=N open=N`, and ends at the end of that input. A wrong byte ends it at once. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "pattern.h"
#include "service.h"

enum {
    SCRATCH = 256 * 1024,
    SEND_BUDGET = 512 * 1024, /* bytes that one source sends before others get their turn */
    BACKLOG = 4096,
};

struct link {
    int fd;
    uint8_t service; /* 0: idle */
    uint8_t head[1 + sizeof(struct service_job)];
    size_t head_len;
    struct service_job job;
    uint64_t position; /* of the job's stream */
    uint8_t *late;     /* echo that the proxy would not take yet; nothing is read meanwhile */
    size_t late_len;
    uint32_t events;
};

struct backend {
    int epoll, listener;
    struct pattern *pattern;
    uint64_t accepted, open;
    uint8_t scratch[SCRATCH];
};

static void watch(struct backend *b, struct link *l, uint32_t events) {
    if (l->events == events) {
        return;
    }
    struct epoll_event e = {.events = events, .data.ptr = l};
    if (epoll_ctl(b->epoll, l->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, l->fd, &e) != 0) {
        fail("backend: epoll_ctl: %s", strerror(errno));
    }
    l->events = events;
}

static void link_close(struct backend *b, struct link *l) {
    if (l->service == SERVICE_UP || l->service == SERVICE_DOWN) {
        fail("backend: the proxy closed after %llu of %llu bytes", (unsigned long long)l->position,
             (unsigned long long)l->job.length);
    }
    close(l->fd);
    free(l->late);
    free(l);
    b->open--;
}

/* What the socket takes now; -1 when it is broken. */
static ssize_t send_some(struct link *l, const uint8_t *data, size_t len) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = send(l->fd, data + done, len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN ? (ssize_t)done : -1;
        }
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* All of a short answer; false when the connection is gone. */
static bool answer(struct link *l, uint8_t byte) {
    return send_some(l, &byte, 1) == 1;
}

static bool echo(struct backend *b, struct link *l, const uint8_t *data, size_t len) {
    ssize_t n = send_some(l, data, len);
    if (n < 0) {
        return false;
    }
    if ((size_t)n < len) {
        l->late_len = len - (size_t)n;
        l->late = allocate(1, l->late_len);
        memcpy(l->late, data + n, l->late_len);
        watch(b, l, EPOLLOUT);
    }
    return true;
}

static bool echo_late(struct backend *b, struct link *l) {
    ssize_t n = send_some(l, l->late, l->late_len);
    if (n < 0) {
        return false;
    }
    l->late_len -= (size_t)n;
    memmove(l->late, l->late + n, l->late_len);
    if (l->late_len == 0) {
        free(l->late);
        l->late = NULL;
        watch(b, l, EPOLLIN);
    }
    return true;
}

static bool source(struct backend *b, struct link *l) {
    size_t budget = SEND_BUDGET;
    while (l->position < l->job.length && budget > 0) {
        uint64_t left = l->job.length - l->position;
        size_t piece = left < l->job.write_size ? (size_t)left : l->job.write_size;
        ssize_t n = send_some(l, pattern_at(b->pattern, l->job.seed, l->position), piece);
        if (n < 0) {
            return false;
        }
        l->position += (uint64_t)n;
        if ((size_t)n < piece) {
            break;
        }
        budget -= piece < budget ? piece : budget;
    }
    bool more = l->position < l->job.length;
    if (!more) {
        l->service = 0;
    }
    watch(b, l, more ? EPOLLOUT : EPOLLIN);
    return true;
}

/* Returns how many bytes belonged to the job. */
static size_t sink(struct backend *b, struct link *l, const uint8_t *data, size_t len) {
    uint64_t left = l->job.length - l->position;
    size_t mine = left < len ? (size_t)left : len;
    size_t right = pattern_compare(b->pattern, l->job.seed, l->position, data, mine);
    if (right < mine) {
        fail("backend: wrong byte at %llu of %llu from the client",
             (unsigned long long)(l->position + right), (unsigned long long)l->job.length);
    }
    l->position += mine;
    return mine;
}

/* Takes header bytes; returns how many, and sets the service once the header is whole. */
static size_t head(struct link *l, const uint8_t *data, size_t len) {
    size_t taken = 0;
    while (taken < len && l->service == 0) {
        l->head[l->head_len++] = data[taken++];
        bool job = l->head[0] == SERVICE_UP || l->head[0] == SERVICE_DOWN;
        if (!job && l->head[0] != SERVICE_PING && l->head[0] != SERVICE_ECHO) {
            fail("backend: a header starts with byte %u", l->head[0]);
        }
        if (l->head_len < (job ? sizeof l->head : 1)) {
            continue;
        }
        l->service = l->head[0];
        l->head_len = 0;
        l->position = 0;
        if (job) {
            memcpy(&l->job, l->head + 1, sizeof l->job);
        }
    }
    return taken;
}

/* False when the connection is gone. */
static bool serve(struct backend *b, struct link *l, const uint8_t *data, size_t len) {
    while (len > 0) {
        size_t taken = len;
        if (l->service == 0) {
            taken = head(l, data, len);
        } else if (l->service == SERVICE_UP) {
            taken = sink(b, l, data, len);
        } else if (l->service == SERVICE_DOWN) {
            fail("backend: the client sent %zu bytes that nobody asked for", len);
        } else if (!echo(b, l, data, len)) {
            return false;
        }
        data += taken;
        len -= taken;
        bool whole = l->service == SERVICE_UP && l->position == l->job.length;
        if (l->service == SERVICE_PING || whole) {
            if (!answer(l, whole ? SERVICE_TAKEN : SERVICE_PING)) {
                return false;
            }
            l->service = 0;
        }
        if (l->service == SERVICE_DOWN && !source(b, l)) {
            return false;
        }
    }
    return true;
}

static bool receive(struct backend *b, struct link *l) {
    ssize_t n = recv(l->fd, b->scratch, sizeof b->scratch, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0) {
        return false;
    }
    return serve(b, l, b->scratch, (size_t)n);
}

static void link_event(struct backend *b, struct link *l, uint32_t events) {
    bool alive = true;
    if (events & EPOLLOUT) {
        alive = l->late != NULL ? echo_late(b, l) : source(b, l);
    } else {
        alive = receive(b, l);
    }
    if (!alive) {
        link_close(b, l);
    }
}

static void accept_all(struct backend *b) {
    for (;;) {
        int fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN) {
            return;
        }
        if (fd < 0) {
            fail("backend: accept: %s", strerror(errno));
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct link *l = allocate(1, sizeof *l);
        l->fd = fd;
        b->accepted++;
        b->open++;
        watch(b, l, EPOLLIN);
    }
}

static void listen_at(struct backend *b, const char *where) {
    struct sockaddr_in address = address_parse(where);
    socklen_t len = sizeof address;
    int on = 1;
    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(b->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(b->listener, (struct sockaddr *)&address, len) != 0 ||
        listen(b->listener, BACKLOG) != 0 ||
        getsockname(b->listener, (struct sockaddr *)&address, &len) != 0) {
        fail("backend: listening at %s: %s", where, strerror(errno));
    }
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address.sin_addr, host, sizeof host);
    printf("ready %s:%u\n", host, ntohs(address.sin_port));
    fflush(stdout);
}

/* False at the end of standard input. */
static bool command(const struct backend *b) {
    char line[64];
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    if (n <= 0) {
        return false;
    }
    printf("ok accepted=%llu open=%llu\n", (unsigned long long)b->accepted,
           (unsigned long long)b->open);
    fflush(stdout);
    return true;
}

static void watch_own(struct backend *b, int fd, void *mark) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = mark};
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        fail("backend: epoll_ctl: %s", strerror(errno));
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fail_as(EXIT_USAGE, "usage: bench-backend ADDRESS:PORT");
    }
    raise_descriptor_limit();
    static struct backend *b; /* kept for as long as the program runs */
    b = allocate(1, sizeof *b);
    b->pattern = pattern_new();
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    listen_at(b, argv[1]);
    watch_own(b, b->listener, &b->listener);
    watch_own(b, STDIN_FILENO, b);
    for (;;) {
        struct epoll_event events[128];
        int count = epoll_wait(b->epoll, events, 128, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &b->listener) {
                accept_all(b);
            } else if (events[i].data.ptr != b) {
                link_event(b, events[i].data.ptr, events[i].events);
            } else if (!command(b)) {
                return 0;
            }
        }
    }
}
