#include "server/source.h"

#include "server/http.h"

struct config *source_config(const struct server_source *source, struct error *err) {
    struct config *config = source->file != NULL
                                ? config_load(source->file, err)
                                : config_from_options(source->options, source->option_count, err);
    if (config != NULL && config->admin.text != NULL && !http_is_built_in()) {
        error_set(err,
                  "admin = %s: this Postern was built without the admin socket; write admin "
                  "= off",
                  config->admin.text);
        config_free(config);
        return NULL;
    }
    return config;
}

int source_check_command_line(const struct server_source *source, struct error *err) {
    if (source->file != NULL) {
        return 0;
    }
    struct config *config = source_config(source, err);
    config_free(config);
    return config != NULL ? 0 : -1;
}
