/* Inside of config.c: from what was written to what it means. */
#ifndef POSTERN_CONFIG_BUILD_H
#define POSTERN_CONFIG_BUILD_H

#include "config/config.h"
#include "config/document.h"
#include "core/error.h"

/* Sets every key of every section, given or not, and checks the whole. NULL with the reason in err.
 * Warnings are logged once nothing is wrong. */
struct config *config_build(const struct document *document, struct error *err)
    __attribute__((warn_unused_result));

#endif
