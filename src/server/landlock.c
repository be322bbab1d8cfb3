#include "server/landlock.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The C library has no functions for these three, which have the same numbers on every processor;
 * what is passed is in the kernel's include/uapi/linux/landlock.h. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { ASK_VERSION = 1, RULE_PATH_BENEATH = 1 };

enum right {
    RIGHT_EXECUTE = 1 << 0,
    RIGHT_WRITE_FILE = 1 << 1,
    RIGHT_REMOVE_FOLDER = 1 << 4,
    RIGHT_REMOVE_FILE = 1 << 5,
    RIGHT_MAKE_CHARACTER_DEVICE = 1 << 6,
    RIGHT_MAKE_FOLDER = 1 << 7,
    RIGHT_MAKE_FILE = 1 << 8,
    RIGHT_MAKE_SOCKET = 1 << 9,
    RIGHT_MAKE_FIFO = 1 << 10,
    RIGHT_MAKE_BLOCK_DEVICE = 1 << 11,
    RIGHT_MAKE_SYMLINK = 1 << 12,
    RIGHT_LINK_ELSEWHERE = 1 << 13, /* from version 2 on; version 1 always refuses it */
    RIGHT_TRUNCATE = 1 << 14,       /* from version 3 on */
    RIGHT_DEVICE_IOCTL = 1 << 15,   /* from version 5 on */

    RIGHTS_GIVEN_UP = RIGHT_EXECUTE | RIGHT_WRITE_FILE | RIGHT_REMOVE_FOLDER | RIGHT_REMOVE_FILE |
                      RIGHT_MAKE_CHARACTER_DEVICE | RIGHT_MAKE_FOLDER | RIGHT_MAKE_FILE |
                      RIGHT_MAKE_SOCKET | RIGHT_MAKE_FIFO | RIGHT_MAKE_BLOCK_DEVICE |
                      RIGHT_MAKE_SYMLINK,
    /* A unix socket is made before this, and removed at the end. What could be written there could
     * be mapped as code. */
    RIGHTS_OF_FOLDERS = RIGHT_REMOVE_FILE
};

enum scope {
    SCOPE_ABSTRACT_SOCKETS = 1 << 0, /* from version 6 on */
    SCOPE_SIGNALS = 1 << 1           /* from version 6 on */
};

/* Kernels that do not know the end of it want zeros there. */
struct ruleset {
    uint64_t rights;
    uint64_t network; /* from version 4 on; not used */
    uint64_t scope;
};

struct rule_beneath {
    uint64_t rights;
    int32_t folder;
} __attribute__((packed));

static uint64_t rights_of(int version) {
    uint64_t rights = RIGHTS_GIVEN_UP;
    rights |= version >= 2 ? RIGHT_LINK_ELSEWHERE : 0;
    rights |= version >= 3 ? RIGHT_TRUNCATE : 0;
    rights |= version >= 5 ? RIGHT_DEVICE_IOCTL : 0;
    return rights;
}

static uint64_t scope_of(int version, bool notifies_abstract) {
    uint64_t scope = version >= 6 ? SCOPE_SIGNALS : 0;
    return version >= 6 && !notifies_abstract ? scope | SCOPE_ABSTRACT_SOCKETS : scope;
}

static int fail(struct error *err, int rules) {
    error_set(err, "Landlock: %s", strerror(errno));
    if (rules >= 0) {
        close(rules);
    }
    return -1;
}

static bool allow(int rules, uint64_t rights, int folder) {
    struct rule_beneath rule = {.rights = rights & RIGHTS_OF_FOLDERS, .folder = folder};
    return syscall(ADD_RULE, rules, RULE_PATH_BENEATH, &rule, 0) == 0;
}

int landlock_restrict(const int *removable, size_t count, bool notifies_abstract,
                      struct error *err) {
    int version = (int)syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);
    if (version <= 0) { /* ENOSYS, EOPNOTSUPP, or EPERM of a container's filter */
        return 0;
    }
    struct ruleset ruleset = {.rights = rights_of(version),
                              .scope = scope_of(version, notifies_abstract)};
    int rules = (int)syscall(CREATE_RULESET, &ruleset, sizeof ruleset, 0);
    if (rules < 0) {
        return fail(err, -1);
    }
    for (size_t i = 0; i < count; i++) {
        if (removable[i] >= 0 && !allow(rules, ruleset.rights, removable[i])) {
            return fail(err, rules);
        }
    }
    if (syscall(RESTRICT_SELF, rules, 0) != 0) {
        return fail(err, rules);
    }
    close(rules);
    return version;
}
