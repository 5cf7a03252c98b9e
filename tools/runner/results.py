"""results.json: what runs came to, of whatever system, on whatever machine.

{"schema": 2, "commit": ..., "made": ..., "runs": [RUN, ...]}, where a RUN has the keys of RUN below and its result rows,
each as guest/common/figures.c prints it. A file of schema 1 is one run of Trapline without the heading.
"""

import json
import math
import os
import re
import subprocess
import time
from pathlib import Path

from . import UsageError

SCHEMA = 2
OLD_SCHEMA = 1
TICKS = "tsc"

# What a run has, and what is taken where a file does not say.
RUN = {
    "system": "trapline",    # or "linux"
    "engine": "unknown",     # "bochs", "kvm"; "native": a program on the host's Linux; "bare": a machine booted from a stick
    "engine_version": None,
    "model": "unknown",      # of the CPU
    "cpus": 1,
    "others": 0,             # threads of the same program that spin meanwhile
    "mem": 0,                # MiB
    "guest": "bench",        # the program
    "args": "",
    "environment": "",       # of Linux' program: NAME=value ...
    "disable": "",           # features of the CPU left unused
    "kernel": None,          # of Linux
    "mitigations": None,     # of Linux: "on", "off"
    "commit": "unknown",
    "verdict": "ok",
    "reason": None,
    "seconds": 0,
    "rows": (),
}
# Two runs in which these are the same are the same run, made again.
IDENTITY = ("system", "engine", "model", "cpus", "others", "mem", "guest", "args", "environment", "disable", "kernel", "mitigations")
SYSTEMS = ("trapline", "linux")

ROW_TEXT = {"name": None, "mode": None, "unit": None, "per": "op"}
ROW_NUMBERS = {"n": 1, "min": None, "median": None, "p99": None, "exits": 0, "flushes": 0, "ipis": 0}


def commit(root):
    """The checkout's commit, with a + when files differ from it."""
    def git(*words):
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)
    try:
        head = git("rev-parse", "HEAD")
    except OSError:
        return "unknown"
    if head.returncode != 0:
        return "unknown"
    changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
    return head.stdout.strip() + ("+" if changed else "")


def spinning(args):
    """How many threads the microbenchmarks' arguments have spin meanwhile."""
    found = re.search(r"(?:^|\s)others=(\d+)(?:\s|$)", args)
    return int(found.group(1)) if found else 0


def record(engine, machine, root, **more):
    """The record of a run in an emulator. root: of the checkout. more: keys of RUN."""
    return {**RUN, "engine": engine.name, "engine_version": engine.version, "model": machine.model, "cpus": machine.cpus,
            "mem": machine.mem, "others": spinning(more["args"]), "commit": commit(root), **more}


def _number(value, least=0):
    return not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value) and value >= least


def whole_row(row, where):
    """The row with all of its keys. where: for the message when it is none."""
    if not isinstance(row, dict):
        raise UsageError(f"{where} is no object")
    whole = dict(row)
    for key, default in ROW_TEXT.items():
        whole[key] = row.get(key, default)
        if not isinstance(whole[key], str):
            raise UsageError(f"{where}: {key} is no text")
    for key, default in ROW_NUMBERS.items():
        value = row.get(key, row.get("median") if default is None else default)
        figure = default is None and whole["unit"] != TICKS  # what is saved, in percent, may be below 0
        if not _number(value, -math.inf if figure else 0):
            raise UsageError(f"{where}: {key} is no number{'' if figure else ' from 0 on'}")
        whole[key] = value
    return whole


def whole_run(run, where):
    """The run with all of its keys, its rows checked."""
    if not isinstance(run, dict) or not isinstance(run.get("rows"), list):
        raise UsageError(f"{where} has no rows")
    whole = {key: run.get(key, default) for key, default in RUN.items()}
    if whole["system"] not in SYSTEMS:
        raise UsageError(f"{where}: system {whole['system']!r}: {' or '.join(SYSTEMS)} is allowed")
    for key in ("engine", "model", "guest"):
        if not isinstance(whole[key], str):
            raise UsageError(f"{where}: {key} is no text")
    for key in ("cpus", "others", "mem"):
        if not _number(whole[key]):
            raise UsageError(f"{where}: {key} is no number from 0 on")
    whole["rows"] = [whole_row(row, f"{where}, row {number}") for number, row in enumerate(run["rows"], 1)]
    return whole


def _parse(text, name):
    """The heading and the runs of a results.json's text, as parse_results()."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{name} is no results.json: {error}") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema == OLD_SCHEMA:
        run = whole_run(found, name)
        return {"commit": run["commit"], "made": None}, [run]
    if schema != SCHEMA:
        raise UsageError(f"{name} is no results.json of schema {OLD_SCHEMA} or {SCHEMA}")
    if not isinstance(found.get("runs"), list):
        raise UsageError(f"{name} has no runs")
    runs = [whole_run(run, f"{name}, run {number}") for number, run in enumerate(found["runs"], 1)]
    return {key: found.get(key) for key in ("commit", "made")}, runs


def parse_results(text, name):
    """The runs of a results.json's text. name: of the file, for messages."""
    return _parse(text, name)[1]


def _read(path):
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: it is no text") from None


def read_results(path):
    """The runs of a results.json."""
    return parse_results(_read(path), str(path))


def read_with_heading(path):
    """The heading of a results.json, {"commit", "made"}, each None where the file does not say; and its runs."""
    return _parse(_read(path), str(path))


def identity(run):
    """What makes it another run than others."""
    return tuple(run[key] for key in IDENTITY)


def merge(runs, more):
    """The runs, those of them replaced that are among more, and the rest of more behind."""
    fresh = {identity(run): run for run in more}
    merged = [fresh.pop(identity(run), run) for run in runs]
    return merged + list(fresh.values())


def write_results(path, runs, root):
    """Write the file, at one moment. root: of the checkout whose commit it names."""
    heading = {"schema": SCHEMA, "commit": commit(root), "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(json.dumps({**heading, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)


def describe(run):
    """The run in a few words."""
    system = "Trapline" if run["system"] == "trapline" else "Linux"
    parts = [system, f"{run['engine']} {run['model']}", f"{run['cpus']} CPU{'s' if run['cpus'] != 1 else ''}"]
    if run["others"]:
        parts.append(f"{run['others']} other{'s' if run['others'] != 1 else ''} running")
    if run["mitigations"] == "on":
        parts.append("mitigations on")
    if run["disable"]:
        parts.append(f"without {run['disable']}")
    if run["guest"] != RUN["guest"]:
        parts.append(run["guest"])
    return ", ".join(parts)
