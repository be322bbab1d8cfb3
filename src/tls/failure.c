/* The library's error codes as reasons for the log. */
#include "tls/internal.h"
#include "tls/quirks.h"

#include <wolfssl/error-ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

static const struct {
    int code;
    enum reason reason;
} table[] = {
    {FATAL_ERROR, REASON_ALERT_RECEIVED},
    {WOLFSSL_ERROR_ZERO_RETURN, REASON_CLIENT_CLOSED},
    {ZERO_RETURN, REASON_CLIENT_CLOSED},
    {MEMORY_E, REASON_OUT_OF_MEMORY},
    {MEMORY_ERROR, REASON_OUT_OF_MEMORY},

    {MATCH_SUITE_ERROR, REASON_NO_SHARED_CIPHER},
    {UNSUPPORTED_SUITE, REASON_NO_SHARED_CIPHER},
    {ECC_CURVE_ERROR, REASON_NO_SHARED_CIPHER},
    {BAD_KEY_SHARE_DATA, REASON_NO_SHARED_CIPHER},
    {INVALID_PARAMETER, REASON_PROTOCOL_ERROR},
    {VERSION_ERROR, REASON_UNSUPPORTED_VERSION},

    {NO_PEER_CERT, REASON_NO_CERTIFICATE_GIVEN},
    /* Certificates are judged by path.c; these are of those that the library cannot read. */
    {MAX_CHAIN_ERROR, REASON_TOO_LARGE},
    {HANDSHAKE_SIZE_ERROR,
     REASON_TOO_LARGE}, /* of what clients send, only a chain can be that long */
    {BUFFER_E, REASON_BAD_ENCODING},
    {ASN_PATHLEN_SIZE_E, REASON_BAD_ENCODING},
    {ASN_UNKNOWN_OID_E, REASON_KEY_TYPE},
    {PEER_KEY_ERROR, REASON_KEY_TYPE},
    {RSA_KEY_SIZE_E, REASON_WEAK_KEY},
    {ECC_KEY_SIZE_E, REASON_WEAK_KEY},
    {KEYUSAGE_E, REASON_WRONG_USAGE},
    {KEYUSE_SIGNATURE_E, REASON_WRONG_USAGE},
    {EXTKEYUSAGE_E, REASON_WRONG_USAGE},
    {EXTKEYUSE_AUTH_E, REASON_WRONG_USAGE},
};

enum reason failure_reason(int code) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].code == code) {
            return table[i].reason;
        }
    }
    /* The library numbers what can be wrong with ASN.1 in a row. */
    return code <= ASN_PARSE_E && code >= ASN_ALT_NAME_E ? REASON_BAD_ENCODING
                                                         : REASON_PROTOCOL_ERROR;
}

static const uint8_t alerts[REASON_COUNT] = {
    [REASON_UNKNOWN_CA] = ALERT_UNKNOWN_CA,
    [REASON_PATH_LENGTH] = ALERT_UNKNOWN_CA,
    [REASON_EXPIRED] = ALERT_CERTIFICATE_EXPIRED,
    [REASON_NOT_YET_VALID] = ALERT_CERTIFICATE_EXPIRED,
    [REASON_REVOKED] = ALERT_CERTIFICATE_REVOKED,
    [REASON_WRONG_USAGE] = ALERT_UNSUPPORTED_CERTIFICATE,
    [REASON_CRITICAL_EXTENSION] = ALERT_UNSUPPORTED_CERTIFICATE,
    [REASON_KEY_TYPE] = ALERT_UNSUPPORTED_CERTIFICATE,
    [REASON_V1_CERTIFICATE] = ALERT_UNSUPPORTED_CERTIFICATE,
    [REASON_WEAK_SIGNATURE] = ALERT_BAD_CERTIFICATE,
    [REASON_WEAK_KEY] = ALERT_BAD_CERTIFICATE,
    [REASON_BAD_ENCODING] = ALERT_BAD_CERTIFICATE,
    [REASON_NAME_CONSTRAINT] = ALERT_CERTIFICATE_UNKNOWN,
    [REASON_TOO_LARGE] = ALERT_CERTIFICATE_UNKNOWN,
    [REASON_NO_CRL] = ALERT_CERTIFICATE_UNKNOWN,
    [REASON_NOT_ALLOWED] = ALERT_ACCESS_DENIED,
    [REASON_BAD_IDENTITY] = ALERT_ACCESS_DENIED,
    [REASON_OUT_OF_MEMORY] = ALERT_INTERNAL_ERROR,
};

uint8_t failure_alert(enum reason reason) {
    return (unsigned)reason < REASON_COUNT ? alerts[reason] : 0;
}
