/* What is kept of a client's cipher suites (many-suites.diff). */
#ifndef POSTERN_SUITES_H
#define POSTERN_SUITES_H

#include <wolfssl/internal.h>

/* Of theirs->suiteSz bytes at `list`, keeps the suites that `ours` has too, each once, and the
 * signalling values, which are answered (RFC 5746 3.3, RFC 7507). If that is nothing, the first one
 * of them is kept: an empty list is another error than a list without a suite in common. */
static inline void postern_copy_suites(const Suites *ours, Suites *theirs, const byte *list) {
    const word16 size = theirs->suiteSz;
    theirs->suiteSz = 0;
    for (word32 i = 0; i + 1u < size; i += SUITE_LEN) {
        const byte first = list[i], second = list[i + 1u];
        const int signals = (first == 0 && second == TLS_EMPTY_RENEGOTIATION_INFO_SCSV) ||
                            (first == TLS_FALLBACK_SCSV && second == 0);
        if ((!signals && FindSuite(ours, first, second) < 0) ||
            FindSuite(theirs, first, second) >= 0) {
            continue;
        }
        theirs->suites[theirs->suiteSz++] = first;
        theirs->suites[theirs->suiteSz++] = second;
    }
    if (theirs->suiteSz == 0 && size > 0) {
        theirs->suites[theirs->suiteSz++] = list[0];
        theirs->suites[theirs->suiteSz++] = list[1];
    }
}

#endif
