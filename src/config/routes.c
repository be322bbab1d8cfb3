#include "config/routes.h"

#include <stdbool.h>
#include <string.h>

const struct document_section *routes_section(const struct document *document,
                                              const struct config_listener *route) {
    for (size_t i = 0; i < document->count; i++) {
        const struct document_section *section = &document->sections[i];
        if (section->kind == SECTION_ROUTE && strcmp(section->name, route->route) == 0) {
            return section;
        }
    }
    return NULL;
}

/* A route together with its section. */
struct subject {
    const struct config_listener *route;
    const struct document_section *section;
    const struct document *document;
};

static struct location location_of(const struct subject *s, const char *key) {
    return document_location(s->document, s->section, key);
}

static int check_server_names(const struct subject *s, struct error *err) {
    const struct config_listener *route = s->route;
    if (route->server_name_count == 0 && !route->by_protocol) {
        return location_fail(location_of(s, "server_name"), err,
                             "[route %s] has neither server_name nor alpn, so that it would be for "
                             "every client; write one, or set the keys in [listener %s]",
                             route->route, route->name);
    }
    for (size_t i = 0; i < route->server_name_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(route->server_names[i], route->server_names[j]) == 0) {
                return location_fail(location_of(s, "server_name"), err,
                                     "server_name names %s twice; once is enough",
                                     route->server_names[i]);
            }
        }
    }
    return 0;
}

static bool is_same_file(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Whether the route has a file of its own for this key, or none where its listener has one. */
static bool is_own(const struct subject *s, const char *key, const char *file, const char *other) {
    return document_setting(s->section, key)->value != NULL && !is_same_file(file, other);
}

static int fail_other_clients(const struct subject *s, const char *own, const char *list,
                              struct error *err) {
    return location_fail(location_of(s, own), err,
                         "[route %s] has a %s of its own, but %s of [listener %s], which is about "
                         "other clients; write %s = FILE, or %s = for none",
                         s->route->route, own, list, s->route->name, list, list);
}

/* A listener's client_crl, client_allow and psk_file are about the clients of its client_ca. A
 * route with another CA must not inherit them in silence: it names its own, or none. A route with a
 * client_allow of its own must do so for psk_file, because a client with a key needs no entry in
 * the list. */
static int check_other_clients(const struct subject *s, const struct config_listener *l,
                               struct error *err) {
    const struct config_listener *route = s->route;
    const struct {
        const char *key, *file;
    } lists[] = {{"client_crl", route->client_crl},
                 {"client_allow", route->client_allow},
                 {"psk_file", route->psk_file}};
    bool ca = is_own(s, "client_ca", route->client_ca, l->client_ca);
    bool allow = route->client_allow != NULL &&
                 is_own(s, "client_allow", route->client_allow, l->client_allow);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        bool inherited =
            lists[i].file != NULL && document_setting(s->section, lists[i].key)->value == NULL;
        if (inherited && (ca || (allow && lists[i].file == route->psk_file))) {
            return fail_other_clients(s, ca ? "client_ca" : "client_allow", lists[i].key, err);
        }
    }
    return 0;
}

/* Where all clients of the listener need a key, client_auth need not say so; a route with
 * certificates would let everybody in. */
static int check_beside_keys(const struct subject *s, const struct config_listener *l,
                             struct error *err) {
    const struct config_listener *route = s->route;
    bool is_said = document_setting(s->section, "client_auth")->value != NULL;
    if (l->certificate_count > 0 || route->certificate_count == 0 || route->psk_file == NULL ||
        route->client_auth != CLIENT_AUTH_NONE || is_said) {
        return 0;
    }
    return location_fail(location_of(s, "certificates"), err,
                         "[route %s] has certificates, but no client_auth: [listener %s] without "
                         "certificates lets nobody in without a key, this route would; write "
                         "client_auth = none if it should, else required with client_ca",
                         route->route, l->name);
}

/* A name that both are for; "" where both are for all. NULL: there is none. */
static const char *shared_name(const struct config_listener *a, const struct config_listener *b) {
    if (a->server_name_count == 0 && b->server_name_count == 0) {
        return "";
    }
    for (size_t i = 0; i < a->server_name_count; i++) {
        for (size_t j = 0; j < b->server_name_count; j++) {
            if (strcmp(a->server_names[i], b->server_names[j]) == 0) {
                return a->server_names[i];
            }
        }
    }
    return NULL;
}

/* The same of protocols. */
static const char *shared_protocol(const struct config_listener *a,
                                   const struct config_listener *b) {
    if (!a->by_protocol && !b->by_protocol) {
        return "";
    }
    for (size_t i = 0; a->by_protocol && b->by_protocol && i < a->alpn.count; i++) {
        for (size_t j = 0; j < b->alpn.count; j++) {
            if (strcmp(a->alpn.all[i], b->alpn.all[j]) == 0) {
                return a->alpn.all[i];
            }
        }
    }
    return NULL;
}

/* Of two routes for the same clients the later would never be used. */
static int check_distinct(const struct subject *s, const struct config_listener *before,
                          struct error *err) {
    const struct config_listener *route = s->route;
    const char *name = shared_name(route, before);
    const char *protocol = name != NULL ? shared_protocol(route, before) : NULL;
    if (protocol == NULL) {
        return 0;
    }
    return location_fail(
        location_of(s, name[0] != '\0' ? "server_name" : "alpn"), err,
        "[route %s] is for the same clients as [route %s] (line %u)%s%.80s%s%.80s; give one of "
        "them another server_name or alpn",
        route->route, before->route, before->line, name[0] != '\0' ? ", by the server name " : "",
        name, protocol[0] != '\0' ? ", by the protocol " : "", protocol);
}

int routes_check(const struct document *document, const struct config_listener *listener,
                 size_t index, struct error *err) {
    const struct config_listener *route = &listener->routes[index];
    const struct subject s = {route, routes_section(document, route), document};
    if (check_server_names(&s, err) != 0 || check_other_clients(&s, listener, err) != 0 ||
        check_beside_keys(&s, listener, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < index; i++) {
        if (check_distinct(&s, &listener->routes[i], err) != 0) {
            return -1;
        }
    }
    return 0;
}
