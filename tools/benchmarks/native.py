"""The Linux side of the microbenchmarks on this host itself."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path

from runner import UsageError
from runner.console import parse_row
from runner.results import RUN, commit, spinning

PROGRAM = "linux/bench"
CPUINFO = Path("/proc/cpuinfo")
CMDLINE = Path("/proc/cmdline")
MEMINFO = Path("/proc/meminfo")
KIB_PER_MIB = 1024


def _first(path, pattern, default):
    try:
        found = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        return default
    return found.group(1).strip() if found else default


def run_native(build, root, args, on_line):
    """Run the program with these arguments; on_line(text) is called for what it says to people. Returns the run's record."""
    program = Path(build, PROGRAM)
    if not program.is_file():
        raise UsageError(f"{program} is missing: run `make linux` first")
    rows, failures = [], []
    started = time.monotonic()
    with subprocess.Popen([program, *args.split()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          errors="replace") as process:
        for line in process.stdout:
            row = parse_row(line.rstrip("\n"))
            if row is None:
                on_line(line.rstrip("\n"))
            elif row:
                rows.append(row)
            else:
                failures.append(f"a malformed result line: {line[:60]}")
    if process.returncode:
        failures.insert(0, f"it ended with exit status {process.returncode}")
    return {**RUN, "system": "linux", "engine": "native", "model": _first(CPUINFO, r"^model name\s*:(.*)", "unknown"),
            "cpus": len(os.sched_getaffinity(0)), "others": spinning(args),
            "mem": int(_first(MEMINFO, r"^MemTotal:\s*(\d+)", "0")) // KIB_PER_MIB, "args": args,
            "kernel": platform.release(),
            "mitigations": "off" if "mitigations=off" in _first(CMDLINE, r"(.*)", "") else "on",
            "commit": commit(root), "verdict": "failed" if failures else "ok",
            "reason": failures[0] if failures else None, "seconds": round(time.monotonic() - started, 1), "rows": rows}
