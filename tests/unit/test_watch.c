#include "run.h"
#include "server/watch.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Times are the test's own: the caller passes them to the watch. */
static char folder[] = "/tmp/postern-watch-XXXXXX";
static char cert[64], key[64], other[64];
static struct watch *watch;

static void put(const char *file, const char *text) {
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    ck_assert_int_eq(fclose(f), 0);
}

/* As some tools install certificates: the name stays, and points to another file. */
static void point_to(const char *file) {
    ck_assert_int_eq(unlink(cert), 0);
    ck_assert_int_eq(symlink(file, cert), 0);
}

/* The files are in use as they are now. */
static void files_were_read(void) {
    watch_free(watch);
    watch = watch_new();
    ck_assert_ptr_nonnull(watch);
    ck_assert(watch_add(watch, cert));
    ck_assert(watch_add(watch, key));
    ck_assert(watch_add(watch, cert));
    watch_baseline(watch);
}

static void begin(void) {
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    snprintf(other, sizeof other, "%s/other.pem", folder);
    put(cert, "cert 1");
    put(key, "key 1");
    watch = NULL;
    files_were_read();
}

static void end(void) {
    watch_free(watch);
    unlink(cert);
    unlink(key);
    unlink(other);
    ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(untouched_files_are_never_read) {
    for (uint64_t now = 0; now < 100000; now += 1000) {
        ck_assert(!watch_look(watch, now));
    }
}
END_TEST

START_TEST(a_change_is_read_once_the_file_has_stopped_changing) {
    put(cert, "cert 2, longer");
    ck_assert(!watch_look(watch, 1000));
    ck_assert(watch_look(watch, 2000));
    files_were_read();
    ck_assert(!watch_look(watch, 3000));
}
END_TEST

START_TEST(files_that_keep_changing_are_not_read) {
    put(cert, "cert 2, longer");
    ck_assert(!watch_look(watch, 1000));
    put(key, "key 2, longer");
    ck_assert(!watch_look(watch, 2000));
    ck_assert(watch_look(watch, 3000));
}
END_TEST

START_TEST(a_file_replaced_by_rename_is_noticed_even_at_the_same_size) {
    put(other, "cert 2");
    ck_assert_int_eq(rename(other, cert), 0);
    ck_assert(!watch_look(watch, 1000));
    ck_assert(watch_look(watch, 2000));
}
END_TEST

START_TEST(a_change_during_a_refused_reload_is_read_once_it_is_stable) {
    put(cert, "cert 2, longer");
    ck_assert(!watch_look(watch, 1000));
    ck_assert(watch_look(watch, 2000));
    put(key, "key 2, longer");
    ck_assert(!watch_give_up(watch, 2000));
    ck_assert(!watch_look(watch, 2500));
    ck_assert(watch_look(watch, 3000));
}
END_TEST

START_TEST(a_pair_caught_half_written_is_tried_again_then_given_up_once) {
    put(cert, "cert 2, longer");
    ck_assert(!watch_look(watch, 1000));
    uint64_t now = 2000;
    for (; now < 2000 + WATCH_RETRY_MS; now += 1000) {
        ck_assert(watch_look(watch, now));
        ck_assert(!watch_give_up(watch, now));
    }
    ck_assert(watch_look(watch, now));
    ck_assert(watch_give_up(watch, now));
    ck_assert(!watch_look(watch, now + 1000));
    put(key, "key 2, longer");
    ck_assert(!watch_look(watch, now + 2000));
    ck_assert(watch_look(watch, now + 3000));
}
END_TEST

START_TEST(a_pair_that_went_back_is_tried_as_long_when_it_changes_again) {
    put(other, "cert 2, longer");
    point_to(key);
    files_were_read();
    point_to(other);
    ck_assert(!watch_look(watch, 1000));
    ck_assert(watch_look(watch, 2000));
    ck_assert(!watch_give_up(watch, 2000));
    point_to(key);
    ck_assert(!watch_look(watch, 3000));
    ck_assert(!watch_look(watch, 4000));
    point_to(other);
    ck_assert(!watch_look(watch, 100000));
    ck_assert(watch_look(watch, 101000));
    ck_assert(!watch_give_up(watch, 101000));
}
END_TEST

START_TEST(what_changes_while_the_files_are_read_is_read_again) {
    put(key, "key 2, longer");
    ck_assert(watch_has_changed(watch));
    watch_recheck(watch, 1000);
    ck_assert(!watch_look(watch, 1500));
    ck_assert(watch_look(watch, 2000));
    files_were_read();
    ck_assert(!watch_look(watch, 3000));
}
END_TEST

START_TEST(a_reload_that_fails_hides_no_change) {
    put(key, "key 2, longer");
    watch_snapshot(watch, 1000);
    ck_assert(!watch_has_changed(watch));
    ck_assert(watch_look(watch, 2000));
}
END_TEST

START_TEST(a_file_that_vanishes_is_a_change) {
    ck_assert_int_eq(unlink(cert), 0);
    ck_assert(!watch_look(watch, 1000));
    ck_assert(watch_look(watch, 2000));
    ck_assert(!watch_give_up(watch, 2000));
}
END_TEST

/* A path that leads to the file itself and not to its name, as a mount of a single file does. */
static int mount_cert(char path[64]) {
    int fd = open(cert, O_RDONLY);
    ck_assert_int_ge(fd, 0);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    ck_assert(watch_add(watch, path));
    watch_baseline(watch);
    return fd;
}

START_TEST(a_mounted_file_that_is_replaced_out_of_sight_is_reported_once) {
    char path[64];
    watch_free(watch);
    watch = watch_new();
    int fd = mount_cert(path);
    ck_assert(!watch_look(watch, 1000));
    ck_assert_ptr_null(watch_next_orphan(watch));
    put(other, "cert 2");
    ck_assert_int_eq(rename(other, cert), 0);
    for (uint64_t now = 2000; now < 10000; now += 1000) {
        ck_assert(!watch_look(watch, now)); /* the same would be read once more */
        const char *orphan = watch_next_orphan(watch);
        if (now == 2000) {
            ck_assert_str_eq(orphan, path);
        } else {
            ck_assert_ptr_null(orphan);
        }
    }
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(a_mounted_file_that_is_rewritten_is_a_change) {
    char path[64];
    watch_free(watch);
    watch = watch_new();
    int fd = mount_cert(path);
    put(cert, "cert 2, longer");
    ck_assert(!watch_look(watch, 1000));
    ck_assert(watch_look(watch, 2000));
    ck_assert_ptr_null(watch_next_orphan(watch));
    ck_assert_int_eq(close(fd), 0);
}
END_TEST

START_TEST(what_is_replaced_or_vanishes_in_sight_is_no_orphan) {
    put(other, "cert 2");
    ck_assert_int_eq(rename(other, cert), 0);
    ck_assert_int_eq(unlink(key), 0);
    ck_assert(!watch_look(watch, 1000));
    ck_assert(watch_look(watch, 2000));
    ck_assert_ptr_null(watch_next_orphan(watch));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("watch");
    TCase *tests = tcase_create("watch");
    tcase_add_checked_fixture(tests, begin, end);
    tcase_add_test(tests, untouched_files_are_never_read);
    tcase_add_test(tests, a_change_is_read_once_the_file_has_stopped_changing);
    tcase_add_test(tests, files_that_keep_changing_are_not_read);
    tcase_add_test(tests, a_file_replaced_by_rename_is_noticed_even_at_the_same_size);
    tcase_add_test(tests, a_change_during_a_refused_reload_is_read_once_it_is_stable);
    tcase_add_test(tests, a_pair_caught_half_written_is_tried_again_then_given_up_once);
    tcase_add_test(tests, a_pair_that_went_back_is_tried_as_long_when_it_changes_again);
    tcase_add_test(tests, what_changes_while_the_files_are_read_is_read_again);
    tcase_add_test(tests, a_reload_that_fails_hides_no_change);
    tcase_add_test(tests, a_file_that_vanishes_is_a_change);
    tcase_add_test(tests, a_mounted_file_that_is_replaced_out_of_sight_is_reported_once);
    tcase_add_test(tests, a_mounted_file_that_is_rewritten_is_a_change);
    tcase_add_test(tests, what_is_replaced_or_vanishes_in_sight_is_no_orphan);
    suite_add_tcase(suite, tests);
    return run_suite(suite, CK_FORK_GETENV);
}
