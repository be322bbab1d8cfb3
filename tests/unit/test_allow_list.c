/* client_allow: which lines are entries, what is said of those that are not, and which entry a
 * client has. */
#include "core/hex.h"
#include "run.h"
#include "tls/allow_list.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEX   "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define OTHER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define COLONS                                                                                     \
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"                                             \
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"

static struct error err;

static struct allow_list *parse_bytes(const char *text, size_t len, bool names) {
    /* A copy of exactly that size, so that a sanitizer finds a read past the end. */
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    err.text[0] = '\0';
    struct allow_list *list =
        allow_list_parse((struct span){(uint8_t *)copy, len}, "list", names, &err);
    free(copy);
    return list;
}

static struct allow_list *parse(const char *text) {
    struct allow_list *list = parse_bytes(text, strlen(text), true);
    ck_assert_msg(list != NULL, "%s", err.text);
    return list;
}

/* "-": not allowed; "": allowed without a name. */
static const char *by_hashes(const struct allow_list *list, const char *cert, const char *key,
                             size_t size) {
    uint8_t cert_hash[32], key_hash[32];
    struct allow_entry_view entry;
    ck_assert(hex_read(cert, cert_hash, 32) && hex_read(key, key_hash, 32));
    struct allow_subject subject = {cert_hash, key_hash, size, NULL};
    if (!allow_list_find(list, &subject, &entry)) {
        return "-";
    }
    ck_assert_ptr_nonnull(entry.hash);
    return entry.identity != NULL ? entry.identity : "";
}

static bool has_name(const struct allow_list *list, const char *name) {
    struct allow_entry_view entry = {"", NULL};
    struct allow_subject subject = {NULL, NULL, 32, name};
    bool found = allow_list_find(list, &subject, &entry);
    ck_assert(!found || (entry.identity == NULL && entry.hash == NULL));
    return found;
}

START_TEST(entries_of_each_kind_are_found) {
    struct allow_list *list = parse("# devices\n"
                                    "\n"
                                    "name:device-1\n"
                                    "  name: pump in the cellar  \t\n"
                                    "   # an indented comment\n"
                                    "cert-sha256:" HEX "\n"
                                    "key-sha256:" OTHER "\tgate 7\n"
                                    "name:ger\xc3\xa4t");
    struct tls_allow_counts counts = allow_list_counts(list);
    ck_assert_uint_eq(counts.names, 3);
    ck_assert_uint_eq(counts.certificates, 1);
    ck_assert_uint_eq(counts.keys, 1);
    ck_assert(has_name(list, "device-1"));
    ck_assert(has_name(list, "pump in the cellar"));
    ck_assert(has_name(list, "ger\xc3\xa4t"));
    ck_assert(!has_name(list, "device-2"));
    ck_assert(!has_name(list, "device"));
    ck_assert(!has_name(list, "Device-1"));
    ck_assert(!has_name(list, ""));
    ck_assert_str_eq(by_hashes(list, HEX, HEX, 32), "");
    ck_assert_str_eq(by_hashes(list, OTHER, OTHER, 32), "gate 7");
    ck_assert_str_eq(by_hashes(list, OTHER, HEX, 32), "-"); /* each hash for its own kind */
    allow_list_free(list);
}
END_TEST

START_TEST(the_certificates_entry_counts_before_the_keys_and_that_before_the_name) {
    struct allow_list *list = parse("key-sha256:" HEX " by key\nname:own\n"
                                    "cert-sha256:" OTHER " by certificate\n");
    ck_assert_str_eq(by_hashes(list, OTHER, HEX, 32), "by certificate");
    ck_assert_str_eq(by_hashes(list, HEX, HEX, 32), "by key");
    uint8_t key[32];
    struct allow_entry_view entry;
    ck_assert(hex_read(HEX, key, 32));
    struct allow_subject subject = {NULL, key, 32, "own"};
    ck_assert(allow_list_find(list, &subject, &entry));
    ck_assert_str_eq(entry.identity, "by key");
    allow_list_free(list);
}
END_TEST

START_TEST(all_of_a_hash_counts_unless_only_its_front_is_known) {
    char near[65];
    struct allow_list *list = parse("cert-sha256:" HEX " one\n");
    strcpy(near, HEX);
    near[63] = '0';
    ck_assert_str_eq(by_hashes(list, near, OTHER, 32), "-");
    ck_assert_str_eq(by_hashes(list, near, OTHER, 16), "one");
    near[31] = '0';
    ck_assert_str_eq(by_hashes(list, near, OTHER, 16), "-");
    allow_list_free(list);
}
END_TEST

START_TEST(what_other_systems_write_at_the_ends_of_lines_is_accepted) {
    struct allow_list *list =
        parse("\xef\xbb\xbfname:one\r\n\r\n# a comment\r\ncert-sha256:" COLONS " two\r\n");
    ck_assert(has_name(list, "one"));
    ck_assert_str_eq(by_hashes(list, HEX, OTHER, 32), "two");
    allow_list_free(list);
}
END_TEST

#define RULES "a name that no client can have: at most 255 bytes of UTF-8"
#define CERT  "not the SHA-256 of a certificate, which is 64 hexadecimal digits; openssl x509"
#define KEY   "not the SHA-256 of a key, which is 64 hexadecimal digits; openssl pkey"

static const struct {
    const char *text, *message; /* the beginning of it */
} mistakes[] = {
    {"", "list: holds no entry, so that no client could connect; "},
    {"# nothing\n\n", "list: holds no entry, "},
    {"name:a\ndevice-2\n", "list:2: not an entry; write name:X, cert-sha256:HEX or "},
    {"; a comment\n", "list:1: not an entry; "},
    {"Name:a\n", "list:1: not an entry; "},
    {"SHA256:YWJj\n", "list:1: not an entry; "},
    {"cert-sha1:" HEX "\n", "list:1: not an entry; "},
    {"\n\nname:\n", "list:3: " RULES},
    {"name:a # not a comment\n", "list:1: " RULES},
    {"name:a+b\n", "list:1: " RULES},
    {"name:a\tb\n", "list:1: " RULES},
    {"name:a\xff\n", "list:1: " RULES},
    {"name:a\xe2\x80\x8b\n", "list:1: " RULES}, /* zero width */
    {"cert-sha256:\n", "list:1: " CERT},
    {"cert-sha256:abc\n", "list:1: " CERT},
    {"cert-sha256:" HEX "0\n", "list:1: " CERT},
    {"cert-sha256:" HEX "#1\n", "list:1: " CERT},
    {"cert-sha256:g" OTHER "\n", "list:1: " CERT},
    {"cert-sha256:da39a3ee5e6b4b0d3255bfef95601890afd80709\n", "list:1: " CERT}, /* SHA-1 */
    {"cert-sha256:" COLONS ":00\n", "list:1: " CERT},
    {"key-sha256:" COLONS ":\n", "list:1: " KEY},
    {"key-sha256:zz" HEX "\n", "list:1: " KEY},
    {"cert-sha256:" HEX " a#b\n", "list:1: " RULES},
    {"name:a\nname:b\nname:b\nname:a\n", "list:3: the same name as in line 2; "},
    {"cert-sha256:" HEX " a\ncert-sha256:" COLONS " b\n",
     "list:2: the same certificate as in line 1; "},
    {"key-sha256:" HEX "\nkey-sha256:" HEX "\n", "list:2: the same key as in line 1; "},
};

START_TEST(a_mistake_is_reported_with_its_line_and_what_would_be_right) {
    const char *text = mistakes[_i].text, *message = mistakes[_i].message;
    ck_assert_ptr_null(parse_bytes(text, strlen(text), true));
    ck_assert_msg(strncmp(err.text, message, strlen(message)) == 0, "%s", err.text);
    ck_assert_ptr_null(strchr(err.text, '\n'));
}
END_TEST

START_TEST(one_name_may_belong_to_several_certificates) {
    struct allow_list *list = parse("cert-sha256:" HEX " gate\nkey-sha256:" HEX " gate\n"
                                    "cert-sha256:" OTHER " gate\nname:gate\n");
    ck_assert_str_eq(by_hashes(list, HEX, OTHER, 32), "gate");
    ck_assert_str_eq(by_hashes(list, OTHER, OTHER, 32), "gate");
    allow_list_free(list);
}
END_TEST

START_TEST(names_need_a_ca_that_vouches_for_them) {
    static const char text[] = "cert-sha256:" HEX "\nname:device-1\n";
    ck_assert_ptr_null(parse_bytes(text, sizeof text - 1, false));
    static const char message[] = "list:2: a name: entry without client_ca, ";
    ck_assert_msg(strncmp(err.text, message, sizeof message - 1) == 0, "%s", err.text);
    static const char pins[] = "cert-sha256:" HEX "\nkey-sha256:" HEX " device-1\n";
    struct allow_list *list = parse_bytes(pins, sizeof pins - 1, false);
    ck_assert_ptr_nonnull(list);
    allow_list_free(list);
}
END_TEST

START_TEST(a_line_may_have_1024_bytes_and_no_nul) {
    char text[1100] = "name:a\n#";
    memset(text + 8, 'x', 1023);
    struct allow_list *list = parse(text);
    allow_list_free(list);
    memset(text + 8, 'x', 1024);
    ck_assert_ptr_null(parse_bytes(text, strlen(text), true));
    ck_assert_str_eq(err.text, "list:2: the line is too long; at most 1024 bytes");
    static const char wide[] = "n\0a\0m\0e\0:\0a\0\n\0"; /* UTF-16 */
    ck_assert_ptr_null(parse_bytes(wide, sizeof wide, true));
    ck_assert_ptr_nonnull(strstr(err.text, "list:1: a NUL byte; "));
}
END_TEST

START_TEST(the_longest_name_is_found_and_a_longer_one_refused) {
    char line[300] = "name:", name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    strcat(line, name);
    struct allow_list *list = parse(line);
    ck_assert(has_name(list, name));
    allow_list_free(list);
    strcat(line, "n");
    ck_assert_ptr_null(parse_bytes(line, strlen(line), true));
}
END_TEST

/* Whatever a damaged file holds, it is read to its end or refused with one line. */
START_TEST(a_damaged_file_is_refused_or_is_another_list) {
    static const char good[] = "# list\nname:one\ncert-sha256:" COLONS " two\nkey-sha256:" HEX "\n";
    char text[sizeof good];
    for (size_t i = 0; i < sizeof good - 1; i++) {
        allow_list_free(parse_bytes(good, i, true));
        for (int c = 0; c < 256; c++) {
            memcpy(text, good, sizeof good);
            text[i] = (char)c;
            struct allow_list *list = parse_bytes(text, sizeof good - 1, true);
            if ((list == NULL) != (strncmp(err.text, "list:", 5) == 0) ||
                strchr(err.text, '\n') != NULL) {
                ck_abort_msg("byte %zu, %d: %s", i, c, err.text);
            }
            allow_list_free(list);
        }
    }
}
END_TEST

START_TEST(each_of_a_hundred_thousand_clients_has_its_own_entry) {
    enum { COUNT = 100000, LINE = 100 };
    char *text = malloc((size_t)COUNT * LINE), *at = text, name[32];
    for (int i = 0; i < COUNT; i++) {
        int n = i % 2 == 0 ? snprintf(at, LINE, "name:device-%d\n", i)
                           : snprintf(at, LINE, "cert-sha256:%064x device-%d\n", i, i);
        at += n;
    }
    struct allow_list *list = parse_bytes(text, (size_t)(at - text), true);
    free(text);
    ck_assert_msg(list != NULL, "%s", err.text);
    for (int i = 0; i < COUNT; i++) {
        char hash[65];
        snprintf(name, sizeof name, "device-%d", i);
        snprintf(hash, sizeof hash, "%064x", i);
        bool right = i % 2 == 0 ? has_name(list, name) && by_hashes(list, hash, OTHER, 32)[0] == '-'
                                : !has_name(list, name) &&
                                      strcmp(by_hashes(list, hash, OTHER, 32), name) == 0;
        if (!right) {
            ck_abort_msg("entry %d", i);
        }
    }
    allow_list_free(list);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named) {
    ck_assert_ptr_null(allow_list_read("/nonexistent/list", true, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/list: cannot open"));
    ck_assert_ptr_null(allow_list_read("/", true, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "not a regular file"));
}
END_TEST

int main(void) {
    Suite *s = suite_create("allow_list");
    TCase *tc = tcase_create("allow_list");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, entries_of_each_kind_are_found);
    tcase_add_test(tc, the_certificates_entry_counts_before_the_keys_and_that_before_the_name);
    tcase_add_test(tc, all_of_a_hash_counts_unless_only_its_front_is_known);
    tcase_add_test(tc, what_other_systems_write_at_the_ends_of_lines_is_accepted);
    tcase_add_loop_test(tc, a_mistake_is_reported_with_its_line_and_what_would_be_right, 0,
                        (int)(sizeof mistakes / sizeof *mistakes));
    tcase_add_test(tc, one_name_may_belong_to_several_certificates);
    tcase_add_test(tc, names_need_a_ca_that_vouches_for_them);
    tcase_add_test(tc, a_line_may_have_1024_bytes_and_no_nul);
    tcase_add_test(tc, the_longest_name_is_found_and_a_longer_one_refused);
    tcase_add_test(tc, a_damaged_file_is_refused_or_is_another_list);
    tcase_add_test(tc, each_of_a_hundred_thousand_clients_has_its_own_entry);
    tcase_add_test(tc, a_file_that_cannot_be_read_is_named);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
