/* The library's src/internal.c, in which a handshake's messages are hashed three times: by SHA-256,
 * SHA-384 and SHA-512, for whichever is needed in the end. As soon as the cipher suite is chosen
 * that is known: its own hash, and in TLS 1.2 any of them if the client may sign with its
 * certificate (RFC 5246, 7.4.8). After a HelloRetryRequest, which is rare, all go on, so that no
 * hash of a part can pass for one of the whole. Leaving out the others spares a full handshake 3
 * us. */
#include "user_settings.h"

#include <wolfssl/internal.h>
#include <wolfssl/wolfcrypt/sha512.h>

static int transcript_needs(const WOLFSSL *ssl, byte mac) {
    byte chosen = ssl->specs.mac_algorithm;
    int any_signature = ssl->options.verifyPeer && !IsAtLeastTLSv1_3(ssl->version);
    int asked_again = ssl->options.serverState == SERVER_HELLO_RETRY_REQUEST_COMPLETE;
    return chosen == INVALID_BYTE || chosen == mac || any_signature || asked_again;
}

#define wc_Sha384Update(sha, data, len)                                                            \
    (transcript_needs(ssl, sha384_mac) ? (wc_Sha384Update)(sha, data, len) : 0)
#define wc_Sha512Update(sha, data, len)                                                            \
    (transcript_needs(ssl, sha512_mac) ? (wc_Sha512Update)(sha, data, len) : 0)
#include "src/internal.c"
