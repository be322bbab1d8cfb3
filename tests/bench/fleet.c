#include "fleet.h"

enum { OWED = 64 }; /* messages that one connection may wait for */

struct device {
    struct client client;
    struct fleet *fleet;
    uint64_t base; /* where the stream was when the present command began */
    uint64_t asked, answered;
    uint64_t due[OWED];
};

struct fleet {
    struct load *load;
    struct device **devices; /* an epoll event points into each: they never move */
    unsigned count, room;
    unsigned open, pinged, closed;
    unsigned turn; /* whose message is next */
    size_t size;
    uint64_t asked, answered;
    struct latency *latency; /* or NULL */
};

static void on_opened(struct client *c) {
    struct device *d = c->owner;
    d->fleet->open++;
    client_ping(c);
}

static void on_moved(struct client *c) {
    struct device *d = c->owner;
    struct fleet *f = d->fleet;
    if (f->pinged < f->count) {
        f->pinged += c->awaited_left == 0;
        return;
    }
    while (d->answered < d->asked && c->received >= d->base + (d->answered + 1) * f->size) {
        if (f->latency != NULL) {
            latency_add(f->latency, now_ns() - d->due[d->answered % OWED]);
        }
        d->answered++;
        f->answered++;
    }
}

static void on_closed(struct client *c) {
    struct device *d = c->owner;
    d->fleet->closed++;
}

static const struct client_hooks hooks = {on_opened, on_moved, on_closed};

struct fleet *fleet_new(struct load *load) {
    struct fleet *f = allocate(1, sizeof *f);
    f->load = load;
    f->room = 20000;
    f->devices = allocate(f->room, sizeof *f->devices);
    return f;
}

unsigned fleet_size(const struct fleet *f) {
    return f->count;
}

void fleet_open(struct fleet *f, unsigned count) {
    unsigned target = f->count + count;
    if (target > f->room) {
        fail_as(EXIT_USAGE, "more than %u connections", f->room);
    }
    while (f->pinged < target) {
        while (f->count < target && f->count - f->pinged < f->load->options.inflight) {
            struct device *d = allocate(1, sizeof *d);
            d->fleet = f;
            f->devices[f->count++] = d;
            client_start(&d->client, f->load, &hooks, d);
        }
        load_turn(f->load, -1);
    }
}

/* A fleet's commands begin with every earlier message answered. */
static void fleet_begin(struct fleet *f, size_t size, struct latency *latency) {
    if (f->count == 0) {
        fail_as(EXIT_USAGE, "no connection is open");
    }
    f->size = size;
    f->latency = latency;
    f->asked = f->answered = 0;
    for (unsigned i = 0; i < f->count; i++) {
        struct device *d = f->devices[i];
        d->base = d->client.received;
        d->asked = d->answered = 0;
    }
}

static void fleet_ask(struct fleet *f, uint64_t due_ns) {
    struct device *d = f->devices[f->turn];
    f->turn = (f->turn + 1) % f->count;
    if (d->asked - d->answered == OWED) {
        fail("stalled: a connection waits for %d messages", OWED);
    }
    d->due[d->asked % OWED] = due_ns;
    d->asked++;
    f->asked++;
    client_echo(&d->client, f->size);
}

void fleet_messages(struct fleet *f, uint64_t count, size_t size, unsigned inflight) {
    fleet_begin(f, size, NULL);
    while (f->answered < count) {
        while (f->asked < count && f->asked - f->answered < inflight) {
            fleet_ask(f, 0);
        }
        load_turn(f->load, -1);
    }
}

void fleet_paced(struct fleet *f, uint64_t per_second, uint64_t count, size_t size,
                 struct latency *latency) {
    fleet_begin(f, size, latency);
    uint64_t start = now_ns();
    while (f->answered < count) {
        uint64_t due = start + f->asked * 1000000000u / per_second;
        uint64_t now = now_ns();
        if (f->asked == count) {
            load_turn(f->load, -1);
        } else if (now < due) {
            load_turn(f->load, (int64_t)(due - now));
        } else {
            fleet_ask(f, due);
            load_turn(f->load, 0);
        }
    }
}

void fleet_upload(struct fleet *f, uint64_t len, uint32_t write_size) {
    for (unsigned i = 0; i < f->count; i++) {
        client_upload(&f->devices[i]->client, len, write_size);
    }
    for (unsigned i = 0; i < f->count; i++) {
        while (f->devices[i]->client.awaited_left > 0) {
            load_turn(f->load, -1);
        }
    }
}

void fleet_download(struct fleet *f, uint64_t len, uint32_t write_size) {
    for (unsigned i = 0; i < f->count; i++) {
        client_download(&f->devices[i]->client, len, write_size);
    }
    for (unsigned i = 0; i < f->count; i++) {
        while (f->devices[i]->client.received < len) {
            load_turn(f->load, -1);
        }
    }
}

void fleet_close(struct fleet *f) {
    load_turn(f->load, 0); /* a connection that the proxy has ended is found here */
    for (unsigned i = 0; i < f->count; i++) {
        client_close(&f->devices[i]->client);
    }
    while (f->closed < f->count) {
        load_turn(f->load, -1);
    }
}
