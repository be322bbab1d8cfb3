/* `postern --check`: loads what a start would load and prints it, without serving anybody. */
#include "core/log.h"
#include "server/expiry.h"
#include "server/privileges.h"
#include "server/secrecy.h"
#include "server/server.h"
#include "server/socket_file.h"
#include "session/runtime.h"

#include <stdio.h>
#include <time.h>

_Static_assert(sizeof(time_t) == 8,
               "a certificate may end after 2038: see _TIME_BITS in meson.build");

static void print_date(const char *label, int64_t seconds) {
    char text[32];
    time_t when = (time_t)seconds;
    struct tm utc;
    strftime(text, sizeof text, "%Y-%m-%d", gmtime_r(&when, &utc));
    printf("%s%s", label, text);
}

static void print_allow(const struct runtime_listener *l) {
    const struct tls_allow_counts *counts = tls_context_allow_counts(l->tls);
    if (counts != NULL) {
        printf(", allowed by %s (%zu by name, %zu by certificate, %zu by key)",
               l->config->client_allow, counts->names, counts->certificates, counts->keys);
    }
}

static void print_psk(const struct runtime_listener *l) {
    size_t count = tls_context_psk_count(l->tls);
    if (count > 0) {
        printf(", %s of %s (%zu)%s",
               l->config->certificate_count > 0 ? "or pre-shared key" : "those",
               l->config->psk_file, count,
               l->config->psk_plain == PSK_PLAIN_ACCEPT ? ", also without forward secrecy" : "");
    }
}

static const char *auth_text(enum config_client_auth auth) {
    switch (auth) {
    case CLIENT_AUTH_NONE:
        break;
    case CLIENT_AUTH_OPTIONAL:
        return "certificate optional";
    case CLIENT_AUTH_REQUIRED:
        return "certificate required";
    }
    return "anyone";
}

static const char *mqtt_text(enum config_mqtt mqtt) {
    switch (mqtt) {
    case MQTT_OFF:
        break;
    case MQTT_CHECK:
        return ", MQTT checked";
    case MQTT_IDENTITY:
        return ", identity as MQTT user name";
    }
    return "";
}

/* What the broker gets to know of clients. */
static void print_hand_over(const struct config_listener *config) {
    printf("%s", mqtt_text(config->mqtt));
    if (config->client_id != CLIENT_ID_FREE) {
        printf(", client_id %s", config_word("client_id", config->client_id));
    }
    if (config->proxy_protocol != PROXY_PROTOCOL_OFF) {
        printf(", PROXY %s to the broker", config_word("proxy_protocol", config->proxy_protocol));
    }
}

/* Which clients may connect, and what the broker gets to know of them. */
static void print_clients(const struct runtime_listener *l) {
    const struct config_listener *config = l->config;
    bool keys_alone = config->certificate_count == 0;
    printf("  clients     %s",
           keys_alone ? "pre-shared key required" : auth_text(config->client_auth));
    print_psk(l);
    if (config->client_auth != CLIENT_AUTH_NONE && !keys_alone) {
        printf(", CA %s, CRL %s", config->client_ca != NULL ? config->client_ca : "none",
               config->client_crl != NULL ? config->client_crl : "none");
        print_allow(l);
        printf(", identity %s", config->client_ca != NULL
                                    ? config_word("identity", config->identity)
                                    : "by client_allow");
    }
    print_hand_over(config);
    printf("%s\n", config->accept_proxy.count > 0 ? ", balancers' PROXY headers accepted" : "");
}

/* What a listener and a route have in common. */
static void print_service(const struct runtime_listener *l) {
    const struct config_listener *config = l->config;
    for (size_t i = 0; i < config->backend_count; i++) {
        printf("  backend     %s\n", config->backends[i].text);
    }
    print_clients(l);
    for (size_t i = 0; i < tls_context_certificates(l->tls); i++) {
        const struct tls_certificate_info *c = tls_context_certificate(l->tls, i);
        printf("  certificate %s: %s, %s, for %s, serial %s", c->section, c->subject, c->key_type,
               c->names, c->serial);
        print_date(", from ", c->not_before);
        print_date(" to ", c->not_after);
        printf("\n");
    }
}

static void print_list(const char *label, char *const *all, size_t count) {
    for (size_t i = 0; i < count; i++) {
        printf("%s%s", i == 0 ? label : ", ", all[i]);
    }
    if (count > 0) {
        printf("\n");
    }
}

static void print_route(const struct runtime_listener *l) {
    const struct config_listener *config = l->config;
    printf("route %s of listener %s\n", config->route, config->name);
    print_list("  server name ", config->server_names, config->server_name_count);
    print_list("  protocol    ", config->alpn.all, config->by_protocol ? config->alpn.count : 0);
    print_service(l);
}

static void print_listener(const struct runtime_listener *l) {
    const struct config_listener *config = l->config;
    char text[ADDRESS_TEXT_SIZE];
    printf("listener %s\n", config->name);
    for (size_t i = 0; i < config->address_count; i++) {
        printf("  listen      %s\n", address_print(&config->addresses[i], text));
    }
    if (config->unknown_name == UNKNOWN_NAME_REFUSE) {
        printf("  refused     clients whose server name no route and no certificate here has\n");
    }
    print_service(l);
    for (size_t i = 0; i < config->route_count; i++) {
        print_route(&l->routes[i]);
    }
}

static enum server_exit fail(enum server_exit result, const struct error *err) {
    log_message(LOG_LEVEL_ERROR, "check failed", "%s", err->text);
    return result;
}

static int check_socket(const struct socket_name *name, bool any_owner, struct error *err) {
    if (name->file == NULL) {
        return 0;
    }
    return socket_file_check_name(name, err) == 0 ? socket_folder_check(name, any_owner, err) : -1;
}

/* By root without `user` it may be a check for a service that a unit starts as another user. */
static int check_sockets(const struct config *config, struct error *err) {
    bool any_owner = privileges_are_root() && config->user == NULL;
    const struct socket_name takeover = {"takeover", config->takeover, config->takeover};
    const struct socket_name admin = {"admin", config->admin.text, config->admin.path};
    return check_socket(&takeover, any_owner, err) == 0 ? check_socket(&admin, any_owner, err) : -1;
}

/* The files were readable for the user that runs the check; with user set, that user must read them
 * at every reload. */
static enum server_exit check_loaded(const struct runtime *rt) {
    struct error err;
    if (rt->config->admin.text != NULL) {
        printf("admin %s\n", rt->config->admin.text);
    }
    for (size_t i = 0; i < rt->config->listener_count; i++) {
        print_listener(&rt->listeners[i]);
    }
    if (rt->config->user != NULL) {
        printf("user %s\n", rt->config->user);
    }
    expiry_warn_loaded(rt, (int64_t)time(NULL));
    if (check_sockets(rt->config, &err) != 0 || privileges_drop(rt->config, &err) != 0) {
        return fail(SERVER_UNUSABLE, &err);
    }
    printf("check passed\n");
    return SERVER_DONE;
}

enum server_exit server_check(const struct server_source *source) {
    struct error err;
    struct tls_shared none = {0};
    if (source_check_command_line(source, &err) != 0) {
        return fail(SERVER_WRONG_USE, &err);
    }
    struct backend_table *backends = backend_table_new(0);
    if (backends == NULL || tls_library_start(&err) != 0) {
        log_message(LOG_LEVEL_ERROR, "check failed", "%s",
                    backends != NULL ? err.text : "out of memory");
        backend_table_free(backends);
        return SERVER_CANNOT_RUN;
    }
    secrecy_begin();
    struct config *config = source_config(source, &err);
    struct runtime *rt = config != NULL ? runtime_load(config, &none, backends, &err) : NULL;
    enum server_exit result = rt != NULL ? check_loaded(rt) : fail(SERVER_UNUSABLE, &err);
    runtime_unref(rt);
    tls_library_stop();
    backend_table_free(backends);
    return result;
}
