/* What a process cannot do with files and other processes any more, and where it still can. */
#include "run.h"
#include "server/landlock.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/postern-landlock-XXXXXX";
static char run[64], file[64], other[64];

static int make(const char *name) {
    int fd = open(name, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 ? 0 : errno;
}

static int bind_socket(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    int rc = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

/* Before there are tests. */
static bool begin(void) {
    if (mkdtemp(folder) == NULL) {
        return false;
    }
    snprintf(run, sizeof run, "%s/run", folder);
    snprintf(file, sizeof file, "%s/file", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return mkdir(run, 0700) == 0 && make(file) == 0;
}

static void clean_up(void) {
    char socket_file[80];
    snprintf(socket_file, sizeof socket_file, "%s/socket", run);
    unlink(socket_file);
    unlink(file);
    rmdir(run);
    rmdir(folder);
}

/* In this process alone: each test has its own. */
static void restrict_to(int removable, bool notifies_abstract, int needed) {
    struct error err;
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    int version = landlock_restrict(&removable, 1, notifies_abstract, &err);
    ck_assert_msg(version >= 0, "%s", err.text);
    if (version < needed) {
        _exit(0); /* there is nothing to see on this kernel */
    }
}

START_TEST(nothing_is_made_changed_removed_or_run_and_all_is_read) {
    int before = open(file, O_WRONLY);
    restrict_to(-1, false, 1);
    ck_assert_int_eq(make(other), EACCES);
    ck_assert_int_eq(make(file), EACCES);
    ck_assert(unlink(file) == -1 && errno == EACCES);
    ck_assert(rename(file, other) == -1 && errno == EACCES);
    ck_assert(mkdir(other, 0700) == -1 && errno == EACCES);
    ck_assert(symlink(file, other) == -1 && errno == EACCES);
    ck_assert_int_eq(bind_socket(other), EACCES);
    ck_assert(execl("/bin/true", "true", (char *)NULL) == -1 && errno == EACCES);
    ck_assert_int_ge(open(file, O_RDONLY), 0);
    ck_assert_int_eq((int)write(before, "x", 1), 1);
}
END_TEST

/* What could be written there could be mapped as code. */
START_TEST(sockets_are_only_removed_in_their_folder) {
    char first[80], second[80];
    snprintf(first, sizeof first, "%s/new", run);
    snprintf(second, sizeof second, "%s/socket", run);
    ck_assert_int_eq(bind_socket(second), 0);
    restrict_to(open(run, O_PATH), false, 1);
    ck_assert_int_eq(bind_socket(first), EACCES);
    ck_assert_int_eq(make(first), EACCES);
    ck_assert(rename(second, first) == -1 && errno == EACCES);
    ck_assert(mkdir(first, 0700) == -1 && errno == EACCES);
    ck_assert(unlink(file) == -1 && errno == EACCES);
    ck_assert_int_eq(unlink(second), 0);
}
END_TEST

START_TEST(what_is_not_a_folder_is_refused_and_nothing_is_given_up) {
    int removable = socket(AF_UNIX, SOCK_STREAM, 0);
    struct error err;
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    int version = landlock_restrict(&removable, 1, false, &err);
    if (version != 0) {
        ck_assert_int_eq(version, -1);
        ck_assert_int_eq(make(other), 0);
        ck_assert_int_eq(unlink(other), 0);
    }
}
END_TEST

/* --- other processes, from version 6 on --- */

static struct sockaddr_un abstract_address(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", folder);
    return address;
}

static int connect_abstract(void) {
    struct sockaddr_un address = abstract_address();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int rc = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

static void listen_abstract(void) {
    struct sockaddr_un address = abstract_address();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 4), 0);
}

START_TEST(other_processes_get_no_signal_and_this_one_does) {
    restrict_to(-1, false, 6);
    ck_assert(kill(getppid(), 0) == -1 && errno == EPERM);
    ck_assert(syscall(SYS_tkill, getppid(), 0) == -1 && errno == EPERM);
    ck_assert_int_eq(kill(getpid(), 0), 0);
    ck_assert_int_eq(raise(0), 0);
}
END_TEST

START_TEST(abstract_sockets_are_out_of_reach) {
    listen_abstract();
    ck_assert_int_eq(connect_abstract(), 0);
    restrict_to(-1, false, 6);
    ck_assert_int_eq(connect_abstract(), EPERM);
}
END_TEST

START_TEST(but_not_where_the_service_manager_has_one) {
    listen_abstract();
    restrict_to(-1, true, 6);
    ck_assert_int_eq(connect_abstract(), 0);
    ck_assert(kill(getppid(), 0) == -1 && errno == EPERM);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("landlock");
    TCase *all = tcase_create("all");
    if (!begin()) {
        return EXIT_FAILURE;
    }
    tcase_add_test(all, nothing_is_made_changed_removed_or_run_and_all_is_read);
    tcase_add_test(all, sockets_are_only_removed_in_their_folder);
    tcase_add_test(all, what_is_not_a_folder_is_refused_and_nothing_is_given_up);
    tcase_add_test(all, other_processes_get_no_signal_and_this_one_does);
    tcase_add_test(all, abstract_sockets_are_out_of_reach);
    tcase_add_test(all, but_not_where_the_service_manager_has_one);
    suite_add_tcase(suite, all);
    int result = run_suite(suite, CK_FORK);
    clean_up();
    return result;
}
