#!/usr/bin/env python3
"""Judges cases of path validation as client certificates, and compares.

    tests/pathsuite/run.py build-plain/tests/pathsuite/path_judge [--limbo limbo.json]

The cases are our own (cases_*.py) and, where its file is given, those of C2SP/x509-limbo; README.md
says how that is made. Every verdict that differs from what a case expects must be in
deviations.txt, with its reason, and everything there must differ. The judge decides each case alone,
and again after others in random orders, and in each group of some hundred cases directly after each
other one: none of that may change a verdict.
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

import cases_names
import cases_paths
import cases_rules
from cases import ACCEPT, REFUSE, Case

HERE = pathlib.Path(__file__).parent
BLOCK = re.compile(r"-----BEGIN [A-Z0-9 ]+-----(.*?)-----END", re.S)
# Of a suite whose cases are for clients of web servers, too: classes of deviations.txt that do not
# ask whether a client is trusted.
NO_QUESTION = {"host-name", "profile", "depth", "key-id", "issuing"}
SAMPLE = 8        # with --quick, of groups with more than SAMPLED cases one in so many
SAMPLED = 110
PAIRS_MAX = 400   # cases that are judged directly after each other one


# --- cases ---

def own_cases(quick):
    for module in (cases_paths, cases_rules, cases_names):
        for group in module.groups():
            yield group.name, sample(group.cases) if quick else group.cases


def sample(cases):
    return cases if len(cases) <= SAMPLED else cases[::SAMPLE]


def limbo_case(case):
    moment = case["validation_time"]
    now = (datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() if moment
           else time.time())
    sent = [base64.b64decode("".join(block.split()))
            for text in (case["peer_certificate"], *case["untrusted_intermediates"])
            for block in BLOCK.findall(text)]
    expected = (ACCEPT,) if case["expected_result"] == "SUCCESS" else REFUSE
    return Case(case["id"], expected, "x509-limbo", "\n".join(case["trusted_certs"]), sent,
                "\n".join(case.get("crls") or ()), int(now))


def limbo_cases(file):
    with open(file, encoding="utf-8") as stream:
        return [limbo_case(case) for case in json.load(stream)["testcases"]]


# --- the judge ---

def lines(case, files):
    """The case as the judge reads it. files: the path of a file with a text."""
    yield f"case {case.id} {case.now} {files(case.trusted)} {files(case.crls) or '-'}"
    for der in case.sent:
        yield "cert " + der.hex()
    yield "end"


def judge(program, cases, rounds):
    """The verdict of each case by its id, and what the judge says of other orders."""
    with tempfile.TemporaryDirectory() as folder:
        written = {"": None}

        def files(text):
            if text not in written:
                written[text] = pathlib.Path(folder, f"{len(written)}.pem")
                written[text].write_text(text, encoding="ascii")
            return written[text]
        text = "\n".join(line for case in cases for line in lines(case, files))
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


# --- the comparison ---

def deviations():
    """ID to class, as deviations.txt has them; what stands after a # is a comment."""
    known = {}
    for line in (HERE / "deviations.txt").read_text(encoding="utf-8").splitlines():
        words = line.partition("#")[0].split()
        if words:
            known[words[0]] = words[1]
    return known


class Count:
    """What became of one group of cases."""

    HEADS = ("cases", "judged", "as expected", "wrongly accepted", "wrongly refused", "elsewise")

    def __init__(self):
        self.cases = self.judged = self.met = self.accepted = self.refused = self.elsewise = 0
        self.classes = collections.Counter()  # of the last three, as deviations.txt has them

    def numbers(self):
        return self.cases, self.judged, self.met, self.accepted, self.refused, self.elsewise

    def add(self, case, verdict, kind):
        """The line about a verdict that nobody expects, or None."""
        self.cases += 1
        if kind in NO_QUESTION and not case.is_met(verdict):
            return None
        self.judged += 1
        if case.is_met(verdict):
            self.met += 1
            return f"{case.id}: is as expected, but in deviations.txt" if kind else None
        if verdict == ACCEPT:
            self.accepted += 1
        elif case.accept:
            self.refused += 1
        else:
            self.elsewise += 1
        self.classes[kind or "unexplained"] += 1
        wanted = " or ".join(case.expected) or "a refusal"
        return None if kind else f"{case.id}: {verdict}, not {wanted} ({case.why})"

    def __iadd__(self, other):
        for name in ("cases", "judged", "met", "accepted", "refused", "elsewise"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.classes += other.classes
        return self


def row(name, values):
    print(f"{name:22}" + "".join(f"{value:>17}" for value in values))


def compare(groups, verdicts):
    """Prints the table; returns the lines about what is not as expected."""
    known, wrong, total = deviations(), [], Count()
    row("", Count.HEADS)
    for name, cases in groups:
        count = Count()
        for case in cases:
            line = count.add(case, verdicts.get(case.id, "missing"), known.get(case.id))
            wrong += [line] if line else []
        row(name, count.numbers())
        total += count
    row("all", total.numbers())
    for kind, number in sorted(total.classes.items()):
        print(f"{number:6} {kind}")
    return wrong


def judge_all(program, groups, rounds, pairs):
    """The verdicts, how many were reached after other clients, and the lines about what differs."""
    every = [case for _, cases in groups for case in cases]
    verdicts, notes, same = judge(program, every, rounds)
    results = [(notes, same)]
    if pairs:
        # Each directly after each other one: the cases of one subject, and some of all.
        mixed = every[::len(every) // PAIRS_MAX + 1]
        for cases in [cases for _, cases in groups if len(cases) <= PAIRS_MAX] + [mixed]:
            results.append(judge(program, cases, 1)[1:])
    wrong = [note for notes, _ in results for note in notes if note.startswith("!")]
    if not all(same for _, same in results):
        wrong.append("the judge found differences, or failed")
    # "= 194 cases, 970 judgements in other orders, 0 differences"
    again = sum(int(note.split()[3]) for notes, _ in results for note in notes
                if note.startswith("="))
    return verdicts, again, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("judge")
    parser.add_argument("--limbo", help="the cases of x509-limbo")
    parser.add_argument("--rounds", type=int, default=5, help="random orders (5)")
    parser.add_argument("--quick", action="store_true", help="a sample, in one other order")
    parser.add_argument("--skip", help="leave out the cases with this text in their names")
    parser.add_argument("--all", action="store_true", help="print every case and verdict")
    options = parser.parse_args()
    groups = list(own_cases(options.quick))
    if options.skip:
        groups = [(name, [case for case in cases if options.skip not in case.id])
                  for name, cases in groups]
    if options.limbo:
        groups.insert(0, ("x509-limbo", limbo_cases(options.limbo)))
    verdicts, again, wrong = judge_all(options.judge, groups, 1 if options.quick
                                       else options.rounds, not options.quick)
    different = sum(line.startswith("!") for line in wrong)
    if options.all:
        for _, cases in groups:
            print(*(f"{case.id} {verdicts.get(case.id)} ({case.why})" for case in cases), sep="\n")
    wrong += compare(groups, verdicts)
    print(f"{again} judgements after other clients, {different} of them different", *wrong,
          sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
