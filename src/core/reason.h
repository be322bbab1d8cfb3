/* Why a connection ended: the reasons of the closing line in the log. */
#ifndef POSTERN_CORE_REASON_H
#define POSTERN_CORE_REASON_H

#include <stdbool.h>

/* The metrics list a reason by its part; a new one stands anywhere in it. The names between the
 * parts are bounds, not reasons. */
enum reason {
    REASON_NONE,

    /* Of `session end`: the handshake was complete. */
    REASON_CLIENT_CLOSED,
    REASON_BROKER_CLOSED,
    REASON_CLIENT_RESET,
    REASON_BROKER_RESET,
    REASON_CLIENT_TRUNCATED,
    REASON_BROKER_UNREACHABLE,
    REASON_BROKER_TIMEOUT,
    REASON_WRITE_TIMEOUT,
    REASON_IDLE_TIMEOUT,
    REASON_CLOSE_TIMEOUT,
    REASON_NOT_MQTT,
    REASON_BAD_CLIENT_ID,
    REASON_BROKER_REFUSED,
    REASON_FIRST_DATA_TIMEOUT,
    REASON_CONNECT_PACKET_TIMEOUT,
    REASON_TLS_ERROR,

    REASON_SESSION_BOUND,
    REASON_SESSION_LAST = REASON_SESSION_BOUND - 1,

    /* Of `handshake failed`: it was not. */
    REASON_NOT_TLS,
    REASON_FIRST_BYTE_TIMEOUT,
    REASON_HANDSHAKE_TIMEOUT,
    REASON_NO_SHARED_CIPHER,
    REASON_NO_SHARED_GROUP,
    REASON_NO_APPLICATION_PROTOCOL,
    REASON_UNRECOGNIZED_NAME,
    REASON_UNSUPPORTED_VERSION,
    REASON_NO_CERTIFICATE_GIVEN,
    REASON_UNKNOWN_CA,
    REASON_EXPIRED,
    REASON_NOT_YET_VALID,
    REASON_WRONG_USAGE,
    REASON_NAME_CONSTRAINT,
    REASON_CRITICAL_EXTENSION,
    REASON_WEAK_SIGNATURE,
    REASON_WEAK_KEY,
    REASON_KEY_TYPE,
    REASON_PATH_LENGTH,
    REASON_BAD_ENCODING,
    REASON_TOO_LARGE,
    REASON_V1_CERTIFICATE,
    REASON_NOT_ALLOWED,
    REASON_NO_CRL,
    REASON_UNKNOWN_PSK,
    REASON_BAD_PSK,
    REASON_BAD_IDENTITY,
    REASON_BAD_PROXY_HEADER,
    REASON_DENIED,
    REASON_LIMIT_CONNECTIONS,
    REASON_LIMIT_ADDRESS,
    REASON_LIMIT_RATE,
    REASON_LIMIT_HANDSHAKES,
    REASON_NO_BACKEND,
    REASON_ALERT_RECEIVED,
    REASON_PROTOCOL_ERROR,

    REASON_HANDSHAKE_BOUND,
    REASON_HANDSHAKE_LAST = REASON_HANDSHAKE_BOUND - 1,

    /* Of either. */
    REASON_REVOKED,
    REASON_DRAINED,
    REASON_OUT_OF_MEMORY,

    REASON_COUNT
};

/* Whether it may be that of `session end`, and of `handshake failed`: some are both. */
bool reason_ends_sessions(enum reason reason);
bool reason_fails_handshakes(enum reason reason);

/* As in the log, "client_closed"; never NULL. */
const char *reason_name(enum reason reason);

#endif
