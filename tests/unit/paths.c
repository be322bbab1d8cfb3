#include "paths.h"
#include "tls/signature.h"

#include <check.h>
#include <string.h>
#include <time.h>

enum { MANY = 40 };

struct x509 paths_sent[MANY];
const struct x509 *paths_anchors[MANY];
struct path_rules paths_rules;
struct path paths_found;
unsigned paths_signatures;

static struct x509 trusted[MANY];
static unsigned char *sent_der[MANY], *trusted_der[MANY];

static void clear(unsigned char **der) {
    for (size_t i = 0; i < MANY; i++) {
        OPENSSL_free(der[i]);
        der[i] = NULL;
    }
}

static void read_one(struct x509 *cert, unsigned char **der, const struct pki *p) {
    int len = i2d_X509(p->cert, der);
    ck_assert_int_gt(len, 0);
    ck_assert(x509_read(cert, *der, (size_t)len));
}

static enum reason signed_by(void *arg, const struct x509 *cert, const struct x509 *issuer) {
    paths_signatures++;
    return signature_check(&cert->signature, issuer);
}

void paths_setup(void) {
    paths_signatures = 0;
    paths_rules = (struct path_rules){
        .anchors = paths_anchors, .now = (int64_t)time(NULL), .signed_by = signed_by};
}

void paths_clear(void) {
    clear(sent_der);
    clear(trusted_der);
}

void paths_trust(const struct pki *const *cas) {
    size_t count = 0;
    clear(trusted_der);
    for (; cas[count] != NULL; count++) {
        read_one(&trusted[count], &trusted_der[count], cas[count]);
        paths_anchors[count] = &trusted[count];
    }
    paths_rules.anchor_count = count;
}

enum reason paths_build(const struct pki *const *certs) {
    size_t count = 0;
    clear(sent_der);
    for (; certs[count] != NULL; count++) {
        read_one(&paths_sent[count], &sent_der[count], certs[count]);
    }
    return path_build(&paths_rules, paths_sent, count, &paths_found);
}

void paths_is(enum reason reason, enum reason wanted) {
    ck_assert_msg(reason == wanted, "%s, not %s", reason_name(reason), reason_name(wanted));
}

struct pki paths_ca(const char *cn, const struct pki *issuer) {
    return pki_make((struct pki_spec){.cn = cn, .ca = 1}, issuer);
}

struct pki paths_device(const struct pki *issuer) {
    return pki_make((struct pki_spec){.cn = "device"}, issuer);
}
