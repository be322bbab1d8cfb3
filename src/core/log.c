#include "core/log.h"

#include "core/counter.h"
#include "core/utf8.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Reserved at the end of a line for what it needs when it is full: a closing quote, the mark that
 * it was cut, the closing brace and the newline. */
enum { LINE_TAIL = 24, LINE_ROOM = sizeof((struct log_line *)0)->text - LINE_TAIL };

/* The one exception to "no mutable state at file scope": a process has one log. */
static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_format = LOG_FORMAT_TEXT;
static _Atomic bool to_journal = false;

static struct {
    pthread_mutex_t mutex; /* held from asking whether a line would block until it is written */
    uint64_t lost;         /* not reported yet */
    struct counter lost_ever;
    bool torn;   /* a part of the last line was written */
    int journal; /* the socket for its entries; -1: none yet */
} output = {.mutex = PTHREAD_MUTEX_INITIALIZER, .journal = -1};

/* JOURNAL_STREAM holds "DEVICE:INODE" of the stream that systemd connected (systemd.exec(5)); it is
 * inherited, so it counts only while standard error is still that stream. */
static bool stderr_is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0) {
        return false;
    }
    char mine[48];
    snprintf(mine, sizeof mine, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, mine) == 0;
}

static void open_journal(void) {
    pthread_mutex_lock(&output.mutex);
    if (output.journal < 0) {
        output.journal = journal_open();
    }
    pthread_mutex_unlock(&output.mutex);
}

void log_setup(enum log_level level, enum log_format format) {
    bool journal = stderr_is_journal();
    if (format == LOG_FORMAT_AUTO) {
        format = journal ? LOG_FORMAT_JOURNAL : LOG_FORMAT_TEXT;
    }
    if (format == LOG_FORMAT_JOURNAL) {
        open_journal();
    }
    atomic_store(&to_journal, journal);
    atomic_store(&current_format, (int)format);
    atomic_store(&current_level, (int)level);
}

enum log_form log_form(void) {
    if (atomic_load(&current_format) == LOG_FORMAT_JSON) {
        return LOG_FORM_JSON;
    }
    return atomic_load(&to_journal) ? LOG_FORM_JOURNAL : LOG_FORM_TEXT;
}

bool log_wants(enum log_level level) {
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static bool is_json(const struct log_line *line) {
    return line->format == LOG_FORMAT_JSON;
}

/* Appends all of it or nothing. A closing quote may already be beyond the room. */
static bool put(struct log_line *line, const char *text, size_t len) {
    if (line->cut || line->len > LINE_ROOM || len > LINE_ROOM - line->len) {
        line->cut = true;
        return false;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
    return true;
}

/* Appends as much of it as there is room for; false if that is not all. */
static bool put_start(struct log_line *line, const void *text, size_t len) {
    size_t room = LINE_ROOM - line->len;
    if (line->cut || len <= room) {
        return put(line, text, len);
    }
    (void)put(line, text, room);
    line->cut = true;
    return false;
}

/* For the tail that LINE_ROOM keeps free. */
static void put_tail(struct log_line *line, const char *text) {
    size_t len = strlen(text);
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static const char *level_name(enum log_level level) {
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error";
    case LOG_LEVEL_WARNING:
        return "warning";
    case LOG_LEVEL_INFO:
        return "info";
    case LOG_LEVEL_DEBUG:
        return "debug";
    }
    return "info";
}

/* syslog(3)'s numbers, as sd-daemon(3) has them. */
static int journal_priority(enum log_level level) {
    switch (level) {
    case LOG_LEVEL_ERROR:
        return 3;
    case LOG_LEVEL_WARNING:
        return 4;
    case LOG_LEVEL_INFO:
        return 6;
    case LOG_LEVEL_DEBUG:
        return 7;
    }
    return 6;
}

static void format_time(char *text, size_t size) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t len = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text + len, size - len, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

/* What a line of text begins with: a time or a priority. Returns its size. */
static size_t format_head(enum log_level level, char *head, size_t size) {
    char now[40];
    if (atomic_load(&to_journal)) {
        return (size_t)snprintf(head, size, "<%d>", journal_priority(level));
    }
    format_time(now, sizeof now);
    return (size_t)snprintf(head, size, "%s ", now);
}

static void put_field(struct log_line *line, const char *key, const void *value, size_t len) {
    if (line->format == LOG_FORMAT_JOURNAL) {
        journal_put(&line->fields, key, value, len);
    }
}

/* The format is read once per line, here, so that a reload cannot mix two in one line. */
static void begin(struct log_line *line, enum log_level level, const char *event) {
    char head[256], now[40];
    size_t len = 0;
    line->level = level;
    line->format = (enum log_format)atomic_load(&current_format);
    line->len = 0;
    line->cut = false;
    journal_begin(&line->fields);
    if (line->format == LOG_FORMAT_JSON) {
        format_time(now, sizeof now);
        len = (size_t)snprintf(head, sizeof head,
                               "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", now,
                               level_name(level), event);
    } else {
        if (line->format == LOG_FORMAT_TEXT) {
            len = format_head(level, head, sizeof head);
        }
        len += (size_t)snprintf(head + len, sizeof head - len, "%s", event);
    }
    put(line, head, len < sizeof head ? len : sizeof head - 1);
    put_field(line, "event", event, strlen(event));
}

void log_begin(struct log_line *line, enum log_level level, const char *event) {
    line->wanted = log_wants(level);
    if (line->wanted) {
        begin(line, level, event);
    }
}

/* The key, together with `open`: an opening quote or all of a short value. All are put or none, so
 * that a key is never without a value. */
static bool put_pair(struct log_line *line, const char *key, const char *open) {
    bool json = is_json(line);
    const char *const parts[] = {json ? ",\"" : " ", key, json ? "\":" : "=", open};
    const size_t before = line->len;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!put(line, parts[i], strlen(parts[i]))) {
            line->len = before;
            return false;
        }
    }
    return true;
}

static bool is_plain_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("._:/@+,[]-", c) != NULL);
}

static bool is_plain(const uint8_t *value, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (!is_plain_byte(value[i])) {
            return false;
        }
    }
    return len > 0 && !(len == 1 && value[0] == '-'); /* a bare - means that there is no value */
}

/* How many characters at the front stand for themselves. */
static size_t unescaped(const uint8_t *s, size_t len) {
    size_t n = 0;
    while (n < len && s[n] >= 0x20 && s[n] < 0x7f && s[n] != '"' && s[n] != '\\') {
        n++;
    }
    return n;
}

/* Escapes the character at the front, none of those, into `out`; returns how many bytes it has. */
static size_t escape(const uint8_t *s, size_t len, bool json, char out[8]) {
    if (s[0] == '"' || s[0] == '\\') {
        snprintf(out, 8, "\\%c", s[0]);
        return 1;
    }
    if (!json) {
        snprintf(out, 8, "\\x%02x", s[0]);
        return 1;
    }
    uint32_t code = 0;
    size_t whole = utf8_decode(s, len, &code);
    if (whole == 0) { /* JSON cannot express a single byte */
        snprintf(out, 8, "\\\\x%02x", s[0]);
        return 1;
    }
    if (code < 0xa0) { /* a control character of ASCII or of Latin-1 */
        snprintf(out, 8, "\\u%04x", code);
        return whole;
    }
    memcpy(out, s, whole);
    out[whole] = '\0';
    return whole;
}

/* Returns how many bytes of the value there was room for. */
static size_t put_value(struct log_line *line, const uint8_t *s, size_t len, bool json) {
    size_t done = 0;
    bool whole = true;
    for (size_t used; whole && done < len; done += used) {
        size_t before = line->len;
        char unit[8];
        used = unescaped(s + done, len - done);
        if (used > 0) {
            whole = put_start(line, s + done, used);
            used = line->len - before;
        } else {
            used = escape(s + done, len - done, json, unit);
            whole = put(line, unit, strlen(unit));
            used = whole ? used : 0;
        }
    }
    return done;
}

void log_bytes(struct log_line *line, const char *key, const void *value, size_t len) {
    const uint8_t *s = value;
    if (!line->wanted) {
        return;
    }
    bool json = is_json(line);
    bool quoted = json || !is_plain(s, len);
    if (!put_pair(line, key, quoted ? "\"" : "")) {
        return;
    }
    size_t done = put_value(line, s, len, json);
    put_field(line, key, value, done);
    if (quoted) {
        put_tail(line, "\"");
    }
}

void log_str(struct log_line *line, const char *key, const char *value) {
    if (value != NULL) {
        log_bytes(line, key, value, strlen(value));
    } else if (line->wanted) {
        put_pair(line, key, is_json(line) ? "null" : "-");
    }
}

static void put_number(struct log_line *line, const char *key, const char *text) {
    if (put_pair(line, key, text)) {
        put_field(line, key, text, strlen(text));
    }
}

/* Writes the digits before `end`, and returns where they begin. (snprintf: 750 instructions each.)
 */
static char *digits_before(char *end, uint64_t value) {
    do {
        *--end = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return end;
}

void log_num(struct log_line *line, const char *key, uint64_t value) {
    char text[24], *end = text + sizeof text - 1;
    if (line->wanted) {
        *end = '\0';
        put_number(line, key, digits_before(end, value));
    }
}

void log_seconds(struct log_line *line, const char *key, uint64_t value_ms) {
    char text[28], *end = text + sizeof text - 1;
    if (line->wanted) {
        *end = '\0';
        *--end = (char)('0' + value_ms % 1000 / 100);
        *--end = '.';
        put_number(line, key, digits_before(end, value_ms / 1000));
    }
}

static void finish(struct log_line *line) {
    bool json = is_json(line);
    if (line->cut) {
        put_tail(line, json ? ",\"cut\":true" : " cut=yes");
        put_field(line, "cut", "yes", 3);
    }
    put_tail(line, json ? "}\n" : "\n");
}

/* Asks poll(2) first, because the descriptor may be shared with other processes and cannot be made
 * non-blocking: a pipe that polls writable accepts PIPE_BUF bytes, more than a line has. */
static bool write_line(const char *text, size_t len) {
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    ssize_t written;
    do {
        if (poll(&fd, 1, 0) != 1 || (fd.revents & POLLOUT) == 0) {
            return false;
        }
        written = write(STDERR_FILENO, text, len);
    } while (written < 0 && errno == EINTR);
    if (written >= 0 && (size_t)written < len) {
        output.torn = written > 0;
        return false;
    }
    return written >= 0;
}

/* An entry that the journal did not take becomes a line of text. */
static bool write_entry(const struct log_line *line) {
    char text[64 + sizeof line->text];
    size_t head_len = format_head(line->level, text, 64);
    memcpy(text + head_len, line->text, line->len);
    return write_line(text, head_len + line->len);
}

static bool deliver(const struct log_line *line) {
    if (line->format != LOG_FORMAT_JOURNAL) {
        return write_line(line->text, line->len);
    }
    return journal_send(output.journal, journal_priority(line->level), line->text, line->len - 1,
                        &line->fields) ||
           write_entry(line);
}

static bool report_lost(void) {
    if (output.torn && !write_line("\n", 1)) {
        return false;
    }
    output.torn = false;
    if (output.lost > 0) {
        struct log_line line;
        line.wanted = true;
        begin(&line, LOG_LEVEL_WARNING, "log lines lost");
        log_num(&line, "count", output.lost);
        finish(&line);
        if (!deliver(&line)) {
            return false;
        }
        output.lost = 0;
    }
    return true;
}

void log_end(struct log_line *line) {
    if (!line->wanted) {
        return;
    }
    finish(line);
    pthread_mutex_lock(&output.mutex);
    if (!report_lost() || !deliver(line)) {
        output.lost++;
        counter_add(&output.lost_ever, 1);
    }
    pthread_mutex_unlock(&output.mutex);
    line->wanted = false;
}

uint64_t log_lost(void) {
    return counter_get(&output.lost_ever);
}

void log_message(enum log_level level, const char *event, const char *format, ...) {
    struct log_line line;
    log_begin(&line, level, event);
    if (!line.wanted) {
        return;
    }
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_str(&line, "message", text);
    log_end(&line);
}
