/* External pre-shared keys: the program looks them up, and the library uses them, in TLS 1.2 (RFC
 * 4279, RFC 5489, RFC 7905, RFC 8442) and TLS 1.3 (RFC 8446 2.2), where they are of SHA-256
 * (psk.diff). */
#ifndef POSTERN_PSK_H
#define POSTERN_PSK_H

struct WOLFSSL;
struct WOLFSSL_CTX;

enum { POSTERN_PSK_KEY_MAX = 64 }; /* the library's MAX_PSK_KEY_LEN */

struct postern_psk {
    /* Looks for an identity that the client names, of any length and any bytes. Nonzero if there is
     * a key for it. The library asks for each identity of a hello until one is known, again after a
     * HelloRetryRequest; in TLS 1.2 for the one in ClientKeyExchange. */
    int (*find)(struct WOLFSSL *ssl, const unsigned char *identity, unsigned int len);
    /* Copies the key of the identity that `find` was given last, and returns its length; where that
     * was not known, a key that nobody has. 0: without memory. */
    unsigned int (*key)(struct WOLFSSL *ssl, unsigned char key[POSTERN_PSK_KEY_MAX]);
};

/* For all connections of the context, which outlive neither it nor `psk`. The context then needs no
 * certificate. Its list of suites decides which of TLS 1.2 are offered. */
void postern_psk_set(struct WOLFSSL_CTX *ctx, const struct postern_psk *psk);

/* Whether the handshake, when it is complete or nearly so, rests on an external key: not on that of
 * a session which is resumed, nor on a certificate. */
int postern_psk_is_used(const struct WOLFSSL *ssl);

#endif
