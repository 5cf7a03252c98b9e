"""Model tests: spin searches every run of a Promela model, and finds the mistakes put into it."""

import configparser
import re
import subprocess
import tempfile
import time
from pathlib import Path

from runner import UsageError

from . import Result

TIMEOUT_SECONDS = 600
MEMORY_MIB = 3000
DEPTH = 100000
# No liveness, so a smaller verifier; states are stored compressed.
COMPILE = ["gcc", "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB}"]
FINDS = {"assertion": "assertion violated", "deadlock": "invalid end state"}
KEYS = {"run": {"define"}, "mistake": {"define", "finds"}}


def judge(output, finds):
    """Why the verifier's output is not what is wanted, or None. finds: None, or a key of FINDS."""
    errors = re.search(r"errors: (\d+)", output)
    if not errors:
        return "the verifier did not come to its end"
    found = [name for name, text in FINDS.items() if f"pan:1: {text}" in output]
    if finds:
        return None if found == [finds] else f"it should find: {finds}; it found: {found or 'nothing'}"
    if errors.group(1) != "0":
        return f"it found: {' '.join(found) or 'an error'}"
    if "Search not completed" in output or "max search depth too small" in output:
        return "the search was not complete"
    return None


class ModelTest:
    """One section of a model's .ini: a complete search, or one for a mistake."""

    def __init__(self, model, title, settings):
        kind, name = title.split(" ", 1)
        self.name = f"model/{model.stem} [{name}]"
        self._model = model
        self._defines = [f"-D{word}" for word in settings["define"].split()]
        self._finds = settings["finds"] if kind == "mistake" else None

    def _search(self, folder):
        """The verifier's output."""
        output = ""
        for command in (["spin", "-a", *self._defines, self._model], [*COMPILE, "-o", "pan", "pan.c"],
                        ["./pan", f"-m{DEPTH}", "-n"]):
            done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=TIMEOUT_SECONDS)
            output += done.stdout.decode(errors="replace")
            if done.returncode != 0 and command[0] != "./pan":
                break
        return output

    def run(self):
        """Search and judge."""
        started = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="trapline-model.") as folder:
                output = self._search(folder)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Result(self.name, 0, 1, time.monotonic() - started, str(error))
        wrong = judge(output, self._finds)
        states = re.search(r"^\s*(\S+) states, stored", output, re.MULTILINE)
        detail = f"{self._finds} found" if self._finds else f"{states.group(1) if states else 0} states"
        return Result(self.name, 0 if wrong else 1, 1 if wrong else 0, time.monotonic() - started,
                      wrong or "", detail, output.splitlines())


def _read_runs(ini):
    parser = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",))
    try:
        parser.read_string(ini.read_text(), str(ini))
    except configparser.Error as error:
        raise UsageError(str(error).replace("\n", " ")) from None
    for title in parser.sections():
        keys = KEYS.get(title.split(" ")[0])
        if not keys or " " not in title or set(parser[title]) != keys:
            raise UsageError(f"{ini}: [{title}] is not [run NAME] with define, or [mistake NAME] "
                             "with define and finds")
        if parser[title].get("finds", "deadlock") not in FINDS:
            raise UsageError(f"{ini}: [{title}]: finds is one of {', '.join(FINDS)}")
        yield ModelTest(ini.with_suffix(".pml"), title, parser[title])


def model_tests(root, _build):
    """tests/model/*.pml, as the .ini beside each says."""
    return [test for ini in sorted((root / "tests" / "model").glob("*.ini")) for test in _read_runs(ini)]
