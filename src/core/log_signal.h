/* A log line from a signal handler, where log.h's functions must not be called: they take a lock
 * and use the C library's time. */
#ifndef POSTERN_CORE_LOG_SIGNAL_H
#define POSTERN_CORE_LOG_SIGNAL_H

#include <stdint.h>

/* Writes one line of level error, in the form that the log has now, to standard error: the event
 * with a number and a text. Async-signal-safe, and it may wait for standard error. Event, keys and
 * text are constants of the program: letters, digits, `_` and, in the event, blanks. */
void log_signal(const char *event, const char *number_key, uint64_t number, const char *text_key,
                const char *text);

#endif
