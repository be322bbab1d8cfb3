#include "tls/revocation.h"

#include <stdlib.h>
#include <string.h>

#include <wolfssl/wolfcrypt/hash.h>

bool revocation_id(struct cert_id *id, struct span issuer, struct span serial) {
    uint8_t hash[32];
    memset(id, 0, sizeof *id);
    if (serial.len == 0 || serial.len > sizeof id->serial ||
        wc_Sha256Hash(issuer.data, (word32)issuer.len, hash) != 0) {
        return false;
    }
    memcpy(id->issuer_hash, hash, TLS_ISSUER_HASH_SIZE);
    memcpy(id->serial, serial.data, serial.len);
    id->serial_len = (uint8_t)serial.len;
    return true;
}

static int compare(const void *a, const void *b) {
    return memcmp(a, b, sizeof(struct cert_id)); /* bytes only, no padding */
}

static int add_issuer(struct revocation *r, const struct cert_id *id, int64_t next_update) {
    if (next_update == 0) {
        next_update = INT64_MAX;
    }
    for (size_t i = 0; i < r->issuer_count; i++) {
        if (memcmp(r->issuers[i].hash, id->issuer_hash, TLS_ISSUER_HASH_SIZE) == 0) {
            if (r->issuers[i].next_update < next_update) {
                r->issuers[i].next_update = next_update;
            }
            return 0;
        }
    }
    struct revocation_issuer *more = realloc(r->issuers, (r->issuer_count + 1) * sizeof *more);
    if (more == NULL) {
        return -1;
    }
    r->issuers = more;
    memcpy(more[r->issuer_count].hash, id->issuer_hash, TLS_ISSUER_HASH_SIZE);
    more[r->issuer_count++].next_update = next_update;
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

int revocation_add(struct revocation *r, const struct x509_crl *crl, struct error *err) {
    static const uint8_t one[] = {1};
    struct span rest = crl->revoked, serial;
    struct cert_id issuer;
    bool bad = false;
    if (!revocation_id(&issuer, crl->issuer, (struct span){one, 1}) ||
        add_issuer(r, &issuer, crl->next_update) != 0) {
        return error_set(err, "out of memory");
    }
    while (x509_next_revoked(&rest, &serial, &bad)) {
        struct cert_id *id = add_room(r);
        if (id == NULL) {
            return error_set(err, "out of memory");
        }
        *id = issuer;
        memset(id->serial, 0, sizeof id->serial);
        if (serial.len > sizeof id->serial) {
            return error_set(err, "the list has a serial number of %zu bytes; 20 are allowed",
                             serial.len);
        }
        memcpy(id->serial, serial.data, serial.len);
        id->serial_len = (uint8_t)serial.len;
    }
    return bad ? error_set(err, "the list is damaged") : 0;
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

bool revocation_lists(const struct revocation *r, const struct cert_id *id) {
    return r->id_count > 0 && bsearch(id, r->ids, r->id_count, sizeof *r->ids, compare) != NULL;
}

const struct revocation_issuer *revocation_by(const struct revocation *r,
                                              const struct cert_id *id) {
    for (size_t i = 0; i < r->issuer_count; i++) {
        if (memcmp(r->issuers[i].hash, id->issuer_hash, TLS_ISSUER_HASH_SIZE) == 0) {
            return &r->issuers[i];
        }
    }
    return NULL;
}
