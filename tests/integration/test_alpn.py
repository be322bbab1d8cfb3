"""Application protocols (ALPN): what clients are answered, and who is refused."""

import subprocess

from brokers import echo
from harness import PATIENCE, SLOW, Case, main, own_library, pki, run_program, tls_context

VERSIONS = ("1.2", "1.3")
AMAZON = "x-amzn-mqtt-ca"


class Alpn(Case):
    def served(self, **listener):
        return self.postern(self.fake_broker(echo), listener=listener)

    def visit(self, postern, version, offered=None, session=None):
        """What the client is answered, after it has reached the broker; and what a later visit
        needs to resume."""
        context = session[0] if session else tls_context(pki.authority().pem, version)
        if offered:
            context.set_alpn_protocols(offered)
        client = self.client(postern, context=context, session=session and session[1])
        client.send(b"hello")
        self.assertEqual(client.recv_exactly(5), b"hello")
        answer = client.tls.selected_alpn_protocol()
        kept = context, client.tls.session, answer
        client.close()
        resumed = postern.end_of(client)["resumed"]
        # The distribution's library may resume a session only with the protocol that it had.
        if own_library() or not session or session[2] == answer:
            self.assertEqual(resumed, "yes" if session else "no")
        return answer, kept

    def s_client(self, postern, *options):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{postern.port}", *options],
            input=b"", capture_output=True, timeout=PATIENCE * SLOW, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def refusal(self, postern, version, offered):
        mark = postern.mark()
        context = tls_context(pki.authority().pem, version)
        if offered:
            context.set_alpn_protocols(offered)
        text = self.refused(lambda: self.client(postern, context=context))
        event = postern.wait("handshake failed", since=mark)
        self.assertEqual((event["reason"], event["alert"]), ("no_application_protocol", "120"))
        return text

    def test_mqtt_is_answered_by_default_and_nobody_is_refused(self):
        postern = self.served()
        for version in VERSIONS:
            for offered, answer in ((["mqtt"], "mqtt"), (["h2", "mqtt"], "mqtt"),
                                    (["h2", "http/1.1"], None), ([AMAZON], None), (None, None)):
                with self.subTest(version=version, offered=offered):
                    self.assertEqual(self.visit(postern, version, offered)[0], answer)

    def test_the_listeners_order_decides(self):
        postern = self.served(alpn=f"{AMAZON}, mqtt")
        for version in VERSIONS:
            with self.subTest(version=version):
                self.assertEqual(self.visit(postern, version, ["mqtt", AMAZON])[0], AMAZON)
                self.assertEqual(self.visit(postern, version, ["mqtt"])[0], "mqtt")

    def test_openssl_s_client_is_answered(self):
        postern = self.served(alpn=f"mqtt, {AMAZON}")
        for version in ("-tls1_2", "-tls1_3"):
            with self.subTest(version=version):
                self.assertIn(f"ALPN protocol: {AMAZON}",
                              self.s_client(postern, version, "-alpn", f"h2,{AMAZON}"))
                self.assertIn("No ALPN negotiated", self.s_client(postern, version, "-alpn", "h2"))

    def test_others_are_refused_where_one_is_required(self):
        postern = self.served(alpn_required="yes")
        for version in VERSIONS:
            with self.subTest(version=version):
                self.assertEqual(self.visit(postern, version, ["h2", "mqtt"])[0], "mqtt")
                self.assertIn("NO_APPLICATION_PROTOCOL",
                              self.refusal(postern, version, ["http/1.1"]).upper().replace(" ", "_"))
                self.refusal(postern, version, None)
        self.assertIn("alert number 120", self.s_client(postern, "-alpn", "h2"))

    def test_a_client_that_resumes_is_answered_anew(self):
        postern = self.served(alpn=f"mqtt, {AMAZON}")
        for version in VERSIONS:
            with self.subTest(version=version):
                _, session = self.visit(postern, version, ["mqtt"])
                _, session = self.visit(postern, version, ["mqtt"], session)
                answer, session = self.visit(postern, version, [AMAZON], session)
                self.assertEqual(answer, AMAZON)
                self.assertIsNone(self.visit(postern, version, ["h2"], session)[0])

    def test_the_key_takes_effect_with_a_reload(self):
        broker = self.fake_broker(echo)
        postern = self.postern(broker)
        self.assertIsNone(self.visit(postern, "1.3", [AMAZON])[0])
        self.write("postern.conf", self.config(broker, listener={"alpn": AMAZON}))
        self.assertEqual(postern.reload().name, "reload done")
        self.assertEqual(self.visit(postern, "1.3", [AMAZON])[0], AMAZON)

    def test_a_mistake_is_refused_with_its_line(self):
        text = self.config("127.0.0.1:1", listener={"alpn": "http/1.1", "mqtt": "check"})
        done = run_program("--check", "-c", self.write("postern.conf", text))
        self.assertEqual(done.returncode, 1)
        self.assertIn("alpn has http/1.1 with mqtt = check", done.stderr)


if __name__ == "__main__":
    main()
