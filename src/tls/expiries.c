#include "tls/expiries.h"
#include "tls/x509_name.h"

#include <stdlib.h>
#include <string.h>

enum { SUBJECT_TEXT = 160 };

static void free_strings(const struct tls_expiry *expiry) {
    free((char *)expiry->file);
    free((char *)expiry->subject);
}

/* `end` has all but its strings. */
static int add(struct expiries *expiries, struct tls_expiry end, const char *file, struct span name,
               struct error *err) {
    char subject[SUBJECT_TEXT];
    x509_name_text(name, subject, sizeof subject);
    struct tls_expiry *more = realloc(expiries->all, (expiries->count + 1) * sizeof *more);
    if (more != NULL) {
        expiries->all = more;
        end.file = strdup(file);
        end.subject = strdup(subject);
        if (end.file != NULL && end.subject != NULL) {
            more[expiries->count++] = end;
            return 0;
        }
        free_strings(&end);
    }
    return error_set(err, "out of memory");
}

int expiries_add_certificate(struct expiries *expiries, enum tls_expiry_kind kind, const char *file,
                             const struct x509 *cert, struct error *err) {
    struct tls_expiry end = {
        .kind = kind, .not_before = cert->not_before, .not_after = cert->not_after};
    return add(expiries, end, file, cert->subject, err);
}

int expiries_add_crl(struct expiries *expiries, const char *file, const struct crl *crl,
                     struct error *err) {
    struct tls_expiry end = {
        .kind = TLS_EXPIRY_CRL, .not_before = crl->this_update, .not_after = crl->next_update};
    return crl->next_update != 0 ? add(expiries, end, file, crl->issuer, err) : 0;
}

void expiries_each(const struct expiries *expiries,
                   void (*visit)(void *arg, const struct tls_expiry *expiry), void *arg) {
    for (size_t i = 0; i < expiries->count; i++) {
        visit(arg, &expiries->all[i]);
    }
}

void expiries_free(struct expiries *expiries) {
    for (size_t i = 0; i < expiries->count; i++) {
        free_strings(&expiries->all[i]);
    }
    free(expiries->all);
    memset(expiries, 0, sizeof *expiries);
}
