/* What resumption needs and every reload keeps: session ticket keys, and a cache of TLS 1.2
 * sessions by ID for TLS stacks without tickets (BearSSL).
 *
 * Shared by all workers and all contexts; every function may be called from any thread. A ticket or
 * cache entry is bound to what the full handshake checked (see tls/context.c): it is refused under
 * another listener, route, server name, client authentication policy, CA or CRL content, and after
 * the client certificate has expired. */
#ifndef POSTERN_TLS_TICKETS_H
#define POSTERN_TLS_TICKETS_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long a ticket or session may be resumed, and how often a key of our own is replaced. Keys
 * decrypt for one lifetime after they stopped encrypting. */
#define TLS_RESUME_SECONDS 7200

struct tls_tickets;
struct tls_session_cache;

/* With keys of our own, random, rotated. NULL without memory or randomness. */
struct tls_tickets *tls_tickets_new(struct error *err) __attribute__((warn_unused_result));
void tls_tickets_free(struct tls_tickets *tickets);

/* A checked `ticket_keys` file: one key per line, 64 hex digits; the first encrypts, all decrypt.
 */
struct tls_ticket_keys;
struct tls_ticket_keys *tls_ticket_keys_read(const char *file, struct error *err)
    __attribute__((warn_unused_result));
void tls_ticket_keys_free(struct tls_ticket_keys *keys); /* wipes; NULL is fine */

/* Takes over the keys (NULL: back to own keys). Cannot fail, so that a reload can check everything
 * first and commit last. Tickets under keys no longer listed become full handshakes. */
void tls_tickets_use(struct tls_tickets *tickets, struct tls_ticket_keys *keys);

/* The keys of our own, for another process of this machine that continues this one's service: both
 * accept each other's tickets then. They are secret: the caller wipes them. Returns the bytes
 * written; 0 where the keys come from a file, which the other process reads itself. */
enum { TLS_TICKETS_EXPORT_MAX = 16 * (32 + 8) };
size_t tls_tickets_export(struct tls_tickets *tickets, uint8_t out[TLS_TICKETS_EXPORT_MAX]);

/* Takes over what another process exported just now, in place of keys of our own, before any ticket
 * was issued; where the keys come from a file it changes nothing. False, and nothing has changed,
 * for what tls_tickets_export does not make. */
bool tls_tickets_import(struct tls_tickets *tickets, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

/* Holds at most `entries` sessions; the oldest is dropped first. */
struct tls_session_cache *tls_session_cache_new(size_t entries, struct error *err)
    __attribute__((warn_unused_result));
void tls_session_cache_free(struct tls_session_cache *cache);

#endif
