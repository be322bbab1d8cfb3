#include "config/sections.h"

#include "config/build.h"
#include "config/validate.h"
#include "config/values.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Puts before the message where the value is, and the value as it was given. */
static int locate_error(const struct build *b, const char *key,
                        const struct document_setting *setting) {
    const char *hash = strstr(setting->value, " #");
    if (hash != NULL && setting->option == NULL) {
        error_append(b->err, " (a comment after a value begins with ;)");
    }
    if (setting->option != NULL) {
        return error_prefix(b->err, "%s %.80s", setting->option, setting->value);
    }
    error_prefix(b->err, "%s = %.80s", key, setting->value);
    return error_prefix(b->err, "%s:%u", b->document->file, setting->line);
}

static int apply_given(const struct build *b, const struct config_key *key,
                       const struct document_setting *setting, char *base) {
    struct location location = {b->document->file, setting->line, setting->option};
    bool may_be_empty = key->fallback != NULL && key->fallback[0] == '\0';
    if (setting->value[0] == '\0' && !may_be_empty) {
        if (key->fallback == NULL) {
            return location_fail(location, b->err,
                                 "%s has no value; write one after the =", key->name);
        }
        return location_fail(location, b->err,
                             "%s has no value; leave the line out for the default, %s", key->name,
                             key->fallback);
    }
    if (setting->value[0] == '"' || setting->value[0] == '\'') {
        return location_fail(location, b->err, "%s has a value in quotes; leave them out",
                             key->name);
    }
    return build_set(b, key, setting->value, base) == 0 ? 0 : locate_error(b, key->name, setting);
}

static bool has_psk_file(const struct document_section *section) {
    const char *value = document_setting(section, "psk_file")->value;
    return value != NULL && value[0] != '\0';
}

/* For a key that was not given and whose default is not a text. */
static int apply_missing(const struct build *b, const struct config_key *key,
                         const struct document_section *section, char *base) {
    struct location location = {b->document->file, section->line, NULL};
    if (key->kind != KIND_CERTIFICATES) {
        if (b->document->file == NULL) {
            return error_set(b->err, "command line: --%s is missing; name the file in PEM format",
                             key->name);
        }
        return location_fail(location, b->err, "[certificate %s] has no %s; write %s = FILE",
                             section->name, key->name, key->name);
    }
    if (has_psk_file(section)) {
        return b->config->certificate_count == 0
                   ? 0
                   : location_fail(location, b->err,
                                   "[listener %s] has a psk_file and no certificates; write "
                                   "certificates = NAME to take keys beside certificates, or "
                                   "certificates = none to take keys alone",
                                   section->name);
    }
    if (b->config->certificate_count == 1) {
        return build_set(b, key, b->config->certificates[0].name, base);
    }
    if (b->config->certificate_count == 0) {
        return location_fail(location, b->err,
                             "[listener %s] has no certificate to present; define one in "
                             "a section [certificate NAME]",
                             section->name);
    }
    return location_fail(location, b->err,
                         "[listener %s] names no certificates, and several are "
                         "defined; write certificates = NAME",
                         section->name);
}

/* The default listen address is every one of the machine, IPv4 as well; a kernel without IPv6 has
 * no socket for that. */
static const char *default_value(const struct config_key *key) {
    if (key->kind != KIND_ADDRESSES) {
        return key->fallback;
    }
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno == EAFNOSUPPORT ? "0.0.0.0:8883" : key->fallback;
    }
    close(fd);
    return key->fallback;
}

/* Sets one key of the section, given or not, in the struct at `base`. */
static int apply_key(const struct build *b, const struct config_key *key,
                     const struct document_section *section, char *base) {
    const struct document_setting *setting = &section->settings[key - config_keys];
    if (setting->value != NULL) {
        return apply_given(b, key, setting, base);
    }
    if (key->fallback == NULL) {
        return apply_missing(b, key, section, base);
    }
    if (key->kind == KIND_ADDRESSES && b->config->listener_count > 1) {
        return location_fail((struct location){b->document->file, section->line, NULL}, b->err,
                             "[listener %s] has no listen; where there are several listeners, "
                             "each names its addresses",
                             section->name);
    }
    return build_set(b, key, default_value(key), base);
}

/* All keys of a section. */
static int apply_section(const struct build *b, const struct document_section *section,
                         char *base) {
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].section == section->kind &&
            apply_key(b, &config_keys[i], section, base) != 0) {
            return -1;
        }
    }
    return 0;
}

static int apply_postern(const struct build *b) {
    const struct document_section *section = document_section(b->document, SECTION_POSTERN, 0);
    if (section != NULL) {
        return apply_section(b, section, (char *)b->config);
    }
    for (size_t i = 0; i < config_key_count; i++) {
        if (config_keys[i].section == SECTION_POSTERN &&
            build_set(b, &config_keys[i], config_keys[i].fallback, (char *)b->config) != 0) {
            return -1;
        }
    }
    return 0;
}

static int apply_certificates(const struct build *b) {
    const struct document_section *section;
    for (size_t i = 0; (section = document_section(b->document, SECTION_CERTIFICATE, i)) != NULL;
         i++) {
        struct config_certificate *certificate =
            build_add_element((void **)&b->config->certificates, &b->config->certificate_count,
                              sizeof *certificate, b->err);
        if (certificate == NULL) {
            return -1;
        }
        certificate->line = section->line;
        certificate->name = strdup(section->name);
        if (certificate->name == NULL) {
            return error_set(b->err, "out of memory");
        }
        if (apply_section(b, section, (char *)certificate) != 0) {
            return -1;
        }
    }
    return 0;
}

/* After the certificates, because listeners point at them. */
static int apply_listeners(const struct build *b) {
    struct config *config = b->config;
    size_t count = 0;
    while (document_section(b->document, SECTION_LISTENER, count) != NULL) {
        count++;
    }
    if (count == 0) {
        return location_fail(
            (struct location){b->document->file, 0, NULL}, b->err,
            "there is no [listener NAME] section, so that nothing would be served; "
            "write one, as in [listener mqtt]");
    }
    config->listeners = calloc(count, sizeof *config->listeners);
    if (config->listeners == NULL) {
        return error_set(b->err, "out of memory");
    }
    config->listener_count = count;
    for (size_t i = 0; i < count; i++) {
        const struct document_section *section = document_section(b->document, SECTION_LISTENER, i);
        struct config_listener *l = &config->listeners[i];
        l->line = section->line;
        l->name = strdup(section->name);
        if (l->name == NULL) {
            return error_set(b->err, "out of memory");
        }
        if (apply_section(b, section, (char *)l) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- routes --- */

/* What a route does not inherit: its listener's setting of `key` would contradict what the route
 * sets, or is about what the route replaces. */
static const struct {
    const char *key, *set, *to; /* NULL: to whatever */
} not_inherited[] = {
    {"client_ca", "client_auth", "none"},
    {"client_crl", "client_auth", "none"},
    {"client_allow", "client_auth", "none"},
    {"client_auth", "certificates", "none"},
    {"client_ca", "certificates", "none"},
    {"client_crl", "certificates", "none"},
    {"client_allow", "certificates", "none"},
    {"psk_plain", "psk_file", NULL},
    {"client_id", "mqtt", "off"},
    {"client_id", "mqtt", "check"},
    {"dial", "mqtt", "check"},
    {"dial", "mqtt", "identity"},
};

static bool inherits(const struct document_section *route, const struct config_key *key) {
    for (size_t i = 0; i < sizeof not_inherited / sizeof *not_inherited; i++) {
        if (strcmp(not_inherited[i].key, key->name) != 0) {
            continue;
        }
        const char *value = document_setting(route, not_inherited[i].set)->value;
        const char *to = not_inherited[i].to;
        if (value != NULL && (to == NULL || strcmp(to, value) == 0)) {
            return false;
        }
    }
    return true;
}

/* Sets every key of the route: by its own section where it is given there, or not inherited. */
static int apply_route_keys(const struct build *b, const struct document_section *section,
                            const struct document_section *listener, char *base) {
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        bool own = config_key_is_in(key, SECTION_ROUTE) &&
                   (section->settings[i].value != NULL || !inherits(section, key));
        int result = 0;
        if (key->section == SECTION_LISTENER) {
            result = apply_key(b, key, own ? section : listener, base);
        } else if (key->kind == KIND_SERVER_NAMES) {
            result = apply_key(b, key, section, base);
        }
        if (result != 0) {
            return -1;
        }
    }
    return 0;
}

enum { ROUTES_MAX = 60000 }; /* a session has its number in 16 bits */

static int apply_route(const struct build *b, const struct document_section *section,
                       struct config_listener *l) {
    size_t index = (size_t)(l - b->config->listeners);
    struct config_listener *route =
        build_add_element((void **)&l->routes, &l->route_count, sizeof *route, b->err);
    if (route == NULL) {
        return -1;
    }
    if (l->route_count > ROUTES_MAX) {
        return location_fail((struct location){b->document->file, section->line, NULL}, b->err,
                             "a listener has %d routes at most", ROUTES_MAX);
    }
    route->line = section->line;
    route->name = strdup(l->name);
    route->route = strdup(section->name);
    route->by_protocol = document_setting(section, "alpn")->value != NULL;
    if (route->name == NULL || route->route == NULL) {
        return error_set(b->err, "out of memory");
    }
    return apply_route_keys(b, section, document_section(b->document, SECTION_LISTENER, index),
                            (char *)route);
}

/* One that the route's key `listener` names; NULL with what is wrong. */
static struct config_listener *
find_listener(const struct build *b, const struct document_section *section, const char *name) {
    struct config_listener *l = b->config->listeners;
    while (l != b->config->listeners + b->config->listener_count && strcmp(l->name, name) != 0) {
        l++;
    }
    if (l == b->config->listeners + b->config->listener_count) {
        error_set(b->err, "no section [listener %.64s] is defined; define it, or name one that is",
                  name);
        return NULL;
    }
    if (l->route_count > 0 && strcmp(l->routes[l->route_count - 1].route, section->name) == 0) {
        error_set(b->err, "it names %s twice; once is enough", name);
        return NULL;
    }
    return l;
}

static int apply_route_to_all(const struct build *b, const struct document_section *section,
                              const struct document_setting *setting) {
    for (const char *next = setting->value; next != NULL;) {
        char *name = NULL;
        struct config_listener *l = NULL;
        if (config_next_item(&next, &name, b->err) == 0) {
            l = find_listener(b, section, name);
        }
        free(name);
        if (l == NULL) {
            return locate_error(b, "listener", setting);
        }
        if (apply_route(b, section, l) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Without its key `listener` a route belongs to the only one. */
static int apply_route_section(const struct build *b, const struct document_section *section) {
    const struct document_setting *setting = document_setting(section, "listener");
    if (setting->value != NULL) {
        return apply_route_to_all(b, section, setting);
    }
    if (b->config->listener_count > 1) {
        return location_fail((struct location){b->document->file, section->line, NULL}, b->err,
                             "[route %s] names no listener, and several are defined; write "
                             "listener = NAME",
                             section->name);
    }
    return apply_route(b, section, &b->config->listeners[0]);
}

/* After the listeners, from which they inherit. */
static int apply_routes(const struct build *b) {
    const struct document_section *section;
    assert(b->config->listeners != NULL);
    for (size_t i = 0; (section = document_section(b->document, SECTION_ROUTE, i)) != NULL; i++) {
        if (apply_route_section(b, section) != 0) {
            return -1;
        }
    }
    return 0;
}

/* --- all of it --- */

static int copy_names(struct build *b, const char *file) {
    b->config->file = strdup(file);
    b->folder = config_folder_of(file);
    return b->config->file != NULL && b->folder != NULL ? 0 : error_set(b->err, "out of memory");
}

struct config *config_build(const struct document *document, struct error *err) {
    struct build b = {document, calloc(1, sizeof *b.config), NULL, err};
    int result = 0;
    if (b.config == NULL) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (document->file != NULL) {
        result = copy_names(&b, document->file);
    }
    if (result == 0) {
        result = apply_postern(&b);
    }
    if (result == 0) {
        result = apply_certificates(&b);
    }
    if (result == 0) {
        result = apply_listeners(&b);
    }
    if (result == 0) {
        result = apply_routes(&b);
    }
    if (result == 0) {
        result = config_check(b.config, document, err);
    }
    free(b.folder);
    if (result != 0) {
        config_free(b.config);
        return NULL;
    }
    config_warn(b.config, document);
    return b.config;
}
