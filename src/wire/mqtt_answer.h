/* The broker's answer to a CONNECT: whether it refuses the client's login.
 *
 * Read is the first packet of the broker, byte by byte as it arrives, up to the code of a CONNACK
 * (MQTT 3.1.1 3.2, MQTT 5 3.2) and no further. Other packets are left alone. The codes of the
 * two versions are different numbers, so that the version need not be known. */
#ifndef POSTERN_WIRE_MQTT_ANSWER_H
#define POSTERN_WIRE_MQTT_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Embedded. Zeroed, nothing has arrived. Others may read `refusal`. */
struct mqtt_answer {
    uint8_t stage;        /* which field is next */
    uint8_t length_bytes; /* of the remaining length that were read */
    bool has_code;        /* the remaining length has room for it */
    uint8_t refusal;      /* 0: no refusal of the login, as far as is known */
};

/* Looks at the next bytes from the broker. True if it needs more. After false it need not be called
 * any more, and `refusal` is final: 4 (bad user name or password) or 5 (not authorized) of MQTT 3.1
 * and 3.1.1; 0x86 (bad user name or password), 0x87 (not authorized), 0x8A (banned) or 0x8C (bad
 * authentication method) of MQTT 5. Other codes have other causes than who the client is. */
bool mqtt_answer_read(struct mqtt_answer *answer, const uint8_t *data, size_t len)
    __attribute__((warn_unused_result));

#endif
