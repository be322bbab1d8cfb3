/* What the programs of the bench share: exits with a message, time, addresses.
 *
 * A bench that continues after a wrong byte measures nothing, so every failure ends the program:
 * fail() prints one line on standard error and exits. Nothing here is for use outside the bench. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    EXIT_WRONG = 1, /* a wrong byte, a refused connection, a count that does not fit */
    EXIT_USAGE = 2, /* wrong command line or command */
    /* The server does not offer the resumption asked for, or our library lacks the group. */
    EXIT_NOT_OFFERED = 3,
};

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void fail_as(int exit_code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* The soft limit of descriptors becomes the hard one. */
void raise_descriptor_limit(void);

/* "127.0.0.1:1883"; ends the program when it is anything else. */
struct sockaddr_in address_parse(const char *text);

/* A whole decimal number, least..most; `what` names it in the message that ends the program. */
uint64_t number_parse(const char *text, uint64_t least, uint64_t most, const char *what);

void *allocate(size_t count, size_t size);

#endif
