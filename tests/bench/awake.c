/* Keeps a processor awake: spins at idle priority, so that it runs only where nothing else wants
 * to, and gives way at once.
 *
 * Waking a sleeping processor costs tens of microseconds on a virtual machine, and they
 * are charged to the process that is woken. A proxy that is done sooner sleeps more often, and
 * would look expensive because it is fast; latencies would be those of the hypervisor.
 *
 * It yields every few microseconds nevertheless: the scheduler of Linux 6.6 and later may find that
 * the process that is woken has had its share, does not look again before the next tick, and lets a
 * spinner of the lowest priority run for milliseconds. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "common.h"

enum { BREATHS = 100 };

static inline void breathe(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

int main(void) {
    struct sched_param none = {0};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0) {
        fail("setting SCHED_IDLE: %s", strerror(errno));
    }
    for (;;) {
        for (int i = 0; i < BREATHS; i++) {
            breathe();
        }
        sched_yield();
    }
}
