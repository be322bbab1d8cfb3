"""Attacks on the verification of clients, against the running program: by full handshakes in both
versions, in any order of clients, and by resumption."""

import contextlib
import ssl
import subprocess
import types

import chains
from brokers import echo
from chains import CLIENT, SERVER, Node
from clients import Truncated, TlsClient, tls_context
from harness import Case, main, pki

BOTH = ("1.2", "1.3")
ROOT = pki.authority("Root")
EXPIRED = {"start": pki.NOW - 60 * pki.DAY, "end": pki.NOW - pki.DAY}


class Trust(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker(echo)

    def guarded(self, crl=None):
        self.write("client-ca.pem", ROOT.pem)
        keys = {"client_auth": "required", "client_ca": "client-ca.pem"}
        if crl:
            self.write("client.crl", crl)
            keys["client_crl"] = "client.crl"
        return self.postern(self.broker, listener=keys)

    def reason(self, postern, version, leaf, *chain):
        """None if the client is accepted, else the reason in the log."""
        leaf.chain = "".join(c.pem for c in chain)
        client = self.client(postern, version, cert=leaf, handshake=False)
        with contextlib.suppress(ssl.SSLError):
            client.handshake()
            client.send(b"hello")
            self.assertEqual(client.recv_exactly(5), b"hello")
            client.close()
        self.event = event = postern.end_of(client)
        return event["reason"] if event.name == "handshake failed" else None

    @staticmethod
    def leaf(issuer, name="admin"):
        return issuer.issue(name, usage="client", own_key=pki.key("ecdsa", "client"))

    def impostor(self, postern, sub, deserved):
        """A CA that is no longer trusted issues one with the name of the root."""
        before = self.broker.connections()
        for identifier in (ROOT.key.identifier, "own", None):
            fake = pki.Authority("Root", parent=sub, which="fake", identifier=identifier)
            leaf = self.leaf(fake)
            for version in BOTH:
                with self.subTest(identifier=identifier, version=version):
                    self.assertEqual(self.reason(postern, version, leaf, fake, sub), deserved)
                    self.assertEqual(self.reason(postern, version, leaf, sub, fake), deserved)
                    self.assertEqual(self.reason(postern, version, leaf, fake), "unknown_ca")
                    self.assertEqual(self.reason(postern, version, leaf), "unknown_ca")
        self.assertEqual(self.broker.connections(), before, "the broker got no connection")

    def test_a_revoked_authority_cannot_issue_one_with_a_trusted_name(self):
        sub = pki.Authority("Sub", parent=ROOT)
        self.impostor(self.guarded(ROOT.crl([sub.certificate])), sub, "revoked")

    def test_an_expired_authority_cannot_issue_one_with_a_trusted_name(self):
        sub = pki.Authority("Sub", parent=ROOT, start=pki.NOW - 60 * pki.DAY,
                            end=pki.NOW - pki.DAY)
        self.impostor(self.guarded(), sub, "expired")

    def test_a_leaf_alone_is_refused_even_after_others_sent_its_intermediates(self):
        sub = pki.Authority("Sub", parent=ROOT)
        namesake = pki.Authority("Root", parent=sub, which="namesake")
        of_sub, of_namesake = self.leaf(sub), self.leaf(namesake)
        postern = self.guarded()
        for version in BOTH:
            self.assertIsNone(self.reason(postern, version, of_namesake, namesake, sub))
            self.assertIsNone(self.reason(postern, version, of_sub, sub))
            self.assertEqual(self.reason(postern, version, of_namesake), "unknown_ca")
            self.assertEqual(self.reason(postern, version, of_namesake, namesake), "unknown_ca")
            self.assertEqual(self.reason(postern, version, of_sub), "unknown_ca")

    def test_a_tenant_that_copies_a_key_identifier_cannot_lock_out_others(self):
        sub = pki.Authority("Tenant", parent=ROOT)
        copy = pki.Authority("Copycat", parent=ROOT, identifier=sub.identifier)
        good, theirs = self.leaf(sub), self.leaf(copy)
        postern = self.guarded()
        for version in BOTH:
            self.assertIsNone(self.reason(postern, version, theirs, copy))
            self.assertIsNone(self.reason(postern, version, good, sub))
            self.assertIsNone(self.reason(postern, version, good, copy, sub))

    def test_an_outsider_with_the_certificate_of_an_authority_cannot_lock_out_its_clients(self):
        sub = pki.Authority("Sub", parent=ROOT)
        good, junk = self.leaf(sub), self.leaf(pki.authority("Outsider"))
        postern = self.guarded()
        for version in BOTH:
            self.assertEqual(self.reason(postern, version, junk, sub), "unknown_ca")
            self.assertIsNone(self.reason(postern, version, good, sub))

    def test_a_refusal_names_the_certificate_to_blame(self):
        sub = pki.Authority("Sub", parent=ROOT, start=pki.NOW - 60 * pki.DAY,
                            end=pki.NOW - pki.DAY)
        leaf, postern = self.leaf(sub), self.guarded()
        for version in BOTH:
            self.assertEqual(self.reason(postern, version, leaf, sub), "expired")
            self.assertEqual(self.event["error"], "CN=Sub (depth 1)")

    def test_the_commands_of_mosquittos_manual_make_a_client(self):
        """mosquitto-tls(7): the certificate has no extensions, and with older openssl version 1."""
        def openssl(*arguments):
            subprocess.run(["openssl", *arguments], check=True, cwd=self.folder,
                           stderr=subprocess.DEVNULL)
        openssl("req", "-new", "-x509", "-days", "30", "-extensions", "v3_ca", "-nodes",
                "-keyout", "ca.key", "-out", "client-ca.pem", "-subj", "/CN=Howto CA")
        openssl("genrsa", "-out", "client.key", "2048")
        openssl("req", "-out", "client.csr", "-key", "client.key", "-new", "-subj", "/CN=howto")
        openssl("x509", "-req", "-in", "client.csr", "-CA", "client-ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-out", "client.crt", "-days", "30")
        keys = {"client_auth": "required", "client_ca": "client-ca.pem"}
        mosquitto = self.mosquitto()
        postern = self.postern(mosquitto, listener=keys)
        for version in BOTH:
            context = tls_context(pki.authority().pem, version)
            context.load_cert_chain(self.path("client.crt"), self.path("client.key"))
            client = self.mqtt_client(postern, "howto", context=context)
            client.publish("howto", "hello")
        old = len(postern.all("client certificate version 1"))
        self.assertLessEqual(old, 1, "one warning per load")

    def test_a_ticket_ends_with_the_authority_that_is_revoked(self):
        sub = pki.Authority("Sub", parent=ROOT)
        leaf = self.leaf(sub)
        leaf.chain = sub.pem
        lists = ROOT.crl() + sub.crl()
        self.write("both.pem", ROOT.pem + sub.pem)
        self.write("client.crl", lists)
        postern = self.postern(self.broker, listener={
            "client_auth": "required", "client_ca": "both.pem", "client_crl": "client.crl"})
        held = []
        for version in BOTH:
            context = tls_context(pki.authority().pem, version, cert=leaf)
            client = self.client(postern, context=context)
            client.send(b"x")
            client.recv_exactly(1)
            held.append((context, client.tls.session))
            client.close()
        self.write("client.crl", ROOT.crl([sub.certificate], number=2) + sub.crl())
        self.assertEqual(postern.reload().name, "reload done")
        for context, session in held:
            client = TlsClient(postern.address(), context, session=session, handshake=False)
            self.addCleanup(client.cut)
            with self.assertRaises((ssl.SSLError, OSError, Truncated)):
                client.handshake()
                client.send(b"x")
                client.recv_exactly(1)


class Attacks(Case):
    """Each by a full handshake in both versions, and again with the session that it left."""

    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker(echo)

    def refused(self, postern, deserved, sent):
        context_of = types.SimpleNamespace(pem=sent[0].pem, key_pem=sent[0].key_pem,
                                           chain="".join(c.pem for c in sent[1:]))
        for version in BOTH:
            context = tls_context(None, version, context_of, ciphers="DEFAULT:@SECLEVEL=0")
            session = None
            for attempt in ("in full", "with its session"):
                with self.subTest(version=version, attempt=attempt):
                    client = self.client(postern, context=context, session=session,
                                         handshake=False)
                    with self.assertRaises((ssl.SSLError, Truncated, OSError)):
                        client.handshake()
                        client.send(b"hello")
                        client.recv_exactly(5)
                    end = postern.end_of(client)
                    self.assertEqual((end.name, end["reason"]), ("handshake failed", deserved))
                    session = client.tls.session
        self.assertEqual(self.broker.connections(), 0, "the broker got no connection")

    def test_each_is_refused_for_what_it_is(self):
        root, past = chains.authority("Attacked"), Node("Past", ca=True, **EXPIRED)
        shop = Node("Shop", root, ca=True, purposes=chains.purposes(SERVER))
        code = Node("Code", root, ca=True, purposes=chains.purposes(chains.CODE))
        short = Node("Short", root, ca=True, basic=(chains.basic(length=0), True))
        tenant = Node("Tenant", root, ca=True, constraints=(
            chains.constraints([chains.dns("tenant.example")]), True))
        weak = Node("Weak", root, ca=True, kind="rsa1024")
        client = Node("client", root, purposes=chains.purposes(CLIENT))

        def namesake(issuer):
            return Node("Attacked", issuer, ca=True, key=pki.key("ecdsa", "namesake"))

        def outside(names):
            return [Node("admin.example", tenant, names=names and chains.names(*names)), tenant]
        table = {
            "an expired anchor": ("expired", [Node("admin", past)]),
            "a CA for servers": ("wrong_usage", [Node("admin", shop), shop]),
            "a CA for code": ("wrong_usage", [Node("admin", code), code]),
            "a CA for servers makes one like the root":
                ("wrong_usage", [Node("admin", namesake(shop)), namesake(shop), shop]),
            "a CA of path length 0 makes one like the root":
                ("path_length", [Node("admin", namesake(short)), namesake(short), short]),
            "a client makes one like the root":
                ("unknown_ca", [Node("admin", namesake(client)), namesake(client), client]),
            "a name outside, no other": ("name_constraint", outside(None)),
            "a name outside, IP address": ("name_constraint", outside(["192.0.2.1"])),
            "a name outside, URI": ("name_constraint", outside(["uri:urn:x"])),
            "a name outside, registeredID": ("name_constraint", outside([(0x88, b"\x2a\x03")])),
            "a weak key": ("weak_key", [Node("admin", root, kind="rsa1024")]),
            "a CA with a weak key": ("weak_key", [Node("admin", weak), weak]),
        }
        self.write("attacked.pem", root.pem + past.pem)
        for what, (deserved, sent) in table.items():
            postern = self.postern(self.broker, listener={
                "client_auth": "required", "client_ca": "attacked.pem"})
            with self.subTest(what):
                self.refused(postern, deserved, sent)
            postern.stop()


if __name__ == "__main__":
    main()
