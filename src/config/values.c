#include "config/values.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define DIGITS     "0123456789"
#define HOST_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

struct unit {
    const char *name;
    uint64_t factor;
};

/* From large to small. */
static const struct unit duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                             {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit size_units[] = {{"M", 1048576}, {"k", 1024}, {"", 1}, {NULL, 0}};

static const char address_example[] =
    "write an address and a port, as in [::]:8883 or 127.0.0.1:8883";

static int no_memory(struct error *err) {
    return error_set(err, "out of memory");
}

/* Digits and one unit. Numbers that no key can want (over 15 digits) are as wrong as letters. */
static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *value) {
    size_t digits = strspn(text, DIGITS);
    if (digits == 0 || digits > 15) {
        return false;
    }
    uint64_t number = strtoull(text, NULL, 10);
    for (; units->name != NULL; units++) {
        if (strcmp(text + digits, units->name) == 0) {
            if (number > UINT64_MAX / units->factor) {
                return false;
            }
            *value = number * units->factor;
            return true;
        }
    }
    return false;
}

int value_count(const char *text, uint64_t *count, struct error *err) {
    static const struct unit none[] = {{"", 1}, {NULL, 0}};
    if (!parse_with_unit(text, none, count)) {
        return error_set(err, "no whole number; write digits alone");
    }
    return 0;
}

int value_size(const char *text, uint64_t *bytes, struct error *err) {
    if (!parse_with_unit(text, size_units, bytes)) {
        return error_set(err, "no size; write bytes, or a number with k or M, as in 16k");
    }
    return 0;
}

int value_duration(const char *text, uint64_t *ms, struct error *err) {
    if (!parse_with_unit(text, duration_units, ms)) {
        return error_set(err, "no duration; write a whole number with ms, s, m, h or d, as in 10s");
    }
    return 0;
}

static void print_with_unit(uint64_t value, const struct unit *units, char *text, size_t size) {
    while (value % units->factor != 0 || (value == 0 && units->factor > 1)) {
        units++;
    }
    snprintf(text, size, "%ju%s", (uintmax_t)(value / units->factor), units->name);
}

void value_print_duration(uint64_t ms, char *text, size_t size) {
    print_with_unit(ms, duration_units, text, size);
}

void value_print_size(uint64_t bytes, char *text, size_t size) {
    print_with_unit(bytes, size_units, text, size);
}

static int parse_port(const char *text, unsigned min, uint16_t *port, struct error *err) {
    size_t digits = strspn(text, DIGITS);
    unsigned long number = digits > 0 && digits <= 5 ? strtoul(text, NULL, 10) : 65536;
    if (text[digits] != '\0' || number > 65535 || number < min) {
        return error_set(err, "%.40s is no port; %u to 65535", *text != '\0' ? text : "nothing",
                         min);
    }
    *port = (uint16_t)number;
    return 0;
}

static bool is_mapped(const struct in6_addr *in6) {
    return IN6_IS_ADDR_V4MAPPED(in6);
}

/* Takes `HOST:PORT` or `[HOST]:PORT` apart. The host is allocated; *bracketed tells which it was.
 */
static int split_host(const char *text, char **host, bool *bracketed, const char **port) {
    const char *colon = strrchr(text, ':');
    *bracketed = text[0] == '[';
    if (colon == NULL) {
        return -1;
    }
    if (*bracketed) {
        if (colon < text + 2 || colon[-1] != ']') {
            return -1;
        }
        *host = strndup(text + 1, (size_t)(colon - text) - 2);
    } else {
        *host = strndup(text, (size_t)(colon - text));
    }
    *port = colon + 1;
    return 0;
}

static bool parse_ipv4(const char *host, uint16_t port, struct config_address *address) {
    struct sockaddr_in *sa = (struct sockaddr_in *)&address->sa;
    *sa = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    address->sa_len = sizeof *sa;
    return inet_pton(AF_INET, host, &sa->sin_addr) == 1;
}

static bool parse_ipv6(const char *host, uint32_t scope, uint16_t port,
                       struct config_address *address) {
    struct sockaddr_in6 *sa = (struct sockaddr_in6 *)&address->sa;
    *sa = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
    address->sa_len = sizeof *sa;
    if (inet_pton(AF_INET6, host, &sa->sin6_addr) != 1) {
        return false;
    }
    if (is_mapped(&sa->sin6_addr)) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
        memcpy(&in.sin_addr, sa->sin6_addr.s6_addr + 12, 4);
        address->sa = (struct sockaddr_storage){0};
        memcpy(&address->sa, &in, sizeof in);
        address->sa_len = sizeof in;
    }
    return true;
}

/* What stands before the port; cuts the interface (behind %, of link-local addresses) off it. */
static int parse_address(char *host, bool bracketed, uint16_t port, struct config_address *address,
                         struct error *err) {
    char *interface = bracketed ? strchr(host, '%') : NULL;
    uint32_t scope = 0;
    if (interface != NULL) {
        *interface++ = '\0';
        scope = if_nametoindex(interface);
        if (scope == 0) {
            return error_set(err, "there is no interface %.40s; `ip link` lists them", interface);
        }
    }
    bool every = !bracketed && host[0] == '\0';
    if (bracketed || every ? parse_ipv6(every ? "::" : host, scope, port, address)
                           : parse_ipv4(host, port, address)) {
        return 0;
    }
    if (!bracketed && strchr(host, ':') != NULL) {
        return error_set(err, "an IPv6 address without brackets; write [%.60s]:%u", host, port);
    }
    return error_set(err, "%.60s is no numeric address (names are not looked up here); %s",
                     host[0] != '\0' ? host : "nothing", address_example);
}

static char *print_address(const struct config_address *address) {
    char host[INET6_ADDRSTRLEN], scope[IF_NAMESIZE + 1] = "", text[128];
    if (address->sa.ss_family == AF_INET) {
        const struct sockaddr_in *sa = (const struct sockaddr_in *)&address->sa;
        inet_ntop(AF_INET, &sa->sin_addr, host, sizeof host);
        snprintf(text, sizeof text, "%s:%u", host, ntohs(sa->sin_port));
    } else {
        const struct sockaddr_in6 *sa = (const struct sockaddr_in6 *)&address->sa;
        inet_ntop(AF_INET6, &sa->sin6_addr, host, sizeof host);
        if (sa->sin6_scope_id != 0 && if_indextoname(sa->sin6_scope_id, scope + 1) != NULL) {
            scope[0] = '%';
        }
        snprintf(text, sizeof text, "[%s%s]:%u", host, scope, ntohs(sa->sin6_port));
    }
    return strdup(text);
}

int value_address(const char *text, struct config_address *address, struct error *err) {
    char *host = NULL;
    const char *port_text;
    bool bracketed;
    uint16_t port = 0;
    if (text[strspn(text, DIGITS)] == '\0') {
        return error_set(err, "a port without an address; write [::]:%.40s for all addresses",
                         text);
    }
    if (split_host(text, &host, &bracketed, &port_text) != 0) {
        return error_set(err, "no address with a port; %s", address_example);
    }
    if (host == NULL) {
        return no_memory(err);
    }
    int result = parse_port(port_text, 0, &port, err);
    if (result == 0) {
        result = parse_address(host, bracketed, port, address, err);
    }
    free(host);
    if (result != 0) {
        return -1;
    }
    address->text = print_address(address);
    return address->text != NULL ? 0 : no_memory(err);
}

static bool is_host(const char *host, bool bracketed) {
    struct in6_addr in6;
    if (bracketed) {
        char plain[INET6_ADDRSTRLEN];
        size_t len = strcspn(host, "%");
        if (len >= sizeof plain) {
            return false;
        }
        memcpy(plain, host, len);
        plain[len] = '\0';
        return inet_pton(AF_INET6, plain, &in6) == 1;
    }
    size_t len = strlen(host);
    return len > 0 && len <= 253 && host[strspn(host, HOST_BYTES)] == '\0';
}

static int parse_tcp_backend(const char *text, struct config_backend *backend, struct error *err) {
    bool bracketed;
    const char *port;
    if (text[strspn(text, DIGITS)] == '\0') {
        return error_set(err, "a port without a host; write 127.0.0.1:%.40s for this machine",
                         text);
    }
    if (strstr(text, "://") != NULL) {
        return error_set(err, "no HOST:PORT; leave out the scheme, as in 127.0.0.1:1883");
    }
    if (split_host(text, &backend->host, &bracketed, &port) != 0) {
        return error_set(err, "no HOST:PORT; write the broker as 127.0.0.1:1883, "
                              "broker.example.org:1883, [::1]:1883 or unix:/path");
    }
    if (backend->host == NULL) {
        return no_memory(err);
    }
    if (!is_host(backend->host, bracketed)) {
        bool ipv6 = !bracketed && strchr(backend->host, ':') != NULL;
        return error_set(err,
                         ipv6 ? "%.60s is no host name; an IPv6 address goes in brackets, "
                                "as in [::1]:1883"
                              : "%.60s is no host name or address; write the broker as "
                                "127.0.0.1:1883",
                         backend->host[0] != '\0' ? backend->host : "nothing");
    }
    return parse_port(port, 1, &backend->port, err);
}

int value_backend(const char *text, const char *folder, struct config_backend *backend,
                  struct error *err) {
    backend->text = strdup(text);
    if (backend->text == NULL) {
        return no_memory(err);
    }
    if (strncmp(text, "unix:", 5) != 0) {
        return parse_tcp_backend(text, backend, err);
    }
    if (text[5] == '\0') {
        return error_set(err, "unix: without a path; write unix:/run/mosquitto.sock");
    }
    if (value_path(text + 5, folder, &backend->path, err) != 0) {
        return -1;
    }
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(backend->path) > max) {
        return error_set(err, "a socket's path of %zu bytes; at most %zu", strlen(backend->path),
                         max);
    }
    return 0;
}

static bool has_bits_behind(const struct config_network *network, unsigned total) {
    for (unsigned bit = network->prefix; bit < total; bit++) {
        if ((network->bytes[bit / 8] & (0x80u >> (bit % 8))) != 0) {
            return true;
        }
    }
    return false;
}

static void make_ipv4_of_mapped(struct config_network *network) {
    struct in6_addr in6;
    memcpy(&in6, network->bytes, sizeof in6);
    if (network->prefix >= 96 && is_mapped(&in6)) {
        network->family = AF_INET;
        memmove(network->bytes, network->bytes + 12, 4);
        memset(network->bytes + 4, 0, 12);
        network->prefix -= 96;
    }
}

int value_network(const char *text, struct config_network *network, struct error *err) {
    char host[INET6_ADDRSTRLEN];
    size_t len = strcspn(text, "/");
    uint64_t prefix = 0;
    *network = (struct config_network){.family = AF_INET};
    if (len < sizeof host) {
        memcpy(host, text, len);
        host[len] = '\0';
        network->family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
    }
    if (len >= sizeof host || inet_pton(network->family, host, network->bytes) != 1) {
        return error_set(err,
                         "%.60s is no network; write 192.0.2.0/24, 2001:db8::/32, or a single "
                         "address",
                         text);
    }
    unsigned total = network->family == AF_INET ? 32 : 128;
    network->prefix = total;
    if (text[len] == '/') {
        if (value_count(text + len + 1, &prefix, err) != 0 || prefix > total) {
            return error_set(err, "%.60s has a prefix that is out of range; 0 to %u", text, total);
        }
        network->prefix = (unsigned)prefix;
    }
    if (has_bits_behind(network, total)) {
        return error_set(err,
                         "%.60s has bits behind its prefix; a single address is /%u, and the "
                         "network's own address ends in zeros",
                         text, total);
    }
    make_ipv4_of_mapped(network);
    return 0;
}

int value_path(const char *text, const char *folder, char **path, struct error *err) {
    if (text[0] == '/' || folder == NULL || folder[0] == '\0') {
        *path = strdup(text);
    } else {
        size_t size = strlen(folder) + strlen(text) + 2;
        *path = malloc(size);
        if (*path != NULL) {
            const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
            snprintf(*path, size, "%s%s%s", folder, slash, text);
        }
    }
    return *path != NULL ? 0 : no_memory(err);
}

int value_next_item(const char **next, char **item, struct error *err) {
    const char *start = *next + strspn(*next, " \t");
    size_t len = strcspn(start, ",");
    *next = start[len] == ',' ? start + len + 1 : NULL;
    while (len > 0 && strchr(" \t", start[len - 1]) != NULL) {
        len--;
    }
    if (len == 0) {
        return error_set(err, "an empty item in the list; one comma between two items");
    }
    *item = strndup(start, len);
    return *item != NULL ? 0 : no_memory(err);
}
