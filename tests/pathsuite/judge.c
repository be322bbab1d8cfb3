/* Judges client certificates as a listener does, for path validation suites (run.py): reads cases,
 * decides each one alone in a process of its own, and then all of them again in one process, in
 * several orders. No decision may depend on an earlier one.
 *
 * A case, one item a line: `case ID SECONDS CA_FILE CRL_FILE` (the clock; a dash for no CRL), `cert
 * HEX` for each certificate that the client sends, its own first, and `end`. The output: a line `ID
 * VERDICT` for each, where the verdict is `none` (accepted), the reason of the refusal, or `load`
 * where the CAs or lists cannot be loaded. */
#include "tls/client.h"
#include "tls/client_store.h"
#include "tls/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_LEN = 1 << 22, CERTS_MAX = 128, VERDICT_MAX = 32, PAIRS_CASES_MAX = 400 };

struct test {
    char *id, *ca, *crl; /* crl: NULL for none */
    int64_t now;
    struct span chain[CERTS_MAX];
    size_t count;
    struct tls_clients *clients; /* loaded once: what it keeps, it keeps for all */
    char alone[VERDICT_MAX];
};

static struct test *tests;
static size_t test_count;
static int64_t clock_now;

/* The program's clock shows the time of the case. */
#if defined(__GLIBC__) && __SIZEOF_LONG__ == 4
#define TIME "__time64" /* what time() is there with a 64-bit time_t */
#else
#define TIME "time"
#endif
time_t wrapped_time(time_t *out) __asm__("__wrap_" TIME);
time_t wrapped_time(time_t *out) {
    if (out != NULL) {
        *out = (time_t)clock_now;
    }
    return (time_t)clock_now;
}

static void die(const char *why) {
    fprintf(stderr, "path_judge: %s\n", why);
    exit(EXIT_FAILURE);
}

static void *need(void *memory) {
    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

/* --- reading --- */

static struct span unhex(const char *hex) {
    size_t len = strspn(hex, "0123456789abcdef") / 2;
    uint8_t *data = need(malloc(len > 0 ? len : 1));
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        data[i] = (uint8_t)byte;
    }
    return (struct span){data, len};
}

static void begin(const char *line) {
    char id[256], ca[256], crl[256];
    long long now;
    if (sscanf(line, "case %255s %lld %255s %255s", id, &now, ca, crl) != 4) {
        die("malformed case");
    }
    tests = need(realloc(tests, (test_count + 1) * sizeof *tests));
    tests[test_count++] = (struct test){.id = need(strdup(id)),
                                        .now = now,
                                        .ca = need(strdup(ca)),
                                        .crl = strcmp(crl, "-") != 0 ? need(strdup(crl)) : NULL};
}

static void read_cases(FILE *in) {
    char *line = need(malloc(LINE_MAX_LEN));
    while (fgets(line, LINE_MAX_LEN, in) != NULL) {
        struct test *last = test_count > 0 ? &tests[test_count - 1] : NULL;
        if (strncmp(line, "case ", 5) == 0) {
            begin(line);
        } else if (strncmp(line, "cert ", 5) == 0 && last != NULL && last->count < CERTS_MAX) {
            last->chain[last->count++] = unhex(line + 5);
        } else if (strncmp(line, "end", 3) != 0) {
            die("malformed line");
        }
    }
    free(line);
}

/* --- judging --- */

static const char *judge(struct test *test) {
    struct config_listener listener = {.certificate_count = 1, /* a listener with certificates */
                                       .client_auth = CLIENT_AUTH_REQUIRED,
                                       .client_ca = test->ca,
                                       .client_crl = test->crl,
                                       .client_x509_v1 = X509_V1_REFUSE,
                                       .crl_expired = CRL_EXPIRED_REFUSE};
    struct error err = {""};
    struct client_cert peer;
    clock_now = test->now;
    if (test->clients == NULL) {
        test->clients = clients_load(&listener, &err);
    }
    if (test->clients == NULL) {
        return "load";
    }
    struct tls_context ctx = {.clients = test->clients,
                              .client_auth = CLIENT_AUTH_REQUIRED,
                              .identity = IDENTITY_FINGERPRINT};
    memset(&peer, 0, sizeof peer);
    return reason_name(clients_check(&ctx, test->chain, test->count, &peer));
}

static void judge_alone(struct test *test) {
    int ends[2], status;
    if (pipe(ends) != 0) {
        die("no pipe");
    }
    pid_t child = fork();
    if (child == 0) {
        const char *verdict = judge(test);
        _exit(write(ends[1], verdict, strlen(verdict)) < 0);
    }
    close(ends[1]);
    ssize_t len = child > 0 ? read(ends[0], test->alone, sizeof test->alone - 1) : -1;
    close(ends[0]);
    if (len <= 0 || waitpid(child, &status, 0) != child || status != 0) {
        snprintf(test->alone, sizeof test->alone, "crash");
    }
    printf("%s %s\n", test->id, test->alone);
}

static size_t differences, judgements;

static void judge_again(struct test *test, const struct test *before) {
    const char *verdict = judge(test);
    judgements++;
    if (strcmp(verdict, test->alone) != 0) {
        differences++;
        printf("! %s: %s alone, %s after %s\n", test->id, test->alone, verdict,
               before != NULL ? before->id : "nothing");
    }
}

/* Each case directly after each other one. */
static void judge_pairs(void) {
    for (size_t step = 1; step < test_count; step++) {
        for (size_t i = 0; i < test_count; i++) {
            struct test *before = &tests[i], *test = &tests[(i + step) % test_count];
            (void)judge(before);
            judge_again(test, before);
        }
    }
}

static void judge_shuffled(unsigned seed) {
    size_t *order = need(calloc(test_count, sizeof *order));
    srand(seed);
    for (size_t i = 0; i < test_count; i++) {
        size_t j = (size_t)rand() % (i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i < test_count; i++) {
        judge_again(&tests[order[i]], i > 0 ? &tests[order[i - 1]] : NULL);
    }
    free(order);
}

/* --- */

static void free_all(void) {
    for (size_t i = 0; i < test_count; i++) {
        for (size_t j = 0; j < tests[i].count; j++) {
            free((void *)(uintptr_t)tests[i].chain[j].data);
        }
        clients_free(tests[i].clients);
        free(tests[i].id);
        free(tests[i].ca);
        free(tests[i].crl);
    }
    free(tests);
}

int main(int argc, char **argv) {
    struct error err;
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    if (tls_library_start(&err) != 0) {
        die(err.text);
    }
    read_cases(stdin);
    setvbuf(stdout, NULL, _IOLBF, 0); /* nothing is left over for a child to write again */
    for (size_t i = 0; i < test_count; i++) {
        judge_alone(&tests[i]);
    }
    for (unsigned seed = 1; seed <= rounds; seed++) {
        judge_shuffled(seed);
    }
    if (rounds > 0 && test_count <= PAIRS_CASES_MAX) {
        judge_pairs();
    }
    printf("= %zu cases, %zu judgements in other orders, %zu differences\n", test_count, judgements,
           differences);
    free_all();
    tls_library_stop();
    return differences > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
