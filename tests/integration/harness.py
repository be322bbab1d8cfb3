"""Starts the real program for a test, waits until it is ready, and shows its log on failure.

A test is a method of a Case. It asks for what it needs (a broker, a Postern, a client), and
everything it got is stopped afterwards: Postern by SIGTERM, which must end in exit code 0 and
without a sanitizer's report. Nothing sleeps in order to wait; no port is fixed; tests share
nothing. The program's path is in the environment variable POSTERN.

    class Example(Case):
        def test_bytes_pass_unchanged(self):
            broker = self.fake_broker(echo)
            postern = self.postern(broker)
            client = self.client(postern, version="1.3")
            client.send(b"hello")
            self.assertEqual(client.recv_exactly(5), b"hello")
            client.close()
            self.assertEqual(postern.end_of(client)["reason"], "client_closed")
"""

import functools
import json
import os
import re
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import abnf
import pki
from brokers import FakeBroker, Mosquitto, SilentPort
from clients import (PATIENCE, SLOW, Mqtt, TcpClient, TlsClient, tls_context, wait_until)
from load import Load

PROGRAM = os.environ.get("POSTERN", "postern")
ALL = os.environ.get("POSTERN_TEST_ALL") == "1"
SANITIZED = os.environ.get("POSTERN_SANITIZED") == "1"
REPORTS = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|"
                     r"UndefinedBehaviorSanitizer|Assertion .* failed")


# The log -------------------------------------------------------------------------------------

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z |<\d>")
_PAIR = re.compile(r' ([a-z_0-9]+)=("(?:[^"\\]|\\.)*"|\S+)')
_ESCAPE = re.compile(r'\\(x[0-9a-f]{2}|["\\])')


class Event(dict):
    """One line of the log: its name, its pairs, the raw text, when it was read."""

    def __init__(self, name, pairs, raw):
        super().__init__(pairs)
        self.name, self.raw, self.at = name, raw, time.monotonic()


def unquote(value):
    if not value.startswith('"'):
        return value
    text = _ESCAPE.sub(lambda m: chr(int(m[1][1:], 16)) if m[1][0] == "x" else m[1], value[1:-1])
    try:
        return text.encode("latin-1").decode("utf-8")  # it is bytes that the log escapes
    except UnicodeError:
        return text


def as_logged(text):
    """As it stands in a line of the log, where bytes beyond ASCII are escaped."""
    return text.encode().decode("ascii", "backslashreplace")


def parse_line(line):
    """The Event of a line that is well formed."""
    if line.startswith("{"):
        pairs = json.loads(line)
        return Event(pairs.pop("event"), pairs, line)
    rest = line[_TIME.match(line).end():]
    first = _PAIR.search(rest)
    if not first:
        return Event(rest, {}, line)
    pairs = {match[1]: unquote(match[2]) for match in _PAIR.finditer(rest, first.start())}
    return Event(rest[:first.start()], pairs, line)


def _unique(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise ValueError(f"a key twice: {keys}")
    return dict(pairs)


def is_of_sanitizer(raw):
    """AddressSanitizer says so where a program has a second stack; its reports are looked for
    elsewhere."""
    return SANITIZED and b"WARNING: ASan doesn't fully support makecontext" in raw


def is_well_formed(raw):
    """Whether bytes are a whole line of the log: of text, by the manual's grammar, or of JSON."""
    try:
        if not raw.startswith(b"{"):
            return bool(abnf.log_line().fullmatch(raw.decode("ascii")))
        pairs = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except ValueError:
        return False
    head, values = list(pairs)[:3], list(pairs.values())
    return (raw.endswith(b"}\n") and head == ["time", "level", "event"]
            and all(value is None or isinstance(value, (str, int, float)) for value in values))


# The program ---------------------------------------------------------------------------------

class Postern:
    """One run of the program. Start it through Case.postern()."""

    def __init__(self, config_file, address_count, arguments=(), descriptors=None,
                 wrapper=(PROGRAM,), **popen):
        self.config_file = config_file
        self.address_count = address_count
        self.lines, self.events, self.malformed = [], [], []
        self.foreign = ()  # how lines begin that something else in it writes to standard error
        self._news = threading.Condition()
        self._ended = False
        command = [*wrapper, *(["-c", config_file] if config_file else []), *arguments]

        def limit_descriptors():
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        if descriptors:
            popen["preexec_fn"] = limit_descriptors
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, **popen)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.process.pid

    def _read(self):
        with self.process.stderr as stream:
            for raw in stream:
                line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
                event = parse_line(line) if is_well_formed(raw) else None
                with self._news:
                    self.lines.append(line)
                    if event is None:
                        self.malformed.append(raw)
                    if event:
                        self.events.append(event)
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def log(self):
        with self._news:
            return "\n".join(self.lines)

    # Events.

    def mark(self):
        """Where the log is now: for `since`."""
        with self._news:
            return len(self.events)

    def all(self, name, since=0, **pairs):
        """The events so far of that name with those pairs."""
        with self._news:
            return [e for e in self.events[since:] if e.name == name
                    and all(e.get(key) == value for key, value in pairs.items())]

    def wait(self, *names, since=0, timeout=PATIENCE, **pairs):
        """The first event of one of these names with those pairs; waits for it."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for event in self.events[since:]:
                    if event.name in names and all(event.get(k) == v for k, v in pairs.items()):
                        return event
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    how = "the program ended" if self._ended else f"waited {timeout} s"
                    raise AssertionError(f"no event {names} with {pairs}: {how}")
                self._news.wait(left)

    def end_of(self, client, timeout=PATIENCE):
        """The closing line of that client's connection, whichever kind it is; not that of an
        earlier client from the same port, which the kernel may give again after a second."""
        return self.wait("session end", "handshake failed", peer=client.peer, since=client.since,
                         timeout=timeout)

    # Addresses.

    def wait_ready(self):
        with self._news:
            self._news.wait_for(
                lambda: self._ended
                or len([e for e in self.events if e.name == "ready"]) >= self.address_count,
                PATIENCE)
        ready = self.all("ready")
        if len(ready) < self.address_count:
            raise AssertionError(f"not ready: exit code {self.process.poll()}")
        self.addresses = [(e.get("listener"), *self._address(e)) for e in ready]
        return self

    @staticmethod
    def _address(event):
        host, port = (event.get("address") or event["listen"]).rsplit(":", 1)
        host = {"[::]": "::1", "0.0.0.0": "127.0.0.1"}.get(host, host.strip("[]"))
        return host, int(port)

    def address(self, listener=None, index=0):
        """(host, port) to connect to."""
        found = [a[1:] for a in self.addresses if listener in (None, a[0])]
        return found[index]

    @property
    def port(self):
        return self.address()[1]

    # Doing things to it.

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self):
        """SIGHUP; returns the event that reports its result."""
        mark = self.mark()
        self.signal(signal.SIGHUP)
        return self.wait("reload done", "reload refused", since=mark)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            return int(re.search(r"^Rss:\s+(\d+) kB", file.read(), re.M)[1]) * 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_stopped(self):
        """All its threads are, by SIGSTOP."""
        states = []
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/stat", encoding="ascii") as file:
                states.append(file.read().rsplit(")", 1)[1].split()[0])
        return set(states) == {"T"}

    def wait_exit(self, timeout=PATIENCE):
        """The exit code, once all its log has been read."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def stop(self):
        """Clean-up: must end by SIGTERM, with exit code 0 and no sanitizer's report."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.wait_exit()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait_exit()
            raise AssertionError("still running after SIGTERM") from None
        report = REPORTS.search(self.log())
        if report:
            raise AssertionError(f"a report: {report[0]}")
        malformed = [line for line in self.malformed
                     if not line.startswith(self.foreign) and not is_of_sanitizer(line)]
        if malformed:
            raise AssertionError(f"lines that are none of the log's: {malformed[:3]}")
        if code != getattr(self, "expected_exit", 0):
            raise AssertionError(f"exit code {code}")


def run_program(*arguments, timeout=PATIENCE, **options):
    """Runs the program to its end: for --check, --help and what cannot start."""
    done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    malformed = [line for line in done.stderr.splitlines(keepends=True)
                 if not is_well_formed(line) and not is_of_sanitizer(line)]
    if malformed and done.returncode != 2:  # a wrong command line is answered, not logged
        raise AssertionError(f"lines that are none of the log's: {malformed[:3]}")
    done.stdout, done.stderr = (text.decode("utf-8", "backslashreplace")
                                for text in (done.stdout, done.stderr))
    return done


@functools.lru_cache(maxsize=None)
def own_library():
    """Whether TLS is our own build of wolfSSL: the distribution's is slower and has less."""
    return "of the distribution" not in run_program("--version").stdout


@functools.lru_cache(maxsize=None)
def has_musl():
    """Whether the program's C library is musl: its file begins with the name of its loader."""
    with open(shutil.which(PROGRAM), "rb") as file:
        return b"/ld-musl-" in file.read(4096)


def usual_group(version):
    """What a client of this machine's OpenSSL, which has a hybrid group since 3.5, agrees on."""
    hybrid = version == "1.3" and ssl.OPENSSL_VERSION_INFO >= (3, 5) and own_library()
    return "X25519MLKEM768" if hybrid else "X25519"


@functools.lru_cache(maxsize=None)
def private_mounts():
    """The beginning of a command that may mount what others do not see; None if that cannot be."""
    for options in (["--mount"], ["--map-root-user", "--mount"]):
        command = ["unshare", *options]
        if shutil.which("unshare") and subprocess.run(
                [*command, "mount", "-t", "tmpfs", "none", "/run"], stdin=subprocess.DEVNULL,
                capture_output=True, check=False).returncode == 0:
            return tuple(command)
    return None


# Tests ---------------------------------------------------------------------------------------

class Case(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="postern-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self._started = []

    def run(self, result=None):
        """Shows the logs of a test that failed, clean-up included."""
        result = result or self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        self._started = []
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for started in self._started:
                log = started.log().splitlines()
                print(f"--- log in {self.id()} ({len(log)} lines)", *log[-80:], "---",
                      sep="\n", file=sys.stderr)
        return result

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        return pki.write(self.path(name), text)

    # Brokers.

    def fake_broker(self, handler=None, **options):
        broker = FakeBroker(handler, **options)
        self.addCleanup(broker.stop)
        return broker

    def silent_port(self):
        port = SilentPort()
        self.addCleanup(port.stop)
        return port

    def mosquitto(self, **options):
        broker = Mosquitto(self.folder, **options)
        self.addCleanup(broker.stop)
        self._started.append(broker)
        return broker

    # The program.

    def config(self, backend, listener=(), main=(), listen="127.0.0.1:0", certificate=None,
               more=""):
        """The text of a configuration with one listener; writes the certificate's files.

        listener, main: pairs for these sections; more: further sections. Certificates are given
        as a pki.Certificate, or as a list of section names that `more` defines.

        A broker that the test plays itself is dialled at the end of the handshake, and its client
        may stay silent; the others are dialled as by default.
        """
        played = isinstance(backend, FakeBroker) and backend.handler is None
        backend = getattr(backend, "address", backend)
        settings = {"workers": "2", "drain_timeout": "off", **dict(main)}
        if os.geteuid() != 0:  # without it, only root sees the descriptors and the memory
            settings.setdefault("core_dumps", "on")
        keys = {"listen": listen, "backend": backend, **dict(listener)}
        if played and "mqtt" not in keys:
            keys = {"dial": "handshake", "first_data_timeout": "off", **keys}
        text = "".join(["[postern]\n", *(f"{k} = {v}\n" for k, v in settings.items()),
                        "\n[listener mqtt]\n"])
        if "certificates" not in keys:
            keys["certificates"] = "main"
            more = self.certificate_section("main", certificate or pki.server()) + more
        return text + "".join(f"{k} = {v}\n" for k, v in keys.items()) + "\n" + more

    def certificate_section(self, name, certificate):
        """Writes the certificate's files into a folder of that name; returns the section."""
        certificate.write(self.path(name))
        chain = f"chain = {name}/chain.pem\n" if certificate.chain else ""
        return f"[certificate {name}]\ncert = {name}/cert.pem\n{chain}key = {name}/privkey.pem\n\n"

    def postern(self, backend=None, text=None, **options):
        """A Postern that is ready, in front of backend (a broker or an address).

        Options: listener={...}, main={...}, listen=, certificate=, more= as in config(), or the
        whole text; the rest goes to Postern().
        """
        parts = {k: options.pop(k) for k in ("listener", "main", "listen", "certificate", "more")
                 if k in options}
        text = text or self.config(backend, **parts)
        return self.start(self.write("postern.conf", text), **options)

    def start(self, config_file=None, address_count=None, ready=True, **options):
        if address_count is None:
            with open(config_file, encoding="utf-8") as file:
                listens = re.findall(r"^listen\s*=(.*)", file.read(), re.M)
            address_count = sum(len(line.split(",")) for line in listens)
        postern = Postern(config_file, address_count, **options)
        self._started.append(postern)
        self.addCleanup(postern.stop)
        return postern.wait_ready() if ready else postern

    # Clients.

    def client(self, postern, version=None, cert=None, ca=None, context=None, address=None,
               **options):
        """A TLS client whose handshake is complete and whose server is verified."""
        context = context or tls_context(ca or pki.authority().pem, version, cert)
        return self._connect(TlsClient, postern, address, context, **options)

    def tcp_client(self, postern, address=None, **options):
        return self._connect(TcpClient, postern, address, **options)

    def load(self, postern, rate):
        """Clients that come all the time, see load.Load."""
        load = Load(postern.address(), rate, self.write("load-ca.pem", pki.authority().pem))
        self.addCleanup(load.stop)
        return load

    def _connect(self, kind, postern, address, *context, **options):
        since = postern.mark()
        client = kind(address or postern.address(), *context, **options)
        client.since = since
        self.addCleanup(client.cut)
        return client

    def mqtt_client(self, postern, client_id="", **options):
        """An MQTT 3.1.1 client that is connected to the broker."""
        mqtt = Mqtt(self.client(postern, **options))
        self.assertEqual(mqtt.connect(client_id), 0)
        return mqtt

    def refused(self, connect):
        """Calls connect, which must meet a TLS alert; returns the exception's text."""
        with self.assertRaises(ssl.SSLError) as caught:
            connect()
        return str(caught.exception)

    def wait_until(self, condition, what, timeout=PATIENCE):
        return wait_until(condition, what, timeout)


def main():
    unittest.main(verbosity=2)


__all__ = ["ALL", "PATIENCE", "PROGRAM", "SANITIZED", "SLOW", "Case", "Mqtt", "TlsClient",
           "as_logged", "has_musl", "is_well_formed", "main", "own_library", "parse_line", "pki",
           "private_mounts", "run_program", "tls_context", "usual_group", "wait_until"]
