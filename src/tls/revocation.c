#include "tls/revocation.h"

#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/sha256.h>

bool revocation_hash(const struct x509 *issuer, uint8_t out[TLS_ISSUER_HASH_SIZE]) {
    wc_Sha256 sha;
    uint8_t hash[WC_SHA256_DIGEST_SIZE];
    if (wc_InitSha256(&sha) != 0) {
        return false;
    }
    bool done = wc_Sha256Update(&sha, issuer->subject.data, (word32)issuer->subject.len) == 0 &&
                wc_Sha256Update(&sha, issuer->key_info.data, (word32)issuer->key_info.len) == 0 &&
                wc_Sha256Final(&sha, hash) == 0;
    wc_Sha256Free(&sha);
    memcpy(out, hash, TLS_ISSUER_HASH_SIZE);
    return done;
}

static bool set_serial(struct cert_id *id, struct span serial) {
    if (serial.len == 0 || serial.len > sizeof id->serial) {
        return false;
    }
    memset(id->serial, 0, sizeof id->serial);
    memcpy(id->serial, serial.data, serial.len);
    id->serial_len = (uint8_t)serial.len;
    return true;
}

bool revocation_id(struct cert_id *id, const struct x509 *issuer, struct span serial) {
    memset(id, 0, sizeof *id);
    return revocation_hash(issuer, id->issuer_hash) && set_serial(id, serial);
}

static int compare(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct cert_id)); /* bytes only, no padding */
}

static int add_issuer(struct revocation *r, const struct revocation_issuer *one) {
    for (size_t i = 0; i < r->issuer_count; i++) {
        struct revocation_issuer *have = &r->issuers[i];
        if (memcmp(have->hash, one->hash, sizeof one->hash) == 0 &&
            memcmp(have->signer, one->signer, sizeof one->signer) == 0 &&
            have->users == one->users && have->cas == one->cas) {
            if (have->next_update < one->next_update) {
                have->next_update = one->next_update;
            }
            return 0;
        }
    }
    struct revocation_issuer *more = realloc(r->issuers, (r->issuer_count + 1) * sizeof *more);
    if (more == NULL) {
        return -1;
    }
    r->issuers = more;
    more[r->issuer_count++] = *one;
    return 0;
}

int revocation_share(struct revocation *r, const struct crl *crl, const struct x509 *signer,
                     const struct x509 *issuer, struct error *err) {
    struct revocation_issuer one = {.next_update =
                                        crl->next_update != 0 ? crl->next_update : INT64_MAX,
                                    .users = crl->covers_users,
                                    .cas = crl->covers_cas};
    if (!revocation_hash(signer, one.signer) || !revocation_hash(issuer, one.hash) ||
        add_issuer(r, &one) != 0) {
        return error_set(err, "out of memory");
    }
    return 0;
}

static struct cert_id *add_room(struct revocation *r) {
    if (r->id_count == r->id_room) {
        size_t room = r->id_room ? 2 * r->id_room : 64;
        struct cert_id *more = realloc(r->ids, room * sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        r->ids = more;
        r->id_room = room;
    }
    return &r->ids[r->id_count++];
}

static int add_serials(struct revocation *r, const struct crl *crl, const struct cert_id *template,
                       struct error *err) {
    struct span rest = crl->revoked, serial;
    bool bad = false;
    while (crl_next_revoked(&rest, &serial, &bad)) {
        struct cert_id *id = add_room(r);
        if (id == NULL) {
            return error_set(err, "out of memory");
        }
        *id = *template;
        if (!set_serial(id, serial)) {
            return error_set(err, "the list has a serial number of %zu bytes; 20 are allowed",
                             serial.len);
        }
    }
    return bad ? error_set(err, "the list is damaged") : 0;
}

int revocation_add(struct revocation *r, const struct crl *crl, const struct x509 *signer,
                   struct error *err) {
    struct cert_id template = {.serial_len = 0};
    if (revocation_share(r, crl, signer, signer, err) != 0) {
        return -1;
    }
    if (!revocation_hash(signer, template.issuer_hash)) {
        return error_set(err, "out of memory");
    }
    return add_serials(r, crl, &template, err);
}

/* No hash ends in so many zeros. */
static void hold_as(struct cert_id *id, uint32_t number) {
    memset(id->issuer_hash, 0, sizeof id->issuer_hash);
    memcpy(id->issuer_hash, &number, sizeof number);
}

int revocation_hold(struct revocation *r, const struct crl *crl, uint32_t number,
                    struct error *err) {
    struct cert_id template = {.serial_len = 0};
    hold_as(&template, number);
    return add_serials(r, crl, &template, err);
}

static bool is_listed(const struct revocation *r, const struct cert_id *id) {
    return r->id_count > 0 && bsearch(id, r->ids, r->id_count, sizeof *r->ids, compare) != NULL;
}

bool revocation_held_lists(const struct revocation *r, uint32_t number, const struct cert_id *id) {
    struct cert_id held = *id;
    hold_as(&held, number);
    return is_listed(r, &held);
}

void revocation_sort(struct revocation *r) {
    if (r->id_count > 0) {
        qsort(r->ids, r->id_count, sizeof *r->ids, compare);
    }
}

void revocation_free(struct revocation *r) {
    free(r->ids);
    free(r->issuers);
    memset(r, 0, sizeof *r);
}

static bool counts_for(const struct revocation_issuer *issuer, const struct cert_id *id) {
    return memcmp(issuer->hash, id->issuer_hash, TLS_ISSUER_HASH_SIZE) == 0;
}

bool revocation_lists(const struct revocation *r, const struct cert_id *id) {
    for (size_t i = 0; i < r->issuer_count; i++) {
        struct cert_id listed = *id;
        if (!counts_for(&r->issuers[i], id)) {
            continue;
        }
        memcpy(listed.issuer_hash, r->issuers[i].signer, TLS_ISSUER_HASH_SIZE);
        if (is_listed(r, &listed)) {
            return true;
        }
    }
    return false;
}

bool revocation_by(const struct revocation *r, const struct cert_id *id, bool is_ca,
                   int64_t *next_update) {
    bool found = false;
    *next_update = 0;
    for (size_t i = 0; i < r->issuer_count; i++) {
        if (counts_for(&r->issuers[i], id) && (is_ca ? r->issuers[i].cas : r->issuers[i].users)) {
            found = true;
            *next_update =
                r->issuers[i].next_update > *next_update ? r->issuers[i].next_update : *next_update;
        }
    }
    return found;
}
