"""`postern --takeover`: an upgrade without a refused connection, and what happens when it fails."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import unittest

from admin import Admin, is_available
from brokers import echo
from clients import PATIENCE, SLOW, TlsClient
from harness import Case, main, pki, run_program, tls_context

RATE = int(os.environ.get("POSTERN_TAKEOVER_RATE", "40"))  # connections a second
NOBODY = 65534


class Peer:
    """One side of the takeover's protocol, played by the test."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE)


    def say(self, text, *fds):
        socket.send_fds(self.sock, [text if isinstance(text, bytes) else text.encode()], list(fds))

    def hear(self):
        """(bytes, descriptors); b"" at the end."""
        data, fds, _, _ = socket.recv_fds(self.sock, 4096, 64)
        return data, fds

    def ask(self, text, *fds):
        self.say(text, *fds)
        return self.hear()

    def collect(self):
        """All that the old process gives: a dict of lists."""
        given = {}
        while True:
            data, fds = self.ask("next")
            kind = data.split(b"\n")[0].decode()
            given.setdefault(kind, []).append((data, fds))
            if kind == "end" or kind.startswith("refused"):
                return given

    def close(self):
        self.sock.close()


def listening_sockets():
    """The inodes of all that listen for TCP here (proc(5))."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            with open(f"/proc/net/{name}", encoding="ascii") as file:
                rows = [line.split() for line in file.readlines()[1:]]
            inodes |= {row[9] for row in rows if row[3] == "0A"}
    return inodes


def sockets_of(postern):
    """The inodes of its sockets; none once it has ended."""
    inodes = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for number in os.listdir(f"/proc/{postern.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                link = os.readlink(f"/proc/{postern.pid}/fd/{number}")
                inodes |= {link[len("socket:["):-1]} if link.startswith("socket:[") else set()
    return inodes


def close_all(given):
    for messages in given.values():
        for _, fds in messages:
            for fd in fds:
                os.close(fd)


class Base(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker(echo)
        self.socket_path = self.path("takeover.sock")

    def main_keys(self, **more):
        return {"takeover": "takeover.sock", "drain_timeout": "1s", **more}

    def old(self, **options):
        main = self.main_keys(**options.pop("main", {}))
        return self.postern(self.broker, main=main, **options)

    def new(self, name="new.conf", ready=True, text=None, main=(), **options):
        """Another Postern that takes over. It has the old one's configuration unless given another."""
        start = {k: options.pop(k) for k in ("address_count", "env", "wrapper") if k in options}
        text = text or self.config(self.broker, main=self.main_keys(**dict(main)), **options)
        return self.start(self.write(name, text), arguments=["--takeover"], ready=ready, **start)

    def failing(self, postern, code=3):
        """That Postern must not come up; returns its last error."""
        postern.expected_exit = code
        self.assertEqual(postern.wait_exit(PATIENCE * 2), code, postern.log())
        return postern.all("cannot start")[-1]["message"]

    def asking(self):
        """A new process, played by the test."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(sock.close)
        sock.connect(self.socket_path)
        return Peer(sock)

    def talk(self, postern, **options):
        client = self.client(postern, **options)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        return client

    def serves(self, postern):
        """It, and nobody else, serves a client."""
        client = self.talk(postern)
        client.close()
        postern.end_of(client)

    def has_been_taken(self, old, new):
        """Waits until the old one has stopped accepting, in all its threads."""
        words = f"process {new.pid} has taken"
        self.wait_until(lambda: any(words in e["message"] for e in old.all("takeover")), words)
        new.wait("takeover")
        self.wait_until(lambda: not listening_sockets() & sockets_of(old), "the old one to close")


class Upgrade(Base):
    def test_nobody_is_refused_cut_off_or_without_resumption_under_load(self):
        old = self.old(main={"workers": "2"})
        load = self.load(old, RATE)
        load.wait(RATE)
        processes = [old]
        for workers in ("1", "3", "2"):
            new = self.new(main={"workers": workers})
            self.assertEqual(new.address(), old.address())
            self.has_been_taken(processes[-1], new)
            processes.append(new)
            load.wait(RATE)
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertGreater(load.resumed, 10)
        self.assertEqual(load.full, 0, "tickets go on")
        print(f"{load.done} clients at {RATE}/s over 3 takeovers, {load.resumed} resumed, 0 failed")
        for postern in processes[:-1]:
            self.assertEqual(postern.wait_exit(PATIENCE * 2), 0)

    def test_a_client_in_the_middle_of_its_handshake_completes_it(self):
        for version in ("1.2", "1.3"):
            old = self.old(main={"workers": "1"})
            context = tls_context(pki.authority().pem, version)
            client = self.client(old, context=context, handshake=False)
            hello = client.hello()
            client.raw_send(hello[:20])
            self.talk(old).close()  # the other one was accepted before it
            new = self.new()
            self.has_been_taken(old, new)
            client.raw_send(hello[20:])
            client.handshake()
            client.send(b"x")
            self.assertEqual(client.recv_exactly(1), b"x")
            client.close()
            self.assertEqual(old.end_of(client)["reason"], "client_closed")
            self.assertEqual(old.wait_exit(), 0)
            self.serves(new)
            new.signal(signal.SIGTERM)
            self.assertEqual(new.wait_exit(), 0)

    def test_sessions_stay_until_they_are_drained(self):
        old = self.old(main={"drain_timeout": "500ms"})
        client = self.talk(old)
        new = self.new()
        self.has_been_taken(old, new)
        client.send(b"y")
        self.assertEqual(client.recv_exactly(1), b"y")
        self.serves(new)
        self.assertEqual(client.recv(), b"", "a clean end")
        self.assertEqual(old.end_of(client)["reason"], "drained")
        client.close()
        self.assertEqual(old.wait_exit(), 0)

    def test_a_stop_of_the_old_one_does_not_wait(self):
        old = self.old(main={"drain_timeout": "1h"})
        self.talk(old)
        new = self.new()
        self.has_been_taken(old, new)
        start = time.monotonic()
        old.signal(signal.SIGTERM)
        self.assertEqual(old.wait_exit(), 0)
        self.assertLess(time.monotonic() - start, 5 * SLOW)
        self.serves(new)

    def test_the_service_manager_gets_to_know_the_new_process(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(manager.close)
        manager.bind(self.path("notify"))
        manager.settimeout(PATIENCE)
        text = self.config(self.broker, main=self.main_keys())
        old = self.start(self.write("postern.conf", text),
                         env={**os.environ, "NOTIFY_SOCKET": self.path("notify")})
        new = self.new()
        self.has_been_taken(old, new)
        self.assertEqual(old.wait_exit(), 0)
        seen = []
        while not any(f"MAINPID={new.pid}" in text for text in seen):
            seen.append(manager.recv(4096).decode())
        manager.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                seen.append(manager.recv(4096).decode())
        self.assertNotIn("STOPPING=1", "\n".join(seen), "the service goes on")

    def test_listeners_of_only_one_of_them(self):
        more = "[listener second]\nlisten = 127.0.0.1:0\nbackend = {0}\ncertificates = main\n"
        more = more.format(self.broker.address)
        old = self.postern(text=self.config(self.broker, main=self.main_keys()) + more)
        gone = old.address("second")
        third = more.replace("second", "third").replace("127.0.0.1:0", "[::1]:0")
        new = self.new(text=self.config(self.broker, main=self.main_keys()) + third)
        self.has_been_taken(old, new)
        self.assertEqual(new.address("mqtt"), old.address("mqtt"))
        self.serves(new)
        self.talk(new, address=new.address("third"))
        self.assertEqual(old.wait_exit(), 0)
        with self.assertRaises(ConnectionRefusedError):
            self.tcp_client(new, address=gone)

    def test_nothing_is_left_open_over_many_takeovers(self):
        postern = self.old()
        usual = postern.descriptors()
        for number in range(5):
            new = self.new(f"new{number}.conf")
            self.has_been_taken(postern, new)
            self.assertEqual(postern.wait_exit(), 0)
            postern = new
        self.wait_until(lambda: postern.descriptors() == usual, f"{usual} descriptors")

    def test_a_changed_configuration_takes_effect(self):
        old = self.old()
        other = pki.authority().issue("other", names=["localhost"])
        new = self.new(certificate=other)
        self.has_been_taken(old, new)
        self.assertEqual(self.talk(new).peer_serial(), other.serial_hex)

    def test_session_ids_of_tls_1_2_are_not_taken_along(self):
        """Documented: such a client has a full handshake once."""
        old = self.old()
        context = tls_context(pki.authority().pem, "1.2")
        context.options |= ssl.OP_NO_TICKET
        first = self.talk(old, context=context)
        session = first.tls.session
        first.close()
        new = self.new()
        self.has_been_taken(old, new)
        again = self.talk(new, context=context, session=session)
        self.assertFalse(again.tls.session_reused)

    def test_an_ordinary_start_on_the_same_address_fails(self):
        old = self.old()
        text = self.config(self.broker, listen="127.0.0.1:%d" % old.port,
                           main={"takeover": "other.sock"})
        result = run_program("-c", self.write("second.conf", text))
        self.assertEqual(result.returncode, 3)
        self.assertIn("another program", result.stderr)
        self.serves(old)

    def test_an_ordinary_start_does_not_take_the_socket_of_another(self):
        old = self.old()
        result = run_program("-c", self.write("second.conf", self.config(
            self.broker, main=self.main_keys())))
        self.assertEqual(result.returncode, 3)
        self.assertIn("another Postern listens there", result.stderr)
        self.has_been_taken(old, self.new())

    def test_the_socket_is_for_its_user_alone_and_goes_with_the_process(self):
        old = self.old()
        mode = os.stat(self.socket_path).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        new = self.new()
        self.has_been_taken(old, new)
        self.assertEqual(old.wait_exit(), 0)
        self.assertTrue(os.path.exists(self.socket_path), "it is the new one's")
        new.signal(signal.SIGTERM)
        self.assertEqual(new.wait_exit(), 0)
        self.assertFalse(os.path.exists(self.socket_path))
        self.assertEqual([n for n in os.listdir(self.folder) if "takeover.sock" in n], [])

    def test_a_socket_that_a_killed_process_left_is_replaced(self):
        killed = self.old()
        killed.expected_exit = -signal.SIGKILL
        killed.signal(signal.SIGKILL)
        killed.wait_exit()
        self.assertTrue(os.path.exists(self.socket_path))
        old = self.old()
        self.has_been_taken(old, self.new())

    def test_the_key_cannot_change_in_a_reload(self):
        old = self.old()
        self.write("postern.conf", self.config(self.broker, main=self.main_keys(takeover="b.sock")))
        self.assertIn("takeover cannot change", old.reload()["message"])


class Failures(Base):
    """In each case somebody serves, and a proper takeover works afterwards."""

    def old_is_fine(self, old):
        self.serves(old)
        new = self.new("fine.conf")
        self.has_been_taken(old, new)
        self.serves(new)

    def test_the_new_configuration_is_bad(self):
        old = self.old()
        self.failing(self.new(text="garbage\n", ready=False, address_count=1), code=1)
        self.assertEqual(old.all("takeover refused"), [])
        self.old_is_fine(old)

    def test_the_new_configuration_has_no_takeover(self):
        old = self.old()
        new = self.start(self.write("none.conf", self.config(self.broker)),
                         arguments=["--takeover"], ready=False)
        self.assertIn("without the key `takeover`", self.failing(new, code=1))
        self.old_is_fine(old)

    def test_the_command_line_names_no_file(self):
        for more in (["--check"], ["--listen", "127.0.0.1:0", "--cert", "c", "--key", "k"]):
            self.assertEqual(run_program("--takeover", *more).returncode, 2)

    def test_the_new_one_cannot_bind_what_is_new_in_it(self):
        old = self.old()
        with socket.create_server(("127.0.0.1", 0)) as other:
            listen = "127.0.0.1:0, 127.0.0.1:%d" % other.getsockname()[1]
            new = self.new(listen=listen, ready=False, address_count=2)
            self.assertIn("another program", self.failing(new))
        self.assertIn("ended before it served", old.wait("takeover refused")["message"])
        self.old_is_fine(old)

    def test_nobody_listens_at_the_path(self):
        """An ordinary start, so that somebody serves."""
        new = self.new()
        self.assertIn("ordinary start", new.wait("takeover")["message"])
        self.serves(new)
        self.has_been_taken(new, self.new("newer.conf"))

    def test_another_version_of_the_protocol_is_refused(self):
        old = self.old()
        peer = self.asking()
        answer, _ = peer.ask("postern-takeover 2")
        self.assertTrue(answer.startswith(b"refused "), answer)
        self.assertIn(b"version 1", answer)
        self.assertEqual(peer.hear(), (b"", []))
        old.wait("takeover refused")
        self.old_is_fine(old)

    def test_messages_that_do_not_belong(self):
        old = self.old()
        with open(os.devnull, "rb") as null:
            for words in ([b"hello"], [b"next"], [b"serving"], [b"postern-takeover x"],
                          [b"x" * 3000], [b"postern-takeover 1", b"serving"],
                          [b"postern-takeover 1", b"next ", b"next"],
                          [b"postern-takeover 1", b"postern-takeover 1"]):
                peer = self.asking()
                for word in words:
                    answer, fds = peer.ask(word)
                    for fd in fds:
                        os.close(fd)
                    if answer.startswith(b"refused"):
                        break
                self.assertTrue(answer.startswith(b"refused "), (words, answer))
                peer.close()
            peer = self.asking()
            answer, _ = peer.ask(b"postern-takeover 1", *[null.fileno()] * 30)
            self.assertTrue(answer.startswith(b"refused "), answer)
            peer.close()
        self.wait_until(lambda: not [n for n in os.listdir(f"/proc/{old.pid}/fd")
                                     if self.leads_to_null(old, n)], "descriptors to be closed")
        self.old_is_fine(old)

    @staticmethod
    def leads_to_null(postern, number):
        try:
            return int(number) > 2 and os.readlink(f"/proc/{postern.pid}/fd/{number}") == os.devnull
        except OSError:
            return False

    def test_the_new_one_dies_half_way(self):
        old = self.old()
        for steps in range(3):
            peer = self.asking()
            if steps > 0:
                self.assertTrue(peer.ask("postern-takeover 1")[0].startswith(b"welcome 1 "))
            if steps > 1:
                given = peer.collect()
                self.assertEqual(sorted(given), ["end", "path", "sockets chosen", "tickets"])
                close_all(given)
            peer.close()
        self.assertIn("ended before it served", old.wait("takeover refused")["message"])
        self.old_is_fine(old)

    def test_who_asks_while_another_takeover_is_under_way_waits(self):
        old = self.old()
        peer = self.asking()
        peer.ask("postern-takeover 1")
        new = self.new(ready=False)
        self.assertRaises(AssertionError, new.wait, "ready", timeout=0.5)
        peer.close()
        new.wait_ready()
        self.has_been_taken(old, new)

    def test_what_is_given_is_enough_to_serve(self):
        """As a program of another make would: the queue and the keys are with it."""
        old = self.old(main={"workers": "3"})
        peer = self.asking()
        peer.ask("postern-takeover 1")
        given = peer.collect()
        (_, fds), = given["sockets chosen"]
        self.assertEqual(len(fds), 3)
        self.assertEqual(len(given["tickets"][0][0]), len(b"tickets\n") + 40)
        self.assertEqual(peer.ask("serving")[0], b"taken")
        self.assertEqual(old.wait_exit(), 0)
        waiting = self.tcp_client(old)  # not refused: the sockets are here
        self.assertTrue(os.path.exists(self.socket_path), "the other's from now on")
        waiting.cut()
        close_all(given)
        peer.close()

    def test_sigterm_to_the_old_one_meanwhile(self):
        """It stops as asked, and what it has given serves on."""
        old = self.old(main={"drain_timeout": "1h"})
        for _ in range(2):  # the drain ends one of them soon, and keeps the other
            self.talk(old)
        peer = self.asking()
        peer.ask("postern-takeover 1")
        given = peer.collect()
        old.signal(signal.SIGTERM)
        old.wait("stopping")
        self.assertEqual(peer.ask("serving")[0], b"taken")
        old.signal(signal.SIGTERM)
        self.assertEqual(old.wait_exit(), 0)
        self.assertTrue(os.path.exists(self.socket_path))
        self.tcp_client(old).cut()
        close_all(given)

    def test_a_stopping_one_is_not_taken_over(self):
        old = self.old(main={"drain_timeout": "1h"})
        for _ in range(2):
            self.talk(old)
        old.signal(signal.SIGTERM)
        old.wait("stopping")
        self.wait_until(lambda: not os.path.exists(self.socket_path), "the socket to go")
        new = self.new()
        self.assertIn("ordinary start", new.wait("takeover")["message"])
        self.serves(new)


class OldSide(Base):
    """The old process is played by the test."""

    def setUp(self):
        super().setUp()
        self.play()

    def play(self):
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(self.listening.close)
        self.listening.bind(self.socket_path)
        os.chmod(self.socket_path, 0o600)
        self.listening.listen(4)
        self.listening.settimeout(PATIENCE)
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.tcp.close)
        self.listen = "127.0.0.1:%d" % self.tcp.getsockname()[1]

    def asked(self):
        """Starts the new one, and greets it."""
        new = self.new(listen=self.listen, ready=False, main={"workers": "2"})
        peer = Peer(self.listening.accept()[0])
        self.addCleanup(peer.close)
        self.assertEqual(peer.hear()[0], b"postern-takeover 1")
        return new, peer

    def give(self, peer, *answers):
        for answer in answers:
            self.assertEqual(peer.hear()[0], b"next")
            peer.say(*(answer if isinstance(answer, tuple) else (answer,)))

    def all_of_it(self):
        return [("sockets fixed", self.tcp.fileno()), ("path", self.listening.fileno()),
                b"tickets\n", "end"]

    def test_clients_in_the_queue_are_served(self):
        early = self.queued_client()
        new, peer = self.asked()
        peer.say("welcome 1 %d" % os.getpid())
        self.give(peer, *self.all_of_it())
        self.assertEqual(peer.hear()[0], b"serving")
        peer.say("taken")
        new.wait_ready()
        early.handshake()
        early.send(b"x")
        self.assertEqual(early.recv_exactly(1), b"x")
        self.listening.close()
        self.has_been_taken(new, self.new("newer.conf", listen=self.listen))

    def queued_client(self):
        client = TlsClient(self.tcp.getsockname(), tls_context(pki.authority().pem, "1.3"),
                           handshake=False)
        self.addCleanup(client.cut)
        return client

    def test_it_dies_before_it_has_given_all(self):
        """The new one starts by itself, with what it has got."""
        for answers in ([], [("sockets fixed", self.tcp.fileno())]):
            new, peer = self.asked()
            early = self.queued_client()
            peer.say("welcome 1 %d" % os.getpid())
            self.give(peer, *answers)
            self.listening.close()
            if not answers:
                self.tcp.close()
            peer.close()
            new.wait_ready()
            self.assertIn("ended before", new.wait("takeover")["message"])
            self.serves(new)
            if answers:
                early.handshake()
            new.signal(signal.SIGTERM)
            self.assertEqual(new.wait_exit(), 0)
            self.tcp.close()
            self.play()

    def test_it_dies_before_it_answers_that_it_is_taken(self):
        new, peer = self.asked()
        peer.say("welcome 1 1")
        self.give(peer, *self.all_of_it())
        self.assertEqual(peer.hear()[0], b"serving")
        self.listening.close()
        peer.close()
        self.assertIn("has ended", new.wait("takeover")["message"])
        new.wait_ready()
        self.serves(new)
        self.has_been_taken(new, self.new("newer.conf", listen=self.listen))

    def test_the_new_process_ends_if_the_old_one_refuses_after_all(self):
        """It goes on by itself; two must not serve."""
        for late in (False, True):
            new, peer = self.asked()
            peer.say("welcome 1 1")
            self.give(peer, *self.all_of_it())
            if not late:
                self.assertEqual(peer.hear()[0], b"serving")
            peer.say("refused it did not serve in time")
            peer.close()  # what the new one has sent is not read: its end of the socket is reset
            self.assertIn("did not serve in time", self.failing(new))
            self.assertTrue(os.path.exists(self.socket_path))

    def test_what_it_answers_is_not_understood(self):
        over = b"tickets\n" + bytes(17 * 40)
        for bad in ("welcome", "welcome 2 1", "hello", b"\xff" * 3000,
                    ["welcome 1 1", "next"], ["welcome 1 1", "sockets fixed"],
                    ["welcome 1 1", over], ["welcome 1 1", b"tickets\n" + bytes(39)],
                    ["welcome 1 1", b"tickets\n" + b"\xff" * 40],
                    ["welcome 1 1", ("path", self.listening.fileno(), self.tcp.fileno())]):
            with self.subTest(bad=bad):
                new, peer = self.asked()
                first, *rest = bad if isinstance(bad, list) else [bad]
                peer.say(first)
                self.give(peer, *rest)
                self.failing(new)
                peer.close()

    def test_it_gives_another_socket_as_that_of_takeovers(self):
        new, peer = self.asked()
        peer.say("welcome 1 1")
        self.give(peer, ("path", self.tcp.fileno()))
        self.assertIn("not a takeover's", self.failing(new))

    def test_it_gives_what_is_no_listening_socket(self):
        """Such a descriptor is closed; the address is bound anew."""
        new, peer = self.asked()
        peer.say("welcome 1 1")
        self.tcp.close()
        with open(os.devnull, "rb") as null, socket.socket() as idle, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            self.give(peer, ("sockets fixed", null.fileno(), idle.fileno(), datagrams.fileno()),
                      ("path", self.listening.fileno()), "end")
        self.assertEqual(peer.hear()[0], b"serving")
        peer.say("taken")
        new.wait_ready()
        self.serves(new)

    def test_the_new_process_ends_if_the_old_one_does_not_answer(self):
        new, _ = self.asked()
        self.assertIn("did not answer", self.failing(new))


class Trust(Base):
    def refused_at_start(self, text, arguments=()):
        result = run_program("-c", self.write("bad.conf", text), *arguments)
        self.assertEqual(result.returncode, 3, result.stderr)
        return result.stderr

    def test_a_folder_in_which_others_can_write_is_refused(self):
        os.mkdir(self.path("open"))
        for mode in (0o777, 0o1777, 0o775):
            os.chmod(self.path("open"), mode)
            text = self.config(self.broker, main=self.main_keys(takeover="open/t.sock"))
            for arguments in ((), ("--takeover",)):
                self.assertIn("others can write", self.refused_at_start(text, arguments))

    def test_what_is_not_a_socket_stays(self):
        target = self.write("target", "precious")
        os.symlink(target, self.path("link"))
        os.symlink(self.path("nowhere"), self.path("dangling"))
        for name in ("target", "link", "dangling"):
            text = self.config(self.broker, main=self.main_keys(takeover=name))
            for arguments in ((), ("--takeover",)):
                self.assertIn("not a socket", self.refused_at_start(text, arguments))
        with open(target, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        self.assertFalse(os.path.exists(self.path("nowhere")))

    def test_a_folder_that_is_missing_and_names_that_cannot_be(self):
        for name, words in (("none/t.sock", "make the folder"), ("x" * 65, "1 to 64 characters"),
                            ("folder/", "1 to 64 characters"), ("..", "1 to 64 characters")):
            text = self.config(self.broker, main=self.main_keys(takeover=name))
            self.assertIn(words, self.refused_at_start(text))

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_another_user_is_refused(self):
        old = self.old()
        os.chmod(self.folder, 0o755)
        ask = ("import socket, sys\n"
               "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
               "s.connect(sys.argv[1])\n"
               "print(s.recv(4096).decode())\n")
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                   sys.executable, "-c", ask, self.socket_path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertIn("PermissionError", done.stderr, "the file's mode keeps them out")
        os.chmod(self.socket_path, 0o666)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.strip(), f"refused it is of user {NOBODY}")
        self.assertIn(f"of user {NOBODY}", old.wait("takeover refused")["message"])
        self.has_been_taken(old, self.new())

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root and setpriv")
    def test_a_socket_of_another_user_is_not_asked(self):
        """A file of theirs in a folder of ours, and a process of theirs behind a file of ours."""
        theirs = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(theirs.close)
        theirs.bind(self.socket_path)
        os.seteuid(NOBODY)
        try:
            theirs.listen(4)
        finally:
            os.seteuid(0)
        text = self.config(self.broker, main=self.main_keys())
        self.assertIn(f"of user {NOBODY}", self.refused_at_start(text, ["--takeover"]))
        os.chown(self.socket_path, NOBODY, NOBODY)
        self.assertIn("not a socket of this user", self.refused_at_start(text, ["--takeover"]))

    @unittest.skipUnless(os.geteuid() == 0, "needs root")
    def test_root_replaces_it_again_where_it_becomes_another_user(self):
        os.chmod(self.folder, 0o755)
        text = self.config(self.broker, main=self.main_keys(user=str(NOBODY), group=str(NOBODY)))
        for name in ("cert.pem", "privkey.pem"):
            os.chown(self.path(f"main/{name}"), 0, NOBODY)
            os.chmod(self.path(f"main/{name}"), 0o640)
        file = self.write("postern.conf", text)
        for path in (file, self.path("main")):
            os.chmod(path, 0o755)
        running = self.start(file)
        for _ in range(3):
            new = self.start(file, arguments=["--takeover"])
            self.has_been_taken(running, new)
            running = new


@unittest.skipUnless(is_available(), "built without the admin socket")
class AdminSocket(Base):
    """It is answered after a takeover, and after one that failed."""

    def check(self, address):
        old = self.old(main={"admin": address})
        admin = Admin.of(old)
        main = {"admin": old.wait("admin")["listen"]}
        if os.geteuid() == 0:  # fails when all is bound
            broken = self.new("broken.conf", ready=False, main={"user": "no-such-user", **main})
            self.failing(broken, 1)
            self.assertEqual(admin.get("/ready").text, "ready\n")
        for _ in range(2):
            new = self.new(main=main)
            self.has_been_taken(old, new)
            self.assertEqual(old.wait_exit(), 0)
            self.assertEqual(admin.get("/ready").text, "ready\n")
            old = new
        return old

    def test_the_admin_socket_on_tcp_is_taken_along(self):
        self.check("127.0.0.1:0")

    def test_the_admin_socket_on_a_unix_socket_goes_with_the_last_process(self):
        last = self.check("unix:" + self.path("admin.sock"))
        last.signal(signal.SIGTERM)
        self.assertEqual(last.wait_exit(), 0)
        self.assertFalse(os.path.exists(self.path("admin.sock")))

    def test_another_address_is_opened_and_the_old_one_goes(self):
        old = self.old(main={"admin": "unix:" + self.path("admin.sock")})
        new = self.new(main={"admin": "unix:" + self.path("other.sock")})
        self.has_been_taken(old, new)
        self.assertEqual(old.wait_exit(), 0)
        self.assertFalse(os.path.exists(self.path("admin.sock")))
        self.assertEqual(Admin.of(new).get("/ready").text, "ready\n")


if __name__ == "__main__":
    main()
