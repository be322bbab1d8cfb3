/* Lets one system call or one allocation of a program fail, once, when a test says so.
 *
 * To be loaded with LD_PRELOAD. The test and the program share a page of memory, a file that the
 * environment variable POSTERN_FAULTS names (faults.py is the other side): the test writes which
 * kind of call is to fail, after how many of them, and with which error. The page also counts the
 * calls of each kind, and the allocations that were not freed. Calls that libc makes within itself
 * are not seen; those of the program and of its other libraries are.
 *
 * A call fails only in ways that the kernel has (EIO for files alone, writing to standard error
 * alone) and that the program can do something about: when libuv cannot register a descriptor,
 * enlarge its table of them, or make its pipe for signals, it aborts, and no program that uses it
 * can prevent that. */
#undef _FILE_OFFSET_BITS /* both names of each call are defined here: open and open64 */
#undef _TIME_BITS
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum kind {
    ACCEPT,
    ALLOCATE,
    BIND,
    CLOSE,
    CONNECT,
    EPOLL_CREATE,
    EPOLL_CTL,
    EPOLL_WAIT,
    EVENTFD,
    FCNTL,
    FSTAT,
    GETADDRINFO,
    GETRANDOM,
    GETRLIMIT,
    GETSOCKNAME,
    LISTEN,
    MMAP,
    MPROTECT,
    OPEN,
    PIPE,
    READ,
    RECV,
    SCHED_GETAFFINITY,
    SEND,
    SETRLIMIT,
    SETSOCKOPT,
    SHUTDOWN,
    SOCKET,
    STAT,
    THREAD,
    TIMERFD,
    WRITE,
    KINDS
};

static const char *const kind_names[KINDS] = {"accept",
                                              "allocate",
                                              "bind",
                                              "close",
                                              "connect",
                                              "epoll_create",
                                              "epoll_ctl",
                                              "epoll_wait",
                                              "eventfd",
                                              "fcntl",
                                              "fstat",
                                              "getaddrinfo",
                                              "getrandom",
                                              "getrlimit",
                                              "getsockname",
                                              "listen",
                                              "mmap",
                                              "mprotect",
                                              "open",
                                              "pipe",
                                              "read",
                                              "recv",
                                              "sched_getaffinity",
                                              "send",
                                              "setrlimit",
                                              "setsockopt",
                                              "shutdown",
                                              "socket",
                                              "stat",
                                              "thread",
                                              "timerfd",
                                              "write"};

enum { NAME_SIZE = 20, KINDS_MAX = 40, WHERE_SIZE = 200 };

/* faults.py reads and writes this by offsets. */
struct page {
    char names[KINDS_MAX][NAME_SIZE];
    _Atomic uint32_t calls[KINDS_MAX];
    _Atomic uint32_t armed;  /* 1 + kind; 0: none. Written last */
    _Atomic int32_t to_pass; /* calls of that kind before the one that fails */
    _Atomic int32_t error;   /* errno; of getaddrinfo, its result */
    _Atomic uint32_t failed; /* how often one was made to fail */
    _Atomic int32_t living;  /* allocations that were not freed */
    char where[WHERE_SIZE];  /* who made the call that failed */
};

static struct page *page;

__attribute__((constructor)) static void map_page(void) {
    const char *file = getenv("POSTERN_FAULTS");
    int fd = file != NULL ? open(file, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) {
        return;
    }
    struct page *mapped = at;
    for (size_t i = 0; i < KINDS; i++) {
        strcpy(mapped->names[i], kind_names[i]);
    }
    page = mapped;
}

static void note_where(const void *caller) {
    Dl_info info;
    if (dladdr(caller, &info) != 0 && info.dli_fname != NULL) {
        const char *name = strrchr(info.dli_fname, '/');
        snprintf(page->where, sizeof page->where, "%s+0x%zx",
                 name != NULL ? name + 1 : info.dli_fname,
                 (size_t)((const char *)caller - (const char *)info.dli_fbase));
    }
}

/* Counts the call; true, with errno set, if it is the one that fails. */
static bool fails(enum kind kind, const void *caller) {
    if (page == NULL) {
        return false;
    }
    atomic_fetch_add(&page->calls[kind], 1);
    if (atomic_load(&page->armed) != kind + 1U || atomic_fetch_sub(&page->to_pass, 1) != 0) {
        return false;
    }
    atomic_store(&page->armed, 0);
    note_where(caller);
    atomic_fetch_add(&page->failed, 1);
    errno = atomic_load(&page->error);
    return true;
}

static bool is_libuv(const void *caller) {
    Dl_info info;
    return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "libuv") != NULL;
}

static void *next_one(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

/* `name` as it is in the C library, but for the one call that fails with `failure`. */
#define CALL_IF(condition, kind, result, failure, name, parameters, arguments)                     \
    result name parameters {                                                                       \
        static __typeof__(name) *_Atomic next;                                                     \
        if ((condition) && fails(kind, __builtin_return_address(0))) {                             \
            return failure;                                                                        \
        }                                                                                          \
        if (next == NULL) {                                                                        \
            *(void **)&next = next_one(#name);                                                     \
        }                                                                                          \
        return next arguments;                                                                     \
    }
#define CALL(kind, result, failure, name, parameters, arguments)                                   \
    CALL_IF(true, kind, result, failure, name, parameters, arguments)

/* --- sockets --- */

CALL(SOCKET, int, -1, socket, (int family, int type, int protocol), (family, type, protocol))
CALL(SOCKET, int, -1, socketpair, (int family, int type, int protocol, int fds[2]),
     (family, type, protocol, fds))
CALL(BIND, int, -1, bind, (int fd, const struct sockaddr *sa, socklen_t len), (fd, sa, len))
CALL(LISTEN, int, -1, listen, (int fd, int backlog), (fd, backlog))
CALL(ACCEPT, int, -1, accept, (int fd, struct sockaddr *sa, socklen_t *len), (fd, sa, len))
CALL(ACCEPT, int, -1, accept4, (int fd, struct sockaddr *sa, socklen_t *len, int flags),
     (fd, sa, len, flags))
CALL(CONNECT, int, -1, connect, (int fd, const struct sockaddr *sa, socklen_t len), (fd, sa, len))
CALL(GETSOCKNAME, int, -1, getsockname, (int fd, struct sockaddr *sa, socklen_t *len),
     (fd, sa, len))
CALL(SETSOCKOPT, int, -1, setsockopt,
     (int fd, int level, int option, const void *value, socklen_t len),
     (fd, level, option, value, len))
CALL(SHUTDOWN, int, -1, shutdown, (int fd, int how), (fd, how))
CALL(SEND, ssize_t, -1, send, (int fd, const void *data, size_t len, int flags),
     (fd, data, len, flags))
CALL(SEND, ssize_t, -1, sendto,
     (int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len),
     (fd, data, len, flags, to, to_len))
CALL(SEND, ssize_t, -1, sendmsg, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags))
CALL(RECV, ssize_t, -1, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))
CALL(RECV, ssize_t, -1, recvfrom,
     (int fd, void *restrict data, size_t len, int flags, struct sockaddr *restrict from,
      socklen_t *restrict from_len),
     (fd, data, len, flags, from, from_len))
CALL(RECV, ssize_t, -1, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))

/* --- waiting --- */

static atomic_uint pipes; /* the first is libuv's for signals */

CALL(EPOLL_CREATE, int, -1, epoll_create, (int size), (size))
CALL(EPOLL_CREATE, int, -1, epoll_create1, (int flags), (flags))
CALL_IF(what != EPOLL_CTL_DEL && !is_libuv(__builtin_return_address(0)), EPOLL_CTL, int, -1,
        epoll_ctl, (int epoll, int what, int fd, struct epoll_event *event),
        (epoll, what, fd, event))
CALL(EPOLL_WAIT, int, -1, epoll_wait, (int fd, struct epoll_event *events, int max, int ms),
     (fd, events, max, ms))
CALL(EPOLL_WAIT, int, -1, epoll_pwait,
     (int fd, struct epoll_event *events, int max, int ms, const sigset_t *mask),
     (fd, events, max, ms, mask))
CALL(EVENTFD, int, -1, eventfd, (unsigned count, int flags), (count, flags))
CALL(TIMERFD, int, -1, timerfd_create, (clockid_t clock, int flags), (clock, flags))
CALL_IF(atomic_fetch_add(&pipes, 1) > 0, PIPE, int, -1, pipe2, (int fds[2], int flags),
        (fds, flags))
CALL(PIPE, int, -1, pipe, (int fds[2]), (fds))

/* --- files --- */

static bool is_file(int fd) {
    struct stat st;
    static int (*_Atomic next)(int fd, struct stat *st);
    if (next == NULL) {
        *(void **)&next = next_one("fstat");
    }
    int before = errno;
    bool is = next(fd, &st) == 0 && S_ISREG(st.st_mode);
    errno = before;
    return is;
}

/* open and fcntl take one more argument or none; passing one that is not there does no harm in any
 * calling convention that libc has. */
#define OPEN_CALL(name)                                                                            \
    int name(const char *file, int flags, ...) {                                                   \
        static int (*_Atomic next)(const char *file, int flags, ...);                              \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;                  \
        va_end(more);                                                                              \
        if (fails(OPEN, __builtin_return_address(0))) {                                            \
            return -1;                                                                             \
        }                                                                                          \
        if (next == NULL) {                                                                        \
            *(void **)&next = next_one(#name);                                                     \
        }                                                                                          \
        return next(file, flags, mode);                                                            \
    }

OPEN_CALL(open)
OPEN_CALL(open64)

int __open_2(const char *file, int flags);
int __open64_2(const char *file, int flags);
CALL(OPEN, int, -1, __open_2, (const char *file, int flags), (file, flags))
CALL(OPEN, int, -1, __open64_2, (const char *file, int flags), (file, flags))
CALL(OPEN, FILE *, NULL, fopen, (const char *restrict file, const char *restrict mode),
     (file, mode))
CALL(OPEN, FILE *, NULL, fopen64, (const char *restrict file, const char *restrict mode),
     (file, mode))
CALL(FSTAT, int, -1, fstat, (int fd, struct stat *st), (fd, st))
CALL(FSTAT, int, -1, fstat64, (int fd, struct stat64 *st), (fd, st))
CALL(STAT, int, -1, stat, (const char *restrict file, struct stat *restrict st), (file, st))
CALL(STAT, int, -1, stat64, (const char *restrict file, struct stat64 *restrict st), (file, st))

#define FCNTL_CALL(name)                                                                           \
    int name(int fd, int command, ...) {                                                           \
        static int (*_Atomic next)(int fd, int command, ...);                                      \
        va_list more;                                                                              \
        va_start(more, command);                                                                   \
        void *argument = va_arg(more, void *);                                                     \
        va_end(more);                                                                              \
        if (command == F_DUPFD_CLOEXEC && fails(FCNTL, __builtin_return_address(0))) {             \
            return -1;                                                                             \
        }                                                                                          \
        if (next == NULL) {                                                                        \
            *(void **)&next = next_one(#name);                                                     \
        }                                                                                          \
        return next(fd, command, argument);                                                        \
    }

FCNTL_CALL(fcntl)
FCNTL_CALL(fcntl64)

ssize_t __read_chk(int fd, void *data, size_t len, size_t room);
CALL_IF(is_file(fd), READ, ssize_t, -1, read, (int fd, void *data, size_t len), (fd, data, len))
CALL_IF(is_file(fd), READ, ssize_t, -1, __read_chk, (int fd, void *data, size_t len, size_t room),
        (fd, data, len, room))
CALL_IF(fd == STDERR_FILENO, WRITE, ssize_t, -1, write, (int fd, const void *data, size_t len),
        (fd, data, len))

/* Linux closes the descriptor whatever it returns. */
int close(int fd) {
    static int (*_Atomic next)(int fd);
    bool failed = fails(CLOSE, __builtin_return_address(0));
    int error = errno;
    if (next == NULL) {
        *(void **)&next = next_one("close");
    }
    int rc = next(fd);
    if (failed) {
        errno = error;
    }
    return failed ? -1 : rc;
}

/* --- the rest --- */

CALL(MMAP, void *, MAP_FAILED, mmap,
     (void *address, size_t len, int protection, int flags, int fd, off_t offset),
     (address, len, protection, flags, fd, offset))
CALL(MMAP, void *, MAP_FAILED, mmap64,
     (void *address, size_t len, int protection, int flags, int fd, off64_t offset),
     (address, len, protection, flags, fd, offset))
CALL(MPROTECT, int, -1, mprotect, (void *address, size_t len, int protection),
     (address, len, protection))
CALL(GETRANDOM, ssize_t, -1, getrandom, (void *data, size_t len, unsigned flags),
     (data, len, flags))
CALL(GETRLIMIT, int, -1, getrlimit, (__rlimit_resource_t what, struct rlimit *limit), (what, limit))
CALL(GETRLIMIT, int, -1, getrlimit64, (__rlimit_resource_t what, struct rlimit64 *limit),
     (what, limit))
CALL(SETRLIMIT, int, -1, setrlimit, (__rlimit_resource_t what, const struct rlimit *limit),
     (what, limit))
CALL(SETRLIMIT, int, -1, setrlimit64, (__rlimit_resource_t what, const struct rlimit64 *limit),
     (what, limit))
CALL(SCHED_GETAFFINITY, int, -1, sched_getaffinity, (pid_t pid, size_t size, cpu_set_t *set),
     (pid, size, set))
/* These two return their error. */
CALL(THREAD, int, errno, pthread_create,
     (pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*run)(void *),
      void *restrict argument),
     (thread, attributes, run, argument))
CALL(GETADDRINFO, int, errno, getaddrinfo,
     (const char *restrict host, const char *restrict service,
      const struct addrinfo *restrict hints, struct addrinfo **restrict list),
     (host, service, hints, list))

/* --- memory --- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *old);

static void *count_new(void *made) {
    if (page != NULL && made != NULL) {
        atomic_fetch_add(&page->living, 1);
    }
    return made;
}

void *malloc(size_t size) {
    bool none = fails(ALLOCATE, __builtin_return_address(0));
    return none ? NULL : count_new(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    bool none = fails(ALLOCATE, __builtin_return_address(0));
    return none ? NULL : count_new(__libc_calloc(count, size));
}

void *realloc(void *old, size_t size) {
    const void *caller = __builtin_return_address(0);
    if (!is_libuv(caller) && fails(ALLOCATE, caller)) {
        return NULL;
    }
    void *made = __libc_realloc(old, size);
    return old == NULL ? count_new(made) : made;
}

void *aligned_alloc(size_t alignment, size_t size) {
    bool none = fails(ALLOCATE, __builtin_return_address(0));
    return none ? NULL : count_new(__libc_memalign(alignment, size));
}

int posix_memalign(void **made, size_t alignment, size_t size) {
    void *here = fails(ALLOCATE, __builtin_return_address(0))
                     ? NULL
                     : count_new(__libc_memalign(alignment, size));
    if (here == NULL) {
        return ENOMEM;
    }
    *made = here;
    return 0;
}

void free(void *old) {
    if (page != NULL && old != NULL) {
        atomic_fetch_sub(&page->living, 1);
    }
    __libc_free(old);
}
