/* The installation that a simulation runs: certificates, listeners of every kind, and the
 * configurations that a reload goes to and from. */
#ifndef POSTERN_SIM_SITE_H
#define POSTERN_SIM_SITE_H

#include "session/runtime.h"

#include <openssl/ssl.h>
#include <stdbool.h>

enum site_listener {
    SITE_PLAIN,    /* two backends, an ECDSA and an RSA key, dial = handshake */
    SITE_CERTS,    /* client certificates, PROXY headers to a backend with a name */
    SITE_CHECK,    /* mqtt = check, a unix socket */
    SITE_IDENTITY, /* mqtt = identity */
    SITE_BALANCED, /* its clients come through a balancer; with low limits */
    SITE_LISTENERS
};

enum site_variant {
    SITE_BASE,
    SITE_REVOKING, /* a CRL lists SITE_REVOCABLE, and its sessions end; like the first, with a route
                    */
    SITE_KEEPING,  /* likewise, and they stay; longer timeouts, no idle_, no first_data_timeout */
    SITE_SMALL,    /* small records, TLS 1.2; an RSA key in place of SITE_CERTS's ECDSA key */
    SITE_VARIANTS
};

enum site_cert {
    SITE_NONE,
    SITE_GOOD,
    SITE_REVOCABLE,
    SITE_STRANGER,
    SITE_EXPIRED,
    SITE_EARLY,
    SITE_SERVER_ONLY,
    SITE_NAMELESS,
    SITE_CERT_COUNT
};

/* The common name of the two that are let in, and what their CONNECT should say. */
#define SITE_NAME(cert) ((cert) == SITE_GOOD ? "device-1" : "device-2")

void site_begin(void);
void site_end(void);

/* A reference of the caller's. */
struct runtime *site_load(enum site_variant variant);

/* A client of that version (0: any) with that certificate. */
SSL *site_client(int version, enum site_cert cert);

bool site_wants_certificate(size_t listener);
bool site_is_mqtt(size_t listener);

#endif
