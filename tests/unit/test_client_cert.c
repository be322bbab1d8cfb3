#include "run.h"
#include "tls/internal.h"

#include <check.h>
#include <string.h>

enum { IDENTITY = 1, COMMON_NAME = 2, CN_IS_IDENTITY = 4, PRESENT = 8 };

static uint8_t packed[CLIENT_CERT_PACKED_MAX];

static struct client_cert make(const char *identity, const char *common_name) {
    struct client_cert cert = {.not_after = 2000000000, .id = {.serial_len = 2, .serial = {7, 9}}};
    size_t used = 0;
    memset(cert.id.issuer_hash, 0x5a, TLS_ISSUER_HASH_SIZE);
    if (identity != NULL) {
        cert.has_identity = true;
        used = strlen(strcpy(cert.text, identity)) + 1;
    }
    if (common_name != NULL) {
        cert.has_common_name = true;
        cert.common_name = (uint16_t)used;
        strcpy(cert.text + used, common_name);
    }
    return cert;
}

static void check_round_trip(const char *identity, const char *common_name) {
    struct client_cert cert = make(identity, common_name), again;
    size_t len = client_cert_pack(&cert, packed);
    memset(&again, 0xaa, sizeof again); /* the content of an earlier use */
    ck_assert(client_cert_unpack(&again, packed, len));
    ck_assert_int_eq(again.not_after, cert.not_after);
    ck_assert_uint_eq(again.id.serial_len, 2);
    ck_assert_mem_eq(again.id.serial, cert.id.serial, 2);
    ck_assert_mem_eq(again.id.issuer_hash, cert.id.issuer_hash, TLS_ISSUER_HASH_SIZE);
    ck_assert(!again.presented);
    ck_assert_int_eq(again.has_identity, identity != NULL);
    ck_assert_int_eq(again.has_common_name, common_name != NULL);
    ck_assert_str_eq(again.has_identity ? again.text : "-", identity != NULL ? identity : "-");
    ck_assert_str_eq(again.has_common_name ? again.text + again.common_name : "-",
                     common_name != NULL ? common_name : "-");
    for (size_t part = 0; part < len; part++) {
        ck_assert(!client_cert_unpack(&again, packed, part));
    }
}

START_TEST(a_packed_certificate_unpacks_and_no_prefix_of_it_does) {
    check_round_trip("device-1", "device-1");
    check_round_trip("device-1", "another name");
    check_round_trip("device-1", NULL);
    check_round_trip(NULL, "a name");
    check_round_trip(NULL, NULL);
}
END_TEST

START_TEST(unpacking_no_certificate_clears_an_earlier_one) {
    struct client_cert none = {0}, again;
    size_t len = client_cert_pack(&none, packed);
    ck_assert_uint_eq(len, 1);
    memset(&again, 0xaa, sizeof again);
    ck_assert(client_cert_unpack(&again, packed, len));
    ck_assert_uint_eq(again.id.serial_len, 0);
    ck_assert(!again.has_identity && !again.has_common_name && !again.presented);
    ck_assert_uint_eq(again.common_name, 0);
    ck_assert_str_eq(again.text, "");
}
END_TEST

/* A common name that is marked as equal to the identity, where there is no identity, would be
 * arbitrary bytes. */
START_TEST(flags_that_contradict_each_other_are_refused) {
    struct client_cert cert = make(NULL, NULL), again;
    size_t len = client_cert_pack(&cert, packed);
    static const uint8_t bad[] = {PRESENT | COMMON_NAME | CN_IS_IDENTITY,
                                  PRESENT | CN_IS_IDENTITY,
                                  IDENTITY,
                                  COMMON_NAME,
                                  PRESENT | 0x10,
                                  0xff};
    ck_assert_uint_eq(packed[0], PRESENT);
    for (size_t i = 0; i < sizeof bad; i++) {
        packed[0] = bad[i];
        ck_assert_msg(!client_cert_unpack(&again, packed, len), "flags %#x", bad[i]);
    }
}
END_TEST

int main(void) {
    Suite *s = suite_create("client_cert");
    TCase *tc = tcase_create("client_cert");
    tcase_add_test(tc, a_packed_certificate_unpacks_and_no_prefix_of_it_does);
    tcase_add_test(tc, unpacking_no_certificate_clears_an_earlier_one);
    tcase_add_test(tc, flags_that_contradict_each_other_are_refused);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
