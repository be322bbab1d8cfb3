/* One TLS client of the load generator, and the epoll loop that all of them share.
 *
 * A client connects, shakes hands, asks the backend for services (service.h) and compares every
 * byte that comes back. Whatever goes wrong ends the program with a message: a refused connection,
 * an end that nobody asked for, a wrong byte, another version or key than the one to be measured.
 * Its owner provides the memory, and may start the same client again after `closed`. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <openssl/ssl.h>

#include "common.h"
#include "pattern.h"
#include "service.h"

enum resume { RESUME_NONE, RESUME_TICKET, RESUME_ID };

/* The key exchange that the server must choose. X25519MLKEM768 needs OpenSSL 3.5. */
enum group { GROUP_X25519, GROUP_P256, GROUP_HYBRID, GROUP_COUNT };

struct load_options {
    struct sockaddr_in proxy;
    int tls; /* TLS1_2_VERSION or TLS1_3_VERSION */
    int key; /* EVP_PKEY_EC or EVP_PKEY_RSA: what the server must present */
    enum resume resume;
    enum group group;
    bool mqtt; /* what is asked is a broker: pings are CONNECT packets (client_ping) */
    const char *certificate; /* of the clients, with its chain, PEM; NULL: they have none */
    const char *key_file;    /* its key */
    unsigned inflight;       /* handshakes under way at once, and messages of `messages` */
};

struct load {
    struct load_options options;
    SSL_CTX *tls;
    struct pattern *pattern;
    int epoll;
    uint32_t next_seed;
    uint8_t scratch[PATTERN_RUN];
};

enum client_state {
    CLIENT_NEW,
    CLIENT_CONNECTING,
    CLIENT_SHAKING,
    CLIENT_OPEN,
    CLIENT_CLOSING, /* our end is sent, the proxy's is awaited */
    CLIENT_CLOSED,
};

struct client;

struct client_hooks {
    void (*opened)(struct client *); /* the handshake is done and was the right one */
    void (*moved)(struct client *);  /* bytes came, and they were right */
    void (*closed)(struct client *);
};

struct client {
    struct load *load;
    const struct client_hooks *hooks;
    void *owner;
    SSL *ssl;
    SSL_SESSION *session; /* the newest one the server gave; kept over restarts */
    bool offered;         /* that one, in the present handshake */
    int fd;
    enum client_state state;
    uint32_t events;
    uint32_t seed;
    uint32_t write_size;
    uint8_t head[1 + sizeof(struct service_job)];
    size_t head_len, head_sent;
    const uint8_t *awaited;  /* bytes that must come before the stream, */
    size_t awaited_left;     /* so many */
    uint64_t sent, goal;     /* positions in the stream that goes out */
    uint64_t received, most; /* and in the one that comes; more than `most` is an error */
    bool echoing;
    bool bunched; /* writes are collected and sent in large pieces */
};

void load_open(struct load *load, const struct load_options *options);

/* Waits for events at most this long (-1: until one comes) and serves them. A whole half minute
 * without any, while one was waited for, ends the program. */
void load_turn(struct load *load, int64_t timeout_ns);

void client_start(struct client *c, struct load *load, const struct client_hooks *hooks,
                  void *owner);

/* After `opened`, and with `mqtt` once: it is then a CONNECT packet, and a CONNACK that accepts
 * must come. The answer is here when `awaited_left` is 0 again. */
void client_ping(struct client *c);

/* The client's stream grows by so many bytes; each is to come back. */
void client_echo(struct client *c, size_t len);

/* The next len bytes of a stream go up in records of write_size, many in each send; done when
 * `awaited_left` is 0 again. */
void client_upload(struct client *c, uint64_t len, uint32_t write_size);

/* The same the other way; done when `received` is `most`. */
void client_download(struct client *c, uint64_t len, uint32_t write_size);

/* Sends (with `mqtt`) a DISCONNECT packet, close_notify and the end of our side. `closed` follows
 * when the proxy has ended too. */
void client_close(struct client *c);

#endif
