#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static _Noreturn void leave(int exit_code, const char *format, va_list arguments) {
    fflush(stdout);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    exit(exit_code);
}

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    leave(EXIT_WRONG, format, arguments);
}

void fail_as(int exit_code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    leave(exit_code, format, arguments);
}

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fail("reading the limit of descriptors: %s", strerror(errno));
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fail("raising the limit of descriptors: %s", strerror(errno));
    }
}

uint64_t number_parse(const char *text, uint64_t least, uint64_t most, const char *what) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || value < least ||
        value > most) {
        fail_as(EXIT_USAGE, "%s: '%s' is not a number from %llu to %llu", what, text,
                (unsigned long long)least, (unsigned long long)most);
    }
    return value;
}

struct sockaddr_in address_parse(const char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        fail_as(EXIT_USAGE, "'%s' is not ADDRESS:PORT", text);
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fail_as(EXIT_USAGE, "'%s' is not an IPv4 address", host);
    }
    address.sin_port = htons((uint16_t)number_parse(colon + 1, 0, 65535, "port"));
    return address;
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fail("out of memory");
    }
    return memory;
}
