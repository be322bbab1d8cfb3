/* Clients that mean no good, by the thousand:
 *
 *   bench-crowd ADDRESS:PORT KIND KEEP TOTAL RATE SOURCES
 *
 * KIND is how far each one goes:
 *   silent    connects, and sends nothing
 *   drip      sends a ClientHello, one byte every five seconds
 *   hello     sends a ClientHello that was recorded once, and then nothing
 *   idle      finishes the handshake, and sends nothing
 *   updates   finishes it, and sends nothing but key updates
 *
 * KEEP of them are held at a time: one that the server closes is replaced, until TOTAL were opened
 * (0: without an end). RATE new ones a second (0: as fast as they can be opened) come from so many
 * SOURCES, addresses of 127/8 that no other program of the bench uses. A line on standard input is
 * answered by `ok opened=N open=N closed=N refused=N missing=N`: ended by the server, not accepted
 * by it, and how many of TOTAL are still to come. The program ends at the end of its input.
 *
 * It runs in the background of its processor, so that good clients there wait for the proxy, and
 * not for this. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

enum { BATCH = 256, OPENED_AT_ONCE = 64, HELLO_MAX = 2048, UPDATES_AT_ONCE = 8 };

static const uint64_t SECOND = 1000000000u, DRIP_NS = 5 * 1000000000ull, TICK_NS = 5 * 1000000ull;

enum kind { SILENT, DRIP, HELLO, IDLE, UPDATES, KINDS };
static const char *const kind_names[KINDS] = {"silent", "drip", "hello", "idle", "updates"};

struct guest {
    int fd; /* -1: to be opened */
    bool connected, shaken;
    size_t sent; /* of the hello */
    uint64_t next_ns;
    SSL *ssl;
};

struct crowd {
    struct sockaddr_in proxy;
    enum kind kind;
    uint64_t keep, total, rate, sources;
    uint64_t opened, open, closed, refused;
    uint64_t begin_ns;
    struct guest *guests;
    uint64_t *vacant; /* indexes of guests to be opened */
    uint64_t vacant_count;
    int epoll;
    SSL_CTX *tls;
    uint8_t hello[HELLO_MAX];
    size_t hello_len;
};

/* --- the hello --- */

static void record_hello(struct crowd *crowd) {
    SSL *ssl = SSL_new(crowd->tls);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (ssl == NULL || in == NULL || out == NULL) {
        fail("out of memory");
    }
    SSL_set_bio(ssl, in, out);
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set_connect_state(ssl);
    (void)SSL_do_handshake(ssl);
    int len = BIO_read(out, crowd->hello, sizeof crowd->hello);
    if (len <= 0) {
        fail("no ClientHello");
    }
    crowd->hello_len = (size_t)len;
    SSL_free(ssl);
}

/* --- one guest --- */

static void watch(const struct crowd *crowd, struct guest *g, int how, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = g};
    if (epoll_ctl(crowd->epoll, how, g->fd, &e) != 0) {
        fail("epoll_ctl: %s", strerror(errno));
    }
}

/* By a reset, which leaves no socket in TIME_WAIT: ports would run out. */
static void guest_close(struct crowd *crowd, struct guest *g, bool was_refused) {
    struct linger linger = {.l_onoff = 1};
    setsockopt(g->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(g->fd);
    SSL_free(g->ssl);
    *g = (struct guest){.fd = -1};
    crowd->open--;
    crowd->closed += !was_refused;
    crowd->refused += was_refused;
    crowd->vacant[crowd->vacant_count++] = (uint64_t)(g - crowd->guests);
}

/* False if there is no port or descriptor for it now. */
static bool guest_open(struct crowd *crowd, struct guest *g) {
    int on = 1;
    uint64_t source = crowd->opened % crowd->sources;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f010001u + (uint32_t)(source / 250 * 256 + source % 250));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(fd, (const struct sockaddr *)&crowd->proxy, sizeof crowd->proxy) != 0 &&
         errno != EINPROGRESS)) {
        close(fd);
        return false;
    }
    *g = (struct guest){.fd = fd};
    crowd->opened++;
    crowd->open++;
    watch(crowd, g, EPOLL_CTL_ADD, EPOLLOUT);
    return true;
}

/* A flight is smaller than a socket's buffer. */
static void send_hello(const struct crowd *crowd, struct guest *g, size_t len) {
    ssize_t n = send(g->fd, crowd->hello + g->sent, len, MSG_NOSIGNAL);
    g->sent += n > 0 ? (size_t)n : 0;
}

/* False if the server is gone. */
static bool shake(struct guest *g) {
    int rc = SSL_do_handshake(g->ssl);
    g->shaken = rc == 1;
    return rc == 1 || SSL_get_error(g->ssl, rc) == SSL_ERROR_WANT_READ;
}

static void guest_connected(struct crowd *crowd, struct guest *g) {
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(g->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        guest_close(crowd, g, true);
        return;
    }
    g->connected = true;
    watch(crowd, g, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
    if (crowd->kind == HELLO) {
        send_hello(crowd, g, crowd->hello_len);
    } else if (crowd->kind >= IDLE) {
        g->ssl = SSL_new(crowd->tls);
        if (g->ssl == NULL || SSL_set_fd(g->ssl, g->fd) != 1) {
            fail("out of memory");
        }
        SSL_set_connect_state(g->ssl);
        (void)shake(g);
    }
}

static void guest_event(struct crowd *crowd, struct guest *g, uint32_t events) {
    uint8_t in[16384];
    if (!g->connected) {
        guest_connected(crowd, g);
        return;
    }
    if (g->ssl != NULL && !g->shaken) {
        if (!shake(g)) {
            guest_close(crowd, g, false);
        }
        return;
    }
    ssize_t n = recv(g->fd, in, sizeof in, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN) || (events & (EPOLLRDHUP | EPOLLERR)) != 0) {
        guest_close(crowd, g, false);
    }
}

/* --- what they do by the clock --- */

static void tick(struct crowd *crowd, uint64_t now) {
    for (uint64_t i = 0; i < crowd->keep; i++) {
        struct guest *g = &crowd->guests[i];
        if (g->fd < 0 || !g->connected || now < g->next_ns) {
            continue;
        }
        if (crowd->kind == DRIP && g->sent < crowd->hello_len) {
            send_hello(crowd, g, 1);
            g->next_ns = now + DRIP_NS;
        } else if (crowd->kind == UPDATES && g->shaken) {
            for (int n = 0; n < UPDATES_AT_ONCE; n++) {
                SSL_key_update(g->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
                (void)SSL_do_handshake(g->ssl);
            }
        }
    }
}

static void open_more(struct crowd *crowd, uint64_t now) {
    uint64_t due = crowd->rate == 0 ? UINT64_MAX : (now - crowd->begin_ns) * crowd->rate / SECOND;
    due = crowd->total != 0 && crowd->total < due ? crowd->total : due;
    for (int n = 0; n < OPENED_AT_ONCE && crowd->opened < due && crowd->vacant_count > 0; n++) {
        if (!guest_open(crowd, &crowd->guests[crowd->vacant[crowd->vacant_count - 1]])) {
            return;
        }
        crowd->vacant_count--;
    }
}

static void answer(const struct crowd *crowd) {
    uint64_t missing = crowd->total > crowd->opened ? crowd->total - crowd->opened : 0;
    printf("ok opened=%llu open=%llu closed=%llu refused=%llu missing=%llu\n",
           (unsigned long long)crowd->opened, (unsigned long long)crowd->open,
           (unsigned long long)crowd->closed, (unsigned long long)crowd->refused,
           (unsigned long long)missing);
    fflush(stdout);
}

/* False at the end of the input. */
static bool obey(const struct crowd *crowd) {
    char line[64];
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (poll(&input, 1, 0) > 0) {
        ssize_t n = read(STDIN_FILENO, line, sizeof line);
        if (n <= 0) {
            return false;
        }
        answer(crowd);
    }
    return true;
}

static void run(struct crowd *crowd) {
    uint64_t ticked = 0;
    crowd->begin_ns = now_ns();
    while (obey(crowd)) {
        struct epoll_event events[BATCH];
        int wait_ms = crowd->rate == 0 && crowd->vacant_count > 0 ? 0 : 1;
        int count = epoll_wait(crowd->epoll, events, BATCH, wait_ms);
        for (int i = 0; i < count; i++) {
            guest_event(crowd, events[i].data.ptr, events[i].events);
        }
        uint64_t now = now_ns();
        open_more(crowd, now);
        if ((crowd->kind == DRIP || crowd->kind == UPDATES) && now - ticked >= TICK_NS) {
            tick(crowd, now);
            ticked = now;
        }
    }
}

static void prepare(struct crowd *crowd, char **argv) {
    struct sched_param none = {0};
    raise_descriptor_limit();
    signal(SIGPIPE, SIG_IGN);
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
        fail("setting SCHED_IDLE: %s", strerror(errno));
    }
    crowd->proxy = address_parse(argv[1]);
    while (crowd->kind < KINDS && strcmp(argv[2], kind_names[crowd->kind]) != 0) {
        crowd->kind++;
    }
    if (crowd->kind == KINDS) {
        fail_as(EXIT_USAGE, "%s: silent, drip, hello, idle or updates", argv[2]);
    }
    crowd->keep = number_parse(argv[3], 1, 1000000, "KEEP");
    crowd->total = number_parse(argv[4], 0, 100000000, "TOTAL");
    crowd->rate = number_parse(argv[5], 0, 1000000, "RATE");
    crowd->sources = number_parse(argv[6], 1, 60000, "SOURCES");
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    crowd->guests = allocate((size_t)crowd->keep, sizeof *crowd->guests);
    crowd->vacant = allocate((size_t)crowd->keep, sizeof *crowd->vacant);
    for (uint64_t i = 0; i < crowd->keep; i++) {
        crowd->guests[i].fd = -1;
        crowd->vacant[crowd->vacant_count++] = crowd->keep - 1 - i;
    }
    crowd->tls = SSL_CTX_new(TLS_client_method());
    if (crowd->tls == NULL || crowd->epoll < 0) {
        fail("setting up");
    }
    if (crowd->kind == UPDATES) {
        SSL_CTX_set_min_proto_version(crowd->tls, TLS1_3_VERSION);
    }
    record_hello(crowd);
}

int main(int argc, char **argv) {
    static struct crowd crowd; /* kept for as long as the program runs */
    if (argc != 7) {
        fail_as(EXIT_USAGE, "usage: bench-crowd ADDRESS:PORT KIND KEEP TOTAL RATE SOURCES");
    }
    prepare(&crowd, argv);
    run(&crowd);
    return 0;
}
