/* Everything about TLS that one listener, or one of its routes, needs: certificates, keys, client
 * CAs, CRLs, pre-shared keys, policy. Tickets and sessions of one context are never resumed in that
 * of another route or listener.
 *
 * Loaded whole or not at all, then immutable, counted, and shared by all workers. Files are opened
 * only by tls_context_load. No header that other rooms use has a type of wolfSSL. */
#ifndef POSTERN_TLS_CONTEXT_H
#define POSTERN_TLS_CONTEXT_H

#include "core/error.h"
#include "tls/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_context;

/* Once at start and once at the end of the program, from its main thread. 0 or -1. */
int tls_library_start(struct error *err) __attribute__((warn_unused_result));
void tls_library_stop(void);
/* "wolfSSL 5.9.2, accelerated (AES-NI AVX2 ...)" for --version: those features of this processor
 * that the library uses. Static. */
const char *tls_library_version(void);

/* Reads and checks every file of the listener, or of a route, but not of its routes. NULL with the
 * reason in `err`: the listener, the route, the file, the certificate's subject, what is wrong with
 * it and what would be right. Refused: what cannot be read, garbage, a named chain without a
 * certificate, a chain in the wrong order (a root at its end is tolerated), a key that does not
 * fit, a bad line in client_allow or psk_file, neither client_ca nor client_allow where client_auth
 * asks for certificates. Only logged as warnings: expired or not yet valid certificates and CAs,
 * keys that everyone can read, server names of a route that none of its certificates has. The
 * result carries one reference. */
struct tls_context *tls_context_load(const struct config_listener *listener,
                                     const struct tls_shared *shared, struct error *err)
    __attribute__((warn_unused_result));

struct tls_context *tls_context_ref(struct tls_context *ctx); /* returns ctx */
void tls_context_unref(struct tls_context *ctx);              /* NULL is fine */

/* A newer context serves the listener. CAs, CRLs and pre-shared keys are freed as soon as no
 * engine_open'ed handshake needs them (at once if none does); established connections continue. Any
 * thread, once. */
void tls_context_retire(struct tls_context *ctx);

/* Whether a full handshake with this client takes long to compute: a signature with an RSA key (0.2
 * to 10 ms, where the rest of the handshake takes 0.1 to 1), or client certificates from CAs whose
 * keys are large. See engine_stack_new. */
struct client_hello;
bool tls_context_is_heavy(const struct tls_context *ctx, const struct client_hello *hello);

/* The key of the certificate that this client gets in a full handshake, if it gets one: beside
 * certificates it may still use a key of psk_file, of which nothing is known here. */
enum tls_key_type tls_context_key_type(const struct tls_context *ctx,
                                       const struct client_hello *hello);

/* The certificates that are served, in configuration order. */
size_t tls_context_certificates(const struct tls_context *ctx);
const struct tls_certificate_info *tls_context_certificate(const struct tls_context *ctx,
                                                           size_t index);

/* Calls `visit` for everything that expires and has been loaded: the server certificates and what
 * is sent with them, CAs and lists of clients. `expiry` is valid as long as the context is, and has
 * not been retired. */
void tls_context_each_expiry(const struct tls_context *ctx,
                             void (*visit)(void *arg, const struct tls_expiry *expiry), void *arg);

/* What client_allow holds, for --check; NULL without one. */
const struct tls_allow_counts *tls_context_allow_counts(const struct tls_context *ctx);
size_t tls_context_psk_count(const struct tls_context *ctx); /* keys in psk_file; 0 without one */

#endif
