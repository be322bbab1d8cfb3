#include "tls/ciphers.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

/* In the order in which they stand in a list. In TLS 1.2 a client that offers a suite with a
 * pre-shared key has one for us, so those come first. */
enum kind { TLS13, PSK, PSK_PLAIN, SIGNED, KINDS };

/* Of each kind, in order of preference where the processor has AES instructions. */
static const struct suite {
    const char *name;
    const char *library;
    enum kind kind;
    bool chacha;
} suites[] = {
    {"TLS_AES_128_GCM_SHA256", "TLS13-AES128-GCM-SHA256", TLS13, false},
    {"TLS_CHACHA20_POLY1305_SHA256", "TLS13-CHACHA20-POLY1305-SHA256", TLS13, true},
    {"TLS_AES_256_GCM_SHA384", "TLS13-AES256-GCM-SHA384", TLS13, false},
    {"ECDHE-PSK-AES128-GCM-SHA256", "ECDHE-PSK-AES128-GCM-SHA256", PSK, false},
    {"ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-PSK-CHACHA20-POLY1305", PSK, true},
    {"PSK-AES128-GCM-SHA256", "PSK-AES128-GCM-SHA256", PSK_PLAIN, false},
    {"PSK-CHACHA20-POLY1305", "PSK-CHACHA20-POLY1305", PSK_PLAIN, true},
    {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", SIGNED, false},
    {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", SIGNED, false},
    {"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-CHACHA20-POLY1305", SIGNED, true},
    {"ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", SIGNED, true},
    {"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384", SIGNED, false},
    {"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", SIGNED, false},
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

static void append_defaults(char out[CIPHERS_MAX], enum kind kind) {
    bool chacha_first = chacha_is_faster();
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < SUITES; i++) {
            bool early = !chacha_first || suites[i].chacha;
            if (suites[i].kind == kind && early == (pass == 0)) {
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

static bool is_used(const struct cipher_use *use, enum kind kind) {
    switch (kind) {
    case TLS13:
        return use->tls13;
    case PSK:
        return use->tls12 && use->psk;
    case PSK_PLAIN:
        return use->tls12 && use->psk && use->psk_plain;
    default:
        return use->tls12 && use->certificates;
    }
}

static int check_psk(const struct suite *suite, const struct cipher_use *use, struct error *err) {
    if (use->shared) {
        return 0;
    }
    if ((suite->kind == PSK || suite->kind == PSK_PLAIN) && !use->psk) {
        return error_set(err, "ciphers: %s without psk_file, which has the keys for it",
                         suite->name);
    }
    if (suite->kind == PSK_PLAIN && !use->psk_plain) {
        return error_set(err,
                         "ciphers: %s has no forward secrecy; remove it, or write psk_plain = yes",
                         suite->name);
    }
    return 0;
}

/* Those that the user names and the listener uses, in the user's order, and of which kinds they
 * were. */
static int read_list(const char *wanted, const struct cipher_use *use, char out[CIPHERS_MAX],
                     bool seen[KINDS], struct error *err) {
    for (const char *at = wanted; at != NULL && *at;) {
        size_t len = strcspn(at, ":, ");
        if (len > 0) {
            const struct suite *suite = find_suite(at, len);
            if (suite == NULL) {
                return unknown_suite(at, len, err);
            }
            if (strlen(out) + strlen(suite->library) + 2 > CIPHERS_MAX / 2) {
                return error_set(err, "ciphers: the list is too long; name each suite once");
            }
            if (check_psk(suite, use, err) != 0) {
                return -1;
            }
            if (is_used(use, suite->kind)) {
                append(out, suite->library);
            }
            seen[suite->kind] = true;
        }
        at += len;
        at += strspn(at, ":, ");
    }
    return 0;
}

int ciphers_list(const char *wanted, const struct cipher_use *use, char out[CIPHERS_MAX],
                 struct error *err) {
    bool seen[KINDS] = {false};
    char list[CIPHERS_MAX] = "";
    if (read_list(wanted, use, list, seen, err) != 0) {
        return -1;
    }
    seen[PSK] = seen[PSK_PLAIN] = seen[PSK] || seen[PSK_PLAIN];
    out[0] = '\0';
    for (enum kind kind = 0; kind < SIGNED; kind++) {
        if (is_used(use, kind) && !seen[kind]) {
            append_defaults(out, kind);
        }
    }
    if (list[0]) {
        append(out, list);
    }
    if (is_used(use, SIGNED) && !seen[SIGNED]) {
        append_defaults(out, SIGNED);
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
