"""A run on the reader's terminal."""

import sys
import time

QUIET_SECONDS = 3  # of silence before the status line appears
STATUS = {False: "booting firmware", True: "running"}


class Display:
    """Console lines, and on a terminal a status line while none come."""

    def __init__(self):
        self._terminal = sys.stdout.isatty()
        self._start = self._last = time.monotonic()
        self._status = ""
        if not self._terminal:
            self._write("booting firmware...\n")

    @staticmethod
    def _write(text):
        sys.stdout.write(text)
        sys.stdout.flush()

    def _erase(self):
        if self._status:
            self._write("\r" + " " * len(self._status) + "\r")
            self._status = ""

    def line(self, text):
        """Show a line of the console."""
        self._erase()
        self._write(text + "\n")
        self._last = time.monotonic()

    def wait(self, started):
        """Show that something is going on."""
        now = time.monotonic()
        if not self._terminal or (started and now - self._last < QUIET_SECONDS):
            return
        status = f"[{now - self._start:3.0f} s] {STATUS[started]}..."
        if status != self._status:
            self._write("\r" + status)
            self._status = status

    def close(self):
        """Leave a clean line."""
        self._erase()
