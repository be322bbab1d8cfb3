#include "server/inherited.h"

#include "net/socket.h"
#include "server/systemd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_listening_tcp(int fd) {
    return socket_listens(fd, SOCK_STREAM) && socket_own_address(fd).family != ADDRESS_NONE;
}

int inherited_add(struct inherited *set, int fd, enum inherited_from from, bool port_chosen,
                  struct error *err) {
    if (!is_listening_tcp(fd) && from != INHERITED_UNIT) {
        close(fd);
        return 0;
    }
    struct inherited_socket *grown = reallocarray(set->all, set->count + 1, sizeof *grown);
    if (grown == NULL) {
        close(fd);
        return error_set(err, "out of memory");
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    set->all = grown;
    set->all[set->count++] = (struct inherited_socket){
        .fd = fd,
        .from = from,
        .port_chosen = port_chosen,
        .address = is_listening_tcp(fd) ? socket_own_address(fd)
                                        : (struct address){.family = ADDRESS_NONE},
    };
    return 0;
}

int inherited_add_passed(struct inherited *set, struct error *err) {
    size_t count = systemd_inherited_sockets();
    for (size_t i = 0; i < count; i++) {
        char name[SYSTEMD_NAME_SIZE];
        systemd_inherited_name(i, name);
        bool stored = strncmp(name, SYSTEMD_STORED, strlen(SYSTEMD_STORED)) == 0;
        if (inherited_add(set, SYSTEMD_FIRST_SOCKET + (int)i,
                          stored ? INHERITED_STORE : INHERITED_UNIT, false, err) != 0) {
            return -1;
        }
    }
    return 0;
}

size_t inherited_close(struct inherited *set, bool forget) {
    size_t of_units = 0;
    for (size_t i = 0; i < set->count; i++) {
        const struct inherited_socket *s = &set->all[i];
        if (s->fd < 0) {
            continue;
        }
        of_units += s->from == INHERITED_UNIT;
        if (s->from == INHERITED_STORE && forget) {
            systemd_forget_socket(&s->address);
        }
        close(s->fd);
    }
    free(set->all);
    *set = (struct inherited){0};
    return of_units;
}
