#include "tls/der.h"

#include <string.h>

bool span_equal(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The length field after the tag. False if it is not in its shortest form. */
static bool read_length(const uint8_t *p, size_t left, size_t *header, size_t *len) {
    *header = 2;
    *len = p[1];
    if (*len < 0x80) {
        return true;
    }
    size_t bytes = *len - 0x80;
    *header += bytes;
    if (bytes == 0 || bytes > 4 || left < *header || p[2] == 0) {
        return false;
    }
    *len = 0;
    for (size_t i = 0; i < bytes; i++) {
        *len = *len << 8 | p[2 + i];
    }
    return *len >= 0x80;
}

bool der_take(struct span *in, uint8_t *tag, struct span *content, struct span *whole) {
    const uint8_t *p = in->data;
    size_t left = in->len, header, len;
    if (left < 2 || (p[0] & 0x1f) == 0x1f || !read_length(p, left, &header, &len) ||
        len > left - header) {
        return false;
    }
    *tag = p[0];
    *content = (struct span){p + header, len};
    if (whole != NULL) {
        *whole = (struct span){p, header + len};
    }
    *in = (struct span){p + header + len, left - header - len};
    return true;
}

static bool take_if(struct span *in, uint8_t wanted, struct span *content, struct span *whole) {
    struct span rest = *in;
    uint8_t tag;
    if (!der_take(&rest, &tag, content, whole) || tag != wanted) {
        return false;
    }
    *in = rest;
    return true;
}

bool der_take_tag(struct span *in, uint8_t wanted, struct span *content) {
    return take_if(in, wanted, content, NULL);
}

bool der_take_whole(struct span *in, uint8_t wanted, struct span *whole) {
    struct span content;
    return take_if(in, wanted, &content, whole);
}

bool der_next_is(struct span in, uint8_t tag) {
    return in.len > 0 && in.data[0] == tag;
}

bool der_take_boolean(struct span *in, bool *value) {
    struct span content;
    if (!der_take_tag(in, DER_BOOLEAN, &content) || content.len != 1 ||
        (content.data[0] != 0 && content.data[0] != 0xff)) { /* X.690 11.1 */
        return false;
    }
    *value = content.data[0] != 0;
    return true;
}

bool der_take_magnitude(struct span *in, struct span *value) {
    if (!der_take_tag(in, DER_INTEGER, value) || value->len == 0) {
        return false;
    }
    while (value->len > 1 && value->data[0] == 0) {
        value->data++;
        value->len--;
    }
    return true;
}

bool der_take_number(struct span *in, uint32_t *value) {
    struct span content;
    if (!der_take_tag(in, DER_INTEGER, &content) || content.len == 0 || content.data[0] > 0x7f ||
        (content.len > 1 && content.data[0] == 0 && content.data[1] < 0x80)) {
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < content.len && sum < UINT32_MAX; i++) {
        sum = sum << 8 | content.data[i];
    }
    *value = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
    return true;
}

/* Days since 1970-01-01 of a civil date (proleptic Gregorian). */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d) {
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

/* Year, month, day, hour, minute, second. */
static bool is_time(const int64_t field[6]) {
    static const int64_t most[] = {9999, 12, 31, 23, 59, 59};
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        if (field[i] > most[i]) {
            return false;
        }
    }
    int64_t first = days_from_civil(field[0], field[1], 1);
    int64_t next = days_from_civil(field[0] + field[1] / 12, field[1] % 12 + 1, 1);
    return field[1] >= 1 && field[2] >= 1 && field[2] <= next - first;
}

bool der_take_time(struct span *in, int64_t *out) {
    uint8_t tag;
    struct span t;
    if (!der_take(in, &tag, &t, NULL) || (tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME)) {
        return false;
    }
    size_t year_digits = tag == DER_UTC_TIME ? 2 : 4;
    if (t.len != year_digits + 11 || t.data[t.len - 1] != 'Z') {
        return false;
    }
    int64_t field[6] = {0};
    for (size_t i = 0; i + 1 < t.len; i++) {
        if (t.data[i] < '0' || t.data[i] > '9') {
            return false;
        }
        size_t f = i < year_digits ? 0 : 1 + (i - year_digits) / 2;
        field[f] = field[f] * 10 + (t.data[i] - '0');
    }
    if (tag == DER_UTC_TIME) {
        field[0] += field[0] >= 50 ? 1900 : 2000;
    }
    if (!is_time(field)) {
        return false;
    }
    *out = days_from_civil(field[0], field[1], field[2]) * 86400 + field[3] * 3600 + field[4] * 60 +
           field[5];
    return true;
}

bool der_is_oid(struct span oid, const char *bytes, size_t len) {
    return oid.len == len && memcmp(oid.data, bytes, len) == 0;
}
