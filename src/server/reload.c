#include "server/reload.h"

#include "core/log.h"
#include "server/expiry.h"
#include "server/report.h"
#include "server/systemd.h"
#include "server/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct reload {
    struct reload_parts parts;
    struct runtime *current;
    struct runtime *retiring; /* until every worker has taken the current one */
    struct watch *watch;      /* of the files of the current one */
    bool wanted;
    bool refused; /* the last one */
    bool stopped;
    struct reload_counts counts;
};

/* What a reload would change, complete before anything is changed. */
struct candidate {
    struct runtime *runtime;
    struct watch *watch;
};

struct reload *reload_new(const struct reload_parts *parts) {
    struct reload *r = calloc(1, sizeof *r);
    if (r != NULL) {
        r->parts = *parts;
    }
    return r;
}

void reload_free(struct reload *r) {
    if (r != NULL) {
        runtime_unref(r->retiring);
        runtime_unref(r->current);
        watch_free(r->watch);
        free(r);
    }
}

struct runtime *reload_current(const struct reload *r) {
    return r->current;
}

bool reload_is_under_way(const struct reload *r) {
    return r->retiring != NULL;
}

const struct reload_counts *reload_counts(const struct reload *r) {
    return &r->counts;
}

bool reload_is_watching(const struct reload *r) {
    return r->current->config->reload == RELOAD_WATCH;
}

/* --- query, then commit or roll back --- */

struct listing {
    struct watch *watch;
    bool complete;
};

static void add_file(const char *file, void *arg) {
    struct listing *listing = arg;
    listing->complete = listing->complete && watch_add(listing->watch, file);
}

/* Of the files that the configuration names, as they are now; NULL without memory. */
static struct watch *watch_files(const struct config *config, struct error *err) {
    struct listing listing = {.watch = watch_new()};
    listing.complete = listing.watch != NULL;
    if (listing.complete) {
        config_each_file(config, add_file, &listing);
    }
    if (!listing.complete) {
        watch_free(listing.watch);
        error_set(err, "out of memory");
        return NULL;
    }
    watch_baseline(listing.watch);
    return listing.watch;
}

static void roll_back(struct candidate *c) {
    runtime_unref(c->runtime);
    watch_free(c->watch);
    *c = (struct candidate){0};
}

/* Loads everything that the configuration names. The state of the files is taken before they are
 * read, so that a change meanwhile is seen. 0; or -1 with the reason, and nothing of it is left. */
static int load(struct reload *r, uint64_t now_ms, struct candidate *c, struct error *err) {
    *c = (struct candidate){0};
    struct config *config = source_config(r->parts.source, err);
    if (config == NULL) {
        return -1;
    }
    c->watch = watch_files(config, err);
    if (c->watch == NULL) {
        config_free(config);
        return -1;
    }
    c->runtime = runtime_load(config, r->parts.tls, r->parts.backends, err);
    if (c->runtime == NULL) {
        roll_back(c);
        return -1;
    }
    if (watch_has_changed(c->watch)) {
        watch_recheck(c->watch, now_ms);
    }
    return 0;
}

/* Reading such a file again would pass for a reload, and change nothing. */
static void warn_orphans(struct reload *r) {
    const char *file;
    while ((file = watch_next_orphan(r->watch)) != NULL) {
        log_message(LOG_LEVEL_WARNING, "file replaced out of sight",
                    "%s was replaced or removed, but is mounted by itself, so that the old one "
                    "stays in use and the new one cannot be seen; mount its folder instead of the "
                    "file, and restart",
                    file);
    }
}

/* As load, of what may follow the current runtime. */
static int query(struct reload *r, uint64_t now_ms, struct candidate *c, struct error *err) {
    watch_snapshot(r->watch, now_ms);
    warn_orphans(r);
    if (load(r, now_ms, c, err) != 0) {
        return -1;
    }
    if (runtime_check_successor(r->current, c->runtime, err) != 0) {
        roll_back(c);
        return -1;
    }
    return 0;
}

/* Cannot fail. */
static void commit(struct reload *r, struct candidate *c) {
    r->retiring = r->current;
    r->current = c->runtime;
    watch_free(r->watch);
    r->watch = c->watch;
    r->refused = false;
    runtime_commit(r->current, r->parts.tls);
}

static int try_reload(struct reload *r, uint64_t now_ms, struct error *err) {
    struct candidate c;
    if (query(r, now_ms, &c, err) != 0) {
        return -1;
    }
    commit(r, &c);
    r->parts.hand_out(r->parts.arg, r->current);
    return 0;
}

static void note_result(struct reload *r, bool done) {
    uint64_t now = (uint64_t)time(NULL);
    counter_set(&r->counts.last_done, done);
    counter_set(&r->counts.last_time, now);
    if (done) {
        counter_set(&r->counts.last_done_time, now);
    }
}

/* `refusal` is NULL, or the reason. */
static void finish(struct reload *r, const struct error *refusal) {
    counter_add(refusal == NULL ? &r->counts.done : &r->counts.refused, 1);
    note_result(r, refusal == NULL);
    if (r->parts.finished != NULL) {
        r->parts.finished(r->parts.arg, refusal);
    }
}

int reload_first(struct reload *r, uint64_t now_ms, struct error *err) {
    struct candidate c;
    if (load(r, now_ms, &c, err) != 0) {
        return -1;
    }
    commit(r, &c);
    watch_find_orphans(r->watch);
    warn_orphans(r);
    note_result(r, true);
    return 0;
}

/* --- when --- */

static void refuse(struct reload *r, const struct error *err) {
    r->refused = true;
    reload_send_status(r);
    log_message(LOG_LEVEL_ERROR, "reload refused", "%s; the previous configuration stays in effect",
                err->text);
    finish(r, err);
}

void reload_send_status(const struct reload *r) {
    char text[1024];
    snprintf(text, sizeof text, "STATUS=%s",
             r->refused ? "The last reload was refused; the log has the reason" : "Serving");
    expiry_append(r->current, (int64_t)time(NULL), text, sizeof text);
    systemd_send(text);
}

static bool may_begin(const struct reload *r) {
    return r->retiring == NULL && !r->stopped;
}

void reload_request(struct reload *r, uint64_t now_ms) {
    struct error err;
    r->wanted = true;
    if (!may_begin(r)) {
        return; /* reload_finish looks again */
    }
    r->wanted = false;
    systemd_reloading();
    if (try_reload(r, now_ms, &err) != 0) {
        systemd_send("READY=1");
        refuse(r, &err);
    }
}

void reload_look(struct reload *r, uint64_t now_ms) {
    struct error err;
    if (!may_begin(r)) {
        return;
    }
    bool due = watch_look(r->watch, now_ms);
    warn_orphans(r);
    if (!due) {
        return;
    }
    if (try_reload(r, now_ms, &err) != 0 && watch_give_up(r->watch, now_ms)) {
        refuse(r, &err);
    }
}

void reload_finish(struct reload *r, uint64_t now_ms) {
    runtime_retire(r->retiring);
    runtime_unref(r->retiring);
    r->retiring = NULL;
    report_certificates(r->current);
    expiry_warn_loaded(r->current, (int64_t)time(NULL));
    log_message(LOG_LEVEL_INFO, "reload done", "all workers use the new configuration");
    if (!r->stopped) {
        systemd_send("READY=1");
        reload_send_status(r);
    }
    finish(r, NULL);
    if (r->wanted) {
        reload_request(r, now_ms);
    }
}

void reload_stop(struct reload *r) {
    r->stopped = true;
}
