"""Tests of the cost model: tools/costs and its table."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools")]

from runner import UsageError
from runner.results import RUN


def load():
    loader = importlib.machinery.SourceFileLoader("costs", str(ROOT / "tools" / "costs"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("costs", loader))
    sys.modules["costs"] = module  # dataclasses look for it
    loader.exec_module(module)
    return module


costs = load()

TABLE = """
# a comment
insn any     0.5  1    guess
exit haswell 1000 1500 one
exit haswell 800  1200 two
exit skylake 600  600  memory:two
ipi  skylake 50   70   one
[sources]
guess: no figure
one: the first
two: the second
"""


def table(text=TABLE, memory=False):
    return costs.read_table(text, memory, "t")


def row(name="prot1", mode="exit", median=100, exits=0, flushes=0, ipis=0, unit="tsc", per="op"):
    return {"name": name, "mode": mode, "unit": unit, "per": per, "n": 1, "min": median, "median": median,
            "p99": median, "exits": exits, "flushes": flushes, "ipis": ipis}


def run(*rows, engine="bochs", guest="bench", system="trapline"):
    return {**RUN, "schema": 1, "system": system, "engine": engine, "model": "m", "guest": guest, "rows": list(rows)}


def bundle(*runs):
    return {"schema": 2, "runs": list(runs)}


class TableTest(unittest.TestCase):
    """What is read from the table."""

    def test_lines_of_one_event_and_cpu_are_one_range(self):
        cost = table().costs["exit", "haswell"]
        self.assertEqual((cost.low, cost.high), (800, 1500))
        self.assertEqual([line[2] for line in cost.lines], ["one", "two"])

    def test_figures_from_memory_count_only_on_request(self):
        self.assertNotIn(("exit", "skylake"), table().costs)
        self.assertEqual(table(memory=True).costs["exit", "skylake"].low, 600)

    def test_a_bad_line_is_named(self):
        for line, why in (("exit haswell 1 2", "4 words"), ("exit haswell 1 2 one more", "6 words"),
                          ("exits haswell 1 2 one", "exits"), ("exit hasbeen 1 2 one", "hasbeen"),
                          ("exit haswell 2 1 one", "lower"), ("exit haswell 0 1 one", "above 0"),
                          ("exit haswell nan 1 one", "above 0"), ("exit haswell 1 inf one", "above 0"),
                          ("exit haswell a b one", "above 0"), ("exit haswell 1 2 three", "three"),
                          ("exit haswell 1 2 memory:three", "three"),
                          ("[sources]\none", "KEY: TEXT"), ("[sources]\none:  ", "KEY: TEXT"),
                          ("[sources]\none: a\none: b", "once")):
            number = 3 + line.count("\n")
            with self.assertRaises(UsageError) as raised:
                table(f"# first\ninsn any 1 1 one\n{line}\n[sources]\none: the first\n"
                      if "[sources]" not in line else f"# first\n\n{line}\n")
            self.assertIn(f"t:{number}: ", str(raised.exception), line)
            self.assertIn(why, str(raised.exception), line)

    def test_the_real_table_can_be_read(self):
        text = (ROOT / "tools" / "costs.txt").read_text()
        real, more = table(text), table(text, memory=True)
        self.assertIn(("exit", "skylake"), real.costs)
        self.assertLess(len(real.costs), len(more.costs))
        used = {costs.without_memory(line[2]) for cost in more.costs.values() for line in cost.lines}
        self.assertEqual(used, set(more.sources))

    def test_the_real_table_invents_nothing(self):
        real = table((ROOT / "tools" / "costs.txt").read_text(), memory=True)
        known = {event for event, _ in real.costs}
        self.assertEqual(known & {"flush", "refill", "violation", "ve", "drop", "uncounted"}, set())
        self.assertEqual([key for key in real.costs if key[1] == "any"], [("insn", "any")])


class EventsTest(unittest.TestCase):
    """What a row holds."""

    def events(self, by_exit=False, benchmark=True, **fields):
        return costs.events_of(row(**fields), benchmark, by_exit)

    def test_what_is_counted(self):
        self.assertEqual(self.events(exits=1, flushes=2, ipis=0.5),
                         {"insn": 100, "exit": 1, "flush": 2, "ipi": 0.5, "refill": 2})

    def test_what_names_and_modes_say(self):
        self.assertEqual(self.events(name="view.switch", mode="exitless"), {"insn": 100, "vmfunc": 1})
        self.assertEqual(self.events(name="view.switch"), {"insn": 100})
        self.assertEqual(self.events(name="key.set.100", mode="key"), {"insn": 100, "wrpkru": 1})
        self.assertEqual(self.events(name="pt.appel1", mode="pt"),
                         {"insn": 100, "fault": 1, "invlpg": 1, "refill": 1})
        self.assertEqual(self.events(name="limit.trap", mode="limit"), {"insn": 100, "fault": 1})
        self.assertEqual(self.events(name="limit.appel1", mode="limit"),
                         {"insn": 100, "fault": 1, "invlpg": 1, "refill": 1})
        self.assertEqual(self.events(name="space.switch", mode="pcid"), {"insn": 100, "cr3": 1})
        self.assertEqual(self.events(name="space.switch", mode="cr3"), {"insn": 100, "cr3": 1, "refill": 1})

    def test_a_trap_is_delivered_or_exits(self):
        self.assertEqual(self.events(name="trap"), {"insn": 100, "ve": 1})
        self.assertEqual(self.events(name="ept.appel1", mode="ept", exits=3, by_exit=True),
                         {"insn": 100, "exit": 3, "violation": 1})
        self.assertFalse(costs.trap_exits([row("trap"), row("prot1", exits=1)]))
        self.assertTrue(costs.trap_exits([row("trap", exits=1)]))

    def test_a_workload_counts_less_than_it_does(self):
        self.assertEqual(self.events(name="trap", benchmark=False), {"insn": 100, "uncounted": 1})

    def test_each_rule_is_for_a_row_of_the_benchmark(self):
        sources = "".join(path.read_text() for path in (ROOT / "guest/workloads/bench").glob("*.c"))
        for name in ("vmpup.appel1.pair", "dune.trap", "view.switch", "view.trap", "space.switch", "space.trap",
                     "space.prot.100", "user.syscall", "user.trap", "appel2", "set.100"):
            self.assertIn(f'"{name}"', sources)
            self.assertTrue(any(costs.re.fullmatch(names, prefix + name) for names, _, _ in costs.HELD
                                for prefix in ("", "pt.")), name)


class PredictTest(unittest.TestCase):
    """The sums."""

    def test_lowest_and_highest_add_up(self):
        self.assertEqual(costs.predict({"insn": 100, "exit": 2}, table().costs, "haswell"),
                         (50 + 1600, 100 + 3000, []))
        self.assertEqual(costs.predict({"insn": 10, "ipi": 0.5}, table().costs, "skylake"),
                         (5 + 25, 10 + 35, []))

    def test_what_has_no_source_is_left_out_and_named(self):
        self.assertEqual(costs.predict({"insn": 10, "exit": 1, "flush": 1}, table().costs, "skylake"),
                         (5, 10, ["exit", "flush"]))

    def test_a_cell(self):
        self.assertEqual(costs.cell((1650, 3100.4, ["flush", "refill"])), "1,650 to 3,100 +fr")
        self.assertEqual(costs.cell((0.25, 1, [])), "0.25 to 1")
        self.assertEqual(costs.cell((134, 134, [])), "134")
        self.assertEqual(costs.cell(None), "-")

    def test_each_event_has_a_mark_of_its_own(self):
        marks = [mark for mark, _ in costs.EVENTS.values()]
        self.assertEqual(len(set(marks)), len(marks))

    def test_an_old_cpu_lacks_what_came_later(self):
        self.assertTrue(costs.lacks("westmere", "exit", {"ve": 1}))
        self.assertTrue(costs.lacks("haswell", "key", {"insn": 1}))
        self.assertFalse(costs.lacks("skylake", "key", {"vmfunc": 1}))


class ReportTest(unittest.TestCase):
    """The table that is printed."""

    def test_rows_and_marks(self):
        lines = costs.report(run(row(exits=1, flushes=1), row("rating", unit="rating")), table(), ["haswell"])
        self.assertEqual(lines[2], "| prot1 | exit | op | 100 insn, 1 exit, 1 flush, 1 refill | 850 to 1,600 +fr |")
        self.assertEqual(lines[3], "")
        self.assertEqual([line[:4] for line in lines[5:]], ["* `f", "* `r"])

    def test_measured_is_beside(self):
        measured = run(row(median=1234), row("unprot", median=9), engine="kvm")
        lines = costs.report(run(row(), row(mode="ept")), table(), ["haswell"], measured=measured)
        self.assertTrue(lines[0].endswith("| by its events: kvm, m | measured there |"))
        self.assertTrue(lines[2].endswith("| 50 to 100 | 25 to 100 | 1,234 |"))
        self.assertTrue(lines[3].endswith("| 50 to 100 | 25 to 100 | - |"))

    def test_what_the_measured_run_has_no_row_for_is_named(self):
        lines = costs.report(run(row(exits=1, flushes=1)), table(), ["haswell"],
                             measured=run(row("cost.vmcall", "root", 900), engine="bare"))
        self.assertTrue(lines[2].endswith("| 850 to 1,600 +fr | 925 to 1,000 +fr | - |"))
        self.assertIn("and no row", lines[4])

    def test_events_are_not_predicted(self):
        lines = costs.report(run(row("cost.vmcall", "root", 5, exits=1), row()), table(), ["haswell"])
        self.assertEqual([line.split(" ")[1] for line in lines[2:]], ["prot1"])

    def test_only(self):
        rows = run(row(), row("unprot"), row("map2"))
        self.assertEqual(len(costs.report(rows, table(), ["haswell"], only="un")), 3)
        self.assertEqual(len(costs.report(rows, table(), ["haswell"], only="un,ma")), 4)
        with self.assertRaises(UsageError):
            costs.report(run(row()), table(), ["haswell"], only="nothing")

    def test_sources(self):
        lines = costs.cited(table(memory=True), ["skylake"])
        self.assertIn("| exit | skylake | 600 | the second (from memory) |", lines)
        self.assertNotIn("haswell", "".join(lines))

    def test_which_cpus(self):
        self.assertEqual(costs.choose_cpus("", table()), ["haswell", "skylake"])
        self.assertEqual(costs.choose_cpus("skylake", table()), ["skylake"])
        with self.assertRaises(UsageError):
            costs.choose_cpus("westmere", table())


class MeasuredTest(unittest.TestCase):
    """Events whose costs a run has measured."""

    def costs(self, *rows):
        found = costs.measured_costs(run(*rows, engine="bare"))
        return {event: (cost.low, cost.high) for (event, _), cost in found.items()}

    def test_each_event_by_its_row(self):
        self.assertEqual(self.costs(row("cost.vmcall", "root", 700), row("cost.violation", "root", 950),
                                    row("cost.invept.single", "root", 180), row("cost.refill", "root", 20),
                                    row("cost.ipi", "root", 1500), row("cost.ve", "ve", 400),
                                    row("limit.trap", "limit", 500), row("view.switch", "exitless", 140),
                                    row("space.switch", "pcid", 200), row("add", median=0.8)),
                         {"exit": (700, 700), "violation": (250, 250), "flush": (180, 180), "refill": (20, 20),
                          "ipi": (1500, 1500), "ve": (400, 400), "fault": (500, 500), "vmfunc": (140, 140),
                          "cr3": (200, 200), "insn": (0.2, 0.8)})

    def test_the_next_best_row(self):
        self.assertEqual(self.costs(row("hypercall.null", median=800), row("cost.invept.all", "root", 90)),
                         {"exit": (800, 800), "flush": (90, 90), "insn": (0.25, 1)})

    def test_what_is_no_such_row(self):
        self.assertEqual(self.costs(row("view.switch", "exit", 2000), row("space.switch", "cr3", 300),
                                    row("cost.violation", "root", 900)), {"insn": (0.25, 1)})
        self.assertEqual(self.costs(row("cost.vmcall", "root", 9), row("cost.violation", "root", 8))["violation"], (0, 0))

    def test_the_table_of_events(self):
        measured = run(row("prot1"), row("cost.vmcall", "root", 900), row("cost.vmread", "root", 12.5),
                       row("cost.ve", "ve", 333, per="fault"), engine="bare")
        lines = costs.measured_table(measured, table(), ["haswell", "skylake"])
        self.assertEqual(lines[1:4], ["Events as bare, m measured them, in ticks, and as published, in cycles:", "",
                                      "| row | event | per | min | median | p99 | haswell | skylake |"])
        self.assertEqual(lines[5:], ["| cost.vmcall | exit | op | 900 | 900 | 900 | 800 to 1,500 | - |",
                                     "| cost.ve | ve | fault | 333 | 333 | 333 | - | - |",
                                     "| cost.vmread | - | op | 12 | 12 | 12 | - | - |"])
        self.assertEqual(costs.measured_table(run(row(), engine="kvm"), table(), ["haswell"]), [])

    def test_each_row_is_one_that_is_measured(self):
        folders = (ROOT / "guest/workloads/bench", ROOT / "hv")
        text = "".join(path.read_text() for folder in folders for path in folder.glob("*.c"))
        for rows in costs.MEASURED_BY.values():
            for name, _ in rows:
                self.assertIn(f'"{name}"', text)


class RunsTest(unittest.TestCase):
    """Which run of a file it is."""

    RUNS = [run(row(), system="linux"), run(row(), guest="gc"), run(row()), run(row(), engine="kvm", guest="gc"),
            run(row(), engine="bare"), run(row(), engine="kvm", system="linux")]

    def test_the_plainest_that_fits(self):
        bench = self.RUNS[2]
        for busier in (dict(bench, cpus=2), dict(bench, others=1), dict(bench, disable="ve"), dict(bench, mem=99999)):
            self.assertIs(costs.choose_run([busier, bench], "r", None, True), bench)

    def test_the_first_that_fits(self):
        self.assertIs(costs.choose_run(self.RUNS, "r", None, True), self.RUNS[2])
        self.assertIs(costs.choose_run(self.RUNS, "r", None, False), self.RUNS[4])
        self.assertIs(costs.choose_run(self.RUNS[:2], "r", None, True), self.RUNS[1])
        self.assertIs(costs.choose_run(self.RUNS[:4], "r", None, False), self.RUNS[3])

    def test_by_number(self):
        self.assertIs(costs.choose_run(self.RUNS, "r", 2, True), self.RUNS[1])
        self.assertIs(costs.choose_run(self.RUNS, "r", 4, False), self.RUNS[3])

    def test_what_does_not_fit(self):
        for runs, number, emulated, why in ((self.RUNS, 0, True, "it has 6"), (self.RUNS, 7, True, "it has 6"),
                                            (self.RUNS, 1, True, "of linux"), (self.RUNS, 4, True, "cycles already"),
                                            (self.RUNS, 2, False, "measures nothing"),
                                            (self.RUNS[:1], None, True, "no run of trapline"),
                                            (self.RUNS[:3], None, False, "no run of trapline"), ([], None, True, "no run")):
            with self.assertRaises(UsageError) as raised:
                costs.choose_run(runs, "r", number, emulated)
            self.assertIn(why, str(raised.exception))
            self.assertTrue(str(raised.exception).startswith("r: "))


class FilesTest(unittest.TestCase):
    """Files that are not what they should be."""

    def call(self, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(costs.main(arguments), 0)
        return out.getvalue()

    def test_the_whole_program(self):
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            (here / "t").write_text(TABLE)
            (here / "r").write_text(json.dumps(run(row(exits=1))))
            (here / "m").write_text(json.dumps(run(row(median=7777), engine="kvm")))
            (here / "b").write_bytes(b"\xff\xfe\x00")
            base = ("--table", str(here / "t"))
            self.assertIn("850 to 1,600", self.call(*base, str(here / "r")))
            self.assertIn("7,777", self.call(*base, "--measured", str(here / "m"), str(here / "r")))
            self.assertIn("the second", self.call(*base, "--sources", str(here / "r")))
            (here / "s").write_text(json.dumps(bundle(run(row(), system="linux"), run(row(exits=2)),
                                                      run(row("cost.ve", "ve", 444), engine="bare"), run(row()))))
            both = self.call(*base, "--measured", str(here / "s"), str(here / "s"))
            self.assertIn("1,650 to 3,100", both)
            self.assertIn("| cost.ve | ve | op | 444 |", both)
            self.assertIn("| 50 to 100 |", self.call(*base, "--run", "4", str(here / "s")))
            for wrong in ((str(here / "m"),), ("--measured", str(here / "r"), str(here / "r")),
                          (str(here / "none"),), (str(here / "b"),), ("--cpu", "x", str(here / "r")),
                          ("--run", "1", str(here / "s")), ("--measured-run", "1", str(here / "r"))):
                with self.assertRaises(UsageError, msg=str(wrong)):
                    costs.main((*base, *wrong))


if __name__ == "__main__":
    unittest.main()
