"""Unit tests of tools/bench: what is planned, how jobs go side by side, and what others may bring."""

import io
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from benchmarks.brought import read_brought
from benchmarks.lanes import Progress, run_jobs
from benchmarks.plan import Bench, Job, plan
from benchmarks.workloads import WORKLOADS, linux_ways
from runner import UsageError
from runner.results import RUN, parse_results


class FakeEngine:
    """One that can be any machine."""

    name = "fake"

    def check(self, machine):
        """It can."""


class FakeLinux:
    """Notes what it is asked to run."""

    release = "6.12.1-test"

    def __init__(self, mitigations=("off",)):
        self.asked = []
        self.mitigations = mitigations

    def run(self, machine, programs, mitigations, *_):
        """Note it."""
        self.asked.append((machine, programs, mitigations))
        return []


def bench(**more):
    """A bench on a machine that is none."""
    return Bench(ROOT, ROOT / "build", FakeEngine(), "m", linux=FakeLinux(), **more)


class PlanTest(unittest.TestCase):
    """Which machines there are."""

    def test_the_quick_one_has_both_systems_alone_and_with_another_cpu(self):
        labels = [job.label for job in plan(bench(quick=True))]
        self.assertEqual(sorted(labels), ["Linux, 1 CPU", "Linux, 2 CPUs", "Trapline, 1 CPU", "Trapline, 2 CPUs"])

    def test_the_times_that_are_promised(self):
        self.assertLess(sum(job.seconds for job in plan(bench(quick=True))) / 2, 5 * 60)
        self.assertLess(sum(job.seconds for job in plan(bench())) / 2, 30 * 60)

    def test_the_longest_come_first(self):
        seconds = [job.seconds for job in plan(bench())]
        self.assertEqual(seconds, sorted(seconds, reverse=True))

    def test_one_system_alone(self):
        self.assertEqual({job.system for job in plan(bench(trapline=False))}, {"linux"})
        alone = bench()
        alone.linux = None
        self.assertEqual({job.system for job in plan(alone)}, {"trapline"})

    def test_mitigations(self):
        both = bench(quick=True)
        both.linux = FakeLinux(("off", "on"))
        jobs = [job for job in plan(both) if job.system == "linux"]
        self.assertEqual(sorted(job.label for job in jobs), ["Linux, 1 CPU", "Linux, 1 CPU, mitigations on",
                                                             "Linux, 2 CPUs", "Linux, 2 CPUs, mitigations on"])
        for job in jobs:
            job.run(None, None, None)
            self.assertEqual(both.linux.asked[-1][2] == "on", "on" in job.label)

    def test_linux_runs_all_that_trapline_runs(self):
        with_linux = bench()
        for job in plan(with_linux):
            if job.system == "linux":
                job.run(None, None, None)
        ran = [(machine.cpus, name, args) for machine, programs, _ in with_linux.linux.asked
               for name, args, _ in programs]
        for cpus, args in ((1, ""), (2, "others=1"), (4, "only=add,shootdown,raise")):
            self.assertIn((cpus, "bench", args), ran)
        for workload in WORKLOADS:
            for args in workload.arguments(("mprotect", "uffd")):
                self.assertIn((workload.cpus, workload.name, args), ran)

    def test_what_a_kernel_can(self):
        self.assertEqual(linux_ways("6.1.0-56-amd64"), ["mprotect"])
        for release in ("6.4.0", "6.12.95+deb12-amd64", "7.0-rc1"):
            self.assertEqual(linux_ways(release), ["mprotect", "uffd"])
        self.assertEqual(linux_ways("custom"), ["mprotect"])

    def test_an_old_kernel_is_not_asked_for_more(self):
        old = bench()
        old.linux.release = "6.1.0"
        for job in plan(old):
            if job.system == "linux":
                job.run(None, None, None)
        args = [args for _, programs, _ in old.linux.asked for _, args, _ in programs]
        self.assertTrue(any("mprotect" in one for one in args))
        self.assertFalse(any("uffd" in one for one in args))


class LanesTest(unittest.TestCase):
    """Jobs that are no machines."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)
        self.out = io.StringIO()
        self.kept = []

    def go(self, jobs, lanes=2):
        """Run them; returns the labels of those that failed."""
        return run_jobs(jobs, lanes, self.path, self.kept.extend, Progress(jobs, lanes, self.out))

    def test_jobs_run_side_by_side(self):
        both = threading.Barrier(2, timeout=20)

        def meet(*_):
            both.wait()
            return [{**RUN, "rows": [1, 2]}]

        jobs = [Job("linux", "a", 1, meet), Job("linux", "b", 1, meet)]
        self.assertEqual(self.go(jobs), [])
        self.assertEqual(len(self.kept), 2)
        self.assertEqual(len(list(self.path.iterdir())), 2)
        said = self.out.getvalue()
        self.assertIn("2 machines to run, 2 at a time, about 0:01 in all", said)
        self.assertRegex(said, r"2 of 2: [ab]: 2 rows in 0:0\d; about 0:00 left")

    def test_one_that_fails_does_not_stop_the_others(self):
        def wrong(*_):
            raise UsageError("no such thing")

        bad = {**RUN, "guest": "gc", "verdict": "timeout", "reason": "no end", "rows": []}
        jobs = [Job("linux", "wrong", 1, wrong), Job("linux", "late", 1, lambda *_: [bad]),
                Job("linux", "good", 1, lambda *_: [{**RUN, "rows": []}])]
        self.assertEqual(sorted(self.go(jobs, 1)), ["late", "wrong"])
        said = self.out.getvalue()
        self.assertIn("wrong: FAILED: no such thing (logs: ", said)
        self.assertIn("late: FAILED: gc: no end (logs: ", said)
        self.assertIn("good: 0 rows", said)
        self.assertEqual(len(self.kept), 2)

    def test_the_time_that_is_left_follows_the_pace(self):
        jobs = [Job("linux", "a", 10), Job("linux", "b", 30)]
        now = [0.0]
        progress = Progress(jobs, 1, self.out, lambda: now[0])
        self.assertEqual(progress.remaining(), 40)
        progress.begins(jobs[0])
        now[0] = 20
        progress.ends(jobs[0], "done")
        self.assertEqual(progress.remaining(), 60)
        progress.begins(jobs[1])
        now[0] = 50
        self.assertEqual(progress.remaining(), 30)


CONSOLE = """\
Trapline 0.1.0\r
trapline: CPU Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz, 06_8EH stepping 10\r
trapline: 16000 MiB free, TSC 2112 MHz, x2APIC\r
trapline: 4 of 4 CPUs in VMX root\r
trapline: guest bench: 192 MiB, 1 vCPU on CPU 0\r
@json {"name":"trap","mode":"exit","unit":"tsc","n":5,"min":20,"median":23,"p99":30,"exits":0,"flushes":0,"ipis":0,"per":"fault"}\r
trapline: end ok\r
"""


class BroughtTest(unittest.TestCase):
    """Files from elsewhere."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "brought")

    def read(self, text, **more):
        """What comes of a file with this text; it is checked to be fit for results.json."""
        self.path.write_text(text, newline="")
        return read_brought(self.path, **more)

    def test_a_serial_console(self):
        run, = self.read(CONSOLE)
        self.assertEqual((run["system"], run["engine"], run["guest"], run["verdict"]),
                         ("trapline", "bare", "bench", "ok"))
        self.assertEqual((run["model"], run["cpus"], run["mem"]),
                         ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", 4, 16000))
        self.assertEqual([row["median"] for row in run["rows"]], [23])

    def test_a_console_that_was_cut_says_so(self):
        run, = self.read(CONSOLE.replace("trapline: end ok", ""))
        self.assertEqual((run["verdict"], run["reason"]), ("unknown", "the log has no end"))

    def test_a_table_typed_from_the_screen(self):
        run, = self.read("# my laptop\n"
                         "name      per   median  min  p99  ADDs  exits  flushes  ipis\n"
                         "prot1     op    1,420.5 1400 1600 1400.0 1.000 1.000 0.000\n"
                         "pt.trap   fault 900\n"
                         "view.switch exitless op 130   # by VMFUNC\n"
                         "hypercall.null 1200\n", model="my laptop", cpus=2)
        self.assertEqual((run["model"], run["cpus"], run["engine"]), ("my laptop", 2, "bare"))
        self.assertEqual([(row["name"], row["mode"], row["per"], row["median"], row["exits"]) for row in run["rows"]],
                         [("prot1", "exit", "op", 1420.5, 1), ("pt.trap", "pt", "fault", 900, 0),
                          ("view.switch", "exitless", "op", 130, 0), ("hypercall.null", "exit", "op", 1200, 0)])
        self.assertEqual(run["rows"][0]["p99"], 1600)

    def test_what_cannot_be_read(self):
        for text, why in (("", "no rows"), ("trap\n", "line 1: a row is NAME"), ("trap 3 x\n", "line 1: a row is NAME"),
                          ("trap 1 2 3 4 5 6 7 8\n", "a row is NAME"), ("{}", "schema 1 or 2"),
                          ("x @json\n", "no line that begins with @json")):
            with self.assertRaises(UsageError, msg=text) as raised:
                self.read(text)
            self.assertIn(why, str(raised.exception))

    def test_what_is_brought_gets_into_the_file(self):
        self.path.write_text(CONSOLE)
        results = self.path.with_name("results.json")
        for model in ("a", "b", "b"):
            done = subprocess.run([ROOT / "tools" / "bench", "add", self.path, "--model", model], text=True,
                                  capture_output=True, env={"RESULTS": str(results), "PATH": "/usr/bin:/bin"})
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([run["model"] for run in parse_results(results.read_text(), "r")], ["a", "b"])
        self.assertIn("1 rows of bench on b, 4 CPU(s)", done.stdout)


if __name__ == "__main__":
    unittest.main()
