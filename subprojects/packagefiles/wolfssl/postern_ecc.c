/* Upstream's ECC, whose signatures take their nonce from the private key, the message and fresh
 * randomness together, as OpenSSL's and BoringSSL's do: two signatures of different messages never
 * share a nonce, even where the same random bytes come twice (a virtual machine's snapshot started
 * two times, a process that was copied). One shared nonce gives the private key away.
 *
 * Upstream has nonces by RFC 6979 (WOLFSSL_ECDSA_DETERMINISTIC_K), but asks each key to be set up
 * for them, which its TLS code does not do, and mixes no randomness in: signing the same message
 * again under a fault would reveal the key. This file can go when upstream's TLS code hedges. */
#define wc_ecc_sign_hash upstream_ecc_sign_hash
#include "wolfcrypt/src/ecc.c"
#undef wc_ecc_sign_hash

#include "postern_random.h"

int wc_ecc_sign_hash(const byte *in, word32 inlen, byte *out, word32 *outlen, WC_RNG *rng,
                     ecc_key *key);

int wc_ecc_sign_hash(const byte *in, word32 inlen, byte *out, word32 *outlen, WC_RNG *rng,
                     ecc_key *key) {
    byte secret[MAX_ECC_BYTES];
    word32 size = sizeof secret;
    if (in == NULL) {
        return ECC_BAD_ARG_E;
    }
    int err = wc_ecc_export_private_only(key, secret, &size);
    if (err == 0) {
        err = postern_random_begin_nonce(secret, size, in, inlen) == 0 ? 0 : RNG_FAILURE_E;
    }
    if (err == 0) {
        err = upstream_ecc_sign_hash(in, inlen, out, outlen, rng, key);
    }
    postern_random_end_nonce();
    ForceZero(secret, sizeof secret);
    return err;
}
