/* What the process knows of its brokers: their addresses, and which of them are down.
 *
 * A `struct backend` outlives every configuration that names it and is shared by all threads; every
 * function here may be called on any of them. The addresses of a name are kept for 10 s and
 * forgotten after a failure; those of a numeric host are never forgotten. */
#ifndef POSTERN_BROKER_BACKEND_H
#define POSTERN_BROKER_BACKEND_H

#include "config/config.h"
#include "core/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct backend_table;

struct backend_table *backend_table_new(void) __attribute__((warn_unused_result));
void backend_table_free(struct backend_table *table); /* NULL is fine; every backend_get must have
                                                         had its backend_put */

/* The process's one record of that broker, found by its text or made; it belongs to the table. NULL
 * without memory. Each get needs a put; a backend without users is no longer probed. */
struct backend *backend_get(struct backend_table *table, const struct config_backend *config)
    __attribute__((warn_unused_result));
void backend_put(struct backend *backend); /* NULL is fine */
bool backend_is_used(const struct backend *backend);

const char *backend_text(const struct backend *backend); /* as configured: "127.0.0.1:1883" */
const char *backend_path(const struct backend *backend); /* of a unix socket; NULL: it is TCP */
const char *backend_host(const struct backend *backend); /* NULL: a unix socket */
uint16_t backend_port(const struct backend *backend);

/* --- up and down --- */

/* A backend is up until it is marked down. Both marks write a log line when they change something;
 * `status` is the libuv code that the line gives as the error. */
bool backend_is_down(const struct backend *backend);
bool backends_all_down(struct backend *const *backends, size_t count);
void backend_mark_down(struct backend *backend, int status);
void backend_mark_up(struct backend *backend);
void backend_forget_down(struct backend *backend); /* without a log line: it has no users */

/* True for one caller at a time, which probes the backend until it calls backend_leave_probe. */
bool backend_claim_probe(struct backend *backend) __attribute__((warn_unused_result));
void backend_leave_probe(struct backend *backend);

/* --- addresses --- */

/* More of a name's addresses are left out. */
enum { BACKEND_ADDRESSES = 4 };

/* Copies the addresses that are known and fresh, and returns their number; 0: a lookup is needed.
 * Times are milliseconds of libuv's clock, which is the same on all threads. */
size_t backend_addresses(struct backend *backend, uint64_t now_ms,
                         struct address out[BACKEND_ADDRESSES]);

/* What a lookup of the name found: at most BACKEND_ADDRESSES of them. */
void backend_store_addresses(struct backend *backend, uint64_t now_ms,
                             const struct address *addresses, size_t count);

/* The next dial looks the name up again. Those of a numeric host stay. */
void backend_forget_addresses(struct backend *backend);

#endif
