/* What one client causes hides nothing of another, and every line is written or counted. */
#include "core/log.h"
#include "core/log_limit.h"
#include "run.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct log_limit limit;
static uint64_t now_ms, written, counted;

/* Standard error goes to a file, in which the reports are read. */
static FILE *captured;
static int saved_stderr;

static void setup(void) {
    ck_assert(log_limit_init(&limit));
    now_ms = 1000;
    written = counted = 0;
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    ck_assert(captured != NULL && saved_stderr >= 0);
    dup2(fileno(captured), STDERR_FILENO);
}

static void teardown(void) {
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    fclose(captured);
}

static struct address host(const char *text) {
    struct address a;
    ck_assert_int_eq(address_parse_host(text, strlen(text), &a), ADDRESS_OK);
    return a;
}

static struct address numbered(uint32_t n) {
    uint8_t bytes[4] = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return address_from_bytes(bytes, sizeof bytes, (uint16_t)(1 + n));
}

/* One line from that address; whether it was written. */
static bool line(enum reason reason, struct address a) {
    uint64_t suppressed;
    if (!log_limit_allows(&limit, reason, &a, now_ms, &suppressed)) {
        return false;
    }
    written++;
    counted += suppressed;
    return true;
}

static unsigned lines(enum reason reason, struct address a, unsigned count) {
    unsigned allowed = 0;
    for (unsigned i = 0; i < count; i++) {
        allowed += line(reason, a);
    }
    return allowed;
}

/* The sum of what `lines suppressed` says of that reason. */
static uint64_t reported(enum reason reason) {
    static char text[1 << 20];
    char wanted[128];
    uint64_t sum = 0;
    ck_assert_int_eq(fseek(captured, 0, SEEK_SET), 0);
    text[fread(text, 1, sizeof text - 1, captured)] = '\0';
    int len = snprintf(wanted, sizeof wanted,
                       " lines suppressed reason=%s suppressed=", reason_name(reason));
    for (const char *at = text; (at = strstr(at, wanted)) != NULL;) {
        unsigned long long number;
        at += len;
        ck_assert_int_eq(sscanf(at, "%llu", &number), 1);
        sum += number;
    }
    return sum;
}

START_TEST(an_address_has_twenty_lines_and_then_one_a_second) {
    ck_assert_uint_eq(lines(REASON_NOT_TLS, host("192.0.2.1"), 1000), 20);
    for (unsigned second = 0; second < 30; second++) {
        now_ms += 999;
        ck_assert_uint_eq(lines(REASON_NOT_TLS, host("192.0.2.1"), 50), 0);
        now_ms += 1;
        ck_assert_uint_eq(lines(REASON_NOT_TLS, host("192.0.2.1"), 50), 1);
    }
    now_ms += 3600 * 1000;
    ck_assert_uint_eq(lines(REASON_NOT_TLS, host("192.0.2.1"), 1000), 20);
}
END_TEST

START_TEST(the_noise_of_one_address_hides_nothing_of_another) {
    for (unsigned ms = 0; ms < 60000; ms += 10) {
        now_ms += 10;
        (void)lines(REASON_NOT_TLS, host("192.0.2.1"), 10);
        if (ms % 1000 == 0) {
            ck_assert(line(REASON_NOT_TLS, host("192.0.2.2")));
            ck_assert(line(REASON_NOT_TLS, host("2001:db8::1")));
        }
    }
}
END_TEST

START_TEST(the_noise_of_one_reason_hides_nothing_of_another) {
    ck_assert_uint_eq(lines(REASON_NOT_TLS, host("192.0.2.1"), 1000), 20);
    ck_assert_uint_eq(lines(REASON_UNKNOWN_CA, host("192.0.2.1"), 1000), 20);
}
END_TEST

START_TEST(the_noise_of_many_hides_no_first_line_of_a_quiet_one) {
    for (unsigned ms = 0; ms < 30000; ms += 100) {
        now_ms += 100;
        for (uint32_t n = 0; n < 200; n++) {
            (void)lines(REASON_NOT_TLS, numbered(n), 5);
        }
        if (ms >= 5000 && ms % 500 == 0) {
            ck_assert(line(REASON_NOT_TLS, numbered(1000 + ms)));
        }
    }
}
END_TEST

START_TEST(a_reason_has_a_hundred_lines_and_then_twenty_a_second) {
    for (uint32_t n = 0; n < 100000; n++) {
        (void)line(REASON_NOT_TLS, numbered(n));
    }
    ck_assert_uint_eq(written, 100);
    for (unsigned second = 0; second < 10; second++) {
        written = 0;
        now_ms += 1000;
        for (uint32_t n = 0; n < 100000; n++) {
            (void)line(REASON_NOT_TLS, numbered(n + second * 100000));
        }
        ck_assert_uint_eq(written, 20);
    }
}
END_TEST

/* A full table forgets addresses: then they may have lines again, and nobody has fewer. */
START_TEST(a_full_table_hides_nothing) {
    uint32_t others = 0;
    for (unsigned second = 0; second < 600; second++) {
        now_ms += 1000;
        for (unsigned i = 0; i < 19; i++) {
            (void)line(REASON_NOT_TLS, numbered(others++));
        }
        ck_assert(line(REASON_NOT_TLS, host("192.0.2.1")));
    }
    ck_assert_uint_gt(others, 2 * LOG_LIMIT_SETS * LOG_LIMIT_WAYS);
}
END_TEST

START_TEST(a_network_of_64_bits_is_one_address) {
    ck_assert_uint_eq(lines(REASON_NOT_TLS, host("2001:db8::1"), 15), 15);
    ck_assert_uint_eq(lines(REASON_NOT_TLS, host("2001:db8::2"), 15), 5);
    ck_assert_uint_eq(lines(REASON_NOT_TLS, host("2001:db8:0:1::1"), 15), 15);
}
END_TEST

/* All /64 of a larger network have places of their own. */
START_TEST(neighbours_do_not_share_one_set) {
    for (unsigned n = 0; n < 64; n++) {
        char text[64];
        now_ms += 1000; /* within what the reason may have */
        snprintf(text, sizeof text, "2001:db8:7:%x::1", n);
        (void)lines(REASON_NOT_TLS, host(text), 20);
    }
    unsigned kept = 0;
    for (unsigned n = 0; n < 64; n++) {
        char text[64];
        snprintf(text, sizeof text, "2001:db8:7:%x::", n);
        struct address a = host(text);
        for (size_t i = 0; i < LOG_LIMIT_SETS * LOG_LIMIT_WAYS; i++) {
            kept += address_is_equal(&limit.places[i / LOG_LIMIT_WAYS][i % LOG_LIMIT_WAYS].key, &a);
        }
    }
    ck_assert_uint_ge(kept, 56);
}
END_TEST

START_TEST(every_line_is_written_or_counted_once) {
    uint64_t caused = 0;
    for (unsigned ms = 0; ms < 20000; ms += 37) {
        now_ms += 37;
        for (uint32_t n = 0; n < 40; n++) {
            caused += n;
            (void)lines(REASON_NOT_TLS, numbered(n), n);
        }
        if (ms % 4 == 0) {
            (void)log_limit_report(&limit, now_ms, false);
        }
    }
    ck_assert(!log_limit_report(&limit, now_ms, true));
    ck_assert_uint_gt(counted, 0);
    ck_assert_uint_gt(reported(REASON_NOT_TLS), 0);
    ck_assert_uint_eq(written + counted + reported(REASON_NOT_TLS), caused);
}
END_TEST

START_TEST(what_is_suppressed_is_reported_after_a_second) {
    (void)lines(REASON_NOT_TLS, host("192.0.2.1"), 25);
    now_ms += 999;
    ck_assert(log_limit_report(&limit, now_ms, false));
    ck_assert_uint_eq(reported(REASON_NOT_TLS), 0);
    now_ms += 1;
    ck_assert(!log_limit_report(&limit, now_ms, false));
    ck_assert_uint_eq(reported(REASON_NOT_TLS), 5);
    ck_assert(!log_limit_report(&limit, now_ms, true));
    ck_assert_uint_eq(reported(REASON_NOT_TLS), 5);
}
END_TEST

static size_t set_of(struct log_limit *in, struct address a) {
    struct address key = address_client_key(&a);
    uint64_t suppressed;
    (void)!log_limit_allows(in, REASON_NOT_TLS, &a, now_ms, &suppressed);
    for (size_t set = 0; set < LOG_LIMIT_SETS; set++) {
        for (size_t way = 0; way < LOG_LIMIT_WAYS; way++) {
            if (address_is_equal(&in->places[set][way].key, &key)) {
                return set;
            }
        }
    }
    ck_abort_msg("an address is kept nowhere");
}

START_TEST(nobody_can_choose_addresses_that_share_a_set) {
    enum { SHARING = 8 };
    struct log_limit other;
    ck_assert(log_limit_init(&other));
    size_t here = set_of(&limit, numbered(0)), there = set_of(&other, numbered(0));
    unsigned sharing = 1, sharing_there = 1;
    for (uint32_t n = 1; sharing < SHARING; n++) {
        if (set_of(&limit, numbered(n)) == here) {
            sharing++;
            sharing_there += set_of(&other, numbered(n)) == there;
        }
    }
    ck_assert_uint_lt(sharing_there, SHARING);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("log_limit");
    TCase *test = tcase_create("log_limit");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_set_timeout(test, 60);
    tcase_add_test(test, an_address_has_twenty_lines_and_then_one_a_second);
    tcase_add_test(test, the_noise_of_one_address_hides_nothing_of_another);
    tcase_add_test(test, the_noise_of_one_reason_hides_nothing_of_another);
    tcase_add_test(test, the_noise_of_many_hides_no_first_line_of_a_quiet_one);
    tcase_add_test(test, a_reason_has_a_hundred_lines_and_then_twenty_a_second);
    tcase_add_test(test, a_full_table_hides_nothing);
    tcase_add_test(test, a_network_of_64_bits_is_one_address);
    tcase_add_test(test, neighbours_do_not_share_one_set);
    tcase_add_test(test, nobody_can_choose_addresses_that_share_a_set);
    tcase_add_test(test, every_line_is_written_or_counted_once);
    tcase_add_test(test, what_is_suppressed_is_reported_after_a_second);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
