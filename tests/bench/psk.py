#!/usr/bin/env python3
"""Pre-shared keys: what a handshake costs, and whether its failure reveals which identities exist.

    python3 tests/bench/psk.py build-plain/postern build-plain/tests/bench/bench-psk [TRIES]

First the processor time and the bytes of a handshake, with certificates and with a key. Then TRIES
(10,000) handshakes with an unknown identity against as many with a wrong key, in random order, over
loopback and through the whole program, for either version: the distribution of the time from the
client's last byte to the alert, and how sure the difference is. `z` is that of Mann and Whitney's
rank test, which outliers do not move: beyond 3 in either direction there is a difference.
"""

import os
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "integration"))

import harness  # noqa: E402
from brokers import echo  # noqa: E402



def rank_z(first, second):
    """How far the ranks of `first` are from those of `second`, in standard deviations."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        rank = (at + 1 + end) / 2  # of all that are equal
        total += rank * sum(1 for value in ranked[at:end] if value[1] == 0)
        at = end
    n, m = len(first), len(second)
    return (total - n * (n + m + 1) / 2) / (n * m * (n + m + 1) / 12) ** 0.5


def describe(name, values):
    low, middle, high = (statistics.quantiles(values, n=100)[i] for i in (4, 49, 94))
    return (f"{name:8} {len(values)} tries: median {middle / 1000:.2f} us, 5 % below "
            f"{low / 1000:.2f}, 5 % above {high / 1000:.2f}, mean {statistics.mean(values) / 1000:.2f}")


def compare(unknown, wrong):
    trimmed = [sorted(values)[:len(values) * 95 // 100] for values in (unknown, wrong)]
    difference = statistics.mean(trimmed[0]) - statistics.mean(trimmed[1])
    error = sum(statistics.variance(values) / len(values) for values in trimmed) ** 0.5
    return (f"unknown - wrong, without the slowest 5 %: {difference / 1000:+.3f} us "
            f"(+- {1.96 * error / 1000:.3f}, 95 %); z = {rank_z(unknown, wrong):+.2f}")


class Stand(harness.Case):
    def runTest(self):
        program, tool = sys.argv[1:3]
        count = sys.argv[3] if len(sys.argv) > 3 else "10000"
        print(subprocess.run([tool, "cost", "300"], check=True, capture_output=True,
                             text=True).stdout)
        self.write("keys", "".join(f"device-{i:03}:{i + 1:064x}\n" for i in range(1000)))
        config = self.write("postern.conf", self.config(
            self.fake_broker(echo).address, main={"workers": "1"},
            listener={"certificates": "none", "psk_file": "keys"}))
        postern = self.start(config, wrapper=(program,))
        for version in ("1.2", "1.3"):
            out = subprocess.run([tool, "tries", str(postern.port), version, count], check=True,
                                 capture_output=True, text=True).stdout.split("\n")
            times = {"unknown": [], "wrong": []}
            for line in filter(None, out):
                kind, value = line.split()
                times[kind].append(int(value))
            print(f"TLS {version}")
            for kind, values in times.items():
                print("  " + describe(kind, values))
            print("  " + compare(times["unknown"], times["wrong"]))


if __name__ == "__main__":
    result = harness.unittest.TextTestRunner().run(Stand())
    sys.exit(0 if result.wasSuccessful() else 1)
