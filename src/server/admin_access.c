#include "server/admin_access.h"

#include "core/address.h"

#include <string.h>

static bool is_address(const char *text, size_t len) {
    struct address address;
    return address_parse_host(text, len, &address) == ADDRESS_OK;
}

static bool is_port(const char *text) {
    uint16_t port;
    return text[0] == '\0' || (text[0] == ':' && address_parse_port(text + 1, &port));
}

/* Letters, digits, - and _: no dot. */
static bool is_short_name(const char *text, size_t len) {
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    return len > 0 && strspn(text, name) == len;
}

bool admin_access_allows_host(const char *host) {
    if (host == NULL) {
        return true;
    }
    if (host[0] == '[') {
        const char *end = strchr(host, ']');
        return end != NULL && is_address(host + 1, (size_t)(end - host - 1)) && is_port(end + 1);
    }
    size_t len = strcspn(host, ":");
    return is_port(host + len) && (is_short_name(host, len) || is_address(host, len));
}

const char *admin_access_obstacle(const struct admin_client *client, enum admin_reach reach) {
    if (client->over_unix) {
        return NULL;
    }
    if (client->origin != NULL) {
        return "requests of web pages are not answered";
    }
    if (!admin_access_allows_host(client->host)) {
        return "Host must be an address, localhost or a name without a dot";
    }
    if (reach == ADMIN_REACH_UNIX) {
        return "only done over a unix socket; write admin = unix:/run/postern/admin.sock, or send "
               "a signal: SIGHUP reloads, SIGTERM drains";
    }
    return reach == ADMIN_REACH_ALL || client->is_local ? NULL
                                                        : "only answered on the same machine";
}
