/* The configuration: INI text (or a sidecar's command line) to one immutable, fully checked value.
 *
 * It is checked as far as text alone can be: every key is known and in range, every name is
 * defined, addresses are well formed. The files that it names are opened by tls/context.c.
 * postern.conf(5) describes the format; keys, defaults and ranges are in the table in config.c, one
 * row for each key. inih reads the text, but from our own reader (lines.h), because inih cuts long
 * lines, joins indented ones and does not count lines: we refuse the former two and count. */
#ifndef POSTERN_CONFIG_CONFIG_H
#define POSTERN_CONFIG_CONFIG_H

#include "config/types.h"
#include "core/error.h"

#include <stddef.h>

/* Reads and checks the whole file. NULL with the reason in `err` ("FILE:LINE: what is wrong; what
 * would be right"). What may be a mistake (a certificate that no listener uses; a listener without
 * identities for a backend that gets identities from another one) is logged as a warning. */
struct config *config_load(const char *file, struct error *err) __attribute__((warn_unused_result));

/* One `--key value` of the sidecar's command line; `section` is "postern", "listener" or
 * "certificate", `key` the key of the file. */
struct config_option {
    const char *option; /* as typed, for messages: "--listen" */
    const char *section;
    const char *key;
    const char *value;
};

/* The same value from a command line: one listener named mqtt, one certificate named main. */
struct config *config_from_options(const struct config_option *options, size_t count,
                                   struct error *err) __attribute__((warn_unused_result));

/* For those who ask a running Postern: where its admin socket is, by its address as the key `admin`
 * has it, or by a configuration of which nothing else is looked at, so that it may be wrong
 * otherwise. `admin->text` is NULL where a file has none or `off`. 0, and config_admin_free frees
 * it; or -1 with the reason. */
int config_admin_of(const char *text, struct config_admin *admin, struct error *err)
    __attribute__((warn_unused_result));
int config_admin_in(const char *file, struct config_admin *admin, struct error *err)
    __attribute__((warn_unused_result));

#endif
