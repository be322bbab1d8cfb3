/* What the process knows of its brokers: their addresses, which of them are down, how many dials
 * are under way to each, and from which local addresses.
 *
 * A `struct backend` outlives every configuration that names it and is shared by all threads; every
 * function here may be called on any of them. The addresses of a name are kept for 10 s and
 * forgotten after a failure; those of a numeric host are never forgotten. */
#ifndef POSTERN_BROKER_BACKEND_H
#define POSTERN_BROKER_BACKEND_H

#include "broker/dial_limit.h"
#include "config/config.h"
#include "core/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct backend_table;

/* `first_parity`: of local ports (ports.h). NULL without memory. */
struct backend_table *backend_table_new(unsigned first_parity) __attribute__((warn_unused_result));
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

/* --- up and down ---
 *
 * A backend is up until it is marked down. Both marks write a log line when they change something.
 * `status` is the libuv code that the line gives as the error; times are milliseconds of libuv's
 * clock, which is the same on all threads. */
bool backend_is_down(const struct backend *backend);
int backend_down_status(const struct backend *backend); /* of the last time it was marked down */
bool backends_all_down(struct backend *const *backends, size_t count);

/* Since when no backend is up; UINT64_MAX: one is. */
uint64_t backends_down_since(struct backend *const *backends, size_t count);

void backend_mark_down(struct backend *backend, int status, uint64_t now_ms);

/* It accepted a connection. */
void backend_mark_up(struct backend *backend, uint64_t now_ms);

/* A dial that began at `began_ms` got no answer. That means little, as one packet may be lost, and
 * nothing if the backend has accepted another one since: marks it down when this has happened
 * `patience` times in a row. */
void backend_note_silence(struct backend *backend, int status, uint64_t began_ms, uint64_t now_ms,
                          unsigned patience);

void backend_forget_down(struct backend *backend); /* without a log line: it has no users */

/* True for one caller at a time, which probes the backend until it calls backend_release_probe. */
bool backend_claim_probe(struct backend *backend) __attribute__((warn_unused_result));
void backend_release_probe(struct backend *backend);

/* --- for the metrics --- */

/* What dials of a backend fail for. */
enum backend_failure {
    BACKEND_REFUSED,
    BACKEND_TIMEOUT,
    BACKEND_UNRESOLVED, /* its name */
    BACKEND_QUEUE_FULL, /* of its unix socket */
    BACKEND_NO_PORT,    /* no local one is free */
    BACKEND_OTHER,
    BACKEND_FAILURES
};

/* A dial, or a probe, has had its result at this backend: `status` is 0 or the libuv code that it
 * failed with. */
void backend_count_dial(struct backend *backend, int status);
uint64_t backend_dials(const struct backend *backend); /* counted so far */

/* As it is now; others read it. The text is the backend's. */
struct backend_counts {
    const char *text;
    bool down;
    size_t under_way, waiting; /* dials */
    uint64_t dials, failures[BACKEND_FAILURES];
};

/* Calls `visit` for each backend that a configuration in use names, with the table locked. Any
 * thread. */
void backend_table_each(struct backend_table *table,
                        void (*visit)(void *arg, const struct backend_counts *counts), void *arg);

const char *backend_failure_name(enum backend_failure failure); /* "refused"; static */

/* --- dials: how many, and from where --- */

struct dial_limit *backend_limit(struct backend *backend);

/* Which of the local addresses (source.h) has ports that are found quickly, as far as is known. */
size_t backend_source(const struct backend *backend);
void backend_use_source(struct backend *backend, size_t source);

/* A connection from that source, of so many, has this local port. When it is not of the first half
 * (ports.h), the next source is taken; and when all have been left that way in a row, the whole
 * range is searched for each port from then on. Listeners whose lists of sources differ share the
 * number of the current one, each modulo the length of its own list. */
void backend_note_port(struct backend *backend, size_t source, size_t count, uint16_t port);
bool backend_searches_all_ports(const struct backend *backend);

/* No local address has a free port for this broker: logged, at most every ten seconds. For one
 * second backend_has_ports returns false, so that the system does not search all ports for each
 * dial. */
void backend_note_no_ports(struct backend *backend, uint64_t now_ms);
bool backend_has_ports(const struct backend *backend, uint64_t now_ms);

/* A local address cannot be used: logged, for each at most every ten seconds, and for at most
 * BACKEND_BAD_SOURCES in that time. */
enum { BACKEND_BAD_SOURCES = 8 };
void backend_note_bad_source(struct backend *backend, const struct address *source, int status,
                             uint64_t now_ms);

/* --- addresses --- */

/* More of a name's addresses are left out. */
enum { BACKEND_ADDRESSES = 4 };

/* Copies the addresses that are known and fresh, and returns their number; 0: a lookup is needed.
 */
size_t backend_addresses(struct backend *backend, uint64_t now_ms,
                         struct address out[BACKEND_ADDRESSES]);

/* What a lookup of the name found: at most BACKEND_ADDRESSES of them. */
void backend_store_addresses(struct backend *backend, uint64_t now_ms,
                             const struct address *addresses, size_t count);

/* The next dial looks the name up again. Those of a numeric host stay. */
void backend_forget_addresses(struct backend *backend);

#endif
