#include "server/admin.h"

#include "core/log.h"
#include "server/admin_access.h"
#include "server/admin_socket.h"
#include "server/http.h"
#include "server/metrics_page.h"
#include "server/privileges.h"
#include "server/sessions_page.h"
#include "server/signals.h"
#include "server/status_page.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT "text/plain; charset=utf-8"

/* A reload that a client waits for. */
struct wish {
    struct wish *next;
    struct http_request *request;
};

/* When a worker was asked for a sign of life. */
struct pulse {
    unsigned turns;
    uint64_t asked_ns; /* 0: never */
};

static const uint64_t DEAD_NS = 10 * 1000000000ull;

struct admin {
    struct admin_parts parts;
    struct admin_socket socket;
    bool over_unix;
    struct http *http;
    int listen_fd; /* of `http`; -1: none */

    /* Of the HTTP thread. */
    struct process_source process;
    struct sessions_walks walks;
    struct pulse *pulses;

    pthread_mutex_t mutex; /* guards what follows, up to `wake` */
    struct runtime *runtime;
    struct buf expiries;
    struct wish *incoming;
    bool stopping;

    atomic_bool drain;
    uv_async_t wake;

    /* Of the server's thread: what the reload under way answers, and what the next one will. */
    struct wish *now, *later;
};

/* --- the HTTP thread: pages --- */

static struct runtime *current(struct admin *a) {
    pthread_mutex_lock(&a->mutex);
    struct runtime *runtime = runtime_ref(a->runtime);
    pthread_mutex_unlock(&a->mutex);
    return runtime;
}

static bool has_started(const struct admin *a) {
    return readiness_phase(a->parts.readiness) != READINESS_STARTING;
}

/* With the mutex held, until the sources are not needed any more. Returns what is in the way of new
 * clients. */
static const char *collect(struct admin *a, struct metrics_sources *sources) {
    const char *obstacle = readiness_obstacle(a->parts.readiness, a->runtime);
    *sources = (struct metrics_sources){
        .workers = has_started(a) ? a->parts.workers : NULL,
        .limits = a->parts.limits,
        .backends = a->parts.backends,
        .reloads = reload_counts(a->parts.reload),
        .runtime = a->runtime,
        .expiries = &a->expiries,
        .process = process_stats_read(&a->process),
        .ready = obstacle == NULL,
    };
    return obstacle;
}

static void answer_page(struct http_request *r, bool complete, const char *type, struct buf *page) {
    if (complete) {
        http_answer(r, 200, type, page);
    } else {
        buf_free(page);
        http_answer_text(r, 500, "out of memory");
    }
}

/* Each scrape is one more sample of how late the workers' loops are. */
static void on_metrics(struct admin *a, struct http_request *r) {
    enum exposition_format format = exposition_choose(http_header(r, "Accept"));
    struct metrics_sources sources;
    struct buf page = {0};
    for (size_t i = 0; has_started(a) && i < a->parts.workers->count; i++) {
        workers_ping(a->parts.workers, i);
    }
    pthread_mutex_lock(&a->mutex);
    (void)collect(a, &sources);
    bool complete = metrics_page(&sources, format, &page);
    pthread_mutex_unlock(&a->mutex);
    answer_page(r, complete, exposition_content_type(format), &page);
}

static void on_status(struct admin *a, struct http_request *r) {
    struct metrics_sources sources;
    struct buf page = {0};
    pthread_mutex_lock(&a->mutex);
    const char *obstacle = collect(a, &sources);
    bool complete = status_page(&sources, obstacle, &page);
    pthread_mutex_unlock(&a->mutex);
    answer_page(r, complete, TEXT, &page);
}

static void on_ready(struct admin *a, struct http_request *r) {
    pthread_mutex_lock(&a->mutex);
    const char *obstacle = readiness_obstacle(a->parts.readiness, a->runtime);
    pthread_mutex_unlock(&a->mutex);
    http_answer_text(r, obstacle == NULL ? 200 : 503, obstacle == NULL ? "ready" : obstacle);
}

/* Whether that worker has turned since it was asked; asks it again if so. */
static bool is_alive(struct admin *a, size_t index, uint64_t now_ns) {
    struct pulse *pulse = &a->pulses[index];
    unsigned turns = workers_turns(a->parts.workers, index);
    if (pulse->asked_ns == 0 || turns != pulse->turns) {
        *pulse = (struct pulse){turns, now_ns};
        workers_ping(a->parts.workers, index);
        return true;
    }
    return now_ns - pulse->asked_ns < DEAD_NS;
}

/* A worker that ends for a drain turns no more. */
static void on_health(struct admin *a, struct http_request *r) {
    size_t count =
        readiness_phase(a->parts.readiness) == READINESS_SERVING ? a->parts.workers->count : 0;
    uint64_t now_ns = uv_hrtime();
    if (count > 0 && a->pulses == NULL) {
        a->pulses = calloc(count, sizeof *a->pulses);
        count = a->pulses != NULL ? count : 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_alive(a, i, now_ns)) {
            http_answer_text(r, 503, "a worker has not answered for ten seconds");
            return;
        }
    }
    http_answer_text(r, 200, "alive");
}

/* 0: it is none. */
static size_t page_limit(const struct http_request *r) {
    const char *text = http_argument(r, "limit");
    char *end;
    if (text == NULL) {
        return SESSIONS_PAGE;
    }
    unsigned long limit = strtoul(text, &end, 10);
    bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0';
    return digits && limit <= SESSIONS_PAGE_MAX ? limit : 0;
}

static void on_sessions(struct admin *a, struct http_request *r) {
    size_t limit = page_limit(r);
    struct buf page = {0};
    if (limit == 0) {
        http_answer_text(r, 400, "limit must be 1 to 1000");
        return;
    }
    if (!has_started(a)) {
        http_answer_text(r, 503, "starting");
        return;
    }
    struct runtime *runtime = current(a);
    enum sessions_result result = sessions_page(&a->walks, a->parts.workers, runtime->config,
                                                http_argument(r, "next"), limit, &page);
    runtime_unref(runtime);
    if (result == SESSIONS_OK) {
        http_answer(r, 200, "application/json", &page);
        return;
    }
    buf_free(&page);
    switch (result) {
    case SESSIONS_OK:
    case SESSIONS_NO_MEMORY:
        http_answer_text(r, 500, "out of memory");
        break;
    case SESSIONS_BAD_NEXT:
        http_answer_text(r, 400, "next must be what the page before named");
        break;
    case SESSIONS_OVER:
        http_answer_text(r, 410, "this listing is over; begin again, without next");
        break;
    case SESSIONS_NO_ANSWER:
        http_answer_text(r, 503, "a worker has ended, or did not answer within two seconds");
        break;
    }
}

/* --- the HTTP thread: what changes something --- */

static void on_reload(struct admin *a, struct http_request *r) {
    struct wish *wish = calloc(1, sizeof *wish);
    if (wish == NULL) {
        http_answer_text(r, 500, "out of memory");
        return;
    }
    wish->request = r;
    pthread_mutex_lock(&a->mutex);
    bool taken = !a->stopping;
    if (taken) {
        http_wait(r);
        wish->next = a->incoming;
        a->incoming = wish;
    }
    pthread_mutex_unlock(&a->mutex);
    if (taken) {
        uv_async_send(&a->wake);
    } else {
        free(wish);
        http_answer_text(r, 503, "Postern is stopping");
    }
}

static void ask_for_drain(void *arg) {
    struct admin *a = arg;
    atomic_store(&a->drain, true);
    uv_async_send(&a->wake);
}

/* The answer leaves first: with nobody to disconnect the process ends at once. */
static void on_drain(struct admin *a, struct http_request *r) {
    http_then(r, ask_for_drain, a);
    http_answer_text(r, 202, "draining");
}

/* --- the HTTP thread: requests --- */

struct route {
    const char *path, *method;
    enum admin_reach reach;
    void (*answer)(struct admin *a, struct http_request *r);
};

static const struct route routes[] = {
    {"/metrics", "GET", ADMIN_REACH_ALL, on_metrics},
    {"/health", "GET", ADMIN_REACH_ALL, on_health},
    {"/ready", "GET", ADMIN_REACH_ALL, on_ready},
    {"/status", "GET", ADMIN_REACH_MACHINE, on_status},
    {"/sessions", "GET", ADMIN_REACH_MACHINE, on_sessions},
    {"/reload", "POST", ADMIN_REACH_UNIX, on_reload},
    {"/drain", "POST", ADMIN_REACH_UNIX, on_drain},
};

static const struct route *find_route(const char *path) {
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(routes[i].path, path) == 0) {
            return &routes[i];
        }
    }
    return NULL;
}

static bool has_method(const struct route *route, const char *method) {
    bool head = strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0;
    return head || strcmp(method, route->method) == 0;
}

static void on_request(void *arg, struct http_request *r) {
    struct admin *a = arg;
    const struct route *route = find_route(http_path(r));
    const struct admin_client client = {.over_unix = a->over_unix,
                                        .is_local = http_is_local(r),
                                        .host = http_header(r, "Host"),
                                        .origin = http_header(r, "Origin")};
    const char *obstacle =
        admin_access_obstacle(&client, route != NULL ? route->reach : ADMIN_REACH_ALL);
    if (obstacle != NULL) {
        http_answer_text(r, 403, obstacle);
    } else if (route == NULL) {
        http_answer_text(r, 404,
                         "there is /metrics, /health, /ready, /status, /sessions, and to "
                         "POST /reload and /drain");
    } else if (!has_method(route, http_method(r))) {
        http_add_header(r, "Allow", route->method);
        http_answer_text(r, 405, "another method is needed");
    } else {
        route->answer(a, r);
    }
}

/* --- the server's thread: reloads and the drain --- */

static void answer_wishes(struct wish **list, unsigned status, const char *text) {
    while (*list != NULL) {
        struct wish *wish = *list;
        *list = wish->next;
        http_answer_text(wish->request, status, text);
        free(wish);
    }
}

static struct wish *take_incoming(struct admin *a) {
    pthread_mutex_lock(&a->mutex);
    struct wish *incoming = a->incoming;
    a->incoming = NULL;
    pthread_mutex_unlock(&a->mutex);
    return incoming;
}

static void append(struct wish **list, struct wish *more) {
    while (*list != NULL) {
        list = &(*list)->next;
    }
    *list = more;
}

/* What is read from here on is new: a reload that is under way does not count. */
static void on_wake(uv_async_t *async) {
    struct admin *a = async->data;
    struct wish *incoming = take_incoming(a);
    if (incoming != NULL) {
        append(reload_is_under_way(a->parts.reload) ? &a->later : &a->now, incoming);
        a->parts.on_reload(a->parts.arg);
    }
    if (atomic_exchange(&a->drain, false)) {
        a->parts.on_drain(a->parts.arg);
    }
}

void admin_finished(struct admin *a, const struct error *refusal) {
    if (a == NULL) {
        return;
    }
    char text[sizeof refusal->text + 64];
    if (refusal == NULL) {
        answer_wishes(&a->now, 200, "reloaded");
    } else {
        snprintf(text, sizeof text, "%s; the previous configuration stays in effect",
                 refusal->text);
        answer_wishes(&a->now, 422, text);
    }
    a->now = a->later;
    a->later = NULL;
}

void admin_draining(struct admin *a) {
    if (a != NULL) {
        pthread_mutex_lock(&a->mutex);
        a->stopping = true;
        pthread_mutex_unlock(&a->mutex);
        append(&a->later, take_incoming(a));
        answer_wishes(&a->later, 503, "Postern is stopping");
    }
}

/* Without memory the pages have nothing about certificates until the next reload. */
void admin_use(struct admin *a, struct runtime *runtime) {
    struct buf expiries = {0};
    if (a == NULL) {
        return;
    }
    if (!metrics_expiries(runtime, &expiries)) {
        expiries.len = 0;
        log_message(LOG_LEVEL_WARNING, "admin", "out of memory for when certificates expire");
    }
    pthread_mutex_lock(&a->mutex);
    struct runtime *before = a->runtime;
    struct buf old = a->expiries;
    a->runtime = runtime_ref(runtime);
    a->expiries = expiries;
    pthread_mutex_unlock(&a->mutex);
    runtime_unref(before);
    buf_free(&old);
}

/* --- start and end --- */

static void close_given(const struct socket_given *given) {
    if (given->fd >= 0) {
        close(given->fd);
    }
}

int admin_open(struct admin **admin, const struct config *config, struct socket_given given,
               uv_loop_t *loop, struct error *err) {
    *admin = NULL;
    struct admin *a = config->admin.text != NULL ? calloc(1, sizeof *a) : NULL;
    if (a == NULL) {
        close_given(&given);
        return config->admin.text != NULL ? error_set(err, "out of memory") : 0;
    }
    int rc = uv_async_init(loop, &a->wake, on_wake);
    if (rc != 0) {
        close_given(&given);
        free(a);
        return error_set(err, "cannot make a handle of the event loop: %s", uv_strerror(rc));
    }
    *admin = a;
    a->wake.data = a;
    a->over_unix = config->admin.path != NULL;
    a->listen_fd = -1;
    pthread_mutex_init(&a->mutex, NULL);
    process_stats_open(&a->process);
    return admin_socket_open(&a->socket, &config->admin, privileges_group(config), given, err);
}

int admin_start(struct admin *a, const struct admin_parts *parts, struct error *err) {
    sigset_t before;
    if (a == NULL) {
        return 0;
    }
    a->parts = *parts;
    admin_use(a, reload_current(parts->reload));
    struct http_hooks hooks = {.arg = a, .on_request = on_request};
    int fd = a->socket.fd;
    a->socket.fd = -1;
    a->listen_fd = fd;
    signals_block_for_threads(&before);
    a->http = http_start(fd, &hooks, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (a->http == NULL) {
        a->listen_fd = -1;
        return -1;
    }
    struct log_line line;
    log_begin(&line, LOG_LEVEL_INFO, "admin");
    log_str(&line, "listen", a->socket.text);
    log_end(&line);
    return 0;
}

struct socket_given admin_listening(const struct admin *a) {
    return a != NULL ? (struct socket_given){a->listen_fd, a->socket.file.own}
                     : (struct socket_given){.fd = -1};
}

int admin_folder(const struct admin *a) {
    return a != NULL ? a->socket.file.folder : -1;
}

void admin_stop(struct admin *a) {
    if (a == NULL) {
        return;
    }
    admin_draining(a);
    answer_wishes(&a->now, 503, "Postern is stopping");
    http_stop(a->http);
    a->http = NULL;
    a->listen_fd = -1;
    admin_socket_close(&a->socket);
}

void admin_free(struct admin *a) {
    if (a != NULL) {
        runtime_unref(a->runtime);
        buf_free(&a->expiries);
        process_stats_close(&a->process);
        pthread_mutex_destroy(&a->mutex);
        free(a->pulses);
        free(a);
    }
}
