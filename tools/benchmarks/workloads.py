"""The workloads as they are compared: each with the same arguments on both systems."""

import re
from dataclasses import dataclass

# Ways to protect a region's pages, {way} in arguments; of Linux with the first kernel that can.
TRAPLINE_WAYS = ("ept", "pt")
LINUX_WAYS = {"mprotect": (0, 0), "uffd": (6, 4)}


def linux_ways(release):
    """Those of a kernel by its release: "6.1.0-56-amd64"."""
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    return [way for way, first in LINUX_WAYS.items() if version >= first]


@dataclass
class Workload:
    """A program, and how often it runs: with each way, and once without the primitives if that is a run of its own."""

    name: str
    args: str = "mechanism={way}"
    baseline: str = ""
    vcpus: int = 1   # of each guest; threads of each process on Linux
    guests: int = 1  # at once; processes on Linux

    @property
    def cpus(self):
        """Of the machine, on both systems."""
        return self.vcpus * self.guests

    def arguments(self, ways):
        """Of each run on a system that has these ways."""
        runs = [self.args.format(way=way) for way in ways]
        return runs + [self.baseline] if self.baseline else runs


WORKLOADS = (
    Workload("gc", "program=gcbench mechanism={way}", "program=gcbench baseline", vcpus=2),
    Workload("generational"),
    # On Linux nothing interrupts a node for a message, so each has a second thread that serves, on both systems.
    Workload("svm", "kernel=all mechanism={way}", guests=2, vcpus=2),
    Workload("checkpoint", baseline="baseline"),
    Workload("store", baseline="baseline"),
    Workload("bigspace"),
    Workload("zpage", "mechanism={way} baseline"),
    Workload("overflow"),
)
