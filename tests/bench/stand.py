"""A test stand: one backend, one proxy in front of it, load generators; all of them fresh."""

import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import machine
from proxies import Job, loaded

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "integration"))

from ports import free_port  # noqa: E402

NOT_OFFERED = 3  # exit code of bench-load, common.h
ANSWER_SECONDS = 300


class Failure(Exception):
    """Something was wrong: a byte, a count, a refused connection, a proxy that died."""


class NotOffered(Exception):
    """The proxy does not do this kind of resumption, or has not this group; or the load generator's
    library has not."""


def _fields(line):
    return {name: float(value) for name, value in re.findall(r"(\S+)=(\S+)", line)}


class Talker:
    """A program that answers each line with a line."""

    def __init__(self, command):
        self.complaint = ""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)

    def say(self, line):
        try:
            self.process.stdin.write(line + "\n")
        except BrokenPipeError:
            self._explain()

    def hear(self, seconds=ANSWER_SECONDS):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        if not line.endswith("\n"):
            self._explain()
        return line

    def answer(self):
        return _fields(self.hear())

    def ask(self, line):
        self.say(line)
        return self.answer()

    def ready(self):
        """There is something to hear: an answer, or that the program has ended."""
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def _explain(self):
        self.stop()
        if self.process.returncode == NOT_OFFERED:
            raise NotOffered(self.complaint)
        raise Failure(self.complaint or "no answer in time")

    def stop(self):
        """Afterwards `complaint` is what it had to say on its standard error."""
        if self.process.stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.complaint = self.process.stderr.read().strip()
        self.process.stderr.close()
        self.process.stdout.close()


class Stand:
    """With it: `load` starts generators, `spent` and `memory` look at the proxy."""

    start_seconds = 10  # in which the proxy must listen

    def __init__(self, tools, proxy, certificate, workers=1, together=False, hybrid=False,
                 clients=None, libraries=None, broker=None):
        """`clients`: the certificate that they must have. `libraries`: the load generator's, a
        folder, or None. `broker`: the Mosquitto that the proxy connects to, or that is itself the proxy;
        None: it connects to the bench's own backend. Its time and memory count as the proxy's."""
        self.tools = tools
        self.proxy = proxy
        self.certificate = certificate
        self.workers = workers
        self.hybrid = hybrid
        self.clients = clients
        self.libraries = libraries
        self.broker = broker
        self.processors = machine.Processors(workers, together)
        self.talkers = []
        self.spinners = {}

    def __enter__(self):
        if self.hybrid and not self.proxy.may_have_hybrid():
            what = f"{self.proxy.name}'s library has no X25519MLKEM768"
            print(what, file=sys.stderr)
            raise NotOffered(what)
        self.keep_awake(self.processors.proxy + self.processors.load)
        self.folder = tempfile.mkdtemp(prefix="bench-")
        self.log = open(f"{self.folder}/log", "w+")
        self.processes = []
        self.backend = None
        try:
            backend_port = self._start_backend()
            self.port = free_port()
            job = Job(self.folder, self.port, backend_port, self.certificate, self.workers,
                      self.hybrid, self.clients.root if self.clients else None)
            self.process = self._start(self.proxy.command(job), self.proxy.name, self.port)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind, failure, trace):
        log = self._stop()
        if kind is Failure:
            if self.backend and self.backend.complaint:
                failure = f"{failure}\n{self.backend.complaint}"
            raise Failure(f"{failure}\n{self.proxy.name}'s log ends with:\n{log[-2000:]}")

    def keep_awake(self, processors):
        """Spinners of idle priority on these processors and no others (awake.c)."""
        for processor in set(self.spinners) - set(processors):
            spinner = self.spinners.pop(processor)
            spinner.kill()
            spinner.wait()
        for processor in set(processors) - set(self.spinners):
            self.spinners[processor] = subprocess.Popen(
                self.processors.start([processor], [str(self.tools / "bench-awake")]))

    def _talker(self, command):
        talker = Talker(self.processors.start(self.processors.load, list(map(str, command))))
        self.talkers.append(talker)
        return talker

    def _start_backend(self):
        """What the proxy connects to; its port. A broker with TLS of its own connects to nothing."""
        if self.broker is None:
            self.backend = self._talker([self.tools / "bench-backend", "127.0.0.1:0"])
            return int(self.backend.hear().rpartition(":")[2])
        port = free_port()
        if not self.proxy.broker:
            self._start(self.broker.plain_command(self.folder, port), self.broker.name, port)
        return port

    def _start(self, command, name, port):
        """One of the processes that are measured, when it listens."""
        process = subprocess.Popen(
            self.processors.start(self.processors.proxy, command),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.processes.append(process)
        self._await_port(process, name, port)
        machine.Processors.keep(self.processors.proxy, process.pid)
        return process

    def _await_port(self, process, name, port):
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                time.sleep(0.1)  # nginx and Hitch listen before their workers run
                return
            except ConnectionRefusedError:
                time.sleep(0.01)
        self.log.seek(0)
        what = f"{name} did not start"
        if self.hybrid:  # a group that its library does not know
            print(f"{what} with X25519MLKEM768", file=sys.stderr)
            raise NotOffered(what)
        raise Failure(f"{what}: {self.log.read()[-2000:]}")

    def _stop(self):
        self.keep_awake([])
        for talker in self.talkers:
            talker.stop()
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(0.3)
            except subprocess.TimeoutExpired:
                for member in reversed(machine.family(process.pid)):
                    subprocess.run(["kill", "-KILL", str(member)], stderr=subprocess.DEVNULL)
                process.wait()
        self.log.seek(0)
        log = self.log.read()
        self.log.close()
        shutil.rmtree(self.folder)
        return log

    def load(self, **options):
        """A generator; options as its command line has them."""
        command = [*loaded(str(self.tools / "bench-load"), self.libraries),
                   "--connect", f"127.0.0.1:{self.port}", "--key", self.certificate.kind]
        if self.hybrid:
            command += ["--group", "hybrid"]
        if self.broker:
            command += ["--mqtt"]
        if self.clients:
            command += ["--certificate", self.clients.fullchain,
                        "--certificate-key", self.clients.key]
        for name, value in options.items():
            command += [f"--{name}"] if value is True else [f"--{name}", str(value)]
        return self._talker(command)

    def newcomers(self, inflight):
        return self._talker([self.tools / "bench-newcomers", f"127.0.0.1:{self.port}", inflight])

    def crowd(self, *arguments):
        return self._talker([self.tools / "bench-crowd", f"127.0.0.1:{self.port}", *arguments])

    def visitors(self, rate):
        return self._talker([self.tools / "bench-visitors", f"127.0.0.1:{self.port}", rate])

    def spent(self):
        """Processor seconds of the proxy until now, what follows a last byte included."""
        time.sleep(0.03)
        return sum(machine.processor_seconds(process.pid) for process in self.processes)

    def memory(self):
        time.sleep(0.3)
        return sum(machine.user_memory(process.pid) for process in self.processes)

    def check_backend(self, connections):
        """Every client has had one connection to the backend, and each has ended. A broker has
        accepted every client itself (client.c)."""
        if self.backend is None:
            return
        deadline = time.monotonic() + 5
        while True:
            count = self.backend.ask("stats")
            if count["open"] == 0 and count["accepted"] == connections:
                return
            if time.monotonic() > deadline:
                raise Failure(f"{connections} clients, but the backend had {count['accepted']:.0f}"
                              f" connections, and {count['open']:.0f} are still open")
            time.sleep(0.02)
