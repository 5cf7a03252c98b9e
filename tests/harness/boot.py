"""Boot tests: a machine boots Trapline, and its console is compared with the test's test.ini."""

import configparser
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from runner import UsageError
from runner.bochs import DEFAULT_MODEL
from runner.compare import LIMIT, as_text, changes, read_rows, rows_by_name
from runner.disk import CHANNEL, MIB
from runner.kernel import find_kernel
from runner.linux import run_linux
from runner.machine import Machine, make_run_folder, run_machine
from runner.qemu import Qemu
from runner.settings import find_bochs
from runner.volume import FOLDER, conf_files, conf_on_exit, find_guest, volume_files

from . import Result

FOLDERS = ("boot", "hostile")
ENGINES = ("bochs", "qemu-novmx")
ENDS = ("ok", "failed", "cannot-start", "none")
QEMU_MODEL = "Skylake-Client-v4"  # what its emulation cannot do, VMX among that, is left out
MITIGATIONS_OFF = "off"
GUEST_NAME = re.compile(r"^\[[^\]]+\] ")

DEFAULTS = {
    "engine": "bochs", "models": "", "cpus": "1", "mem": "256", "timeout": "120",
    "guests": "", "args": "", "guest_mem": "64", "vcpus": "1", "time_limit": "", "tables": "",
    "disable": "", "measure": "", "on_exit": "shutdown", "disk": "", "boots": "1", "conf": "", "missing": "no", "end": "ok", "reason": "",
    "report": "", "expect": "", "forbid": "", "after": "", "rows": "", "baseline": "", "matrix": "no",
    "linux": "",
}


@dataclass
class Report:
    """What the test's guests said about their checks."""

    passed: int
    failures: list
    planned: list


def read_report(lines):
    """The lines "ok NAME", "not ok NAME: why" and "1..N" (the number of checks a guest makes); where
    there are several guests, with "[GUEST] " before them."""
    lines = [GUEST_NAME.sub("", line).lstrip() for line in lines]
    passed = sum(1 for line in lines if re.match(r"ok \S", line))
    failures = [line for line in lines if line.startswith("not ok")]
    planned = [int(line[3:]) for line in lines if re.fullmatch(r"1\.\.\d+", line)]
    return Report(passed, failures, planned)


def find_in_order(patterns, lines):
    """The first of the regular expressions that no line after those of the others matches."""
    at = 0
    for pattern in patterns:
        while at < len(lines) and not re.search(pattern, lines[at]):
            at += 1
        if at == len(lines):
            return pattern
        at += 1
    return None


ROW_TEXT = ("name", "mode", "unit", "per")
ROW_NUMBERS = ("n", "min", "median", "p99", "exits", "flushes", "ipis")


def rows_wrong(rows, wanted):
    """Why the result rows are not those with the wanted names, each whole and once; or None."""
    names = [row.get("name") for row in rows]
    for name in wanted:
        if names.count(name) != 1:
            return f"{names.count(name)} result rows are called {name}"
    extra = sorted(str(name) for name in names if name not in wanted)
    if extra:
        return f"a result row that nobody asked for: {extra[0]}"
    for row in rows:
        fields = [key for key in ROW_TEXT if not isinstance(row.get(key), str)]
        fields += [key for key in ROW_NUMBERS if not isinstance(row.get(key), (int, float))]
        if fields:
            return f"result row {row['name']}: {fields[0]} is missing or of a wrong kind"
    return None


def baseline_wrong(path, rows):
    """Why the rows are not what the baseline in a file has, give or take what may change; or None."""
    old, new = read_rows(path), rows_by_name(rows)
    risen = [str(change) for change in changes(old, new) if change.beyond(LIMIT)]
    if risen:
        return (f"{'; '.join(risen)}: more than {LIMIT} % above {path.name}. If this is to be, "
                "make bench-accept takes the new figures")
    lone = sorted(set(old) ^ set(new))
    return f"make bench-accept: only one of the run and {path.name} has {lone[0]}" if lone else None


def _lines(value):
    return [line.strip() for line in value.splitlines() if line.strip()]


class BootTest:
    """One test.ini on one model in one variant."""

    def __init__(self, folder, build, settings, variant, model):
        tests = folder.parent.parent
        self._path = folder.relative_to(tests)
        self._folder = folder
        self._build = build
        self._settings = settings
        self._model = model
        self._kernel = None  # of Linux
        marks = " ".join(mark for mark in (model, variant) if mark)
        self.name = str(self._path) + (f" [{marks}]" if marks else "")

    def _own_guests(self):
        return sorted(source.stem for source in self._folder.glob("*.c"))

    def _conf(self):
        """The configuration's text and the images."""
        s = self._settings
        own = self._build / "tests" / self._path
        guests = self._build / "guests"
        if s["conf"]:
            text = (self._folder / s["conf"]).read_text(encoding="latin-1")
            return text, conf_files(text, (own, guests), s["missing"] == "yes")
        text = f"on_exit = {s['on_exit']}\n"
        for key in ("disable", "measure"):
            if s[key]:
                text += f"{key} = {s[key]}\n"
        images = {}
        for name in s["guests"].split() or self._own_guests():
            built = own / f"{name}.elf"
            images[f"{FOLDER}/{name}.elf"] = built if built.is_file() else find_guest(name, guests)
            text += (f"\n[guest {name}]\nimage = \\{FOLDER}\\{name}.elf\n"
                     f"memory = {s['guest_mem']}M\nvcpus = {s['vcpus']}\nargs = {s['args']}\n")
            for key in ("time_limit", "tables"):
                if s[key]:
                    text += f"{key} = {s[key]}\n"
            if s["disk"] and len(images) == 1:
                text += f"disk = {CHANNEL}\n"
        return text, images

    def _boot(self, disk):
        s = self._settings
        if s["engine"] == "bochs":
            engine, model = find_bochs(), self._model or DEFAULT_MODEL
        else:
            engine, model = Qemu("qemu-novmx"), self._model or QEMU_MODEL
        machine = Machine(model, int(s["cpus"]), int(s["mem"]), disk=disk)
        engine.check(machine)
        if s["linux"]:
            return self._boot_linux(engine, machine)
        text, images = self._conf()
        files = volume_files(self._build, text.encode("latin-1"), images)
        folder = make_run_folder(self._build / "runs")
        outcome = run_machine(engine, machine, files, folder, int(s["timeout"]),
                              conf_on_exit(text) == "shutdown", lambda line: None,
                              lambda started: None, re.compile(s["after"]) if s["after"] else None)
        (folder / "console.txt").write_text("\n".join(outcome.transcript.lines) + "\n")
        return outcome

    def _boot_linux(self, engine, machine):
        folder = make_run_folder(self._build / "runs")
        return run_linux(engine, machine, self._kernel, _lines(self._settings["linux"]), folder,
                         int(self._settings["timeout"]), MITIGATIONS_OFF, lambda line: None, lambda started: None,
                         self._build)

    def _boots(self):
        """The boots, each with the disk as the one before has left it, up to one that ended as it
        should not; the last one's outcome, and the console of all of them."""
        s = self._settings
        lines, seconds = [], 0
        with tempfile.TemporaryDirectory(prefix="disk-", dir=self._build) as folder:
            disk = None
            if s["disk"]:
                disk = Path(folder, "image")
                with open(disk, "wb") as out:
                    out.truncate(int(s["disk"]) * MIB)
            for _ in range(int(s["boots"])):
                outcome = self._boot(disk)
                lines += outcome.transcript.lines
                seconds += outcome.seconds
                if outcome.verdict != self._wanted():
                    break
        return outcome, lines, seconds

    def _wanted(self):
        """The verdict that the test wants."""
        return {"none": "timeout"}.get(self._settings["end"], self._settings["end"])

    def _wrong(self, outcome, lines, report):
        """Why the outcome is not what the test wants, or None."""
        s = self._settings
        wanted = self._wanted()
        if report.failures:
            return f"{len(report.failures)} checks failed, first: {report.failures[0]}"
        if outcome.verdict != wanted:
            said = f": {outcome.reason}" if outcome.reason else ""
            return f"it should have ended '{wanted}', but ended '{outcome.verdict}'{said}"
        if s["reason"] and not re.search(s["reason"], outcome.reason or ""):
            return f"the reason is not /{s['reason']}/ but: {outcome.reason}"
        if s["after"] and not any(re.search(s["after"], line) for line in lines):
            return f"after its verdict the console lacks /{s['after']}/"
        absent = find_in_order(_lines(s["expect"]), lines)
        if absent is not None:
            return f"the console lacks /{absent}/ (in this order)"
        for pattern in _lines(s["forbid"]):
            hit = next((line for line in lines if re.search(pattern, line)), None)
            if hit is not None:
                return f"the console has /{pattern}/: {hit}"
        if s["rows"]:
            wrong = rows_wrong(outcome.transcript.rows, s["rows"].split())
            if wrong is not None:
                return wrong
        if s["baseline"]:
            wrong = self._against_baseline(outcome.transcript.rows)
            if wrong is not None:
                return wrong
        needs_report = s["report"] == "yes" or (s["report"] != "no" and self._own_guests())
        if needs_report and report.passed == 0:
            return "no guest reported any check"
        if report.planned and sum(report.planned) != report.passed:
            return f"{sum(report.planned)} checks announced, {report.passed} reported"
        return None

    def _against_baseline(self, rows):
        path = self._folder / self._settings["baseline"]
        if os.environ.get("ACCEPT"):
            path.write_text(as_text(rows))
        return baseline_wrong(path, rows)

    def run(self):
        """Boot and judge. Where Linux is to be booted and its kernel cannot be had, as without a network, it is left out."""
        started = time.monotonic()
        if self._settings["linux"]:
            try:
                self._kernel = find_kernel(self._build)
            except UsageError as error:
                return Result(self.name, 0, 0, time.monotonic() - started, "", f"left out: {error}")
        try:
            outcome, lines, seconds = self._boots()
        except (UsageError, OSError, ValueError) as error:
            return Result(self.name, 0, 1, time.monotonic() - started, str(error))
        report = read_report(lines)
        try:
            wrong = self._wrong(outcome, lines, report)
        except UsageError as error:
            wrong = str(error)
        detail = f"{report.passed} checks" if report.passed else ""
        return Result(self.name, 0 if wrong else 1, 1 if wrong else 0, seconds,
                      wrong or "", detail, lines)


def _check_settings(where, settings):
    unknown = sorted(set(settings) - set(DEFAULTS))
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]} (allowed: {', '.join(DEFAULTS)})")
    for key, allowed in (("engine", ENGINES), ("end", ENDS), ("missing", ("yes", "no")),
                         ("matrix", ("yes", "no")), ("report", ("", "yes", "no"))):
        if settings[key] not in allowed:
            raise UsageError(f"{where}: {key} = {settings[key]} (allowed: {', '.join(allowed)})")
    for pattern in [settings["reason"], settings["after"], *_lines(settings["expect"]), *_lines(settings["forbid"])]:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{where}: /{pattern}/: {error}") from None


def _read_test(ini, build, model_of_matrix):
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",))
    try:
        parser.read_string(ini.read_text(), str(ini))
    except configparser.Error as error:
        raise UsageError(str(error).replace("\n", " ")) from None
    if "test" not in parser:
        raise UsageError(f"{ini}: no section [test]")
    variants = [name for name in parser.sections() if name != "test"]
    for variant in variants:
        if not variant.startswith("variant "):
            raise UsageError(f"{ini}: unknown section [{variant}] (allowed: test, variant NAME)")
    for variant in variants or [""]:
        settings = {**DEFAULTS, **parser["test"], **(parser[variant] if variant else {})}
        _check_settings(ini, settings)
        models = settings["models"].replace(",", " ").split()
        if model_of_matrix:
            models = [model_of_matrix] if settings["matrix"] == "yes" else []
        elif not models:
            models = [""]
        for model in models:
            yield BootTest(ini.parent, build, settings, variant[len("variant "):], model)


def boot_tests(root, build, model_of_matrix=None):
    """The tests below tests/boot and tests/hostile. model_of_matrix: only those with matrix = yes,
    on this model."""
    tests = []
    for folder in FOLDERS:
        for path in sorted(Path(root, "tests", folder).glob("*/")):
            if not (path / "test.ini").is_file():
                raise UsageError(f"{path} has no test.ini")
            tests += _read_test(path / "test.ini", build, model_of_matrix)
    return tests
