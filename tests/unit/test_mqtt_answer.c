/* The broker's first packet: which CONNACK refuses a login, however it is cut. */
#include "run.h"
#include "wire/mqtt_answer.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(s)     s, sizeof(s) - 1
#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

struct answer {
    const char *bytes;
    size_t len;
    size_t needed; /* bytes after which it is decided; 0: not within these */
    uint8_t refusal;
};

static const struct answer answers[] = {
    /* MQTT 3.1 and 3.1.1 */
    {BYTES("\x20\2\0\0"), 4, 0},
    {BYTES("\x20\2\1\0"), 4, 0}, /* a session was there */
    {BYTES("\x20\2\0\1"), 4, 0}, /* the version, */
    {BYTES("\x20\2\0\2"), 4, 0}, /* the client ID, */
    {BYTES("\x20\2\0\3"), 4, 0}, /* the server: not the login */
    {BYTES("\x20\2\0\4"), 4, 4},
    {BYTES("\x20\2\0\5"), 4, 5},
    {BYTES("\x20\2\0\5\x20\2\0\4"), 4, 5}, /* what follows is of no interest */
    {BYTES("\x20\2\0\0\x20\2\0\5"), 4, 0},
    /* MQTT 5 */
    {BYTES("\x20\3\0\0\0"), 4, 0},
    {BYTES("\x20\3\0\x86\0"), 4, 0x86},
    {BYTES("\x20\3\0\x87\0"), 4, 0x87},
    {BYTES("\x20\3\0\x8a\0"), 4, 0x8a},
    {BYTES("\x20\3\0\x8c\0"), 4, 0x8c},
    {BYTES("\x20\3\0\x80\0"), 4, 0},
    {BYTES("\x20\3\0\x85\0"), 4, 0}, /* the client ID */
    {BYTES("\x20\3\0\x88\0"), 4, 0}, /* the server is not available */
    {BYTES("\x20\3\0\x97\0"), 4, 0}, /* a quota */
    {BYTES("\x20\x0a\0\x87\7\x1f\0\4gone"), 4, 0x87},
    {BYTES("\x20\x80\1\0\x87"), 5, 0x87}, /* 128 bytes: its length has two */
    {BYTES("\x20\x80\x80\x80\1\0\x87"), 7, 0x87},
    /* Incomplete */
    {BYTES(""), 0, 0},
    {BYTES("\x20"), 0, 0},
    {BYTES("\x20\x80"), 0, 0},
    {BYTES("\x20\2\0"), 0, 0},
    /* No CONNACK, or not a possible one */
    {BYTES("\xf0\2\x18\0"), 1, 0}, /* AUTH */
    {BYTES("\xe0\2\x87\0"), 1, 0}, /* DISCONNECT */
    {BYTES("\x21\2\0\5"), 1, 0},
    {BYTES("\0\x20\2\0\5"), 1, 0},
    {BYTES("HTTP/1.1 401"), 1, 0},
    {BYTES("\x20\0\0\5"), 2, 0},
    {BYTES("\x20\1\0\5"), 2, 0},
    {BYTES("\x20\x81\0\0\5"), 3, 0},
    {BYTES("\x20\x80\x80\x80\x80\1\0\x87"), 5, 0}, /* a length of five bytes */
};

/* One byte at a time; the copy lets AddressSanitizer find a read past the end. */
START_TEST(an_answer_is_known_with_its_code) {
    const struct answer *a = &answers[_i];
    struct mqtt_answer answer = {0};
    for (size_t at = 0; at < a->len; at++) {
        uint8_t *byte = malloc(1);
        ck_assert_ptr_nonnull(byte);
        *byte = (uint8_t)a->bytes[at];
        const bool more = mqtt_answer_read(&answer, byte, 1);
        free(byte);
        ck_assert_msg(more == (a->needed == 0 || at + 1 < a->needed), "at %zu", at);
        ck_assert_uint_eq(answer.refusal, more ? 0 : a->refusal);
    }
}
END_TEST

START_TEST(how_it_is_cut_makes_no_difference) {
    const struct answer *a = &answers[_i];
    for (size_t cut = 0; cut <= a->len; cut++) {
        struct mqtt_answer answer = {0};
        bool more = mqtt_answer_read(&answer, (const uint8_t *)a->bytes, cut);
        ck_assert(more == (a->needed == 0 || cut < a->needed));
        more = mqtt_answer_read(&answer, (const uint8_t *)a->bytes + cut, a->len - cut);
        ck_assert(more == (a->needed == 0));
        ck_assert_uint_eq(answer.refusal, a->refusal);
    }
}
END_TEST

START_TEST(no_other_code_is_a_refusal_of_the_login) {
    for (unsigned code = 0; code < 256; code++) {
        const uint8_t packet[] = {0x20, 2, 0, (uint8_t)code};
        struct mqtt_answer answer = {0};
        ck_assert(!mqtt_answer_read(&answer, packet, sizeof packet));
        const bool refused =
            code == 4 || code == 5 || code == 0x86 || code == 0x87 || code == 0x8a || code == 0x8c;
        ck_assert_uint_eq(answer.refusal, refused ? code : 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mqtt_answer");
    TCase *test = tcase_create("mqtt_answer");
    tcase_add_loop_test(test, an_answer_is_known_with_its_code, 0, COUNT(answers));
    tcase_add_loop_test(test, how_it_is_cut_makes_no_difference, 0, COUNT(answers));
    tcase_add_test(test, no_other_code_is_a_refusal_of_the_login);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_NOFORK);
}
