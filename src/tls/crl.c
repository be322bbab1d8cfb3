#include "tls/crl.h"

#include <string.h>

/* A list may be for one distribution point, as step-ca writes them, and for CAs or for others only;
 * but not for some reasons only, for attribute certificates, or for what other CAs issued. */
static bool read_distribution_point(struct crl *crl, struct span value) {
    enum { POINT = DER_CONTEXT_CONSTRUCTED | 0, USERS = DER_CONTEXT | 1, CAS = DER_CONTEXT | 2 };
    struct span inner, content;
    uint8_t tag;
    if (!der_take_tag(&value, DER_SEQUENCE, &inner) || value.len != 0) {
        return false;
    }
    while (inner.len > 0) {
        if (!der_take(&inner, &tag, &content, NULL)) {
            return false;
        }
        bool is_set = content.len == 1 && content.data[0] != 0;
        crl->covers_cas &= tag != USERS || !is_set;
        crl->covers_users &= tag != CAS || !is_set;
        bool is_off = (tag == (DER_CONTEXT | 4) || tag == (DER_CONTEXT | 5)) && !is_set;
        crl->special |= tag != POINT && tag != USERS && tag != CAS && !is_off;
    }
    return true;
}

static bool read_extensions(struct crl *crl, struct span wrapped) {
    struct span list, oid, value;
    bool critical;
    if (!der_take_tag(&wrapped, DER_SEQUENCE, &list) || wrapped.len != 0) {
        return false;
    }
    while (list.len > 0) {
        if (!x509_take_extension(&list, &oid, &critical, &value)) {
            return false;
        }
        if (DER_IS_OID(oid, "\x55\x1d\x1c")) {
            if (!read_distribution_point(crl, value)) {
                return false;
            }
        } else {
            crl->special |= critical;
        }
    }
    return true;
}

static bool read_list(struct crl *crl, struct span tbs) {
    struct span ignored, wrapped;
    if (der_next_is(tbs, DER_INTEGER) && !der_take_tag(&tbs, DER_INTEGER, &ignored)) {
        return false;
    }
    if (!der_take_tag(&tbs, DER_SEQUENCE, &ignored) ||
        !der_take_whole(&tbs, DER_SEQUENCE, &crl->issuer) ||
        !der_take_time(&tbs, &crl->this_update)) {
        return false;
    }
    if ((der_next_is(tbs, DER_UTC_TIME) || der_next_is(tbs, DER_GENERALIZED_TIME)) &&
        !der_take_time(&tbs, &crl->next_update)) {
        return false;
    }
    if (der_next_is(tbs, DER_SEQUENCE) && !der_take_tag(&tbs, DER_SEQUENCE, &crl->revoked)) {
        return false;
    }
    if (der_next_is(tbs, DER_CONTEXT_CONSTRUCTED | 0) &&
        (!der_take_tag(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &wrapped) ||
         !read_extensions(crl, wrapped))) {
        return false;
    }
    /* What is left over was not read: it might be the list itself, under a tag that others accept.
     */
    return tbs.len == 0;
}

bool crl_read(struct crl *crl, const uint8_t *der, size_t len) {
    struct span in = {der, len}, outer, tbs, body, bits;
    memset(crl, 0, sizeof *crl);
    crl->covers_users = crl->covers_cas = true;
    if (!der_take_tag(&in, DER_SEQUENCE, &outer) || in.len != 0 ||
        !der_take_whole(&outer, DER_SEQUENCE, &crl->signature.body) ||
        !der_take_whole(&outer, DER_SEQUENCE, &crl->signature.algorithm) ||
        !der_take_tag(&outer, DER_BIT_STRING, &bits) || bits.len < 1 || outer.len != 0) {
        return false;
    }
    crl->signature.signature = (struct span){bits.data + 1, bits.len - 1};
    body = crl->signature.body;
    return der_take_tag(&body, DER_SEQUENCE, &tbs) && read_list(crl, tbs);
}

bool crl_next_revoked(struct span *rest, struct span *serial, bool *bad) {
    struct span entry;
    *bad = false;
    if (rest->len == 0) {
        return false;
    }
    if (der_take_tag(rest, DER_SEQUENCE, &entry) && der_take_magnitude(&entry, serial)) {
        return true;
    }
    *bad = true;
    return false;
}
