#include "core/log_signal.h"

#include "core/log.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct plain_line {
    size_t len;
    char text[256];
};

static void put(struct plain_line *line, const char *text) {
    size_t len = strlen(text), room = sizeof line->text - line->len;
    len = len < room ? len : room;
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

/* Decimal, with zeros in front up to `digits`. */
static void put_number(struct plain_line *line, uint64_t number, unsigned digits) {
    char text[24];
    size_t at = sizeof text - 1;
    text[at] = '\0';
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
        digits -= digits > 0;
    } while ((number > 0 || digits > 0) && at > 0);
    put(line, text + at);
}

/* Days since 1 March of the year 0, in years of 365.2425 days that begin in March, so that the leap
 * day is a year's last: 153 days are five months from March on. */
static void put_date(struct plain_line *line, uint64_t days_since_1970) {
    enum { DAYS_TO_1970 = 719468, ERA = 146097 };
    uint64_t days = days_since_1970 + DAYS_TO_1970, of_era = days % ERA;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153, day = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    put_number(line, year + days / ERA * 400 + (month <= 2), 4);
    put(line, "-");
    put_number(line, month, 2);
    put(line, "-");
    put_number(line, day, 2);
}

static void put_time(struct plain_line *line) {
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seconds = now.tv_sec > 0 ? (uint64_t)now.tv_sec : 0;
    put_date(line, seconds / 86400);
    put(line, "T");
    put_number(line, seconds / 3600 % 24, 2);
    put(line, ":");
    put_number(line, seconds / 60 % 60, 2);
    put(line, ":");
    put_number(line, seconds % 60, 2);
    put(line, ".");
    put_number(line, (uint64_t)now.tv_nsec / 1000000, 3);
    put(line, "Z");
}

static void put_head(struct plain_line *line, enum log_form form, const char *event) {
    if (form == LOG_FORM_JSON) {
        put(line, "{\"time\":\"");
        put_time(line);
        put(line, "\",\"level\":\"error\",\"event\":\"");
        put(line, event);
        put(line, "\"");
    } else if (form == LOG_FORM_JOURNAL) {
        put(line, "<3>");
        put(line, event);
    } else {
        put_time(line);
        put(line, " ");
        put(line, event);
    }
}

static void put_key(struct plain_line *line, enum log_form form, const char *key) {
    put(line, form == LOG_FORM_JSON ? ",\"" : " ");
    put(line, key);
    put(line, form == LOG_FORM_JSON ? "\":" : "=");
}

static void write_all(const struct plain_line *line) {
    for (size_t at = 0; at < line->len;) {
        ssize_t written = write(STDERR_FILENO, line->text + at, line->len - at);
        if (written > 0) {
            at += (size_t)written;
        } else if (errno != EINTR) {
            return;
        }
    }
}

void log_signal(const char *event, const char *number_key, uint64_t number, const char *text_key,
                const char *text) {
    enum log_form form = log_form();
    const char *quote = form == LOG_FORM_JSON ? "\"" : "";
    struct plain_line line = {.len = 0};
    put_head(&line, form, event);
    put_key(&line, form, number_key);
    put_number(&line, number, 0);
    put_key(&line, form, text_key);
    put(&line, quote);
    put(&line, text);
    put(&line, quote);
    put(&line, form == LOG_FORM_JSON ? "}\n" : "\n");
    write_all(&line);
}
