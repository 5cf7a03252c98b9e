"""Runs the project's tests and counts them."""

from dataclasses import dataclass, field


@dataclass
class Result:
    """What a test program or a boot test came to."""

    name: str
    passed: int
    failed: int
    seconds: float
    reason: str = ""
    detail: str = ""  # for the line that says it passed
    output: list = field(default_factory=list)  # lines, shown when it failed
