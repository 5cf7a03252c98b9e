"""Tests of the runner's parts that need no emulator."""

import importlib.machinery
import importlib.util
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests")]

from harness import Result
from harness.boot import find_in_order, read_report, rows_wrong
from harness.model import judge
from runner import UsageError, bochs, disk, image, qemu, settings, volume
from runner.console import LineReader, Transcript
from runner.machine import Machine, make_run_folder


class MatrixTest(unittest.TestCase):
    """The table of CPU models."""

    @staticmethod
    def load():
        loader = importlib.machinery.SourceFileLoader("matrix", str(ROOT / "tools" / "matrix"))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("matrix", loader))
        loader.exec_module(module)
        return module

    def test_the_table_has_what_each_model_said(self):
        matrix = self.load()
        old, new = matrix.Model("old_one"), matrix.Model("new")
        old.add(Result("t", 1, 0, 1.0, "", "3 checks", ["trapline: features: a", "trapline: modes: M=x"]))
        new.add(Result("t", 1, 0, 1.0, "", "4 checks",
                       ["trapline: features: a b", "trapline: modes: M=y,z"]))
        self.assertEqual(matrix.table([old, new])[2:],
                         ["| `a` | yes | yes |", "| `b` | - | yes |", "| **M** | x | y, z |",
                          "| tests passed | all 1, 3 checks | all 1, 4 checks |"])

    def test_a_model_that_said_nothing_fails(self):
        model = self.load().Model("silent")
        model.add(Result("t", 1, 0, 1.0, "", "", ["cannot start"]))
        self.assertEqual(model.failed(), 1)

    def test_the_table_takes_its_place(self):
        matrix = self.load()
        text = f"a\n{matrix.BEGIN}\nold\n{matrix.END}\nb\n"
        self.assertEqual(matrix.put(text, ["new"]), f"a\n{matrix.BEGIN}\nnew\n{matrix.END}\nb\n")
        with self.assertRaises(UsageError):
            matrix.put("nothing", ["new"])

    def test_each_fallback_runs_somewhere(self):
        names = re.findall(r'^    {"([a-z0-9-]+)", HANDOVER_N[OX]_', (ROOT / "boot/config.c").read_text(),
                           re.MULTILINE)
        tried = " ".join(re.findall(r"^disable *=(.*)", "\n".join(
            path.read_text() for path in (ROOT / "tests").glob("*/*/*.*")
            if path.suffix in (".ini", ".conf")), re.MULTILINE)).replace(",", " ").split()
        self.assertGreater(len(names), 15)
        self.assertEqual([name for name in names if name not in tried], [])

    def test_features_to_disable(self):
        with mock.patch.dict(os.environ, {"DISABLE": "ve, pml"}):
            self.assertEqual(settings.word_list("DISABLE"), "ve, pml")
        with mock.patch.dict(os.environ, {"DISABLE": "ve; rm"}), self.assertRaises(UsageError):
            settings.word_list("DISABLE")
        self.assertIn("disable = ve\n\n[guest",
                      volume.guest_conf("x.elf", 64, 1, "", "shutdown", (), "ve")[1])
        self.assertIn("measure = costs\n\n[guest",
                      volume.guest_conf("x.elf", 64, 1, "", "shutdown", measure="costs")[1])
        for key in ("disable", "measure"):
            self.assertNotIn(key, volume.guest_conf("x.elf", 64, 1, "", "shutdown")[1])


class ModelTest(unittest.TestCase):
    """What the verifier says is judged."""

    CLEAN = "State-vector 132 byte, depth reached 86, errors: 0\n"
    DEADLOCK = "pan:1: invalid end state (at depth 9)\nWarning: Search not completed\n, errors: 1\n"
    ASSERTION = "pan:1: assertion violated 0 (at depth 9)\nWarning: Search not completed\n, errors: 1\n"

    def test_a_run_finds_nothing(self):
        self.assertIsNone(judge(self.CLEAN, None))
        self.assertIn("deadlock", judge(self.DEADLOCK, None))
        self.assertIn("assertion", judge(self.ASSERTION, None))

    def test_a_search_that_was_cut_short_is_no_success(self):
        self.assertIsNotNone(judge("", None))
        self.assertIsNotNone(judge("error: max search depth too small\n" + self.CLEAN, None))
        self.assertIsNotNone(judge("Warning: Search not completed\n" + self.CLEAN, None))

    def test_a_mistake_is_found_and_by_its_kind(self):
        self.assertIsNone(judge(self.DEADLOCK, "deadlock"))
        self.assertIsNone(judge(self.ASSERTION, "assertion"))
        self.assertIsNotNone(judge(self.ASSERTION, "deadlock"))
        self.assertIsNotNone(judge(self.CLEAN, "deadlock"))


class ConsoleTest(unittest.TestCase):
    """Bytes of the serial port become lines, lines a verdict."""

    def read(self, *pieces):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "serial.out")
            reader = LineReader(path)
            lines = reader.read()
            with open(path, "wb") as out:
                for piece in pieces:
                    out.write(piece)
                    out.flush()
                    lines += reader.read()
            lines += reader.read(final=True)
            reader.close()
        return lines

    def judge(self, *lines):
        transcript = Transcript()
        shown = [text for text in map(transcript.add, lines) if text is not None]
        return transcript, shown

    def test_escape_sequences_go(self):
        self.assertEqual(self.read(b"\x1b[2J\x1b[01;01H\x1b[=3hone\x1b[0m\r\ntwo\r\n"),
                         ["one", "two"])

    def test_a_line_in_pieces_is_one_line(self):
        self.assertEqual(self.read(b"tra", b"pline: \xc3", b"\xa9\r", b"\nend"),
                         ["trapline: \u00e9", "end"])

    def test_firmware_is_silent_until_trapline_speaks(self):
        transcript, shown = self.judge("", "BdsDxe: loading Boot0001", "Trapline 0.1", "", "x")
        self.assertEqual(shown, ["Trapline 0.1", "", "x"])
        self.assertTrue(transcript.started)
        self.assertIsNone(transcript.verdict)

    def test_end_ok(self):
        transcript, _ = self.judge("trapline: guest a: exit code 0", "trapline: end ok")
        self.assertEqual(transcript.verdict, "ok")

    def test_a_guest_cannot_fake_the_end_in_the_middle_of_a_line(self):
        transcript, _ = self.judge("say trapline: end ok", "trapline: end ok too")
        self.assertIsNone(transcript.verdict)

    def test_the_first_failure_is_the_reason(self):
        for line, reason in (("trapline: guest a: exit code 3", "guest a ended with exit code 3"),
                             ("trapline: guest a: exit code -1", "guest a ended with exit code -1"),
                             ("trapline: guest a: stopped: triple fault",
                              "guest a stopped: triple fault"),
                             ("trapline: panic on CPU 0: no", "panic on CPU 0: no")):
            transcript, _ = self.judge(line, "trapline: guest b: exit code 9",
                                       "trapline: end failed")
            self.assertEqual((transcript.verdict, transcript.reason), ("failed", reason))

    def test_cannot_start(self):
        transcript, _ = self.judge("trapline: cannot start: EPT is missing")
        self.assertEqual((transcript.verdict, transcript.reason),
                         ("cannot-start", "cannot start: EPT is missing"))

    def test_the_last_end_counts(self):
        transcript, _ = self.judge("trapline: end ok", "trapline: guest a: exit code 2",
                                   "trapline: end failed")
        self.assertEqual((transcript.verdict, transcript.reason),
                         ("failed", "guest a ended with exit code 2"))

    def test_rows_of_several_guests_name_theirs(self):
        transcript, shown = self.judge('[a.1] @json {"name": "add"}', "[b] @jsonx")
        self.assertEqual(transcript.rows, [{"name": "add", "guest": "a.1"}])
        self.assertEqual(shown, ["[b] @jsonx"])

    def test_rows_are_collected_and_hidden(self):
        transcript, shown = self.judge('@json {"name": "add", "n": 3}', "table", "trapline: end ok")
        self.assertEqual(transcript.rows, [{"name": "add", "n": 3}])
        self.assertEqual(shown, ["table", "trapline: end ok"])

    def test_a_malformed_row_fails_the_run(self):
        for row in ('@json {"name": ', "@json 3"):
            transcript, _ = self.judge(row, "trapline: end ok")
            self.assertEqual(transcript.verdict, "failed")
            self.assertIn("malformed", transcript.reason)


class ImageTest(unittest.TestCase):
    """The disk image is what a firmware expects, and always the same."""

    def write(self, folder, name="disk.img"):
        path = Path(folder, name)
        image.write_image(path, {"EFI/BOOT/BOOTX64.EFI": b"loader" * 1000,
                                 "trapline/trapline.conf": b"conf"})
        return path

    def test_partition_table(self):
        with tempfile.TemporaryDirectory() as folder:
            disk = self.write(folder).read_bytes()
        sectors = len(disk) // 512
        self.assertEqual(disk[510:512], b"\x55\xaa")
        for own, other in ((1, sectors - 1), (sectors - 1, 1)):
            header = bytearray(disk[own * 512:own * 512 + 92])
            crc, at, there = struct.unpack_from("<I4xQQ", header, 16)
            table_at, count, size, table_crc = struct.unpack_from("<QIII", header, 72)
            header[16:20] = bytes(4)
            self.assertEqual((header[:8], crc, at, there),
                             (b"EFI PART", zlib.crc32(header), own, other))
            table = disk[table_at * 512:table_at * 512 + count * size]
            self.assertEqual(table_crc, zlib.crc32(table))

    def test_files_come_back(self):
        with tempfile.TemporaryDirectory() as folder:
            volume_at = f"{self.write(folder)}@@{image.PARTITION_FIRST * 512}"
            got = subprocess.run(["mtype", "-i", volume_at, "::EFI/BOOT/BOOTX64.EFI"],
                                 capture_output=True, check=True).stdout
        self.assertEqual(got, b"loader" * 1000)

    def test_fat32_has_the_clusters_that_its_kind_needs(self):
        self.assertGreater(image.PARTITION_SECTORS * 512 // 512 * 0.97, 65525)

    def test_reproducible(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.write(folder).read_bytes(),
                             self.write(folder, "again.img").read_bytes())

    def test_a_file_too_large_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaises(OSError):
            image.write_image(Path(folder, "disk.img"), {"big": bytes(62 << 20)})


class VolumeTest(unittest.TestCase):
    """Configurations made and read."""

    def test_guest_memory_follows_the_machine(self):
        self.assertEqual(volume.default_guest_memory(512), 192)
        self.assertEqual(volume.default_guest_memory(2048), 1728)
        for mib in range(64, 4096, 7):
            guest = volume.default_guest_memory(mib)
            self.assertEqual(guest % 2, 0)
            self.assertLessEqual(8, guest)
            self.assertLess(guest, mib)

    def test_guest_conf(self):
        name, text = volume.guest_conf("/x/my guest.elf", 64, 2, "a b", "halt")
        self.assertEqual(name, "my_guest")
        self.assertEqual(volume.conf_images(text), ["\\trapline\\my_guest.elf"])
        self.assertEqual(volume.conf_on_exit(text), "halt")
        self.assertIn('args = "a b"\n', text)

    def test_args_that_cannot_be_written(self):
        for args in ("tab\t", "line\nend = x", "\u00e9", "x" * 256, '"a" # b'):
            with self.assertRaises(UsageError):
                volume.guest_conf("x.elf", 64, 1, args, "halt")

    def test_images_of_a_configuration(self):
        text = ('image = a.elf # one\r\n[guest b]\r\n IMAGE="\\x\\b.elf"\r\n# image = c.elf\r\n'
                "image2 = d.elf\n")
        self.assertEqual(volume.conf_images(text), ["a.elf", "\\x\\b.elf"])
        self.assertEqual(volume.conf_on_exit("x = y\n"), "shutdown")

    def test_missing_image(self):
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(UsageError, "nowhere.elf"):
                volume.conf_files("image = nowhere.elf\n", [Path(folder)])
            self.assertEqual(volume.conf_files("image = nowhere.elf\n", [Path(folder)], True), {})


class SettingsTest(unittest.TestCase):
    """Wrong values name what is allowed."""

    def setUp(self):
        self.environment = mock.patch.dict(os.environ, {}, clear=False)
        self.environment.start()
        for name in ("ENGINE", "BOCHS", "CPUS", "MEM", "CONF", "GUEST", "ARGS", "VCPUS",
                     "COPIES", "REPEAT", "PIN", "GUEST_MEM", "TIMEOUT", "DISK"):
            os.environ.pop(name, None)

    def tearDown(self):
        self.environment.stop()

    def test_numbers(self):
        os.environ["TIMEOUT"] = "90"
        self.assertEqual(settings.choose_timeout(), 90)
        for wrong in ("0", "-1", "x", "1.5", "99999999"):
            os.environ["TIMEOUT"] = wrong
            with self.assertRaisesRegex(UsageError, f"TIMEOUT={wrong}.*from 1 to"):
                settings.choose_timeout()

    def test_engine(self):
        os.environ["ENGINE"] = "xen"
        with self.assertRaisesRegex(UsageError, "bochs or kvm"):
            settings.choose_engine()

    def test_kvm_says_why_not(self):
        os.environ["ENGINE"] = "kvm"
        with mock.patch.object(settings, "why_no_kvm", lambda: "no vmx"):
            with self.assertRaisesRegex(UsageError, "no vmx"):
                settings.choose_engine()

    def test_kvm_is_chosen_only_where_it_works(self):
        with mock.patch.object(settings, "Qemu", lambda name: name), \
                mock.patch.object(settings, "find_bochs", lambda: "bochs"):
            for reason, engine in ((None, "kvm"), ("no vmx", "bochs")):
                with mock.patch.object(settings, "why_no_kvm", lambda reason=reason: reason):
                    self.assertEqual(settings.choose_engine(), engine)

    def test_kvm_without_vmx_in_cpuinfo(self):
        with tempfile.NamedTemporaryFile("w") as nested:
            nested.write("Y\n")
            nested.flush()
            for flags, allowed in (("flags : fpu svm", False), ("flags : fpu vmx ept", True)):
                with mock.patch.object(qemu.Path, "read_text",
                                       lambda path, flags=flags: flags
                                       if str(path) == "/proc/cpuinfo" else "Y"), \
                        mock.patch.object(qemu.os, "access", lambda path, mode: True):
                    self.assertEqual(qemu.why_no_kvm() is None, allowed)

    def test_guest_that_is_not_there(self):
        os.environ["GUEST"] = "nobody"
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(UsageError, "GUEST=nobody"):
                settings.choose_volume(Path(folder), 512, "halt")

    def test_conf_and_guest_exclude_each_other(self):
        os.environ["CONF"] = "x.conf"
        for name in ("ARGS", "COPIES", "REPEAT", "PIN"):
            with mock.patch.dict(os.environ, {name: "1"}):
                with self.assertRaisesRegex(UsageError, f"CONF= and {name}="):
                    settings.choose_volume(ROOT, 512, "halt")

    def test_many_guests(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "guests").mkdir()
            (Path(folder) / "guests" / "w.elf").write_bytes(b"")
            os.environ.update(GUEST="w", COPIES="6", REPEAT="50", PIN="0, 2", VCPUS="2")
            text = settings.choose_volume(Path(folder), 512, "halt").conf.decode()
            for line in ("memory = 32M", "vcpus = 2", "copies = 6", "repeat = 50", "cpus = 0, 2"):
                self.assertIn(line + "\n", text)
            for name, wrong in (("PIN", "0,"), ("PIN", "one"), ("COPIES", "65"), ("REPEAT", "0"),
                                ("VCPUS", "33")):
                with mock.patch.dict(os.environ, {name: wrong}):
                    with self.assertRaisesRegex(UsageError, f"{name}={wrong}"):
                        settings.choose_volume(Path(folder), 512, "halt")


class DiskTest(unittest.TestCase):
    """The disk of the guest's own."""

    def test_setting(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "kept.img")
            path.write_bytes(bytes(1024))
            Path(folder, "odd.img").write_bytes(bytes(1000))
            Path(folder, "empty.img").write_bytes(b"")
            for text, chosen in (("", None), ("64", 64), (str(path), path)):
                with mock.patch.dict(os.environ, {"DISK": text}):
                    self.assertEqual(settings.choose_disk(), chosen)
            for wrong, why in (("0", "from 1 to"), ("-1", "no such file"), ("64M", "no such file"),
                               (folder, "no such file"), (f"{folder}/odd.img", "multiple of 512"),
                               (f"{folder}/empty.img", "multiple of 512")):
                with mock.patch.dict(os.environ, {"DISK": wrong}):
                    with self.assertRaisesRegex(UsageError, f"DISK={wrong}: ?.*{why}"):
                        settings.choose_disk()

    def test_a_number_is_a_new_disk_of_zeros(self):
        with tempfile.TemporaryDirectory() as folder:
            with disk.attached(2, folder):
                made = Path(folder, disk.IMAGE)
                self.assertEqual(made.stat().st_size, 2 << 20)
                self.assertFalse(any(made.read_bytes()))

    def test_no_disk(self):
        with tempfile.TemporaryDirectory() as folder:
            with disk.attached(None, folder):
                self.assertEqual(list(Path(folder).iterdir()), [])

    def test_a_file_is_used_in_place_and_by_one_run_at_a_time(self):
        with tempfile.TemporaryDirectory() as folder:
            kept, one, two = Path(folder, "kept.img"), Path(folder, "1"), Path(folder, "2")
            kept.write_bytes(b"a" * 512)
            one.mkdir()
            two.mkdir()
            with disk.attached(kept, one):
                with open(one / disk.IMAGE, "r+b") as image_file:
                    image_file.write(b"b")
                with self.assertRaisesRegex(UsageError, "another run"):
                    with disk.attached(kept, two):
                        self.fail("a second run has the disk")
            with disk.attached(kept, two):
                self.assertEqual((two / disk.IMAGE).read_bytes(), b"b" + b"a" * 511)

    def test_bochs_has_it_on_a_channel_of_its_own(self):
        lines = bochs.Bochs.disk_lines(Machine("x", 1, 64, disk=8))
        self.assertEqual(len(lines), 2)
        self.assertTrue(all(line.startswith("ata1") for line in lines))
        self.assertIn(f'path="{disk.IMAGE}"', lines[1])
        self.assertEqual(bochs.Bochs.disk_lines(Machine("x", 1, 64)), [])

    def test_the_guest_gets_it(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "guests").mkdir()
            (Path(folder) / "guests" / "w.elf").write_bytes(b"")
            with mock.patch.dict(os.environ, {"GUEST": "w"}):
                for channel, there in (("ata1", True), (None, False)):
                    text = settings.choose_volume(Path(folder), 512, "halt", channel).conf.decode()
                    self.assertEqual("disk = ata1\n" in text, there)
                with mock.patch.dict(os.environ, {"COPIES": "2"}):
                    with self.assertRaisesRegex(UsageError, "DISK= and COPIES="):
                        settings.choose_volume(Path(folder), 512, "halt", "ata1")


class FolderTest(unittest.TestCase):
    """Runs do not share folders, and old ones go."""

    def test_folders(self):
        with tempfile.TemporaryDirectory() as runs:
            made = [make_run_folder(Path(runs)) for _ in range(12)]
            self.assertEqual(len(set(made)), 12)
            self.assertTrue(all(folder.is_dir() for folder in made))  # this process lives
            for folder in made:
                (folder / "pid").write_text("999999999\n")
            make_run_folder(Path(runs))
            self.assertLess(len(list(Path(runs).iterdir())), 12)


class HarnessTest(unittest.TestCase):
    """How the boot tests read a console."""

    def test_report(self):
        report = read_report(["1..3", "ok a", "not ok b: 1 is not 2", "ok", "okay c", "[x]  ok d"])
        self.assertEqual((report.passed, report.failures, report.planned),
                         (2, ["not ok b: 1 is not 2"], [3]))

    def test_order(self):
        self.assertIsNone(find_in_order(["a", "b"], ["xa", "c", "b"]))
        self.assertEqual(find_in_order(["a", "b"], ["b", "a"]), "b")
        self.assertEqual(find_in_order(["a", "a"], ["a"]), "a")

    def test_rows(self):
        row = {"name": "a", "mode": "exit", "unit": "tsc", "per": "op", "n": 1, "min": 1, "median": 1.5,
               "p99": 2, "exits": 1, "flushes": 0, "ipis": 0}
        self.assertIsNone(rows_wrong([row], ["a"]))
        self.assertIn("0 result rows", rows_wrong([], ["a"]))
        self.assertIn("2 result rows", rows_wrong([row, row], ["a"]))
        self.assertIn("nobody asked", rows_wrong([row, dict(row, name="b")], ["a"]))
        self.assertIn("p99", rows_wrong([dict(row, p99=None)], ["a"]))


if __name__ == "__main__":
    unittest.main()
