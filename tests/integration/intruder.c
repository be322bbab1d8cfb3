/* Does what an intruder might try inside a program that has accepted a connection.
 *
 * To be loaded with LD_PRELOAD. The environment variable POSTERN_INTRUDER names the attempt: a word
 * of the table below, which is made at the first connection that is accepted, and POSTERN_LOOT the
 * file that it is about. How an attempt ended is a line on standard error, "attempt: errno N", if
 * the program still lives then. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *loot(void) {
    return getenv("POSTERN_LOOT");
}

/* --- what the filter of system calls forbids --- */

static long try_execve(void) {
    char *const arguments[] = {"true", NULL};
    return syscall(SYS_execve, "/bin/true", arguments, NULL);
}

/* By itself, since fork of glibc 2.41 and later blocks all signals meanwhile. */
static long try_fork(void) {
    long child = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        _exit(0);
    }
    return child;
}

static long try_ptrace(void) {
    return syscall(SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL);
}

static long try_packet_socket(void) {
    return socket(AF_PACKET, SOCK_RAW, 0);
}

/* As root one may see and forge what passes, or answer for the machine. */
static long try_raw_socket(void) {
    return socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
}

static long try_ping_socket(void) {
    return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMPV6);
}

/* The kernel's parts that hear netlink are many: firewalls, devices, keys of IPsec. */
static long try_firewall_socket(void) {
    return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
}

static long try_device_socket(void) {
    return socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
}

static long try_packet_unix_socket(void) {
    return socket(AF_UNIX, SOCK_SEQPACKET, 0);
}

static long try_pair(void) {
    int fds[2];
    return socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds);
}

static long try_signal(void) {
    return kill(getppid(), 0);
}

static long try_writable_code(void) {
    void *memory =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? -1 : 0;
}

/* i386 has an older call beside the C library's, which finds its arguments in memory. */
static long try_old_map(void) {
#ifdef __i386__
    const struct {
        unsigned long start, len, protection, flags, fd, offset;
    } arguments = {
        0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)-1,
        0};
    return syscall(SYS_mmap, &arguments, 0, 0) == -1 ? -1 : 0;
#else
    return try_writable_code();
#endif
}

static long try_new_code(void) {
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(memory, 4096, PROT_READ | PROT_EXEC);
}

static long try_terminal_input(void) {
    return ioctl(STDERR_FILENO, TIOCSTI, "x");
}

static long try_dumpable(void) {
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static long try_limit(void) {
    struct rlimit limit = {0, 0};
    return setrlimit(RLIMIT_CORE, &limit);
}

/* Written as a file, which could then be mapped as code. */
static long try_file_in_memory(void) {
    return memfd_create("code", 0);
}

static long try_mode(void) {
    return chmod(loot(), 0644);
}

static long try_signal_to_thread(void) {
    return syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static long try_kill_by_thread(void) {
    return syscall(SYS_tkill, getppid(), 0);
}

/* To a process that does not exist: numbers are smaller. The library of musl needs the call. */
static long try_abort_by_thread(void) {
#ifdef __GLIBC__
    return syscall(SYS_tkill, INT_MAX, SIGABRT);
#else
    return syscall(SYS_tkill, INT_MAX, SIGTERM);
#endif
}

/* After which nobody would notice the next attempt. */
static long try_handler(void) {
    return signal(SIGSYS, SIG_IGN) == SIG_ERR ? -1 : 0;
}

/* The kernel looks at the lower half of the number. */
static long try_handler_by_half(void) {
    const long number = (long)((uint64_t)1 << 32 | SIGSYS);
    return syscall(SYS_rt_sigaction, number, NULL, NULL, _NSIG / 8);
}

/* Then the signal cannot be delivered. */
static long try_behind_a_mask(void) {
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return try_execve();
}

/* The kernel would send it when the descriptor is ready. */
static long try_signal_by_descriptor(void) {
    return fcntl(STDERR_FILENO, F_SETOWN, getppid());
}

/* --- what Landlock forbids --- */

static long try_new_file(void) {
    return open(loot(), O_WRONLY | O_CREAT, 0600);
}

static long try_write(void) {
    return open(loot(), O_WRONLY | O_APPEND);
}

static long try_unlink(void) {
    return unlink(loot());
}

/* --- what is allowed --- */

static long try_read(void) {
    return open(loot(), O_RDONLY);
}

static long try_code_of_file(void) {
    int fd = open(loot(), O_RDONLY);
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    return memory == MAP_FAILED ? -1 : 0;
}

/* What the C library's name resolution opens, glibc's and musl's, with and without its flags. */
static long try_resolver_sockets(void) {
    static const int kinds[][3] = {
        {AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE},
        {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0},
        {AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP},
        {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0},
        {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
        {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0},
        {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        int fd = socket(kinds[i][0], kinds[i][1], kinds[i][2]);
        if (fd < 0 && errno != EAFNOSUPPORT) {
            return -1;
        }
        close(fd);
    }
    int fds[2];
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

/* As they are; those that the C library keeps to itself it refuses without asking the kernel. */
static long try_other_handlers(void) {
    for (int number = 1; number < _NSIG; number++) {
        struct sigaction action;
        bool fixed = number == SIGSYS || number == SIGKILL || number == SIGSTOP ||
                     (number > SIGSYS && number < SIGRTMIN);
        if (!fixed &&
            (sigaction(number, NULL, &action) != 0 || sigaction(number, &action, NULL) != 0)) {
            return -1;
        }
    }
    return 0;
}

static long try_abort(void) {
    abort();
}

/* The C library finds it. */
static long try_double_free(void) {
    void *volatile memory = malloc(24);
    void *again = memory;
    free(memory);
    free(again);
    return 0;
}

static const struct {
    const char *name;
    long (*make)(void);
} attempts[] = {
    {"execve", try_execve},
    {"fork", try_fork},
    {"ptrace", try_ptrace},
    {"packet_socket", try_packet_socket},
    {"raw_socket", try_raw_socket},
    {"ping_socket", try_ping_socket},
    {"firewall_socket", try_firewall_socket},
    {"device_socket", try_device_socket},
    {"packet_unix_socket", try_packet_unix_socket},
    {"pair", try_pair},
    {"signal", try_signal},
    {"writable_code", try_writable_code},
    {"old_map", try_old_map},
    {"new_code", try_new_code},
    {"terminal_input", try_terminal_input},
    {"dumpable", try_dumpable},
    {"limit", try_limit},
    {"file_in_memory", try_file_in_memory},
    {"mode", try_mode},
    {"signal_to_thread", try_signal_to_thread},
    {"kill_by_thread", try_kill_by_thread},
    {"abort_by_thread", try_abort_by_thread},
    {"signal_by_descriptor", try_signal_by_descriptor},
    {"handler", try_handler},
    {"handler_by_half", try_handler_by_half},
    {"behind_a_mask", try_behind_a_mask},
    {"new_file", try_new_file},
    {"write", try_write},
    {"unlink", try_unlink},
    {"read", try_read},
    {"code_of_file", try_code_of_file},
    {"resolver_sockets", try_resolver_sockets},
    {"other_handlers", try_other_handlers},
    {"abort", try_abort},
    {"double_free", try_double_free},
};

static void intrude(const char *wanted) {
    char text[64];
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        if (strcmp(attempts[i].name, wanted) == 0) {
            errno = 0;
            int error = attempts[i].make() < 0 ? errno : 0;
            int len = snprintf(text, sizeof text, "attempt: errno %d\n", error);
            if (write(STDERR_FILENO, text, (size_t)len) != len) {
                abort();
            }
        }
    }
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags) {
    static int (*real)(int fd, struct sockaddr *address, socklen_t *len, int flags);
    static atomic_bool intruded;
    if (real == NULL) {
        real = (int (*)(int, struct sockaddr *, socklen_t *, int))dlsym(RTLD_NEXT, "accept4");
    }
    int result = real(fd, address, len, flags);
    const char *wanted = getenv("POSTERN_INTRUDER");
    if (result >= 0 && wanted != NULL && !atomic_exchange(&intruded, true)) {
        intrude(wanted);
    }
    return result;
}
