/* The values of the configuration: from text to numbers, addresses, brokers, networks.
 *
 * Each function returns 0, or -1 with "what is wrong; what would be right" in `err`, without file,
 * line and key, which the caller puts before it. What is allocated belongs to the caller, also
 * after -1 (it is freed with the rest of the struct). */
#ifndef POSTERN_CONFIG_VALUES_H
#define POSTERN_CONFIG_VALUES_H

#include "config/types.h"
#include "core/error.h"

#include <stddef.h>
#include <stdint.h>

/* Digits alone. */
int config_parse_count(const char *text, uint64_t *count, struct error *err)
    __attribute__((warn_unused_result));

/* Bytes, 16k, 1M. */
int config_parse_size(const char *text, uint64_t *bytes, struct error *err)
    __attribute__((warn_unused_result));

/* 500ms, 10s, 5m, 2h, 1d. */
int config_parse_duration(const char *text, uint64_t *ms, struct error *err)
    __attribute__((warn_unused_result));

/* The reverse, for messages: in the largest unit of which it is a whole number. */
void config_print_duration(uint64_t ms, char *text, size_t size);
void config_print_size(uint64_t bytes, char *text, size_t size);

/* 0.0.0.0:8883, [::]:8883, :8883. */
int config_parse_address(const char *text, struct address *address, struct error *err)
    __attribute__((warn_unused_result));

/* The folder with its slash: "/etc/postern/" of /etc/postern/postern.conf, "" of postern.conf. The
 * caller frees it. NULL without memory. */
char *config_folder_of(const char *file) __attribute__((warn_unused_result));

/* HOST:PORT, [v6]:PORT, unix:/path; a relative path is one in `folder` (NULL: stays relative). */
int config_parse_backend(const char *text, const char *folder, struct config_backend *backend,
                         struct error *err) __attribute__((warn_unused_result));

/* HOST:PORT, [v6]:PORT, unix:/path; a relative path is one in `folder` (NULL: stays relative). */
int config_parse_admin(const char *text, const char *folder, struct config_admin *admin,
                       struct error *err) __attribute__((warn_unused_result));

/* 20/s, 300/m, 1000/h: 1 to 100000 in that time. */
int config_parse_rate(const char *text, struct config_rate *rate, struct error *err)
    __attribute__((warn_unused_result));

/* One of the two bounds of max_dials, each of which may be given once: 512, or 10000/s. */
int config_parse_dials(const char *text, struct config_dials *dials, struct error *err)
    __attribute__((warn_unused_result));

/* A numeric address without a port: 192.0.2.7, 2001:db8::7. */
int config_parse_source(const char *text, struct address *source, struct error *err)
    __attribute__((warn_unused_result));

/* 192.0.2.0/24, 2001:db8::/32, or a single address. */
int config_parse_network(const char *text, struct address_network *network, struct error *err)
    __attribute__((warn_unused_result));

/* The name of an application protocol, which is allocated: 1 to 255 printable characters of ASCII.
 */
int config_parse_protocol(const char *text, char **name, struct error *err)
    __attribute__((warn_unused_result));

/* A server name as clients ask for it (RFC 6066 3), or "*." and the rest of one: allocated, in
 * lower case, without a dot at its end. */
int config_parse_server_name(const char *text, char **name, struct error *err)
    __attribute__((warn_unused_result));

/* A file; a relative path is one in `folder` (NULL: stays relative). */
int config_parse_path(const char *text, const char *folder, char **path, struct error *err)
    __attribute__((warn_unused_result));

/* The items of a comma-separated list, trimmed; none may be empty. `*next` is the text at first,
 * and NULL after the last item. The item is allocated. */
int config_next_item(const char **next, char **item, struct error *err)
    __attribute__((warn_unused_result));

#endif
