#include "tls/path.h"
#include "tls/constraints.h"
#include "tls/signature.h"
#include "tls/x509_name.h"

#include <string.h>

struct checked {
    const struct x509 *cert, *issuer;
    enum reason reason;
};

struct search {
    const struct path_rules *rules;
    const struct x509 *sent;
    size_t sent_count;
    struct path *path;
    /* Signatures that were checked in this search; another path may need one again. */
    struct checked checked[PATH_SIGNATURES_MAX];
    size_t checked_count;
    unsigned failures, steps; /* that are left */
    unsigned work_ns;         /* likewise: nanoseconds of computing */
    enum reason reason;       /* the best one so far for a refusal */
    bool over;                /* a bound was reached */
};

/* Nanoseconds, measured and rounded up. */
enum { NS_SIGNATURE_US = 1000, NS_NAME_BYTE = 16, NS_QUESTION = 2000, NS_QUESTION_BYTE = 4 };

static bool spend(struct search *s, size_t ns) {
    bool enough = ns <= s->work_ns;
    s->work_ns = enough ? s->work_ns - (unsigned)ns : 0;
    s->over |= !enough;
    return enough;
}

/* --- single certificates --- */

static enum reason check_rsa_key(const struct x509 *cert) {
    if (cert->key_bits > PATH_RSA_BITS_MAX || cert->exponent_bits > PATH_EXPONENT_BITS_MAX) {
        return REASON_TOO_LARGE;
    }
    return cert->key_bits < PATH_RSA_BITS_MIN || cert->exponent_bits < 2 ? REASON_WEAK_KEY
                                                                         : REASON_NONE;
}

static enum reason check_key(const struct x509 *cert) {
    switch (cert->key) {
    case X509_KEY_RSA:
        return check_rsa_key(cert);
    case X509_KEY_P256:
    case X509_KEY_P384:
    case X509_KEY_P521:
        return cert->has_compressed_key ? REASON_KEY_TYPE : REASON_NONE;
    case X509_KEY_ED25519:
        return REASON_NONE;
    case X509_KEY_OTHER:
        break;
    }
    return REASON_KEY_TYPE;
}

static enum reason check_common(const struct x509 *cert, int64_t now) {
    if (cert->malformed || cert->serial.len > X509_SERIAL_MAX) {
        return REASON_BAD_ENCODING;
    }
    if (cert->unknown_critical) {
        return REASON_CRITICAL_EXTENSION;
    }
    if (now > cert->not_after) {
        return REASON_EXPIRED;
    }
    return now < cert->not_before ? REASON_NOT_YET_VALID : check_key(cert);
}

static bool is_zero(struct span number) {
    return number.len == 1 && number.data[0] == 0;
}

/* RFC 5280 4.1.2.2 for the serial; 4.2.1.10 and 4.2.1.9: only CAs have name constraints and sign
 * certificates. */
static enum reason check_leaf(const struct x509 *cert, const struct path_rules *rules) {
    enum reason reason = check_common(cert, rules->now);
    if (cert->version != 3 && !(cert->version == 1 && rules->accept_v1)) {
        return REASON_V1_CERTIFICATE;
    }
    if (is_zero(cert->serial) || (!cert->is_ca && cert->name_constraints.data != NULL)) {
        return REASON_BAD_ENCODING;
    }
    if (reason != REASON_NONE) {
        return reason;
    }
    bool signs = !cert->has_key_usage || (cert->key_usage & X509_DIGITAL_SIGNATURE) != 0;
    bool issues = !cert->is_ca && (cert->key_usage & X509_KEY_CERT_SIGN) != 0;
    bool for_clients = !cert->has_purposes || cert->for_client_auth;
    return signs && !issues && for_clients ? REASON_NONE : REASON_WRONG_USAGE;
}

static bool is_empty_name(struct span name) {
    return name.len <= 2;
}

enum reason path_anchor_check(const struct x509 *cert, int64_t now) {
    if (cert->version != 3) {
        return REASON_V1_CERTIFICATE;
    }
    if (is_empty_name(cert->subject)) {
        return REASON_BAD_ENCODING;
    }
    if (!cert->is_ca) {
        return REASON_UNKNOWN_CA;
    }
    enum reason reason = check_common(cert, now);
    if (reason != REASON_NONE) {
        return reason;
    }
    bool signs = !cert->has_key_usage || (cert->key_usage & X509_KEY_CERT_SIGN) != 0;
    bool for_clients = !cert->has_purposes || cert->for_client_auth;
    return signs && for_clients ? REASON_NONE : REASON_WRONG_USAGE;
}

/* Measured; RSA grows with the square of the modulus and with the exponent, and there is fast code
 * for keys of up to 4096 bits. */
unsigned path_work(const struct x509 *issuer) {
    enum { OTHERS = 40, RSA_2048 = 12, USUAL_EXPONENT_BITS = 17, FAST_BITS = 4096 };
    switch (issuer->key) {
    case X509_KEY_P384:
        return 150;
    case X509_KEY_P521:
        return 250;
    case X509_KEY_RSA: {
        unsigned size = issuer->key_bits / 1024, slow = issuer->key_bits > FAST_BITS ? 3 : 1;
        return 1 + RSA_2048 * size * size / 4 * issuer->exponent_bits / USUAL_EXPONENT_BITS * slow;
    }
    case X509_KEY_P256:
    case X509_KEY_ED25519:
    case X509_KEY_OTHER: /* checks nothing */
        break;
    }
    return OTHERS;
}

/* --- the path so far --- */

static const struct x509 *top(const struct search *s) {
    return s->path->certs[s->path->count - 1];
}

/* Names that differ in their bytes are compared by character, and the client chose how long they
 * are: it pays for that. */
static bool same_name(struct search *s, struct span a, struct span b) {
    return span_equal(a, b) || (spend(s, (a.len + b.len) * NS_NAME_BYTE) && x509_name_equal(a, b));
}

/* The same CA twice leads nowhere, also where it has several certificates (RFC 4158 5.2). */
static bool is_in_path(struct search *s, const struct x509 *cert) {
    for (size_t i = 0; i < s->path->count; i++) {
        const struct x509 *have = s->path->certs[i];
        if (have == cert || (span_equal(have->key_info, cert->key_info) &&
                             same_name(s, have->subject, cert->subject))) {
            return true;
        }
    }
    return false;
}

/* A CA's path length counts the CAs below it that are not self-issued (RFC 5280 4.2.1.9). */
static enum reason check_path_length(const struct search *s, const struct x509 *issuer) {
    size_t below = 0;
    for (size_t i = 1; i < s->path->count; i++) {
        below += !s->path->certs[i]->self_issued;
    }
    return issuer->has_path_length && below > issuer->path_length ? REASON_PATH_LENGTH
                                                                  : REASON_NONE;
}

/* --- what needs the whole path --- */

/* What came farthest from the client's certificate says most, and unknown_ca says least. */
static void note(struct search *s, enum reason reason, const struct x509 *blamed, size_t depth) {
    bool better = s->reason == REASON_UNKNOWN_CA
                      ? reason != REASON_UNKNOWN_CA || depth > s->path->depth
                      : reason != REASON_UNKNOWN_CA && depth > s->path->depth;
    if (better || s->over) {
        s->reason = reason;
        s->path->blamed = blamed;
        s->path->depth = depth;
    }
}

/* Whether the signature was checked before; then with what result. */
static bool recall(const struct search *s, const struct x509 *cert, const struct x509 *issuer,
                   enum reason *reason) {
    for (size_t i = 0; i < s->checked_count; i++) {
        if (s->checked[i].cert == cert && s->checked[i].issuer == issuer) {
            *reason = s->checked[i].reason;
            return true;
        }
    }
    return false;
}

static enum reason check_signature(struct search *s, const struct x509 *cert,
                                   const struct x509 *issuer) {
    enum reason reason;
    if (recall(s, cert, issuer, &reason)) {
        return reason;
    }
    if (s->checked_count == PATH_SIGNATURES_MAX || s->failures == 0 ||
        !spend(s, (size_t)path_work(issuer) * NS_SIGNATURE_US)) {
        s->over = true;
        return REASON_TOO_LARGE;
    }
    reason = s->rules->signed_by(s->rules->arg, cert, issuer);
    s->failures -= reason != REASON_NONE;
    s->over |= reason == REASON_OUT_OF_MEMORY;
    s->checked[s->checked_count++] = (struct checked){cert, issuer, reason};
    return reason;
}

/* From the anchor downward: so every signature is checked with a key that is trusted already, and
 * nobody else can choose a key that makes it expensive. */
static bool is_signed(struct search *s) {
    const struct path *path = s->path;
    for (size_t i = path->count - 1; i-- > 0;) {
        enum reason reason = check_signature(s, path->certs[i], path->certs[i + 1]);
        if (reason != REASON_NONE) {
            note(s, reason, path->certs[i], i);
            return false;
        }
    }
    return true;
}

/* Self-issued CAs may have any name (RFC 5280 6.1.3 b). */
static bool keeps_names(struct search *s, size_t ca) {
    struct span constraints = s->path->certs[ca]->name_constraints;
    for (size_t i = 0; i < ca && constraints.data != NULL; i++) {
        const struct x509 *cert = s->path->certs[i];
        enum reason reason = i > 0 && cert->self_issued
                                 ? REASON_NONE
                                 : constraints_check(constraints, cert, &s->work_ns);
        if (reason != REASON_NONE) {
            s->over |= reason == REASON_TOO_LARGE;
            note(s, reason, cert, i);
            return false;
        }
    }
    return true;
}

/* From the anchor downward: what lies below a revoked CA is not worth asking about. */
static bool is_unrevoked(struct search *s) {
    const struct path *path = s->path;
    for (size_t i = path->count; i-- > 0 && s->rules->revoked != NULL;) {
        const struct x509 *issuer = i + 1 < path->count ? path->certs[i + 1] : NULL;
        size_t asked = issuer != NULL ? issuer->subject.len + issuer->key_info.len : 0;
        enum reason reason = spend(s, NS_QUESTION + asked * NS_QUESTION_BYTE)
                                 ? s->rules->revoked(s->rules->arg, path->certs[i], issuer)
                                 : REASON_TOO_LARGE;
        if (reason != REASON_NONE) {
            note(s, reason, path->certs[i], i);
            return false;
        }
    }
    return true;
}

static bool is_good(struct search *s) {
    if (!is_signed(s)) {
        return false;
    }
    for (size_t i = 1; i < s->path->count; i++) {
        if (!keeps_names(s, i)) {
            return false;
        }
    }
    return is_unrevoked(s);
}

/* --- the search --- */

/* What can be said of an issuer by itself and by its place in the path. */
static bool accept_issuer(struct search *s, const struct x509 *issuer) {
    enum reason reason = path_anchor_check(issuer, s->rules->now);
    if (reason == REASON_NONE) {
        reason = check_path_length(s, issuer);
    }
    if (reason != REASON_NONE) {
        note(s, reason, issuer, s->path->count);
    }
    return reason == REASON_NONE;
}

/* Whether it may be the issuer of the certificate at the top: by its name, and by what is known. */
static bool is_candidate(struct search *s, const struct x509 *issuer) {
    const struct x509 *cert = top(s);
    enum reason reason = REASON_NONE;
    if (s->over || issuer->subject_hash != cert->issuer_hash) {
        return false;
    }
    s->over |= s->steps == 0;
    s->steps -= !s->over;
    bool candidate = !s->over && same_name(s, issuer->subject, cert->issuer) &&
                     !is_in_path(s, issuer) &&
                     !(recall(s, cert, issuer, &reason) && reason != REASON_NONE);
    if (s->over) {
        note(s, REASON_TOO_LARGE, cert, s->path->count - 1);
    }
    return candidate && !s->over;
}

static void push(struct search *s, const struct x509 *cert) {
    s->path->certs[s->path->count++] = cert;
}

/* Key identifiers say whom to try first, and no more: they may be missing, computed in another way,
 * or copied. */
static bool is_hinted(const struct x509 *cert, const struct x509 *issuer) {
    return cert->authority_key_id.len > 0 &&
           span_equal(cert->authority_key_id, issuer->subject_key_id);
}

static bool reach_anchor(struct search *s, bool hinted) {
    for (size_t i = 0; i < s->rules->anchor_count; i++) {
        const struct x509 *anchor = s->rules->anchors[i];
        if (is_hinted(top(s), anchor) != hinted || !is_candidate(s, anchor) ||
            !accept_issuer(s, anchor)) {
            continue;
        }
        push(s, anchor);
        if (is_good(s)) {
            return true;
        }
        s->path->count--;
    }
    return false;
}

static bool extend_by_sent(struct search *s, bool hinted);

/* Depth first, by names. Never deeper than there are certificates, as each is in the path at most
 * once. */
static bool extend(struct search *s) {
    enum reason reason = signature_algorithm_check(&top(s)->signature);
    if (reason != REASON_NONE) {
        note(s, reason, top(s), s->path->count - 1);
        return false;
    }
    return reach_anchor(s, true) || extend_by_sent(s, true) || reach_anchor(s, false) ||
           extend_by_sent(s, false);
}

static bool extend_by_sent(struct search *s, bool hinted) {
    for (size_t i = 1; i < s->sent_count; i++) {
        const struct x509 *issuer = &s->sent[i];
        if (is_hinted(top(s), issuer) != hinted || !is_candidate(s, issuer) ||
            !accept_issuer(s, issuer)) {
            continue;
        }
        push(s, issuer);
        if (extend(s)) {
            return true;
        }
        s->path->count--;
    }
    return false;
}

static int64_t first_end(const struct path *path) {
    int64_t end = INT64_MAX;
    for (size_t i = 0; i < path->count; i++) {
        end = path->certs[i]->not_after < end ? path->certs[i]->not_after : end;
    }
    return end;
}

enum reason path_pinned(const struct path_rules *rules, const struct x509 *cert,
                        struct path *path) {
    memset(path, 0, sizeof *path);
    path->certs[path->count++] = path->blamed = cert;
    path->not_after = cert->not_after;
    enum reason reason = check_leaf(cert, rules);
    /* The client's signature of the handshake is all that is left to check. */
    return reason == REASON_NONE && path_work(cert) > PATH_WORK_MAX ? REASON_TOO_LARGE : reason;
}

/* Three signatures of the costliest anchor are added: a usual chain has one or two. */
static unsigned work_allowed_ns(const struct path_rules *rules) {
    unsigned most = 0;
    for (size_t i = 0; i < rules->anchor_count; i++) {
        unsigned work = path_work(rules->anchors[i]);
        most = work > most ? work : most;
    }
    return (PATH_WORK_MAX + 3 * most) * NS_SIGNATURE_US;
}

static enum reason search(struct search *s) {
    struct path *path = s->path;
    push(s, &s->sent[0]);
    /* The client's signature of the handshake is checked too, once its path is good. */
    if (!spend(s, (size_t)path_work(&s->sent[0]) * NS_SIGNATURE_US)) {
        note(s, REASON_TOO_LARGE, &s->sent[0], 0);
    }
    if (s->over || !extend(s)) {
        path->count = 0;
        return s->reason;
    }
    path->not_after = first_end(path);
    path->blamed = NULL;
    return REASON_NONE;
}

enum reason path_build(const struct path_rules *rules, const struct x509 *sent, size_t count,
                       struct path *path) {
    memset(path, 0, sizeof *path);
    if (count == 0) {
        return REASON_NO_CERTIFICATE_GIVEN;
    }
    path->blamed = &sent[0];
    if (count > PATH_SENT_MAX) {
        return REASON_TOO_LARGE;
    }
    enum reason reason = check_leaf(&sent[0], rules);
    if (reason != REASON_NONE) {
        return reason;
    }
    return search(&(struct search){.rules = rules,
                                   .sent = sent,
                                   .sent_count = count,
                                   .path = path,
                                   .failures = PATH_FAILURES_MAX,
                                   .steps = PATH_STEPS_MAX,
                                   .work_ns = work_allowed_ns(rules),
                                   .reason = REASON_UNKNOWN_CA});
}
