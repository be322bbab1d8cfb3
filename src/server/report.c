#include "server/report.h"

#include "core/log.h"

#include <string.h>

static void report_certificates_of(const struct runtime_listener *l) {
    for (size_t i = 0; i < tls_context_certificates(l->tls); i++) {
        const struct tls_certificate_info *c = tls_context_certificate(l->tls, i);
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "certificate");
        log_str(&line, "listener", l->config->name);
        log_str(&line, "section", c->section);
        log_str(&line, "subject", c->subject);
        log_str(&line, "key", c->key_type);
        log_str(&line, "serial", c->serial);
        if (l->config->route != NULL) {
            log_str(&line, "route", l->config->route);
        }
        log_end(&line);
    }
}

static bool has_same_certificates(const struct config_listener *a,
                                  const struct config_listener *b) {
    return a->certificate_count == b->certificate_count &&
           memcmp(a->certificates, b->certificates,
                  a->certificate_count * sizeof(const struct config_certificate *)) == 0;
}

static size_t count_unlocked(const struct tls_context *tls) {
    size_t unlocked = 0;
    for (size_t k = 0; k < tls_context_certificates(tls); k++) {
        unlocked += tls_context_certificate(tls, k)->key_unlocked;
    }
    return unlocked;
}

/* One line, however many keys there are. */
static void report_unlocked_keys(const struct runtime *rt) {
    size_t unlocked = 0;
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        for (size_t route = 0; route <= rt->config->listeners[i].route_count; route++) {
            unlocked += count_unlocked(runtime_at(rt, i, route)->tls);
        }
    }
    if (unlocked > 0) {
        log_message(LOG_LEVEL_WARNING, "keys not locked",
                    "%zu private keys are in memory that the system may write to swap: raise the "
                    "limit of locked memory (ulimit -l, LimitMEMLOCK=)",
                    unlocked);
    }
}

void report_certificates(const struct runtime *rt) {
    report_unlocked_keys(rt);
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        const struct runtime_listener *l = &rt->listeners[i];
        report_certificates_of(l);
        for (size_t k = 0; k < l->config->route_count; k++) {
            if (!has_same_certificates(l->routes[k].config, l->config)) {
                report_certificates_of(&l->routes[k]);
            }
        }
    }
}

void report_ready(const struct runtime *rt, const struct bound_set *bound, size_t workers,
                  size_t unused_inherited) {
    for (size_t i = 0; i < bound->count; i++) {
        struct log_line line;
        log_begin(&line, LOG_LEVEL_INFO, "ready");
        log_str(&line, "listener", rt->config->listeners[bound->all[i].listener].name);
        log_str(&line, "listen", bound->all[i].address);
        log_num(&line, "workers", workers);
        log_end(&line);
    }
    if (unused_inherited > 0) {
        log_message(LOG_LEVEL_WARNING, "socket activation",
                    "%zu inherited sockets have addresses that no `listen` names, so that "
                    "their clients are never accepted; make ListenStream= and `listen` the same",
                    unused_inherited);
    }
}
