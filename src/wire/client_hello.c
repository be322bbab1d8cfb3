/* Two steps: the message is found by record headers alone, which is cheap and repeated whenever
 * bytes arrive; when it is whole it is read, once. */
#include "wire/client_hello.h"

#include "wire/alert.h"
#include "wire/cursor.h"
#include "wire/suites.h"

#include <string.h>

enum {
    RECORD_HEADER = 5,
    RECORD_MAX = 16384,
    RECORD_FIRST = 20, /* change_cipher_spec, alert, */
    RECORD_HANDSHAKE = 22,
    RECORD_LAST = 23, /* application_data */
    /* A bound for the work of each CLIENT_HELLO_MORE: a client may send tiny records. Any usual
     * ClientHello fits in this many of one byte each. */
    RECORDS_MAX = 2048,

    MESSAGE_HEADER = 4,
    MESSAGE_CLIENT_HELLO = 1
};

enum extension {
    EXT_SERVER_NAME = 0,
    EXT_MAX_FRAGMENT_LENGTH = 1,
    EXT_SUPPORTED_GROUPS = 10,
    EXT_POINT_FORMATS = 11,
    EXT_SIGNATURE_ALGORITHMS = 13,
    EXT_PROTOCOLS = 16, /* application_layer_protocol_negotiation */
    EXT_SESSION_TICKET = 35,
    EXT_PRE_SHARED_KEY = 41,
    EXT_SUPPORTED_VERSIONS = 43,
    EXT_KEY_SHARE = 51
};

enum {
    GROUP_P256 = 23,
    GROUP_P384 = 24,
    GROUP_X25519 = 29,
    GROUP_X25519MLKEM768 = 4588,
    /* Of a client's share of the last: ML-KEM-768's key, then X25519's. */
    HYBRID_SHARE_SIZE = 1184 + HELLO_SHARE_SIZE
};

/* What the message has about certificates, before it is evaluated. */
struct offer {
    uint16_t legacy_version;
    bool versions_given, tls12, tls13;
    bool algorithms_given, ecdsa_any, ecdsa_256, ecdsa_384, rsa_any, rsa_pss;
    struct suite_kinds suites;
};

/* Whether it is a list of 16-bit values, with one at least. */
static bool is_list16(const struct cursor *c) {
    return c->left >= 2 && c->left % 2 == 0;
}

/* --- finding the message --- */

struct message {
    size_t len;    /* header included; 0 while unknown */
    bool unbroken; /* in one record */
    uint8_t alert; /* what is wrong with it */
};

static enum client_hello_status refuse(struct message *message, enum alert alert) {
    message->alert = (uint8_t)alert;
    return CLIENT_HELLO_BAD;
}

/* Checks the message's own header and, once it is complete, stores the length of the message. */
static enum client_hello_status check_message_header(const uint8_t *header, size_t have,
                                                     struct message *message) {
    if (have >= 1 && header[0] != MESSAGE_CLIENT_HELLO) {
        return refuse(message, ALERT_UNEXPECTED_MESSAGE);
    }
    if (have < MESSAGE_HEADER) {
        return CLIENT_HELLO_MORE;
    }
    message->len =
        MESSAGE_HEADER + ((size_t)header[1] << 16 | (size_t)header[2] << 8 | (size_t)header[3]);
    return message->len > CLIENT_HELLO_MAX ? refuse(message, ALERT_DECODE_ERROR) : CLIENT_HELLO_OK;
}

/* Judges a record by its first `have` bytes: OK once its header is complete and right. */
static enum client_hello_status check_record_header(const uint8_t *record, size_t have, bool first,
                                                    struct message *message) {
    const bool known = have == 0 || (record[0] >= RECORD_FIRST && record[0] <= RECORD_LAST);
    if (!known || (have >= 2 && record[1] != 3)) {
        return first ? CLIENT_HELLO_NOT_TLS : refuse(message, ALERT_UNEXPECTED_MESSAGE);
    }
    if (have >= 2 && record[0] != RECORD_HANDSHAKE) {
        return refuse(message, ALERT_UNEXPECTED_MESSAGE);
    }
    if (have < RECORD_HEADER) {
        return CLIENT_HELLO_MORE;
    }
    const size_t len = (size_t)record[3] << 8 | record[4];
    if (len == 0) {
        return refuse(message, ALERT_UNEXPECTED_MESSAGE);
    }
    return len > RECORD_MAX ? refuse(message, ALERT_RECORD_OVERFLOW) : CLIENT_HELLO_OK;
}

/* OK: every byte of the message is in `data`, and nothing follows it in its last record. */
static enum client_hello_status find_message(const uint8_t *data, size_t len,
                                             struct message *message) {
    uint8_t header[MESSAGE_HEADER];
    size_t header_have = 0, promised = 0, at = 0;

    *message = (struct message){0};
    for (unsigned records = 0; records < RECORDS_MAX; records++) {
        enum client_hello_status status =
            check_record_header(data + at, len - at, records == 0, message);
        if (status != CLIENT_HELLO_OK) {
            return status;
        }
        const size_t size = (size_t)data[at + 3] << 8 | data[at + 4];
        at += RECORD_HEADER;
        const size_t have = size < len - at ? size : len - at;

        for (size_t i = 0; i < have && header_have < MESSAGE_HEADER; i++) {
            header[header_have++] = data[at + i];
        }
        status = check_message_header(header, header_have, message);
        if (status == CLIENT_HELLO_BAD) {
            return status;
        }

        promised += size;
        if (status == CLIENT_HELLO_OK && promised > message->len) {
            /* something follows in the same record */
            return refuse(message, ALERT_UNEXPECTED_MESSAGE);
        }
        if (have < size) {
            return CLIENT_HELLO_MORE;
        }
        if (status == CLIENT_HELLO_OK && promised == message->len) {
            message->unbroken = records == 0;
            return CLIENT_HELLO_OK;
        }
        at += size;
    }
    return refuse(message, ALERT_DECODE_ERROR);
}

/* --- reading it ---
 *
 * These return false for a decode_error, or have set another alert in `out`. */

static bool is_host_char(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static void set_server_name(struct client_hello *out, struct cursor name) {
    if (name.left > 0 && name.at[name.left - 1] == '.') {
        name.left--;
    }
    if (name.left >= sizeof out->server_name) {
        return;
    }
    for (size_t i = 0; i < name.left; i++) {
        if (!is_host_char(name.at[i])) {
            out->server_name[0] = '\0';
            return;
        }
        const bool upper = name.at[i] >= 'A' && name.at[i] <= 'Z';
        out->server_name[i] = (char)(upper ? name.at[i] + ('a' - 'A') : name.at[i]);
    }
    out->server_name[name.left] = '\0';
}

/* An empty host name counts as none: some devices send it where no name is configured. */
static bool read_server_name(struct cursor c, struct client_hello *out) {
    struct cursor list, name;
    bool seen = false;
    uint8_t type;

    if (!take_vector16(&c, &list) || c.left != 0 || list.left == 0) {
        return false;
    }
    while (list.left > 0) {
        if (!take_u8(&list, &type) || !take_vector16(&list, &name)) {
            return false;
        }
        if (type != 0) {
            continue;
        }
        if (seen) {
            out->alert = ALERT_ILLEGAL_PARAMETER; /* RFC 6066 3: one name of a type */
            return false;
        }
        seen = true;
        set_server_name(out, name);
    }
    return true;
}

/* Any other code is left to the TLS library, which refuses it with the right alert. */
static bool read_max_fragment(struct cursor c, struct client_hello *out) {
    uint8_t code;
    if (!take_u8(&c, &code) || c.left != 0) {
        return false;
    }
    if (code >= 1 && code <= 4) {
        out->max_fragment = (uint16_t)(256u << code);
    }
    return true;
}

static uint8_t bit_of_group(uint16_t group) {
    switch (group) {
    case GROUP_P256:
        return HELLO_P256;
    case GROUP_P384:
        return HELLO_P384;
    case GROUP_X25519:
        return HELLO_X25519;
    case GROUP_X25519MLKEM768:
        return HELLO_X25519MLKEM768;
    default:
        return 0;
    }
}

static bool read_groups(struct cursor c, struct client_hello *out) {
    struct cursor list;
    uint16_t group;

    if (!take_vector16(&c, &list) || c.left != 0 || !is_list16(&list)) {
        return false;
    }
    out->groups_given = true;
    while (take_u16(&list, &group)) {
        out->groups |= bit_of_group(group);
    }
    return true;
}

static void set_share(struct hello_share *share, struct cursor key, size_t size) {
    if (key.left == size) {
        share->given = true;
        memcpy(share->key, key.at + size - sizeof share->key, sizeof share->key);
    }
}

/* Mistakes here are for the TLS library to report, which reads all of it. */
static void read_key_shares(struct cursor c, struct client_hello *out) {
    struct cursor list, key;
    uint16_t group;

    if (!take_vector16(&c, &list)) {
        return;
    }
    while (take_u16(&list, &group) && take_vector16(&list, &key)) {
        if (group == GROUP_X25519) {
            set_share(&out->x25519, key, HELLO_SHARE_SIZE);
        } else if (group == GROUP_X25519MLKEM768) {
            set_share(&out->hybrid, key, HYBRID_SHARE_SIZE);
        }
    }
}

static bool read_algorithms(struct cursor c, struct offer *offer) {
    struct cursor list;
    uint16_t algorithm;

    if (!take_vector16(&c, &list) || c.left != 0 || !is_list16(&list)) {
        return false;
    }
    offer->algorithms_given = true;
    while (take_u16(&list, &algorithm)) {
        /* SHA-1 is left out: no certificate in use today is verified with it. */
        const bool sha2 = algorithm >> 8 >= 4 && algorithm >> 8 <= 6;
        const bool pss = algorithm >= 0x0804 && algorithm <= 0x0806;
        offer->ecdsa_256 |= algorithm == 0x0403;
        offer->ecdsa_384 |= algorithm == 0x0503;
        offer->ecdsa_any |= sha2 && (algorithm & 0xff) == 3;
        offer->rsa_pss |= pss;
        offer->rsa_any |= pss || (sha2 && (algorithm & 0xff) == 1);
    }
    return true;
}

/* The library takes an empty list for one without the uncompressed format (RFC 8422 5.1.2). */
static bool read_point_formats(struct cursor c) {
    struct cursor list;
    return take_vector8(&c, &list) && c.left == 0 && list.left > 0;
}

static bool read_versions(struct cursor c, struct offer *offer) {
    struct cursor list;
    uint16_t version;

    if (!take_vector8(&c, &list) || c.left != 0 || !is_list16(&list)) {
        return false;
    }
    offer->versions_given = true;
    while (take_u16(&list, &version)) {
        offer->tls12 |= version == 0x0303;
        offer->tls13 |= version == 0x0304;
    }
    return true;
}

/* The first name that does not fit ends what is kept. */
static bool read_protocols(struct cursor c, struct client_hello *out) {
    struct cursor list, name;
    bool full = false;

    if (!take_vector16(&c, &list) || c.left != 0 || list.left == 0) {
        return false;
    }
    while (list.left > 0) {
        if (!take_vector8(&list, &name) || name.left == 0) {
            return false;
        }
        full |= name.left >= sizeof out->protocols - out->protocols_len;
        if (!full) {
            uint8_t *to = out->protocols + out->protocols_len;
            to[0] = (uint8_t)name.left;
            memcpy(to + 1, name.at, name.left);
            out->protocols_len += (uint16_t)(1 + name.left);
        }
    }
    return true;
}

static bool read_extension(uint16_t type, struct cursor c, struct offer *offer,
                           struct client_hello *out) {
    switch (type) {
    case EXT_SERVER_NAME:
        return read_server_name(c, out);
    case EXT_MAX_FRAGMENT_LENGTH:
        return read_max_fragment(c, out);
    case EXT_SUPPORTED_GROUPS:
        return read_groups(c, out);
    case EXT_POINT_FORMATS:
        return read_point_formats(c);
    case EXT_SIGNATURE_ALGORITHMS:
        return read_algorithms(c, offer);
    case EXT_PROTOCOLS:
        return read_protocols(c, out);
    case EXT_SUPPORTED_VERSIONS:
        return read_versions(c, offer);
    case EXT_KEY_SHARE:
        read_key_shares(c, out);
        return true;
    case EXT_SESSION_TICKET:
    case EXT_PRE_SHARED_KEY:
        out->has_ticket |= c.left > 0;
        return true;
    default:
        return true;
    }
}

static bool read_extensions(struct cursor list, struct offer *offer, struct client_hello *out) {
    uint8_t seen[65536 / 8] = {0};
    struct cursor content;
    uint16_t type;

    while (list.left > 0) {
        if (!take_u16(&list, &type) || !take_vector16(&list, &content)) {
            return false;
        }
        const uint8_t bit = (uint8_t)(1u << (type & 7));
        if (seen[type >> 3] & bit) {
            out->alert = ALERT_ILLEGAL_PARAMETER;
            return false;
        }
        seen[type >> 3] |= bit;
        if (!read_extension(type, content, offer, out)) {
            return false;
        }
    }
    return true;
}

static bool read_body(struct cursor c, struct offer *offer, struct client_hello *out) {
    struct cursor random, session_id, suites, compressions, extensions;
    uint16_t suite;

    if (!take_u16(&c, &offer->legacy_version) || !take(&c, 32, &random) ||
        !take_vector8(&c, &session_id) || session_id.left > 32 || !take_vector16(&c, &suites) ||
        !is_list16(&suites) || !take_vector8(&c, &compressions) || compressions.left == 0) {
        return false;
    }
    out->has_session_id = session_id.left > 0;
    while (take_u16(&suites, &suite)) {
        suite_kinds_note(&offer->suites, suite);
    }

    if (c.left == 0) /* a client of TLS 1.2 without any extension */ {
        return true;
    }
    return take_vector16(&c, &extensions) && c.left == 0 && read_extensions(extensions, offer, out);
}

static void conclude(const struct offer *offer, struct client_hello *out) {
    out->offers_tls12 = offer->versions_given ? offer->tls12 : offer->legacy_version >= 0x0303;
    out->offers_tls13 = offer->tls13;

    /* A client that offers AEAD at all gets AEAD (the default list knows nothing else), so the
     * key type of its older suites must not count. */
    const bool aead = offer->suites.ecdsa_aead || offer->suites.rsa_aead;
    const bool ecdsa_suite = aead ? offer->suites.ecdsa_aead : offer->suites.ecdsa_other;
    const bool rsa_suite = aead ? offer->suites.rsa_aead : offer->suites.rsa_other;
    const bool any_algorithm = !offer->algorithms_given;
    const bool any_group = !out->groups_given;

    out->ecdsa_tls12 = out->offers_tls12 && ecdsa_suite && (any_algorithm || offer->ecdsa_any) &&
                       (any_group || (out->groups & HELLO_P256) != 0);
    out->rsa_tls12 = out->offers_tls12 && rsa_suite && (any_algorithm || offer->rsa_any);
    out->ecdsa_tls13 = out->offers_tls13 && (offer->ecdsa_256 || offer->ecdsa_384);
    out->rsa_tls13 = out->offers_tls13 && offer->rsa_pss;
    /* Groups restrict the key of a certificate in TLS 1.2 only. */
    out->ecdsa_p384 = (out->ecdsa_tls12 || out->ecdsa_tls13) &&
                      (any_algorithm || offer->ecdsa_384) &&
                      (any_group || (out->groups & HELLO_P384) != 0 || out->offers_tls13);
}

enum client_hello_status client_hello_parse_body(const uint8_t *body, size_t len,
                                                 struct client_hello *out) {
    struct offer offer = {0};

    memset(out, 0, sizeof *out);
    if (!read_body((struct cursor){body, len}, &offer, out)) {
        out->alert = out->alert != 0 ? out->alert : ALERT_DECODE_ERROR;
        return CLIENT_HELLO_BAD;
    }
    conclude(&offer, out);
    return CLIENT_HELLO_OK;
}

static enum client_hello_status read_message(const uint8_t *message, size_t len,
                                             struct client_hello *out) {
    return client_hello_parse_body(message + MESSAGE_HEADER, len - MESSAGE_HEADER, out);
}

/* A function of its own, so that only a message in several records needs this stack. */
static __attribute__((noinline)) enum client_hello_status
join_and_read(const uint8_t *data, size_t len, struct client_hello *out) {
    uint8_t whole[CLIENT_HELLO_MAX];
    size_t have = 0;

    for (size_t at = 0; have < len;) {
        const size_t size = (size_t)data[at + 3] << 8 | data[at + 4];
        at += RECORD_HEADER;
        memcpy(whole + have, data + at, size);
        have += size;
        at += size;
    }
    return read_message(whole, len, out);
}

enum client_hello_status client_hello_parse(const uint8_t *data, size_t len,
                                            struct client_hello *out) {
    struct message message;
    const enum client_hello_status status = find_message(data, len, &message);

    if (status != CLIENT_HELLO_OK) {
        out->alert = message.alert;
        return status;
    }
    if (message.unbroken) {
        return read_message(data + RECORD_HEADER, message.len, out);
    }
    return join_and_read(data, message.len, out);
}

bool client_hello_offers(const struct client_hello *hello, const void *protocol, size_t len) {
    for (size_t at = 0; at < hello->protocols_len; at += 1u + hello->protocols[at]) {
        const uint8_t *offered = hello->protocols + at;
        if (offered[0] == len && memcmp(offered + 1, protocol, len) == 0) {
            return true;
        }
    }
    return false;
}
