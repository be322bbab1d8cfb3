/* Why a file cannot be opened that is there: for messages. */
#ifndef POSTERN_CORE_CLOSED_FOLDER_H
#define POSTERN_CORE_CLOSED_FOLDER_H

#include <limits.h>
#include <stdbool.h>

/* The first folder on the way to `path`, which is absolute, that this process may not pass through.
 * False: there is none, so that it is the file itself, or what a link leads to. */
bool closed_folder_find(const char *path, char folder[PATH_MAX]);

#endif
