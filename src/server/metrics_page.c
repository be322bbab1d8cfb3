#include "server/metrics_page.h"

#include "core/log.h"
#include "core/reason.h"
#include "session/metrics.h"
#include "tls/context.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

struct page {
    struct exposition out;
    const struct metrics_sources *from;
    size_t workers;
};

#define NO_LABELS NULL

static const char *listener_name(const struct page *p, size_t listener) {
    return p->from->runtime->config->listeners[listener].name;
}

static size_t listeners(const struct page *p) {
    return p->from->runtime->config->listener_count;
}

static const struct metrics *worker(const struct page *p, size_t index) {
    return workers_metrics(p->from->workers, index);
}

/* Of all workers: the counter at that offset in what they count for a listener. */
static uint64_t sum(const struct page *p, size_t listener, size_t offset) {
    uint64_t all = 0;
    for (size_t i = 0; i < p->workers; i++) {
        const void *counter = (const char *)&worker(p, i)->listeners[listener] + offset;
        all += counter_get(counter);
    }
    return all;
}

/* --- of listeners --- */

#define AT(field) offsetof(struct metrics_listener, field)

/* One counter, or an array of them with a label. */
struct listener_family {
    enum exposition_type type;
    const char *name, *help, *label;
    size_t offset, count;
    const char *(*value_of)(size_t number); /* NULL: no such number */
    bool (*is_expected)(size_t number);     /* of others, only what has happened is written */
};

static const char *reason_of(size_t number) {
    return number > REASON_NONE ? reason_name((enum reason)number) : NULL;
}

static bool ends_sessions(size_t number) {
    return reason_ends_sessions((enum reason)number);
}

static bool fails_handshakes(size_t number) {
    return reason_fails_handshakes((enum reason)number);
}

static const struct listener_family listener_families[] = {
    {EXPOSITION_COUNTER, "postern_connections_accepted", "Connections of clients.", NULL,
     AT(accepted), 1, NULL, NULL},
    {EXPOSITION_COUNTER, "postern_connections_silent",
     "Connections that ended before the client sent a byte, as health checks do.", NULL, AT(silent),
     1, NULL, NULL},
    {EXPOSITION_GAUGE, "postern_sessions", "Connections of clients that are open, by their state.",
     "state", AT(phases), PHASE_COUNT, metrics_phase_name, NULL},
    {EXPOSITION_COUNTER, "postern_handshake_groups", "Completed handshakes by key exchange group.",
     "group", AT(groups), METRICS_GROUPS, metrics_group_name, NULL},
    {EXPOSITION_COUNTER, "postern_handshake_ciphers", "Completed handshakes by cipher suite.",
     "cipher", AT(ciphers), METRICS_CIPHERS, metrics_cipher_name, NULL},
    {EXPOSITION_COUNTER, "postern_handshake_key_types",
     "Completed full handshakes by the type of the server's key.", "key_type", AT(key_types),
     TLS_KEY_TYPES, metrics_key_type_name, NULL},
    {EXPOSITION_COUNTER, "postern_handshakes_failed",
     "Connections that ended before their handshake was complete.", "reason", AT(failed),
     REASON_COUNT, reason_of, fails_handshakes},
    {EXPOSITION_COUNTER, "postern_sessions_ended",
     "Connections that ended after their handshake was complete.", "reason", AT(ended),
     REASON_COUNT, reason_of, ends_sessions},
};

static void write_listener_family(struct page *p, const struct listener_family *f,
                                  size_t listener) {
    for (size_t i = 0; i < f->count; i++) {
        const char *value = f->value_of != NULL ? f->value_of(i) : NULL;
        const struct exposition_label labels[] = {
            {"listener", listener_name(p, listener)}, {f->label, value}, {NULL, NULL}};
        uint64_t count = sum(p, listener, f->offset + i * sizeof(struct counter));
        bool expected = f->is_expected == NULL || f->is_expected(i);
        if ((f->label == NULL || value != NULL) && (expected || count > 0)) {
            exposition_count(&p->out, labels, count);
        }
    }
}

static void write_listener_families(struct page *p) {
    for (size_t i = 0; i < sizeof listener_families / sizeof *listener_families; i++) {
        const struct listener_family *f = &listener_families[i];
        exposition_family(&p->out, f->type, f->name, f->help);
        for (size_t l = 0; l < listeners(p); l++) {
            write_listener_family(p, f, l);
        }
    }
}

static void write_handshakes(struct page *p) {
    exposition_family(&p->out, EXPOSITION_COUNTER, "postern_handshakes",
                      "Completed handshakes by TLS version and whether they resumed a session.");
    for (size_t i = 0; i < listeners(p) * METRICS_VERSIONS * 2; i++) {
        size_t resumed = i % 2, version = i / 2 % METRICS_VERSIONS, l = i / 2 / METRICS_VERSIONS;
        const struct exposition_label labels[] = {{"listener", listener_name(p, l)},
                                                  {"version", metrics_version_name(version)},
                                                  {"resumed", resumed != 0 ? "yes" : "no"},
                                                  {NULL, NULL}};
        size_t number = version * 2 + resumed;
        exposition_count(&p->out, labels,
                         sum(p, l, AT(handshakes) + number * sizeof(struct counter)));
    }
}

static void write_bytes(struct page *p) {
    exposition_family(&p->out, EXPOSITION_COUNTER, "postern_relayed_bytes",
                      "Plaintext bytes from clients (up) and to them (down).");
    for (size_t l = 0; l < listeners(p); l++) {
        const struct exposition_label up[] = {
            {"listener", listener_name(p, l)}, {"direction", "up"}, {NULL, NULL}};
        const struct exposition_label down[] = {
            {"listener", listener_name(p, l)}, {"direction", "down"}, {NULL, NULL}};
        exposition_count(&p->out, up, sum(p, l, AT(up)));
        exposition_count(&p->out, down, sum(p, l, AT(down)));
    }
}

static uint64_t failed_by(const struct page *p, size_t listener, enum reason reason) {
    return sum(p, listener, AT(failed) + (size_t)reason * sizeof(struct counter));
}

static void write_refusals_of(struct page *p, size_t l) {
    uint64_t descriptors = sum(p, l, AT(no_descriptors));
    uint64_t connections = failed_by(p, l, REASON_LIMIT_CONNECTIONS);
    const struct {
        const char *limit;
        uint64_t count;
    } all[] = {
        /* A worker counts both, one after the other. */
        {"connections", connections > descriptors ? connections - descriptors : 0},
        {"descriptors", descriptors},
        {"address", failed_by(p, l, REASON_LIMIT_ADDRESS)},
        {"rate", failed_by(p, l, REASON_LIMIT_RATE)},
        {"handshakes", failed_by(p, l, REASON_LIMIT_HANDSHAKES)},
        {"dials", sum(p, l, AT(no_dials))},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const struct exposition_label labels[] = {
            {"listener", listener_name(p, l)}, {"limit", all[i].limit}, {NULL, NULL}};
        exposition_count(&p->out, labels, all[i].count);
    }
}

static void write_refusals(struct page *p) {
    exposition_family(&p->out, EXPOSITION_COUNTER, "postern_refusals",
                      "Clients that a limit refused or that made room for others.");
    for (size_t l = 0; l < listeners(p); l++) {
        write_refusals_of(p, l);
    }
}

static void write_queue(struct page *p) {
    exposition_family(&p->out, EXPOSITION_GAUGE, "postern_handshakes_waiting",
                      "Handshakes that wait for a step of ours, bounded by max_handshakes.");
    for (size_t l = 0; l < listeners(p); l++) {
        const struct exposition_label labels[] = {{"listener", listener_name(p, l)}, {NULL, NULL}};
        exposition_count(&p->out, labels, limits_handshakes(p->from->limits, l));
    }
}

/* --- of workers --- */

static void write_histograms(struct page *p, const char *name, const char *help, size_t offset) {
    exposition_family(&p->out, EXPOSITION_HISTOGRAM, name, help);
    for (size_t i = 0; i < p->workers; i++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        const struct exposition_label labels[] = {{"worker", number}, {NULL, NULL}};
        const void *histogram = (const char *)worker(p, i) + offset;
        exposition_histogram(&p->out, labels, histogram);
    }
}

static void write_workers(struct page *p) {
    write_histograms(p, "postern_handshake_queue_seconds",
                     "How long a step of a handshake was due before it was made.",
                     offsetof(struct metrics, queue_delay));
    write_histograms(p, "postern_turn_seconds", "How long a worker served what a turn brought.",
                     offsetof(struct metrics, turn));
    write_histograms(p, "postern_loop_delay_seconds",
                     "How late a worker saw that another thread wanted something of it.",
                     offsetof(struct metrics, loop_delay));
    exposition_family(&p->out, EXPOSITION_GAUGE, "postern_workers", "Threads that serve clients.");
    exposition_count(&p->out, NO_LABELS, p->workers);
}

static void write_log(struct page *p) {
    uint64_t suppressed = 0;
    for (size_t i = 0; i < p->workers; i++) {
        suppressed += counter_get(&worker(p, i)->suppressed);
    }
    exposition_family(&p->out, EXPOSITION_COUNTER, "postern_log_lines_suppressed",
                      "Log lines that were left out by their limits.");
    exposition_count(&p->out, NO_LABELS, suppressed);
    exposition_family(&p->out, EXPOSITION_COUNTER, "postern_log_lines_lost",
                      "Log lines that standard error did not take.");
    exposition_count(&p->out, NO_LABELS, log_lost());
}

/* --- of brokers: each family needs a way through the table --- */

static void write_up(void *arg, const struct backend_counts *b) {
    const struct exposition_label labels[] = {{"backend", b->text}, {NULL, NULL}};
    exposition_count(arg, labels, b->down ? 0 : 1);
}

static void write_under_way(void *arg, const struct backend_counts *b) {
    const struct exposition_label labels[] = {{"backend", b->text}, {NULL, NULL}};
    exposition_count(arg, labels, b->under_way);
}

static void write_waiting(void *arg, const struct backend_counts *b) {
    const struct exposition_label labels[] = {{"backend", b->text}, {NULL, NULL}};
    exposition_count(arg, labels, b->waiting);
}

static void write_dials(void *arg, const struct backend_counts *b) {
    const struct exposition_label labels[] = {{"backend", b->text}, {NULL, NULL}};
    exposition_count(arg, labels, b->dials);
}

static void write_failures(void *arg, const struct backend_counts *b) {
    for (size_t i = 0; i < BACKEND_FAILURES; i++) {
        const struct exposition_label labels[] = {
            {"backend", b->text},
            {"reason", backend_failure_name((enum backend_failure)i)},
            {NULL, NULL}};
        exposition_count(arg, labels, b->failures[i]);
    }
}

static const struct {
    enum exposition_type type;
    const char *name, *help;
    void (*write)(void *exposition, const struct backend_counts *counts);
} backend_families[] = {
    {EXPOSITION_GAUGE, "postern_backend_up", "Whether a broker is not known to be down.", write_up},
    {EXPOSITION_GAUGE, "postern_backend_dials_under_way", "Connections to a broker under way.",
     write_under_way},
    {EXPOSITION_GAUGE, "postern_backend_dials_waiting",
     "Connections to a broker that wait for their turn, by max_dials.", write_waiting},
    {EXPOSITION_COUNTER, "postern_backend_dials",
     "Attempts to connect to a broker that had a result, probes included.", write_dials},
    {EXPOSITION_COUNTER, "postern_backend_dial_failures", "Those that failed.", write_failures},
};

static void write_backends(struct page *p) {
    for (size_t i = 0; i < sizeof backend_families / sizeof *backend_families; i++) {
        exposition_family(&p->out, backend_families[i].type, backend_families[i].name,
                          backend_families[i].help);
        backend_table_each(p->from->backends, backend_families[i].write, &p->out);
    }
}

/* --- of the process --- */

static void write_reloads(struct page *p) {
    const struct reload_counts *r = p->from->reloads;
    const struct exposition_label done[] = {{"result", "done"}, {NULL, NULL}};
    const struct exposition_label refused[] = {{"result", "refused"}, {NULL, NULL}};
    exposition_family(&p->out, EXPOSITION_COUNTER, "postern_reloads", "Reloads by their result.");
    exposition_count(&p->out, done, counter_get(&r->done));
    exposition_count(&p->out, refused, counter_get(&r->refused));
    exposition_family(&p->out, EXPOSITION_GAUGE, "postern_reload_last_successful",
                      "Whether the last reload, or the start, took effect.");
    exposition_count(&p->out, NO_LABELS, counter_get(&r->last_done));
    exposition_family(&p->out, EXPOSITION_GAUGE, "postern_reload_last_timestamp_seconds",
                      "When the last reload, or the start, had its result.");
    exposition_count(&p->out, NO_LABELS, counter_get(&r->last_time));
    exposition_family(&p->out, EXPOSITION_GAUGE, "postern_reload_last_success_timestamp_seconds",
                      "When the last reload, or the start, took effect.");
    exposition_count(&p->out, NO_LABELS, counter_get(&r->last_done_time));
}

static void write_gauge(struct page *p, const char *name, const char *help, uint64_t value) {
    exposition_family(&p->out, EXPOSITION_GAUGE, name, help);
    exposition_count(&p->out, NO_LABELS, value);
}

static void write_process(struct page *p) {
    const struct process_stats *s = &p->from->process;
    write_gauge(p, "postern_ready", "Whether /ready answers 200.", p->from->ready);
    write_gauge(p, "postern_sessions_max", "Connections for which there are descriptors.",
                limits_max_sessions(p->from->limits));
    write_gauge(p, "process_resident_memory_bytes", "Resident memory size in bytes.",
                s->resident_bytes);
    write_gauge(p, "process_virtual_memory_bytes", "Virtual memory size in bytes.",
                s->virtual_bytes);
    write_gauge(p, "process_open_fds", "Number of open file descriptors.", s->descriptors);
    write_gauge(p, "process_max_fds", "Maximum number of open file descriptors.",
                s->max_descriptors);
    write_gauge(p, "process_start_time_seconds", "When the process started to serve.",
                (uint64_t)s->started);
    exposition_family(&p->out, EXPOSITION_COUNTER, "process_cpu_seconds",
                      "User and system time of all threads.");
    exposition_real(&p->out, NO_LABELS, s->cpu_seconds);
    const struct exposition_label build[] = {{"version", POSTERN_VERSION},
                                             {"tls_library", tls_library_version()},
                                             {"libuv", uv_version_string()},
                                             {NULL, NULL}};
    exposition_family(&p->out, EXPOSITION_GAUGE, "postern_build_info", "What runs here; always 1.");
    exposition_count(&p->out, build, 1);
}

bool metrics_page(const struct metrics_sources *from, enum exposition_format format,
                  struct buf *out) {
    struct page p = {.from = from, .workers = from->workers != NULL ? from->workers->count : 0};
    exposition_begin(&p.out, format, out);
    write_listener_families(&p);
    write_handshakes(&p);
    write_bytes(&p);
    write_refusals(&p);
    write_queue(&p);
    write_workers(&p);
    write_log(&p);
    write_backends(&p);
    write_reloads(&p);
    exposition_paste(&p.out, from->expiries);
    write_process(&p);
    return exposition_end(&p.out);
}
