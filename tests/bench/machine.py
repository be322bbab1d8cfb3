"""What the bench reads from the machine and sets on it: processors, clocks, memory, facts for the report."""

import contextlib
import os
import platform
import subprocess
import time


class Processors:
    """Which program runs on which processor.

    Together: proxy, backend and load on one processor, none of them interrupting another
    (SCHED_BATCH). Each then finds all that the others have left for it, as a busy proxy does, and
    what the proxy costs does not depend on how fast the load is: a proxy that waits for a slow load
    pays for going to sleep and being woken for every packet, across processors and, on a virtual
    machine, through the hypervisor, which can be more than all its own work.

    Else the proxy is alone on the last processors and all else on the others; with as many workers
    as processors there is nothing to divide, and both share them all.
    """

    def __init__(self, workers, together=False):
        have = sorted(os.sched_getaffinity(0))
        self.together = together
        if together:
            self.proxy = self.load = have[-1:]
            return
        divided = len(have) > workers
        self.proxy = have[-workers:] if divided else have
        self.load = have[:-workers] if divided else have

    def start(self, processors, command):
        """The command, changed so that it starts there."""
        batch = ["chrt", "-b", "0"] if self.together else []
        return ["taskset", "-c", ",".join(map(str, processors))] + batch + command

    @staticmethod
    def prefer(pid, rank):
        """It runs as soon as it can, before every process of a lower rank: good clients that share
        a processor with a crowd otherwise wait for the crowd's slice of time (3 ms), and that is
        what would be measured. Not for a program that may fill its processor: the kernel takes
        it away for 50 ms of each second. Nothing happens where the user may not ask for it."""
        for member in family(pid):
            for task in os.listdir(f"/proc/{member}/task"):
                with contextlib.suppress(PermissionError):
                    os.sched_setscheduler(int(task), os.SCHED_FIFO, os.sched_param(rank))

    @staticmethod
    def keep(processors, pid):
        """Puts a family back there: Hitch ties its first worker to processor 0 by itself, where
        the load would then be on its back, or its messages cost no wake-up across processors."""
        for member in family(pid):
            for task in os.listdir(f"/proc/{member}/task"):
                os.sched_setaffinity(int(task), processors)


def family(pid):
    """A process and all its descendants."""
    members = [pid]
    for member in members:
        try:
            for task in os.listdir(f"/proc/{member}/task"):
                with open(f"/proc/{member}/task/{task}/children") as children:
                    members += map(int, children.read().split())
        except FileNotFoundError:
            pass  # a thread or child that has just ended
    return members


def processor_seconds(pid):
    """Nanosecond clock, user and system, threads that have ended included.

    The number is the kernel's name for a process's CPU clock, as clock_getcpuclockid() makes it:
    /proc/PID/stat counts in hundredths of a second only, and task/*/schedstat forgets the threads
    that have ended, of which stunnel has one for every connection.
    """
    return sum(time.clock_gettime((~member << 3) | 2) for member in family(pid))


def user_memory(pid):
    """Bytes of memory of a proxy's own: anonymous and shared memory, pages shared between its
    processes counted once. Program text and libraries are left out: they do not grow."""
    total = 0
    for member in family(pid):
        with open(f"/proc/{member}/smaps_rollup") as rollup:
            for line in rollup:
                name, _, rest = line.partition(":")
                if name in ("Pss_Anon", "Pss_Shmem"):
                    total += int(rest.split()[0]) * 1024
    return total


def _processor_name():
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def facts(clients_openssl=None):
    """`clients_openssl`: theirs, where it is not the system's."""
    return {
        "clients": clients_openssl,
        "processor": _processor_name(),
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
        "openssl": subprocess.run(["openssl", "version"], capture_output=True, text=True,
                                  check=True).stdout.strip(),
        "day": time.strftime("%Y-%m-%d"),
    }
