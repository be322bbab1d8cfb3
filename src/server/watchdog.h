/* systemd's watchdog: the process reports that it is alive only while every worker is. */
#ifndef POSTERN_SERVER_WATCHDOG_H
#define POSTERN_SERVER_WATCHDOG_H

#include "server/workers.h"

#include <stdbool.h>
#include <uv.h>

/* Embedded in struct server; the fields are watchdog.c's. The timer is closed with the loop. */
struct watchdog {
    uv_timer_t timer;
    struct workers *workers;
    bool stopping;
};

void watchdog_init(struct watchdog *watchdog, uv_loop_t *loop, struct workers *workers);

/* Reports from now on, four times in the period that the service manager asked for; nothing if it
 * did not ask. */
void watchdog_start(struct watchdog *watchdog);

/* The workers end one after another from now on, so that only this thread is reported on. */
void watchdog_stopping(struct watchdog *watchdog);

#endif
