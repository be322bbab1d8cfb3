#include "wire/mqtt_connect.h"

#include "core/utf8.h"
#include "wire/cursor.h"

#include <string.h>

enum {
    TYPE_CONNECT = 0x10,
    LENGTH_BYTES_MAX = 4,
    LENGTH_MAX = 268435455,
    BODY_MIN = 12, /* of the shortest CONNECT: 3.1.1 with an empty client identifier */
    STRING_MAX = 65535
};

enum connect_flag {
    FLAG_RESERVED = 0x01,
    FLAG_CLEAN = 0x02,
    FLAG_WILL = 0x04,
    FLAG_WILL_QOS = 0x18,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USER_NAME = 0x80
};

static const char *const fault_texts[MQTT_FAULT_COUNT] = {
    [MQTT_FAULT_NONE] = "no fault",
    [MQTT_FAULT_SHORT] = "a field extends past the end of the packet",
    [MQTT_FAULT_LEFT_OVER] = "there are bytes after the last field",
    [MQTT_FAULT_NOT_CONNECT] = "not a CONNECT packet",
    [MQTT_FAULT_PROTOCOL] = "unknown protocol name or level",
    [MQTT_FAULT_FLAGS] = "flags contradict each other",
    [MQTT_FAULT_PROPERTIES] = "a property is not allowed",
    [MQTT_FAULT_UTF8] = "a string is not UTF-8",
    [MQTT_FAULT_CLIENT_ID] = "the client identifier is empty",
    [MQTT_FAULT_WILL_TOPIC] = "the will's topic is empty or has wildcards",
    [MQTT_FAULT_AUTH_METHOD] = "an authentication method cannot be combined with an identity",
    [MQTT_FAULT_IDENTITY] = "the identity does not fit",
    [MQTT_FAULT_SECOND_CONNECT] = "a second CONNECT",
    [MQTT_FAULT_PACKET_TYPE] = "a packet type that is not allowed",
    [MQTT_FAULT_LENGTH] = "a remaining length of more than four bytes",
};

const char *mqtt_fault_text(enum mqtt_fault fault) {
    return (unsigned)fault < MQTT_FAULT_COUNT ? fault_texts[fault] : "unknown fault";
}

/* --- fields --- */

enum length_status { LENGTH_OK, LENGTH_MORE, LENGTH_BAD };

/* A variable byte integer (MQTT 5 1.5.5) in its shortest form, taken from the cursor. */
static enum length_status take_length(struct cursor *c, size_t *value) {
    size_t sum = 0;
    for (unsigned i = 0; i < LENGTH_BYTES_MAX; i++) {
        uint8_t byte;
        if (!take_u8(c, &byte)) {
            return LENGTH_MORE;
        }
        sum |= (size_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *value = sum;
            return byte == 0 && i > 0 ? LENGTH_BAD : LENGTH_OK;
        }
    }
    return LENGTH_BAD;
}

/* A string as both specifications want it (MQTT 5 1.5.4): UTF-8 without U+0000. */
static enum mqtt_fault take_string(struct cursor *c, struct cursor *text) {
    if (!take_vector16(c, text)) {
        return MQTT_FAULT_SHORT;
    }
    for (size_t at = 0; at < text->left;) {
        uint32_t code;
        const size_t size = utf8_decode(text->at + at, text->left - at, &code);
        if (size == 0 || code == 0) {
            return MQTT_FAULT_UTF8;
        }
        at += size;
    }
    return MQTT_FAULT_NONE;
}

static bool is_topic_name(const struct cursor *text) {
    return text->left > 0 && memchr(text->at, '+', text->left) == NULL &&
           memchr(text->at, '#', text->left) == NULL;
}

/* --- properties of MQTT 5 --- */

enum property_type { BOOLEAN, U16, U16_NOT_0, U32, U32_NOT_0, STRING, TOPIC, BINARY, PAIR };
enum property_owner { IN_CONNECT = 1, IN_WILL = 2 };

enum property_id { AUTHENTICATION_METHOD = 0x15, AUTHENTICATION_DATA = 0x16, USER_PROPERTY = 0x26 };

struct property {
    uint8_t id;     /* below 64: those seen are bits of a uint64_t */
    uint8_t owners; /* enum property_owner */
    enum property_type type;
};

static const struct property properties[] = {
    {0x01, IN_WILL, BOOLEAN},      /* payload format indicator */
    {0x02, IN_WILL, U32},          /* message expiry interval */
    {0x03, IN_WILL, STRING},       /* content type */
    {0x08, IN_WILL, TOPIC},        /* response topic */
    {0x09, IN_WILL, BINARY},       /* correlation data */
    {0x11, IN_CONNECT, U32},       /* session expiry interval */
    {0x15, IN_CONNECT, STRING},    /* authentication method */
    {0x16, IN_CONNECT, BINARY},    /* authentication data */
    {0x17, IN_CONNECT, BOOLEAN},   /* request problem information */
    {0x18, IN_WILL, U32},          /* will delay interval */
    {0x19, IN_CONNECT, BOOLEAN},   /* request response information */
    {0x21, IN_CONNECT, U16_NOT_0}, /* receive maximum */
    {0x22, IN_CONNECT, U16},       /* topic alias maximum */
    {0x26, IN_CONNECT | IN_WILL, PAIR},
    {0x27, IN_CONNECT, U32_NOT_0}, /* maximum packet size */
};

static enum mqtt_fault take_property_value(struct cursor *c, enum property_type type) {
    struct cursor text = {NULL, 0};
    uint8_t u8 = 0;
    uint16_t u16 = 0;
    uint32_t u32 = 0;
    enum mqtt_fault fault = MQTT_FAULT_NONE;

    switch (type) {
    case BOOLEAN:
        return !take_u8(c, &u8) ? MQTT_FAULT_SHORT
               : u8 > 1         ? MQTT_FAULT_PROPERTIES
                                : MQTT_FAULT_NONE;
    case U16:
    case U16_NOT_0:
        fault = take_u16(c, &u16) ? MQTT_FAULT_NONE : MQTT_FAULT_SHORT;
        return fault == MQTT_FAULT_NONE && type == U16_NOT_0 && u16 == 0 ? MQTT_FAULT_PROPERTIES
                                                                         : fault;
    case U32:
    case U32_NOT_0:
        fault = take_u32(c, &u32) ? MQTT_FAULT_NONE : MQTT_FAULT_SHORT;
        return fault == MQTT_FAULT_NONE && type == U32_NOT_0 && u32 == 0 ? MQTT_FAULT_PROPERTIES
                                                                         : fault;
    case TOPIC:
        fault = take_string(c, &text);
        return fault == MQTT_FAULT_NONE && !is_topic_name(&text) ? MQTT_FAULT_PROPERTIES : fault;
    case BINARY:
        return take_vector16(c, &text) ? MQTT_FAULT_NONE : MQTT_FAULT_SHORT;
    case PAIR:
        fault = take_string(c, &text);
        return fault == MQTT_FAULT_NONE ? take_string(c, &text) : fault;
    case STRING:
        break;
    }
    return take_string(c, &text);
}

static const struct property *find_property(uint8_t id, enum property_owner owner) {
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        if (properties[i].id == id && (properties[i].owners & owner) != 0) {
            return &properties[i];
        }
    }
    return NULL;
}

static enum mqtt_fault take_properties(struct cursor *c, enum property_owner owner,
                                       uint64_t *seen) {
    struct cursor list;
    size_t len;

    *seen = 0;
    switch (take_length(c, &len)) {
    case LENGTH_OK:
        break;
    case LENGTH_MORE:
        return MQTT_FAULT_SHORT;
    case LENGTH_BAD:
        return MQTT_FAULT_PROPERTIES;
    }
    if (!take(c, len, &list)) {
        return MQTT_FAULT_SHORT;
    }
    while (list.left > 0) {
        uint8_t id = 0;
        (void)take_u8(&list, &id);
        const struct property *property = find_property(id, owner);
        if (property == NULL || (id != USER_PROPERTY && (*seen >> id & 1) != 0)) {
            return MQTT_FAULT_PROPERTIES;
        }
        *seen |= (uint64_t)1 << id;
        const enum mqtt_fault fault = take_property_value(&list, property->type);
        if (fault != MQTT_FAULT_NONE) {
            return fault;
        }
    }
    return MQTT_FAULT_NONE;
}

/* --- CONNECT --- */

static const uint8_t name_31[] = {0, 6, 'M', 'Q', 'I', 's', 'd', 'p'};
static const uint8_t name_311[] = {0, 4, 'M', 'Q', 'T', 'T'};

static bool begins_like(const struct cursor *c, const uint8_t *name, size_t len) {
    return memcmp(c->at, name, c->left < len ? c->left : len) == 0;
}

enum mqtt_connect_status mqtt_connect_find(const uint8_t *data, size_t len, size_t max_size,
                                           size_t *size) {
    struct cursor c = {data, len};
    uint8_t type;
    size_t body;

    *size = 0;
    if (!take_u8(&c, &type)) {
        return MQTT_CONNECT_MORE;
    }
    if (type != TYPE_CONNECT) {
        return MQTT_CONNECT_NOT_MQTT;
    }
    switch (take_length(&c, &body)) {
    case LENGTH_OK:
        break;
    case LENGTH_MORE:
        return MQTT_CONNECT_MORE;
    case LENGTH_BAD:
        return MQTT_CONNECT_NOT_MQTT;
    }
    const size_t whole = (len - c.left) + body;
    if (body < BODY_MIN || whole > max_size ||
        !(begins_like(&c, name_311, sizeof name_311) || begins_like(&c, name_31, sizeof name_31))) {
        return MQTT_CONNECT_NOT_MQTT;
    }
    *size = whole;
    return len >= whole ? MQTT_CONNECT_WHOLE : MQTT_CONNECT_MORE;
}

static enum mqtt_fault take_protocol(struct cursor *c, struct mqtt_connect *out) {
    struct cursor name;
    uint8_t level;

    if (!take_vector16(c, &name) || !take_u8(c, &level)) {
        return MQTT_FAULT_SHORT;
    }
    const bool is_31 = name.left == 6 && memcmp(name.at, name_31 + 2, 6) == 0;
    const bool is_311 = name.left == 4 && memcmp(name.at, name_311 + 2, 4) == 0;
    out->level = level & 0x7f;
    out->bridge = (level & 0x80) != 0;
    const bool known =
        (is_31 && out->level == 3) || (is_311 && out->level == 4) || (is_311 && level == 5);
    return known ? MQTT_FAULT_NONE : MQTT_FAULT_PROTOCOL;
}

static enum mqtt_fault check_flags(const struct mqtt_connect *connect) {
    const uint8_t flags = connect->flags;
    if ((flags & FLAG_RESERVED) != 0 || (flags & FLAG_WILL_QOS) == FLAG_WILL_QOS) {
        return MQTT_FAULT_FLAGS;
    }
    if ((flags & FLAG_WILL) == 0 && (flags & (FLAG_WILL_QOS | FLAG_WILL_RETAIN)) != 0) {
        return MQTT_FAULT_FLAGS;
    }
    if ((flags & FLAG_PASSWORD) != 0 && (flags & FLAG_USER_NAME) == 0 && connect->level < 5) {
        return MQTT_FAULT_FLAGS;
    }
    return MQTT_FAULT_NONE;
}

static enum mqtt_fault take_client_id(struct cursor *c, struct mqtt_connect *out) {
    struct cursor text;
    const enum mqtt_fault fault = take_string(c, &text);
    if (fault != MQTT_FAULT_NONE) {
        return fault;
    }
    out->client_id = (struct mqtt_text){text.at, text.left};
    const bool may_be_empty =
        out->level == 5 || (out->level == 4 && (out->flags & FLAG_CLEAN) != 0);
    return text.left == 0 && !may_be_empty ? MQTT_FAULT_CLIENT_ID : MQTT_FAULT_NONE;
}

static enum mqtt_fault take_will(struct cursor *c, const struct mqtt_connect *connect) {
    struct cursor topic, payload;
    enum mqtt_fault fault = MQTT_FAULT_NONE;
    uint64_t seen;

    if ((connect->flags & FLAG_WILL) == 0) {
        return MQTT_FAULT_NONE;
    }
    if (connect->level == 5) {
        fault = take_properties(c, IN_WILL, &seen);
    }
    if (fault == MQTT_FAULT_NONE) {
        fault = take_string(c, &topic);
    }
    if (fault != MQTT_FAULT_NONE) {
        return fault;
    }
    if (!is_topic_name(&topic)) {
        return MQTT_FAULT_WILL_TOPIC;
    }
    return take_vector16(c, &payload) ? MQTT_FAULT_NONE : MQTT_FAULT_SHORT;
}

static enum mqtt_fault take_login(struct cursor *c, struct mqtt_connect *out) {
    struct cursor text;
    if ((out->flags & FLAG_USER_NAME) != 0) {
        const enum mqtt_fault fault = take_string(c, &text);
        if (fault != MQTT_FAULT_NONE) {
            return fault;
        }
        out->user_name = (struct mqtt_text){text.at, text.left};
    }
    out->has_password = (out->flags & FLAG_PASSWORD) != 0;
    if (out->has_password && !take_vector16(c, &text)) {
        return MQTT_FAULT_SHORT;
    }
    return c->left == 0 ? MQTT_FAULT_NONE : MQTT_FAULT_LEFT_OVER;
}

static enum mqtt_fault take_connect_properties(struct cursor *c, struct mqtt_connect *out) {
    uint64_t seen;
    const enum mqtt_fault fault = take_properties(c, IN_CONNECT, &seen);
    out->has_auth_method = (seen >> AUTHENTICATION_METHOD & 1) != 0;
    if (fault == MQTT_FAULT_NONE && !out->has_auth_method &&
        (seen >> AUTHENTICATION_DATA & 1) != 0) {
        return MQTT_FAULT_PROPERTIES;
    }
    return fault;
}

enum mqtt_fault mqtt_connect_parse(const uint8_t *packet, size_t size, struct mqtt_connect *out) {
    struct cursor c = {packet, size};
    uint8_t type;
    size_t body;

    memset(out, 0, sizeof *out);
    if (!take_u8(&c, &type) || type != TYPE_CONNECT || take_length(&c, &body) != LENGTH_OK ||
        body != c.left) {
        return MQTT_FAULT_NOT_CONNECT;
    }
    out->body_at = size - c.left;
    enum mqtt_fault fault = take_protocol(&c, out);
    if (fault != MQTT_FAULT_NONE) {
        return fault;
    }
    out->flags_at = size - c.left;
    if (!take_u8(&c, &out->flags) || !take_u16(&c, &out->keepalive_s)) {
        return MQTT_FAULT_SHORT;
    }
    fault = check_flags(out);
    if (fault == MQTT_FAULT_NONE && out->level == 5) {
        fault = take_connect_properties(&c, out);
    }
    if (fault == MQTT_FAULT_NONE) {
        fault = take_client_id(&c, out);
    }
    if (fault == MQTT_FAULT_NONE) {
        fault = take_will(&c, out);
    }
    out->login_at = size - c.left;
    return fault == MQTT_FAULT_NONE ? take_login(&c, out) : fault;
}

bool mqtt_client_id_is_of(const struct mqtt_connect *connect, const uint8_t *identity,
                          size_t identity_len, bool prefix) {
    const struct mqtt_text *id = &connect->client_id;
    if (identity_len == 0 || id->len < identity_len ||
        memcmp(id->data, identity, identity_len) != 0 ||
        (prefix && memchr(identity, '/', identity_len) != NULL)) {
        return false;
    }
    if (id->len == identity_len) {
        return true;
    }
    const uint8_t *more = id->data + identity_len + 1;
    const size_t more_len = id->len - identity_len - 1;
    return prefix && more[-1] == '/' && utf8_is_name(more, more_len);
}

static size_t put_length(uint8_t *out, size_t value) {
    size_t at = 0;
    do {
        const uint8_t more = value > 0x7f ? 0x80 : 0;
        out[at++] = (uint8_t)((value & 0x7f) | more);
        value >>= 7;
    } while (value > 0);
    return at;
}

enum mqtt_fault mqtt_connect_rewrite(const uint8_t *packet, const struct mqtt_connect *connect,
                                     const uint8_t *identity, size_t identity_len, uint8_t *out,
                                     size_t *out_size) {
    if (connect->has_auth_method) {
        return MQTT_FAULT_AUTH_METHOD;
    }
    const size_t kept = connect->login_at - connect->body_at;
    if (identity_len == 0 || identity_len > STRING_MAX || kept > LENGTH_MAX - 2 - identity_len) {
        return MQTT_FAULT_IDENTITY;
    }
    uint8_t *at = out;
    *at++ = TYPE_CONNECT;
    at += put_length(at, kept + 2 + identity_len);
    memcpy(at, packet + connect->body_at, kept);
    at[connect->flags_at - connect->body_at] =
        (uint8_t)((connect->flags | FLAG_USER_NAME) & ~FLAG_PASSWORD);
    at += kept;
    *at++ = (uint8_t)(identity_len >> 8);
    *at++ = (uint8_t)(identity_len & 0xff);
    memcpy(at, identity, identity_len);
    *out_size = (size_t)(at - out) + identity_len;
    return MQTT_FAULT_NONE;
}

/* --- after CONNECT --- */

static enum mqtt_fault check_type(uint8_t first) {
    switch (first >> 4) {
    case 1:
        return MQTT_FAULT_SECOND_CONNECT;
    case 0:
    case 15:
        return MQTT_FAULT_PACKET_TYPE;
    default:
        return MQTT_FAULT_NONE;
    }
}

static enum mqtt_fault follow_header(struct mqtt_follower *f, uint8_t byte) {
    if (!f->in_length) {
        f->in_length = true;
        f->length_bytes = 0;
        return check_type(byte);
    }
    if (f->length_bytes == LENGTH_BYTES_MAX - 1 && byte >= 0x80) {
        return MQTT_FAULT_LENGTH;
    }
    f->left |= (uint32_t)(byte & 0x7f) << (7 * f->length_bytes);
    f->length_bytes++;
    f->in_length = byte >= 0x80;
    return MQTT_FAULT_NONE;
}

size_t mqtt_follow(struct mqtt_follower *follower, const uint8_t *data, size_t len) {
    struct mqtt_follower f = *follower;
    size_t at = 0;

    while (at < len && f.fault == MQTT_FAULT_NONE) {
        if (!f.in_length && f.left > 0) {
            const size_t skip = f.left < len - at ? f.left : len - at;
            f.left -= (uint32_t)skip;
            at += skip;
            continue;
        }
        f.fault = (uint8_t)follow_header(&f, data[at]);
        at += f.fault == MQTT_FAULT_NONE;
    }
    *follower = f;
    return at;
}
