#include "run.h"
#include "tls/internal.h"

#include <check.h>
#include <string.h>

enum { IDENTITY = 1, LISTED = 2, NAMED = 4, PRESENT = 8, ISSUERS = 16, PSK = 32 };

static uint8_t packed[CLIENT_CERT_PACKED_MAX];

static struct client_cert make(const char *identity) {
    struct client_cert cert = {.not_after = 2000000000, .id = {.serial_len = 2, .serial = {7, 9}}};
    memset(cert.id.issuer_hash, 0x5a, TLS_ISSUER_HASH_SIZE);
    if (identity != NULL) {
        cert.has_identity = true;
        strcpy(cert.text, identity);
    }
    return cert;
}

static void comes_back(struct client_cert cert) {
    struct client_cert again;
    size_t len = client_cert_pack(&cert, packed);
    memset(&again, 0xaa, sizeof again); /* what an earlier use left there */
    ck_assert(client_cert_unpack(&again, packed, len));
    ck_assert_int_eq(again.not_after, cert.not_after);
    ck_assert_uint_eq(again.id.serial_len, 2);
    ck_assert_mem_eq(again.id.serial, cert.id.serial, 2);
    ck_assert_mem_eq(again.id.issuer_hash, cert.id.issuer_hash, TLS_ISSUER_HASH_SIZE);
    ck_assert(!again.presented);
    ck_assert_int_eq(again.listed, cert.listed);
    ck_assert_int_eq(again.named, cert.named);
    if (cert.listed) {
        ck_assert_mem_eq(again.cert_hash, cert.cert_hash, TLS_ALLOW_HASH_SIZE);
        ck_assert_mem_eq(again.key_hash, cert.key_hash, TLS_ALLOW_HASH_SIZE);
    }
    ck_assert_int_eq(again.has_identity, cert.has_identity);
    if (cert.has_identity) {
        ck_assert_str_eq(again.text, cert.text);
    }
    ck_assert_uint_eq(again.issuer_count, cert.issuer_count);
    ck_assert_mem_eq(client_cert_issuers(&again), client_cert_issuers(&cert),
                     cert.issuer_count * sizeof(struct cert_id));
    ck_assert_uint_eq(client_cert_size(&again), client_cert_size(&cert));
    for (size_t part = 0; part < len; part++) {
        ck_assert(!client_cert_unpack(&again, packed, part));
    }
}

START_TEST(a_certificate_comes_back_and_no_part_of_it_does) {
    comes_back(make("device-1"));
    comes_back(make(NULL));
}
END_TEST

START_TEST(what_client_allow_said_of_it_comes_back) {
    struct client_cert cert = make("device-1");
    cert.listed = true;
    memset(cert.cert_hash, 1, sizeof cert.cert_hash);
    memset(cert.key_hash, 2, sizeof cert.key_hash);
    comes_back(cert);
    cert.named = true;
    comes_back(cert);
}
END_TEST

/* Also with the longest of each. */
START_TEST(the_cas_above_it_come_back) {
    static char name[TLS_IDENTITY_MAX + 1];
    const char *const names[] = {NULL, "device-1", memset(name, 'n', TLS_IDENTITY_MAX)};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct client_cert cert = make(names[i]);
        struct cert_id id = {.serial_len = sizeof id.serial};
        cert.listed = true;
        for (uint8_t n = 0; n < TLS_ISSUERS_MAX; n++) {
            memset(id.issuer_hash, n, sizeof id.issuer_hash);
            memset(id.serial, n + 1, sizeof id.serial);
            client_cert_add_issuer(&cert, &id);
            ck_assert_mem_eq(&client_cert_issuers(&cert)[n], &id, sizeof id);
            comes_back(cert);
        }
        ck_assert_uint_eq(client_cert_size(&cert) - offsetof(struct client_cert, text),
                          TLS_ISSUERS_MAX * sizeof id +
                              (names[i] != NULL ? strlen(names[i]) + 1 : 0));
    }
}
END_TEST

START_TEST(more_cas_than_there_can_be_are_refused) {
    struct client_cert cert = make(NULL), again;
    struct cert_id id = {.serial_len = 1, .serial = {1}};
    client_cert_add_issuer(&cert, &id);
    size_t len = client_cert_pack(&cert, packed), count = len - 1 - 1 - TLS_ISSUER_HASH_SIZE - 1;
    ck_assert(client_cert_unpack(&again, packed, len));
    ck_assert_uint_eq(packed[count], 1);
    static const uint8_t bad[] = {0, 2, TLS_ISSUERS_MAX + 1, 255};
    for (size_t i = 0; i < sizeof bad; i++) {
        packed[count] = bad[i];
        ck_assert_msg(!client_cert_unpack(&again, packed, len), "%u", bad[i]);
    }
}
END_TEST

START_TEST(a_key_comes_back_and_no_part_of_it_does) {
    struct client_cert cert = {.psk = true, .has_identity = true, .text = "sensor-1"}, again;
    memset(cert.key_hash, 2, sizeof cert.key_hash);
    size_t len = client_cert_pack(&cert, packed);
    memset(&again, 0xaa, sizeof again);
    ck_assert(client_cert_unpack(&again, packed, len));
    ck_assert(again.psk && again.has_identity && !again.presented && !again.listed);
    ck_assert_uint_eq(again.id.serial_len, 0);
    ck_assert_mem_eq(again.key_hash, cert.key_hash, sizeof cert.key_hash);
    ck_assert_str_eq(again.text, "sensor-1");
    for (size_t part = 0; part < len; part++) {
        ck_assert(!client_cert_unpack(&again, packed, part));
    }
    packed[len] = 0;
    ck_assert(!client_cert_unpack(&again, packed, len + 1));
    struct client_cert other = make("device-1"); /* nothing of it is left */
    len = client_cert_pack(&other, packed);
    again.psk = true;
    ck_assert(client_cert_unpack(&again, packed, len));
    ck_assert(!again.psk);
}
END_TEST

START_TEST(a_name_that_nothing_gave_is_refused) {
    struct client_cert cert = make("device-1"), again;
    size_t len = client_cert_pack(&cert, packed);
    packed[0] = PRESENT | IDENTITY | NAMED;
    ck_assert(!client_cert_unpack(&again, packed, len));
    cert = make(NULL);
    cert.listed = true;
    len = client_cert_pack(&cert, packed);
    packed[0] = PRESENT | LISTED | NAMED;
    ck_assert(!client_cert_unpack(&again, packed, len));
}
END_TEST

START_TEST(no_certificate_leaves_nothing_of_an_earlier_one) {
    struct client_cert none = {0}, again;
    size_t len = client_cert_pack(&none, packed);
    ck_assert_uint_eq(len, 1);
    memset(&again, 0xaa, sizeof again);
    ck_assert(client_cert_unpack(&again, packed, len));
    ck_assert_uint_eq(again.id.serial_len, 0);
    ck_assert(!again.has_identity && !again.presented);
    ck_assert_str_eq(again.text, "");
}
END_TEST

START_TEST(unknown_flags_are_refused) {
    struct client_cert cert = make(NULL), again;
    size_t len = client_cert_pack(&cert, packed);
    static const uint8_t bad[] = {
        IDENTITY,      LISTED, PRESENT | LISTED,        PRESENT | NAMED,          PRESENT | ISSUERS,
        PRESENT | PSK, PSK,    PSK | LISTED | IDENTITY, PSK | ISSUERS | IDENTITY, PRESENT | 0x40,
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
    tcase_add_test(tc, a_certificate_comes_back_and_no_part_of_it_does);
    tcase_add_test(tc, no_certificate_leaves_nothing_of_an_earlier_one);
    tcase_add_test(tc, what_client_allow_said_of_it_comes_back);
    tcase_add_test(tc, the_cas_above_it_come_back);
    tcase_add_test(tc, more_cas_than_there_can_be_are_refused);
    tcase_add_test(tc, a_key_comes_back_and_no_part_of_it_does);
    tcase_add_test(tc, a_name_that_nothing_gave_is_refused);
    tcase_add_test(tc, unknown_flags_are_refused);
    suite_add_tcase(s, tc);
    return run_suite(s, CK_FORK_GETENV);
}
