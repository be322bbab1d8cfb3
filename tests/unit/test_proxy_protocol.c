/* PROXY headers: read, refused, written. CORPUS is the folder of the corpora. */
#include "run.h"
#include "wire/proxy_protocol.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define BYTES(s)     s, sizeof(s) - 1
#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))
#define SIGNATURE    "\r\n\r\n\0\r\nQUIT\n"

/* 192.0.2.7:50122 to 198.51.100.1:8883; and the addresses of two unix sockets. */
#define TCP4 "\xc0\0\2\7\xc6\x33\x64\1\xc3\xca\x22\xb3"
#define Z8   "\0\0\0\0\0\0\0\0"
#define Z97  "\0" Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8 Z8
#define UNIX "/run/a.sock" Z97 "/run/b.sock" Z97

/* As Amazon's network balancers send it: a checksum, the endpoint's name, padding. */
#define AWS_TLVS "\xea\0\x17\1vpce-08d2bf15fac5001c9\4\0\3\0\0\0"
#define AWS(crc) SIGNATURE "\x21\x11\0\x33" TCP4 "\3\0\4" crc AWS_TLVS

/* Exact-size copy, so that AddressSanitizer finds a read past the end. */
static enum proxy_header_status parse(const void *data, size_t len, struct proxy_header *out) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    const enum proxy_header_status status = proxy_header_parse(copy, len, out);
    free(copy);
    return status;
}

static struct address address(const char *text, uint16_t port) {
    struct address a;
    ck_assert_int_eq(address_parse_host(text, strlen(text), &a), ADDRESS_OK);
    a.port = port;
    return a;
}

/* ---- reading ---- */

struct good {
    const char *bytes;
    size_t len;
    const char *source; /* NULL: no addresses */
    uint16_t source_port;
    const char *destination;
    uint16_t destination_port;
};

static const struct good good[] = {
    {BYTES("PROXY TCP4 192.0.2.7 198.51.100.1 50122 8883\r\n"), "192.0.2.7", 50122, "198.51.100.1",
     8883},
    {BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255", 65535,
     "255.255.255.255", 65535},
    {BYTES("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), "0.0.0.0", 0, "0.0.0.0", 0},
    {BYTES("PROXY TCP6 2001:db8::7 ::1 50122 8883\r\n"), "2001:db8::7", 50122, "::1", 8883},
    {BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "FFFF:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     65535},
    {BYTES("PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n"), "192.0.2.7", 1, "2001:db8::1", 2},
    {BYTES("PROXY UNKNOWN\r\n"), NULL, 0, NULL, 0},
    {BYTES("PROXY UNKNOWN whatever  this says\r\n"), NULL, 0, NULL, 0},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     NULL, 0, NULL, 0},
    {BYTES(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\7\xc6\x33\x64\1\xc3\xca\x22\xb3"), "192.0.2.7", 50122,
     "198.51.100.1", 8883},
    {BYTES(SIGNATURE "\x21\x11\0\x14\xc0\0\2\7\xc6\x33\x64\1\xc3\xca\x22\xb3\x04\0\5hello"),
     "192.0.2.7", 50122, "198.51.100.1", 8883}, /* with a TLV */
    {BYTES(SIGNATURE "\x21\x11\0\x0e\xc0\0\2\7\xc6\x33\x64\1\xc3\xca\x22\xb3\xee\xee"), "192.0.2.7",
     50122, "198.51.100.1", 8883}, /* two bytes after the TLVs */
    {BYTES(SIGNATURE "\x21\x21\0\x24"
                     "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
                     "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\1\xc3\xca\x22\xb3"),
     "2001:db8::7", 50122, "198.51.100.1", 8883},
    {BYTES(AWS("\x9b\x35\xc1\x71")), "192.0.2.7", 50122, "198.51.100.1", 8883},
    {BYTES(SIGNATURE "\x21\x11\0\x32" TCP4 "\x20\0\x23\7\0\0\0\0\x21\0\7TLSv1.3"
                     "\x22\0\x0bsensor-0001\x25\0\3RSA"),
     "192.0.2.7", 50122, "198.51.100.1", 8883}, /* of a balancer that ended TLS itself */
    {BYTES(SIGNATURE "\x21\x31\0\xd8" UNIX), NULL, 0, NULL, 0},
    {BYTES(SIGNATURE "\x21\x32\0\xd8" UNIX), NULL, 0, NULL, 0},
    {BYTES(SIGNATURE "\x21\x31\0\xdf" UNIX "\3\0\4\xee\x37\x69\x9c"), NULL, 0, NULL, 0},
    {BYTES(SIGNATURE "\x21\0\0\7\3\0\4\x3e\xc9\x89\x4e"), NULL, 0, NULL, 0},
    {BYTES(SIGNATURE "\x20\0\0\7\3\0\4junk"), NULL, 0, NULL, 0}, /* LOCAL: all is discarded */
    {BYTES(SIGNATURE "\x20\0\0\0"), NULL, 0, NULL, 0},           /* LOCAL */
    {BYTES(SIGNATURE "\x20\x11\0\3abc"), NULL, 0, NULL, 0},      /* LOCAL, content discarded */
    {BYTES(SIGNATURE "\x20\xff\0\0"), NULL, 0, NULL, 0},         /* LOCAL, family ignored */
    {BYTES(SIGNATURE "\x21\0\0\0"), NULL, 0, NULL, 0},           /* UNSPEC */
    {BYTES(SIGNATURE "\x21\x12\0\x0c............"), NULL, 0, NULL, 0}, /* datagrams */
};

START_TEST(headers_of_both_versions_are_parsed) {
    const struct good *g = &good[_i];
    struct proxy_header header;
    char longer[300];

    for (size_t len = 0; len < g->len; len++) {
        ck_assert_int_eq(parse(g->bytes, len, &header), PROXY_HEADER_MORE);
    }
    ck_assert_int_eq(parse(g->bytes, g->len, &header), PROXY_HEADER_OK);
    ck_assert_uint_eq(header.size, g->len);
    memcpy(longer, g->bytes, g->len);
    memcpy(longer + g->len, "\x16\x03\x01\r\n", 5);
    ck_assert_int_eq(parse(longer, g->len + 5, &header), PROXY_HEADER_OK);
    ck_assert_uint_eq(header.size, g->len);

    ck_assert_uint_eq(header.has_addresses, g->source != NULL);
    if (g->source == NULL) {
        ck_assert_uint_eq(header.source.family, ADDRESS_NONE);
        ck_assert_uint_eq(header.destination.family, ADDRESS_NONE);
        return;
    }
    const struct address source = address(g->source, g->source_port);
    const struct address destination = address(g->destination, g->destination_port);
    ck_assert(address_is_equal(&header.source, &source));
    ck_assert(address_is_equal(&header.destination, &destination));
}
END_TEST

struct bad {
    const char *bytes;
    size_t len; /* the length at which it is recognised */
};

static const struct bad bad[] = {
    {BYTES("G")},
    {BYTES("\x16")},
    {BYTES("PROXx")},
    {BYTES("PROXY\r")},
    {BYTES("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4\r\n")},
    {BYTES("PROXY TCP4 \r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1  2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 100000\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 0x1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4\0x 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP4 ::1 ::1 1 2\r\n")},
    {BYTES("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n")},
    {BYTES("PROXY TCP6 ::1%lo ::1 1 2\r\n")},
    {BYTES("PROXY TCP6 0000:0000:0000:0000:0000:ffff:255.255.255.2550 ::1 1 2\r\n")},
    {BYTES("PROXY UNKNOWNS\r\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n")},
    {BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r ")},
    {BYTES("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535  ")}, /* no line end in 107 bytes */
    {BYTES("\r\n\r\n\1")},
    {BYTES(SIGNATURE "\x11")},           /* another version */
    {BYTES(SIGNATURE "\x22")},           /* another command */
    {BYTES(SIGNATURE "\x21\x41")},       /* another family */
    {BYTES(SIGNATURE "\x21\x13")},       /* another transport */
    {BYTES(SIGNATURE "\x21\x11\0\x0b")}, /* too short for its addresses */
    {BYTES(SIGNATURE "\x21\x21\0\x23")},
    {BYTES(SIGNATURE "\x21\x31\0\xd7")},
    {BYTES(SIGNATURE "\x21\x11\x10\x01")}, /* over 4096 */
    {BYTES(SIGNATURE "\x20\0\xff\xff")},
    {BYTES(AWS("\x9b\x35\xc1\x70"))}, /* a wrong checksum, one of another size, two of them */
    {BYTES(SIGNATURE "\x21\0\0\6\3\0\3\x3e\xc9\x89")},
    {BYTES(SIGNATURE "\x21\0\0\x0e\3\0\4\x3e\xc9\x89\x4e\3\0\4\x3e\xc9\x89\x4e")},
    {BYTES(SIGNATURE "\x21\0\0\5\4\0\3ab")}, /* a TLV that is longer than the header */
    {BYTES(SIGNATURE "\x21\x11\0\x0f" TCP4 "\4\xff\xff")},
};

START_TEST(malformed_headers_are_refused_at_the_first_wrong_byte) {
    struct proxy_header header;
    ck_assert_int_eq(parse(bad[_i].bytes, bad[_i].len, &header), PROXY_HEADER_BAD);
    for (size_t len = 0; len < bad[_i].len; len++) {
        ck_assert_int_eq(parse(bad[_i].bytes, len, &header), PROXY_HEADER_MORE);
    }
}
END_TEST

START_TEST(a_checksum_finds_every_flipped_bit_of_what_it_protects) {
    enum { COMMAND = 12, CHECKSUM_TYPE = 28 }; /* LOCAL, or no checksum: nothing is protected */
    uint8_t data[] = AWS("\x9b\x35\xc1\x71");
    struct proxy_header header;
    for (size_t i = 0; i < sizeof data - 1; i++) {
        for (int bit = 0; bit < 8 && i != COMMAND && i != CHECKSUM_TYPE; bit++) {
            data[i] ^= (uint8_t)(1 << bit);
            ck_assert_int_ne(parse(data, sizeof data - 1, &header), PROXY_HEADER_OK);
            data[i] ^= (uint8_t)(1 << bit);
        }
    }
    ck_assert_int_eq(parse(data, sizeof data - 1, &header), PROXY_HEADER_OK);
}
END_TEST

START_TEST(a_version_2_header_of_4096_bytes_is_skipped) {
    static uint8_t data[PROXY_HEADER_IN_MAX];
    struct proxy_header header;
    memcpy(data, SIGNATURE "\x21\x11\x10\0", 16);
    ck_assert_int_eq(parse(data, sizeof data - 1, &header), PROXY_HEADER_MORE);
    ck_assert_int_eq(parse(data, sizeof data, &header), PROXY_HEADER_OK);
    ck_assert_uint_eq(header.size, sizeof data);
}
END_TEST

/* ---- writing ---- */

static struct address unix_address(void) {
    const struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/postern/in.sock"};
    return address_from_sockaddr((const struct sockaddr *)&un, sizeof un);
}

START_TEST(a_version_1_header_names_both_addresses) {
    char out[PROXY_HEADER_V1_MAX + 1];
    const struct address v4 = address("192.0.2.7", 50122);
    const struct address v4_to = address("198.51.100.1", 8883);
    const struct address v6 = address("2001:db8::7", 50122);
    const struct address mapped = address("::ffff:192.0.2.7", 50122);
    const struct address local = unix_address();
    const struct {
        const struct address *from, *to;
        const char *line;
    } lines[] = {
        {&v4, &v4_to, "PROXY TCP4 192.0.2.7 198.51.100.1 50122 8883\r\n"},
        {&mapped, &v4_to, "PROXY TCP4 192.0.2.7 198.51.100.1 50122 8883\r\n"},
        {&v6, &v6, "PROXY TCP6 2001:db8::7 2001:db8::7 50122 50122\r\n"},
        {&v6, &v4_to, "PROXY TCP6 2001:db8::7 ::ffff:198.51.100.1 50122 8883\r\n"},
        {&mapped, &v6, "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::7 50122 50122\r\n"},
        {&local, &local, "PROXY UNKNOWN\r\n"},
        {&v4, &local, "PROXY UNKNOWN\r\n"},
    };
    for (int i = 0; i < COUNT(lines); i++) {
        struct proxy_header header;
        const size_t len = proxy_header_v1(lines[i].from, lines[i].to, out);
        ck_assert_str_eq(out, lines[i].line);
        ck_assert_uint_eq(len, strlen(lines[i].line));
        ck_assert_int_eq(parse(out, len, &header), PROXY_HEADER_OK);
    }
}
END_TEST

static const struct proxy_tls tls12 = {.version = "TLSv1.2",
                                       .cipher = "ECDHE-RSA-AES128-GCM-SHA256",
                                       .common_name = "gateway-7",
                                       .server_name = "mqtt.example.org",
                                       .session_certificate = true,
                                       .connection_certificate = true};

START_TEST(a_version_2_header_has_addresses_and_the_identity) {
    static const char expected[] = SIGNATURE "\x21\x11\0\x5b"
                                             "\xc0\0\2\7\xc6\x33\x64\1\xc3\xca\x22\xb3"
                                             "\2\0\x10mqtt.example.org"
                                             "\x20\0\x39\7\0\0\0\0"
                                             "\x21\0\7TLSv1.2"
                                             "\x22\0\x9gateway-7"
                                             "\x23\0\x1b"
                                             "ECDHE-RSA-AES128-GCM-SHA256";
    uint8_t out[PROXY_HEADER_OUT_MAX];
    const struct address from = address("192.0.2.7", 50122);
    const struct address to = address("::ffff:198.51.100.1", 8883);

    const size_t len = proxy_header_v2(&from, &to, &tls12, out);
    ck_assert_uint_eq(len, sizeof expected - 1);
    ck_assert_mem_eq(out, expected, len);
}
END_TEST

/* What HAProxy 2.6 sent for such a client, with all options on that we have. */
START_TEST(a_version_2_header_is_what_haproxy_sends) {
    uint8_t theirs[PROXY_HEADER_OUT_MAX], ours[PROXY_HEADER_OUT_MAX];
    struct proxy_tls tls = tls12;
    struct proxy_header header;
    FILE *file = fopen(CORPUS "/proxy_protocol/haproxy-v2-certificate", "rb");
    ck_assert_ptr_nonnull(file);
    const size_t len = fread(theirs, 1, sizeof theirs, file);
    fclose(file);

    tls.cipher = "ECDHE-RSA-AES256-GCM-SHA384";
    ck_assert_int_eq(parse(theirs, len, &header), PROXY_HEADER_OK);
    ck_assert_uint_eq(proxy_header_v2(&header.source, &header.destination, &tls, ours), len);
    ck_assert_mem_eq(ours, theirs, len);
}
END_TEST

START_TEST(a_version_2_header_says_that_there_is_no_certificate) {
    static const char expected[] =
        SIGNATURE "\x21\x21\0\x4f"
                  "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\7"
                  "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\1\xc3\xca\x22\xb3"
                  "\x20\0\x28\1\0\0\0\1"
                  "\x21\0\7TLSv1.3"
                  "\x23\0\x16TLS_AES_128_GCM_SHA256";
    const struct proxy_tls tls = {
        .version = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256", .common_name = ""};
    uint8_t out[PROXY_HEADER_OUT_MAX];
    const struct address from = address("2001:db8::7", 50122);
    const struct address to = address("198.51.100.1", 8883);

    const size_t len = proxy_header_v2(&from, &to, &tls, out);
    ck_assert_uint_eq(len, sizeof expected - 1);
    ck_assert_mem_eq(out, expected, len);
}
END_TEST

START_TEST(a_resumed_session_has_its_own_flag) {
    struct proxy_tls tls = tls12;
    uint8_t out[PROXY_HEADER_OUT_MAX];
    const struct address v4 = address("192.0.2.7", 1);

    tls.connection_certificate = false;
    tls.server_name = NULL;
    ck_assert_uint_gt(proxy_header_v2(&v4, &v4, &tls, out), 0);
    ck_assert_uint_eq(out[28], 0x20);
    ck_assert_uint_eq(out[31], 5);
    ck_assert_mem_eq(out + 32, "\0\0\0\0", 4);
}
END_TEST

START_TEST(without_tls_there_is_no_tlv_and_without_ip_the_family_is_unspec) {
    uint8_t out[PROXY_HEADER_OUT_MAX];
    struct proxy_header header;
    const struct address v4 = address("192.0.2.7", 1), local = unix_address();

    ck_assert_uint_eq(proxy_header_v2(&v4, &v4, NULL, out), 28);
    ck_assert_int_eq(parse(out, 28, &header), PROXY_HEADER_OK);
    ck_assert_mem_eq(&header.source, &v4, sizeof v4);
    ck_assert_uint_eq(proxy_header_v2(&local, &v4, NULL, out), 16);
    ck_assert_mem_eq(out, SIGNATURE "\x21\0\0\0", 16);
    const size_t len = proxy_header_v2(&local, &local, &tls12, out);
    ck_assert_uint_eq(len, 16 + 0x5b - 12);
    ck_assert_int_eq(parse(out, len, &header), PROXY_HEADER_OK);
    ck_assert(!header.has_addresses);
}
END_TEST

START_TEST(a_version_2_header_stays_within_500_bytes) {
    uint8_t out[PROXY_HEADER_OUT_MAX];
    char name[256], other[256], huge[600];
    struct proxy_tls tls = tls12;
    const struct address v6 = address("2001:db8::7", 1);

    memset(name, 'n', 255);
    name[255] = '\0';
    tls.common_name = name;
    for (size_t len = 1; len < sizeof other; len++) {
        memset(other, 's', len);
        other[len] = '\0';
        tls.server_name = other;
        const size_t with = 16 + 36 + (3 + len) + 8 + (3 + 7) + (3 + 255) + (3 + 27);
        const size_t without = with - 3 - len;
        ck_assert_uint_eq(proxy_header_v2(&v6, &v6, &tls, out), with <= 500 ? with : without);
    }
    memset(huge, 'h', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    tls.common_name = huge + sizeof huge - 1 - 256;
    ck_assert_uint_eq(proxy_header_v2(&v6, &v6, &tls, out), 0);
    tls.common_name = huge;
    ck_assert_uint_eq(proxy_header_v2(&v6, &v6, &tls, out), 0);
    tls.common_name = "cn";
    tls.server_name = huge;
    ck_assert_uint_gt(proxy_header_v2(&v6, &v6, &tls, out), 0);
    tls.cipher = huge;
    ck_assert_uint_eq(proxy_header_v2(&v6, &v6, &tls, out), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("proxy_protocol");
    TCase *in = tcase_create("in"), *out = tcase_create("out");

    tcase_add_loop_test(in, headers_of_both_versions_are_parsed, 0, COUNT(good));
    tcase_add_loop_test(in, malformed_headers_are_refused_at_the_first_wrong_byte, 0, COUNT(bad));
    tcase_add_test(in, a_checksum_finds_every_flipped_bit_of_what_it_protects);
    tcase_add_test(in, a_version_2_header_of_4096_bytes_is_skipped);
    suite_add_tcase(suite, in);
    tcase_add_test(out, a_version_1_header_names_both_addresses);
    tcase_add_test(out, a_version_2_header_has_addresses_and_the_identity);
    tcase_add_test(out, a_version_2_header_is_what_haproxy_sends);
    tcase_add_test(out, a_version_2_header_says_that_there_is_no_certificate);
    tcase_add_test(out, a_resumed_session_has_its_own_flag);
    tcase_add_test(out, without_tls_there_is_no_tlv_and_without_ip_the_family_is_unspec);
    tcase_add_test(out, a_version_2_header_stays_within_500_bytes);
    suite_add_tcase(suite, out);

    return run_suite(suite, CK_NOFORK);
}
