"""Reads what callgrind writes: https://valgrind.org/docs/manual/cl-format.html"""

import re

_CALLED = re.compile(r"cfn=\((\d+)\)(?: (.*))?$")
_NAMED = re.compile(r"fn=\((\d+)\) (.*)$")
_CALLS = re.compile(r"calls=(\d+) ")


class Dump:
    """What was counted between two marks.

    `events`: instructions are Ir, system calls sysCount. `calls(*names)`: how often these functions
    were called.
    """

    def __init__(self, text):
        lines = text.splitlines()
        names = self._after(lines, "events:")
        totals = self._after(lines, "totals:")
        # trailing zeros are left out
        self.events = dict.fromkeys(names, 0) | dict(zip(names, map(int, totals)))
        self._calls = self._count(lines)

    @staticmethod
    def _after(lines, word):
        for line in lines:
            if line.startswith(word):
                return line[len(word):].split()
        raise ValueError(f"no line '{word}' in what callgrind has written")

    @staticmethod
    def _count(lines):
        """A function has its name where its number is first seen, as caller or as called."""
        names, calls, called = {}, {}, None
        for line in lines:
            if line.startswith("cfn="):
                match = _CALLED.match(line)
                called = match[1]
                if match[2]:
                    names[called] = match[2]
            elif line.startswith("calls="):
                calls[called] = calls.get(called, 0) + int(_CALLS.match(line)[1])
            elif line.startswith("fn=") and (match := _NAMED.match(line)):
                names[match[1]] = match[2]
        total = {}
        for number, count in calls.items():
            name = names.get(number, "?").partition("'")[0]  # malloc'2 is a recursion
            total[name] = total.get(name, 0) + count
        return total

    def calls(self, *names):
        return sum(self._calls.get(name, 0) for name in names)
