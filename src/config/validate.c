#include "config/validate.h"

#include "config/routes.h"
#include "core/log.h"

#include <stdio.h>
#include <string.h>

/* A listener or a route, together with its section. */
struct subject {
    const struct config_listener *listener;
    const struct document_section *section;
    const struct document *document;
};

static struct subject subject_at(const struct config *config, const struct document *document,
                                 size_t index) {
    return (struct subject){&config->listeners[index],
                            document_section(document, SECTION_LISTENER, index), document};
}

static struct subject subject_of_route(const struct config_listener *route,
                                       const struct document *document) {
    return (struct subject){route, routes_section(document, route), document};
}

/* Goes through all listeners, each followed by its routes; NULL after the last. Begins with 0, 0.
 */
struct walk {
    size_t listener, route;
};

static const struct config_listener *next_of_all(const struct config *config, struct walk *walk) {
    if (walk->listener == config->listener_count) {
        return NULL;
    }
    const struct config_listener *l = &config->listeners[walk->listener];
    const struct config_listener *next = walk->route == 0 ? l : &l->routes[walk->route - 1];
    if (walk->route++ == l->route_count) {
        *walk = (struct walk){walk->listener + 1, 0};
    }
    return next;
}

enum { SECTION_TEXT = 80 };

/* "[listener mqtt]", "[route web]" */
static const char *print_section(const struct config_listener *l, char text[SECTION_TEXT]) {
    snprintf(text, SECTION_TEXT, "[%s %s]", l->route != NULL ? "route" : "listener",
             l->route != NULL ? l->route : l->name);
    return text;
}

static struct location location_of(const struct subject *s, const char *key) {
    return document_location(s->document, s->section, key);
}

static int check_versions(const struct subject *s, struct error *err) {
    if (s->listener->tls_min <= s->listener->tls_max) {
        return 0;
    }
    bool min_given = document_setting(s->section, "tls_min")->value != NULL;
    return location_fail(
        location_of(s, min_given ? "tls_min" : "tls_max"), err,
        "tls_min is above tls_max in [listener %s], so that no client could connect; "
        "raise tls_max or lower tls_min",
        s->listener->name);
}

static bool is_given(const struct subject *s, const char *key) {
    const char *value = document_setting(s->section, key)->value;
    return value != NULL && value[0] != '\0';
}

/* Without certificates no client is asked for one, and each has a key. */
static int check_keys_alone(const struct subject *s, struct error *err) {
    const struct config_listener *l = s->listener;
    bool has_list = is_given(s, "client_crl"); /* a route may have its listener's */
    const char *key = l->client_ca != NULL ? "client_ca" : has_list ? "client_crl" : "client_allow";
    if (l->psk_file == NULL) {
        return location_fail(location_of(s, "certificates"), err,
                             "certificates = none without psk_file, so that no client could "
                             "connect; name a certificate, or write psk_file = FILE as well");
    }
    if (l->client_ca != NULL || has_list || l->client_allow != NULL) {
        return location_fail(location_of(s, key), err,
                             "%s without certificates, so that no client would be asked for one; "
                             "remove it, or write certificates = NAME",
                             key);
    }
    if (l->client_auth == CLIENT_AUTH_OPTIONAL) {
        return location_fail(location_of(s, "client_auth"), err,
                             "client_auth = optional without certificates; each client needs a key "
                             "there, so write client_auth = required, or leave it out");
    }
    return 0;
}

static int check_psk(const struct subject *s, struct error *err) {
    const struct config_listener *l = s->listener;
    if (l->certificate_count == 0 && check_keys_alone(s, err) != 0) {
        return -1;
    }
    if (l->psk_plain == PSK_PLAIN_ACCEPT && l->psk_file == NULL) {
        return location_fail(location_of(s, "psk_plain"), err,
                             "psk_plain without psk_file; write psk_file = FILE as well");
    }
    return 0;
}

static int check_client_auth(const struct subject *s, struct error *err) {
    const struct config_listener *l = s->listener;
    if (l->certificate_count == 0) {
        return 0; /* by check_psk */
    }
    if (l->client_auth != CLIENT_AUTH_NONE && l->client_ca == NULL && l->client_allow == NULL) {
        return location_fail(
            location_of(s, "client_auth"), err,
            "client_auth without client_ca; name the file of the CA that issues the "
            "clients' certificates in client_ca, or one that lists them in client_allow");
    }
    if (l->client_crl != NULL && l->client_ca == NULL) {
        return location_fail(location_of(s, "client_crl"), err,
                             "client_crl without client_ca; name the CA that issued the list in "
                             "client_ca");
    }
    if (l->client_auth == CLIENT_AUTH_NONE && l->client_ca != NULL) {
        return location_fail(
            location_of(s, "client_ca"), err,
            "client_ca without client_auth, so that no client would be checked; write "
            "client_auth = required (or optional) as well");
    }
    if (l->client_auth == CLIENT_AUTH_NONE && l->client_allow != NULL) {
        return location_fail(
            location_of(s, "client_allow"), err,
            "client_allow without client_auth, so that no client would be checked; write "
            "client_auth = required (or optional) as well");
    }
    if (l->mqtt == MQTT_IDENTITY && l->client_auth != CLIENT_AUTH_REQUIRED) {
        return location_fail(location_of(s, "mqtt"), err,
                             "mqtt = identity without client_auth = required; a client without a "
                             "certificate (or a key of psk_file) would have no identity");
    }
    return 0;
}

static int check_client_id(const struct subject *s, struct error *err) {
    if (s->listener->client_id == CLIENT_ID_FREE || s->listener->mqtt == MQTT_IDENTITY) {
        return 0;
    }
    return location_fail(location_of(s, "client_id"), err,
                         "client_id without mqtt = identity, so that no client ID would be "
                         "checked; write mqtt = identity as well");
}

/* With mqtt on, no broker is dialled before the CONNECT packet: that is what it is for. */
static int check_dial(const struct subject *s, struct error *err) {
    const struct config_listener *l = s->listener;
    if (l->dial == DIAL_AFTER_FIRST_BYTE || l->mqtt == MQTT_OFF) {
        return 0;
    }
    return location_fail(location_of(s, "dial"), err,
                         "dial = handshake with mqtt = %s, which lets nobody reach the broker "
                         "before a valid CONNECT packet; remove dial, or write mqtt = off",
                         config_word("mqtt", l->mqtt));
}

/* A client for which http/1.1 was chosen speaks WebSocket, which no check of MQTT understands. */
static int check_alpn(const struct subject *s, struct error *err) {
    const struct config_listener *l = s->listener;
    for (size_t i = 0; i < l->alpn.count; i++) {
        if (l->mqtt != MQTT_OFF && strcmp(l->alpn.all[i], "http/1.1") == 0) {
            return location_fail(location_of(s, "alpn"), err,
                                 "alpn has http/1.1 with mqtt = %s, which such a client does not "
                                 "speak; remove it, or write mqtt = off",
                                 config_word("mqtt", l->mqtt));
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(l->alpn.all[i], l->alpn.all[j]) == 0) {
                return location_fail(location_of(s, "alpn"), err,
                                     "alpn names %s twice; once is enough", l->alpn.all[i]);
            }
        }
    }
    return 0;
}

static int check_certificates(const struct subject *s, struct error *err) {
    const struct config_listener *l = s->listener;
    for (size_t i = 0; i < l->certificate_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (l->certificates[i] == l->certificates[j]) {
                return location_fail(location_of(s, "certificates"), err,
                                     "certificates names %s twice; once is enough",
                                     l->certificates[i]->name);
            }
        }
    }
    return 0;
}

/* Whether `a` takes the clients of `b` too: [::] serves IPv4 as well. */
static bool covers(const struct address *a, const struct address *b) {
    return address_is_any(a) && (a->family == ADDRESS_IPV6 || b->family == ADDRESS_IPV4);
}

/* `b` was given before `a`, in line `line`. The system refuses such pairs too, but with an error
 * that suggests another program on the same address. */
static int check_pair(struct location location, const struct address *a, const struct address *b,
                      unsigned line, struct error *err) {
    static const char right[] = "remove one, or give one another port";
    char first[32] = "", a_text[ADDRESS_TEXT_SIZE], b_text[ADDRESS_TEXT_SIZE];
    if (a->port == 0 || a->port != b->port) {
        return 0;
    }
    address_print(a, a_text);
    address_print(b, b_text);
    if (line > 0) {
        snprintf(first, sizeof first, " (line %u)", line);
    }
    if (address_is_equal(a, b)) {
        return location_fail(location, err, "%s is listened on twice%s; %s", a_text, first, right);
    }
    if (covers(a, b)) {
        return location_fail(location, err, "%s includes %s%s; %s", a_text, b_text, first, right);
    }
    if (covers(b, a)) {
        return location_fail(location, err, "%s is included in %s%s; %s", a_text, b_text, first,
                             right);
    }
    return 0;
}

static int check_addresses(const struct config *config, const struct document *document,
                           size_t index, struct error *err) {
    struct subject s = subject_at(config, document, index);
    for (size_t a = 0; a < s.listener->address_count; a++) {
        for (size_t j = 0; j <= index; j++) {
            struct subject other = subject_at(config, document, j);
            size_t before = j == index ? a : other.listener->address_count;
            for (size_t b = 0; b < before; b++) {
                if (check_pair(location_of(&s, "listen"), &s.listener->addresses[a],
                               &other.listener->addresses[b], location_of(&other, "listen").line,
                               err) != 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

/* --- all of it --- */

static int check_user(const struct config *config, const struct document *document,
                      struct error *err) {
    if (config->group == NULL || config->user != NULL) {
        return 0;
    }
    return location_fail(
        document_location(document, document_section(document, SECTION_POSTERN, 0), "group"), err,
        "group without user, so that root's rights would be kept; name the user as well");
}

static int check_service(const struct subject *s, struct error *err) {
    if (check_versions(s, err) != 0 || check_psk(s, err) != 0 || check_client_auth(s, err) != 0 ||
        check_client_id(s, err) != 0 || check_dial(s, err) != 0 || check_alpn(s, err) != 0 ||
        check_certificates(s, err) != 0) {
        return -1;
    }
    return 0;
}

static int check_routes(const struct config_listener *l, const struct document *document,
                        struct error *err) {
    for (size_t i = 0; i < l->route_count; i++) {
        struct subject s = subject_of_route(&l->routes[i], document);
        if (routes_check(document, l, i, err) != 0 || check_service(&s, err) != 0) {
            return -1;
        }
    }
    return 0;
}

int config_check(const struct config *config, const struct document *document, struct error *err) {
    if (check_user(config, document, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        struct subject s = subject_at(config, document, i);
        if (check_service(&s, err) != 0 || check_addresses(config, document, i, err) != 0 ||
            check_routes(s.listener, document, err) != 0) {
            return -1;
        }
    }
    return 0;
}

static bool names_certificate(const struct config_listener *l,
                              const struct config_certificate *certificate) {
    for (size_t i = 0; i < l->certificate_count; i++) {
        if (l->certificates[i] == certificate) {
            return true;
        }
    }
    return false;
}

static void warn_unused(const struct config *config, const struct document *document) {
    for (size_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        const struct config_listener *l;
        struct walk walk = {0, 0};
        bool used = false;
        while (!used && (l = next_of_all(config, &walk)) != NULL) {
            used = names_certificate(l, certificate);
        }
        if (!used) {
            log_message(LOG_LEVEL_WARNING, "config",
                        "%s:%u: no listener uses [certificate %s]; it is not loaded",
                        document->file, certificate->line, certificate->name);
        }
    }
}

static const struct config_backend *shared_backend(const struct config_listener *a,
                                                   const struct config_listener *b) {
    for (size_t i = 0; i < a->backend_count; i++) {
        for (size_t j = 0; j < b->backend_count; j++) {
            if (strcmp(a->backends[i].text, b->backends[j].text) == 0) {
                return &a->backends[i];
            }
        }
    }
    return NULL;
}

/* One that gives identities to a backend that `open` connects to as well; NULL: none. */
static const struct config_listener *find_strict(const struct config *config,
                                                 const struct config_listener *open) {
    const struct config_listener *strict;
    struct walk walk = {0, 0};
    while ((strict = next_of_all(config, &walk)) != NULL) {
        if (strict->mqtt == MQTT_IDENTITY && shared_backend(open, strict) != NULL) {
            return strict;
        }
    }
    return NULL;
}

/* A broker that trusts user names because they come from certificates must not be reachable where
 * clients choose their names. */
static void warn_identity_bypass(const struct config *config, const struct document *document) {
    const struct config_listener *open;
    struct walk walk = {0, 0};
    while ((open = next_of_all(config, &walk)) != NULL) {
        const struct config_listener *strict =
            open->mqtt != MQTT_IDENTITY ? find_strict(config, open) : NULL;
        char text[SECTION_TEXT], strict_text[SECTION_TEXT];
        if (strict != NULL) {
            log_message(LOG_LEVEL_WARNING, "config",
                        "%s:%u: %s connects to the backend %s without mqtt = identity, while %s "
                        "gives it identities; a client can claim any name through %s",
                        document->file, open->line, print_section(open, text),
                        shared_backend(open, strict)->text, print_section(strict, strict_text),
                        text);
        }
    }
}

static bool waits_in_silence(const struct config_listener *l) {
    return l->first_data_timeout_ms == CONFIG_OFF && l->dial == DIAL_AFTER_FIRST_BYTE &&
           l->mqtt == MQTT_OFF;
}

static void warn_silence_of(const struct subject *s) {
    const struct config_listener *l = s->listener;
    char text[SECTION_TEXT];
    log_message(LOG_LEVEL_WARNING, "config",
                "%s:%u: %s has first_data_timeout = off, and dials its broker "
                "at the client's first byte: a client that sends none stays for ever; if "
                "the broker speaks first, write dial = handshake as well",
                s->document->file,
                l->route != NULL ? l->line : location_of(s, "first_data_timeout").line,
                print_section(l, text));
}

/* Client and broker would wait for each other's first word, without an end. */
static void warn_silence(const struct config *config, const struct document *document) {
    for (size_t i = 0; i < config->listener_count; i++) {
        struct subject s = subject_at(config, document, i);
        bool warned = waits_in_silence(s.listener);
        if (warned) {
            warn_silence_of(&s);
        }
        for (size_t k = 0; k < s.listener->route_count && !warned; k++) {
            const struct config_listener *l = &s.listener->routes[k];
            if (waits_in_silence(l)) {
                struct subject route = subject_of_route(l, document);
                warn_silence_of(&route);
            }
        }
    }
}

static void warn_open_admin(const struct config *config) {
    const struct config_admin *admin = &config->admin;
    if (admin->text != NULL && admin->path == NULL && !address_is_loopback(&admin->address)) {
        log_message(
            LOG_LEVEL_WARNING, "config",
            "admin = %s is not a loopback address: every host that can reach it can read the "
            "metrics, which have no authentication; sessions, reloads and the drain stay "
            "with clients on this machine",
            admin->text);
    }
}

void config_warn(const struct config *config, const struct document *document) {
    warn_open_admin(config);
    if (document->file != NULL) { /* a command line defines one of each */
        warn_unused(config, document);
        warn_identity_bypass(config, document);
        warn_silence(config, document);
    }
}
