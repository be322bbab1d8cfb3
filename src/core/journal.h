/* Entries for systemd's journal by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one
 * datagram for each entry, with a line NAME=value for each field.
 *
 * This is not left to libsystemd: sd_journal_sendv(3) waits while the journal's queue is full,
 * which no worker may do, and the library brings its own libraries for compression and cryptography
 * into the process.
 *
 * Names are constants of the program: POSTERN_ and the key in capitals. In values a backslash is
 * written as \\, control characters and bytes that are not UTF-8 as \xNN; so a value is one line of
 * text, whatever a peer sent. All else stays as it is: `journalctl POSTERN_IDENTITY=...` finds a
 * name as the certificate has it. */
#ifndef POSTERN_CORE_JOURNAL_H
#define POSTERN_CORE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>

/* Embedded; the fields are journal.c's. A pair takes at most eight bytes more than in a line of the
 * log, so that this is room for all pairs of a line that is not cut. */
struct journal_fields {
    size_t len;
    char text[2560];
};

void journal_begin(struct journal_fields *fields);

/* Adds one field. `key` is a constant of lower-case letters, digits and _. What there is no room
 * for is left out: the end of the value, or all of it. */
void journal_put(struct journal_fields *fields, const char *key, const void *value, size_t len);

/* A socket for journal_send, closed on exec and never waited for; -1 if there is none to be had.
 * The caller closes it. */
int journal_open(void) __attribute__((warn_unused_result));

/* Sends one entry: the fields, MESSAGE (`len` bytes without a newline), PRIORITY (syslog(3)'s) and
 * SYSLOG_IDENTIFIER. False if the journal does not take it now: it does not run, or its queue is
 * full. */
bool journal_send(int fd, int priority, const char *message, size_t len,
                  const struct journal_fields *fields) __attribute__((warn_unused_result));

#endif
