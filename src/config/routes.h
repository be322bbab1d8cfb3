/* For validate.c: what is checked of routes alone. What holds for listeners holds for routes as
 * well, and is checked there. */
#ifndef POSTERN_CONFIG_ROUTES_H
#define POSTERN_CONFIG_ROUTES_H

#include "config/document.h"
#include "config/types.h"
#include "core/error.h"

#include <stddef.h>

/* The section that the route was made of. */
const struct document_section *routes_section(const struct document *document,
                                              const struct config_listener *route);

/* Whether the listener's route of that index says for whom it is, is not for the same clients as
 * one before it, and does not inherit what is about the clients of another CA. 0, or -1 with the
 * message in err. */
int routes_check(const struct document *document, const struct config_listener *listener,
                 size_t index, struct error *err) __attribute__((warn_unused_result));

#endif
