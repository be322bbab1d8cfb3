/* The ClientHello parser, over messages of real clients (tests/fuzz/corpus/client_hello), over
 * messages built here, and over both truncated and damaged. CORPUS is the folder of the corpora. */
#include "run.h"
#include "wire/client_hello.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELLO_ROOM 70000

/* ---- building ---- */

struct bytes {
    size_t len;
    uint8_t data[HELLO_ROOM];
};

static void put(struct bytes *b, const void *data, size_t len) {
    ck_assert_uint_le(b->len + len, sizeof b->data);
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void put_u8(struct bytes *b, unsigned value) {
    put(b, &(uint8_t){(uint8_t)value}, 1);
}

static void put_u16(struct bytes *b, size_t value) {
    put_u8(b, (unsigned)(value >> 8));
    put_u8(b, (unsigned)(value & 0xff));
}

static void put_extension(struct bytes *b, unsigned type, const void *content, size_t len) {
    put_u16(b, type);
    put_u16(b, len);
    put(b, content, len);
}

#define EXTENSION(b, type, ...)                                                                    \
    put_extension(b, type, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

struct recipe {
    unsigned version;
    size_t session_id_len;
    const uint16_t *suites;
    size_t suite_count;
    const struct bytes *extensions; /* NULL: neither extensions nor their length */
};

static void put_message(struct bytes *b, const struct recipe *recipe) {
    static struct bytes body;
    const uint8_t zeros[256] = {0};

    body.len = 0;
    put_u16(&body, recipe->version);
    put(&body, zeros, 32);
    put_u8(&body, (unsigned)recipe->session_id_len);
    put(&body, zeros, recipe->session_id_len);
    put_u16(&body, recipe->suite_count * 2);
    for (size_t i = 0; i < recipe->suite_count; i++) {
        put_u16(&body, recipe->suites[i]);
    }
    put(&body, "\1\0", 2);
    if (recipe->extensions != NULL) {
        put_u16(&body, recipe->extensions->len);
        put(&body, recipe->extensions->data, recipe->extensions->len);
    }
    put_u8(b, 1);
    put_u8(b, (unsigned)(body.len >> 16));
    put_u16(b, body.len & 0xffff);
    put(b, body.data, body.len);
}

/* Cuts the message into records of `size` bytes. */
static void put_records(struct bytes *b, const uint8_t *message, size_t len, size_t size) {
    for (size_t at = 0; at < len; at += size) {
        const size_t part = len - at < size ? len - at : size;
        put(b, "\x16\x03\x01", 3);
        put_u16(b, part);
        put(b, message + at, part);
    }
}

static void build(struct bytes *b, const struct recipe *recipe) {
    static struct bytes message;
    message.len = 0;
    put_message(&message, recipe);
    b->len = 0;
    put_records(b, message.data, message.len, 16384);
}

static const uint16_t ecdhe_rsa_gcm[] = {0xC02F};
static const uint16_t tls13_suites[] = {0x1301, 0x1302, 0x1303};
static const uint16_t both_gcm[] = {0xC02B, 0xC02F};

/* As BearSSL's client in an ESP8266 sends it: one suite, P-256 alone, 1 KB fragments. */
static void build_bearssl(struct bytes *b) {
    static struct bytes extensions;
    extensions.len = 0;
    EXTENSION(&extensions, 0, 0, 13, 0, 0, 10, 'M', 'q', 't', 't', '.', 'L', 'o', 'c', 'a', 'l');
    EXTENSION(&extensions, 1, 2);
    EXTENSION(&extensions, 13, 0, 4, 4, 1, 4, 3);
    EXTENSION(&extensions, 10, 0, 2, 0, 23);
    EXTENSION(&extensions, 11, 1, 0);
    build(b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
}

/* ---- checking ---- */

/* Exact-size copies, so that AddressSanitizer finds a read past the end. */
static enum client_hello_status parse(const uint8_t *data, size_t len, struct client_hello *out) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, len);
    const enum client_hello_status status = client_hello_parse(copy, len, out);
    free(copy);
    return status;
}

static enum client_hello_status status_of(const struct bytes *b) {
    struct client_hello hello;
    return parse(b->data, b->len, &hello);
}

static void refused_with(const struct bytes *b, unsigned alert) {
    struct client_hello hello;
    ck_assert_int_eq(parse(b->data, b->len, &hello), CLIENT_HELLO_BAD);
    ck_assert_uint_eq(hello.alert, alert);
}

static void check_same(const struct client_hello *a, const struct client_hello *b) {
    ck_assert_str_eq(a->server_name, b->server_name);
    ck_assert_uint_eq(a->offers_tls12, b->offers_tls12);
    ck_assert_uint_eq(a->offers_tls13, b->offers_tls13);
    ck_assert_uint_eq(a->ecdsa_tls12, b->ecdsa_tls12);
    ck_assert_uint_eq(a->ecdsa_tls13, b->ecdsa_tls13);
    ck_assert_uint_eq(a->rsa_tls12, b->rsa_tls12);
    ck_assert_uint_eq(a->rsa_tls13, b->rsa_tls13);
    ck_assert_uint_eq(a->ecdsa_p384, b->ecdsa_p384);
    ck_assert_uint_eq(a->max_fragment, b->max_fragment);
    ck_assert_uint_eq(a->has_session_id, b->has_session_id);
    ck_assert_uint_eq(a->has_ticket, b->has_ticket);
}

/* Every prefix needs more bytes, and the size of the records makes no difference. */
static void check_cuts(const struct bytes *b) {
    static struct bytes cut;
    struct client_hello whole, hello;

    ck_assert_int_eq(parse(b->data, b->len, &whole), CLIENT_HELLO_OK);
    for (size_t len = 0; len < b->len; len++) {
        ck_assert_int_eq(parse(b->data, len, &hello), CLIENT_HELLO_MORE);
    }
    const size_t message_len = b->len - 5;
    for (size_t size = (message_len + 127) / 128; size <= message_len; size++) {
        cut.len = 0;
        put_records(&cut, b->data + 5, message_len, size);
        ck_assert_int_eq(parse(cut.data, cut.len, &hello), CLIENT_HELLO_OK);
        check_same(&whole, &hello);
        ck_assert_int_eq(parse(cut.data, cut.len - 1, &hello), CLIENT_HELLO_MORE);
        put(&cut, "\x14\x03\x03\0\1\1", 6); /* bytes after the message */
        ck_assert_int_eq(parse(cut.data, cut.len, &hello), CLIENT_HELLO_OK);
    }
}

static void read_capture(const char *name, struct bytes *b) {
    char path[4096];
    snprintf(path, sizeof path, "%s/client_hello/%s", CORPUS, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s", path);
    b->len = fread(b->data, 1, sizeof b->data, file);
    fclose(file);
}

struct capture {
    const char *file;
    struct client_hello hello;
};

static const struct capture captures[] = {
    {"openssl-tls13",
     {.server_name = "mqtt.example.org",
      .offers_tls12 = true,
      .offers_tls13 = true,
      .ecdsa_tls12 = true,
      .ecdsa_tls13 = true,
      .rsa_tls12 = true,
      .rsa_tls13 = true,
      .ecdsa_p384 = true,
      .has_session_id = true}},
    {"openssl-tls12",
     {.server_name = "mqtt.example.org",
      .offers_tls12 = true,
      .ecdsa_tls12 = true,
      .rsa_tls12 = true,
      .ecdsa_p384 = true}},
    {"openssl-nosni-maxfrag",
     {.offers_tls12 = true,
      .ecdsa_tls12 = true,
      .rsa_tls12 = true,
      .ecdsa_p384 = true,
      .max_fragment = 1024}},
    {"openssl-tls11", {.server_name = ""}},
    {"openssl-resume-tls1_2",
     {.server_name = "mqtt.example.org",
      .offers_tls12 = true,
      .ecdsa_tls12 = true,
      .rsa_tls12 = true,
      .ecdsa_p384 = true,
      .has_session_id = true,
      .has_ticket = true}},
    {"openssl-resume-tls1_3",
     {.server_name = "mqtt.example.org",
      .offers_tls13 = true,
      .ecdsa_tls13 = true,
      .rsa_tls13 = true,
      .ecdsa_p384 = true,
      .has_session_id = true,
      .has_ticket = true}},
    {"gnutls",
     {.server_name = "mqtt.example.org",
      .offers_tls12 = true,
      .offers_tls13 = true,
      .ecdsa_tls12 = true,
      .ecdsa_tls13 = true,
      .rsa_tls12 = true,
      .rsa_tls13 = true,
      .ecdsa_p384 = true,
      .has_session_id = true}},
    {"gnutls-tls12",
     {.server_name = "mqtt.example.org",
      .offers_tls12 = true,
      .ecdsa_tls12 = true,
      .rsa_tls12 = true,
      .ecdsa_p384 = true}},
    {"gnutls-rsa-only",
     {.server_name = "mqtt.example.org", .offers_tls12 = true, .rsa_tls12 = true}},
    {"java",
     {.server_name = "mqtt.example.org",
      .offers_tls12 = true,
      .offers_tls13 = true,
      .ecdsa_tls12 = true,
      .ecdsa_tls13 = true,
      .rsa_tls12 = true,
      .rsa_tls13 = true,
      .ecdsa_p384 = true,
      .has_session_id = true}},
    {"node",
     {.server_name = "mqtt.example.org",
      .offers_tls12 = true,
      .offers_tls13 = true,
      .ecdsa_tls12 = true,
      .ecdsa_tls13 = true,
      .rsa_tls12 = true,
      .rsa_tls13 = true,
      .ecdsa_p384 = true,
      .has_session_id = true}},
    {"mosquitto-pub",
     {.server_name = "localhost",
      .offers_tls12 = true,
      .offers_tls13 = true,
      .ecdsa_tls12 = true,
      .ecdsa_tls13 = true,
      .rsa_tls12 = true,
      .rsa_tls13 = true,
      .ecdsa_p384 = true,
      .has_session_id = true}},
};

START_TEST(real_clients_are_parsed) {
    static struct bytes b;
    struct client_hello hello;
    const struct capture *capture = &captures[_i];

    read_capture(capture->file, &b);
    ck_assert_msg(parse(b.data, b.len, &hello) == CLIENT_HELLO_OK, "%s", capture->file);
    check_same(&hello, &capture->hello);
    check_cuts(&b);
}
END_TEST

START_TEST(a_small_device_is_parsed) {
    static struct bytes b;
    struct client_hello hello;

    build_bearssl(&b);
    ck_assert_int_eq(parse(b.data, b.len, &hello), CLIENT_HELLO_OK);
    check_same(&hello, &(struct client_hello){.server_name = "mqtt.local",
                                              .offers_tls12 = true,
                                              .rsa_tls12 = true,
                                              .max_fragment = 1024});
    check_cuts(&b);
}
END_TEST

START_TEST(records_of_one_byte_are_joined) {
    static struct bytes b;
    static struct bytes cut;
    struct client_hello hello;

    build(&b, &(struct recipe){0x0303, 32, ecdhe_rsa_gcm, 1, NULL});
    put_records(&cut, b.data + 5, b.len - 5, 1);
    for (size_t len = 0; len < cut.len; len++) {
        ck_assert_int_eq(parse(cut.data, len, &hello), CLIENT_HELLO_MORE);
    }
    ck_assert_int_eq(parse(cut.data, cut.len, &hello), CLIENT_HELLO_OK);
    ck_assert(hello.rsa_tls12 && hello.has_session_id && !hello.offers_tls13);
}
END_TEST

START_TEST(more_than_2048_records_are_refused) {
    static struct bytes extensions, b, cut;
    static const uint8_t padding[2048];
    struct client_hello hello;

    put_extension(&extensions, 21, padding, sizeof padding);
    build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
    put_records(&cut, b.data + 5, b.len - 5, 1);
    ck_assert_int_eq(parse(cut.data, cut.len, &hello), CLIENT_HELLO_BAD);
    ck_assert_int_eq(parse(cut.data, 2048 * 6 - 1, &hello), CLIENT_HELLO_MORE);
    ck_assert_int_eq(parse(cut.data, 2048 * 6, &hello), CLIENT_HELLO_BAD);
    ck_assert_uint_eq(hello.alert, 50);
}
END_TEST

START_TEST(what_is_not_tls_is_recognised_by_its_first_bytes) {
    static const struct {
        const char *bytes;
        size_t len;
    } others[] = {
        {"GET / HTTP/1.1\r\n", 1},
        {"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0", 1},
        {"\x80\x2e\1\0\2", 1}, /* SSLv2 */
        {"\x15\x02", 2},
        {"\x16\x02", 2},
        {"\x16\xfe\xff", 2}, /* DTLS */
        {"\0", 1},
    };
    struct client_hello hello;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)others[i].bytes;
        ck_assert_int_eq(parse(bytes, others[i].len, &hello), CLIENT_HELLO_NOT_TLS);
        ck_assert_int_eq(parse(bytes, others[i].len - 1, &hello), CLIENT_HELLO_MORE);
    }
}
END_TEST

START_TEST(other_messages_and_records_are_refused) {
    static const struct {
        const char *bytes;
        size_t len; /* the length at which it is recognised */
        uint8_t alert;
    } wrong[] = {
        {"\x15\x03", 2, 10},                            /* an alert first */
        {"\x17\x03", 2, 10},                            /* data first */
        {"\x16\x03\x01\0\0", 5, 10},                    /* no content */
        {"\x16\x03\x01\x40\x01", 5, 22},                /* more than a record may hold */
        {"\x16\x03\x01\0\1\2", 6, 10},                  /* a ServerHello */
        {"\x16\x03\x01\0\x10\1\0\x40\0", 9, 50},        /* over CLIENT_HELLO_MAX */
        {"\x16\x03\x01\0\x10\1\xff\xff\xff", 9, 50},    /* likewise */
        {"\x16\x03\x01\0\x10\1\0\0\xb", 9, 10},         /* bytes after the message */
        {"\x16\x03\x01\0\1\1\x14\x03", 8, 10},          /* another record in between */
        {"\x16\x03\x01\0\1\1\x16\x02", 8, 10},          /* another version in between */
        {"\x16\x03\x01\0\1\1\x16\x03\x01\0\0", 11, 10}, /* no content later */
    };
    struct client_hello hello;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)wrong[i].bytes;
        ck_assert_int_eq(parse(bytes, wrong[i].len, &hello), CLIENT_HELLO_BAD);
        ck_assert_uint_eq(hello.alert, wrong[i].alert);
        ck_assert_int_eq(parse(bytes, wrong[i].len - 1, &hello), CLIENT_HELLO_MORE);
    }
}
END_TEST

START_TEST(the_largest_message_passes_and_one_more_byte_does_not) {
    static struct bytes extensions, b;
    static const uint8_t padding[CLIENT_HELLO_MAX];
    struct client_hello hello;
    const size_t rest = 4 + 2 + 32 + 1 + 2 + 2 + 2 + 2 + 4;

    for (size_t more = 0; more < 2; more++) {
        extensions.len = 0;
        put_extension(&extensions, 21, padding, CLIENT_HELLO_MAX - rest + more);
        build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
        ck_assert_int_eq(parse(b.data, b.len, &hello), more ? CLIENT_HELLO_BAD : CLIENT_HELLO_OK);
    }
    extensions.len = 0;
    put_extension(&extensions, 21, padding, CLIENT_HELLO_MAX - rest);
    build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
    static struct bytes cut;
    put_records(&cut, b.data + 5, b.len - 5, 128);
    ck_assert_int_eq(parse(cut.data, cut.len, &hello), CLIENT_HELLO_OK);
}
END_TEST

/* The session id's, the extensions', an extension's, the list's and the name's length, with every
 * other value. (Not the suites' and the compressions': with one value of those, what follows
 * happens to be well formed again.) */
START_TEST(lengths_that_do_not_fit_are_refused) {
    static struct bytes b;
    build_bearssl(&b);
    static const size_t lengths[] = {5 + 4 + 34, 5 + 4 + 42, 5 + 4 + 46, 5 + 4 + 48, 5 + 4 + 51};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        const uint8_t was = b.data[lengths[i]];
        for (unsigned value = 0; value < 256; value++) {
            b.data[lengths[i]] = (uint8_t)value;
            ck_assert_msg(value == was || status_of(&b) == CLIENT_HELLO_BAD, "at %zu: %u",
                          lengths[i], value);
        }
        b.data[lengths[i]] = was;
    }
}
END_TEST

START_TEST(a_message_cut_short_is_refused) {
    static struct bytes b, message, cut;
    build_bearssl(&b);
    for (size_t len = 4; len < b.len - 5; len++) {
        message.len = 0;
        put(&message, b.data + 5, len);
        message.data[2] = (uint8_t)((len - 4) >> 8);
        message.data[3] = (uint8_t)((len - 4) & 0xff);
        cut.len = 0;
        put_records(&cut, message.data, message.len, 16384);
        /* Without its extensions it is a complete ClientHello, as old clients send. */
        const bool whole = len == 4 + 2 + 32 + 1 + 2 + 2 + 2;
        ck_assert_int_eq(status_of(&cut), whole ? CLIENT_HELLO_OK : CLIENT_HELLO_BAD);
    }
}
END_TEST

START_TEST(bytes_after_the_extensions_are_refused) {
    static struct bytes b, message, longer;
    build_bearssl(&b);
    put(&message, b.data + 5, b.len - 5);
    put_u8(&message, 0);
    message.data[3]++;
    put_records(&longer, message.data, message.len, 16384);
    ck_assert_int_eq(status_of(&longer), CLIENT_HELLO_BAD);
}
END_TEST

START_TEST(the_same_extension_twice_is_refused) {
    static const unsigned types[] = {0, 1, 10, 13, 16, 21, 43, 0x0a0a, 0xff01, 0xffff};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        static struct bytes extensions, b;
        static const char *const contents[] = {"\0\4\0\0\1a", "\1", "\0\2\0\x17", "\0\2\4\1",
                                               "\0\3\2h2",    "\0", "\2\3\4",     "\0",
                                               "\0",          "\0"};
        static const size_t lens[] = {6, 1, 4, 4, 5, 1, 3, 1, 1, 1};
        extensions.len = 0;
        put_extension(&extensions, types[i], contents[i], lens[i]);
        build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
        ck_assert_msg(status_of(&b) == CLIENT_HELLO_OK, "%u", types[i]);
        EXTENSION(&extensions, 23, 0);
        put_extension(&extensions, types[i], contents[i], lens[i]);
        build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
        refused_with(&b, 47);
    }
}
END_TEST

struct bad_extension {
    unsigned type;
    const char *content;
    size_t len;
};

static const struct bad_extension bad_extensions[] = {
    {0, "", 0},                     /* server_name: nothing */
    {0, "\0\0", 2},                 /* an empty list */
    {0, "\0\4\0\0\2a", 6},          /* a name longer than the list */
    {0, "\0\3\0\0\1a", 6},          /* a list shorter than the name */
    {0, "\0\4\0\0\1aa", 7},         /* bytes after the list */
    {0, "\0\x8\0\0\1a\0\0\1b", 10}, /* two host names */
    {0, "\0\1\0", 3},               /* a type alone */
    {1, "", 0},                     /* max_fragment_length: nothing */
    {1, "\1\1", 2},                 /* two */
    {10, "", 0},                    /* supported_groups: nothing */
    {10, "\0\0", 2},                /* an empty list */
    {10, "\0\1\0", 3},              /* half a group */
    {10, "\0\4\0\x17", 4},          /* a list longer than the extension */
    {10, "\0\2\0\x17\0", 5},        /* bytes after the list */
    {11, "", 0},                    /* ec_point_formats: nothing */
    {11, "\0", 1},                  /* an empty list */
    {11, "\2\0", 2},                /* a list longer than the extension */
    {11, "\1\0\0", 3},              /* bytes after the list */
    {16, "", 0},                    /* protocols: nothing */
    {16, "\0\0", 2},                /* an empty list */
    {16, "\0\1\0", 3},              /* an empty name (RFC 7301 3.1) */
    {16, "\0\4\2h2\0", 6},          /* after another */
    {16, "\0\3\3h2", 5},            /* a name longer than the list */
    {16, "\0\4\2h2", 5},            /* a list longer than the extension */
    {16, "\0\3\2h2\0", 6},          /* bytes after the list */
    {13, "\0\0", 2},                /* signature_algorithms likewise */
    {13, "\0\3\4\3\4", 5},
    {13, "\0\2\4\3\4", 5},
    {43, "", 0}, /* supported_versions likewise */
    {43, "\0", 1},
    {43, "\3\3\4\3", 4},
    {43, "\2\3\4\3", 4},
    {43, "\4\3\4", 3},
};

START_TEST(a_malformed_extension_is_refused) {
    static struct bytes extensions, b;
    const struct bad_extension *bad = &bad_extensions[_i];
    extensions.len = 0;
    put_extension(&extensions, bad->type, bad->content, bad->len);
    build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
    /* RFC 6066 3: one name of a type. */
    const bool two_names = bad->type == 0 && bad->len == 10;
    refused_with(&b, two_names ? 47 : 50);
}
END_TEST

START_TEST(a_session_id_over_32_bytes_and_no_suites_are_refused) {
    static struct bytes b;
    build(&b, &(struct recipe){0x0303, 32, ecdhe_rsa_gcm, 1, NULL});
    ck_assert_int_eq(status_of(&b), CLIENT_HELLO_OK);
    build(&b, &(struct recipe){0x0303, 33, ecdhe_rsa_gcm, 1, NULL});
    refused_with(&b, 50);
    build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 0, NULL});
    refused_with(&b, 50);
}
END_TEST

static void name_of(const char *name, size_t len, struct client_hello *hello) {
    static struct bytes extensions, content, b;
    content.len = extensions.len = 0;
    put_u16(&content, len + 3);
    put_u8(&content, 0);
    put_u16(&content, len);
    put(&content, name, len);
    put_extension(&extensions, 0, content.data, content.len);
    build(&b, &(struct recipe){0x0303, 0, ecdhe_rsa_gcm, 1, &extensions});
    memset(hello, 0xee, sizeof *hello);
    ck_assert_int_eq(parse(b.data, b.len, hello), CLIENT_HELLO_OK);
}

START_TEST(a_server_name_is_lower_case_without_its_dot_or_empty) {
    struct client_hello hello;
    char long_name[257];

    name_of("MQTT_1.Example-A.ORG.", 21, &hello);
    ck_assert_str_eq(hello.server_name, "mqtt_1.example-a.org");
    name_of("192.0.2.1", 9, &hello);
    ck_assert_str_eq(hello.server_name, "192.0.2.1");
    static const char *const implausible[] = {
        "", ".", "a b", "a/b", "x\nsession end", "m\xc3\xb6", "[::1]", "*.example.org"};
    for (size_t i = 0; i < sizeof implausible / sizeof implausible[0]; i++) {
        name_of(implausible[i], strlen(implausible[i]), &hello);
        ck_assert_str_eq(hello.server_name, "");
    }
    name_of("a\0b", 3, &hello);
    ck_assert_str_eq(hello.server_name, "");

    memset(long_name, 'a', sizeof long_name);
    name_of(long_name, 255, &hello);
    ck_assert_uint_eq(strlen(hello.server_name), 255);
    name_of(long_name, 256, &hello);
    ck_assert_str_eq(hello.server_name, "");
}
END_TEST

static void offer_of(const struct recipe *recipe, struct client_hello *hello) {
    static struct bytes b;
    build(&b, recipe);
    ck_assert_int_eq(parse(b.data, b.len, hello), CLIENT_HELLO_OK);
}

START_TEST(absent_algorithms_and_groups_mean_any_in_tls12) {
    struct client_hello hello;
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, NULL}, &hello);
    ck_assert(hello.offers_tls12 && hello.ecdsa_tls12 && hello.rsa_tls12 && hello.ecdsa_p384);
    ck_assert(!hello.offers_tls13 && !hello.ecdsa_tls13 && !hello.rsa_tls13);
    offer_of(&(struct recipe){0x0302, 0, both_gcm, 2, NULL}, &hello);
    ck_assert(!hello.offers_tls12 && !hello.ecdsa_tls12 && !hello.rsa_tls12 && !hello.ecdsa_p384);
}
END_TEST

START_TEST(ecdsa_in_tls12_needs_p256_and_an_algorithm) {
    static struct bytes extensions;
    struct client_hello hello;

    EXTENSION(&extensions, 10, 0, 2, 0, 29); /* X25519 alone */
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert(!hello.ecdsa_tls12 && hello.rsa_tls12);

    extensions.len = 0;
    EXTENSION(&extensions, 10, 0, 4, 0, 23, 0, 24);
    EXTENSION(&extensions, 13, 0, 4, 4, 1, 2, 3); /* ECDSA with SHA-1 alone */
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert(!hello.ecdsa_tls12 && hello.rsa_tls12 && !hello.ecdsa_p384);

    extensions.len = 0;
    EXTENSION(&extensions, 10, 0, 2, 0, 23);
    EXTENSION(&extensions, 13, 0, 4, 4, 3, 5, 3);
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert(hello.ecdsa_tls12 && !hello.rsa_tls12 && !hello.ecdsa_p384);
}
END_TEST

START_TEST(the_groups_that_we_know_are_noted) {
    static struct bytes extensions;
    struct client_hello hello;

    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, NULL}, &hello);
    ck_assert(!hello.groups_given && hello.groups == 0);
    EXTENSION(&extensions, 10, 0, 4, 0, 25, 0x0a, 0x0a);
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert(hello.groups_given && hello.groups == 0);
    extensions.len = 0;
    EXTENSION(&extensions, 10, 0, 10, 0, 25, 0, 29, 0, 24, 0, 23, 0x11, 0xec);
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert_uint_eq(hello.groups, HELLO_X25519 | HELLO_P256 | HELLO_P384 | HELLO_X25519MLKEM768);
}
END_TEST

/* A share whose key's bytes have that value. */
static void put_share(struct bytes *list, unsigned group, size_t len, int value) {
    uint8_t key[2048];
    memset(key, value, len);
    put_extension(list, group, key, len);
}

static void shares_of(struct bytes *list, size_t promised, struct client_hello *hello) {
    static struct bytes content, extensions;
    content.len = extensions.len = 0;
    put_u16(&content, promised);
    put(&content, list->data, list->len);
    put_extension(&extensions, 51, content.data, content.len);
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, hello);
}

START_TEST(public_keys_of_x25519_are_noted) {
    static struct bytes list;
    struct client_hello hello;
    put_share(&list, 23, 65, 1);
    put_share(&list, 0x11ec, 1184 + 32, 2);
    put_share(&list, 29, 32, 5);
    put_share(&list, 29, 32, 3); /* the last one counts */
    memset(list.data + list.len - 32, 4, 31);
    shares_of(&list, list.len, &hello);
    ck_assert(hello.x25519.given && hello.hybrid.given);
    ck_assert(hello.x25519.key[0] == 4 && hello.x25519.key[31] == 3);
    ck_assert(hello.hybrid.key[0] == 2 && hello.hybrid.key[31] == 2);
}
END_TEST

/* What is wrong with them is for the TLS library to say. */
START_TEST(public_keys_of_a_wrong_length_are_passed_over) {
    static struct bytes list;
    struct client_hello hello;
    put_share(&list, 29, 31, 1);
    put_share(&list, 29, 33, 1);
    put_share(&list, 0x11ec, 1184, 1);
    put_share(&list, 0x11ec, 32, 1);
    shares_of(&list, list.len, &hello);
    ck_assert(!hello.x25519.given && !hello.hybrid.given);
}
END_TEST

START_TEST(a_list_of_keys_that_is_cut_is_passed_over) {
    static struct bytes list;
    struct client_hello hello;
    put_share(&list, 29, 32, 1);
    list.len--;
    shares_of(&list, list.len, &hello);
    ck_assert(!hello.x25519.given);
    shares_of(&list, list.len + 1, &hello);
    ck_assert(!hello.x25519.given);
}
END_TEST

START_TEST(protocols_are_noted_in_the_clients_order) {
    static struct bytes extensions;
    struct client_hello hello;

    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, NULL}, &hello);
    ck_assert_uint_eq(hello.protocols_len, 0);
    EXTENSION(&extensions, 16, 0, 8, 2, 'h', '2', 4, 'm', 'q', 't', 't');
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert_uint_eq(hello.protocols_len, 8);
    ck_assert_mem_eq(hello.protocols, "\2h2\4mqtt", 8);
}
END_TEST

/* Names of 2 bytes with their length: 170 fit in 512 bytes; and of one that does not fit, nothing.
 */
START_TEST(of_a_list_of_protocols_that_is_too_long_the_first_count) {
    static struct bytes list, extensions;
    struct client_hello hello;
    static const uint8_t rest[] = {1, 'x', 1, 'y', 1, 'z'};

    for (size_t names = 169; names <= 1000; names += names < 172 ? 1 : 400) {
        list.len = extensions.len = 0;
        put_u16(&list, names * 3 + sizeof rest);
        for (size_t i = 0; i < names; i++) {
            put(&list, "\2h2", 3);
        }
        put(&list, rest, sizeof rest);
        put_extension(&extensions, 16, list.data, list.len);
        offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
        ck_assert_uint_eq(hello.protocols_len, names == 169 ? 511 : names == 170 ? 512 : 510);
    }
}
END_TEST

START_TEST(tls13_is_decided_by_signature_algorithms_alone) {
    static struct bytes extensions;
    struct client_hello hello;

    EXTENSION(&extensions, 43, 4, 0x0a, 0x0a, 3, 4);
    EXTENSION(&extensions, 10, 0, 2, 0, 29);
    EXTENSION(&extensions, 13, 0, 4, 4, 3, 4, 1); /* TLS 1.3 has no PKCS #1 signatures */
    offer_of(&(struct recipe){0x0303, 32, tls13_suites, 3, &extensions}, &hello);
    ck_assert(hello.offers_tls13 && !hello.offers_tls12);
    ck_assert(hello.ecdsa_tls13 && !hello.rsa_tls13 && !hello.ecdsa_p384);

    extensions.len = 0;
    EXTENSION(&extensions, 43, 2, 3, 4);
    EXTENSION(&extensions, 13, 0, 4, 5, 3, 8, 4);
    offer_of(&(struct recipe){0x0303, 32, tls13_suites, 3, &extensions}, &hello);
    ck_assert(hello.ecdsa_tls13 && hello.rsa_tls13 && hello.ecdsa_p384);

    extensions.len = 0;
    EXTENSION(&extensions, 43, 2, 3, 4);
    offer_of(&(struct recipe){0x0303, 32, tls13_suites, 3, &extensions}, &hello);
    ck_assert(hello.offers_tls13 && !hello.ecdsa_tls13 && !hello.rsa_tls13);
}
END_TEST

START_TEST(cbc_suites_count_only_if_no_aead_suite_is_offered) {
    static const uint16_t ecdsa_cbc_rsa_gcm[] = {0xC023, 0xC02F};
    static const uint16_t ecdsa_cbc[] = {0xC009};
    static const uint16_t plain_rsa[] = {0x009C, 0x002F, 0x009E, 0xC031};
    struct client_hello hello;

    offer_of(&(struct recipe){0x0303, 0, ecdsa_cbc_rsa_gcm, 2, NULL}, &hello);
    ck_assert(!hello.ecdsa_tls12 && hello.rsa_tls12);
    offer_of(&(struct recipe){0x0303, 0, ecdsa_cbc, 1, NULL}, &hello);
    ck_assert(hello.ecdsa_tls12 && !hello.rsa_tls12);
    offer_of(&(struct recipe){0x0303, 0, plain_rsa, 4, NULL}, &hello);
    ck_assert(!hello.ecdsa_tls12 && !hello.rsa_tls12);
}
END_TEST

START_TEST(only_the_four_fragment_lengths_of_the_rfc_count) {
    static const uint16_t expected[] = {0, 512, 1024, 2048, 4096, 0};
    for (uint8_t code = 0; code < 6; code++) {
        static struct bytes extensions;
        struct client_hello hello;
        extensions.len = 0;
        put_extension(&extensions, 1, &code, 1);
        offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
        ck_assert_uint_eq(hello.max_fragment, expected[code]);
    }
}
END_TEST

START_TEST(an_empty_ticket_extension_does_not_count_as_a_ticket) {
    static struct bytes extensions;
    struct client_hello hello;
    put_extension(&extensions, 35, "", 0);
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert(!hello.has_ticket && !hello.has_session_id);
    extensions.len = 0;
    EXTENSION(&extensions, 35, 1, 2, 3);
    offer_of(&(struct recipe){0x0303, 0, both_gcm, 2, &extensions}, &hello);
    ck_assert(hello.has_ticket);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("client_hello");
    TCase *found = tcase_create("found"), *read = tcase_create("read");

    tcase_add_loop_test(found, real_clients_are_parsed, 0,
                        (int)(sizeof captures / sizeof captures[0]));
    tcase_add_test(found, a_small_device_is_parsed);
    tcase_add_test(found, records_of_one_byte_are_joined);
    tcase_add_test(found, more_than_2048_records_are_refused);
    tcase_add_test(found, what_is_not_tls_is_recognised_by_its_first_bytes);
    tcase_add_test(found, other_messages_and_records_are_refused);
    tcase_add_test(found, the_largest_message_passes_and_one_more_byte_does_not);
    suite_add_tcase(suite, found);
    tcase_add_test(read, lengths_that_do_not_fit_are_refused);
    tcase_add_test(read, a_message_cut_short_is_refused);
    tcase_add_test(read, bytes_after_the_extensions_are_refused);
    tcase_add_test(read, the_same_extension_twice_is_refused);
    tcase_add_loop_test(read, a_malformed_extension_is_refused, 0,
                        (int)(sizeof bad_extensions / sizeof bad_extensions[0]));
    tcase_add_test(read, a_session_id_over_32_bytes_and_no_suites_are_refused);
    tcase_add_test(read, a_server_name_is_lower_case_without_its_dot_or_empty);
    tcase_add_test(read, absent_algorithms_and_groups_mean_any_in_tls12);
    tcase_add_test(read, ecdsa_in_tls12_needs_p256_and_an_algorithm);
    tcase_add_test(read, the_groups_that_we_know_are_noted);
    tcase_add_test(read, public_keys_of_x25519_are_noted);
    tcase_add_test(read, public_keys_of_a_wrong_length_are_passed_over);
    tcase_add_test(read, a_list_of_keys_that_is_cut_is_passed_over);
    tcase_add_test(read, protocols_are_noted_in_the_clients_order);
    tcase_add_test(read, of_a_list_of_protocols_that_is_too_long_the_first_count);
    tcase_add_test(read, tls13_is_decided_by_signature_algorithms_alone);
    tcase_add_test(read, cbc_suites_count_only_if_no_aead_suite_is_offered);
    tcase_add_test(read, only_the_four_fragment_lengths_of_the_rfc_count);
    tcase_add_test(read, an_empty_ticket_extension_does_not_count_as_a_ticket);
    suite_add_tcase(suite, read);

    return run_suite(suite, CK_NOFORK);
}
