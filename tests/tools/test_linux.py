"""Tests of how programs for Linux are run and judged."""

import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

from harness.linux import DEFAULTS, judge, read_runs
from runner import UsageError


class JudgeTest(unittest.TestCase):
    """An exit status and lines against what a run is to be."""

    @staticmethod
    def wrong(status, *lines, **settings):
        return judge({**DEFAULTS, **settings}, status, list(lines))

    def test_the_end(self):
        self.assertIsNone(self.wrong(0, "fine"))
        self.assertIn("status is 1", self.wrong(1, "fine"))
        self.assertIsNone(self.wrong(1, "no", end="failed"))
        self.assertIsNone(self.wrong(-11, "no", end="failed"))
        self.assertIsNotNone(self.wrong(0, "fine", end="failed"))

    def test_a_sanitizers_report_fails_whatever_was_expected(self):
        for report in ("WARNING: ThreadSanitizer: data race (pid=1)", "x.c:1:2: runtime error: shift",
                       "==1==ERROR: AddressSanitizer: heap-use-after-free"):
            self.assertIn("Sanitizer", self.wrong(66, report, end="failed"))
            self.assertIn("Sanitizer", self.wrong(0, report))

    def test_expect_and_forbid(self):
        self.assertIsNone(self.wrong(0, "a 1", "b 2", expect="^a\n^b"))
        self.assertIn("lacks /^a/", self.wrong(0, "b 2", "a 1", expect="^b\n^a\n^a"))
        self.assertIn("has /2$/", self.wrong(0, "b 2", forbid="2$"))

    def test_checks(self):
        self.assertIsNone(self.wrong(0, "1..2", "ok a", "ok b"))
        self.assertIn("announced", self.wrong(0, "1..2", "ok a"))
        self.assertIn("checks failed", self.wrong(0, "1..2", "ok a", "not ok b: it is not"))


class RunTest(unittest.TestCase):
    """An .ini and what comes of it; the program is a script."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def runs(self, text, script=""):
        ini = self.folder / "prog.ini"
        ini.write_text(text)
        for folder in ("linux", "linux/asan"):
            (self.folder / folder).mkdir(exist_ok=True)
            program = self.folder / folder / "prog"
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        return list(read_runs(ini, self.folder))

    def test_what_the_program_gets(self):
        runs = self.runs("[test]\nvcpus = 3\n[run one]\nargs = a b=c\nenv = X=1 Y=2\n"
                         "variants = plain asan\nexpect = ^a b=c 3 1 2$\n", 'echo "$*" $VCPUS $X $Y')
        self.assertEqual([run.name for run in runs], ["linux/prog [one]", "linux/prog [one, asan]"])
        for run in runs:
            result = run.run()
            self.assertEqual((result.passed, result.failed), (1, 0), result.reason)

    def test_a_machine_that_lacks_something_is_no_failure(self):
        result = self.runs("[run one]\n", "echo no such thing; exit 77")[0].run()
        self.assertEqual((result.passed, result.failed), (0, 0))
        self.assertIn("no such thing", result.detail)

    def test_a_run_that_does_not_end(self):
        result = self.runs("[run one]\ntimeout = 1\n", "exec sleep 100")[0].run()
        self.assertEqual(result.failed, 1)
        self.assertIn("in time", result.reason)

    def test_a_program_that_is_missing(self):
        result = self.runs("[run one]\nworkload = other\n")[0].run()
        self.assertEqual((result.passed, result.failed), (0, 1))

    def test_what_is_wrong_in_a_file(self):
        for text in ("", "[test]\n", "[variant x]\n", "[run x]\nkey = 1\n", "[run x]\nvariants = msan\n",
                     "[run x]\nvariants =\n", "[run x]\nend = maybe\n", "[run x]\nvcpus = many\n",
                     "[run x]\nenv = X\n", "[run x]\nexpect = (\n", "nothing\n"):
            with self.subTest(text=text), self.assertRaises(UsageError):
                self.runs(text)


if __name__ == "__main__":
    unittest.main()
