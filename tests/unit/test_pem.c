#include "run.h"
#include "tls/pem.h"

#include <check.h>
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
    tcase_add_test(tc, encrypted_keys_are_recognised);
    tcase_add_test(tc, a_damaged_file_is_refused_with_its_fault);
    tcase_add_test(tc, data_after_the_end_of_base64_is_refused);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
