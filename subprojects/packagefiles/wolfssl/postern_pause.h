/* Long computations of the library (RSA with a private key: up to 10 ms on slow processors) call
 * this every few microseconds, so that whoever asked for them can do something else meanwhile. */
#ifndef POSTERN_PAUSE_H
#define POSTERN_PAUSE_H

#include <stddef.h>

/* Of this thread; `call` NULL: nothing is called. */
extern _Thread_local struct postern_pause {
    void (*call)(void *arg);
    void *arg;
} postern_pause;

static inline void postern_may_pause(void) {
    if (postern_pause.call != NULL) {
        postern_pause.call(postern_pause.arg);
    }
}

#endif
