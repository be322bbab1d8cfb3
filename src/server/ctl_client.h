/* One HTTP request to the admin socket, and its answer. */
#ifndef POSTERN_SERVER_CTL_CLIENT_H
#define POSTERN_SERVER_CTL_CLIENT_H

#include "config/types.h"
#include "core/buf.h"
#include "core/error.h"

/* Filled by ctl_ask; others read the status. */
struct ctl_answer {
    unsigned status;
    struct buf bytes; /* the whole answer, with a NUL after it */
    size_t head;      /* where its body begins */
};

/* Sends it and waits for the whole answer, for two minutes at most between two of its bytes. 0, or
 * -1 with the reason, and nothing is left. */
int ctl_ask(const struct config_admin *admin, const char *method, const char *path,
            struct ctl_answer *answer, struct error *err) __attribute__((warn_unused_result));

char *ctl_answer_body(const struct ctl_answer *answer); /* a string */
void ctl_answer_free(struct ctl_answer *answer);

#endif
