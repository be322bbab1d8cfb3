/* The MQTT CONNECT packet, and just enough of the packets after it.
 *
 * Pure functions over bytes, no allocation. Read are MQTT 3.1 ("MQIsdp", level 3), 3.1.1 ("MQTT",
 * level 4) and 5 (level 5), and the levels 0x83 and 0x84 by which a Mosquitto bridge identifies
 * itself. 0x85 is refused: Mosquitto 2.0 takes it for MQTT 5 without properties, so that it might
 * read another user name than we do.
 *
 * The rule: no broker may read a CONNECT that we accept differently from us. So it must be exactly
 * as specified (MQTT 3.1.1 3.1, MQTT 5 3.1): the shortest length, well-formed UTF-8 without U+0000,
 * consistent flags, known properties at most once, nothing after the last field. Where 3.1 does not
 * specify something, 3.1.1 is applied to it too; an empty client identifier is treated as Mosquitto
 * does: refused in 3.1, and in 3.1.1 without a clean session. */
#ifndef POSTERN_WIRE_MQTT_CONNECT_H
#define POSTERN_WIRE_MQTT_CONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mqtt_fault {
    MQTT_FAULT_NONE,
    MQTT_FAULT_SHORT,          /* a field extends past the end of the packet */
    MQTT_FAULT_LEFT_OVER,      /* bytes after the last field */
    MQTT_FAULT_NOT_CONNECT,    /* another packet, or its length is wrong */
    MQTT_FAULT_PROTOCOL,       /* unknown protocol name or level */
    MQTT_FAULT_FLAGS,          /* reserved bit set, or flags that contradict each other */
    MQTT_FAULT_PROPERTIES,     /* unknown, repeated, or with a value that is not allowed */
    MQTT_FAULT_UTF8,           /* a string that is not UTF-8 */
    MQTT_FAULT_CLIENT_ID,      /* empty where it must not be */
    MQTT_FAULT_WILL_TOPIC,     /* empty, or with wildcards */
    MQTT_FAULT_AUTH_METHOD,    /* authentication that an identity cannot replace */
    MQTT_FAULT_IDENTITY,       /* empty, over 65,535 bytes, or the packet would be too long */
    MQTT_FAULT_SECOND_CONNECT, /* after CONNECT: another one */
    MQTT_FAULT_PACKET_TYPE,    /* after CONNECT: reserved type 0, or AUTH */
    MQTT_FAULT_LENGTH,         /* after CONNECT: a remaining length of more than four bytes */
    MQTT_FAULT_COUNT
};

/* In words, for the log; never NULL. */
const char *mqtt_fault_text(enum mqtt_fault fault);

enum mqtt_connect_status {
    MQTT_CONNECT_WHOLE,
    MQTT_CONNECT_MORE,    /* right so far: call again with more bytes, from the first one */
    MQTT_CONNECT_NOT_MQTT /* known by the first wrong byte */
};

/* Whether the first packet is complete. `len` bytes from the very first one; `max_size` bounds the
 * whole packet. `*size` is the size of the whole packet, 0 as long as it is unknown. It reads the
 * first 13 bytes at most, so that it may be called for every byte that arrives. */
enum mqtt_connect_status mqtt_connect_find(const uint8_t *data, size_t len, size_t max_size,
                                           size_t *size) __attribute__((warn_unused_result));

struct mqtt_text {
    const uint8_t *data; /* points into the packet */
    size_t len;
};

struct mqtt_connect {
    uint8_t level; /* 3, 4 or 5 */
    bool bridge;   /* bit 0x80 of the level was set */
    uint8_t flags;
    uint16_t keepalive_s;
    struct mqtt_text client_id; /* UTF-8; may be empty */
    struct mqtt_text user_name; /* UTF-8; data NULL: there is none */
    bool has_password;
    bool has_auth_method; /* MQTT 5 Authentication Method */
    /* Offsets in the packet, for mqtt_connect_rewrite: */
    size_t body_at;  /* after the fixed header */
    size_t flags_at; /* the flags' byte */
    size_t login_at; /* where the user name and the password are or would be */
};

/* `packet` is one whole packet of `size` bytes, as found by mqtt_connect_find. `out` is filled
 * for MQTT_FAULT_NONE only, but may be written to with any result. */
enum mqtt_fault mqtt_connect_parse(const uint8_t *packet, size_t size, struct mqtt_connect *out)
    __attribute__((warn_unused_result));

/* Whether the client ID belongs to the identity, so that nobody can take over the session of
 * another identity by its client ID: it is the identity, or with `prefix` also the identity
 * followed by '/' and more. What follows is held to the rules for identities: only characters that
 * can be seen, and no '+' and '#', which would widen patterns in access lists. With `prefix` no
 * client ID belongs to an identity that has a '/' itself: it could be another's identity and more.
 */
bool mqtt_client_id_is_of(const struct mqtt_connect *connect, const uint8_t *identity,
                          size_t identity_len, bool prefix);

/* Room that a rewritten packet needs at most. */
#define MQTT_CONNECT_REWRITTEN_MAX(size, identity_len) ((size) + (identity_len) + 5)

/* Writes the packet with `identity` as the user name (its flag set) and without a password (its
 * flag cleared); everything else is unchanged. To the broker it is as if its own listener had
 * use_identity_as_username. `connect` is what mqtt_connect_parse made of `packet`; `out` does not
 * overlap the packet and has room for MQTT_CONNECT_REWRITTEN_MAX. `*out_size` is set for
 * MQTT_FAULT_NONE. MQTT_FAULT_AUTH_METHOD and MQTT_FAULT_IDENTITY are the refusals; whether the
 * identity may be a user name is checked by the caller. */
enum mqtt_fault mqtt_connect_rewrite(const uint8_t *packet, const struct mqtt_connect *connect,
                                     const uint8_t *identity, size_t identity_len, uint8_t *out,
                                     size_t *out_size) __attribute__((warn_unused_result));

/* The state of mqtt_follow, whose fields these are. Zeroed is the start of a packet. */
struct mqtt_follower {
    uint32_t left; /* of the current packet's body; while its length is read, that length so far */
    uint8_t length_bytes; /* of the current header that were read; 0: none, or the body is on */
    bool in_length;
    uint8_t fault; /* enum mqtt_fault */
};

/* Follows the headers of the packets after CONNECT. Returns how many of the next `len` bytes may be
 * forwarded: all, or those before the first byte of a fault, which `fault` then has from there on.
 * The sum over all calls does not depend on how the stream is cut. Faults are
 * MQTT_FAULT_SECOND_CONNECT, MQTT_FAULT_PACKET_TYPE (type 0 makes Mosquitto lose track of the
 * stream; AUTH is the other packet that could change a client's identity, and is not allowed after
 * a CONNECT that mqtt_connect_rewrite accepts) and MQTT_FAULT_LENGTH. */
size_t mqtt_follow(struct mqtt_follower *follower, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

#endif
