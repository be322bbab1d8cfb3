"""Limits: whatever a peer can make grow has a bound, and established sessions are not affected."""

import resource
import signal
import threading
import time

from brokers import echo
from clients import SLOW, Truncated
from harness import Case, main, pki, tls_context

GONE = (Truncated, OSError, AssertionError)


def half_done(case, postern, **options):
    """A client whose ClientHello was answered, and which then sends nothing."""
    client = case.client(postern, context=tls_context(pki.authority().pem), handshake=False,
                         **options)
    client.raw_send(client.hello())
    client.answer = client.raw_recv()
    case.assertNotEqual(client.answer, b"")
    return client


class Limits(Case):
    def talks(self, client):
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def admitted(self, postern):
        try:
            self.talks(client := self.client(postern))
            return client
        except GONE:
            return None

    def test_max_connections_counts_over_all_workers(self):
        postern = self.postern(self.fake_broker(echo), listener={"max_connections": "5"},
                               main={"workers": "3"})
        inside = [self.client(postern) for _ in range(5)]
        for client in inside:
            self.talks(client)
        for _ in range(10):
            self.assertIsNone(self.admitted(postern))
        event = postern.wait("handshake failed")
        self.assertEqual(event["reason"], "limit_connections")
        for client in inside:
            self.talks(client)
        inside[0].close()
        postern.end_of(inside[0])
        self.wait_until(lambda: self.admitted(postern), "room for one more")

    def test_max_connections_is_each_listeners_own(self):
        broker = self.fake_broker(echo)
        more = (f"[listener second]\nlisten = 127.0.0.1:0\nbackend = {broker.address}\n"
                "certificates = main\n")
        postern = self.postern(broker, listener={"max_connections": "1"}, more=more)
        self.talks(self.client(postern, address=postern.address("mqtt")))
        for _ in range(3):
            self.talks(self.client(postern, address=postern.address("second")))

    def answered(self, client):
        try:
            return client.raw_recv() != b""
        except OSError:
            return False

    def test_handshakes_that_wait_for_the_client_refuse_nobody(self):
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "2"})
        inside = self.client(postern)
        half = []
        for _ in range(60):
            half.append(half_done(self, postern))
            self.assertIsNotNone(self.admitted(postern))
        self.talks(inside)

    def test_the_handshake_that_has_waited_longest_is_ended_first(self):
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "1"},
                               main={"workers": "1"})
        half = [half_done(self, postern) for _ in range(17)]
        event = postern.end_of(half[0])
        self.assertEqual(event["reason"], "limit_handshakes")
        for client in half[1:]:
            client.step(client.answer)
            client.handshake()
            self.talks(client)

    def test_max_handshakes_limits_handshakes_that_wait_for_processor_time(self):
        """A burst arrives while the program is stopped: of eight ClientHellos read at once, all but
        max_handshakes are refused."""
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "1"},
                               main={"workers": "1"})
        postern.process.send_signal(signal.SIGSTOP)
        burst = []
        for _ in range(64):
            client = self.client(postern, context=tls_context(pki.authority().pem),
                                 handshake=False)
            client.raw_send(client.hello())
            burst.append(client)
        postern.process.send_signal(signal.SIGCONT)
        event = postern.wait("handshake failed")
        self.assertEqual(event["reason"], "limit_handshakes")
        self.assertGreater(sum(self.answered(client) for client in burst), 0)
        self.wait_until(lambda: self.admitted(postern), "room once the burst is over")

    def test_silent_and_slow_clients_do_not_count_as_handshakes(self):
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "2"})
        for number in range(20):
            client = self.tcp_client(postern)
            if number % 2:
                client.raw_send(b"\x16\x03\x01")
        for _ in range(5):
            self.talks(self.client(postern))

    def test_a_finished_handshake_frees_its_place(self):
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "1"})
        clients = []
        for _ in range(10):
            clients.append(self.client(postern))
            self.talks(clients[-1])


class Addresses(Case):
    """Clients come from several loopback addresses; 127.0.0.1 stands for all others."""

    def is_accepted(self, postern, source):
        try:
            client = self.client(postern, source=source)
            client.send(b"x")
            client.recv_exactly(1)
            return client
        except GONE:
            return None

    def completes(self, client, answer=None):
        """A client whose ClientHello was answered, or will be, finishes the handshake and is served."""
        client.step(answer or client.raw_recv())
        client.handshake()
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_denied_networks_are_refused_before_any_byte(self):
        postern = self.postern(self.fake_broker(echo), listener={"deny": "127.0.0.2, 127.0.8.0/24"})
        for source in ("127.0.0.2", "127.0.8.9"):
            client = self.tcp_client(postern, source=source)
            self.assertEqual(client.raw_end()[0], b"")
            self.assertEqual(postern.end_of(client)["reason"], "denied")
        self.assertIsNotNone(self.is_accepted(postern, "127.0.0.1"))

    def test_only_allowed_networks_are_accepted_and_deny_is_checked_first(self):
        postern = self.postern(self.fake_broker(echo),
                               listener={"allow": "127.0.0.0/29", "deny": "127.0.0.2"})
        self.assertIsNotNone(self.is_accepted(postern, "127.0.0.1"))
        self.assertIsNone(self.is_accepted(postern, "127.0.0.2"))
        self.assertIsNone(self.is_accepted(postern, "127.0.0.8"))

    def test_a_reload_changes_the_networks(self):
        postern = self.postern(self.fake_broker(echo), listener={"deny": "127.0.0.2"})
        self.assertIsNone(self.is_accepted(postern, "127.0.0.2"))
        with open(postern.config_file, encoding="utf-8") as file:
            text = file.read()
        with open(postern.config_file, "w", encoding="utf-8") as file:
            file.write(text.replace("deny = 127.0.0.2", "deny = 127.0.0.3"))
        self.assertEqual(postern.reload().name, "reload done")
        self.assertIsNotNone(self.is_accepted(postern, "127.0.0.2"))
        self.assertIsNone(self.is_accepted(postern, "127.0.0.3"))

    def test_connections_are_limited_for_each_address_by_itself(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "3"},
                               listener={"max_connections_per_address": "3"})
        inside = [self.is_accepted(postern, "127.0.0.2") for _ in range(3)]
        self.assertNotIn(None, inside)
        client = self.tcp_client(postern, source="127.0.0.2")
        self.assertEqual(postern.end_of(client)["reason"], "limit_address")
        self.assertIsNotNone(self.is_accepted(postern, "127.0.0.1"))
        inside[0].close()
        postern.end_of(inside[0])
        self.wait_until(lambda: self.is_accepted(postern, "127.0.0.2"), "room for one more")

    def test_an_address_that_connects_too_fast_is_refused_and_others_are_not(self):
        postern = self.postern(self.fake_broker(echo),
                               listener={"new_connections_per_address": "5/h"})
        for _ in range(5):
            self.assertIsNotNone(self.is_accepted(postern, "127.0.0.2"))
        client = self.tcp_client(postern, source="127.0.0.2")
        self.assertEqual(postern.end_of(client)["reason"], "limit_rate")
        self.assertIsNotNone(self.is_accepted(postern, "127.0.0.1"))

    def test_one_address_cannot_displace_a_handshake_of_another(self):
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "1"},
                               main={"workers": "1"})
        other = half_done(self, postern, source="127.0.0.1")
        crowd = [half_done(self, postern, source="127.0.0.2") for _ in range(40)]
        self.assertEqual(postern.end_of(crowd[0])["reason"], "limit_handshakes")
        self.completes(other, other.answer)

    def test_one_address_cannot_displace_slower_clients_that_came_before_it(self):
        """The others' handshakes are the oldest of the list, one for each address."""
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "1"},
                               main={"workers": "1"})
        others = [half_done(self, postern, source=f"127.0.1.{n}") for n in range(1, 13)]
        for _ in range(40):
            half_done(self, postern, source="127.0.0.2")
        for other in others:
            self.completes(other, other.answer)


    def hellos(self, postern, addresses, each):
        """So many ClientHellos arrive at once at a stopped program, which then goes on."""
        clients = [self.client(postern, context=tls_context(pki.authority().pem), handshake=False,
                               source=f"127.0.1.{n}") for n in range(1, addresses + 1)
                   for _ in range(each)]
        for client in clients:
            client.raw_send(client.hello())
        postern.process.send_signal(signal.SIGCONT)
        return clients

    def test_many_addresses_at_once_wait_and_none_is_refused(self):
        """More handshakes than max_handshakes, two of each address."""
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "64"},
                               main={"workers": "1"})
        postern.process.send_signal(signal.SIGSTOP)
        for client in self.hellos(postern, 100, 2):
            self.completes(client)

    def test_handshakes_of_many_addresses_are_bounded_too(self):
        """They have been accepted already when their ClientHellos come."""
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "16"},
                               main={"workers": "1"})
        clients = [self.client(postern, context=tls_context(pki.authority().pem), handshake=False,
                               source=f"127.0.1.{n}") for n in range(1, 201)]
        self.assertIsNotNone(self.is_accepted(postern, "127.0.0.1"))  # so the others were before it
        postern.process.send_signal(signal.SIGSTOP)
        for client in clients:
            client.raw_send(client.hello())
        postern.process.send_signal(signal.SIGCONT)
        self.assertEqual(postern.wait("handshake failed")["reason"], "limit_handshakes")
        self.wait_until(lambda: self.is_accepted(postern, "127.0.0.1"), "room after the burst")

    def test_a_household_in_a_burst_of_many_addresses_is_served(self):
        postern = self.postern(self.fake_broker(echo), listener={"max_handshakes": "64"},
                               main={"workers": "1"})
        postern.process.send_signal(signal.SIGSTOP)
        household = [self.client(postern, context=tls_context(pki.authority().pem),
                                 handshake=False, source="127.0.0.2") for _ in range(4)]
        self.hellos(postern, 100, 1)
        for client in household:
            client.raw_send(client.hello())
            self.completes(client)


class Descriptors(Case):
    def test_handshakes_that_nobody_continues_make_room_when_descriptors_run_out(self):
        postern = self.postern(self.fake_broker(echo), descriptors=150, main={"workers": "1"},
                               listener={"handshake_timeout": "1h"})
        for _ in range(80):
            client = self.client(postern, context=tls_context(pki.authority().pem),
                                 handshake=False, source="127.0.0.2")
            client.raw_send(client.hello())
        client = self.client(postern)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_silent_clients_are_disconnected_when_descriptors_run_out(self):
        postern = self.postern(self.fake_broker(echo), descriptors=200,
                               listener={"first_byte_timeout": "1h"})
        silent = [self.tcp_client(postern) for _ in range(150)]
        start = time.monotonic()
        for _ in range(5):
            client = self.client(postern)
            client.send(b"x")
            self.assertEqual(client.recv_exactly(1), b"x")
        # Two to three batches of silent clients were before them, each with a second's grace;
        # it must not matter which worker holds them.
        self.assertLess(time.monotonic() - start, 6 * SLOW)
        self.assertEqual(len(silent), 150)

    def test_when_sessions_hold_all_descriptors_new_clients_wait_and_the_loop_sleeps(self):
        postern = self.postern(self.fake_broker(echo), descriptors=130,
                               listener={"first_byte_timeout": "1h", "handshake_timeout": "1h"})
        inside = []
        while len(inside) < 65:
            try:
                client = self.client(postern, handshake=False)
                client.sock.settimeout(0.5 * SLOW)
                client.handshake()
                client.send(b"x")
                client.recv_exactly(1)
                inside.append(client)
            except GONE:
                break
        self.assertGreater(len(inside), 8)
        self.assertLess(len(inside), 65, "two descriptors each")
        before = postern.cpu_seconds()
        waiting = [self.tcp_client(postern) for _ in range(5)]
        event = postern.wait("accept failed")
        self.assertIn("limit of open files", event["message"])
        self.assertRaises(AssertionError, postern.wait, "nothing", timeout=1)
        self.assertLess(postern.cpu_seconds() - before, 0.3 * SLOW)
        for client in inside:
            client.send(b"y")
            self.assertEqual(client.recv_exactly(1), b"y")
        for client in inside[:4]:
            client.close()
        for client in waiting:
            client.cut()

        def admitted():
            try:
                client = self.client(postern, handshake=False)
                client.sock.settimeout(2 * SLOW)
                client.handshake()
                client.send(b"z")
                return client.recv_exactly(1) == b"z"
            except GONE:
                return False

        self.wait_until(admitted, "new clients to be accepted")

    def test_a_client_that_waits_for_descriptors_in_vain_is_refused_after_five_seconds(self):
        postern = self.postern(self.fake_broker(echo), descriptors=130, main={"workers": "1"})
        inside = []
        while not postern.all("accept failed"):
            start = time.monotonic()  # in the last round descriptors get short
            client = self.client(postern, handshake=False)
            client.sock.settimeout(0.5 * SLOW)
            try:
                client.handshake()
                client.send(b"x")
                client.recv_exactly(1)
                inside.append(client)
            except GONE:
                client.cut()
        late = self.tcp_client(postern)
        self.assertEqual(late.raw_end()[0], b"")
        self.assertGreater(time.monotonic() - start, 3)
        event = postern.end_of(late)
        self.assertEqual((event["reason"], event["error"]),
                         ("limit_connections", "the limit of open files is reached"))
        for client in inside:
            client.send(b"y")
            self.assertEqual(client.recv_exactly(1), b"y")

    def test_a_burst_at_one_listener_does_not_delay_another(self):
        """There is room for 60 or so: which client gets it must not depend on the burst."""
        broker = self.fake_broker(echo)
        more = (f"[listener second]\nlisten = 127.0.0.1:0\nbackend = {broker.address}\n"
                "certificates = main\n")
        postern = self.postern(broker, main={"workers": "1"}, more=more, descriptors=200,
                               listener={"first_byte_timeout": "1h"})
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        for _ in range(2000):
            self.tcp_client(postern, address=postern.address("mqtt"))
        client = self.client(postern, address=postern.address("second"))
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_a_burst_beyond_the_descriptors_loses_no_client_that_sends(self):
        postern = self.postern(self.fake_broker(echo), descriptors=200,
                               listener={"first_byte_timeout": "1h"})
        failures = []

        def talk():
            try:
                for _ in range(10):
                    client = self.client(postern)
                    client.send(b"x")
                    client.recv_exactly(1)
                    client.close()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=talk) for _ in range(8)]
        for _ in range(100):
            self.tcp_client(postern)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


if __name__ == "__main__":
    main()
