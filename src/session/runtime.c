#include "session/runtime.h"

#include "session/route.h"

#include <stdlib.h>
#include <string.h>

static void free_service(struct runtime_listener *l) {
    tls_context_unref(l->tls);
    for (size_t i = 0; l->backends != NULL && i < l->config->backend_count; i++) {
        backend_put(l->backends[i]);
    }
    free(l->backends);
}

static void free_listener(struct runtime_listener *l) {
    for (size_t i = 0; l->routes != NULL && i < l->config->route_count; i++) {
        free_service(&l->routes[i]);
    }
    free(l->routes);
    free_service(l);
}

static void free_runtime(struct runtime *rt) {
    if (rt->listeners != NULL) {
        for (size_t i = 0; i < rt->config->listener_count; i++) {
            free_listener(&rt->listeners[i]);
        }
    }
    free(rt->listeners);
    tls_ticket_keys_free(rt->ticket_keys);
    config_free(rt->config);
    free(rt);
}

static int load_backends(struct runtime_listener *l, struct backend_table *table,
                         struct error *err) {
    const struct config_listener *config = l->config;
    l->backends = calloc(config->backend_count, sizeof *l->backends);
    if (l->backends == NULL) {
        return error_set(err, "out of memory");
    }
    for (size_t i = 0; i < config->backend_count; i++) {
        l->backends[i] = backend_get(table, &config->backends[i]);
        if (l->backends[i] == NULL) {
            return error_set(err, "out of memory");
        }
    }
    l->target = (struct dial_target){.backends = l->backends,
                                     .backend_count = config->backend_count,
                                     .bounds = &config->max_dials,
                                     .sources = &config->backend_source};
    return 0;
}

static int load_service(struct runtime_listener *l, const struct config_listener *config,
                        const struct tls_shared *tls, struct backend_table *table,
                        struct error *err) {
    l->config = config;
    l->tls = tls_context_load(config, tls, err);
    return l->tls != NULL ? load_backends(l, table, err) : -1;
}

/* And its routes, whose dials count with the listener's. */
static int load_listener(struct runtime_listener *l, const struct config_listener *config,
                         const struct tls_shared *tls, struct backend_table *table,
                         struct error *err) {
    if (load_service(l, config, tls, table, err) != 0) {
        return -1;
    }
    if (config->route_count == 0) {
        return 0;
    }
    l->routes = calloc(config->route_count, sizeof *l->routes);
    if (l->routes == NULL) {
        return error_set(err, "out of memory");
    }
    for (size_t i = 0; i < config->route_count; i++) {
        if (load_service(&l->routes[i], &config->routes[i], tls, table, err) != 0) {
            return -1;
        }
        l->routes[i].target.bounds = &config->max_dials;
    }
    return 0;
}

static int load_parts(struct runtime *rt, const struct tls_shared *tls, struct backend_table *table,
                      struct error *err) {
    size_t count = rt->config->listener_count;
    if (rt->config->ticket_keys != NULL) {
        rt->ticket_keys = tls_ticket_keys_read(rt->config->ticket_keys, err);
        if (rt->ticket_keys == NULL) {
            return error_prefix(err, "ticket_keys");
        }
    }
    rt->listeners = calloc(count, sizeof *rt->listeners);
    if (rt->listeners == NULL) {
        return error_set(err, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        if (load_listener(&rt->listeners[i], &rt->config->listeners[i], tls, table, err) != 0) {
            return -1;
        }
    }
    return 0;
}

struct runtime *runtime_load(struct config *config, const struct tls_shared *tls,
                             struct backend_table *backends, struct error *err) {
    struct runtime *rt = calloc(1, sizeof *rt);
    if (rt == NULL) {
        config_free(config);
        error_set(err, "out of memory");
        return NULL;
    }
    atomic_init(&rt->refs, 1);
    rt->config = config;
    if (load_parts(rt, tls, backends, err) != 0) {
        free_runtime(rt);
        return NULL;
    }
    return rt;
}

void runtime_commit(struct runtime *rt, const struct tls_shared *tls) {
    log_setup(rt->config->log_level, rt->config->log_format);
    if (tls->tickets != NULL) {
        tls_tickets_use(tls->tickets, rt->ticket_keys);
        rt->ticket_keys = NULL;
    }
}

size_t runtime_route(const struct runtime *rt, size_t listener, const struct client_hello *hello) {
    return route_find(rt->listeners[listener].config, hello);
}

const struct runtime_listener *runtime_namesake(const struct runtime *rt, size_t listener,
                                                const struct config_listener *route) {
    const struct runtime_listener *l = &rt->listeners[listener];
    for (size_t i = 0; route->route != NULL && i < l->config->route_count; i++) {
        if (strcmp(l->config->routes[i].route, route->route) == 0) {
            return &l->routes[i];
        }
    }
    return l;
}

static bool same_addresses(const struct config_listener *a, const struct config_listener *b) {
    if (a->address_count != b->address_count) {
        return false;
    }
    for (size_t i = 0; i < a->address_count; i++) {
        if (!address_is_equal(&a->addresses[i], &b->addresses[i])) {
            return false;
        }
    }
    return true;
}

static bool same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static const char *text_or_off(const char *text) {
    return text != NULL ? text : "off";
}

/* What the process became at its start. */
static int check_process(const struct config *a, const struct config *b, struct error *err) {
    const char *changed = a->workers != b->workers               ? "workers"
                          : !same_text(a->user, b->user)         ? "user"
                          : !same_text(a->group, b->group)       ? "group"
                          : a->sandbox != b->sandbox             ? "sandbox"
                          : a->core_dumps != b->core_dumps       ? "core_dumps"
                          : !same_text(a->takeover, b->takeover) ? "takeover"
                                                                 : NULL;
    if (changed != NULL) {
        return error_set(err, "%s cannot change in a reload: restart Postern to change it",
                         changed);
    }
    if (!same_text(a->admin.text, b->admin.text)) {
        return error_set(err,
                         "admin cannot change in a reload (%s now, %s in the file): restart "
                         "Postern to change it",
                         text_or_off(a->admin.text), text_or_off(b->admin.text));
    }
    return 0;
}

static int check_listener(const struct config_listener *a, const struct config_listener *b,
                          struct error *err) {
    if (strcmp(a->name, b->name) != 0) {
        return error_set(err,
                         "the names and order of listeners cannot change in a reload "
                         "([listener %s] now, [listener %s] in the file): restart Postern "
                         "to change them",
                         a->name, b->name);
    }
    if (!same_addresses(a, b)) {
        return error_set(err,
                         "listen of [listener %s] cannot change in a reload: restart "
                         "Postern to change it",
                         a->name);
    }
    return 0;
}

int runtime_check_successor(const struct runtime *old, const struct runtime *new,
                            struct error *err) {
    const struct config *a = old->config, *b = new->config;
    if (check_process(a, b, err) != 0) {
        return -1;
    }
    if (a->listener_count != b->listener_count) {
        return error_set(err,
                         "the number of listeners cannot change in a reload (%zu now, %zu in "
                         "the file): restart Postern to change it",
                         a->listener_count, b->listener_count);
    }
    for (size_t i = 0; i < a->listener_count; i++) {
        if (check_listener(&a->listeners[i], &b->listeners[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}

struct runtime *runtime_ref(struct runtime *rt) {
    atomic_fetch_add_explicit(&rt->refs, 1, memory_order_relaxed);
    return rt;
}

void runtime_unref(struct runtime *rt) {
    if (rt != NULL && atomic_fetch_sub_explicit(&rt->refs, 1, memory_order_acq_rel) == 1) {
        free_runtime(rt);
    }
}

void runtime_retire(struct runtime *rt) {
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        const struct runtime_listener *l = &rt->listeners[i];
        tls_context_retire(l->tls);
        for (size_t k = 0; k < l->config->route_count; k++) {
            tls_context_retire(l->routes[k].tls);
        }
    }
}
