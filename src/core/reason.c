#include "core/reason.h"

#include <stddef.h>

static const char *const names[REASON_COUNT] = {
    [REASON_NONE] = "none",
    [REASON_CLIENT_CLOSED] = "client_closed",
    [REASON_BROKER_CLOSED] = "broker_closed",
    [REASON_CLIENT_RESET] = "client_reset",
    [REASON_BROKER_RESET] = "broker_reset",
    [REASON_CLIENT_TRUNCATED] = "client_truncated",
    [REASON_BROKER_UNREACHABLE] = "broker_unreachable",
    [REASON_BROKER_TIMEOUT] = "broker_timeout",
    [REASON_WRITE_TIMEOUT] = "write_timeout",
    [REASON_IDLE_TIMEOUT] = "idle_timeout",
    [REASON_CLOSE_TIMEOUT] = "close_timeout",
    [REASON_NOT_MQTT] = "not_mqtt",
    [REASON_BAD_CLIENT_ID] = "bad_client_id",
    [REASON_BROKER_REFUSED] = "broker_refused",
    [REASON_FIRST_DATA_TIMEOUT] = "first_data_timeout",
    [REASON_CONNECT_PACKET_TIMEOUT] = "connect_packet_timeout",
    [REASON_TLS_ERROR] = "tls_error",
    [REASON_NOT_TLS] = "not_tls",
    [REASON_FIRST_BYTE_TIMEOUT] = "first_byte_timeout",
    [REASON_HANDSHAKE_TIMEOUT] = "handshake_timeout",
    [REASON_NO_SHARED_CIPHER] = "no_shared_cipher",
    [REASON_NO_SHARED_GROUP] = "no_shared_group",
    [REASON_NO_APPLICATION_PROTOCOL] = "no_application_protocol",
    [REASON_UNRECOGNIZED_NAME] = "unrecognized_name",
    [REASON_UNSUPPORTED_VERSION] = "unsupported_version",
    [REASON_NO_CERTIFICATE_GIVEN] = "no_certificate_given",
    [REASON_UNKNOWN_CA] = "unknown_ca",
    [REASON_EXPIRED] = "expired",
    [REASON_NOT_YET_VALID] = "not_yet_valid",
    [REASON_WRONG_USAGE] = "wrong_usage",
    [REASON_NAME_CONSTRAINT] = "name_constraint",
    [REASON_CRITICAL_EXTENSION] = "critical_extension",
    [REASON_WEAK_SIGNATURE] = "weak_signature",
    [REASON_WEAK_KEY] = "weak_key",
    [REASON_KEY_TYPE] = "key_type",
    [REASON_PATH_LENGTH] = "path_length",
    [REASON_BAD_ENCODING] = "bad_encoding",
    [REASON_TOO_LARGE] = "too_large",
    [REASON_V1_CERTIFICATE] = "v1_certificate",
    [REASON_NOT_ALLOWED] = "not_allowed",
    [REASON_NO_CRL] = "no_crl",
    [REASON_UNKNOWN_PSK] = "unknown_psk",
    [REASON_BAD_PSK] = "bad_psk",
    [REASON_BAD_IDENTITY] = "bad_identity",
    [REASON_BAD_PROXY_HEADER] = "bad_proxy_header",
    [REASON_DENIED] = "denied",
    [REASON_LIMIT_CONNECTIONS] = "limit_connections",
    [REASON_LIMIT_ADDRESS] = "limit_address",
    [REASON_LIMIT_RATE] = "limit_rate",
    [REASON_LIMIT_HANDSHAKES] = "limit_handshakes",
    [REASON_NO_BACKEND] = "no_backend",
    [REASON_ALERT_RECEIVED] = "alert_received",
    [REASON_PROTOCOL_ERROR] = "protocol_error",
    [REASON_REVOKED] = "revoked",
    [REASON_DRAINED] = "drained",
    [REASON_OUT_OF_MEMORY] = "out_of_memory",
};

static bool is_of_either(enum reason reason) {
    return reason > REASON_HANDSHAKE_LAST && reason < REASON_COUNT;
}

bool reason_ends_sessions(enum reason reason) {
    return (reason > REASON_NONE && reason <= REASON_SESSION_LAST) || is_of_either(reason);
}

bool reason_fails_handshakes(enum reason reason) {
    return (reason > REASON_SESSION_LAST && reason <= REASON_HANDSHAKE_LAST) ||
           reason == REASON_CLIENT_CLOSED || reason == REASON_CLIENT_RESET || is_of_either(reason);
}

const char *reason_name(enum reason reason) {
    const char *name = (unsigned)reason < REASON_COUNT ? names[reason] : NULL;
    return name != NULL ? name : "unknown";
}
