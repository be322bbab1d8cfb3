/* The page /sessions: who is connected, as JSON, in pages.
 *
 * A page is asked of one worker after the other, a few sessions in each turn (session/listing.h),
 * and names what to ask for the next one. Several listings may be under way; when one more begins,
 * the one that was not continued for longest is over. */
#ifndef POSTERN_SERVER_SESSIONS_PAGE_H
#define POSTERN_SERVER_SESSIONS_PAGE_H

#include "core/buf.h"
#include "server/workers.h"
#include "session/pool.h"
#include "session/runtime.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SESSIONS_PAGE = 500, SESSIONS_PAGE_MAX = 1000 };

/* Where a listing stands. */
struct sessions_walk {
    uint64_t ticket; /* of its next page; 0: it is over */
    size_t worker;
    bool begins; /* on that worker */
};

/* Embedded; zeroed has no listing under way. The fields are sessions_page.c's. */
struct sessions_walks {
    struct sessions_walk all[POOL_WALKS];
    uint64_t last_ticket;
};

enum sessions_result {
    SESSIONS_OK,
    SESSIONS_BAD_NEXT,  /* not what a page named */
    SESSIONS_OVER,      /* others have begun since, or this page was given before */
    SESSIONS_NO_ANSWER, /* of a worker, within two seconds */
    SESSIONS_NO_MEMORY
};

/* Appends a page of at most `limit` sessions (1 to SESSIONS_PAGE_MAX); `next` is NULL for the first
 * page, else what the page before named. Anything but OK leaves no whole page. For one thread at a
 * time, which is not a worker's. */
enum sessions_result sessions_page(struct sessions_walks *walks, struct workers *workers,
                                   const struct config *config, const char *next, size_t limit,
                                   struct buf *out) __attribute__((warn_unused_result));

#endif
