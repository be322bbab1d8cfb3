#include "core/closed_folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The path as it is from anywhere: it is relative here only where the configuration's own path is,
 * or on a command line. */
static void print_full_path(const char *file, char path[PATH_MAX]) {
    char folder[PATH_MAX];
    bool is_relative = file[0] != '/' && getcwd(folder, sizeof folder) != NULL;
    int len = is_relative ? snprintf(path, PATH_MAX, "%s/%s", folder, file) : PATH_MAX;
    if (len < 0 || len >= PATH_MAX) {
        snprintf(path, PATH_MAX, "%s", file);
    }
}

int closed_folder_explain(const char *file, const char *what, int error, struct error *err) {
    char path[PATH_MAX], folder[PATH_MAX];
    print_full_path(file, path);
    error_set(err, "%s: %s: %s", path, what, strerror(error));
    if (error != EACCES) {
        return -1;
    }
    error_append(err, " (for user %u, as whom Postern runs)", geteuid());
    bool is_folder = closed_folder_find(path, folder);
    return error_append(err,
                        "; %s%s is closed to it; chgrp %u and chmod g+%s it, or keep a copy as "
                        "postern-deploy-hook does",
                        is_folder ? "the folder " : "the file", is_folder ? folder : "", getegid(),
                        is_folder ? "x" : "r");
}
