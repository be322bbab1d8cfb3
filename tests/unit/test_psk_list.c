/* psk_file: which lines are entries, what is said of those that are not, and which key a client
 * gets.
 */
#include "core/hex.h"
#include "run.h"
#include "tls/psk_list.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY16 "00112233445566778899aabbccddeeFF"
#define KEY32 KEY16 KEY16
#define KEY64 KEY32 KEY32

static struct error err;

static struct psk_list *parse_bytes(const char *text, size_t len, bool names) {
    /* A copy of exactly that size, so that a sanitizer finds a read past the end. */
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    err.text[0] = '\0';
    struct psk_list *list =
        psk_list_parse((struct span){(uint8_t *)copy, len}, "keys", names, &err);
    free(copy);
    return list;
}

static struct psk_list *parse(const char *text) {
    struct psk_list *list = parse_bytes(text, strlen(text), true);
    ck_assert_msg(list != NULL, "%s", err.text);
    return list;
}

static struct psk_found find_bytes(const struct psk_list *list, const char *identity, size_t len) {
    struct psk_found found;
    memset(&found, 0xaa, sizeof found);
    ck_assert(psk_list_find(list, (struct span){(const uint8_t *)identity, len}, &found));
    return found;
}

static struct psk_found find(const struct psk_list *list, const char *identity) {
    return find_bytes(list, identity, strlen(identity));
}

static void has(const struct psk_list *list, const char *identity, const char *hex) {
    uint8_t key[PSK_KEY_MAX];
    size_t len = strlen(hex) / 2;
    struct psk_found found = find(list, identity);
    ck_assert(hex_read(hex, key, len));
    ck_assert_msg(found.known, "%s", identity);
    ck_assert_uint_eq(found.key_len, len);
    ck_assert_mem_eq(found.key, key, len);
}

static void has_not(const struct psk_list *list, const char *identity, size_t len) {
    ck_assert_msg(!find_bytes(list, identity, len).known, "%s", identity);
}

static void refused_bytes(const char *text, size_t len, bool names, const char *message) {
    ck_assert_ptr_null(parse_bytes(text, len, names));
    ck_assert_msg(strncmp(err.text, message, strlen(message)) == 0, "%s", err.text);
    ck_assert_msg(strcasestr(err.text, "ccddee") == NULL, "a key: %s", err.text);
}

static void refused(const char *text, const char *message) {
    refused_bytes(text, strlen(text), true, message);
}

START_TEST(each_entry_is_found_with_its_key) {
    struct psk_list *list = parse("# the cellar\n"
                                  "\n"
                                  "sensor-1:" KEY16 "\n"
                                  "  sensor-2:" KEY32 " \t\n"
                                  "   # an indented comment\n"
                                  "a name with blanks:" KEY64 "\n"
                                  "ger\xc3\xa4t:" KEY16);
    ck_assert_uint_eq(psk_list_count(list), 4);
    has(list, "sensor-1", KEY16);
    has(list, "sensor-2", KEY32);
    has(list, "a name with blanks", KEY64);
    has(list, "ger\xc3\xa4t", KEY16);
    psk_list_free(list);
}
END_TEST

START_TEST(nothing_else_is_found) {
    static const char near[] = "sensor-1\0";
    char longer[4096];
    struct psk_list *list = parse("sensor-1:" KEY16 "\nsensor-2:" KEY32 "\n");
    memset(longer, 'x', sizeof longer);
    has_not(list, "sensor-3", 8);
    has_not(list, "Sensor-1", 8);
    has_not(list, "sensor-", 7);
    has_not(list, near, 9); /* a NUL is a byte like others */
    has_not(list, "", 0);
    has_not(list, longer, sizeof longer);
    psk_list_free(list);
}
END_TEST

START_TEST(among_many_each_is_found) {
    enum { MANY = 1000 };
    size_t size = (size_t)MANY * 64, len = 0;
    char *text = malloc(size), identity[32], key[40];
    for (int i = 0; i < MANY; i++) {
        len += (size_t)snprintf(text + len, size - len, "device-%d:%032x\n", i, i + 1);
    }
    struct psk_list *list = parse_bytes(text, len, true);
    ck_assert_ptr_nonnull(list);
    for (int i = 0; i < MANY; i++) {
        snprintf(identity, sizeof identity, "device-%d", i);
        snprintf(key, sizeof key, "%032x", i + 1);
        has(list, identity, key);
    }
    has_not(list, "device-1000", 11);
    psk_list_free(list);
    free(text);
}
END_TEST

START_TEST(what_other_systems_write_at_the_ends_of_lines_is_accepted) {
    struct psk_list *list =
        parse("\xef\xbb\xbfone:" KEY16 "\r\n\r\n# a comment\r\ntwo:" KEY32 "\r\n");
    has(list, "one", KEY16);
    has(list, "two", KEY32);
    psk_list_free(list);
}
END_TEST

/* So that nobody learns by trying which identities are known. */
START_TEST(an_unknown_identity_has_a_key_that_nobody_has) {
    struct psk_list *list = parse("one:" KEY16 "\ntwo:" KEY64 "\n");
    bool seen[PSK_KEY_MAX + 1] = {false};
    struct psk_found first = find(list, "nobody"), other = find(list, "somebody");
    struct psk_found again = find(list, "nobody");
    ck_assert(!first.known && !again.known && !other.known);
    ck_assert_uint_eq(first.key_len, again.key_len);
    ck_assert_mem_eq(first.key, again.key, first.key_len); /* as one that has a key would */
    ck_assert_mem_ne(first.key, other.key, PSK_KEY_MIN);
    for (int i = 0; i < 100; i++) {
        char identity[16];
        snprintf(identity, sizeof identity, "x%d", i);
        seen[find(list, identity).key_len] = true;
    }
    for (size_t len = 0; len <= PSK_KEY_MAX; len++) {
        ck_assert_int_eq(seen[len], len == 16 || len == 64); /* the lengths of the list's */
    }
    struct psk_list *reloaded = parse("one:" KEY16 "\ntwo:" KEY64 "\n");
    struct psk_found anew = find(reloaded, "nobody");
    ck_assert_mem_ne(anew.key, first.key, PSK_KEY_MIN);
    psk_list_free(reloaded);
    psk_list_free(list);
}
END_TEST

START_TEST(a_key_is_known_by_its_mark) {
    struct psk_list *list = parse("one:" KEY16 "\ntwo:" KEY16 "\n");
    struct psk_found one = find(list, "one"), two = find(list, "two");
    ck_assert(psk_list_has(list, "one", one.mark) && psk_list_has(list, "two", two.mark));
    ck_assert(!psk_list_has(list, "one", two.mark));
    ck_assert(!psk_list_has(list, "three", one.mark));
    psk_list_free(list);
    list = parse("two:" KEY32 "\none:" KEY16 "\n"); /* after a reload */
    ck_assert(psk_list_has(list, "one", one.mark));
    ck_assert(!psk_list_has(list, "two", two.mark));
    psk_list_free(list);
}
END_TEST

START_TEST(a_bad_line_is_named_with_what_is_wrong_and_no_digit_of_its_key) {
    char identity[200];
    refused("one:" KEY16 "\nfoo\n", "keys:2: not an entry; write IDENTITY:KEY, ");
    refused("one:" KEY16 "\n\n" KEY32 "\n", "keys:3: not an entry");
    refused(":" KEY16, "keys:1: the identity before the colon has 0 bytes; write 1 to 128");
    memset(identity, 'x', 129);
    strcpy(identity + 129, ":" KEY16);
    refused(identity, "keys:1: the identity before the colon has 129 bytes; write 1 to 128");
    struct psk_list *list = parse(identity + 1);
    psk_list_free(list);
    refused("one :" KEY16, "keys:1: a blank before the colon; remove it");
    refused("one: " KEY16, "keys:1: the key after the colon is not hexadecimal digits");
    refused("one:" KEY16 ":" KEY16, "keys:1: the key after the colon is not hexadecimal digits");
    refused("one:$7$101$aGVsbG8=$d29ybGQ=", "keys:1: the key after the colon is a password's hash; "
                                            "psk_file is not a password file");
    refused("one:0x" KEY16, "keys:1: the key after the colon is not hexadecimal digits");
    refused("one:" KEY16 " # of the cellar", "keys:1: the key after the colon is not hex");
    refused("one:" KEY16 "a", "keys:1: the key has an odd number of digits");
    refused("one:", "keys:1: the key has 0 hexadecimal digits; write 32 to 128");
    refused("one:aabbccddeeffaabbccddeeffaabbcc", "keys:1: the key has 30 hexadecimal digits");
    refused("one:" KEY64 "aa", "keys:1: the key has 130 hexadecimal digits; write 32 to 128");
    refused("\xff\xfe:" KEY16, "keys:1: the identity is not UTF-8");
    refused_bytes("one:" KEY16 "\n\0", sizeof "one:" KEY16 "\n", true, "keys:2: a NUL byte");
}
END_TEST

START_TEST(an_identity_comes_once) {
    refused("one:" KEY16 "\n# x\ntwo:" KEY16 "\none:" KEY32 "\none:" KEY16 "\n",
            "keys:4: the same identity as in line 1; remove one of the two");
}
END_TEST

START_TEST(a_file_without_a_key_is_refused) {
    refused("", "keys: holds no key");
    refused("# one:" KEY16 "\n\n", "keys: holds no key");
}
END_TEST

/* The rules of identity.h count where the broker gets identities as names. */
START_TEST(an_identity_that_cannot_be_a_name_is_refused_where_it_is_one) {
    static const char *const bad[] = {"a+b:" KEY16, "a#b:" KEY16,
                                      "a\x01"
                                      "b:" KEY16,
                                      "a\xe2\x80\x8b"
                                      "b:" KEY16};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refused(bad[i], "keys:1: an identity that cannot be a name for the broker (");
        struct psk_list *list = parse_bytes(bad[i], strlen(bad[i]), false);
        ck_assert_msg(list != NULL, "%s", err.text);
        psk_list_free(list);
    }
}
END_TEST

int main(void) {
    Suite *s = suite_create("psk_list");
    TCase *tc = tcase_create("psk_list");
    tcase_add_test(tc, each_entry_is_found_with_its_key);
    tcase_add_test(tc, nothing_else_is_found);
    tcase_add_test(tc, among_many_each_is_found);
    tcase_add_test(tc, what_other_systems_write_at_the_ends_of_lines_is_accepted);
    tcase_add_test(tc, an_unknown_identity_has_a_key_that_nobody_has);
    tcase_add_test(tc, a_key_is_known_by_its_mark);
    tcase_add_test(tc, a_bad_line_is_named_with_what_is_wrong_and_no_digit_of_its_key);
    tcase_add_test(tc, an_identity_comes_once);
    tcase_add_test(tc, a_file_without_a_key_is_refused);
    tcase_add_test(tc, an_identity_that_cannot_be_a_name_is_refused_where_it_is_one);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
