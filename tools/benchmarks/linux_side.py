"""Linux in the same emulator."""

import os

from runner.kernel import find_kernel
from runner.linux import MITIGATIONS, linux_runs, run_linux


def command(name, args, environment):
    """As run_linux() takes it."""
    return " ".join([*(f"{key}={value}" for key, value in environment.items()), name, *args.split()])


class LinuxSide:
    """Boots a kernel with programs. mitigations: "off", "on", or "both" for a boot with each."""

    def __init__(self, engine, build, root, mitigations):
        self._engine, self._build, self._root = engine, build, root
        self._kernel = find_kernel(build, os.environ.get("KERNEL", "").strip())
        self.mitigations = MITIGATIONS if mitigations == "both" else (mitigations,)

    @property
    def release(self):
        """The kernel's."""
        return self._kernel.release

    def run(self, machine, programs, mitigations, folder, timeout, on_line, on_wait):
        """One boot with programs, each (name, arguments, environment). Returns the records of their runs."""
        commands = [command(*program) for program in programs]
        outcome = run_linux(self._engine, machine, self._kernel, commands, folder, timeout, mitigations, on_line, on_wait,
                            self._build)
        (folder / "console.txt").write_text("\n".join(outcome.transcript.lines) + "\n")
        return linux_runs(self._engine, machine, outcome, commands, mitigations, self._root)
