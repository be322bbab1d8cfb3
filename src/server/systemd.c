#include "server/systemd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void systemd_send(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) {
        return;
    }
    memcpy(to.sun_path, path, strlen(path));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@') {
        to.sun_path[0] = '\0'; /* unix(7): an abstract address */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, len);
        close(fd);
    }
}

void systemd_reloading(void) {
    struct timespec now;
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    systemd_send(text);
}

/* A number from the environment; 0 if the variable `pid_name` has another process. */
static unsigned long long number_for_us(const char *name, const char *pid_name) {
    const char *number = getenv(name), *pid = getenv(pid_name);
    if (number == NULL || (pid != NULL && strtoull(pid, NULL, 10) != (unsigned)getpid())) {
        return 0;
    }
    return strtoull(number, NULL, 10);
}

uint64_t systemd_watchdog_ms(void) {
    return number_for_us("WATCHDOG_USEC", "WATCHDOG_PID") / 1000;
}

size_t systemd_inherited_sockets(void) {
    enum { PLENTY = 1024 };
    unsigned long long count =
        getenv("LISTEN_PID") != NULL ? number_for_us("LISTEN_FDS", "LISTEN_PID") : 0;
    if (count > PLENTY) {
        return 0;
    }
    for (unsigned long long i = 0; i < count; i++) {
        fcntl(SYSTEMD_FIRST_SOCKET + (int)i, F_SETFD, FD_CLOEXEC);
    }
    return (size_t)count;
}
