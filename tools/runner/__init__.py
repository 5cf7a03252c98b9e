"""Runs Trapline in an emulator and reads what its console says."""


class UsageError(Exception):
    """A setting that cannot be; the message names the setting and what is allowed."""
