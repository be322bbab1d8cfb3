#include "tls/groups.h"
#include "tls/wolfssl.h"
#include "wire/client_hello.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* In order of preference: the hybrid, then by speed. The distribution's library has no hybrid. */
static const struct group {
    const char *name;
    const char *library;
    int number;
    enum hello_group bit;
} groups[] = {
#ifdef POSTERN_OWN_WOLFSSL
    {"X25519MLKEM768", "X25519MLKEM768", WOLFSSL_X25519MLKEM768, HELLO_X25519MLKEM768},
#endif
    {"X25519", "X25519", WOLFSSL_ECC_X25519, HELLO_X25519},
    {"P-256", "SECP256R1", WOLFSSL_ECC_SECP256R1, HELLO_P256},
    {"P-384", "SECP384R1", WOLFSSL_ECC_SECP384R1, HELLO_P384},
};
enum { GROUPS = sizeof groups / sizeof *groups };

static const struct group *find_group(const char *name, size_t len) {
    for (size_t i = 0; i < GROUPS; i++) {
        if (strlen(groups[i].name) == len && strncasecmp(groups[i].name, name, len) == 0) {
            return &groups[i];
        }
    }
    return NULL;
}

static void append(struct groups *out, const struct group *group) {
    out->list[out->count++] = group->number;
    out->bits |= (uint8_t)group->bit;
}

static int unknown_group(const char *name, size_t len, struct error *err) {
    char known[128] = "";
    for (size_t i = 0; i < GROUPS; i++) {
        size_t have = strlen(known);
        snprintf(known + have, sizeof known - have, "%s%s", i > 0 ? ", " : "", groups[i].name);
    }
    return error_set(err, "groups: unknown group \"%.*s\"; known are %s",
                     (int)(len > 60 ? 60 : len), name, known);
}

int groups_read(const char *wanted, struct groups *out, struct error *err) {
    static const char separators[] = ",: ";
    *out = (struct groups){0};
    for (const char *at = wanted; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, separators);
        const struct group *group = find_group(at, len);
        if (len > 0 && group == NULL) {
            return unknown_group(at, len, err);
        }
        if (len > 0 && (out->bits & group->bit) != 0) {
            return error_set(err, "groups: %s is named twice", group->name);
        }
        if (len > 0) {
            append(out, group);
        }
        at += len;
        at += strspn(at, separators);
    }
    for (size_t i = 0, unnamed = out->count == 0; unnamed && i < GROUPS; i++) {
        append(out, &groups[i]);
    }
    return 0;
}

uint8_t groups_find(const char *library_name) {
    for (size_t i = 0; i < GROUPS && library_name != NULL; i++) {
        if (strcmp(groups[i].library, library_name) == 0) {
            return (uint8_t)(i + 1);
        }
    }
    return 0;
}

const char *groups_name(uint8_t found) {
    return found > 0 && found <= GROUPS ? groups[found - 1].name : NULL;
}
