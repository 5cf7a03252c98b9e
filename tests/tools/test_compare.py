"""Unit tests of tools/compare and of the baseline that boot tests keep to."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

from harness.boot import baseline_wrong
from runner import UsageError
from runner.compare import as_text, changes, read_rows


def row(name, median, **figures):
    """A result row."""
    return {"name": name, "mode": "exit", "unit": "tsc", "n": 1, "min": median, "median": median,
            "p99": median, "exits": 1, "flushes": 0, "ipis": 0, "per": "op", **figures}


class CompareTest(unittest.TestCase):
    """Files in a folder of their own."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.path = Path(self._folder.name)

    def write(self, name, rows):
        """A results.json with these rows."""
        (self.path / name).write_text(json.dumps({"schema": 1, "rows": rows}))
        return self.path / name

    def compare(self, *arguments):
        """Run the tool."""
        return subprocess.run([ROOT / "tools" / "compare", *arguments], capture_output=True, text=True)

    def test_alike(self):
        """Nothing is said of what is the same."""
        old = self.write("old", [row("a", 100), row("b", 5)])
        done = self.compare(old, old)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "0 figures differ, 0 rose by more than 5 %\n")

    def test_limit(self):
        """5 % is allowed, more is not; less is shown."""
        old = self.write("old", [row("a", 100), row("b", 100), row("c", 100), row("d", 0)])
        new = self.write("new", [row("a", 105), row("b", 106), row("c", 50), row("d", 1)])
        done = self.compare(old, new)
        self.assertEqual(done.returncode, 1)
        self.assertIn("     a [exit]: median 100 -> 105 (+5.0 %)\n", done.stdout)
        self.assertIn("more b [exit]: median 100 -> 106 (+6.0 %)\n", done.stdout)
        self.assertIn("     c [exit]: median 100 -> 50 (-50.0 %)\n", done.stdout)
        self.assertIn("more d [exit]: median 0 -> 1\n", done.stdout)
        self.assertIn("4 figures differ, 2 rose", done.stdout)

    def test_events(self):
        """An exit more is a rise; a slice's end among some rounds is none."""
        old = self.write("old", [row("a", 100), row("b", 100)])
        new = self.write("new", [row("a", 100, exits=2), row("b", 100, exits=1.1)])
        done = self.compare(old, new)
        self.assertEqual(done.returncode, 1)
        self.assertIn("more a [exit]: exits 1 -> 2 (+100.0 %)\n", done.stdout)
        self.assertIn("     b [exit]: exits 1 -> 1.1", done.stdout)

    def test_other_rows(self):
        """Rows that one of them lacks are named; ratings are not ticks."""
        old = self.write("old", [row("a", 1), row("r", 400, unit="rating")])
        new = self.write("new", [row("b", 1), row("r", 900, unit="rating")])
        done = self.compare(old, new)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stdout.splitlines()[:2], ["gone a [exit]", "new  b [exit]"])

    def test_bad_files(self):
        """What is wrong is said in a line."""
        good = self.write("good", [row("a", 1)])
        (self.path / "text").write_text("rows")
        (self.path / "short").write_text('{"rows": [{"unit": "tsc"}]}')
        for bad in ("text", "short", "absent"):
            done = self.compare(good, self.path / bad)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"^compare: .*\n$")
        self.assertRegex(self.compare(good).stderr, "two files are compared")

    def test_round_trip(self):
        """A baseline that was written is read as what it was."""
        rows = [row("a", 1.5), row("r", 2, unit="rating"), row("b", 3, exits=2)]
        (self.path / "baseline").write_text(as_text(rows))
        self.assertEqual(read_rows(self.path / "baseline"), read_rows(self.write("all", rows)))
        self.assertEqual(changes(read_rows(self.path / "baseline"), read_rows(self.write("all", rows))), [])

    def test_boot_tests_baseline(self):
        """A rise fails the test and says how to accept it; a row without a counterpart, too."""
        (self.path / "baseline").write_text(as_text([row("a", 100)]))
        self.assertIsNone(baseline_wrong(self.path / "baseline", [row("a", 104)]))
        self.assertIn("a [exit]: median 100 -> 120", baseline_wrong(self.path / "baseline", [row("a", 120)]))
        self.assertIn("make bench-accept", baseline_wrong(self.path / "baseline", [row("a", 120)]))
        self.assertIn("b [exit]", baseline_wrong(self.path / "baseline", [row("a", 100), row("b", 1)]))
        with self.assertRaises(UsageError):
            baseline_wrong(self.path / "none", [])


if __name__ == "__main__":
    unittest.main()
