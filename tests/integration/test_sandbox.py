"""What the program may still do once it serves: the filter of system calls, and Landlock.

A library that is loaded into the program plays the intruder; all other tests of the suite show that
the filter leaves out nothing that the program needs.
"""

import ctypes
import errno
import os
import re
import signal
import struct
import unittest

from brokers import echo
from harness import PROGRAM, Case, main, run_program

INTRUDER = os.environ.get("INTRUDER_LIBRARY")
FORBIDDEN = {"execve": "execve", "fork": "clone", "ptrace": "ptrace", "packet_socket": "socket",
             "raw_socket": "socket", "ping_socket": "socket", "firewall_socket": "socket",
             "device_socket": "socket", "packet_unix_socket": "socket", "pair": "socketpair",
             "signal": "kill", "writable_code": "mmap", "old_map": "mmap", "new_code": "mprotect",
             "terminal_input": "ioctl", "dumpable": "prctl", "limit": None,
             "file_in_memory": "memfd_create", "mode": None, "signal_to_thread": "tgkill",
             "kill_by_thread": "tkill",
             "abort_by_thread": "tkill", "signal_by_descriptor": "fcntl", "handler": "rt_sigaction",
             "handler_by_half": "rt_sigaction"}
LANDLOCK_CREATE_RULESET, ASK_VERSION = 444, 1
EM_386 = 3


def is_of_i386():
    with open(PROGRAM, "rb") as file:
        return struct.unpack_from("<H", file.read(20), 18)[0] == EM_386


def landlock_version():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, ASK_VERSION)


class Sandbox(Case):
    def applied(self, postern):
        """The line that says what is in force; skips the test where that is nothing."""
        event = postern.wait("sandbox")
        if event.get("message", "").startswith("not applied"):
            self.skipTest(event["message"])
        return event

    def intruded(self, attempt, loot=None, **options):
        """An attempt that succeeds after all must not do harm: it is about a file of the test."""
        loot = loot or self.write("loot", "x")
        environment = {**os.environ, "LD_PRELOAD": INTRUDER, "POSTERN_INTRUDER": attempt,
                       "POSTERN_LOOT": loot}
        postern = self.postern(self.fake_broker(echo), env=environment, **options)
        postern.foreign = (b"attempt: errno ",)
        postern.attempt_is_filtered = self.applied(postern).get("system_calls") == "filtered"
        return postern

    def outcome(self, postern):
        """The number of the error that the attempt met; 0 where it succeeded."""
        def found():
            return re.search(r"^attempt: errno (\d+)$", postern.log(), re.M)

        self.tcp_client(postern).cut()
        self.wait_until(found, "the attempt")
        self.wait_until(lambda: postern.malformed, "its line")
        postern.malformed.clear()  # it is the intruder's
        return int(found()[1])


@unittest.skipUnless(INTRUDER, "built without the library that plays the intruder")
class Calls(Sandbox):
    def check_end(self, postern, name):
        self.tcp_client(postern)
        self.assertEqual(postern.wait_exit(), -signal.SIGSYS)
        postern.expected_exit = -signal.SIGSYS
        lines = postern.all("forbidden system call")
        self.assertEqual(len(lines), 1)
        if name:  # some are longer on 32-bit systems
            self.assertIn(lines[0]["name"], (name, name + "2", name + "64"))
        self.assertRegex(str(lines[0]["number"]), "^[0-9]+$")

    def test_a_forbidden_call_is_logged_and_ends_the_program(self):
        for attempt, name in FORBIDDEN.items():
            if name in ("socket", "socketpair") and is_of_i386():
                continue  # its C library uses socketcall: which kind is in memory
            with self.subTest(attempt):
                postern = self.intruded(attempt)
                if not postern.attempt_is_filtered:
                    self.skipTest("this system has no filter")
                self.check_end(postern, name)

    def test_it_ends_even_where_the_signal_is_blocked(self):
        """Then there is no line."""
        postern = self.intruded("behind_a_mask")
        if not postern.attempt_is_filtered:
            self.skipTest("this system has no filter")
        self.tcp_client(postern)
        self.assertEqual(postern.wait_exit(), -signal.SIGSYS)
        postern.expected_exit = -signal.SIGSYS

    def test_an_abort_ends_the_program_as_elsewhere(self):
        for attempt, message in (("abort", ""), ("double_free", "double free")):
            with self.subTest(attempt):
                postern = self.intruded(attempt)
                postern.foreign += (b"free(): ",)
                self.tcp_client(postern)
                code = postern.wait_exit()
                postern.expected_exit = code
                if attempt == "double_free" and "double free" not in postern.log():
                    self.skipTest("this C library does not look")
                self.assertEqual(code, -signal.SIGABRT)
                self.assertIn(message, postern.log())
                self.assertEqual(postern.all("forbidden system call"), [])

    def test_the_line_is_json_where_the_log_is(self):
        postern = self.intruded("execve", main={"log_format": "json"})
        if not postern.attempt_is_filtered:
            self.skipTest("this system has no filter")
        self.check_end(postern, "execve")
        self.assertEqual(postern.all("forbidden system call")[0]["level"], "error")

    def test_what_libraries_need_is_allowed(self):
        for attempt in ("read", "code_of_file", "resolver_sockets", "other_handlers"):
            with self.subTest(attempt):
                self.assertEqual(self.outcome(self.intruded(attempt, "/bin/true")), 0)

    def test_without_the_sandbox_everything_is_as_the_system_has_it(self):
        postern = self.intruded("fork", main={"sandbox": "off"})
        self.assertEqual(postern.all("sandbox")[0]["message"], "sandbox = off")
        self.assertEqual(self.outcome(postern), 0)
        with open(f"/proc/{postern.pid}/status", encoding="ascii") as file:
            self.assertRegex(file.read(), r"\nSeccomp:\t0\n")


@unittest.skipUnless(INTRUDER, "built without the library that plays the intruder")
@unittest.skipUnless(landlock_version() > 0, "this kernel has no Landlock")
class Files(Sandbox):
    def setUp(self):
        super().setUp()
        self.old = self.write("old", "as it was\n")

    def test_no_file_is_made_changed_or_removed(self):
        for attempt, loot in (("new_file", self.path("new")), ("write", self.old),
                              ("unlink", self.old)):
            with self.subTest(attempt):
                self.assertEqual(self.outcome(self.intruded(attempt, loot)), errno.EACCES)
        self.assertFalse(os.path.exists(self.path("new")))
        with open(self.old, encoding="ascii") as file:
            self.assertEqual(file.read(), "as it was\n")

    def test_no_file_is_made_beside_a_unix_socket_of_its_own(self):
        os.mkdir(self.path("run"))
        main = {"takeover": self.path("run/takeover.sock")}
        self.assertEqual(self.outcome(self.intruded("new_file", self.path("run/code"), main=main)),
                         errno.EACCES)

    def test_any_file_can_be_read_as_a_reload_may_name_it(self):
        self.assertEqual(self.outcome(self.intruded("read", self.old)), 0)


class Service(Sandbox):
    def test_it_says_what_is_in_force(self):
        postern = self.postern(self.fake_broker())
        event = self.applied(postern)
        with open(f"/proc/{postern.pid}/status", encoding="ascii") as file:
            status = file.read()
        filtered = re.search(r"\nSeccomp:\t(\d)\n", status)[1] == "2"
        self.assertEqual(event["system_calls"], "filtered" if filtered else "all")
        self.assertEqual(event["files"], "read-only" if landlock_version() > 0 else "all")
        self.assertIn("\nNoNewPrivs:\t1\n", status)
        self.assertEqual("message" in event, not filtered or landlock_version() <= 0)

    def test_each_thread_is_confined(self):
        postern = self.postern(self.fake_broker(), main={"workers": "3"})
        if self.applied(postern).get("system_calls") != "filtered":
            self.skipTest("this system has no filter")
        tasks = os.listdir(f"/proc/{postern.pid}/task")
        self.assertGreaterEqual(len(tasks), 4)
        for task in tasks:
            with open(f"/proc/{postern.pid}/task/{task}/status", encoding="ascii") as file:
                self.assertRegex(file.read(), r"\nSeccomp:\t2\n")

    def test_a_broker_s_name_is_resolved_and_a_reload_reads_new_folders(self):
        broker = self.fake_broker(echo)
        postern = self.postern(f"localhost:{broker.port}")
        client = self.client(postern)
        client.send(b"hello")
        self.assertEqual(client.recv_exactly(5), b"hello")
        os.rename(self.path("main"), self.path("elsewhere"))
        with open(postern.config_file, encoding="utf-8") as file:
            text = file.read().replace("main/", "elsewhere/")
        self.write("postern.conf", text)
        self.assertEqual(postern.reload().name, "reload done")
        self.client(postern).close()

    def test_it_cannot_change_in_a_reload(self):
        for key, value in (("sandbox", "off"), ("core_dumps", "on"), ("user", "nobody")):
            with self.subTest(key):
                text = self.config(self.fake_broker(), main={"core_dumps": "off"})
                postern = self.start(self.write("postern.conf", text))
                self.write("postern.conf", re.sub(rf"^{key} = .*\n", "", text, flags=re.M)
                           .replace("[postern]\n", f"[postern]\n{key} = {value}\n"))
                event = postern.reload()
                self.assertEqual(event.name, "reload refused")
                self.assertIn(f"{key} cannot change in a reload", event["message"])

    def test_a_group_without_a_user_is_refused(self):
        file = self.write("postern.conf", self.config("127.0.0.1:1", main={"group": "nogroup"}))
        done = run_program("--check", "-c", file)
        self.assertEqual(done.returncode, 1)
        self.assertIn("group without user", done.stderr)


if __name__ == "__main__":
    main()
