/* A whole stream of a client with mqtt = identity: wherever it is cut, the same bytes go on to the
 * broker; they begin with a CONNECT whose user name is the identity, and no second one is among
 * them. Its client ID belongs to one identity at most. And the same bytes as the broker's stream:
 * wherever that is cut, the same login is refused. */
#include "wire/mqtt_answer.h"
#include "wire/mqtt_connect.h"

#include "fuzz.h"

enum { MAX_SIZE = 8192, IDENTITY_MAX = 255, ROUNDS = 6 };

/* What the relay keeps for one client, and what has left for the broker. */
struct stream {
    uint8_t *early; /* until the CONNECT is whole */
    size_t early_len;
    uint8_t *out;
    size_t out_len;
    bool connected, refused;
    struct mqtt_follower follower;
    const uint8_t *identity;
    size_t identity_len;
};

static void forward(struct stream *s, const uint8_t *data, size_t size) {
    const size_t fine = mqtt_follow(&s->follower, data, size);
    CHECK(fine <= size);
    memcpy(s->out + s->out_len, data, fine);
    s->out_len += fine;
    s->refused = fine < size;
    CHECK(s->refused == (s->follower.fault != MQTT_FAULT_NONE));
}

static void check_client_id(const struct mqtt_connect *connect) {
    const struct mqtt_text *id = &connect->client_id;
    size_t owners = 0;
    for (size_t len = 1; len <= id->len && len <= IDENTITY_MAX; len++) {
        uint8_t *identity = fuzz_copy(id->data, len);
        CHECK(mqtt_client_id_is_of(connect, identity, len, false) == (len == id->len));
        owners += mqtt_client_id_is_of(connect, identity, len, true);
        free(identity);
    }
    CHECK(owners <= 1);
}

static void take_connect(struct stream *s, size_t size) {
    struct mqtt_connect connect;
    if (mqtt_connect_parse(s->early, size, &connect) == MQTT_FAULT_NONE) {
        check_client_id(&connect);
    }
    if (mqtt_connect_parse(s->early, size, &connect) != MQTT_FAULT_NONE ||
        mqtt_connect_rewrite(s->early, &connect, s->identity, s->identity_len, s->out,
                             &s->out_len) != MQTT_FAULT_NONE) {
        s->refused = true;
        s->out_len = 0;
        return;
    }
    s->connected = true;
    if (s->early_len > size) {
        forward(s, s->early + size, s->early_len - size);
    }
}

static void feed(struct stream *s, const uint8_t *data, size_t size) {
    size_t connect_size;
    if (s->connected) {
        forward(s, data, size);
        return;
    }
    memcpy(s->early + s->early_len, data, size);
    s->early_len += size;
    switch (mqtt_connect_find(s->early, s->early_len, MAX_SIZE, &connect_size)) {
    case MQTT_CONNECT_WHOLE:
        take_connect(s, connect_size);
        return;
    case MQTT_CONNECT_MORE:
        return;
    case MQTT_CONNECT_NOT_MQTT:
        s->refused = true;
        return;
    }
}

/* Pieces of at most `most` bytes. */
static struct stream run(const uint8_t *data, size_t size, size_t most, struct fuzz_dice *dice,
                         const uint8_t *identity, size_t identity_len) {
    struct stream s = {.identity = identity, .identity_len = identity_len};
    s.early = malloc(size + 1);
    s.out = malloc(MQTT_CONNECT_REWRITTEN_MAX(size, identity_len) + size);
    CHECK(s.early != NULL && s.out != NULL);
    for (size_t at = 0; at < size && !s.refused;) {
        size_t piece = 1 + fuzz_roll(dice, most);
        piece = piece < size - at ? piece : size - at;
        uint8_t *copy = fuzz_copy(data + at, piece);
        feed(&s, copy, piece);
        free(copy);
        at += piece;
    }
    return s;
}

static void free_stream(struct stream *s) {
    free(s->early);
    free(s->out);
}

/* The packet at the front of the bytes: its size, 0 where its length field is cut or too long. */
static size_t packet_size(const uint8_t *data, size_t size, size_t *header) {
    size_t body = 0;
    for (size_t i = 1; i < size && i <= 4; i++) {
        body |= (size_t)(data[i] & 0x7f) << (7 * (i - 1));
        if (data[i] < 0x80) {
            *header = i + 1;
            return i + 1 + body;
        }
    }
    return 0;
}

static void check_output(const struct stream *s) {
    struct mqtt_connect first;
    size_t header, size = packet_size(s->out, s->out_len, &header);
    CHECK(size > 0 && size <= s->out_len);
    CHECK(mqtt_connect_parse(s->out, size, &first) == MQTT_FAULT_NONE);
    CHECK(first.user_name.len == s->identity_len && !first.has_password);
    CHECK(memcmp(first.user_name.data, s->identity, s->identity_len) == 0);
    for (size_t at = size; at < s->out_len; at += size) {
        const unsigned type = s->out[at] >> 4;
        CHECK(type > 1 && type < 15);
        size = packet_size(s->out + at, s->out_len - at, &header);
        if (size == 0 || size > s->out_len - at) {
            return;
        }
    }
}

static void try_stream(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    uint8_t identity[IDENTITY_MAX];
    const size_t identity_len = 1 + fuzz_roll(dice, sizeof identity);
    memset(identity, 'i', sizeof identity);
    struct stream whole = run(data, size, size, dice, identity, identity_len);
    if (whole.connected) {
        check_output(&whole);
    }
    size_t most = 1;
    for (int i = 0; i < ROUNDS; i++, most = most * 3 + 1) {
        struct stream cut = run(data, size, most, dice, identity, identity_len);
        CHECK(cut.refused == whole.refused && cut.connected == whole.connected);
        CHECK(cut.out_len == whole.out_len);
        CHECK(cut.out_len == 0 || memcmp(cut.out, whole.out, cut.out_len) == 0);
        CHECK(cut.follower.fault == whole.follower.fault);
        free_stream(&cut);
    }
    free_stream(&whole);
}

/* The input as the body of a CONNECT and, after it, packets of the sizes that fit. */
static void try_body(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    static uint8_t stream[2 * MAX_SIZE];
    if (size < 3 || size > MAX_SIZE) {
        return;
    }
    const size_t body = 1 + (data[0] | (size_t)data[1] << 8) % (size - 2);
    size_t at = 0, left = body;
    stream[at++] = 0x10;
    for (; left > 0x7f; left >>= 7) {
        stream[at++] = (uint8_t)((left & 0x7f) | 0x80);
    }
    stream[at++] = (uint8_t)left;
    memcpy(stream + at, data + 2, size - 2);
    try_stream(stream, at + size - 2, dice);
}

/* --- what the broker answers --- */

static struct mqtt_answer read_answer(const uint8_t *data, size_t size, size_t most,
                                      struct fuzz_dice *dice) {
    struct mqtt_answer answer = {0};
    bool more = true;
    for (size_t at = 0; at < size && more;) {
        size_t piece = 1 + fuzz_roll(dice, most);
        piece = piece < size - at ? piece : size - at;
        uint8_t *copy = fuzz_copy(data + at, piece);
        more = mqtt_answer_read(&answer, copy, piece);
        CHECK(!more || answer.refusal == 0);
        free(copy);
        at += piece;
    }
    return answer;
}

static void try_answer(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    const struct mqtt_answer whole = read_answer(data, size, size, dice);
    for (size_t most = 1; most < 8; most++) {
        CHECK(read_answer(data, size, most, dice).refusal == whole.refusal);
    }
    if (whole.refusal != 0) {
        size_t header, packet = packet_size(data, size, &header);
        CHECK(data[0] == 0x20 && packet >= header + 2 && header + 1 < size);
        CHECK(data[header + 1] == whole.refusal);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_dice dice = fuzz_dice_from(data, size);
    try_answer(data, size, &dice);
    try_stream(data, size, &dice);
    try_body(data, size, &dice);
    return 0;
}
