/* TLS alerts: their numbers, and one in plaintext. RFC 8446 6, RFC 5246 7.2, RFC 6066, RFC 7507,
 * RFC 7301. */
#ifndef POSTERN_WIRE_ALERT_H
#define POSTERN_WIRE_ALERT_H

#include <stdint.h>

enum { ALERT_WARNING = 1, ALERT_FATAL = 2 };

enum alert {
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_BAD_RECORD_MAC = 20,
    ALERT_RECORD_OVERFLOW = 22,
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_BAD_CERTIFICATE = 42,
    ALERT_UNSUPPORTED_CERTIFICATE = 43,
    ALERT_CERTIFICATE_REVOKED = 44,
    ALERT_CERTIFICATE_EXPIRED = 45,
    ALERT_CERTIFICATE_UNKNOWN = 46,
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_UNKNOWN_CA = 48,
    ALERT_ACCESS_DENIED = 49,
    ALERT_DECODE_ERROR = 50,
    ALERT_DECRYPT_ERROR = 51,
    ALERT_PROTOCOL_VERSION = 70,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_UNRECOGNIZED_NAME = 112,
    ALERT_CERTIFICATE_REQUIRED = 116,
    ALERT_NO_APPLICATION_PROTOCOL = 120
};

enum { ALERT_RECORD_SIZE = 7 };

/* A fatal alert in plaintext, as a whole record. */
static inline void alert_write(uint8_t out[ALERT_RECORD_SIZE], uint8_t description) {
    const uint8_t head[] = {21, 3, 3, 0, 2, ALERT_FATAL};
    for (unsigned i = 0; i < sizeof head; i++) {
        out[i] = head[i];
    }
    out[ALERT_RECORD_SIZE - 1] = description;
}

#endif
