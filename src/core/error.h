/* One error message for the person who has to fix something.
 *
 * A function that fails for such a reason takes a `struct error *` and leaves there what was being
 * done, with what, why it failed and, where that is known, what to do. The struct belongs to the
 * caller and needs no clean-up; its text is undefined unless the function failed. */
#ifndef POSTERN_CORE_ERROR_H
#define POSTERN_CORE_ERROR_H

#include <stdarg.h>

/* Others read the text and use the functions to write it. */
struct error {
    char text[512];
};

/* Replaces the text; what does not fit is cut. Returns -1, for `return error_set(...)` in functions
 * that return 0 or -1. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

int error_set_args(struct error *err, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Adds to the text that is there; what does not fit is cut. Returns -1. */
int error_append(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the text that is there. Returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
