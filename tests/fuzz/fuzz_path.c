/* The path builder over any certificates: what it trusts is a valid path, and the order in which a
 * client sends its certificates makes no difference.
 *
 * The input: how many of the certificates at its end are trusted, a byte that says which signatures
 * are good (0: all) and which certificates are revoked, the year, and certificates one after the
 * other, the client's own first. */
#include "tls/path.h"
#include "tls/x509_name.h"

#include "fuzz.h"

enum { CERTS_MAX = 24, HEADER = 4 };

static struct {
    uint8_t bad_signatures, revoked;
    unsigned signatures;
} oracle;

/* The same answer for the same certificates, wherever they are. */
static uint8_t mark(const struct x509 *cert) {
    uint8_t sum = 1;
    for (size_t i = 0; i < cert->der.len; i++) {
        sum = (uint8_t)(sum * 31 + cert->der.data[i]);
    }
    return sum;
}

static bool is_signed(const struct x509 *cert, const struct x509 *issuer) {
    return ((mark(cert) ^ mark(issuer)) & oracle.bad_signatures) == 0;
}

static enum reason signed_by(void *arg, const struct x509 *cert, const struct x509 *issuer) {
    (void)arg;
    oracle.signatures++;
    return is_signed(cert, issuer) ? REASON_NONE : REASON_UNKNOWN_CA;
}

static enum reason revoked(void *arg, const struct x509 *cert, const struct x509 *issuer) {
    (void)arg;
    (void)issuer;
    return oracle.revoked != 0 && mark(cert) % 16 == oracle.revoked % 16 ? REASON_REVOKED
                                                                         : REASON_NONE;
}

static bool is_anchor(const struct path_rules *rules, const struct x509 *cert) {
    for (size_t i = 0; i < rules->anchor_count; i++) {
        if (rules->anchors[i] == cert) {
            return true;
        }
    }
    return false;
}

static void check_issuer(const struct path_rules *rules, const struct path *path, size_t at) {
    const struct x509 *cert = path->certs[at - 1], *issuer = path->certs[at];
    size_t below = 0;
    for (size_t i = 1; i < at; i++) {
        below += !path->certs[i]->self_issued;
    }
    CHECK(x509_name_equal(cert->issuer, issuer->subject));
    CHECK(is_signed(cert, issuer));
    CHECK(issuer->version == 3 && issuer->is_ca && !issuer->malformed && !issuer->unknown_critical);
    CHECK(!issuer->has_key_usage || (issuer->key_usage & X509_KEY_CERT_SIGN) != 0);
    CHECK(!issuer->has_purposes || issuer->for_client_auth);
    CHECK(!issuer->has_path_length || below <= issuer->path_length);
    CHECK((at + 1 == path->count) == is_anchor(rules, issuer));
}

static void check_path(const struct path_rules *rules, const struct x509 *sent,
                       const struct path *path) {
    CHECK(path->count >= 2 && path->count <= PATH_SENT_MAX + 1 && path->certs[0] == &sent[0]);
    CHECK(path->not_after >= rules->now && !sent[0].malformed && !sent[0].unknown_critical);
    for (size_t i = 0; i < path->count; i++) {
        CHECK(rules->now >= path->certs[i]->not_before && rules->now <= path->certs[i]->not_after);
        CHECK(path->certs[i]->not_after >= path->not_after);
        CHECK(revoked(NULL, path->certs[i], NULL) == REASON_NONE);
        if (i > 0) {
            check_issuer(rules, path, i);
        }
    }
}

static enum reason build(const struct path_rules *rules, const struct x509 *sent, size_t count) {
    struct path path;
    oracle.signatures = 0;
    enum reason reason = path_build(rules, sent, count, &path);
    CHECK(oracle.signatures <= PATH_SIGNATURES_MAX);
    if (reason == REASON_NONE) {
        check_path(rules, sent, &path);
    } else {
        CHECK(path.count == 0 && (path.blamed != NULL || count == 0));
    }
    return reason;
}

/* Whether a bound was reached may depend on the order; nothing else may. */
static void try_orders(const struct path_rules *rules, struct x509 *sent, size_t count) {
    enum reason first = build(rules, sent, count);
    for (size_t i = 1, j = count; i + 1 < j; i++) {
        struct x509 other = sent[i];
        sent[i] = sent[--j];
        sent[j] = other;
    }
    enum reason second = build(rules, sent, count);
    if (first != REASON_TOO_LARGE && second != REASON_TOO_LARGE) {
        CHECK((first == REASON_NONE) == (second == REASON_NONE));
    }
}

/* The next certificate: as long as its outermost length says. */
static bool take(struct span *rest, struct x509 *cert) {
    struct span whole;
    return der_take_whole(rest, DER_SEQUENCE, &whole) && x509_read(cert, whole.data, whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct x509 certs[CERTS_MAX];
    const struct x509 *anchors[CERTS_MAX];
    size_t count = 0, trusted = 0;
    if (size < HEADER) {
        return 0;
    }
    uint8_t *copy = fuzz_copy(data, size);
    struct span rest = {copy + HEADER, size - HEADER};
    while (count < CERTS_MAX && take(&rest, &certs[count])) {
        count++;
    }
    for (; trusted < count && trusted < copy[0]; trusted++) {
        anchors[trusted] = &certs[count - 1 - trusted];
    }
    oracle.bad_signatures = copy[1];
    oracle.revoked = copy[2];
    struct path_rules rules = {.anchors = anchors,
                               .anchor_count = trusted,
                               .now = ((int64_t)copy[3] - 70) * 31556952, /* from 1900 */
                               .accept_v1 = copy[0] > 127,
                               .signed_by = signed_by,
                               .revoked = revoked};
    try_orders(&rules, certs, count - trusted);
    free(copy);
    return 0;
}
