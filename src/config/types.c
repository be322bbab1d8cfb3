#include "config/types.h"

#include "config/document.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* And its routes. */
static void free_listener(struct config_listener *l) {
    for (size_t i = 0; i < l->route_count; i++) {
        free_listener(&l->routes[i]);
    }
    for (size_t i = 0; i < l->server_name_count; i++) {
        free(l->server_names[i]);
    }
    free(l->routes);
    free(l->server_names);
    free(l->route);
    for (size_t i = 0; i < l->backend_count; i++) {
        free(l->backends[i].text);
        free(l->backends[i].host);
        free(l->backends[i].path);
    }
    for (size_t i = 0; i < l->alpn.count; i++) {
        free(l->alpn.all[i]);
    }
    free(l->alpn.all);
    free(l->addresses);
    free(l->backends);
    free(l->certificates);
    free(l->accept_proxy.all);
    free(l->allow.all);
    free(l->deny.all);
    free(l->backend_source.all);
    free(l->name);
    free(l->ciphers);
    free(l->groups);
    free(l->client_ca);
    free(l->client_crl);
    free(l->client_allow);
    free(l->psk_file);
}

void config_admin_free(struct config_admin *admin) {
    free(admin->text);
    free(admin->path);
}

void config_free(struct config *config) {
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        free_listener(&config->listeners[i]);
    }
    for (size_t i = 0; i < config->certificate_count; i++) {
        free(config->certificates[i].name);
        free(config->certificates[i].cert);
        free(config->certificates[i].chain);
        free(config->certificates[i].key);
    }
    free(config->listeners);
    free(config->certificates);
    free(config->ticket_keys);
    free(config->takeover);
    config_admin_free(&config->admin);
    free(config->user);
    free(config->group);
    free(config->file);
    free(config);
}

const char *config_word(const char *key, uint64_t value) {
    const struct config_key *row = config_keys, *end = config_keys + config_key_count;
    while (row < end && strcmp(row->name, key) != 0) {
        row++;
    }
    assert(row < end && row->words != NULL);
    const struct config_word *word = row->words;
    while (word->text != NULL && word->value != value) {
        word++;
    }
    assert(word->text != NULL);
    return word->text;
}

bool config_gives_names(const struct config_listener *listener) {
    switch (listener->mqtt) {
    case MQTT_IDENTITY:
        return true;
    case MQTT_OFF:
    case MQTT_CHECK:
        break;
    }
    switch (listener->proxy_protocol) {
    case PROXY_PROTOCOL_V2:
        return true;
    case PROXY_PROTOCOL_OFF:
    case PROXY_PROTOCOL_V1:
        break;
    }
    return false;
}

static void each_file_about_clients(const struct config_listener *l,
                                    void (*visit)(const char *file, void *arg), void *arg) {
    if (l->client_ca != NULL) {
        visit(l->client_ca, arg);
    }
    if (l->client_crl != NULL) {
        visit(l->client_crl, arg);
    }
    if (l->client_allow != NULL) {
        visit(l->client_allow, arg);
    }
    if (l->psk_file != NULL) {
        visit(l->psk_file, arg);
    }
}

void config_each_file(const struct config *config, void (*visit)(const char *file, void *arg),
                      void *arg) {
    if (config->ticket_keys != NULL) {
        visit(config->ticket_keys, arg);
    }
    for (size_t i = 0; i < config->certificate_count; i++) {
        const struct config_certificate *certificate = &config->certificates[i];
        visit(certificate->cert, arg);
        if (certificate->chain != NULL) {
            visit(certificate->chain, arg);
        }
        visit(certificate->key, arg);
    }
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *l = &config->listeners[i];
        each_file_about_clients(l, visit, arg);
        for (size_t k = 0; k < l->route_count; k++) {
            each_file_about_clients(&l->routes[k], visit, arg);
        }
    }
}
