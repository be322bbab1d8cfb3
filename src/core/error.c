#include "core/error.h"

#include <stdio.h>
#include <string.h>

int error_set_args(struct error *err, const char *format, va_list args) {
    vsnprintf(err->text, sizeof err->text, format, args);
    return -1;
}

int error_set(struct error *err, const char *format, ...) {
    va_list args;
    va_start(args, format);
    error_set_args(err, format, args);
    va_end(args);
    return -1;
}

int error_append(struct error *err, const char *format, ...) {
    size_t len = strlen(err->text);
    va_list args;
    va_start(args, format);
    vsnprintf(err->text + len, sizeof err->text - len, format, args);
    va_end(args);
    return -1;
}

int error_prefix(struct error *err, const char *format, ...) {
    char rest[sizeof err->text];
    memcpy(rest, err->text, sizeof rest);
    va_list args;
    va_start(args, format);
    int len = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (len >= 0 && (size_t)len < sizeof err->text) {
        snprintf(err->text + len, sizeof err->text - (size_t)len, ": %s", rest);
    }
    return -1;
}
