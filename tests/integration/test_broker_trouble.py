"""A broker in trouble: clients are disconnected at once, nothing leaks, and Postern recovers."""

import time

from brokers import close_at_once, echo, reset_at_once
from clients import SLOW, Truncated
from harness import Case, main

GONE = (Truncated, OSError, AssertionError)
BRIEF = {"connect_timeout": "500ms"}  # for how long clients wait for a broker that is down


class Trouble(Case):
    def postern(self, backend, listener=(), **options):
        """The broker is dialled without a word of the client."""
        return super().postern(backend, listener={"dial": "handshake", **dict(listener)},
                               **options)

    def served(self, postern):
        """Whether a new client reaches the broker; it disconnects afterwards."""
        client = self.client(postern, handshake=False)
        try:
            client.handshake()
            client.send(b"hello?")
            return client.recv_exactly(6) == b"hello?"
        except GONE:
            return False
        finally:
            client.close()

    def lost(self, client):
        with self.assertRaises(GONE):
            client.recv_exactly(1)

    def descriptors_return(self, postern, before):
        self.wait_until(lambda: postern.descriptors() <= before,
                        f"descriptors to come back to {before}")

    def test_it_starts_without_a_broker_and_serves_once_one_is_there(self):
        broker = self.fake_broker(echo, up=False)
        postern = self.postern(broker, listener=BRIEF)
        client = self.client(postern)
        self.lost(client)
        self.assertEqual(postern.end_of(client)["reason"], "broker_unreachable")
        broker.up()
        self.wait_until(lambda: self.served(postern), "service to come back")

    def test_clients_wait_for_a_broker_that_is_being_restarted(self):
        broker = self.fake_broker(echo, up=False)
        postern = self.postern(broker, listener={"connect_timeout": f"{20 * SLOW}s"})
        clients = [self.client(postern) for _ in range(20)]
        for client in clients:
            client.send(b"hello?")
        postern.wait("backend down")
        broker.up()
        for client in clients:
            self.assertEqual(client.recv_exactly(6), b"hello?")
        self.assertEqual(postern.all("session end"), [])
        self.assertEqual(len(postern.all("backend down")), 1)

    def test_while_the_broker_is_down_clients_are_disconnected_before_their_handshake(self):
        broker = self.fake_broker(echo, up=False)
        postern = self.postern(broker, listener=BRIEF)
        self.lost(self.client(postern))
        event = postern.wait("session end", reason="broker_unreachable")
        self.assertEqual(event["error"], "connection refused")
        with self.assertRaises(GONE):
            self.client(postern)
        postern.wait("handshake failed", reason="no_backend")

    def test_a_probe_finds_a_broker_that_is_up_again(self):
        broker = self.fake_broker(up=False)
        postern = self.postern(broker, listener=BRIEF)
        self.lost(self.client(postern))
        postern.wait("session end", reason="broker_unreachable")
        broker.up()
        # No client does anything: the probe connects by itself, and closes without sending a byte.
        self.assertEqual(broker.accept(5).recv(), b"")
        self.wait_until(lambda: self.client(postern), "a handshake", timeout=0)

    def test_one_probe_finds_the_broker_that_is_back_and_no_other_follows(self):
        broker = self.fake_broker(up=False)
        postern = self.postern(broker, main={"workers": "4"}, listener=BRIEF)
        self.lost(self.client(postern))
        broker.up()
        broker.accept(5)
        postern.wait("backend up")
        self.assertFalse(broker.has_connection(wait=2.5))

    def test_one_slow_connect_does_not_keep_others_from_the_broker(self):
        port = self.silent_port()
        postern = self.postern(port, listener={"connect_timeout": "300ms"})
        client = self.client(postern)
        self.lost(client)
        self.assertEqual(postern.end_of(client)["reason"], "broker_timeout")
        self.assertEqual(postern.all("backend down"), [])

    def test_a_full_queue_of_a_unix_socket_is_waited_for(self):
        broker = self.fake_broker(path=self.path("broker.sock"), up=False)
        broker.listener.listen(0)
        postern = self.postern(broker, listener={"connect_timeout": f"{20 * SLOW}s"})
        clients = [self.client(postern) for _ in range(4)]
        for client in clients:
            client.send(b"hello")
        for _ in clients:
            self.assertEqual(broker.accept().recv(5), b"hello")
        self.assertEqual(postern.all("session end"), [])
        self.assertEqual(postern.all("backend down"), [])

    def test_a_client_that_leaves_while_it_waits_for_its_turn_is_gone_at_once(self):
        postern = self.postern(self.silent_port(), listener={"connect_timeout": "60s",
                                                             "max_dials": "1"})
        before = postern.descriptors()
        first = self.client(postern)
        second = self.client(postern)
        second.close()
        self.assertEqual(postern.end_of(second)["reason"], "client_closed")
        self.descriptors_return(postern, before + 2)
        first.close()
        self.descriptors_return(postern, before)

    def test_a_client_whose_turn_does_not_come_ends_with_that_reason(self):
        postern = self.postern(self.silent_port(), listener={"connect_timeout": "400ms",
                                                             "max_dials": "1"},
                               main={"workers": "1"})
        clients = [self.client(postern) for _ in range(3)]
        for client in clients:
            self.lost(client)
            self.assertEqual(postern.end_of(client)["reason"], "broker_timeout")
        self.assertTrue([e for e in postern.all("session end") if "max_dials" in e["error"]])

    def test_an_unresolvable_broker_is_not_an_error_at_start(self):
        postern = self.postern("no-such-broker.invalid:1883", listener=BRIEF)
        client = self.client(postern)
        self.lost(client)
        self.assertIn(postern.end_of(client)["reason"], ("broker_unreachable", "broker_timeout"))

    def test_a_missing_unix_socket_is_unreachable(self):
        postern = self.postern("unix:" + self.path("nobody.sock"), listener=BRIEF)
        client = self.client(postern)
        self.lost(client)
        self.assertEqual(postern.end_of(client)["reason"], "broker_unreachable")

    def test_a_broker_that_dies_ends_its_sessions_at_once(self):
        broker = self.mosquitto()
        postern = self.postern(broker)
        clients = [self.mqtt_client(postern) for _ in range(10)]
        start = time.monotonic()
        broker.kill()
        for client in clients:
            self.lost(client.stream)
            client.stream.close()
            self.assertIn(postern.end_of(client.stream)["reason"],
                          ("broker_closed", "broker_reset"))
        self.assertLess(time.monotonic() - start, 5)

    def test_a_real_broker_that_is_restarted_is_served_again(self):
        broker = self.mosquitto()
        postern = self.postern(broker)
        self.mqtt_client(postern).ping()
        broker.kill()
        for _ in range(3):
            try:
                self.mqtt_client(postern)
            except GONE:
                pass
        self.assertTrue(broker.start())

        def back():
            try:
                self.mqtt_client(postern).ping()
                return True
            except GONE:
                return False

        self.wait_until(back, "the restarted broker to be found")

    def test_a_broker_that_closes_at_once(self):
        postern = self.postern(self.fake_broker(close_at_once))
        client = self.client(postern)
        self.assertEqual(client.recv(), b"")
        client.close()
        self.assertEqual(postern.end_of(client)["reason"], "broker_closed")

    def test_a_broker_that_resets_at_once(self):
        postern = self.postern(self.fake_broker(reset_at_once))
        client = self.client(postern)
        self.lost(client)
        # The reset may come before we have learnt that we were connected.
        self.assertIn(postern.end_of(client)["reason"], ("broker_reset", "broker_unreachable"))

    def test_no_descriptor_is_lost_whatever_the_broker_does(self):
        broker = self.fake_broker(echo)
        postern = self.postern(broker, listener={"connect_timeout": "300ms"})
        self.assertTrue(self.served(postern))
        before = postern.descriptors()
        for handler in (close_at_once, reset_at_once, echo):
            broker.handler = handler
            for _ in range(30):
                self.served(postern)
        self.descriptors_return(postern, before)
        broker.down()
        for _ in range(30):
            self.served(postern)
        broker.up()
        self.wait_until(lambda: self.served(postern), "service to come back")
        self.descriptors_return(postern, before)

    def test_no_descriptor_is_lost_when_the_broker_does_not_answer(self):
        postern = self.postern(self.silent_port(), listener={"connect_timeout": "300ms"})
        before = postern.descriptors()
        clients = []
        for _ in range(20):
            try:
                clients.append(self.client(postern))
            except GONE:
                pass  # it is known by now
        for client in clients:
            self.lost(client)
            self.assertEqual(postern.end_of(client)["reason"], "broker_timeout")
        self.descriptors_return(postern, before + 1)  # a probe may be under way

    def test_clients_that_leave_while_the_broker_is_dialled_leak_nothing(self):
        postern = self.postern(self.silent_port(), listener={"connect_timeout": "30s"})
        before = postern.descriptors()
        for leave in ("close", "cut", "reset") * 5:
            client = self.client(postern)
            getattr(client, leave)()
            self.assertIn(postern.end_of(client)["reason"],
                          ("client_closed", "client_truncated", "client_reset"))
        self.descriptors_return(postern, before)


class Several(Case):
    def used(self, postern):
        client = self.client(postern)
        client.send(b"x")
        client.recv_exactly(1)
        client.close()
        return postern.end_of(client)["backend"]

    def test_the_first_that_is_up_serves(self):
        first, second = self.fake_broker(echo), self.fake_broker(echo)
        postern = self.postern(f"{first.address}, {second.address}")
        for _ in range(10):
            self.assertEqual(self.used(postern), first.address)

    def test_the_next_serves_while_one_is_down_and_no_client_notices(self):
        first, second = self.fake_broker(echo, up=False), self.fake_broker(echo)
        postern = self.postern(f"{first.address}, {second.address}")
        for _ in range(10):
            self.assertEqual(self.used(postern), second.address)
        first.up()
        self.wait_until(lambda: self.used(postern) == first.address, "the first to serve again")

    def test_the_next_serves_while_one_does_not_answer(self):
        second = self.fake_broker(echo)
        postern = self.postern(f"{self.silent_port().address}, {second.address}",
                               listener={"connect_timeout": "300ms"})
        self.assertEqual(self.used(postern), second.address)
        start = time.monotonic()
        self.assertEqual(self.used(postern), second.address)
        self.assertLess(time.monotonic() - start, 5)


if __name__ == "__main__":
    main()
