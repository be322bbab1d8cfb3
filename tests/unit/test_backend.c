/* What is known of a backend without a dial: from which local address the next connection starts,
 * and the lines about local addresses and ports. */
#include "broker/backend.h"
#include "broker/ports.h"
#include "core/log.h"
#include "run.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

/* Of the usual range 32768 to 60999 even ports are taken first. */
enum { EVEN = 0, ODD = 1, QUICK = 40000, SLOW = 40001 };

static struct backend_table *table;
static FILE *captured;
static int saved_stderr;

static void setup(void) {
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    table = backend_table_new(EVEN);
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    ck_assert(table != NULL && captured != NULL && saved_stderr >= 0);
    dup2(fileno(captured), STDERR_FILENO);
}

static void teardown(void) {
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(captured);
    backend_table_free(table);
}

static struct backend *make_backend(void) {
    struct config_backend config = {
        .text = (char *)"192.0.2.1:1883", .host = (char *)"192.0.2.1", .port = 1883};
    struct backend *b = backend_get(table, &config);
    ck_assert_ptr_nonnull(b);
    return b;
}

/* --- from which local address --- */

START_TEST(a_source_is_left_when_the_ports_that_are_found_quickly_are_used_up) {
    struct backend *b = make_backend();
    backend_note_port(b, 0, 3, QUICK);
    ck_assert_uint_eq(backend_source(b), 0);
    backend_note_port(b, 0, 3, SLOW);
    ck_assert_uint_eq(backend_source(b), 1);
    backend_note_port(b, 0, 3, SLOW); /* by another thread, which began earlier */
    ck_assert_uint_eq(backend_source(b), 1);
    backend_note_port(b, 1, 3, QUICK);
    backend_note_port(b, 1, 3, SLOW);
    ck_assert_uint_eq(backend_source(b), 2);
    backend_note_port(b, 2, 3, SLOW);
    ck_assert_uint_eq(backend_source(b), 0);
    backend_use_source(b, 4); /* by a listener with five; another one has two */
    backend_note_port(b, 0, 2, QUICK);
    ck_assert_uint_eq(backend_source(b), 4);
    backend_note_port(b, 0, 2, SLOW);
    ck_assert_uint_eq(backend_source(b), 1);
}
END_TEST

START_TEST(a_source_whose_quick_ports_others_hold_is_left_at_its_first_port) {
    struct backend *b = make_backend();
    backend_note_port(b, 0, 3, SLOW);
    ck_assert_uint_eq(backend_source(b), 1);
}
END_TEST

START_TEST(odd_ports_may_be_those_that_are_found_quickly) {
    backend_table_free(table);
    table = backend_table_new(ODD);
    struct backend *b = make_backend();
    backend_note_port(b, 0, 3, SLOW);
    ck_assert_uint_eq(backend_source(b), 0);
    backend_note_port(b, 0, 3, QUICK);
    ck_assert_uint_eq(backend_source(b), 1);
}
END_TEST

START_TEST(all_ports_are_searched_once_half_of_every_source_is_in_use) {
    struct backend *b = make_backend();
    backend_note_port(b, 0, 2, SLOW);
    backend_note_port(b, 1, 2, QUICK); /* it has some */
    backend_note_port(b, 1, 2, SLOW);
    ck_assert(!backend_searches_all_ports(b));
    backend_note_port(b, 0, 2, SLOW);
    ck_assert(backend_searches_all_ports(b));
    backend_note_port(b, 1, 2, QUICK); /* which says nothing any more */
    ck_assert(backend_searches_all_ports(b));
}
END_TEST

START_TEST(a_single_source_stays_and_all_its_ports_are_searched) {
    struct backend *b = make_backend();
    backend_note_port(b, 0, 1, QUICK);
    ck_assert(!backend_searches_all_ports(b));
    backend_note_port(b, 0, 1, SLOW);
    ck_assert(backend_searches_all_ports(b));
    ck_assert_uint_eq(backend_source(b), 0);
}
END_TEST

/* The first port of the system's range, as long as nobody changes it. */
START_TEST(the_parity_of_the_first_half_is_that_of_the_systems_range) {
    unsigned first;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    if (file == NULL) {
        return;
    }
    ck_assert_int_eq(fscanf(file, "%u", &first), 1);
    fclose(file);
    ck_assert_uint_eq(ports_first_parity(), first % 2);
}
END_TEST

START_TEST(learning_the_parity_leaves_no_descriptor_open) {
    int before = dup(STDERR_FILENO), after;
    close(before);
    (void)ports_first_parity();
    after = dup(STDERR_FILENO);
    close(after);
    ck_assert_int_eq(after, before);
}
END_TEST

/* --- lines --- */

/* How many lines with that text have been written. */
static unsigned lines_with(const char *text) {
    char line[1024];
    unsigned count = 0;
    ck_assert_int_eq(fseek(captured, 0, SEEK_SET), 0);
    while (fgets(line, sizeof line, captured) != NULL) {
        count += strstr(line, text) != NULL;
    }
    fseek(captured, 0, SEEK_END);
    return count;
}

static void note_bad_source(struct backend *b, uint8_t last, uint64_t now_ms) {
    struct address source = address_from_bytes((const uint8_t[]){192, 0, 2, last}, 4, 0);
    backend_note_bad_source(b, &source, UV_EADDRNOTAVAIL, now_ms);
}

START_TEST(a_line_about_a_source_hides_none_about_ports) {
    struct backend *b = make_backend();
    note_bad_source(b, 7, 1000);
    backend_note_no_ports(b, 1000);
    note_bad_source(b, 7, 1001);
    backend_note_no_ports(b, 1001);
    ck_assert_uint_eq(lines_with("backend source unusable"), 1);
    ck_assert_uint_eq(lines_with("backend ports used up"), 1);
    note_bad_source(b, 7, 11000);
    backend_note_no_ports(b, 11000);
    ck_assert_uint_eq(lines_with("backend source unusable"), 2);
    ck_assert_uint_eq(lines_with("backend ports used up"), 2);
}
END_TEST

START_TEST(a_line_about_a_source_hides_none_about_another) {
    struct backend *b = make_backend();
    for (uint64_t now_ms = 1000; now_ms < 1100; now_ms++) {
        note_bad_source(b, 7, now_ms);
        note_bad_source(b, 8, now_ms);
    }
    ck_assert_uint_eq(lines_with("source=192.0.2.7"), 1);
    ck_assert_uint_eq(lines_with("source=192.0.2.8"), 1);
}
END_TEST

START_TEST(lines_about_many_sources_are_bounded) {
    struct backend *b = make_backend();
    for (unsigned i = 0; i < 1000; i++) {
        note_bad_source(b, (uint8_t)i, 1000 + i);
    }
    ck_assert_uint_eq(lines_with("backend source unusable"), BACKEND_BAD_SOURCES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("backend");
    TCase *sources = tcase_create("sources"), *lines = tcase_create("lines");
    tcase_add_checked_fixture(sources, setup, teardown);
    tcase_add_test(sources, a_source_is_left_when_the_ports_that_are_found_quickly_are_used_up);
    tcase_add_test(sources, a_source_whose_quick_ports_others_hold_is_left_at_its_first_port);
    tcase_add_test(sources, odd_ports_may_be_those_that_are_found_quickly);
    tcase_add_test(sources, all_ports_are_searched_once_half_of_every_source_is_in_use);
    tcase_add_test(sources, a_single_source_stays_and_all_its_ports_are_searched);
    tcase_add_test(sources, the_parity_of_the_first_half_is_that_of_the_systems_range);
    tcase_add_test(sources, learning_the_parity_leaves_no_descriptor_open);
    suite_add_tcase(suite, sources);
    tcase_add_checked_fixture(lines, setup, teardown);
    tcase_add_test(lines, a_line_about_a_source_hides_none_about_ports);
    tcase_add_test(lines, a_line_about_a_source_hides_none_about_another);
    tcase_add_test(lines, lines_about_many_sources_are_bounded);
    suite_add_tcase(suite, lines);
    return run_suite(suite, CK_FORK_GETENV);
}
