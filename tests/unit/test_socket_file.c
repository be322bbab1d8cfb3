/* The file of a unix socket: made, found and removed in the folder that was checked, and no other.
 * Which folders are good is in tests/integration/test_folders.py. */
#include "run.h"
#include "server/socket_file.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char top[] = "/tmp/postern-socket-XXXXXX";
static char folder[64], elsewhere[64], path[80], precious[80];
static struct socket_name name;
static struct socket_file file;

static void write_file(const char *at) {
    int fd = open(at, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void begin(void) {
    struct error err;
    ck_assert_ptr_nonnull(mkdtemp(top));
    snprintf(folder, sizeof folder, "%s/run", top);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", top);
    snprintf(path, sizeof path, "%s/socket", folder);
    snprintf(precious, sizeof precious, "%s/precious", top);
    name = (struct socket_name){"admin", path, path};
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    write_file(precious);
    socket_file_init(&file);
    ck_assert_msg(socket_file_open(&file, &name, &err) == 0, "%s", err.text);
}

static void end(void) {
    char command[128];
    socket_file_close(&file);
    snprintf(command, sizeof command, "rm -r %s", top);
    ck_assert_int_eq(system(command), 0);
}

static int listen_here(void) {
    return socket_file_listen(&file, SOCK_STREAM, 0660, (gid_t)-1);
}

static mode_t mode_of(const char *at) {
    struct stat st;
    ck_assert_int_eq(lstat(at, &st), 0);
    return st.st_mode & 07777;
}

/* The folder's name leads to another one by now, as its owner may have moved it. */
START_TEST(all_is_done_in_the_folder_that_was_checked) {
    char moved[80];
    ck_assert_int_eq(rename(folder, elsewhere), 0);
    ck_assert_int_eq(mkdir(folder, 0700), 0);
    snprintf(moved, sizeof moved, "%s/socket", elsewhere);
    ck_assert_int_ge(listen_here(), 0);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_uint_eq(mode_of(moved), 0660);
    ck_assert_int_ge(socket_file_connect(&file, SOCK_STREAM), 0);
    write_file(path);
    socket_file_remove(&file);
    ck_assert_int_ne(access(moved, F_OK), 0);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_link_is_not_followed) {
    ck_assert_int_eq(symlink(precious, path), 0);
    ck_assert_int_eq(listen_here(), -1);
    ck_assert_int_eq(errno, ENOTSOCK);
    ck_assert_int_eq(socket_file_connect(&file, SOCK_STREAM), -1);
    socket_file_adopt(&file);
    socket_file_remove(&file);
    ck_assert_uint_eq(mode_of(precious), 0600);
}
END_TEST

START_TEST(the_mode_does_not_depend_on_the_umask_which_stays) {
    static const mode_t masks[] = {0, 0022, 0077, 0777};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        umask(masks[i]);
        int fd = listen_here();
        ck_assert_int_ge(fd, 0);
        ck_assert_uint_eq(mode_of(path), 0660);
        ck_assert_uint_eq(umask(0022), masks[i]);
        close(fd);
    }
}
END_TEST

/* In a folder with the set-group-ID bit it is the folder's otherwise. */
START_TEST(the_group_is_the_one_that_is_wanted) {
    struct stat st;
    if (geteuid() != 0) {
        return;
    }
    ck_assert_int_eq(chown(folder, (uid_t)-1, 54321), 0);
    ck_assert_int_eq(chmod(folder, 02700), 0);
    ck_assert_int_ge(socket_file_listen(&file, SOCK_STREAM, 0660, 4321), 0);
    ck_assert_int_eq(lstat(path, &st), 0);
    ck_assert_uint_eq(st.st_gid, 4321);
    ck_assert_uint_eq(st.st_mode & 07777, 0660);
}
END_TEST

START_TEST(one_that_is_served_stays_and_one_that_is_left_over_makes_room) {
    int first = listen_here();
    ck_assert_int_ge(first, 0);
    struct socket_identity before = socket_file_there(&file);
    ck_assert_int_eq(listen_here(), -1);
    ck_assert_int_eq(errno, EADDRINUSE);
    struct socket_identity there = socket_file_there(&file);
    ck_assert(socket_file_is_same(&there, &before));
    close(first);
    ck_assert_int_ge(listen_here(), 0);
}
END_TEST

START_TEST(only_its_own_file_is_removed) {
    ck_assert_int_ge(listen_here(), 0);
    ck_assert_int_eq(rename(path, precious), 0);
    write_file(path);
    socket_file_remove(&file);
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_ge(listen_here(), 0);
    socket_file_give_away(&file);
    socket_file_remove(&file);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("socket_file");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, begin, end);
    tcase_add_test(all, all_is_done_in_the_folder_that_was_checked);
    tcase_add_test(all, a_link_is_not_followed);
    tcase_add_test(all, the_mode_does_not_depend_on_the_umask_which_stays);
    tcase_add_test(all, the_group_is_the_one_that_is_wanted);
    tcase_add_test(all, one_that_is_served_stays_and_one_that_is_left_over_makes_room);
    tcase_add_test(all, only_its_own_file_is_removed);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_FORK);
}
