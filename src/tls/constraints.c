#include "tls/constraints.h"
#include "tls/x509_name.h"

#include <string.h>

/* The answer to one comparison. What cannot be compared refuses, on whichever list it is. */
enum match { MATCH_NO, MATCH_YES, MATCH_UNUSABLE };

struct subtrees {
    struct span permitted, excluded;
};

struct check {
    struct subtrees trees;
    unsigned *budget_ns;
    enum reason reason;
};

/* Nanoseconds, measured and rounded up. */
enum { NS_LIST_BYTE = 2, NS_BASE = 20, NS_DIRECTORY_BYTE = 16, NS_TEXT_BYTE = 3 };

/* --- host names --- */

static uint8_t lower(uint8_t c) {
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool same_text(struct span a, struct span b) {
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

static struct span tail(struct span text, size_t from) {
    return (struct span){text.data + from, text.len - from};
}

static bool is_host(struct span text) {
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = lower(text.data[i]);
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                    c == '*' || (c == '.' && i + 1 < text.len && text.data[i + 1] != '.');
        if (!good) {
            return false;
        }
    }
    return true;
}

/* Whether `name` is below the domain: has at least one more label in front. */
static bool is_below(struct span name, struct span domain) {
    return name.len > domain.len + 1 && name.data[name.len - domain.len - 1] == '.' &&
           same_text(tail(name, name.len - domain.len), domain);
}

/* With a dot in front, names below the domain; without, `whole` decides whether those count too. */
static bool host_within(struct span name, struct span base, bool and_below) {
    if (base.len > 0 && base.data[0] == '.') {
        return is_below(name, tail(base, 1));
    }
    return same_text(name, base) || (and_below && is_below(name, base));
}

static enum match match_dns(struct span name, struct span base, bool excluded) {
    if (!is_host(name) || name.len == 0 || !is_host(base)) {
        return MATCH_UNUSABLE;
    }
    if (base.len == 0 || host_within(name, base, true)) {
        return MATCH_YES;
    }
    /* A wildcard stands for the excluded name too. */
    bool wildcard = name.len > 2 && name.data[0] == '*' && name.data[1] == '.';
    struct span domain = base.data[0] == '.' ? tail(base, 1) : base;
    return excluded && wildcard && is_below(domain, tail(name, 2)) ? MATCH_YES : MATCH_NO;
}

/* --- the other kinds --- */

static bool split_mailbox(struct span text, struct span *local, struct span *host) {
    size_t at = text.len;
    while (at > 0 && text.data[at - 1] != '@') {
        at--;
    }
    if (at < 2) {
        return false;
    }
    *local = (struct span){text.data, at - 1};
    *host = tail(text, at);
    bool quoted = local->data[0] == '"';
    return host->len > 0 && is_host(*host) &&
           (quoted || memchr(local->data, '@', local->len) == NULL);
}

/* One mailbox, all at a host, or with a dot in front all at hosts below a domain. */
static enum match match_email(struct span name, struct span base) {
    struct span local, host, base_local, base_host;
    if (!split_mailbox(name, &local, &host)) {
        return MATCH_UNUSABLE;
    }
    if (memchr(base.data, '@', base.len) != NULL) {
        if (!split_mailbox(base, &base_local, &base_host)) {
            return MATCH_UNUSABLE;
        }
        bool same = span_equal(local, base_local) && same_text(host, base_host);
        return same ? MATCH_YES : MATCH_NO;
    }
    if (!is_host(base)) {
        return MATCH_UNUSABLE;
    }
    return base.len == 0 || host_within(host, base, false) ? MATCH_YES : MATCH_NO;
}

/* The host of scheme://user@host:port/path. False if it has none, or one that is no name. */
static bool uri_host(struct span uri, struct span *host) {
    const uint8_t *colon = memchr(uri.data, ':', uri.len);
    size_t at = colon == NULL ? uri.len : (size_t)(colon - uri.data);
    if (uri.len - at < 3 || uri.data[at + 1] != '/' || uri.data[at + 2] != '/') {
        return false;
    }
    struct span rest = tail(uri, at + 3);
    size_t end = 0;
    while (end < rest.len && memchr("/?#", rest.data[end], 3) == NULL) {
        end++;
    }
    size_t from = end;
    while (from > 0 && rest.data[from - 1] != '@') {
        from--;
    }
    *host = (struct span){rest.data + from, end - from};
    const uint8_t *port = memchr(host->data, ':', host->len);
    if (port != NULL) {
        host->len = (size_t)(port - host->data);
    }
    bool name = false; /* an address has digits and dots only */
    for (size_t i = 0; i < host->len; i++) {
        name |= host->data[i] != '.' && (host->data[i] < '0' || host->data[i] > '9');
    }
    return name && is_host(*host);
}

static enum match match_uri(struct span name, struct span base) {
    struct span host;
    if (!uri_host(name, &host) || !is_host(base)) {
        return MATCH_UNUSABLE;
    }
    return base.len == 0 || host_within(host, base, false) ? MATCH_YES : MATCH_NO;
}

static bool is_mask(const uint8_t *mask, size_t len) {
    bool ended = false;
    for (size_t i = 0; i < 8 * len; i++) {
        bool set = mask[i / 8] & (0x80 >> i % 8);
        if (set && ended) {
            return false;
        }
        ended |= !set;
    }
    return true;
}

static enum match match_ip(struct span name, struct span base) {
    if ((name.len != 4 && name.len != 16) || (base.len != 8 && base.len != 32) ||
        !is_mask(base.data + base.len / 2, base.len / 2)) {
        return MATCH_UNUSABLE;
    }
    if (base.len != 2 * name.len) {
        return MATCH_NO;
    }
    for (size_t i = 0; i < name.len; i++) {
        if ((name.data[i] ^ base.data[i]) & base.data[name.len + i]) {
            return MATCH_NO;
        }
    }
    return MATCH_YES;
}

static enum match match(unsigned type, struct span name, struct span base, bool excluded) {
    switch (type) {
    case X509_ALT_DNS:
        return match_dns(name, base, excluded);
    case X509_ALT_EMAIL:
        return match_email(name, base);
    case X509_ALT_URI:
        return match_uri(name, base);
    case X509_ALT_IP:
        return match_ip(name, base);
    case X509_ALT_NAME:
        return x509_name_within(name, base) ? MATCH_YES : MATCH_NO;
    default: /* otherName, x400Address, ediPartyName, registeredID */
        return MATCH_UNUSABLE;
    }
}

/* --- the lists --- */

/* GeneralSubtree: minimum must be 0, and maximum absent. */
static bool next_base(struct span *list, unsigned *type, struct span *base) {
    struct span tree;
    return der_take_tag(list, DER_SEQUENCE, &tree) && x509_next_alt_name(&tree, type, base) &&
           tree.len == 0;
}

static void fail(struct check *check, enum reason reason) {
    if (check->reason == REASON_NONE) {
        check->reason = reason;
    }
}

/* Who chose the names and the constraints pays for comparing them. */
static bool spend(struct check *check, size_t ns) {
    if (ns > *check->budget_ns) {
        *check->budget_ns = 0;
        fail(check, REASON_TOO_LARGE);
        return false;
    }
    *check->budget_ns -= (unsigned)ns;
    return true;
}

/* Whether the name is within one of the subtrees of its kind; `*any` whether there is one. */
static bool within(struct check *check, struct span list, unsigned type, struct span name,
                   bool excluded, bool *any) {
    unsigned kind;
    struct span base;
    *any = false;
    while (next_base(&list, &kind, &base) && check->reason == REASON_NONE) {
        size_t byte = type == X509_ALT_NAME ? NS_DIRECTORY_BYTE : NS_TEXT_BYTE;
        size_t compared = kind == type ? (name.len + base.len) * byte : 0;
        if (!spend(check, NS_BASE + compared)) {
            return false;
        }
        if (kind != type) {
            continue;
        }
        *any = true;
        enum match result = match(type, name, base, excluded);
        if (result == MATCH_UNUSABLE) {
            fail(check, REASON_NAME_CONSTRAINT);
        }
        if (result == MATCH_YES) {
            return true;
        }
    }
    return false;
}

static void check_name(struct check *check, unsigned type, struct span name) {
    bool any;
    if (within(check, check->trees.excluded, type, name, true, &any)) {
        fail(check, REASON_NAME_CONSTRAINT);
    }
    if (!within(check, check->trees.permitted, type, name, false, &any) && any) {
        fail(check, REASON_NAME_CONSTRAINT);
    }
}

static bool read_list(struct span *content, uint8_t tag, struct span *list) {
    unsigned type;
    struct span rest, base;
    if (!der_next_is(*content, tag)) {
        return true;
    }
    if (!der_take_tag(content, tag, list)) {
        return false;
    }
    rest = *list;
    if (rest.len == 0) {
        return false;
    }
    while (rest.len > 0) {
        if (!next_base(&rest, &type, &base)) {
            return false;
        }
    }
    return true;
}

/* Brokers believe common names, and many of them are host names. */
static void check_common_names(struct check *check, const struct x509 *cert) {
    struct x509_name_at at = {0};
    struct span value;
    while (x509_next_common_name(cert->subject, &at, &value)) {
        if (is_host(value) && value.len > 0 && memchr(value.data, '.', value.len) != NULL) {
            check_name(check, X509_ALT_DNS, value);
        }
    }
}

static void check_subject(struct check *check, const struct x509 *cert) {
    struct x509_name_at at = {0};
    struct span subject = cert->subject, rdns, value;
    if (der_take_tag(&subject, DER_SEQUENCE, &rdns) && rdns.len > 0) {
        check_name(check, X509_ALT_NAME, cert->subject);
    }
    while (x509_next_email(cert->subject, &at, &value)) {
        check_name(check, X509_ALT_EMAIL, value);
    }
    check_common_names(check, cert);
}

static bool read_lists(struct check *check, struct span constraints) {
    return read_list(&constraints, DER_CONTEXT_CONSTRUCTED | 0, &check->trees.permitted) &&
           read_list(&constraints, DER_CONTEXT_CONSTRUCTED | 1, &check->trees.excluded) &&
           constraints.len == 0;
}

enum reason constraints_check(struct span constraints, const struct x509 *cert,
                              unsigned *budget_ns) {
    struct check check = {.budget_ns = budget_ns, .reason = REASON_NONE};
    struct span rest = cert->alt_names, value;
    unsigned type;
    if (!spend(&check, constraints.len * NS_LIST_BYTE)) {
        return check.reason;
    }
    if (!read_lists(&check, constraints)) {
        return REASON_NAME_CONSTRAINT;
    }
    while (check.reason == REASON_NONE && x509_next_alt_name(&rest, &type, &value)) {
        check_name(&check, type, value);
    }
    if (check.reason == REASON_NONE) {
        check_subject(&check, cert);
    }
    return check.reason;
}
