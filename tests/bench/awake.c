/* Keeps a processor awake: spins at idle priority, so that it runs only where nothing else wants
 * to, and gives way at once.
 *
 * Waking a sleeping processor costs tens of microseconds on a virtual machine, and they are
 * charged to whoever is woken. A proxy that is done sooner sleeps more often, and would look dear
 * for being fast; latencies would be those of the hypervisor. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "common.h"

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
    if (sched_setscheduler(0, SCHED_IDLE, &none) != 0)
        fail("setting SCHED_IDLE: %s", strerror(errno));
    for (;;)
        breathe();
}
