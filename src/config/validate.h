/* For build.c: mistakes that concern more than one key. */
#ifndef POSTERN_CONFIG_VALIDATE_H
#define POSTERN_CONFIG_VALIDATE_H

#include "config/document.h"
#include "config/types.h"
#include "core/error.h"

/* Finds keys that contradict or need each other, and addresses listened on twice. The listeners and
 * certificates of the configuration are those of the document, in order. 0, or -1 with the message
 * in err. */
int config_check(const struct config *config, const struct document *document, struct error *err)
    __attribute__((warn_unused_result));

/* Logs what is accepted but may be a mistake. */
void config_warn(const struct config *config, const struct document *document);

#endif
