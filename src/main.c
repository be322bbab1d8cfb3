/* Entry point: parses the command line and returns the exit code. */
#include "core/log.h"
#include "server/ctl.h"
#include "server/server.h"
#include "tls/context.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#define DEFAULT_FILE "/etc/postern/postern.conf"

/* The sidecar's options, each a key of the file. */
static const struct sidecar_option {
    const char *option, *section, *key;
} sidecar_options[] = {
    {"--listen", "listener", "listen"},
    {"--backend", "listener", "backend"},
    {"--mqtt", "listener", "mqtt"},
    {"--cert", "certificate", "cert"},
    {"--chain", "certificate", "chain"},
    {"--key", "certificate", "key"},
    {"--client-ca", "listener", "client_ca"},
    {"--client-auth", "listener", "client_auth"},
    {"--log-format", "postern", "log_format"},
    {"--admin", "postern", "admin"},
    {"--workers", "postern", "workers"},
};

enum {
    SIDECAR_OPTIONS = sizeof sidecar_options / sizeof *sidecar_options,
    OPTIONS_MAX = 32,
    /* What getopt_long returns: a sidecar option's index from here on, or one of these. */
    FIRST_SIDECAR = 1000,
    OPTION_CHECK = 2000,
    OPTION_TAKEOVER,
    OPTION_WATCH,
    OPTION_VERSION,
    OPTION_HELP
};

struct command {
    const char *file;
    bool check, takeover, version, help;
    struct config_option options[OPTIONS_MAX];
    size_t option_count;
};

static const char help[] =
    "Usage: postern [--check | --takeover] [-c FILE]\n"
    "       postern [--check] --listen ADDR --backend ADDR --cert FILE [--chain FILE] --key FILE\n"
    "               [--mqtt off|check|identity] [--client-ca FILE]\n"
    "               [--client-auth none|optional|required] [--log-format auto|text|json|journal]\n"
    "               [--watch] [--workers N] [--admin ADDR]\n"
    "       postern ctl [-c FILE | --admin ADDR] status|health|sessions|reload|drain\n"
    "       postern --version | --help\n"
    "\n"
    "TLS in front of a plaintext MQTT broker. Reads " DEFAULT_FILE "\n"
    "unless -c names another file.\n"
    "\n"
    "  -c, --config FILE   the configuration file\n"
    "      --check         load all that a start or reload would load, print what would be served\n"
    "      --takeover      serve in place of the Postern that runs, which ends: an upgrade\n"
    "      --listen ADDR   one listener without a file: [::]:8883, 0.0.0.0:8883\n"
    "      --backend ADDR  the broker: 127.0.0.1:1883, mosquitto:1883, unix:/path\n"
    "      --mqtt MODE     check for every MQTT broker: nothing but a valid CONNECT reaches it\n"
    "      --cert FILE     certificate, or certificate and chain; --chain FILE, --key FILE\n"
    "      --watch         reload when a certificate file changes, without a signal\n"
    "\n"
    "SIGHUP reloads; SIGTERM disconnects the clients, then stops. See postern(8), "
    "postern.conf(5).\n";

static int wrong_use(const char *message) {
    fprintf(stderr, "postern: %s\nTry: postern --help\n", message);
    return SERVER_WRONG_USE;
}

static bool add_option(struct command *c, const char *option, const char *section, const char *key,
                       const char *value) {
    if (c->option_count == OPTIONS_MAX) {
        return false;
    }
    c->options[c->option_count++] = (struct config_option){option, section, key, value};
    return true;
}

static void list_options(struct option *list) {
    size_t n = 0;
    for (; n < SIDECAR_OPTIONS; n++) {
        list[n] = (struct option){sidecar_options[n].option + 2, required_argument, NULL,
                                  FIRST_SIDECAR + (int)n};
    }
    list[n++] = (struct option){"config", required_argument, NULL, 'c'};
    list[n++] = (struct option){"check", no_argument, NULL, OPTION_CHECK};
    list[n++] = (struct option){"takeover", no_argument, NULL, OPTION_TAKEOVER};
    list[n++] = (struct option){"watch", no_argument, NULL, OPTION_WATCH};
    list[n++] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
    list[n++] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    list[n] = (struct option){0};
}

/* False for what getopt has complained about, or too much of it. */
static bool take_option(struct command *c, int option, const char *value) {
    switch (option) {
    case 'c':
        c->file = value;
        return true;
    case OPTION_CHECK:
        return c->check = true;
    case OPTION_TAKEOVER:
        return c->takeover = true;
    case OPTION_WATCH:
        return add_option(c, "--watch", "postern", "reload", "watch");
    case OPTION_VERSION:
        return c->version = true;
    case OPTION_HELP:
        return c->help = true;
    default:
        break;
    }
    if (option < FIRST_SIDECAR || option >= FIRST_SIDECAR + SIDECAR_OPTIONS) {
        return false;
    }
    const struct sidecar_option *o = &sidecar_options[option - FIRST_SIDECAR];
    return add_option(c, o->option, o->section, o->key, value);
}

static int print_version(void) {
    printf("Postern %s\n%s\nlibuv %s\n", POSTERN_VERSION, tls_library_version(),
           uv_version_string());
    return SERVER_DONE;
}

static int run(const struct command *c) {
    if (c->file != NULL && c->option_count > 0) {
        return wrong_use("-c FILE and a listener on the command line exclude each other");
    }
    if (c->takeover && (c->check || c->option_count > 0)) {
        return wrong_use("--takeover needs a configuration file, and excludes --check");
    }
    struct server_source source = {
        .file = c->option_count > 0 ? NULL
                : c->file != NULL   ? c->file
                                    : DEFAULT_FILE,
        .options = c->options,
        .option_count = c->option_count,
    };
    return (int)(c->check ? server_check(&source) : server_run(&source, c->takeover));
}

/* A socket must never get the number of standard error, or log lines would go to a peer. */
static bool fill_standard_descriptors(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0) {
        log_message(LOG_LEVEL_ERROR, "cannot start", "cannot open /dev/null: %s", strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "ctl") == 0) {
        return (int)ctl_run(argc - 1, argv + 1);
    }
    struct option list[SIDECAR_OPTIONS + 7];
    struct command command = {0};
    int option;
    list_options(list);
    while ((option = getopt_long(argc, argv, "c:", list, NULL)) != -1) {
        if (!take_option(&command, option, optarg)) {
            return wrong_use("wrong command line");
        }
    }
    if (optind < argc) {
        return wrong_use("options only, no other arguments");
    }
    if (command.help) {
        fputs(help, stdout);
        return SERVER_DONE;
    }
    if (command.version) {
        return print_version();
    }
    if (!fill_standard_descriptors()) {
        return SERVER_CANNOT_RUN;
    }
    log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO); /* until the configuration says otherwise */
    signal(SIGPIPE, SIG_IGN);
    return run(&command);
}
