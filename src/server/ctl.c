#include "server/ctl.h"

#include "config/config.h"
#include "config/types.h"
#include "core/buf.h"
#include "core/error.h"
#include "core/utf8.h"
#include "server/ctl_client.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: postern ctl [-c FILE | --admin ADDR] status|health|sessions|reload|drain\n"
    "\n"
    "Asks a running Postern by its admin socket, which is the key `admin` of " CTL_DEFAULT_FILE "\n"
    "unless -c names another file, or --admin the address itself: 127.0.0.1:9883, unix:/path.\n"
    "\n"
    "  status      prints how things are; exit code 1 while it is not ready\n"
    "  health      exit code 1 when a worker hangs: for a container's health check\n"
    "  sessions    prints who is connected, one JSON object a line\n"
    "  reload      reloads and waits; prints why it was refused, with exit code 1\n"
    "  drain       stops as SIGTERM does, without waiting\n"
    "\n"
    "reload and drain need a unix socket.\n"
    "\n"
    "Exit code 2: wrong command line; 3: nobody answers.\n";

/* Control characters of ASCII and of Unicode, which also turn the direction of a line around. */
static bool is_control(uint32_t code) {
    return (code < 0x20 && code != '\n') || (code >= 0x7f && code < 0xa0) || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* Control characters are escaped, in text as in the strings of JSON: a certificate's name in
 * an error, or all of it where it is not a Postern that answers. */
static void print(FILE *out, const char *text) {
    const uint8_t *s = (const uint8_t *)text;
    for (size_t left = strlen(text), used; left > 0; s += used, left -= used) {
        uint32_t code = 0;
        used = utf8_decode(s, left, &code);
        if (used == 0) {
            used = 1;
            fprintf(out, "\\x%02x", s[0]);
        } else if (is_control(code)) {
            fprintf(out, "\\u%04x", (unsigned)code);
        } else {
            fwrite(s, 1, used, out);
        }
    }
}

static enum ctl_exit wrong_use(const char *message) {
    fprintf(stderr, "postern ctl: %s\nTry: postern ctl --help\n", message);
    return CTL_WRONG_USE;
}

static enum ctl_exit no_answer(const struct error *err) {
    fputs("postern ctl: ", stderr);
    print(stderr, err->text);
    fputs("\n", stderr);
    return CTL_NO_ANSWER;
}

static enum ctl_exit refused(const char *what, const struct ctl_answer *answer) {
    fprintf(stderr, "postern ctl: %s", what);
    print(stderr, ctl_answer_body(answer));
    return CTL_REFUSED;
}

/* --- verbs --- */

typedef enum ctl_exit ctl_verb(const struct config_admin *admin);

static enum ctl_exit status(const struct config_admin *admin) {
    struct ctl_answer answer;
    struct error err;
    if (ctl_ask(admin, "GET", "/status", &answer, &err) != 0) {
        return no_answer(&err);
    }
    enum ctl_exit result = CTL_DONE;
    if (answer.status != 200) {
        result = refused("", &answer);
    } else {
        print(stdout, ctl_answer_body(&answer));
        result = strncmp(ctl_answer_body(&answer), "ready\n", 6) == 0 ? CTL_DONE : CTL_REFUSED;
    }
    ctl_answer_free(&answer);
    return result;
}

/* What the page says, on standard output if it is a yes. */
static enum ctl_exit ask(const struct config_admin *admin, const char *method, const char *path,
                         const char *refusal) {
    struct ctl_answer answer;
    struct error err;
    if (ctl_ask(admin, method, path, &answer, &err) != 0) {
        return no_answer(&err);
    }
    enum ctl_exit result = CTL_DONE;
    if (answer.status / 100 == 2) {
        print(stdout, ctl_answer_body(&answer));
    } else {
        result = refused(refusal, &answer);
    }
    ctl_answer_free(&answer);
    return result;
}

static enum ctl_exit reload(const struct config_admin *admin) {
    return ask(admin, "POST", "/reload", "reload refused: ");
}

static enum ctl_exit drain(const struct config_admin *admin) {
    return ask(admin, "POST", "/drain", "drain refused: ");
}

static enum ctl_exit health(const struct config_admin *admin) {
    return ask(admin, "GET", "/health", "");
}

/* Each session is a line of the page; the last line names the next page. False: there is none. */
static bool print_page(char *page, char next[32]) {
    char *rest = page;
    next[0] = '\0';
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        size_t len = strlen(line);
        if (strncmp(line, "{\"listener\":", 12) == 0) {
            line[line[len - 1] == ',' ? len - 1 : len] = '\0';
            print(stdout, line);
            fputs("\n", stdout);
        } else if (sscanf(line, "],\"next\":\"%31[0-9]\"", next) == 1) {
            return true;
        }
    }
    return false;
}

static enum ctl_exit sessions(const struct config_admin *admin) {
    char path[64] = "/sessions?limit=1000", next[32];
    bool more = true;
    while (more) {
        struct ctl_answer answer;
        struct error err;
        if (ctl_ask(admin, "GET", path, &answer, &err) != 0) {
            return no_answer(&err);
        }
        if (answer.status != 200) {
            enum ctl_exit result = refused("", &answer);
            ctl_answer_free(&answer);
            return result;
        }
        more = print_page(ctl_answer_body(&answer), next);
        snprintf(path, sizeof path, "/sessions?limit=1000&next=%s", next);
        ctl_answer_free(&answer);
    }
    return CTL_DONE;
}

static const struct {
    const char *name;
    ctl_verb *run;
} verbs[] = {{"status", status},
             {"health", health},
             {"sessions", sessions},
             {"reload", reload},
             {"drain", drain}};

static ctl_verb *find_verb(const char *name) {
    for (size_t i = 0; name != NULL && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return verbs[i].run;
        }
    }
    return NULL;
}

/* --- the address --- */

struct command {
    const char *file, *address;
    bool help;
};

static int find_address(const struct command *c, const char *file, struct config_admin *admin,
                        struct error *err) {
    if (c->address != NULL) {
        return config_admin_of(c->address, admin, err);
    }
    if (config_admin_in(file, admin, err) != 0) {
        return error_append(err, "; name the configuration of the running Postern with -c FILE, or "
                                 "its admin socket with --admin ADDR, as in --admin "
                                 "unix:/run/postern/admin.sock");
    }
    return admin->text != NULL ? 0
                               : error_set(err,
                                           "%s: has no admin, so that there is nobody to ask: "
                                           "write admin = unix:/run/postern/admin.sock and restart "
                                           "Postern; if the file is damaged, name the socket of "
                                           "the running one with --admin",
                                           file);
}

static enum ctl_exit run(const struct command *c, ctl_verb *verb) {
    struct error err;
    struct config_admin admin;
    const char *file = c->file != NULL ? c->file : CTL_DEFAULT_FILE;
    if (find_address(c, file, &admin, &err) != 0) {
        enum ctl_exit result = no_answer(&err);
        return c->address != NULL ? CTL_WRONG_USE : result;
    }
    enum ctl_exit result = verb(&admin);
    config_admin_free(&admin);
    return result;
}

/* False for what getopt has complained about. */
static bool take_option(struct command *c, int option) {
    switch (option) {
    case 'c':
        c->file = optarg;
        return true;
    case 'a':
        c->address = optarg;
        return true;
    case 'h':
        return c->help = true;
    default:
        return false;
    }
}

enum ctl_exit ctl_run(int argc, char **argv) {
    static const struct option list[] = {{"config", required_argument, NULL, 'c'},
                                         {"admin", required_argument, NULL, 'a'},
                                         {"help", no_argument, NULL, 'h'},
                                         {0}};
    struct command c = {0};
    for (int option; (option = getopt_long(argc, argv, "c:", list, NULL)) != -1;) {
        if (!take_option(&c, option)) {
            return wrong_use("wrong command line");
        }
    }
    if (c.help) {
        fputs(help, stdout);
        return CTL_DONE;
    }
    ctl_verb *verb = find_verb(argv[optind]);
    if (verb == NULL || optind + 1 != argc) {
        return wrong_use("name one of status, health, sessions, reload and drain");
    }
    if (c.file != NULL && c.address != NULL) {
        return wrong_use("-c FILE and --admin ADDR exclude each other");
    }
    return run(&c, verb);
}
