/* Inside of config.c: from what was written to what it means. */
#ifndef POSTERN_BASE_CONFIG_BUILD_H
#define POSTERN_BASE_CONFIG_BUILD_H

#include "base/config.h"
#include "base/config_draft.h"
#include "base/error.h"

/* Sets every key of every section, given or not, and checks the whole. NULL with the reason in err.
 * Warnings are logged once nothing is wrong. */
struct config *config_build(const struct draft *draft, struct error *err)
    __attribute__((warn_unused_result));

#endif
