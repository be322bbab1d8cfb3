/* What the process knows about its brokers: their addresses, and which are down.
 *
 * A `struct backend` outlives runtimes and is shared by all workers; all of this is for any thread.
 * Addresses of names are kept 10 s, and forgotten after a failure. */
#ifndef POSTERN_BROKER_BACKEND_H
#define POSTERN_BROKER_BACKEND_H

#include "config/config.h"
#include "core/address.h"

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct backend_table;

struct backend_table *backend_table_new(void) __attribute__((warn_unused_result));
void backend_table_free(struct backend_table *table); /* NULL is fine; no runtime may be left */

/* The process's one record of that broker, found by its text or made. NULL without memory. Each get
 * needs a put; a backend that no runtime names is no longer probed. */
struct backend *backend_get(struct backend_table *table, const struct config_backend *config)
    __attribute__((warn_unused_result));
void backend_put(struct backend *backend);            /* NULL is fine */
bool backend_is_named(const struct backend *backend); /* by some runtime */

const char *backend_text(const struct backend *backend); /* as configured: "127.0.0.1:1883" */
const char *backend_path(const struct backend *backend); /* of a unix socket; NULL: it is TCP */
const char *backend_host(const struct backend *backend); /* NULL: a unix socket */
uint16_t backend_port(const struct backend *backend);

/* --- up and down --- */

bool backend_is_down(const struct backend *backend);
bool backends_all_down(struct backend *const *backends, size_t count);
void backend_mark_down(struct backend *backend, int status); /* the libuv code for the log */
void backend_mark_up(struct backend *backend);
void backend_forget_down(struct backend *backend); /* nobody names it any more: no log */

/* Whoever gets true looks after the backend with a probe, until it says that it no longer does. */
bool backend_claim_probe(struct backend *backend) __attribute__((warn_unused_result));
void backend_leave_probe(struct backend *backend);

/* --- addresses --- */

enum { BACKEND_ADDRESSES = 4 };

/* Copies what is known and fresh; 0 if a lookup is needed. Times are milliseconds of libuv's clock.
 */
size_t backend_addresses(struct backend *backend, uint64_t now_ms,
                         struct address out[BACKEND_ADDRESSES]);
void backend_store_addresses(struct backend *backend, uint64_t now_ms, const struct addrinfo *list);
void backend_forget_addresses(struct backend *backend); /* those of a name */

#endif
