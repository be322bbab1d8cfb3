"""Real clients that have a certificate of their own, and devices made for AWS IoT, which a route
finds by the protocol that they offer.

After its tests the program prints the table, as it stands in docs/clients.md.
"""

import os
import shutil
import unittest

from devices.field import DOWN, KEYS, MESSAGE, UP, VERSIONS, Field, Plain, chain
from devices.programs import PahoGo, npm_folder
from harness import ALL, Mqtt, main, own_library, pki

AMAZON = "x-amzn-mqtt-ca"
X25519MLKEM768 = 4588
COLUMNS = ("client", "TLS", "key", "offers (ALPN)", "key exchange", "resumes")
rows = {}  # kinds of key by what is alike for them


class Identities(Field):
    """Clients have a certificate of the fleet's CA below an intermediate one."""

    def setUp(self):
        super().setUp()
        self.required = {"client_auth": "required",
                         "client_ca": self.write("fleet.pem", pki.authority("Fleet").pem)}

    def identity(self, kind):
        """The files of a client's certificate, with its chain, and of its key."""
        issuer = pki.Authority("Fleet CA", parent=pki.authority("Fleet"))
        certificate = issuer.issue("device-1", usage="client", kind=kind)
        return (self.write("device.pem", certificate.pem + certificate.chain),
                self.write("device.key", certificate.key_pem))

    def row(self, name, version, kind, wire, events):
        offered = ", ".join(wire.connections[0].hello().protocols) or "-"
        cells = (offered, self.group(wire, events[0]), self.resumption(wire, events))
        rows.setdefault((name, version, cells), []).append(kind.upper())

    def ends(self, wire):
        """The closing lines of all its connections, which were all served."""
        found = [self.server.wait("session end", "handshake failed", peer=connection.peer)
                 for connection in wire.connections]
        for event in found:
            self.assertEqual((event.name, event.get("identity")), ("session end", "device-1"),
                             event.raw)
        return found

    def group(self, wire, event):
        """The key exchange of a full handshake: the hybrid one for those that sent its share."""
        offered = X25519MLKEM768 in wire.connections[0].hello().shares
        self.assertEqual(event["group"] == "X25519MLKEM768",
                         offered and event["tls"] == "1.3" and own_library())
        return event["group"]

    def resumption(self, wire, events):
        """How the second connection resumed, as the client asked and Postern granted."""
        asked = wire.resumption()
        self.assertEqual([event["resumed"] for event in events],
                         ["no", "no" if asked == "full" else "yes"])
        return "never asks" if asked == "full" else asked


@unittest.skipUnless(ALL, "only with ./dev test --all")
class Go(Identities):
    def test_it_is_known_by_its_certificate_and_resumes(self):
        program = PahoGo()
        if program.missing():
            self.skipTest(f"needs {program.missing()}")
        self.server = self.field_postern(**self.required)
        for kind in KEYS:
            identity = self.identity(kind)
            ca = self.ca_file(chain(kind)[0], "ca.pem")
            for version in VERSIONS:
                with self.subTest(kind=kind, version=version):
                    wire = self.wire(self.server, f"{kind}-{version}")
                    command = program.command(wire.port, ca, f"{UP}/go", 2, None, kind)
                    done = self.run_client(*command, *identity, **program.options())
                    self.assertEqual(done.returncode, 0, done.stdout)
                    self.expect_message(f"{UP}/go")
                    self.expect_message(f"{UP}/go")
                    self.row(program.name, version, kind, wire, self.ends(wire))


@unittest.skipUnless(ALL and shutil.which("node"), "only with ./dev test --all, and Node.js")
class Aws(Identities):
    """Port 443 of AWS IoT: MQTT with certificates for those that offer its protocol. Here the others
    reach a broker of their own, without a certificate."""

    def setUp(self):
        super().setUp()
        self.other = self.mosquitto()

    def routed(self, kind, version):
        route = {"alpn": AMAZON, "backend": self.broker.address, "mqtt": "identity", **self.required}
        return self.postern(self.other, certificate=chain(kind)[1],
                            listener={"tls_min": version, "tls_max": version, "mqtt": "check"},
                            more="[route aws]\n" + "".join(f"{k} = {v}\n" for k, v in route.items()))

    def visit(self, name, script, kind, version):
        self.server = self.routed(kind, version)
        wire = self.wire(self.server)
        done = self.run_client(
            "node", os.path.join(npm_folder(), script), wire.port,
            self.ca_file(chain(kind)[0], "ca.pem"), DOWN, f"{UP}/aws", 2, *self.identity(kind))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.expect_message(f"{UP}/aws")
        self.expect_message(f"{UP}/aws")
        events = self.ends(wire)
        self.assertEqual({event["route"] for event in events}, {"aws"})
        self.row(name, version, kind, wire, events)

    def each(self, name, script):
        for kind in KEYS:
            for version in VERSIONS:
                with self.subTest(kind=kind, version=version):
                    self.visit(name, script, kind, version)

    def test_the_sdk_for_javascript_version_1(self):
        self.each("AWS IoT SDK for JavaScript 1", "aws1.js")

    def test_the_sdk_for_javascript_version_2(self):
        self.each("AWS IoT SDK for JavaScript 2", "aws2.js")

    def test_what_offers_another_protocol_reaches_the_other_broker(self):
        self.server = self.routed("ecdsa", "1.3")
        mqtt = self.mqtt_client(self.server, "sensor", version="1.3", ca=chain("ecdsa")[0].pem)
        mqtt.publish("own", MESSAGE, retain=True)
        reader = Mqtt(Plain(self.other.port))
        self.addCleanup(reader.stream.close)
        self.assertEqual(reader.connect(), 0)
        reader.subscribe("own", qos=0)
        self.assertEqual(reader.receive(), ("own", MESSAGE))


def tearDownModule():
    if rows:
        table = [COLUMNS, ["---"] * len(COLUMNS)]
        table += [(name, version, ", ".join(kinds), *cells)
                  for (name, version, cells), kinds in rows.items()]
        print("", *("| " + " | ".join(line) + " |" for line in table), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
