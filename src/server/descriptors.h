/* How many sessions the limit of open files leaves room for. */
#ifndef POSTERN_SERVER_DESCRIPTORS_H
#define POSTERN_SERVER_DESCRIPTORS_H

#include "core/error.h"

#include <stddef.h>

/* A session has two descriptors: the client's and the broker's. 0 if `files` leaves none for a
 * session. `listening` is the number of listening sockets over all workers. */
size_t descriptors_sessions(size_t files, size_t workers, size_t listening);

/* Raises the soft limit of open files to the hard one; a failure leaves it as it is. */
void descriptors_raise(void);

/* The same, and stores the sessions it leaves room for.
 * 0, or -1 with what to raise. */
int descriptors_budget(size_t workers, size_t listening, size_t *max_sessions, struct error *err)
    __attribute__((warn_unused_result));

#endif
