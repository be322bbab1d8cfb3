/* The parts of tls/quirks.h that read bytes: what they accept and what they must not accept. Whole
 * connections test the rest (test_engine.c, test_clients.c, test_tickets.c). */
#include "run.h"
#include "tls/quirks.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define CCS   20, 3, 3, 0, 1, 1
#define FATAL 21, 3, 3, 0, 2, 2, 48

/* What is found in a flight of these bytes: the alert's description, 0 where it has not come, or
 * -1. */
static int alert_in(const uint8_t *in, size_t len, size_t piece) {
    struct flight_start start = {0};
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        uint8_t *exact = malloc(n); /* what follows does not belong to the input */
        memcpy(exact, in + at, n);
        quirks_note_flight(&start, exact, n);
        free(exact);
    }
    uint8_t description = 255;
    return quirks_is_plaintext_alert(&start, &description) ? description : -1;
}

START_TEST(a_fatal_alert_in_plaintext_is_found) {
    static const uint8_t alone[] = {FATAL}, after[] = {CCS, FATAL, 1, 2, 3};
    for (size_t piece = 1; piece <= sizeof after; piece++) {
        ck_assert_int_eq(alert_in(alone, sizeof alone, piece), 48);
        ck_assert_int_eq(alert_in(after, sizeof after, piece), 48);
    }
}
END_TEST

START_TEST(an_alert_is_known_by_its_header) {
    static const uint8_t whole[] = {CCS, FATAL};
    for (size_t len = 0; len < sizeof whole; len++) {
        ck_assert_int_eq(alert_in(whole, len, len + 1), len < sizeof whole - 2 ? -1 : 0);
    }
}
END_TEST

START_TEST(anything_else_is_not_taken_for_a_fatal_alert) {
    static const uint8_t warning[] = {21, 3, 3, 0, 2, 1, 0}, sealed[] = {21, 3, 3, 0, 19, 2, 48},
                         data[] = {23, 3, 3, 0, 2, 2, 48}, twice[] = {CCS, CCS, FATAL};
    ck_assert_int_eq(alert_in(warning, sizeof warning, 7), -1);
    ck_assert_int_eq(alert_in(sealed, sizeof sealed, 7), -1);
    ck_assert_int_eq(alert_in(data, sizeof data, 7), -1);
    ck_assert_int_eq(alert_in(twice, sizeof twice, 7), -1);
}
END_TEST

START_TEST(our_alert_is_one_record) {
    static const uint8_t wanted[] = {FATAL};
    struct buf out = {0};
    ck_assert(quirks_append_alert(&out, ALERT_UNKNOWN_CA));
    ck_assert_uint_eq(out.len, sizeof wanted);
    ck_assert_mem_eq(out.data, wanted, sizeof wanted);
    buf_free(&out);
}
END_TEST

START_TEST(plaintext_handshake_records_are_cut) {
    static const uint8_t flight[] = {22, 3, 3, 0, 5, 'a', 'b', 'c', 'd', 'e', FATAL};
    static const uint8_t cut[] = {22, 3,   3,   0,  2, 'a', 'b', 22, 3,   3,    0,
                                  2,  'c', 'd', 22, 3, 3,   0,   1,  'e', FATAL};
    struct buf out = {0};
    bool plaintext = true;
    ck_assert(quirks_append_flight(&out, flight, sizeof flight, 2, &plaintext));
    ck_assert(plaintext);
    ck_assert_uint_eq(out.len, sizeof cut);
    ck_assert_mem_eq(out.data, cut, sizeof cut);
    buf_free(&out);
}
END_TEST

START_TEST(after_change_cipher_spec_nothing_is_cut) {
    static const uint8_t flight[] = {CCS, 22, 3, 3, 0, 5, 'a', 'b', 'c', 'd', 'e'};
    struct buf out = {0};
    bool plaintext = true;
    ck_assert(quirks_append_flight(&out, flight, sizeof flight, 2, &plaintext));
    ck_assert(!plaintext);
    ck_assert(quirks_append_flight(&out, flight + 6, sizeof flight - 6, 2, &plaintext));
    ck_assert_uint_eq(out.len, 2 * sizeof flight - 6);
    ck_assert_mem_eq(out.data, flight, sizeof flight);
    ck_assert_mem_eq(out.data + sizeof flight, flight + 6, sizeof flight - 6);
    buf_free(&out);
}
END_TEST

START_TEST(a_session_id_of_another_size_is_ignored) {
    uint8_t session[10 + QUIRKS_SESSION_ID_SIZE + 1] = {0};
    session[9] = QUIRKS_SESSION_ID_SIZE;
    ck_assert_ptr_eq(quirks_session_id(session, sizeof session), session + 10);
    for (size_t len = 0; len < sizeof session; len++) {
        ck_assert_ptr_null(quirks_session_id(session, len));
    }
    session[9] = 16;
    ck_assert_ptr_null(quirks_session_id(session, sizeof session));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("quirks");
    TCase *test = tcase_create("quirks");
    tcase_add_test(test, a_fatal_alert_in_plaintext_is_found);
    tcase_add_test(test, an_alert_is_known_by_its_header);
    tcase_add_test(test, anything_else_is_not_taken_for_a_fatal_alert);
    tcase_add_test(test, our_alert_is_one_record);
    tcase_add_test(test, plaintext_handshake_records_are_cut);
    tcase_add_test(test, after_change_cipher_spec_nothing_is_cut);
    tcase_add_test(test, a_session_id_of_another_size_is_ignored);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
