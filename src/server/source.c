#include "server/source.h"

int source_check_command_line(const struct server_source *source, struct error *err) {
    if (source->file != NULL) {
        return 0;
    }
    struct config *config = config_from_options(source->options, source->option_count, err);
    config_free(config);
    return config != NULL ? 0 : -1;
}

struct runtime *source_load(const struct server_source *source, const struct tls_shared *tls,
                            struct backend_table *backends, struct error *err) {
    struct config *config = source->file != NULL
                                ? config_load(source->file, err)
                                : config_from_options(source->options, source->option_count, err);
    return config != NULL ? runtime_load(config, tls, backends, err) : NULL;
}
