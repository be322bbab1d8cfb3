#include "client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "tls.h"

enum {
    BUNCH = 65536,
    SOURCE_ADDRESSES = 4, /* 9,000 connections must not exhaust one address's ports */
};

/* MQTT 3.1.1: a clean session, kept alive for 60 seconds, under a name that the broker chooses. */
static const uint8_t mqtt_connect[] = {0x10, 12, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0};
static const uint8_t mqtt_connack[] = {0x20, 2, 0, 0};
static const uint8_t mqtt_disconnect[] = {0xe0, 0};

static const uint8_t pong[] = {SERVICE_PING};
static const uint8_t taken[] = {SERVICE_TAKEN};

static void client_pump(struct client *c);

static _Noreturn void broken(const struct client *c, const char *doing, int result) {
    static const char *const states[] = {"new", "connecting", "shaking hands", "open", "closing"};
    int system_error = errno;
    int kind = SSL_get_error(c->ssl, result);
    unsigned long detail = ERR_peek_last_error();
    fail("%s (%s, client %u): %s", doing, states[c->state], c->seed,
         kind == SSL_ERROR_ZERO_RETURN || (kind == SSL_ERROR_SYSCALL && system_error == 0)
             ? "the proxy closed"
         : detail ? ERR_reason_error_string(detail)
                  : strerror(system_error));
}

/* What the library waits for; anything else than waiting ends the program. */
static void client_wait(struct client *c, const char *doing, int result) {
    int kind = SSL_get_error(c->ssl, result);
    if (kind == SSL_ERROR_WANT_READ) {
        loop_watch(c, EPOLLIN);
    } else if (kind == SSL_ERROR_WANT_WRITE) {
        loop_watch(c, EPOLLIN | EPOLLOUT);
    } else {
        broken(c, doing, result);
    }
}

static int client_socket(const struct client *c) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        fail("making a socket: %s", strerror(errno));
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + c->seed % SOURCE_ADDRESSES);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0) {
        fail("binding to a loopback address: %s", strerror(errno));
    }
    return fd;
}

void client_start(struct client *c, struct load *load, const struct client_hooks *hooks,
                  void *owner) {
    *c = (struct client){.load = load, .hooks = hooks, .owner = owner, .session = c->session};
    c->seed = load->next_seed++;
    c->fd = client_socket(c);
    c->state = CLIENT_CONNECTING;
    const struct sockaddr_in *proxy = &load->options.proxy;
    if (connect(c->fd, (const struct sockaddr *)proxy, sizeof *proxy) != 0 &&
        errno != EINPROGRESS) {
        fail("connecting: %s", strerror(errno));
    }
    loop_watch(c, EPOLLOUT);
}

static void client_connected(struct client *c) {
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        fail("connecting (client %u): %s", c->seed, strerror(error));
    }
    c->ssl = tls_connection(c);
    c->state = CLIENT_SHAKING;
}

static void client_shake(struct client *c) {
    ERR_clear_error();
    int result = SSL_connect(c->ssl);
    if (result != 1) {
        client_wait(c, "handshake", result);
        return;
    }
    tls_check(c);
    c->state = CLIENT_OPEN;
    loop_watch(c, EPOLLIN);
    c->hooks->opened(c);
}

/* Collecting is put between the library and the socket after the handshake, which flushes by
 * itself. */
static void client_bunch(struct client *c) {
    if (c->bunched) {
        return;
    }
    BIO *socket_end = SSL_get_wbio(c->ssl);
    BIO *bunch = BIO_new(BIO_f_buffer());
    if (bunch == NULL || BIO_set_write_buffer_size(bunch, BUNCH) != 1) {
        fail("out of memory");
    }
    BIO_up_ref(socket_end);
    BIO_push(bunch, socket_end);
    SSL_set0_wbio(c->ssl, bunch);
    c->bunched = true;
}

/* False when the socket takes no more for now. */
static bool client_write(struct client *c, const uint8_t *data, size_t len, size_t *written) {
    ERR_clear_error();
    int result = SSL_write_ex(c->ssl, data, len, written);
    if (result == 1) {
        return true;
    }
    client_wait(c, "writing", result);
    return false;
}

static bool client_flush(struct client *c) {
    if (!c->bunched || BIO_flush(SSL_get_wbio(c->ssl)) > 0) {
        return true;
    }
    if (!BIO_should_retry(SSL_get_wbio(c->ssl))) {
        fail("writing (client %u): %s", c->seed, strerror(errno));
    }
    loop_watch(c, EPOLLIN | EPOLLOUT);
    return false;
}

static void client_pump(struct client *c) {
    size_t n = 0;
    while (c->head_sent < c->head_len) {
        if (!client_write(c, c->head + c->head_sent, c->head_len - c->head_sent, &n)) {
            return;
        }
        c->head_sent += n;
    }
    while (c->sent < c->goal) {
        uint64_t left = c->goal - c->sent;
        size_t piece = left < c->write_size ? (size_t)left : c->write_size;
        if (!client_write(c, pattern_at(c->load->pattern, c->seed, c->sent), piece, &n)) {
            return;
        }
        c->sent += n;
    }
    if (client_flush(c)) {
        loop_watch(c, EPOLLIN);
    }
}

/* Compares what came; returns false for a byte that has no place. */
static void client_take(struct client *c, const uint8_t *data, size_t len) {
    for (; len > 0 && c->awaited_left > 0; data++, len--) {
        if (*data != *c->awaited) {
            fail("client %u: byte %u came where %u was due", c->seed, *data, *c->awaited);
        }
        c->awaited++;
        c->awaited_left--;
    }
    if (len > c->most - c->received) {
        fail("client %u: %zu bytes came that nobody sent", c->seed, len);
    }
    size_t right = pattern_compare(c->load->pattern, c->seed, c->received, data, len);
    if (right < len) {
        fail("client %u: wrong byte at %llu", c->seed, (unsigned long long)(c->received + right));
    }
    c->received += len;
}

static void client_receive(struct client *c) {
    for (;;) {
        size_t n = 0;
        ERR_clear_error();
        int result = SSL_read_ex(c->ssl, c->load->scratch, sizeof c->load->scratch, &n);
        if (result != 1) {
            if (SSL_get_error(c->ssl, result) != SSL_ERROR_WANT_READ) {
                broken(c, "reading", result);
            }
            return;
        }
        client_take(c, c->load->scratch, n);
        c->hooks->moved(c);
        if (c->state != CLIENT_OPEN) {
            return;
        }
    }
}

/* The rest is close_notify, or tickets that came late: only the end counts. */
static void client_await_end(struct client *c) {
    ssize_t n = recv(c->fd, c->load->scratch, sizeof c->load->scratch, 0);
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR))) {
        return;
    }
    if (n < 0 && errno != ECONNRESET) {
        fail("closing (client %u): %s", c->seed, strerror(errno));
    }
    close(c->fd);
    SSL_free(c->ssl);
    c->ssl = NULL;
    c->state = CLIENT_CLOSED;
    c->hooks->closed(c);
}

void client_event(struct client *c, bool writable) {
    if (c->state == CLIENT_CONNECTING) {
        client_connected(c);
    }
    if (c->state == CLIENT_SHAKING) {
        client_shake(c);
    } else if (c->state == CLIENT_CLOSING) {
        client_await_end(c);
    } else {
        if (writable) {
            client_pump(c);
        }
        client_receive(c);
    }
}

static void client_request(struct client *c, uint8_t service, const struct service_job *job) {
    c->head[0] = service;
    c->head_len = 1;
    c->head_sent = 0;
    if (job != NULL) {
        memcpy(c->head + 1, job, sizeof *job);
        c->head_len += sizeof *job;
    }
}

static void client_await(struct client *c, const uint8_t *bytes, size_t len) {
    c->awaited = bytes;
    c->awaited_left = len;
}

void client_ping(struct client *c) {
    if (c->load->options.mqtt) {
        static_assert(sizeof mqtt_connect <= sizeof c->head, "the packet fits");
        memcpy(c->head, mqtt_connect, sizeof mqtt_connect);
        c->head_len = sizeof mqtt_connect;
        c->head_sent = 0;
        client_await(c, mqtt_connack, sizeof mqtt_connack);
    } else {
        client_request(c, SERVICE_PING, NULL);
        client_await(c, pong, sizeof pong);
    }
    client_pump(c);
}

void client_echo(struct client *c, size_t len) {
    if (!c->echoing) {
        client_request(c, SERVICE_ECHO, NULL);
    }
    c->echoing = true;
    c->write_size = PATTERN_RUN;
    c->goal += len;
    c->most += len;
    client_pump(c);
}

void client_upload(struct client *c, uint64_t len, uint32_t write_size) {
    struct service_job job = {.length = len, .seed = c->seed, .write_size = write_size};
    client_request(c, SERVICE_UP, &job);
    client_bunch(c);
    client_await(c, taken, sizeof taken);
    c->write_size = write_size;
    c->sent = 0;
    c->goal = len;
    client_pump(c);
}

void client_download(struct client *c, uint64_t len, uint32_t write_size) {
    struct service_job job = {.length = len, .seed = c->seed, .write_size = write_size};
    client_request(c, SERVICE_DOWN, &job);
    c->received = 0;
    c->most = len;
    client_pump(c);
}

void client_close(struct client *c) {
    size_t n;
    bool said =
        !c->load->options.mqtt || client_write(c, mqtt_disconnect, sizeof mqtt_disconnect, &n);
    ERR_clear_error();
    SSL_shutdown(c->ssl);
    if (!client_flush(c) || !said) {
        fail("closing (client %u): its last bytes were not taken", c->seed);
    }
    shutdown(c->fd, SHUT_WR);
    c->state = CLIENT_CLOSING;
    loop_watch(c, EPOLLIN);
}
