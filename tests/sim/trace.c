#include "trace.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEPT = 40, TEXT = 120 };

static struct {
    uint64_t step;
    char text[TEXT];
} actions[KEPT];

static uint64_t seed, count;

static void show(void) {
    uint64_t first = count > KEPT ? count - KEPT : 0;
    printf("seed %" PRIu64 "; the last actions:\n", seed);
    for (uint64_t i = first; i < count; i++) {
        printf("%10" PRIu64 "  %s\n", actions[i % KEPT].step, actions[i % KEPT].text);
    }
    fflush(stdout);
}

/* The process ends here, so what a handler may call does not matter. */
static void on_abort(int number) {
    show();
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
}

/* The sanitizers' last call, in a build that has them. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

void trace_begin(uint64_t of_seed) {
    seed = of_seed;
    count = 0;
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(show);
    }
}

void trace_action(uint64_t step, const char *format, ...) {
    va_list args;
    va_start(args, format);
    actions[count % KEPT].step = step;
    vsnprintf(actions[count % KEPT].text, TEXT, format, args);
    count++;
    va_end(args);
}

_Noreturn void trace_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("does not hold: ");
    vprintf(format, args);
    printf("\n");
    fflush(stdout);
    va_end(args);
    abort();
}
