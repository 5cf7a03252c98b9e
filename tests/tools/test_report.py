"""Unit tests of tools/report: what the tables say, which figures the pictures have, and that the page is whole."""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools")]

from reporter import gnuplot
from reporter.findings import cards, sentences
from reporter.history import history, read_history
from reporter.operations import ONLY_TRAPLINE, OPERATIONS
from reporter.page import page
from reporter.results import read_results
from reporter.series import all_pictures
from reporter.tables import all_tables, markdown
from reporter.workloads import WORKLOADS
from runner import UsageError

VOID = ("meta", "br", "hr", "img", "link", "input")
GNUPLOT = shutil.which("gnuplot")


def row(name, mode, median, **fields):
    """A result row."""
    return {"name": name, "mode": mode, "unit": "tsc", "n": 1, "min": median, "median": median, "p99": median,
            "exits": 0, "flushes": 0, "ipis": 0, "per": "op", **fields}


def run(system, rows, **fields):
    """A run of schema 2."""
    linux = {"kernel": "9.9", "mitigations": "off"} if system == "linux" else {}
    return {"system": system, "engine": "bochs", "engine_version": "0.0", "model": "testlake", "cpus": 1, "others": 0,
            "mem": 1, "guest": "bench", "args": "", "disable": "", "kernel": None, "mitigations": None, "commit": "c",
            "verdict": "ok", "reason": None, "seconds": 1, "rows": rows, **linux, **fields}


TRAPLINE = run("trapline", [
    row("add", "exit", 2), row("prot1", "exit", 100, exits=1, flushes=1, ipis=0.25), row("pt.prot1", "pt", 10),
    row("ept.prot1", "ept", 1), row("key.prot1", "key", 200), row("vmpup.appel1", "exit", 50),
    row("pt.appel1", "pt", 60), row("limit.appel1", "limit", 20), row("dirty.write", "exit", 0),
    row("view.switch", "exitless", 7)])
LINUX = run("linux", [
    row("add", "syscall", 1), row("prot1", "mprotect", 5000), row("prot1", "mprotect-own", 4000),
    row("prot1", "uffd", 3400), row("vmpup.appel1", "mprotect", 2000), row("vmpup.appel1", "uffd", 500),
    row("dirty.write", "soft-dirty", 9), row("map2.1", "memfd", 33)])


class Wellformed(HTMLParser):
    """Collects what is wrong with a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.wrong, self.ids, self.targets, self.images, self.tables = [], [], [], 0, 0
        self._open = []
        self.feed(text)
        self.close()
        self.wrong += [f"{tag} is not closed" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        self.look(tag, dict(attrs))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.look(tag, dict(attrs))

    def handle_endtag(self, tag):
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"/{tag} closes something else")

    def look(self, tag, attrs):
        """One element."""
        if tag == "script":
            self.wrong.append("there is a script")
        for name, value in attrs.items():
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href") and not (value or "").startswith("#"):
                self.wrong.append(f"{tag} refers to {value}")
            elif name in ("href", "xlink:href"):
                self.targets.append(value[1:])
            if name.startswith("on"):
                self.wrong.append(f"{tag} has {name}")
        if tag == "th" and "scope" not in attrs:
            self.wrong.append("a head without scope")
        if tag == "svg":
            self.images += 1
            if attrs.get("role") != "img":
                self.wrong.append("a picture without role")
        self.tables += tag == "table"


class ReportTest(unittest.TestCase):
    """Files in a folder of their own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name)

    def read(self, *runs, **fields):
        """The Results of runs. fields: what else than usual is in the file."""
        (self.path / "results.json").write_text(json.dumps({
            "schema": 2, "commit": "abcdef0123456789+", "made": "2031-02-03T04:05:06Z", "runs": runs, **fields}))
        return read_results(self.path / "results.json")

    @staticmethod
    def line(table, name):
        """{head: cell} of the row whose first cell ends with `name`."""
        found = [cells for cells in table.rows if cells[0].endswith(f" `{name}`")]
        assert len(found) == 1, (name, found)
        return dict(zip(table.heads, found[0]))

    def report(self, *arguments):
        """Run the tool."""
        return subprocess.run([ROOT / "tools" / "report", *arguments], capture_output=True, text=True)


class TableTest(ReportTest):
    """What the tables say."""

    def test_best_and_ratio(self):
        """The lowest of each side makes the ratio; it is named."""
        table = all_tables(self.read(TRAPLINE, LINUX))[0]
        self.assertEqual(table.title, "Operations: testlake, in Bochs, 1 CPU")
        line = self.line(table, "prot1")
        self.assertEqual(line["Trapline, EPT"], "100")  # the raw hypercall, though ept.prot1 is lower
        self.assertEqual(line["Trapline, page tables"], "10")
        self.assertEqual(line["Trapline, protection keys"], "200")
        self.assertEqual(line["Linux, mprotect + SIGSEGV"], "5,000; 4,000 own area")
        self.assertEqual(line["Linux's best"], "3,400 uffd")
        self.assertEqual(line["Linux / Trapline"], "340x (pt)")
        self.assertEqual(line["exits / flushes / IPIs"], "ept 1/1/0.25; pt, key 0/0/0")
        self.assertEqual(line["limit"], "-")

    def test_limit(self):
        """The operations that are faults have a limit."""
        line = self.line(all_tables(self.read(TRAPLINE, LINUX))[0], "vmpup.appel1")
        self.assertEqual((line["Linux / Trapline"], line["limit"]), ("10x (ept)", "20"))

    def test_events(self):
        """Events are those of each mechanism."""
        trapline = run("trapline", [row("prot1", "exit", 1, exits=1, flushes=0.5, ipis=3), row("pt.prot1", "pt", 2)])
        line = self.line(all_tables(self.read(trapline))[0], "prot1")
        self.assertEqual(line["exits / flushes / IPIs"], "ept 1/0.5/3; pt 0/0/0")

    def test_costs(self):
        """The CPU's own events are of interest where there is a CPU."""
        rows = [row("cost.ve", "ve", 450), row("cost.invept", "single-context", 200)]
        table, = all_tables(self.read(run("trapline", rows, engine="bare")))
        self.assertEqual([line[0] for line in table.rows], ["`cost.ve`", "`cost.invept`"])
        self.assertEqual(all_tables(self.read(run("trapline", rows))), [])

    def test_missing(self):
        """What a system lacks is a dash, and so is a ratio to nothing."""
        table = all_tables(self.read(TRAPLINE, LINUX))[0]
        only_linux = self.line(table, "map2.1")
        self.assertEqual((only_linux["Trapline, EPT"], only_linux["Linux's best"]), ("-", "33 memfd"))
        self.assertEqual((only_linux["Linux / Trapline"], only_linux["exits / flushes / IPIs"]), ("-", "-"))
        self.assertEqual(self.line(table, "dirty.write")["Linux / Trapline"], "-")
        self.assertFalse([cells for cells in table.rows if "`unprot`" in cells[0]])

    def test_machines(self):
        """A table for each machine, that of both systems first; a Linux of other threads is no counterpart."""
        two = run("trapline", [row("prot1", "exit", 4)], cpus=2)
        busy = run("linux", [row("prot1", "uffd", 8)], cpus=2, others=1)
        tables = all_tables(self.read(two, busy, TRAPLINE, LINUX))
        self.assertEqual([table.title for table in tables][:3], [
            "Operations: testlake, in Bochs, 1 CPU", "Operations: testlake, in Bochs, 2 CPUs",
            "Operations: testlake, in Bochs, 2 CPUs, 1 other thread running"])

    def test_mitigations(self):
        """Without mitigations is what the comparison is with; with them is in columns of its own."""
        table = all_tables(self.read(run("linux", [row("prot1", "uffd", 70)], mitigations="on"), TRAPLINE, LINUX))[0]
        line = self.line(table, "prot1")
        self.assertEqual(line["Linux / Trapline"], "340x (pt)")
        self.assertEqual((line["Linux mitigations on: best"], line["/ Trapline"]), ("70 uffd", "7.0x"))

    def test_disabled_features(self):
        """Trapline without a feature has a table of its own, beside the same Linux."""
        bare = run("trapline", [row("prot1", "exit", 1700)], disable="ve,pml")
        tables = all_tables(self.read(bare, TRAPLINE, LINUX))
        self.assertEqual(self.line(tables[0], "prot1")["Linux / Trapline"], "340x (pt)")
        self.assertEqual(tables[1].title, "Operations: testlake, in Bochs, 1 CPU, without ve, pml")
        self.assertEqual(self.line(tables[1], "prot1")["Linux / Trapline"], "2.0x (ept)")

    def test_hardware(self):
        """Linux on the host itself and Trapline on the same real machine are side by side."""
        tables = all_tables(self.read({**TRAPLINE, "engine": "bare"}, {**LINUX, "engine": "native"}))
        self.assertEqual(self.line(tables[0], "prot1")["Linux / Trapline"], "340x (pt)")

    def test_only_trapline(self):
        """What Linux has no counterpart for is a table of its own."""
        table = all_tables(self.read(TRAPLINE, LINUX))[-1]
        self.assertTrue(table.title.startswith("Only on Trapline"))
        self.assertEqual([cells[1:] for cells in table.rows], [["exitless", "op", "7", "0/0/0"]])

    def test_workloads(self):
        """A figure's baseline may have another name; more may be better; arguments that matter are told apart."""
        runs = [run("trapline", [row("gc.longest", "baseline", 90)], guest="gc", args="baseline size=1"),
                run("trapline", [row("gc.longest", "pt", 20)], guest="gc", args="verify mechanism=pt size=1"),
                run("trapline", [row("gc.longest", "pt", 77)], guest="gc", args="mechanism=pt size=2"),
                run("linux", [row("gc.longest", "uffd", 30)], guest="gc", args="mechanism=uffd size=1"),
                run("linux", [row("gc.longest", "uffd", 99)], guest="gc", args="mechanism=uffd size=1",
                    mitigations="on"),
                run("trapline", [row("zpage.rate", "ept", 8)], guest="zpage"),
                run("linux", [row("zpage.rate", "uffd", 2)], guest="zpage"),
                run("trapline", [row("generational.tree.card.total", "baseline", 5)], guest="generational")]
        table = all_tables(self.read(*runs))[0]
        found = [dict(zip(table.heads, cells)) for cells in table.rows]
        self.assertEqual([line["workload"] for line in found], [
            "concurrent collector (size=1): the mutator's longest stop `gc.longest`",
            "concurrent collector (size=2): the mutator's longest stop `gc.longest`",
            "generational collector: tree: time, by TRAP `generational.tree.trap.total`",
            "generational collector: tree: time, by DIRTY `generational.tree.dirty.total`",
            "compressed paging: accesses in 10^9 ticks `zpage.rate`"])
        self.assertEqual((found[0]["Trapline, baseline"], found[0]["Trapline, pt"], found[0]["Linux, uffd"]),
                         ("90", "20", "30"))
        self.assertEqual([line["Trapline ahead"] for line in found], ["1.50x", "-", "-", "-", "4.0x"])
        self.assertEqual(found[2]["Trapline, baseline"], "5")
        self.assertNotIn("Linux, pkey", table.heads)

    def test_failed_runs(self):
        """A run that came to no good end is named with its reason, and its rows do not count."""
        bad = run("linux", [row("prot1", "uffd", 1)], verdict="timeout", reason="silence", args="quick")
        text = markdown(self.read(TRAPLINE, LINUX, bad))
        self.assertIn("* Linux 9.9 mitigations off bench quick (testlake, in Bochs, 1 CPU): timeout, silence\n", text)
        self.assertIn("| 340x (pt) |", text)
        self.assertIn("* Runs: 2 good, 1 failed\n", text)

    def test_conditions(self):
        """What the figures depend on is said."""
        text = markdown(self.read(TRAPLINE, LINUX))
        for line in ("Made: 2031-02-03 04:05 UTC, from commit abcdef012345 and changes to it", "Engine: Bochs 0.0",
                     "CPU model: testlake", "Linux: 9.9", "Linux's mitigations: off"):
            self.assertIn(f"* {line}\n", text)
        self.assertRegex(text, r"\* Tick: in Bochs one instruction")

    def test_no_figures(self):
        """Nothing at all is no mistake."""
        self.assertIn("No run has a figure", markdown(self.read()))
        self.assertIn("No operation has a figure of both", page(self.read(), [], []))

    def test_names_are_known_once(self):
        """No row is two operations; a workload's rows begin with its name."""
        rows = [operation.row for operation in OPERATIONS] + list(ONLY_TRAPLINE.values())
        self.assertEqual(len(rows), len(set(rows)))
        for workload, (_, headlines) in WORKLOADS.items():
            for headline in headlines:
                self.assertTrue(headline.row.startswith(f"{workload}."), headline.row)


class FileTest(ReportTest):
    """What is read, and what is refused."""

    def test_single_run(self):
        """The results of one run of Trapline are read as well."""
        new = ("system", "others", "disable", "kernel", "mitigations")
        one = {name: value for name, value in TRAPLINE.items() if name not in new}
        (self.path / "one.json").write_text(json.dumps({"schema": 1, **one}))
        line = self.line(all_tables(read_results(self.path / "one.json"))[0], "prot1")
        self.assertEqual((line["Trapline, EPT"], line["Linux's best"]), ("100", "-"))

    def test_bad_files(self):
        """What is wrong is said in a line, with its place."""
        rows = [row("a", "b", 1), row("a", "b", None)]
        for change, message in (({"schema": 3}, "schema 1 or 2"), ({"runs": None}, "no runs"),
                                ({"made": "now"}, "no time"), ({"runs": [7]}, "run 1 has no rows"),
                                ({"runs": [{**LINUX, "system": "other"}]}, "run 1: system"),
                                ({"runs": [LINUX, {**LINUX, "cpus": "1"}]}, "run 2: cpus"),
                                ({"runs": [{**LINUX, "rows": rows}]}, "row 2: min"),
                                ({"runs": [{**LINUX, "rows": [row("a", 1, 1)]}]}, "row 1: mode")):
            with self.assertRaisesRegex(UsageError, message):
                self.read(**change)
        (self.path / "text").write_text("figures")
        for name in ("text", "absent"):
            done = self.report(self.path / name)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"^report: .*\n$")

    def test_below_zero(self):
        """What is saved, in percent, may be below zero; ticks may not."""
        less = run("trapline", [row("checkpoint.overhead", "pt", -1.5, unit="percent")], guest="checkpoint")
        self.assertEqual(self.line(all_tables(self.read(less))[0], "checkpoint.overhead")["Trapline, pt"], "-1.5")
        with self.assertRaisesRegex(UsageError, "row 1: min is no number from 0 on"):
            self.read(run("trapline", [row("prot1", "pt", -1.5)]))

    def test_command(self):
        """The tool writes table.md and report.html beside the file and prints the table."""
        self.read(TRAPLINE, LINUX)
        done = self.report("--no-pictures", self.path / "results.json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn((self.path / "table.md").read_text(), done.stdout)
        self.assertEqual(sorted(path.name for path in self.path.iterdir()),
                         ["report.html", "results.json", "table.md"])

    def test_gnuplot_missing(self):
        """Without gnuplot it is said what to install."""
        with mock.patch("reporter.gnuplot.shutil.which", return_value=None):
            with self.assertRaisesRegex(UsageError, "apt-get install gnuplot-nox"):
                gnuplot.need_gnuplot()


class PictureTest(ReportTest):
    """Which figures the pictures have."""

    def pictures(self, *runs, memory=False):
        """{name: Picture}, and the names of those without figures."""
        made, absent = all_pictures(self.read(*runs), memory)
        return {picture.name: picture for picture in made}, absent

    @staticmethod
    def points(picture):
        """{(style, what): points}."""
        return {(series.style, series.what): series.points for series in picture.series}

    def test_operations(self):
        """A place for each main operation; what is missing or not above zero is left out."""
        made, absent = self.pictures(TRAPLINE, LINUX)
        self.assertEqual(made["operations"].rows, ["PROT1", "appel1"])
        points = self.points(made["operations"])
        self.assertEqual(points["ept", ""], [(100, 1), (50, 2)])
        self.assertEqual(points["mprotect", ""], [(4000, 1), (2000, 2)])
        self.assertEqual(points["linux", ""], [(3400, 1), (500, 2)])
        self.assertEqual(points["limit", ""], [(20, 2)])
        self.assertEqual(absent, ["protn", "shootdown", "dirty"])

    def test_sweeps(self):
        """PROTN and DIRTY by size, the modes of Linux apart or the best of them."""
        trapline = run("trapline", [row("protn.sweep.1", "exit", 5), row("protn.sweep.64", "exit", 6),
                                    row("pt.protn.sweep.4", "pt", 7), row("dirty.sweep.1024.10", "exit", 8)])
        linux = run("linux", [row("protn.sweep.1", "uffd", 11), row("protn.sweep.1", "mprotect", 12),
                              row("dirty.sweep.4096.1", "soft-dirty", 14),
                              row("dirty.sweep.4096.1", "pagemap-scan", 13)])
        made, _ = self.pictures(trapline, linux)
        self.assertEqual(self.points(made["protn"]), {("ept", ""): [(1, 5), (64, 6)], ("pt", ""): [(4, 7)],
                                                      ("mprotect", ""): [(1, 12)], ("uffd", ""): [(1, 11)]})
        self.assertEqual(self.points(made["dirty"]), {("ept", "10 %"): [(1024, 8)], ("linux", "1 %"): [(4096, 13)]})

    def test_shootdown(self):
        """By CPUs, of the machine that has both systems' figures."""
        one = run("trapline", [row("shootdown.1.1", "exit", 3), row("shootdown.2.1", "exit", 4)], cpus=2)
        made, _ = self.pictures(one, {**one, "cpus": 4}, run("linux", [row("shootdown.2.100", "uffd", 9)], cpus=4))
        self.assertEqual(self.points(made["shootdown"]),
                         {("ept", "1 page"): [(1, 3), (2, 4)], ("uffd", "100 pages"): [(2, 9)]})

    def test_shootdown_of_most_cpus(self):
        """Of machines that are alike otherwise the one with most CPUs."""
        two = run("trapline", [row("shootdown.1.1", "exit", 3), row("shootdown.2.1", "exit", 4)], cpus=2)
        four = run("trapline", [*two["rows"], row("shootdown.4.1", "exit", 6)], cpus=4)
        for runs in ((two, four), (four, two)):
            made, _ = self.pictures(*runs)
            self.assertEqual(self.points(made["shootdown"]), {("ept", "1 page"): [(1, 3), (2, 4), (4, 6)]})

    def test_history(self):
        """Now is in ADDs of the same system, in the year of the results; what is not sure only comes when asked for."""
        made, _ = self.pictures(TRAPLINE, LINUX)
        points = self.points(made["history"])
        self.assertEqual(points["ept", ""], [(2031, 25, "")])
        self.assertEqual(points["linux", ""], [(2031, 500, "")])
        self.assertEqual(points["mprotect", ""], [(2031, 2000, "")])
        self.assertEqual({year for year, _, _ in points["past", ""]}, {1991})
        self.assertNotIn(("past-unsure", ""), points)
        self.assertIn(("past-unsure", ""), self.points(self.pictures(TRAPLINE, LINUX, memory=True)[0]["history"]))

    def test_history_file(self):
        """The paper's i386 took 2,013 ADDs; a line that is none is named."""
        self.assertIn(2013, [round(past.adds) for past in history()])
        self.assertTrue(all(past.source for past in history()))
        for text, message in (("1991 x key label", "f:1: year"), ("1991 1/0 key label", "f:1: year"),
                              ("1991 5 key", "f:1: year"),
                              ("\n1991 5 key label\n[sources]\nother: text", "f:2: key is not among")):
            with self.assertRaisesRegex(UsageError, message):
                read_history(text, "f")

    def test_data_file(self):
        """A block for each series, two empty lines between them."""
        made, _ = self.pictures(TRAPLINE, LINUX)
        blocks = gnuplot.data(made["operations"]).split("\n\n\n")
        self.assertEqual(blocks[0], "# Trapline, EPT\n100 1\n50 2")
        self.assertEqual(len(blocks), len(made["operations"].series))
        self.assertIn('1991 35400 "SparcStation 1, Mach 2.5"', gnuplot.data(made["history"]))

    @unittest.skipUnless(GNUPLOT, "gnuplot is not installed")
    def test_drawing(self):
        """gnuplot makes both files, and the page has the drawing."""
        self.read(TRAPLINE, LINUX)
        done = self.report(self.path / "results.json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("report: no picture dirty: no run has its figures\n", done.stdout)
        made = sorted(path.name for path in (self.path / "pictures").iterdir())
        self.assertEqual(made, [f"{name}.{kind}" for name in ("history", "operations")
                                for kind in ("dat", "gnuplot", "png", "svg")])
        self.assertTrue((self.path / "pictures" / "history.png").read_bytes().startswith(b"\x89PNG"))
        svg = (self.path / "pictures" / "history.svg").read_text()
        self.assertIn("prefers-color-scheme", svg)
        self.assertNotRegex(svg, r"['\"](black|rgb\(\s*0,\s*0,\s*0\))['\"]")
        text = (self.path / "report.html").read_text()
        parsed = Wellformed(text)
        self.assertEqual((parsed.wrong, parsed.images), ([], 2))
        self.assertEqual(len(parsed.ids), len(set(parsed.ids)))
        self.assertEqual(set(parsed.targets) - set(parsed.ids), set())
        self.assertNotRegex(text, "https?://")


class PageTest(ReportTest):
    """The page, without its pictures, which gnuplot makes."""

    def test_wellformed(self):
        """Every element is closed, refers to nothing outside, and every link leads somewhere."""
        text = page(self.read(TRAPLINE, LINUX, run("linux", [], verdict="failed", reason="<b>&")), [], ["dirty"])
        parsed = Wellformed(text)
        self.assertEqual(parsed.wrong, [])
        self.assertEqual(parsed.tables, 2)
        self.assertEqual(len(parsed.ids), len(set(parsed.ids)))
        self.assertEqual(set(parsed.targets) - set(parsed.ids), set())
        self.assertNotRegex(text, "https?:|url\\(|@import")
        self.assertIn("failed, &lt;b&gt;&amp;", text)
        self.assertIn("Not drawn, for want of figures: dirty.", text)

    def test_parser_sees_mistakes(self):
        """The test's own parser is not blind."""
        self.assertTrue(Wellformed("<p><b></p></b>").wrong)
        self.assertTrue(Wellformed("<p>").wrong)
        self.assertTrue(Wellformed('<a href="page.html"></a>').wrong)
        self.assertTrue(Wellformed("<script></script>").wrong)

    def test_findings(self):
        """Sentences and large figures come from the figures."""
        results = self.read(TRAPLINE, LINUX)
        self.assertEqual([(card.figure, card.detail) for card in cards(results)],
                         [("10x", "50 ticks by EPT; Linux's best 500, by userfaultfd")])
        said = sentences(results)
        self.assertIn("fewer ticks than Linux's best way in 2 of 2 operations", said[0])
        self.assertIn("58x in the geometric mean, 10x at the least (appel1", said[0])
        self.assertIn("appel1 50 (20)", said[1])

    def test_behind(self):
        """Where Linux is not behind the findings say so."""
        results = self.read(TRAPLINE, run("linux", [row("prot1", "uffd", 5)]))
        self.assertIn("Linux is not behind in: PROT1: forbid a page (0.50x).", sentences(results))


if __name__ == "__main__":
    unittest.main()
