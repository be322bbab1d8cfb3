"""docs/fleet.md: its two instances behind its HAProxy, with its configuration files."""

import os
import re
import shutil
import socket
import subprocess
import threading
import unittest

from clients import Mqtt, TlsClient, tls_context
from harness import PATIENCE, Case, main, pki, run_program, wait_until
from ports import free_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "fleet.md")
NAME = "mqtt.example.org"
SOURCE = "127.0.0.7"


def find(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def block(title):
    """The indented text that follows the line with that file's name in the page."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    found = re.search(rf"^`{re.escape(title)}`[^\n]*\n\n((?:    [^\n]*\n|\n)+)", text, re.MULTILINE)
    return re.sub(r"^    ", "", found[1], flags=re.MULTILINE)


def replaced(text, *pairs):
    """Each old text must be there."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def lines_after(words):
    """The indented lines that follow these words in the page."""
    with open(PAGE, encoding="utf-8") as file:
        return re.search(rf"{re.escape(words)}\n\n((?:    .*\n)+)", file.read())[1]


class HAProxy:
    """With the page's configuration, on loopback. Its port may be taken meanwhile: then with
    another."""

    def __init__(self, folder, servers, admin_ports=()):
        self.socket = os.path.join(folder, "admin.sock")
        for _ in range(5):
            self.port = free_port()
            text = replaced(block("haproxy.cfg"), ("/run/haproxy/admin.sock", self.socket),
                            ("bind :8883", f"bind 127.0.0.1:{self.port}"))
            if admin_ports:
                checks = re.sub("^    ", "", lines_after("`default-server`:"), flags=re.MULTILINE)
                text = re.sub("^    default-server .*\n", checks, text, flags=re.MULTILINE)
            for n, port in enumerate(servers, 2):
                text = replaced(text, (f"10.0.0.{n}:8883", f"127.0.0.1:{port}"
                                       + "".join(f" port {p}" for p in admin_ports[n - 2:n - 1])))
            config = pki.write(os.path.join(folder, "haproxy.cfg"), text)
            self._log = open(os.path.join(folder, "haproxy.log"), "w+", encoding="utf-8")
            self.process = subprocess.Popen([find("haproxy"), "-db", "-f", config],
                                            stdin=subprocess.DEVNULL, stdout=self._log,
                                            stderr=subprocess.STDOUT)
            wait_until(lambda: self.process.poll() is not None or self._answers(), "HAProxy")
            if self.process.poll() is None:
                return
        raise AssertionError(self.log())

    def _answers(self):
        try:
            return bool(self.command("show stat"))
        except OSError:
            return False

    def command(self, line):
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(PATIENCE)
            admin.connect(self.socket)
            admin.sendall(line.encode() + b"\n")
            answer = b""
            while data := admin.recv(65536):
                answer += data
            return answer.decode()

    def state(self, server):
        head, *rows = self.command("show stat").lstrip("# ").strip().split("\n")
        column = head.split(",").index("status")
        return next(row.split(",")[column] for row in rows
                    if row.startswith(f"postern,{server},"))

    def log(self):
        self._log.seek(0)
        return self._log.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._log.close()


class Load:
    """Clients that connect, log in, publish and leave, again and again; and clients that stay, and
    come back when they are disconnected."""

    def __init__(self, address, come_and_go=4, stay=12, source=SOURCE):
        self.address, self.source = address, source
        self.context = tls_context(pki.authority().pem)
        self.connects = [0] * come_and_go
        self.published, self.returns, self.failures = [0] * stay, [0] * stay, []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._come_and_go, args=(n,))
                         for n in range(come_and_go)]
        self._threads += [threading.Thread(target=self._stay, args=(n,)) for n in range(stay)]
        for thread in self._threads:
            thread.start()

    def _connect(self, name):
        """None if it failed, which is counted."""
        stream = None
        try:
            stream = TlsClient(self.address, self.context, source=self.source)
            client = Mqtt(stream)
            if client.connect(name) == 0:
                return client
            self.failures.append((name, "refused"))
        except Exception as error:  # whatever a client can meet
            self.failures.append((name, repr(error)))
        if stream:
            stream.cut()
        return None

    def _come_and_go(self, number):
        while not self._stop.is_set():
            client = self._connect(f"visitor-{number}")
            if client:
                client.stream.close()
                client.stream.cut()
                self.connects[number] += 1

    def _stay(self, number):
        client = self._connect(f"device-{number}")
        while client and not self._stop.wait(0.02):
            try:
                client.publish(f"devices/{number}", "x")
                self.published[number] += 1
            except Exception:  # its instance is replaced
                client.stream.cut()
                client = self._connect(f"device-{number}")
                self.returns[number] += 1
        if client:
            client.stream.cut()

    def progress(self, times=3):
        """Waits until every client has done its work some times more."""
        before = self.connects + self.published
        wait_until(lambda: self.failures or all(
            now >= then + times for now, then in zip(self.connects + self.published, before)),
            "clients to go on", 4 * PATIENCE)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@unittest.skipUnless(find("haproxy"), "HAProxy is not installed")
class Fleet(Case):
    def setUp(self):
        super().setUp()
        pki.authority().issue(NAME, names=[NAME, "localhost"]).write(self.path(f"certs/{NAME}"))
        self.write(f"certs/{NAME}/chain.pem", pki.authority().pem)
        self.write("ticket.keys", os.urandom(32).hex() + "\n")
        os.chmod(self.path("ticket.keys"), 0o640)
        self.broker = self.mosquitto()

    def instance(self, port=0, admin_port=None, **more):
        if admin_port:
            keys = dict(re.findall(r"^ +(\w+) = (.*)", lines_after("of `postern.conf`:"), re.M))
            more.update(keys, admin=replaced(keys["admin"], ("[::]:9883", f"127.0.0.1:{admin_port}")))
        text = replaced(block("postern.conf"), ("[::]:8883", f"127.0.0.1:{port}"),
                        ("10.0.0.4:1883", self.broker.address), ("10.0.0.1", "127.0.0.1"),
                        ("[postern]\n", "[postern]\ndrain_timeout = 2s\n"
                         + "".join(f"{k} = {v}\n" for k, v in more.items())))
        return self.start(self.write("postern.conf", text))

    def fleet(self, admin_ports=(), **more):
        ports = admin_ports or (None, None)
        instances = [self.instance(admin_port=port, **more) for port in ports]
        proxy = HAProxy(self.folder, [i.port for i in instances], admin_ports)
        self._started.append(proxy)
        self.addCleanup(proxy.stop)
        for server in "ab":
            wait_until(lambda s=server: proxy.state(s) == "UP", f"{server} to be up")
        return proxy, *instances

    def load(self, proxy):
        load = Load(("127.0.0.1", proxy.port))
        self.addCleanup(load.stop)
        load.progress()
        return load

    def test_one_is_drained_and_replaced_under_load_and_no_connect_fails(self):
        proxy, a, b = self.fleet()
        load = self.load(proxy)
        proxy.command("set server postern/a state drain")
        self.assertEqual(proxy.state("a"), "DRAIN")
        load.progress()  # what was on its way to a has arrived
        before = a.mark()
        load.progress()
        self.assertEqual(a.all("handshake failed", since=before), [])
        port = a.port
        a.stop()
        ended = len(a.all("session end", reason="drained"))
        self.assertGreater(ended, 0)
        load.progress()
        a = self.instance(port)
        proxy.command("set server postern/a state ready")
        wait_until(lambda: proxy.state("a") == "UP", "a to be up")
        wait_until(lambda: a.all("session end"), "clients at the new a", 2 * PATIENCE)
        load.progress()
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertEqual(sum(load.returns), ended)
        peers = {e["peer"].rsplit(":", 1)[0] for i in (a, b) for e in i.all("session end")}
        self.assertEqual(peers, {SOURCE}, "the clients' own addresses are logged")
        self.assertEqual([e for i in (a, b) for e in i.all("handshake failed")], [],
                         "HAProxy's probes are no lines")
        print(f"{sum(load.connects)} connects, {sum(load.published)} messages, {ended} sessions of "
              f"the replaced instance came back, 0 failed")

    def test_one_is_restarted_under_load_and_its_readiness_is_enough(self):
        ports = [free_port(), free_port()]
        proxy, a, b = self.fleet(ports)
        load = self.load(proxy)
        port = a.port
        a.stop()
        self.assertIn(proxy.state("a"), ("DOWN", "DOWN 1/2"))
        load.progress()
        a = self.instance(port, ports[0])
        wait_until(lambda: a.all("session end"), "clients at the new a", 2 * PATIENCE)
        load.progress()
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertGreater(sum(load.returns), 0)
        print(f"{sum(load.connects)} connects, {sum(load.returns)} sessions came back, 0 failed")

    def test_a_ticket_of_one_is_good_at_the_other(self):
        proxy, a, b = self.fleet()
        context, session, seen = tls_context(pki.authority().pem), None, []
        for server, instance in (("a", b), ("b", a)):  # the one that is left
            proxy.command(f"set server postern/{server} state maint")
            for _ in range(2):
                client = TlsClient(("127.0.0.1", proxy.port), context, session=session,
                                   source=SOURCE)
                mqtt = Mqtt(client)
                self.assertEqual(mqtt.connect("device"), 0)
                session = client.tls.session
                client.close()
            wait_until(lambda i=instance: len(i.all("session end")) == 2, "two sessions")
            seen += [e["resumed"] for e in instance.all("session end")]
            proxy.command(f"set server postern/{server} state ready")
            wait_until(lambda s=server: proxy.state(s) == "UP", f"{server} to be up")
        self.assertEqual(seen, ["no", "yes", "yes", "yes"])

    def test_probes_are_known_as_such(self):
        _, a, _ = self.fleet(log_level="debug", log_format="json")
        for line in [a.wait("handshake failed") for _ in range(2)]:
            self.assertEqual(line["level"], "debug")


class Manifests(Case):
    """config/kubernetes. (Their schema is not checked here: CONTRIBUTING.md says how.)"""

    def manifests(self):
        folder = os.path.join(ROOT, "config", "kubernetes")
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                yield file.read()

    @staticmethod
    def configuration(manifest):
        found = re.search(r"^  postern\.conf: \|\n((?:    .*\n|\n)+)", manifest, re.MULTILINE)
        return re.sub(r"^    ", "", found[1], flags=re.MULTILINE)

    def test_their_configurations_load(self):
        pki.server().write(self.folder, "tls.crt", key_name="tls.key")
        self.write("ticket.keys", os.urandom(32).hex() + "\n")
        for manifest in self.manifests():
            text = re.sub(r"/etc/postern/(certs|tickets)/", "", self.configuration(manifest))
            done = run_program("--check", "-c", self.write("postern.conf", text))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("check passed", done.stdout)

    def test_a_pod_has_time_to_end_its_sessions(self):
        for manifest in self.manifests():
            grace = int(re.search(r"terminationGracePeriodSeconds: (\d+)", manifest)[1])
            pauses = map(int, re.findall(r"drain_(?:delay|timeout) = (\d+)s", manifest))
            self.assertGreater(grace, sum(pauses) + 5)
            self.assertIn("reload = watch", manifest)

    def test_certificates_are_mounted_as_folders(self):
        for manifest in self.manifests():
            mounts = re.findall(r"- name: (certificate|ticket-keys)\n( +mountPath: .*\n(?: {14}.*\n)*)",
                                manifest)
            self.assertTrue(mounts)
            self.assertFalse([m for m in mounts if "subPath" in m[1]])


if __name__ == "__main__":
    main()
