#include "server/descriptors.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

/* What is open besides: standard descriptors, the library's, files while they are read; and of a
 * worker its epoll set, its loop and what wakes it. Each worker duplicates its listening sockets.
 */
enum { OTHERS = 64, PER_WORKER = 8, PER_LISTENING = 2, PER_SESSION = 2, ADVISED_SESSIONS = 100 };

static size_t fixed(size_t workers, size_t listening) {
    return OTHERS + PER_WORKER * workers + PER_LISTENING * listening;
}

size_t descriptors_sessions(size_t files, size_t workers, size_t listening) {
    size_t ours = fixed(workers, listening);
    return files > ours ? (files - ours) / PER_SESSION : 0;
}

void descriptors_raise(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int descriptors_budget(size_t workers, size_t listening, size_t *max_sessions, struct error *err) {
    struct rlimit limit;
    descriptors_raise();
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return error_set(err, "cannot read the limit of open files: %s", strerror(errno));
    }
    size_t files = limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
    *max_sessions = descriptors_sessions(files, workers, listening);
    if (*max_sessions == 0) {
        return error_set(err,
                         "the limit of open files is %zu, which leaves none for clients: "
                         "raise it (ulimit -n, LimitNOFILE=) to at least %zu",
                         files, fixed(workers, listening) + ADVISED_SESSIONS * PER_SESSION);
    }
    return 0;
}
