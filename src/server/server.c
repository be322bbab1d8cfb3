#include "server/server.h"

#include "core/log.h"
#include "server/bind.h"
#include "server/systemd.h"
#include "server/watch.h"
#include "server/worker.h"
#include "session/limits.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

enum { WATCH_EVERY_MS = 1000, SESSION_CACHE_ENTRIES = 20000 };
enum { OTHER_DESCRIPTORS = 64, DESCRIPTORS_A_WORKER = 8, DESCRIPTORS_A_SESSION = 2 };

struct server {
    const struct server_source *source;
    struct tls_shared tls;
    struct backend_table *backends;
    struct limits *limits;
    struct bound_set bound;
    struct worker **workers;
    size_t worker_count;
    size_t max_sessions; /* what the limit of open files allows */

    uv_loop_t loop;
    bool has_loop;
    uv_async_t news; /* from the workers */
    uv_signal_t hangup, terminate, interrupt;
    uv_timer_t watchdog, watch_timer;

    struct runtime *runtime;  /* current */
    struct runtime *retiring; /* until every worker has taken the current one */
    atomic_size_t workers_to_adopt, workers_running;
    bool reload_wanted;
    bool stopping;

    struct watch *watch;
    unsigned *turns_seen; /* by the watchdog, of each worker */
};

static size_t processors(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

/* --- certificate files --- */

static void add_watched(const char *file, void *arg) {
    struct server *s = arg;
    if (!watch_add(s->watch, file)) {
        log_message(LOG_LEVEL_WARNING, "watch", "out of memory: %s is not watched", file);
    }
}

static void watch_current_files(struct server *s) {
    watch_clear(s->watch);
    config_each_file(s->runtime->config, add_watched, s);
    watch_baseline(s->watch);
}

static bool try_reload(struct server *s, struct error *err);

static void refuse(const struct error *err) {
    log_message(LOG_LEVEL_ERROR, "reload refused", "%s; the previous configuration stays in effect",
                err->text);
}

static void on_watch_tick(uv_timer_t *timer) {
    struct server *s = timer->data;
    struct error err;
    if (s->retiring != NULL || s->stopping || !watch_look(s->watch, uv_now(&s->loop))) {
        return;
    }
    struct runtime *before = s->runtime;
    bool good = try_reload(s, &err);
    if (good && s->runtime != before) {
        return; /* the new runtime's files are watched from here on */
    }
    if (watch_read(s->watch, good, uv_now(&s->loop)) == WATCH_GIVE_UP) {
        refuse(&err);
    }
}

static void follow_watch_setting(struct server *s) {
    if (s->runtime->config->reload != RELOAD_WATCH) {
        uv_timer_stop(&s->watch_timer);
    } else if (!uv_is_active((uv_handle_t *)&s->watch_timer)) {
        uv_timer_start(&s->watch_timer, on_watch_tick, WATCH_EVERY_MS, WATCH_EVERY_MS);
    }
}

/* --- reload --- */

static void hand_out(struct server *s) {
    atomic_store(&s->workers_to_adopt, s->worker_count);
    for (size_t i = 0; i < s->worker_count; i++) {
        worker_adopt(s->workers[i], runtime_ref(s->runtime));
    }
}

/* Loads everything beside the old runtime; swaps, or changes nothing. */
static bool try_reload(struct server *s, struct error *err) {
    watch_snapshot(s->watch, uv_now(&s->loop));
    struct runtime *next = source_load(s->source, &s->tls, s->backends, err);
    if (next == NULL) {
        return false;
    }
    if (runtime_check_successor(s->runtime, next, err) != 0) {
        runtime_unref(next);
        return false;
    }
    s->retiring = s->runtime;
    s->runtime = next;
    runtime_commit(next, &s->tls);
    bool changed = watch_has_changed(s->watch);
    watch_current_files(s);
    if (changed) {
        watch_recheck(s->watch, uv_now(&s->loop));
    }
    follow_watch_setting(s);
    hand_out(s);
    return true;
}

static void begin_reload(struct server *s) {
    struct error err;
    if (s->retiring != NULL || s->stopping) {
        return; /* s->reload_wanted stays: the end of the one under way looks again */
    }
    s->reload_wanted = false;
    systemd_reloading();
    if (!try_reload(s, &err)) {
        refuse(&err);
        systemd_send("READY=1\nSTATUS=The last reload was refused; the log says why");
    }
}

static void log_certificates(const struct runtime *rt) {
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        for (size_t k = 0; k < tls_context_certificates(rt->listeners[i].tls); k++) {
            const struct tls_certificate_info *c = tls_context_certificate(rt->listeners[i].tls, k);
            struct log_line line;
            log_begin(&line, LOG_LEVEL_INFO, "certificate");
            log_str(&line, "listener", rt->config->listeners[i].name);
            log_str(&line, "section", c->section);
            log_str(&line, "subject", c->subject);
            log_str(&line, "key", c->key_type);
            log_str(&line, "serial", c->serial);
            log_end(&line);
        }
    }
}

static void finish_reload(struct server *s) {
    runtime_retire(s->retiring);
    runtime_unref(s->retiring);
    s->retiring = NULL;
    log_certificates(s->runtime);
    log_message(LOG_LEVEL_INFO, "reload done", "all workers serve the new configuration");
    systemd_send("READY=1\nSTATUS=Serving");
    if (s->reload_wanted) {
        begin_reload(s);
    }
}

static void on_hangup(uv_signal_t *signal, int number) {
    struct server *s = signal->data;
    s->reload_wanted = true;
    begin_reload(s);
}

/* --- the end --- */

static void close_handle(uv_handle_t *handle, void *arg) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void on_terminate(uv_signal_t *signal, int number) {
    struct server *s = signal->data;
    if (s->stopping) {
        log_message(LOG_LEVEL_INFO, "stopping", "at once");
    } else {
        log_message(LOG_LEVEL_INFO, "stopping", "no new clients; the connected ones are let go");
        systemd_send("STOPPING=1\nSTATUS=Letting the clients go");
    }
    for (size_t i = 0; i < s->worker_count; i++) {
        if (s->stopping) {
            worker_stop(s->workers[i]);
        } else {
            worker_drain(s->workers[i], s->runtime->config->drain_timeout_ms);
        }
    }
    s->stopping = true;
    bind_close(&s->bound);
}

/* From here on a signal would find its handler gone and end the process with a wrong exit code. */
static void hold_signals_back(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void on_news(uv_async_t *async) {
    struct server *s = async->data;
    if (s->retiring != NULL && atomic_load(&s->workers_to_adopt) == 0) {
        finish_reload(s);
    }
    if (atomic_load(&s->workers_running) == 0) {
        hold_signals_back();
        uv_walk(&s->loop, close_handle, NULL);
    }
}

/* The two calls that come from the workers' threads. */
static void on_adopted(void *arg) {
    struct server *s = arg;
    if (atomic_fetch_sub(&s->workers_to_adopt, 1) == 1) {
        uv_async_send(&s->news);
    }
}

static void on_stopped(void *arg) {
    struct server *s = arg;
    if (atomic_fetch_sub(&s->workers_running, 1) == 1) {
        uv_async_send(&s->news);
    }
}

/* --- watchdog --- */

/* The service manager hears from us only while every worker's loop turned since the last time. */
static void on_watchdog(uv_timer_t *timer) {
    struct server *s = timer->data;
    bool all_turned = true;
    for (size_t i = 0; i < s->worker_count; i++) {
        unsigned turns = worker_turns(s->workers[i]);
        all_turned = all_turned && turns != s->turns_seen[i];
        s->turns_seen[i] = turns;
        worker_ping(s->workers[i]);
    }
    if (all_turned || s->stopping) {
        systemd_send("WATCHDOG=1");
    }
}

static void start_watchdog(struct server *s) {
    uint64_t every_ms = systemd_watchdog_ms() / 4;
    if (every_ms > 0) {
        for (size_t i = 0; i < s->worker_count; i++) {
            worker_ping(s->workers[i]);
            s->turns_seen[i] = UINT32_MAX;
        }
        uv_timer_start(&s->watchdog, on_watchdog, every_ms, every_ms);
    }
}

/* --- start --- */

/* Descriptors are two for a session; what the soft limit withholds is taken. */
static int budget_descriptors(struct server *s, struct error *err) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return error_set(err, "cannot read the limit of open files");
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    size_t files = limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
    size_t ours = OTHER_DESCRIPTORS + DESCRIPTORS_A_WORKER * s->worker_count +
                  2 * s->bound.count * s->worker_count;
    if (files < ours + DESCRIPTORS_A_SESSION) {
        return error_set(err,
                         "the limit of open files is %zu, which leaves none for clients: "
                         "raise it (ulimit -n, LimitNOFILE=) to at least %zu",
                         files, ours + 100 * DESCRIPTORS_A_SESSION);
    }
    s->max_sessions = (files - ours) / DESCRIPTORS_A_SESSION;
    return 0;
}

static int make_shared(struct server *s, struct error *err) {
    s->backends = backend_table_new();
    s->watch = watch_new();
    if (s->backends == NULL || s->watch == NULL) {
        return error_set(err, "out of memory");
    }
    s->tls.tickets = tls_tickets_new(err);
    if (s->tls.tickets == NULL) {
        return -1;
    }
    s->tls.sessions = tls_session_cache_new(SESSION_CACHE_ENTRIES, err);
    return s->tls.sessions != NULL ? 0 : -1;
}

static void free_shared(struct server *s) {
    runtime_unref(s->runtime);
    tls_tickets_free(s->tls.tickets);
    tls_session_cache_free(s->tls.sessions);
    backend_table_free(s->backends);
    limits_free(s->limits);
    watch_free(s->watch);
}

static int start_signal(struct server *s, uv_signal_t *signal, uv_signal_cb cb, int number) {
    signal->data = s;
    int rc = uv_signal_init(&s->loop, signal);
    return rc != 0 ? rc : uv_signal_start(signal, cb, number);
}

static int init_loop(struct server *s, struct error *err) {
    int rc = uv_loop_init(&s->loop);
    if (rc != 0) {
        return error_set(err, "cannot make an event loop: %s", uv_strerror(rc));
    }
    s->has_loop = true;
    uv_timer_init(&s->loop, &s->watchdog);
    uv_timer_init(&s->loop, &s->watch_timer);
    s->watchdog.data = s->watch_timer.data = s->news.data = s;
    rc = uv_async_init(&s->loop, &s->news, on_news);
    if (rc == 0) {
        rc = start_signal(s, &s->hangup, on_hangup, SIGHUP);
    }
    if (rc == 0) {
        rc = start_signal(s, &s->terminate, on_terminate, SIGTERM);
    }
    if (rc == 0) {
        rc = start_signal(s, &s->interrupt, on_terminate, SIGINT);
    }
    return rc == 0 ? 0 : error_set(err, "cannot watch for signals: %s", uv_strerror(rc));
}

static void close_loop(struct server *s) {
    if (!s->has_loop) {
        return;
    }
    hold_signals_back();
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&s->loop);
    assert(rc == 0);
    (void)rc;
}

/* On the thread of a worker that has clients waiting for descriptors. */
static void on_wants_room(void *arg, const struct worker *worker) {
    struct server *s = arg;
    for (size_t i = 0; i < s->worker_count; i++) {
        if (s->workers[i] != worker) {
            worker_make_room(s->workers[i]);
        }
    }
}

/* With its own sockets, or those that all workers share. */
static int make_worker(struct server *s, size_t index) {
    struct worker_events events = {
        .arg = s, .adopted = on_adopted, .stopped = on_stopped, .wants_room = on_wants_room};
    struct worker_socket *sockets = calloc(s->bound.count, sizeof *sockets);
    int status = UV_ENOMEM;
    if (sockets == NULL) {
        return status;
    }
    for (size_t i = 0; i < s->bound.count; i++) {
        const struct bound *b = &s->bound.all[i];
        sockets[i] = (struct worker_socket){.fd = b->fds[b->fd_count > 1 ? index : 0],
                                            .listener = b->listener};
    }
    s->workers[index] =
        worker_new(s->limits, s->runtime, sockets, s->bound.count, &events, &status);
    free(sockets);
    return status;
}

static void join_workers(struct server *s) {
    for (size_t i = 0; i < s->worker_count; i++) {
        worker_free(s->workers[i]);
    }
    free(s->workers);
    free(s->turns_seen);
}

static int start_workers(struct server *s, size_t count, struct error *err) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    s->workers = calloc(count, sizeof *s->workers);
    s->turns_seen = calloc(count, sizeof *s->turns_seen);
    s->limits = limits_new(s->runtime->config->listener_count, count, s->max_sessions);
    if (s->workers == NULL || s->turns_seen == NULL || s->limits == NULL) {
        return error_set(err, "out of memory");
    }
    int rc = 0;
    while (rc == 0 && s->worker_count < count) {
        rc = make_worker(s, s->worker_count);
        s->worker_count += rc == 0;
    }
    atomic_store(&s->workers_running, s->worker_count);
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        sigdelset(&all, faults[i]); /* blocked, they kill without a word to a sanitizer */
    }
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for this thread, not for theirs */
    for (size_t i = 0; rc == 0 && i < s->worker_count; i++) {
        rc = worker_start(s->workers[i]);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        return 0;
    }
    for (size_t i = 0; i < s->worker_count; i++) {
        worker_stop(s->workers[i]);
    }
    return error_set(err, "cannot start worker %zu: %s", s->worker_count, uv_strerror(rc));
}

static void log_ready(const struct server *s) {
    for (size_t i = 0; i < s->bound.count; i++) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "ready");
        log_str(&line, "listener", s->runtime->config->listeners[s->bound.all[i].listener].name);
        log_str(&line, "listen", s->bound.all[i].address);
        log_num(&line, "workers", s->worker_count);
        log_end(&line);
    }
    if (s->bound.unused_inherited > 0) {
        log_message(LOG_LEVEL_WARNING, "socket activation",
                    "%zu sockets were handed over that no `listen` names: their clients wait for "
                    "nothing; make ListenStream= and `listen` the same",
                    s->bound.unused_inherited);
    }
}

static void serve(struct server *s) {
    log_certificates(s->runtime);
    log_ready(s);
    watch_current_files(s);
    follow_watch_setting(s);
    start_watchdog(s);
    systemd_send("READY=1\nSTATUS=Serving");
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (s->retiring != NULL) {
        runtime_unref(s->retiring);
    }
}

static enum server_exit fail(enum server_exit result, const struct error *err) {
    log_message(LOG_LEVEL_ERROR, "cannot start", "%s", err->text);
    return result;
}

static enum server_exit run_with_runtime(struct server *s) {
    struct error err;
    enum server_exit result = SERVER_DONE;
    size_t count = s->runtime->config->workers;
    count = count > 0 ? count : processors();
    if (bind_all(&s->bound, s->runtime->config, count, &err) != 0) {
        return fail(SERVER_CANNOT_RUN, &err);
    }
    s->worker_count = count;
    int rc = budget_descriptors(s, &err);
    s->worker_count = 0;
    if (rc != 0 || start_workers(s, count, &err) != 0) {
        result = fail(SERVER_CANNOT_RUN, &err);
    } else {
        serve(s);
    }
    bind_close(&s->bound);
    join_workers(s);
    return result;
}

/* With the loop made first, an early SIGHUP is a reload to come, not the end of the process. */
static enum server_exit run_with_loop(struct server *s) {
    struct error err;
    if (make_shared(s, &err) != 0) {
        return fail(SERVER_CANNOT_RUN, &err);
    }
    s->runtime = source_load(s->source, &s->tls, s->backends, &err);
    if (s->runtime == NULL) {
        return fail(SERVER_UNUSABLE, &err);
    }
    runtime_commit(s->runtime, &s->tls);
    return run_with_runtime(s);
}

enum server_exit server_run(const struct server_source *source) {
    struct server s = {.source = source};
    struct error err;
    if (source_check_command_line(source, &err) != 0) {
        return fail(SERVER_WRONG_USE, &err);
    }
    if (tls_library_start(&err) != 0) {
        return fail(SERVER_CANNOT_RUN, &err);
    }
    enum server_exit result = SERVER_CANNOT_RUN;
    if (init_loop(&s, &err) == 0) {
        result = run_with_loop(&s);
    } else {
        result = fail(SERVER_CANNOT_RUN, &err);
    }
    close_loop(&s);
    free_shared(&s);
    tls_library_stop();
    return result;
}
