#include "core/closed_folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Looking at "." in a folder needs the right to pass through it, and no call that the filter of
 * system calls (server/syscalls.c) does not have, as access might be. */
static bool is_closed(const char *folder) {
    char inside[PATH_MAX + 2];
    struct stat st;
    snprintf(inside, sizeof inside, "%s/.", folder);
    return stat(inside, &st) != 0 && errno == EACCES;
}

bool closed_folder_find(const char *path, char folder[PATH_MAX]) {
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t len = (size_t)(slash - path);
        if (len >= PATH_MAX) {
            return false;
        }
        memcpy(folder, path, len);
        folder[len] = '\0';
        if (len > 0 && is_closed(folder)) {
            return true;
        }
    }
    return false;
}
