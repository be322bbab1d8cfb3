"""Routes: several brokers behind one port, chosen by server name and protocol, which have no client
and no session in common."""

import base64
import hashlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
import unittest
from pathlib import Path

from brokers import echo, listening_ports
from clients import Mqtt, TcpClient, Truncated, mqtt_connect, tls_context
from devices.programs import npm_folder
from harness import ALL, PATIENCE, SLOW, Case, main, own_library, pki, run_program

TOP = Path(__file__).resolve().parents[2]
BOTH = ("1.2", "1.3")
WAYS = ("1.2 ticket", "1.3 ticket", "1.2 session ID")
NAMES = ["localhost", "a.example", "b.example", "*.tenants.example", "127.0.0.1"]
SERVER = pki.authority().issue(names=NAMES)


def device(authority, name="device-1"):
    return pki.authority(authority).issue(name, usage="client", own_key=pki.key("ecdsa", "client"))


def route(name, **keys):
    return f"[route {name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) + "\n"


def named(name):
    """A broker that says who it is, and then echoes."""
    def handler(peer):
        first = peer.recv()
        if first:
            peer.send(name.encode() + b":" + first)
            echo(peer)
    return handler


class Routed(Case):
    def broker(self, name):
        return self.fake_broker(named(name))

    def text(self, backend, *routes, main=(), certificate=SERVER, **listener):
        return self.config(backend, certificate=certificate, listener=listener, main=main,
                           more="".join(routes))

    def served(self, backend, *routes, main=(), **listener):
        return self.postern(text=self.text(backend, *routes, main=main, **listener))

    def reload(self, postern, backend, *routes, main=(), **listener):
        self.write("postern.conf", self.text(backend, *routes, main=main, **listener))
        event = postern.reload()
        self.assertEqual(event.name, "reload done", event.raw)

    def context(self, version=None, cert=None, alpn=None, way=None):
        context = tls_context(pki.authority().pem, way[:3] if way else version, cert)
        # Names that no certificate has are of interest, too; that ours verify is tested elsewhere.
        context.check_hostname = False
        if way and way.endswith("ID"):
            context.options |= ssl.OP_NO_TICKET
        if alpn:
            context.set_alpn_protocols(alpn)
        return context

    def visit(self, postern, server_name, context=None, session=None, **options):
        """(the broker's name, the closing line, the session for the next visit)."""
        client = self.client(postern, context=context or self.context(**options),
                             server_name=server_name, session=session)
        client.send(b"hello")
        got = b""
        while not got.endswith(b":hello"):
            data = client.recv()
            self.assertTrue(data, got)
            got += data
        kept = client.tls.session
        client.close()
        event = postern.end_of(client)
        self.assertEqual(event.name, "session end", event.raw)
        return got.decode().split(":")[0], event, kept

    def refusal(self, postern, server_name, context=None, session=None, **options):
        """The closing line of a client that is refused."""
        client = self.client(postern, context=context or self.context(**options),
                             server_name=server_name, session=session, handshake=False)
        with self.assertRaises((ssl.SSLError, Truncated, ConnectionError)):
            client.handshake()
            client.await_verdict()
        event = postern.end_of(client)
        self.assertEqual(event.name, "handshake failed", event.raw)
        return event

    def websockets(self):
        """The address of a Mosquitto that speaks MQTT over WebSocket there."""
        for _ in range(20):
            with socket.socket() as chooser:
                chooser.bind(("127.0.0.1", 0))
                port = chooser.getsockname()[1]
            # Mosquitto 2.0 does not start without another listener beside.
            broker = self.mosquitto(path=self.path("mqtt.sock"), settings=(
                f"allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\n"))
            self.wait_until(lambda: broker.process.poll() is not None
                            or port in listening_ports(broker.process.pid), "Mosquitto")
            if broker.process.poll() is None:
                return f"127.0.0.1:{port}"
        raise AssertionError("no port is free")

    def s_client(self, postern, *options):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{postern.port}", *options],
            input=b"", capture_output=True, timeout=PATIENCE * SLOW, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")


class Choice(Routed):
    def test_the_name_and_the_protocol_choose_the_broker(self):
        postern = self.served(
            self.broker("own"),
            route("a", server_name="a.example", backend=self.broker("a").address),
            route("tenants", server_name="*.tenants.example", backend=self.broker("tenants").address),
            route("web", alpn="http/1.1", backend=self.broker("web").address),
            route("a-web", server_name="a.example", alpn="http/1.1, wss",
                  backend=self.broker("a-web").address))
        for version in BOTH:
            for name, offered, broker, answer in (
                    ("a.example", None, "a", None), ("A.Example", ["mqtt"], "a", "mqtt"),
                    ("a.example", ["mqtt", "http/1.1"], "a-web", "http/1.1"),
                    ("a.example", ["h2"], "a", None),
                    ("x.tenants.example", ["http/1.1"], "tenants", None),
                    ("x.y.tenants.example", ["http/1.1"], "web", "http/1.1"),
                    ("tenants.example", None, "own", None), ("b.example", ["mqtt"], "own", "mqtt"),
                    ("127.0.0.1", None, "own", None), (None, None, "own", None),
                    (None, ["http/1.1", "mqtt"], "web", "http/1.1")):
                with self.subTest(version=version, name=name, offered=offered):
                    client = self.client(postern, server_name=name,
                                         context=self.context(version, alpn=offered))
                    client.send(b"x")
                    expected = f"{broker}:x".encode()
                    self.assertEqual(client.recv_exactly(len(expected)), expected)
                    self.assertEqual(client.tls.selected_alpn_protocol(), answer)
                    client.close()
                    event = postern.end_of(client)
                    self.assertEqual(event.get("route"), None if broker == "own" else broker)

    def test_each_route_presents_its_own_certificate(self):
        own, other = SERVER, pki.authority().issue("b.example", names=["b.example"])
        postern = self.postern(self.broker("own"), listener={"certificates": "main"}, more=(
            self.certificate_section("main", own) + self.certificate_section("other", other) +
            route("b", server_name="b.example", certificates="other")))
        for name, expected in (("a.example", own), ("b.example", other)):
            client = self.client(postern, server_name=name, context=self.context())
            self.assertEqual(client.peer_serial(), expected.serial_hex)
            client.close()
        event = postern.wait("certificate", route="b")
        self.assertEqual((event["section"], event["serial"]), ("other", other.serial_hex))

    def test_two_mosquittos_are_chosen_by_name(self):
        one, two = self.mosquitto(), self.mosquitto()
        postern = self.served(one, route("two", server_name="localhost", backend=two.address),
                              mqtt="check")
        ca = self.write("ca.pem", pki.authority().pem)
        for host, broker in (("127.0.0.1", one), ("localhost", two)):
            done = subprocess.run(
                ["mosquitto_pub", "-h", host, "-p", str(postern.port), "--cafile", ca, "-t", "where",
                 "-m", f"sent to {host}", "-q", "1", "-r"],
                capture_output=True, timeout=PATIENCE * SLOW, check=False, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        for host, broker in (("127.0.0.1", one), ("localhost", two)):
            mqtt = Mqtt(PlainStream(("127.0.0.1", broker.port)))
            self.addCleanup(mqtt.stream.cut)
            self.assertEqual(mqtt.connect("reader"), 0)
            mqtt.subscribe("where")
            self.assertEqual(mqtt.receive(), ("where", f"sent to {host}".encode()))

    def test_a_websocket_reaches_its_broker_beside_mqtt(self):
        web = self.websockets()
        postern = self.served(self.mosquitto(),
                              route("web", alpn="http/1.1", mqtt="off", backend=web),
                              mqtt="check")
        for version in BOTH:
            with self.subTest(version=version):
                client = self.client(postern, context=self.context(version, alpn=["http/1.1"]))
                self.assertEqual(client.tls.selected_alpn_protocol(), "http/1.1")
                socket_ = WebSocket(client)
                self.assertEqual(Mqtt(socket_).connect("browser"), 0)
                client.close()
                self.assertEqual(postern.end_of(client)["route"], "web")
                mqtt = self.mqtt_client(postern, "device", context=self.context(version))
                mqtt.stream.close()
                self.assertNotIn("route", postern.end_of(mqtt.stream))

    def test_a_broker_that_is_down_is_down_for_its_route_alone(self):
        own, a = self.broker("own"), self.fake_broker(named("a"), up=False)
        b = self.broker("b")
        postern = self.served(own, route("a", server_name="a.example", backend=a.address),
                              route("b", server_name="b.example", backend=b.address),
                              connect_timeout="200ms")
        self.assertEqual(self.first_end(postern, "a.example")["reason"], "broker_unreachable")
        self.wait_until(lambda: self.first_end(postern, "a.example")["reason"] == "no_backend",
                        "the route's clients to be refused early")
        event = self.first_end(postern, "a.example")
        self.assertEqual((event["route"], event["alert"]), ("a", "80"))
        own.down()
        self.assertEqual(self.first_end(postern, "localhost")["reason"], "broker_unreachable")
        self.wait_until(lambda: self.first_end(postern, "localhost")["reason"] == "no_backend",
                        "the listener's clients to be refused early")
        self.assertEqual(self.visit(postern, "b.example")[0], "b")
        a.up()
        postern.wait("backend up", backend=a.address)
        self.assertEqual(self.visit(postern, "a.example")[0], "a")

    def first_end(self, postern, name):
        """The closing line of a client that says a word, whatever comes of it."""
        client = self.client(postern, server_name=name, context=self.context(), handshake=False)
        try:
            client.handshake()
            client.send(b"x")
            client.recv()
        except (ssl.SSLError, Truncated, OSError):
            pass
        client.cut()
        return postern.end_of(client)


class PlainStream(TcpClient):
    """For Mqtt, without TLS."""

    def send(self, data):
        self.raw_send(data)

    def recv_exactly(self, size):
        got = b""
        while len(got) < size:
            data = self.raw_recv(size - len(got))
            if not data:
                raise AssertionError(f"closed after {got}")
            got += data
        return got


class WebSocket:
    """RFC 6455, for small messages: a stream for Mqtt."""

    def __init__(self, stream):
        self.stream, self.left = stream, b""
        key = base64.b64encode(os.urandom(16)).decode()
        stream.send(("GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                     f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += stream.recv_exactly(1)
        expected = base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert head.startswith(b"HTTP/1.1 101") and expected in head, head

    def send(self, data):
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        assert len(data) < 126
        self.stream.send(bytes([0x82, 0x80 | len(data)]) + mask + masked)

    def recv_exactly(self, size):
        while len(self.left) < size:
            first, length = self.stream.recv_exactly(2)
            assert first == 0x82 and length < 126, (first, length)
            self.left += self.stream.recv_exactly(length)
        got, self.left = self.left[:size], self.left[size:]
        return got


@unittest.skipUnless(ALL and shutil.which("node"), "only with ./dev test --all, and Node.js")
class MqttJs(Routed):
    SCRIPT = """
const mqtt = require('mqtt'), fs = require('fs')
const [port, ca, protocol] = process.argv.slice(2)
const client = mqtt.connect(`wss://localhost:${port}/mqtt`, {
    ca: fs.readFileSync(ca), reconnectPeriod: 0,
    wsOptions: { ca: fs.readFileSync(ca), ...(protocol ? { ALPNProtocols: [protocol] } : {}) } })
client.on('connect', () => client.publish('web', 'hello', { qos: 1 }, () => client.end()))
client.on('error', (error) => { console.error(error.message); process.exit(1) })
"""

    def test_it_publishes_over_a_websocket(self):
        web = self.websockets()
        script, ca = self.write("web.js", self.SCRIPT), self.write("ca.pem", pki.authority().pem)
        for protocol, keys in (("http/1.1", {"alpn": "http/1.1"}), ("", {"server_name": "localhost"})):
            with self.subTest(protocol=protocol):
                postern = self.served(self.broker("own"), route("web", backend=web, **keys))
                done = subprocess.run(
                    ["node", script, str(postern.port), ca, protocol], capture_output=True, text=True,
                    env={**os.environ, "NODE_PATH": f"{npm_folder()}/node_modules"},
                    timeout=PATIENCE * SLOW, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(postern.wait("session end")["route"], "web")


class Trust(Routed):
    """Acme and Umbrella have CAs of their own; everybody is let into the route `open`."""

    def tenants(self):
        for name in ("Acme", "Umbrella"):
            self.write(f"{name}.pem", pki.authority(name).pem)
        self.open, self.closed = self.broker("open"), self.broker("acme")
        return (route("open", server_name="b.example", backend=self.open.address),
                route("acme", server_name="a.example", backend=self.closed.address,
                      client_auth="required", client_ca="Acme.pem"),
                route("umbrella", server_name="*.tenants.example", client_auth="required",
                      client_ca="Umbrella.pem", backend=self.broker("umbrella").address))

    def test_each_tenant_lets_in_its_own_clients(self):
        postern = self.served(self.broker("own"), *self.tenants())
        acme, umbrella = device("Acme"), device("Umbrella")
        for version in BOTH:
            with self.subTest(version=version):
                broker, event, _ = self.visit(postern, "a.example", version=version, cert=acme)
                self.assertEqual((broker, event["identity"], event["route"]),
                                 ("acme", "device-1", "acme"))
                before = self.closed.connections()
                event = self.refusal(postern, "a.example", version=version, cert=umbrella)
                self.assertEqual((event["reason"], event["route"]), ("unknown_ca", "acme"))
                event = self.refusal(postern, "a.example", version=version)
                self.assertEqual(event["reason"], "no_certificate_given")
                self.assertEqual(self.closed.connections(), before)
                self.assertEqual(self.visit(postern, "x.tenants.example", version=version,
                                            cert=umbrella)[0], "umbrella")
                self.assertEqual(self.refusal(postern, "x.tenants.example", version=version,
                                              cert=acme)["reason"], "unknown_ca")
                self.assertEqual(self.visit(postern, "b.example", version=version)[0], "open")

    def test_a_session_of_an_open_route_is_of_no_use_in_a_closed_one(self):
        postern = self.served(self.broker("own"), *self.tenants())
        for way in WAYS:
            with self.subTest(way=way):
                context = self.context(way=way)
                _, event, session = self.visit(postern, "b.example", context)
                _, event, session = self.visit(postern, "b.example", context, session)
                self.assertEqual(event["resumed"], "yes")
                before = self.closed.connections()
                event = self.refusal(postern, "a.example", context, session)
                self.assertEqual((event["reason"], event["sni"]), ("no_certificate_given", "a.example"))
                self.assertEqual(self.closed.connections(), before)

    def test_a_session_does_not_cross_routes_of_one_name_either(self):
        """Where the protocol alone differs, all else that a ticket is tied to is equal."""
        self.write("Acme.pem", pki.authority("Acme").pem)
        postern = self.served(
            self.broker("own"),
            route("open", server_name="a.example", alpn="open", backend=self.broker("open").address),
            route("same", server_name="a.example", alpn="same", backend=self.broker("same").address),
            route("closed", server_name="a.example", client_auth="required", client_ca="Acme.pem",
                  backend=self.broker("closed").address))
        for way in WAYS:
            with self.subTest(way=way):
                context = self.context(way=way)
                context.set_alpn_protocols(["open"])
                session = self.visit(postern, "a.example", context)[2]
                broker, event, session = self.visit(postern, "a.example", context, session)
                self.assertEqual((broker, event["resumed"]), ("open", "yes"))
                context.set_alpn_protocols(["same"])
                broker, event, _ = self.visit(postern, "a.example", context, session)
                self.assertEqual((broker, event["resumed"]), ("same", "no"))
                context.set_alpn_protocols(["other"])
                event = self.refusal(postern, "a.example", context, session)
                self.assertEqual(event["reason"], "no_certificate_given")

    def test_a_certificate_of_one_tenant_does_not_come_along_in_a_session(self):
        postern = self.served(self.broker("own"), *self.tenants())
        for way in WAYS:
            with self.subTest(way=way):
                context = self.context(way=way, cert=device("Acme"))
                session = self.visit(postern, "a.example", context)[2]
                event = self.refusal(postern, "x.tenants.example", context, session)
                self.assertEqual(event["reason"], "unknown_ca")
                _, event, _ = self.visit(postern, "a.example", context, session)
                # Tickets of the distribution's library have no room for a certificate.
                resumes = own_library() or way.endswith("ID")
                self.assertEqual((event["resumed"], event["identity"]),
                                 ("yes" if resumes else "no", "device-1"))

    def test_the_broker_gets_the_identity_by_the_routes_rule(self):
        broker = self.fake_broker()
        self.write("Acme.pem", pki.authority("Acme").pem)
        postern = self.served(
            self.broker("own"),
            route("acme", server_name="a.example", backend=broker.address, client_auth="required",
                  client_ca="Acme.pem", mqtt="identity", client_id="prefix"))
        client = self.client(postern, cert=device("Acme"), server_name="a.example",
                             context=self.context(cert=device("Acme")))
        client.send(mqtt_connect("device-1/x", "somebody", "secret"))
        got = broker.accept().recv_exactly(len(mqtt_connect("device-1/x", "device-1")))
        self.assertEqual(got, mqtt_connect("device-1/x", "device-1"))
        client = self.client(postern, server_name="a.example",
                             context=self.context(cert=device("Acme")))
        client.send(mqtt_connect("device-2", "somebody"))
        self.assertEqual(postern.end_of(client)["reason"], "bad_client_id")
        client = self.client(postern, server_name="b.example", context=self.context())
        client.send(b"not MQTT")
        self.assertEqual(client.recv_exactly(12), b"own:not MQTT")


class UnknownNames(Routed):
    def test_they_are_refused_where_that_is_asked_for(self):
        routes = (route("a", server_name="a.example", backend=self.broker("a").address),
                  route("web", alpn="http/1.1", backend=self.broker("web").address))
        postern = self.served(self.broker("own"), *routes, unknown_name="refuse")
        for version in BOTH:
            for name in ("c.example", "x.y.tenants.example", None):
                with self.subTest(version=version, name=name):
                    event = self.refusal(postern, name, version=version)
                    self.assertEqual((event["reason"], event["alert"], event["sni"]),
                                     ("unrecognized_name", "112", name or "-"))
                    self.assertNotIn("route", event)
                    self.assertEqual(self.visit(postern, name, version=version,
                                                alpn=["http/1.1"])[0], "web")
            self.assertEqual(self.visit(postern, "a.example", version=version)[0], "a")
            self.assertEqual(self.visit(postern, "b.example", version=version)[0], "own")
            self.assertEqual(self.visit(postern, "x.tenants.example", version=version)[0], "own")
        self.assertIn("alert number 112", self.s_client(postern, "-servername", "c.example"))
        self.assertIn("alert number 112", self.s_client(postern, "-noservername"))
        self.assertIn("alert number 112", self.s_client(postern, "-servername", "127.0.0.1"))
        self.assertTrue(postern.all("handshake failed", sni="127.0.0.1", reason="unrecognized_name"))

    def test_they_are_served_by_default_and_a_reload_changes_that(self):
        own = self.broker("own")
        postern = self.served(own)
        self.assertEqual(self.visit(postern, "c.example")[0], "own")
        self.reload(postern, own, unknown_name="refuse")
        self.assertEqual(self.refusal(postern, "c.example")["reason"], "unrecognized_name")
        self.reload(postern, own)
        self.assertEqual(self.visit(postern, "c.example")[0], "own")


class Reloads(Routed):
    def open_session(self, postern, name, **options):
        client = self.client(postern, server_name=name, context=self.context(**options))
        client.send(b"begin")
        got = b""
        while not got.endswith(b":begin"):
            got += client.recv()
        return client

    def still_works(self, client):
        client.send(b"more")
        self.assertEqual(client.recv_exactly(4), b"more")

    def test_routes_come_change_and_go(self):
        own, a, b = self.broker("own"), self.broker("a"), self.broker("b")
        postern = self.served(own)
        before = self.open_session(postern, "a.example")
        self.reload(postern, own, route("r", server_name="a.example", backend=a.address))
        on_a = self.open_session(postern, "a.example")
        self.assertEqual(self.visit(postern, "a.example")[0], "a")
        self.reload(postern, own, route("r", server_name="a.example", backend=b.address),
                    route("x", server_name="b.example", backend=a.address))
        self.assertEqual(self.visit(postern, "a.example")[0], "b")
        self.assertEqual(self.visit(postern, "b.example")[0], "a")
        self.reload(postern, own)
        self.assertEqual(self.visit(postern, "a.example")[0], "own")
        for client, name, backend in ((before, None, own), (on_a, "r", a)):
            self.still_works(client)
            client.close()
            event = postern.end_of(client)
            self.assertEqual((event.get("route"), event["backend"]), (name, backend.address))

    def test_a_mistake_in_a_route_is_refused_with_its_line(self):
        own = self.broker("own")
        good = route("r", server_name="a.example", backend=own.address)
        postern = self.served(own, good)
        for bad, word in ((route("r", server_name="*"), "server_name = *"),
                          (route("r", alpn="http/1.1", mqtt="check"), "alpn has http/1.1"),
                          (good + route("s", server_name="A.example"), "for the same clients as"),
                          (route("r", server_name="a.example", client_auth="required",
                                 client_ca="none.pem"), "route r: client_ca: ")):
            self.write("postern.conf", self.text(own, bad))
            event = postern.reload()
            self.assertEqual(event.name, "reload refused")
            self.assertIn(word, event.raw)
            self.assertEqual(self.visit(postern, "a.example")[1]["route"], "r")

    def test_a_reload_ends_those_that_their_own_route_does_not_allow_any_more(self):
        own, brokers = self.broker("own"), {"a": self.broker("a"), "b": self.broker("b")}
        for name in ("Acme", "Umbrella"):
            self.write(f"{name}.pem", pki.authority(name).pem)
        routes = [route(name, server_name=f"{name}.example", backend=brokers[name].address,
                        client_auth="required", client_ca=ca, client_allow=f"{name}.allow",
                        revoked_sessions="end")
                  for name, ca in (("a", "Acme.pem"), ("b", "Umbrella.pem"))]
        both = "name:device-1\nname:device-2\n"
        self.write("a.allow", both)
        self.write("b.allow", both)
        postern = self.served(own, *routes)
        held = {(name, number): self.open_session(postern, f"{name}.example",
                                                  cert=device(ca, f"device-{number}"))
                for name, ca in (("a", "Acme"), ("b", "Umbrella")) for number in (1, 2)}
        way = self.context("1.3", cert=device("Acme", "device-2"))
        session = self.visit(postern, "a.example", way)[2]
        self.write("a.allow", "name:device-1\n")
        self.assertEqual(postern.reload().name, "reload done")
        event = postern.end_of(held["a", 2])
        self.assertEqual((event["reason"], event["route"], event["identity"]),
                         ("revoked", "a", "device-2"))
        for who in (("a", 1), ("b", 1), ("b", 2)):
            self.still_works(held[who])
        self.assertEqual(self.refusal(postern, "a.example", way, session)["reason"], "not_allowed")
        self.assertEqual(self.refusal(postern, "a.example",
                                      cert=device("Acme", "device-2"))["reason"], "not_allowed")

    def test_a_handshake_is_decided_by_the_route_that_is_there_when_it_ends(self):
        own, a = self.broker("own"), self.broker("a")
        self.write("Acme.pem", pki.authority("Acme").pem)
        strict = route("r", server_name="a.example", backend=a.address, client_auth="required",
                       client_ca="Acme.pem")
        for version in BOTH:
            with self.subTest(version=version):
                postern = self.served(own)
                client = self.client(postern, context=self.context(version), handshake=False,
                                     server_name="a.example")
                client.raw_send(client.hello())
                answer = client.raw_recv()
                self.reload(postern, own, strict)
                with self.assertRaises((ssl.SSLError, Truncated, ConnectionError)):
                    client.step(answer)
                    client.raw_send(client.pending_output())
                    client.handshake()
                    client.await_verdict()
                self.assertEqual(postern.end_of(client)["reason"], "no_certificate_given")


class Forger(threading.Thread):
    """Between a client and Postern: changes bytes in what the client sends after its first flight."""

    def __init__(self, address, old, new):
        super().__init__(daemon=True)
        self.address, self.old, self.new, self.changed = address, old, new, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.peer = None
        self.start()

    def run(self):
        client, _ = self.listener.accept()
        with client, socket.create_connection(self.address) as server:
            self.peer = "%s:%d" % server.getsockname()
            flights, heard = 0, True
            while True:
                ready, _, _ = select.select([client, server], [], [], PATIENCE)
                if not ready:
                    return
                for source in ready:
                    try:
                        data = source.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    if source is client:
                        flights += heard
                        heard = False
                        if flights > 1 and self.old in data:
                            data = data.replace(self.old, self.new)
                            self.changed += 1
                        server.sendall(data)
                    else:
                        heard = True
                        client.sendall(data)


@unittest.skipUnless(own_library(), "the distribution's library takes any second hello")
class SecondHello(Routed):
    def try_second(self, old, new, *options):
        """The closing line of a client whose second ClientHello is changed."""
        postern = self.served(
            self.broker("own"), route("a", server_name="a.example", alpn="open"),
            route("b", server_name="b.example", backend=self.broker("b").address))
        forger = Forger(postern.address(), old, new)
        self.addCleanup(forger.listener.close)
        mark = postern.mark()
        subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{forger.port}", "-tls1_3",
                        "-groups", "P-521:P-384", *options], input=b"x", capture_output=True,
                       timeout=PATIENCE * SLOW, check=False)
        forger.join(PATIENCE)
        event = postern.wait("handshake failed", "session end", since=mark)
        return event, forger.changed

    def test_one_with_another_name_or_other_protocols_is_refused(self):
        for old, new in ((b"a.example", b"b.example"), (b"\x04open", b"\x04mqtt")):
            with self.subTest(new=new):
                event, changed = self.try_second(old, new, "-servername", "a.example", "-alpn",
                                                 "open")
                self.assertEqual((changed, event.name), (1, "handshake failed"))
                self.assertEqual((event["reason"], event["alert"], event["route"]),
                                 ("protocol_error", "47", "a"))

    def test_one_that_is_the_same_is_let_in(self):
        event, changed = self.try_second(b"nowhere", b"nowhere", "-servername", "a.example", "-alpn",
                                         "open")
        self.assertEqual((changed, event.name, event["route"]), (0, "session end", "a"))


class Check(Routed):
    def test_the_check_prints_the_routes(self):
        self.write("Acme.pem", pki.authority("Acme").pem)
        server = pki.authority().issue(names=["a.example", "*.a.example"])
        text = self.text("127.0.0.1:1", route("acme", server_name="a.example, *.A.example",
                                              backend="unix:/acme", client_auth="required",
                                              client_ca="Acme.pem"),
                         route("web", alpn="http/1.1, wss", mqtt="off"), mqtt="check",
                         unknown_name="refuse", certificate=server)
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        acme = lines.index("route acme of listener mqtt")
        web = lines.index("route web of listener mqtt")
        self.assertLess(lines.index("listener mqtt"), acme)
        self.assertTrue(any("no route and no certificate" in line for line in lines[:acme]))
        self.assertIn("  server name a.example, *.a.example", lines[acme:web])
        self.assertIn("  backend     unix:/acme", lines[acme:web])
        self.assertTrue(any(line.startswith("  clients     certificate required, CA ")
                            and line.endswith("Acme.pem, CRL none, identity cn, MQTT checked")
                            for line in lines[acme:web]), lines[acme:web])
        self.assertIn("  protocol    http/1.1, wss", lines[web:])
        self.assertIn("  clients     anyone", lines[web:])
        self.assertTrue(any(line.startswith("  certificate main: ") for line in lines[web:]))

    def test_a_server_name_on_no_certificate_is_warned_of(self):
        text = self.text("127.0.0.1:1", route("r", server_name="a.example, c.example, *.example, "
                                                               "*.tenants.example"))
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 0)
        warned = [line for line in done.stderr.splitlines() if "without server name" in line]
        self.assertEqual(len(warned), 2, done.stderr)
        self.assertIn("route r: no certificate has the name c.example; ", warned[0])
        self.assertIn("route r: no certificate has the name *.example; ", warned[1])

    def test_what_the_page_about_tenants_says_works(self):
        page = (TOP / "docs/identity.md").read_text(encoding="utf-8")
        part = page[page.index("## Several tenants on one port"):]
        text = "\n".join(line[4:] for line in part[:part.index("The certificate must")].splitlines()
                         if line.startswith("    "))
        os.makedirs(self.path("acme"))
        os.makedirs(self.path("umbrella"))
        pki.authority().issue(names=[
            "mqtt.example.org", "acme.example.org", "umbrella.example.org",
            "*.umbrella.example.org"]).write(self.path("certs/mqtt.example.org"))
        self.write("certs/mqtt.example.org/chain.pem", pki.authority().pem)
        self.write("acme/ca.pem", pki.authority("Acme").pem)
        self.write("acme/crl.pem", pki.authority("Acme").crl())
        self.write("umbrella/ca.pem", pki.authority("Umbrella").pem)
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    main()
