/* Shared secrets for the handshake steps that come next: several at once cost less
 * (tls/agreement.h), so that a step which needs one may wait a moment for others. */
#ifndef POSTERN_SESSION_SECRETS_H
#define POSTERN_SESSION_SECRETS_H

#include <stdbool.h>

struct pool;

/* Whether the next light step, and all after it, should wait: it needs a secret, as fewer than a
 * whole batch do, and there are pending clients to be read, which may bring more of them. It
 * counts: true 16 times at most, until a batch was computed or secrets_end_deferral called. There
 * is a light step. */
bool secrets_defer_step(struct pool *pool);

/* No light step is left. */
void secrets_end_deferral(struct pool *pool);

/* Before the next light step, of which there is one: if it needs a shared secret and has none, that
 * is computed together with those of the steps after it, unless these are too few. */
void secrets_compute(struct pool *pool);

#endif
