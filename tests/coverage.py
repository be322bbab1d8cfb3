#!/usr/bin/env python3
"""Sums up gcovr's JSON of src/: how many lines of each room the tests execute, and which they do
not. Fails below what the project asks for.

    gcovr --root . --json - build-coverage/src build-coverage/postern.p | tests/coverage.py
"""
import collections
import json
import sys

WANTED = 92  # percent of all lines


def ranges(numbers):
    """[1, 2, 3, 7] as "1-3, 7"."""
    out = []
    for number in numbers:
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return ", ".join(f"{a}-{b}" if a < b else str(a) for a, b in out)


def main():
    files = {}
    for file in json.load(sys.stdin)["files"]:
        if file["file"].startswith("src/"):
            lines = {line["line_number"]: line["count"] for line in file["lines"]
                     if not line.get("gcovr/noncode")}
            files[file["file"]] = lines
    rooms = collections.defaultdict(lambda: [0, 0])
    for name, lines in sorted(files.items()):
        missing = sorted(number for number, count in lines.items() if count == 0)
        parts = name.split("/")
        room = rooms[parts[1] if len(parts) > 2 else "main"]
        room[0] += len(lines) - len(missing)
        room[1] += len(lines)
        if missing:
            print(f"{name}: {ranges(missing)}")
    rooms["all"] = [sum(room[i] for room in rooms.values()) for i in (0, 1)]
    for room, (executed, count) in rooms.items():
        print(f"{room:8} {executed:5} of {count:5} lines  {100 * executed / count:5.1f} %")
    executed, count = rooms["all"]
    return 0 if 100 * executed >= WANTED * count else 1


if __name__ == "__main__":
    sys.exit(main())
