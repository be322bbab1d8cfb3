#!/usr/bin/env python3
"""The systemd units: accepted by systemd's own checks, and as closed as they claim to be."""
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import unittest

from harness import PROGRAM, Case, main, pki, run_program

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNITS = os.path.join(ROOT, "systemd")
MOST_EXPOSED = 1.5


def analyze(*arguments, **options):
    return subprocess.run(["systemd-analyze", "--no-pager", *arguments], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


@unittest.skipUnless(shutil.which("systemd-analyze"), "no systemd-analyze here")
class Units(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name
        # verify wants the program to be there, and the manual pages to be found.
        program = os.path.abspath(shutil.which(PROGRAM) or PROGRAM)
        for special in ("\\", '"'):
            program = program.replace(special, "\\" + special)
        program = program.replace("%", "%%")
        with open(os.path.join(UNITS, "postern.service"), encoding="utf-8") as file:
            unit = file.read().replace("/usr/sbin/postern", f'"{program}"')
        with open(self.path("postern.service"), "w", encoding="utf-8") as file:
            file.write(unit)
        shutil.copy(os.path.join(UNITS, "postern.socket"), self.folder)
        shutil.copy(os.path.join(UNITS, "postern-ticket-keys.timer"), self.folder)
        with open(os.path.join(UNITS, "postern-ticket-keys.service"), encoding="utf-8") as file:
            unit = file.read()
        installed = "/usr/local/lib/postern/postern-ticket-keys"
        self.assertIn(f"ExecStart={installed}\n", unit)
        with open(self.path("postern-ticket-keys.service"), "w", encoding="utf-8") as file:
            file.write(unit.replace(installed, os.path.join(UNITS, "postern-ticket-keys")))
        with open(os.path.join(UNITS, "postern-certs.service"), encoding="utf-8") as file:
            unit = file.read().replace("/usr/local/lib/postern", UNITS)
        with open(self.path("postern-certs.service"), "w", encoding="utf-8") as file:
            file.write(unit)
        shutil.copy(os.path.join(UNITS, "postern-certs.timer"), self.folder)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def manual_pages(self):
        for page, section in (("postern.8", "8"), ("postern.conf.5", "5")):
            os.makedirs(self.path("man", "man" + section))
            shutil.copy(os.path.join(ROOT, "docs", page), self.path("man", "man" + section))
        return self.path("man")

    def test_the_units_are_clean(self):
        pages = ["--man=yes"] if shutil.which("man") else ["--man=no"]
        result = analyze("verify", *pages, self.path("postern.service"),
                         self.path("postern.socket"), self.path("postern-ticket-keys.service"),
                         self.path("postern-ticket-keys.timer"),
                         self.path("postern-certs.service"), self.path("postern-certs.timer"),
                         env={**os.environ, "MANPATH": self.manual_pages()})
        self.assertEqual((result.returncode, result.stdout), (0, ""))

    def test_the_service_is_hardly_exposed(self):
        result = analyze("security", "--offline=yes", self.path("postern.service"))
        self.assertEqual(result.returncode, 0, result.stdout)
        exposure = float(re.search(r"exposure level for .*: ([0-9.]+)", result.stdout)[1])
        print(f"systemd-analyze security: {exposure}")
        self.assertLessEqual(exposure, MOST_EXPOSED)


class ServiceManager(Case):
    """What the unit relies on, with this test in systemd's place."""

    def setUp(self):
        super().setUp()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(self.path("notify"))
        self.notify.settimeout(20)

    def environment(self, **more):
        return {**os.environ, "NOTIFY_SOCKET": self.path("notify"), **more}

    def expect(self, wanted):
        """Reads notifications until one holds the line."""
        while True:
            message = self.notify.recv(4096).decode().splitlines()
            if wanted in message:
                return message

    def test_ready_is_notified_when_it_serves(self):
        broker = self.fake_broker()
        postern = self.postern(broker, env=self.environment())
        self.expect("READY=1")
        self.client(postern).close()

    def test_a_reload_is_notified_when_it_begins_and_ends(self):
        postern = self.postern(self.fake_broker(), env=self.environment())
        self.expect("READY=1")
        self.assertEqual(postern.reload().name, "reload done")
        self.expect("RELOADING=1")
        self.expect("READY=1")

    def test_a_refused_reload_is_notified_as_ready_again(self):
        postern = self.postern(self.fake_broker(), env=self.environment())
        self.expect("READY=1")
        self.write("postern.conf", "garbage\n")
        self.assertEqual(postern.reload().name, "reload refused")
        self.expect("RELOADING=1")
        self.expect("READY=1")

    def test_the_check_before_a_reload_refuses_what_the_reload_would(self):
        text = self.config(self.fake_broker())
        file = self.write("postern.conf", text)
        self.assertEqual(run_program("--check", "-c", file).returncode, 0)
        os.unlink(self.path("main/privkey.pem"))
        result = run_program("--check", "-c", file)
        self.assertEqual(result.returncode, 1)
        self.assertIn("privkey.pem", result.stdout + result.stderr)

    def unit_lines(self, key):
        with open(os.path.join(UNITS, "postern.service"), encoding="utf-8") as file:
            return re.findall(rf"^{key}=(.*)", file.read(), re.M)

    def test_the_unit_s_reload_reloads(self):
        """As systemd does it: split into words, with MAINPID in the environment."""
        postern = self.postern(self.fake_broker(), env=self.environment())
        self.expect("READY=1")
        check, reload = map(shlex.split, self.unit_lines("ExecReload"))
        self.assertEqual(check[0], "/usr/sbin/postern")
        self.assertEqual(reload[0], "/bin/sh", "what every machine has, and no other program")
        done = subprocess.run(reload, env={"MAINPID": str(postern.pid), "PATH": "/nonexistent"},
                              check=False)
        self.assertEqual(done.returncode, 0)
        postern.wait("reload done")

    def test_the_unit_names_no_key_that_does_not_exist(self):
        with open(os.path.join(UNITS, "postern.service"), encoding="utf-8") as file:
            named = re.findall(r"^#.*?\b(\w+) = ", file.read(), re.M)
        with open(os.path.join(ROOT, "docs", "postern.conf.5"), encoding="utf-8") as file:
            keys = re.findall(r"^\.It Ic (\w+)", file.read(), re.M)
        self.assertLessEqual(set(named), set(keys))

    def test_the_watchdog_is_notified(self):
        self.postern(self.fake_broker(), env=self.environment(WATCHDOG_USEC="500000"))
        for _ in range(3):
            self.expect("WATCHDOG=1")

    def test_stopping_is_notified(self):
        postern = self.postern(self.fake_broker(), env=self.environment())
        self.expect("READY=1")
        postern.process.terminate()
        self.expect("STOPPING=1")

    def test_a_socket_from_the_service_manager_is_used(self):
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        port = listening.getsockname()[1]
        text = self.config(self.fake_broker(), listen=f"127.0.0.1:{port}")
        file = self.write("postern.conf", text)
        postern = self.start(file, **self.handing_over(listening))
        self.assertEqual(postern.port, port)
        self.client(postern).close()

    def handing_over(self, listening):
        """Popen options that give the program the socket the way systemd does, as descriptor 3."""
        try:
            os.fstat(3)  # pass_fds wants it open here as well, as whatever
        except OSError:
            os.dup2(listening.fileno(), 3)

        def become_the_service():
            os.dup2(listening.fileno(), 3, inheritable=True)
            os.environ["LISTEN_PID"] = str(os.getpid())
            os.environ["LISTEN_FDS"] = "1"

        return {"preexec_fn": become_the_service, "pass_fds": [3]}


if __name__ == "__main__":
    main()
