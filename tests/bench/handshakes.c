#include "handshakes.h"

struct handshakes {
    struct load *load;
    struct client *clients;
    /* A ring of those that rest: the one that has rested longest is next, so that all resume
     * equally often. */
    struct client **resting;
    unsigned first, rest;
    uint64_t left; /* still to be started */
    uint64_t done;
};

static void start_some(struct handshakes *h);

static void on_opened(struct client *c) {
    client_ping(c);
}

static void on_moved(struct client *c) {
    if (c->awaited_left == 0) {
        client_close(c);
    }
}

static void put_to_rest(struct handshakes *h, struct client *c) {
    h->resting[(h->first + h->rest) % h->load->options.inflight] = c;
    h->rest++;
}

static void on_closed(struct client *c) {
    struct handshakes *h = c->owner;
    h->done++;
    put_to_rest(h, c);
    start_some(h);
}

static const struct client_hooks hooks = {on_opened, on_moved, on_closed};

static void start_some(struct handshakes *h) {
    while (h->left > 0 && h->rest > 0) {
        struct client *c = h->resting[h->first];
        h->first = (h->first + 1) % h->load->options.inflight;
        h->rest--;
        h->left--;
        client_start(c, h->load, &hooks, h);
    }
}

struct handshakes *handshakes_new(struct load *load) {
    struct handshakes *h = allocate(1, sizeof *h);
    h->load = load;
    h->clients = allocate(load->options.inflight, sizeof *h->clients);
    h->resting = allocate(load->options.inflight, sizeof(struct client *));
    for (unsigned i = 0; i < load->options.inflight; i++) {
        put_to_rest(h, &h->clients[i]);
    }
    return h;
}

static void finish(struct handshakes *h, uint64_t count) {
    while (h->rest < h->load->options.inflight) {
        load_turn(h->load, -1);
    }
    if (h->done != count) {
        fail("%llu of %llu handshakes were done", (unsigned long long)h->done,
             (unsigned long long)count);
    }
}

void handshakes_run(struct handshakes *h, uint64_t count) {
    h->left = count;
    h->done = 0;
    start_some(h);
    finish(h, count);
}

void handshakes_spread(struct handshakes *h, uint64_t per_second, uint64_t count) {
    uint64_t start = now_ns();
    h->left = h->done = 0;
    for (uint64_t begun = 0; begun < count;) {
        uint64_t due = start + begun * 1000000000u / per_second, now = now_ns();
        if (now < due) {
            load_turn(h->load, (int64_t)(due - now));
            continue;
        }
        begun++;
        h->left++;
        start_some(h);
        load_turn(h->load, 0);
    }
    finish(h, count);
}

void handshakes_prime(struct handshakes *h) {
    handshakes_run(h, h->load->options.inflight);
    for (unsigned i = 0; i < h->load->options.inflight; i++) {
        if (h->clients[i].session == NULL) {
            fail_as(EXIT_NOT_OFFERED, "the server gives no session to resume");
        }
    }
}
