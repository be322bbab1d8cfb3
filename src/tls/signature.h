/* The signatures on certificates and CRLs, checked by wolfCrypt. */
#ifndef POSTERN_TLS_SIGNATURE_H
#define POSTERN_TLS_SIGNATURE_H

#include "core/reason.h"
#include "tls/x509.h"

/* Whether it was made with the issuer's key: REASON_NONE; REASON_UNKNOWN_CA if it was not;
 * REASON_WEAK_SIGNATURE for SHA-1 and what is older; REASON_KEY_TYPE for an algorithm that is not
 * supported (supported are RSA PKCS #1 v1.5, RSA-PSS and ECDSA, with SHA-256, SHA-384 or SHA-512,
 * and Ed25519); REASON_OUT_OF_MEMORY. */
enum reason signature_check(const struct x509_signed *what, const struct x509 *issuer);

/* The hash that the signature is over, for several checks of something long. Without one (`len` 0)
 * each check reads all of it: with Ed25519, whose hash depends on the key. */
struct signature_digest {
    uint8_t data[64];
    size_t len;
};
void signature_digest(const struct x509_signed *what, struct signature_digest *digest);

/* As signature_check. */
enum reason signature_check_digest(const struct x509_signed *what,
                                   const struct signature_digest *digest,
                                   const struct x509 *issuer);

/* What can be said without the issuer's key: REASON_NONE or the last three of the above. */
enum reason signature_algorithm_check(const struct x509_signed *what);

#endif
