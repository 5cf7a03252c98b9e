"""Tests that are programs on the host: unit tests (cmocka) and tests of the tools (unittest)."""

import re
import subprocess
import sys
import time

from . import Result

TIMEOUT_SECONDS = 600


class Program:
    """A test program; count(output) returns how many tests it ran and how many of them passed."""

    def __init__(self, name, command, folder, count):
        self.name = name
        self._command = command
        self._folder = folder
        self._count = count

    def run(self):
        """Run it."""
        started = time.monotonic()
        try:
            done = subprocess.run(self._command, cwd=self._folder, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=TIMEOUT_SECONDS)
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as error:
            status, output = None, error.stdout or b""
        except OSError as error:
            status, output = None, str(error).encode()
        text = output.decode(errors="replace")
        ran, passed = self._count(text)
        failed = ran - passed
        reason = f"{failed} of {ran} failed"
        if status is None:
            reason = "it could not be run to its end"
        elif ran == 0:
            reason = "it ran no test"
        elif status != 0 and failed == 0:
            reason = f"exit status {status} although its tests passed"
        elif status == 0 and failed != 0:
            reason = f"{failed} of {ran} did not report success"
        if failed == 0 and (status != 0 or ran == 0):
            failed = 1
        return Result(self.name, passed, failed, time.monotonic() - started, reason,
                      f"{passed} tests", text.splitlines())


def _count_cmocka(text):
    return (len(re.findall(r"^\[ RUN      \]", text, re.MULTILINE)),
            len(re.findall(r"^\[       OK \]", text, re.MULTILINE)))


def _count_unittest(text):
    ran = re.search(r"^Ran (\d+) tests?", text, re.MULTILINE)
    ran = int(ran.group(1)) if ran else 0
    bad = re.search(r"^FAILED \((.*)\)", text, re.MULTILINE)
    numbers = re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", bad.group(1)) if bad else ()
    return ran, ran - sum(int(number) for number in numbers)


def unit_tests(root, build):
    """tests/unit/test_*.c, built into build/unit."""
    return [Program(f"unit/{source.stem}", [build / "unit" / source.stem], root, _count_cmocka)
            for source in sorted((root / "tests" / "unit").glob("test_*.c"))]


def tool_tests(root, _build):
    """tests/tools/test_*.py."""
    return [Program(f"tools/{source.stem}", [sys.executable, "-B", source], root, _count_unittest)
            for source in sorted((root / "tests" / "tools").glob("test_*.py"))]
