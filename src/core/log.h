/* The log: one line per event, as text or JSON on standard error, or as an entry of the journal.
 *
 * A line is built on the caller's stack and written by one write(2), so that lines of several
 * threads never mix. Nothing that a peer sends can forge a line: in text, a value with anything
 * outside [A-Za-z0-9._:/@+,[]-] is quoted, with \", \\ and \xNN; in JSON, what is not UTF-8 or is a
 * control character is escaped. While standard error accepts nothing (a stuck pipe), lines are
 * dropped and counted, and the caller continues; the next line that is written follows a line `log
 * lines lost count=N`.
 *
 * JSON is written here and not by a library: a line is one flat object, which must not need memory
 * and must stay well formed where it is cut, while libraries build the whole of it in memory first.
 *
 * Text starts with an RFC 3339 UTC time in milliseconds; where standard error is the journal
 * (JOURNAL_STREAM names its device and inode), with <priority> instead (sd-daemon(3)). An entry of
 * the journal (core/journal.h) has the text without its head as message, and a field for each pair;
 * what the journal does not take is written to standard error as text. */
#ifndef POSTERN_CORE_LOG_H
#define POSTERN_CORE_LOG_H

#include "core/journal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
/* AUTO: JOURNAL where standard error is the journal, else TEXT. */
enum log_format { LOG_FORMAT_AUTO, LOG_FORMAT_TEXT, LOG_FORMAT_JSON, LOG_FORMAT_JOURNAL };

/* On the caller's stack; the fields are log.c's. */
struct log_line {
    enum log_level level;
    enum log_format format; /* never AUTO */
    bool wanted;
    bool cut;
    size_t len;
    char text[2048]; /* a longer line is cut, still well formed, and ends with cut=yes */
    struct journal_fields fields; /* with JOURNAL */
};

/* For the whole process; may be called again at any time and on any thread, as a reload does. Needs
 * the standard descriptors to be open. With JOURNAL it opens one more. */
void log_setup(enum log_level level, enum log_format format);

/* How lines look now, for log_signal.c. Async-signal-safe. */
enum log_form { LOG_FORM_TEXT, LOG_FORM_JSON, LOG_FORM_JOURNAL };
enum log_form log_form(void);

/* Whether a line of that level would be written. */
bool log_wants(enum log_level level);

/* Begins a line: `event` is the event's name ("session end"). Between begin and end the calls below
 * add pairs, in order. Events and keys are constants of the program, never a peer's text. */
void log_begin(struct log_line *line, enum log_level level, const char *event);
/* NULL: - (JSON: null, the journal: no field). */
void log_str(struct log_line *line, const char *key, const char *value);
void log_bytes(struct log_line *line, const char *key, const void *value, size_t len);
void log_num(struct log_line *line, const char *key, uint64_t value);
void log_seconds(struct log_line *line, const char *key, uint64_t value_ms); /* 12.3 */
void log_end(struct log_line *line);

/* How many lines were dropped since the start, as standard error did not take them. */
uint64_t log_lost(void);

/* A whole line with one pair, message="...". */
void log_message(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
