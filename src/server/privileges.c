#include "server/privileges.h"

#include "core/closed_folder.h"
#include "core/log.h"
#include "server/capabilities.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- who --- */

/* The user by number; `name` is NULL where the number has none, and so no further groups. */
struct identity {
    uid_t uid;
    gid_t gid;
    char *name;
};

/* A user or group that has no name is written as a number. */
static bool read_id(const char *text, unsigned *id) {
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    unsigned long value = strtoul(text, NULL, 10);
    *id = (unsigned)value;
    return digits > 0 && text[digits] == '\0' && errno == 0 && value < UINT_MAX;
}

static int find_group(const char *text, gid_t *gid, struct error *err) {
    const struct group *group = getgrnam(text);
    if (group != NULL) {
        *gid = group->gr_gid;
        return 0;
    }
    return read_id(text, gid)
               ? 0
               : error_set(err,
                           "group = %s: this system has no such group; create it (groupadd "
                           "--system %s), or name another one",
                           text, text);
}

static int find_user(const char *text, bool has_group, struct identity *who, struct error *err) {
    const struct passwd *user = getpwnam(text);
    if (user == NULL && read_id(text, &who->uid)) {
        user = getpwuid(who->uid);
        if (user == NULL && !has_group) {
            return error_set(err,
                             "user = %s: this number has no name, and so no group; set group "
                             "as well",
                             text);
        }
    } else if (user == NULL) {
        return error_set(err,
                         "user = %s: this system has no such user; create it (useradd "
                         "--system %s), or name another one",
                         text, text);
    }
    if (user != NULL) {
        who->uid = user->pw_uid;
        who->gid = user->pw_gid;
        who->name = strdup(user->pw_name);
    }
    if (user != NULL && who->name == NULL) {
        return error_set(err, "out of memory");
    }
    return who->uid != 0
               ? 0
               : error_set(err, "user = %s is root; name a user without its rights", text);
}

static int find_identity(const struct config *config, struct identity *who, struct error *err) {
    if (find_user(config->user, config->group != NULL, who, err) != 0) {
        return -1;
    }
    return config->group != NULL ? find_group(config->group, &who->gid, err) : 0;
}

/* --- becoming that user --- */

/* The effective and the real user are tried both, as either would be a way back. Where securebits
 * keep the kernel from taking them away, capabilities survive the change of user. */
static bool can_come_back(const struct identity *who) {
    uid_t real, effective, saved;
    gid_t real_group, effective_group, saved_group;
    if (getresuid(&real, &effective, &saved) != 0 ||
        getresgid(&real_group, &effective_group, &saved_group) != 0) {
        return true;
    }
    return real != who->uid || effective != who->uid || saved != who->uid ||
           real_group != who->gid || effective_group != who->gid || saved_group != who->gid ||
           setuid(0) == 0 || seteuid(0) == 0 || (who->gid != 0 && setegid(0) == 0) ||
           capabilities_are_held();
}

/* The kernel takes root's capabilities away when the last of the three user numbers stops being 0
 * (capabilities(7)); with the groups it must come first, as afterwards it is not permitted. */
static int become(const struct identity *who, struct error *err) {
    capabilities_deny_programs();
    int groups = who->name != NULL ? initgroups(who->name, who->gid) : setgroups(0, NULL);
    if (groups != 0 || setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0) {
        return error_set(err, "cannot become user %u and group %u: %s", who->uid, who->gid,
                         strerror(errno));
    }
    if (can_come_back(who)) {
        return error_set(err,
                         "after becoming user %u root's rights are still within reach; does the "
                         "service manager set securebits or capabilities?",
                         who->uid);
    }
    return 0;
}

/* --- what a reload reads --- */

/* A file by its name in the configuration, and where symlinks led while root looked. */
struct file {
    const char *name;
    char *real; /* NULL: not found out */
};

struct files {
    struct file *all;
    size_t count;
    bool complete;
};

static void add_file(const char *name, void *arg) {
    struct files *files = arg;
    struct file *more = reallocarray(files->all, files->count + 1, sizeof *more);
    if (more == NULL) {
        files->complete = false;
        return;
    }
    files->all = more;
    more[files->count++] = (struct file){name, realpath(name, NULL)};
}

static void files_free(struct files *files) {
    for (size_t i = 0; i < files->count; i++) {
        free(files->all[i].real);
    }
    free(files->all);
}

static const char *group_of(const struct config *config) {
    static const char own[] = "its group";
    const struct group *group = config->group == NULL ? getgrgid(getgid()) : NULL;
    return config->group != NULL ? config->group : group != NULL ? group->gr_name : own;
}

static int explain(const struct config *config, const struct file *file, int error,
                   struct error *err) {
    char folder[PATH_MAX];
    const char *real = file->real != NULL ? file->real : file->name;
    const char *group = group_of(config);
    error_set(err, "%s: user %s cannot read it, so that no reload would succeed: ", file->name,
              config->user);
    if (error != EACCES) {
        return error_append(err, "%s", strerror(error));
    }
    if (closed_folder_find(file->name, folder) || closed_folder_find(real, folder)) {
        return error_append(err,
                            "the folder %s is closed to it; chgrp %s %s && chmod g+x %s, or "
                            "keep copies elsewhere as postern-deploy-hook does",
                            folder, group, folder, folder);
    }
    return error_append(err,
                        "chgrp %s %s && chmod g+r %s, or keep a copy as postern-deploy-hook "
                        "does",
                        group, real, real);
}

static int try_files(const struct config *config, const struct files *files, struct error *err) {
    for (size_t i = 0; i < files->count; i++) {
        int fd = open(files->all[i].name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0) {
            return explain(config, &files->all[i], errno, err);
        }
        close(fd);
    }
    return 0;
}

/* --- all of it --- */

static int become_and_try(const struct config *config, const struct identity *who,
                          struct error *err) {
    struct files files = {.complete = true};
    if (config->file != NULL) {
        add_file(config->file, &files);
    }
    config_each_file(config, add_file, &files);
    int result = files.complete ? become(who, err) : error_set(err, "out of memory");
    if (result == 0) {
        result = try_files(config, &files, err);
    }
    files_free(&files);
    return result;
}

bool privileges_are_root(void) {
    return geteuid() == 0;
}

int privileges_drop(const struct config *config, struct error *err) {
    struct identity who = {0};
    if (config->user == NULL || !privileges_are_root()) {
        return 0;
    }
    int result = find_identity(config, &who, err);
    if (result == 0) {
        result = become_and_try(config, &who, err);
    }
    free(who.name);
    return result;
}

gid_t privileges_group(const struct config *config) {
    struct error ignored;
    struct identity who = {0};
    bool changes = config->user != NULL && privileges_are_root();
    gid_t group = changes && find_identity(config, &who, &ignored) == 0 ? who.gid : getegid();
    free(who.name);
    return group;
}

static bool is_this_user(const char *text) {
    struct error ignored;
    struct identity who = {0};
    bool is_same = find_user(text, true, &who, &ignored) == 0 && who.uid == getuid();
    free(who.name);
    return is_same;
}

void privileges_report(const struct config *config, bool was_root) {
    struct log_line line;
    if (was_root && config->user == NULL) {
        log_message(LOG_LEVEL_WARNING, "runs as root",
                    "Postern needs none of root's rights once it listens, and even without "
                    "capabilities root may write its own files: set user, as in user = postern");
    } else if (was_root) {
        log_begin(&line, LOG_LEVEL_INFO, "privileges dropped");
        log_str(&line, "user", config->user);
        log_str(&line, "group", group_of(config));
        log_num(&line, "uid", getuid());
        log_num(&line, "gid", getgid());
        log_end(&line);
    } else if (config->user != NULL && !is_this_user(config->user)) {
        log_message(LOG_LEVEL_WARNING, "user not changed",
                    "user = %s has no effect, because Postern was not started by root; it runs as "
                    "user %u",
                    config->user, getuid());
    }
}
