#!/usr/bin/env python3
"""Sums up meson's test logs in one line: `N passed, N failed`.

Counts single tests where the program prints how many it ran (Check, Python's unittest), and a
program that does not as one. What was skipped or did not finish is named.
"""
import json
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in ", re.M)
UNITTEST_BAD = re.compile(r"(?:failures|errors|unexpected successes)=(\d+)")
UNITTEST_SKIPPED = re.compile(r"\bskipped=(\d+)")


def counts(output):
    """(passed, failed, skipped) as the program itself reports."""
    passed = failed = skipped = 0
    for match in CHECK.finditer(output):
        checks, failures, errors = map(int, match.groups())
        passed += checks - failures - errors
        failed += failures + errors
    for match in UNITTEST.finditer(output):
        verdict = output[match.end():].split("\nRan ", 1)[0]
        bad = sum(map(int, UNITTEST_BAD.findall(verdict)))
        skips = sum(map(int, UNITTEST_SKIPPED.findall(verdict)))
        passed += int(match.group(1)) - bad - skips
        failed += bad
        skipped += skips
    return passed, failed, skipped


def judge(test):
    """(passed, failed, skipped) of one line of the log, meson's own verdict included."""
    passed, failed, skipped = counts(test.get("stdout", "") + "\n" + test.get("stderr", ""))
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    if test["result"] == "SKIP":
        return passed, failed, max(skipped, 1)
    if good and passed + failed + skipped == 0:
        return 1, 0, 0
    if not good and failed == 0:
        return passed, 1, skipped
    return passed, failed, skipped


def main(logs):
    total = [0, 0, 0]
    for log in logs:
        try:
            with open(log, encoding="utf-8") as lines:
                tests = [json.loads(line) for line in lines]
        except FileNotFoundError:
            print(f"{log}: this build was not tested")
            total[1] += 1
            continue
        for test in tests:
            result = judge(test)
            total = [a + b for a, b in zip(total, result)]
            if result[1]:
                print(f"{log.split('/')[0]}: {test['name']}: {test['result']}, {result[1]} failed")
    if total[2]:
        print(f"{total[2]} skipped")
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
