#include "session/route.h"

#include <stdbool.h>
#include <string.h>

/* How well a route fits; the larger, the more specific. Names weigh more than protocols. */
enum { NOT_FOR_IT = 0, ANY_NAME = 1, BY_WILDCARD = 3, BY_NAME = 5, WITH_PROTOCOL = 1 };

/* What a client asks for. */
struct request {
    const char *name;   /* "": none */
    const char *parent; /* its name from the first dot on; NULL: there is none */
    const struct client_hello *hello;
};

static unsigned fit_of_name(const struct config_listener *route, const struct request *request) {
    unsigned fit = route->server_name_count == 0 ? ANY_NAME : NOT_FOR_IT;
    for (size_t i = 0; i < route->server_name_count && request->name[0] != '\0'; i++) {
        const char *name = route->server_names[i];
        if (strcmp(name, request->name) == 0) {
            return BY_NAME;
        }
        if (name[0] == '*' && request->parent != NULL && strcmp(name + 1, request->parent) == 0) {
            fit = BY_WILDCARD;
        }
    }
    return fit;
}

static bool offers_any(const struct client_hello *hello, const struct config_protocols *protocols) {
    for (size_t i = 0; i < protocols->count; i++) {
        if (client_hello_offers(hello, protocols->all[i], strlen(protocols->all[i]))) {
            return true;
        }
    }
    return false;
}

static unsigned fit_of(const struct config_listener *route, const struct request *request) {
    unsigned fit = fit_of_name(route, request);
    if (fit == NOT_FOR_IT || !route->by_protocol) {
        return fit;
    }
    return offers_any(request->hello, &route->alpn) ? fit + WITH_PROTOCOL : NOT_FOR_IT;
}

size_t route_find(const struct config_listener *listener, const struct client_hello *hello) {
    const char *name = hello->server_name, *dot = strchr(name, '.');
    const struct request request = {name, dot != name ? dot : NULL, hello};
    unsigned best = NOT_FOR_IT;
    size_t found = 0;
    for (size_t i = 0; i < listener->route_count; i++) {
        unsigned fit = fit_of(&listener->routes[i], &request);
        if (fit > best) {
            best = fit;
            found = i + 1;
        }
    }
    return found;
}
