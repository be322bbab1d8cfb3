/* A limit for the lines that unauthenticated clients can cause, so that the noise of one client
 * hides nothing of another: for each reason, each address may have so many lines, and all addresses
 * together so many more. What is beyond is counted and reported later. For one thread.
 *
 * An address is what address_client_key makes of it. It may have 20 lines of a reason at once, and
 * then one a second. All addresses together may have 100 lines of a reason at once, and then 20 a
 * second. Half of the 100 is kept for quiet addresses, which have caused no line of that reason for
 * ten seconds, written or not: it takes many new addresses, and not only many lines, to hide an
 * address's first line.
 *
 * Addresses are kept in a table of fixed size, in which each may be in 16 places, decided by a
 * random number. When all of them are taken, it gets the place of the one that has been quiet for
 * longest. An address that has lost its place starts anew; so a full table lets more lines of an
 * address pass, within what its reason may have, and hides nothing.
 */
#ifndef POSTERN_CORE_LOG_LIMIT_H
#define POSTERN_CORE_LOG_LIMIT_H

#include "core/address.h"
#include "core/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_LIMIT_WAYS = 16, LOG_LIMIT_SETS = 64 };

/* Of one address and one reason. Lines are paid for with time: an account may be ahead of the clock
 * by what its lines at once cost. */
struct log_limit_place {
    struct address key;
    uint32_t reason;        /* enum reason */
    uint64_t last_ms;       /* when it caused the last line, written or not */
    uint64_t paid_until_ms; /* for those that were written */
};

struct log_limit_total {
    uint64_t paid_until_ms;
    uint64_t suppressed;
    uint64_t since_ms; /* when the first of these was suppressed */
};

/* Embedded (48 KB); the fields are log_limit.c's. */
struct log_limit {
    uint64_t secret; /* decides where an address is kept */
    struct log_limit_place places[LOG_LIMIT_SETS][LOG_LIMIT_WAYS];
    struct log_limit_total of[REASON_COUNT];
};

/* Nothing has been logged. False without randomness. */
bool log_limit_init(struct log_limit *limit) __attribute__((warn_unused_result));

/* Whether a line for this reason and this client may be written now; if so, `*suppressed` is how
 * many of the reason before it were not, over all clients. Times are milliseconds of one monotonic
 * clock. */
bool log_limit_allows(struct log_limit *limit, enum reason reason, const struct address *client,
                      uint64_t now_ms, uint64_t *suppressed) __attribute__((warn_unused_result));

/* Logs for each reason how many lines have been suppressed, if the first of them was a second ago;
 * with `all` in any case. Every suppressed line is in one such number, here or of the call above.
 * True if some are still to be reported. */
bool log_limit_report(struct log_limit *limit, uint64_t now_ms, bool all);

#endif
