"""Stopping: sessions end spread over drain_timeout, and the program with exit code 0."""

import signal
import time

from brokers import echo
from clients import SLOW, Truncated
from harness import Case, main, pki, tls_context


class Stop(Case):
    def serving(self, sessions, drain="2s", **options):
        self.broker = self.fake_broker(echo)
        postern = self.postern(self.broker, main={"drain_timeout": drain}, **options)
        clients = [self.client(postern, ("1.2", "1.3")[n % 2]) for n in range(sessions)]
        for client in clients:
            client.send(b"x")
            client.recv_exactly(1)
        return postern, clients

    def test_without_sessions_it_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            postern, _ = self.serving(0, drain="30s")
            start = time.monotonic()
            postern.signal(number)
            self.assertEqual(postern.wait_exit(), 0)
            self.assertLess(time.monotonic() - start, 2 * SLOW)

    def test_sessions_end_spread_over_the_drain_time(self):
        postern, clients = self.serving(40)
        start = time.monotonic()
        postern.signal(signal.SIGTERM)
        for client in clients:
            self.assertEqual(client.recv(), b"", "a clean end")
            client.close()
        self.assertEqual(postern.wait_exit(), 0)
        took = time.monotonic() - start
        ends = postern.all("session end")
        self.assertEqual([e["reason"] for e in ends], ["drained"] * 40)
        moments = sorted(e.at - start for e in ends)
        self.assertGreater(moments[30] - moments[10], 0.4)
        widest = max(b - a for a, b in zip(moments, moments[1:]))
        self.assertLess(widest, 1 * SLOW)
        self.assertLess(took, 2 + 3 * SLOW)

    def test_new_clients_are_refused_while_sessions_drain(self):
        postern, clients = self.serving(2, drain="30s")
        postern.signal(signal.SIGTERM)

        def refused():
            try:
                self.tcp_client(postern).cut()
                return False
            except ConnectionRefusedError:
                return True
            except OSError:  # it was in the queue when the listener closed
                return False

        self.wait_until(refused, "the listener to close")
        postern.signal(signal.SIGTERM)

    def test_sessions_work_until_they_are_ended(self):
        postern, (client,) = self.serving(1, drain="3s")
        postern.signal(signal.SIGTERM)
        rounds = 0
        try:
            while client.tls is not None:
                client.send(b"y" * 1000)
                if client.recv_exactly(1000) != b"y" * 1000:
                    self.fail("bytes changed")
                rounds += 1
        except (AssertionError, OSError, Truncated):
            pass
        self.assertEqual(postern.wait_exit(), 0)
        self.assertEqual(postern.end_of(client)["reason"], "drained")

    def test_the_broker_sees_a_clean_end_too(self):
        broker = self.fake_broker()
        postern = self.postern(broker, main={"drain_timeout": "200ms"})
        client = self.client(postern)
        peer = broker.accept()
        postern.signal(signal.SIGTERM)
        self.assertEqual(peer.recv(), b"")
        client.close()

    def test_a_second_signal_ends_it_at_once(self):
        postern, clients = self.serving(10, drain="1h")
        postern.signal(signal.SIGTERM)
        self.assertRaises(AssertionError, postern.wait, "nothing", timeout=0.3)
        self.assertIsNone(postern.process.poll())
        start = time.monotonic()
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        self.assertLess(time.monotonic() - start, 3 * SLOW)
        self.assertEqual({e["reason"] for e in postern.all("session end")}, {"drained"})
        self.assertEqual(len(postern.all("session end")), 10)

    def test_no_further_signal_interrupts_a_stop(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            postern, clients = self.serving(4, drain="200ms")
            while postern.process.poll() is None:
                postern.signal(number)
                postern.signal(signal.SIGTERM)
                time.sleep(0.001)  # or so many lines would come that the log drops some
            self.assertEqual(postern.wait_exit(), 0)
            self.assertEqual(len(postern.all("session end", reason="drained")), 4)

    def test_it_ends_as_soon_as_the_last_client_has_left(self):
        postern, clients = self.serving(3, drain="1h")
        postern.signal(signal.SIGTERM)
        for client in clients:
            client.close()
        self.assertEqual(postern.wait_exit(), 0)

    def test_without_a_drain_time_it_ends_at_once(self):
        postern, clients = self.serving(10, drain="off")
        start = time.monotonic()
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        self.assertLess(time.monotonic() - start, 3 * SLOW)
        self.assertEqual(len(postern.all("session end", reason="drained")), 10)

    def test_clients_that_read_nothing_do_not_delay_it(self):
        broker = self.fake_broker()
        postern = self.postern(broker, main={"drain_timeout": "300ms"})
        self.client(postern, receive_buffer=8192)
        peer = broker.accept()
        peer.sock.setblocking(False)
        try:
            while True:
                peer.sock.send(b"x" * 65536)
        except BlockingIOError:
            pass
        start = time.monotonic()
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        self.assertLess(time.monotonic() - start, 12 * SLOW)

    def test_handshakes_under_way_are_drained(self):
        postern = self.postern(self.fake_broker(), main={"drain_timeout": "200ms"})
        client = self.client(postern, context=tls_context(pki.authority().pem), handshake=False)
        client.raw_send(client.hello())
        client.raw_recv()
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        self.assertEqual(postern.end_of(client)["reason"], "drained")

    def test_heavy_handshakes_under_way_are_drained(self):
        """With RSA keys one of them is paused at any time, and many wait."""
        postern = self.postern(self.fake_broker(), certificate=pki.server("rsa4096"),
                               listener={"handshake_timeout": "1h"})
        clients = []
        for _ in range(150):
            client = self.client(postern, context=tls_context(pki.authority().pem),
                                 handshake=False)
            client.raw_send(client.hello())
            clients.append(client)
        for number in range(0, 150, 3):
            clients[number].cut()
        clients[100].raw_recv()  # by then all have been accepted, and many wait
        postern.signal(signal.SIGTERM)
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        logged = postern.all("handshake failed")
        self.assertLessEqual({e["reason"] for e in logged},
                             {"drained", "client_closed", "client_reset"})
        held_back = [e for e in logged + postern.all("lines suppressed") if "suppressed" in e]
        self.assertEqual(len(logged) + sum(int(e["suppressed"]) for e in held_back), 150)

    def delayed(self, delay, **options):
        self.broker = self.fake_broker(echo)
        return self.postern(self.broker, main={"drain_delay": delay, "drain_timeout": "200ms"},
                            **options)

    def test_new_clients_are_served_until_the_delay_has_passed(self):
        postern = self.delayed("1s")
        start = time.monotonic()
        postern.signal(signal.SIGTERM)
        begun = postern.wait("draining")
        early = self.client(postern)
        early.send(b"x")
        self.assertEqual(early.recv_exactly(1), b"x")
        stopping = postern.wait("stopping")
        self.assertGreaterEqual(stopping.at - start, 0.9)
        self.assertLess(begun.at - start, 0.9 * SLOW)
        self.assertEqual(early.recv(), b"", "a clean end")
        self.assertEqual(postern.wait_exit(), 0)
        self.assertEqual(postern.end_of(early)["reason"], "drained")

    def test_a_second_signal_ends_the_delay_and_all_sessions(self):
        postern = self.delayed("1h")
        client = self.client(postern)
        client.send(b"x")
        client.recv_exactly(1)
        postern.signal(signal.SIGTERM)
        postern.wait("draining")
        start = time.monotonic()
        postern.signal(signal.SIGTERM)
        self.assertEqual(postern.wait_exit(), 0)
        self.assertLess(time.monotonic() - start, 3 * SLOW)
        self.assertEqual(postern.end_of(client)["reason"], "drained")

    def test_a_reload_during_the_delay_does_no_harm(self):
        postern = self.delayed("300ms")
        postern.signal(signal.SIGTERM)
        postern.wait("draining")
        postern.signal(signal.SIGHUP)
        self.assertEqual(postern.wait_exit(), 0)

    def test_a_reload_while_draining_does_no_harm(self):
        postern, clients = self.serving(5, drain="1s")
        postern.signal(signal.SIGTERM)
        postern.signal(signal.SIGHUP)
        self.assertEqual(postern.wait_exit(), 0)

    def test_the_broker_dying_while_draining_does_no_harm(self):
        broker = self.mosquitto()
        postern = self.postern(broker, main={"drain_timeout": "1s"})
        for _ in range(10):
            self.mqtt_client(postern)
        postern.signal(signal.SIGTERM)
        broker.kill()
        self.assertEqual(postern.wait_exit(), 0)


if __name__ == "__main__":
    main()
