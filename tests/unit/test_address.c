/* Addresses: read, printed, mapped, compared, matched with networks. */
#include "core/address.h"
#include "run.h"

#include <arpa/inet.h>
#include <check.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

_Static_assert(sizeof(struct address) <= sizeof(struct sockaddr_in6),
               "sessions embed an address: it may not be larger than the system's own");

static char text[ADDRESS_TEXT_SIZE];

static struct address parse(const char *given) {
    struct address a;
    ck_assert_msg(address_parse(given, &a) == ADDRESS_OK, "%s", given);
    return a;
}

static struct address parse_host(const char *given) {
    struct address a;
    ck_assert_msg(address_parse_host(given, strlen(given), &a) == ADDRESS_OK, "%s", given);
    return a;
}

/* --- text --- */

static const struct {
    const char *given, *printed;
    enum address_family family;
} forms[] = {
    {"0.0.0.0:8883", "0.0.0.0:8883", ADDRESS_IPV4},
    {"192.0.2.7:50122", "192.0.2.7:50122", ADDRESS_IPV4},
    {"255.255.255.255:65535", "255.255.255.255:65535", ADDRESS_IPV4},
    {"[::]:8883", "[::]:8883", ADDRESS_IPV6},
    {":8883", "[::]:8883", ADDRESS_IPV6},
    {"[2001:DB8:0::1]:0", "[2001:db8::1]:0", ADDRESS_IPV6},
    {"[2001:db8:1111:2222:3333:4444:5555:6666]:1", "[2001:db8:1111:2222:3333:4444:5555:6666]:1",
     ADDRESS_IPV6},
    {"[::ffff:192.0.2.1]:65535", "192.0.2.1:65535", ADDRESS_IPV4},
    {"[::ffff:c000:0201]:1", "192.0.2.1:1", ADDRESS_IPV4},
/* Not the mapped prefix; how it is printed is the C library's choice (RFC 5952, section 5). */
#ifdef __GLIBC__
    {"[::192.0.2.1]:1", "[::192.0.2.1]:1", ADDRESS_IPV6},
#else
    {"[::192.0.2.1]:1", "[::c000:201]:1", ADDRESS_IPV6},
#endif
    {"[fe80::1%lo]:1", "[fe80::1%lo]:1", ADDRESS_IPV6},
    {"127.0.0.1:00080", "127.0.0.1:80", ADDRESS_IPV4},
};

START_TEST(addresses_print_in_canonical_form) {
    const struct address a = parse(forms[_i].given);
    ck_assert_int_eq(a.family, forms[_i].family);
    ck_assert_str_eq(address_print(&a, text), forms[_i].printed);
    const struct address again = parse(text);
    ck_assert(address_is_equal(&a, &again));
}
END_TEST

static const struct {
    const char *given;
    enum address_status status;
} refused[] = {
    {"", ADDRESS_NO_PORT},
    {"127.0.0.1", ADDRESS_NO_PORT},
    {"[::1]", ADDRESS_NO_PORT},
    {"[::1]x:1", ADDRESS_NO_PORT},
    {"[:1", ADDRESS_NO_PORT},
    {"127.0.0.1:", ADDRESS_BAD_PORT},
    {"127.0.0.1:65536", ADDRESS_BAD_PORT},
    {"127.0.0.1:000001", ADDRESS_BAD_PORT},
    {"127.0.0.1:-1", ADDRESS_BAD_PORT},
    {"127.0.0.1:+1", ADDRESS_BAD_PORT},
    {"127.0.0.1: 1", ADDRESS_BAD_PORT},
    {"127.0.0.1:1x", ADDRESS_BAD_PORT},
    {"localhost:1", ADDRESS_BAD_HOST},
    {"127.0.0:1", ADDRESS_BAD_HOST},
    {"127.0.0.01:1", ADDRESS_BAD_HOST},
    {"127.0.0.256:1", ADDRESS_BAD_HOST},
    {"127.0.0.1%lo:1", ADDRESS_BAD_HOST},
    {"::1:1", ADDRESS_BAD_HOST},
    {"[127.0.0.1]:1", ADDRESS_BAD_HOST},
    {"[]:1", ADDRESS_BAD_HOST},
    {"[:::]:1", ADDRESS_BAD_HOST},
    {"[0000:0000:0000:0000:0000:0000:255.255.255.2555]:1", ADDRESS_BAD_HOST},
    {"[0000:0000:0000:0000:0000:0000:0000:0000:0000]:1", ADDRESS_BAD_HOST},
    {"[fe80::1%]:1", ADDRESS_BAD_INTERFACE},
    {"[fe80::1%postern-has-no-such-interface]:1", ADDRESS_BAD_INTERFACE},
    {"[fe80::1%nonesuch0]:1", ADDRESS_BAD_INTERFACE},
};

START_TEST(text_that_is_not_an_address_is_refused_with_its_fault) {
    struct address a;
    memset(&a, 0xee, sizeof a);
    ck_assert_int_eq(address_parse(refused[_i].given, &a), refused[_i].status);
    ck_assert_int_eq(a.family, ADDRESS_NONE);
}
END_TEST

START_TEST(a_host_is_read_up_to_its_length) {
    struct address a;
    ck_assert_int_eq(address_parse_host("192.0.2.77", 9, &a), ADDRESS_OK);
    ck_assert_str_eq(address_print_host(&a, text), "192.0.2.7");
    ck_assert_uint_eq(a.port, 0);
    ck_assert_int_eq(address_parse_host("192.0.2.7\0", 10, &a), ADDRESS_BAD_HOST);
    ck_assert_int_eq(address_parse_host("2001:db8::7", 11, &a), ADDRESS_OK);
    ck_assert_str_eq(address_print_host(&a, text), "2001:db8::7");
}
END_TEST

START_TEST(the_parts_of_an_address_need_not_be_numeric) {
    struct address_parts p;
    const char name[] = "broker.example.org:1883", bracketed[] = "[::1%x]:y";
    ck_assert(address_split(name, &p));
    ck_assert(p.host == name && p.host_len == strlen("broker.example.org") && !p.bracketed);
    ck_assert_str_eq(p.port, "1883");
    ck_assert(address_split(bracketed, &p));
    ck_assert(p.host == bracketed + 1 && p.host_len == strlen("::1%x") && p.bracketed);
    ck_assert_str_eq(p.port, "y");
    ck_assert(!address_split("broker", &p));
}
END_TEST

START_TEST(an_absent_address_prints_as_a_dash) {
    const struct address none = {0};
    ck_assert_str_eq(address_print(&none, text), "-");
    ck_assert_str_eq(address_print_host(&none, text), "-");
}
END_TEST

/* --- sockaddr and bytes --- */

START_TEST(an_address_survives_conversion_to_sockaddr_and_back) {
    struct sockaddr_storage sa;
    const struct address a = parse(forms[_i].given);
    const socklen_t len = address_to_sockaddr(&a, &sa);
    ck_assert_uint_eq(len, a.family == ADDRESS_IPV4 ? sizeof(struct sockaddr_in)
                                                    : sizeof(struct sockaddr_in6));
    const struct address again = address_from_sockaddr((struct sockaddr *)&sa, len);
    ck_assert(address_is_equal(&a, &again));
    const struct address cut = address_from_sockaddr((struct sockaddr *)&sa, len - 1);
    ck_assert_int_eq(cut.family, ADDRESS_NONE);
}
END_TEST

START_TEST(a_mapped_sockaddr_becomes_ipv4) {
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(50122), .sin6_scope_id = 3};
    ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:192.0.2.7", &in6.sin6_addr), 1);
    const struct address a = address_from_sockaddr((struct sockaddr *)&in6, sizeof in6);
    const struct address expected = parse("192.0.2.7:50122");
    ck_assert(address_is_equal(&a, &expected));
}
END_TEST

START_TEST(a_sockaddr_of_another_family_gives_no_address) {
    const struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/x"};
    struct sockaddr_storage sa;
    const struct address a = address_from_sockaddr((const struct sockaddr *)&un, sizeof un);
    ck_assert_int_eq(a.family, ADDRESS_NONE);
    ck_assert_uint_eq(address_to_sockaddr(&a, &sa), 0);
    ck_assert_int_eq(sa.ss_family, AF_UNSPEC);
    const struct address none = address_from_sockaddr(NULL, 0);
    ck_assert_int_eq(none.family, ADDRESS_NONE);
}
END_TEST

START_TEST(addresses_convert_from_bytes_and_to_bytes) {
    const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 7};
    uint8_t out[16];
    const struct address expected = parse("192.0.2.7:1");
    struct address a = address_from_bytes(mapped, 16, 1);
    ck_assert(address_is_equal(&a, &expected));
    a = address_from_bytes(mapped + 12, 4, 1);
    ck_assert(address_is_equal(&a, &expected));
    address_to_ipv6(&a, out);
    ck_assert_mem_eq(out, mapped, 16);
    a = parse("[2001:db8::7]:1");
    address_to_ipv6(&a, out);
    const struct address again = address_from_bytes(out, 16, 1);
    ck_assert(address_is_equal(&a, &again));
}
END_TEST

/* --- questions --- */

START_TEST(addresses_are_equal_only_if_every_field_is) {
    const struct address a = parse("[fe80::1%lo]:1");
    struct address b = a;
    ck_assert(address_is_equal(&a, &b));
    b.port = 2;
    ck_assert(!address_is_equal(&a, &b));
    b = a;
    b.scope = 0;
    ck_assert(!address_is_equal(&a, &b));
    b = a;
    b.bytes[15] = 2;
    ck_assert(!address_is_equal(&a, &b));
    const struct address any4 = parse("0.0.0.0:1"), any6 = parse("[::]:1");
    ck_assert(!address_is_equal(&any4, &any6));
}
END_TEST

START_TEST(loopback_and_any_are_recognised) {
    static const struct {
        const char *host;
        bool loopback, any;
    } hosts[] = {
        {"127.0.0.1", true, false}, {"127.255.0.9", true, false}, {"::ffff:127.0.0.1", true, false},
        {"::1", true, false},       {"126.0.0.1", false, false},  {"::2", false, false},
        {"7f00::", false, false},   {"0.0.0.0", false, true},     {"::", false, true},
    };
    for (int i = 0; i < COUNT(hosts); i++) {
        const struct address a = parse_host(hosts[i].host);
        ck_assert_msg(address_is_loopback(&a) == hosts[i].loopback, "%s", hosts[i].host);
        ck_assert_msg(address_is_any(&a) == hosts[i].any, "%s", hosts[i].host);
    }
    const struct address none = {0};
    ck_assert(!address_is_loopback(&none) && !address_is_any(&none));
}
END_TEST

START_TEST(a_client_is_counted_by_ipv4_address_or_ipv6_64) {
    static const struct {
        const char *one, *other;
        bool same;
    } pairs[] = {
        {"192.0.2.7:1", "192.0.2.7:2", true},
        {"192.0.2.7:1", "[::ffff:192.0.2.7]:2", true},
        {"192.0.2.7:1", "192.0.2.8:1", false},
        {"[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff:ffff:ffff:ffff]:2", true},
        {"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1", false},
        {"[fe80::1%lo]:1", "[fe80::2]:1", true},
        {"0.0.0.0:1", "[::]:1", false},
    };
    for (int i = 0; i < COUNT(pairs); i++) {
        const struct address one = parse(pairs[i].one), other = parse(pairs[i].other);
        const struct address a = address_client_key(&one), b = address_client_key(&other);
        ck_assert_msg(address_is_equal(&a, &b) == pairs[i].same, "%s", pairs[i].one);
    }
}
END_TEST

/* --- networks --- */

static const struct {
    const char *given;
    enum address_family family;
    unsigned prefix;
    const char *inside, *outside; /* NULL: none of that family is outside */
} networks[] = {
    {"10.0.0.0/8", ADDRESS_IPV4, 8, "10.255.255.255", "11.0.0.0"},
    {"192.0.2.7", ADDRESS_IPV4, 32, "192.0.2.7", "192.0.2.6"},
    {"192.0.2.128/25", ADDRESS_IPV4, 25, "192.0.2.200", "192.0.2.127"},
    {"192.0.2.128/25", ADDRESS_IPV4, 25, "::ffff:192.0.2.200", "::ffff:192.0.2.127"},
    {"0.0.0.0/0", ADDRESS_IPV4, 0, "255.255.255.255", "::"},
    {"2001:db8::/32", ADDRESS_IPV6, 32, "2001:db8:ffff::1", "2001:db9::"},
    {"2001:db8::/33", ADDRESS_IPV6, 33, "2001:db8:7fff::1", "2001:db8:8000::"},
    {"::1", ADDRESS_IPV6, 128, "::1", "::"},
    {"::/0", ADDRESS_IPV6, 0, "2001:db8::1", "192.0.2.1"}, /* IPv6 alone */
    {"::ffff:10.0.0.0/104", ADDRESS_IPV4, 8, "10.1.2.3", "11.1.2.3"},
    {"::ffff:192.0.2.7", ADDRESS_IPV4, 32, "192.0.2.7", "192.0.2.8"},
    {"::ffff:0.0.0.0/96", ADDRESS_IPV4, 0, "192.0.2.8", "2001:db8::1"},
    {"::/80", ADDRESS_IPV6, 80, "::fffe:0:1", "192.0.2.8"},
};

START_TEST(a_network_contains_the_addresses_of_its_prefix) {
    struct address_network network;
    ck_assert_int_eq(address_parse_network(networks[_i].given, &network), ADDRESS_OK);
    ck_assert_int_eq(network.family, networks[_i].family);
    ck_assert_uint_eq(network.prefix, networks[_i].prefix);
    const struct address inside = parse_host(networks[_i].inside);
    const struct address outside = parse_host(networks[_i].outside);
    ck_assert(address_is_in(&inside, &network));
    ck_assert(!address_is_in(&outside, &network));
    const struct address none = {0};
    ck_assert(!address_is_in(&none, &network));
}
END_TEST

static const struct {
    const char *given;
    enum address_status status;
} refused_networks[] = {
    {"", ADDRESS_BAD_HOST},
    {"on", ADDRESS_BAD_HOST},
    {"/8", ADDRESS_BAD_HOST},
    {"10.0.0/8", ADDRESS_BAD_HOST},
    {"fe80::1%lo", ADDRESS_BAD_HOST},
    {"[::1]", ADDRESS_BAD_HOST},
    {"10.0.0.0/33", ADDRESS_BAD_PREFIX},
    {"10.0.0.0/", ADDRESS_BAD_PREFIX},
    {"10.0.0.0/-1", ADDRESS_BAD_PREFIX},
    {"10.0.0.0/8/8", ADDRESS_BAD_PREFIX},
    {"10.0.0.0/4294967304", ADDRESS_BAD_PREFIX},
    {"::/129", ADDRESS_BAD_PREFIX},
    {"10.0.0.1/8", ADDRESS_HOST_BITS},
    {"192.0.2.128/24", ADDRESS_HOST_BITS},
    {"0.0.0.1/0", ADDRESS_HOST_BITS},
    {"2001:db8::1/64", ADDRESS_HOST_BITS},
    {"::ffff:192.0.2.1/120", ADDRESS_HOST_BITS},
    {"::ffff:0:0/80", ADDRESS_HOST_BITS},
};

START_TEST(text_that_is_not_a_network_is_refused_with_its_fault) {
    struct address_network network;
    ck_assert_int_eq(address_parse_network(refused_networks[_i].given, &network),
                     refused_networks[_i].status);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("address");
    TCase *test = tcase_create("address");
    tcase_add_loop_test(test, addresses_print_in_canonical_form, 0, COUNT(forms));
    tcase_add_loop_test(test, text_that_is_not_an_address_is_refused_with_its_fault, 0,
                        COUNT(refused));
    tcase_add_test(test, a_host_is_read_up_to_its_length);
    tcase_add_test(test, the_parts_of_an_address_need_not_be_numeric);
    tcase_add_test(test, an_absent_address_prints_as_a_dash);
    tcase_add_loop_test(test, an_address_survives_conversion_to_sockaddr_and_back, 0, COUNT(forms));
    tcase_add_test(test, a_mapped_sockaddr_becomes_ipv4);
    tcase_add_test(test, a_sockaddr_of_another_family_gives_no_address);
    tcase_add_test(test, addresses_convert_from_bytes_and_to_bytes);
    tcase_add_test(test, addresses_are_equal_only_if_every_field_is);
    tcase_add_test(test, loopback_and_any_are_recognised);
    tcase_add_test(test, a_client_is_counted_by_ipv4_address_or_ipv6_64);
    tcase_add_loop_test(test, a_network_contains_the_addresses_of_its_prefix, 0, COUNT(networks));
    tcase_add_loop_test(test, text_that_is_not_a_network_is_refused_with_its_fault, 0,
                        COUNT(refused_networks));
    suite_add_tcase(suite, test);
    return run_suite(suite, CK_FORK_GETENV);
}
