/* The ClientHello parser: the result for a prefix never contradicts that for the whole, the
 * division into records makes no difference, and what is reported is consistent in itself. */
#include "wire/client_hello.h"

#include "fuzz.h"

#define HEADERS 9 /* of a record and of the message in it */

static enum client_hello_status parse(const uint8_t *data, size_t size, struct client_hello *out) {
    uint8_t *copy = fuzz_copy(data, size);
    memset(out, 0xee, sizeof *out);
    const enum client_hello_status status = client_hello_parse(copy, size, out);
    free(copy);
    return status;
}

static bool same(const struct client_hello *a, const struct client_hello *b) {
    return strcmp(a->server_name, b->server_name) == 0 && a->offers_tls12 == b->offers_tls12 &&
           a->offers_tls13 == b->offers_tls13 && a->ecdsa_tls12 == b->ecdsa_tls12 &&
           a->ecdsa_tls13 == b->ecdsa_tls13 && a->rsa_tls12 == b->rsa_tls12 &&
           a->rsa_tls13 == b->rsa_tls13 && a->ecdsa_p384 == b->ecdsa_p384 &&
           a->max_fragment == b->max_fragment && a->has_session_id == b->has_session_id &&
           a->has_ticket == b->has_ticket && a->groups_given == b->groups_given &&
           a->groups == b->groups;
}

static void check_hello(const struct client_hello *hello) {
    CHECK(memchr(hello->server_name, '\0', sizeof hello->server_name) != NULL);
    for (const char *c = hello->server_name; *c != '\0'; c++) {
        CHECK((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || strchr("-._", *c) != NULL);
    }
    CHECK(hello->offers_tls12 || (!hello->ecdsa_tls12 && !hello->rsa_tls12));
    CHECK(hello->offers_tls13 || (!hello->ecdsa_tls13 && !hello->rsa_tls13));
    CHECK(!hello->ecdsa_p384 || hello->ecdsa_tls12 || hello->ecdsa_tls13);
    const uint16_t fragment = hello->max_fragment;
    CHECK(fragment == 0 || fragment == 512 || fragment == 1024 || fragment == 2048 ||
          fragment == 4096);
}

static void check_prefix(const uint8_t *data, size_t size, enum client_hello_status whole_status,
                         const struct client_hello *whole) {
    struct client_hello hello;
    const enum client_hello_status status = parse(data, size, &hello);
    CHECK(status == CLIENT_HELLO_MORE || status == whole_status);
    CHECK(status != CLIENT_HELLO_OK || same(&hello, whole));
}

/* Cuts a message into at most 128 records; returns their size in all. */
static size_t cut_into_records(const uint8_t *message, size_t size, struct fuzz_dice *dice,
                               uint8_t *out) {
    const size_t least = (size + 127) / 128, most = least + fuzz_roll(dice, size);
    size_t len = 0;
    for (size_t at = 0; at < size;) {
        size_t part = least + fuzz_roll(dice, most - least + 1);
        part = part < size - at ? part : size - at;
        const uint8_t header[] = {22, 3, 1, (uint8_t)(part >> 8), (uint8_t)(part & 0xff)};
        memcpy(out + len, header, sizeof header);
        memcpy(out + len + sizeof header, message + at, part);
        len += sizeof header + part;
        at += part;
    }
    return len;
}

static void try_stream(const uint8_t *data, size_t size, struct fuzz_dice *dice) {
    struct client_hello hello;
    const enum client_hello_status status = parse(data, size, &hello);

    if (status == CLIENT_HELLO_OK) {
        check_hello(&hello);
    }
    for (int i = 0; i < 4; i++) {
        check_prefix(data, fuzz_roll(dice, size + 1), status, &hello);
    }
}

/* The input's end as the body of a message, so that lengths around it always fit. */
static void try_body(const uint8_t *body, size_t size, struct fuzz_dice *dice) {
    static uint8_t message[CLIENT_HELLO_MAX], whole[CLIENT_HELLO_MAX + 5];
    static uint8_t cut[CLIENT_HELLO_MAX + 5 * 129];
    struct client_hello hello, again;

    if (size > CLIENT_HELLO_MAX - 4) {
        size = CLIENT_HELLO_MAX - 4;
    }
    const uint8_t header[] = {1, 0, (uint8_t)(size >> 8), (uint8_t)(size & 0xff)};
    memcpy(message, header, sizeof header);
    memcpy(message + sizeof header, body, size);
    size += sizeof header;
    const uint8_t record[] = {22, 3, 1, (uint8_t)(size >> 8), (uint8_t)(size & 0xff)};
    memcpy(whole, record, sizeof record);
    memcpy(whole + sizeof record, message, size);

    const enum client_hello_status status = parse(whole, size + sizeof record, &hello);
    CHECK(status == CLIENT_HELLO_OK || status == CLIENT_HELLO_BAD);
    const size_t cut_size = cut_into_records(message, size, dice, cut);
    CHECK(parse(cut, cut_size, &again) == status);
    CHECK(status == CLIENT_HELLO_OK || (hello.alert != 0 && hello.alert == again.alert));
    CHECK(parse(cut, cut_size - 1, &again) == CLIENT_HELLO_MORE);
    if (status == CLIENT_HELLO_OK) {
        check_hello(&hello);
        CHECK(parse(cut, cut_size, &again) == CLIENT_HELLO_OK && same(&hello, &again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fuzz_dice dice = fuzz_dice_from(data, size);
    try_stream(data, size, &dice);
    if (size > HEADERS) {
        try_body(data + HEADERS, size - HEADERS, &dice);
    }
    return 0;
}
