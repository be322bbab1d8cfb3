#include "tls/ends.h"
#include "tls/x509_name.h"

#include <stdlib.h>
#include <string.h>

enum { SUBJECT_TEXT = 160 };

static void free_strings(const struct tls_end *end) {
    free((char *)end->file);
    free((char *)end->subject);
}

/* `end` has all but its strings. */
static int add(struct ends *ends, struct tls_end end, const char *file, struct span name,
               struct error *err) {
    char subject[SUBJECT_TEXT];
    x509_name_text(name, subject, sizeof subject);
    struct tls_end *more = realloc(ends->all, (ends->count + 1) * sizeof *more);
    if (more != NULL) {
        ends->all = more;
        end.file = strdup(file);
        end.subject = strdup(subject);
        if (end.file != NULL && end.subject != NULL) {
            more[ends->count++] = end;
            return 0;
        }
        free_strings(&end);
    }
    return error_set(err, "out of memory");
}

int ends_add_certificate(struct ends *ends, enum tls_end_kind kind, const char *file,
                         const struct x509 *cert, struct error *err) {
    struct tls_end end = {
        .kind = kind, .not_before = cert->not_before, .not_after = cert->not_after};
    return add(ends, end, file, cert->subject, err);
}

int ends_add_crl(struct ends *ends, const char *file, const struct crl *crl, struct error *err) {
    struct tls_end end = {
        .kind = TLS_END_CRL, .not_before = crl->this_update, .not_after = crl->next_update};
    return crl->next_update != 0 ? add(ends, end, file, crl->issuer, err) : 0;
}

void ends_each(const struct ends *ends, void (*visit)(void *arg, const struct tls_end *end),
               void *arg) {
    for (size_t i = 0; i < ends->count; i++) {
        visit(arg, &ends->all[i]);
    }
}

void ends_free(struct ends *ends) {
    for (size_t i = 0; i < ends->count; i++) {
        free_strings(&ends->all[i]);
    }
    free(ends->all);
    memset(ends, 0, sizeof *ends);
}
