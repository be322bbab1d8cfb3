/* The load generator: does what the lines on standard input say, and answers each with one line
 * on standard output, so that the caller can measure the proxy between two commands.
 *
 *   prime                          one full handshake per client, to have sessions to resume
 *   handshakes COUNT
 *   spread PER_SECOND COUNT        handshakes that begin at a fixed rate
 *   open COUNT                     connections that stay, for the commands below
 *   messages COUNT SIZE INFLIGHT   echoed as fast as they come back
 *   paced PER_SECOND COUNT SIZE    echoed at a fixed rate: percentiles of their times
 *   up BYTES WRITE_SIZE            per connection
 *   down BYTES WRITE_SIZE
 *   close
 *
 * An answer is `ok done=N seconds=S` and what else there is. Anything wrong ends the program with
 * a message (common.h). One thread: more load is another process. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "fleet.h"
#include "handshakes.h"

enum { MAX_ARGUMENTS = 3 };

static const char usage[] =
    "usage: bench-load --connect ADDRESS:PORT [--tls 1.2|1.3] [--key ecdsa|rsa]\n"
    "                  [--resume none|ticket|id] [--inflight N] [--group x25519|p256|hybrid]\n"
    "                  [--certificate FILE --certificate-key FILE] [--mqtt]\n";

struct session {
    struct load load;
    struct handshakes *handshakes;
    struct fleet *fleet;
};

struct command {
    const char *name;
    int arguments;
    uint64_t (*run)(struct session *s, const uint64_t *arguments);
};

static uint64_t run_prime(struct session *s, const uint64_t *arguments) {
    (void)arguments;
    handshakes_prime(s->handshakes);
    return s->load.options.inflight;
}

static uint64_t run_handshakes(struct session *s, const uint64_t *arguments) {
    handshakes_run(s->handshakes, arguments[0]);
    return arguments[0];
}

static uint64_t run_spread(struct session *s, const uint64_t *arguments) {
    handshakes_spread(s->handshakes, arguments[0], arguments[1]);
    return arguments[1];
}

static uint64_t run_open(struct session *s, const uint64_t *arguments) {
    fleet_open(s->fleet, (unsigned)arguments[0]);
    return arguments[0];
}

static uint64_t run_messages(struct session *s, const uint64_t *arguments) {
    fleet_messages(s->fleet, arguments[0], (size_t)arguments[1], (unsigned)arguments[2]);
    return arguments[0];
}

static uint64_t run_paced(struct session *s, const uint64_t *arguments) {
    struct latency latency = {0};
    fleet_paced(s->fleet, arguments[0], arguments[1], (size_t)arguments[2], &latency);
    printf("p50=%.1f p90=%.1f p99=%.1f p999=%.1f max=%.1f ", latency_percentile(&latency, 0.5),
           latency_percentile(&latency, 0.9), latency_percentile(&latency, 0.99),
           latency_percentile(&latency, 0.999), latency_percentile(&latency, 1));
    uint64_t done = latency.count;
    latency_free(&latency);
    return done;
}

static uint64_t run_up(struct session *s, const uint64_t *arguments) {
    fleet_upload(s->fleet, arguments[0], (uint32_t)arguments[1]);
    return arguments[0] * fleet_size(s->fleet);
}

static uint64_t run_down(struct session *s, const uint64_t *arguments) {
    fleet_download(s->fleet, arguments[0], (uint32_t)arguments[1]);
    return arguments[0] * fleet_size(s->fleet);
}

static uint64_t run_close(struct session *s, const uint64_t *arguments) {
    (void)arguments;
    fleet_close(s->fleet);
    return fleet_size(s->fleet);
}

static const struct command commands[] = {
    {"prime", 0, run_prime},
    {"handshakes", 1, run_handshakes},
    {"spread", 2, run_spread},
    {"open", 1, run_open},
    {"messages", 3, run_messages},
    {"paced", 3, run_paced},
    {"up", 2, run_up},
    {"down", 2, run_down},
    {"close", 0, run_close},
};

static void obey(struct session *s, char *line) {
    const char *name = strtok(line, " \n");
    const struct command *command = NULL;
    for (size_t i = 0; name != NULL && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            command = &commands[i];
        }
    }
    if (command == NULL) {
        fail_as(EXIT_USAGE, "no such command: %s", name != NULL ? name : "(empty line)");
    }
    uint64_t arguments[MAX_ARGUMENTS] = {0};
    for (int i = 0; i < command->arguments; i++) {
        const char *text = strtok(NULL, " \n");
        arguments[i] = number_parse(text != NULL ? text : "", 1, UINT64_MAX / 2, command->name);
    }
    printf("ok ");
    uint64_t start = now_ns();
    uint64_t done = command->run(s, arguments);
    printf("done=%llu seconds=%.6f\n", (unsigned long long)done, (double)(now_ns() - start) / 1e9);
    fflush(stdout);
}

static enum resume resume_parse(const char *text) {
    if (strcmp(text, "none") == 0) {
        return RESUME_NONE;
    }
    if (strcmp(text, "ticket") == 0) {
        return RESUME_TICKET;
    }
    if (strcmp(text, "id") == 0) {
        return RESUME_ID;
    }
    fail_as(EXIT_USAGE, "--resume: none, ticket or id");
}

static enum group group_parse(const char *text) {
    static const char *const names[GROUP_COUNT] = {
        [GROUP_X25519] = "x25519", [GROUP_P256] = "p256", [GROUP_HYBRID] = "hybrid"};
    for (int i = 0; i < GROUP_COUNT; i++) {
        if (strcmp(names[i], text) == 0) {
            return (enum group)i;
        }
    }
    fail_as(EXIT_USAGE, "--group: x25519, p256 or hybrid");
}

static int choice(const char *text, const char *first, int a, const char *second, int b) {
    if (strcmp(text, first) != 0 && strcmp(text, second) != 0) {
        fail_as(EXIT_USAGE, "'%s': %s or %s", text, first, second);
    }
    return strcmp(text, first) == 0 ? a : b;
}

static void option_take(struct load_options *o, int option, const char *value) {
    switch (option) {
    case 'c':
        o->proxy = address_parse(value);
        break;
    case 't':
        o->tls = choice(value, "1.2", TLS1_2_VERSION, "1.3", TLS1_3_VERSION);
        break;
    case 'k':
        o->key = choice(value, "ecdsa", EVP_PKEY_EC, "rsa", EVP_PKEY_RSA);
        break;
    case 'r':
        o->resume = resume_parse(value);
        break;
    case 'i':
        o->inflight = (unsigned)number_parse(value, 1, 9000, "--inflight");
        break;
    case 'g':
        o->group = group_parse(value);
        break;
    case 'm':
        o->mqtt = true;
        break;
    case 'C':
        o->certificate = value;
        break;
    case 'K':
        o->key_file = value;
        break;
    default:
        fputs(usage, stderr);
        exit(EXIT_USAGE);
    }
}

static struct load_options options_parse(int argc, char **argv) {
    static const struct option names[] = {
        {"connect", 1, NULL, 'c'},     {"tls", 1, NULL, 't'},
        {"key", 1, NULL, 'k'},         {"resume", 1, NULL, 'r'},
        {"inflight", 1, NULL, 'i'},    {"group", 1, NULL, 'g'},
        {"certificate", 1, NULL, 'C'}, {"certificate-key", 1, NULL, 'K'},
        {"mqtt", 0, NULL, 'm'},        {0},
    };
    struct load_options o = {
        .tls = TLS1_2_VERSION, .key = EVP_PKEY_EC, .group = GROUP_X25519, .inflight = 16};
    for (int got; (got = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        option_take(&o, got, optarg);
    }
    bool half = (o.certificate == NULL) != (o.key_file == NULL);
    if (o.proxy.sin_port == 0 || optind != argc || half) {
        fail_as(EXIT_USAGE, "%s", usage);
    }
    return o;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* a proxy that has exited is reported as any other failure */
    raise_descriptor_limit();
    struct load_options options = options_parse(argc, argv);
    static struct session *s; /* kept for as long as the program runs */
    s = allocate(1, sizeof *s);
    load_open(&s->load, &options);
    s->handshakes = handshakes_new(&s->load);
    s->fleet = fleet_new(&s->load);
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL) {
        obey(s, line);
    }
    return 0;
}
