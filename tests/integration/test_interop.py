"""Clients that come from another server, offer what we do not have, or break the rules: the first
connect at the first try, the others get one alert, which the log names."""

from brokers import echo
from clients import Mqtt, TlsClient, tls_context
from harness import Case, main, own_library, pki

VERSIONS = ("1.2", "1.3")


def alerts_in(data):
    """(level, description) of each record, all of which must be alerts in plaintext."""
    found = []
    while data:
        assert data[:5] == b"\x15\x03\x03\x00\x02", data
        found.append(tuple(data[5:7]))
        data = data[7:]
    return found


class Movers(Case):
    """A device that was connected to Mosquitto's own TLS listener keeps its ticket."""

    def mtls_mosquitto(self, certificate):
        certificate.write(self.path("moved"))
        self.write("moved/ca.pem", pki.authority().pem)
        return self.mosquitto(settings=(
            f"cafile {self.path('moved/ca.pem')}\ncertfile {self.path('moved/cert.pem')}\n"
            f"keyfile {self.path('moved/privkey.pem')}\nrequire_certificate true\n"
            "allow_anonymous true\n"))

    def session_of(self, mosquitto, context):
        client = TlsClient(("127.0.0.1", mosquitto.port), context)
        self.addCleanup(client.cut)
        self.assertEqual(Mqtt(client).connect("mover"), 0)
        return client.tls.session

    def test_they_connect_at_the_first_try(self):
        if not own_library():
            self.skipTest("the distribution's library refuses long tickets of other servers")
        server = pki.server()
        device = pki.authority().issue("device-1", names=[f"n{i}.example.org" for i in range(90)],
                                       kind="rsa4096", usage="client")
        mosquitto = self.mtls_mosquitto(server)
        self.write("devices.pem", pki.authority().pem)
        postern = self.postern(self.fake_broker(echo), certificate=server,
                               listener={"client_auth": "required",
                                         "client_ca": self.path("devices.pem")})
        for version in VERSIONS:
            with self.subTest(version=version):
                context = tls_context(pki.authority().pem, version, device)
                session = self.session_of(mosquitto, context)
                self.assertTrue(session.has_ticket)
                hello = self.client(postern, context=context, session=session,
                                    handshake=False).hello()
                self.assertGreater(len(hello), 2048)  # the ticket has the certificate in it
                client = self.client(postern, context=context, session=session)
                client.send(b"hello")
                self.assertEqual(client.recv_exactly(5), b"hello")
                client.close()
                self.assertEqual(postern.end_of(client)["resumed"], "no")


class Groups(Case):
    def test_a_client_without_a_common_group_is_refused_as_such(self):
        postern = self.postern(self.fake_broker(echo))
        for version in VERSIONS:
            with self.subTest(version=version):
                mark = postern.mark()
                context = tls_context(pki.authority().pem, version, groups="secp521r1")
                self.refused(lambda: self.client(postern, context=context))
                event = postern.wait("handshake failed", since=mark)
                self.assertEqual((event["reason"], event["alert"]), ("no_shared_group", "40"))

    def test_the_listener_says_which_groups_it_takes(self):
        if not own_library():
            self.skipTest("the distribution's library applies groups to TLS 1.3 only")
        postern = self.postern(self.fake_broker(echo), certificate=pki.server("rsa"),
                               listener={"groups": "P-384"})
        for version in VERSIONS:
            with self.subTest(version=version):
                good = tls_context(pki.authority().pem, version, groups="secp384r1")
                client = self.client(postern, context=good)
                client.close()
                self.assertEqual(postern.end_of(client)["group"], "P-384")
                bad = tls_context(pki.authority().pem, version, groups="prime256v1")
                self.refused(lambda: self.client(postern, context=bad))


class Refusals(Case):
    def answer(self, postern, data):
        client = self.tcp_client(postern)
        client.raw_send(data)
        answer, _ = client.raw_end()
        return answer, postern.end_of(client)

    def test_a_malformed_hello_gets_one_alert_that_the_log_names(self):
        postern = self.postern(self.fake_broker(echo))
        hello = self.client(postern, handshake=False).hello()
        body = hello[5:]
        other_message = hello[:5] + b"\x02" + body[1:]
        long_session_id = hello[:43] + b"\x21" + hello[44:]
        cases = {"another message": (other_message, 10),
                 "a record of nothing": (b"\x16\x03\x01\x00\x00", 10),
                 "another record": (hello[:3] + b"\x00\x01" + body[:1] + b"\x14\x03\x03\x00\x01", 10),
                 "a record that is too long": (b"\x16\x03\x01\x50\x00", 22),
                 "a session ID that is too long": (long_session_id, 50),
                 "a message that is too long": (hello[:5] + b"\x01\x01\x00\x00" + body[4:], 50)}
        for name, (data, alert) in cases.items():
            with self.subTest(name):
                answer, event = self.answer(postern, data)
                self.assertEqual(alerts_in(answer), [(2, alert)])
                self.assertEqual((event.name, event["reason"], event["alert"]),
                                 ("handshake failed", "protocol_error", str(alert)))

    def test_what_is_not_tls_gets_no_alert(self):
        postern = self.postern(self.fake_broker(echo))
        answer, event = self.answer(postern, b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
        self.assertEqual((answer, event["reason"]), (b"", "not_tls"))
        self.assertNotIn("alert", event)


if __name__ == "__main__":
    main()
