/* Brokers: what arrives is checked, what is sent is known by its position. */
#include "peers.h"
#include "random.h"
#include "trace.h"

#include "wire/proxy_protocol.h"

#include <stdlib.h>
#include <string.h>

enum { SEND_MAX = 30000, READ_MAX = 65536 };

struct broker_end *broker_new(struct sim_socket *sock, struct client *c) {
    struct broker_end *b = calloc(1, sizeof *b);
    NEED(b != NULL, "no memory");
    *b = (struct broker_end){.sock = sock, .client = c, .down_max = random_size(300000)};
    b->header_due = c->listener == SITE_CERTS || c->listener == SITE_BALANCED;
    list_init(&b->link);
    sock->peer = b;
    sock->dropped = false;
    return b;
}

void broker_free(struct broker_end *b) {
    list_remove(&b->link);
    sim_socket_drop(b->sock);
    buf_free(&b->header);
    free(b);
}

void broker_take(struct broker_end *b) {
    struct broker_end *before = b->client->broker;
    NEED(before == NULL || before->sock->closed, "client %u: a second broker", b->client->id);
    b->client->broker = b;
}

void broker_send(struct broker_end *b, size_t len) {
    uint8_t bytes[SEND_MAX];
    size_t room = sim_peer_room(b->sock), left = (size_t)(b->down_max - b->down_sent);
    len = len < sizeof bytes ? len : sizeof bytes;
    len = len < room ? len : room;
    len = len < left ? len : left;
    if (len == 0 || b->fin_sent) {
        return;
    }
    stream_fill(&b->client->down, b->down_sent, bytes, len);
    b->down_sent += len;
    NEED(sim_peer_send(b->sock, bytes, len) == len, "a pipe has less room than it has");
}

/* --- what arrives --- */

/* The client's address, or the one that its balancer gave. */
static bool read_header(struct broker_end *b, const uint8_t *bytes, size_t len, size_t *used) {
    struct proxy_header header;
    size_t before = b->header.len;
    NEED(buf_append(&b->header, bytes, len, SIZE_MAX), "no memory");
    enum proxy_header_status status = proxy_header_parse(b->header.data, b->header.len, &header);
    NEED(status != PROXY_HEADER_BAD, "client %u: its broker gets no header", b->client->id);
    if (status == PROXY_HEADER_MORE) {
        return false;
    }
    const struct address *wanted = &b->client->origin;
    NEED(header.has_addresses && address_is_equal(&header.source, wanted),
         "client %u: its broker gets another address", b->client->id);
    *used = header.size - before;
    b->header_due = false;
    return true;
}

static void check_bytes(struct broker_end *b, const uint8_t *bytes, size_t len) {
    struct client *c = b->client;
    NEED(b->up_got + len <= client_owes_broker(c), "client %u: its broker gets more than it sent",
         c->id);
    NEED(stream_matches(&c->up_at_broker, b->up_got, bytes, len),
         "client %u: its broker gets other bytes at %llu", c->id, (unsigned long long)b->up_got);
    b->up_got += len;
}

/* FIN is the word that nothing is missing. */
static void on_fin(struct broker_end *b) {
    const struct client *c = b->client;
    b->fin_heard = true;
    if (c->lines == 0) {
        NEED(c->close_sent, "client %u: its broker hears FIN out of nothing", c->id);
    }
    if ((c->lines == 0 && !c->spoiled) || peers_ended_in_order(c)) {
        NEED(b->up_got == client_owes_broker(c), "client %u: FIN after %llu of %llu bytes", c->id,
             (unsigned long long)b->up_got, (unsigned long long)client_owes_broker(c));
    }
}

void broker_read(struct broker_end *b, size_t len) {
    static uint8_t bytes[READ_MAX];
    size_t n = sim_peer_read(b->sock, bytes, len < sizeof bytes ? len : sizeof bytes), used = 0;
    if (n > 0 && (!b->header_due || read_header(b, bytes, n, &used)) && n > used) {
        check_bytes(b, bytes + used, n - used);
    }
    if (sim_peer_at_end(b->sock) && !b->fin_heard) {
        on_fin(b);
    }
}

/* --- ends --- */

void broker_fin(struct broker_end *b) {
    b->fin_sent = true;
    sim_peer_fin(b->sock);
}

void broker_reset(struct broker_end *b) {
    b->spoiled = true;
    sim_peer_reset(b->sock);
}
