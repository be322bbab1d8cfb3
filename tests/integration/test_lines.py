"""Lines that clients cause: bounded, each of them written or counted, and none hidden by another's."""

import threading

from brokers import echo
from clients import TcpClient, mqtt_connect
from harness import Case, main


class Lines(Case):
    def not_tls(self, postern, source):
        client = self.tcp_client(postern, source=source)
        client.raw_send(b"GET / HTTP/1.1\r\n\r\n")
        client.raw_end()
        client.cut()
        return client

    def lines(self, postern, reason, source):
        return [e for e in postern.all("handshake failed", reason=reason)
                if e["peer"].startswith(source + ":")]

    def suppressed(self, postern):
        return sum(int(e.get("suppressed", 0)) for e in postern.all("handshake failed")
                   + postern.all("session end") + postern.all("lines suppressed"))


class Noise(Lines):
    def test_the_noise_of_one_address_hides_nothing_of_another(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "2"})
        stop, counts = threading.Event(), []

        def make_noise():
            count = 0
            while not stop.is_set():
                client = TcpClient(postern.address(), source="127.0.0.2")
                client.raw_send(b"GET / HTTP/1.1\r\n\r\n")
                client.raw_end()
                client.cut()
                count += 1
            counts.append(count)

        noise = [threading.Thread(target=make_noise) for _ in range(2)]
        for thread in noise:
            thread.start()
        try:
            for number in range(3, 13):
                client = self.not_tls(postern, f"127.0.0.{number}")
                self.assertEqual(postern.end_of(client)["reason"], "not_tls")
            self.wait_until(lambda: self.suppressed(postern) > 0, "noise")
        finally:
            stop.set()
            for thread in noise:
                thread.join()
        self.wait_until(lambda: len(postern.all("handshake failed")) + self.suppressed(postern)
                        == sum(counts) + 10, f"a line or a count for each of {sum(counts)} + 10")
        self.assertEqual(postern.all("lines suppressed", listener="mqtt"), [])

    def test_one_reason_hides_nothing_of_another(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "1"},
                               listener={"max_connections_per_address": "1"})
        inside = self.client(postern, source="127.0.0.2")
        for _ in range(60):
            self.not_tls(postern, "127.0.0.2")
        self.assertLess(len(self.lines(postern, "limit_address", "127.0.0.2")), 60)
        inside.close()
        postern.end_of(inside)
        self.assertEqual(postern.end_of(self.not_tls(postern, "127.0.0.2"))["reason"], "not_tls")

    def test_behind_a_balancer_each_client_counts_for_itself(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "1"},
                               listener={"accept_proxy": "127.0.0.1", "deny": "192.0.2.0/24"})

        def denied(address, port):
            client = self.tcp_client(postern)
            client.raw_send(f"PROXY TCP4 {address} 192.0.2.1 {port} 8883\r\n".encode())
            client.raw_end()
            client.cut()

        for port in range(1, 61):
            denied("192.0.2.7", port)
        denied("192.0.2.8", 61)
        self.assertEqual(postern.wait("handshake failed", peer="192.0.2.8:61")["reason"], "denied")
        self.assertLess(len(self.lines(postern, "denied", "192.0.2.7")), 60)
        self.wait_until(lambda: len(postern.all("handshake failed")) + self.suppressed(postern)
                        == 61, "a line or a count for each")


class SessionLog(Lines):
    def served(self, postern):
        client = self.client(postern)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        client.close()

    def counted(self, postern, count):
        self.wait_until(lambda: len(postern.all("session end")) + self.suppressed(postern) == count,
                        f"a line or a count for each of {count} sessions")

    def test_every_session_has_a_line_by_default(self):
        postern = self.postern(self.fake_broker(echo))
        for _ in range(150):
            self.served(postern)
        self.wait_until(lambda: len(postern.all("session end")) == 150, "150 lines")

    def test_a_rate_bounds_the_normal_ends_of_all_workers(self):
        postern = self.postern(self.fake_broker(echo), main={"workers": "3"},
                               listener={"session_log": "5/h"})
        for _ in range(40):
            self.served(postern)
        self.counted(postern, 40)
        self.assertEqual(len(postern.all("session end")), 5)
        self.assertNotEqual(postern.all("lines suppressed", listener="mqtt"), [])

    def test_a_reload_changes_it(self):
        postern = self.postern(self.fake_broker(echo), listener={"session_log": "5/h"})
        with open(postern.config_file, encoding="utf-8") as file:
            text = file.read()
        for _ in range(10):
            self.served(postern)
        self.counted(postern, 10)
        self.write("postern.conf", text.replace("session_log = 5/h", "session_log = all"))
        self.assertEqual(postern.reload().name, "reload done")
        for _ in range(10):
            self.served(postern)
        self.wait_until(lambda: len(postern.all("session end")) == 15, "a line for each")

    def test_refusals_are_no_normal_ends(self):
        def refuse(peer):
            peer.recv()
            peer.send(b"\x20\x02\x00\x05")

        postern = self.postern(self.fake_broker(refuse),
                               listener={"mqtt": "check", "session_log": "1/h"})
        for number in range(10):
            client = self.client(postern, source=f"127.0.0.{2 + number % 2}")
            client.send(mqtt_connect("c", "u", "wrong"))
            self.assertEqual(client.recv_exactly(4), b"\x20\x02\x00\x05")
            client.close()
            self.assertEqual(postern.end_of(client)["reason"], "broker_refused")
            client = self.client(postern, source="127.0.0.4")
            client.send(b"\xc0\x00")
            self.assertEqual(postern.end_of(client)["reason"], "not_mqtt")


if __name__ == "__main__":
    main()
