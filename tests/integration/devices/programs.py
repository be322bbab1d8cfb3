"""The client programs: how each is run for one cell of the table, and what it is able to do.

A program's run() does the task of field.py `runs` times and returns its output and whether it
reports success. The relay and Postern's log decide what happened, not that.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

from clients import PATIENCE, SLOW, Mqtt
from devices.field import DOWN, HERE, MESSAGE
from harness import PROGRAM

BOTH = ("1.2", "1.3")


@functools.lru_cache(maxsize=None)
def scratch():
    """A folder for what is compiled and installed: beside the program, kept between runs."""
    beside = os.path.dirname(os.path.abspath(PROGRAM))
    base = beside if os.access(beside, os.W_OK) else tempfile.gettempdir()
    path = os.path.join(base, "device-clients")
    os.makedirs(path, exist_ok=True)
    return path


def must_run(*command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command[0]}: {done.stdout}"
    return done.stdout


@functools.lru_cache(maxsize=None)
def npm_folder():
    """Where the pinned packages of npm/ are; installed when the lock file has changed."""
    with open(os.path.join(HERE, "npm/package-lock.json"), "rb") as lock:
        folder = os.path.join(scratch(), "npm-" + hashlib.sha256(lock.read()).hexdigest()[:12])
    with open(folder + ".lock", "w", encoding="ascii") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # another test program may want it at the same time
        if not os.path.exists(os.path.join(folder, "complete")):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(os.path.join(HERE, "npm"), folder)
            must_run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder,
                     timeout=240)
            with open(os.path.join(folder, "complete"), "w", encoding="ascii"):
                pass
    for script in ("mqttjs.js", "aws1.js", "aws2.js"):
        shutil.copy(os.path.join(HERE, "npm", script), folder)
    return folder


class Program:
    name = ""
    versions = BOTH      # that it speaks
    ways = {"1.2": (), "1.3": ()}  # how it resumes, by version
    unverified = "yes"   # what it means here to verify nothing
    alert = "48"         # what it sends a server that it does not trust; None: it just leaves
    quick = True         # part of the usual suite
    messages_of_two_runs = 2

    def missing(self):
        """What has to be installed first; None if nothing."""
        return None

    def run(self, case, port, ca, up, runs=1, way=None, kind="rsa"):
        """ca: a file, or None to verify nothing. Returns (whether it succeeded, its output)."""
        done = case.run_client(*self.command(port, ca or "-", up, runs, way, kind),
                               **self.options())
        return done.returncode == 0, done.stdout

    def command(self, port, ca, up, runs, way, kind):
        raise NotImplementedError

    def options(self):
        return {}


class BearSsl(Program):
    name = "BearSSL 0.6 (Tasmota's profile)"
    versions = ("1.2",)
    ways = {"1.2": ("ID",), "1.3": ()}
    alert = None
    program = os.environ.get("DEVICE_BEARSSL", "")

    def missing(self):
        return None if self.program else "libbearssl-dev"

    def command(self, port, ca, up, runs, way, kind):
        trust = ["--fingerprint", "any"] if ca == "-" else ["--ca", ca]
        suites = ["--ecdsa"] if kind == "ecdsa" else []
        return [self.program, "--port", port, "--down", DOWN, "--up", up, "--runs", runs, *trust,
                *suites]


class Mosquitto(Program):
    """mosquitto_sub takes the message, mosquitto_pub sends it on."""
    name = "mosquitto_pub, mosquitto_sub"
    unverified = "name only"

    def run(self, case, port, ca, up, runs=1, way=None, kind="rsa"):
        trust = ["--cafile", ca or case.path("ca.pem"), *([] if ca else ["--insecure"])]
        where = ["-h", "localhost", "-p", str(port), *trust]
        for _ in range(runs):
            got = self._call("mosquitto_sub", *where, "-t", DOWN, "-C", "1", "-N", "-W", "20")
            if got.returncode != 0:
                return False, got.stderr.decode()
            sent = self._call("mosquitto_pub", *where, "-t", up, "-q", "1", "-s", data=got.stdout)
            if sent.returncode != 0:
                return False, sent.stderr.decode()
        return True, ""

    @staticmethod
    def _call(*command, data=b""):
        return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE * 2 * SLOW)


class PipeStream:
    """A program's standard input and output as a stream for Mqtt."""

    def __init__(self, process):
        self.process = process

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def recv_exactly(self, size):
        data = self.process.stdout.read(size)
        if len(data) != size:
            raise EOFError
        return data


class Piped(Program):
    """A program that passes its standard input through TLS: the MQTT in it is ours."""

    def converse(self, case, command, up):
        with open(case.path("words"), "w+", encoding="utf-8", errors="replace") as words:
            with subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=words) as process:
                good = self._task(Mqtt(PipeStream(process)), up)
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    good = False
            words.seek(0)
            return good, words.read()

    @staticmethod
    def _task(mqtt, up):
        try:
            if mqtt.connect() != 0:
                return False
            mqtt.subscribe(DOWN, qos=0)
            payload = mqtt.receive()[1]
            mqtt.publish(up, payload)
            mqtt.stream.send(b"\xe0\x00")
            mqtt.stream.process.stdin.close()
            return payload == MESSAGE
        except (EOFError, BrokenPipeError):
            return False


class OpenSsl(Piped):
    name = "openssl s_client"
    ways = {"1.2": ("ticket", "ID"), "1.3": ("ticket",)}

    def run(self, case, port, ca, up, runs=1, way=None, kind="rsa"):
        session = case.path("session.pem")
        for number in range(runs):
            command = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}",
                       "-servername", "localhost", "-sess_out", session]
            if ca:
                command += ["-CAfile", ca, "-verify_return_error", "-verify_hostname", "localhost"]
            if number:
                command += ["-sess_in", session]
            if way == "ID":
                command += ["-no_ticket"]
            good, words = self.converse(case, command, up)
            if not good:
                return False, words
        return True, ""


class GnuTls(Piped):
    """With -r it connects, leaves at once, and does the task in the resumed session."""
    name = "gnutls-cli"
    messages_of_two_runs = 1
    alert = "42"
    ways = {"1.2": ("ticket", "ID"), "1.3": ("ticket",)}

    def missing(self):
        return None if shutil.which("gnutls-cli") else "gnutls-bin"

    def run(self, case, port, ca, up, runs=1, way=None, kind="rsa"):
        command = ["gnutls-cli", "--logfile", case.path("gnutls.log"), "--port", port, "localhost",
                   "--sni-hostname", "localhost"]
        command += ["--x509cafile", ca] if ca else ["--insecure"]
        if way == "ID":
            command += ["--priority", "NORMAL:%NO_TICKETS"]
        if runs > 1:
            command += ["--resume", "--waitresumption"]
        return self.converse(case, command, up)


class PahoC(Program):
    name = "Paho C"
    quick = False

    def missing(self):
        return None if os.path.exists("/usr/include/MQTTClient.h") else "libpaho-mqtt-dev"

    @functools.lru_cache(maxsize=None)
    def program(self):
        path = os.path.join(scratch(), "paho")
        must_run("cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-o", path,
                 os.path.join(HERE, "paho.c"), "-lpaho-mqtt3cs")
        return path

    def command(self, port, ca, up, runs, way, kind):
        return [self.program(), port, ca, DOWN, up, runs]


class PahoGo(Program):
    """Resumes because its program asks for that (ClientSessionCache)."""
    name = "Paho Go"
    alert = "42"
    ways = {"1.2": ("ticket",), "1.3": ("ticket",)}
    quick = False
    library = "/usr/share/gocode/src/github.com/eclipse/paho.mqtt.golang"

    def missing(self):
        if not shutil.which("go"):
            return "golang-go"
        return None if os.path.exists(self.library) else "golang-github-eclipse-paho.mqtt.golang-dev"

    @functools.lru_cache(maxsize=None)
    def program(self):
        path = os.path.join(scratch(), "paho-go")
        must_run("go", "build", "-o", path, os.path.join(HERE, "paho.go"), cwd=scratch(), env={
            **os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
            "GOCACHE": os.path.join(scratch(), "go-cache")})
        return path

    def command(self, port, ca, up, runs, way, kind):
        return [self.program(), port, ca, DOWN, up, runs]

    def options(self):
        # What a module for Go 1.24 or newer has by default; outside of modules it is Go 1.20's.
        return {"env": {**os.environ, "GODEBUG": "tlsmlkem=1"}}


class PahoPython(Program):
    name = "Paho Python"
    quick = False

    @functools.lru_cache(maxsize=None)
    def python(self):
        """The first interpreter that has the library: the distribution's has its packages."""
        for python in (sys.executable, "/usr/bin/python3"):
            if subprocess.run([python, "-c", "import paho.mqtt.client"],
                              stderr=subprocess.DEVNULL).returncode == 0:
                return python
        return None

    def missing(self):
        return None if self.python() else "python3-paho-mqtt"

    def command(self, port, ca, up, runs, way, kind):
        return [self.python(), os.path.join(HERE, "paho_client.py"), port, ca, DOWN, up, runs]


class MqttJs(Program):
    name = "MQTT.js"
    alert = None
    quick = False

    def missing(self):
        return None if shutil.which("npm") else "npm"

    def command(self, port, ca, up, runs, way, kind):
        return ["node", os.path.join(npm_folder(), "mqttjs.js"), port, ca, DOWN, up, runs]


class Java(Program):
    name = "Java (JDK's TLS)"
    alert = "46"
    ways = {"1.2": ("ticket", "ID"), "1.3": ("ticket",)}
    quick = False

    def missing(self):
        return None if shutil.which("javac") else "default-jdk-headless"

    @functools.lru_cache(maxsize=None)
    def classes(self):
        folder = os.path.join(scratch(), "java")
        must_run("javac", "-d", folder, os.path.join(HERE, "Device.java"))
        return folder

    def command(self, port, ca, up, runs, way, kind):
        tickets = str(way != "ID").lower()
        return ["java", "-cp", self.classes(), "-XX:TieredStopAtLevel=1",
                f"-Djdk.tls.client.enableSessionTicketExtension={tickets}", "Device", port, ca,
                DOWN, up, runs]


PROGRAMS = (BearSsl, Mosquitto, OpenSsl, GnuTls, PahoC, PahoGo, PahoPython, MqttJs, Java)
