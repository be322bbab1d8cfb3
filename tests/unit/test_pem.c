#include "run.h"
#include "tls/file_kind.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK(label, body) "-----BEGIN " label "-----\n" body "\n-----END " label "-----\n"

static struct pem pem;
static struct error err;

static int parse_bytes(const char *text, size_t len) {
    struct buf bytes = {.data = malloc(len + 1), .len = len, .cap = len + 1};
    memcpy(bytes.data, text, len);
    int rc = pem_parse(&pem, &bytes, "x.pem", &err);
    ck_assert_ptr_null(bytes.data);
    return rc;
}

static int parse(const char *text) {
    return parse_bytes(text, strlen(text));
}

static void has(size_t index, const char *label, const char *content) {
    ck_assert_uint_lt(index, pem.count);
    ck_assert_str_eq(pem.blocks[index].label, label);
    ck_assert_uint_eq(pem.blocks[index].der.len, strlen(content));
    ck_assert_mem_eq(pem.blocks[index].der.data, content, strlen(content));
}

static void is_refused(const char *text, size_t len, const char *why) {
    ck_assert_int_eq(parse_bytes(text, len), -1);
    ck_assert_msg(strncmp(err.text, "x.pem: ", 7) == 0, "%s", err.text);
    ck_assert_msg(strstr(err.text, why) != NULL, "%s", err.text);
    ck_assert_uint_eq(pem.count, 0);
    ck_assert_ptr_null(pem.blocks);
}

START_TEST(blocks_are_read_in_order_and_text_between_them_is_ignored) {
    ck_assert_int_eq(parse("a comment\n" BLOCK("CERTIFICATE", "YWJj") "Bag: x\n" BLOCK(
                         "EC PRIVATE KEY", "ZGVm\nZw==") BLOCK("X509 CRL", "aA==") "the end"),
                     0);
    ck_assert_uint_eq(pem.count, 3);
    has(0, "CERTIFICATE", "abc");
    has(1, "EC PRIVATE KEY", "defg");
    has(2, "X509 CRL", "h");
    ck_assert(pem_is_certificate(&pem.blocks[0]));
    ck_assert(pem_is_key(&pem.blocks[1]));
    ck_assert(!pem_is_encrypted(&pem.blocks[1]));
    ck_assert(pem_is_crl(&pem.blocks[2]));
    pem_free(&pem);
}
END_TEST

START_TEST(a_file_without_blocks_is_accepted) {
    ck_assert_int_eq(parse("nothing here\n"), 0);
    ck_assert_uint_eq(pem.count, 0);
    pem_free(&pem);
}
END_TEST

START_TEST(windows_line_ends_are_accepted) {
    ck_assert_int_eq(parse("-----BEGIN A-----\r\nYWJj\r\nZGVm\r\n-----END A-----\r\n"), 0);
    has(0, "A", "abcdef");
    pem_free(&pem);
}
END_TEST

/* OpenSSL's reader drops whatever is blank at the end of a line. */
START_TEST(blanks_of_all_kinds_are_no_part_of_the_base64) {
    static const char *const ends[] = {"\n",   "\r\n", "\r",   " \n",
                                       "\t\n", "\v\n", "\f\n", "\t\v\f \r\n"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char text[200];
        snprintf(text, sizeof text, "-----BEGIN A-----%sYWJj%sZGVm%s%s-----END A-----%s", ends[i],
                 ends[i], ends[i], ends[i], ends[i]);
        ck_assert_msg(parse(text) == 0, "%s", err.text);
        has(0, "A", "abcdef");
        pem_free(&pem);
    }
}
END_TEST

START_TEST(two_blocks_in_a_file_with_cr_line_ends_are_two) {
    ck_assert_int_eq(parse("-----BEGIN A-----\rYWJj\r-----END A-----\r-----BEGIN B-----\rZGVm\r"
                           "-----END B-----\r"),
                     0);
    ck_assert_uint_eq(pem.count, 2);
    has(0, "A", "abc");
    has(1, "B", "def");
    pem_free(&pem);
}
END_TEST

START_TEST(all_labels_of_certificates_are_known) {
    struct span trust;
    /* An empty SEQUENCE stands for the certificate, a BOOLEAN for what OpenSSL appends to it. */
    ck_assert_int_eq(parse(BLOCK("CERTIFICATE", "MAA=") BLOCK("X509 CERTIFICATE", "MAA=") BLOCK(
                         "TRUSTED CERTIFICATE", "MAABAf8=") BLOCK("TRUSTED CERTIFICATE", "AQH/")
                               BLOCK("ATTRIBUTE CERTIFICATE", "MAA=")),
                     0);
    for (size_t i = 0; i < 3; i++) {
        ck_assert(pem_is_certificate(&pem.blocks[i]));
        struct span cert = pem_certificate(&pem.blocks[i], &trust);
        ck_assert_ptr_eq(cert.data, pem.blocks[i].der.data);
        ck_assert_uint_eq(cert.len, 2);
        ck_assert_uint_eq(trust.len, i == 2 ? 3 : 0);
    }
    ck_assert_uint_eq(pem_certificate(&pem.blocks[3], &trust).len, 3);
    ck_assert_uint_eq(trust.len, 0);
    ck_assert(!pem_is_certificate(&pem.blocks[4]));
    pem_free(&pem);
}
END_TEST

START_TEST(what_is_written_is_read_back) {
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    for (size_t len = 1; len <= sizeof bytes; len++) {
        struct buf text = {0};
        ck_assert(pem_write(&text, "CERTIFICATE", (struct span){bytes, len}));
        ck_assert_int_eq(parse_bytes((const char *)text.data, text.len), 0);
        ck_assert_uint_eq(pem.count, 1);
        ck_assert_str_eq(pem.blocks[0].label, "CERTIFICATE");
        ck_assert_uint_eq(pem.blocks[0].der.len, len);
        ck_assert_mem_eq(pem.blocks[0].der.data, bytes, len);
        pem_free(&pem);
        buf_free(&text);
    }
}
END_TEST

START_TEST(encrypted_keys_are_recognised) {
    ck_assert_int_eq(parse(BLOCK("ENCRYPTED PRIVATE KEY", "YWJj")
                               BLOCK("RSA PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\n\nYWJj")),
                     0);
    ck_assert(pem_is_key(&pem.blocks[0]) && pem_is_encrypted(&pem.blocks[0]));
    ck_assert(pem_is_key(&pem.blocks[1]) && pem_is_encrypted(&pem.blocks[1]));
    pem_free(&pem);
}
END_TEST

START_TEST(a_damaged_file_is_refused_with_its_fault) {
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"-----BEGIN A", "BEGIN line is damaged"},
        {"-----BEGIN A\n-----\n", "BEGIN line is damaged"},
        {"-----BEGIN A\r-----\r", "BEGIN line is damaged"},
        {"-----BEGIN AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-----\n", "damaged"},
        {"-----BEGIN A-----\nYWJj\n", "no matching END line"},
        {"-----BEGIN A-----\nYWJj\n-----END B-----\n", "no matching END line"},
        {"-----BEGIN A-----\nYW\n" BLOCK("A", "YWJj"), "no matching END line"},
        {BLOCK("A", ""), "not base64"},
        {BLOCK("A", "Y!Jj"), "not base64"},
        {BLOCK("A", "YWJ"), "not base64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        is_refused(cases[i].text, strlen(cases[i].text), cases[i].why);
    }
}
END_TEST

static const char *hint_of(const char *bytes, size_t len, enum file_wanted wanted) {
    struct buf exact = {.data = malloc(len > 0 ? len : 1), .len = len, .cap = len};
    memcpy(exact.data, bytes, len);
    ck_assert_int_eq(pem_parse(&pem, &exact, "x.pem", &err), 0);
    const char *hint = file_kind_hint(&pem, wanted);
    pem_free(&pem);
    return hint;
}

/* As few bytes as it takes; the tests of the program have whole files. */
START_TEST(other_formats_are_known_by_their_beginnings) {
#define FORM(bytes) bytes, sizeof(bytes) - 1
    static const struct {
        const char *bytes;
        size_t len;
        const char *word;
    } forms[] = {
        {FORM("\xff\xfe-\0"), "UTF-16"},
        {FORM("-\0-\0"), "UTF-16"},
        {FORM("\0-\0-"), "UTF-16"},
        {FORM("\x30\x82\x10\x00\x02\x01\x03\x30"), "PKCS#12"},
        {FORM("\x30\x80\x02\x01\x03\x30"), "PKCS#12"},
        {FORM("\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"), "PKCS#7"},
        {FORM("\x30\x77\x02\x01\x01\x04"), "private key"},
        {FORM("\x30\x82\x04\xa3\x02\x01\x00\x02"), "private key"},
        {FORM("\x30\x81\x87\x02\x01\x00\x30"), "private key"},
        {FORM("\x30\x82\x01\x00\x0c\x00"), "asn1parse"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        for (int wanted = 0; wanted < FILE_WANTED_COUNT; wanted++) {
            const char *hint = hint_of(forms[i].bytes, forms[i].len, (enum file_wanted)wanted);
            ck_assert_msg(strstr(hint, forms[i].word) != NULL, "%zu: %s", i, hint);
            for (size_t len = 0; len < forms[i].len; len++) {
                (void)hint_of(forms[i].bytes, len, (enum file_wanted)wanted);
            }
        }
    }
    ck_assert_str_eq(hint_of("0123", 4, FILE_KEY), "");
    ck_assert_str_eq(hint_of("", 0, FILE_KEY), "");
}
END_TEST

/* Otherwise a damaged certificate or CRL would be taken for a shorter one. */
START_TEST(data_after_the_end_of_base64_is_refused) {
    static const char nul[] = BLOCK("A", "YWJj\0ZGVm"), padding[] = BLOCK("A", "YQ==YWJj"),
                      three[] = BLOCK("A", "Y===");
    is_refused(nul, sizeof nul - 1, "not base64");
    is_refused(padding, sizeof padding - 1, "not base64");
    is_refused(three, sizeof three - 1, "not base64");
}
END_TEST

int main(void) {
    Suite *s = suite_create("pem");
    TCase *tc = tcase_create("pem");
    tcase_add_test(tc, blocks_are_read_in_order_and_text_between_them_is_ignored);
    tcase_add_test(tc, a_file_without_blocks_is_accepted);
    tcase_add_test(tc, windows_line_ends_are_accepted);
    tcase_add_test(tc, blanks_of_all_kinds_are_no_part_of_the_base64);
    tcase_add_test(tc, two_blocks_in_a_file_with_cr_line_ends_are_two);
    tcase_add_test(tc, all_labels_of_certificates_are_known);
    tcase_add_test(tc, what_is_written_is_read_back);
    tcase_add_test(tc, encrypted_keys_are_recognised);
    tcase_add_test(tc, a_damaged_file_is_refused_with_its_fault);
    tcase_add_test(tc, other_formats_are_known_by_their_beginnings);
    tcase_add_test(tc, data_after_the_end_of_base64_is_refused);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
