/* The parts of the admin socket that need no server: whom it answers, why a process is not ready,
 * the question to a worker, the socket's file. */
#include "run.h"
#include "server/admin_access.h"
#include "server/admin_socket.h"
#include "server/exchange.h"
#include "server/process_stats.h"
#include "server/readiness.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- who is answered --- */

START_TEST(a_host_is_an_address_or_a_name_that_nobody_can_register) {
    static const char *const allowed[] = {
        "127.0.0.1", "127.0.0.1:9883", "10.1.2.3:9883", "[::1]",      "[::1]:9883",
        "localhost", "localhost:9883", "postern:9883",  "my-postern", "[fd00::7]:80"};
    static const char *const others[] = {"example.org",
                                         "example.org:9883",
                                         "127.0.0.1.example.org",
                                         "localhost.",
                                         "[::1",
                                         "[example.org]",
                                         "127.0.0.1:x",
                                         "",
                                         "a b",
                                         ":9883",
                                         "127.0.0.1:99999",
                                         "user@localhost",
                                         "[::1]example.org"};
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        ck_assert_msg(admin_access_allows_host(allowed[i]), "%s", allowed[i]);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ck_assert_msg(!admin_access_allows_host(others[i]), "%s", others[i]);
    }
    ck_assert(admin_access_allows_host(NULL));
}
END_TEST

START_TEST(requests_of_web_pages_are_refused_but_over_a_unix_socket) {
    struct admin_client client = {.is_local = true, .host = "localhost"};
    ck_assert_ptr_null(admin_access_obstacle(&client, ADMIN_REACH_MACHINE));
    client.origin = "http://localhost";
    ck_assert_ptr_nonnull(admin_access_obstacle(&client, ADMIN_REACH_ALL));
    client.origin = "null";
    ck_assert_ptr_nonnull(admin_access_obstacle(&client, ADMIN_REACH_ALL));
    client = (struct admin_client){.is_local = true, .host = "example.org"};
    ck_assert_ptr_nonnull(admin_access_obstacle(&client, ADMIN_REACH_ALL));
    client = (struct admin_client){true, true, "example.org", "http://example.org"};
    ck_assert_ptr_null(admin_access_obstacle(&client, ADMIN_REACH_UNIX));
}
END_TEST

START_TEST(what_changes_something_is_done_over_a_unix_socket_alone) {
    struct admin_client client = {.is_local = true, .host = "localhost"};
    const char *obstacle = admin_access_obstacle(&client, ADMIN_REACH_UNIX);
    ck_assert_ptr_nonnull(obstacle);
    ck_assert_ptr_nonnull(strstr(obstacle, "unix:/run/postern/admin.sock"));
    client.is_local = false;
    ck_assert_ptr_nonnull(admin_access_obstacle(&client, ADMIN_REACH_UNIX));
    ck_assert_ptr_nonnull(admin_access_obstacle(&client, ADMIN_REACH_MACHINE));
    ck_assert_ptr_null(admin_access_obstacle(&client, ADMIN_REACH_ALL));
    client.over_unix = true;
    ck_assert_ptr_null(admin_access_obstacle(&client, ADMIN_REACH_UNIX));
}
END_TEST

/* --- whether it is ready --- */

START_TEST(it_is_not_ready_before_it_serves_nor_while_it_drains) {
    struct readiness readiness = {0};
    ck_assert_str_eq(readiness_obstacle(&readiness, NULL), "starting");
    readiness_set(&readiness, READINESS_DRAINING);
    ck_assert_str_eq(readiness_obstacle(&readiness, NULL), "draining");
}
END_TEST

/* --- a question to another thread --- */

static struct exchange exchange;

static void *answer_one(void *unused) {
    int *question;
    while ((question = exchange_take(&exchange)) == NULL) {
        usleep(100);
    }
    *question = 2;
    exchange_answer(&exchange);
    return NULL;
}

static void *close_soon(void *unused) {
    usleep(10000);
    exchange_close(&exchange);
    return NULL;
}

START_TEST(a_question_is_answered_by_the_other_thread) {
    pthread_t thread;
    int question = 1;
    ck_assert_int_eq(exchange_init(&exchange), 0);
    ck_assert(exchange_ask(&exchange, &question));
    ck_assert_int_eq(pthread_create(&thread, NULL, answer_one, NULL), 0);
    ck_assert(exchange_wait(&exchange, 60000));
    ck_assert_int_eq(question, 2);
    pthread_join(thread, NULL);
    ck_assert_ptr_null(exchange_take(&exchange));
    exchange_destroy(&exchange);
}
END_TEST

START_TEST(a_question_that_nobody_takes_is_withdrawn) {
    int question = 1;
    ck_assert_int_eq(exchange_init(&exchange), 0);
    ck_assert(exchange_ask(&exchange, &question));
    ck_assert(!exchange_wait(&exchange, 1));
    ck_assert_ptr_null(exchange_take(&exchange));
    exchange_destroy(&exchange);
}
END_TEST

START_TEST(one_who_ends_keeps_nobody_waiting) {
    pthread_t thread;
    int question = 1;
    ck_assert_int_eq(exchange_init(&exchange), 0);
    ck_assert(exchange_ask(&exchange, &question));
    ck_assert_int_eq(pthread_create(&thread, NULL, close_soon, NULL), 0);
    ck_assert(!exchange_wait(&exchange, 60000));
    pthread_join(thread, NULL);
    ck_assert(!exchange_ask(&exchange, &question));
    exchange_destroy(&exchange);
}
END_TEST

/* --- the socket --- */

static char folder[] = "/tmp/postern-admin-XXXXXX";
static char path[64];
static struct config_admin config;
static const struct socket_given none = {.fd = -1};

static void make_folder(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    config = (struct config_admin){.text = path, .path = path};
}

static void remove_folder(void) {
    unlink(path);
    rmdir(folder);
}

START_TEST(the_group_may_connect_to_a_unix_socket_and_others_may_not) {
    struct admin_socket s;
    struct error err;
    struct stat st;
    umask(0077);
    ck_assert_msg(admin_socket_open(&s, &config, getegid(), none, &err) == 0, "%s", err.text);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);
    admin_socket_close(&s);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(a_socket_that_nobody_serves_any_more_is_replaced) {
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    struct admin_socket s;
    struct error err;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(sa.sun_path, path);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd);
    ck_assert_msg(admin_socket_open(&s, &config, getegid(), none, &err) == 0, "%s", err.text);
    admin_socket_close(&s);
}
END_TEST

START_TEST(a_socket_that_is_served_and_a_file_stay) {
    struct admin_socket first, second;
    struct error err;
    ck_assert_int_eq(admin_socket_open(&first, &config, getegid(), none, &err), 0);
    ck_assert_int_eq(admin_socket_open(&second, &config, getegid(), none, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "another program serves this address"));
    ck_assert_int_eq(access(path, F_OK), 0);
    admin_socket_close(&first);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(fd);
    ck_assert_int_eq(admin_socket_open(&second, &config, getegid(), none, &err), -1);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(the_socket_of_a_successor_stays) {
    struct admin_socket first, second;
    struct error err;
    ck_assert_int_eq(admin_socket_open(&first, &config, getegid(), none, &err), 0);
    unlink(path);
    ck_assert_int_eq(admin_socket_open(&second, &config, getegid(), none, &err), 0);
    admin_socket_close(&first);
    ck_assert_int_eq(access(path, F_OK), 0);
    admin_socket_close(&second);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* As another process has it. */
static struct socket_given given(const struct admin_socket *s) {
    return (struct socket_given){fcntl(s->fd, F_DUPFD_CLOEXEC, 0), s->file.own};
}

START_TEST(a_socket_that_is_given_is_used_and_stays_while_one_of_both_has_it) {
    struct admin_socket first, second, third;
    struct error err;
    ck_assert_int_eq(admin_socket_open(&first, &config, getegid(), none, &err), 0);
    ck_assert_msg(admin_socket_open(&second, &config, getegid(), given(&first), &err) == 0, "%s",
                  err.text);
    ck_assert_str_eq(second.text, first.text);
    admin_socket_close(&second); /* as after a takeover that was refused */
    ck_assert_int_eq(access(path, F_OK), 0);
    ck_assert_int_eq(admin_socket_open(&third, &config, getegid(), given(&first), &err), 0);
    admin_socket_close(&first);
    ck_assert_int_eq(access(path, F_OK), 0);
    admin_socket_close(&third);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(what_is_given_and_listens_elsewhere_is_closed) {
    struct config_admin tcp = {.text = (char *)"127.0.0.1:0"};
    struct admin_socket first, second;
    struct error err;
    ck_assert_int_eq(address_parse("127.0.0.1:0", &tcp.address), ADDRESS_OK);
    const struct socket_given null = {.fd = open("/dev/null", O_RDONLY)};
    ck_assert_int_eq(admin_socket_open(&first, &tcp, getegid(), null, &err), 0);
    struct socket_given other = given(&first);
    ck_assert_int_eq(admin_socket_open(&second, &config, getegid(), other, &err), 0);
    ck_assert_int_ne(second.fd, first.fd);
    ck_assert(second.fd == other.fd || fcntl(other.fd, F_GETFD) == -1);
    admin_socket_close(&second);
    ck_assert_int_eq(address_parse(first.text, &tcp.address), ADDRESS_OK);
    ck_assert_int_eq(admin_socket_open(&second, &tcp, getegid(), none, &err), -1);
    ck_assert_int_eq(admin_socket_open(&second, &tcp, getegid(), given(&first), &err), 0);
    admin_socket_close(&first);
    admin_socket_close(&second);
}
END_TEST

/* --- the process --- */

START_TEST(memory_and_descriptors_are_those_of_this_process) {
    struct process_source source;
    process_stats_open(&source);
    struct process_stats before = process_stats_read(&source);
    int fd = dup(STDOUT_FILENO);
    source.counted_at_ns = 0; /* older kernels: not what was counted a moment ago */
    struct process_stats after = process_stats_read(&source);
    close(fd);
    ck_assert_uint_eq(after.descriptors, before.descriptors + 1);
    ck_assert_uint_gt(after.resident_bytes, 100000);
    ck_assert_uint_gt(after.virtual_bytes, after.resident_bytes);
    ck_assert_uint_gt(after.max_descriptors, after.descriptors);
    process_stats_close(&source);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("admin");
    TCase *test = tcase_create("parts"), *files = tcase_create("socket");
    tcase_add_test(test, a_host_is_an_address_or_a_name_that_nobody_can_register);
    tcase_add_test(test, requests_of_web_pages_are_refused_but_over_a_unix_socket);
    tcase_add_test(test, what_changes_something_is_done_over_a_unix_socket_alone);
    tcase_add_test(test, it_is_not_ready_before_it_serves_nor_while_it_drains);
    tcase_add_test(test, a_question_is_answered_by_the_other_thread);
    tcase_add_test(test, a_question_that_nobody_takes_is_withdrawn);
    tcase_add_test(test, one_who_ends_keeps_nobody_waiting);
    tcase_add_test(test, memory_and_descriptors_are_those_of_this_process);
    tcase_add_checked_fixture(files, make_folder, remove_folder);
    tcase_add_test(files, the_group_may_connect_to_a_unix_socket_and_others_may_not);
    tcase_add_test(files, a_socket_that_nobody_serves_any_more_is_replaced);
    tcase_add_test(files, a_socket_that_is_served_and_a_file_stay);
    tcase_add_test(files, the_socket_of_a_successor_stays);
    tcase_add_test(files, a_socket_that_is_given_is_used_and_stays_while_one_of_both_has_it);
    tcase_add_test(files, what_is_given_and_listens_elsewhere_is_closed);
    suite_add_tcase(suite, test);
    suite_add_tcase(suite, files);
    return run_suite(suite, CK_FORK);
}
