"""client_id: with mqtt = identity, a client ID belongs to the identity of one certificate."""

from clients import Mqtt, Truncated, mqtt_connect
from harness import Case, main, pki, run_program

DEVICES = pki.authority("Device CA")
GONE = (Truncated, OSError, AssertionError)
LEVELS = (3, 4, 5)


def device(name):
    return DEVICES.issue(name, usage="client", own_key=pki.key("ecdsa", "client"))


class ClientIds(Case):
    def guarded(self, broker, rule, **listener):
        self.write("client-ca.pem", DEVICES.pem)
        return self.postern(broker, listener={"client_auth": "required", "client_ca":
                                              "client-ca.pem", "mqtt": "identity",
                                              "client_id": rule, **listener})

    def connect(self, postern, name, client_id, level=4, **options):
        client = Mqtt(self.client(postern, cert=device(name)), level)
        self.assertEqual(client.connect(client_id, **options), 0)
        return client

    def refused(self, postern, name, client_id, level=4, piece=65536, version="1.3"):
        """Its closing line: no byte has come back."""
        client = self.client(postern, version, cert=device(name))
        client.send(mqtt_connect(client_id, level=level), piece)
        with self.assertRaises(GONE):
            client.recv_exactly(1)
        event = postern.end_of(client)
        self.assertEqual((event.name, event["reason"]), ("session end", "bad_client_id"))
        self.assertEqual(event["backend"], "-")
        return event

    def test_nobody_takes_over_the_session_of_another(self):
        broker = self.mosquitto()
        for rule in ("identity", "prefix"):
            postern = self.guarded(broker, rule)
            for level in LEVELS:
                victim = self.connect(postern, "device-1", "device-1", level)
                for taken in ("device-1", "device-1/x", "device-2-x"):
                    self.refused(postern, "device-2", taken, level)
                victim.ping()
                self.connect(postern, "device-2", "device-2", level)

    def test_one_that_is_free_can_be_taken_over(self):
        """What client_id is for; as MQTT has it, and as it stays without the key."""
        postern = self.guarded(self.mosquitto(), "free")
        victim = self.connect(postern, "device-1", "device-1")
        self.connect(postern, "device-2", "device-1")
        with self.assertRaises(GONE):
            victim.stream.recv_exactly(1)

    def test_a_check_prints_the_rule(self):
        self.write("client-ca.pem", DEVICES.pem)
        for rule, says in (("free", "user name"), ("identity", "user name, client_id identity"),
                           ("prefix", "user name, client_id prefix")):
            file = self.write("postern.conf", self.config("127.0.0.1:1883", listener={
                "client_auth": "required", "client_ca": "client-ca.pem", "mqtt": "identity",
                "client_id": rule}))
            done = run_program("--check", "-c", file)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, f"(?m)^  clients .*, identity as MQTT {says}$")

    def test_identity_allows_the_identity_alone(self):
        broker = self.fake_broker()
        postern = self.guarded(broker, "identity")
        for client_id in ("device-1/x", "device-1 ", "device-", "", "Device-1", "device-11"):
            for level in (4, 5):
                self.refused(postern, "device-1", client_id, level)
        self.refused(postern, "device-1", "device-2", piece=1, version="1.2")
        self.refused(postern, "a/b", "a")
        self.assertFalse(broker.has_connection())
        self.connect(self.guarded(self.mosquitto(), "identity"), "a/b", "a/b")

    def test_prefix_allows_more_after_a_slash(self):
        broker = self.mosquitto()
        postern = self.guarded(broker, "prefix")
        for level in LEVELS:
            for client_id in ("device-1", "device-1/sub", "device-1/a/b"):
                self.connect(postern, "device-1", client_id, level)
        self.connect(postern, "gerät", "gerät/ü", 5)
        silent = self.fake_broker()
        postern = self.guarded(silent, "prefix")
        for client_id in ("device-1/", "device-1-sub", "device-1/+", "device-1/a#",
                          "device-1/a\nb", "device-1/\u200b", "/device-1", ""):
            self.refused(postern, "device-1", client_id)
        # Such an identity could be another one and more.
        self.refused(postern, "device-1/sub", "device-1/sub")
        self.refused(postern, "device-1/sub", "device-1/sub/x")
        self.assertFalse(silent.has_connection())

    def test_the_line_says_which_client_id_it_was(self):
        postern = self.guarded(self.fake_broker(), "identity")
        event = self.refused(postern, "device-1", "x reason=client_closed")
        self.assertEqual(event["identity"], "device-1")
        self.assertEqual(event["error"], "the client ID is x reason=client_closed")
        self.assertLess(len(self.refused(postern, "device-1", "y" * 60000).raw), 500)
        self.assertIn("empty", self.refused(postern, "device-1", "")["error"])

    def test_a_reload_changes_the_rule(self):
        postern = self.guarded(self.mosquitto(), "identity")
        self.refused(postern, "device-1", "other")
        with open(postern.config_file, encoding="utf-8") as file:
            text = file.read()
        self.write("postern.conf", text.replace("client_id = identity", "client_id = free"))
        self.assertEqual(postern.reload().name, "reload done")
        self.connect(postern, "device-1", "other")


if __name__ == "__main__":
    main()
