/* What a runtime is loaded from: a configuration file, or a command line without one. */
#ifndef POSTERN_SERVER_SOURCE_H
#define POSTERN_SERVER_SOURCE_H

#include "config/config.h"
#include "core/error.h"

#include <stddef.h>

/* A file, which every reload reads again; or, with `file` NULL, a command line: then a reload reads
 * only the certificate files again. Filled by the caller. */
struct server_source {
    const char *file;
    const struct config_option *options;
    size_t option_count;
};

/* 0, or -1 with what is wrong with the command line itself. Files are not read. */
int source_check_command_line(const struct server_source *source, struct error *err)
    __attribute__((warn_unused_result));

/* The configuration, checked by itself; runtime_load reads the files that it names. The caller
 * frees it. NULL with the reason. */
struct config *source_config(const struct server_source *source, struct error *err)
    __attribute__((warn_unused_result));

#endif
