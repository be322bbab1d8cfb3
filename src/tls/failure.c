/* The library's error codes as reasons for the log. */
#include "tls/internal.h"

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
    {ASN_NO_SIGNER_E, REASON_UNKNOWN_CA},
    {ASN_SELF_SIGNED_E, REASON_UNKNOWN_CA},
    {ASN_SIG_CONFIRM_E, REASON_UNKNOWN_CA},
    {ASN_PATHLEN_INV_E, REASON_UNKNOWN_CA},
    {ASN_PATHLEN_SIZE_E, REASON_UNKNOWN_CA},
    {MAX_CHAIN_ERROR, REASON_UNKNOWN_CA},
    {ASN_AFTER_DATE_E, REASON_EXPIRED},
    {ASN_BEFORE_DATE_E, REASON_NOT_YET_VALID},
    {CRL_CERT_REVOKED, REASON_REVOKED},
    {CRL_MISSING, REASON_REVOKED},
    {CRL_CERT_DATE_ERR, REASON_REVOKED},
    {KEYUSAGE_E, REASON_WRONG_USAGE},
    {EXTKEYUSAGE_E, REASON_WRONG_USAGE},
    {EXTKEYUSE_AUTH_E, REASON_WRONG_USAGE},
};

enum reason failure_reason(int code) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].code == code) {
            return table[i].reason;
        }
    }
    return REASON_PROTOCOL_ERROR;
}
