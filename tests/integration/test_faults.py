"""Each system call and each allocation fails once: at the start, in a session, in a reload, while
draining. The start is refused with a reason, or the one session ends with a reason, or the reload
is refused; everything else goes on, and nothing is lost.

Every place is tried for system calls. Of allocations there are many: a sample of them, unless
POSTERN_TEST_ALL=1 asks for all.
"""

import itertools
import os
import signal
import ssl
import threading
import time
import unittest

import faults
from brokers import echo
from clients import TlsClient, Truncated, mqtt_connect, mqtt_packet
from faults import CALLS_THAT_FAIL, ERRORS, Faults
from harness import ALL, PATIENCE, PROGRAM, SANITIZED, Case, main, own_library, pki, tls_context

SAMPLE = 250  # allocations of each phase that fail in the normal suite
HELLO = b"hello" * 20
LONG = os.urandom(40000)
# Blocks that the library itself loses when it has no memory (a list of curves, for one), in all.
LOST = 3
COUNTED = os.environ.get("POSTERN_COUNTED") == "1"
GONE = (OSError, ssl.SSLError, Truncated, AssertionError)


def sample(count):
    """Numbers from 1 to count: all, or so many of them, evenly spread."""
    if ALL or count <= SAMPLE:
        return list(range(1, count + 1))
    return sorted({1 + i * (count - 1) // (SAMPLE - 1) for i in range(SAMPLE)})


@unittest.skipIf(SANITIZED, "sanitizers have their own allocator")
@unittest.skipUnless(faults.LIBRARY, "built without the library that makes calls fail")
class FaultCase(Case):
    workers = "1"
    # A name is looked up by threads of which each keeps some memory: not where that is counted.
    broker_host = "127.0.0.1"

    def setUp(self):
        super().setUp()
        self.faults = Faults(self.folder, PROGRAM)
        brokers = [self.fake_broker(echo).port for _ in range(2)]
        devices = pki.authority("Device CA")
        self.write("ca.pem", devices.pem)
        self.write("crl.pem", devices.crl([99]))
        text = self.config(f"{self.broker_host}:{brokers[0]}",
                           listener={"close_timeout": "500ms"},
                           main={"workers": self.workers, "drain_timeout": "100ms",
                                 "log_level": "debug"},
                           more=self.second_listener(brokers[1]))
        self.config_file = self.write("postern.conf", text)
        self.plain = tls_context(pki.authority().pem, "1.3")
        self.old = tls_context(pki.authority().pem, "1.2", pki.client())
        self.ticket = None
        self.visitors = itertools.count()

    def second_listener(self, port):
        """An RSA key, client certificates and a list of the revoked, a CONNECT written anew."""
        return (self.certificate_section("rsa", pki.server("rsa"))
                + "[listener identity]\nlisten = 127.0.0.1:0\n"
                  f"backend = 127.0.0.1:{port}\ncertificates = rsa\n"
                  "client_auth = required\nclient_ca = ca.pem\nclient_crl = crl.pem\n"
                  "mqtt = identity\nclose_timeout = 500ms\n")

    def launch(self, **options):
        return self.start(self.config_file, env=self.faults.environment(), **options)

    # What clients do.

    def talk(self, client):
        client.send(HELLO)
        self.assertEqual(client.recv_exactly(len(HELLO)), HELLO)
        client.send(LONG)
        self.assertEqual(client.recv_exactly(len(LONG)), LONG)

    def talk_mqtt(self, client):
        client.send(mqtt_connect("a"))
        answer = mqtt_connect("a", username="device-1")
        self.assertEqual(client.recv_exactly(len(answer)), answer)
        publish = mqtt_packet(0x30, b"\0\1t" + HELLO)
        client.send(publish)
        self.assertEqual(client.recv_exactly(len(publish)), publish)

    def visit(self, postern, listener, context, talk, session=None):
        """One session from beginning to end: (the reason in its closing line, or None if it was
        not accepted; what the client met, or None if all went well). Each comes from an address of
        its own, since one address has few lines."""
        since, problem, number = postern.mark(), None, next(self.visitors)
        client = TlsClient(postern.address(listener), context, session=session, handshake=False,
                           source=f"127.0.{1 + number // 250 % 250}.{1 + number % 250}")
        try:
            client.handshake()
            talk(client)
        except TimeoutError:
            raise AssertionError("a client waits for something that does not come") from None
        except GONE as error:
            problem = repr(error)
        client.close()
        lines = ["session end", "handshake failed"] + (["accept failed"] if problem else [])
        return postern.wait(*lines, since=since).get("reason"), problem

    def visits(self, postern):
        """One client of each kind."""
        return [self.visit(postern, "mqtt", self.plain, self.talk, self.ticket),
                self.visit(postern, "identity", self.old, self.talk_mqtt)]

    def take_ticket(self, postern):
        client = self.client(postern, context=self.plain, address=postern.address("mqtt"))
        self.talk(client)
        self.ticket = client.tls.session
        client.close()
        postern.end_of(client)

    # What must hold afterwards.

    def serves(self, postern, patience=0):
        """New clients are served, at once or within some seconds."""
        good, pause = [("client_closed", None)] * 2, threading.Event()
        deadline = time.monotonic() + patience
        while (met := self.visits(postern)) != good:
            self.assertLess(time.monotonic(), deadline, f"the next clients: {met}")
            pause.wait(0.2)  # refusals are logged at a bounded rate

    def each(self, kind, numbers, attempt):
        """attempt(kind, number, error) for each number, until there is no such call. Returns how
        many there were."""
        failures = 0
        for number in numbers:
            self.assertLess(failures, 5, "so many fail that the rest is not tried")
            error = ERRORS[kind][number % len(ERRORS[kind])]
            with self.subTest(kind=kind, number=number, error=error):
                try:
                    if not attempt(kind, number, error):
                        return number - 1
                except Exception as failure:
                    failures += 1
                    raise AssertionError(f"{kind} at {self.faults.where()}: {failure}") from failure
        return len(numbers)

    def each_call(self, attempt, **limits):
        """Each call of each kind; of some, only so many."""
        made = {kind: self.each(kind, range(1, limits.get(kind, 1000) + 1), attempt)
                for kind in CALLS_THAT_FAIL}
        print("calls made to fail:", *(f"{kind} {n}" for kind, n in made.items() if n))


class Start(FaultCase):
    workers = "2"
    broker_host = "localhost"

    def attempt(self, kind, number, error):
        self.faults.arm(kind, number, error)
        postern = self.launch(ready=False)
        try:
            postern.wait_ready()
        except AssertionError:
            postern.expected_exit = postern.wait_exit()
            self.assertIn(postern.expected_exit, (1, 3))
            refusals = postern.all("cannot start")
            self.assertEqual(len(refusals), 1)
            self.assertGreater(len(refusals[0]["message"]), 10)
            return self.faults.disarm()
        self.serves(postern, PATIENCE)
        postern.stop()
        return self.faults.disarm()

    def test_each_system_call(self):
        # Without its log we know nothing; and without threads for names, which come after the
        # workers, libuv aborts.
        self.each_call(self.attempt, write=0, thread=int(self.workers))

    @unittest.skipIf(COUNTED, "coverage counters allocate as well")
    def test_each_allocation(self):
        """But those of libseccomp: it does not survive every failed one (it loops, or leaves rules
        out), and makes the filter once, before the first client."""
        with open(self.config_file, encoding="utf-8") as file:
            text = file.read().replace("[postern]\n", "[postern]\nsandbox = off\n")
        self.write("postern.conf", text)
        postern = self.launch()
        count = self.faults.calls("allocate")
        postern.stop()
        self.each("allocate", sample(count), self.attempt)
        print("allocations at the start:", count)


class Life(FaultCase):
    def setUp(self):
        super().setUp()
        self.running = self.launch()
        self.take_ticket(self.running)
        self.serves(self.running)
        self.assertEqual(self.running.reload().name, "reload done")
        self.serves(self.running)
        self.descriptors = self.running.descriptors()
        self.living = self.living_at_rest()

    def living_at_rest(self):
        """Allocations that stay when the sessions are over."""
        seen = []
        self.wait_until(lambda: seen.append(self.faults.living()) or len(seen) > 5
                        and len(set(seen[-5:])) == 1, "memory to come back")
        return seen[-1]

    def is_sound(self, kind):
        self.assertIsNone(self.running.process.poll(), "it has ended")
        # A broker that refused a connection is tried again after a second.
        self.serves(self.running, patience=PATIENCE if kind == "connect" else 0)
        self.wait_until(lambda: self.running.descriptors() <= self.descriptors,
                        "descriptors to come back")
        self.wait_until(lambda: self.faults.living() <= self.living + LOST, "memory to come back")

    def session(self, kind, number, error):
        self.faults.arm(kind, number, error)
        met = self.visits(self.running)
        came = self.faults.disarm()
        failed = [reason for reason, problem in met if problem]
        if not came:
            self.assertEqual(failed, [])
            return False
        self.assertLessEqual(len(failed), 1, met)
        if kind == "allocate":
            self.assertLessEqual(set(failed), {"out_of_memory", None}, met)
        if kind != "shutdown":
            self.assertFalse(any("timeout" in str(reason) for reason, _ in met), met)
        self.is_sound(kind)
        if kind == "allocate":
            threading.Event().wait(0.06)  # all addresses together have 20 lines a second
        return True

    def reload(self, kind, number, error):
        self.faults.arm(kind, number, error)
        event = self.running.reload()
        came = self.faults.disarm()
        if came:
            self.is_sound(kind)
        else:
            self.assertEqual(event.name, "reload done")
        if event.name == "reload refused":
            self.assertGreater(len(event["message"]), 10)
            self.assertEqual(self.running.reload().name, "reload done")
        return came

    def rests(self):
        """Nothing turns in circles."""
        before = self.running.cpu_seconds()
        self.assertRaises(AssertionError, self.running.wait, "nothing", timeout=0.5)
        self.assertLessEqual(self.running.cpu_seconds() - before, 0.05)

    def test_each_system_call_of_a_session(self):
        self.each_call(self.session, write=0)
        self.rests()

    def test_each_system_call_of_a_reload(self):
        self.each_call(self.reload, write=0)
        self.rests()

    def count(self, act):
        before = self.faults.calls("allocate")
        act(self.running)
        return self.faults.calls("allocate") - before

    def test_each_allocation_of_a_session(self):
        count = self.count(self.visits)
        self.each("allocate", sample(count), self.session)
        print("allocations of the sessions:", count)
        self.rests()

    def test_each_allocation_of_a_reload(self):
        count = self.count(lambda postern: postern.reload())
        self.each("allocate", sample(count), self.reload)
        print("allocations of a reload:", count)
        self.rests()


@unittest.skipIf(COUNTED, "coverage counters are written at the end")
class Drain(FaultCase):
    """The last part of a life, for each kind of call that it makes."""

    def attempt(self, kind, number, error):
        postern = self.launch()
        client = self.client(postern, context=self.plain, address=postern.address("mqtt"))
        self.talk(client)
        self.faults.arm(kind, number, error)
        postern.signal(signal.SIGTERM)
        try:
            client.recv_all()
        except GONE:
            pass
        client.close()
        self.assertEqual(postern.wait_exit(), 0)
        came = self.faults.disarm()
        if not came:
            self.assertEqual(postern.end_of(client)["reason"], "drained")
        self.assertIn(postern.end_of(client)["reason"], ("drained", "client_reset", "broker_reset"))
        return came

    def test_each_system_call(self):
        self.each_call(self.attempt, write=0)

    def test_each_allocation(self):
        self.each("allocate", range(1, 1000), self.attempt)


class Log(FaultCase):
    def test_a_log_that_nobody_takes_stops_nothing(self):
        """Each line fails once: it is missing, and nothing else is."""
        postern = self.launch()
        self.serves(postern)
        for number, error in enumerate(ERRORS["write"] * 4):
            self.faults.arm("write", 1 + number // len(ERRORS["write"]), error)
            client = self.client(postern, context=self.plain, address=postern.address("mqtt"))
            self.talk(client)
            client.close()
            postern.signal(signal.SIGHUP)
            self.wait_until(self.faults.has_failed, "a line that is not written")
            self.serves(postern)


if __name__ == "__main__":
    main()
