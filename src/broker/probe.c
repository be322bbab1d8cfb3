#include "broker/probe.h"

#include <stdlib.h>

struct probe {
    struct list link;
    struct prober *prober;
    struct backend *backend;
    uv_timer_t timer;
    struct dial dial;
    unsigned periods; /* of the attempt under way */
};

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

static void end(struct probe *p) {
    list_remove(&p->link);
    backend_leave_probe(p->backend);
    dial_cancel(&p->dial);
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}

static void on_dialled(struct dial *d, int status) {
    if (status == 0) {
        struct poll_handle connection = {.fd = -1};
        dial_take(d, &connection);
        poll_handle_close(&connection);
        end(container_of(d, struct probe, dial));
    }
}

static void on_period(uv_timer_t *timer) {
    struct probe *p = timer->data;
    if (!backend_is_used(p->backend)) {
        backend_forget_down(p->backend);
        end(p);
    } else if (!dial_is_under_way(&p->dial)) {
        p->periods = 0;
        dial_start(&p->dial, p->prober->dialer, &p->backend, 1, on_dialled);
    } else if (++p->periods >= PROBE_PERIODS) {
        p->periods = 0;
        dial_expire(&p->dial);
    }
}

static void start(struct prober *prober, struct backend *b) {
    struct probe *p = calloc(1, sizeof *p);
    if (p == NULL || uv_timer_init(prober->dialer->loop, &p->timer) != 0) {
        free(p);
        backend_leave_probe(b);
        return;
    }
    p->prober = prober;
    p->backend = b;
    p->timer.data = p;
    list_append(&prober->running, &p->link);
    uv_timer_start(&p->timer, on_period, PROBE_PERIOD_MS, PROBE_PERIOD_MS);
}

/* Called whenever a backend is found to be down, not only when it becomes so: the thread that
 * claimed it may have had no memory, or may have ended its probe just before the backend went down
 * again. */
static void on_down(void *arg, struct backend *b) {
    struct prober *prober = arg;
    if (!prober->closing && backend_claim_probe(b)) {
        start(prober, b);
    }
}

void prober_init(struct prober *prober, struct dialer *dialer) {
    *prober = (struct prober){.dialer = dialer};
    list_init(&prober->running);
    dialer_on_down(dialer, on_down, prober);
}

void prober_watch(struct prober *prober, struct backend *const *backends, size_t count) {
    for (size_t i = 0; i < count; i++) {
        on_down(prober, backends[i]);
    }
}

void prober_close(struct prober *prober) {
    prober->closing = true;
    while (!list_is_empty(&prober->running)) {
        end(container_of(prober->running.next, struct probe, link));
    }
}
