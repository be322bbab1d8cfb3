"""Makes one system call or allocation of a Postern fail: the test's side of faults.c.

    faults = Faults(folder)
    postern = self.postern(..., env=faults.environment())
    faults.arm("accept", 3, errno.EMFILE)   # the third accept from now on
    ...
    if faults.disarm():                      # there was one, and it failed: faults.where() says where
"""

import errno
import mmap
import os
import struct
import subprocess

LIBRARY = os.environ.get("FAULTS_LIBRARY", "")

NAME_SIZE, KINDS_MAX, WHERE_SIZE = 20, 40, 200
CALLS = NAME_SIZE * KINDS_MAX
ARMED = CALLS + 4 * KINDS_MAX
TO_PASS, ERROR, FAILED, LIVING, WHERE = (ARMED + 4 * i for i in range(1, 6))

# How each kind may fail: what the kernel gives a healthy program on a bad day. What would be our own
# mistake (EBADF, EINVAL) is not among it, nor EAGAIN without the event that would follow.
ERRORS = {
    "accept": [errno.EMFILE, errno.ECONNABORTED, errno.ENOMEM, errno.EINTR, errno.EPROTO],
    "allocate": [errno.ENOMEM],
    "bind": [errno.EADDRINUSE, errno.EACCES],
    "close": [errno.EIO, errno.EINTR],
    "connect": [errno.ECONNREFUSED, errno.ENETUNREACH, errno.EADDRNOTAVAIL],
    "epoll_create": [errno.EMFILE, errno.ENOMEM],
    "epoll_ctl": [errno.ENOMEM, errno.ENOSPC],
    "epoll_wait": [errno.EINTR],
    "eventfd": [errno.EMFILE, errno.ENOMEM],
    "fcntl": [errno.EMFILE],
    "fstat": [errno.EIO, errno.ENOMEM],
    "getaddrinfo": [-3, -10],  # EAI_AGAIN, EAI_MEMORY
    "getrandom": [errno.ENOSYS],
    "getrlimit": [errno.EPERM],
    "getsockname": [errno.ENOBUFS],
    "listen": [errno.EADDRINUSE],
    "mmap": [errno.ENOMEM],
    "mprotect": [errno.ENOMEM],
    "open": [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.ENOMEM],
    "pipe": [errno.EMFILE],
    "read": [errno.EIO, errno.EINTR],
    "recv": [errno.ECONNRESET, errno.ETIMEDOUT, errno.EINTR],
    "sched_getaffinity": [errno.EPERM],
    "send": [errno.EPIPE, errno.ECONNRESET, errno.ENOBUFS, errno.EINTR],
    "setrlimit": [errno.EPERM],
    "setsockopt": [errno.ENOBUFS, errno.ENOPROTOOPT],
    "shutdown": [errno.ENOTCONN],
    "socket": [errno.EMFILE, errno.ENFILE, errno.ENOBUFS],
    "stat": [errno.EACCES, errno.ENOMEM],
    "thread": [errno.EAGAIN],
    "timerfd": [errno.EMFILE],
    "write": [errno.EPIPE, errno.EIO, errno.EAGAIN],
}
CALLS_THAT_FAIL = sorted(set(ERRORS) - {"allocate"})


class Faults:
    def __init__(self, folder, program):
        self.path = os.path.join(folder, "faults")
        with open(self.path, "wb") as file:
            file.truncate(mmap.PAGESIZE)
        with open(self.path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        subprocess.run([program, "--version"], env=self.environment(), check=True,
                       stdout=subprocess.DEVNULL)  # it writes the names
        names = [self._page[i * NAME_SIZE:(i + 1) * NAME_SIZE].rstrip(b"\0").decode()
                 for i in range(KINDS_MAX)]
        self._kinds = {name: i for i, name in enumerate(names) if name}
        assert set(self._kinds) == set(ERRORS), "faults.c and ERRORS differ"

    def environment(self):
        return {**os.environ, "LD_PRELOAD": LIBRARY, "POSTERN_FAULTS": self.path}

    def _get(self, offset):
        return struct.unpack_from("=i", self._page, offset)[0]

    def _set(self, offset, value):
        struct.pack_into("=i", self._page, offset, value)

    def arm(self, kind, number, error):
        """The call of that kind that comes as the `number`th from now on fails (1: the next)."""
        self._set(ARMED, 0)
        self._set(FAILED, 0)
        self._set(TO_PASS, number - 1)
        self._set(ERROR, error)
        self._set(ARMED, 1 + self._kinds[kind])

    def has_failed(self):
        return self._get(FAILED) > 0

    def disarm(self):
        """True if the call has come and failed."""
        self._set(ARMED, 0)
        return self.has_failed()

    def calls(self, kind):
        """How many there were so far."""
        return self._get(CALLS + 4 * self._kinds[kind])

    def living(self):
        """Allocations that were not freed."""
        return self._get(LIVING)

    def where(self):
        """The object and the offset in it from which the call that failed was made."""
        return self._page[WHERE:WHERE + WHERE_SIZE].split(b"\0")[0].decode()
