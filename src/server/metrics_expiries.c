/* The part of the page /metrics about certificates, CAs and revocation lists. */
#include "server/metrics_page.h"

#include <stdlib.h>
#include <string.h>

/* A file may hold several CAs of the same name; labels must differ, so the earliest counts. */
struct row {
    const char *listener;
    struct tls_expiry expiry;
};

struct rows {
    const char *listener; /* the one that is visited */
    struct row *all;
    size_t count;
    bool failed;
};

static void add(void *arg, const struct tls_expiry *expiry) {
    struct rows *rows = arg;
    struct row *more = reallocarray(rows->all, rows->count + 1, sizeof *more);
    if (more == NULL) {
        rows->failed = true;
        return;
    }
    rows->all = more;
    more[rows->count++] = (struct row){rows->listener, *expiry};
}

static int compare_labels(const struct row *a, const struct row *b) {
    int order = strcmp(a->listener, b->listener);
    if (order == 0) {
        order = (int)a->expiry.kind - (int)b->expiry.kind;
    }
    if (order == 0) {
        order = strcmp(a->expiry.file, b->expiry.file);
    }
    return order != 0 ? order : strcmp(a->expiry.subject, b->expiry.subject);
}

static int compare(const void *left, const void *right) {
    const struct row *a = left, *b = right;
    int order = compare_labels(a, b);
    return order != 0 ? order
                      : (a->expiry.not_after > b->expiry.not_after) -
                            (a->expiry.not_after < b->expiry.not_after);
}

static void write_family(struct exposition *e, const struct rows *rows, const char *name,
                         const char *help, bool begin) {
    static const char *const kinds[] = {
        [TLS_EXPIRY_CERTIFICATE] = "certificate", [TLS_EXPIRY_CA] = "ca", [TLS_EXPIRY_CRL] = "crl"};
    exposition_family(e, EXPOSITION_GAUGE, name, help);
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *row = &rows->all[i];
        if (i > 0 && compare_labels(&rows->all[i - 1], row) == 0) {
            continue;
        }
        const struct exposition_label labels[] = {{"listener", row->listener},
                                                  {"kind", kinds[row->expiry.kind]},
                                                  {"file", row->expiry.file},
                                                  {"subject", row->expiry.subject},
                                                  {NULL, NULL}};
        exposition_real(e, labels,
                        (double)(begin ? row->expiry.not_before : row->expiry.not_after));
    }
}

bool metrics_expiries(const struct runtime *rt, struct buf *out) {
    struct rows rows = {0};
    struct exposition e;
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        rows.listener = rt->config->listeners[i].name;
        const struct runtime_listener *l = &rt->listeners[i];
        for (size_t route = 0; route <= l->config->route_count; route++) {
            tls_context_each_expiry(runtime_at(rt, i, route)->tls, add, &rows);
        }
    }
    if (rows.count > 0) {
        qsort(rows.all, rows.count, sizeof *rows.all, compare);
    }
    exposition_begin(&e, EXPOSITION_TEXT, out);
    write_family(&e, &rows, "postern_not_after_timestamp_seconds",
                 "When a certificate, CA or revocation list ends.", false);
    write_family(&e, &rows, "postern_not_before_timestamp_seconds",
                 "Since when it is valid; a revocation list: when it was made.", true);
    free(rows.all);
    return exposition_end(&e) && !rows.failed;
}
