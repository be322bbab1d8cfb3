"""The brokers that Postern connects to: a real Mosquitto, and brokers that misbehave on purpose."""

import contextlib
import os
import re
import select
import socket
import struct
import subprocess
import tempfile
import threading

from clients import PATIENCE, wait_until


class Peer:
    """A broker's end of one connection."""

    def __init__(self, sock, timeout=PATIENCE):
        self.sock = sock
        self.sock.settimeout(timeout)

    def send(self, data):
        self.sock.sendall(data)

    def recv(self, size=262144):
        return self.sock.recv(size)

    def recv_exactly(self, size):
        got = bytearray()
        while len(got) < size:
            data = self.sock.recv(min(size - len(got), 262144))
            if not data:
                raise AssertionError(f"closed after {len(got)} of {size} bytes")
            got += data
        return bytes(got)

    def recv_until(self, tail):
        """Everything up to and with these bytes."""
        got = bytearray()
        while not got.endswith(tail):
            data = self.sock.recv(65536)
            if not data:
                raise AssertionError(f"closed after {bytes(got)!r}")
            got += data
        return bytes(got)

    def recv_all(self):
        """Everything until the end of the stream."""
        got = bytearray()
        while data := self.sock.recv(262144):
            got += data
        return bytes(got)

    def end_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def echo(peer):
    while data := peer.recv():
        peer.send(data)


def close_at_once(peer):
    pass


def reset_at_once(peer):
    peer.reset()


class FakeBroker:
    """Listens on loopback (or a unix socket) and does what the test says.

    Without a handler the test takes each connection with accept(); with one, each connection runs
    it in a thread and is closed when it returns. down() and up() refuse and serve at the same
    address, which no other program can take meanwhile.
    """

    def __init__(self, handler=None, up=True, host="127.0.0.1", path=None):
        self.path, self.handler = path, handler
        self._lock, self._open, self._threads = threading.Lock(), [], []
        self.failures = []
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.address = f"unix:{path}"
        else:
            self.listener = self._reserve(host)
            self.port = self.listener.getsockname()[1]
            self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self._wake_read, self._wake_write = os.pipe()
        if up:
            self.up()
        if handler:
            self._run(self._accept_loop)

    @staticmethod
    def _reserve(host):
        """A socket bound to a port by number: it keeps the port while it does not listen."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        chooser, keeper = socket.socket(family), socket.socket(family)
        for sock in (chooser, keeper):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        chooser.bind((host, 0))
        keeper.bind((host, chooser.getsockname()[1]))
        chooser.close()
        return keeper

    def up(self):
        self.listener.listen(1024)

    def down(self):
        """Connections are refused from now on; established ones stay."""
        self.listener.shutdown(socket.SHUT_RDWR)

    def _run(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept_loop(self):
        while True:
            ready, _, _ = select.select([self.listener, self._wake_read], [], [], 0.05)
            if self._wake_read in ready:
                return
            try:
                self.listener.setblocking(False)
                sock, _ = self.listener.accept()
            except OSError:
                continue  # down, or gone again
            self._run(self._serve, self._remember(sock))

    def _serve(self, peer):
        try:
            self.handler(peer)
        except OSError:
            pass
        except Exception as error:  # shown by the test's clean-up
            self.failures.append(error)
        peer.close()

    def _remember(self, sock):
        sock.setblocking(True)
        peer = Peer(sock)
        with self._lock:
            self._open.append(peer)
        return peer

    def accept(self, timeout=PATIENCE):
        self.listener.settimeout(timeout)
        sock, _ = self.listener.accept()
        return self._remember(sock)

    def has_connection(self, wait=0):
        """Whether a connection waits that the test has not accepted yet."""
        return bool(select.select([self.listener], [], [], wait)[0])

    def connections(self):
        """How many connections were accepted in all."""
        with self._lock:
            return len(self._open)

    def stop(self):
        os.write(self._wake_write, b"x")
        for peer in self._open:
            try:
                peer.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(PATIENCE)
        for peer in self._open:
            peer.close()
        self.listener.close()
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self.failures:
            raise self.failures[0]


class SilentPort:
    """An address where connecting gets no answer at all: a listener whose queue is full."""

    def __init__(self):
        self.listener = FakeBroker._reserve("127.0.0.1")
        self.listener.listen(0)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self._fillers = []
        while len(self._fillers) < 16:
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self.listener.getsockname())
            self._fillers.append(filler)
            if not select.select([], [filler], [], 0.1)[1]:
                return
        raise AssertionError("the listener's queue never filled")

    def stop(self):
        for sock in [*self._fillers, self.listener]:
            sock.close()


def listening_ports(pid):
    """The TCP ports on which that process of ours listens."""
    own, ports = set(), set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            own.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), \
                open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def mosquitto_program():
    """Another one than the system's can be named by the environment variable MOSQUITTO."""
    return os.environ.get("MOSQUITTO") or next(
        (p for p in ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto") if os.path.exists(p)),
        "mosquitto")


def mosquitto_version():
    """As a pair of numbers; (0, 0) where there is none."""
    try:
        said = subprocess.run([mosquitto_program(), "-h"], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        return 0, 0
    found = re.search(r"mosquitto version (\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


class Mosquitto:
    """The real broker, on a port chosen by the system or on a unix socket, in plaintext."""

    def __init__(self, folder=None, path=None, settings="allow_anonymous true\n"):
        self.folder = folder or tempfile.mkdtemp()
        self.path, self.settings = path, settings
        self.process = self.port = None
        self._last_log = ""
        for _ in range(20):
            if path is None:
                with socket.socket() as chooser:
                    chooser.bind(("127.0.0.1", 0))
                    self.port = chooser.getsockname()[1]
            if self.start():
                return
        raise AssertionError("mosquitto does not start: " + self.log())

    @property
    def address(self):
        return f"unix:{self.path}" if self.path else f"127.0.0.1:{self.port}"

    def log(self):
        """Its log; nothing once the test's folder is gone."""
        if not os.path.exists(self._log_path):
            return self._last_log
        with open(self._log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self):
        """False if the port was taken by somebody else meanwhile."""
        config = os.path.join(self.folder, f"mosquitto-{id(self)}.conf")
        self._log_path = config[:-4] + "log"
        listener = f"listener {self.port} 127.0.0.1"
        if self.path:  # by its name, from its folder: no space is allowed here
            listener = f"listener 0 {os.path.basename(self.path)}"
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"{listener}\npersistence false\nmax_queued_messages 0\n"
                       f"sys_interval 0\nset_tcp_nodelay true\n{self.settings}")
            if os.geteuid() == 0:
                file.write("user root\n")
        with open(self._log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([mosquitto_program(), "-c", config], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL,
                                            cwd=os.path.dirname(self.path or config))
        return wait_until(lambda: self.process.poll() is not None or self._answers(),
                          "mosquitto to start") and self.process.poll() is None

    def _answers(self):
        if self.path:
            return os.path.exists(self.path)
        # A connection could meet another program on the port, so we look at its own sockets.
        return listening_ports(self.process.pid) == {self.port}

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self._last_log = self.log()
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()


