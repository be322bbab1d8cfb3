/* What a run has done last, for the report when something does not hold. */
#ifndef POSTERN_SIM_TRACE_H
#define POSTERN_SIM_TRACE_H

#include <stdint.h>

/* From now on an abort prints the seed, the step and the last actions. */
void trace_begin(uint64_t seed);

/* Another action; `format` as printf. */
void trace_action(uint64_t step, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Something does not hold: prints it and aborts. */
_Noreturn void trace_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define NEED(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            trace_fail(__VA_ARGS__);                                                               \
        }                                                                                          \
    } while (0)

#endif
