/* Moves a program's clocks a day and a minute forward once a file exists.
 *
 * To be loaded with LD_PRELOAD; the environment variable POSTERN_CLOCK names the file. All clocks
 * move together, as they do for a program that has run for a day. */
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS /* the plain names are defined here */

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) {
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real(clock, now);
    const char *file = getenv("POSTERN_CLOCK");
    if (result == 0 && file != NULL && access(file, F_OK) == 0) {
        now->tv_sec += 24 * 3600 + 60;
    }
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
