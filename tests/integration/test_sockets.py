"""The service manager's side: inherited sockets, readiness, reload and stopping, watchdog."""

import contextlib
import os
import signal
import socket
import sys
import time

from brokers import echo
from clients import PATIENCE, SLOW, TlsClient, tls_context
from harness import PROGRAM, Case, main, pki

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


class Base(Case):
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

    def inheriting(self, *sockets, env=None, **options):
        """A Postern that inherits these listening sockets."""
        own = ", ".join("%s:%d" % (f"[{s.getsockname()[0]}]" if s.family == socket.AF_INET6
                                   else s.getsockname()[0], s.getsockname()[1])
                        for s in sockets)
        listen = options.pop("listen", own)
        file = self.write("postern.conf", self.config(self.fake_broker(echo), listen=listen,
                                                      **options))
        numbers = [s.fileno() for s in sockets]
        wrapper = [sys.executable, "-c", INHERIT, ",".join(map(str, numbers)), PROGRAM]
        return self.start(file, wrapper=wrapper, pass_fds=numbers, env=env)

    def talk(self, postern, address, **options):
        client = self.client(postern, address=address, **options)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        return client


class Inherited(Base):
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

    def test_a_restart_under_load_refuses_and_cuts_off_nobody(self):
        """With the socket held by another process, as systemd does. Clients that were accepted just
        before the end complete their handshakes; the others wait for the next Postern."""
        sock = self.listener()
        main = {"drain_timeout": "2s"}
        postern = self.inheriting(sock, main=main)
        load = self.load(postern, 30)
        for _ in range(3):
            load.wait(30)
            postern.signal(signal.SIGTERM)
            self.assertEqual(postern.wait_exit(), 0)
            postern = self.inheriting(sock, main=main)
        load.wait(30)
        load.stop()
        self.assertEqual(load.failures, [])
        print(f"{load.done} clients over 3 restarts, 0 failed")

    def test_a_handshake_under_way_is_completed_where_the_socket_is_kept(self):
        sock = self.listener()
        postern = self.inheriting(sock, main={"drain_timeout": "10s", "workers": "1"})
        client = self.client(postern, handshake=False)
        hello = client.hello()
        client.raw_send(hello[:20])
        self.talk(postern, postern.address()).close()  # the other one was accepted before it
        postern.signal(signal.SIGTERM)
        postern.wait("stopping")
        client.raw_send(hello[20:])
        client.handshake()
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        client.close()
        self.assertEqual(postern.wait_exit(), 0)
        self.assertEqual(postern.end_of(client)["reason"], "client_closed")

    def test_every_socket_of_an_address_is_served(self):
        """Those of another number of workers: each has a queue of its own."""
        first = socket.socket()
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.bind(("127.0.0.1", 0))
        group = [first]
        for _ in range(4):
            group.append(socket.socket())
            group[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            group[-1].bind(first.getsockname())
        for sock in group:
            self.addCleanup(sock.close)
            sock.listen(100)
        address = first.getsockname()
        for workers in ("1", "2", "5", "8"):
            early = [self.early_client(address) for _ in range(30)]
            postern = self.inheriting(*group, main={"workers": workers}, listen="%s:%d" % address)
            for client in early:
                client.handshake()
                client.close()
            self.assertEqual(postern.all("socket activation"), [])
            postern.signal(signal.SIGTERM)
            self.assertEqual(postern.wait_exit(), 0)

    def early_client(self, address):
        client = TlsClient(address, tls_context(pki.authority().pem), handshake=False)
        self.addCleanup(client.cut)
        return client

    def test_a_stopping_process_does_not_watch_what_the_next_one_accepts(self):
        """Its sockets stay open elsewhere: each connection there would wake it."""
        sock = self.listener()
        postern = self.inheriting(sock, main={"drain_timeout": "1h"})
        for _ in range(2):  # the drain ends one of them soon, and keeps the other
            self.talk(postern, postern.address())
        self.assertTrue(self.watches(postern, sock))
        postern.signal(signal.SIGTERM)
        self.wait_until(lambda: not self.watches(postern, sock), "it to look away")
        self.assertIsNone(postern.process.poll())
        postern.signal(signal.SIGTERM)

    @staticmethod
    def watches(postern, sock):
        """Whether the socket is in one of its epoll sets (proc(5))."""
        wanted = f"ino:{os.fstat(sock.fileno()).st_ino:x} "
        for number in os.listdir(f"/proc/{postern.pid}/fdinfo"):
            with contextlib.suppress(FileNotFoundError):
                with open(f"/proc/{postern.pid}/fdinfo/{number}", encoding="ascii") as file:
                    if wanted in file.read():
                        return True
        return False

    def test_sockets_meant_for_another_process_are_not_used(self):
        file = self.write("postern.conf", self.config(self.fake_broker(echo)))
        postern = self.start(file, env={**os.environ, "LISTEN_FDS": "1", "LISTEN_PID": "1"})
        self.talk(postern, postern.address())


class Manager(Base):
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

class Stored(Manager):
    """Sockets that Postern opened itself, and gave the manager to keep."""

    def stored(self, sock, count):
        """{name: descriptors} of the next so many messages that store some."""
        found = {}
        while len(found) < count:
            text, fds, _, _ = socket.recv_fds(sock, 4096, 64)
            lines = text.decode().splitlines()
            if "FDSTORE=1" in lines:
                name, = (line[len("FDNAME="):] for line in lines if line.startswith("FDNAME="))
                found.setdefault(name, []).extend(fds)
        for fds in found.values():
            for fd in fds:
                self.addCleanup(os.close, fd)
        return found

    def free_address(self):
        with socket.create_server(("127.0.0.1", 0)) as chooser:
            return chooser.getsockname()[:2]

    def begin(self, env, *addresses, **options):
        text = self.config(self.fake_broker(echo), **options,
                           listen=", ".join("%s:%d" % a for a in addresses))
        return self.start(self.write("postern.conf", text), env=env)

    def begin_again(self, env, stored, *addresses, **options):
        """As the manager starts the service with what it has stored."""
        pairs = [(name, fd) for name, fds in stored.items() for fd in fds]
        env = {**env, "LISTEN_FDNAMES": ":".join(name for name, _ in pairs)}
        sockets = [socket.socket(fileno=os.dup(fd)) for _, fd in pairs]
        for sock in sockets:
            self.addCleanup(sock.close)
        return self.inheriting(*sockets, env=env, listen=", ".join("%s:%d" % a for a in addresses),
                               **options)

    def test_clients_wait_while_it_restarts(self):
        sock, env = self.manager()
        address = self.free_address()
        postern = self.begin(env, address, main={"workers": "3"})
        stored = self.stored(sock, 1)
        self.assertEqual({name: len(fds) for name, fds in stored.items()},
                         {"listen-127.0.0.1_%d" % address[1]: 3})
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        early = [self.client(postern, handshake=False) for _ in range(20)]
        following = self.begin_again(env, stored, address, main={"workers": "2"})
        for client in early:
            client.handshake()
            client.send(b"x")
            self.assertEqual(client.recv_exactly(1), b"x")
        self.assertEqual(following.all("socket activation"), [])

    def test_the_manager_forgets_addresses_that_are_gone(self):
        sock, env = self.manager()
        first, second = self.free_address(), self.free_address()
        postern = self.begin(env, first, second)
        stored = self.stored(sock, 2)
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        self.begin_again(env, stored, first)
        seen = self.expect(sock, "STOPPING=1", "FDSTOREREMOVE=1", "READY=1")
        self.assertIn("FDSTOREREMOVE=1\nFDNAME=listen-127.0.0.1_%d" % second[1], seen)

    def test_a_start_that_fails_leaves_them_with_the_manager(self):
        sock, env = self.manager()
        first = self.free_address()
        postern = self.begin(env, first)
        stored = self.stored(sock, 1)
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        self.expect(sock, "STOPPING=1")
        taken = self.listener()
        with self.assertRaises(AssertionError):
            self.begin_again(env, stored, taken.getsockname())
        self._started[-1].expected_exit = 3
        self.assertEqual(self._started[-1].wait_exit(), 3)
        sock.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while "FDSTOREREMOVE" not in sock.recv(4096).decode():
                pass

    def test_a_port_that_the_system_chose_is_not_kept(self):
        sock, env = self.manager()
        self.begin(env, ("127.0.0.1", 0))
        while "READY=1" not in (text := sock.recv(4096).decode()):
            self.assertNotIn("FDSTORE", text)

    def test_a_socket_unit_s_socket_is_not_stored(self):
        sock, env = self.manager()
        listening = self.listener()
        self.inheriting(listening, env=env)
        while "READY=1" not in (text := sock.recv(4096).decode()):
            self.assertNotIn("FDSTORE", text)


class Notify(Manager):
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

    def test_the_delay_before_draining_is_in_the_status(self):
        sock, env = self.manager()
        file = self.write("postern.conf", self.config(self.fake_broker(echo),
                                                      main={"drain_delay": "300ms"}))
        postern = self.start(file, env=env)
        self.expect(sock, "READY=1")
        postern.signal(signal.SIGTERM)
        self.expect(sock, "STOPPING=1", "STATUS=Draining", "STATUS=Disconnecting")
        self.assertEqual(postern.wait_exit(), 0)

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
