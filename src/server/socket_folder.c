#include "server/socket_folder.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool socket_folder_trusts(uid_t uid) {
    return uid == 0 || uid == geteuid();
}

char *socket_folder_of(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash == NULL   ? strdup(".")
           : slash == file ? strdup("/")
                           : strndup(file, (size_t)(slash - file));
}

enum fault { FAULT_NONE, FAULT_MISSING, FAULT_OWNER, FAULT_OTHER };

static enum fault cannot_open(const char *folder, int error, struct error *err) {
    if (error != ENOENT) {
        error_set(err, "cannot open its folder %s: %s", folder, strerror(error));
        return FAULT_OTHER;
    }
    error_set(err,
              "its folder does not exist; make the folder %s first (in a unit: RuntimeDirectory=)",
              folder);
    return FAULT_MISSING;
}

/* The mode of a folder for everybody's files, as of /tmp, is not to be changed. */
static enum fault others_can_write(const char *folder, mode_t mode, struct error *err) {
    error_set(err,
              "others can write in its folder %s (mode %04o) and put another socket in its place",
              folder, (unsigned)mode & 07777);
    if ((mode & S_ISVTX) != 0) {
        error_append(err, "; use a folder of its own, with mode 755");
    } else {
        error_append(err, "; chmod go-w %s, or use a folder of its own", folder);
    }
    return FAULT_OTHER;
}

static enum fault belongs_to_another(const char *folder, uid_t owner, struct error *err) {
    unsigned own = (unsigned)geteuid();
    error_set(err,
              "its folder %s belongs to user %u, who can put another socket in its place; chown %u "
              "%s, or use a folder of its own",
              folder, (unsigned)owner, own, folder);
    return FAULT_OWNER;
}

static enum fault judge(const char *folder, int fd, struct error *err) {
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return cannot_open(folder, errno, err);
    }
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return others_can_write(folder, st.st_mode, err);
    }
    return socket_folder_trusts(st.st_uid) ? FAULT_NONE
                                           : belongs_to_another(folder, st.st_uid, err);
}

/* Without a fault `*fd` is open, else it is -1. */
static enum fault open_folder(const struct socket_name *name, const char *folder, int *fd,
                              struct error *err) {
    *fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    enum fault fault = *fd >= 0 ? judge(folder, *fd, err) : cannot_open(folder, errno, err);
    if (fault != FAULT_NONE) {
        error_prefix(err, "%s = %s", name->key, name->value);
        if (*fd >= 0) {
            close(*fd);
        }
        *fd = -1;
    }
    return fault;
}

int socket_folder_open(const struct socket_name *name, struct error *err) {
    char *folder = socket_folder_of(name->file);
    int fd;
    if (folder == NULL) {
        return error_set(err, "out of memory");
    }
    (void)open_folder(name, folder, &fd, err);
    free(folder);
    return fd;
}

/* --- for --check --- */

static bool is_made_at_start(const char *folder) {
    static const char *const in[] = {"/run/", "/var/run/"};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        size_t len = strlen(in[i]);
        if (strncmp(folder, in[i], len) == 0 && strchr(folder + len, '/') == NULL) {
            return true;
        }
    }
    return false;
}

int socket_folder_check(const struct socket_name *name, bool any_owner, struct error *err) {
    char *folder = socket_folder_of(name->file);
    int fd;
    if (folder == NULL) {
        return error_set(err, "out of memory");
    }
    enum fault fault = open_folder(name, folder, &fd, err);
    if (fd >= 0) {
        close(fd);
    }
    if (fault == FAULT_MISSING && is_made_at_start(folder)) {
        log_message(LOG_LEVEL_WARNING, "config", "%s", err->text);
        fault = FAULT_NONE;
    } else if (fault == FAULT_OWNER && any_owner) {
        log_message(LOG_LEVEL_INFO, "config",
                    "%s = %s: its folder %s is not root's, which is right where Postern is started "
                    "by the user it belongs to",
                    name->key, name->value, folder);
        fault = FAULT_NONE;
    }
    free(folder);
    return fault == FAULT_NONE ? 0 : -1;
}
