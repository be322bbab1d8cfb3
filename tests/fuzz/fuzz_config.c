/* The configuration's parser: a refusal names the file, what is accepted is complete, and the same
 * text gives the same result twice. */
#include "config/config.h"

#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

static void check_file(const char *file, void *arg) {
    size_t *count = arg;
    CHECK(file != NULL && file[0] != '\0');
    (*count)++;
}

static void check_listener(const struct config *config, const struct config_listener *listener) {
    CHECK(listener->name != NULL && listener->address_count > 0 && listener->backend_count > 0);
    bool keys_alone = listener->certificate_count == 0;
    CHECK(!keys_alone || listener->psk_file != NULL);
    for (size_t i = 0; i < listener->address_count; i++) {
        CHECK(listener->addresses[i].family != ADDRESS_NONE);
    }
    for (size_t i = 0; i < listener->backend_count; i++) {
        const struct config_backend *backend = &listener->backends[i];
        CHECK((backend->path != NULL) != (backend->host != NULL && backend->port > 0));
    }
    for (size_t i = 0; i < listener->certificate_count; i++) {
        CHECK(listener->certificates[i] >= config->certificates &&
              listener->certificates[i] < config->certificates + config->certificate_count);
    }
    for (size_t i = 0; i < listener->accept_proxy.count; i++) {
        const struct address_network *network = &listener->accept_proxy.all[i];
        CHECK(network->prefix <= (network->family == ADDRESS_IPV4 ? 32 : 128));
    }
    CHECK(listener->tls_min <= listener->tls_max);
    CHECK(listener->client_auth == CLIENT_AUTH_NONE || listener->client_ca != NULL ||
          listener->client_allow != NULL || keys_alone);
    CHECK(listener->mqtt != MQTT_IDENTITY || listener->client_auth == CLIENT_AUTH_REQUIRED ||
          keys_alone);
    CHECK(listener->max_record_size >= 512 && listener->max_record_size <= 16384);
}

static void check_route(const struct config *config, const struct config_listener *route) {
    check_listener(config, route);
    CHECK(route->route != NULL && route->route_count == 0);
    CHECK(route->server_name_count > 0 || route->by_protocol);
    for (size_t i = 0; i < route->server_name_count; i++) {
        const char *name = route->server_names[i];
        CHECK(name[0] != '\0' && name[0] != '.' && name[strlen(name) - 1] != '.');
        CHECK(strpbrk(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ ,:") == NULL);
        CHECK(strrchr(name, '*') == NULL || (strrchr(name, '*') == name && name[1] == '.'));
    }
}

static void check_config(const struct config *config) {
    size_t files = 0;
    CHECK(config->listener_count > 0);
    for (size_t i = 0; i < config->listener_count; i++) {
        const struct config_listener *listener = &config->listeners[i];
        CHECK(listener->route == NULL && listener->route_count <= UINT16_MAX);
        check_listener(config, listener);
        for (size_t k = 0; k < listener->route_count; k++) {
            check_route(config, &listener->routes[k]);
        }
    }
    for (size_t i = 0; i < config->certificate_count; i++) {
        CHECK(config->certificates[i].cert != NULL && config->certificates[i].key != NULL);
    }
    config_each_file(config, check_file, &files);
    CHECK(files >= 2 * config->certificate_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error err = {""}, again = {""};
    char path[64];

    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    const int fd = memfd_create("config", 0);
    CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);

    struct config *config = config_load(path, &err);
    if (config != NULL) {
        check_config(config);
    } else {
        CHECK(strncmp(err.text, path, strlen(path)) == 0);
    }
    struct config *second = config_load(path, &again);
    CHECK((config == NULL) == (second == NULL) && strcmp(err.text, again.text) == 0);
    config_free(second);
    config_free(config);
    close(fd);
    return 0;
}
