"""mqtt = identity and mqtt = check: what reaches the broker, and what never does."""

import itertools
import os
import random
import struct
import unittest

from brokers import echo, mosquitto_version
from clients import Mqtt, Truncated, mqtt_connect, mqtt_packet, mqtt_text
from harness import Case, main, own_library, pki

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOTH = ("1.2", "1.3")
DEVICES = pki.authority("Device CA")
GONE = (Truncated, OSError, AssertionError)
ACL = "user device-1\ntopic readwrite one/#\nuser device-2\ntopic readwrite two/#\n"


def device(name="device-1", **options):
    return DEVICES.issue(name, usage="client", own_key=pki.key("ecdsa", "client"), **options)


def read_connect(packet):
    """A CONNECT taken apart, by a reader of its own: a dict of what it says."""
    assert packet[0] == 0x10
    size = shift = 0
    at = 1
    while True:
        digit = packet[at]
        size |= (digit & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not digit & 0x80:
            break
    canonical = at - 1 == max(1, (size.bit_length() + 6) // 7)
    assert len(packet) == at + size, "the length is right"

    def text():
        nonlocal at
        length = struct.unpack_from("!H", packet, at)[0]
        at += 2 + length
        return packet[at - length:at]

    def properties():
        nonlocal at
        length = packet[at]  # short ones only, in these tests
        at += 1 + length
        return packet[at - length:at]

    said = {"canonical": canonical, "protocol": text(), "level": packet[at]}
    flags = packet[at + 1]
    said["clean"], said["keepalive"] = bool(flags & 2), struct.unpack_from("!H", packet, at + 2)[0]
    said["will_flags"] = flags & 0x3C
    at += 4
    five = said["level"] & 0x7F == 5
    said["properties"] = properties() if five else None
    said["client_id"] = text()
    if flags & 4:
        said["will_properties"] = properties() if five else None
        said["will"] = text(), text()
    said["username"] = text() if flags & 0x80 else None
    said["password"] = text() if flags & 0x40 else None
    assert at == len(packet), "no bytes are left over"
    return said


class Guarded(Case):
    def guarded(self, broker, mqtt="identity", **listener):
        self.write("client-ca.pem", DEVICES.pem)
        return self.postern(broker, listener={"client_auth": "required", "client_ca":
                                              "client-ca.pem", "mqtt": mqtt, **listener})

    def ended(self, postern, client, reason):
        with self.assertRaises(GONE):
            client.recv_exactly(1)
        self.assertEqual(postern.end_of(client)["reason"], reason)


class Rewriting(Guarded):
    def arrives(self, packet, identity="device-1", piece=65536, version="1.3"):
        """Sends a CONNECT; returns what the broker got for it, taken apart."""
        broker = self.fake_broker()
        postern = self.guarded(broker)
        client = self.client(postern, version, cert=device(identity))
        client.send(packet + b"\xc0\x00", piece)
        peer = broker.accept()
        return read_connect(peer.recv_until(b"\xc0\x00")[:-2])

    def test_the_identity_becomes_the_user_name_and_nothing_else_changes(self):
        for level in (3, 4, 5, 0x83, 0x84):
            options = {"level": level, "keepalive": 77, "clean": False,
                       "will": ("my/will", b"\x00\xff gone"),
                       "properties": b"\x11\x00\x00\x0e\x10" if level == 5 else b""}
            sent = mqtt_connect("sensor", **options)
            with self.subTest(level=level):
                got, expected = self.arrives(sent), read_connect(sent)
                expected["username"] = b"device-1"
                self.assertEqual(got, expected)

    def test_a_claimed_name_and_its_password_are_replaced(self):
        for level in (3, 4, 5):
            got = self.arrives(mqtt_connect("c", "device-2", "secret", level=level))
            self.assertEqual((got["username"], got["password"]), (b"device-1", None))

    def test_single_bytes_make_no_difference(self):
        sent = mqtt_connect("c" * 200, "device-2", "secret")
        got = self.arrives(sent, piece=1, version="1.2")
        self.assertEqual((got["username"], got["password"]), (b"device-1", None))
        self.assertEqual(got["client_id"], b"c" * 200)

    def test_lengths_around_the_edges_of_their_encoding(self):
        for size in (100, 105, 110, 115, 127, 128, 16_340, 16_360, 16_383, 16_384):
            got = self.arrives(mqtt_connect("c" * 8, will=("w", b"x" * size)))
            self.assertTrue(got["canonical"])
            self.assertEqual(got["will"], (b"w", b"x" * size))

    def test_a_name_in_utf8_passes(self):
        got = self.arrives(mqtt_connect("c"), identity="gerät-ü")
        self.assertEqual(got["username"], "gerät-ü".encode())


class RealBroker(Guarded):
    def setUp(self):
        super().setUp()
        self.broker = self.mosquitto(
            settings="allow_anonymous true\nacl_file " + self.write("acl", ACL) + "\n")
        self.server = self.guarded(self.broker)

    def mqtt(self, name, level=4, **options):
        client = Mqtt(self.client(self.server, cert=device(name)), level)
        self.assertEqual(client.connect(f"{name}-{level}-{random.random()}", **options), 0)
        return client

    def test_the_acl_holds_for_identities_from_certificates(self):
        for level in (3, 4, 5):
            reader = self.mqtt("device-2", level)
            reader.subscribe("two/#")
            writer = self.mqtt("device-1", level, username="device-2")
            writer.publish("one/x", "allowed")
            # What it must not: acknowledged nevertheless, or ended (MQTT 3.1 has no other way).
            writer.publish("two/x", "smuggled")
            self.mqtt("device-2", level).publish("two/x", "own")
            self.assertEqual(reader.receive(), ("two/x", b"own"))

    def test_a_claimed_name_in_single_bytes_has_no_effect(self):
        reader = self.mqtt("device-2")
        reader.subscribe("two/#")
        client = self.client(self.server, cert=device("device-1"))
        client.send(mqtt_connect("sly", "device-2", "x"), piece=1)
        writer = Mqtt(client)
        self.assertEqual(writer.connack(), 0)
        writer.publish("two/x", "smuggled")
        self.mqtt("device-2").publish("two/x", "own")
        self.assertEqual(reader.receive(), ("two/x", b"own"))

    def test_a_second_connect_ends_the_session(self):
        second = mqtt_connect("again", "device-2", "x")
        ways = {
            "later": lambda c: (c.send(mqtt_connect("first")), Mqtt(c).connack(), c.send(second)),
            "in the same record": lambda c: c.send(mqtt_connect("first") + second),
            "in single bytes": lambda c: c.send(mqtt_connect("first") + second, piece=1),
            "after a message": lambda c: c.send(mqtt_connect("first") + mqtt_packet(
                0x30, mqtt_text("one/x") + b"\x10\x00" * 300) + second, piece=7),
        }
        for name, way in ways.items():
            with self.subTest(way=name):
                client = self.client(self.server, cert=device())
                try:
                    way(client)
                except OSError:
                    pass
                while True:
                    try:
                        if not client.recv():
                            break
                    except GONE:
                        break
                self.assertEqual(self.server.end_of(client)["reason"], "not_mqtt")

    def test_messages_that_look_like_a_connect_pass(self):
        reader = self.mqtt("device-1")
        reader.subscribe("one/#")
        payload = mqtt_connect("inside", "device-2", "x") * 500
        client = self.client(self.server, cert=device())
        writer = Mqtt(client)
        self.assertEqual(writer.connect("writer"), 0)
        packet = mqtt_packet(0x32, mqtt_text("one/x") + b"\x00\x07" + payload)
        for piece in (1, 3, 1000, 65536):
            client.send(packet, piece)
            self.assertEqual(writer.read(), (0x40, b"\x00\x07"))
            self.assertEqual(reader.receive(), ("one/x", payload))

    def test_long_sessions_work_as_usual(self):
        client = self.mqtt("device-1")
        for number in range(200):
            client.publish("one/x", b"x" * number * 37)
        client.ping()


class Recipe(Case):
    """What docs/identity.md says of Mosquitto 2.1 and PROXY headers, taken from there."""

    def setUp(self):
        super().setUp()
        with open(os.path.join(ROOT, "docs", "identity.md"), encoding="utf-8") as file:
            self.page = file.read()

    def block(self, first_line):
        """The indented lines from the one that begins so on, without their indentation."""
        lines = self.page.splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("    " + first_line))
        wanted = itertools.takewhile(lambda line: line.startswith("    ") or not line, lines[at:])
        return "".join(line[4:] + "\n" for line in wanted)

    def setting(self):
        """The broker's block after its first line, with the access list of the page."""
        acl = self.write("acl", self.block("# Each device writes"))
        settings = self.block("enable_proxy_protocol")
        self.assertIn("/etc/mosquitto/acl", settings)
        return settings.replace("/etc/mosquitto/acl", acl)

    def connect(self, name, claimed=None):
        mqtt = Mqtt(self.client(self.server, cert=device(name)))
        self.assertEqual(mqtt.connect(f"client-{name}", username=claimed), 0)
        return mqtt

    @unittest.skipUnless(mosquitto_version() >= (2, 1), "PROXY headers need Mosquitto 2.1")
    def test_the_certificate_names_the_client_whatever_it_claims(self):
        broker = self.mosquitto(settings=self.setting())
        self.write("client-ca.pem", DEVICES.pem)
        self.server = self.postern(broker, listener={
            "client_auth": "required", "client_ca": "client-ca.pem", "proxy_protocol": "v2"})
        dashboard = self.connect("dashboard")
        dashboard.subscribe("devices/#")
        sensor = self.connect("sensor-1", claimed="dashboard")
        sensor.subscribe("commands/sensor-1/#")
        # Only the dashboard may write here: if the claim were accepted, this would come first.
        sensor.publish("commands/sensor-1/on", "smuggled")
        dashboard.publish("commands/sensor-1/on", "real")
        self.assertEqual(sensor.receive(), ("commands/sensor-1/on", b"real"))
        sensor.publish("devices/sensor-1/temp", "21")
        self.assertEqual(dashboard.receive(), ("devices/sensor-1/temp", b"21"))
        self.assertIn("u'sensor-1'", broker.log())


class BadIdentities(Guarded):
    def bad(self, cert, reasons=("bad_identity",), **listener):
        broker = self.fake_broker(echo)
        postern = self.guarded(broker, **listener)
        for version in BOTH:
            client = self.client(postern, version, cert=cert, handshake=False)
            with self.assertRaises(GONE):
                client.handshake()
                client.send(mqtt_connect("c"))
                client.recv_exactly(1)
            event = postern.end_of(client)
            self.assertEqual(event.name, "handshake failed")
            self.assertIn(event["reason"], reasons)
        self.assertEqual(broker.connections(), 0)

    def test_an_empty_common_name(self):
        # The distribution's library, from some version on, cannot read such a certificate at all.
        self.bad(device(pki.common_names(b"")),
                 ("bad_identity",) if own_library() else ("bad_identity", "bad_encoding"))

    def test_common_names_that_a_broker_must_not_get(self):
        for name in (b"a\x00b", b"a\x1fb", b"a\x7fb", b"a\nb", b"a+b", b"#",
                     b"x" * 256, b"\xc2\x85"):
            with self.subTest(name=name[:10]):
                self.bad(device(pki.common_names(name)))
        for tag, name in ((pki.TELETEX, b"\xff\xfe"), (pki.BMP, b"\0a\0b")):
            with self.subTest(name=name, tag=tag):
                self.bad(device([("2.5.4.3", name, tag)]))

    def test_several_names_and_none(self):
        self.bad(device(pki.common_names(b"device-1", b"device-2")))
        self.bad(device([("2.5.4.10", b"Some Org", pki.UTF8)]))
        self.bad(device(names=["a.example", "b.example"]), identity="san-dns")
        self.bad(device(names=["uri:urn:a", "uri:urn:b"]), identity="san-uri")
        self.bad(device(), identity="san-dns")

    def test_the_longest_name_passes(self):
        postern = self.guarded(self.mosquitto())
        client = Mqtt(self.client(postern, cert=device("x" * 255)))
        self.assertEqual(client.connect("c"), 0)


class Malformed(Guarded):
    def packets(self):
        good = mqtt_connect("c", "u", "p")
        body = good[2:]
        yield "noise", b"\x00" * 20
        yield "HTTP", b"GET / HTTP/1.1\r\n\r\n"
        yield "PINGREQ first", b"\xc0\x00"
        yield "PUBLISH first", mqtt_packet(0x30, mqtt_text("t") + b"x")
        yield "flags in the first byte", b"\x11" + good[1:]
        yield "another protocol", good.replace(b"MQTT", b"MQTX")
        yield "lower case", good.replace(b"MQTT", b"mqtt")
        yield "level 6", good.replace(b"MQTT\x04", b"MQTT\x06")
        yield "level 3 by the new name", good.replace(b"MQTT\x04", b"MQTT\x03")
        yield "reserved flag", mqtt_packet(0x10, body[:7] + bytes([body[7] | 1]) + body[8:])
        yield "will QoS 3", mqtt_packet(0x10, body[:7] + b"\x1e" + body[8:])
        yield "will QoS without a will", mqtt_packet(0x10, body[:7] + b"\xca" + body[8:])
        yield "password without a name", mqtt_packet(0x10, mqtt_text("MQTT") + b"\x04\x42\x00\x3c"
                                                     + mqtt_text("c") + mqtt_text("p"))
        yield "something left over", mqtt_packet(0x10, body + b"x")
        yield "cut short", mqtt_packet(0x10, body[:-1])
        yield "a length without end", b"\x10\xff\xff\xff\xff\x01"
        yield "longer than allowed", mqtt_packet(0x10, b"x" * 70_000)
        yield "a longer one announced", b"\x10\xff\xff\xff\x7f"
        yield "NUL in the client's id", mqtt_connect("a\0b")
        yield "not UTF-8", mqtt_connect(b"\xff\xfe")

    def test_a_first_packet_that_is_not_a_connect_never_reaches_the_broker(self):
        broker = self.fake_broker()
        for mode in ("identity", "check"):
            for name, packet in self.packets():
                # One each: of many such ends in a second, only some are logged.
                postern = self.guarded(broker, mqtt=mode)
                for piece in (1, 65536):
                    with self.subTest(mode=mode, packet=name, piece=piece):
                        client = self.client(postern, cert=device())
                        try:
                            client.send(packet[:300], piece)
                            client.send(packet[300:], 65536)
                        except OSError:
                            pass
                        self.ended(postern, client, "not_mqtt")
            self.assertFalse(broker.has_connection())

    def test_enhanced_authentication_is_refused_with_identities_alone(self):
        packet = mqtt_connect("c", level=5, properties=b"\x15" + mqtt_text("SCRAM"))
        broker = self.fake_broker()
        postern = self.guarded(broker)
        client = self.client(postern, cert=device())
        client.send(packet)
        self.ended(postern, client, "not_mqtt")
        self.assertFalse(broker.has_connection())
        checking = self.guarded(broker, mqtt="check")
        self.client(checking, cert=device()).send(packet)
        self.assertEqual(broker.accept().recv_exactly(len(packet)), packet)

    def test_max_connect_size(self):
        broker = self.fake_broker()
        postern = self.guarded(broker, max_connect_size="1k")
        client = self.client(postern, cert=device())
        client.send(mqtt_connect("c" * 900))
        self.assertNotEqual(broker.accept().recv(), b"")
        client = self.client(postern, cert=device())
        client.send(mqtt_connect("c" * 1100))
        self.ended(postern, client, "not_mqtt")

    def test_a_connect_that_does_not_come_in_time(self):
        broker = self.fake_broker()
        postern = self.guarded(broker, connect_packet_timeout="400ms")
        for start in (b"", b"\x10", mqtt_connect("c")[:-1]):
            client = self.client(postern, cert=device())
            if start:
                client.send(start)
            self.ended(postern, client, "connect_packet_timeout")
        self.assertFalse(broker.has_connection())


class Checking(Case):
    def test_a_valid_connect_passes_unchanged_and_then_every_byte(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"mqtt": "check"})
        for level in (3, 4, 5, 0x84):
            connect = mqtt_connect("c", "user", "pass", level=level, will=("a", b"b"))
            rest = random.Random(level).randbytes(100_000) + mqtt_connect("second")
            client = self.client(postern)
            client.send(connect + rest)
            peer = broker.accept()
            self.assertEqual(peer.recv_exactly(len(connect + rest)), connect + rest)
            client.close()
            peer.close()

    def test_nothing_reaches_the_broker_before_the_connect_is_whole(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"mqtt": "check"})
        client = self.client(postern)
        connect = mqtt_connect("c" * 50)
        client.send(connect[:-1])
        self.assertFalse(broker.has_connection(wait=0.3))
        client.send(connect[-1:])
        self.assertEqual(broker.accept().recv_exactly(len(connect)), connect)

    def test_a_broker_that_accepts_and_stays_silent_is_timed_out(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"mqtt": "check", "connect_timeout": "400ms"})
        client = self.client(postern)
        client.send(mqtt_connect("c"))
        with self.assertRaises(GONE):
            client.recv_exactly(1)
        self.assertEqual(postern.end_of(client)["reason"], "broker_timeout")

    def test_real_clients_work(self):
        postern = self.postern(self.mosquitto(), listener={"mqtt": "check"})
        reader = self.mqtt_client(postern, "reader")
        reader.subscribe("t")
        self.mqtt_client(postern, "writer").publish("t", "x")
        self.assertEqual(reader.receive(), ("t", b"x"))


if __name__ == "__main__":
    main()
