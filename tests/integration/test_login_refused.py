"""Logins that the broker refuses: seen in its CONNACK, and logged with the client's own address."""

import subprocess

from clients import Mqtt, TlsClient, Truncated, mqtt_connect, mqtt_packet, tls_context
from harness import Case, main, pki

GONE = (Truncated, OSError, AssertionError)
CODES = {3: (4, 5), 4: (4, 5), 5: (0x86, 0x87, 0x8A, 0x8C)}


def connack(code, level):
    return mqtt_packet(0x20, bytes([0, code]) + (b"\x00" if level == 5 else b""))


class RealBroker(Case):
    def setUp(self):
        super().setUp()
        passwords = self.path("passwords")
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "sensor", "right"], check=True,
                       stdin=subprocess.DEVNULL, capture_output=True)
        self.broker = self.mosquitto(
            settings=f"allow_anonymous false\npassword_file {passwords}\n")

    def log_in(self, postern, password, level, version="1.3", **options):
        """(CONNACK's code, closing line once the client has left)."""
        client = self.client(postern, version, **options)
        code = Mqtt(client, level).connect("c", username="sensor", password=password)
        client.close()
        return code, postern.end_of(client)

    def test_a_wrong_password_is_logged_with_the_code(self):
        postern = self.postern(self.broker, listener={"mqtt": "check"})
        for level in (3, 4, 5):
            for version in ("1.2", "1.3"):
                code, end = self.log_in(postern, "wrong", level, version, source="127.0.0.7")
                self.assertIn(code, CODES[level])
                self.assertEqual((end["reason"], end["code"]), ("broker_refused", str(code)))
                self.assertEqual(end["peer"].rpartition(":")[0], "127.0.0.7")
                self.assertNotEqual(end["backend"], "-")

    def test_the_right_password_is_not(self):
        postern = self.postern(self.broker, listener={"mqtt": "check"})
        for level in (3, 4, 5):
            code, end = self.log_in(postern, "right", level)
            self.assertEqual((code, end["reason"]), (0, "client_closed"))
            self.assertNotIn("code", end)

    def test_the_session_ends_when_the_broker_closes(self):
        """The client waits; it need not do anything for the line to be written."""
        postern = self.postern(self.broker, listener={"mqtt": "check", "close_timeout": "1h"})
        client = self.client(postern)
        self.assertEqual(Mqtt(client).connect("c", username="sensor", password="no"), 5)
        self.assertEqual(client.recv(), b"")  # close_notify: nothing was cut off
        self.assertEqual(postern.end_of(client)["reason"], "broker_refused")

    def test_behind_a_balancer_it_is_the_clients_address(self):
        postern = self.postern(self.broker, listener={"mqtt": "check",
                                                      "accept_proxy": "127.0.0.1"})
        client = self.client(postern, handshake=False)
        client.raw_send(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 8883\r\n")
        client.handshake()
        self.assertEqual(Mqtt(client).connect("c", username="sensor", password="no"), 5)
        event = postern.wait("session end", peer="[2001:db8::7]:4711")
        self.assertEqual(event["reason"], "broker_refused")

    def test_a_name_without_a_password_is_refused_with_identities_too(self):
        devices = pki.authority("Device CA")
        self.write("client-ca.pem", devices.pem)
        postern = self.postern(self.broker, listener={
            "mqtt": "identity", "client_auth": "required", "client_ca": "client-ca.pem"})
        client = self.client(postern, cert=devices.issue("sensor", usage="client"))
        self.assertEqual(Mqtt(client).connect("c", password="right", username="sensor"), 5)
        self.assertEqual(postern.end_of(client)["reason"], "broker_refused")


class FakeBrokers(Case):
    def session(self, answer, mqtt="check", piece=None, level=4):
        """A client whose CONNECT gets that answer; the broker's end; the Postern in between."""
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"mqtt": mqtt})
        client = self.client(postern)
        connect = mqtt_connect("c", "u", "p", level=level)
        client.send(connect)
        peer = broker.accept()
        self.assertEqual(peer.recv_exactly(len(connect)), connect)
        for start in range(0, len(answer), piece or len(answer)):
            part = answer[start:start + (piece or len(answer))]
            peer.send(part)
            self.assertEqual(client.recv_exactly(len(part)), part)  # nothing waits for the rest
        return postern, client, peer

    def closed_by_broker(self, answer, **options):
        postern, client, peer = self.session(answer, **options)
        peer.close()
        self.assertEqual(client.recv_all(), b"")
        client.close()
        return postern.end_of(client)

    def test_every_code_is_seen_and_the_bytes_pass_unchanged(self):
        for level, codes in CODES.items():
            for code in codes:
                for piece in (None, 1):
                    with self.subTest(level=level, code=code, piece=piece):
                        end = self.closed_by_broker(connack(code, level), level=level, piece=piece)
                        self.assertEqual(end["reason"], "broker_refused")
                        self.assertEqual(end["code"], str(code))

    def test_other_answers_are_left_alone(self):
        properties = mqtt_packet(0x20, b"\x00\x97" + b"\x05\x1f\x00\x02no")
        for answer in (connack(0, 4), connack(2, 4), connack(3, 4), connack(0, 5), properties,
                       connack(0x85, 5), b"\xf0\x02\x18\x00" + connack(0x87, 5),
                       connack(0, 4) + connack(5, 4), b"HTTP/1.1 400 Bad Request\r\n\r\n",
                       b"\x20\x02\x00", b"\x20", b"\x20\x01\x05\x05", b"\x05" * 100):
            with self.subTest(answer=answer[:12]):
                end = self.closed_by_broker(answer)
                self.assertEqual(end["reason"], "broker_closed")
                self.assertNotIn("code", end)

    def test_without_mqtt_nothing_is_read(self):
        self.assertEqual(self.closed_by_broker(connack(5, 4), mqtt="off")["reason"],
                         "broker_closed")

    def test_a_client_cannot_choose_another_reason(self):
        leaves = {"close": TlsClient.close, "cut": TlsClient.cut, "reset": TlsClient.reset,
                  "noise": lambda c: c.raw_send(b"\x17\x03\x03\x00\x20" + b"x" * 32)}
        for name, leave in leaves.items():
            with self.subTest(leave=name):
                postern, client, peer = self.session(connack(5, 4))
                leave(client)
                peer.close()
                end = postern.end_of(client)
                self.assertEqual((end["reason"], end["code"]), ("broker_refused", "5"))

    def test_a_client_that_goes_on_sending_does_not_keep_the_session(self):
        postern, client, peer = self.session(connack(5, 4))
        peer.end_sending()

        def go_on():
            try:
                client.send(b"\xc0\x00")
            except OSError:
                pass
            return postern.all("session end", peer=client.peer)

        self.assertEqual(self.wait_until(go_on, "the end")[0]["reason"], "broker_refused")


if __name__ == "__main__":
    main()
