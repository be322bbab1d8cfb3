#include "wire/mqtt_answer.h"

enum { TYPE_CONNACK = 0x20, LENGTH_BYTES_MAX = 4, CODE_END = 2 /* after flags and code */ };

enum stage { STAGE_TYPE, STAGE_LENGTH, STAGE_FLAGS, STAGE_CODE, STAGE_DONE };

static bool is_refusal_of_login(uint8_t code) {
    static const uint8_t codes[] = {0x04, 0x05, 0x86, 0x87, 0x8a, 0x8c};
    for (size_t i = 0; i < sizeof codes; i++) {
        if (codes[i] == code) {
            return true;
        }
    }
    return false;
}

/* The remaining length (MQTT 5 1.5.5): only whether the code is within it matters. */
static enum stage read_length(struct mqtt_answer *answer, uint8_t byte) {
    const uint8_t digit = byte & 0x7f;
    const bool enough = answer->length_bytes == 0 ? digit >= CODE_END : digit > 0;
    answer->has_code = answer->has_code || enough;
    answer->length_bytes++;
    if (byte >= 0x80) {
        return answer->length_bytes < LENGTH_BYTES_MAX ? STAGE_LENGTH : STAGE_DONE;
    }
    return answer->has_code ? STAGE_FLAGS : STAGE_DONE;
}

static enum stage read_byte(struct mqtt_answer *answer, uint8_t byte) {
    switch ((enum stage)answer->stage) {
    case STAGE_TYPE:
        return byte == TYPE_CONNACK ? STAGE_LENGTH : STAGE_DONE;
    case STAGE_LENGTH:
        return read_length(answer, byte);
    case STAGE_FLAGS:
        return STAGE_CODE;
    case STAGE_CODE:
        answer->refusal = is_refusal_of_login(byte) ? byte : 0;
        break;
    case STAGE_DONE:
        break;
    }
    return STAGE_DONE;
}

bool mqtt_answer_read(struct mqtt_answer *answer, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len && answer->stage != STAGE_DONE; i++) {
        answer->stage = (uint8_t)read_byte(answer, data[i]);
    }
    return answer->stage != STAGE_DONE;
}
