"""psk_file: clients that have a key instead of a certificate, with the tools that people use."""

import shutil
import subprocess
import unittest

from brokers import echo
from clients import PATIENCE
from harness import Case, main, own_library, pki, run_program
from test_proxy_protocol import decode_ssl, decode_v2

BOTH = ("1.2", "1.3")
ONE, TWO = "00112233445566778899aabbccddeeff", "ff" * 32
ZEROS = "0000" + "ab" * 14
KEYS = f"# the cellar\nsensor-1:{ONE}\nsensor-2:{TWO}\n"
DEVICES = pki.authority("Device CA")
ALERTS = {"1.2": "20", "1.3": "51"}  # bad_record_mac, decrypt_error
NO_CERTIFICATE = {"1.2": "40", "1.3": "116"}  # handshake_failure, certificate_required


class SClient:
    """openssl s_client, which echoes what it gets to its standard output."""

    def __init__(self, case, postern, version, identity, key, *more):
        host, port = postern.address()
        self.since = postern.mark()
        self.postern = postern
        self.process = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"{host}:{port}", "-psk_identity", identity,
             "-psk", key, f"-tls{version.replace('.', '_')}", "-quiet", "-no_ign_eof", *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        case.addCleanup(self.stop)

    def echo(self, line=b"x\n"):
        self.process.stdin.write(line)
        self.process.stdin.flush()
        got = self.process.stdout.readline()
        assert got == line, got

    def end(self):
        """Its closing line in Postern's log."""
        return self.postern.wait("session end", "handshake failed", since=self.since)

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        return self.end()

    def wait(self):
        """Until the server has ended the connection."""
        self.process.wait(PATIENCE)
        return self.end()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


@unittest.skipUnless(own_library(), "pre-shared keys come with our own build of the library")
class Keys(Case):
    def keyed(self, broker, text=KEYS, main=(), **listener):
        """A Postern that takes these keys, alone if nothing else is said."""
        self.write("keys", text)
        keys = {"psk_file": "keys", "certificates": "none", **listener}
        if keys["certificates"] != "none":
            return self.postern(broker, listener=keys, main=main,
                                more=self.certificate_section("main", pki.server()))
        return self.postern(broker, listener=keys, main=main)

    def comes_in(self, postern, version, identity, key, *more, named=None):
        client = SClient(self, postern, version, identity, key, *more)
        client.echo()
        end = client.close()
        self.assertEqual((end.name, end["identity"], end["tls"]),
                         ("session end", named or identity, version))
        return end

    def is_kept_out(self, postern, version, identity, key, reason, *more, alert=None):
        client = SClient(self, postern, version, identity, key, *more)
        end = client.wait()
        self.assertEqual((end.name, end["reason"]), ("handshake failed", reason))
        self.assertEqual(end["alert"], alert or ALERTS[version])
        return end

    def rewrite(self, postern, text, event="reload done"):
        self.write("keys", text)
        got = postern.reload()
        self.assertEqual(got.name, event, got.raw)
        return got

    def mosquitto_pub(self, postern, identity, key, *more):
        """Its --tls-version is the oldest one: the listener's tls_max chooses."""
        host, port = postern.address()
        return subprocess.run(
            ["mosquitto_pub", "-h", host, "-p", str(port), "--psk", key, "--psk-identity", identity,
             "-t", "t", "-m", "x", "-q", "1", *more],
            capture_output=True, timeout=PATIENCE)


class ComingIn(Keys):
    def test_openssl_comes_in_by_its_key_alone_and_beside_certificates(self):
        for certificates in ("none", "main"):
            broker = self.fake_broker(echo)
            postern = self.keyed(broker, certificates=certificates)
            for version in BOTH:
                end = self.comes_in(postern, version, "sensor-1", ONE)
                self.assertIn("group", end)  # there was a key exchange
                self.comes_in(postern, version, "sensor-2", TWO)
                before = broker.connections()
                self.is_kept_out(postern, version, "sensor-1", TWO, "bad_psk")
                if (certificates, version) != ("main", "1.3"):
                    self.is_kept_out(postern, version, "sensor-3", ONE, "unknown_psk")
                self.assertEqual(broker.connections(), before)

    def test_the_log_names_who_failed(self):
        postern = self.keyed(self.fake_broker(echo))
        for version in BOTH:
            end = self.is_kept_out(postern, version, 'sensor "3"', ONE, "unknown_psk")
            self.assertEqual(end["error"], 'sensor "3"')
            end = self.is_kept_out(postern, version, "sensor-1", TWO, "bad_psk")
            self.assertEqual(end["error"], "sensor-1")
        self.assertNotIn(ONE, postern.log())
        self.assertNotIn(TWO, postern.log())

    def test_mosquitto_pub_publishes_by_its_key(self):
        broker = self.mosquitto()
        for version in BOTH:
            for key in (ONE, TWO, ZEROS):
                postern = self.keyed(broker, f"sensor-1:{key}\n", tls_max=version)
                sent = self.mosquitto_pub(postern, "sensor-1", key)
                self.assertEqual((sent.returncode, sent.stderr), (0, b""))
                end = postern.wait("session end")
                self.assertIn(end["tls"], (version, "1.2"))  # newer ones take a key for 1.2 only
                self.assertEqual(end["identity"], "sensor-1")
                if end["tls"] == "1.2":
                    self.assertEqual(end["cipher"], "ECDHE-PSK-CHACHA20-POLY1305")

    def test_mosquitto_pub_with_a_wrong_key_or_an_unknown_identity_does_not(self):
        broker = self.mosquitto()
        for version in BOTH:
            postern = self.keyed(broker, tls_max=version)
            for identity, reason in (("sensor-1", "bad_psk"), ("sensor-3", "unknown_psk")):
                sent = self.mosquitto_pub(postern, identity, "ab" * 16)
                self.assertNotEqual(sent.returncode, 0)
                end = postern.wait("handshake failed", reason=reason, error=identity)
                self.assertIn(end["alert"], (ALERTS[version], ALERTS["1.2"]))

    def test_beside_certificates_clients_with_certificates_come_in_as_before(self):
        self.write("client-ca.pem", DEVICES.pem)
        device = DEVICES.issue("device-1", usage="client", own_key=pki.key("ecdsa", "client"))
        postern = self.keyed(self.fake_broker(echo), certificates="main", client_auth="required",
                             client_ca="client-ca.pem")
        for version in BOTH:
            client = self.client(postern, version, cert=device)
            client.send(b"x")
            self.assertEqual(client.recv_exactly(1), b"x")
            client.close()
            self.assertEqual(postern.end_of(client)["identity"], "device-1")
            self.comes_in(postern, version, "sensor-1", ONE)
        # An unknown identity may be another server's ticket: a certificate is asked for.
        client = SClient(self, postern, "1.3", "sensor-3", ONE)
        self.assertEqual(client.wait()["reason"], "no_certificate_given")

    def test_without_a_key_nobody_comes_in(self):
        postern = self.keyed(self.fake_broker(echo))
        for version in (*BOTH, None):
            client = self.client(postern, version, handshake=False)
            self.refused(client.handshake)
            end = postern.end_of(client)
            self.assertEqual((end["reason"], end["alert"]), ("no_shared_cipher", "40"))

    def test_without_forward_secrecy_only_where_it_is_wanted(self):
        plain = ("-cipher", "PSK-AES128-GCM-SHA256")
        postern = self.keyed(self.fake_broker(echo))
        self.is_kept_out(postern, "1.2", "sensor-1", ONE, "no_shared_cipher", *plain, alert="40")
        postern = self.keyed(self.fake_broker(echo), psk_plain="yes")
        end = self.comes_in(postern, "1.2", "sensor-1", ONE, *plain)
        self.assertEqual(end["cipher"], "PSK-AES128-GCM-SHA256")
        self.assertEqual(end["group"], "-")
        end = self.comes_in(postern, "1.2", "sensor-1", ONE)
        self.assertEqual(end["cipher"], "ECDHE-PSK-CHACHA20-POLY1305")

    @unittest.skipUnless(shutil.which("gnutls-cli"), "no gnutls-cli")
    def test_gnutls_comes_in_by_its_key(self):
        postern = self.keyed(self.fake_broker(echo))
        host, port = postern.address()
        for version in BOTH:
            priority = ("NORMAL:-KX-ALL:+ECDHE-PSK:+DHE-PSK:+PSK:-VERS-ALL:"
                        f"+VERS-TLS{version}")
            since = postern.mark()
            subprocess.run(["gnutls-cli", "-p", str(port), host, "--pskusername", "sensor-1",
                            "--pskkey", ONE, "--priority", priority], input=b"x\n",
                           capture_output=True, timeout=PATIENCE)
            end = postern.wait("session end", "handshake failed", since=since)
            self.assertEqual((end.name, end.get("identity")), ("session end", "sensor-1"), end.raw)


class Names(Keys):
    def test_the_broker_learns_the_identity_as_user_name(self):
        broker = self.mosquitto(settings="allow_anonymous true\n")
        for certificates in ("none", "main"):
            listener = {"mqtt": "identity", "certificates": certificates}
            if certificates == "main":
                self.write("client-ca.pem", DEVICES.pem)
                listener.update(client_auth="required", client_ca="client-ca.pem")
            for version in BOTH:
                postern = self.keyed(broker, "sensor-7:" + ONE + "\n", tls_max=version, **listener)
                sent = self.mosquitto_pub(postern, "sensor-7", ONE, "-u", "somebody", "-P", "x")
                self.assertEqual((sent.returncode, sent.stderr), (0, b""))
        self.wait_until(lambda: broker.log().count("u'sensor-7'") == 4, "four names in the log")
        self.assertNotIn("somebody", broker.log())

    def test_the_broker_learns_it_by_proxy_v2_and_that_there_was_no_certificate(self):
        broker = self.fake_broker()
        postern = self.keyed(broker, proxy_protocol="v2")
        for version in BOTH:
            client = SClient(self, postern, version, "sensor-1", ONE)
            client.process.stdin.write(b"data\n")
            client.process.stdin.flush()
            tlvs = decode_v2(broker.accept().recv_until(b"data\n"))[3]
            flags, verify, details = decode_ssl(tlvs[0x20])
            self.assertEqual((flags, verify), (1, 1))  # TLS, and no certificate that was verified
            self.assertEqual(details[0x22], b"sensor-1")

    def test_an_identity_that_cannot_be_a_name_is_refused_at_load(self):
        for listener in ({"mqtt": "identity"}, {"proxy_protocol": "v2"}):
            self.write("keys", f"sensor-1:{ONE}\nsensor/+:{TWO}\n")
            config = self.write("postern.conf", self.config(
                "127.0.0.1:1", listener={"psk_file": "keys", "certificates": "none", **listener}))
            done = run_program("--check", "-c", config)
            self.assertEqual(done.returncode, 1)
            self.assertIn("keys:2: an identity that cannot be a name", done.stderr)
            self.assertNotIn(TWO, done.stderr)


class Reloaded(Keys):
    def test_a_reload_adds_and_removes_keys(self):
        postern = self.keyed(self.fake_broker(echo))
        self.rewrite(postern, f"sensor-2:{TWO}\nsensor-3:{ONE}\n")
        for version in BOTH:
            self.comes_in(postern, version, "sensor-3", ONE)
            self.is_kept_out(postern, version, "sensor-1", ONE, "unknown_psk")
        self.rewrite(postern, f"sensor-2:{ONE}\n")
        for version in BOTH:
            self.is_kept_out(postern, version, "sensor-2", TWO, "bad_psk")

    def test_a_bad_file_changes_nothing(self):
        postern = self.keyed(self.fake_broker(echo))
        refused = self.rewrite(postern, f"sensor-4:{ONE}\nsensor-1:{ONE}x\n", "reload refused")
        self.assertIn("keys:2: the key", refused["message"])
        self.assertNotIn(ONE, refused.raw)
        for version in BOTH:
            self.comes_in(postern, version, "sensor-2", TWO)
            self.is_kept_out(postern, version, "sensor-4", ONE, "unknown_psk")

    def test_a_session_is_not_resumed_past_its_key(self):
        postern = self.keyed(self.fake_broker(echo))
        for version in BOTH:
            self.rewrite(postern, KEYS)
            saved = self.path(f"session-{version}")
            client = SClient(self, postern, version, "sensor-1", ONE, "-sess_out", saved)
            client.echo()
            client.close()
            end = self.comes_in(postern, version, "sensor-1", ONE, "-sess_in", saved)
            self.assertEqual(end["resumed"], "yes")
            self.rewrite(postern, f"sensor-2:{TWO}\n")
            self.is_kept_out(postern, version, "sensor-1", ONE, "unknown_psk", "-sess_in", saved)

    def test_live_sessions_are_kept_or_ended_as_configured(self):
        for asked in ("keep", "end"):
            postern = self.keyed(self.fake_broker(echo), revoked_sessions=asked)
            clients = [SClient(self, postern, version, *who) for version in BOTH
                       for who in (("sensor-1", ONE), ("sensor-2", TWO))]
            for client in clients:
                client.echo()
            since = postern.mark()
            self.rewrite(postern, f"sensor-2:{TWO}\n")
            for number, client in enumerate(clients):
                if asked == "end" and number % 2 == 0:
                    client.process.wait(PATIENCE)
                else:
                    client.echo(b"y\n")
            revoked = postern.all("session end", since=since, reason="revoked")
            self.assertEqual([e["identity"] for e in revoked],
                             ["sensor-1"] * 2 if asked == "end" else [])

    def test_the_file_is_watched(self):
        postern = self.keyed(self.fake_broker(echo), main={"reload": "watch"})
        since = postern.mark()
        self.write("keys", f"sensor-5:{ONE}\n")
        postern.wait("reload done", since=since)
        self.comes_in(postern, "1.3", "sensor-5", ONE)


class Routes(Keys):
    """Acme's and Umbrella's devices have keys, each in a file of its own, and others certificates."""

    SERVER = pki.authority().issue(names=["localhost", "c.example", "d.example"])

    def routed(self, *routes, **listener):
        self.write("acme-keys", f"sensor-1:{ONE}\n")
        self.write("umbrella-keys", f"sensor-1:{TWO}\nsensor-2:{TWO}\n")
        self.write("device-ca.pem", DEVICES.pem)
        more = self.certificate_section("main", self.SERVER) + "".join(routes)
        return self.postern(self.fake_broker(echo), more=more,
                            listener={"certificates": "main", **listener})

    def route(self, name, **keys):
        keys = {"server_name": f"{name}.example", "backend": self.fake_broker(echo).address, **keys}
        return f"[route {name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) + "\n"

    def tenants(self, certificates="none"):
        return (self.route("a", psk_file="acme-keys", certificates=certificates),
                self.route("b", psk_file="umbrella-keys", certificates=certificates))

    def comes_in_by(self, postern, route, version, identity, key, *more):
        end = self.comes_in(postern, version, identity, key, "-servername", f"{route}.example", *more)
        self.assertEqual(end["route"], route)
        return end

    def is_kept_out_of(self, postern, route, version, identity, key, reason, *more, alert=None):
        end = self.is_kept_out(postern, version, identity, key, reason, "-servername",
                               f"{route}.example", *more, alert=alert)
        self.assertEqual(end["route"], route)

    def test_a_key_of_one_route_does_not_open_another(self):
        postern = self.routed(*self.tenants())
        for version in BOTH:
            self.comes_in_by(postern, "a", version, "sensor-1", ONE)
            self.comes_in_by(postern, "b", version, "sensor-1", TWO)
            self.comes_in_by(postern, "b", version, "sensor-2", TWO)
            self.is_kept_out_of(postern, "a", version, "sensor-1", TWO, "bad_psk")
            self.is_kept_out_of(postern, "a", version, "sensor-2", TWO, "unknown_psk")
            self.is_kept_out_of(postern, "b", version, "sensor-1", ONE, "bad_psk")

    def test_a_key_of_one_route_does_not_open_another_that_requires_certificates(self):
        postern = self.routed(*self.tenants("main"), client_auth="required",
                              client_ca="device-ca.pem")
        for version in BOTH:
            self.comes_in_by(postern, "a", version, "sensor-1", ONE)
            self.comes_in_by(postern, "b", version, "sensor-2", TWO)
            self.is_kept_out_of(postern, "a", version, "sensor-1", TWO, "bad_psk")
            if version == "1.2":
                self.is_kept_out_of(postern, "a", version, "sensor-2", TWO, "unknown_psk")
            else:
                self.is_kept_out_of(postern, "a", version, "sensor-2", TWO, "no_certificate_given",
                                    alert=NO_CERTIFICATE[version])

    def test_a_session_of_one_route_is_not_resumed_in_another(self):
        postern = self.routed(*self.tenants())
        for version in BOTH:
            saved = self.path(f"session-{version}")
            self.comes_in_by(postern, "a", version, "sensor-1", ONE, "-sess_out", saved)
            end = self.comes_in_by(postern, "a", version, "sensor-1", ONE, "-sess_in", saved)
            self.assertEqual(end["resumed"], "yes")
            self.is_kept_out_of(postern, "b", version, "sensor-1", ONE, "bad_psk", "-sess_in", saved)

    def test_a_session_is_not_resumed_in_a_route_that_differs_by_its_protocol_alone(self):
        keys = {"server_name": "a.example", "psk_file": "acme-keys", "certificates": "none"}
        postern = self.routed(self.route("a", alpn="one", **keys),
                              self.route("b", alpn="two", **keys))

        def visit(version, protocol, *more):
            end = self.comes_in(postern, version, "sensor-1", ONE, "-servername", "a.example",
                                "-alpn", protocol, *more)
            return end["route"], end["resumed"]

        for version in BOTH:
            saved = self.path(f"session-{version}")
            self.assertEqual(visit(version, "one", "-sess_out", saved), ("a", "no"))
            self.assertEqual(visit(version, "one", "-sess_in", saved), ("a", "yes"))
            self.assertEqual(visit(version, "two", "-sess_in", saved), ("b", "no"))

    def test_a_route_with_certificates_stands_beside_one_with_keys_alone(self):
        device = DEVICES.issue("device-1", usage="client", own_key=pki.key("ecdsa", "client"))
        postern = self.routed(
            self.route("a", psk_file="acme-keys", certificates="none"),
            self.route("d", client_auth="required", client_ca="device-ca.pem"))
        for version in BOTH:
            self.comes_in_by(postern, "a", version, "sensor-1", ONE)
            for name, cert in (("d.example", device), ("c.example", None)):
                client = self.client(postern, version, cert=cert, server_name=name)
                client.send(b"x")
                self.assertEqual(client.recv_exactly(1), b"x")
                client.close()
                end = postern.end_of(client)
                self.assertEqual((end.get("route"), end.get("identity")),
                                 ("d", "device-1") if cert else (None, "-"))
            self.is_kept_out_of(postern, "d", version, "sensor-1", ONE, "no_certificate_given",
                                alert=NO_CERTIFICATE[version])
            client = self.client(postern, version, server_name="a.example", handshake=False)
            self.refused(client.handshake)
            end = postern.end_of(client)
            self.assertEqual((end["reason"], end["route"]), ("no_shared_cipher", "a"))

    def test_the_listener_s_keys_do_not_open_a_route_with_a_ca_of_its_own(self):
        def text(own):
            route = self.route("d", client_auth="required", client_ca="device-ca.pem", **own)
            return self.config("127.0.0.1:1", certificate=self.SERVER, more=route,
                               listener={"psk_file": "acme-keys"})

        self.write("acme-keys", f"sensor-1:{ONE}\n")
        self.write("device-ca.pem", DEVICES.pem)
        done = run_program("--check", "-c", self.write("postern.conf", text({})))
        self.assertEqual(done.returncode, 1)
        self.assertIn("[route d] has a client_ca of its own, but psk_file of [listener mqtt]",
                      done.stderr)
        postern = self.postern(text=text({"psk_file": ""}))
        for version in BOTH:
            self.is_kept_out_of(postern, "d", version, "sensor-1", ONE, "no_certificate_given",
                                alert=NO_CERTIFICATE[version])

    def test_a_reload_changes_the_keys_of_one_route_alone(self):
        postern = self.routed(*self.tenants(), revoked_sessions="end")
        name = ("-servername", "a.example")
        live = {route: SClient(self, postern, "1.3", "sensor-1", key, "-servername",
                               f"{route}.example") for route, key in (("a", ONE), ("b", TWO))}
        for client in live.values():
            client.echo()
        self.write("acme-keys", f"sensor-9:{ONE}\n")
        self.assertEqual(postern.reload().name, "reload done")
        live["a"].process.wait(PATIENCE)
        live["b"].echo(b"y\n")
        ended = postern.all("session end", reason="revoked")
        self.assertEqual([(e["route"], e["identity"]) for e in ended], [("a", "sensor-1")])
        self.is_kept_out(postern, "1.3", "sensor-1", ONE, "unknown_psk", *name)
        self.comes_in_by(postern, "a", "1.3", "sensor-9", ONE)


class Checked(Keys):
    def check(self, text=KEYS, mode=0o600, more="", **listener):
        pki.write(self.path("keys"), text, mode)
        keys = {"psk_file": "keys", "certificates": "none", **listener}
        config = self.write("postern.conf", self.config("127.0.0.1:1883", listener=keys, more=more))
        return run_program("--check", "-c", config)

    def test_check_prints_how_many_keys_there_are(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("clients     pre-shared key required, those of ", done.stdout)
        self.assertIn("/keys (2)", done.stdout)
        done = self.check(psk_plain="yes")
        self.assertIn("(2), also without forward secrecy", done.stdout)

    def test_a_file_that_everyone_can_read_is_warned_about(self):
        done = self.check(mode=0o644)
        self.assertEqual(done.returncode, 0)
        self.assertIn("key readable", done.stderr)
        self.assertIn("everyone can read these keys; chmod 0640 or 0600", done.stderr)

    def test_a_listener_without_certificates_says_so(self):
        section = self.certificate_section("main", pki.server())
        self.write("keys", KEYS)
        text = f"[listener mqtt]\nlisten = 127.0.0.1:0\npsk_file = keys\n\n{section}"
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 1)
        self.assertIn("has a psk_file and no certificates; write certificates = NAME", done.stderr)
        done = run_program("--check", "-c", self.write("postern.conf", text.split("\n\n")[0]))
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    main()
