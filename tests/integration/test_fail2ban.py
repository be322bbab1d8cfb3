"""The shipped fail2ban filter on lines of the real program: it finds each refused client, nobody
else, and no client can put another's address into a match."""

import os
import re
import select
import shutil
import socket
import subprocess
import threading
import unittest

from brokers import echo
from clients import Truncated, mqtt_connect, tls_context
from harness import Case, main, own_library, pki, run_program

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(ROOT, "config", "fail2ban")
FILTER = os.path.join(FOLDER, "filter.d", "postern.conf")
SYSTEM = "/etc/fail2ban"
GONE = (Truncated, OSError, AssertionError)
DEVICES = pki.authority("Device CA")
VICTIM = "192.0.2.66"
# What an attacker would like to have in a line.
FORGERIES = (f'x peer={VICTIM}:1 reason=unknown_ca ', f'x" reason=broker_refused peer={VICTIM}:1',
             f'\\" peer={VICTIM}:1 sni=- reason=unknown_ca alert=48',
             f'handshake failed listener=mqtt peer={VICTIM}:1 sni=- reason=unknown_ca seconds=0.0',
             f'2026-01-01T00:00:00.000Z handshake failed listener=mqtt peer={VICTIM}:1 sni=-',
             'x backend=- up=1 down=1 seconds=0.1 reason=broker_refused code=5',
             'x reason=client_closed', f'postern[1]: session end listener=mqtt peer={VICTIM}:1')


def find(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin")


class Gate:
    """Takes one connection and passes it on to Postern, with a PROXY header before it."""

    def __init__(self, postern, header):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, args=(postern.address(), header))
        self.thread.start()

    def _run(self, address, header):
        client, _ = self.listener.accept()
        with client, socket.create_connection(address) as server:
            server.sendall(header)
            other = {client: server, server: client}
            while True:
                for end in select.select(list(other), [], [])[0]:
                    try:
                        data = end.recv(65536)
                        other[end].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return

    def close(self):
        self.thread.join()
        self.listener.close()


@unittest.skipUnless(find("fail2ban-regex"), "fail2ban is not installed")
class Filter(Case):
    """Clients come through a balancer, which gives them any address a test wants."""

    def setUp(self):
        super().setUp()
        self.number = 0

    def guarded(self, broker, **listener):
        self.write("client-ca.pem", DEVICES.pem)
        return self.postern(broker, listener={"accept_proxy": "127.0.0.1", **listener})

    def come(self, postern, address, say, context=None, **options):
        """A client from that address; returns its closing line."""
        self.number += 1
        family = "TCP6" if ":" in address else "TCP4"
        own = "2001:db8::1" if ":" in address else "192.0.2.1"
        context = context or tls_context(pki.authority().pem, cert=options.pop("cert", None))
        client = self.client(postern, context=context, handshake=False, **options)
        client.raw_send(f"PROXY {family} {address} {own} {self.number} 8883\r\n".encode())
        try:
            say(client)
        except GONE:
            pass
        client.cut()
        host = f"[{address}]" if ":" in address else address
        return postern.wait("session end", "handshake failed", peer=f"{host}:{self.number}")

    @staticmethod
    def log_in(client, client_id="c"):
        client.handshake()
        client.send(mqtt_connect(client_id, "user", "password"))
        client.recv_all()

    def found(self, lines, mode="normal"):
        """The addresses that fail2ban-regex finds, in order."""
        log = self.write("log", "".join(line + "\n" for line in lines))
        done = subprocess.run([find("fail2ban-regex"), "-o", "ip", log, f"{FILTER}[mode={mode}]"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.split()

    def check(self, events, expected, mode="normal"):
        """The same addresses are found in each form that the lines may have: as they are written,
        and as journalctl and syslog show them."""
        lines = [e.raw for e in events]
        iso = [re.match(r"(\S+)\.\d{3}Z (.*)", line).groups() for line in lines]
        lines += [f"Nov 26 10:47:25 host postern[4711]: {rest}" for _, rest in iso]
        lines += [f"{time}+0000 host postern[4711]: {rest}" for time, rest in iso]
        self.assertEqual(self.found(lines, mode), expected * 3)

    def test_logins_that_the_broker_refuses(self):
        def refuse(peer):
            peer.recv()
            peer.send(b"\x20\x02\x00\x05")

        postern = self.guarded(self.fake_broker(refuse), mqtt="check")
        addresses = ["203.0.113.5", "2001:db8::5", "203.0.113.6"]
        events = [self.come(postern, address, self.log_in) for address in addresses]
        self.assertEqual({e["reason"] for e in events}, {"broker_refused"})
        self.check(events, addresses)

    def test_ordinary_lines_are_not_matched(self):
        def accept(peer):
            peer.recv()
            peer.send(b"\x20\x02\x00\x00")

        postern = self.guarded(self.fake_broker(accept), mqtt="check", client_auth="optional",
                               client_ca="client-ca.pem", deny="203.0.113.99")
        expired = DEVICES.issue("old", usage="client", start=pki.NOW - 20 * pki.DAY,
                                end=pki.NOW - pki.DAY)
        self.come(postern, "203.0.113.5", self.log_in)
        self.come(postern, "203.0.113.5", self.log_in, cert=DEVICES.issue("a", usage="client"))
        self.come(postern, "203.0.113.5", self.log_in, cert=expired)
        self.come(postern, "203.0.113.5", lambda c: c.raw_send(c.hello()[:20]))
        self.come(postern, "203.0.113.99", self.log_in)
        self.assertEqual(postern.reload().name, "reload done")
        events = list(postern.events)
        reasons = {e["reason"] for e in events if "reason" in e}
        self.assertLessEqual({"broker_closed", "expired", "client_closed", "denied"}, reasons)
        for mode in ("normal", "aggressive"):
            self.check(events, [], mode)

    def test_unknown_clients_and_the_names_they_give_themselves(self):
        other = pki.Authority("Other CA")
        postern = self.guarded(self.fake_broker(echo), client_auth="required",
                               client_ca="client-ca.pem")
        events = [self.come(postern, "203.0.113.1", self.log_in)]
        for number, name in enumerate(FORGERIES):
            events.append(self.come(postern, f"203.0.113.{2 + number}", self.log_in,
                                    cert=other.issue(pki.common_names(name.encode()[:64]),
                                                     usage="client")))
        self.assertEqual([e["reason"] for e in events],
                         ["no_certificate_given", *["unknown_ca"] * len(FORGERIES)])
        self.check(events, [f"203.0.113.{1 + n}" for n in range(len(events))])

    def test_clients_that_are_not_listed(self):
        self.write("allow", "name:device-1\n")
        postern = self.guarded(self.fake_broker(echo), client_auth="required",
                               client_ca="client-ca.pem", client_allow="allow")
        names = [name.replace("+", "") for name in FORGERIES]
        events = [self.come(postern, f"203.0.113.{number}", self.log_in,
                            cert=DEVICES.issue(pki.common_names(name.encode()), usage="client"))
                  for number, name in enumerate(names)]
        self.assertEqual({e["reason"] for e in events}, {"not_allowed"})
        self.check(events, [f"203.0.113.{n}" for n in range(len(names))])

    def test_clients_that_no_ca_vouches_for_and_that_are_not_listed(self):
        self.write("allow", f"cert-sha256:{'0' * 64}\n")
        postern = self.guarded(self.fake_broker(echo), client_auth="required", client_allow="allow")
        unknown = pki.Authority("Other CA").issue("device-1", usage="client")
        event = self.come(postern, "203.0.113.1", self.log_in, cert=unknown)
        self.assertEqual(event["reason"], "not_allowed")
        self.check([event], ["203.0.113.1"])

    @unittest.skipUnless(own_library(), "pre-shared keys come with our own build of the library")
    def test_keys_that_are_unknown_or_wrong(self):
        self.write("keys", f"sensor-1:{'ab' * 16}\n")
        postern = self.guarded(self.fake_broker(echo), certificates="none", psk_file="keys")
        events = []
        for identity in ("sensor-1", *FORGERIES):
            self.number += 1
            address = f"203.0.113.{self.number}"
            gate = Gate(postern, f"PROXY TCP4 {address} 192.0.2.1 {self.number} 8883\r\n".encode())
            subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gate.port}", "-psk",
                            "cd" * 16, "-psk_identity", identity], stdin=subprocess.DEVNULL,
                           capture_output=True, check=False)
            gate.close()
            events.append(postern.wait("handshake failed", peer=f"{address}:{self.number}"))
        self.assertEqual([e["reason"] for e in events], ["bad_psk"] + ["unknown_psk"] * len(FORGERIES))
        self.check(events, [f"203.0.113.{1 + n}" for n in range(len(events))])

    def test_names_that_their_ca_may_not_give(self):
        permitted = pki.seq(pki.tlv(0xA0, pki.seq(pki.tlv(0x82, b"a.example"))))
        site = pki.Authority("Site A", parent=DEVICES,
                             extra=[pki.extension("2.5.29.30", permitted, critical=True)])
        postern = self.guarded(self.fake_broker(echo), client_auth="required",
                               client_ca="client-ca.pem")
        names = [name.replace("+", "") for name in FORGERIES]
        events = [self.come(postern, f"203.0.113.{number}", self.log_in,
                            cert=site.issue(pki.common_names(name.encode()[:64]),
                                            names=["b.example"], usage="client"))
                  for number, name in enumerate(names)]
        self.assertEqual({e["reason"] for e in events}, {"name_constraint"})
        self.check(events, [f"203.0.113.{n}" for n in range(len(names))])
        good = self.come(postern, "203.0.113.200", self.log_in,
                         cert=site.issue("device-1", names=["x.a.example"], usage="client"))
        self.assertEqual(good.name, "session end")
        self.check([good], [])

    def test_identities_cannot_forge_an_address(self):
        def answer(peer):
            peer.recv()
            peer.send(b"\x20\x02\x00" + (b"\x05" if refusing else b"\x00"))

        postern = self.guarded(self.fake_broker(answer), mqtt="identity", client_auth="required",
                               client_ca="client-ca.pem")
        names = [name.replace("+", "") for name in FORGERIES] + ["gerät", "x" * 255, "ü" * 127]
        for refusing in (False, True):
            events = [self.come(postern, f"203.0.113.{number}", self.log_in,
                                cert=DEVICES.issue(pki.common_names(name.encode()),
                                                   usage="client"))
                      for number, name in enumerate(names)]
            self.assertEqual([e["identity"] for e in events], names)
            self.check(events, [f"203.0.113.{n}" for n in range(len(names))] if refusing else [])

    def test_client_ids_cannot_forge_an_address(self):
        postern = self.guarded(self.fake_broker(echo), mqtt="identity", client_auth="required",
                               client_ca="client-ca.pem", client_id="identity")
        ids = [*FORGERIES, "x\n" + FORGERIES[3], "x\r" + FORGERIES[4], "\u2028" + FORGERIES[3], "é"]
        cert = DEVICES.issue("device-1", usage="client")
        events = [self.come(postern, f"203.0.113.{number}",
                            lambda c, name=name: self.log_in(c, name), cert=cert)
                  for number, name in enumerate(ids)]
        self.assertEqual({e["reason"] for e in events}, {"bad_client_id"})
        self.check(events, [f"203.0.113.{n}" for n in range(len(ids))])

    def test_server_names_cannot_forge_an_address(self):
        """The name in the ClientHello is replaced: no library sends such ones."""
        place = "a" * 60 + "." + "a" * 60

        def hello(client, name):
            client.raw_send(client.hello().replace(place.encode(), name.encode().ljust(121)[:121]))
            client.raw_end()

        postern = self.guarded(self.fake_broker(echo), tls_min="1.3")
        old = tls_context(version="1.2")
        names = [*FORGERIES, "reason-unknown_ca.203.0.113.200", "\n" + FORGERIES[3], place]
        events = [self.come(postern, f"203.0.113.{number}", lambda c, name=name: hello(c, name),
                            context=old, server_name=place)
                  for number, name in enumerate(names)]
        self.assertEqual({e["reason"] for e in events}, {"unsupported_version"})
        self.check(events, [])
        self.check(events, [f"203.0.113.{n}" for n in range(len(names))], "aggressive")

    def test_aggressive_finds_scanners(self):
        postern = self.guarded(self.fake_broker(echo), mqtt="check")
        events = [self.come(postern, "203.0.113.7", lambda c: (c.raw_send(b"GET / HTTP/1.1\r\n\r\n"),
                                                               c.raw_end())),
                  self.come(postern, "203.0.113.8", lambda c: (c.handshake(), c.send(b"\xc0\x00"),
                                                               c.recv_all()))]
        self.assertEqual([e["reason"] for e in events], ["not_tls", "not_mqtt"])
        self.check(events, [])
        self.check(events, ["203.0.113.7", "203.0.113.8"], "aggressive")

    def test_lines_of_other_programs_are_not_matched(self):
        postern = self.guarded(self.fake_broker(echo), client_auth="required",
                               client_ca="client-ca.pem")
        line = self.come(postern, VICTIM, self.log_in).raw
        time, rest = line.split(" ", 1)
        self.assertEqual(self.found([line]), [VICTIM])
        self.assertEqual(self.found([
            f"{time} host sshd[1]: {rest}", f"{time} host sshd[1]: x postern[1]: {rest}",
            f"{time} host not-postern[1]: {rest}", f"{time} x {rest}", f"{time} x{rest}",
            f'{time} config message="{rest}"', line.replace("_given", "_given_yet")]), [])


class Files(Case):
    def test_every_reason_of_the_filter_is_one_of_the_program(self):
        with open(FILTER, encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(ROOT, "src", "core", "reason.c"), encoding="utf-8") as file:
            known = set(re.findall(r'= "(\w+)"', file.read()))
        named = set()
        for line in re.findall(r"^(?:session|handshake)-\w+ = (.*)$", text, re.MULTILINE):
            named |= {word for word in line.split("|") if not word.startswith("<")}
        self.assertGreater(len(named), 8)
        self.assertLessEqual(named, known)

    @unittest.skipUnless(find("fail2ban-client"), "fail2ban is not installed")
    def test_fail2ban_accepts_the_jail(self):
        folder = self.path("fail2ban")
        shutil.copytree(SYSTEM, folder)
        shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
        self.write("fail2ban/jail.d/postern.local", "[postern]\nenabled = true\n")
        done = subprocess.run([find("fail2ban-client"), "-c", folder, "-d"], check=False,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("['add', 'postern', 'systemd']", done.stdout)
        self.assertIn("broker_refused", done.stdout)
        self.assertIn("'addjournalmatch', '_SYSTEMD_UNIT=postern.service'", done.stdout)


if __name__ == "__main__":
    main()
