"""A run of Trapline, as results.json has it."""

from .machine import run_machine
from .results import record
from .volume import volume_files


def run_trapline(engine, machine, volume, build, root, folder, timeout, on_line, on_wait):
    """Boot the machine from the volume and follow it to its end, see run_machine(); the console goes to console.txt
    in folder. Returns the run's record."""
    files = volume_files(build, volume.conf, volume.images)
    outcome = run_machine(engine, machine, files, folder, timeout, volume.on_exit == "shutdown", on_line, on_wait)
    (folder / "console.txt").write_text("\n".join(outcome.transcript.lines) + "\n")
    return record(engine, machine, root, guest=volume.guest, args=volume.args, disable=volume.disable,
                  verdict=outcome.verdict, reason=outcome.reason, seconds=round(outcome.seconds, 1), rows=outcome.transcript.rows)
