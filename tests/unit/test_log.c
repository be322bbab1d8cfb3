/* The log: one complete line per event, and nothing that a peer sends can forge one. */
#include "core/log.h"
#include "run.h"

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int saved_stderr = -1;
static FILE *captured;
static char said[1 << 16];

/* Standard error goes to a file until `read_output`. */
static void capture(void) {
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    ck_assert(captured != NULL && saved_stderr >= 0);
    dup2(fileno(captured), STDERR_FILENO);
}

static void release(void) {
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
}

static const char *read_output(void) {
    release();
    ck_assert_int_eq(fseek(captured, 0, SEEK_SET), 0);
    said[fread(said, 1, sizeof said - 1, captured)] = '\0';
    fclose(captured);
    return said;
}

static void reset(void) {
    unsetenv("JOURNAL_STREAM");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

/* What follows the time in a text line with this one value. */
static const char *text_of(const void *value, size_t len) {
    struct log_line line;
    capture();
    log_begin(&line, LOG_LEVEL_INFO, "event");
    log_bytes(&line, "key", value, len);
    log_end(&line);
    const char *text = read_output();
    ck_assert_msg(strlen(text) > 25 && text[24] == ' ', "%s", text);
    ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
    return text + 25;
}

static const char *json_of(const void *value, size_t len) {
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    struct log_line line;
    capture();
    log_begin(&line, LOG_LEVEL_INFO, "event");
    log_bytes(&line, "key", value, len);
    log_end(&line);
    const char *text = read_output();
    const char *event = strstr(text, "\"event\"");
    ck_assert_ptr_nonnull(event);
    return event;
}

START_TEST(a_text_line_is_time_event_and_pairs) {
    struct log_line line;
    int year, month, day, hour, minute, second, ms, end = 0;
    capture();
    log_begin(&line, LOG_LEVEL_INFO, "session end");
    log_str(&line, "peer", "192.0.2.7:50122");
    log_str(&line, "identity", NULL);
    log_num(&line, "up", UINT64_MAX);
    log_seconds(&line, "seconds", 12399);
    log_end(&line);
    const char *text = read_output();
    ck_assert_int_eq(sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour,
                            &minute, &second, &ms, &end),
                     7);
    ck_assert_int_eq(end, 24);
    ck_assert_str_eq(text + 24, " session end peer=192.0.2.7:50122 identity=- "
                                "up=18446744073709551615 seconds=12.3\n");
}
END_TEST

START_TEST(a_json_line_has_the_same_keys) {
    struct log_line line;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    capture();
    log_begin(&line, LOG_LEVEL_WARNING, "session end");
    log_str(&line, "peer", "192.0.2.7:50122");
    log_str(&line, "identity", NULL);
    log_num(&line, "up", 7);
    log_seconds(&line, "seconds", 99);
    log_end(&line);
    const char *text = read_output();
    ck_assert_int_eq(strncmp(text, "{\"time\":\"2", 10), 0);
    ck_assert_str_eq(strstr(text, "Z\""),
                     "Z\",\"level\":\"warning\",\"event\":\"session end\","
                     "\"peer\":\"192.0.2.7:50122\",\"identity\":null,\"up\":7,\"seconds\":0.0}\n");
}
END_TEST

START_TEST(text_values_are_quoted_when_they_must_be) {
    ck_assert_str_eq(text_of("aZ09._:/@+,[]-", 14), "event key=aZ09._:/@+,[]-\n");
    ck_assert_str_eq(text_of("", 0), "event key=\"\"\n");
    ck_assert_str_eq(text_of("-", 1), "event key=\"-\"\n");
    ck_assert_str_eq(text_of("a b=c", 5), "event key=\"a b=c\"\n");
    ck_assert_str_eq(text_of("a\" reason=\"x\\", 13), "event key=\"a\\\" reason=\\\"x\\\\\"\n");
    ck_assert_str_eq(text_of("a\nb\r\0\x1b\x7f\xc3\xa9", 9),
                     "event key=\"a\\x0ab\\x0d\\x00\\x1b\\x7f\\xc3\\xa9\"\n");
}
END_TEST

START_TEST(json_values_are_escaped) {
    ck_assert_str_eq(json_of("a b", 3), "\"event\":\"event\",\"key\":\"a b\"}\n");
    ck_assert_str_eq(json_of("\"\\", 2), "\"event\":\"event\",\"key\":\"\\\"\\\\\"}\n");
    ck_assert_str_eq(json_of("\n\0\x7f", 3),
                     "\"event\":\"event\",\"key\":\"\\u000a\\u0000\\u007f\"}\n");
    ck_assert_str_eq(json_of("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9),
                     "\"event\":\"event\",\"key\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}\n");
    ck_assert_str_eq(json_of("\xc2\x85", 2), "\"event\":\"event\",\"key\":\"\\u0085\"}\n");
}
END_TEST

static const char *const broken_utf8[] = {
    "\xff",
    "\x80",
    "\xc3",
    "\xc0\xaf",
    "\xe0\x80\x80",
    "\xed\xa0\x80",
    "\xf0\x80\x80\x80",
    "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80",
    "\xe2\x82",
    "\xc3(",
};

START_TEST(what_is_not_utf8_is_escaped_in_json) {
    const char *text = json_of(broken_utf8[_i], strlen(broken_utf8[_i]));
    for (const char *c = text; *c != '\0'; c++) {
        ck_assert_msg((*c & 0x80) == 0, "%s", text);
    }
    ck_assert_ptr_nonnull(strstr(text, "\\\\x"));
}
END_TEST

START_TEST(any_value_of_any_length_leaves_one_well_formed_line) {
    static char value[4096];
    static const char pattern[] = "\"\\\n\xc3\xa9z\xff ";
    for (size_t len = 1900; len < sizeof value; len += len < 2100 ? 1 : 333) {
        for (size_t i = 0; i < len; i++) {
            value[i] = _i == 0 ? 'x' : pattern[i % (sizeof pattern - 1)];
        }
        for (int json = 0; json < 2; json++) {
            struct log_line line;
            log_setup(LOG_LEVEL_INFO, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
            capture();
            log_begin(&line, LOG_LEVEL_INFO, "event");
            log_bytes(&line, "key", value, len);
            log_num(&line, "n", 1);
            log_end(&line);
            const char *text = read_output(), *end = text + strlen(text);
            ck_assert_ptr_eq(strchr(text, '\n'), end - 1);
            ck_assert_uint_le((size_t)(end - text), sizeof line.text);
            const char *cut = json ? ",\"cut\":true}\n" : " cut=yes\n";
            const char *whole = json ? ",\"n\":1}\n" : " n=1\n";
            ck_assert(strcmp(end - strlen(cut), cut) == 0 ||
                      strcmp(end - strlen(whole), whole) == 0);
            ck_assert_msg(len < 2048 || strcmp(end - strlen(cut), cut) == 0, "%s", text);
            ck_assert(_i == 0 || strstr(text, json ? "\",\"cut" : "\" cut") != NULL);
        }
    }
}
END_TEST

START_TEST(what_follows_a_value_that_just_fits_stays_within_the_line) {
    static char value[2048];
    memset(value, ' ', sizeof value);
    for (size_t len = 1900; len < sizeof value; len++) {
        for (int json = 0; json < 2; json++) {
            struct log_line line;
            log_setup(LOG_LEVEL_INFO, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
            capture();
            log_begin(&line, LOG_LEVEL_INFO, "event");
            log_bytes(&line, "key", value, len);
            log_str(&line, "backend", "127.0.0.1:1883");
            log_num(&line, "suppressed", UINT64_MAX);
            log_end(&line);
            const char *text = read_output(), *end = text + strlen(text);
            ck_assert_ptr_eq(strchr(text, '\n'), end - 1);
            ck_assert_uint_le((size_t)(end - text), sizeof line.text);
        }
    }
}
END_TEST

START_TEST(lines_below_the_level_are_not_written) {
    struct log_line line;
    log_setup(LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
    ck_assert(log_wants(LOG_LEVEL_ERROR) && log_wants(LOG_LEVEL_WARNING));
    ck_assert(!log_wants(LOG_LEVEL_INFO) && !log_wants(LOG_LEVEL_DEBUG));
    capture();
    log_begin(&line, LOG_LEVEL_INFO, "quiet");
    log_str(&line, "key", "value");
    log_num(&line, "key", 1);
    log_seconds(&line, "key", 1);
    log_end(&line);
    log_message(LOG_LEVEL_DEBUG, "quiet", "nothing");
    log_message(LOG_LEVEL_ERROR, "loud", "%d", 5);
    const char *text = read_output();
    ck_assert_ptr_null(strstr(text, "quiet"));
    ck_assert_str_eq(text + 25, "loud message=5\n");
}
END_TEST

START_TEST(the_journal_gets_a_priority_instead_of_a_time) {
    struct stat st;
    char stream[64];
    capture();
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_message(LOG_LEVEL_ERROR, "a", "x");
    log_message(LOG_LEVEL_WARNING, "b", "x");
    log_message(LOG_LEVEL_INFO, "c", "x");
    log_message(LOG_LEVEL_DEBUG, "d", "x");
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    log_message(LOG_LEVEL_DEBUG, "e", "x");
    const char *text = read_output(), *expected = "<3>a message=x\n<4>b message=x\n"
                                                  "<6>c message=x\n<7>d message=x\n2";
    ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "%s", text);
}
END_TEST

START_TEST(a_full_pipe_loses_lines_counts_them_and_blocks_nobody) {
    static char drained[1 << 20];
    int ends[2], sent = 300;
    char padding[1000];
    memset(padding, 'x', sizeof padding - 1);
    padding[sizeof padding - 1] = '\0';
    ck_assert_int_eq(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    for (int i = 0; i < sent; i++) { /* far more than a pipe holds; nobody reads */
        log_message(LOG_LEVEL_INFO, "first", "%s", padding);
    }
    ssize_t len = read(ends[0], drained, sizeof drained);
    log_message(LOG_LEVEL_INFO, "second", "x");
    release();
    ck_assert_int_gt(len, 0);
    for (ssize_t more;
         (more = read(ends[0], drained + len, sizeof drained - 1 - (size_t)len)) > 0;) {
        len += more;
    }
    close(ends[0]);
    drained[len] = '\0';
    int arrived = 0, lost = 0;
    for (const char *c = drained; (c = strstr(c, " first ")) != NULL; c++) {
        arrived++;
    }
    const char *line = strstr(drained, " log lines lost count=");
    ck_assert_ptr_nonnull(line);
    ck_assert_int_eq(sscanf(line, " log lines lost count=%d", &lost), 1);
    ck_assert_int_gt(arrived, 10);
    ck_assert_int_eq(arrived + lost, sent);
    ck_assert_ptr_nonnull(strstr(line, "\n"));
    ck_assert_ptr_nonnull(strstr(strstr(line, "\n"), " second message=x\n"));
}
END_TEST

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg) {
    for (int i = 0; i < LINES; i++) {
        log_message(LOG_LEVEL_INFO, "thread", "%s-%d", (const char *)arg, i);
        if (i % 100 == 0) {
            log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
        }
    }
    return NULL;
}

START_TEST(lines_of_several_threads_never_mix) {
    static char text[1 << 20];
    pthread_t threads[THREADS];
    char name[64], *save = NULL;
    int lines = 0;
    FILE *file = tmpfile();
    ck_assert_ptr_nonnull(file);
    saved_stderr = dup(STDERR_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    for (size_t i = 0; i < THREADS; i++) {
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_lines, "worker"), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    release();
    ck_assert_int_eq(fseek(file, 0, SEEK_SET), 0);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
        ck_assert_msg(sscanf(l + 24, " thread message=%63[a-z0-9-]", name) == 1, "%s", l);
        ck_assert_uint_eq(strlen(l), 24 + strlen(" thread message=") + strlen(name));
        lines++;
    }
    ck_assert_int_eq(lines, THREADS * LINES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("log");
    TCase *lines = tcase_create("lines");
    tcase_add_checked_fixture(lines, reset, reset);
    tcase_add_test(lines, a_text_line_is_time_event_and_pairs);
    tcase_add_test(lines, a_json_line_has_the_same_keys);
    tcase_add_test(lines, text_values_are_quoted_when_they_must_be);
    tcase_add_test(lines, json_values_are_escaped);
    tcase_add_loop_test(lines, what_is_not_utf8_is_escaped_in_json, 0,
                        (int)(sizeof broken_utf8 / sizeof broken_utf8[0]));
    tcase_add_loop_test(lines, any_value_of_any_length_leaves_one_well_formed_line, 0, 2);
    tcase_add_test(lines, what_follows_a_value_that_just_fits_stays_within_the_line);
    tcase_add_test(lines, lines_below_the_level_are_not_written);
    tcase_add_test(lines, the_journal_gets_a_priority_instead_of_a_time);
    tcase_add_test(lines, a_full_pipe_loses_lines_counts_them_and_blocks_nobody);
    tcase_add_test(lines, lines_of_several_threads_never_mix);
    suite_add_tcase(suite, lines);
    return run_suite(suite, CK_NOFORK);
}
