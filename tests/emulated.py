#!/usr/bin/env python3
"""The integration tests with a program for another processor: emulated.py POSTERN [FILE...]

POSTERN is a script that runs the program in qemu-user; clients and brokers are this machine's. Each
FILE is one of tests/integration, without its ending; all of them by default. What an emulator cannot
show is left out, with the reason. The last line counts, as that of tests/summary.py does.
"""
import concurrent.futures
import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import summary

INTEGRATION = Path(__file__).resolve().parent / "integration"
SLOW = "8"  # how much longer than usual everything may take
MOST_SECONDS = 1800  # for one file

# Files, classes or single tests, and why they cannot hold here.
LEFT_OUT = {
    "test_privileges.Privileges.test_every_thread_becomes_the_user_for_good":
        "a thread of qemu-user's own stays root's",
    **{f"test_secrets.Memory.{name}": "the memory that is searched is qemu-user's own, too" for name in (
        "test_a_core_image_made_by_root_does_not_hold_the_key",
        "test_a_password_that_the_broker_took_slowly_is_gone",
        "test_keys_are_in_locked_pages_and_nowhere_else")},
    "test_sandbox.Service.test_it_says_what_is_in_force":
        "qemu-user has neither Landlock nor a filter of system calls; the kernel beneath it has",
    **{f"test_herd.Ports.{name}": "qemu-user 7.2 does not know the options of ports" for name in (
        "test_a_remote_brokers_ports_are_all_searched_once_half_of_them_are_in_use",
        "test_a_source_that_is_not_ours_does_not_hide_that_ports_are_used_up",
        "test_more_sessions_than_one_address_has_ports",
        "test_where_others_hold_the_ports_that_are_found_quickly_the_next_address_is_taken",
        "test_without_a_port_left_the_log_says_what_to_do")},
}


def reason_for(test_id):
    """Why it is left out, or None."""
    parts = test_id.split(".")
    for length in range(1, len(parts) + 1):
        reason = LEFT_OUT.get(".".join(parts[:length]))
        if reason:
            return reason
    return None


def each_test(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each_test(item)
        else:
            yield item


def run_file(name):
    """In a process of its own, since the tests' modules read the environment."""
    sys.path.insert(0, str(INTEGRATION))
    chosen = unittest.TestSuite()
    for test in each_test(unittest.defaultTestLoader.loadTestsFromName(name)):
        reason = reason_for(test.id())
        if reason:
            print(f"left out: {test.id()}: {reason}", flush=True)
        else:
            chosen.addTest(test)
    return unittest.TextTestRunner(verbosity=2).run(chosen).wasSuccessful()


def start_file(program, name):
    """Returns (name, what it printed, whether it succeeded)."""
    environment = {**os.environ, "POSTERN": program, "POSTERN_SLOW": SLOW}
    process = subprocess.Popen([sys.executable, __file__, "--file", name], env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        output += f"\nnot finished after {MOST_SECONDS} s\n"
    return name, output, process.returncode == 0


def main(program, names):
    names = names or sorted(file.stem for file in INTEGRATION.glob("test_*.py"))
    total, left_out = [0, 0, 0], 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, output, good in pool.map(lambda n: start_file(program, n), names):
            verdict = {"stdout": output, "result": "OK" if good else "FAIL"}
            empty = good and "\nRan 0 tests" in output  # all of it is left out
            result = (0, 0, 0) if empty else summary.judge(verdict)
            total = [a + b for a, b in zip(total, result)]
            left_out += output.count("left out: ")
            print(f"=== {name}\n{output}", flush=True)
    print(f"{total[2]} skipped, {left_out} left out")
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--file"]:
        sys.exit(0 if run_file(sys.argv[2]) else 1)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
