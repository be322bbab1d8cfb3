"""What is read from callgrind's files, and which counts are reported as changed."""

import unittest

import counts
from callgrind import Dump

TEXT = """\
# callgrind format
version: 1
pid: 7
desc: Trigger: Client Request
positions: line
events: Ir sysCount sysTime
fl=(1) a.c
fn=(1) serve
10 5
cfn=(2) malloc
calls=3 0
11 30
cfi=(2) b.c
cfn=(3) calloc
calls=2 0
12 20
fn=(4) other
cfn=(2)
calls=4 0
13 40
fn=(2)
20 70
cfn=(5) malloc'2
calls=1 0
21 5
totals: 170 12
"""


class Reading(unittest.TestCase):
    def setUp(self):
        self.dump = Dump(TEXT)

    def test_totals_have_the_names_of_the_events(self):
        self.assertEqual(self.dump.events, {"Ir": 170, "sysCount": 12, "sysTime": 0})

    def test_calls_of_a_function_are_those_of_all_its_callers(self):
        self.assertEqual(self.dump.calls("malloc"), 8)
        self.assertEqual(self.dump.calls("malloc", "calloc"), 10)
        self.assertEqual(self.dump.calls("realloc"), 0)

    def test_a_file_that_was_cut_is_refused(self):
        with self.assertRaises(ValueError):
            Dump(TEXT[:TEXT.index("totals")])


class Comparing(unittest.TestCase):
    REFERENCE = {"message": {"instructions": 10000, "system calls": 8, "allocations": 0}}

    def found(self, **changed):
        values = self.REFERENCE["message"] | {k.replace("_", " "): v for k, v in changed.items()}
        return counts.differences(self.REFERENCE, {"message": values})

    def test_within_the_tolerance_nothing_is_reported(self):
        self.assertEqual(self.found(instructions=10290), [])
        self.assertEqual(self.found(instructions=9710), [])

    def test_five_percent_are_reported(self):
        self.assertIn("+5.0 %", self.found(instructions=10500)[0])

    def test_a_reference_that_is_too_high_is_reported(self):
        self.assertIn("-5.0 %", self.found(instructions=9500)[0])

    def test_one_system_call_more_is_reported(self):
        self.assertEqual(len(self.found(system_calls=9)), 1)

    def test_an_allocation_where_there_was_none_is_reported(self):
        self.assertEqual(len(self.found(allocations=1)), 1)

    def test_work_without_a_reference_is_reported(self):
        self.assertIn("no reference", counts.differences({}, self.REFERENCE)[0])


if __name__ == "__main__":
    unittest.main()
