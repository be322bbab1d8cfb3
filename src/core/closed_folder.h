/* Why a file cannot be opened: for messages. */
#ifndef POSTERN_CORE_CLOSED_FOLDER_H
#define POSTERN_CORE_CLOSED_FOLDER_H

#include "core/error.h"

#include <limits.h>
#include <stdbool.h>

/* The first folder on the way to `path`, which is absolute, that this process may not pass through.
 * False: there is none, so that it is the file itself, or what a link leads to. */
bool closed_folder_find(const char *path, char folder[PATH_MAX]);

/* The message for open(2) of `file`, which failed with `error`: the whole path, the cause, and
 * where it is a matter of rights, of which user, which folder or file is closed, and what to do.
 * `what`: "cannot open", say. Returns -1. */
int closed_folder_explain(const char *file, const char *what, int error, struct error *err);

#endif
