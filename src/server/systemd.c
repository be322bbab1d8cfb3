#include "server/systemd.h"

#include "server/passing.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* False if there is no manager, or it did not take the message. */
static bool send_with(const char *state, const int *fds, size_t count) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) {
        return false;
    }
    memcpy(to.sun_path, path, strlen(path));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (path[0] == '@') {
        to.sun_path[0] = '\0'; /* unix(7): an abstract address */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool sent = fd >= 0 && passing_send(fd, (const struct sockaddr *)&to, len, state, strlen(state),
                                        fds, count);
    if (fd >= 0) {
        close(fd);
    }
    return sent;
}

void systemd_send(const char *state) {
    (void)send_with(state, NULL, 0);
}

bool systemd_is_abstract(void) {
    const char *path = getenv("NOTIFY_SOCKET");
    return path != NULL && path[0] == '@';
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

void systemd_inherited_name(size_t index, char name[SYSTEMD_NAME_SIZE]) {
    const char *at = getenv("LISTEN_FDNAMES");
    name[0] = '\0';
    for (size_t i = 0; at != NULL && i < index; i++) {
        at = strchr(at, ':');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at != NULL && strcspn(at, ":") < SYSTEMD_NAME_SIZE) {
        snprintf(name, SYSTEMD_NAME_SIZE, "%.*s", (int)strcspn(at, ":"), at);
    }
}

/* A name must not contain a colon: "listen-[__]_8883". */
static void name_sockets(const struct address *address, char *name, size_t size) {
    char text[ADDRESS_TEXT_SIZE];
    snprintf(name, size, SYSTEMD_STORED "%s", address_print(address, text));
    for (char *at = name; (at = strchr(at, ':')) != NULL; at++) {
        *at = '_';
    }
}

bool systemd_store_sockets(const struct address *address, const int *fds, size_t count) {
    char name[ADDRESS_TEXT_SIZE + sizeof SYSTEMD_STORED], text[sizeof name + 32];
    bool sent = count > 0;
    name_sockets(address, name, sizeof name);
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s", name);
    for (size_t done = 0; sent && done < count;) {
        size_t now = count - done < PASSING_MAX ? count - done : PASSING_MAX;
        sent = send_with(text, fds + done, now);
        done += now;
    }
    return sent;
}

void systemd_forget_socket(const struct address *address) {
    char name[ADDRESS_TEXT_SIZE + sizeof SYSTEMD_STORED], text[sizeof name + 32];
    name_sockets(address, name, sizeof name);
    snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    systemd_send(text);
}
