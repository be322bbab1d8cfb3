/* Shared secrets of X25519 (RFC 7748) that are computed before the library asks for them: the
 * vector unit computes eight in the time of three. All of it is the calling thread's own. */
#ifndef POSTERN_AGREEMENT_H
#define POSTERN_AGREEMENT_H

#include <stdbool.h>

struct WOLFSSL;

enum { POSTERN_AGREEMENTS = 8, POSTERN_AGREEMENT_BYTES = 32 };

/* What the library is going to ask for; each key has POSTERN_AGREEMENT_BYTES. */
struct postern_agreement {
    const unsigned char *private_key; /* ours; NULL: of a pair that the library will make */
    const unsigned char *peer;        /* the client's public key */
};

/* Whether they can be computed: our own X25519 is in use (vector/kernels.h). */
bool postern_agreements_are_possible(void);

/* Our private key for the ClientKeyExchange that the connection waits for; it belongs to the
 * connection. NULL: it waits for none, or not with X25519. */
const unsigned char *postern_agreement_key(const struct WOLFSSL *ssl);

/* Computes 1 to POSTERN_AGREEMENTS of them, if they are possible, and keeps the results of this
 * call and of the three before it. The library's next computation with the same two keys takes the
 * result, once. Pairs are made here; postern_agreement_expect says who gets them. Without
 * randomness for one of them there are no results at all. */
void postern_agreements_compute(const struct postern_agreement *wanted, int count);

/* Until the next call: a pair that the library makes is one that was made for this public key of
 * the client, each once; if none is left, a new one. The bytes stay the caller's, and must be there
 * until the next call. NULL: new ones. */
void postern_agreement_expect(const unsigned char *peer);

#endif
