#include "config/values.h"

#include <errno.h>
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

/* Digits and one unit. More than 15 digits are out of range for every key. */
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

int config_parse_count(const char *text, uint64_t *count, struct error *err) {
    static const struct unit none[] = {{"", 1}, {NULL, 0}};
    if (!parse_with_unit(text, none, count)) {
        return error_set(err, "not a whole number; write digits alone");
    }
    return 0;
}

int config_parse_size(const char *text, uint64_t *bytes, struct error *err) {
    if (!parse_with_unit(text, size_units, bytes)) {
        return error_set(err, "not a size; write bytes, or a number with k or M, as in 16k");
    }
    return 0;
}

int config_parse_duration(const char *text, uint64_t *ms, struct error *err) {
    if (!parse_with_unit(text, duration_units, ms)) {
        return error_set(err,
                         "not a duration; write a whole number with ms, s, m, h or d, as in 10s");
    }
    return 0;
}

int config_parse_rate(const char *text, struct config_rate *rate, struct error *err) {
    static const struct {
        const char *name;
        uint32_t ms;
    } periods[] = {{"/s", 1000}, {"/m", 60000}, {"/h", 3600000}};
    char *end;
    errno = 0;
    unsigned long count = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    for (size_t i = 0; count > 0 && errno == 0 && i < sizeof periods / sizeof *periods; i++) {
        if (strcmp(end, periods[i].name) == 0 && count <= 100000) {
            *rate = (struct config_rate){(uint32_t)count, periods[i].ms};
            return 0;
        }
    }
    return error_set(err, "not a rate; write 1 to 100000 and /s, /m or /h, as in 20/s");
}

int config_parse_dials(const char *text, struct config_dials *dials, struct error *err) {
    uint64_t count = 0;
    bool is_rate = strchr(text, '/') != NULL;
    if (is_rate ? dials->rate.count > 0 : dials->under_way > 0) {
        return error_set(err,
                         "a second %s; write how many may be under way and how many a second, "
                         "as in 512, 10000/s",
                         is_rate ? "rate" : "number of dials");
    }
    if (is_rate) {
        return config_parse_rate(text, &dials->rate, err);
    }
    if (config_parse_count(text, &count, err) != 0 || count < 1 || count > 100000) {
        return error_set(err,
                         "%.40s is not a number of dials; write 1 to 100000, a rate such as "
                         "10000/s, both, or off",
                         text);
    }
    dials->under_way = (size_t)count;
    return 0;
}

int config_parse_source(const char *text, struct address *source, struct error *err) {
    struct address unused;
    if (address_parse_host(text, strlen(text), source) == ADDRESS_OK) {
        return 0;
    }
    if (address_parse(text, &unused) == ADDRESS_OK) {
        return error_set(err, "%.60s has a port; leave it out, as in 192.0.2.7", text);
    }
    return error_set(err,
                     "%.60s is not a numeric address; write addresses of this machine without a "
                     "port, as in 192.0.2.7, 192.0.2.8, or auto",
                     text);
}

static void print_with_unit(uint64_t value, const struct unit *units, char *text, size_t size) {
    while (value % units->factor != 0 || (value == 0 && units->factor > 1)) {
        units++;
    }
    snprintf(text, size, "%ju%s", (uintmax_t)(value / units->factor), units->name);
}

void config_print_duration(uint64_t ms, char *text, size_t size) {
    print_with_unit(ms, duration_units, text, size);
}

void config_print_size(uint64_t bytes, char *text, size_t size) {
    print_with_unit(bytes, size_units, text, size);
}

static int fail_port(const char *text, unsigned min, struct error *err) {
    if (text[0] == '\0') {
        return error_set(err, "the port is missing; write %u to 65535", min);
    }
    return error_set(err, "%.40s is not a port; write %u to 65535", text, min);
}

/* The message for what address_parse refused with `status`. */
static int fail_address(const char *text, enum address_status status, struct error *err) {
    struct address_parts p;
    if (!address_split(text, &p)) {
        return error_set(err, "not an address with a port; %s", address_example);
    }
    const int len = (int)(p.host_len < 60 ? p.host_len : 60);
    if (status == ADDRESS_BAD_PORT) {
        return fail_port(p.port, 0, err);
    }
    if (status == ADDRESS_BAD_INTERFACE) {
        const char *interface = (const char *)memchr(p.host, '%', p.host_len) + 1;
        const size_t rest = (size_t)(p.host + p.host_len - interface);
        return error_set(err, "there is no interface %.*s; `ip link` lists them",
                         (int)(rest < 40 ? rest : 40), interface);
    }
    if (!p.bracketed && memchr(p.host, ':', p.host_len) != NULL) {
        return error_set(err, "an IPv6 address without brackets; write [%.*s]:%s", len, p.host,
                         p.port);
    }
    if (len == 0) {
        return error_set(err, "the address is missing; %s", address_example);
    }
    return error_set(err, "%.*s is not a numeric address (names are not looked up here); %s", len,
                     p.host, address_example);
}

int config_parse_address(const char *text, struct address *address, struct error *err) {
    if (text[strspn(text, DIGITS)] == '\0') {
        return error_set(err, "a port without an address; write [::]:%.40s for all addresses",
                         text);
    }
    enum address_status status = address_parse(text, address);
    return status == ADDRESS_OK ? 0 : fail_address(text, status, err);
}

/* A name, or a numeric address; in brackets IPv6 alone, whose interface may appear later. */
static bool is_host(const struct address_parts *p) {
    if (p->bracketed) {
        struct address unused;
        const char *percent = memchr(p->host, '%', p->host_len);
        size_t len = percent != NULL ? (size_t)(percent - p->host) : p->host_len;
        return memchr(p->host, ':', len) != NULL &&
               address_parse_host(p->host, len, &unused) == ADDRESS_OK;
    }
    return p->host_len > 0 && p->host_len <= 253 && strspn(p->host, HOST_BYTES) == p->host_len;
}

static int parse_tcp_backend(const char *text, struct config_backend *backend, struct error *err) {
    struct address_parts p;
    if (text[strspn(text, DIGITS)] == '\0') {
        return error_set(err, "a port without a host; write 127.0.0.1:%.40s for this machine",
                         text);
    }
    if (strstr(text, "://") != NULL) {
        return error_set(err, "not HOST:PORT; leave out the scheme, as in 127.0.0.1:1883");
    }
    if (!address_split(text, &p)) {
        return error_set(err, "not HOST:PORT; write the broker as 127.0.0.1:1883, "
                              "broker.example.org:1883, [::1]:1883 or unix:/path");
    }
    backend->host = strndup(p.host, p.host_len);
    if (backend->host == NULL) {
        return no_memory(err);
    }
    if (p.host_len == 0) {
        return error_set(err, "the host is missing; write the broker as 127.0.0.1:1883");
    }
    if (!is_host(&p)) {
        bool ipv6 = !p.bracketed && strchr(backend->host, ':') != NULL;
        return error_set(err,
                         ipv6 ? "%.60s is not a host name; write an IPv6 address in brackets, "
                                "as in [::1]:1883"
                              : "%.60s is not a host name or address; write the broker as "
                                "127.0.0.1:1883",
                         backend->host);
    }
    if (!address_parse_port(p.port, &backend->port) || backend->port == 0) {
        return fail_port(p.port, 1, err);
    }
    return 0;
}

/* What stands after unix: */
static int parse_unix(const char *text, const char *folder, const char *example, char **path,
                      struct error *err) {
    if (text[0] == '\0') {
        return error_set(err, "unix: without a path; write unix:%s", example);
    }
    if (config_parse_path(text, folder, path, err) != 0) {
        return -1;
    }
    size_t max = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    if (strlen(*path) > max) {
        return error_set(err, "the socket's path has %zu bytes; at most %zu fit", strlen(*path),
                         max);
    }
    return 0;
}

int config_parse_backend(const char *text, const char *folder, struct config_backend *backend,
                         struct error *err) {
    backend->text = strdup(text);
    if (backend->text == NULL) {
        return no_memory(err);
    }
    if (strncmp(text, "unix:", 5) != 0) {
        return parse_tcp_backend(text, backend, err);
    }
    return parse_unix(text + 5, folder, "/run/mosquitto.sock", &backend->path, err);
}

char *config_folder_of(const char *file) {
    const char *slash = strrchr(file, '/');
    return strndup(file, slash != NULL ? (size_t)(slash - file) + 1 : 0);
}

int config_parse_admin(const char *text, const char *folder, struct config_admin *admin,
                       struct error *err) {
    admin->text = strdup(text);
    if (admin->text == NULL) {
        return no_memory(err);
    }
    if (strncmp(text, "unix:", 5) == 0) {
        return parse_unix(text + 5, folder, "/run/postern/admin.sock", &admin->path, err);
    }
    /* It has no password: the hint must not open it to other hosts. */
    const char *port = text + strspn(text, ":");
    if (port[strspn(port, DIGITS)] == '\0') {
        return error_set(err, "no host before the port; write 127.0.0.1:%.8s for this machine",
                         port);
    }
    return config_parse_address(text, &admin->address, err);
}

int config_parse_network(const char *text, struct address_network *network, struct error *err) {
    const unsigned total = strchr(text, ':') != NULL ? 128 : 32;
    switch (address_parse_network(text, network)) {
    case ADDRESS_OK:
        return 0;
    case ADDRESS_BAD_PREFIX:
        return error_set(err, "%.60s has a prefix that is out of range; write 0 to %u", text,
                         total);
    case ADDRESS_HOST_BITS:
        return error_set(err,
                         "%.60s has bits set after its prefix; a single address is /%u, and the "
                         "network's own address ends in zeros",
                         text, total);
    default:
        return error_set(err,
                         "%.60s is not a network; write 192.0.2.0/24, 2001:db8::/32, or a single "
                         "address",
                         text);
    }
}

int config_parse_protocol(const char *text, char **name, struct error *err) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < ' ' || text[i] > '~') {
            return error_set(err, "a protocol's name has printable characters of ASCII only; write "
                                  "names as in mqtt, x-amzn-mqtt-ca");
        }
    }
    if (len > 255) {
        return error_set(err, "a protocol's name has %zu characters; write at most 255", len);
    }
    *name = strdup(text);
    return *name != NULL ? 0 : no_memory(err);
}

/* Labels of 1 to 63 bytes with dots in between, 253 in all (RFC 1035 2.3.4). */
static bool is_dns_name(const char *name) {
    size_t len = strlen(name);
    for (const char *label = name;; label++) {
        size_t label_len = strcspn(label, ".");
        if (label_len == 0 || label_len > 63) {
            return false;
        }
        label += label_len;
        if (*label == '\0') {
            return len <= 253 && strspn(name, HOST_BYTES) == len;
        }
    }
}

/* Then it is an IPv4 address, or the end of one: no name in DNS does. */
static bool ends_in_number(const char *name) {
    const char *dot = strrchr(name, '.');
    const char *last = dot != NULL ? dot + 1 : name;
    return last[0] != '\0' && last[strspn(last, DIGITS)] == '\0';
}

static int fail_server_name(const char *text, struct error *err) {
    if (strchr(text, ':') != NULL || ends_in_number(text)) {
        return error_set(err,
                         "%.80s is an address; clients ask for a server by name only (no port), as "
                         "in mqtt.example.org",
                         text);
    }
    if (strchr(text, '*') != NULL) {
        return error_set(err,
                         "%.80s has its * at the wrong place; it stands for the whole first label, "
                         "as in *.example.org",
                         text);
    }
    return error_set(err,
                     "%.80s is not a server name; write letters, digits, - _ and dots, as in "
                     "mqtt.example.org or *.example.org (others as in DNS, xn--...)",
                     text);
}

int config_parse_server_name(const char *text, char **name, struct error *err) {
    size_t len = strlen(text);
    char *copy = *name = strndup(text, len > 1 && text[len - 1] == '.' ? len - 1 : len);
    if (copy == NULL) {
        return no_memory(err);
    }
    for (char *c = copy; *c != '\0'; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
    }
    bool wildcard = strncmp(copy, "*.", 2) == 0;
    if (!is_dns_name(wildcard ? copy + 2 : copy) || ends_in_number(copy)) {
        return fail_server_name(text, err);
    }
    return 0;
}

int config_parse_path(const char *text, const char *folder, char **path, struct error *err) {
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
    if (*path == NULL) {
        (void)no_memory(err);
        return -1;
    }
    return 0;
}

int config_next_item(const char **next, char **item, struct error *err) {
    const char *start = *next + strspn(*next, " \t");
    size_t len = strcspn(start, ",");
    *next = start[len] == ',' ? start + len + 1 : NULL;
    while (len > 0 && strchr(" \t", start[len - 1]) != NULL) {
        len--;
    }
    if (len == 0) {
        return error_set(err, "an empty item in the list; write one comma between two items");
    }
    *item = strndup(start, len);
    return *item != NULL ? 0 : no_memory(err);
}
