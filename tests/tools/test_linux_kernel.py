"""Tests of how a kernel is made ready and how the console of its Linux is judged."""

import gzip
import lzma
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from runner import UsageError, kernel, linux
from runner.kernel import KernelError
from runner.linux_console import LinuxTranscript
from runner.machine import Machine, Outcome

BASE = 0x1000000
RELEASE = "6.1.0-7-amd64"


def elf(loads, entry=BASE, machine=kernel.EM_X86_64, interpreter=False):
    """An ELF file. loads: (physical address, content) of segments."""
    segments, content = b"", b""
    kinds = [(kernel.PT_LOAD, *load) for load in loads]
    if interpreter:
        kinds.append((linux.INTERPRETER, 0, b"/lib/ld.so\0"))
    start = kernel.ELF_HEADER.size + len(kinds) * kernel.ELF_SEGMENT.size
    for kind, physical, data in kinds:
        segments += kernel.ELF_SEGMENT.pack(kind, 5, start + len(content), 0, physical, len(data),
                                            len(data) + 64, 4096)
        content += data
    header = kernel.ELF_HEADER.pack(b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), 2, machine, 1, entry,
                                    kernel.ELF_HEADER.size, 0, 0, 64, kernel.ELF_SEGMENT.size,
                                    len(kinds), 64, 0, 0)
    return header + segments + content


def bzimage(payload, release=RELEASE, version=0x20F, setup_sectors=9):
    """A bzImage with this payload 100 bytes into its second part."""
    setup = bytearray((setup_sectors + 1) * kernel.SECTOR)
    setup[kernel.SETUP_SECTORS] = setup_sectors
    setup[kernel.MAGIC_AT:kernel.MAGIC_AT + 4] = kernel.MAGIC
    struct.pack_into("<H", setup, kernel.VERSION_AT, version)
    struct.pack_into("<H", setup, kernel.RELEASE_AT, 0xC00)
    text = f"{release} (someone@somewhere) #1 SMP\0".encode()
    setup[0xE00:0xE00 + len(text)] = text
    struct.pack_into("<II", setup, kernel.PAYLOAD_AT, 100, len(payload))
    return bytes(setup) + bytes(100) + payload + b"what follows"


def package(folder, files, name="linux-image-x", version="6.1.1-2"):
    """A Debian package with these files, {path: content}."""
    root = Path(folder, "package")
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: x <x@x>\n"
        "Description: x\n")
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    deb = Path(folder, "x.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", str(root), str(deb)], check=True,
                   capture_output=True)
    return deb


class UnpackTest(unittest.TestCase):
    """From a bzImage to the kernel in memory."""

    def test_the_payload_is_found(self):
        for sectors in (9, 39):
            self.assertEqual(kernel.payload_of(bzimage(b"packed", setup_sectors=sectors)), b"packed")
        self.assertEqual(kernel.release_of(bzimage(b"packed")), RELEASE)

    def test_what_is_no_kernel(self):
        for image, why in ((b"MZ", "no setup header"), (bytes(8192), "no setup header"),
                           (bzimage(b"x", version=0x207), "2.07 is too old"),
                           (bzimage(b""), "cut off"),
                           (bzimage(b"x" * 9000)[:9000], "cut off")):
            with self.assertRaisesRegex(KernelError, why):
                kernel.payload_of(image)

    def test_each_packing(self):
        size = struct.pack("<I", 5000)
        content = b"kernel" * 1000
        xz = lzma.compress(content, check=lzma.CHECK_CRC32) + size
        self.assertEqual(kernel.unpack(xz), content)
        self.assertEqual(kernel.unpack(gzip.compress(content)), content)
        if shutil.which("zstd"):
            packed = subprocess.run(["zstd", "-c"], input=content, capture_output=True).stdout
            self.assertEqual(kernel.unpack(packed + size), content)
        with mock.patch("shutil.which", return_value=None), \
                self.assertRaisesRegex(UsageError, "install the package zstd"):
            kernel.unpack(kernel.ZSTD + bytes(9))
        with self.assertRaisesRegex(KernelError, "unknown way"):
            kernel.unpack(b"BZh9..........")
        with self.assertRaisesRegex(KernelError, "damaged"):
            kernel.unpack(xz[:6] + b"\xff" * 60)

    def test_segments_take_their_places(self):
        loads = [(BASE + 0x3000, b"data" + bytes(50)), (BASE, b"code")]
        memory = b"code" + bytes(0x3000 - 4) + b"data"
        self.assertEqual(kernel.flatten(elf(loads)), (memory, 0))
        self.assertEqual(kernel.flatten(elf(loads, entry=BASE + 3)), (memory, 3))

    def test_what_cannot_be_flattened(self):
        good = elf([(BASE, b"code")])
        for bad, why in ((b"junk", "no 64-bit ELF"), (good[:-2], "cut off"), (good[:70], "cut off"),
                         (elf([(BASE, b"x")], machine=3), "not for x86-64"),
                         (elf([(BASE, b"x")], entry=BASE + 16), "outside itself"),
                         (elf([]), "outside itself")):
            with self.assertRaisesRegex(KernelError, why):
                kernel.flatten(bad)


class FindTest(unittest.TestCase):
    """Where a kernel comes from."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.image = bzimage(lzma.compress(elf([(BASE, b"code")], entry=BASE + 2)))

    def test_a_package_file(self):
        deb = package(self.folder, {f"boot/vmlinuz-{RELEASE}": self.image, "boot/other": b""})
        for _ in range(2):
            found = kernel.find_kernel(self.folder, str(deb))
            self.assertEqual((found.release, found.package), (RELEASE, "linux-image-x_6.1.1-2"))
            files = {name: path.read_bytes() for name, path in found.files().items()}
            setup = self.image[:0x214] + b"\2\0\0\0" + self.image[0x218:4096]
            self.assertEqual(files, {"linux/kernel": b"code", "linux/setup": setup})
        self.assertEqual(len(list((self.folder / "linux" / "kernel").iterdir())), 1)

    def test_files_that_will_not_do(self):
        with self.assertRaisesRegex(UsageError, "no such file; backports or"):
            kernel.find_kernel(self.folder, "nothing.deb")
        (self.folder / "junk.deb").write_bytes(b"junk")
        with self.assertRaisesRegex(UsageError, "junk.deb"):
            kernel.find_kernel(self.folder, str(self.folder / "junk.deb"))
        with self.assertRaisesRegex(UsageError, "no vmlinuz"):
            kernel.find_kernel(self.folder, str(package(self.folder, {"boot/other": b"x"})))

    def apt(self, answers):
        """Stands in for the programs of apt: {program's subcommand: (status, output, errors)}."""
        def run(words, **_):
            self.ran.append(words)
            name = next(name for name in answers if name in words)
            if callable(answers[name]):
                return answers[name](words)
            return SimpleNamespace(**dict(zip(("returncode", "stdout", "stderr"), answers[name])))
        self.ran = []
        return mock.patch("subprocess.run", run)

    def test_the_release_of_this_debian(self):
        deb = package(self.folder, {f"boot/vmlinuz-{RELEASE}": self.image})
        show = (0, f"Package: {kernel.PACKAGE}\nDepends: linux-image-{RELEASE} (= 6.1.1-2)\n", "")

        def download(words):
            self.assertEqual(words[-1], f"linux-image-{RELEASE}=6.1.1-2")
            shutil.copy(deb, words[3])
            return SimpleNamespace(returncode=0, stdout="", stderr="")

        with self.apt({"show": show, "download": download}):
            for _ in range(2):
                self.assertEqual(kernel.find_kernel(self.folder).package,
                                 f"linux-image-{RELEASE}_6.1.1-2")
        self.assertEqual(sum("download" in words for words in self.ran), 1)

    def test_without_a_network(self):
        show = (0, f"Depends: linux-image-{RELEASE} (= 6.1.1-2)\n", "")
        failed = (100, "", "W: a warning\nE: Failed to fetch x: Could not resolve 'deb.debian.org'\n")
        with self.apt({"show": show, "download": failed}), \
                self.assertRaisesRegex(UsageError, "Could not resolve.*KERNEL=path.deb"):
            kernel.find_kernel(self.folder)
        with self.apt({"show": (0, "", "")}), self.assertRaisesRegex(UsageError, "apt-get update"):
            kernel.find_kernel(self.folder)
        with self.apt({"update": failed}), mock.patch.object(kernel, "_codename", lambda: "bookworm"), \
                self.assertRaisesRegex(UsageError, "KERNEL=backports: .*Could not resolve"):
            kernel.find_kernel(self.folder, "backports")

    def test_backports_have_lists_of_their_own(self):
        with mock.patch.object(kernel, "_codename", lambda: "bookworm"):
            options = kernel._backports_options(self.folder)
        self.assertIn("bookworm-backports main", (self.folder / "sources.list").read_text())
        self.assertIn(f"Dir::State::lists={self.folder.resolve()}/lists", options)


class VolumeTest(unittest.TestCase):
    """What is put before the loader."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = Path(folder.name)
        (self.build / "linux" / "static").mkdir(parents=True)

    def test_command_line(self):
        line = linux.command_line("bochs", "off").split()
        self.assertIn("clearcpuid=580", line)
        self.assertEqual(line[-1], "mitigations=off")
        line = linux.command_line("kvm", "on").split()
        self.assertFalse(set(line) & set(linux.BOCHS_ONLY))
        self.assertEqual(line[-1], "mitigations=auto")

    def test_commands(self):
        self.assertEqual(linux.parse_command("A=1 B=2 gc verify seed=3"),
                         (["A=1", "B=2"], "gc", ["verify", "seed=3"]))
        for command, why in (("", "names no program"), ("A=1", "names no program"),
                             ("a\nb", "printable"), ("x " * 65, "more than 64 words")):
            with self.assertRaisesRegex(UsageError, why):
                linux.parse_command(command)

    def test_programs(self):
        static, dynamic = elf([(0, b"x")]), elf([(0, b"x")], interpreter=True)
        (self.build / "linux" / "gc").write_bytes(dynamic)
        with self.assertRaisesRegex(UsageError, "not statically linked"):
            linux.find_program("gc", self.build)
        path = self.build / "linux" / "static" / "gc"
        path.write_bytes(static)
        self.assertEqual(linux.find_program("gc", self.build), path)
        self.assertEqual(linux.find_program(str(path), self.build), path)
        with self.assertRaisesRegex(UsageError, "no such program.*gc"):
            linux.find_program("nothing", self.build)
        path.write_bytes(b"#!/bin/sh\n")
        self.assertFalse(linux.is_static(path))

    @unittest.skipUnless(shutil.which("cpio"), "cpio is missing")
    def test_initrd(self):
        for name in ("init", "tool"):
            (self.build / name).write_bytes(name.encode())
        made = [linux.make_initrd(self.build / "init", {"x": self.build / "tool"}, ["/bin/x 1"])
                for _ in range(2)]
        self.assertEqual(made[0], made[1])
        out = self.build / "out"
        out.mkdir()
        subprocess.run(["cpio", "-i", "--quiet"], cwd=out, input=made[0], check=True)
        self.assertEqual((out / "init").read_bytes(), b"init")
        self.assertEqual((out / "bin" / "x").read_bytes(), b"tool")
        self.assertTrue((out / "bin" / "x").stat().st_mode & 0o100)
        self.assertEqual((out / "commands").read_text(), "/bin/x 1\n")

    def test_without_cpio(self):
        with mock.patch("shutil.which", return_value=None), \
                self.assertRaisesRegex(UsageError, "tools/setup bench"):
            linux.make_initrd(self.build / "init", {}, [])


class TranscriptTest(unittest.TestCase):
    """The console of a Linux."""

    @staticmethod
    def read(*lines):
        transcript = LinuxTranscript()
        for line in lines:
            transcript.add(line)
        return transcript

    BEGIN = ("BdsDxe: starting", "linux: kernel 6.1", "linux: program starts: /bin/a x=1",
             '@json {"name": "n"}')

    def test_programs_and_their_rows(self):
        said = self.read(*self.BEGIN, "linux: program a: exit code 0",
                         "linux: program starts: /bin/b", '@json {"name": "m"}', "hello",
                         "linux: program b: exit code 0", "linux: end ok")
        self.assertEqual((said.verdict, said.release), ("ok", "6.1"))
        self.assertEqual([program.command for program in said.programs], ["/bin/a x=1", "/bin/b"])
        self.assertEqual([program.rows for program in said.programs],
                         [[{"name": "n"}], [{"name": "m"}]])
        self.assertEqual(said.rows, [{"name": "n"}, {"name": "m"}])
        self.assertIn("hello", said.programs[1].lines)
        self.assertNotIn("BdsDxe: starting", said.lines)

    def test_failures(self):
        for line, why in (("linux: program a: exit code 3", "a ended with exit code 3"),
                          ("linux: program a: signal 11", "a ended with signal 11"),
                          ("linux: program a cannot be run: no memory", "a cannot be run: no memory")):
            said = self.read(*self.BEGIN, line, "linux: end failed")
            self.assertEqual((said.verdict, said.reason), ("failed", why))
        said = self.read(*self.BEGIN, "@json {", "linux: program a: exit code 0", "linux: end ok")
        self.assertEqual(said.verdict, "failed")
        self.assertIn("malformed", said.reason)
        said = self.read(*self.BEGIN, "[    1.0] Kernel panic - not syncing: no init")
        self.assertEqual((said.verdict, said.reason), ("failed", "the kernel panicked: no init"))
        said = self.read("trapline: cannot start: \\linux\\kernel cannot be opened (not found)")
        self.assertEqual(said.verdict, "cannot-start")
        self.assertIn("not found", said.reason)

    def test_runs_of_a_results_file(self):
        said = self.read(*self.BEGIN, "linux: program a: exit code 0",
                         "linux: program starts: /bin/b", '@json {"name": "m"}')
        engine = SimpleNamespace(name="bochs", version="2.7")
        outcome = Outcome("timeout", "no end", 9.0, said)
        runs = linux.linux_runs(engine, Machine("tigerlake", 2, 512), outcome,
                                ["V=2 a others=1", "path/b", "c"], "off", ROOT)
        self.assertEqual([run["verdict"] for run in runs], ["ok", "timeout", "timeout"])
        self.assertEqual([run["guest"] for run in runs], ["a", "b", "c"])
        self.assertEqual([len(run["rows"]) for run in runs], [1, 1, 0])
        self.assertEqual((runs[0]["others"], runs[0]["args"], runs[0]["environment"], runs[0]["kernel"], runs[0]["cpus"]),
                         (1, "others=1", "V=2", "6.1", 2))


if __name__ == "__main__":
    unittest.main()
