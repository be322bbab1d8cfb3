"""client_allow: the clients that a file lists, by name, certificate or key."""

import re
import ssl
import subprocess
import unittest
from types import SimpleNamespace

from brokers import echo
from clients import SLOW, TlsClient, Truncated, mqtt_connect, tls_context
from harness import Case, main, own_library, pki, run_program

BOTH = ("1.2", "1.3")
DEVICES = pki.authority("Device CA")
NOT_ALLOWED = "49" if own_library() else None  # the distribution's library sends 42 or 48


def device(name="device-1", **options):
    return DEVICES.issue(name, usage="client", own_key=pki.key("ecdsa", "client"), **options)


class Allow(Case):
    def listing(self, broker, text, ca=DEVICES.pem, main=(), **listener):
        """A Postern whose client_allow has that text; ca=None: without client_ca."""
        self.write("allowed", text)
        keys = {"client_auth": "required", "client_allow": "allowed", **listener}
        if ca:
            keys["client_ca"] = "client-ca.pem"
            self.write("client-ca.pem", ca)
        return self.postern(broker, listener=keys, main=main)

    def self_signed(self, name="admin", *options):
        """As a user makes one: a certificate with its key, and the hashes to list them by."""
        cert, key = self.path(f"{name}.pem"), self.path(f"{name}.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", f"/CN={name}",
                        "-keyout", key, "-out", cert, *options], check=True,
                       stderr=subprocess.DEVNULL)
        made = SimpleNamespace(chain="")
        with open(cert, encoding="ascii") as file:
            made.pem = file.read()
        with open(key, encoding="ascii") as file:
            made.key_pem = file.read()
        shell = {"cert_hash": f"openssl x509 -in {cert} -noout -fingerprint -sha256",
                 "key_hash": f"openssl pkey -in {key} -pubout -outform DER | sha256sum"}
        for field, command in shell.items():  # the commands that the manual has
            out = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
            setattr(made, field, re.search(r"([0-9a-fA-F:]{64,95})", out.stdout)[1])
        return made

    def hex(self, text):
        return text.replace(":", "").lower()

    def comes_in(self, postern, version, cert, identity, **options):
        client = self.client(postern, version, cert=cert, **options)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        client.close()
        end = postern.end_of(client)
        self.assertEqual((end.name, end["identity"]), ("session end", identity))
        return end

    def is_kept_out(self, postern, version, cert, reason="not_allowed", alert=NOT_ALLOWED):
        client = self.client(postern, version, cert=cert, handshake=False)
        with self.assertRaises((ssl.SSLError, Truncated, ConnectionError)):
            client.handshake()
            client.recv()
        end = postern.end_of(client)
        self.assertEqual((end.name, end["reason"]), ("handshake failed", reason))
        if alert and own_library():
            self.assertEqual(end["alert"], alert)
        return end

    def relist(self, postern, text, event="reload done"):
        self.write("allowed", text)
        got = postern.reload()
        self.assertEqual(got.name, event, got.raw)
        return got


class Listed(Allow):
    def test_of_the_clients_of_a_ca_only_those_listed_reach_the_broker(self):
        broker = self.fake_broker(echo)
        postern = self.listing(broker, "# the cellar\nname:device-1\n")
        other = device("device-2")
        for version in BOTH:
            self.comes_in(postern, version, device(), "device-1")
            before = broker.connections()
            self.is_kept_out(postern, version, other)
            self.assertEqual(broker.connections(), before)

    def test_the_log_has_what_is_to_be_added(self):
        postern = self.listing(self.fake_broker(echo), "name:device-1\n")
        other = device("device-2")
        end = self.is_kept_out(postern, "1.3", other)
        self.assertIn("CN=device-2", end["error"])
        entry = re.search(r"cert-sha256:\S+", end["error"])[0]
        self.assertEqual(entry, f"cert-sha256:{other.fingerprint}")
        self.relist(postern, f"name:device-1\n{entry}\n")
        for version in BOTH:
            self.comes_in(postern, version, other, "device-2")
            self.comes_in(postern, version, device(), "device-1")

    def test_a_pin_beside_a_ca_does_not_replace_it(self):
        mine = self.self_signed()
        postern = self.listing(self.fake_broker(echo), f"cert-sha256:{mine.cert_hash}\n")
        for version in BOTH:
            self.is_kept_out(postern, version, mine, "unknown_ca", "48")

    def test_the_broker_learns_the_name_of_the_entry(self):
        cert = device("device-1")
        for listener in ({"mqtt": "identity"}, {"proxy_protocol": "v2"}):
            broker = self.fake_broker()
            postern = self.listing(broker, f"cert-sha256:{cert.fingerprint} gate 7\n", **listener)
            for version in BOTH:
                client = self.client(postern, version, cert=cert)
                client.send(mqtt_connect("c", "device-1") + b"\xc0\x00")
                got = broker.accept().recv_until(b"\xc0\x00")
                self.assertIn(b"gate 7", got)
                self.assertEqual(b"device-1" in got, "mqtt" not in listener)  # the user name sent


class Pinned(Allow):
    def test_a_self_signed_certificate_comes_in_by_its_fingerprint(self):
        mine, other = self.self_signed(), self.self_signed("other")
        broker = self.fake_broker(echo)
        postern = self.listing(broker, f"cert-sha256:{mine.cert_hash}\n", ca=None)
        for version in BOTH:
            # Anybody can call himself admin: the name is the fingerprint.
            self.comes_in(postern, version, mine, self.hex(mine.cert_hash))
            self.is_kept_out(postern, version, other)
            self.is_kept_out(postern, version, device())
        self.relist(postern, f"cert-sha256:{mine.cert_hash} gate\n"
                             f"key-sha256:{other.key_hash} cellar\n")
        for version in BOTH:
            self.comes_in(postern, version, mine, "gate")
            self.comes_in(postern, version, other, "cellar")

    def test_a_key_stays_pinned_when_its_certificate_is_renewed(self):
        mine = self.self_signed()
        postern = self.listing(self.fake_broker(echo), f"key-sha256:{mine.key_hash}\n", ca=None)
        renewed = self.path("renewed.pem")
        subprocess.run(["openssl", "req", "-x509", "-key", self.path("admin.key"), "-days", "30",
                        "-subj", "/CN=renewed", "-out", renewed], check=True)
        with open(renewed, encoding="ascii") as file:
            again = SimpleNamespace(pem=file.read(), chain="", key_pem=mine.key_pem)
        for version in BOTH:
            for cert in (mine, again):
                self.comes_in(postern, version, cert, self.hex(mine.key_hash))

    def test_an_expired_one_is_refused(self):
        key = pki.key("ecdsa", "client")
        past = DEVICES.issue("old", usage="client", own_key=key, start=pki.NOW - 60 * pki.DAY,
                             end=pki.NOW - pki.DAY)
        postern = self.listing(self.fake_broker(echo), f"cert-sha256:{past.fingerprint}\n",
                               ca=None)
        for version in BOTH:
            self.is_kept_out(postern, version, past, "expired", "45")


class Reloaded(Allow):
    def test_live_sessions_are_kept_or_ended_as_configured(self):
        for asked in ("keep", "end"):
            postern = self.listing(self.fake_broker(echo), "name:device-1\nname:device-2\n",
                                   revoked_sessions=asked)
            certs = (device("device-2"), device("device-1"))
            sessions = [self.client(postern, v, cert=c) for v in BOTH for c in certs]
            for client in sessions:
                client.send(b"x")
                client.recv_exactly(1)
            self.relist(postern, "name:device-1\n")
            for number, client in enumerate(sessions):
                if asked == "end" and number % 2 == 0:
                    self.assertEqual(client.recv(), b"")
                    client.close()
                    self.assertEqual(postern.end_of(client)["reason"], "revoked")
                else:
                    client.send(b"y")
                    self.assertEqual(client.recv_exactly(1), b"y")

    def test_pinned_live_sessions_too(self):
        mine, other = self.self_signed(), self.self_signed("other")
        lines = f"cert-sha256:{mine.cert_hash} mine\n", f"key-sha256:{other.key_hash}\n"
        postern = self.listing(self.fake_broker(echo), "".join(lines), ca=None,
                               revoked_sessions="end")
        for version in BOTH:
            self.relist(postern, "".join(lines))
            stays, goes = (self.client(postern, version, cert=c) for c in (other, mine))
            for client in (stays, goes):
                client.send(b"x")
                client.recv_exactly(1)
            self.relist(postern, lines[1])
            self.assertEqual(goes.recv(), b"")
            goes.close()
            self.assertEqual(postern.end_of(goes)["reason"], "revoked")
            stays.send(b"y")
            self.assertEqual(stays.recv_exactly(1), b"y")

    def test_a_handshake_during_which_its_entry_is_removed_is_refused(self):
        broker = self.fake_broker(echo)
        postern = self.listing(broker, "name:device-1\n")
        for version in BOTH:
            self.relist(postern, "name:device-1\n")
            client = self.client(postern, version, cert=device(), handshake=False)
            client.raw_send(client.hello())
            flight = client.raw_recv()
            before = broker.connections()
            self.relist(postern, "name:device-2\n")
            with self.assertRaises((ssl.SSLError, Truncated)) as caught:
                if not client.step(flight):
                    client.handshake()
                client.raw_send(client.pending_output())
                client.recv()
            end = postern.end_of(client)
            self.assertEqual((end.name, end["reason"]), ("handshake failed", "not_allowed"))
            if own_library():
                self.assertIn("ALERT_ACCESS_DENIED", str(caught.exception))
                self.assertEqual(end["alert"], "49")
            self.assertEqual(broker.connections(), before)

    def test_a_bad_list_leaves_the_previous_one_in_effect(self):
        postern = self.listing(self.fake_broker(echo), "name:device-1\n")
        event = self.relist(postern, "name:device-1\ncert-sha256:12\n", "reload refused")
        self.assertRegex(event.raw, r"/allowed:2: not the SHA-256 of a certificate")
        self.comes_in(postern, "1.3", device(), "device-1")

    def test_a_change_is_noticed_without_a_signal(self):
        postern = self.listing(self.fake_broker(echo), "name:device-1\n",
                               main={"reload": "watch"})
        mark = postern.mark()
        self.write("allowed", "name:device-2\n")
        postern.wait("reload done", since=mark, timeout=5 * SLOW)
        self.comes_in(postern, "1.3", device("device-2"), "device-2")
        self.is_kept_out(postern, "1.3", device())


@unittest.skipUnless(own_library(), "clients with certificates cannot resume with this library")
class Resumed(Allow):
    def contexts(self, cert):
        """One per way of resuming: ticket in 1.2, ticket in 1.3, session ID in 1.2."""
        for version, by_id in (("1.2", False), ("1.3", False), ("1.2", True)):
            context = tls_context(pki.authority().pem, version, cert=cert)
            if by_id:
                context.options |= ssl.OP_NO_TICKET
            yield context

    def visit(self, postern, context, session=None):
        client = self.client(postern, context=context, session=session)
        client.send(b"x")
        client.recv_exactly(1)
        session = client.tls.session
        client.close()
        return session, postern.end_of(client)

    def test_other_entries_may_change_meanwhile(self):
        mine = self.self_signed()
        entry = f"cert-sha256:{mine.cert_hash} gate\n"
        postern = self.listing(self.fake_broker(echo), entry, ca=None)
        for context in self.contexts(mine):
            session, _ = self.visit(postern, context)
            self.relist(postern, entry + f"key-sha256:{'0' * 64} other\n")
            _, end = self.visit(postern, context, session)
            self.assertEqual((end["resumed"], end["identity"]), ("yes", "gate"))
            self.relist(postern, entry)

    def test_no_session_is_resumed_once_its_entry_is_gone(self):
        broker = self.fake_broker(echo)
        postern = self.listing(broker, "name:device-1\nname:device-2\n")
        for context in self.contexts(device()):
            self.relist(postern, "name:device-1\nname:device-2\n")
            session, _ = self.visit(postern, context)
            self.relist(postern, "name:device-2\n")
            before = broker.connections()
            since = postern.mark()
            client = TlsClient(postern.address(), context, session=session, handshake=False)
            client.since = since
            self.addCleanup(client.cut)
            with self.assertRaises((ssl.SSLError, Truncated, ConnectionError)):
                client.handshake()
                client.recv()
            self.assertEqual(postern.end_of(client)["reason"], "not_allowed")
            self.assertEqual(broker.connections(), before)

    def test_the_name_follows_the_entry(self):
        cert = device()
        postern = self.listing(self.fake_broker(echo), "name:device-1\n")
        for context in self.contexts(cert):
            self.relist(postern, f"cert-sha256:{cert.fingerprint} gate\n")
            session, end = self.visit(postern, context)
            self.assertEqual(end["identity"], "gate")
            self.relist(postern, f"cert-sha256:{cert.fingerprint} yard\n")
            _, end = self.visit(postern, context, session)
            self.assertEqual((end["identity"], end["resumed"]), ("yard", "no"))


class Checked(Allow):
    def check(self, text, ca=True, **listener):
        self.write("allowed", text)
        self.write("client-ca.pem", DEVICES.pem)
        keys = {"client_auth": "required", "client_allow": "allowed", **listener}
        if ca:
            keys["client_ca"] = "client-ca.pem"
        file = self.write("postern.conf", self.config("127.0.0.1:1883", listener=keys))
        return run_program("--check", "-c", file)

    def test_check_counts_the_entries_of_each_kind(self):
        ones, twos = "1" * 64, "2" * 64
        done = self.check(f"name:a\nname:b\ncert-sha256:{ones}\nkey-sha256:{ones}\n"
                          f"key-sha256:{twos} c\nname:d\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"CA \S*/client-ca.pem, CRL none, allowed by \S*/allowed "
                                      r"\(3 by name, 1 by certificate, 2 by key\), identity cn")
        done = self.check(f"key-sha256:{ones}\n", ca=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"CA none, CRL none, allowed by \S*/allowed "
                                      r"\(0 by name, 0 by certificate, 1 by key\)")

    def test_mistakes_are_reported_with_file_and_line(self):
        for text, message in (("name:a\n\nb\n", r"/allowed:3: not an entry; write name:X"),
                              ("name:a\nname:a\n", r"/allowed:2: the same name as in line 1"),
                              ("", r"/allowed: holds no entry"),
                              ("name:a+\n", r"/allowed:1: a name that no client can have")):
            done = self.check(text)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, message)
        done = self.check("name:a\n", ca=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"/allowed:1: a name: entry without client_ca")
        done = self.check("name:a\n", client_auth="none", ca=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"client_allow without client_auth")


if __name__ == "__main__":
    main()
