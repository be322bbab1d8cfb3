"""Reload on SIGHUP: all or nothing, and live sessions are not affected."""

import os
import re
import signal
import threading
import time

from brokers import echo
from clients import PATIENCE, Mqtt, TlsClient, tls_context
from harness import Case, main, pki

CLIENTS, RELOADS = 200, 50


def renewed(kind="ecdsa"):
    """A new certificate with an intermediate, as certbot would bring it."""
    middle = pki.Authority("Test Intermediate", parent=pki.authority())
    return middle.issue(kind=kind)


class Publisher(threading.Thread):
    """A device: publishes to its own topic, which it is subscribed to, and counts what comes."""

    def __init__(self, address, number, stop):
        super().__init__(daemon=True)
        self.number, self.stop = number, stop
        self.error, self.rounds = None, 0
        version = ("1.2", "1.3")[number % 2]
        self.mqtt = Mqtt(TlsClient(address, tls_context(pki.authority().pem, version)))
        assert self.mqtt.connect(f"device-{number}") == 0
        self.topic = f"storm/{number}"
        self.mqtt.subscribe(self.topic)

    def run(self):
        try:
            while not self.stop.wait(0.2):
                self.round()
            self.mqtt.ping()
        except BaseException as error:
            self.error = error

    def round(self):
        """One message, until it is acknowledged and has come back."""
        payload = f"{self.rounds} ".encode() * 20
        self.mqtt.send_publish(self.topic, payload)
        acknowledged = received = False
        while not (acknowledged and received):
            first, body = self.mqtt.read()
            if first == 0x40:
                acknowledged = True
            else:
                got = self.mqtt.parse_publish(first, body)
                assert got == (self.topic, payload), f"round {self.rounds}: {got[1][:40]}"
                received = True
        self.rounds += 1


class Storm(Case):
    def breakage(self, number):
        """Breaks the files in one of five ways: (words that the message must have)."""
        def missing():
            os.unlink(self.path("main/privkey.pem"))
            return "privkey.pem", "no such file"

        def wrong_key():
            self.write("main/privkey.pem", pki.key("ecdsa", "wrong").pem)
            return "privkey.pem", "key"

        def garbage():
            self.write("main/cert.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n")
            return "cert.pem", "certificate|pem"

        def other_type():
            self.write("main/privkey.pem", pki.key("rsa").pem)
            return "privkey.pem", "key"

        def empty_chain():
            self.write("main/chain.pem", "")
            return "chain.pem", "certificate"

        return (missing, wrong_key, garbage, other_type, empty_chain)[number % 5]()

    def test_fifty_reloads_do_not_affect_two_hundred_devices(self):
        served = renewed()
        postern = self.postern(self.mosquitto(), certificate=served)
        stop = threading.Event()
        devices = [Publisher(postern.address(), n, stop) for n in range(CLIENTS)]
        mark = postern.mark()
        for device in devices:
            device.start()
        try:
            self.one_more_message(devices)
            for number in range(RELOADS):
                served = self.one_reload(postern, number, served)
            self.one_more_message(devices)
        finally:
            stop.set()
            for device in devices:
                device.join(PATIENCE)
            ended = postern.all("session end", since=mark)
            for device in devices:
                device.mqtt.stream.cut()
        self.assertEqual([d.error for d in devices if d.error], [])
        peers = {device.mqtt.stream.peer for device in devices}
        self.assertEqual([e.raw for e in ended if e["peer"] in peers], [])

    def one_more_message(self, devices):
        seen = [device.rounds for device in devices]
        self.wait_until(lambda: all(d.rounds > n for d, n in zip(devices, seen))
                        or any(d.error for d in devices), "one more message of every device")

    def one_reload(self, postern, number, served):
        if number % 2:
            words = self.breakage(number // 2)
            event = postern.reload()
            self.assertEqual(event.name, "reload refused")
            for word in words:
                self.assertRegex(event.raw, re.compile(word, re.I))
        else:
            served = renewed()
            served.write(self.path("main"))
            self.assertEqual(postern.reload().name, "reload done")
        probe = self.client(postern)
        self.assertEqual(probe.peer_serial(), served.serial_hex, f"after reload {number}")
        probe.close()
        return served

    def test_no_handshake_fails_while_reloads_go_by(self):
        postern = self.postern(self.fake_broker(echo))
        stop, failures, count = threading.Event(), [], [0]

        def connect():
            try:
                while not stop.is_set():
                    client = TlsClient(postern.address(), tls_context(pki.authority().pem))
                    client.send(b"x")
                    client.recv_exactly(1)
                    client.close()
                    count[0] += 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=connect) for _ in range(4)]
        for thread in threads:
            thread.start()
        reloads, deadline = 0, time.monotonic() + 60
        while (reloads < 60 or count[0] < 40) and not failures and time.monotonic() < deadline:
            self.assertEqual(postern.reload().name, "reload done")
            reloads += 1
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreaterEqual(count[0], 40)

    def test_reloads_that_come_faster_than_they_finish_coalesce(self):
        postern = self.postern(self.fake_broker(echo))
        before, mark = postern.descriptors(), postern.mark()
        for _ in range(300):
            postern.signal(signal.SIGHUP)
        last = pki.authority().issue()
        last.write(self.path("main"))
        postern.signal(signal.SIGHUP)

        def serves_the_last():
            client = self.client(postern)
            serial = client.peer_serial()
            client.close()  # an open one would count among the descriptors below
            return serial == last.serial_hex

        self.wait_until(serves_the_last, "the last certificate to be served")
        self.assertLess(len(postern.all("reload done", since=mark)), 300)
        # Files written between two signals may have been read half-written: nothing else may fail.
        for event in postern.all("reload refused", since=mark):
            self.assertIn("key", event.raw)
        self.wait_until(lambda: postern.descriptors() <= before + 4, "descriptors to come back")


class Contents(Case):
    def setUp(self):
        super().setUp()
        self.first, self.second = self.fake_broker(echo), self.fake_broker(echo)
        self.server = self.postern(self.first)

    def rewrite(self, *changes, backend=None, **options):
        """Rewrites the configuration; returns the event of the reload."""
        text = self.config(backend or self.first, **options)
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.write("postern.conf", text)
        return self.server.reload()

    def still_serves(self):
        client = self.client(self.server)
        self.assertEqual(client.peer_serial(), pki.server().serial_hex)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        client.close()
        return self.server.end_of(client)

    def test_a_live_session_keeps_its_broker_and_new_sessions_use_the_new_one(self):
        old = self.client(self.server)
        old.send(b"a")
        old.recv_exactly(1)
        self.assertEqual(self.rewrite(backend=self.second).name, "reload done")
        self.assertEqual(self.still_serves()["backend"], self.second.address)
        old.send(b"b")
        self.assertEqual(old.recv_exactly(1), b"b")
        old.close()
        self.assertEqual(self.server.end_of(old)["backend"], self.first.address)

    def test_policy_changes_with_a_reload(self):
        self.assertEqual(self.client(self.server, "1.2").version, "1.2")
        self.assertEqual(self.rewrite(listener={"tls_min": "1.3"}).name, "reload done")
        self.refused(lambda: self.client(self.server, "1.2"))
        self.assertEqual(self.rewrite(main={"log_format": "json"}).name, "reload done")
        self.client(self.server, "1.2")
        self.assertTrue(self.server.lines[-1].startswith("{"))

    def test_the_key_type_may_change(self):
        event = self.rewrite(certificate=pki.server("rsa"))
        self.assertEqual(event.name, "reload done")
        self.assertEqual(self.client(self.server).peer_serial(), pki.server("rsa").serial_hex)
        self.assertEqual(self.rewrite(certificate=pki.server()).name, "reload done")
        self.still_serves()

    def test_listen_addresses_cannot_change(self):
        event = self.rewrite(listen="127.0.0.1:0, [::1]:0")
        self.assertEqual(event.name, "reload refused")
        self.assertRegex(event.raw, "listen.*restart")
        self.still_serves()

    def test_the_worker_count_cannot_change(self):
        event = self.rewrite(main={"workers": "3"})
        self.assertEqual(event.name, "reload refused")
        self.assertRegex(event.raw, "workers.*restart")
        self.still_serves()

    def test_listeners_cannot_be_added_or_removed(self):
        more = (f"[listener second]\nlisten = 127.0.0.1:0\nbackend = {self.second.address}\n"
                "certificates = main\n")
        event = self.rewrite(more=more)
        self.assertEqual(event.name, "reload refused")
        self.assertRegex(event.raw, "(?i)listener.*restart")
        self.assertEqual(self.rewrite(("[listener mqtt]", "[listener other]")).name,
                         "reload refused")
        self.still_serves()

    def test_a_mistake_in_the_file_is_reported_with_its_line(self):
        event = self.rewrite(("workers = 2", "workers = 2\nwrokers = 2"))
        self.assertEqual(event.name, "reload refused")
        self.assertRegex(event.raw, r"postern\.conf:3:.*wrokers")
        os.unlink(self.path("postern.conf"))
        event = self.server.reload()
        self.assertEqual(event.name, "reload refused")
        self.assertIn("postern.conf", event.raw)
        self.still_serves()

    def test_a_refused_reload_changes_nothing_at_all(self):
        event = self.rewrite(backend=self.second, main={"log_format": "json"},
                             listener={"tls_min": "1.3", "ciphers": "NONSENSE"})
        self.assertEqual(event.name, "reload refused")
        self.assertFalse(event.raw.startswith("{"))
        self.assertEqual(self.still_serves()["backend"], self.first.address)
        self.assertEqual(self.client(self.server, "1.2").version, "1.2")

    def test_reloads_leak_nothing(self):
        for _ in range(20):
            self.server.reload()
        descriptors, memory = self.server.descriptors(), self.server.memory()
        for _ in range(200):
            self.server.reload()
        self.assertLessEqual(self.server.descriptors(), descriptors)
        if os.environ.get("POSTERN_SANITIZED") != "1":
            self.assertLess(self.server.memory() - memory, 1_000_000)


if __name__ == "__main__":
    main()
