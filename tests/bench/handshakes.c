#include "handshakes.h"

struct handshakes {
    struct load *load;
    struct client *clients;
    uint64_t left; /* still to be started */
    uint64_t done;
    unsigned running;
};

static void handshake_start(struct handshakes *h, struct client *c);

static void on_opened(struct client *c) {
    client_ping(c);
}

static void on_moved(struct client *c) {
    if (c->awaited == 0) {
        client_close(c);
    }
}

static void on_closed(struct client *c) {
    struct handshakes *h = c->owner;
    h->done++;
    h->running--;
    handshake_start(h, c);
}

static const struct client_hooks hooks = {on_opened, on_moved, on_closed};

static void handshake_start(struct handshakes *h, struct client *c) {
    if (h->left == 0) {
        return;
    }
    h->left--;
    h->running++;
    client_start(c, h->load, &hooks, h);
}

struct handshakes *handshakes_new(struct load *load) {
    struct handshakes *h = allocate(1, sizeof *h);
    h->load = load;
    h->clients = allocate(load->options.inflight, sizeof *h->clients);
    return h;
}

void handshakes_run(struct handshakes *h, uint64_t count) {
    h->left = count;
    h->done = 0;
    for (unsigned i = 0; i < h->load->options.inflight; i++) {
        handshake_start(h, &h->clients[i]);
    }
    while (h->running > 0) {
        load_turn(h->load, -1);
    }
    if (h->done != count) {
        fail("%llu of %llu handshakes were done", (unsigned long long)h->done,
             (unsigned long long)count);
    }
}

void handshakes_prime(struct handshakes *h) {
    for (unsigned i = 0; i < h->load->options.inflight; i++) {
        h->left = 1;
        handshake_start(h, &h->clients[i]);
        while (h->running > 0) {
            load_turn(h->load, -1);
        }
        if (h->clients[i].session == NULL) {
            fail_as(EXIT_NOT_RESUMED, "the server gives no session to resume");
        }
    }
}
