/* Preloaded into a program that runs under callgrind (counts.py): for each byte that comes through
 * the unix socket BENCH_MARKS the counts so far are dumped and begin again from zero; the byte is
 * sent back when that is done.
 *
 * The one who counts says when, by a thread that costs nothing while it waits. valgrind's own way,
 * vgdb, has to stop the program with ptrace(2), which containers often forbid. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

static int descriptor = -1;

static void *answer(void *arg) {
    char byte;
    while (read(descriptor, &byte, 1) == 1) {
        CALLGRIND_DUMP_STATS;
        if (write(descriptor, &byte, 1) != 1) {
            break;
        }
    }
    return arg;
}

static void give_up(const char *what) {
    perror(what);
    _exit(1);
}

/* In valgrind's own launcher, which is preloaded like the program, nothing is done. */
__attribute__((constructor)) static void begin(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("BENCH_MARKS");
    pthread_t thread;
    if (path == NULL || !RUNNING_ON_VALGRIND) {
        return;
    }
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        give_up("BENCH_MARKS");
    }
    if (pthread_create(&thread, NULL, answer, NULL) != 0) {
        give_up("a thread for BENCH_MARKS");
    }
}
