#include "server/stop.h"

enum { SERVING, DRAINING, DISCONNECTING, ENDING };

static void disconnect(struct stop *s) {
    uv_timer_stop(&s->delay);
    atomic_store(&s->phase, DISCONNECTING);
    s->events.disconnects(s->events.arg);
}

static void on_delay(uv_timer_t *timer) {
    disconnect(timer->data);
}

void stop_init(struct stop *s, uv_loop_t *loop, struct stop_events events) {
    atomic_init(&s->phase, SERVING);
    s->events = events;
    uv_timer_init(loop, &s->delay);
    s->delay.data = s;
}

void stop_request(struct stop *s, uint64_t delay_ms) {
    int phase = atomic_load(&s->phase);
    if (phase == SERVING && delay_ms > 0) {
        atomic_store(&s->phase, DRAINING);
        s->events.drains(s->events.arg);
        uv_timer_start(&s->delay, on_delay, delay_ms, 0);
        return;
    }
    if (phase < DISCONNECTING) {
        disconnect(s);
    }
    if (phase == DRAINING || phase == DISCONNECTING) {
        atomic_store(&s->phase, ENDING);
        s->events.ends(s->events.arg);
    }
}

void stop_without_delay(struct stop *s) {
    if (atomic_load(&s->phase) < DISCONNECTING) {
        disconnect(s);
    }
}

bool stop_is_draining(const struct stop *s) {
    return atomic_load(&s->phase) != SERVING;
}
