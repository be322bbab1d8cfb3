#include "server/server.h"

#include "broker/ports.h"
#include "core/log.h"
#include "server/admin.h"
#include "server/bind.h"
#include "server/capabilities.h"
#include "server/descriptors.h"
#include "server/expiry.h"
#include "server/heap.h"
#include "server/privileges.h"
#include "server/readiness.h"
#include "server/reload.h"
#include "server/report.h"
#include "server/sandbox.h"
#include "server/secrecy.h"
#include "server/signals.h"
#include "server/stop.h"
#include "server/systemd.h"
#include "server/takeover.h"
#include "server/watchdog.h"
#include "server/workers.h"
#include "session/limits.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOOK_AT_FILES_MS = 1000, SESSION_CACHE_ENTRIES = 20000 };

/* Where other clients are not refused after the end of accepting, those that came just before it
 * are not, either: so long they may still reach their broker. After a takeover nobody waits for
 * this process. In a restart the next one waits for its end. */
enum { TAKEOVER_GRACE_MS = 10000, RESTART_GRACE_MS = 1000 };

struct server {
    struct tls_shared tls;
    struct backend_table *backends;
    struct limits *limits;
    struct inherited inherited;
    struct bound_set bound;
    size_t unused_inherited;
    struct workers workers;
    struct reload *reload;
    struct readiness readiness;
    struct admin *admin; /* NULL: off */

    uv_loop_t loop;
    bool has_loop;
    struct signals signals;
    struct watchdog watchdog;
    uv_timer_t look_timer; /* runs while reload = watch is in effect */
    uv_timer_t expiry_timer;
    uv_timer_t heap_timer;
    struct stop stop;
    struct takeover takeover;

    bool taken;   /* another process serves in place of this one */
    bool refused; /* the one that this one was to replace continues to serve */
};

/* --- reload --- */

static void on_look_timer(uv_timer_t *timer) {
    struct server *s = timer->data;
    reload_look(s->reload, uv_now(&s->loop));
}

static void follow_reload_setting(struct server *s) {
    if (!reload_is_watching(s->reload)) {
        uv_timer_stop(&s->look_timer);
    } else if (!uv_is_active((uv_handle_t *)&s->look_timer)) {
        uv_timer_start(&s->look_timer, on_look_timer, LOOK_AT_FILES_MS, LOOK_AT_FILES_MS);
    }
}

static void on_reloaded(void *arg, struct runtime *runtime) {
    struct server *s = arg;
    follow_reload_setting(s);
    bind_set_options(&s->bound, runtime->config);
    admin_use(s->admin, runtime);
    workers_adopt(&s->workers, runtime);
}

static void on_reload_finished(void *arg, const struct error *refusal) {
    struct server *s = arg;
    admin_finished(s->admin, refusal);
}

static void on_adopted(void *arg) {
    struct server *s = arg;
    reload_finish(s->reload, uv_now(&s->loop));
}

static void on_reload_signal(void *arg) {
    struct server *s = arg;
    reload_request(s->reload, uv_now(&s->loop));
}

/* --- every ten seconds, and every day --- */

static void on_heap_timer(uv_timer_t *timer) {
    struct server *s = timer->data;
    if (heap_is_worth_trimming(limits_most_sessions(s->limits), limits_sessions(s->limits))) {
        limits_forget_most(s->limits);
        heap_trim();
    }
}

static void on_expiry_timer(uv_timer_t *timer) {
    struct server *s = timer->data;
    expiry_warn_daily(reload_current(s->reload), (int64_t)time(NULL));
    reload_send_status(s->reload);
}

/* --- stop --- */

static void on_stop_signal(void *arg) {
    struct server *s = arg;
    stop_request(&s->stop, reload_current(s->reload)->config->drain_delay_ms);
}

/* By the admin socket: asked twice, it is still not a second signal. */
static void drain(void *arg) {
    struct server *s = arg;
    if (!stop_is_draining(&s->stop)) {
        on_stop_signal(s);
    }
}

/* No file is loaded and no balancer sends anybody from now on. */
static void leave_service(struct server *s) {
    readiness_set(&s->readiness, READINESS_DRAINING);
    reload_stop(s->reload);
    admin_draining(s->admin);
    uv_timer_stop(&s->expiry_timer);
    uv_timer_stop(&s->heap_timer);
}

static void on_draining(void *arg) {
    struct server *s = arg;
    log_message(LOG_LEVEL_INFO, "draining",
                "new clients are accepted until drain_delay has passed");
    systemd_send("STOPPING=1\nSTATUS=Draining: new clients are still accepted");
    leave_service(s);
}

static void report_stop(const struct server *s) {
    if (s->taken) {
        log_message(LOG_LEVEL_INFO, "stopping",
                    "another process serves; connected clients are disconnected");
    } else {
        log_message(LOG_LEVEL_INFO, "stopping",
                    "no new clients; connected clients are disconnected");
        systemd_send("STOPPING=1\nSTATUS=Disconnecting clients");
    }
}

static uint64_t grace_ms(const struct server *s, uint64_t drain_ms) {
    if (s->taken) {
        return TAKEOVER_GRACE_MS;
    }
    uint64_t most = drain_ms == CONFIG_OFF ? 0 : drain_ms;
    uint64_t wanted = bind_is_kept(&s->bound) ? RESTART_GRACE_MS : 0;
    return wanted < most ? wanted : most;
}

static void on_disconnecting(void *arg) {
    struct server *s = arg;
    uint64_t drain_ms = reload_current(s->reload)->config->drain_timeout_ms;
    report_stop(s);
    leave_service(s);
    watchdog_stopping(&s->watchdog);
    takeover_stop(&s->takeover);
    workers_drain(&s->workers, grace_ms(s, drain_ms), drain_ms);
    if (!takeover_is_under_way(&s->takeover)) {
        bind_close(&s->bound);
    }
}

static void on_ending(void *arg) {
    struct server *s = arg;
    log_message(LOG_LEVEL_INFO, "stopping", "at once");
    workers_stop(&s->workers);
}

/* --- takeover --- */

static void on_taken(void *arg, pid_t by) {
    struct server *s = arg;
    char text[64];
    log_message(LOG_LEVEL_INFO, "takeover", "process %d has taken the listening sockets over",
                (int)by);
    snprintf(text, sizeof text, "MAINPID=%d", (int)by);
    systemd_send(text);
    s->taken = true;
    admin_stop(s->admin); /* the other process has the address */
    stop_without_delay(&s->stop);
    bind_close(&s->bound);
}

static void on_refused(void *arg) {
    struct server *s = arg;
    s->refused = true;
    stop_without_delay(&s->stop);
    stop_request(&s->stop, 0);
}

/* --- the end --- */

static void close_handle(uv_handle_t *handle, void *arg) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void on_stopped(void *arg) {
    struct server *s = arg;
    admin_stop(s->admin);
    signals_hold();
    uv_walk(&s->loop, close_handle, NULL);
}

static void close_loop(struct server *s) {
    if (!s->has_loop) {
        return;
    }
    signals_hold();
    uv_walk(&s->loop, close_handle, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&s->loop);
    assert(rc == 0);
    (void)rc;
}

static void free_parts(struct server *s) {
    admin_free(s->admin);
    reload_free(s->reload);
    tls_tickets_free(s->tls.tickets);
    tls_session_cache_free(s->tls.sessions);
    backend_table_free(s->backends);
    limits_free(s->limits);
}

/* --- start --- */

static size_t processors(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

static enum server_exit fail(enum server_exit result, const struct error *err) {
    log_message(LOG_LEVEL_ERROR, "cannot start", "%s", err->text);
    return result;
}

struct loop_making {
    uv_loop_t *loop;
    int status;
};

static void on_make_loop(void *arg) {
    struct loop_making *making = arg;
    making->status = uv_loop_init(making->loop);
}

static int init_loop(struct server *s, struct error *err) {
    struct loop_making making = {&s->loop, UV_EAGAIN}; /* where the function is not called */
    sandbox_make_loop(on_make_loop, &making);
    int rc = making.status;
    if (rc != 0) {
        return error_set(err, "cannot make an event loop: %s", uv_strerror(rc));
    }
    s->has_loop = true;
    uv_timer_init(&s->loop, &s->look_timer);
    s->look_timer.data = s;
    uv_timer_init(&s->loop, &s->expiry_timer);
    s->expiry_timer.data = s;
    uv_timer_init(&s->loop, &s->heap_timer);
    s->heap_timer.data = s;
    watchdog_init(&s->watchdog, &s->loop, &s->workers);
    stop_init(
        &s->stop, &s->loop,
        (struct stop_events){
            .arg = s, .drains = on_draining, .disconnects = on_disconnecting, .ends = on_ending});
    struct workers_events events = {.arg = s, .adopted = on_adopted, .stopped = on_stopped};
    rc = workers_init(&s->workers, &s->loop, events);
    if (rc != 0) {
        return error_set(err, "cannot make an event loop: %s", uv_strerror(rc));
    }
    struct signals_events signals = {.arg = s, .reload = on_reload_signal, .stop = on_stop_signal};
    return signals_init(&s->signals, &s->loop, signals, err);
}

static int make_parts(struct server *s, const struct server_source *source, struct error *err) {
    s->backends = backend_table_new(ports_first_parity());
    s->reload = reload_new(&(struct reload_parts){
        .source = source,
        .tls = &s->tls,
        .backends = s->backends,
        .hand_out = on_reloaded,
        .finished = on_reload_finished,
        .arg = s,
    });
    if (s->backends == NULL || s->reload == NULL) {
        return error_set(err, "out of memory");
    }
    s->tls.tickets = tls_tickets_new(err);
    if (s->tls.tickets == NULL) {
        return -1;
    }
    s->tls.sessions = tls_session_cache_new(SESSION_CACHE_ENTRIES, err);
    return s->tls.sessions != NULL ? 0 : -1;
}

/* Those of the process that is taken over, those of the service manager, and new ones. */
static int open_sockets(struct server *s, size_t workers, bool takes_over, struct error *err) {
    const struct config *config = reload_current(s->reload)->config;
    int result = 0;
    if (takes_over) {
        result = takeover_ask(&s->takeover, config->takeover, &s->inherited, s->tls.tickets, err);
    }
    if (result == 0) {
        result = inherited_add_passed(&s->inherited, err);
    }
    if (result == 0) {
        result = bind_all(&s->bound, config, workers, &s->inherited, err);
    }
    s->unused_inherited = inherited_close(&s->inherited, result == 0);
    return result == 0 ? takeover_listen(&s->takeover, config->takeover, err) : -1;
}

static size_t worker_count(const struct config *config) {
    return config->workers > 0 ? config->workers : processors();
}

/* Binds, and counts descriptors. */
static int open_service(struct server *s, bool takes_over, struct error *err) {
    const struct config *config = reload_current(s->reload)->config;
    size_t count = worker_count(config);
    size_t max_sessions;
    if (open_sockets(s, count, takes_over, err) != 0 ||
        admin_open(&s->admin, config, takeover_take_admin(&s->takeover.take), &s->loop, err) != 0 ||
        descriptors_budget(count, bind_watched(&s->bound, count), &max_sessions, err) != 0) {
        return -1;
    }
    s->limits = limits_new(config->listener_count, count, max_sessions);
    return s->limits != NULL ? 0 : error_set(err, "out of memory");
}

/* From here on the process can do no more than serving needs. All that needs root's rights comes
 * before, all that starts a thread after it. */
static int confine(struct server *s, struct error *err) {
    const struct config *config = reload_current(s->reload)->config;
    bool was_root = privileges_are_root();
    if (privileges_drop(config, err) != 0) {
        return -1;
    }
    privileges_report(config, was_root);
    capabilities_drop(config);
    if (config->core_dumps == CONFIG_SWITCH_ON) {
        secrecy_allow_dumps();
    }
    /* The folders of its own unix sockets, which it removes at its end. */
    const int folders[] = {s->takeover.path.file.folder, admin_folder(s->admin)};
    sandbox_apply(config, folders, sizeof folders / sizeof *folders);
    return 0;
}

static int start_admin(struct server *s, struct error *err) {
    struct admin_parts parts = {
        .workers = &s->workers,
        .limits = s->limits,
        .backends = s->backends,
        .reload = s->reload,
        .readiness = &s->readiness,
        .on_reload = on_reload_signal,
        .on_drain = drain,
        .arg = s,
    };
    return admin_start(s->admin, &parts, err);
}

static int start_threads(struct server *s, struct error *err) {
    struct runtime *runtime = reload_current(s->reload);
    size_t count = worker_count(runtime->config);
    if (start_admin(s, err) != 0 ||
        workers_start(&s->workers, count, s->limits, runtime, &s->bound, err) != 0) {
        return -1;
    }
    struct takeover_events events = {.arg = s, .taken = on_taken, .refused = on_refused};
    if (takeover_serve(&s->takeover, &s->loop, &s->bound, s->tls.tickets, admin_listening(s->admin),
                       events, err) != 0) {
        workers_stop(&s->workers);
        return -1;
    }
    return 0;
}

static void serve(struct server *s) {
    readiness_set(&s->readiness, READINESS_SERVING);
    report_certificates(reload_current(s->reload));
    expiry_warn_loaded(reload_current(s->reload), (int64_t)time(NULL));
    report_ready(reload_current(s->reload), &s->bound, s->workers.count, s->unused_inherited);
    follow_reload_setting(s);
    watchdog_start(&s->watchdog);
    uv_timer_start(&s->expiry_timer, on_expiry_timer, EXPIRY_EVERY_MS, EXPIRY_EVERY_MS);
    uv_timer_start(&s->heap_timer, on_heap_timer, HEAP_EVERY_MS, HEAP_EVERY_MS);
    bind_store(&s->bound);
    systemd_send("READY=1");
    reload_send_status(s->reload);
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

static int check_takeover(const struct server *s, bool takes_over, struct error *err) {
    if (takes_over && reload_current(s->reload)->config->takeover == NULL) {
        return error_set(err, "--takeover without the key `takeover`; write it in [postern] as the "
                              "running Postern has it");
    }
    return 0;
}

/* Needs a runtime. */
static enum server_exit run_service(struct server *s, bool takes_over) {
    struct error err;
    if (open_service(s, takes_over, &err) != 0) {
        return fail(SERVER_CANNOT_RUN, &err);
    }
    if (confine(s, &err) != 0) {
        return fail(SERVER_UNUSABLE, &err);
    }
    if (start_threads(s, &err) != 0) {
        return fail(SERVER_CANNOT_RUN, &err);
    }
    serve(s);
    return SERVER_DONE;
}

static enum server_exit run(struct server *s, const struct server_source *source, bool takes_over) {
    struct error err;
    if (init_loop(s, &err) != 0 || make_parts(s, source, &err) != 0) {
        return fail(SERVER_CANNOT_RUN, &err);
    }
    if (reload_first(s->reload, uv_now(&s->loop), &err) != 0 ||
        check_takeover(s, takes_over, &err) != 0) {
        return fail(SERVER_UNUSABLE, &err);
    }
    enum server_exit result = run_service(s, takes_over);
    admin_stop(s->admin);
    bind_close(&s->bound);
    workers_join(&s->workers);
    return s->refused ? SERVER_CANNOT_RUN : result;
}

/* The loop is made before the configuration is read, so that an early SIGHUP is a reload to come
 * and does not end the process. */
enum server_exit server_run(const struct server_source *source, bool takes_over) {
    struct server s = {0};
    struct error err;
    takeover_init(&s.takeover);
    if (source_check_command_line(source, &err) != 0) {
        return fail(SERVER_WRONG_USE, &err);
    }
    secrecy_begin();
    /* What libuv does by io_uring would pass by the filter of system calls. (This is about files;
     * for what it does for a loop see sandbox_make_loop.) */
    setenv("UV_USE_IO_URING", "0", 1);
    if (tls_library_start(&err) != 0) {
        return fail(SERVER_CANNOT_RUN, &err);
    }
    enum server_exit result = run(&s, source, takes_over);
    close_loop(&s);
    takeover_close(&s.takeover);
    free_parts(&s);
    tls_library_stop();
    return result;
}
