"""What the table shows for known figures."""

import subprocess
import sys
import unittest
from pathlib import Path

import report

RUN = {
    "proxies": {"Postern": "1", "Hare": "2", "Tortoise": "3"},
    "results": {
        "resumed-1.2": {"Postern": [30, 50, 40], "Hare": [80, 90, None], "Tortoise": [None]},
        "storm.newcomers": {"Postern": [300], "Hare": [200], "Tortoise": [100]},
        "storm.busy": {"Postern": [99], "Hare": [100], "Tortoise": [100]},
    },
}


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


class Programs(unittest.TestCase):
    def test_an_ordinary_user_s_peers_are_found(self):
        """Debian keeps /usr/sbin, where most of them are, out of a user's PATH."""
        done = subprocess.run([sys.executable, "-c", "import proxies, os; print(os.environ['PATH'])"],
                              cwd=Path(__file__).parent, env={"PATH": "/usr/bin:/bin"},
                              capture_output=True, text=True, check=True)
        self.assertIn("/usr/sbin", done.stdout.strip().split(":"))


if __name__ == "__main__":
    unittest.main()
