#include "server/filter.h"

#ifndef POSTERN_SECCOMP

int filter_apply(struct error *err) {
    return error_set(err, "Postern was built without libseccomp");
}

void filter_call_without_ring(void (*function)(void *arg), void *arg) {
    function(arg);
}

#else

#include "core/log_signal.h"
#include "server/syscalls.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- a forbidden call --- */

/* Names for the calls that an intruder is most likely to want; the C library has no table, and
 * libseccomp's must not be used in a signal handler. */
static const struct {
    long number;
    const char *name;
} notable[] = {
    {SYS_execve, "execve"},
    {SYS_execveat, "execveat"},
    {SYS_clone, "clone"},
#ifdef SYS_fork
    {SYS_fork, "fork"},
    {SYS_vfork, "vfork"},
#endif
    {SYS_ptrace, "ptrace"},
    {SYS_kill, "kill"},
    {SYS_tgkill, "tgkill"},
    {SYS_tkill, "tkill"},
    {SYS_socket, "socket"},
    {SYS_socketpair, "socketpair"},
#ifdef SYS_mmap
    {SYS_mmap, "mmap"},
#endif
#ifdef SYS_mmap2
    {SYS_mmap2, "mmap2"},
#endif
    {SYS_mprotect, "mprotect"},
    {SYS_prctl, "prctl"},
    {SYS_rt_sigaction, "rt_sigaction"},
    {SYS_ioctl, "ioctl"},
    {SYS_process_vm_readv, "process_vm_readv"},
    {SYS_process_vm_writev, "process_vm_writev"},
    {SYS_mount, "mount"},
    {SYS_unshare, "unshare"},
    {SYS_setns, "setns"},
    {SYS_bpf, "bpf"},
    {SYS_init_module, "init_module"},
    {SYS_finit_module, "finit_module"},
    {SYS_keyctl, "keyctl"},
    {SYS_memfd_create, "memfd_create"},
#ifdef SYS_chmod
    {SYS_chmod, "chmod"},
#endif
    {SYS_fchmodat, "fchmodat"},
    {SYS_fcntl, "fcntl"},
#ifdef SYS_fcntl64
    {SYS_fcntl64, "fcntl64"},
#endif
    {SYS_symlinkat, "symlinkat"},
    {SYS_linkat, "linkat"},
    {SYS_mkdirat, "mkdirat"},
    {SYS_mknodat, "mknodat"},
};

static const char *name_of(long number) {
    for (size_t i = 0; i < sizeof notable / sizeof *notable; i++) {
        if (notable[i].number == number) {
            return notable[i].name;
        }
    }
    return "-";
}

/* SYS_SECCOMP of the kernel's siginfo.h, which some C libraries do not have. */
enum { BY_FILTER = 1 };

/* The filter does not let anybody replace this handler, not even itself: the signal is blocked in
 * its own handler, so that the kernel cannot deliver what the second forbidden call causes, and
 * ends the process (force_sig in Linux), the first one of a container too. */
static void on_forbidden(int number, siginfo_t *info, void *context) {
    struct sigaction plain = {.sa_handler = SIG_DFL};
    if (info->si_code == BY_FILTER) {
        log_signal("forbidden system call", "number", (uint64_t)(unsigned)info->si_syscall, "name",
                   name_of(info->si_syscall));
    }
    sigaction(number, &plain, NULL);
    _exit(128 + number);
}

/* Before the filter is there. */
static int handle_forbidden(struct error *err) {
    struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    return sigaction(SIGSYS, &action, NULL) == 0
               ? 0
               : error_set(err, "cannot handle SIGSYS: %s", strerror(errno));
}

/* --- the rules --- */

/* What an argument must be, after a mask. */
struct comparison {
    unsigned argument;
    uint64_t mask, value;
};

#define WHOLE UINT64_MAX
/* Numbers of files, requests and processes are 32 bits wide; what the upper half holds is not part
 * of them. */
#define LOW   UINT32_MAX

#ifdef __s390__
enum { CLONE_FLAGS = 1 };
#else
enum { CLONE_FLAGS = 0 };
#endif

static const struct comparison maps[] = {{2, PROT_EXEC, 0}, {2, PROT_WRITE, 0}};
static const struct comparison protects[] = {{2, PROT_EXEC, 0}};
static const struct comparison threads[] = {{CLONE_FLAGS, CLONE_THREAD, CLONE_THREAD}};
/* Non-blocking and close-on-exec; how much can be read; whether a descriptor is a terminal; the
 * number and the name of an interface. */
static const struct comparison ioctls[] = {
    {1, LOW, FIONBIO},    {1, LOW, FIOCLEX},      {1, LOW, FIONREAD},   {1, LOW, TCGETS},
    {1, LOW, TIOCGWINSZ}, {1, LOW, SIOCGIFINDEX}, {1, LOW, SIOCGIFNAME}};
/* F_SETOWN and F_SETSIG would send any signal to any process of this user. Locks are of modules
 * that resolve names; 12 to 14 are those of 32-bit systems. */
static const struct comparison fcntls[] = {{1, LOW, F_DUPFD},  {1, LOW, F_DUPFD_CLOEXEC},
                                           {1, LOW, F_GETFD},  {1, LOW, F_SETFD},
                                           {1, LOW, F_GETFL},  {1, LOW, F_SETFL},
                                           {1, LOW, F_GETLK},  {1, LOW, F_SETLK},
                                           {1, LOW, F_SETLKW}, {1, LOW, 12},
                                           {1, LOW, 13},       {1, LOW, 14}};
/* By a thread's number, which may be another process's. */
static const struct comparison raised[] = {{1, LOW, SIGABRT}};
/* PR_SET_VMA (0x53564d41) names memory for /proc/PID/maps; glibc's allocator does so. */
static const struct comparison prctls[] = {
    {0, LOW, PR_SET_NAME}, {0, LOW, PR_GET_NAME}, {0, LOW, 0x53564d41}};

/* The new limit: a null pointer only asks. */
static const struct comparison asks[] = {{2, WHOLE, 0}};

#define LIST(array) (array), sizeof(array) / sizeof *(array)

/* Family, type and protocol. Unix sockets: brokers, the journal, the service manager, modules that
 * resolve names. TCP: brokers, and name servers with long answers. UDP: name servers, and how the C
 * library finds out from which address it would send. Netlink, of which type does not matter: the C
 * library looks at the addresses of the machine, and at nothing else in the kernel. */
static const struct socket_kind {
    int family, type, protocol;
} sockets[] = {{AF_UNIX, SOCK_STREAM, 0},
               {AF_UNIX, SOCK_DGRAM, 0},
               {AF_INET, SOCK_STREAM, 0},
               {AF_INET, SOCK_STREAM, IPPROTO_TCP},
               {AF_INET, SOCK_DGRAM, 0},
               {AF_INET, SOCK_DGRAM, IPPROTO_UDP},
               {AF_INET6, SOCK_STREAM, 0},
               {AF_INET6, SOCK_STREAM, IPPROTO_TCP},
               {AF_INET6, SOCK_DGRAM, 0},
               {AF_INET6, SOCK_DGRAM, IPPROTO_UDP},
               {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE},
               {AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE}};
static const struct socket_kind pairs[] = {{AF_UNIX, SOCK_STREAM, 0}, {AF_UNIX, SOCK_DGRAM, 0}};

/* One rule for each comparison: it is enough that one of them is true. A call that is unknown to
 * libseccomp or to this processor is left out. */
static int allow(scmp_filter_ctx filter, int number, const struct comparison *any, size_t count) {
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct scmp_arg_cmp argument =
            SCMP_CMP64(any[i].argument, SCMP_CMP_MASKED_EQ, any[i].mask, any[i].value);
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1, &argument);
    }
    return rc;
}

/* The type's number has two flags in it. */
static int allow_sockets(scmp_filter_ctx filter, int number, const struct socket_kind *any,
                         size_t count) {
    const uint64_t type = LOW & ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC);
    int rc = 0;
#ifdef SYS_socketcall
    /* i386's C library makes sockets by that call, whose arguments are in memory, where a filter
     * cannot look: libseccomp allows it for any kind of socket, and more comparisons than this one
     * would be made with its pointer. */
    enum { COMPARED = 1 };
#else
    enum { COMPARED = 3 };
#endif
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const struct scmp_arg_cmp all[] = {
            SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, LOW, (uint64_t)any[i].family),
            SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, type, (uint64_t)any[i].type),
            SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, LOW, (uint64_t)any[i].protocol)};
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, COMPARED, all);
    }
    return rc;
}

/* A rule can only ask for what is equal: another signal's number differs in one bit at least. The
 * highest number is 64 (127 on MIPS). */
static int allow_other_signals(scmp_filter_ctx filter, int number) {
    int rc = 0;
    for (uint64_t bit = 1; rc == 0 && bit <= 64; bit <<= 1) {
        const struct comparison differs = {0, bit, ~(uint64_t)SIGSYS & bit};
        rc = allow(filter, number, &differs, 1);
    }
    return rc;
}

static int add_rule(scmp_filter_ctx filter, const struct syscall_rule *rule) {
    const struct comparison self = {0, LOW, (uint64_t)getpid()};
    int number = seccomp_syscall_resolve_name(rule->name);
    if (number == __NR_SCMP_ERROR) {
        return 0;
    }
    switch (rule->condition) {
    case SYSCALL_ANY:
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    case SYSCALL_MAP:
        return allow(filter, number, LIST(maps));
    case SYSCALL_PROTECT:
        return allow(filter, number, LIST(protects));
    case SYSCALL_THREAD:
        return allow(filter, number, LIST(threads));
    case SYSCALL_SELF:
        return allow(filter, number, &self, 1);
    case SYSCALL_SOCKET:
        return allow_sockets(filter, number, LIST(sockets));
    case SYSCALL_PAIR:
        return allow_sockets(filter, number, LIST(pairs));
    case SYSCALL_ACTION:
        return allow_other_signals(filter, number);
    case SYSCALL_IOCTL:
        return allow(filter, number, LIST(ioctls));
    case SYSCALL_FCNTL:
        return allow(filter, number, LIST(fcntls));
    case SYSCALL_RAISE:
        return allow(filter, number, LIST(raised));
    case SYSCALL_PRCTL:
        return allow(filter, number, LIST(prctls));
    case SYSCALL_ASK:
        return allow(filter, number, LIST(asks));
    case SYSCALL_FALLS_BACK:
        return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
    }
    return -EINVAL;
}

/* A binary tree finds the call in few steps; the kernel remembers the calls whose arguments do not
 * matter, as all of the data path are, and does not run the filter for them again. A call by
 * another processor's convention (32-bit on a 64-bit kernel) must not end one thread alone. */
static int fill(scmp_filter_ctx filter, struct error *err) {
    for (size_t i = 0; i < syscall_rule_count; i++) {
        int rc = add_rule(filter, &syscall_rules[i]);
        if (rc != 0) {
            return error_set(err, "libseccomp does not take a rule for %s: %s",
                             syscall_rules[i].name, strerror(-rc));
        }
    }
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    rc = rc == 0 ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : rc;
    return rc == 0 ? 0 : error_set(err, "libseccomp: %s", strerror(-rc));
}

static int load(scmp_filter_ctx filter, struct error *err) {
    int rc = seccomp_load(filter);
    if (rc != 0) {
        signal(SIGSYS, SIG_DFL);
        return error_set(err, "seccomp: %s", strerror(-rc));
    }
    return 0;
}

int filter_apply(struct error *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (filter == NULL) {
        return error_set(err, "libseccomp: out of memory");
    }
    int result = fill(filter, err);
    if (result == 0) {
        result = handle_forbidden(err);
    }
    if (result == 0) {
        result = load(filter, err);
    }
    seccomp_release(filter);
    return result;
}

/* --- without a ring --- */

struct ringless {
    void (*function)(void *arg);
    void *arg;
    pid_t thread;
};

/* For the calling thread alone, which calls nothing but libuv. Without libseccomp, as that does not
 * survive a lack of memory. Where it fails, so will filter_apply, and rings do no harm. */
static void refuse_rings(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
        (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
    }
}

static void *run_ringless(void *arg) {
    struct ringless *r = arg;
    r->thread = (pid_t)syscall(SYS_gettid);
    refuse_rings();
    r->function(r->arg);
    return NULL;
}

/* The kernel applies a filter to all threads only if none has another one, and before 6.11 it
 * counts those that are just ending, which pthread_join does not wait for. */
static void wait_until_gone(pid_t thread) {
    while (syscall(SYS_tgkill, getpid(), thread, 0) == 0) {
        sched_yield();
    }
}

void filter_call_without_ring(void (*function)(void *arg), void *arg) {
    struct ringless r = {.function = function, .arg = arg};
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_ringless, &r) != 0) {
        return;
    }
    pthread_join(thread, NULL);
    wait_until_gone(r.thread);
}

#endif
