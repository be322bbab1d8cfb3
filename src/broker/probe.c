#include "broker/probe.h"

#include <stdlib.h>
#include <string.h>

struct probe {
    struct list link;
    struct prober *prober;
    struct backend *backend;
    uint64_t due_ms; /* the next attempt, or the end of the one under way */
    struct dial dial;
    struct dial_target target;
    struct config_sources sources; /* a copy: a listener's may be gone after a reload */
};

static uint64_t now_ms(const struct prober *prober) {
    return uv_now(prober->dialer->loop);
}

static void end(struct probe *p) {
    list_remove(&p->link);
    backend_release_probe(p->backend);
    dial_cancel(&p->dial);
    free(p->sources.all);
    free(p);
}

static void set_due(struct probe *p, uint64_t due_ms) {
    p->due_ms = due_ms;
    if (due_ms < p->prober->due_ms) {
        p->prober->due_ms = due_ms;
    }
}

static void wait_for_next(struct probe *p) {
    uint64_t now = now_ms(p->prober), since = backends_down_since(&p->backend, 1);
    uint64_t pause = since < now ? (now - since) / 4 : 0;
    pause = pause > PROBE_MIN_MS ? pause : PROBE_MIN_MS;
    set_due(p, now + (pause < PROBE_MAX_MS ? pause : PROBE_MAX_MS));
}

/* The dial has marked the backend as up; the probe ends when it is looked at, and not within its
 * own dial's call. */
static void on_dialled(struct dial *d, int status) {
    struct probe *p = container_of(d, struct probe, dial);
    struct poll_handle connection = {.fd = -1};
    if (status == 0) {
        dial_take(d, &connection);
        poll_handle_close(&connection);
    }
    wait_for_next(p);
}

static void look_at(struct probe *p) {
    if (!backend_is_used(p->backend)) {
        backend_forget_down(p->backend);
    }
    if (!backend_is_down(p->backend)) {
        end(p);
    } else if (dial_is_under_way(&p->dial)) {
        set_due(p, now_ms(p->prober) + PROBE_ANSWER_MS);
        dial_expire(&p->dial);
    } else {
        set_due(p, now_ms(p->prober) + PROBE_ANSWER_MS);
        dial_start(&p->dial, p->prober->dialer, &p->target, on_dialled);
    }
}

static struct probe *make(struct prober *prober, struct backend *b,
                          const struct config_sources *sources) {
    struct probe *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return NULL;
    }
    p->prober = prober;
    p->backend = b;
    if (sources->count > 0) {
        p->sources.all = malloc(sources->count * sizeof *sources->all);
        if (p->sources.all == NULL) {
            free(p);
            return NULL;
        }
        memcpy(p->sources.all, sources->all, sources->count * sizeof *sources->all);
        p->sources.count = sources->count;
    }
    p->target = (struct dial_target){
        .backends = &p->backend, .backend_count = 1, .sources = &p->sources, .even_if_down = true};
    return p;
}

/* Called whenever a backend is found to be down, not only when it becomes so: the thread that
 * claimed it may have had no memory, or may have ended its probe just before the backend went down
 * again. */
static void on_down(void *arg, struct backend *b, const struct config_sources *sources) {
    struct prober *prober = arg;
    if (prober->closing || !backend_claim_probe(b)) {
        return;
    }
    struct probe *p = make(prober, b, sources);
    if (p == NULL) {
        backend_release_probe(b);
        return;
    }
    list_append(&prober->running, &p->link);
    wait_for_next(p);
}

void prober_init(struct prober *prober, struct dialer *dialer) {
    *prober = (struct prober){.dialer = dialer, .due_ms = UINT64_MAX};
    list_init(&prober->running);
    dialer_on_down(dialer, on_down, prober);
}

void prober_watch(struct prober *prober, const struct dial_target *target) {
    for (size_t i = 0; i < target->backend_count; i++) {
        on_down(prober, target->backends[i], target->sources);
    }
}

uint64_t prober_next_ms(const struct prober *prober) {
    return prober->due_ms;
}

void prober_on_time(struct prober *prober) {
    uint64_t now = now_ms(prober);
    if (now < prober->due_ms) {
        return;
    }
    prober->due_ms = UINT64_MAX;
    for (struct list *l = prober->running.next, *next; l != &prober->running; l = next) {
        struct probe *p = container_of(l, struct probe, link);
        next = l->next;
        if (p->due_ms <= now) {
            look_at(p);
        } else {
            set_due(p, p->due_ms);
        }
    }
}

void prober_close(struct prober *prober) {
    prober->closing = true;
    prober->due_ms = UINT64_MAX;
    for (struct list *l = prober->running.next, *next; l != &prober->running; l = next) {
        next = l->next;
        end(container_of(l, struct probe, link));
    }
}
