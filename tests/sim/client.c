/* Clients: OpenSSL over memory BIOs, or bytes that are not TLS. */
#include "loop.h"
#include "peers.h"
#include "random.h"
#include "trace.h"
#include "world.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum { READ_MAX = 65536, WRITE_MAX = 20000 };

static SSL_SESSION *saved[SITE_LISTENERS][2][SITE_CERT_COUNT];

static SSL_SESSION **saved_for(const struct client *c) {
    return &saved[c->listener][c->version == TLS1_3_VERSION][c->cert];
}

void clients_forget_sessions(void) {
    SSL_SESSION **all = &saved[0][0][0];
    for (size_t i = 0; i < sizeof saved / sizeof *all; i++) {
        SSL_SESSION_free(all[i]);
        all[i] = NULL;
    }
}

/* --- what it says --- */

static size_t put_text(uint8_t *out, const char *text) {
    size_t len = strlen(text);
    out[0] = 0;
    out[1] = (uint8_t)len;
    memcpy(out + 2, text, len);
    return len + 2;
}

/* MQTT 3.1.1, clean session. */
static size_t put_connect(uint8_t *out, const char *id, const char *user, const char *password) {
    static const uint8_t begin[] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x02, 0, 60};
    size_t len = sizeof begin;
    memcpy(out, begin, len);
    len += put_text(out + len, id);
    if (user != NULL) {
        out[9] |= 0x80;
        len += put_text(out + len, user);
    }
    if (password != NULL) {
        out[9] |= 0x40;
        len += put_text(out + len, password);
    }
    out[1] = (uint8_t)(len - 2);
    return len;
}

static void make_streams(struct client *c) {
    char id[24];
    const char *owner = c->kind == CLIENT_FOREIGN_ID ? "device-3" : SITE_NAME(c->cert);
    snprintf(id, sizeof id, "%s/%u", owner, c->id);
    c->up = stream_make(c->listener == SITE_IDENTITY);
    c->down = stream_make(false);
    if (site_is_mqtt(c->listener) && c->kind != CLIENT_NOT_MQTT) {
        c->up.head_len = put_connect(c->up.head, id, "somebody", "secret");
    }
    if (site_is_mqtt(c->listener)) { /* CONNACK: now and then the broker refuses the login */
        static const uint8_t answer[] = {0x20, 2, 0, 0};
        memcpy(c->down.head, answer, sizeof answer);
        c->down.head[3] = random_one_in(4) ? 5 : 0;
        c->down.head_len = sizeof answer;
    }
    c->up_at_broker = c->up;
    if (c->listener == SITE_IDENTITY) {
        c->up_at_broker.head_len = put_connect(c->up_at_broker.head, id, SITE_NAME(c->cert), NULL);
    }
    c->up_max = random_size(300000);
}

uint64_t client_owes_broker(const struct client *c) {
    return c->up_sent < c->up.head_len ? 0 : c->up_sent - c->up.head_len + c->up_at_broker.head_len;
}

static void put_raw(struct client *c, const void *data, size_t len) {
    NEED(buf_append(&c->raw, data, len, SIZE_MAX), "no memory");
}

static void put_header(struct client *c) {
    char line[96];
    static const uint8_t local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";
    if (c->kind == CLIENT_BAD_HEADER) {
        put_raw(c, "PROXY TCP9 ", 11);
    } else if (random_one_in(3)) { /* the balancer's own */
        put_raw(c, local, 16);
    } else {
        c->origin = address_from_bytes((uint8_t[]){172, 16, (uint8_t)(c->id >> 8), (uint8_t)c->id},
                                       4, (uint16_t)(1024 + c->id % 60000));
        char text[ADDRESS_TEXT_SIZE];
        int len = snprintf(line, sizeof line, "PROXY TCP4 %s 192.0.2.200 %u 8883\r\n",
                           address_print_host(&c->origin, text), c->origin.port);
        put_raw(c, line, (size_t)len);
    }
}

static void put_noise(struct client *c) {
    uint8_t noise[400];
    size_t len = random_size(sizeof noise - 5) + 5;
    random_fill(noise, len);
    if (c->kind == CLIENT_BAD_HELLO) {
        static const uint8_t record[] = {22, 3, 1, 0, 200};
        memcpy(noise, record, sizeof record);
    } else {
        noise[0] = 0x47;
    }
    put_raw(c, noise, len);
}

/* --- TLS --- */

static BIO *to_client(const struct client *c) {
    return SSL_get_rbio(c->ssl);
}

static BIO *from_client(const struct client *c) {
    return SSL_get_wbio(c->ssl);
}

static void save_session(struct client *c) {
    SSL_SESSION **place = saved_for(c);
    SSL_SESSION *session = SSL_get1_session(c->ssl);
    if (c->shaken && session != NULL && SSL_SESSION_is_resumable(session)) {
        SSL_SESSION_free(*place);
        *place = session;
    } else {
        SSL_SESSION_free(session);
    }
}

/* A fatal error of its own would mean that the stream to it was damaged. */
static void on_tls_error(struct client *c) {
    unsigned long code = ERR_peek_error();
    bool own = ERR_GET_REASON(code) < SSL_AD_REASON_OFFSET;
    bool expected = c->kind == CLIENT_DISTRUSTS || c->kind == CLIENT_NO_CIPHER ||
                    c->kind == CLIENT_OLD || c->spoiled || c->version == 0;
    NEED(!own || expected, "client %u: TLS: %s", c->id, ERR_error_string(code, NULL));
    c->broken = c->spoiled = true;
}

static void shake(struct client *c) {
    ERR_clear_error();
    int rc = SSL_do_handshake(c->ssl);
    if (rc == 1) {
        c->shaken = true;
    } else if (SSL_get_error(c->ssl, rc) != SSL_ERROR_WANT_READ) {
        on_tls_error(c);
    }
}

static void configure_tls(struct client *c) {
    bool twelve = c->version == TLS1_2_VERSION;
    bool rsa = !site_wants_certificate(c->listener) && random_one_in(6);
    if (c->kind == CLIENT_NO_CIPHER) {
        SSL_set_cipher_list(c->ssl, "AES128-SHA");
    } else if (c->kind == CLIENT_DISTRUSTS) {
        SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
    } else if (rsa) {
        SSL_set1_sigalgs_list(c->ssl, "RSA-PSS+SHA256:RSA+SHA256");
        if (twelve) {
            SSL_set_cipher_list(c->ssl, "ECDHE-RSA-AES128-GCM-SHA256");
        }
    }
    if (c->kind == CLIENT_GOOD && !rsa && *saved_for(c) != NULL && !random_one_in(3)) {
        SSL_set_session(c->ssl, *saved_for(c));
        c->offers_session = true;
    }
}

static void begin_tls(struct client *c) {
    c->reloads = world.reloads;
    c->version = c->kind == CLIENT_OLD                             ? TLS1_1_VERSION
                 : c->kind == CLIENT_NO_CIPHER || random_one_in(2) ? TLS1_2_VERSION
                                                                   : TLS1_3_VERSION;
    c->ssl = site_client(c->version, c->cert);
    BIO *to = BIO_new(BIO_s_mem()), *from = BIO_new(BIO_s_mem());
    NEED(to != NULL && from != NULL, "no memory");
    BIO_set_mem_eof_return(to, -1);
    SSL_set_bio(c->ssl, to, from);
    configure_tls(c);
    SSL_set_connect_state(c->ssl);
    shake(c);
}

static void cut_hello(struct client *c) {
    uint8_t hello[4096];
    int len = BIO_read(from_client(c), hello, sizeof hello);
    NEED(len > 1, "no ClientHello");
    put_raw(c, hello, random_size((size_t)len - 1));
    SSL_free(c->ssl);
    c->ssl = NULL;
}

/* --- its life --- */

static void choose_address(struct client *c) {
    uint8_t ip[] = {10, 1, (uint8_t)(c->id >> 8), (uint8_t)c->id};
    c->addr = address_from_bytes(ip, 4, (uint16_t)(1024 + c->id % 60000));
    if (c->listener == SITE_BALANCED && (c->kind == CLIENT_BAD_HEADER || !random_one_in(4))) {
        memcpy(c->addr.bytes, (uint8_t[]){192, 0, 2, 1}, 4);
    }
    c->origin = c->addr;
}

struct client *client_new(enum client_kind kind, size_t listener, enum site_cert cert) {
    static unsigned next_id;
    struct client *c = calloc(1, sizeof *c);
    NEED(c != NULL, "no memory");
    *c = (struct client){.id = next_id++, .kind = kind, .listener = listener, .cert = cert};
    list_init(&c->link);
    c->sock = sim_socket_new();
    c->sock->peer = c;
    c->sock->own = address_from_bytes((uint8_t[]){127, 0, 0, 1}, 4, (uint16_t)(listener + 1));
    choose_address(c);
    make_streams(c);
    if (kind != CLIENT_SILENT && c->addr.bytes[0] == 192) {
        put_header(c);
    }
    if (kind == CLIENT_GARBAGE || kind == CLIENT_BAD_HELLO) {
        put_noise(c);
    } else if (kind == CLIENT_PLAINTEXT) {
        uint8_t connect[STREAM_HEAD_MAX];
        put_raw(c, connect, put_connect(connect, "plain", NULL, NULL));
    } else if (kind != CLIENT_SILENT && kind != CLIENT_BAD_HEADER) {
        begin_tls(c);
    }
    if (kind == CLIENT_HALF_HELLO) {
        cut_hello(c);
    }
    return c;
}

void client_free(struct client *c) {
    if (c->ssl != NULL) {
        save_session(c);
        SSL_free(c->ssl);
    }
    list_remove(&c->link);
    sim_socket_drop(c->sock);
    buf_free(&c->raw);
    free(c);
}

/* --- sending --- */

static size_t waiting(const struct client *c) {
    return c->raw.len + (c->ssl != NULL ? BIO_ctrl_pending(from_client(c)) : 0);
}

static size_t take_waiting(struct client *c, uint8_t *into, size_t len) {
    if (c->raw.len > 0) {
        size_t n = c->raw.len < len ? c->raw.len : len;
        memcpy(into, c->raw.data, n);
        buf_consume(&c->raw, n);
        return n;
    }
    int n = c->ssl != NULL ? BIO_read(from_client(c), into, (int)len) : 0;
    return n > 0 ? (size_t)n : 0;
}

static void push(struct client *c, size_t len) {
    uint8_t bytes[4096];
    while (len > 0 && waiting(c) > 0) {
        size_t room = sim_peer_room(c->sock), n = len < sizeof bytes ? len : sizeof bytes;
        n = take_waiting(c, bytes, n < room ? n : room);
        if (n == 0) {
            break;
        }
        if (c->corrupt_next) {
            bytes[random_below(n)] ^= 0x55;
            c->corrupt_next = false;
        }
        NEED(sim_peer_send(c->sock, bytes, n) == n, "a pipe has less room than it has");
        len -= n;
    }
    if (c->fin_due && waiting(c) == 0) {
        sim_peer_fin(c->sock);
    }
}

/* Somebody else's name: it must not arrive. Only between two packets is it one. */
static bool say_second_connect(struct client *c) {
    uint8_t connect[STREAM_HEAD_MAX];
    if (c->up_sent <= c->up.head_len || (c->up_sent - c->up.head_len) % 64 != 0) {
        return false;
    }
    size_t len = put_connect(connect, "again", "root", NULL);
    c->spoiled = true;
    SSL_write(c->ssl, connect, (int)len);
    return true;
}

static void say_more(struct client *c) {
    uint8_t plain[WRITE_MAX];
    if (c->kind == CLIENT_SECOND_CONNECT && say_second_connect(c)) {
        return;
    }
    size_t len = random_size(WRITE_MAX);
    if (c->kind == CLIENT_SECOND_CONNECT && c->up_sent >= c->up.head_len) {
        len = 64 - (size_t)(c->up_sent - c->up.head_len) % 64;
    }
    len = c->up_max - c->up_sent < len ? (size_t)(c->up_max - c->up_sent) : len;
    if (len == 0) {
        return;
    }
    stream_fill(&c->up, c->up_sent, plain, len);
    int n = SSL_write(c->ssl, plain, (int)len);
    NEED(n == (int)len || c->spoiled, "client %u cannot write", c->id);
    c->up_sent += len;
}

void client_send(struct client *c, size_t len) {
    bool may_say = c->shaken && !c->close_sent && !c->broken && !c->spoiled;
    if (may_say && waiting(c) < WRITE_MAX) {
        say_more(c);
    }
    push(c, len);
}

void client_update_keys(struct client *c, unsigned times) {
    if (c->shaken && c->version == TLS1_3_VERSION && !c->close_sent && !c->broken) {
        c->updates = true;
        for (unsigned i = 0; i < times; i++) {
            SSL_key_update(c->ssl, SSL_KEY_UPDATE_REQUESTED);
            SSL_do_handshake(c->ssl);
        }
    }
}

void client_corrupt(struct client *c) {
    c->corrupt_next = c->damaged = c->spoiled = true;
}

/* --- ends --- */

void client_close(struct client *c, bool fin) {
    if (c->shaken && !c->broken && !c->close_sent && c->up_sent >= c->up.head_len) {
        c->close_sent = true;
        SSL_shutdown(c->ssl);
    }
    c->fin_due = c->fin_due || (fin && c->close_sent);
    push(c, SIZE_MAX);
}

void client_fin(struct client *c) {
    c->spoiled = c->spoiled || !c->close_sent || waiting(c) > 0;
    sim_peer_fin(c->sock);
}

void client_reset(struct client *c) {
    c->spoiled = true;
    sim_peer_reset(c->sock);
}

void client_leave(struct client *c) {
    c->spoiled = true;
    sim_peer_leave(c->sock);
}

/* --- reading --- */

static void check_plain(struct client *c, const uint8_t *data, size_t len) {
    NEED(c->broker != NULL, "client %u: %zu bytes from no broker", c->id, len);
    NEED(c->down_got + len <= c->broker->down_sent, "client %u: more than its broker sent", c->id);
    NEED(stream_matches(&c->down, c->down_got, data, len),
         "client %u: other bytes at %llu than its broker's", c->id,
         (unsigned long long)c->down_got);
    c->down_got += len;
}

/* close_notify is the word that nothing is missing. */
static void on_close_notify(struct client *c) {
    const struct broker_end *b = c->broker;
    c->close_heard = true;
    if (c->lines == 0) {
        NEED(b != NULL && b->fin_sent, "client %u: close_notify, and nothing has ended", c->id);
    }
    if (c->reason == REASON_BROKER_RESET || c->reason == REASON_TLS_ERROR) {
        NEED(b != NULL && b->fin_sent, "client %u: close_notify for %s", c->id,
             reason_name(c->reason));
    }
    if (b != NULL && !b->spoiled && (c->lines == 0 || peers_ended_in_order(c))) {
        NEED(c->down_got == b->down_sent, "client %u: close_notify after %llu of %llu bytes", c->id,
             (unsigned long long)c->down_got, (unsigned long long)b->down_sent);
    }
}

static void read_plain(struct client *c) {
    static uint8_t plain[READ_MAX];
    int n = 1;
    ERR_clear_error();
    while (!c->broken && n > 0) {
        n = SSL_read(c->ssl, plain, sizeof plain);
        if (n > 0) {
            check_plain(c, plain, (size_t)n);
        }
    }
    if (c->broken || c->close_heard) {
        return;
    }
    int error = SSL_get_error(c->ssl, n);
    if ((SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) != 0 && error == SSL_ERROR_ZERO_RETURN) {
        on_close_notify(c);
    } else if (error != SSL_ERROR_WANT_READ) {
        on_tls_error(c);
    }
}

static void hear(struct client *c, const uint8_t *bytes, size_t len) {
    if (c->ssl == NULL || c->broken) {
        return;
    }
    NEED(BIO_write(to_client(c), bytes, (int)len) == (int)len, "no memory");
    if (!c->shaken) {
        shake(c);
    }
    if (c->shaken) {
        read_plain(c);
    }
}

void client_read(struct client *c, size_t len) {
    static uint8_t bytes[READ_MAX];
    size_t n = sim_peer_read(c->sock, bytes, len < sizeof bytes ? len : sizeof bytes);
    if (n > 0) {
        hear(c, bytes, n);
    }
    if (sim_peer_at_end(c->sock) && !c->fin_heard) {
        c->fin_heard = true;
        NEED(c->lines > 0 || c->close_heard, "client %u: FIN out of nothing", c->id);
    }
}

/* --- what it all came to --- */

bool peers_ended_in_order(const struct client *c) {
    return c->established && c->broker != NULL && !c->spoiled && !c->broker->spoiled &&
           !c->sock->cut && !c->broker->sock->cut && !c->sock->reset && !c->broker->sock->reset &&
           (c->reason == REASON_CLIENT_CLOSED || c->reason == REASON_BROKER_CLOSED);
}

void client_check_end(struct client *c) {
    while (c->sock->out.len > 0) {
        client_read(c, SIZE_MAX);
    }
    client_read(c, 0);
    NEED(c->lines == 1, "client %u has %u closing lines", c->id, c->lines);
    if (peers_ended_in_order(c)) {
        const struct broker_end *b = c->broker;
        NEED(c->close_sent || c->fin_due, "client %u: %s, and it did not close", c->id,
             reason_name(c->reason));
        NEED(b->up_got == client_owes_broker(c), "client %u: %llu of %llu bytes at its broker",
             c->id, (unsigned long long)b->up_got, (unsigned long long)client_owes_broker(c));
        NEED(c->down_got == b->down_sent, "client %u has %llu of %llu bytes", c->id,
             (unsigned long long)c->down_got, (unsigned long long)b->down_sent);
        NEED(c->up_logged == c->up_sent && c->down_logged == b->down_sent,
             "client %u: the line has %llu bytes up and %llu down", c->id,
             (unsigned long long)c->up_logged, (unsigned long long)c->down_logged);
    }
}
