/* Certificates as the path builder takes them, and its verdict by one call. */
#ifndef POSTERN_TEST_PATHS_H
#define POSTERN_TEST_PATHS_H

#include "pki.h"
#include "tls/path.h"

extern struct x509 paths_sent[40];
extern const struct x509 *paths_anchors[40];
extern struct path_rules paths_rules;
extern struct path paths_found;
extern unsigned paths_signatures; /* checked since paths_setup */

/* Rules as of today, and no trusted CA. paths_clear frees everything. */
void paths_setup(void);
void paths_clear(void);

void paths_trust(const struct pki *const *cas); /* up to NULL */
#define TRUST(...) paths_trust((const struct pki *const[]){__VA_ARGS__, NULL})

/* The verdict on a client that sends these certificates, its own first, up to NULL. */
enum reason paths_build(const struct pki *const *certs);
#define SENT(...) paths_build((const struct pki *const[]){__VA_ARGS__, NULL})

void paths_is(enum reason reason, enum reason wanted);
#define GOOD(...)        paths_is(SENT(__VA_ARGS__), REASON_NONE)
#define BAD(reason, ...) paths_is(SENT(__VA_ARGS__), reason)

struct pki paths_ca(const char *cn, const struct pki *issuer);
struct pki paths_device(const struct pki *issuer);

#endif
