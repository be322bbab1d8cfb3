/* One message for the person who must mend something.
 *
 * A function that can fail in a way a person must repair takes a `struct error *` and, when it
 * fails, leaves there one sentence: what was being done, with what, and why it failed. The struct
 * belongs to the caller and needs no clean-up. */
#ifndef POSTERN_CORE_ERROR_H
#define POSTERN_CORE_ERROR_H

struct error {
    char text[512];
};

/* Replaces the text; what does not fit is cut. Returns -1, so that `return error_set(...)` reads
 * well in functions that return 0 or -1. */
int error_set(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the text that is there. Returns -1. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
