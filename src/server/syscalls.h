/* The system calls that Postern, its libraries and the C library make once it serves: one row each.
 * Every other call ends the program (filter.h). */
#ifndef POSTERN_SERVER_SYSCALLS_H
#define POSTERN_SERVER_SYSCALLS_H

#include <stddef.h>

/* What must hold of the arguments. */
enum syscall_condition {
    SYSCALL_ANY = 0,
    SYSCALL_MAP,       /* memory to be executed is never writable */
    SYSCALL_PROTECT,   /* no memory becomes executable */
    SYSCALL_THREAD,    /* a thread of this process, not a process */
    SYSCALL_SELF,      /* to a thread of this process */
    SYSCALL_SOCKET,    /* one of a few kinds of unix, IPv4, IPv6 and netlink sockets */
    SYSCALL_PAIR,      /* two unix sockets */
    SYSCALL_IOCTL,     /* one of a few requests */
    SYSCALL_FCNTL,     /* flags, duplicates and locks; no signal when a descriptor is ready */
    SYSCALL_ACTION,    /* of any signal but SIGSYS, which the filter has */
    SYSCALL_RAISE,     /* the signal of abort(3) */
    SYSCALL_PRCTL,     /* names for threads and memory */
    SYSCALL_ASK,       /* reads a limit, sets none */
    SYSCALL_FALLS_BACK /* not allowed: answered with ENOSYS, upon which the caller does without */
};

struct syscall_rule {
    const char *name; /* as in syscalls(2); the processor or the C library need not have it */
    enum syscall_condition condition;
};

extern const struct syscall_rule syscall_rules[];
extern const size_t syscall_rule_count;

#endif
