#include "server/sandbox.h"

#include "core/error.h"
#include "core/log.h"
#include "server/filter.h"
#include "server/landlock.h"
#include "server/systemd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* What was achieved; a reason where something was not. */
struct outcome {
    bool filtered;
    int landlock; /* its version; 0: none */
    struct error filter_error, landlock_error;
};

static void report(const struct outcome *o) {
    struct log_line line;
    char message[1100] = "";
    bool whole = o->filtered && o->landlock > 0;
    if (!o->filtered) {
        snprintf(message, sizeof message, "system calls are not filtered: %s%s",
                 o->filter_error.text, o->landlock > 0 ? "" : "; ");
    }
    if (o->landlock <= 0) {
        size_t len = strlen(message);
        snprintf(message + len, sizeof message - len, "files are not protected: %s",
                 o->landlock_error.text);
    }
    log_begin(&line, whole ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "sandbox");
    log_str(&line, "system_calls", o->filtered ? "filtered" : "all");
    log_str(&line, "files", o->landlock > 0 ? "read-only" : "all");
    if (!whole) {
        log_str(&line, "message", message);
    }
    log_end(&line);
}

/* The program may be one that could not work within it. NULL: it can. */
static const char *obstacle(void) {
    const char *preloaded = getenv("LD_PRELOAD");
#ifdef POSTERN_INSTRUMENTED
    return "not applied: this program is built with a sanitizer or for coverage, which needs more";
#endif
    if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL) {
        return "not applied: valgrind makes system calls of its own";
    }
    return NULL;
}

static void apply(const int *removable, size_t count) {
    struct outcome o = {0};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        error_set(&o.landlock_error, "no_new_privs: %s", strerror(errno));
    } else {
        error_set(&o.landlock_error, "this kernel or container does not offer Landlock");
        o.landlock = landlock_restrict(removable, count, systemd_is_abstract(), &o.landlock_error);
    }
    o.filtered = filter_apply(&o.filter_error) == 0;
    report(&o);
}

void sandbox_apply(const struct config *config, const int *removable, size_t count) {
    const char *reason = config->sandbox == CONFIG_SWITCH_OFF ? "sandbox = off" : obstacle();
    if (reason == NULL) {
        apply(removable, count);
    } else {
        log_message(LOG_LEVEL_INFO, "sandbox", "%s", reason);
    }
}

void sandbox_make_loop(void (*function)(void *arg), void *arg) {
    if (obstacle() == NULL) {
        filter_call_without_ring(function, arg);
    } else {
        function(arg);
    }
}
