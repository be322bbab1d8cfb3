"""Client certificates: which clients are accepted, which are refused, and that client and log get
the reason."""

import contextlib
import datetime
import re
import ssl
import unittest

from brokers import echo
from clients import Truncated, TlsClient, tls_context
from harness import SANITIZED, Case, main, own_library, pki, run_program

BOTH = ("1.2", "1.3")
ALERTS = {"HANDSHAKE_FAILURE": 40, "BAD_CERTIFICATE": 42, "UNSUPPORTED_CERTIFICATE": 43,
          "CERTIFICATE_REVOKED": 44, "CERTIFICATE_EXPIRED": 45, "CERTIFICATE_UNKNOWN": 46,
          "ILLEGAL_PARAMETER": 47, "UNKNOWN_CA": 48, "ACCESS_DENIED": 49, "DECRYPT_ERROR": 51,
          "CERTIFICATE_REQUIRED": 116}
DEVICES = pki.authority("Device CA")


def device(name="device-1", **options):
    options.setdefault("own_key", pki.key(options.get("kind", "ecdsa"), "client"))
    return DEVICES.issue(name, usage="client", **options)


class ClientAuth(Case):
    def guarded(self, broker, ca=DEVICES.pem, crl=None, auth="required", certificate=None, main=(),
                **listener):
        self.write("client-ca.pem", ca)
        keys = {"client_auth": auth, "client_ca": "client-ca.pem", **listener}
        if crl:
            self.write("client.crl", crl)
            keys["client_crl"] = "client.crl"
        return self.postern(broker, listener=keys, certificate=certificate, main=main)

    def verdict(self, postern, version, cert, **options):
        """Connects; None if the client is accepted, else the number of the alert that came."""
        client = self.client(postern, version, cert=cert, handshake=False, **options)
        self.last = client
        try:
            client.handshake()
            client.send(b"hello")
            self.assertEqual(client.recv_exactly(5), b"hello")
            client.close()
            return None
        except ssl.SSLError as error:
            match = re.search(r"ALERT_([A-Z_]+)", str(error))
            return ALERTS[match[1]] if match else str(error)

    def is_refused(self, postern, broker, version, cert, reason, alerts):
        with self.subTest(version=version, reason=reason):
            before = broker.connections()
            got = self.verdict(postern, version, cert)
            event = postern.end_of(self.last)
            self.assertEqual((event.name, event["reason"]), ("handshake failed", reason))
            if cert and not own_library():
                alerts = (42, 48)  # the distribution's library lets us send no other
            self.assertIn(got, alerts)
            self.assertEqual(event["alert"], str(got), "the log has the alert that was sent")
            self.assertEqual(broker.connections(), before, "the broker got no connection")

    def test_every_refusal_has_its_alert_and_its_reason(self):
        broker = self.fake_broker(echo)
        good, revoked = device(), device("stolen")
        postern = self.guarded(broker, crl=DEVICES.crl([revoked]))
        outsider = pki.authority("Somebody else").issue("device-1", usage="client",
                                                        own_key=pki.key("ecdsa", "client"))
        past = device(start=pki.NOW - 60 * pki.DAY, end=pki.NOW - pki.DAY)
        future = device(start=pki.NOW + pki.DAY)
        server = DEVICES.issue("device-1", usage="server", own_key=pki.key("ecdsa", "client"))
        for version in BOTH:
            self.is_refused(postern, broker, version, None, "no_certificate_given",
                            {"1.2": (40,), "1.3": (116,)}[version])
            self.is_refused(postern, broker, version, outsider, "unknown_ca", (48,))
            self.is_refused(postern, broker, version, past, "expired", (45,))
            self.is_refused(postern, broker, version, future, "not_yet_valid", (45,))
            self.is_refused(postern, broker, version, revoked, "revoked", (44,))
            self.is_refused(postern, broker, version, server, "wrong_usage", (43,))
            self.assertIsNone(self.verdict(postern, version, good))
            self.assertEqual(postern.end_of(self.last)["identity"], "device-1")

    def test_optional_accepts_clients_without_a_certificate_and_refuses_bad_ones(self):
        broker = self.fake_broker(echo)
        postern = self.guarded(broker, auth="optional")
        outsider = pki.authority("Somebody else").issue("device-1", usage="client",
                                                        own_key=pki.key("ecdsa", "client"))
        for version in BOTH:
            self.assertIsNone(self.verdict(postern, version, None))
            self.assertEqual(postern.end_of(self.last)["identity"], "-")
            self.assertIsNone(self.verdict(postern, version, device()))
            self.assertEqual(postern.end_of(self.last)["identity"], "device-1")
            self.is_refused(postern, broker, version, outsider, "unknown_ca", (48,))

    def test_none_does_not_ask_for_a_certificate(self):
        postern = self.postern(self.fake_broker(echo))
        for version in BOTH:
            self.assertIsNone(self.verdict(postern, version, device()))
            self.assertEqual(postern.end_of(self.last)["identity"], "-")

    def test_any_key_types_of_client_and_server_work_together(self):
        for kind in ("ecdsa", "rsa"):
            postern = self.guarded(self.fake_broker(echo), certificate=pki.server(kind))
            for version in BOTH:
                for own in ("ecdsa", "rsa", "rsa4096", "ecdsa384", "ecdsa521", "ed25519"):
                    if own in ("ecdsa521", "ed25519") and not own_library():
                        continue
                    with self.subTest(server=kind, client=own, version=version):
                        self.assertIsNone(self.verdict(postern, version, device(kind=own)))

    @unittest.skipUnless(own_library(), "the distribution's library does not ask for all of them")
    def test_an_authority_may_have_any_key_type(self):
        kinds = ("ecdsa384", "ecdsa521", "ed25519", "rsa4096")
        authorities = {kind: pki.authority(f"CA of {kind}", kind) for kind in kinds}
        postern = self.guarded(self.fake_broker(echo),
                               ca="".join(a.pem for a in authorities.values()))
        for kind, authority in authorities.items():
            own = pki.key(kind, "client")
            for version in BOTH:
                with self.subTest(kind=kind, version=version):
                    cert = authority.issue("dev", usage="client", own_key=own)
                    self.assertIsNone(self.verdict(postern, version, cert))

    def test_one_file_may_have_several_authorities(self):
        other = pki.authority("Second Device CA")
        postern = self.guarded(self.fake_broker(echo), ca=DEVICES.pem + other.pem)
        for issuer in (DEVICES, other):
            cert = issuer.issue("dev", usage="client", own_key=pki.key("ecdsa", "client"))
            for version in BOTH:
                self.assertIsNone(self.verdict(postern, version, cert))

    def test_a_client_may_send_its_intermediates(self):
        middle = pki.Authority("Device Intermediate", parent=DEVICES)
        lower = pki.Authority("Lower Intermediate", parent=middle)
        broker = self.fake_broker(echo)
        postern = self.guarded(broker)
        for version in BOTH:
            cert = lower.issue("deep", usage="client", own_key=pki.key("ecdsa", "client"))
            self.assertIsNone(self.verdict(postern, version, cert))
            cert.chain = ""
            self.is_refused(postern, broker, version, cert, "unknown_ca", (48,))

    def test_a_leaf_cannot_act_as_an_authority(self):
        broker = self.fake_broker(echo)
        postern = self.guarded(broker)
        leaf = device("device-1")
        impostor = pki.Authority.__new__(pki.Authority)
        impostor.subject = pki.distinguished_name("device-1")
        impostor.key, impostor.parent, impostor.certificate = leaf.key, DEVICES, leaf
        impostor.identifier = leaf.key.identifier
        forged = impostor.issue("device-2", usage="client", own_key=pki.key("ecdsa", "forger"))
        for version in BOTH:
            self.assertIsNotNone(self.verdict(postern, version, forged))
            self.assertEqual(postern.end_of(self.last).name, "handshake failed")
        self.assertEqual(broker.connections(), 0)


class Identities(Case):
    guarded = ClientAuth.guarded
    verdict = ClientAuth.verdict

    def test_each_source_of_identity(self):
        cert = device("by-cn", names=["dev.example.org", "uri:urn:dev:1"])
        for source, expected in (("cn", "by-cn"), ("san-dns", "dev.example.org"),
                                 ("san-uri", "urn:dev:1"), ("fingerprint", cert.fingerprint)):
            postern = self.guarded(self.fake_broker(echo), identity=source)
            for version in BOTH:
                self.assertIsNone(self.verdict(postern, version, cert))
                self.assertEqual(postern.end_of(self.last)["identity"].lower(), expected)

    def test_an_odd_name_cannot_forge_a_log_line(self):
        cert = device([("2.5.4.3", b'x" reason=forged y="', pki.UTF8)])
        postern = self.guarded(self.fake_broker(echo))
        self.verdict(postern, "1.3", cert)
        event = postern.end_of(self.last)
        self.assertNotEqual(event["reason"], "forged")


class Revocation(Case):
    guarded = ClientAuth.guarded
    verdict = ClientAuth.verdict

    def revoke(self, postern, *certs, **options):
        self.write("client.crl", DEVICES.crl(certs, **options))
        self.assertEqual(postern.reload().name, "reload done")

    def test_a_revocation_takes_effect_with_a_reload(self):
        postern = self.guarded(self.fake_broker(echo), crl=DEVICES.crl())
        good, stolen = device(), device("stolen")
        for version in BOTH:
            self.assertIsNone(self.verdict(postern, version, stolen))
        self.revoke(postern, stolen)
        for version in BOTH:
            self.assertIsNotNone(self.verdict(postern, version, stolen))
            self.assertEqual(postern.end_of(self.last)["reason"], "revoked")
            self.assertIsNone(self.verdict(postern, version, good))
        self.revoke(postern)
        self.assertIsNone(self.verdict(postern, "1.3", stolen))

    def test_a_handshake_during_which_its_certificate_is_revoked_is_refused(self):
        """Even where live sessions are kept: this one was not established by then."""
        broker = self.fake_broker(echo)
        postern = self.guarded(broker, crl=DEVICES.crl())
        stolen = device("stolen")
        for version in BOTH:
            self.revoke(postern)
            client = self.client(postern, version, cert=stolen, handshake=False)
            client.raw_send(client.hello())
            flight = client.raw_recv()
            before = broker.connections()
            self.revoke(postern, stolen)
            with contextlib.suppress(Truncated):
                self.assertEqual(self.alert_after(client, flight), 44)
            end = postern.end_of(client)
            self.assertEqual((end.name, end["reason"]), ("handshake failed", "revoked"))
            self.assertEqual(end.get("alert"), "44" if own_library() else None)
            self.assertEqual(broker.connections(), before)

    def test_a_handshake_during_which_its_intermediate_is_revoked_is_refused(self):
        middle = pki.Authority("Device Intermediate", parent=DEVICES)
        leaf = middle.issue("deep", usage="client", own_key=pki.key("ecdsa", "client"))
        broker = self.fake_broker(echo)
        postern = self.guarded(broker, crl=DEVICES.crl() + middle.crl())
        for version in BOTH:
            self.write("client.crl", DEVICES.crl() + middle.crl())
            self.assertEqual(postern.reload().name, "reload done")
            self.assertIsNone(self.verdict(postern, version, leaf))
            client = self.client(postern, version, cert=leaf, handshake=False)
            client.raw_send(client.hello())
            flight = client.raw_recv()
            before = broker.connections()
            self.write("client.crl", DEVICES.crl([middle.certificate]) + middle.crl())
            self.assertEqual(postern.reload().name, "reload done")
            with contextlib.suppress(Truncated):
                self.assertEqual(self.alert_after(client, flight), 44)
            end = postern.end_of(client)
            self.assertEqual((end.name, end["reason"]), ("handshake failed", "revoked"))
            self.assertIn("Device Intermediate (depth 1)", end["error"])
            self.assertEqual(broker.connections(), before)

    def alert_after(self, client, flight):
        """Completes the handshake that got this flight; the alert that then comes."""
        with self.assertRaises(ssl.SSLError) as caught:
            if not client.step(flight):
                client.handshake()
            client.raw_send(client.pending_output())
            client.recv()
        return ALERTS[re.search(r"ALERT_([A-Z_]+)", str(caught.exception))[1]]

    def test_live_sessions_of_a_revoked_certificate_are_kept_or_ended_as_configured(self):
        for asked in ("keep", "end"):
            postern = self.guarded(self.fake_broker(echo), crl=DEVICES.crl(),
                                   revoked_sessions=asked)
            stolen, good = device("stolen"), device()
            sessions = [self.client(postern, v, cert=c) for v in BOTH for c in (stolen, good)]
            for client in sessions:
                client.send(b"x")
                client.recv_exactly(1)
            self.revoke(postern, stolen)
            for number, client in enumerate(sessions):
                if asked == "end" and number % 2 == 0:
                    self.assertEqual(client.recv(), b"")
                    client.close()
                    self.assertEqual(postern.end_of(client)["reason"], "revoked")
                else:
                    client.send(b"y")
                    self.assertEqual(client.recv_exactly(1), b"y")

    def test_live_sessions_below_a_revoked_intermediate_end_likewise(self):
        """One that is not in client_ca: the sessions remember what the client sent. So do those
        that were resumed."""
        middle = pki.Authority("Device Intermediate", parent=DEVICES)
        leaf = middle.issue("deep", usage="client", own_key=pki.key("ecdsa", "client"))
        for asked in ("keep", "end"):
            postern = self.guarded(self.fake_broker(echo), crl=DEVICES.crl() + middle.crl(),
                                   revoked_sessions=asked)
            sessions = []
            for version in BOTH:
                context = tls_context(pki.authority().pem, version, cert=leaf)
                first = self.client(postern, context=context)
                first.send(b"x")
                first.recv_exactly(1)
                again = self.client(postern, context=context, session=first.tls.session)
                self.assertEqual(again.tls.session_reused, own_library())
                sessions += [first, again]
            for client in sessions:
                client.send(b"x")
                client.recv_exactly(1)
            self.write("client.crl", DEVICES.crl([middle.certificate]) + middle.crl())
            self.assertEqual(postern.reload().name, "reload done")
            for client in sessions:
                if asked == "end":
                    self.assertEqual(client.recv(), b"")
                    client.close()
                    self.assertEqual(postern.end_of(client)["reason"], "revoked")
                else:
                    client.send(b"y")
                    self.assertEqual(client.recv_exactly(1), b"y")

    def test_an_expired_crl_is_accepted_or_refused_as_configured(self):
        stolen = device("stolen")
        old = DEVICES.crl([stolen], start=pki.NOW - 60 * pki.DAY, end=pki.NOW - pki.DAY)
        for version in BOTH:
            postern = self.guarded(self.fake_broker(echo), crl=old)
            self.assertRegex(postern.log(), "client.crl.*expired|expired.*client.crl")
            self.assertIsNone(self.verdict(postern, version, device()))
            self.assertIsNotNone(self.verdict(postern, version, stolen))
            self.assertEqual(postern.end_of(self.last)["reason"], "revoked")

    def test_with_an_expired_crl_that_must_not_be_used_all_clients_are_refused(self):
        old = DEVICES.crl(start=pki.NOW - 60 * pki.DAY, end=pki.NOW - pki.DAY)
        postern = self.guarded(self.fake_broker(echo), crl=old, crl_expired="refuse")
        for version in BOTH:
            self.assertIsNotNone(self.verdict(postern, version, device()))
            self.assertEqual(postern.end_of(self.last).name, "handshake failed")

    def test_a_reload_with_a_bad_crl_is_refused(self):
        postern = self.guarded(self.fake_broker(echo), crl=DEVICES.crl())
        for text in ("", "garbage", pki.authority("Somebody else").pem):
            self.write("client.crl", text)
            event = postern.reload()
            self.assertEqual(event.name, "reload refused")
            self.assertIn("client.crl", event.raw)
        self.assertIsNone(self.verdict(postern, "1.3", device()))

    def test_one_file_may_have_several_crls(self):
        other = pki.authority("Second Device CA")
        stolen = device("stolen")
        theirs = other.issue("theirs", usage="client", own_key=pki.key("ecdsa", "client"))
        postern = self.guarded(self.fake_broker(echo), ca=DEVICES.pem + other.pem,
                               crl=DEVICES.crl([stolen]) + other.crl([theirs]))
        for version in BOTH:
            for cert in (stolen, theirs):
                self.assertIsNotNone(self.verdict(postern, version, cert))
                self.assertEqual(postern.end_of(self.last)["reason"], "revoked")
            self.assertIsNone(self.verdict(postern, version, device()))

    def test_clients_of_a_removed_authority_are_refused_after_the_reload(self):
        other = pki.authority("Second Device CA")
        postern = self.guarded(self.fake_broker(echo), ca=DEVICES.pem + other.pem)
        self.assertIsNone(self.verdict(postern, "1.3", device()))
        self.write("client-ca.pem", other.pem)
        self.assertEqual(postern.reload().name, "reload done")
        for version in BOTH:
            self.assertEqual(self.verdict(postern, version, device()), 48)


class NoResumptionPast(Case):
    """Resumption never accepts what a full handshake would refuse."""
    guarded = ClientAuth.guarded

    def contexts(self, cert):
        """One per way of resuming: ticket in 1.2, ticket in 1.3, session ID in 1.2."""
        for version, by_id in (("1.2", False), ("1.3", False), ("1.2", True)):
            context = tls_context(pki.authority().pem, version, cert=cert)
            if by_id:
                context.options |= ssl.OP_NO_TICKET
            yield context

    def session(self, postern, context, **options):
        client = self.client(postern, context=context, **options)
        client.send(b"x")
        client.recv_exactly(1)
        session = client.tls.session
        client.close()
        postern.end_of(client)
        return session

    def is_accepted(self, postern, context, session, **options):
        client = TlsClient(options.pop("address", postern.address()), context, session=session,
                           handshake=False, **options)
        try:
            client.handshake()
            client.send(b"x")
            return bool(client.recv_exactly(1))
        except (ssl.SSLError, OSError, Truncated, AssertionError):
            return False
        finally:
            client.cut()

    def test_two_hundred_attempts_past_a_revoked_certificate(self):
        broker = self.fake_broker(echo)
        postern = self.guarded(broker, crl=DEVICES.crl())
        stolen = device("stolen")
        held = [(c, self.session(postern, c)) for c in self.contexts(stolen)]
        self.assertTrue(all(self.is_accepted(postern, *pair) for pair in held))
        self.write("client.crl", DEVICES.crl([stolen]))
        self.assertEqual(postern.reload().name, "reload done")
        before = broker.connections()
        attempts = [self.is_accepted(postern, *held[n % len(held)]) for n in range(200)]
        self.assertEqual(sum(attempts), 0)
        self.assertEqual(broker.connections(), before)

    def test_no_session_is_resumed_past_a_reload_that_comes_before_the_last_flight(self):
        """The ticket was good when it was sent. The client holds back its Finished meanwhile."""
        middle = pki.Authority("Device Intermediate", parent=DEVICES)
        leaf = middle.issue("deep", usage="client", own_key=pki.key("ecdsa", "client"))
        before = {"client-ca.pem": DEVICES.pem, "client.crl": DEVICES.crl() + middle.crl()}
        for after in ({"client-ca.pem": pki.authority("Second Device CA").pem},
                      {"client.crl": DEVICES.crl([middle.certificate]) + middle.crl()},
                      {"client.crl": DEVICES.crl() + middle.crl([leaf])}):
            broker = self.fake_broker(echo)
            postern = self.guarded(broker, crl=before["client.crl"])
            # The distribution's library has no room for the name in a ticket.
            for context in list(self.contexts(leaf))[0 if own_library() else 2:]:
                for name, text in before.items():
                    self.write(name, text)
                self.assertEqual(postern.reload().name, "reload done")
                session = self.session(postern, context)
                client = self.client(postern, context=context, session=session, handshake=False)
                client.raw_send(client.hello())
                while not client.step(client.raw_recv()):
                    pass
                self.assertTrue(client.tls.session_reused)
                dialled = broker.connections()
                for name, text in after.items():
                    self.write(name, text)
                self.assertEqual(postern.reload().name, "reload done")
                client.raw_send(client.pending_output())
                end = postern.end_of(client)
                self.assertEqual((end.name, end["reason"]),
                                 ("handshake failed", "no_certificate_given"))
                self.assertEqual(broker.connections(), dialled)

    def test_no_session_is_resumed_past_a_removed_authority(self):
        other = pki.authority("Second Device CA")
        postern = self.guarded(self.fake_broker(echo), ca=DEVICES.pem + other.pem)
        held = [(c, self.session(postern, c)) for c in self.contexts(device())]
        self.write("client-ca.pem", other.pem)
        self.assertEqual(postern.reload().name, "reload done")
        for pair in held:
            self.assertFalse(self.is_accepted(postern, *pair))

    def test_no_session_is_resumed_past_a_policy_that_became_stricter(self):
        broker = self.fake_broker(echo)
        postern = self.guarded(broker, auth="optional")
        held = [(c, self.session(postern, c)) for c in self.contexts(None)]
        text = self.config(broker, listener={"client_auth": "required",
                                             "client_ca": "client-ca.pem"})
        self.write("postern.conf", text)
        self.assertEqual(postern.reload().name, "reload done")
        for pair in held:
            self.assertFalse(self.is_accepted(postern, *pair))

    def test_no_session_is_resumed_from_an_open_listener_into_a_guarded_one(self):
        broker = self.fake_broker(echo)
        self.write("client-ca.pem", DEVICES.pem)
        more = (f"[listener guarded]\nlisten = 127.0.0.1:0\nbackend = {broker.address}\n"
                "certificates = main\nclient_auth = required\nclient_ca = client-ca.pem\n")
        postern = self.postern(broker, more=more)
        for context in self.contexts(None):
            session = self.session(postern, context, address=postern.address("mqtt"))
            self.assertTrue(self.is_accepted(postern, context, session,
                                         address=postern.address("mqtt")))
            self.assertFalse(self.is_accepted(postern, context, session,
                                          address=postern.address("guarded")))

    def test_no_session_is_resumed_past_the_expiry_of_the_certificate(self):
        seconds = 6 if SANITIZED else 3
        postern = self.guarded(self.fake_broker(echo))
        end = (datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
               + datetime.timedelta(seconds=seconds))
        short = device("short", end=end)
        held = [(c, self.session(postern, c)) for c in self.contexts(short)]
        self.wait_until(lambda: datetime.datetime.now(datetime.timezone.utc)
                        > end + datetime.timedelta(seconds=2), "the certificate to expire")
        for pair in held:
            self.assertFalse(self.is_accepted(postern, *pair))

    @unittest.skipUnless(own_library(), "clients with certificates cannot resume with this library")
    def test_a_resumed_session_still_has_its_identity(self):
        postern = self.guarded(self.fake_broker(echo))
        for context in self.contexts(device()):
            session = self.session(postern, context)
            client = self.client(postern, context=context, session=session)
            client.send(b"x")
            client.recv_exactly(1)
            client.close()
            end = postern.end_of(client)
            self.assertEqual((end["identity"], end["resumed"]), ("device-1", "yes"))


class Mistakes(Case):
    def refused(self, word, **listener):
        self.write("client-ca.pem", DEVICES.pem)
        file = self.write("postern.conf", self.config("127.0.0.1:1883", listener=listener))
        done = run_program("--check", "-c", file)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, word)

    def test_keys_that_contradict_each_other_are_refused(self):
        self.refused("client_ca", client_auth="required")
        self.refused("client_ca", client_auth="optional")
        self.refused("client_auth", client_auth="sometimes")
        self.refused("nowhere.pem", client_auth="required", client_ca="nowhere.pem")
        self.refused("main/privkey.pem", client_auth="required", client_ca="main/privkey.pem")
        self.refused("client_auth", mqtt="identity")
        self.refused("client_auth", mqtt="identity", client_auth="optional",
                     client_ca="client-ca.pem")
        self.refused("identity", identity="name")

    def test_authorities_that_cannot_be_used_are_reported_once(self):
        ends = [DEVICES.issue(f"device-{n}", usage="client") for n in (1, 2)]
        keys = {"client_auth": "required", "client_ca": "ca.pem"}
        file = self.write("postern.conf", self.config("127.0.0.1:1883", listener=keys))
        for good, code, warnings in (("", 1, 1), (DEVICES.pem, 0, 2)):
            for order in (good + ends[0].pem + ends[1].pem, ends[0].pem + ends[1].pem + good):
                self.write("ca.pem", order)
                done = run_program("--check", "-c", file)
                self.assertEqual(done.returncode, code, done.stderr)
                for name in ("device-1", "device-2"):
                    self.assertEqual(done.stderr.count(f'CN={name}'), 1, done.stderr)
                self.assertEqual(done.stderr.count("ca ignored"), warnings, done.stderr)

    def test_expired_authorities_are_loaded_with_a_warning(self):
        old = pki.Authority("Old CA", start=pki.NOW - 60 * pki.DAY, end=pki.NOW - pki.DAY)
        self.write("client-ca.pem", old.pem)
        file = self.write("postern.conf", self.config("127.0.0.1:1883", listener={
            "client_auth": "required", "client_ca": "client-ca.pem"}))
        done = run_program("--check", "-c", file)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "client-ca.pem.*expired|expired.*client-ca.pem")


if __name__ == "__main__":
    main()
