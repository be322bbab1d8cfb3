#include "server/capabilities.h"

#include "core/log.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One bit for each. */
struct held {
    uint64_t effective, permitted;
};

static uint64_t bit(unsigned capability) {
    return (uint64_t)1 << capability;
}

/* None on a kernel without capabilities. */
static struct held get(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, data) != 0) {
        return (struct held){0};
    }
    return (struct held){.effective = data[0].effective | (uint64_t)data[1].effective << 32,
                         .permitted = data[0].permitted | (uint64_t)data[1].permitted << 32};
}

/* None is inheritable then, and so none is ambient. */
static int set(struct held held) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = (uint32_t)held.effective, .permitted = (uint32_t)held.permitted},
        {.effective = (uint32_t)(held.effective >> 32),
         .permitted = (uint32_t)(held.permitted >> 32)}};
    return (int)syscall(SYS_capset, &header, data);
}

bool capabilities_are_held(void) {
    return get().permitted != 0;
}

/* Numbers beyond the last are not known to the kernel. */
void capabilities_deny_programs(void) {
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    }
}

static bool has_unix_socket(const struct config_listener *l) {
    for (size_t i = 0; i < l->backend_count; i++) {
        if (l->backends[i].path != NULL) {
            return true;
        }
    }
    for (size_t i = 0; i < l->route_count; i++) {
        if (has_unix_socket(&l->routes[i])) {
            return true;
        }
    }
    return false;
}

static bool connects_to_unix_sockets(const struct config *config) {
    for (size_t i = 0; i < config->listener_count; i++) {
        if (has_unix_socket(&config->listeners[i])) {
            return true;
        }
    }
    return false;
}

/* With CAP_DAC_OVERRIDE files could be written, too: Landlock prevents that where there is one. */
static uint64_t to_keep(uint64_t permitted, const struct config *config) {
    uint64_t search = permitted & bit(CAP_DAC_READ_SEARCH);
    uint64_t override = permitted & bit(CAP_DAC_OVERRIDE);
    return search == 0 || (override != 0 && connects_to_unix_sockets(config)) ? override : search;
}

static const char *name_of(uint64_t kept) {
    return kept == 0                          ? NULL
           : kept == bit(CAP_DAC_READ_SEARCH) ? "cap_dac_read_search"
                                              : "cap_dac_override";
}

void capabilities_drop(const struct config *config) {
    struct held held = get();
    uint64_t kept = to_keep(held.permitted, config);
    struct log_line line;
    if (held.permitted == 0) {
        return;
    }
    capabilities_deny_programs();
    if (set((struct held){.effective = held.effective & kept, .permitted = kept}) != 0) {
        log_message(LOG_LEVEL_WARNING, "capabilities not dropped", "%s", strerror(errno));
        return;
    }
    log_begin(&line, LOG_LEVEL_INFO, "capabilities dropped");
    log_str(&line, "kept", name_of(kept));
    log_end(&line);
}
