/* The configuration without memory: every allocation fails once, and nothing leaks. */
#include "config/config.h"
#include "run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The linker sends the room's calls here (--wrap). */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);

/* How many calls still succeed; negative: all. */
static int left = -1;

static bool is_granted(void) {
    if (left > 0) {
        left--;
        return true;
    }
    return left < 0;
}

void *__wrap_malloc(size_t size) {
    return is_granted() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size) {
    return is_granted() ? __real_calloc(count, size) : NULL;
}

void *__wrap_reallocarray(void *old, size_t count, size_t size) {
    return is_granted() ? __real_reallocarray(old, count, size) : NULL;
}

char *__wrap_strdup(const char *text) {
    return is_granted() ? __real_strdup(text) : NULL;
}

char *__wrap_strndup(const char *text, size_t len) {
    return is_granted() ? __real_strndup(text, len) : NULL;
}

static const char text[] =
    "[postern]\nticket_keys = t\n[listener a]\nlisten = :1, 127.0.0.1:2\nciphers = A\n"
    "backend = m:1, unix:x, [::1]:2\naccept_proxy = ::1, 10.0.0.0/8\ncertificates = m, n\n"
    "client_auth = required\nclient_ca = ca\nclient_crl = l\nclient_allow = a\n"
    "[certificate m]\ncert = c\n"
    "chain = h\nkey = k\n[certificate n]\ncert = c\nkey = k\n"
    "[route r]\nlistener = a\nserver_name = *.b, c.d\nalpn = x\n[route s]\nalpn = y, z\n";

START_TEST(a_file_loads_completely_or_not_at_all) {
    char file[] = P_tmpdir "/postern-memory-XXXXXX";
    struct error err;
    struct config *config = NULL;
    int fd = mkstemp(file), granted = 0;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, text, sizeof text - 1), (int)sizeof text - 1);
    close(fd);
    for (; config == NULL && granted < 1000; granted++) {
        err.text[0] = '\0';
        left = granted;
        config = config_load(file, &err);
        left = -1;
        ck_assert_msg(config != NULL || strstr(err.text, "emory") != NULL, "%d: %s", granted,
                      err.text);
    }
    unlink(file);
    ck_assert_ptr_nonnull(config);
    ck_assert_int_gt(granted, 50); /* the number of allocations */
    ck_assert_uint_eq(config->listeners[0].certificate_count, 2);
    config_free(config);
}
END_TEST

START_TEST(a_command_line_loads_completely_or_not_at_all) {
    static const struct config_option options[] = {
        {"--listen", "listener", "listen", ":1"},
        {"--cert", "certificate", "cert", "c"},
        {"--key", "certificate", "key", "k"},
    };
    struct error err;
    struct config *config = NULL;
    for (int granted = 0; config == NULL && granted < 1000; granted++) {
        err.text[0] = '\0';
        left = granted;
        config = config_from_options(options, sizeof options / sizeof options[0], &err);
        left = -1;
        ck_assert_msg(config != NULL || strstr(err.text, "memory") != NULL, "%d: %s", granted,
                      err.text);
    }
    ck_assert_ptr_nonnull(config);
    config_free(config);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("config_memory");
    TCase *all = tcase_create("all");
    tcase_add_test(all, a_file_loads_completely_or_not_at_all);
    tcase_add_test(all, a_command_line_loads_completely_or_not_at_all);
    suite_add_tcase(suite, all);
    return run_suite(suite, CK_NOFORK);
}
