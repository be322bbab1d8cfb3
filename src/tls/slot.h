/* One certificate section of the configuration, loaded and checked. */
#ifndef POSTERN_TLS_SLOT_H
#define POSTERN_TLS_SLOT_H

#include "tls/internal.h"

/* Reads certificate, chain and key; checks that they fit; makes the slot's WOLFSSL_CTX with them in
 * it. 0, or -1 with the reason in `err` (what was taken is given back by slot_free). */
int slot_load(struct tls_slot *slot, const struct config_certificate *section,
              enum config_tls_version min, enum config_tls_version max, struct error *err)
    __attribute__((warn_unused_result));
void slot_free(struct tls_slot *slot);

#endif
