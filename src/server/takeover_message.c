#include "server/takeover_message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How a message begins, and how many descriptors it has. What follows the text is the kind's own.
 */
static const struct form {
    const char *text;
    enum takeover_kind kind;
    bool whole; /* nothing may follow */
    size_t min_fds, max_fds;
} forms[] = {
    {"postern-takeover ", TAKEOVER_REQUEST, false, 0, 0},
    {"welcome ", TAKEOVER_WELCOME, false, 0, 0},
    {"next", TAKEOVER_NEXT, true, 0, 0},
    {"sockets fixed", TAKEOVER_SOCKETS, true, 1, PASSING_MAX},
    {"sockets chosen", TAKEOVER_SOCKETS, true, 1, PASSING_MAX},
    {"path", TAKEOVER_PATH, true, 1, 1},
    {"admin ", TAKEOVER_ADMIN, false, 1, 1},
    {"tickets\n", TAKEOVER_TICKETS, false, 0, 0},
    {"end", TAKEOVER_END, true, 0, 0},
    {"serving", TAKEOVER_SERVING, true, 0, 0},
    {"taken", TAKEOVER_TAKEN, true, 0, 0},
    {"refused ", TAKEOVER_REFUSED, false, 0, 0},
};

static bool has_form(const struct takeover_message *m, const struct form *form) {
    size_t len = strlen(form->text);
    return m->len >= len && memcmp(m->bytes, form->text, len) == 0 &&
           (!form->whole || m->len == len) && m->fd_count >= form->min_fds &&
           m->fd_count <= form->max_fds;
}

static void read_numbers(struct takeover_message *m) {
    char *after;
    m->number = strtoul((const char *)m->data, &after, 10);
    m->pid = (pid_t)strtol(after, NULL, 10);
    if (after == (const char *)m->data) {
        m->kind = TAKEOVER_BAD;
    }
}

static void read_file(struct takeover_message *m) {
    uintmax_t device, inode;
    if (sscanf((const char *)m->data, "%ju %ju", &device, &inode) == 2) {
        m->file = (struct socket_identity){(dev_t)device, (ino_t)inode};
    } else {
        m->kind = TAKEOVER_BAD;
    }
}

static void parse(struct takeover_message *m) {
    m->kind = TAKEOVER_BAD;
    m->bytes[m->len] = '\0';
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (has_form(m, &forms[i])) {
            m->kind = forms[i].kind;
            m->data = m->bytes + strlen(forms[i].text);
            m->len -= strlen(forms[i].text);
            m->chosen = strcmp(forms[i].text, "sockets chosen") == 0;
            break;
        }
    }
    if (m->kind == TAKEOVER_REQUEST || m->kind == TAKEOVER_WELCOME) {
        read_numbers(m);
    } else if (m->kind == TAKEOVER_ADMIN) {
        read_file(m);
    }
}

/* When the other process closes a socket in which something of ours was left, the kernel reports a
 * reset once, before what it sent us: its last message must not be lost. */
static ssize_t receive(int fd, struct takeover_message *m) {
    ssize_t got = passing_receive(fd, m->bytes, TAKEOVER_MESSAGE_MAX, m->fds, &m->fd_count);
    if (got < 0 && errno == ECONNRESET) {
        got = passing_receive(fd, m->bytes, TAKEOVER_MESSAGE_MAX, m->fds, &m->fd_count);
    }
    return got;
}

void takeover_receive(int fd, struct takeover_message *m) {
    *m = (struct takeover_message){.kind = TAKEOVER_BAD};
    ssize_t got = receive(fd, m);
    if (got > 0) {
        m->len = (size_t)got;
        parse(m);
    } else if (got == 0 || errno == ECONNRESET || errno == EPIPE) {
        m->kind = TAKEOVER_END_OF_FILE;
    } else if (errno == EAGAIN) {
        m->kind = TAKEOVER_NOTHING;
    }
}

void takeover_message_clear(struct takeover_message *m) {
    for (size_t i = 0; i < m->fd_count; i++) {
        if (m->fds[i] >= 0) {
            close(m->fds[i]);
        }
    }
    explicit_bzero(m, sizeof *m);
}

bool takeover_send(int fd, const char *format, ...) {
    char text[TAKEOVER_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (len < 0) {
        return false;
    }
    size_t size = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    return passing_send(fd, NULL, 0, text, size, NULL, 0);
}

bool takeover_send_sockets(int fd, bool chosen, const int *fds, size_t count) {
    const char *text = chosen ? "sockets chosen" : "sockets fixed";
    return passing_send(fd, NULL, 0, text, strlen(text), fds, count);
}

bool takeover_send_path(int fd, int path) {
    return passing_send(fd, NULL, 0, "path", 4, &path, 1);
}

bool takeover_send_admin(int fd, const struct socket_given *admin) {
    char text[64];
    int len = snprintf(text, sizeof text, "admin %ju %ju", (uintmax_t)admin->file.device,
                       (uintmax_t)admin->file.inode);
    return passing_send(fd, NULL, 0, text, (size_t)len, &admin->fd, 1);
}

bool takeover_send_tickets(int fd, const uint8_t *data, size_t len) {
    static const char head[] = "tickets\n";
    uint8_t bytes[TAKEOVER_MESSAGE_MAX];
    size_t size = sizeof head - 1 + len;
    if (size > sizeof bytes) {
        return false;
    }
    memcpy(bytes, head, sizeof head - 1);
    memcpy(bytes + sizeof head - 1, data, len);
    bool sent = passing_send(fd, NULL, 0, bytes, size, NULL, 0);
    explicit_bzero(bytes, sizeof bytes);
    return sent;
}
