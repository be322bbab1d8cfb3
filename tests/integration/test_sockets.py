"""The service manager's side: inherited sockets, readiness, reload and stopping, watchdog."""

import contextlib
import os
import signal
import socket
import sys
import time

from brokers import echo
from clients import PATIENCE, SLOW
from harness import PROGRAM, Case, main

# As systemd starts a service: sockets from descriptor 3 on, and its own process id in LISTEN_PID.
INHERIT = """
import os, sys
for number, source in enumerate(sys.argv[1].split(',')):
    os.dup2(int(source) , 100 + number)
for number in range(len(sys.argv[1].split(','))):
    os.dup2(100 + number, 3 + number)
    os.close(100 + number)
os.environ.update(LISTEN_FDS=str(number + 1), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Inherited(Case):
    def listener(self, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, 0), family=family, backlog=100)
        self.addCleanup(sock.close)
        return sock

    def datagram_socket(self):
        """Its port is free for a TCP listener, and a socket that is bound and does not listen keeps
        it so."""
        while True:
            keeper = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(keeper.close)
            self.addCleanup(sock.close)
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                sock.bind(keeper.getsockname())
                return sock

    def inheriting(self, *sockets, **options):
        """A Postern that inherits these listening sockets."""
        listen = ", ".join("%s:%d" % (f"[{s.getsockname()[0]}]" if s.family == socket.AF_INET6
                                      else s.getsockname()[0], s.getsockname()[1])
                           for s in sockets)
        file = self.write("postern.conf", self.config(self.fake_broker(echo), listen=listen,
                                                      **options))
        numbers = [s.fileno() for s in sockets]
        wrapper = [sys.executable, "-c", INHERIT, ",".join(map(str, numbers)), PROGRAM]
        return self.start(file, wrapper=wrapper, pass_fds=numbers)

    def talk(self, postern, address, **options):
        client = self.client(postern, address=address, **options)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        return client

    def test_an_inherited_socket_serves_with_all_workers(self):
        sock = self.listener()
        postern = self.inheriting(sock, main={"workers": "3"})
        self.assertEqual(postern.port, sock.getsockname()[1])
        for _ in range(20):
            self.talk(postern, postern.address())

    def test_several_inherited_sockets_are_matched_by_their_addresses(self):
        first, second = self.listener(), self.listener("::1")
        postern = self.inheriting(second, first)
        for sock in (first, second):
            self.talk(postern, sock.getsockname()[:2])

    def test_an_inherited_socket_that_does_not_listen_is_not_used(self):
        sock = self.datagram_socket()
        postern = self.inheriting(sock)
        self.talk(postern, sock.getsockname())
        postern.wait("socket activation")

    def test_a_client_that_connected_before_the_start_is_served(self):
        sock = self.listener()
        first = self.inheriting(sock)
        self.talk(first, first.address())
        first.signal(signal.SIGTERM)
        self.assertEqual(first.wait_exit(), 0)
        early = self.client(first, handshake=False)
        self.inheriting(sock)
        early.handshake()
        early.send(b"x")
        self.assertEqual(early.recv_exactly(1), b"x")

    def test_sockets_meant_for_another_process_are_not_used(self):
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        postern = self.start(file, env={**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"})
        self.talk(postern, postern.address())


class Notify(Case):
    def manager(self, abstract=False):
        """Listens where the service manager would; returns its socket and the environment."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        path = f"\0{self.folder}/notify" if abstract else self.path("notify")
        sock.bind(path)
        sock.settimeout(PATIENCE)
        return sock, {**os.environ, "NOTIFY_SOCKET": path.replace("\0", "@")}

    def expect(self, sock, *wanted):
        """Reads messages until all wanted assignments came, in that order."""
        seen, wanted = [], list(wanted)
        while wanted:
            try:
                text = sock.recv(4096).decode()
            except TimeoutError:
                self.fail(f"{wanted[0]} never came: {seen}")
            seen.append(text)
            while wanted and any(line.startswith(wanted[0]) for line in text.splitlines()):
                wanted.pop(0)
        return "\n".join(seen)

    def test_ready_reload_and_stopping_are_notified(self):
        for abstract in (False, True):
            sock, env = self.manager(abstract)
            file = self.write("postern.conf", self.config(self.fake_broker(echo)))
            postern = self.start(file, env=env)
            self.expect(sock, "READY=1")
            self.assertEqual(postern.reload().name, "reload done")
            self.assertIn("MONOTONIC_USEC=", self.expect(sock, "RELOADING=1", "READY=1"))
            postern.signal(signal.SIGTERM)
            self.expect(sock, "STOPPING=1")
            self.assertEqual(postern.wait_exit(), 0)
            if not abstract:
                os.unlink(self.path("notify"))

    def test_clients_can_connect_once_ready_is_notified(self):
        sock, env = self.manager()
        with socket.create_server(("127.0.0.1", 0)) as chooser:
            address = chooser.getsockname()[:2]
        file = self.write("postern.conf", self.config(self.fake_broker(echo),
                                                      listen="%s:%d" % address))
        postern = self.start(file, env=env, ready=False)
        self.expect(sock, "READY=1")
        self.client(postern, address=address)
        postern.wait_ready()

    def test_a_refused_reload_is_notified_as_ready_again(self):
        sock, env = self.manager()
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        postern = self.start(file, env=env)
        self.expect(sock, "READY=1")
        os.unlink(self.path("main/cert.pem"))
        self.assertEqual(postern.reload().name, "reload refused")
        self.expect(sock, "RELOADING=1", "READY=1")

    def test_the_watchdog_is_notified_in_time(self):
        sock, env = self.manager()
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        postern = self.start(file, env={**env, "WATCHDOG_USEC": "1000000"})
        moments = []
        for _ in range(8):
            self.expect(sock, "WATCHDOG=1")
            moments.append(time.monotonic())
        # The machine may have its own pauses: half of the gaps must be short.
        gaps = sorted(b - a for a, b in zip(moments, moments[1:]))
        self.assertLess(gaps[len(gaps) // 2], 0.5 * SLOW)
        self.assertIsNone(postern.process.poll())

    def test_a_watchdog_meant_for_another_process_is_not_notified(self):
        sock, env = self.manager()
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        self.start(file, env={**env, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"})
        self.expect(sock, "READY=1")
        sock.settimeout(1)
        with self.assertRaises(TimeoutError):
            while "WATCHDOG=1" not in sock.recv(4096).decode():
                pass

    def test_it_runs_without_a_service_manager(self):
        environment = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        self.start(file, env=environment)
        missing = {**environment, "NOTIFY_SOCKET": self.path("nobody"), "WATCHDOG_USEC": "500000"}
        self.start(file, env=missing)


if __name__ == "__main__":
    main()
