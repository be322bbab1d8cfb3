"""The proxy itself: bytes pass unchanged, the end of one side reaches the other, and each end is
logged with one line."""

import contextlib
import random
import signal
import socket
import subprocess
import threading
import time

from brokers import echo
from clients import Truncated, mqtt_connect
from harness import PATIENCE, SLOW, Case, TlsClient, main, pki, tls_context, usual_group

BOTH = ("1.2", "1.3")


def mosquitto_tool(tool, postern, ca, *arguments):
    host, port = postern.address()
    return subprocess.run([tool, "-h", host, "-p", str(port), "--cafile", ca, *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)


class RealClients(Case):
    def test_mosquitto_clients_talk_through_both_versions(self):
        broker = self.mosquitto()
        ca = self.write("ca.pem", pki.authority().pem)
        for version in BOTH:
            with self.subTest(version=version):
                postern = self.postern(broker, listener={"tls_max": version})
                sent = mosquitto_tool("mosquitto_pub", postern, ca, "-t", f"t/{version}",
                                      "-m", "warm 21.5", "-r", "-q", "1")
                self.assertEqual((sent.returncode, sent.stdout), (0, b""))
                got = mosquitto_tool("mosquitto_sub", postern, ca, "-t", f"t/{version}",
                                     "-C", "1", "-W", "10")
                self.assertEqual((got.returncode, got.stdout), (0, b"warm 21.5\n"))
                self.assertIn(postern.wait("session end", tls=version)["reason"],
                              ("client_closed", "broker_closed"))

    def test_a_client_that_trusts_another_ca_refuses_us(self):
        postern = self.postern(self.mosquitto())
        ca = self.write("other.pem", pki.authority("Somebody else").pem)
        self.assertNotEqual(mosquitto_tool("mosquitto_pub", postern, ca, "-t", "t",
                                           "-m", "x").returncode, 0)
        event = postern.wait("handshake failed")
        self.assertEqual((event["reason"], event["alert"]), ("alert_received", "48"))

    def test_a_client_that_finds_our_certificate_expired_says_so(self):
        certificate = pki.authority().issue(start=pki.NOW - 9 * pki.DAY, end=pki.NOW - pki.DAY)
        postern = self.postern(self.mosquitto(), certificate=certificate)
        ca = self.write("ca.pem", pki.authority().pem)
        for version in ("tlsv1.2", "tlsv1.3"):
            mark = postern.mark()
            self.assertNotEqual(mosquitto_tool("mosquitto_pub", postern, ca, "--tls-version", version,
                                               "-t", "t", "-m", "x").returncode, 0)
            event = postern.wait("handshake failed", since=mark)
            self.assertEqual((event["reason"], event["alert"]), ("alert_received", "45"))

    def test_openssl_verifies_the_chain_with_an_intermediate(self):
        middle = pki.Authority("Test Intermediate", parent=pki.authority())
        postern = self.postern(self.fake_broker(echo), certificate=middle.issue())
        ca = self.write("ca.pem", pki.authority().pem)
        for version in BOTH:
            with self.subTest(version=version):
                done = subprocess.run(
                    ["openssl", "s_client", "-connect", "127.0.0.1:%d" % postern.port,
                     "-servername", "localhost", "-verify_hostname", "localhost",
                     "-verify_return_error", "-CAfile", ca, f"-tls{version.replace('.', '_')}"],
                    input=b"", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
                self.assertIn(b"Verify return code: 0 (ok)", done.stdout)

    def test_a_full_chain_in_one_file_is_served(self):
        certificate = pki.Authority("Test Intermediate", parent=pki.authority()).issue()
        certificate.pem, certificate.chain = certificate.pem + certificate.chain, ""
        self.client(self.postern(self.fake_broker(echo), certificate=certificate))

    def test_an_rsa_certificate_works_with_both_versions(self):
        postern = self.postern(self.fake_broker(echo), certificate=pki.server("rsa"))
        for version in BOTH:
            client = self.client(postern, version)
            self.assertEqual(client.peer_serial(), pki.server("rsa").serial_hex)

    def test_mqtt_sessions_of_both_versions_exchange_messages(self):
        postern = self.postern(self.mosquitto())
        reader = self.mqtt_client(postern, "reader", version="1.2")
        reader.subscribe("news/#")
        self.mqtt_client(postern, "writer", version="1.3").publish("news/1", "x" * 100_000)
        self.assertEqual(reader.receive(), ("news/1", b"x" * 100_000))
        reader.ping()


class Bytes(Case):
    def test_bytes_pass_unchanged_whatever_the_sizes(self):
        postern = self.postern(self.fake_broker(echo))
        for version in BOTH:
            dice = random.Random(f"postern {version}")
            sizes = [1, 2, 255, 256, 16383, 16384, 16385, 65535, 65536, 65537, 300_000]
            sizes += [dice.randint(1, 50_000) for _ in range(40)]
            client = self.client(postern, version)
            for size in sizes:
                data = dice.randbytes(size)
                client.send(data, piece=dice.choice([size, 1400, 16384]))
                self.assertEqual(client.recv_exactly(size), data, f"{size} bytes by {version}")
            client.close()
            end = postern.end_of(client)
            self.assertEqual((end["up"], end["down"]), (str(sum(sizes)),) * 2)

    def test_many_clients_at_once_never_get_each_others_bytes(self):
        postern = self.postern(self.fake_broker(echo))
        failures = []

        def talk(number):
            dice = random.Random(number)
            try:
                client = self.client(postern, BOTH[number % 2])
                for _ in range(20):
                    data = dice.randbytes(dice.randint(1, 30_000))
                    client.send(data)
                    self.assertEqual(client.recv_exactly(len(data)), data)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=talk, args=(n,)) for n in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_a_handshake_in_single_bytes_succeeds(self):
        postern = self.postern(self.fake_broker(echo))
        for version in BOTH:
            context = tls_context(pki.authority().pem, version)
            client = self.client(postern, context=context, handshake=False)
            out, done = client.hello(), False
            while not done:
                for byte in out:
                    client.raw_send(bytes([byte]))
                done = client.step(client.raw_recv())
                out = client.pending_output()
            for byte in out:
                client.raw_send(bytes([byte]))
            client.send(b"hello")
            self.assertEqual(client.recv_exactly(5), b"hello")

    def test_data_in_the_same_write_as_finished_reaches_the_broker(self):
        broker = self.fake_broker()
        postern = self.postern(broker)
        for version in BOTH:
            context = tls_context(pki.authority().pem, version)
            client = self.client(postern, context=context, handshake=False)
            client.raw_send(client.hello())
            while not client.step(client.raw_recv()):
                if out := client.pending_output():
                    client.raw_send(out)
            # In TLS 1.3 our Finished is still here; in 1.2 the server's has come already.
            client.tls.write(b"early")
            client.raw_send(client.pending_output())
            self.assertEqual(broker.accept().recv_exactly(5), b"early")

    def test_a_silent_session_stays_connected(self):
        # Longer than every time limit but those that are off.
        limits = ("first_byte", "handshake", "write", "close", "connect")
        postern = self.postern(self.fake_broker(echo), listener={
            f"{name}_timeout": f"{300 * SLOW}ms" for name in limits})
        client = self.client(postern)
        client.send(b"a")
        client.recv_exactly(1)
        self.assertRaises(AssertionError, postern.wait, "session end", timeout=SLOW)
        client.send(b"b")
        self.assertEqual(client.recv_exactly(1), b"b")


class Refusals(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker()

    def test_tls_1_1_is_refused_with_the_alert_for_it(self):
        postern = self.postern(self.broker)
        for version in ("1.0", "1.1"):
            mark = postern.mark()
            text = self.refused(lambda: self.client(postern, version))
            self.assertIn("ALERT_PROTOCOL_VERSION", text)
            event = postern.wait("handshake failed", since=mark)
            self.assertEqual((event["reason"], event["alert"]), ("unsupported_version", "70"))
        self.assertFalse(self.broker.has_connection())

    def test_tls_min_and_max_are_kept(self):
        for key, value, wrong, right in (("tls_min", "1.3", "1.2", "1.3"),
                                         ("tls_max", "1.2", "1.3", "1.2")):
            with self.subTest(key=key):
                postern = self.postern(self.broker, listener={key: value})
                text = self.refused(lambda: self.client(postern, wrong))
                self.assertIn("ALERT_PROTOCOL_VERSION", text)
                event = postern.wait("handshake failed")
                self.assertEqual(event["reason"], "unsupported_version")
                self.assertEqual(self.client(postern).version, right)

    def test_plaintext_mqtt_is_recognised(self):
        postern = self.postern(self.broker)
        client = self.tcp_client(postern)
        client.raw_send(mqtt_connect("plain"))
        client.raw_end()
        self.assertEqual(postern.end_of(client)["reason"], "not_tls")
        self.assertFalse(self.broker.has_connection())

    def test_http_and_noise_are_recognised(self):
        postern = self.postern(self.broker)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x80\x2e\x01\x00\x02", b"\xff"):
            client = self.tcp_client(postern)
            client.raw_send(data)
            client.raw_end()
            self.assertEqual(postern.end_of(client)["reason"], "not_tls", data)

    def test_a_malformed_hello_is_a_protocol_error(self):
        postern = self.postern(self.broker)
        client = self.tcp_client(postern)
        client.raw_send(b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03")
        client.raw_end()
        self.assertEqual(postern.end_of(client)["reason"], "protocol_error")

    def test_a_client_without_a_shared_cipher_is_refused(self):
        postern = self.postern(self.broker)
        context = tls_context(pki.authority().pem, "1.2", ciphers="AES128-SHA")
        text = self.refused(lambda: self.client(postern, context=context))
        self.assertIn("HANDSHAKE_FAILURE", text)
        event = postern.wait("handshake failed")
        self.assertEqual((event["reason"], event["alert"]), ("no_shared_cipher", "40"))
        self.assertFalse(self.broker.has_connection())

    def test_only_forward_secret_aead_suites_are_served(self):
        postern = self.postern(self.broker, certificate=pki.server("rsa"))
        for suite in ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA",
                      "DHE-RSA-AES128-GCM-SHA256", "NULL-SHA256", "AECDH-NULL-SHA"):
            with self.subTest(suite=suite):
                context = tls_context(None, "1.2", ciphers=suite + ":@SECLEVEL=0")
                self.refused(lambda: self.client(postern, context=context))

    def test_the_server_prefers_its_own_order(self):
        postern = self.postern(self.fake_broker(echo), listener={
            "ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"})
        context = tls_context(pki.authority().pem, "1.2", ciphers=
                              "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305")
        client = self.client(postern, context=context)
        self.assertEqual(client.tls.cipher()[0], "ECDHE-ECDSA-CHACHA20-POLY1305")

    def test_a_client_that_leaves_during_the_handshake_is_logged(self):
        postern = self.postern(self.broker)
        for leave in ("cut", "reset"):
            context = tls_context(pki.authority().pem)
            client = self.client(postern, context=context, handshake=False)
            client.raw_send(client.hello())
            client.raw_recv()
            getattr(client, leave)()
            self.assertEqual(postern.end_of(client)["reason"], "client_closed")
        self.assertFalse(self.broker.has_connection())

    def test_renegotiation_is_refused(self):
        postern = self.postern(self.fake_broker(echo))
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{postern.port}",
                               "-tls1_2", "-legacy_renegotiation"], input=b"R\n",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
        self.assertIn(b"RENEGOTIATING", done.stdout)
        self.assertNotEqual(done.returncode, 0, done.stdout)


class Addresses(Case):
    def test_one_v6_listener_serves_v4_as_well(self):
        postern = self.postern(self.fake_broker(echo), listen="[::]:0")
        for host in ("127.0.0.1", "::1"):
            client = self.client(postern, address=(host, postern.port))
            client.close()
            self.assertIn("client_closed", postern.end_of(client)["reason"])

    def test_several_addresses_and_listeners(self):
        first, second = self.fake_broker(echo), self.fake_broker(echo)
        other = pki.authority().issue("other", own_key=pki.key("ecdsa", "other"))
        more = (f"[listener second]\nlisten = 127.0.0.1:0\nbackend = {second.address}\n"
                "certificates = other\n\n" + self.certificate_section("other", other))
        postern = self.postern(first, listen="127.0.0.1:0, [::1]:0", more=more)
        for listener, index, broker, serial in (
                ("mqtt", 0, first, pki.server().serial_hex),
                ("mqtt", 1, first, pki.server().serial_hex),
                ("second", 0, second, other.serial_hex)):
            client = self.client(postern, address=postern.address(listener, index))
            self.assertEqual(client.peer_serial(), serial)
            client.send(b"x")
            client.recv_exactly(1)
            client.close()
            end = postern.end_of(client)
            self.assertEqual((end["listener"], end["backend"]), (listener, broker.address))

    def test_every_worker_serves(self):
        # 60 connections over 4 workers: that one stays empty is less likely than 1 in 10 million.
        postern = self.postern(self.fake_broker(echo), main={"workers": "4"})
        clients = [self.client(postern) for _ in range(60)]
        for client in clients:
            client.send(b"x")
            self.assertEqual(client.recv_exactly(1), b"x")

    def test_a_broker_on_a_unix_socket(self):
        broker = self.mosquitto(path=self.path("broker.sock"))
        postern = self.postern(broker)
        mqtt = self.mqtt_client(postern, "unix")
        mqtt.publish("a", "b")
        mqtt.stream.close()
        end = postern.end_of(mqtt.stream)
        self.assertEqual((end["reason"], end["backend"]), ("client_closed", broker.address))

    def test_a_broker_at_a_host_name(self):
        broker = self.fake_broker(echo)
        client = self.client(self.postern(f"localhost:{broker.port}"))
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")

    def test_a_broker_on_v6(self):
        client = self.client(self.postern(self.fake_broker(echo, host="::1")))
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")


class Ends(Case):
    def setUp(self):
        super().setUp()
        self.broker = self.fake_broker()
        self.server = self.postern(self.broker)

    def pair(self, version):
        client = self.client(self.server, version)
        return client, self.broker.accept()

    def ended(self, client, reason):
        self.assertEqual(self.server.end_of(client)["reason"], reason)

    def test_the_clients_end_reaches_the_broker_and_the_other_direction_stays_open(self):
        for version in BOTH:
            client, peer = self.pair(version)
            client.send(b"last words")
            client.end_sending()
            self.assertEqual(peer.recv_all(), b"last words")
            peer.send(b"an answer after the end")
            self.assertEqual(client.recv_exactly(23), b"an answer after the end")
            peer.close()
            self.assertEqual(client.recv(), b"")
            self.ended(client, "client_closed")

    def test_the_brokers_end_reaches_the_client_and_the_other_direction_stays_open(self):
        for version in BOTH:
            client, peer = self.pair(version)
            peer.send(b"last words")
            peer.end_sending()
            self.assertEqual(client.recv_all(), b"last words")
            client.send(b"an answer after the end")
            self.assertEqual(peer.recv_exactly(23), b"an answer after the end")
            client.end_sending()
            self.assertEqual(peer.recv_all(), b"")
            peer.close()
            self.ended(client, "broker_closed")

    def talking_pair(self, version):
        client, peer = self.pair(version)
        client.send(b"x")
        peer.recv_exactly(1)
        return client, peer

    @contextlib.contextmanager
    def paused(self):
        """What happens meanwhile reaches the program all at once."""
        self.server.signal(signal.SIGSTOP)
        self.wait_until(self.server.is_stopped, "the program to stop")
        try:
            yield
        finally:
            self.server.signal(signal.SIGCONT)

    def test_a_reset_after_data_is_noticed(self):
        for version in BOTH:
            client, peer = self.talking_pair(version)
            with self.paused():
                client.send(b"x" * 1000)
                client.reset()
            self.ended(client, "client_reset")
            self.assertEqual(peer.recv_all(), b"x" * 1000)
            client, peer = self.talking_pair(version)
            with self.paused():
                peer.send(b"x" * 1000)
                peer.reset()
            self.ended(client, "broker_reset")

    def test_a_unix_broker_that_closes_with_something_unread_is_noticed(self):
        broker = self.fake_broker(path=self.path("broker"))
        self.server = self.postern(broker)
        client = self.client(self.server)
        peer = broker.accept()
        client.send(b"nobody reads this")
        self.wait_until(lambda: peer.sock.recv(1, socket.MSG_PEEK), "the bytes to arrive")
        with self.paused():
            peer.send(b"x" * 1000)
            peer.close()
        self.ended(client, "broker_reset")

    def test_an_endless_sender_does_not_delay_the_others(self):
        broker = self.fake_broker(echo)
        sink = self.fake_broker(lambda peer: peer.recv_all())
        more = (f"[listener sink]\nlisten = 127.0.0.1:0\nbackend = {sink.address}\n"
                "certificates = main\n")
        server = self.postern(broker, main={"workers": "1"}, more=more)
        endless = self.client(server, address=server.address("sink"))
        stop = threading.Event()

        def send():
            while not stop.is_set():
                endless.send(b"x" * 1_000_000)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            for _ in range(3):  # newcomers are served too
                client = self.client(server, address=server.address("mqtt"))
                for number in range(30):
                    client.send(b"%d" % number)
                    client.recv_exactly(len(b"%d" % number))
        finally:
            stop.set()
            sender.join()

    def test_what_the_broker_sent_before_closing_is_never_lost(self):
        data = random.Random(1).randbytes(8_000_000)
        for version in BOTH:
            client, peer = self.pair(version)
            sender = threading.Thread(target=lambda p=peer: (p.send(data), p.close()))
            sender.start()
            self.assertEqual(client.recv_exactly(len(data)), data)
            self.assertEqual(client.recv(), b"")
            sender.join()
            client.close()
            self.ended(client, "broker_closed")

    def test_what_the_client_sent_before_closing_is_never_lost(self):
        data = random.Random(2).randbytes(8_000_000)
        for version in BOTH:
            client, peer = self.pair(version)
            sender = threading.Thread(target=lambda c=client: (c.send(data), c.end_sending()))
            sender.start()
            self.assertEqual(peer.recv_all(), data)
            sender.join()
            peer.close()
            self.assertEqual(client.recv(), b"")
            self.ended(client, "client_closed")

    def test_a_client_that_closes_without_close_notify_is_logged_as_truncated(self):
        for version in BOTH:
            client, peer = self.pair(version)
            peer.send(b"x")
            client.recv_exactly(1)  # and with it the session tickets: unread, they mean a reset
            client.send(b"half a mess")
            client.cut()
            self.assertEqual(peer.recv_exactly(11), b"half a mess")
            peer.recv()
            self.ended(client, "client_truncated")

    def test_a_client_that_resets_is_logged_with_that_reason(self):
        client, peer = self.pair("1.3")
        client.send(b"x")
        peer.recv_exactly(1)
        client.reset()
        self.ended(client, "client_reset")
        try:
            self.assertEqual(peer.recv(), b"")
        except ConnectionResetError:
            pass

    def test_a_broker_that_resets_is_logged_with_that_reason(self):
        client, peer = self.pair("1.3")
        client.send(b"x")
        peer.recv_exactly(1)
        peer.reset()
        try:
            client.recv()
        except (Truncated, ConnectionResetError):
            pass
        self.ended(client, "broker_reset")

    def test_a_forged_record_ends_the_session_with_an_alert(self):
        for version in BOTH:
            client, peer = self.pair(version)
            client.raw_send(b"\x17\x03\x03\x00\x20" + b"\x55" * 32)
            self.assertIn("BAD_RECORD_MAC", self.refused(client.recv))
            self.ended(client, "tls_error")
            self.assertEqual(peer.recv(), b"")

    def test_both_ends_at_once_end_cleanly(self):
        for _ in range(20):
            client, peer = self.pair("1.3")
            peer.close()
            client.end_sending()
            self.assertEqual(client.recv_all(), b"")
            client.cut()
            self.assertIn(self.server.end_of(client)["reason"],
                          ("client_closed", "broker_closed"))


class ClosingLines(Case):
    def test_a_session_ends_with_one_complete_line(self):
        broker = self.fake_broker()
        postern = self.postern(broker)
        for version in BOTH:
            client = self.client(postern, version)
            peer = broker.accept()
            client.send(b"x" * 1234)
            peer.recv_exactly(1234)
            peer.send(b"y" * 56789)
            client.recv_exactly(56789)
            client.close()
            self.assertEqual(peer.recv(), b"")
            peer.close()
            end = postern.end_of(client)
            self.assertEqual(list(end), ["listener", "peer", "tls", "cipher", "sni", "resumed",
                                         "identity", "backend", "up", "down", "seconds", "reason",
                                         "group"])
            self.assertEqual(dict(end, seconds="", cipher=""), {
                "listener": "mqtt", "peer": client.peer, "tls": version, "cipher": "",
                "sni": "localhost", "resumed": "no", "identity": "-", "backend": broker.address,
                "up": "1234", "down": "56789", "seconds": "", "reason": "client_closed",
                "group": usual_group(version)})
            self.assertEqual(end["cipher"], client.tls.cipher()[0])
            self.assertRegex(end["seconds"], r"^\d+\.\d$")
            self.assertEqual(len(postern.all("session end", peer=client.peer)), 1)

    def test_a_failed_handshake_ends_with_one_complete_line(self):
        postern = self.postern(self.fake_broker())
        self.refused(lambda: self.client(postern, ca=pki.authority("Somebody else").pem))
        event = postern.wait("handshake failed")
        self.assertEqual(list(event), ["listener", "peer", "sni", "reason", "alert", "seconds"])
        self.assertEqual((event["listener"], event["sni"], event["reason"], event["alert"]),
                         ("mqtt", "localhost", "alert_received", "48"))

    def test_json_lines_have_the_same_keys(self):
        postern = self.postern(self.fake_broker(echo), main={"log_format": "json"})
        client = self.client(postern)
        client.close()
        end = postern.end_of(client)
        self.assertTrue(end.raw.startswith("{"))
        self.assertEqual([key for key in end if key not in ("time", "level")],
                         ["listener", "peer", "tls", "cipher", "sni", "resumed", "identity",
                          "backend", "up", "down", "seconds", "reason", "group"])

    def test_a_silent_client_that_leaves_is_logged_at_debug_only(self):
        for level in ("info", "debug"):
            postern = self.postern(self.fake_broker(echo), main={"log_level": level})
            silent = self.tcp_client(postern)
            silent.cut()
            talker = self.client(postern)
            talker.close()
            postern.end_of(talker)
            if level == "debug":
                self.assertEqual(postern.end_of(silent)["reason"], "client_closed")
            else:
                self.assertEqual(postern.all("handshake failed"), [])

    def test_a_server_name_cannot_forge_a_line(self):
        postern = self.postern(self.fake_broker(echo))
        hello = TlsClient.hello(self.client(postern, handshake=False))
        forged = hello.replace(b"localhost", b'a" x=\n\r\x00z')
        client = self.tcp_client(postern)
        client.raw_send(forged)
        client.raw_recv()
        client.cut()
        event = postern.end_of(client)
        self.assertNotIn("x", event)
        self.assertEqual(len(postern.lines), len(postern.events), postern.lines)

    def test_a_storm_of_new_clients_writes_few_lines(self):
        postern = self.postern(self.fake_broker(echo))
        for _ in range(400):
            client = self.tcp_client(postern)
            client.raw_send(b"\xff")
            client.raw_end()
        self.assertLess(len(postern.all("handshake failed")), 200)


class Keepalive(Case):
    def test_nagle_is_off_towards_the_client(self):
        # 40 small round trips: with a delay of 40 ms each this would take 1.6 s and more.
        postern = self.postern(self.fake_broker(echo))
        client = self.client(postern)
        start = time.monotonic()
        for _ in range(40):
            client.send(b"a")
            client.send(b"b")
            client.recv_exactly(2)
        self.assertLess(time.monotonic() - start, 1.5)


if __name__ == "__main__":
    main()
