"""Each metric of docs/metrics.md moves when its event happens, and the page is well formed."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import time
import unittest
from pathlib import Path

from admin import Admin, Metrics, is_available
from brokers import echo
from clients import PATIENCE, TlsClient, tls_context
from harness import PROGRAM, Case, main, own_library, pki

PAGE = (Path(__file__).resolve().parents[2] / "docs/metrics.md").read_text(encoding="utf-8")
F_SETPIPE_SZ = 1031
DAY = 86400


def documented():
    return re.findall(r"^\| `([a-z_]+)` \| (gauge|counter|histogram) \|", PAGE, re.MULTILINE)


@unittest.skipUnless(is_available(), "built without the admin socket")
class Metered(Case):
    def serve(self, handler=echo, main=(), **options):
        self.broker = self.fake_broker(handler)
        self.start_before(self.broker, main, **options)

    def start_before(self, broker, main=(), **options):
        name = f"{len(self._started)}.sock"
        self.server = self.postern(broker, main={"admin": f"unix:{name}", **dict(main)},
                                   **options)
        self.admin = Admin.of(self.server)

    def changes(self, event, *expected):
        """Each of (name, labels, delta): a sample, or a sum of them, grows by at least delta in
        consequence of the event (delta 0: it only has to change; negative: it shrinks)."""
        before = self.admin.metrics()
        event()

        def has_changed():
            after = self.admin.metrics()
            for name, labels, delta in expected:
                by = after.sum(name, **labels) - before.sum(name, **labels)
                if not (by != 0 if delta == 0 else by >= delta if delta > 0 else by <= delta):
                    return False
            return True

        self.wait_until(has_changed, [name for name, _, _ in expected])

    # Events.

    def talk(self, **options):
        client = self.client(self.server, **options)
        client.send(b"x")
        self.assertEqual(client.recv_exactly(1), b"x")
        self.last = client
        return client

    def garbage(self, count=1):
        for _ in range(count):
            client = self.tcp_client(self.server)
            client.raw_send(b"GET / HTTP/1.1\r\n\r\n")
            client.raw_end()

    def rewrite(self, old, new):
        text = Path(self.server.config_file).read_text(encoding="utf-8")
        self.write("postern.conf", text.replace(old, new))


class Clients(Metered):
    def test_a_full_handshake(self):
        self.serve()
        self.changes(
            lambda: self.talk(version="1.3"),
            ("postern_connections_accepted_total", {"listener": "mqtt"}, 1),
            ("postern_handshakes_total", {"version": "1.3", "resumed": "no"}, 1),
            ("postern_handshake_groups_total", {}, 1),
            ("postern_handshake_ciphers_total", {}, 1),
            ("postern_handshake_key_types_total", {}, 1),
            ("postern_sessions", {"state": "relaying"}, 1),
            ("postern_relayed_bytes_total", {"direction": "up"}, 1),
            ("postern_relayed_bytes_total", {"direction": "down"}, 1),
            ("postern_backend_dials_total", {"backend": self.broker.address}, 1),
            ("postern_handshake_queue_seconds_count", {}, 2),
            ("postern_handshake_queue_seconds_sum", {}, 1e-9),
            ("postern_turn_seconds_count", {}, 2),
            ("postern_turn_seconds_sum", {}, 1e-9),
            ("process_open_fds", {}, 2))
        end = self.server.end_of
        self.changes(
            self.last.close,
            ("postern_sessions", {"state": "relaying"}, -1),
            ("postern_sessions_ended_total", {"reason": "client_closed"}, 1))
        page, event = self.admin.metrics(), end(self.last)
        self.assertEqual(page.sum("postern_handshake_groups_total", group=event["group"]), 1)
        self.assertEqual(page.sum("postern_handshake_ciphers_total", cipher=event["cipher"]), 1)
        self.assertEqual(page.sum("postern_relayed_bytes_total", direction="up"),
                         int(event["up"]))
        self.assertEqual(page.sum("postern_handshakes_total"), 1)

    def test_the_type_of_the_server_s_key(self):
        for kind in ("rsa", "ecdsa"):
            self.serve(certificate=pki.server(kind))
            self.changes(self.talk, ("postern_handshake_key_types_total", {"key_type": kind}, 1))

    @unittest.skipUnless(own_library(), "pre-shared keys come with our own build of the library")
    def test_a_pre_shared_key_is_no_key_of_the_server_s(self):
        """Alone, and beside a certificate, which such a client does not get to see."""
        self.write("keys", f"sensor-1:{'ab' * 16}\n")
        for certificates in ({"certificates": "none"}, {}):
            self.serve(listener={"psk_file": "keys", **certificates})
            host, port = self.server.address()
            for version in ("tls1_2", "tls1_3"):
                self.changes(
                    lambda version=version: subprocess.run(
                        ["openssl", "s_client", "-connect", f"{host}:{port}", "-psk_identity",
                         "sensor-1", "-psk", "ab" * 16, f"-{version}"],
                        input=b"", capture_output=True, timeout=PATIENCE, check=False),
                    ("postern_handshake_key_types_total", {"key_type": "psk"}, 1))
            page = self.admin.metrics()
            self.assertEqual(page.sum("postern_handshake_key_types_total"), 2)
            self.assertEqual(page.sum("postern_handshake_ciphers_total", cipher="other"), 0)

    def test_a_resumed_session(self):
        self.serve()
        first = self.talk(version="1.2")
        context = tls_context(pki.authority().pem, "1.2")
        first = self.talk(context=context)
        self.changes(lambda: self.talk(context=context, session=first.tls.session),
                     ("postern_handshakes_total", {"version": "1.2", "resumed": "yes"}, 1))
        page = self.admin.metrics()
        self.assertEqual(page.sum("postern_handshake_key_types_total"), 2)

    def test_a_silent_client_is_no_failure(self):
        self.serve()
        self.changes(lambda: self.tcp_client(self.server).cut(),
                     ("postern_connections_silent_total", {}, 1))
        self.assertEqual(self.admin.metrics().sum("postern_handshakes_failed_total"), 0)

    def test_a_handshake_that_fails(self):
        self.serve()
        self.changes(self.garbage, ("postern_handshakes_failed_total", {"reason": "not_tls"}, 1))

    def test_sessions_are_counted_by_their_state(self):
        self.serve(listener={"mqtt": "check"})
        self.changes(lambda: self.tcp_client(self.server),
                     ("postern_sessions", {"state": "hello"}, 1))
        half = self.client(self.server, handshake=False)
        self.changes(lambda: half.raw_send(half.hello()),
                     ("postern_sessions", {"state": "handshake"}, 1))
        self.changes(lambda: self.client(self.server),
                     ("postern_sessions", {"state": "connect_packet"}, 1))

    def test_handshakes_that_wait_are_counted(self):
        """Many begin at once; the page is asked for before all have had their steps."""
        self.serve(certificate=pki.server("rsa"), main={"workers": "1"})
        context = tls_context(pki.authority().pem)

        def waiting():
            clients = [TlsClient(self.server.address(), context, handshake=False)
                       for _ in range(64)]
            for client in clients:
                client.raw_send(client.hello())
            count = self.admin.metrics().sum("postern_handshakes_waiting", listener="mqtt")
            for client in clients:
                client.cut()
            return count > 0

        self.wait_until(waiting, "handshakes that wait")


class Limits(Metered):
    def refused(self, limit, event, **options):
        self.serve(**options)
        self.talk()
        self.changes(event, ("postern_refusals_total", {"limit": limit}, 1))

    def end_one(self):
        self.tcp_client(self.server).raw_end()

    def test_max_connections(self):
        self.refused("connections", self.end_one, listener={"max_connections": "1"})

    def test_max_connections_per_address(self):
        self.refused("address", self.end_one, listener={"max_connections_per_address": "1"})

    def test_new_connections_per_address(self):
        self.refused("rate", self.end_one, listener={"new_connections_per_address": "1/h"})

    def test_max_handshakes(self):
        def burst():
            self.server.signal(signal.SIGSTOP)
            self.wait_until(self.server.is_stopped, "the stop")
            for _ in range(64):
                client = self.client(self.server, handshake=False)
                client.raw_send(client.hello())
            self.server.signal(signal.SIGCONT)

        self.refused("handshakes", burst, listener={"max_handshakes": "1"},
                     main={"workers": "1"})

    def test_max_dials(self):
        self.serve(listener={"max_dials": "1/h", "connect_timeout": "300ms"})
        self.talk()
        waiting = self.client(self.server)
        self.changes(lambda: waiting.send(b"x"),
                     ("postern_backend_dials_waiting", {"backend": self.broker.address}, 1))
        self.wait_until(lambda: self.admin.metrics().sum("postern_refusals_total", limit="dials"),
                        "a refusal")
        self.assertEqual(self.admin.metrics().sum("postern_backend_dials_waiting"), 0)

    def test_descriptors(self):
        self.serve(descriptors=130, main={"workers": "1"})
        self.assertGreater(self.admin.metrics().sum("postern_sessions_max"), 8)
        inside = []
        while not self.server.all("accept failed"):
            client = self.client(self.server, handshake=False)
            client.sock.settimeout(1)
            try:
                client.handshake()
                client.send(b"x")
                client.recv_exactly(1)
                inside.append(client)
            except (OSError, AssertionError, TimeoutError):
                client.cut()
        self.changes(self.end_one, ("postern_refusals_total", {"limit": "descriptors"}, 1))
        self.assertEqual(self.admin.metrics().sum("postern_refusals_total", limit="connections"), 0)


class Brokers(Metered):
    def fail_to_dial(self):
        client = self.client(self.server)
        client.send(b"x")
        self.server.end_of(client)

    def test_a_broker_that_goes_and_comes_back(self):
        self.serve(listener={"connect_timeout": "300ms"})
        labels = {"backend": self.broker.address}
        self.broker.down()
        self.changes(self.fail_to_dial,
                     ("postern_backend_up", labels, -1),
                     ("postern_ready", {}, -1),
                     ("postern_backend_dials_total", labels, 1),
                     ("postern_backend_dial_failures_total", {"reason": "refused", **labels}, 1))
        self.changes(self.broker.up, ("postern_backend_up", labels, 1), ("postern_ready", {}, 1))

    def test_a_broker_that_does_not_answer(self):
        port = self.silent_port()
        self.start_before(port, listener={"connect_timeout": "1s"})
        client = self.client(self.server)
        self.changes(lambda: client.send(b"x"),
                     ("postern_backend_dials_under_way", {"backend": port.address}, 1))
        self.wait_until(
            lambda: self.admin.metrics().sum("postern_backend_dial_failures_total",
                                             reason="timeout"), "the timeout")
        self.assertEqual(self.admin.metrics().sum("postern_backend_dials_under_way"), 0)


class Process(Metered):
    def test_reloads_are_counted_by_their_result(self):
        self.serve()
        self.assertEqual(self.admin.metrics().sum("postern_reload_last_successful"), 1)
        self.changes(self.reload_a_second_later,
                     ("postern_reloads_total", {"result": "done"}, 1),
                     ("postern_reload_last_timestamp_seconds", {}, 1),
                     ("postern_reload_last_success_timestamp_seconds", {}, 1))
        self.rewrite("[listener mqtt]", "[listener mqtt]\nnonsense = 1")
        before = self.admin.metrics()
        self.changes(self.reload_a_second_later,
                     ("postern_reloads_total", {"result": "refused"}, 1),
                     ("postern_reload_last_timestamp_seconds", {}, 1),
                     ("postern_reload_last_successful", {}, -1))
        name = "postern_reload_last_success_timestamp_seconds"
        self.assertEqual(self.admin.metrics().sum(name), before.sum(name))

    def reload_a_second_later(self):
        """Reloads until the time of the last one has changed, which is in whole seconds."""
        name = "postern_reload_last_timestamp_seconds"
        before = self.admin.metrics().sum(name)

        def has_passed():
            self.server.reload()
            return self.admin.metrics().sum(name) > before

        self.wait_until(has_passed, "a second")

    def test_certificates(self):
        self.serve(certificate=pki.authority().issue(end=pki.NOW + 10 * pki.DAY))
        page = self.admin.metrics()
        labels = {"listener": "mqtt", "kind": "certificate"}
        end = page.sum("postern_not_after_timestamp_seconds", **labels)
        self.assertAlmostEqual(end, time.time() + 10 * DAY, delta=2 * DAY)

        def renew():
            pki.authority().issue(start=pki.NOW - 3 * pki.DAY,
                                  end=pki.NOW + 20 * pki.DAY).write(self.path("main"))
            self.server.reload()

        self.changes(renew, ("postern_not_after_timestamp_seconds", labels, 5 * DAY),
                     ("postern_not_before_timestamp_seconds", labels, -DAY))

    def test_suppressed_lines(self):
        self.serve(main={"workers": "1"})
        self.changes(lambda: self.garbage(40), ("postern_log_lines_suppressed_total", {}, 1))

    def test_scrapes_ask_the_workers(self):
        self.serve()
        self.changes(self.admin.metrics, ("postern_loop_delay_seconds_count", {}, 2),
                     ("postern_loop_delay_seconds_sum", {}, 1e-9))

    def test_what_the_process_uses(self):
        self.serve(descriptors=500)
        page = self.admin.metrics()
        self.assertEqual(page.sum("postern_workers"), 2)
        self.assertEqual(page.sum("postern_build_info"), 1)
        self.assertEqual(page.sum("process_max_fds"), 500)
        self.assertAlmostEqual(page.sum("process_start_time_seconds"), time.time(), delta=600)
        self.assertGreater(page.sum("process_virtual_memory_bytes"),
                           page.sum("process_resident_memory_bytes"))
        self.assertAlmostEqual(page.sum("process_resident_memory_bytes"), self.server.memory(),
                               delta=self.server.memory() / 2)
        self.changes(lambda: [self.talk().close() for _ in range(20)],
                     ("process_cpu_seconds_total", {}, 1e-6))

    def test_lines_that_nobody_reads(self):
        """Standard error is a full pipe."""
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        fcntl.fcntl(write, F_SETPIPE_SZ, 4096)
        text = self.config(self.fake_broker(echo), main={"admin": "unix:admin.sock"},
                           listen="127.0.0.1:0")
        process = subprocess.Popen([PROGRAM, "-c", self.write("postern.conf", text)],
                                   stderr=write, stdin=subprocess.DEVNULL)
        os.close(write)
        try:
            self.admin = Admin(self.path("admin.sock"))
            self.wait_until(self.is_served, "the admin socket")
            self.changes(lambda: [self.admin.post("/reload") for _ in range(60)],
                         ("postern_log_lines_lost_total", {}, 1))
        finally:
            process.terminate()
            self.assertEqual(process.wait(PATIENCE), 0)

    def is_served(self):
        try:
            return self.admin.get("/ready").status == 200
        except OSError:
            return False


class Page(Metered):
    def test_every_metric_is_documented_and_every_documented_one_is_there(self):
        self.write("ca.pem", pki.authority("Device CA").pem)
        self.serve(listener={"client_auth": "optional", "client_ca": "ca.pem"})
        page = self.admin.metrics()
        found = re.findall(r"^# TYPE (\S+) (\w+)$", page.text, re.MULTILINE)
        self.assertEqual(sorted(found), sorted(documented()))
        expected = {f"{name}_{end}" for name, kind in found if kind == "histogram"
                    for end in ("bucket", "sum", "count")}
        expected |= {name for name, kind in found if kind != "histogram"}
        self.assertEqual(page.names(), expected)

    def test_every_metric_has_a_test(self):
        source = Path(__file__).read_text(encoding="utf-8")
        for name, _ in documented():
            self.assertIn(f'"{name}', source)

    def test_labels_have_no_value_of_a_client(self):
        self.write("ca.pem", pki.authority("Device CA").pem)
        self.serve(listener={"client_auth": "optional", "client_ca": "ca.pem"})
        context = tls_context(pki.authority().pem)
        context.check_hostname = False
        self.talk(context=context, server_name="chosen-by-client.example")
        self.assertNotIn("chosen-by-client", self.admin.metrics().text)

    def test_names_of_files_cannot_forge_a_sample(self):
        """Two certificates of one name in one file are one sample."""
        self.broker = self.fake_broker(echo)
        folder = 'a"} 1\\ b'
        certificate = pki.server()
        certificate.write(self.path(folder))
        ca = pki.authority().pem + pki.authority().pem
        self.write("ca.pem", ca)
        more = (f"[certificate odd]\ncert = {folder}/cert.pem\nkey = {folder}/privkey.pem\n")
        self.start_before(self.broker, listener={
            "certificates": "odd", "client_auth": "optional", "client_ca": "ca.pem"}, more=more)
        page = self.admin.metrics()
        kinds = [labels["kind"] for name, labels, _ in page.samples
                 if name == "postern_not_after_timestamp_seconds"]
        self.assertEqual(sorted(kinds), ["ca", "certificate"])
        self.assertIn('a\\"} 1\\\\ b/cert.pem', page.text)

    def test_openmetrics_for_those_that_ask(self):
        self.serve()
        answer = self.admin.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
        self.assertIn("application/openmetrics-text", answer.headers["Content-Type"])
        self.assertTrue(answer.text.endswith("\n# EOF\n"))
        plain = self.admin.get("/metrics")
        self.assertEqual(plain.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        self.assertNotIn("# EOF", plain.text)
        samples = {name for name, _, _ in Metrics(answer.text).samples}
        self.assertEqual(samples, Metrics(plain.text).names())
        families = set(re.findall(r"^# TYPE (\S+) counter$", answer.text, re.MULTILINE))
        self.assertIn("postern_reloads", families)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not installed")
    def test_promtool_finds_nothing_to_complain_about(self):
        self.serve()
        self.talk()
        done = subprocess.run(["promtool", "check", "metrics"], input=self.admin.metrics().text,
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


if __name__ == "__main__":
    main()
