#include "server/socket_folder.h"

#include "core/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum fault { FAULT_NONE, FAULT_MISSING, FAULT_OTHER };
enum { LINKS_MOST = 40 }; /* as in Linux */

static const uid_t NO_USER = (uid_t)-1;

/* The way to a folder, from the root on. What has been judged stays as it is meanwhile, as nobody
 * else can change it. */
struct way {
    const char *folder; /* where it leads, for messages */
    int at;             /* how far it has been followed (O_PATH); -1: not at all */
    char *text, *rest;  /* of the name, in memory of its own, and what is left of it */
    unsigned links;
    bool is_public; /* others can write where it has got to */
    bool any_owner; /* one user besides root and this process's may own folders: */
    uid_t owner;    /* that one, or NO_USER */
};

bool socket_folder_trusts(uid_t uid) {
    return uid == 0 || uid == geteuid();
}

/* --- what is wrong --- */

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

/* Where it has got to, whichever links led there; as it was configured if that is not known. */
static void name_place(const struct way *w, char name[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", w->at);
    ssize_t len = readlink(link, name, PATH_MAX);
    if (len > 0 && len < PATH_MAX) {
        name[len] = '\0';
    } else {
        snprintf(name, PATH_MAX, "%s", w->folder);
    }
}

static bool is_last(const struct way *w) {
    return w->rest[0] == '\0';
}

/* The mode of a folder for everybody's files, as of /tmp, is not to be changed. */
static enum fault others_can_write(const struct way *w, mode_t mode, struct error *err) {
    char name[PATH_MAX];
    name_place(w, name);
    if (!is_last(w)) {
        error_set(err,
                  "others can write in the folder %s above it (mode %04o) and put another folder "
                  "in its place; chmod go-w %s, or use a folder elsewhere, such as /run/postern",
                  name, (unsigned)mode & 07777, name);
    } else if ((mode & S_ISVTX) != 0) {
        error_set(err,
                  "others can write in its folder %s (mode %04o) and put another socket in its "
                  "place; use a folder of its own, with mode 755",
                  name, (unsigned)mode & 07777);
    } else {
        error_set(err,
                  "others can write in its folder %s (mode %04o) and put another socket in its "
                  "place; chmod go-w %s, or use a folder of its own",
                  name, (unsigned)mode & 07777, name);
    }
    return FAULT_OTHER;
}

/* What else is in a folder above it is not known: its owner is not to be changed. */
static enum fault belongs_to_another(const struct way *w, uid_t owner, struct error *err) {
    char name[PATH_MAX];
    name_place(w, name);
    if (is_last(w)) {
        error_set(err,
                  "its folder %s belongs to user %u, who can put another socket in its place; "
                  "chown %u %s, or use a folder of its own",
                  name, (unsigned)owner, (unsigned)geteuid(), name);
    } else {
        error_set(err,
                  "the folder %s above it belongs to user %u, who can put another folder in its "
                  "place; use a folder elsewhere, such as /run/postern",
                  name, (unsigned)owner);
    }
    return FAULT_OTHER;
}

/* --- the way --- */

static bool trusts(struct way *w, uid_t uid) {
    if (w->any_owner && !w->is_public && w->owner == NO_USER && !socket_folder_trusts(uid)) {
        w->owner = uid;
    }
    return socket_folder_trusts(uid) || uid == w->owner;
}

static enum fault judge(struct way *w, const struct stat *st, struct error *err) {
    bool is_public = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (is_public && (is_last(w) || (st->st_mode & S_ISVTX) == 0)) {
        return others_can_write(w, st->st_mode, err);
    }
    if (!trusts(w, st->st_uid)) {
        return belongs_to_another(w, st->st_uid, err);
    }
    w->is_public = is_public;
    return FAULT_NONE;
}

/* Goes to this folder, whose descriptor it takes over. -1: it could not be opened (errno). */
static enum fault enter(struct way *w, int fd, struct error *err) {
    struct stat st;
    if (fd < 0) {
        return cannot_open(w->folder, errno, err);
    }
    if (w->at >= 0) {
        close(w->at);
    }
    w->at = fd;
    if (fstat(fd, &st) != 0) {
        return cannot_open(w->folder, errno, err);
    }
    return S_ISDIR(st.st_mode) ? judge(w, &st, err) : cannot_open(w->folder, ENOTDIR, err);
}

static enum fault begin_at_root(struct way *w, struct error *err) {
    w->rest += strspn(w->rest, "/");
    w->is_public = false;
    return enter(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), err);
}

/* What is left begins with where the link leads. */
static enum fault follow(struct way *w, int link, uid_t owner, struct error *err) {
    char target[PATH_MAX], *text;
    if (!trusts(w, owner)) {
        error_set(err,
                  "a link on the way to its folder %s belongs to user %u, who can make it lead "
                  "elsewhere; name the folder itself",
                  w->folder, (unsigned)owner);
        return FAULT_OTHER;
    }
    ssize_t len = readlinkat(link, "", target, sizeof target);
    if (len < 0 || (size_t)len == sizeof target || ++w->links > LINKS_MOST) {
        return cannot_open(w->folder, len < 0 ? errno : ELOOP, err);
    }
    if (asprintf(&text, "%.*s/%s", (int)len, target, w->rest) < 0) {
        return cannot_open(w->folder, ENOMEM, err);
    }
    free(w->text);
    w->text = w->rest = text;
    return text[0] == '/' ? begin_at_root(w, err) : FAULT_NONE;
}

static enum fault step(struct way *w, struct error *err) {
    char name[NAME_MAX + 1];
    struct stat st;
    size_t len = strcspn(w->rest, "/");
    snprintf(name, sizeof name, "%.*s", (int)len, w->rest);
    w->rest += len;
    w->rest += strspn(w->rest, "/");
    if (len >= sizeof name) {
        return cannot_open(w->folder, ENAMETOOLONG, err);
    }
    int fd = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISLNK(st.st_mode)) {
        return enter(w, fd, err);
    }
    enum fault fault = follow(w, fd, st.st_uid, err);
    close(fd);
    return fault;
}

/* Without a fault `at` is the folder. */
static enum fault walk(struct way *w, struct error *err) {
    char *start = w->folder[0] == '/' ? strdup("") : getcwd(NULL, 0);
    if (start == NULL || asprintf(&w->text, "%s/%s", start, w->folder) < 0) {
        free(start);
        w->text = NULL;
        return cannot_open(w->folder, errno, err);
    }
    free(start);
    w->rest = w->text;
    enum fault fault = begin_at_root(w, err);
    while (fault == FAULT_NONE && !is_last(w)) {
        fault = step(w, err);
    }
    free(w->text);
    return fault;
}

/* --- the folder --- */

static char *folder_of(const char *file) {
    const char *slash = strrchr(file, '/');
    return slash == NULL   ? strdup(".")
           : slash == file ? strdup("/")
                           : strndup(file, (size_t)(slash - file));
}

/* A folder that a service manager makes at the start. */
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

/* What was found of a folder; `fd` is -1 with a fault, else the caller's to close. */
struct finding {
    enum fault fault;
    bool made_at_start;
    int fd;
    uid_t owner;
};

static struct finding look(const struct socket_name *name, bool any_owner, struct error *err) {
    struct finding found = {.fault = FAULT_OTHER, .fd = -1, .owner = NO_USER};
    char *folder = folder_of(name->file);
    if (folder == NULL) {
        error_set(err, "out of memory");
        return found;
    }
    struct way way = {.folder = folder, .at = -1, .any_owner = any_owner, .owner = NO_USER};
    found.fault = walk(&way, err);
    found.owner = way.owner;
    found.made_at_start = is_made_at_start(folder);
    if (found.fault == FAULT_NONE) {
        found.fd = way.at;
    } else {
        error_prefix(err, "%s = %s", name->key, name->value);
        if (way.at >= 0) {
            close(way.at);
        }
    }
    free(folder);
    return found;
}

int socket_folder_open(const struct socket_name *name, struct error *err) {
    return look(name, false, err).fd;
}

int socket_folder_find_owner(const struct socket_name *name, uid_t *owner, struct error *err) {
    struct finding found = look(name, true, err);
    if (found.fault != FAULT_NONE) {
        return -1;
    }
    close(found.fd);
    *owner = found.owner;
    return 0;
}

int socket_folder_check(const struct socket_name *name, bool any_owner, struct error *err) {
    struct finding found = look(name, any_owner, err);
    if (found.fd >= 0) {
        close(found.fd);
    }
    if (found.fault == FAULT_MISSING && found.made_at_start) {
        log_message(LOG_LEVEL_INFO, "config",
                    "%s = %s: its folder does not exist, which is right where a unit makes it at "
                    "the start (RuntimeDirectory=)",
                    name->key, name->value);
        return 0;
    }
    if (found.owner != NO_USER && found.fault == FAULT_NONE) {
        log_message(LOG_LEVEL_INFO, "config",
                    "%s = %s: its folder or one above it belongs to user %u, which is right where "
                    "Postern is started by that user",
                    name->key, name->value, (unsigned)found.owner);
    }
    return found.fault == FAULT_NONE ? 0 : -1;
}
