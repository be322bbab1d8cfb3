"""Every client by TLS version, kind of key, verification and resumption: each cell is run.

After its tests the program prints the table, as it stands in docs/clients.md. The usual suite runs
the quick clients; with POSTERN_TEST_ALL=1 the others too.
"""

import unittest

from devices.field import KEYS, UP, VERSIONS, Field, chain
from devices.nodered import NodeRed
from devices.programs import PROGRAMS
from harness import ALL, main, own_library

COLUMNS = ("client", "TLS", "key", "verifies", "a foreign CA", "verification off", "resumes")
X25519MLKEM768 = 4588
rows = {}


def closing_line(postern, wire, number=0):
    """The closing line of that connection. A port may serve for several listeners: name both."""
    return postern.wait("handshake failed", "session end", listener=wire.listener,
                        peer=wire.connections[number].peer)


def refusal(case, end, alert=None):
    """A cell for a client that does not trust the server. Some say so by an alert; some leave
    without an alert, or let the handshake end, look at the certificate then, and leave before they
    have sent a byte."""
    if alert:
        case.assertEqual((end["reason"], end.get("alert")), ("alert_received", alert))
        return f"refused, alert {alert}"
    case.assertIn(end["reason"], ("client_closed", "client_reset", "client_truncated"))
    case.assertEqual(end.get("up", "0"), "0")
    return "refused, no alert"


class Cells(Field):
    """The four questions to one client; subclasses below name the client."""
    program = None

    def setUp(self):
        super().setUp()
        self.server = self.field_postern()
        self.ca_file(chain("rsa")[0], "rsa.pem")
        self.ca_file(chain("ecdsa")[0], "ecdsa.pem")

    def cell(self, kind, version, column, value):
        row = rows.setdefault((self.program.name, version, kind), {})
        row[column] = value

    def try_it(self, kind, version, ca, **options):
        """Runs the task through a wire of its own: (succeeded, words, wire)."""
        wire = self.wire(self.server, f"{kind}-{version}")
        self.up = f"{UP}/{kind}-{version}"
        # What a client uses that cannot do without a CA.
        self.ca_file(chain(kind)[0], "ca.pem")
        good, words = self.program.run(self, wire.port, ca, self.up, kind=kind, **options)
        return good, words, wire

    def served(self, kind, version, ca, runs=1, messages=None, **options):
        good, words, wire = self.try_it(kind, version, ca, runs=runs, **options)
        self.assertTrue(good, words)
        for _ in range(runs if messages is None else messages):
            self.expect_message(self.up)
        for number, connection in enumerate(wire.connections):
            end = closing_line(self.server, wire, number)
            self.assertEqual((end.name, end.get("tls")), ("session end", version))
            self.assertEqual(end.get("group") == "X25519MLKEM768", version == "1.3" and own_library()
                             and X25519MLKEM768 in connection.hello().shares)
            if version == "1.2":
                self.assertIn(f"-{kind.upper()}-", end["cipher"])
        return wire

    def refused(self, kind, version, ca):
        """The task fails, nothing of it reaches the broker; returns the closing line."""
        good, _, wire = self.try_it(kind, version, ca)
        self.assertFalse(good)
        self.expect_nothing()
        return closing_line(self.server, wire)

    def each(self, function):
        """Calls function(kind, version) for the listeners that this client can speak to."""
        for kind in KEYS:
            for version in self.program.versions:
                with self.subTest(key=kind, version=version):
                    function(kind, version)

    def test_it_verifies_and_is_served(self):
        def check(kind, version):
            self.served(kind, version, self.path(f"{kind}.pem"))
            self.cell(kind, version, "verifies", "yes")
        self.each(check)

    def test_it_is_served_without_verifying(self):
        def check(kind, version):
            self.served(kind, version, None)
            self.cell(kind, version, "verification off", self.program.unverified)
        self.each(check)

    def test_it_refuses_a_certificate_of_another_authority(self):
        foreign = {"rsa": "ecdsa", "ecdsa": "rsa"}

        def check(kind, version):
            end = self.refused(kind, version, self.path(f"{foreign[kind]}.pem"))
            self.cell(kind, version, "a foreign CA", refusal(self, end, self.program.alert))
        self.each(check)

    def test_it_resumes_in_the_ways_it_supports(self):
        def check(kind, version):
            ways = self.program.ways[version]
            for way in ways or (None,):
                wire = self.served(kind, version, self.path(f"{kind}.pem"), runs=2, way=way,
                                   messages=self.program.messages_of_two_runs)
                self.assertEqual(wire.resumption(0), "full")
                self.assertEqual(wire.resumption(), way or "full")
                last = closing_line(self.server, wire, -1)
                self.assertEqual(last["resumed"], "yes" if way else "no")
            self.cell(kind, version, "resumes", ", ".join(ways) or "never asks")
        self.each(check)

    def test_a_version_that_it_does_not_speak_is_refused(self):
        for kind in KEYS:
            for version in set(VERSIONS) - set(self.program.versions):
                end = self.refused(kind, version, self.path(f"{kind}.pem"))
                self.assertEqual((end["reason"], end["alert"]), ("unsupported_version", "70"))
                self.cell(kind, version, "verifies", "no: alert 70")


class NodeRedCells(Field):
    """Node-RED's broker nodes, all cells in one Node-RED."""

    def setUp(self):
        super().setUp()
        self.server = self.field_postern()
        self.cells = [(kind, version) for kind in KEYS for version in VERSIONS]
        self.wires = {}
        self.node_red = NodeRed(self.path("node-red"))

    def brokers(self, column, ca, verify=True):
        for kind, version in self.cells:
            wire = self.wires[column, kind, version] = self.wire(self.server, f"{kind}-{version}")
            self.node_red.broker(wire.port, f"{UP}/{column}/{kind}-{version}",
                                 ca=ca(kind), verify=verify)

    def test_it_publishes_and_subscribes(self):
        roots = {kind: self.ca_file(chain(kind)[0], f"{kind}.pem") for kind in KEYS}
        other = {"rsa": "ecdsa", "ecdsa": "rsa"}
        self.brokers("verifies", roots.get)
        self.brokers("verification off", lambda kind: "", verify=False)
        self.brokers("a foreign CA", lambda kind: roots[other[kind]])
        self.addCleanup(self.node_red.stop)
        self._started.append(self.node_red)
        self.node_red.start()
        self.expect_echoes("verifies", "verification off")
        for kind, version in self.cells:
            for column in ("verifies", "verification off"):
                self.cell(kind, version, column, "yes")
            wire = self.wires["a foreign CA", kind, version]
            self.wait_until(lambda wire=wire: wire.connections, "Node-RED to connect")
            self.cell(kind, version, "a foreign CA",
                      refusal(self, closing_line(self.server, wire)))
        self.reconnect()

    def expect_echoes(self, *columns):
        """One message from each broker node of these columns, in any order; no other."""
        wanted = {f"{UP}/{column}/{kind}-{version}" for column in columns
                  for kind, version in self.cells}
        while wanted:
            topic, payload = self.watcher.receive()
            self.assertIn(topic, wanted)
            self.assertEqual(len(payload), 10240)
            wanted.discard(topic)

    def reconnect(self):
        """When it is cut off, it reconnects by itself, with a full handshake."""
        for kind, version in self.cells:
            self.wires["verifies", kind, version].cut()
        self.expect_echoes("verifies")
        for kind, version in self.cells:
            self.assertEqual(self.wires["verifies", kind, version].resumption(), "full")
            self.cell(kind, version, "resumes", "never asks")

    def cell(self, kind, version, column, value):
        rows.setdefault(("Node-RED", version, kind), {})[column] = value


def load_tests(loader, _tests, _pattern):
    suite = unittest.TestSuite()
    for kind in PROGRAMS:
        program = kind()
        case = type(kind.__name__, (Cells,), {"program": program})
        reason = None
        if not (program.quick or ALL):
            reason = "only with ./dev test --all"
        elif program.missing():
            reason = f"needs {program.missing()}"
        suite.addTests(loader.loadTestsFromTestCase(unittest.skipIf(reason, reason)(case)))
    node_red = unittest.skipUnless(ALL, "only with ./dev test --all")(NodeRedCells)
    suite.addTests(loader.loadTestsFromTestCase(node_red))
    return suite


def table():
    """Lines of the table; one line for both kinds of key where they do not differ."""
    lines = {}
    for (client, version, kind), row in rows.items():
        cells = tuple(row.get(column, "-") for column in COLUMNS[3:])
        lines.setdefault((client, version, cells), []).append(kind.upper())
    clients = list(dict.fromkeys(client for client, _, _ in rows))
    yield COLUMNS
    yield ["---"] * len(COLUMNS)
    for (client, version, cells), kinds in sorted(
            lines.items(), key=lambda line: (clients.index(line[0][0]), line[0][1])):
        yield [client, version, ", ".join(kinds), *cells]


def tearDownModule():
    if rows:
        print("", *("| " + " | ".join(line) + " |" for line in table()), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
