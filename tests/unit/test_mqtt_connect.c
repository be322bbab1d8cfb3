/* The CONNECT packet: parsed, refused, rewritten; and the headers of what follows it. */
#include "run.h"
#include "wire/mqtt_connect.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* ---- building ---- */

struct packet {
    size_t len;
    uint8_t data[70000];
};

static void put(struct packet *p, const void *data, size_t len) {
    ck_assert_uint_le(p->len + len, sizeof p->data);
    memcpy(p->data + p->len, data, len);
    p->len += len;
}

static void put_u8(struct packet *p, unsigned value) {
    put(p, &(uint8_t){(uint8_t)value}, 1);
}

static void put_string(struct packet *p, const void *text, size_t len) {
    put_u8(p, (unsigned)(len >> 8));
    put_u8(p, (unsigned)(len & 0xff));
    put(p, text, len);
}

static void put_length(struct packet *p, size_t len) {
    do {
        put_u8(p, (unsigned)(len & 0x7f) | (len > 0x7f ? 0x80 : 0));
        len >>= 7;
    } while (len > 0);
}

#define CLEAN    0x02u
#define WILL     0x04u
#define RETAIN   0x20u
#define PASSWORD 0x40u
#define USER     0x80u
#define BYTES(s) s, sizeof(s) - 1

struct blob {
    const char *data;
    size_t len;
};

/* A field that is NULL is absent. */
struct recipe {
    unsigned level;
    unsigned flags;
    const char *name; /* NULL: the one that fits the level */
    struct blob properties;
    const char *client_id;
    struct blob will_properties;
    const char *will_topic, *will_payload;
    const char *user_name, *password;
    size_t left_over;
};

static void put_properties(struct packet *p, struct blob properties) {
    put_length(p, properties.len);
    if (properties.len > 0) {
        put(p, properties.data, properties.len);
    }
}

static void put_optional(struct packet *p, const char *text) {
    if (text != NULL) {
        put_string(p, text, strlen(text));
    }
}

static void build(struct packet *p, const struct recipe *recipe) {
    static struct packet body;
    const char *name = recipe->name;
    const bool is_5 = (recipe->level & 0x7f) == 5;

    if (name == NULL) {
        name = (recipe->level & 0x7f) == 3 ? "MQIsdp" : "MQTT";
    }
    body.len = 0;
    put_string(&body, name, strlen(name));
    put_u8(&body, recipe->level);
    put_u8(&body, recipe->flags);
    put(&body, "\0\x3c", 2);
    if (is_5) {
        put_properties(&body, recipe->properties);
    }
    put_optional(&body, recipe->client_id);
    if (is_5 && recipe->will_topic != NULL) {
        put_properties(&body, recipe->will_properties);
    }
    put_optional(&body, recipe->will_topic);
    put_optional(&body, recipe->will_payload);
    put_optional(&body, recipe->user_name);
    put_optional(&body, recipe->password);
    for (size_t i = 0; i < recipe->left_over; i++) {
        put_u8(&body, 0);
    }
    p->len = 0;
    put_u8(p, 0x10);
    put_length(p, body.len);
    put(p, body.data, body.len);
}

/* Exact-size copy, so that AddressSanitizer finds a read past the end. */
static enum mqtt_fault fault_of(const struct packet *p) {
    struct mqtt_connect connect;
    uint8_t *copy = malloc(p->len > 0 ? p->len : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, p->data, p->len);
    const enum mqtt_fault fault = mqtt_connect_parse(copy, p->len, &connect);
    free(copy);
    return fault;
}

static enum mqtt_fault fault_of_recipe(const struct recipe *recipe) {
    static struct packet p;
    build(&p, recipe);
    return fault_of(&p);
}

static bool text_is(struct mqtt_text text, const char *expected) {
    return text.data != NULL && text.len == strlen(expected) &&
           memcmp(text.data, expected, text.len) == 0;
}

/* ---- what passes ---- */

static const struct recipe good[] = {
    {.level = 3, .flags = CLEAN, .client_id = "c"},
    {.level = 4, .flags = CLEAN, .client_id = "device"},
    {.level = 4, .flags = 0, .client_id = "device"},
    {.level = 4, .flags = CLEAN, .client_id = ""},
    {.level = 5, .flags = CLEAN, .client_id = "device"},
    {.level = 5, .flags = 0, .client_id = ""},
    {.level = 0x83, .flags = CLEAN, .client_id = "bridge"},
    {.level = 0x84, .flags = CLEAN, .client_id = "bridge"},
    {.level = 3, .flags = CLEAN, .client_id = "longer-than-the-23-characters-of-3.1"},
    {.level = 4, .flags = CLEAN | USER, .client_id = "d", .user_name = "u"},
    {.level = 4, .flags = CLEAN | USER, .client_id = "d", .user_name = ""},
    {.level = 4,
     .flags = CLEAN | USER | PASSWORD,
     .client_id = "d",
     .user_name = "u",
     .password = "p"},
    {.level = 3,
     .flags = CLEAN | USER | PASSWORD,
     .client_id = "d",
     .user_name = "u",
     .password = "\xff\xfe"},
    {.level = 5, .flags = PASSWORD, .client_id = "d", .password = "token"},
    {.level = 4,
     .flags = WILL | RETAIN | 0x10,
     .client_id = "d",
     .will_topic = "tele/LWT",
     .will_payload = "Offline"},
    {.level = 3,
     .flags = WILL | USER | PASSWORD,
     .client_id = "d",
     .will_topic = "t",
     .will_payload = "",
     .user_name = "u",
     .password = ""},
    {.level = 5,
     .flags = WILL | USER | PASSWORD | 0x08,
     .client_id = "d",
     .properties = {BYTES("\x11\0\0\1\0\x21\0\5\x27\0\1\0\0\x22\0\1\x19\1\x17\0"
                          "\x26\0\1a\0\1b\x26\0\1a\0\1b")},
     .will_properties = {BYTES("\x18\0\0\0\1\1\1\2\0\0\0\2\3\0\1t\x8\0\1r\x9\0\2\0\xff"
                               "\x26\0\0\0\0")},
     .will_topic = "t",
     .will_payload = "w",
     .user_name = "u",
     .password = "p"},
    {.level = 5,
     .flags = WILL | USER | PASSWORD | 0x08,
     .client_id = "d",
     .properties = {BYTES("\x11\0\0\1\0\x21\0\5\x27\0\1\0\0\x22\0\1\x19\1\x17\0"
                          "\x26\0\1a\0\1b\x26\0\1a\0\1b\x15\0\3k8s\x16\0\2\0\xff")},
     .will_properties = {BYTES("\x18\0\0\0\1\1\1\2\0\0\0\2\3\0\1t\x8\0\1r\x9\0\2\0\xff"
                               "\x26\0\0\0\0")},
     .will_topic = "t",
     .will_payload = "w",
     .user_name = "u",
     .password = "p"},
    {.level = 4, .flags = CLEAN, .client_id = "m\xc3\xb6\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbb\xbf"},
};

START_TEST(what_the_specifications_allow_is_parsed) {
    static struct packet p;
    struct mqtt_connect connect;
    const struct recipe *recipe = &good[_i];
    size_t size;

    build(&p, recipe);
    ck_assert_int_eq(mqtt_connect_find(p.data, p.len, 65536, &size), MQTT_CONNECT_WHOLE);
    ck_assert_uint_eq(size, p.len);
    const enum mqtt_fault fault = mqtt_connect_parse(p.data, p.len, &connect);
    ck_assert_msg(fault == MQTT_FAULT_NONE, "%s", mqtt_fault_text(fault));
    ck_assert_uint_eq(connect.level, recipe->level & 0x7f);
    ck_assert_uint_eq(connect.bridge, recipe->level >= 0x80);
    ck_assert_uint_eq(connect.flags, recipe->flags);
    ck_assert_uint_eq(connect.keepalive_s, 60);
    ck_assert(text_is(connect.client_id, recipe->client_id));
    ck_assert(recipe->user_name == NULL ? connect.user_name.data == NULL
                                        : text_is(connect.user_name, recipe->user_name));
    ck_assert_uint_eq(connect.has_password, recipe->password != NULL);
    ck_assert_int_eq(fault_of(&p), MQTT_FAULT_NONE);
}
END_TEST

/* Cut anywhere, with its length field corrected, it is refused, since every field is needed. */
START_TEST(a_packet_cut_short_is_refused) {
    static struct packet whole, cut;
    build(&whole, &good[_i]);
    if (whole.len > 128) {
        return; /* the offsets below are for a length of one byte */
    }
    for (size_t len = 2; len < whole.len; len++) {
        cut.len = 0;
        put(&cut, whole.data, len);
        ck_assert_int_eq(fault_of(&cut), MQTT_FAULT_NOT_CONNECT);
        cut.data[1] = (uint8_t)(len - 2);
        ck_assert_int_ne(fault_of(&cut), MQTT_FAULT_NONE);
    }
    cut.len = 0;
    put(&cut, whole.data, whole.len);
    put_u8(&cut, 0);
    cut.data[1]++;
    ck_assert_int_eq(fault_of(&cut), MQTT_FAULT_LEFT_OVER);
}
END_TEST

/* ---- what does not ---- */

struct bad {
    enum mqtt_fault fault;
    struct recipe recipe;
};

static const struct bad bad[] = {
    {MQTT_FAULT_PROTOCOL, {.level = 2, .name = "MQIsdp", .client_id = "d"}},
    {MQTT_FAULT_PROTOCOL, {.level = 4, .name = "MQIsdp", .client_id = "d"}},
    {MQTT_FAULT_PROTOCOL, {.level = 3, .name = "MQTT", .client_id = "d"}},
    {MQTT_FAULT_PROTOCOL, {.level = 6, .client_id = "d"}},
    {MQTT_FAULT_PROTOCOL, {.level = 0x85, .client_id = "d"}},
    {MQTT_FAULT_PROTOCOL, {.level = 4, .name = "mqtt", .client_id = "d"}},
    {MQTT_FAULT_PROTOCOL, {.level = 4, .name = "MQTTX", .client_id = "d"}},
    {MQTT_FAULT_PROTOCOL, {.level = 4, .name = "MQT", .client_id = "d"}},
    {MQTT_FAULT_FLAGS, {.level = 4, .flags = CLEAN | 1, .client_id = "d"}},
    {MQTT_FAULT_FLAGS, {.level = 3, .flags = CLEAN | 1, .client_id = "d"}},
    {MQTT_FAULT_FLAGS,
     {.level = 4, .flags = WILL | 0x18, .client_id = "d", .will_topic = "t", .will_payload = ""}},
    {MQTT_FAULT_FLAGS, {.level = 4, .flags = 0x08, .client_id = "d"}},
    {MQTT_FAULT_FLAGS, {.level = 5, .flags = RETAIN, .client_id = "d"}},
    {MQTT_FAULT_FLAGS, {.level = 3, .flags = PASSWORD, .client_id = "d", .password = "p"}},
    {MQTT_FAULT_FLAGS, {.level = 4, .flags = PASSWORD, .client_id = "d", .password = "p"}},
    {MQTT_FAULT_CLIENT_ID, {.level = 3, .flags = CLEAN, .client_id = ""}},
    {MQTT_FAULT_CLIENT_ID, {.level = 4, .flags = 0, .client_id = ""}},
    {MQTT_FAULT_SHORT, {.level = 4, .flags = CLEAN | USER, .client_id = "d"}},
    {MQTT_FAULT_SHORT, {.level = 3, .flags = CLEAN | USER, .client_id = "d"}},
    {MQTT_FAULT_SHORT,
     {.level = 3, .flags = CLEAN | USER | PASSWORD, .client_id = "d", .user_name = "u"}},
    {MQTT_FAULT_SHORT, {.level = 4, .flags = WILL, .client_id = "d"}},
    {MQTT_FAULT_SHORT, {.level = 4, .flags = WILL, .client_id = "d", .will_topic = "t"}},
    {MQTT_FAULT_LEFT_OVER, {.level = 4, .flags = CLEAN, .client_id = "d", .user_name = "u"}},
    {MQTT_FAULT_LEFT_OVER, {.level = 4, .flags = CLEAN, .client_id = "d", .left_over = 1}},
    {MQTT_FAULT_WILL_TOPIC,
     {.level = 4, .flags = WILL, .client_id = "d", .will_topic = "", .will_payload = ""}},
    {MQTT_FAULT_WILL_TOPIC,
     {.level = 4, .flags = WILL, .client_id = "d", .will_topic = "a/+", .will_payload = ""}},
    {MQTT_FAULT_WILL_TOPIC,
     {.level = 5, .flags = WILL, .client_id = "d", .will_topic = "#", .will_payload = ""}},
    {MQTT_FAULT_UTF8,
     {.level = 4, .flags = WILL, .client_id = "d", .will_topic = "\xff", .will_payload = ""}},
    {MQTT_FAULT_UTF8, {.level = 4, .flags = USER, .client_id = "d", .user_name = "\xc0\x80"}},
};

START_TEST(what_the_specifications_forbid_is_refused) {
    const enum mqtt_fault fault = fault_of_recipe(&bad[_i].recipe);
    ck_assert_msg(fault == bad[_i].fault, "%s", mqtt_fault_text(fault));
}
END_TEST

/* A client that is a bridge of MQTT 5, in the bytes that Mosquitto 2.0 takes for it: it reads no
 * properties, so the user name is where we would not look for it. Seen with 2.0.11. */
START_TEST(level_0x85_cannot_hide_a_user_name) {
    static const char packet[] = "\x10\x17\0\4MQTT\x85\x82\0\x3c\0\1h\0\x8smuggled";
    static struct packet p;
    p.len = 0;
    put(&p, packet, sizeof packet - 1);
    ck_assert_int_eq(fault_of(&p), MQTT_FAULT_PROTOCOL);
    p.data[8] = 0x84; /* without that level it is valid */
    ck_assert_int_eq(fault_of(&p), MQTT_FAULT_NONE);
}
END_TEST

START_TEST(a_string_must_be_utf8) {
    static const struct {
        const char *text;
        size_t len;
        bool good;
    } texts[] = {
        {BYTES("\x7f"), true},
        {BYTES("\xc2\x80"), true},
        {BYTES("\xdf\xbf"), true},
        {BYTES("\xe0\xa0\x80"), true},
        {BYTES("\xed\x9f\xbf"), true},
        {BYTES("\xee\x80\x80"), true},
        {BYTES("\xef\xbf\xbf"), true},
        {BYTES("\xf0\x90\x80\x80"), true},
        {BYTES("\xf4\x8f\xbf\xbf"), true},
        {BYTES("a\0b"), false},
        {BYTES("\x80"), false},
        {BYTES("\xc0\x80"), false},
        {BYTES("\xc1\xbf"), false},
        {BYTES("\xc3"), false},
        {BYTES("\xc3\x41"), false},
        {BYTES("\xe0\x9f\xbf"), false},
        {BYTES("\xe2\x82"), false},
        {BYTES("\xe2\x28\xa1"), false},
        {BYTES("\xe2\x82\x28"), false},
        {BYTES("\xed\xa0\x80"), false},
        {BYTES("\xed\xbf\xbf"), false},
        {BYTES("\xf0\x8f\xbf\xbf"), false},
        {BYTES("\xf4\x90\x80\x80"), false},
        {BYTES("\xf0\x9f\x98"), false},
        {BYTES("\xf5\x80\x80\x80"), false},
        {BYTES("\xff"), false},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        static struct packet p;
        p.len = 0;
        put_u8(&p, 0x10);
        put_u8(&p, (unsigned)(12 + texts[i].len));
        put(&p, "\0\4MQTT\4\2\0\x3c", 10);
        put_string(&p, texts[i].text, texts[i].len);
        ck_assert_msg(fault_of(&p) == (texts[i].good ? MQTT_FAULT_NONE : MQTT_FAULT_UTF8), "%zu",
                      i);
    }
}
END_TEST

struct bad_properties {
    enum mqtt_fault fault;
    struct blob properties;
};

static const struct bad_properties bad_properties[] = {
    {MQTT_FAULT_PROPERTIES, {BYTES("\0\0")}},           /* no such property */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x01\1")}},         /* a property of a will */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x23\0\1")}},       /* a property of PUBLISH */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x91\0\0\0\0\1")}}, /* an identifier that is too long */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x11\0\0\0\1\x11\0\0\0\1")}}, /* doubled */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x21\0\0")}},                 /* a receive maximum of 0 */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x27\0\0\0\0")}},             /* a maximum packet size of 0 */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x17\2")}},                   /* neither 0 nor 1 */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x19\xff")}},
    {MQTT_FAULT_PROPERTIES, {BYTES("\x16\0\1x")}}, /* authentication data without a method */
    {MQTT_FAULT_SHORT, {BYTES("\x11\0\0\0")}},
    {MQTT_FAULT_SHORT, {BYTES("\x21\0")}},
    {MQTT_FAULT_SHORT, {BYTES("\x17")}},
    {MQTT_FAULT_SHORT, {BYTES("\x15\0\2x")}},
    {MQTT_FAULT_SHORT, {BYTES("\x26\0\1a")}},
    {MQTT_FAULT_SHORT, {BYTES("\x26\0\1a\0\2b")}},
    {MQTT_FAULT_UTF8, {BYTES("\x15\0\1\xff")}},
    {MQTT_FAULT_UTF8, {BYTES("\x26\0\1a\0\1\0")}},
};

START_TEST(properties_that_are_not_allowed_are_refused) {
    const struct bad_properties *b = &bad_properties[_i];
    const enum mqtt_fault fault = fault_of_recipe(
        &(struct recipe){.level = 5, .client_id = "d", .properties = b->properties});
    ck_assert_msg(fault == b->fault, "%s", mqtt_fault_text(fault));
}
END_TEST

static const struct bad_properties bad_will_properties[] = {
    {MQTT_FAULT_PROPERTIES, {BYTES("\x11\0\0\0\1")}}, /* a property of CONNECT */
    {MQTT_FAULT_PROPERTIES, {BYTES("\1\2")}},         /* payload format neither 0 nor 1 */
    {MQTT_FAULT_PROPERTIES, {BYTES("\1\1\1\1")}},     /* doubled */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x8\0\0")}},      /* an empty response topic */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x8\0\3a/#")}},   /* with wildcards */
    {MQTT_FAULT_PROPERTIES, {BYTES("\x8\0\3+/a")}},   {MQTT_FAULT_UTF8, {BYTES("\3\0\1\x80")}},
    {MQTT_FAULT_SHORT, {BYTES("\x18\0\0\0")}},        {MQTT_FAULT_SHORT, {BYTES("\x9\0\2\0")}},
};

START_TEST(will_properties_that_are_not_allowed_are_refused) {
    const struct bad_properties *b = &bad_will_properties[_i];
    const enum mqtt_fault fault =
        fault_of_recipe(&(struct recipe){.level = 5,
                                         .flags = WILL,
                                         .client_id = "d",
                                         .will_topic = "t",
                                         .will_payload = "",
                                         .will_properties = b->properties});
    ck_assert_msg(fault == b->fault, "%s", mqtt_fault_text(fault));
}
END_TEST

START_TEST(a_properties_length_must_be_short_and_fit) {
    static const struct {
        const char *bytes;
        size_t len;
        enum mqtt_fault fault;
    } packets[] = {
        {BYTES("\x10\x0e\0\4MQTT\5\2\0\x3c\0\0\1d"), MQTT_FAULT_NONE},
        {BYTES("\x10\x0f\0\4MQTT\5\2\0\x3c\x80\0\0\1d"), MQTT_FAULT_PROPERTIES},
        {BYTES("\x10\x0f\0\4MQTT\5\2\0\x3c\xff\xff\xff\xff\1"), MQTT_FAULT_PROPERTIES},
        {BYTES("\x10\x0e\0\4MQTT\5\2\0\x3c\x7f\0\1d"), MQTT_FAULT_SHORT},
        {BYTES("\x10\x0b\0\4MQTT\5\2\0\x3c\x80"), MQTT_FAULT_SHORT},
    };
    for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
        static struct packet p;
        p.len = 0;
        put(&p, packets[i].bytes, packets[i].len);
        ck_assert_int_eq(fault_of(&p), packets[i].fault);
    }
}
END_TEST

/* ---- incrementally ---- */

START_TEST(a_packet_is_complete_at_its_last_byte) {
    static struct packet p;
    size_t size;

    build(&p, &good[_i]);
    const size_t header = p.len > 129 ? 3 : 2;
    for (size_t len = 0; len < p.len; len++) {
        ck_assert_int_eq(mqtt_connect_find(p.data, len, 65536, &size), MQTT_CONNECT_MORE);
        ck_assert_uint_eq(size, len < header ? 0 : p.len);
    }
    const size_t whole = p.len;
    ck_assert_int_eq(mqtt_connect_find(p.data, whole, whole, &size), MQTT_CONNECT_WHOLE);
    ck_assert_int_eq(mqtt_connect_find(p.data, header, whole - 1, &size), MQTT_CONNECT_NOT_MQTT);
    put(&p, "\xc0\0", 2); /* what follows is ignored */
    ck_assert_int_eq(mqtt_connect_find(p.data, p.len, 65536, &size), MQTT_CONNECT_WHOLE);
    ck_assert_uint_eq(size, whole);
}
END_TEST

START_TEST(what_is_not_mqtt_is_recognised_early) {
    static const struct {
        const char *bytes;
        size_t len; /* the length at which it is recognised */
    } others[] = {
        {"GET / HTTP/1.1", 1},       {"\x16\x03\x01", 1},     {"\x11", 1},
        {"\x30\4\0\1tx", 1},         {"\x10\0", 2},           {"\x10\x0b", 2},
        {"\x10\x8c\0", 3},           /* 12, in more bytes than it needs */
        {"\x10\xff\xff\xff\xff", 5}, /* five bytes */
        {"\x10\xff\xff\x7f", 4},     /* over the limit */
        {"\x10\x14\0\5", 4},         /* a name of another length */
        {"\x10\x14\0\4H", 5},        {"\x10\x14\0\6MQTT", 7},
    };
    size_t size;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)others[i].bytes;
        ck_assert_msg(mqtt_connect_find(bytes, others[i].len - 1, 65536, &size) ==
                          MQTT_CONNECT_MORE,
                      "%zu", i);
        ck_assert_msg(mqtt_connect_find(bytes, others[i].len, 65536, &size) ==
                          MQTT_CONNECT_NOT_MQTT,
                      "%zu", i);
    }
}
END_TEST

/* ---- the client ID ---- */

/* Whether each rule lets that client ID pass for that identity. */
static const struct {
    const char *identity, *client_id;
    bool equal, prefix;
} client_ids[] = {
    {"device-1", "device-1", true, true},
    {"device-1", "device-1/", false, false}, /* and more is at least one character */
    {"device-1", "device-1/sub", false, true},
    {"device-1", "device-1/sub/2", false, true},
    {"device-1", "device-1//", false, true},
    {"device-1", "", false, false},
    {"device-1", "device-", false, false},
    {"device-1", "device-10", false, false},
    {"device-1", "device-10/x", false, false},
    {"device-1", "device-1-x", false, false},
    {"device-1", "device-2", false, false},
    {"device-1", "device-2/device-1", false, false},
    {"device-1", "Device-1", false, false},
    {"device-1", " device-1", false, false},
    {"device-1", "device-1 ", false, false},
    {"device-1", "device-1/a+", false, false},
    {"device-1", "device-1/#", false, false},
    {"device-1", "device-1/a\nb", false, false},
    {"device-1", "device-1/a\xe2\x80\x8b", false, false},
    {"a/b", "a/b", true, false}, /* with prefix this could be the identity a and more */
    {"a/b", "a/b/c", false, false},
    {"a", "a/b", false, true},
    {"ger\xc3\xa4t", "ger\xc3\xa4t", true, true},
    {"ger\xc3\xa4t", "ger\xc3\xa4t/\xc3\xbc", false, true},
    {"ger\xc3\xa4t", "gera\xcc\x88t", false, false}, /* looks the same */
};

static bool is_of(const struct packet *p, const char *identity, bool prefix) {
    struct mqtt_connect connect;
    ck_assert_int_eq(mqtt_connect_parse(p->data, p->len, &connect), MQTT_FAULT_NONE);
    return mqtt_client_id_is_of(&connect, (const uint8_t *)identity, strlen(identity), prefix);
}

START_TEST(a_client_id_is_bound_to_the_identity) {
    static const unsigned levels[] = {3, 4, 5, 0x83, 0x84};
    static struct packet p;
    const char *identity = client_ids[_i].identity, *client_id = client_ids[_i].client_id;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (client_id[0] == '\0' && (levels[i] & 0x7f) == 3) {
            continue; /* is not even valid */
        }
        build(&p, &(struct recipe){.level = levels[i], .flags = CLEAN, .client_id = client_id});
        ck_assert_msg(is_of(&p, identity, false) == client_ids[_i].equal, "%s", client_id);
        ck_assert_msg(is_of(&p, identity, true) == client_ids[_i].prefix, "%s", client_id);
    }
}
END_TEST

/* ---- rewriting ---- */

START_TEST(a_rewritten_packet_carries_the_identity_and_all_the_rest) {
    static struct packet p, expected;
    static uint8_t out[MQTT_CONNECT_REWRITTEN_MAX(1000, 16)];
    struct mqtt_connect connect;
    struct recipe recipe = good[_i];
    size_t out_size;

    build(&p, &recipe);
    ck_assert_int_eq(mqtt_connect_parse(p.data, p.len, &connect), MQTT_FAULT_NONE);
    const enum mqtt_fault fault =
        mqtt_connect_rewrite(p.data, &connect, (const uint8_t *)"gateway-7", 9, out, &out_size);
    if (connect.has_auth_method) {
        ck_assert_int_eq(fault, MQTT_FAULT_AUTH_METHOD);
        return;
    }
    ck_assert_int_eq(fault, MQTT_FAULT_NONE);
    recipe.user_name = "gateway-7";
    recipe.password = NULL;
    recipe.flags = (recipe.flags | USER) & ~PASSWORD;
    build(&expected, &recipe);
    ck_assert_uint_eq(out_size, expected.len);
    ck_assert_mem_eq(out, expected.data, out_size);
}
END_TEST

START_TEST(an_identity_of_any_possible_length_fits) {
    static struct packet p;
    static uint8_t identity[65537], out[MQTT_CONNECT_REWRITTEN_MAX(100, 65536)];
    static const size_t lens[] = {1, 100, 112, 113, 255, 16000, 16384, 65535};
    struct mqtt_connect connect, again;
    size_t out_size, size;

    memset(identity, 'i', sizeof identity);
    build(&p, &(struct recipe){.level = 4, .flags = CLEAN, .client_id = "d"});
    ck_assert_int_eq(mqtt_connect_parse(p.data, p.len, &connect), MQTT_FAULT_NONE);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        ck_assert_int_eq(mqtt_connect_rewrite(p.data, &connect, identity, lens[i], out, &out_size),
                         MQTT_FAULT_NONE);
        ck_assert_uint_le(out_size, MQTT_CONNECT_REWRITTEN_MAX(p.len, lens[i]));
        ck_assert_int_eq(mqtt_connect_find(out, out_size, 100000, &size), MQTT_CONNECT_WHOLE);
        ck_assert_uint_eq(size, out_size);
        ck_assert_int_eq(mqtt_connect_parse(out, out_size, &again), MQTT_FAULT_NONE);
        ck_assert_uint_eq(again.user_name.len, lens[i]);
    }
    ck_assert_int_eq(mqtt_connect_rewrite(p.data, &connect, identity, 0, out, &out_size),
                     MQTT_FAULT_IDENTITY);
    ck_assert_int_eq(mqtt_connect_rewrite(p.data, &connect, identity, 65536, out, &out_size),
                     MQTT_FAULT_IDENTITY);
    /* A packet that is already as long as MQTT allows is recognised by its offsets; nothing is
     * copied. */
    connect.login_at = connect.body_at + 268435455 - 2;
    ck_assert_int_eq(mqtt_connect_rewrite(p.data, &connect, identity, 1, out, &out_size),
                     MQTT_FAULT_IDENTITY);
}
END_TEST

/* ---- after CONNECT ---- */

/* All at once, in single bytes, and cut in two everywhere. */
static void check_follow(const char *bytes, size_t len, size_t good_len, enum mqtt_fault fault) {
    const uint8_t *data = (const uint8_t *)bytes;
    for (size_t cut = 0; cut <= len; cut++) {
        struct mqtt_follower f = {0};
        size_t sum = mqtt_follow(&f, data, cut);
        if (sum == cut) {
            sum += mqtt_follow(&f, data + cut, len - cut);
        }
        ck_assert_uint_eq(sum, good_len);
        ck_assert_uint_eq(f.fault, fault);
        if (fault != MQTT_FAULT_NONE) {
            ck_assert_uint_eq(mqtt_follow(&f, (const uint8_t *)"\xc0\0", 2), 0);
        }
    }
    struct mqtt_follower f = {0};
    size_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum += mqtt_follow(&f, data + i, 1);
    }
    ck_assert_uint_eq(sum, good_len);
    ck_assert_uint_eq(f.fault, fault);
}

START_TEST(a_second_connect_is_found_wherever_the_stream_is_cut) {
    check_follow(BYTES("\xc0\0\x30\4\0\1tx\x10\x0c\0\4MQTT\4\2\0\x3c\0\0"), 8,
                 MQTT_FAULT_SECOND_CONNECT);
    check_follow(BYTES("\x1f"), 0, MQTT_FAULT_SECOND_CONNECT);
    check_follow(BYTES("\x30\x80\x01"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                       "\x10"),
                 131, MQTT_FAULT_SECOND_CONNECT);
}
END_TEST

START_TEST(what_looks_like_connect_inside_a_packet_passes) {
    check_follow(BYTES("\x30\x0f\0\1t\x10\x0c\0\4MQTT\4\2\0\x3c\xe0\0\x82\5\0\1\0\0\0"), 26,
                 MQTT_FAULT_NONE);
}
END_TEST

START_TEST(a_length_over_four_bytes_ends_the_session) {
    check_follow(BYTES("\xc0\0\x30\x80\x80\x80\x80\1"), 6, MQTT_FAULT_LENGTH);
    check_follow(BYTES("\x30\xff\xff\xff\x7f"
                       "abc"),
                 8, MQTT_FAULT_NONE);
    check_follow(BYTES("\x30\x80\x80\x80\0\xc0\0"), 7, MQTT_FAULT_NONE);
}
END_TEST

START_TEST(the_reserved_type_and_auth_end_the_session) {
    check_follow(BYTES("\xc0\0\0"), 2, MQTT_FAULT_PACKET_TYPE);
    check_follow(BYTES("\xc0\0\xf0\0"), 2, MQTT_FAULT_PACKET_TYPE);
}
END_TEST

START_TEST(every_fault_has_a_text) {
    for (int fault = 0; fault < MQTT_FAULT_COUNT; fault++) {
        ck_assert_ptr_nonnull(mqtt_fault_text((enum mqtt_fault)fault));
    }
    ck_assert_ptr_nonnull(mqtt_fault_text(MQTT_FAULT_COUNT));
}
END_TEST

#define COUNT(table) ((int)(sizeof(table) / sizeof(table)[0]))

int main(void) {
    Suite *suite = suite_create("mqtt_connect");
    TCase *parsed = tcase_create("parsed"), *later = tcase_create("later");

    tcase_add_loop_test(parsed, what_the_specifications_allow_is_parsed, 0, COUNT(good));
    tcase_add_loop_test(parsed, a_packet_cut_short_is_refused, 0, COUNT(good));
    tcase_add_loop_test(parsed, what_the_specifications_forbid_is_refused, 0, COUNT(bad));
    tcase_add_test(parsed, level_0x85_cannot_hide_a_user_name);
    tcase_add_test(parsed, a_string_must_be_utf8);
    tcase_add_loop_test(parsed, properties_that_are_not_allowed_are_refused, 0,
                        COUNT(bad_properties));
    tcase_add_loop_test(parsed, will_properties_that_are_not_allowed_are_refused, 0,
                        COUNT(bad_will_properties));
    tcase_add_test(parsed, a_properties_length_must_be_short_and_fit);
    tcase_add_loop_test(parsed, a_packet_is_complete_at_its_last_byte, 0, COUNT(good));
    tcase_add_test(parsed, what_is_not_mqtt_is_recognised_early);
    tcase_add_loop_test(parsed, a_client_id_is_bound_to_the_identity, 0, COUNT(client_ids));
    tcase_add_loop_test(parsed, a_rewritten_packet_carries_the_identity_and_all_the_rest, 0,
                        COUNT(good));
    tcase_add_test(parsed, an_identity_of_any_possible_length_fits);
    suite_add_tcase(suite, parsed);
    tcase_add_test(later, a_second_connect_is_found_wherever_the_stream_is_cut);
    tcase_add_test(later, what_looks_like_connect_inside_a_packet_passes);
    tcase_add_test(later, a_length_over_four_bytes_ends_the_session);
    tcase_add_test(later, the_reserved_type_and_auth_end_the_session);
    tcase_add_test(later, every_fault_has_a_text);
    suite_add_tcase(suite, later);

    return run_suite(suite, CK_NOFORK);
}
