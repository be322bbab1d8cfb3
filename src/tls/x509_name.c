#include "tls/x509_name.h"

#include <stdio.h>
#include <string.h>

/* More attributes in one RDN than anybody uses; such sets are compared byte by byte. */
enum { RDN_ATTRIBUTES_MAX = 8 };

struct attribute {
    struct span oid, value;
    uint8_t tag;
};

static bool take_pair(struct span *set, struct attribute *a) {
    struct span pair;
    return der_take_tag(set, DER_SEQUENCE, &pair) && der_take_tag(&pair, DER_OID, &a->oid) &&
           der_take(&pair, &a->tag, &a->value, NULL) && pair.len == 0;
}

/* Steps through the attributes of a Name's RDNs. `set` holds what is left of the current RDN. */
static bool take_attribute(struct span *rdns, struct span *set, struct attribute *a) {
    if (set->len == 0 && !der_take_tag(rdns, DER_SET, set)) {
        return false;
    }
    return take_pair(set, a);
}

/* --- comparing --- */

/* Text one character after the other, in the form in which it is compared. */
struct reader {
    struct span left;
    uint8_t tag;
    bool begun;   /* a character that is not a blank was given */
    bool pending; /* blanks were skipped since */
    uint32_t held;
};

static bool is_text(uint8_t tag) {
    return tag == DER_UTF8 || tag == DER_PRINTABLE || tag == DER_IA5 || tag == DER_TELETEX ||
           tag == DER_BMP || tag == DER_UNIVERSAL;
}

/* Code points of UTF-8 are not checked here: equal ones have equal bytes, and a broken one equals
 * itself. */
static uint32_t raw_character(struct reader *r) {
    size_t size = r->tag == DER_BMP ? 2 : r->tag == DER_UNIVERSAL ? 4 : 1;
    const uint8_t *p = r->left.data;
    uint32_t c = 0;
    if (r->tag == DER_UTF8 && p[0] >= 0xc2) {
        size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
        size = size < r->left.len ? size : r->left.len;
        c = p[0] & (0x7fu >> size);
        for (size_t i = 1; i < size; i++) {
            c = c << 6 | (p[i] & 0x3f);
        }
    } else {
        size = size < r->left.len ? size : r->left.len;
        for (size_t i = 0; i < size; i++) {
            c = c << 8 | p[i];
        }
    }
    r->left.data += size;
    r->left.len -= size;
    return c;
}

/* The next character, or UINT32_MAX at the end. Blanks at both ends are left out, several between
 * words are one (RFC 4518 2.6.1), and ASCII letters are lower case. */
static uint32_t next_character(struct reader *r) {
    if (r->held != 0) {
        uint32_t c = r->held;
        r->held = 0;
        return c;
    }
    while (r->left.len > 0) {
        uint32_t c = raw_character(r);
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            r->pending = r->begun;
            continue;
        }
        r->begun = true;
        c = c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
        if (r->pending) {
            r->pending = false;
            r->held = c;
            return ' ';
        }
        return c;
    }
    return UINT32_MAX;
}

static struct reader reader_of(const struct attribute *a) {
    return (struct reader){.left = a->value, .tag = a->tag};
}

static bool same_attribute(const struct attribute *a, const struct attribute *b) {
    if (!span_equal(a->oid, b->oid)) {
        return false;
    }
    if (!is_text(a->tag) || !is_text(b->tag)) {
        return a->tag == b->tag && span_equal(a->value, b->value);
    }
    struct reader ra = reader_of(a), rb = reader_of(b);
    for (;;) {
        uint32_t ca = next_character(&ra), cb = next_character(&rb);
        if (ca != cb) {
            return false;
        }
        if (ca == UINT32_MAX) {
            return true;
        }
    }
}

static size_t read_set(struct span set, struct attribute out[RDN_ATTRIBUTES_MAX]) {
    size_t count = 0;
    while (set.len > 0) {
        if (count == RDN_ATTRIBUTES_MAX || !take_pair(&set, &out[count])) {
            return 0;
        }
        count++;
    }
    return count;
}

/* The order of attributes in an RDN depends on how they are encoded, so it does not count. */
static bool same_rdn(struct span a, struct span b) {
    struct attribute in_a[RDN_ATTRIBUTES_MAX], in_b[RDN_ATTRIBUTES_MAX];
    size_t count = read_set(a, in_a);
    if (count == 0 || read_set(b, in_b) != count) {
        return span_equal(a, b);
    }
    bool taken[RDN_ATTRIBUTES_MAX] = {false};
    for (size_t i = 0; i < count; i++) {
        size_t j = 0;
        while (j < count && (taken[j] || !same_attribute(&in_a[i], &in_b[j]))) {
            j++;
        }
        if (j == count) {
            return false;
        }
        taken[j] = true;
    }
    return true;
}

/* Whether the name begins with all RDNs of `base`; then `rest` is set to those that follow. */
static bool begins_with(struct span name, struct span base, struct span *rest) {
    struct span wanted, a, b;
    if (!der_take_tag(&name, DER_SEQUENCE, rest) || !der_take_tag(&base, DER_SEQUENCE, &wanted)) {
        return false;
    }
    while (wanted.len > 0) {
        if (!der_take_tag(&wanted, DER_SET, &b) || !der_take_tag(rest, DER_SET, &a) ||
            !same_rdn(a, b)) {
            return false;
        }
    }
    return true;
}

bool x509_name_within(struct span name, struct span base) {
    struct span rest;
    return begins_with(name, base, &rest);
}

bool x509_name_equal(struct span a, struct span b) {
    struct span rest;
    return span_equal(a, b) || (begins_with(a, b, &rest) && rest.len == 0);
}

static uint32_t mix(uint32_t hash, uint32_t value) {
    return (hash ^ value) * 16777619u; /* FNV-1a */
}

/* The attributes' hashes are added, as their order in an RDN does not count. */
bool x509_name_hash(struct span name, uint32_t *sum) {
    struct span rdns, set = {0};
    struct attribute a;
    *sum = 0;
    if (!der_take_tag(&name, DER_SEQUENCE, &rdns) || name.len > 0) {
        return false;
    }
    while (rdns.len > 0 || set.len > 0) {
        if (!take_attribute(&rdns, &set, &a)) {
            return false;
        }
        uint32_t hash = 2166136261u;
        for (size_t i = 0; i < a.oid.len; i++) {
            hash = mix(hash, a.oid.data[i]);
        }
        if (is_text(a.tag)) {
            struct reader r = reader_of(&a);
            for (uint32_t c; (c = next_character(&r)) != UINT32_MAX;) {
                hash = mix(hash, c);
            }
        }
        *sum += hash;
    }
    return true;
}

/* --- reading --- */

size_t x509_common_name(struct span name, struct span *value, uint8_t *tag) {
    struct span rdns, set = {0};
    struct attribute a;
    size_t count = 0;
    if (!der_take_tag(&name, DER_SEQUENCE, &rdns)) {
        return 0;
    }
    while (take_attribute(&rdns, &set, &a)) {
        if (!DER_IS_OID(a.oid, "\x55\x04\x03")) {
            continue;
        }
        if (count++ == 0) {
            *value = a.value;
            *tag = a.tag;
        }
    }
    return count;
}

static bool next_of(struct span name, struct x509_name_at *at, struct span oid,
                    struct span *value) {
    struct attribute a;
    if (!at->begun && !der_take_tag(&name, DER_SEQUENCE, &at->rdns)) {
        return false;
    }
    at->begun = true;
    while (take_attribute(&at->rdns, &at->set, &a)) {
        if (span_equal(a.oid, oid)) {
            *value = a.value;
            return true;
        }
    }
    return false;
}

bool x509_next_email(struct span name, struct x509_name_at *at, struct span *value) {
    static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01};
    return next_of(name, at, (struct span){oid, sizeof oid}, value);
}

bool x509_next_common_name(struct span name, struct x509_name_at *at, struct span *value) {
    static const uint8_t oid[] = {0x55, 0x04, 0x03};
    return next_of(name, at, (struct span){oid, sizeof oid}, value);
}

static const char *attribute_name(struct span oid) {
    static const struct {
        uint8_t last;
        const char *name;
    } names[] = {{3, "CN"}, {4, "SN"}, {5, "serialNumber"}, {6, "C"},
                 {7, "L"},  {8, "ST"}, {10, "O"},           {11, "OU"}};
    if (oid.len == 3 && oid.data[0] == 0x55 && oid.data[1] == 0x04) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (oid.data[2] == names[i].last) {
                return names[i].name;
            }
        }
    }
    return "?";
}

void x509_name_text(struct span name, char *out, size_t cap) {
    struct span rdns, set = {0};
    struct attribute a;
    size_t used = 0;
    out[0] = '\0';
    if (!der_take_tag(&name, DER_SEQUENCE, &rdns)) {
        return;
    }
    while (take_attribute(&rdns, &set, &a) && used + 2 < cap) {
        int n = snprintf(out + used, cap - used, "%s%s=", used ? ", " : "", attribute_name(a.oid));
        used += n < 0 ? 0 : (size_t)n;
        for (size_t i = 0; i < a.value.len && used + 1 < cap; i++) {
            uint8_t c = a.value.data[i];
            out[used++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
        }
        if (used >= cap) {
            used = cap - 1;
        }
        out[used] = '\0';
    }
}
