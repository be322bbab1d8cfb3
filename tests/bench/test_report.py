"""What the table shows for known figures."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import pauses
import report
from proxies import HAProxy, Nginx, Postern, in_its_root, loaded, openssl_in, parse_peer
from work import Size, measurements

RUN = {
    "proxies": {"Postern": "1", "Hare": "2", "Tortoise": "3"},
    "results": {
        "resumed-1.2": {"Postern": [30, 50, 40], "Hare": [80, 90, None], "Tortoise": [None]},
        "storm.newcomers": {"Postern": [300], "Hare": [200], "Tortoise": [100]},
        "storm.busy": {"Postern": [99], "Hare": [100], "Tortoise": [100]},
    },
}


MACHINE = {"day": "2026-11-26", "processor": "P", "processors": 2, "kernel": "6", "system": "Debian",
           "openssl": "OpenSSL 3.0 (Library: 3.0)"}


class Pauses(unittest.TestCase):
    def test_what_is_taken_from_a_processor_is_seen(self):
        processor = str(min(os.sched_getaffinity(0)))
        watcher = subprocess.Popen([sys.executable, pauses.__file__, "5", processor],
                                   stdout=subprocess.PIPE)
        self.assertEqual(watcher.stdout.readline(), b"watching\n")
        watcher.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        watcher.send_signal(signal.SIGCONT)
        lost, longest = json.loads(watcher.communicate()[0])
        self.assertGreaterEqual(longest, 0.25)
        self.assertGreaterEqual(lost, longest)

    def test_the_report_says_it(self):
        taken = {"lost": 0.031, "longest": 24.04}
        line = report.facts_line({"machine": MACHINE, "rounds": 3, "pauses": taken})
        self.assertIn("the host takes 3.1% of the time, at most 24 ms at once", line)

    def test_an_earlier_run_has_none(self):
        self.assertNotIn("host", report.facts_line({"machine": MACHINE, "rounds": 3}))


class Table(unittest.TestCase):
    def setUp(self):
        self.lines = {line[0]: line[1:] for line in report.figures(RUN)}

    def test_cells_have_the_median_and_the_range(self):
        self.assertEqual(self.lines["resumed by ticket, TLS 1.2"][1], "40 (30 to 50)")

    def test_what_a_proxy_cannot_do_does_not_count(self):
        line = self.lines["resumed by ticket, TLS 1.2"]
        self.assertEqual(line[2:], ["85 (80 to 90)", "no", "0.47 of Hare"])

    def test_where_more_is_better_the_best_has_most(self):
        line = self.lines["new clients' handshakes meanwhile (more is better)"]
        self.assertEqual(line[-1], "1.50 of Hare")

    def test_what_only_explains_has_no_best(self):
        self.assertEqual(self.lines["share of that time in which the proxy was busy"][-1], "-")


class Brokers(unittest.TestCase):
    RUN = {"proxies": {"Postern": "1", "Hare": "2", "Mosquitto": "3"}, "brokers": ["Mosquitto"],
           "results": {**RUN["results"], "broker-ecdsa-1.2": {
               "Postern": [150], "Hare": [100], "Mosquitto": [300]}}}

    def test_a_broker_has_no_column_among_the_proxies(self):
        self.assertEqual(report.figures(self.RUN)[0][2:], ["Postern 1", "Hare 2",
                                                          "Postern to the best peer"])

    def test_it_is_compared_with_a_proxy_and_a_broker(self):
        head, line = report.broker_figures(self.RUN)
        self.assertEqual(head[2:5], ["Postern 1 + Mosquitto", "Hare 2 + Mosquitto", "Mosquitto 3"])
        self.assertEqual(line[-1], "0.50")

    def test_without_one_there_is_no_such_table(self):
        self.assertIsNone(report.broker_figures(RUN))


class Bars(unittest.TestCase):
    def verdict(self, title):
        return next(line[3:] for line in report.bars(RUN) if line[0] == title)

    def test_a_bar_is_the_ratio_to_the_best_peer(self):
        self.assertEqual(self.verdict("resumed, TLS 1.2"), ["0.47", "PASS, stretch"])

    def test_what_was_not_measured_does_not_pass(self):
        self.assertEqual(self.verdict("GB up, 16 KB"), ["-", "not measured"])

    def test_above_the_bar_is_a_miss(self):
        bar = report.Bar("", None, 0.6, 0.5)
        self.assertEqual([bar.verdict(v) for v in (0.5, 0.6, 0.61)],
                         ["PASS, stretch", "PASS", "MISS"])

    def test_where_more_is_better_below_the_bar_is_a_miss(self):
        bar = report.Bar("", None, 1.05, 1.15, more=True)
        self.assertEqual([bar.verdict(v) for v in (1.15, 1.05, 1.04)],
                         ["PASS, stretch", "PASS", "MISS"])
        title = "new clients' handshakes in a storm"
        line = next(line for line in report.bars(RUN) if line[0] == title)
        self.assertEqual(line[1:], ["at least 1.05", "1.15", "1.50", "PASS, stretch"])


class Measurements(unittest.TestCase):
    def test_each_has_a_row_of_its_own(self):
        names = [m.name for m in measurements(Size(quick=False))]
        self.assertEqual(len(names), len(set(names)))
        rows = {row.key for row in report.rows_of(Everything()) + report.BROKER_ROWS}
        for name in names:
            if not name.startswith(("paced", "memory", "storm", "scale")):  # these have several
                self.assertIn(name, rows)


class Everything(dict):
    """Results that have every row, and no scale."""

    def __contains__(self, key):
        return True


class GivenPeers(unittest.TestCase):
    def test_the_program_s_name_says_what_it_is(self):
        peer = parse_peer("AWS-LC=/opt/haproxy-3.4/sbin/haproxy")
        self.assertIsInstance(peer, HAProxy)
        self.assertEqual((peer.name, peer.program, peer.libraries),
                         ("AWS-LC", "/opt/haproxy-3.4/sbin/haproxy", None))

    def test_or_the_peer_s_name_does(self):
        peer = parse_peer("nginx+BoringSSL=/build/objs/a.out,/build/lib")
        self.assertIsInstance(peer, Nginx)
        self.assertEqual((peer.name, peer.libraries), ("nginx+BoringSSL", "/build/lib"))

    def test_what_is_no_peer_is_refused(self):
        for text in ("", "nginx", "=/usr/sbin/nginx", "nginx=", "nginx=/usr/sbin/nginx,",
                     "Envoy=/usr/bin/envoy"):
            with self.assertRaises(ValueError, msg=text):
                parse_peer(text)

    def test_another_build_of_postern_is_no_peer_to_compare_with(self):
        peer = parse_peer("Postern without vector code=build/postern")
        self.assertIsInstance(peer, Postern)
        results = {"resumed-1.2": {"Postern": [40], peer.name: [20], "Hare": [80]}}
        self.assertEqual(report.best_peer(results, "resumed-1.2"), (80, "Hare"))
        with self.assertRaises(ValueError):
            parse_peer("Hare=build/postern")

    def test_libraries_are_for_the_program_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(loaded("p", None), ["p"])
            self.assertEqual(loaded("p", folder), ["env", f"LD_LIBRARY_PATH={folder}", "p"])
            loader = Path(folder) / "ld-linux-x86-64.so.2"
            loader.touch()
            self.assertEqual(loaded("p", folder)[2:], [str(loader), "--library-path", folder, "p"])

    def test_a_program_of_another_system_s_root_has_that_system_s_files(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            libraries = root / "usr/lib/x86_64-linux-gnu"
            for name in ("usr/sbin/nginx", "usr/lib/nginx/modules/ngx_stream_module.so",
                         "etc/ssl/openssl.cnf", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).touch()
            module = "/usr/lib/nginx/modules/ngx_stream_module.so"
            self.assertEqual(in_its_root(root / "usr/sbin/nginx", module), folder + module)
            self.assertIn(f"OPENSSL_CONF={folder}/etc/ssl/openssl.cnf",
                          loaded("nginx", libraries))

    def test_an_openssl_says_its_version(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIsNone(openssl_in(folder))
            (Path(folder) / "libcrypto.so.3").write_bytes(b"\0OpenSSL 3.5.4 30 Sep 2025\0")
            self.assertEqual(openssl_in(folder), "OpenSSL 3.5.4 30 Sep 2025")

    def test_an_nginx_has_stream_in_itself_or_in_a_module(self):
        with tempfile.TemporaryDirectory() as folder:
            for words, module in (("--with-stream --with-stream_ssl_module", ""),
                                  ("--modules-path=/m --with-stream=dynamic",
                                   "/m/ngx_stream_module.so"),
                                  ("--with-stream_ssl_module",
                                   "/usr/lib/nginx/modules/ngx_stream_module.so")):
                program = Path(folder) / "nginx"
                program.write_text(f"#!/bin/sh\necho configure arguments: {words} >&2\n")
                program.chmod(0o755)
                peer = parse_peer(f"x={program}")
                self.assertEqual(peer._module(), module)


class Programs(unittest.TestCase):
    def test_an_ordinary_user_s_peers_are_found(self):
        """Debian keeps /usr/sbin, where most of them are, out of a user's PATH."""
        done = subprocess.run([sys.executable, "-c", "import proxies, os; print(os.environ['PATH'])"],
                              cwd=Path(__file__).parent, env={"PATH": "/usr/bin:/bin"},
                              capture_output=True, text=True, check=True)
        self.assertIn("/usr/sbin", done.stdout.strip().split(":"))


if __name__ == "__main__":
    unittest.main()
