"""An emulator's process: its own process group, gone when this program is."""

import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
TERM_SECONDS = 2

_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """Started at once; output (standard output and error) goes to a file."""

    def __init__(self, command, folder, output, environment=None):
        with open(output, "wb") as log:
            self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL,
                                             stdout=log, stderr=subprocess.STDOUT,
                                             env=environment, start_new_session=True,
                                             preexec_fn=_die_with_parent)

    def ended(self):
        """Whether it is over."""
        return self._process.poll() is not None

    def wait(self, seconds):
        """Wait for its end; whether it came in time."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self):
        """End the whole process group."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass
            if self.wait(TERM_SECONDS):
                break
