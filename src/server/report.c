#include "server/report.h"

#include "core/log.h"

void report_certificates(const struct runtime *rt) {
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        const struct tls_context *tls = rt->listeners[i].tls;
        for (size_t k = 0; k < tls_context_certificates(tls); k++) {
            const struct tls_certificate_info *c = tls_context_certificate(tls, k);
            struct log_line line;
            log_begin(&line, LOG_LEVEL_INFO, "certificate");
            log_str(&line, "listener", rt->config->listeners[i].name);
            log_str(&line, "section", c->section);
            log_str(&line, "subject", c->subject);
            log_str(&line, "key", c->key_type);
            log_str(&line, "serial", c->serial);
            log_end(&line);
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
