/* What test_manual.py compares the manual with: each key with what its entry must say, and each
 * reason of the log. With arguments: loads these files and prints what is wrong with them. */
#include "config/config.h"
#include "config/document.h"
#include "config/values.h"
#include "core/reason.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const sections[SECTION_COUNT] = {"postern", "listener", "certificate", "route"};

static void print_words(const struct config_word *words) {
    for (size_t i = 0; words[i].text != NULL; i++) {
        printf("%s%s", i == 0 ? "" : words[i + 1].text != NULL ? ", " : " or ", words[i].text);
    }
}

static void print_limit(const struct config_key *key, uint64_t value) {
    char text[32];
    if (key->kind == KIND_DURATION) {
        config_print_duration(value, text, sizeof text);
    } else if (key->kind == KIND_SIZE) {
        config_print_size(value, text, sizeof text);
    } else {
        snprintf(text, sizeof text, "%" PRIu64, value);
    }
    printf("%s", text);
}

/* "Default: 10s; range: 100ms to 1d." */
static void print_key(const struct config_key *key) {
    printf("key\t%s\t%s\t", sections[key->section], key->name);
    if (key->fallback == NULL) {
        printf("%s\n",
               key->kind == KIND_CERTIFICATES ? "Default: the certificate, where one is defined."
               : key->kind == KIND_LISTENERS  ? "Default: the listener, where one is defined."
                                              : "Required.");
        return;
    }
    printf("Default: %s", key->fallback[0] != '\0' ? key->fallback : "none");
    if (key->kind == KIND_WORD) {
        printf("; one of ");
        print_words(key->words);
    } else if (key->max > 0) {
        printf("; range: ");
        print_limit(key, key->min);
        printf(" to ");
        print_limit(key, key->max);
        if (key->words != NULL) {
            printf(", or ");
            print_words(key->words);
        }
    }
    printf(".\n");
}

static int load_files(char **files) {
    int result = EXIT_SUCCESS;
    for (; *files != NULL; files++) {
        struct error err;
        struct config *config = config_load(*files, &err);
        if (config == NULL) {
            printf("%s\n", err.text);
            result = EXIT_FAILURE;
        }
        config_free(config);
    }
    return result;
}

/* With the lines that may name it. */
static void print_reason(enum reason reason) {
    if (reason_ends_sessions(reason)) {
        printf("reason\tsession end\t%s\n", reason_name(reason));
    }
    if (reason_fails_handshakes(reason)) {
        printf("reason\thandshake failed\t%s\n", reason_name(reason));
    }
}

int main(int argc, char **argv) {
    if (argc > 1) {
        return load_files(argv + 1);
    }
    for (size_t i = 0; i < config_key_count; i++) {
        print_key(&config_keys[i]);
        if (config_keys[i].in_route) {
            printf("inherited\t%s\n", config_keys[i].name);
        }
    }
    for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        print_reason((enum reason)i);
    }
    return EXIT_SUCCESS;
}
