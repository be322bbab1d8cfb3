/* Reloads: the complete new runtime is loaded beside the current one and checked; then all of it
 * takes effect, or nothing has changed.
 *
 * A reload is asked for by a signal, or found to be due because files have changed. While the
 * workers still take the runtime of one reload, the next one waits. Everything here runs on the
 * server's thread; times are milliseconds of its loop, given by the caller. */
#ifndef POSTERN_SERVER_RELOAD_H
#define POSTERN_SERVER_RELOAD_H

#include "core/counter.h"
#include "core/error.h"
#include "server/source.h"
#include "session/runtime.h"

#include <stdbool.h>
#include <stdint.h>

struct reload;

/* What reloads need; all of it is borrowed and must outlive the struct reload. */
struct reload_parts {
    const struct server_source *source;
    const struct tls_shared *tls;
    struct backend_table *backends;
    /* A reload has taken effect: gives every worker a reference to `runtime`, and sees to it that
     * reload_finish is called once all use it. */
    void (*hand_out)(void *arg, struct runtime *runtime);
    /* A reload is complete: `refusal` is NULL, or says why nothing has changed. May be NULL. */
    void (*finished)(void *arg, const struct error *refusal);
    void *arg;
};

/* For the metrics: written by the server's thread, read by any. Times are seconds since 1970. */
struct reload_counts {
    struct counter done, refused;
    struct counter last_done; /* 1: the last one was done, or there was none but the first load */
    struct counter last_time, last_done_time;
};

/* NULL without memory. */
struct reload *reload_new(const struct reload_parts *parts) __attribute__((warn_unused_result));
void reload_free(struct reload *reload); /* with its references to runtimes; NULL is fine */

/* The load at the start of the process, before anything else here: takes effect without hand_out.
 * 0, or -1 with the reason. */
int reload_first(struct reload *reload, uint64_t now_ms, struct error *err)
    __attribute__((warn_unused_result));

/* The runtime in force, borrowed. */
struct runtime *reload_current(const struct reload *reload);

/* Shows the service manager (STATUS=) how things are: serving or not reloaded, and what ends
 * soon. */
void reload_send_status(const struct reload *reload);

/* Requests a reload: now, or when the one under way has been adopted. What is wrong with
 * it is logged. */
void reload_request(struct reload *reload, uint64_t now_ms);

/* Whether one is under way, so that the next one waits. */
bool reload_is_under_way(const struct reload *reload);

const struct reload_counts *reload_counts(const struct reload *reload);

/* Whether the runtime in force wants reload_look to be called, about once a second. */
bool reload_is_watching(const struct reload *reload);

/* Reloads if files in use have changed and have been still since (watch.h). A refusal is logged
 * once, after further attempts. */
void reload_look(struct reload *reload, uint64_t now_ms);

/* Every worker uses the runtime that was handed out last: the one before is released, and a reload
 * that waited begins. */
void reload_finish(struct reload *reload, uint64_t now_ms);

/* The process stops: no reload begins any more. */
void reload_stop(struct reload *reload);

#endif
