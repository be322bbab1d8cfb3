/* The page /status: how things are, in a few lines for a person. */
#ifndef POSTERN_SERVER_STATUS_PAGE_H
#define POSTERN_SERVER_STATUS_PAGE_H

#include "server/metrics_page.h"

/* Appends the page. `obstacle` is readiness_obstacle's. False without memory. Any thread. */
bool status_page(const struct metrics_sources *from, const char *obstacle, struct buf *out)
    __attribute__((warn_unused_result));

#endif
