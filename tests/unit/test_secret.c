/* Memory for keys, and buffers that leave nothing behind. */
#include "core/buf.h"
#include "core/secret.h"
#include "run.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The sanitizers' mlock does nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool locks = false;
#else
static const bool locks = true;
#endif

static const char word[] = "correct horse battery staple";
static size_t freed_with_word; /* blocks that held the word when they were given back */

void __wrap_free(void *block);
void __real_free(void *block);
size_t malloc_usable_size(void *block);

void __wrap_free(void *block) {
    if (block != NULL && memmem(block, malloc_usable_size(block), word, sizeof word - 1) != NULL) {
        freed_with_word++;
    }
    __real_free(block);
}

/* Whether the kernel's flags of the region at that address (proc(5), VmFlags) have this one. */
static bool has_flag(const void *at, const char *flag) {
    char line[512];
    bool here = false, found = false;
    FILE *file = fopen("/proc/self/smaps", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file) != NULL) {
        uintptr_t from, to;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2) {
            here = from <= (uintptr_t)at && (uintptr_t)at < to;
        } else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            found = found || strstr(line, flag) != NULL;
        }
    }
    fclose(file);
    return found;
}

START_TEST(it_is_zeroed_locked_and_left_out_of_core_files) {
    bool locked;
    uint8_t *secret = secret_new(5000, &locked);
    ck_assert_ptr_nonnull(secret);
    for (size_t i = 0; i < 5000; i++) {
        ck_assert_uint_eq(secret[i], 0);
        secret[i] = 0xa5;
    }
    ck_assert(has_flag(secret, " rd"));
    ck_assert_int_eq(has_flag(secret, " lo"), locked && locks);
    ck_assert(has_flag(secret, " dd"));
    secret_free(secret, 5000);
    ck_assert(!has_flag(secret, " dd"));
    secret_free(NULL, 5000);
}
END_TEST

START_TEST(where_the_limit_is_reached_it_says_that_it_is_not_locked) {
    struct rlimit none = {0, 0};
    bool locked = true;
    ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &none), 0);
    uint8_t *secret = secret_new(1, &locked);
    ck_assert_ptr_nonnull(secret);
    secret[0] = 1;
    ck_assert_int_eq(locked && locks, has_flag(secret, " lo"));
    secret_free(secret, 1);
}
END_TEST

START_TEST(a_wiped_buffer_leaves_nothing_however_it_grew) {
    struct buf b = {0};
    for (size_t i = 0; i < 3000; i++) {
        ck_assert(buf_append(&b, word, sizeof word - 1, SIZE_MAX));
        if (i % 7 == 0) {
            buf_consume(&b, sizeof word - 1);
        }
    }
    ck_assert_uint_gt(b.cap, 65536);
    buf_wipe(&b);
    ck_assert(b.data == NULL && b.len == 0 && b.cap == 0);
    ck_assert_uint_eq(freed_with_word, 0);
    buf_wipe(&b);
}
END_TEST

START_TEST(the_test_would_see_what_is_left) {
    struct buf b = {0};
    ck_assert(buf_append(&b, word, sizeof word - 1, SIZE_MAX));
    buf_free(&b);
    ck_assert_uint_eq(freed_with_word, 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("secret");
    TCase *all = tcase_create("all");
    tcase_add_test(all, it_is_zeroed_locked_and_left_out_of_core_files);
    tcase_add_test(all, where_the_limit_is_reached_it_says_that_it_is_not_locked);
    tcase_add_test(all, a_wiped_buffer_leaves_nothing_however_it_grew);
    tcase_add_test(all, the_test_would_see_what_is_left);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_FORK);
}
