"""Unit tests of results.json: what is read, what is refused, what takes whose place."""

import json
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from runner import UsageError
from runner.results import RUN, describe, identity, merge, parse_results, read_results, write_results

ROW = {"name": "trap", "mode": "exit", "unit": "tsc", "per": "fault", "n": 5, "min": 20, "median": 23, "p99": 30,
       "exits": 0, "flushes": 0, "ipis": 0}


def run(**more):
    """A run with one row."""
    return {**RUN, "engine": "bochs", "model": "m", "rows": [ROW], **more}


def text(*runs, schema=2):
    """A file's text."""
    return json.dumps({"schema": schema, "runs": list(runs)})


class ResultsTest(unittest.TestCase):
    """Of texts."""

    def test_a_run_is_read_whole(self):
        linux = run(system="linux", kernel="6.1", mitigations="off", cpus=2, others=1)
        self.assertEqual(parse_results(text(run(), linux), "f"), [run(), linux])

    def test_a_file_of_schema_1_is_one_run(self):
        old = {"schema": 1, "engine": "bochs", "model": "m", "guest": "bench", "rows": [ROW]}
        self.assertEqual(parse_results(json.dumps(old), "f"), [run()])

    def test_what_a_row_may_leave_out(self):
        short = {"name": "trap", "mode": "exit", "unit": "tsc", "median": 23}
        row, = parse_results(text(run(rows=[short])), "f")[0]["rows"]
        self.assertEqual(row, {**short, "per": "op", "n": 1, "min": 23, "p99": 23, "exits": 0, "flushes": 0, "ipis": 0})

    def test_what_is_refused_and_why(self):
        for bad, why in (("", "is no results.json"), ("[]", "schema 1 or 2"), ("3", "schema 1 or 2"),
                         (text(schema=3), "schema 1 or 2"), ('{"schema": 2}', "has no runs"),
                         (text(3), "run 1 has no rows"), (text(run(), run(rows=None)), "run 2 has no rows"),
                         (text(run(system="dos")), "trapline or linux"), (text(run(engine=3)), "engine is no text"),
                         (text(run(cpus="2")), "cpus is no number"), (text(run(rows=[3])), "row 1 is no object"),
                         (text(run(rows=[dict(ROW, name=None)])), "name is no text"),
                         (text(run(rows=[ROW, dict(ROW, median=-1)])), "row 2: median is no number"),
                         (text(run(rows=[dict(ROW, exits=float("nan"))])), "exits is no number"),
                         (text(run(rows=[dict(ROW, ipis=True)])), "ipis is no number")):
            with self.assertRaises(UsageError, msg=bad) as raised:
                parse_results(bad, "f")
            self.assertIn(why, str(raised.exception))
            self.assertIn("f", str(raised.exception))

    def test_the_same_run_made_again_takes_the_place_of_the_first(self):
        again = run(seconds=5)
        self.assertEqual(merge([run(), run(cpus=2)], [again, run(cpus=4)]), [again, run(cpus=2), run(cpus=4)])

    def test_what_makes_another_run(self):
        for key, value in (("system", "linux"), ("engine", "kvm"), ("model", "n"), ("cpus", 2), ("others", 1),
                           ("guest", "gc"), ("args", "quick"), ("disable", "ve"), ("mitigations", "on"), ("mem", 9)):
            self.assertNotEqual(identity(run()), identity(run(**{key: value})), key)
        self.assertEqual(identity(run()), identity(run(seconds=9, commit="x", rows=[])))

    def test_a_run_in_words(self):
        self.assertEqual(describe(run()), "Trapline, bochs m, 1 CPU")
        self.assertEqual(describe(run(system="linux", cpus=2, others=1, mitigations="on", guest="gc")),
                         "Linux, bochs m, 2 CPUs, 1 other running, mitigations on, gc")


class FileTest(unittest.TestCase):
    """Of files."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "new", "results.json")

    def test_what_is_written_is_read(self):
        write_results(self.path, [run(), run(cpus=2)], ROOT)
        self.assertEqual(read_results(self.path), [run(), run(cpus=2)])
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["results.json"])
        heading = json.loads(self.path.read_text())
        self.assertEqual(heading["schema"], 2)
        self.assertRegex(heading["made"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def test_files_that_cannot_be_read(self):
        self.path.parent.mkdir()
        with self.assertRaisesRegex(UsageError, "No such file"):
            read_results(self.path)
        self.path.write_bytes(b"\xff\xfe")
        with self.assertRaisesRegex(UsageError, "no text"):
            read_results(self.path)


if __name__ == "__main__":
    unittest.main()
