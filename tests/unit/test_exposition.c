/* Metrics as text: both formats, escaping, histograms. */
#include "run.h"
#include "server/exposition.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct buf out;
static struct exposition e;

static void teardown(void) {
    buf_free(&out);
}

static void begin(enum exposition_format format) {
    exposition_begin(&e, format, &out);
}

static void is_page(const char *text) {
    ck_assert(exposition_end(&e));
    ck_assert(buf_append(&out, "", 1, SIZE_MAX));
    ck_assert_str_eq((const char *)out.data, text);
}

START_TEST(a_counter_has_total_in_every_line_of_the_text_format) {
    const struct exposition_label labels[] = {{"a", "x"}, {"b", "y"}, {NULL, NULL}};
    begin(EXPOSITION_TEXT);
    exposition_family(&e, EXPOSITION_COUNTER, "things", "How many.");
    exposition_count(&e, labels, 18446744073709551615u);
    is_page("# HELP things_total How many.\n# TYPE things_total counter\n"
            "things_total{a=\"x\",b=\"y\"} 18446744073709551615\n");
}
END_TEST

START_TEST(openmetrics_names_the_family_without_total_and_has_an_end) {
    begin(EXPOSITION_OPENMETRICS);
    exposition_family(&e, EXPOSITION_COUNTER, "things", "How many.");
    exposition_count(&e, NULL, 7);
    is_page("# HELP things How many.\n# TYPE things counter\nthings_total 7\n# EOF\n");
}
END_TEST

START_TEST(a_gauge_has_its_name_alone) {
    begin(EXPOSITION_TEXT);
    exposition_family(&e, EXPOSITION_GAUGE, "end_seconds", "When.");
    exposition_real(&e, NULL, 4102444800);
    exposition_real(&e, NULL, 0.25);
    is_page("# HELP end_seconds When.\n# TYPE end_seconds gauge\nend_seconds 4102444800\n"
            "end_seconds 0.25\n");
}
END_TEST

/* Whatever a value has, it ends neither its quotes nor its line. */
START_TEST(values_are_escaped_and_what_is_not_utf_8_is_replaced) {
    static const struct {
        const char *value, *written;
    } rows[] = {
        {"", ""},
        {"a\"b", "a\\\"b"},
        {"a\\b", "a\\\\b"},
        {"a\nb", "a\\nb"},
        {"\xc3\xbc", "\xc3\xbc"},
        {"a\xff"
         "b",
         "a\xef\xbf\xbd"
         "b"},
        {"a\xc3", "a\xef\xbf\xbd"},
        {"x\"} 1\ny 2", "x\\\"} 1\\ny 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[128];
        const struct exposition_label labels[] = {{"l", rows[i].value}, {NULL, NULL}};
        begin(EXPOSITION_TEXT);
        e.name = "m";
        exposition_count(&e, labels, 1);
        snprintf(text, sizeof text, "m{l=\"%s\"} 1\n", rows[i].written);
        is_page(text);
        buf_free(&out);
    }
}
END_TEST

START_TEST(buckets_are_cumulative_and_the_last_one_is_the_count) {
    struct histogram h = {0};
    const struct exposition_label labels[] = {{"w", "0"}, {NULL, NULL}};
    histogram_observe(&h, 20000);       /* at a bound */
    histogram_observe(&h, 20001);       /* beyond it */
    histogram_observe(&h, 6000000000u); /* beyond all */
    begin(EXPOSITION_OPENMETRICS);
    exposition_family(&e, EXPOSITION_HISTOGRAM, "d_seconds", "How long.");
    exposition_histogram(&e, labels, &h);
    is_page("# HELP d_seconds How long.\n# TYPE d_seconds histogram\n"
            "d_seconds_bucket{w=\"0\",le=\"2e-05\"} 1\n"
            "d_seconds_bucket{w=\"0\",le=\"0.0001\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"0.0005\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"0.002\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"0.01\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"0.05\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"0.25\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"1.0\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"5.0\"} 2\n"
            "d_seconds_bucket{w=\"0\",le=\"+Inf\"} 3\n"
            "d_seconds_sum{w=\"0\"} 6.000040001\n"
            "d_seconds_count{w=\"0\"} 3\n# EOF\n");
}
END_TEST

START_TEST(openmetrics_is_sent_to_those_that_ask_for_it) {
    ck_assert_int_eq(exposition_choose(NULL), EXPOSITION_TEXT);
    ck_assert_int_eq(exposition_choose("*/*"), EXPOSITION_TEXT);
    ck_assert_int_eq(exposition_choose("text/plain;version=0.0.4"), EXPOSITION_TEXT);
    ck_assert_int_eq(exposition_choose("application/openmetrics-text;version=1.0.0;q=0.75,"
                                       "text/plain;version=0.0.4;q=0.5"),
                     EXPOSITION_OPENMETRICS);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("exposition");
    TCase *test = tcase_create("exposition");
    tcase_add_checked_fixture(test, NULL, teardown);
    tcase_add_test(test, a_counter_has_total_in_every_line_of_the_text_format);
    tcase_add_test(test, openmetrics_names_the_family_without_total_and_has_an_end);
    tcase_add_test(test, a_gauge_has_its_name_alone);
    tcase_add_test(test, values_are_escaped_and_what_is_not_utf_8_is_replaced);
    tcase_add_test(test, buckets_are_cumulative_and_the_last_one_is_the_count);
    tcase_add_test(test, openmetrics_is_sent_to_those_that_ask_for_it);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
