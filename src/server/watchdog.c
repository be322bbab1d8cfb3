#include "server/watchdog.h"

#include "server/systemd.h"

static void on_timer(uv_timer_t *timer) {
    struct watchdog *w = timer->data;
    bool alive = workers_have_turned(w->workers);
    if (alive || w->stopping) {
        systemd_send("WATCHDOG=1");
    }
}

void watchdog_init(struct watchdog *w, uv_loop_t *loop, struct workers *workers) {
    w->workers = workers;
    w->stopping = false;
    uv_timer_init(loop, &w->timer);
    w->timer.data = w;
}

void watchdog_start(struct watchdog *w) {
    uint64_t period_ms = systemd_watchdog_ms() / 4;
    if (period_ms > 0) {
        (void)workers_have_turned(
            w->workers); /* asks each worker for a turn until the first time */
        uv_timer_start(&w->timer, on_timer, period_ms, period_ms);
    }
}

void watchdog_stopping(struct watchdog *w) {
    w->stopping = true;
}
