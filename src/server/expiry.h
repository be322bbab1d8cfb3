/* Warns before certificates, CAs and revocation lists end. */
#ifndef POSTERN_SERVER_EXPIRY_H
#define POSTERN_SERVER_EXPIRY_H

#include "session/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How often a running server warns again. */
enum { EXPIRY_EVERY_MS = 24 * 3600 * 1000 };

/* Whether it is time to warn at `now` of what is valid from `not_before` to `not_after` (all in
 * seconds since 1970): when a third of that time is left, as then ACME clients renew, but not
 * earlier than 30 days before the end; and from the end on. */
bool expiry_is_due(int64_t not_before, int64_t not_after, int64_t now);

/* A line `expires` for everything in the runtime that is due and has not ended: loading has warned
 * of what had. */
void expiry_warn_loaded(const struct runtime *runtime, int64_t now);

/* The same, with what has ended meanwhile. */
void expiry_warn_daily(const struct runtime *runtime, int64_t now);

/* Appends to `text`, a string in an array of `size` bytes, the first of what is due and how many
 * others are: "; CA \"CN=x\" in ca.pem ends on 2026-12-01, and 2 more". Nothing if none is. Cut to
 * fit. Printable, in one line, and without what is not UTF-8. */
void expiry_append(const struct runtime *runtime, int64_t now, char *text, size_t size);

#endif
