"""Asks a Postern by its admin socket, over TCP or a unix socket."""

import http.client
import os
import re
import socket
import subprocess

from clients import PATIENCE
from harness import PROGRAM

SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


class _Connection(http.client.HTTPConnection):
    def __init__(self, address):
        host, port = address if isinstance(address, tuple) else ("localhost", 80)
        super().__init__(host, port, timeout=PATIENCE)
        self._address = address

    def connect(self):
        family = socket.AF_UNIX if isinstance(self._address, str) else \
            socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._address)


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.text = response.read().decode()


class Admin:
    """`address` is a path or (host, port)."""

    def __init__(self, address):
        self.address = address

    @classmethod
    def of(cls, postern):
        listen = postern.wait("admin")["listen"]
        if listen.startswith("unix:"):
            return cls(listen.removeprefix("unix:"))
        host, port = listen.rsplit(":", 1)
        return cls((host.strip("[]"), int(port)))

    def ask(self, method, path, headers=(), body=None):
        connection = _Connection(self.address)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, {name.replace("_", "-"): v for name, v in headers.items()})

    def post(self, path):
        return self.ask("POST", path)

    def metrics(self):
        return Metrics(self.get("/metrics").text)

    def ctl(self, *arguments):
        """`postern ctl` with this address."""
        address = f"unix:{self.address}" if isinstance(self.address, str) else \
            "{}:{}".format(*self.address)
        return ctl("--admin", address, *arguments)


def ctl(*arguments):
    return subprocess.run([PROGRAM, "ctl", *arguments], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=PATIENCE, check=False)


class Metrics:
    """The samples of a page."""

    def __init__(self, text):
        self.text, self.samples = text, []
        for line in text.splitlines():
            if not line.startswith("#"):
                name, labels, value = SAMPLE.match(line).groups()
                self.samples.append((name, dict(LABEL.findall(labels or "")), float(value)))

    def names(self):
        return {name for name, _, _ in self.samples}

    def has(self, name, **labels):
        return any(n == name and labels.items() <= found.items() for n, found, _ in self.samples)

    def sum(self, name, **labels):
        """Of all samples with these labels."""
        return sum(value for n, found, value in self.samples
                   if n == name and labels.items() <= found.items())


def is_available():
    """Whether this build has an admin socket."""
    done = subprocess.run([PROGRAM, "--check", "--cert", "-", "--key", "-", "--admin", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=PATIENCE, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    return "built without the admin socket" not in done.stderr
