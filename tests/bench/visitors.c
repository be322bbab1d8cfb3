/* Good clients, one after the other at a fixed rate: each connects, shakes hands, has one byte
 * echoed by the backend and closes.
 *
 *   bench-visitors ADDRESS:PORT RATE
 *
 * Each line on standard input is a number of visits; the answer is `ok done=N failed=N p50=US
 * p99=US max=US`. The time of a visit counts from when it was due until its byte is back. One that
 * is refused, cut off or not served within ten seconds has failed; the run goes on. */
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "latency.h"
#include "service.h"

enum { BATCH = 64, VISITS_MAX = 8192 };

static const uint64_t SECOND = 1000000000u, PATIENCE_NS = 10 * 1000000000ull;

struct visit {
    int fd; /* -1: over */
    SSL *ssl;
    bool shaken;
    uint64_t due_ns;
};

struct visitors {
    struct sockaddr_in proxy;
    int epoll;
    SSL_CTX *tls;
    uint64_t rate, failed;
    unsigned under_way;
    struct visit all[VISITS_MAX];
    struct latency latency;
};

static void visit_end(struct visitors *v, struct visit *visit, bool failed) {
    v->failed += failed;
    v->under_way--;
    if (visit->fd >= 0) {
        close(visit->fd);
    }
    SSL_free(visit->ssl);
    *visit = (struct visit){.fd = -1};
}

static void visit_begin(struct visitors *v, struct visit *visit, uint64_t due_ns) {
    int on = 1;
    *visit = (struct visit){.due_ns = due_ns};
    v->under_way++;
    visit->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    visit->ssl = SSL_new(v->tls);
    if (visit->fd < 0 || visit->ssl == NULL || SSL_set_fd(visit->ssl, visit->fd) != 1) {
        fail("a socket for a visitor: %s", strerror(errno));
    }
    SSL_set_connect_state(visit->ssl);
    setsockopt(visit->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = visit};
    if (epoll_ctl(v->epoll, EPOLL_CTL_ADD, visit->fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
    if (connect(visit->fd, (struct sockaddr *)&v->proxy, sizeof v->proxy) != 0 &&
        errno != EINPROGRESS) {
        visit_end(v, visit, true);
    }
}

static bool wants_more(SSL *ssl, int rc) {
    int error = SSL_get_error(ssl, rc);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static void visit_event(struct visitors *v, struct visit *visit, uint32_t events) {
    uint8_t byte = SERVICE_PING;
    if (visit->fd < 0) {
        return;
    }
    if ((events & (EPOLLOUT | EPOLLIN)) == 0) {
        visit_end(v, visit, true);
        return;
    }
    if (!visit->shaken) {
        int rc = SSL_do_handshake(visit->ssl);
        if (rc != 1) {
            if (!wants_more(visit->ssl, rc)) {
                visit_end(v, visit, true);
            }
            return;
        }
        visit->shaken = true;
        if (SSL_write(visit->ssl, &byte, 1) != 1) {
            visit_end(v, visit, true);
            return;
        }
    }
    int rc = SSL_read(visit->ssl, &byte, 1);
    if (rc == 1) {
        latency_add(&v->latency, now_ns() - visit->due_ns);
        SSL_shutdown(visit->ssl);
        visit_end(v, visit, byte != SERVICE_PING);
    } else if (!wants_more(visit->ssl, rc)) {
        visit_end(v, visit, true);
    }
}

static void end_late_ones(struct visitors *v, uint64_t now) {
    for (size_t i = 0; i < VISITS_MAX; i++) {
        if (v->all[i].fd >= 0 && now - v->all[i].due_ns > PATIENCE_NS) {
            visit_end(v, &v->all[i], true);
        }
    }
}

/* Places are taken in turn; one that is taken still is that of a visit which has failed by now. */
static void run(struct visitors *v, uint64_t count) {
    uint64_t begin = now_ns(), begun = 0, looked = begin;
    while (begun < count || v->under_way > 0) {
        struct epoll_event events[BATCH];
        int got = epoll_wait(v->epoll, events, BATCH, 1);
        for (int i = 0; i < got; i++) {
            visit_event(v, events[i].data.ptr, events[i].events);
        }
        uint64_t now = now_ns();
        while (begun < count && now >= begin + begun * SECOND / v->rate) {
            struct visit *visit = &v->all[begun % VISITS_MAX];
            if (visit->fd >= 0) {
                visit_end(v, visit, true);
            }
            visit_begin(v, visit, begin + begun * SECOND / v->rate);
            begun++;
        }
        if (now - looked > SECOND) {
            looked = now;
            end_late_ones(v, now);
        }
    }
}

static void obey(struct visitors *v, const char *line) {
    uint64_t count = number_parse(line, 1, 1000000, "visits");
    v->failed = 0;
    run(v, count);
    printf("ok done=%llu failed=%llu p50=%.1f p99=%.1f max=%.1f\n",
           (unsigned long long)(count - v->failed), (unsigned long long)v->failed,
           latency_percentile(&v->latency, 0.5), latency_percentile(&v->latency, 0.99),
           latency_percentile(&v->latency, 1));
    fflush(stdout);
    latency_free(&v->latency);
}

int main(int argc, char **argv) {
    static struct visitors v; /* kept for as long as the program runs */
    if (argc != 3) {
        fail_as(EXIT_USAGE, "usage: bench-visitors ADDRESS:PORT RATE");
    }
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    v.proxy = address_parse(argv[1]);
    v.rate = number_parse(argv[2], 1, 100000, "RATE");
    v.epoll = epoll_create1(EPOLL_CLOEXEC);
    v.tls = SSL_CTX_new(TLS_client_method());
    if (v.tls == NULL || v.epoll < 0) {
        fail("setting up");
    }
    SSL_CTX_set_session_cache_mode(v.tls, SSL_SESS_CACHE_OFF);
    for (size_t i = 0; i < VISITS_MAX; i++) {
        v.all[i].fd = -1;
    }
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        obey(&v, line);
    }
    return 0;
}
