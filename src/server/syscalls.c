#include "server/syscalls.h"

#include <features.h>

#define ANY SYSCALL_ANY

/* To allow one more call, add its row with the reason. Names that only some processors or C
 * libraries use stand beside the common one: musl and 32-bit systems use the older or longer names
 * (open, fstat64, futex_time64). What the C library's name resolution does depends on the modules
 * that nsswitch.conf(5) names, so that calls which only look at the system are allowed widely. */
/* clang-format off */
const struct syscall_rule syscall_rules[] = {
    /* Sockets: clients, brokers, the service manager, name servers; unix sockets of other commands. */
    {"socket", SYSCALL_SOCKET},    /* dialling a broker, resolving its name */
    {"socketpair", SYSCALL_PAIR},  /* libmicrohttpd; libuv on some systems */
    {"bind", ANY},                 /* backend_source */
    {"listen", ANY},               /* name resolution modules, HTTP libraries */
    {"accept", ANY},               /* clients; libc's name on old kernels */
    {"accept4", ANY},              /* clients */
    {"connect", ANY},              /* brokers, name servers */
    {"shutdown", ANY},             /* FIN to one side while the other goes on */
    {"getsockname", ANY},          /* the address that a client came to, for PROXY headers */
    {"getpeername", ANY},          /* name resolution modules */
    {"getsockopt", ANY},           /* SO_ERROR of a dial; SO_PEERCRED of who asks at a unix socket */
    {"setsockopt", ANY},           /* no delay, keepalive, user timeout */
    {"recv", ANY},                 /* what peers send; 32-bit ARM's own name */
    {"recvfrom", ANY},             /* what peers send */
    {"recvmsg", ANY},              /* netlink; descriptors passed by SCM_RIGHTS */
    {"recvmmsg", ANY},             /* name resolution */
    {"recvmmsg_time64", ANY},
    {"send", ANY},                 /* to peers; 32-bit ARM's own name */
    {"sendto", ANY},               /* to peers; the service manager */
    {"sendmsg", ANY},              /* netlink; descriptors passed by SCM_RIGHTS; the journal */
    {"sendmmsg", ANY},             /* name resolution asks for both address families at once */

    /* Waiting. */
    {"epoll_create", ANY},         /* a loop; old kernels */
    {"epoll_create1", ANY},        /* a loop */
    {"epoll_ctl", ANY},            /* what is waited for */
    {"epoll_wait", ANY},           /* each turn */
    {"epoll_pwait", ANY},          /* each turn, by other names */
    {"epoll_pwait2", ANY},
    {"poll", ANY},                 /* whether standard error takes a line; name resolution */
    {"ppoll", ANY},
    {"ppoll_time64", ANY},
    {"select", ANY},               /* HTTP of the admin socket */
    {"_newselect", ANY},
    {"pselect6", ANY},
    {"pselect6_time64", ANY},
    {"eventfd", ANY},              /* waking another thread's loop; old kernels */
    {"eventfd2", ANY},             /* waking another thread's loop */
    {"pipe", ANY},                 /* signals on their way to a loop; musl */
    {"pipe2", ANY},                /* signals on their way to a loop */
    {"timerfd_create", ANY},       /* name resolution modules with a loop of their own */
    {"timerfd_settime", ANY},
    {"timerfd_settime64", ANY},
    {"timerfd_gettime", ANY},
    {"io_uring_setup", SYSCALL_FALLS_BACK}, /* libuv: what goes that way is not filtered */
    {"io_uring_enter", SYSCALL_FALLS_BACK},
    {"io_uring_register", SYSCALL_FALLS_BACK},

    /* Files: read at a reload and while names are resolved; written are open ones and the log. */
    {"read", ANY},                 /* certificates, keys; eventfds */
    {"readv", ANY},
    {"pread64", ANY},              /* the dynamic linker, for a name resolution module */
    {"write", ANY},                /* the log; eventfds */
    {"writev", ANY},
    {"open", ANY},                 /* a reload; musl */
    {"openat", ANY},               /* a reload */
    {"close", ANY},
    {"lseek", ANY},                /* buffered reading of /etc/hosts */
    {"_llseek", ANY},
    {"stat", ANY},                 /* reload = watch looks whether a file has changed */
    {"stat64", ANY},
    {"lstat", ANY},
    {"lstat64", ANY},
    {"fstat", ANY},                /* whether a key is a regular file */
    {"fstat64", ANY},
    {"newfstatat", ANY},
    {"fstatat64", ANY},
    {"statx", ANY},
    {"statfs", ANY},               /* name resolution modules */
    {"statfs64", ANY},
    {"fstatfs", ANY},
    {"fstatfs64", ANY},
    {"access", ANY},               /* name resolution modules */
    {"faccessat", ANY},
    {"faccessat2", ANY},
    {"readlink", ANY},             /* symlinks of certificates */
    {"readlinkat", ANY},
    {"getcwd", ANY},               /* a message about a relative path */
    {"getdents", ANY},             /* how many descriptors are open; folders of modules */
    {"getdents64", ANY},
    {"unlink", ANY},               /* a unix socket of our own; landlock.c says in which folders */
    {"unlinkat", ANY},
    {"dup", ANY},                  /* each thread watches a duplicate of a listening socket */
    {"dup2", ANY},
    {"dup3", ANY},
    {"fcntl", SYSCALL_FCNTL},      /* close-on-exec, non-blocking, duplicates */
    {"fcntl64", SYSCALL_FCNTL},
    {"ioctl", SYSCALL_IOCTL},

    /* Memory. */
    {"brk", ANY},
/* Its arguments are in memory on s390, and on i386, where the C library has another call: a filter
 * cannot look there. */
#if defined(__s390__)
    {"mmap", ANY},
#elif !defined(__i386__)
    {"mmap", SYSCALL_MAP},
#endif
    {"mmap2", SYSCALL_MAP},
    {"munmap", ANY},
    {"mremap", ANY},
    {"mprotect", SYSCALL_PROTECT}, /* guard pages of stacks; the allocator's heaps */
    {"madvise", ANY},              /* keys stay out of core files; unused memory goes back */
    {"mlock", ANY},                /* keys are not written to swap */
    {"mlock2", ANY},
    {"munlock", ANY},
    {"membarrier", ANY},           /* musl, when a library is loaded */

    /* Threads: those of names that are resolved start when the first one is. */
    {"clone", SYSCALL_THREAD},
    {"clone3", SYSCALL_FALLS_BACK}, /* its flags cannot be looked at: the C library takes clone */
    {"set_robust_list", ANY},
    {"rseq", ANY},
    {"set_tid_address", ANY},
    {"set_thread_area", ANY},
    {"exit", ANY},                 /* a thread */
    {"exit_group", ANY},           /* the process */
    {"futex", ANY},                /* mutexes, joining threads */
    {"futex_time64", ANY},
    {"get_robust_list", ANY},
    {"sched_yield", ANY},
    {"sched_getaffinity", ANY},    /* how many processors there are */
    {"sched_getparam", ANY},       /* musl, when a thread starts */
    {"sched_getscheduler", ANY},
    {"getcpu", ANY},               /* which heap of the allocator */
    {"prctl", SYSCALL_PRCTL},

    /* Signals. */
    {"rt_sigaction", SYSCALL_ACTION},
    {"rt_sigprocmask", ANY},
    {"sigprocmask", ANY},          /* i386: swapcontext(3), for a computation that pauses */
    {"rt_sigreturn", ANY},
    {"sigreturn", ANY},            /* 32-bit systems */
    {"rt_sigtimedwait", ANY},
    {"rt_sigtimedwait_time64", ANY},
    {"sigaltstack", ANY},
    {"restart_syscall", ANY},      /* after a stop (SIGSTOP) in the middle of a wait */
    {"tgkill", SYSCALL_SELF},      /* abort(3) */
#ifndef __GLIBC__
    {"tkill", SYSCALL_RAISE},      /* abort(3) of musl: a thread's number alone */
#endif
    {"kill", SYSCALL_SELF},

    /* Clocks. */
    {"clock_gettime", ANY},        /* where the kernel has it in no shared page */
    {"clock_gettime64", ANY},
    {"clock_getres", ANY},
    {"clock_getres_time64", ANY},
    {"clock_nanosleep", ANY},
    {"clock_nanosleep_time64", ANY},
    {"nanosleep", ANY},
    {"gettimeofday", ANY},
    {"time", ANY},

    /* What says something about the process or the system, and changes nothing. */
    {"getrandom", ANY},            /* keys, nonces */
    {"getpid", ANY},
    {"gettid", ANY},
    {"getppid", ANY},
    {"getuid", ANY},
    {"getuid32", ANY},
    {"geteuid", ANY},
    {"geteuid32", ANY},
    {"getgid", ANY},
    {"getgid32", ANY},
    {"getegid", ANY},
    {"getegid32", ANY},
    {"getresuid", ANY},
    {"getresuid32", ANY},
    {"getresgid", ANY},
    {"getresgid32", ANY},
    {"getgroups", ANY},
    {"getgroups32", ANY},
    {"getrlimit", ANY},
    {"ugetrlimit", ANY},
    {"prlimit64", SYSCALL_ASK},    /* getrlimit(3) */
    {"getrusage", ANY},            /* memory, for metrics */
    {"uname", ANY},                /* name resolution modules */
    {"sysinfo", ANY},              /* memory of the machine, for qsort(3) */
};
/* clang-format on */
const size_t syscall_rule_count = sizeof syscall_rules / sizeof *syscall_rules;
