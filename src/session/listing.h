/* A list of the sessions of one pool, taken a few at a time, so that no turn takes long.
 *
 * A listing is a walk along the sessions that were there when it began, the oldest first. It
 * continues where it stood in a later turn; sessions that end meanwhile are left out, those that
 * come are not listed. (A reload that looks through all sessions may have some listed twice.)
 * POOL_WALKS of them can be under way, each with a number; one that is not continued costs nothing.
 * On the pool's thread alone. */
#ifndef POSTERN_SESSION_LISTING_H
#define POSTERN_SESSION_LISTING_H

#include "core/address.h"
#include "session/phase.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

enum { LISTING_TEXT = 256 };

/* A session as it was when it was listed. Anybody may read it. Strings are the row's own or static,
 * `backend` is a text of the process's table of backends. */
struct listing_row {
    size_t listener; /* index in any runtime */
    enum phase_id phase;
    struct address client;
    uint64_t age_ms;                                /* since it was accepted */
    int64_t accepted_s;                             /* when that was: seconds since 1970 */
    uint64_t up, down;                              /* plaintext bytes */
    const char *version, *cipher, *group, *backend; /* NULL: none yet */
    bool resumed;
    /* "": none */
    char route[LISTING_TEXT], identity[LISTING_TEXT], server_name[LISTING_TEXT];
};

/* Begins the walk of that number anew. */
void listing_begin(struct pool *pool, size_t walk);

/* The next sessions, `max` at most, and at most as many as a turn has time for: returns how many.
 * `*more` says whether there may be others. */
size_t listing_take(struct pool *pool, size_t walk, struct listing_row *rows, size_t max,
                    bool *more);

#endif
