/* CONNECT: the result for a prefix never contradicts that for the whole; a rewritten packet reads
 * as the same one with the identity as user name and no password; how the stream is cut makes no
 * difference to the follower. */
#include "wire/mqtt_connect.h"

#include "fuzz.h"

#define MAX_SIZE     65536
#define IDENTITY_MAX 255

static enum mqtt_connect_status find(const uint8_t *data, size_t size, size_t *packet_size) {
    uint8_t *copy = fuzz_copy(data, size);
    const enum mqtt_connect_status status = mqtt_connect_find(copy, size, MAX_SIZE, packet_size);
    free(copy);
    return status;
}

static bool same_text(struct mqtt_text a, struct mqtt_text b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void check_rewritten(const uint8_t *packet, const struct mqtt_connect *connect,
                            const uint8_t *out, size_t out_size, struct mqtt_text identity) {
    struct mqtt_connect again;
    size_t size;

    CHECK(find(out, out_size, &size) == MQTT_CONNECT_WHOLE || out_size > MAX_SIZE);
    CHECK(size == out_size || out_size > MAX_SIZE);
    CHECK(mqtt_connect_parse(out, out_size, &again) == MQTT_FAULT_NONE);
    CHECK(same_text(again.user_name, identity) && !again.has_password);
    CHECK(same_text(again.client_id, connect->client_id));
    CHECK(again.level == connect->level && again.bridge == connect->bridge);
    CHECK(again.keepalive_s == connect->keepalive_s);
    CHECK(again.flags == ((connect->flags | 0x80) & ~0x40));

    /* But for the flags, all between the fixed header and the user name is as it was. */
    const size_t before = connect->flags_at - connect->body_at;
    const size_t rest = connect->login_at - connect->flags_at - 1;
    CHECK(again.flags_at - again.body_at == before);
    CHECK(again.login_at - again.flags_at - 1 == rest);
    CHECK(memcmp(out + again.body_at, packet + connect->body_at, before) == 0);
    CHECK(memcmp(out + again.flags_at + 1, packet + connect->flags_at + 1, rest) == 0);
    CHECK(out_size == again.login_at + 2 + identity.len);
}

static void try_packet(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    uint8_t *packet = fuzz_copy(data, size);
    uint8_t name[IDENTITY_MAX];
    struct mqtt_connect connect;
    size_t out_size = 0;

    if (mqtt_connect_parse(packet, size, &connect) == MQTT_FAULT_NONE) {
        const struct mqtt_text identity = {name, 1 + fuzz_roll(dice, sizeof name)};
        memset(name, 'i', sizeof name);
        uint8_t *out = malloc(MQTT_CONNECT_REWRITTEN_MAX(size, identity.len));
        CHECK(out != NULL);
        const enum mqtt_fault fault =
            mqtt_connect_rewrite(packet, &connect, name, identity.len, out, &out_size);
        CHECK(fault == (connect.has_auth_method ? MQTT_FAULT_AUTH_METHOD : MQTT_FAULT_NONE));
        if (fault == MQTT_FAULT_NONE) {
            check_rewritten(packet, &connect, out, out_size, identity);
        }
        free(out);
    }
    free(packet);
}

static void try_start(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    size_t whole_size, part_size;
    const enum mqtt_connect_status whole = find(data, size, &whole_size);

    CHECK(whole != MQTT_CONNECT_WHOLE || (whole_size > 0 && whole_size <= size));
    for (int i = 0; i < 4; i++) {
        const size_t part = i == 0 && whole_size > 0 && whole_size <= size
                                ? whole_size - 1
                                : fuzz_roll(dice, size + 1);
        const enum mqtt_connect_status status = find(data, part, &part_size);
        CHECK(status == MQTT_CONNECT_MORE || status == whole);
        CHECK(part_size == 0 || whole == MQTT_CONNECT_NOT_MQTT || part_size == whole_size);
        CHECK((status == MQTT_CONNECT_WHOLE) == (part_size > 0 && part >= part_size));
    }
    if (whole == MQTT_CONNECT_WHOLE) {
        try_packet(data, whole_size, dice);
    }
}

/* The input as the body of a packet, so that its length always fits. */
static void try_body(const uint8_t *body, size_t size, struct fuzz_dice *dice) {
    static uint8_t packet[MAX_SIZE];
    size_t at = 0, left = size;

    if (size == 0 || size > MAX_SIZE - 5) {
        return;
    }
    packet[at++] = 0x10;
    for (; left > 0x7f; left >>= 7) {
        packet[at++] = (uint8_t)((left & 0x7f) | 0x80);
    }
    packet[at++] = (uint8_t)left;
    memcpy(packet + at, body, size);
    try_packet(packet, at + size, dice);
}

/* The same rules once more, over the whole stream at once. */
static size_t follow_plainly(const uint8_t *data, size_t size, enum mqtt_fault *fault) {
    size_t at = 0;
    *fault = MQTT_FAULT_NONE;
    while (at < size) {
        const unsigned type = data[at] >> 4;
        if (type <= 1 || type == 15) {
            *fault = type == 1 ? MQTT_FAULT_SECOND_CONNECT : MQTT_FAULT_PACKET_TYPE;
            return at;
        }
        size_t body = 0, i = 0;
        do {
            i++;
            if (at + i >= size) {
                return size;
            }
            if (i == 4 && data[at + i] >= 0x80) {
                *fault = MQTT_FAULT_LENGTH;
                return at + i;
            }
            body += (size_t)(data[at + i] & 0x7f) << (7 * (i - 1));
        } while (data[at + i] >= 0x80);
        at += i + 1 + body;
    }
    return size;
}

static void try_follower(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    enum mqtt_fault fault;
    const size_t good = follow_plainly(data, size, &fault);

    for (size_t most = 1; most <= size + 1; most = most * 4 + 1) {
        struct mqtt_follower follower = {0};
        size_t sum = 0;
        for (size_t at = 0; at < size;) {
            size_t part = 1 + fuzz_roll(dice, most);
            part = part < size - at ? part : size - at;
            const size_t forwarded = mqtt_follow(&follower, data + at, part);
            CHECK(forwarded <= part);
            CHECK((forwarded == part) == (follower.fault == MQTT_FAULT_NONE));
            sum += forwarded;
            at += part;
            if (follower.fault != MQTT_FAULT_NONE) {
                CHECK(mqtt_follow(&follower, data, size) == 0);
                break;
            }
        }
        CHECK(sum == good && follower.fault == fault);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_dice dice = fuzz_dice_from(data, size);
    try_start(data, size, &dice);
    if (size > 2) {
        try_body(data + 2, size - 2, &dice);
    }
    try_follower(data, size, &dice);
    return 0;
}
