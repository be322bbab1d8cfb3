#include "core/hex.h"
#include "run.h"

#include <check.h>
#include <string.h>

START_TEST(digits_of_either_case_are_read_and_printed_in_lower_case) {
    uint8_t bytes[4];
    char text[9];
    ck_assert(hex_read("0189aFFe", bytes, 4));
    ck_assert_mem_eq(bytes, "\x01\x89\xaf\xfe", 4);
    hex_print(bytes, 4, text);
    ck_assert_str_eq(text, "0189affe");
}
END_TEST

START_TEST(anything_else_is_refused_wherever_it_is) {
    uint8_t byte;
    for (int c = 0; c < 256; c++) {
        bool digit = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
        const char first[] = {(char)c, '0'}, second[] = {'0', (char)c};
        ck_assert_int_eq(hex_read(first, &byte, 1), digit);
        ck_assert_int_eq(hex_read(second, &byte, 1), digit);
    }
}
END_TEST

int main(void) {
    Suite *s = suite_create("hex");
    TCase *tc = tcase_create("hex");
    tcase_add_test(tc, digits_of_either_case_are_read_and_printed_in_lower_case);
    tcase_add_test(tc, anything_else_is_refused_wherever_it_is);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
