/* The bounded byte buffer. */
#include "core/buf.h"
#include "run.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* AddressSanitizer's own options: refuse absurd sizes as malloc does, instead of reporting them. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}

START_TEST(a_zeroed_buffer_is_empty_and_takes_bytes) {
    struct buf b = {0};
    buf_consume(&b, 5);
    ck_assert_uint_eq(b.len, 0);
    ck_assert(buf_append(&b, "hello", 5, 100));
    ck_assert(buf_append(&b, NULL, 0, 100));
    ck_assert(buf_append(&b, " world", 6, 100));
    ck_assert_uint_eq(b.len, 11);
    ck_assert_mem_eq(b.data, "hello world", 11);
    buf_free(&b);
    ck_assert(b.data == NULL && b.len == 0 && b.cap == 0);
    buf_free(&b);
}
END_TEST

START_TEST(the_limit_is_exact_and_a_refusal_changes_nothing) {
    struct buf b = {0};
    ck_assert(buf_append(&b, "12345678", 8, 10));
    ck_assert_uint_le(b.cap, 10);
    struct buf before = b;
    ck_assert(!buf_append(&b, "abc", 3, 10));
    ck_assert(!buf_reserve(&b, SIZE_MAX, 10));
    ck_assert(!buf_reserve(&b, SIZE_MAX - 4, SIZE_MAX - 8));
    ck_assert(!buf_reserve(&b, 0, 7)); /* a limit below the length it has already */
    ck_assert_mem_eq(&b, &before, sizeof b);
    ck_assert(buf_append(&b, "90", 2, 10));
    ck_assert_mem_eq(b.data, "1234567890", 10);
    ck_assert(!buf_append(&b, "x", 1, 10));
    ck_assert(buf_append(&b, "", 0, 10));
    buf_free(&b);
}
END_TEST

START_TEST(a_size_that_cannot_be_allocated_is_refused) {
    struct buf b = {0};
    ck_assert(buf_append(&b, "abc", 3, SIZE_MAX));
    ck_assert(!buf_reserve(&b, SIZE_MAX / 4, SIZE_MAX));
    ck_assert_uint_eq(b.len, 3);
    ck_assert_mem_eq(b.data, "abc", 3);
    buf_free(&b);
}
END_TEST

START_TEST(reserved_room_is_usable_and_kept) {
    struct buf b = {0};
    for (size_t more = 1; more < 70000; more = more * 3 + 1) {
        ck_assert(buf_reserve(&b, more, 70000));
        ck_assert_uint_ge(b.cap - b.len, more);
        ck_assert_uint_le(b.cap, 70000);
        memset(b.data + b.len, 'x', more); /* AddressSanitizer checks that */
    }
    uint8_t *data = b.data;
    ck_assert(buf_reserve(&b, 100, 70000));
    ck_assert_ptr_eq(b.data, data);
    buf_free(&b);
}
END_TEST

START_TEST(consuming_moves_the_rest_to_the_front) {
    struct buf b = {0};
    ck_assert(buf_append(&b, "abcdef", 6, 6));
    buf_consume(&b, 0);
    buf_consume(&b, 2);
    ck_assert_uint_eq(b.len, 4);
    ck_assert_mem_eq(b.data, "cdef", 4);
    ck_assert(buf_append(&b, "gh", 2, 6));
    ck_assert_mem_eq(b.data, "cdefgh", 6);
    buf_consume(&b, 7);
    ck_assert_uint_eq(b.len, 0);
    buf_free(&b);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("buf");
    TCase *all = tcase_create("all");
    tcase_add_test(all, a_zeroed_buffer_is_empty_and_takes_bytes);
    tcase_add_test(all, the_limit_is_exact_and_a_refusal_changes_nothing);
    tcase_add_test(all, a_size_that_cannot_be_allocated_is_refused);
    tcase_add_test(all, reserved_room_is_usable_and_kept);
    tcase_add_test(all, consuming_moves_the_rest_to_the_front);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_NOFORK);
}
