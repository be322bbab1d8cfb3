#include "trace.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEPT = 40, TEXT = 140 };

/* Lines that are ready to be written, since a signal handler may not format them. */
struct line {
    char text[TEXT];
    size_t len;
};

static struct line heading, actions[KEPT];
static uint64_t count;

static void write_line(const struct line *line) {
    ssize_t written = write(STDOUT_FILENO, line->text, line->len);
    (void)written;
}

static void show(void) {
    uint64_t first = count > KEPT ? count - KEPT : 0;
    write_line(&heading);
    for (uint64_t i = first; i < count; i++) {
        write_line(&actions[i % KEPT]);
    }
}

static void on_abort(int number) {
    show();
    signal(SIGABRT, SIG_DFL);
    raise(SIGABRT);
}

static void finish_line(struct line *line, int len) {
    line->len = len < TEXT - 1 ? (size_t)len : TEXT - 2;
    line->text[line->len++] = '\n';
}

/* The sanitizers' last call, in a build that has them. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

void trace_begin(uint64_t seed) {
    finish_line(&heading,
                snprintf(heading.text, TEXT, "seed %" PRIu64 "; the last actions:", seed));
    count = 0;
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    if (__sanitizer_set_death_callback != NULL) {
        __sanitizer_set_death_callback(show);
    }
}

void trace_action(uint64_t step, const char *format, ...) {
    struct line *line = &actions[count % KEPT];
    va_list args;
    va_start(args, format);
    int len = snprintf(line->text, TEXT, "%10" PRIu64 "  ", step);
    len += vsnprintf(line->text + len, (size_t)(TEXT - len), format, args);
    finish_line(line, len);
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
