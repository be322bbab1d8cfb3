#!/usr/bin/env python3
"""Judges the cases of a path validation suite as client certificates, and compares.

    tests/pathsuite/run.py build-plain/tests/pathsuite/path_judge SUITE.json...

A suite is a file in the format of C2SP/x509-limbo (its limbo-schema.json); its leaves must be for
clients: the suite's own generator makes them so when the extended key usage serverAuth is replaced
by clientAuth. Every verdict that differs from the suite's must be in deviations.txt, with its
reason, and everything there must differ. The judge decides each case alone and again in random
orders, which must not matter.
"""

import argparse
import base64
import collections
import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]+-----(.*?)-----END", re.S)


def seconds(case):
    if not case["validation_time"]:
        return int(time.time())
    moment = datetime.datetime.fromisoformat(case["validation_time"].replace("Z", "+00:00"))
    return int(moment.timestamp())


def lines(number, case, folder):
    """The case as the judge reads it."""
    authorities = folder / f"{number}.pem"
    authorities.write_text("\n".join(case["trusted_certs"]), encoding="ascii")
    crl = "-"
    if case.get("crls"):
        crl = folder / f"{number}.crl"
        crl.write_text("\n".join(case["crls"]), encoding="ascii")
    yield f"case {case['id']} {seconds(case)} {authorities} {crl}"
    for text in [case["peer_certificate"], *case["untrusted_intermediates"]]:
        for block in BLOCK.findall(text):
            yield "cert " + base64.b64decode("".join(block.split())).hex()
    yield "end"


def judge(program, cases, rounds):
    """The verdict of each case by its id, and the judge's last line."""
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(line for number, case in enumerate(cases)
                         for line in lines(number, case, pathlib.Path(folder)))
        done = subprocess.run([program, str(rounds)], input=text + "\n", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    verdicts, notes = {}, []
    for line in done.stdout.splitlines():
        if line[0] in "!=":
            notes.append(line)
        else:
            name, _, verdict = line.rpartition(" ")
            verdicts[name] = verdict
    return verdicts, notes, done.returncode == 0


def deviations():
    """ID to class, as deviations.txt has them; what stands after a # is a comment."""
    known = {}
    for line in (HERE / "deviations.txt").read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words:
            known[words[0]] = words[1]
    return known


def compare(cases, verdicts, known):
    """Counts, and the lines about what is not as expected."""
    counts, wrong = collections.Counter(), []
    for case in cases:
        verdict = verdicts.get(case["id"], "missing")
        accepted, wanted = verdict == "none", case["expected_result"] == "SUCCESS"
        counts["accepted" if accepted else "refused"] += 1
        kind = known.get(case["id"])
        if accepted == wanted and verdict not in ("crash", "missing"):
            counts["as expected"] += 1
            if kind:
                wrong.append(f"{case['id']}: is as expected ({verdict}), but in deviations.txt")
        elif kind:
            counts[f"{'accepted' if accepted else 'refused'}: {kind}"] += 1
        else:
            wrong.append(f"{case['id']}: {verdict}, expected {case['expected_result']}")
    return counts, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("judge")
    parser.add_argument("suite", nargs="+")
    parser.add_argument("--rounds", type=int, default=5, help="random orders (5)")
    parser.add_argument("--all", action="store_true", help="print every verdict")
    options = parser.parse_args()
    failed = False
    for suite in options.suite:
        with open(suite, encoding="utf-8") as file:
            cases = json.load(file)["testcases"]
        verdicts, notes, same = judge(options.judge, cases, options.rounds)
        counts, wrong = compare(cases, verdicts, deviations())
        if options.all:
            print(*(f"{c['id']} {c['expected_result']} {verdicts.get(c['id'])}" for c in cases),
                  sep="\n")
        print(suite, *wrong, *notes, *(f"{n:6} {what}" for what, n in sorted(counts.items())),
              sep="\n")
        failed |= bool(wrong) or not same
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
