/* UTF-8: what RFC 3629 allows, and nothing else. */
#include "core/utf8.h"
#include "run.h"

#include <check.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BYTES(s)     s, sizeof(s) - 1
#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

/* Exact-size copy, so that AddressSanitizer finds a read past the end. */
static size_t decode(const void *text, size_t len, uint32_t *code) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, len);
    size_t length = utf8_decode(copy, len, code);
    free(copy);
    return length;
}

/* RFC 3629 section 4's grammar, written out: the encoding of one code point. */
static size_t encode(uint32_t code, uint8_t out[4]) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (uint8_t)(leads[length] | code);
    return length;
}

START_TEST(every_code_point_but_the_surrogates_is_read) {
    uint8_t text[5] = {0};
    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        uint32_t got = UINT32_MAX;
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        size_t length = encode(code, text), expected = surrogate ? 0 : length;
        size_t used = utf8_decode(text, sizeof text, &got);
        /* Not an assertion for each: Check writes one to a pipe, and there are a million. */
        if (used != expected || got != (surrogate ? UINT32_MAX : code)) {
            ck_abort_msg("U+%04X: %zu bytes, U+%04X", code, used, got);
        }
    }
}
END_TEST

START_TEST(a_sequence_that_is_cut_short_is_refused) {
    static const uint32_t codes[] = {0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};
    for (int i = 0; i < COUNT(codes); i++) {
        uint8_t text[4];
        uint32_t got;
        size_t length = encode(codes[i], text);
        ck_assert_uint_eq(decode(text, length, &got), length);
        for (size_t len = 0; len < length; len++) {
            ck_assert_uint_eq(decode(text, len, &got), 0);
            /* The rest is there, but after the end of the text. */
            ck_assert_uint_eq(utf8_decode(text, len, &got), 0);
        }
    }
}
END_TEST

/* Section 3 and 10 of the RFC. */
static const struct {
    const char *text;
    size_t len;
} refused[] = {
    {BYTES("")},
    {BYTES("\x80")},                     /* a continuation without a lead */
    {BYTES("\xbf")},                     /* likewise */
    {BYTES("\xc0\x80")},                 /* U+0000 in two bytes */
    {BYTES("\xc1\xbf")},                 /* U+007F in two bytes */
    {BYTES("\xc0\xae")},                 /* the RFC's "." of "/../" */
    {BYTES("\xe0\x80\x80")},             /* U+0000 in three bytes */
    {BYTES("\xe0\x9f\xbf")},             /* U+07FF in three bytes */
    {BYTES("\xf0\x80\x80\x80")},         /* U+0000 in four bytes */
    {BYTES("\xf0\x8f\xbf\xbf")},         /* U+FFFF in four bytes */
    {BYTES("\xed\xa0\x80")},             /* U+D800 */
    {BYTES("\xed\xbf\xbf")},             /* U+DFFF */
    {BYTES("\xed\xa1\x8c\xed\xbe\xb4")}, /* a pair of surrogates, as in CESU-8 */
    {BYTES("\xf4\x90\x80\x80")},         /* U+110000 */
    {BYTES("\xf5\x80\x80\x80")},
    {BYTES("\xf8\x88\x80\x80\x80")}, /* five bytes, of RFC 2279 */
    {BYTES("\xfc\x84\x80\x80\x80\x80")},
    {BYTES("\xfe")},
    {BYTES("\xff")},
    {BYTES("\xc2\x41")}, /* no continuation */
    {BYTES("\xc2\xc2")},
    {BYTES("\xe2\x82\x41")},
    {BYTES("\xe2\x41\x82")},
    {BYTES("\xf0\x9f\x92\x41")},
};

START_TEST(what_is_malformed_is_refused) {
    uint32_t code = 7;
    ck_assert_uint_eq(decode(refused[_i].text, refused[_i].len, &code), 0);
    ck_assert_uint_eq(code, 7);
}
END_TEST

/* Section 7's examples. */
static const struct {
    const char *text;
    size_t len;
    uint32_t codes[4];
    size_t count;
} examples[] = {
    {BYTES("A\xe2\x89\xa2\xce\x91."), {0x41, 0x2262, 0x391, 0x2e}, 4},
    {BYTES("\xed\x95\x9c\xea\xb5\xad\xec\x96\xb4"), {0xd55c, 0xad6d, 0xc5b4}, 3},
    {BYTES("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"), {0x65e5, 0x672c, 0x8a9e}, 3},
    {BYTES("\xef\xbb\xbf\xf0\xa3\x8e\xb4"), {0xfeff, 0x233b4}, 2},
    {BYTES("\0a"), {0, 0x61}, 2}, /* U+0000 is UTF-8; callers refuse it */
};

START_TEST(a_text_is_read_one_code_point_after_another) {
    size_t at = 0;
    for (size_t i = 0; i < examples[_i].count; i++) {
        uint32_t code;
        size_t length = decode(examples[_i].text + at, examples[_i].len - at, &code);
        ck_assert_uint_gt(length, 0);
        ck_assert_uint_eq(code, examples[_i].codes[i]);
        at += length;
    }
    ck_assert_uint_eq(at, examples[_i].len);
}
END_TEST

static const struct {
    const char *text;
    size_t len;
    bool good;
} names[] = {
    {BYTES("device-1"), true},
    {BYTES("Ger\xc3\xa4t 7/\xe6\x97\xa5"), true},
    {BYTES("a+b"), false}, /* in an access list these match other names, too */
    {BYTES("a#"), false},
    {BYTES(""), false},
    {BYTES("a\0b"), false},
    {BYTES("a\nb"), false},
    {BYTES("a\x7f"), false},
    {BYTES("a\xc2\x85"), false},       /* U+0085 */
    {BYTES("a\xc2\xad"), false},       /* U+00AD, a soft hyphen */
    {BYTES("a\xe2\x80\x8b"), false},   /* U+200B, without width */
    {BYTES("\xe2\x80\xaegpj"), false}, /* U+202E, which turns what follows */
    {BYTES("a\xef\xbb\xbf"), false},   /* U+FEFF */
    {BYTES("a\xff"), false},
    {BYTES("a\xe2\x80"), false},
};

START_TEST(a_name_has_neither_wildcards_nor_characters_that_cannot_be_seen) {
    ck_assert(utf8_is_name((const uint8_t *)names[_i].text, names[_i].len) == names[_i].good);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("utf8");
    TCase *test = tcase_create("utf8");
    tcase_add_test(test, every_code_point_but_the_surrogates_is_read);
    tcase_add_test(test, a_sequence_that_is_cut_short_is_refused);
    tcase_add_loop_test(test, what_is_malformed_is_refused, 0, COUNT(refused));
    tcase_add_loop_test(test, a_text_is_read_one_code_point_after_another, 0, COUNT(examples));
    tcase_add_loop_test(test, a_name_has_neither_wildcards_nor_characters_that_cannot_be_seen, 0,
                        COUNT(names));
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_NOFORK);
}
