"""PROXY headers, to the broker and from a balancer, by a decoder written for these tests."""

import ipaddress
import re
import struct

from brokers import echo
from clients import TlsClient, Truncated, mqtt_connect, tls_context
from harness import Case, main, own_library, pki

BOTH = ("1.2", "1.3")
GONE = (Truncated, OSError, AssertionError)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
DEVICES = pki.authority("Device CA")
# As Amazon's network balancers send them, for 203.0.113.7:50122 to 192.0.2.1:8883: a checksum, the
# endpoint's name, padding.
AWS = b"\x03\x00\x04\x9d\x5c\x8d\x5e\xea\x00\x17\x01vpce-08d2bf15fac5001c9\x04\x00\x03\0\0\0"


# The decoder, from the specification (haproxy.org, proxy-protocol.txt, 2020/03/05).

def decode_tlvs(data):
    found = []
    while data:
        kind, size = data[0], struct.unpack("!H", data[1:3])[0]
        assert len(data) >= 3 + size, "a TLV is complete"
        found.append((kind, data[3:3 + size]))
        data = data[3 + size:]
    return found


def decode_v2(data):
    """(command, source, destination, {TLV type: value}, what follows)."""
    assert data[:12] == SIGNATURE
    assert data[12] >> 4 == 2, "the version"
    command, family = {0: "LOCAL", 1: "PROXY"}[data[12] & 0x0F], data[13]
    size = struct.unpack("!H", data[14:16])[0]
    body, rest = data[16:16 + size], data[16 + size:]
    assert len(body) == size, "the header is complete"
    width = {0x11: 4, 0x21: 16, 0x00: 0}[family]
    source = destination = None
    if width:
        ports = struct.unpack("!HH", body[2 * width:2 * width + 4])
        source = ipaddress.ip_address(body[:width]), ports[0]
        destination = ipaddress.ip_address(body[width:2 * width]), ports[1]
    tlvs = decode_tlvs(body[2 * width + 4 if width else 0:])
    assert len({kind for kind, _ in tlvs}) == len(tlvs), "no TLV comes twice"
    return command, source, destination, dict(tlvs), rest


def decode_v1(data):
    line, _, rest = data.partition(b"\r\n")
    assert len(line) <= 105
    match = re.fullmatch(rb"PROXY (TCP4|TCP6) (\S+) (\S+) (\d+) (\d+)", line)
    assert match, line
    source = ipaddress.ip_address(match[2].decode()), int(match[4])
    destination = ipaddress.ip_address(match[3].decode()), int(match[5])
    assert source[0].version == destination[0].version == int(match[1][3:])
    return source, destination, rest


def decode_ssl(value):
    """The SSL TLV: (client flags, verify, {sub-TLV type: value})."""
    client, verify = struct.unpack("!BI", value[:5])
    return client, verify, dict(decode_tlvs(value[5:]))


def header_v2(source, destination, command=1, tlvs=b""):
    if source is None:
        return SIGNATURE + bytes([0x20 | command, 0]) + struct.pack("!H", len(tlvs)) + tlvs
    addresses = [ipaddress.ip_address(a[0]) for a in (source, destination)]
    body = (b"".join(a.packed for a in addresses) + struct.pack("!HH", source[1], destination[1])
            + tlvs)
    family = 0x11 if addresses[0].version == 4 else 0x21
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack("!H", len(body)) + body


def header_v1(source, destination):
    version = ipaddress.ip_address(source[0]).version
    return (f"PROXY TCP{version} {source[0]} {destination[0]} {source[1]} {destination[1]}\r\n"
            .encode())


def local(client):
    host, port = client.sock.getsockname()[:2]
    return ipaddress.ip_address(host), port


def remote(client):
    host, port = client.sock.getpeername()[:2]
    return ipaddress.ip_address(host), port


class ToTheBroker(Case):
    def test_v1_has_the_clients_address(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listen="[::]:0", listener={"proxy_protocol": "v1"})
        for host in ("127.0.0.1", "::1"):
            client = self.client(postern, address=(host, postern.port))
            client.send(b"data")
            got = broker.accept().recv_until(b"data")
            self.assertEqual(decode_v1(got), (local(client), remote(client), b"data"))

    def test_v2_has_the_address_and_tls_details(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listen="[::]:0", listener={"proxy_protocol": "v2"})
        for host in ("127.0.0.1", "::1"):
            for version in BOTH:
                client = self.client(postern, version, address=(host, postern.port))
                client.send(b"data")
                got = broker.accept().recv_until(b"data")
                command, source, destination, tlvs, rest = decode_v2(got)
                self.assertEqual((command, source, destination, rest),
                                 ("PROXY", local(client), remote(client), b"data"))
                flags, verify, details = decode_ssl(tlvs[0x20])
                self.assertEqual(flags, 0x01, "TLS, no certificate")
                self.assertNotEqual(verify, 0, "nothing was verified")
                self.assertEqual(details[0x21], f"TLSv{version}".encode())
                self.assertEqual(details[0x23].decode(), client.tls.cipher()[0])
                self.assertNotIn(0x22, details)

    def test_v2_has_the_common_name(self):
        broker = self.fake_broker()
        self.write("client-ca.pem", DEVICES.pem)
        postern = self.postern(broker, listener={
            "proxy_protocol": "v2", "client_auth": "optional", "client_ca": "client-ca.pem"})
        cert = DEVICES.issue("device-1", usage="client", own_key=pki.key("ecdsa", "client"))
        for version in BOTH:
            context = tls_context(pki.authority().pem, version, cert=cert)
            session = None
            for resumed in ("no", "yes") if own_library() else ("no",):
                client = self.client(postern, context=context, session=session)
                client.send(b"data")
                peer = broker.accept()
                tlvs = decode_v2(peer.recv_until(b"data"))[3]
                peer.send(b"x")
                client.recv_exactly(1)
                session = client.tls.session
                flags, verify, details = decode_ssl(tlvs[0x20])
                # With resumption the certificate belongs to the session, not the connection.
                self.assertEqual(flags & 0x05, 0x05)
                self.assertEqual(bool(flags & 0x02), resumed == "no")
                self.assertEqual((verify, details[0x22]), (0, b"device-1"))
                client.close()
                peer.close()
                self.assertEqual(postern.end_of(client)["resumed"], resumed)

    def name_sent(self, cert, **listener):
        """The client's name in the header."""
        broker = self.fake_broker()
        self.write("client-ca.pem", DEVICES.pem)
        postern = self.postern(broker, listener={
            "proxy_protocol": "v2", "client_auth": "required", "client_ca": "client-ca.pem",
            **listener})
        client = self.client(postern, cert=cert)
        client.send(b"data")
        tlvs = decode_v2(broker.accept().recv_until(b"data"))[3]
        return decode_ssl(tlvs[0x20])[2].get(0x22)

    def test_v2_passes_the_configured_identity_and_only_good_names(self):
        def device(subject, **options):
            return DEVICES.issue(subject, usage="client", own_key=pki.key("ecdsa", "client"),
                                 **options)
        named = device("by-cn", names=["dev.example.org", "uri:urn:dev:1"])
        self.assertEqual(self.name_sent(named, identity="san-dns"), b"dev.example.org")
        self.assertEqual(self.name_sent(named, identity="san-uri"), b"urn:dev:1")
        for names in ((b"one", b"two"), (b"plus+",), (b"#",), (b"tab\t",),
                      ("zero\u200bwidth".encode(),), ("\u202ereverse".encode(),)):
            with self.subTest(names=names):
                broker = self.fake_broker()
                postern = self.postern(broker, listener={
                    "proxy_protocol": "v2", "client_auth": "required",
                    "client_ca": "client-ca.pem"})
                for version in BOTH:
                    client = self.client(postern, version, handshake=False,
                                         cert=device(pki.common_names(*names)))
                    with self.assertRaises(GONE):
                        client.handshake()
                        client.recv_exactly(1)
                    event = postern.end_of(client)
                    self.assertEqual((event.name, event["reason"]),
                                     ("handshake failed", "bad_identity"))
                self.assertEqual(broker.connections(), 0)

    def test_the_header_comes_in_one_write_before_anything_else_and_is_small(self):
        broker = self.fake_broker()
        self.write("client-ca.pem", DEVICES.pem)
        postern = self.postern(broker, listener={
            "proxy_protocol": "v2", "client_auth": "required", "client_ca": "client-ca.pem"})
        cert = DEVICES.issue("x" * 255, usage="client", own_key=pki.key("ecdsa", "client"))
        self.client(postern, cert=cert)
        # Without a byte of the client: the broker may speak first.
        got = broker.accept().recv()
        self.assertLessEqual(len(got), 500)
        decode_v2(got)

    def test_it_is_sent_before_the_connect_packet_too(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"proxy_protocol": "v2", "mqtt": "check"})
        client = self.client(postern)
        connect = mqtt_connect("c")
        client.send(connect)
        got = broker.accept().recv_until(connect)
        self.assertEqual(decode_v2(got)[4], connect)

    def test_it_is_not_counted_as_the_clients_bytes(self):
        broker = self.fake_broker()
        postern = self.postern(broker, listener={"proxy_protocol": "v2"})
        client = self.client(postern)
        client.send(b"data")
        peer = broker.accept()
        peer.recv_until(b"data")
        client.close()
        peer.close()
        self.assertEqual(postern.end_of(client)["up"], "4")


class FromABalancer(Case):
    REAL, US = ("203.0.113.7", 50122), ("192.0.2.1", 8883)
    REAL6, US6 = ("2001:db8::7", 50123), ("2001:db8::1", 8883)

    def balanced(self, broker, networks="127.0.0.0/8", **listener):
        return self.postern(broker, listener={"accept_proxy": networks, **listener})

    def through(self, postern, header, piece=None):
        """A client whose connection starts with that header."""
        client = self.client(postern, handshake=False)
        hello = client.hello()
        if piece is None:
            client.raw_send(header + hello)
        else:
            for at in range(0, len(header), piece):
                client.raw_send(header[at:at + piece])
            client.raw_send(hello)
        return client.handshake()

    def logged_peer(self, postern, client):
        client.send(b"x")
        client.recv_exactly(1)
        mark = postern.mark()
        client.close()
        return postern.wait("session end", since=mark)["peer"]

    def test_the_real_address_is_logged(self):
        postern = self.balanced(self.fake_broker(echo))
        for header, peer in (
                (header_v1(self.REAL, self.US), "203.0.113.7:50122"),
                (header_v2(self.REAL, self.US), "203.0.113.7:50122"),
                (header_v1(self.REAL6, self.US6), "[2001:db8::7]:50123"),
                (header_v2(self.REAL6, self.US6), "[2001:db8::7]:50123"),
                (header_v2(("::ffff:203.0.113.7", 50122), ("::ffff:192.0.2.1", 8883)),
                 "203.0.113.7:50122"),
                (header_v2(self.REAL, self.US, tlvs=b"\x04\x00\x30" + b"\0" * 48),
                 "203.0.113.7:50122")):
            for piece in (None, 1, 5):
                with self.subTest(header=header, piece=piece):
                    client = self.through(postern, header, piece)
                    self.assertEqual(self.logged_peer(postern, client), peer)

    def test_the_real_address_is_passed_on_and_no_tlv_is(self):
        broker = self.fake_broker()
        noise = b"\xe0\x00\x05SPAM!" + b"\x20\x00\x08\x07\0\0\0\0\x22\x00\x00"
        for version in ("v1", "v2"):
            postern = self.balanced(broker, proxy_protocol=version)
            client = self.through(postern, header_v2(self.REAL, self.US, tlvs=noise))
            client.send(b"data")
            got = broker.accept().recv_until(b"data")
            source = ipaddress.ip_address(self.REAL[0]), self.REAL[1]
            if version == "v1":
                self.assertEqual(decode_v1(got)[0], source)
            else:
                _, got_source, _, tlvs, _ = decode_v2(got)
                self.assertEqual(got_source, source)
                self.assertNotIn(0xE0, tlvs)
                self.assertEqual(decode_ssl(tlvs[0x20])[0], 0x01)

    def test_local_and_unknown_mean_the_balancer_itself(self):
        postern = self.balanced(self.fake_broker(echo))
        for header in (header_v2(None, None, command=0), header_v2(self.REAL, self.US, command=0),
                       header_v2(None, None, command=1), b"PROXY UNKNOWN\r\n",
                       b"PROXY UNKNOWN 203.0.113.7 192.0.2.1 50122 8883\r\n"):
            with self.subTest(header=header):
                client = self.through(postern, header)
                self.assertEqual(self.logged_peer(postern, client), client.peer)

    def test_a_header_may_be_cut_at_any_byte(self):
        postern = self.balanced(self.fake_broker(echo))
        for header in (header_v1(self.REAL, self.US), header_v2(self.REAL, self.US, tlvs=AWS)):
            for cut in range(1, len(header) + 1):
                client = self.client(postern, handshake=False)
                client.raw_send(header[:cut])
                client.raw_send(header[cut:] + client.hello())
                client.handshake()
            self.assertEqual(self.logged_peer(postern, client), "203.0.113.7:50122")

    def test_a_checksum_is_checked(self):
        postern = self.balanced(self.fake_broker(echo))
        good = header_v2(self.REAL, self.US, tlvs=AWS)
        client = self.through(postern, good)
        self.assertEqual(self.logged_peer(postern, client), "203.0.113.7:50122")
        bad = good.replace(b"vpce-08d2bf", b"vpce-08d2be")
        mark = postern.mark()
        with self.assertRaises(GONE):
            self.through(postern, bad)
        self.assertEqual(postern.wait("handshake failed", since=mark)["reason"],
                         "bad_proxy_header")

    def test_probes_are_lines_of_level_debug(self):
        """Whole headers and nothing after them, whatever they say, and nothing at all."""
        postern = self.postern(self.fake_broker(echo), listener={"accept_proxy": "127.0.0.1"},
                               main={"log_format": "json", "log_level": "debug"})
        for header in (b"", header_v2(None, None, command=0), b"PROXY UNKNOWN\r\n",
                       header_v2(self.REAL, self.US), header_v1(self.REAL, self.US)):
            for leave in ("end", "reset"):
                with self.subTest(header=header, leave=leave):
                    mark = postern.mark()
                    client = self.tcp_client(postern)
                    if header:
                        client.raw_send(header)
                    client.cut() if leave == "end" else client.reset()
                    line = postern.wait("handshake failed", since=mark)
                    self.assertEqual(line["level"], "debug")
                    self.assertIn(line["reason"], ("client_closed", "client_reset"))
        for start in (header_v2(None, None, command=0) + b"\x16", b"PROXY UNKN", b"PROXY x\r\n"):
            mark = postern.mark()
            client = self.tcp_client(postern)
            client.raw_send(start)
            client.cut()
            self.assertEqual(postern.wait("handshake failed", since=mark)["level"], "info")

    def test_a_balancer_must_send_a_header(self):
        broker = self.fake_broker(echo)
        postern = self.balanced(broker)
        with self.assertRaises(GONE):
            self.client(postern)
        self.assertEqual(postern.wait("handshake failed")["reason"], "bad_proxy_header")
        self.assertEqual(broker.connections(), 0)

    def test_bad_headers_are_refused(self):
        postern = self.balanced(self.fake_broker(echo))
        good = header_v2(self.REAL, self.US)
        for header in (b"PROXY TCP4 203.0.113.7 192.0.2.1 50122\r\n",
                       b"PROXY TCP4 203.0.113.7 192.0.2.1 50122 99999\r\n",
                       b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
                       b"PROXY TCP4 203.0.113.7 192.0.2.1 50122 8883\n",
                       b"PROXY TCP5 203.0.113.7 192.0.2.1 50122 8883\r\n",
                       b"PROXY " + b"x" * 110 + b"\r\n",
                       good[:12] + b"\x11" + good[13:], good[:12] + b"\x22" + good[13:],
                       good[:14] + b"\x00\x04" + good[16:]):
            for piece in (None, 1):
                with self.subTest(header=header, piece=piece):
                    mark = postern.mark()
                    with self.assertRaises(GONE):
                        self.through(postern, header, piece)
                    self.assertEqual(postern.wait("handshake failed", since=mark)["reason"],
                                     "bad_proxy_header")

    def test_a_header_that_does_not_come_in_time(self):
        postern = self.balanced(self.fake_broker(echo), first_byte_timeout="400ms")
        for start in (b"", b"PROXY TCP4 203.0", SIGNATURE[:5]):
            client = self.tcp_client(postern)
            if start:
                client.raw_send(start)
            self.assertEqual(client.raw_end()[0], b"")
        postern.wait("handshake failed", reason="first_byte_timeout")

    def test_a_header_from_other_addresses_is_never_read(self):
        broker = self.fake_broker(echo)
        postern = self.balanced(broker, networks="192.0.2.0/24, 2001:db8::/32")
        for header in (header_v1(self.REAL, self.US), header_v2(self.REAL, self.US)):
            mark = postern.mark()
            with self.assertRaises(GONE):
                self.through(postern, header)
            self.assertEqual(postern.wait("handshake failed", since=mark)["reason"], "not_tls")
        client = self.client(postern)
        self.assertEqual(self.logged_peer(postern, client), client.peer)

    def test_an_ipv4_network_holds_for_mapped_addresses(self):
        postern = self.postern(self.fake_broker(echo), listen="[::]:0",
                               listener={"accept_proxy": "127.0.0.0/8"})
        client = TlsClient(("127.0.0.1", postern.port), tls_context(pki.authority().pem),
                           handshake=False)
        self.addCleanup(client.cut)
        client.raw_send(header_v1(self.REAL, self.US) + client.hello())
        client.handshake()
        self.assertEqual(self.logged_peer(postern, client), "203.0.113.7:50122")


if __name__ == "__main__":
    main()
