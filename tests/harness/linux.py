"""Workloads as programs of Linux: run on this host, as tests/linux/NAME.ini says."""

import configparser
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from runner import UsageError

from . import Result
from .boot import find_in_order, read_report

VARIANTS = ("plain", "asan", "tsan")
ENDS = ("ok", "failed")
DEFAULTS = {
    "workload": "", "args": "", "vcpus": "1", "variants": "plain", "env": "", "timeout": "60",
    "expect": "", "forbid": "", "end": "ok", "disk": "0",
}
# What a sanitizer says makes every run fail, however it should end.
SANITIZERS = r"ERROR: AddressSanitizer|WARNING: ThreadSanitizer|: runtime error: "
EXIT_LACKING = 77  # of a program: this machine lacks what the run is about
# ThreadSanitizer's map of the address space leaves no room for more (mmap_rnd_bits of proc(5)).
TSAN_RANDOM_BITS = 28
RANDOM_BITS = Path("/proc/sys/vm/mmap_rnd_bits")


def _lines(value):
    return [line.strip() for line in value.splitlines() if line.strip()]


def judge(settings, status, lines):
    """Why a run with this exit status and these lines is not what its settings want, or None."""
    report = read_report(lines)
    if report.failures:
        return f"{len(report.failures)} checks failed, first: {report.failures[0]}"
    for pattern in [SANITIZERS, *_lines(settings["forbid"])]:
        hit = next((line for line in lines if re.search(pattern, line)), None)
        if hit is not None:
            return f"the output has /{pattern}/: {hit}"
    if (status == 0) != (settings["end"] == "ok"):
        return f"it should have ended '{settings['end']}', but its exit status is {status}"
    absent = find_in_order(_lines(settings["expect"]), lines)
    if absent is not None:
        return f"the output lacks /{absent}/ (in this order)"
    if report.planned and sum(report.planned) != report.passed:
        return f"{sum(report.planned)} checks announced, {report.passed} reported"
    return None


class LinuxTest:
    """One run of a program in one variant."""

    def __init__(self, ini, build, title, settings, variant):
        name = title.split(" ", 1)[1]
        self.name = f"linux/{ini.stem} [{name}{'' if variant == 'plain' else ', ' + variant}]"
        self._settings = settings
        folder = build / "linux" / ("" if variant == "plain" else variant)
        self._command = [str(folder / (settings["workload"] or ini.stem)), *settings["args"].split()]
        self._variant = variant

    def _run(self):
        """With a disk of zeros, where one is wanted."""
        size = int(self._settings["disk"]) << 20
        if not size:
            return self._run_with({})
        with tempfile.NamedTemporaryFile() as disk:
            disk.truncate(size)
            return self._run_with({"TRAPLINE_DISK": disk.name})

    def _run_with(self, disk):
        command = self._command
        if self._variant == "tsan" and RANDOM_BITS.exists() and \
                int(RANDOM_BITS.read_text()) > TSAN_RANDOM_BITS:
            command = ["setarch", "-R", *command]
        added = dict(word.split("=", 1) for word in self._settings["env"].split())
        return subprocess.run(command, env={**os.environ, "VCPUS": self._settings["vcpus"], **disk, **added},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=int(self._settings["timeout"]))

    def run(self):
        """Run and judge."""
        started = time.monotonic()
        try:
            done = self._run()
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as error:
            status, output = "time-out", error.stdout or b""
        except OSError as error:
            return Result(self.name, 0, 1, time.monotonic() - started, str(error))
        seconds = time.monotonic() - started
        lines = output.decode(errors="replace").splitlines()
        if status == EXIT_LACKING:
            return Result(self.name, 0, 0, seconds, "", f"left out: {lines[-1] if lines else ''}")
        wrong = "it did not end in time" if status == "time-out" else judge(self._settings, status, lines)
        checks = read_report(lines).passed
        return Result(self.name, 0 if wrong else 1, 1 if wrong else 0, seconds, wrong or "",
                      f"{checks} checks" if checks else "", lines)


def _check_settings(where, settings):
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]} (allowed: {', '.join(DEFAULTS)})")
    for variant in settings["variants"].split():
        if variant not in VARIANTS:
            raise UsageError(f"{where}: variants has {variant} (allowed: {', '.join(VARIANTS)})")
    if settings["end"] not in ENDS or not settings["variants"].split():
        raise UsageError(f"{where}: end = {' or '.join(ENDS)}, and there is a variant at least")
    for key in ("vcpus", "timeout", "disk"):
        if not settings[key].isdigit():
            raise UsageError(f"{where}: {key} = {settings[key]} is no number")
    if any("=" not in word for word in settings["env"].split()):
        raise UsageError(f"{where}: env is words NAME=value")
    for pattern in [*_lines(settings["expect"]), *_lines(settings["forbid"])]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{where}: /{pattern}/: {error}") from None


def read_runs(ini, build):
    """The runs of one .ini."""
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",))
    try:
        parser.read_string(ini.read_text(), str(ini))
    except configparser.Error as error:
        raise UsageError(str(error).replace("\n", " ")) from None
    titles = [title for title in parser.sections() if title != "test"]
    if not titles:
        raise UsageError(f"{ini}: no section [run NAME]")
    for title in titles:
        if not re.fullmatch(r"run \S.*", title):
            raise UsageError(f"{ini}: unknown section [{title}] (allowed: test, run NAME)")
        shared = parser["test"] if "test" in parser else {}
        settings = {**DEFAULTS, **shared, **parser[title]}
        _check_settings(f"{ini} [{title}]", settings)
        for variant in settings["variants"].split():
            yield LinuxTest(ini, build, title, settings, variant)


def linux_tests(root, build):
    """tests/linux/*.ini."""
    return [test for ini in sorted((root / "tests" / "linux").glob("*.ini")) for test in read_runs(ini, build)]
