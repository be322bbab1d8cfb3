/* What the program decides by the ClientHello while the library's handshake goes on
 * (hello-answers.diff). */
#ifndef POSTERN_HELLO_H
#define POSTERN_HELLO_H

struct WOLFSSL;
struct WOLFSSL_CTX;

struct postern_hello {
    /* The protocol that answers the client's ALPN (RFC 7301 3.1), with its length in a byte before
     * it; NULL: no answer. Asked twice in a handshake, resumed or not; both answers are the same.
     */
    const unsigned char *(*protocol)(struct WOLFSSL *ssl);
    /* Whether the client may send this as its second ClientHello (after a HelloRetryRequest); 0
     * ends the handshake with illegal_parameter. The message without its header. */
    int (*may_follow)(struct WOLFSSL *ssl, const unsigned char *body, unsigned int len);
};

/* For all connections of the context, which outlive neither it nor `hello`. */
void postern_hello_set(struct WOLFSSL_CTX *ctx, const struct postern_hello *hello);

#endif
