#include "core/journal.h"

#include "core/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Of SYSLOG_FACILITY: daemon, as the journal assumes for what a service writes to standard error.
 */
enum { FACILITY = 3, SEND_BUFFER = 1 << 20 };

void journal_begin(struct journal_fields *f) {
    f->len = 0;
}

/* All of it or nothing; the last byte is kept for the newline that ends a field. */
static bool put(struct journal_fields *f, const char *text, size_t len) {
    if (len > sizeof f->text - 1 - f->len) {
        return false;
    }
    memcpy(f->text + f->len, text, len);
    f->len += len;
    return true;
}

static bool put_name(struct journal_fields *f, const char *key) {
    static const char prefix[] = "POSTERN_";
    char name[64];
    size_t len = sizeof prefix - 1;
    memcpy(name, prefix, len);
    for (; *key != '\0' && len < sizeof name - 1; key++) {
        name[len++] = (char)(*key >= 'a' && *key <= 'z' ? *key - 'a' + 'A' : *key);
    }
    name[len++] = '=';
    return put(f, name, len);
}

/* The character at the front, into `out`; `*used` is how many bytes it has. Returns the size of
 * what is written for it. */
static size_t escape(const uint8_t *s, size_t len, char out[5], size_t *used) {
    uint32_t code = 0;
    *used = utf8_decode(s, len, &code);
    if (*used == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        *used = 1; /* of a control character of two bytes each is written by itself */
        return (size_t)snprintf(out, 5, "\\x%02x", s[0]);
    }
    if (code == '\\') {
        return (size_t)snprintf(out, 5, "\\\\");
    }
    memcpy(out, s, *used);
    return *used;
}

void journal_put(struct journal_fields *f, const char *key, const void *value, size_t len) {
    const uint8_t *s = value;
    if (f->len == sizeof f->text || !put_name(f, key)) {
        return;
    }
    for (size_t i = 0, used; i < len; i += used) {
        char unit[5];
        size_t size = escape(s + i, len - i, unit, &used);
        if (!put(f, unit, size)) {
            break;
        }
    }
    f->text[f->len++] = '\n';
}

int journal_open(void) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) {
        /* How much may wait to be read; the system gives less if it allows no more. */
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER}, sizeof(int));
    }
    return fd;
}

bool journal_send(int fd, int priority, const char *message, size_t len,
                  const struct journal_fields *fields) {
    /* Named each time, so that a journal that was restarted is found again. */
    struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
    char head[96];
    int head_len = snprintf(
        head, sizeof head,
        "PRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=postern\nMESSAGE=", priority, FACILITY);
    struct iovec parts[] = {{head, (size_t)head_len},
                            {(char *)message, len},
                            {"\n", 1},
                            {(char *)fields->text, fields->len}};
    struct msghdr entry = {.msg_name = &to,
                           .msg_namelen = sizeof to,
                           .msg_iov = parts,
                           .msg_iovlen = sizeof parts / sizeof *parts};
    return sendmsg(fd, &entry, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}
