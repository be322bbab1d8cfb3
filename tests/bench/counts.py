#!/usr/bin/env python3
"""How many instructions, system calls and allocations Postern needs, under callgrind.

    counts.py --postern BUILD/postern             compares with counts.json; the test
    counts.py --postern BUILD/postern --renew     writes counts.json
    counts.py --postern BUILD/postern --runs 5    prints the counts of each run and their spread
    counts.py --postern BUILD/postern --only resumed --keep FOLDER     for callgrind_annotate

It is the real program, with one worker and one client at a time: what it does then does not depend
on how fast the machine is, so a change that costs a few percent is seen without a clock. What it
counts and what not: docs/performance.md. Ends with 1 when a count has left its tolerance, either
way: a reference that is too high hides what comes next. With another compiler, C library, valgrind
or processor than the reference's it ends with 77, as nothing can be compared then.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import callgrind
import machine
from certificates import Certificate
from proxies import Postern
from stand import Failure, Stand

# Runs differ by 0.4 % at most in instructions and by 1 % in system calls, whatever else the machine
# does. Two kinds of the latter are left out, since a busy machine changes their number: those that
# read the clock, which are some only here, because valgrind hides the kernel's vdso; and epoll_wait, as
# what comes late needs one of its own.
TOLERANCE = {"instructions": 0.03, "system calls": 0.05, "allocations": 0.03}
REFERENCE = Path(__file__).parent / "counts.json"
SKIPPED = 77
CLOCK = ("clock_gettime", "clock_gettime@@GLIBC_2.17")
SOCKETS = ("epoll_wait", "epoll_pwait")
ALLOCATIONS = ("malloc", "calloc")  # a realloc of nothing calls malloc

KINDS = {"instructions": lambda dump: dump.events["Ir"],
         "system calls": lambda dump: dump.events["sysCount"] - dump.calls(*CLOCK, *SOCKETS),
         "allocations": lambda dump: dump.calls(*ALLOCATIONS)}


class Counted(Postern):
    """The program under callgrind, as most people run it: it logs each session."""

    log_level = "info"

    def __init__(self, program, marks, path):
        super().__init__(program)
        self.marks = marks
        self.path = path

    def command(self, job):
        self.dumps = job.folder / "counts"
        # meson sets MALLOC_PERTURB_ for tests, which makes the C library fill what it allocates
        return ["env", "--unset=MALLOC_PERTURB_", f"LD_PRELOAD={self.marks}",
                f"BENCH_MARKS={self.path}", "valgrind", "--quiet", "--tool=callgrind",
                "--collect-systime=yes", f"--callgrind-out-file={self.dumps}",
                *super().command(job)]


class CountedStand(Stand):
    """Only the order of things matters here, not how fast they are: nothing has a processor of its
    own or is kept awake."""

    start_seconds = 60

    def __init__(self, tools, program, marks, certificate, folder):
        self.path = str(Path(folder) / "marks")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(1)
        super().__init__(tools, Counted(program, marks, self.path), certificate)

    def keep_awake(self, processors):
        pass

    def __enter__(self):
        super().__enter__()
        self.listener.settimeout(self.start_seconds)
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(self.start_seconds)
        self.parts = 0
        return self

    def __exit__(self, *failure):
        super().__exit__(*failure)
        self.connection.close()
        self.listener.close()

    def _await_quiet(self):
        """What follows a last answer is done: the program's clock has stopped."""
        deadline = time.monotonic() + self.start_seconds
        spent, still = None, 0
        while still < 3:
            now = machine.processor_seconds(self.process.pid)
            still = still + 1 if now == spent else 0
            spent = now
            if time.monotonic() > deadline:
                raise Failure("the program does not become idle")
            time.sleep(0.01)

    def mark(self):
        """What was counted since the mark before."""
        self._await_quiet()
        self.connection.sendall(b".")
        if self.connection.recv(1) != b".":
            raise Failure("the program has ended")
        self.parts += 1
        return self.proxy.dumps.with_suffix(f".{self.parts}")


# --- the work ---

def handshakes(tls, resume="none"):
    """One after the other, each with a byte there and back and an orderly end."""
    def work(stand, count):
        load = stand.load(tls=tls, resume=resume, inflight=1)
        if resume != "none":
            load.ask("prime")
        load.ask(f"handshakes {max(count // 5, 10)}")
        stand.mark()
        load.ask(f"handshakes {count}")
        return stand.mark()
    return work


def echoes(tls, size):
    """Over one connection, one after the other."""
    def work(stand, count):
        load = stand.load(tls=tls, inflight=1)
        load.ask("open 1")
        load.ask(f"messages {count // 5} {size} 1")
        stand.mark()
        load.ask(f"messages {count} {size} 1")
        part = stand.mark()
        load.ask("close")
        return part
    return work


WORK = {
    "handshake-ecdsa-1.2": (handshakes("1.2"), 60),
    "handshake-ecdsa-1.3": (handshakes("1.3"), 60),
    "resumed-1.2": (handshakes("1.2", "ticket"), 100),
    "resumed-1.3": (handshakes("1.3", "ticket"), 60),
    "message-1.2": (echoes("1.2", 64), 500),
    "message-1.3": (echoes("1.3", 64), 500),
    "record-1.2": (echoes("1.2", 16384), 100),
    "record-1.3": (echoes("1.3", 16384), 100),
}


def count(options, names):
    """{name: {kind: how many, of one}}"""
    found = {}
    with tempfile.TemporaryDirectory(prefix="counts-") as folder:
        certificate = Certificate(Path(folder), "ecdsa")
        with CountedStand(options.tools, options.postern, options.marks, certificate,
                          folder) as stand:
            for name in names:
                work, times = WORK[name]
                part = work(stand, times)
                dump = callgrind.Dump(part.read_text())
                found[name] = {kind: round(of(dump) / times, 2) for kind, of in KINDS.items()}
                if options.keep:
                    shutil.copy(part, options.keep / f"callgrind.{name}")
    return found


# --- the reference ---

def made_with(program):
    """What the counts depend on besides our own code."""
    def line(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()
    compiler = re.search(r"GCC: \S.*|clang version \S+", line("readelf", "-p", ".comment", program))
    version = line("valgrind", "--quiet", "--tool=none", program, "--version")
    library = re.search(r"wolfSSL.*", version)
    return {"compiler": compiler.group(0) if compiler else "?",
            "library": library.group(0) if library else "?",
            "libc": " ".join(platform.libc_ver()), "valgrind": line("valgrind", "--version")}


def differences(reference, found):
    """One line for each count that has left its tolerance."""
    lines = []
    for name, counts in found.items():
        for kind, value in counts.items():
            was = reference.get(name, {}).get(kind)
            if was is None:
                lines.append(f"{name}: {kind}: {value:,.1f}, and no reference")
            elif abs(value - was) > TOLERANCE[kind] * was:
                lines.append(f"{name}: {kind}: {value:,.1f} where the reference has {was:,.1f} "
                             + (f"({100 * (value / was - 1):+.1f} %)" if was else "(new)"))
    return lines


def table(runs, reference):
    lines = [f"{'of one':22} {'':13} {'least':>11} {'most':>11} {'reference':>11}"]
    for name in runs[0]:
        for kind in KINDS:
            values = [run[name][kind] for run in runs]
            was = reference.get(name, {}).get(kind)
            lines.append(f"{name:22} {kind:13} {min(values):11,.1f} {max(values):11,.1f} "
                         + (f"{was:11,.1f}" if was is not None else f"{'-':>11}"))
    return "\n".join(lines)


def parse():
    here = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here.add_argument("--postern", metavar="PATH", required=True)
    here.add_argument("--tools", metavar="FOLDER", type=Path,
                      help="where bench-load is; default: tests/bench beside the program")
    here.add_argument("--marks", metavar="FILE", type=Path,
                      help="the library of marks.c; default: among the tools")
    here.add_argument("--only", metavar="NAMES", default="", help="work whose names start so")
    here.add_argument("--runs", type=int, default=1)
    here.add_argument("--renew", action="store_true", help="write counts.json")
    here.add_argument("--keep", metavar="FOLDER", type=Path, help="what callgrind has written")
    options = here.parse_args()
    options.postern = str(Path(options.postern).resolve())
    options.tools = options.tools or Path(options.postern).parent / "tests" / "bench"
    options.marks = options.marks or options.tools / "marks.so"
    return options


def main():
    options = parse()
    saved = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {"made_with": {}}
    reference = saved.get("counts", {})
    here = made_with(options.postern)
    other = [f"{what}: {here[what]} here, {was} there" for what, was in saved["made_with"].items()
             if here[what] != was]
    is_test = not options.renew and options.runs == 1 and not options.keep
    if other and is_test:
        print("nothing to compare: the reference was made with another\n  " + "\n  ".join(other))
        return SKIPPED
    names = [n for n in WORK if n.startswith(tuple(options.only.split(",")))]
    runs = [count(options, names) for _ in range(options.runs)]
    print(table(runs, reference), flush=True)
    if options.renew:
        middle = {name: {kind: sorted(run[name][kind] for run in runs)[len(runs) // 2]
                         for kind in KINDS} for name in names}
        REFERENCE.write_text(json.dumps({"made_with": here, "counts": reference | middle},
                                        indent=1) + "\n")
        return 0
    if not is_test:
        return 0
    wrong = differences({name: reference.get(name, {}) for name in names}, runs[0])
    for line in wrong:
        print(line)
    if wrong:
        print("That is too far from tests/bench/counts.json. If it is meant: ./dev counts --renew, "
              "and say why in the commit.")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
