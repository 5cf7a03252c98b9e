"""The workloads as they are compared: each with the same arguments on both systems."""

from dataclasses import dataclass

# Ways to protect pages, on each system; {way} in arguments.
WAYS = {"trapline": ("ept", "pt"), "linux": ("mprotect", "uffd")}


@dataclass
class Workload:
    """A program, and how often it runs: with each way, and once without the primitives if that is a run of its own."""

    name: str
    args: str = "mechanism={way}"
    baseline: str = ""
    vcpus: int = 1       # of each guest; threads on Linux
    guests: int = 1      # at once
    linux_vcpus: int = 0  # where Linux needs more threads

    @property
    def cpus(self):
        """Of the machine, on both systems."""
        return max(self.vcpus, self.guests)

    def arguments(self, system):
        """Of each run on the system."""
        runs = [self.args.format(way=way) for way in WAYS[system]]
        return runs + [self.baseline] if self.baseline else runs

    def threads(self, system):
        """That the program may have."""
        return self.linux_vcpus if system == "linux" and self.linux_vcpus else self.vcpus


WORKLOADS = (
    Workload("gc", "program=gcbench mechanism={way}", "program=gcbench baseline", vcpus=2),
    Workload("generational"),
    # Where nothing interrupts a node for a message, a second thread has to serve.
    Workload("svm", "kernel=all mechanism={way}", guests=2, linux_vcpus=2),
    Workload("checkpoint", baseline="baseline"),
    Workload("store", baseline="baseline"),
    Workload("bigspace"),
    Workload("zpage", "mechanism={way} baseline"),
    Workload("overflow"),
)
