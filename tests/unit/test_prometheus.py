"""The alert rules and the dashboard are right by promtool, and name metrics that there are.

promtool is in Debian's package prometheus; without it the tests that need it are skipped.
"""

import json
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
RULES = TOP / "config/prometheus/postern.rules.yml"
DASHBOARD = TOP / "config/grafana/postern.json"
PAGE = (TOP / "docs/metrics.md").read_text(encoding="utf-8")
PROMTOOL = shutil.which("promtool")

METRIC = re.compile(r"\b(?:postern|process)_[a-z_]+\b")


def documented():
    """Every name that a sample has."""
    names = set()
    for name, kind in re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", PAGE, re.MULTILINE):
        names |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} \
            if kind == "histogram" else {name}
    return names


def dashboard():
    return json.loads(DASHBOARD.read_text(encoding="utf-8"))


def expressions():
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]


def promtool(*arguments):
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)


class Names(unittest.TestCase):
    def test_rules_use_only_metrics_that_are_documented(self):
        text = re.sub(r"(?m)#.*|^ *(?:summary|description):.*$", "", RULES.read_text("utf-8"))
        used = set(METRIC.findall(text))
        self.assertGreater(len(used), 10)
        self.assertEqual(used - documented(), set())

    def test_the_dashboard_uses_only_metrics_that_are_documented(self):
        used = set(METRIC.findall("\n".join(expressions())))
        self.assertGreater(len(used), 20)
        self.assertEqual(used - documented(), set())

    def test_panels_do_not_overlap(self):
        taken = set()
        for panel in dashboard()["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                     for y in range(at["y"], at["y"] + at["h"])}
            self.assertLessEqual(max(x for x, _ in cells), 23)
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


@unittest.skipUnless(PROMTOOL, "promtool is not installed")
class Promtool(unittest.TestCase):
    def test_the_rules_are_well_formed(self):
        done = promtool("check", "rules", RULES)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_fire_when_they_should_and_not_before(self):
        for name in ("rules_days", "rules_minutes"):
            done = promtool("test", "rules", Path(__file__).parent / f"{name}.test.yml")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_every_alert_is_tested(self):
        alerts = set(re.findall(r"alert: (\w+)", RULES.read_text("utf-8")))
        tests = "".join((Path(__file__).parent / f"{name}.test.yml").read_text("utf-8")
                        for name in ("rules_days", "rules_minutes"))
        self.assertEqual(alerts - set(re.findall(r"alertname: (\w+)", tests)), set())

    def test_the_dashboard_s_expressions_are_well_formed(self):
        """As rules, since this promtool checks no expression alone."""
        rules = [{"record": f"panel:{number}", "expr":
                  expression.replace("$__rate_interval", "5m").replace("$instance", ".*")}
                 for number, expression in enumerate(expressions())]
        with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            done = promtool("check", "rules", file.name)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
