#include "server/source.h"

struct config *source_config(const struct server_source *source, struct error *err) {
    return source->file != NULL ? config_load(source->file, err)
                                : config_from_options(source->options, source->option_count, err);
}

int source_check_command_line(const struct server_source *source, struct error *err) {
    if (source->file != NULL) {
        return 0;
    }
    struct config *config = source_config(source, err);
    config_free(config);
    return config != NULL ? 0 : -1;
}
