/* Inside of config.c: what no single key can get wrong. */
#ifndef POSTERN_CONFIG_VALIDATE_H
#define POSTERN_CONFIG_VALIDATE_H

#include "config/config.h"
#include "config/document.h"
#include "core/error.h"

/* Keys that contradict or need each other, addresses listened on twice. The config's listeners and
 * certificates are the document's, in order. 0 or -1. */
int config_check(const struct config *config, const struct document *document, struct error *err)
    __attribute__((warn_unused_result));

/* Logs what is only doubtful. */
void config_warn(const struct config *config, const struct document *document);

#endif
