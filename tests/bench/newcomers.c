/* A storm: newcomers who start full TLS 1.2 handshakes (newcomer.h) as fast as they are taken, each
 * with a byte echoed by the backend and an orderly end.
 *
 *   bench-newcomers ADDRESS:PORT INFLIGHT
 *
 * Each line on standard input is a number of milliseconds, in which new ones start; the answer is
 * `ok done=N seconds=S`. It runs in the background of its processor: the devices that share it
 * must wait for the proxy, and not for the storm's own generator. */
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "newcomer.h"

enum { STALL_MS = 30000, BATCH = 64, SOURCE_ADDRESSES = 4 };

struct visit {
    struct newcomer *newcomer;
    int fd;
    bool connected, leaving;
};

struct storm {
    struct sockaddr_in proxy;
    int epoll;
    unsigned inflight, running;
    struct visit *visits;
    uint64_t until, started, done;
};

static void visit_watch(const struct storm *storm, struct visit *v, int how, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = v};
    if (epoll_ctl(storm->epoll, how, v->fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

static void visit_start(struct storm *storm, struct visit *v) {
    if (now_ns() >= storm->until) {
        return;
    }
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(storm->started % SOURCE_ADDRESSES));
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    v->connected = v->leaving = false;
    setsockopt(v->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(v->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (v->fd < 0 || bind(v->fd, (struct sockaddr *)&from, sizeof from) != 0) {
        fail("a socket for a newcomer: %s", strerror(errno));
    }
    if (connect(v->fd, (struct sockaddr *)&storm->proxy, sizeof storm->proxy) != 0 &&
        errno != EINPROGRESS) {
        fail("connecting a newcomer: %s", strerror(errno));
    }
    visit_watch(storm, v, EPOLL_CTL_ADD, EPOLLOUT);
    storm->started++;
    storm->running++;
}

/* A flight is far smaller than a socket's buffer. */
static void visit_send(const struct visit *v, const uint8_t *data, size_t len) {
    if (len > 0 && send(v->fd, data, len, MSG_NOSIGNAL) != (ssize_t)len) {
        fail("a newcomer's flight was not taken: %s", strerror(errno));
    }
}

static void visit_connected(struct storm *storm, struct visit *v) {
    uint8_t out[NEWCOMER_OUT];
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        fail("connecting a newcomer: %s", strerror(error));
    }
    v->connected = true;
    visit_send(v, out, newcomer_begin(v->newcomer, out));
    visit_watch(storm, v, EPOLL_CTL_MOD, EPOLLIN);
}

static void visit_over(struct storm *storm, struct visit *v) {
    close(v->fd);
    storm->running--;
    storm->done++;
    visit_start(storm, v);
}

static void visit_event(struct storm *storm, struct visit *v) {
    uint8_t in[8192], out[NEWCOMER_OUT];
    size_t out_len = 0;
    if (!v->connected) {
        visit_connected(storm, v);
        return;
    }
    ssize_t n = recv(v->fd, in, sizeof in, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (v->leaving && (n == 0 || (n < 0 && errno == ECONNRESET))) {
        visit_over(storm, v);
    } else if (n <= 0) {
        fail("a newcomer was dropped: %s", n == 0 ? "the proxy closed" : strerror(errno));
    } else if (!v->leaving) {
        v->leaving = newcomer_take(v->newcomer, in, (size_t)n, out, &out_len);
        visit_send(v, out, out_len);
        if (v->leaving) {
            shutdown(v->fd, SHUT_WR);
        }
    }
}

static void storm_run(struct storm *storm, uint64_t milliseconds) {
    uint64_t start = now_ns();
    storm->until = start + milliseconds * 1000000u;
    storm->done = 0;
    for (unsigned i = 0; i < storm->inflight; i++) {
        visit_start(storm, &storm->visits[i]);
    }
    while (storm->running > 0) {
        struct epoll_event events[BATCH];
        int count = epoll_wait(storm->epoll, events, BATCH, STALL_MS);
        if (count == 0) {
            fail("stalled: %u newcomers wait", storm->running);
        }
        for (int i = 0; i < count; i++) {
            visit_event(storm, events[i].data.ptr);
        }
    }
    printf("ok done=%llu seconds=%.6f\n", (unsigned long long)storm->done,
           (double)(now_ns() - start) / 1e9);
    fflush(stdout);
}

static void storm_open(struct storm *storm, const char *proxy, const char *inflight) {
    struct newcomer_kit *kit = newcomer_kit_new();
    struct sched_param none = {0};
    raise_descriptor_limit();
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
        fail("setting SCHED_IDLE: %s", strerror(errno));
    }
    storm->proxy = address_parse(proxy);
    storm->inflight = (unsigned)number_parse(inflight, 1, 9000, "INFLIGHT");
    storm->epoll = epoll_create1(EPOLL_CLOEXEC);
    storm->visits = allocate(storm->inflight, sizeof *storm->visits);
    for (unsigned i = 0; i < storm->inflight; i++) {
        storm->visits[i].newcomer = newcomer_new(kit);
    }
}

int main(int argc, char **argv) {
    static struct storm storm; /* kept for as long as the program runs */
    if (argc != 3) {
        fail_as(EXIT_USAGE, "usage: bench-newcomers ADDRESS:PORT INFLIGHT");
    }
    storm_open(&storm, argv[1], argv[2]);
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        storm_run(&storm, number_parse(line, 1, 3600000, "milliseconds"));
    }
    return 0;
}
