#!/usr/bin/env python3
"""The vector code does the same for all secrets; copies of it that do not are found out.

usage: test_constant_time.py taint PROGRAM...     (of taint.c, under valgrind)
       test_constant_time.py trace PROGRAM...     (of trace.c, which follow themselves)

A program whose name begins with "leaky" has a kernel that was made to leak.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SKIPPED = 77
REPORTED = 99  # valgrind found something
DIFFERS = 3    # two traces are not alike

MODE, PROGRAMS = None, []  # set below

REGISTERS = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp",
             *(f"r{n}" for n in range(8, 16))]
# Prefixes come first; a long nop has several.
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t"
                         r"(?:(?:data16|addr32|[cdefgs]s|lock|rep[nz]*|rex\S*|notrack|bnd)\s+)*"
                         r"(\S+)\s*(.*)$")
OPERAND = re.compile(r"(?<!%st)(-?0x[0-9a-f]+)?\(([^()]*)\)")
NO_ACCESS = ("lea", "nop")
NONE, UNKNOWN = -1, -2  # for trace.c
LEAKY_STEPS = 400000    # all leaks show within so many
EVERY_STEP = 1 << 32


def is_leaky(program):
    return Path(program).name.startswith("leaky")


def register(name):
    if name in ("", "riz"):
        return NONE
    return REGISTERS.index(name) if name in REGISTERS else UNKNOWN


def operand_rows(line):
    """For each operand in memory: (address, base, index, scale, displacement)."""
    match = INSTRUCTION.match(line)
    if not match or match[2].startswith(NO_ACCESS):
        return
    for displacement, inside in OPERAND.findall(match[3].split("#")[0]):
        base, index, scale = ([part.strip().lstrip("%") for part in inside.split(",")] + ["", ""])[:3]
        if base == "rip":
            continue
        numbers = [register(name) for name in (base, index)]
        yield (int(match[1], 16), *numbers, int(scale or 1), int(displacement or "0", 16))


def write_table(program, path):
    code = subprocess.run(["objdump", "-d", "--no-show-raw-insn", program], check=True,
                          capture_output=True, text=True).stdout
    rows = sorted(row for line in code.splitlines() for row in operand_rows(line))
    path.write_text("".join(f"{row[0]:x} {row[1]} {row[2]} {row[3]} {row[4]}\n" for row in rows))


def run_taint(program):
    return subprocess.run(["valgrind", "--quiet", f"--error-exitcode={REPORTED}", program],
                          capture_output=True, text=True, check=False)


def run_trace(program):
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table"
        write_table(program, table)
        steps = LEAKY_STEPS if is_leaky(program) else EVERY_STEP
        return subprocess.run([program, table, str(steps)], capture_output=True, text=True, check=False)


class ConstantTime(unittest.TestCase):
    def results(self, leaky):
        programs = [p for p in PROGRAMS if is_leaky(p) == leaky]
        tool = {"taint": "valgrind", "trace": "objdump"}[MODE]
        if not programs:
            self.skipTest("no such program was built: no kernel is in, or none can be followed")
        if not shutil.which(tool):
            self.skipTest(f"{tool} is not here")
        for program in programs:
            done = {"taint": run_taint, "trace": run_trace}[MODE](program)
            print(Path(program).name, done.stdout.strip(), sep=": ", file=sys.stderr)
            if done.returncode == SKIPPED:
                self.skipTest(done.stdout.strip())
            yield done

    def test_nothing_depends_on_secrets(self):
        for done in self.results(leaky=False):
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_leak_is_found(self):
        for done in self.results(leaky=True):
            self.assertEqual(done.returncode, {"taint": REPORTED, "trace": DIFFERS}[MODE],
                             done.stdout + done.stderr)


if __name__ == "__main__":
    MODE, PROGRAMS = sys.argv[1], sys.argv[2:]
    unittest.main(argv=sys.argv[:1])
