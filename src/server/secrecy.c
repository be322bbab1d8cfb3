#include "server/secrecy.h"

#include <sys/prctl.h>
#include <sys/resource.h>

static void limit_core_files(rlim_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) == 0) {
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        setrlimit(RLIMIT_CORE, &limit);
    }
}

static void raise_locked_memory(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

/* The limit of core files does not apply where a program collects them (core(5)): there it is
 * PR_SET_DUMPABLE that counts. */
void secrecy_begin(void) {
    limit_core_files(0);
    raise_locked_memory();
#ifndef POSTERN_INSTRUMENTED
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void secrecy_allow_dumps(void) {
    limit_core_files(RLIM_INFINITY);
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
