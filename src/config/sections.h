/* For config.c: from the document, which is text, to the configuration. */
#ifndef POSTERN_CONFIG_SECTIONS_H
#define POSTERN_CONFIG_SECTIONS_H

#include "config/document.h"
#include "config/types.h"
#include "core/error.h"

/* Sets every key of every section, given or not, and checks the whole. A route's keys that are not
 * given are those of its listener. NULL with the reason in err. Warnings are logged only for a
 * configuration that is accepted. */
struct config *config_build(const struct document *document, struct error *err)
    __attribute__((warn_unused_result));

#endif
