/* log_format = journal: entries by the journal's native protocol. The test's own socket stands in
 * for the journal's, whose path is replaced on the way to the kernel. */
#include "core/log.h"
#include "run.h"

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

static struct {
    int fd;
    struct sockaddr_un address;
} journal;

/* SENDMSG: the C library's symbol for sendmsg(). */
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags) __asm__("__real_" SENDMSG);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) __asm__("__wrap_" SENDMSG);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags) {
    const struct sockaddr_un *to = message->msg_name;
    struct msghdr redirected = *message;
    ck_assert_str_eq(to->sun_path, "/run/systemd/journal/socket");
    ck_assert_int_ne(flags & MSG_DONTWAIT, 0);
    redirected.msg_name = &journal.address;
    redirected.msg_namelen = sizeof journal.address;
    return __real_sendmsg(fd, &redirected, flags);
}

static FILE *captured;
static int saved_stderr;
static char folder[] = "/tmp/postern-journal-XXXXXX";

static void unset_stream(void) {
    unsetenv("JOURNAL_STREAM");
}

/* JOURNAL_STREAM names what standard error is now. */
static void set_stream(void) {
    struct stat st;
    char stream[64];
    ck_assert_int_eq(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
}

static void open_journal(void) {
    journal.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(journal.fd, 0);
    ck_assert_int_eq(bind(journal.fd, (struct sockaddr *)&journal.address, sizeof journal.address),
                     0);
}

static void close_journal(void) {
    close(journal.fd);
    unlink(journal.address.sun_path);
}

static void setup(void) {
    memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    journal.address.sun_family = AF_UNIX;
    snprintf(journal.address.sun_path, sizeof journal.address.sun_path, "%s/socket", folder);
    open_journal();
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    ck_assert(captured != NULL && saved_stderr >= 0);
    dup2(fileno(captured), STDERR_FILENO);
    set_stream();
}

static void release(void) {
    if (saved_stderr >= 0) {
        dup2(saved_stderr, STDERR_FILENO);
        close(saved_stderr);
        saved_stderr = -1;
    }
}

static void teardown(void) {
    release();
    fclose(captured);
    close_journal();
    rmdir(folder);
    unset_stream();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
}

/* The next entry; "" if there is none. */
static const char *next_entry(void) {
    static char entry[8192];
    ssize_t len = recv(journal.fd, entry, sizeof entry - 1, 0);
    entry[len > 0 ? len : 0] = '\0';
    ck_assert(len <= 0 || strlen(entry) == (size_t)len);
    return entry;
}

/* What standard error got. Ends the capture, so that a failure can be seen. */
static const char *on_stderr(void) {
    static char text[1 << 16];
    release();
    ck_assert_int_eq(fseek(captured, 0, SEEK_SET), 0);
    text[fread(text, 1, sizeof text - 1, captured)] = '\0';
    return text;
}

static size_t count(const char *text, const char *word) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++) {
        n++;
    }
    return n;
}

START_TEST(an_entry_has_the_line_and_a_field_for_each_pair) {
    struct log_line line;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
    log_begin(&line, LOG_LEVEL_INFO, "session end");
    log_str(&line, "peer", "192.0.2.7:50122");
    log_str(&line, "identity", NULL);
    log_num(&line, "up", UINT64_MAX);
    log_seconds(&line, "seconds", 12399);
    log_str(&line, "error", "a b");
    log_end(&line);
    ck_assert_str_eq(next_entry(), "PRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=postern\n"
                                   "MESSAGE=session end peer=192.0.2.7:50122 identity=- "
                                   "up=18446744073709551615 seconds=12.3 error=\"a b\"\n"
                                   "POSTERN_EVENT=session end\nPOSTERN_PEER=192.0.2.7:50122\n"
                                   "POSTERN_UP=18446744073709551615\nPOSTERN_SECONDS=12.3\n"
                                   "POSTERN_ERROR=a b\n");
    ck_assert_str_eq(next_entry(), "");
    ck_assert_str_eq(on_stderr(), "");
}
END_TEST

START_TEST(priorities_are_those_of_syslog) {
    static const char *const heads[] = {"PRIORITY=3\n", "PRIORITY=4\n", "PRIORITY=6\n",
                                        "PRIORITY=7\n"};
    log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL);
    for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        log_message((enum log_level)level, "event", "x");
        ck_assert_int_eq(strncmp(next_entry(), heads[level], strlen(heads[level])), 0);
    }
}
END_TEST

START_TEST(it_is_chosen_where_standard_error_is_the_journal_and_nowhere_else) {
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_message(LOG_LEVEL_INFO, "a", "x");
    ck_assert_uint_eq(count(next_entry(), "MESSAGE=a message=x\n"), 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    log_message(LOG_LEVEL_INFO, "b", "x");
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_message(LOG_LEVEL_INFO, "c", "x");
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_message(LOG_LEVEL_INFO, "d", "x");
    unset_stream();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_message(LOG_LEVEL_INFO, "e", "x");
    ck_assert_str_eq(next_entry(), "");
    const char *text = on_stderr();
    ck_assert_int_eq(strncmp(text, "<6>b message=x\n{\"time\":", 23), 0);
    ck_assert_ptr_nonnull(strstr(text, "Z d message=x\n"));
    ck_assert_ptr_nonnull(strstr(text, "Z e message=x\n"));
}
END_TEST

START_TEST(no_value_can_make_a_line_or_a_field) {
    static const struct {
        const char *value, *field;
        size_t len;
    } values[] = {
        {"x\nPRIORITY=0\nMESSAGE=y", "POSTERN_SNI=x\\x0aPRIORITY=0\\x0aMESSAGE=y\n", 22},
        {"a\0\r\x1b\x7f", "POSTERN_SNI=a\\x00\\x0d\\x1b\\x7f\n", 5},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
         "POSTERN_SNI=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n", 9},
        {"\xc2\x85 \xff\xc3( \xed\xa0\x80", "POSTERN_SNI=\\xc2\\x85 \\xff\\xc3( \\xed\\xa0\\x80\n",
         10},
        {"\\x0a=\"", "POSTERN_SNI=\\\\x0a=\"\n", 6},
        {"", "POSTERN_SNI=\n", 0},
    };
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "event");
        log_bytes(&line, "sni", values[i].value, values[i].len);
        log_end(&line);
        const char *entry = next_entry();
        ck_assert_msg(strstr(entry, values[i].field) != NULL, "%s", entry);
        ck_assert_uint_eq(count(entry, "\n"), 6);
        ck_assert_uint_eq(count(entry, "\nMESSAGE="), 1);
    }
}
END_TEST

START_TEST(a_line_that_is_cut_is_still_a_whole_entry) {
    static char value[4096];
    memset(value, _i == 0 ? 'x' : '\n', sizeof value);
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
    for (size_t len = 400, step; len < sizeof value; len += step) {
        step = len > 1900 && len < 2600 ? 1 : 97;
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "event");
        log_bytes(&line, "sni", value, len);
        log_num(&line, "n", 1);
        log_end(&line);
        const char *entry = next_entry();
        ck_assert_int_eq(entry[strlen(entry) - 1], '\n');
        ck_assert_uint_eq(count(entry, "\nPOSTERN_SNI="), 1);
        ck_assert_uint_eq(count(entry, "\nPOSTERN_N=1\n") + count(entry, "\nPOSTERN_CUT=yes\n"), 1);
        ck_assert_uint_eq(count(entry, " cut=yes\n"), count(entry, "\nPOSTERN_CUT=yes\n"));
    }
}
END_TEST

START_TEST(what_the_journal_does_not_take_is_written_as_text) {
    close_journal();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO);
    log_message(LOG_LEVEL_WARNING, "a", "x y");
    open_journal();
    log_message(LOG_LEVEL_INFO, "b", "x");
    ck_assert_uint_eq(count(next_entry(), "MESSAGE=b message=x\n"), 1);
    int sent = 0;
    for (; sent < 5000 && lseek(STDERR_FILENO, 0, SEEK_CUR) < 30; sent++) {
        log_message(LOG_LEVEL_INFO, "c", "x");
    }
    int arrived = 0;
    while (*next_entry() != '\0') {
        arrived++;
    }
    ck_assert_int_gt(arrived, 0);
    const char *text = on_stderr();
    ck_assert_int_eq(strncmp(text, "<4>a message=\"x y\"\n<6>c message=x\n", 34), 0);
    ck_assert_int_eq(arrived + (int)count(text, "<6>c message=x\n"), sent);
}
END_TEST

START_TEST(without_a_journal_at_all_lines_have_their_time) {
    close_journal();
    unset_stream();
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL);
    log_message(LOG_LEVEL_INFO, "a", "x");
    open_journal();
    const char *text = on_stderr();
    ck_assert_msg(strlen(text) > 25 && text[23] == 'Z', "%s", text);
    ck_assert_str_eq(text + 24, " a message=x\n");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("journal");
    TCase *entries = tcase_create("entries");
    tcase_add_checked_fixture(entries, setup, teardown);
    tcase_add_test(entries, an_entry_has_the_line_and_a_field_for_each_pair);
    tcase_add_test(entries, priorities_are_those_of_syslog);
    tcase_add_test(entries, it_is_chosen_where_standard_error_is_the_journal_and_nowhere_else);
    tcase_add_test(entries, no_value_can_make_a_line_or_a_field);
    tcase_add_loop_test(entries, a_line_that_is_cut_is_still_a_whole_entry, 0, 2);
    tcase_add_test(entries, what_the_journal_does_not_take_is_written_as_text);
    tcase_add_test(entries, without_a_journal_at_all_lines_have_their_time);
    suite_add_tcase(suite, entries);
    return run_suite(suite, CK_NOFORK);
}
