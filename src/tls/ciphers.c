#include "tls/ciphers.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

enum { CHACHA = 1, TLS13 = 2 };

/* In order of preference where the processor has AES instructions. */
static const struct suite {
    const char *name;
    const char *library;
    unsigned flags;
} suites[] = {
    {"TLS_AES_128_GCM_SHA256", "TLS13-AES128-GCM-SHA256", TLS13},
    {"TLS_CHACHA20_POLY1305_SHA256", "TLS13-CHACHA20-POLY1305-SHA256", TLS13 | CHACHA},
    {"TLS_AES_256_GCM_SHA384", "TLS13-AES256-GCM-SHA384", TLS13},
    {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", 0},
    {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", 0},
    {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305", CHACHA},
    {"ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", CHACHA},
    {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", 0},
    {"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", 0},
};
enum { SUITES = sizeof suites / sizeof *suites };

/* A Raspberry Pi 4 has no AES instructions: ChaCha20 is several times faster there. */
static bool chacha_is_faster(void) {
#if defined(__x86_64__)
    return !__builtin_cpu_supports("aes");
#elif defined(__aarch64__)
    return (getauxval(AT_HWCAP) & (1UL << 3)) == 0; /* HWCAP_AES */
#else
    return true;
#endif
}

static void append(char out[CIPHERS_MAX], const char *name) {
    size_t len = strlen(out);
    snprintf(out + len, CIPHERS_MAX - len, "%s%s", len ? ":" : "", name);
}

static void append_defaults(char out[CIPHERS_MAX], unsigned version) {
    bool chacha_first = chacha_is_faster();
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < SUITES; i++) {
            bool early = !chacha_first || (suites[i].flags & CHACHA);
            if ((suites[i].flags & TLS13) == version && early == (pass == 0)) {
                append(out, suites[i].library);
            }
        }
    }
}

static const struct suite *find_suite(const char *name, size_t len) {
    for (size_t i = 0; i < SUITES; i++) {
        if (strlen(suites[i].name) == len && memcmp(suites[i].name, name, len) == 0) {
            return &suites[i];
        }
    }
    return NULL;
}

static int unknown_suite(const char *name, size_t len, struct error *err) {
    char known[CIPHERS_MAX] = "";
    for (size_t i = 0; i < SUITES; i++) {
        append(known, suites[i].name);
    }
    return error_set(err, "ciphers: unknown suite \"%.*s\"; known are %s",
                     (int)(len > 60 ? 60 : len), name, known);
}

int ciphers_list(const char *wanted, bool tls12, bool tls13, char out[CIPHERS_MAX],
                 struct error *err) {
    bool seen13 = false, seen12 = false;
    char list[CIPHERS_MAX] = "";
    for (const char *at = wanted; at != NULL && *at;) {
        size_t len = strcspn(at, ":, ");
        if (len > 0) {
            const struct suite *suite = find_suite(at, len);
            if (suite == NULL) {
                return unknown_suite(at, len, err);
            }
            if (strlen(list) + strlen(suite->library) + 2 > sizeof list / 2) {
                return error_set(err, "ciphers: the list is too long; name each suite once");
            }
            if (suite->flags & TLS13 ? tls13 : tls12) {
                append(list, suite->library);
            }
            *(suite->flags & TLS13 ? &seen13 : &seen12) = true;
        }
        at += len;
        at += strspn(at, ":, ");
    }
    out[0] = '\0';
    if (tls13 && !seen13) {
        append_defaults(out, TLS13);
    }
    if (list[0]) {
        append(out, list);
    }
    if (tls12 && !seen12) {
        append_defaults(out, 0);
    }
    return 0;
}

const char *ciphers_name(const char *library_name) {
    for (size_t i = 0; i < SUITES && library_name != NULL; i++) {
        if (strcmp(library_name, suites[i].library) == 0 ||
            strcmp(library_name, suites[i].name) == 0) {
            return suites[i].name;
        }
    }
    return "unknown";
}

const char *ciphers_at(size_t number) {
    return number < SUITES ? suites[number].name : NULL;
}
