#include "server/exposition.h"

#include "core/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void exposition_begin(struct exposition *e, enum exposition_format format, struct buf *out) {
    *e = (struct exposition){.out = out, .format = format};
}

static void put(struct exposition *e, const char *text, size_t len) {
    if (!e->failed && !buf_append(e->out, text, len, SIZE_MAX)) {
        e->failed = true;
    }
}

static void put_text(struct exposition *e, const char *text) {
    put(e, text, strlen(text));
}

/* The characters that both formats escape in both places; OpenMetrics wants quotes escaped in help
 * texts too, which have none. */
static void put_escaped(struct exposition *e, const char *value) {
    const uint8_t *s = (const uint8_t *)value;
    for (size_t left = strlen(value), used; left > 0; s += used, left -= used) {
        uint32_t code;
        used = utf8_decode(s, left, &code);
        if (used == 0) {
            used = 1;
            put_text(e, "\xef\xbf\xbd");
        } else if (code == '\n') {
            put_text(e, "\\n");
        } else if (code == '"' || code == '\\') {
            put_text(e, code == '"' ? "\\\"" : "\\\\");
        } else {
            put(e, (const char *)s, used);
        }
    }
}

static const char *total(const struct exposition *e) {
    return e->type == EXPOSITION_COUNTER ? "_total" : "";
}

void exposition_family(struct exposition *e, enum exposition_type type, const char *name,
                       const char *help) {
    static const char *const types[] = {"gauge", "counter", "histogram"};
    char text[512];
    e->type = type;
    e->name = name;
    /* The text format names the sample, OpenMetrics the family. */
    const char *suffix = e->format == EXPOSITION_TEXT ? total(e) : "";
    snprintf(text, sizeof text, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name,
             suffix, types[type]);
    put_text(e, text);
}

/* The name, the labels and, for a bucket, its bound. */
static void put_head(struct exposition *e, const char *suffix,
                     const struct exposition_label *labels, const char *le) {
    const char *between = "{";
    put_text(e, e->name);
    put_text(e, suffix);
    for (; labels != NULL && labels->name != NULL; labels++) {
        put_text(e, between);
        put_text(e, labels->name);
        put_text(e, "=\"");
        put_escaped(e, labels->value);
        put_text(e, "\"");
        between = ",";
    }
    if (le != NULL) {
        put_text(e, between);
        put_text(e, "le=\"");
        put_text(e, le);
        put_text(e, "\"");
        between = ",";
    }
    put_text(e, between[0] == '{' ? " " : "} ");
}

static void put_number(struct exposition *e, uint64_t value) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64 "\n", value);
    put_text(e, text);
}

/* Without an exponent where seconds since 1970 are meant. */
static void put_real(struct exposition *e, double value) {
    char text[32];
    snprintf(text, sizeof text, "%.15g\n", value);
    put_text(e, text);
}

void exposition_count(struct exposition *e, const struct exposition_label *labels, uint64_t value) {
    put_head(e, total(e), labels, NULL);
    put_number(e, value);
}

void exposition_real(struct exposition *e, const struct exposition_label *labels, double value) {
    put_head(e, total(e), labels, NULL);
    put_real(e, value);
}

void exposition_histogram(struct exposition *e, const struct exposition_label *labels,
                          const struct histogram *h) {
    uint64_t counts[HISTOGRAM_BOUNDS + 1], sum_ns, so_far = 0;
    histogram_read(h, counts, &sum_ns);
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        char le[32] = "+Inf";
        if (i < HISTOGRAM_BOUNDS) {
            /* OpenMetrics wants a point in each. */
            double bound = (double)histogram_bounds_ns[i] / 1e9;
            snprintf(le, sizeof le, bound < 1 ? "%.10g" : "%.1f", bound);
        }
        so_far += counts[i];
        put_head(e, "_bucket", labels, le);
        put_number(e, so_far);
    }
    put_head(e, "_sum", labels, NULL);
    put_real(e, (double)sum_ns / 1e9);
    put_head(e, "_count", labels, NULL);
    put_number(e, so_far);
}

void exposition_paste(struct exposition *e, const struct buf *text) {
    if (text->len > 0) {
        put(e, (const char *)text->data, text->len);
    }
}

bool exposition_end(struct exposition *e) {
    if (e->format == EXPOSITION_OPENMETRICS) {
        put_text(e, "# EOF\n");
    }
    return !e->failed;
}

enum exposition_format exposition_choose(const char *accept) {
    bool asked = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
    return asked ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT;
}

const char *exposition_content_type(enum exposition_format format) {
    return format == EXPOSITION_TEXT ? "text/plain; version=0.0.4; charset=utf-8"
                                     : "application/openmetrics-text; version=1.0.0; "
                                       "charset=utf-8";
}
