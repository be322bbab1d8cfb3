#include "run.h"
#include "session/address_table.h"

#include <check.h>
#include <stdio.h>

static const struct config_rate NO_RATE = {0, 0};
static struct address_table *table;

static void setup(void) {
    table = address_table_new();
    ck_assert_ptr_nonnull(table);
}

static void teardown(void) {
    address_table_free(table);
}

static struct address host(const char *text) {
    struct address a;
    ck_assert_int_eq(address_parse_host(text, strlen(text), &a), ADDRESS_OK);
    return a;
}

static struct address numbered(uint32_t n) {
    uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return address_from_bytes(bytes, sizeof bytes, 0);
}

static enum address_answer enter(struct address a, size_t max) {
    return address_table_enter(table, &a, 0, max, NO_RATE);
}

/* Asserts only when it fails: Check writes each assertion to a pipe, and there are a million. */
static void admit(struct address a, size_t max) {
    if (enter(a, max) != ADDRESS_ADMITTED) {
        ck_abort_msg("an address is refused");
    }
}

START_TEST(an_address_may_have_connections_up_to_its_limit) {
    struct address a = host("192.0.2.1"), b = host("192.0.2.2");
    ck_assert_int_eq(enter(a, 2), ADDRESS_ADMITTED);
    ck_assert_int_eq(enter(a, 2), ADDRESS_ADMITTED);
    ck_assert_int_eq(enter(a, 2), ADDRESS_HAS_TOO_MANY);
    ck_assert_int_eq(enter(b, 2), ADDRESS_ADMITTED);
    address_table_leave(table, &a);
    ck_assert_int_eq(enter(a, 2), ADDRESS_ADMITTED);
    ck_assert_int_eq(enter(a, 2), ADDRESS_HAS_TOO_MANY);
}
END_TEST

START_TEST(a_network_of_64_bits_is_one_address) {
    ck_assert_int_eq(enter(host("2001:db8::1"), 1), ADDRESS_ADMITTED);
    ck_assert_int_eq(enter(host("2001:db8::ffff:2"), 1), ADDRESS_HAS_TOO_MANY);
    ck_assert_int_eq(enter(host("2001:db8:0:1::1"), 1), ADDRESS_ADMITTED);
}
END_TEST

START_TEST(a_rate_allows_its_number_at_once_and_then_one_by_one) {
    struct config_rate rate = {4, 1000};
    struct address a = host("192.0.2.1");
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_int_eq(address_table_enter(table, &a, 5000, 0, rate), ADDRESS_ADMITTED);
    }
    ck_assert_int_eq(address_table_enter(table, &a, 5249, 0, rate), ADDRESS_IS_TOO_FAST);
    ck_assert_int_eq(address_table_enter(table, &a, 5250, 0, rate), ADDRESS_ADMITTED);
    ck_assert_int_eq(address_table_enter(table, &a, 5251, 0, rate), ADDRESS_IS_TOO_FAST);
    ck_assert_int_eq(address_table_enter(table, &a, 60000, 0, rate), ADDRESS_ADMITTED);
}
END_TEST

START_TEST(a_refused_connection_does_not_count) {
    struct config_rate rate = {1, 1000};
    struct address a = host("192.0.2.1");
    ck_assert_int_eq(address_table_enter(table, &a, 0, 2, rate), ADDRESS_ADMITTED);
    for (unsigned i = 0; i < 10; i++) {
        ck_assert_int_eq(address_table_enter(table, &a, 10, 2, rate), ADDRESS_IS_TOO_FAST);
    }
    ck_assert_int_eq(address_table_enter(table, &a, 2000, 2, rate), ADDRESS_ADMITTED);
    ck_assert_int_eq(address_table_enter(table, &a, 9000, 2, rate), ADDRESS_HAS_TOO_MANY);
}
END_TEST

START_TEST(handshakes_of_an_address_are_counted) {
    struct address a = host("192.0.2.1"), b = host("192.0.2.2");
    address_table_handshake_begins(table, &a);
    address_table_handshake_begins(table, &a);
    ck_assert_uint_eq(address_table_handshakes(table, &a), 2);
    ck_assert_uint_eq(address_table_handshakes(table, &b), 0);
    address_table_handshake_ends(table, &a);
    ck_assert_uint_eq(address_table_handshakes(table, &a), 1);
    address_table_handshake_ends(table, &a);
    address_table_handshake_ends(table, &a); /* of a time when it was not listed */
    ck_assert_uint_eq(address_table_handshakes(table, &a), 0);
}
END_TEST

/* One connection each from a million addresses, in between a heavy one. */
START_TEST(a_million_addresses_do_not_displace_the_heaviest) {
    struct address heavy = host("198.51.100.7");
    for (unsigned i = 0; i < 50; i++) {
        ck_assert_int_eq(enter(heavy, 50), ADDRESS_ADMITTED);
    }
    for (uint32_t n = 0; n < 1000000; n++) {
        admit(numbered(0x0a000000 + n), 50);
    }
    ck_assert_int_eq(enter(heavy, 50), ADDRESS_HAS_TOO_MANY);
}
END_TEST

/* When every place is taken by a heavier one, a new address is not listed, and so has no limit. */
START_TEST(an_address_that_is_not_listed_is_not_refused) {
    for (uint32_t n = 0; n < 4 * ADDRESS_TABLE_PLACES; n++) {
        admit(numbered(n), 0);
        admit(numbered(n), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(enter(host("198.51.100.7"), 1), ADDRESS_ADMITTED);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("address_table");
    TCase *test = tcase_create("address_table");
    tcase_add_checked_fixture(test, setup, teardown);
    tcase_set_timeout(test, 60);
    tcase_add_test(test, an_address_may_have_connections_up_to_its_limit);
    tcase_add_test(test, a_network_of_64_bits_is_one_address);
    tcase_add_test(test, a_rate_allows_its_number_at_once_and_then_one_by_one);
    tcase_add_test(test, a_refused_connection_does_not_count);
    tcase_add_test(test, handshakes_of_an_address_are_counted);
    tcase_add_test(test, a_million_addresses_do_not_displace_the_heaviest);
    tcase_add_test(test, an_address_that_is_not_listed_is_not_refused);
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
