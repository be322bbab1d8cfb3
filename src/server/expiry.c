#include "server/expiry.h"

#include "core/log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY = 24 * 3600, EARLIEST = 30 * DAY, LIFETIME_SHARE = 3, DATE_TEXT = 32 };

static const char *const kind_words[] = {
    [TLS_EXPIRY_CERTIFICATE] = "certificate",
    [TLS_EXPIRY_CA] = "ca",
    [TLS_EXPIRY_CRL] = "crl",
};

bool expiry_is_due(int64_t not_before, int64_t not_after, int64_t now) {
    int64_t share = (not_after - not_before) / LIFETIME_SHARE;
    int64_t ahead = share < EARLIEST ? share : EARLIEST;
    return now > not_after || not_after - now <= ahead;
}

static void print_date(char text[DATE_TEXT], const char *format, int64_t seconds) {
    struct tm utc;
    time_t when = (time_t)seconds;
    if (gmtime_r(&when, &utc) == NULL || strftime(text, DATE_TEXT, format, &utc) == 0) {
        snprintf(text, DATE_TEXT, "?");
    }
}

/* --- everything that expires --- */

struct search {
    const struct tls_expiry *expiry;
    bool found;
};

static void compare(void *arg, const struct tls_expiry *expiry) {
    struct search *s = arg;
    s->found =
        s->found || (expiry->kind == s->expiry->kind && expiry->not_after == s->expiry->not_after &&
                     strcmp(expiry->file, s->expiry->file) == 0 &&
                     strcmp(expiry->subject, s->expiry->subject) == 0);
}

struct route_visit {
    const struct runtime_listener *listener;
    void (*visit)(void *arg, const struct tls_expiry *expiry);
    void *arg;
};

/* What a route has from its listener was visited there. */
static void visit_of_route(void *arg, const struct tls_expiry *expiry) {
    const struct route_visit *v = arg;
    struct search inherited = {expiry, false};
    tls_context_each_expiry(v->listener->tls, compare, &inherited);
    if (!inherited.found) {
        v->visit(v->arg, expiry);
    }
}

static void each_expiry(const struct runtime_listener *l,
                        void (*visit)(void *arg, const struct tls_expiry *expiry), void *arg) {
    struct route_visit of_route = {l, visit, arg};
    tls_context_each_expiry(l->tls, visit, arg);
    for (size_t i = 0; i < l->config->route_count; i++) {
        tls_context_each_expiry(l->routes[i].tls, visit_of_route, &of_route);
    }
}

/* --- the log --- */

struct warning {
    const char *listener;
    int64_t now;
    bool with_expired;
};

static void warn(void *arg, const struct tls_expiry *expiry) {
    const struct warning *w = arg;
    bool has_expired = w->now > expiry->not_after;
    if (!expiry_is_due(expiry->not_before, expiry->not_after, w->now) ||
        (has_expired && !w->with_expired)) {
        return;
    }
    char date[DATE_TEXT];
    print_date(date, "%Y-%m-%dT%H:%M:%SZ", expiry->not_after);
    struct log_line line;
    log_begin(&line, LOG_LEVEL_WARNING, "expires");
    log_str(&line, "listener", w->listener);
    log_str(&line, "kind", kind_words[expiry->kind]);
    log_str(&line, "subject", expiry->subject);
    log_str(&line, "file", expiry->file);
    log_str(&line, "end", date);
    log_num(&line, "days", has_expired ? 0 : (uint64_t)(expiry->not_after - w->now) / DAY);
    if (has_expired) {
        log_str(&line, "expired", "yes");
    }
    log_end(&line);
}

static void warn_all(const struct runtime *rt, int64_t now, bool with_expired) {
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        struct warning w = {
            .listener = rt->config->listeners[i].name, .now = now, .with_expired = with_expired};
        each_expiry(&rt->listeners[i], warn, &w);
    }
}

void expiry_warn_loaded(const struct runtime *rt, int64_t now) {
    warn_all(rt, now, false);
}

void expiry_warn_daily(const struct runtime *rt, int64_t now) {
    warn_all(rt, now, true);
}

/* --- the status --- */

struct summary {
    int64_t now;
    const struct tls_expiry *first; /* NULL: none is due */
    size_t due;
};

static void count(void *arg, const struct tls_expiry *expiry) {
    struct summary *s = arg;
    if (expiry_is_due(expiry->not_before, expiry->not_after, s->now)) {
        s->due++;
        if (s->first == NULL || expiry->not_after < s->first->not_after) {
            s->first = expiry;
        }
    }
}

/* systemd refuses a status that is not UTF-8; names of files need not be. */
static void make_plain(char *text) {
    for (char *c = text; *c != '\0'; c++) {
        if (*c < ' ' || *c > '~') {
            *c = '?';
        }
    }
}

void expiry_append(const struct runtime *rt, int64_t now, char *text, size_t size) {
    static const char *const words[] = {"certificate", "CA", "revocation list of"};
    struct summary s = {.now = now};
    char date[DATE_TEXT], more[32] = "";
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        each_expiry(&rt->listeners[i], count, &s);
    }
    if (s.first == NULL) {
        return;
    }
    print_date(date, "%Y-%m-%d", s.first->not_after);
    if (s.due > 1) {
        snprintf(more, sizeof more, ", and %zu more", s.due - 1);
    }
    size_t len = strlen(text);
    snprintf(text + len, size - len, "; %s \"%s\" in %s %s on %s%s", words[s.first->kind],
             s.first->subject, s.first->file, now > s.first->not_after ? "expired" : "expires",
             date, more);
    make_plain(text + len);
}
