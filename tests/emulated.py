#!/usr/bin/env python3
"""The tests of a program for another processor, in qemu-user.

    emulated.py POSTERN [FILE...]    the integration tests
    emulated.py --unit BUILD         the unit tests

POSTERN is a script that runs the program; clients and brokers are this machine's. Each FILE is one of
tests/integration, without its ending; all of them by default. BUILD is a folder of meson's, whose
cross file has the emulator. What an emulator cannot show is left out, with the reason. The last line
counts, as that of tests/summary.py does.
"""
import concurrent.futures
import json
import os
import re
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
    **{f"test_privileges.{name}": "a thread of qemu-user's own keeps its rights" for name in (
        "Privileges.test_every_thread_becomes_the_user_for_good",
        "Root.test_an_ordinary_user_s_right_to_a_low_port_goes_when_the_port_is_bound",
        "Root.test_it_is_warned_and_keeps_one_right",
        "Root.test_it_still_reaches_a_broker_at_another_user_s_unix_socket",
        "Root.test_where_it_has_another_one_as_in_containers_it_keeps_that")},
    **{f"test_secrets.Memory.{name}": "the memory that is searched is qemu-user's own, too" for name in (
        "test_a_core_image_made_by_root_does_not_hold_the_key",
        "test_a_password_is_gone_after_the_session",
        "test_a_password_that_comes_in_pieces_is_gone",
        "test_a_password_that_the_broker_took_slowly_is_gone",
        "test_a_password_that_waited_for_the_broker_is_gone",
        "test_keys_are_in_locked_pages_and_nowhere_else")},
    **{name: "the memory that is measured is qemu-user's own, too" for name in (
        "test_memory.Memory.test_what_many_sessions_have_left_goes_back_to_the_system",
        "test_reload.Contents.test_reloads_leak_nothing")},
    **{f"test_folders.Folders.{name}": "messages name the folder in which qemu-user finds /tmp" for name in (
        "test_a_relative_path_begins_in_the_working_directory",
        "test_links_on_the_way_are_followed_and_what_they_lead_through_counts",
        "test_one_below_a_folder_of_another_user_is_refused",
        "test_one_below_a_folder_that_others_can_write_in_is_refused",
        "test_one_that_others_can_write_in_is_refused_until_it_is_closed_to_them",
        "test_root_does_not_start_with_one_of_another_user")},
    "test_watch.Watching.test_one_that_was_replaced_before_the_start_is_reported_then":
        "a file that is mounted in /tmp is not mounted where qemu-user finds /tmp",
    "test_sandbox.Service.test_it_says_what_is_in_force":
        "qemu-user has neither Landlock nor a filter of system calls; the kernel beneath it has",
    **{f"test_herd.Ports.{name}": "qemu-user 7.2 does not know the options of ports" for name in (
        "test_a_remote_brokers_ports_are_all_searched_once_half_of_them_are_in_use",
        "test_a_source_that_is_not_ours_does_not_hide_that_ports_are_used_up",
        "test_more_sessions_than_one_address_has_ports",
        "test_where_others_hold_the_ports_that_are_found_quickly_the_next_address_is_taken",
        "test_without_a_port_left_the_log_says_what_to_do")},
}

UNIT_LEFT_OUT = {
    **{name: "the same as sim_1 with other seeds; an hour each" for name in ("sim", "sim_2", "sim_3")},
    "constant_time_taint": "valgrind follows this machine's own programs",
    "constant_time_trace": "what is traced runs on this machine's own processor",
}


# Tests of Check's within a program that fail there, and why they must.
UNIT_FAILS = {
    ("secret", "it_is_zeroed_locked_and_left_out_of_core_files"):
        "qemu-user 7.2 does not pass MADV_DONTDUMP on to the kernel",
    ("secret", "where_the_limit_is_reached_it_says_that_it_is_not_locked"):
        "smaps has the addresses of qemu-user, which a program of 32 bits does not have",
    ("takeover_parts", "descriptors_beyond_the_bound_are_closed"):
        "qemu-user 7.2 takes descriptors for which there is no room, without MSG_CTRUNC",
}
CHECK_FAILED = re.compile(r"^\S+:\d+:F:\w+:(\w+):\d+:", re.M)


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


def run_unit(build):
    listed = json.loads(subprocess.run(["meson", "introspect", "--tests", build], check=True,
                                       stdout=subprocess.PIPE).stdout)
    names = [test["name"] for test in listed if test["suite"] == ["postern:unit"]]
    for name, reason in UNIT_LEFT_OUT.items():
        print(f"left out: {name}: {reason}", flush=True)
    subprocess.run(["meson", "test", "-C", build, "--no-rebuild", "--suite", "unit",
                    "--timeout-multiplier", "10",
                    "--print-errorlogs", *(n for n in names if n not in UNIT_LEFT_OUT)], check=False)
    total, left_out = [0, 0, 0], len(UNIT_LEFT_OUT)
    with open(Path(build) / "meson-logs" / "testlog.json", encoding="utf-8") as lines:
        for test in map(json.loads, lines):
            result, name = list(summary.judge(test)), test["name"].split(" / ")[-1]
            must_fail = [failed for failed in CHECK_FAILED.findall(test.get("stdout", ""))
                         if (name, failed) in UNIT_FAILS]
            for failed in must_fail:
                print(f"left out: {name}: {failed}: {UNIT_FAILS[name, failed]}")
            left_out += len(must_fail)
            result[1] -= len(must_fail)
            if result[1]:
                print(f"{name}: {test['result']}, {result[1]} failed")
            total = [a + b for a, b in zip(total, result)]
    return print_total(total, left_out)


def print_total(total, left_out):
    print(f"{total[2]} skipped, {left_out} left out")
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


def main(program, names):
    names = names or sorted(file.stem for file in INTEGRATION.glob("test_*.py"))
    total, left_out = [0, 0, 0], 0
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for name, output, good in pool.map(lambda n: start_file(program, n), names):
            verdict = {"stdout": output, "result": "OK" if good else "FAIL"}
            empty = good and "\nRan 0 tests" in output  # all of it is left out
            result = (0, 0, 0) if empty else summary.judge(verdict)
            total = [a + b for a, b in zip(total, result)]
            left_out += output.count("left out: ")
            print(f"=== {name}\n{output}", flush=True)
    return print_total(total, left_out)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--file"]:
        sys.exit(0 if run_file(sys.argv[2]) else 1)
    if sys.argv[1:2] == ["--unit"]:
        sys.exit(run_unit(sys.argv[2]))
    sys.exit(main(sys.argv[1], sys.argv[2:]))
