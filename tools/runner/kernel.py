"""A Linux kernel out of a Debian package, made ready for the loader of tools/linux: unpacked on
this host, since an emulator would take minutes for it. Nothing is installed, nobody need be root.

What is made of a package is kept in build/linux/kernel/PACKAGE_VERSION/: `kernel`, the kernel as it
lies in memory; `setup`, the sectors of the bzImage that hold its setup header, with code32_start
set to where the kernel starts, counted from its first byte; `release`.
Sources: Linux, Documentation/arch/x86/boot.rst (the setup header); the ELF specification.
"""

import lzma
import os
import re
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from . import UsageError

PACKAGE = "linux-image-amd64"
BACKPORTS = "backports"
MIRROR = "http://deb.debian.org/debian"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
OS_RELEASE = Path("/etc/os-release")
HINT = "KERNEL=path.deb takes a package that is there already"

SECTOR = 512
MAGIC = b"HdrS"
# Offsets in the bzImage.
SETUP_SECTORS, MAGIC_AT, VERSION_AT, RELEASE_AT, PAYLOAD_AT = 0x1F1, 0x202, 0x206, 0x20E, 0x248
CODE32_START_AT = 0x214
RELEASE_BASE = 0x200
VERSION_MIN = 0x208  # the first with the payload's place
SETUP_BYTES = 4096   # more than any setup header takes

SIZE_BYTES = 4  # the unpacked size, appended to payloads whose format does not hold it
XZ, ZSTD, GZIP = b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x1f\x8b"

PT_LOAD = 1
ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
ELF_SEGMENT = struct.Struct("<IIQQQQQQ")
EM_X86_64 = 62


class KernelError(Exception):
    """A file that is not the kernel that it should be."""


@dataclass
class Kernel:
    """A kernel that is ready."""

    release: str   # as uname says it
    package: str   # name and version of the Debian package
    folder: Path

    def files(self):
        """{volume path: content} of what the loader reads of it."""
        return {f"linux/{name}": self.folder / name for name in ("setup", "kernel")}


def _header(image):
    if len(image) < SETUP_BYTES or image[MAGIC_AT:MAGIC_AT + len(MAGIC)] != MAGIC:
        raise KernelError("no setup header of a Linux kernel")
    version, = struct.unpack_from("<H", image, VERSION_AT)
    if version < VERSION_MIN:
        raise KernelError(f"boot protocol {version >> 8}.{version & 255:02} is too old")


def release_of(image):
    """The release of a bzImage, as uname will say it."""
    _header(image)
    at = struct.unpack_from("<H", image, RELEASE_AT)[0] + RELEASE_BASE
    text = image[at:image.find(b"\0", at)].decode(errors="replace").split()
    if not text:
        raise KernelError("the kernel does not say its release")
    return text[0]


def payload_of(image):
    """The packed kernel in a bzImage."""
    _header(image)
    offset, length = struct.unpack_from("<II", image, PAYLOAD_AT)
    start = ((image[SETUP_SECTORS] or 4) + 1) * SECTOR + offset
    payload = image[start:start + length]
    if length == 0 or len(payload) != length:
        raise KernelError("the packed kernel is cut off")
    return payload


def _unzstd(payload):
    program = shutil.which("zstd")
    if program is None:
        raise UsageError("this kernel is packed with zstd: install the package zstd")
    done = subprocess.run([program, "-dc"], input=payload[:-SIZE_BYTES], capture_output=True)
    if done.returncode != 0:
        raise KernelError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def unpack(payload):
    """The ELF file that a payload holds."""
    try:
        if payload.startswith(XZ):
            return lzma.LZMADecompressor().decompress(payload)
        if payload.startswith(GZIP):
            return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(payload)
    except (lzma.LZMAError, zlib.error) as error:
        raise KernelError(f"the packed kernel is damaged: {error}") from None
    if payload.startswith(ZSTD):
        return _unzstd(payload)
    raise KernelError(f"packed in an unknown way ({payload[:6].hex()})")


def flatten(elf):
    """What an ELF kernel looks like in memory from its first byte on, without the zeroes at the end,
    and how far from there it starts."""
    if len(elf) < ELF_HEADER.size or elf[:6] != b"\x7fELF\x02\x01":
        raise KernelError("the unpacked kernel is no 64-bit ELF file")
    header = ELF_HEADER.unpack_from(elf)
    machine, entry, table, size, count = header[2], header[4], header[5], header[9], header[10]
    if machine != EM_X86_64 or size != ELF_SEGMENT.size or table + count * size > len(elf):
        raise KernelError("the unpacked kernel is not for x86-64 or is cut off")
    loads = []
    for i in range(count):
        kind, _, offset, _, physical, length, _, _ = ELF_SEGMENT.unpack_from(elf, table + i * size)
        if kind == PT_LOAD:
            if offset + length > len(elf):
                raise KernelError("the unpacked kernel is cut off")
            loads.append((physical, elf[offset:offset + length]))
    if not any(physical <= entry < physical + len(content) for physical, content in loads):
        raise KernelError("the kernel starts outside itself")
    first = min(physical for physical, _ in loads)
    memory = bytearray(max(physical + len(content) for physical, content in loads) - first)
    for physical, content in loads:
        memory[physical - first:physical - first + len(content)] = content
    return bytes(memory.rstrip(b"\0")), entry - first


def _program(words, what):
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace",
                              env=dict(os.environ, LC_ALL="C"))
    except FileNotFoundError:
        raise UsageError(f"{what}: {words[0]} is missing; {HINT}") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = " ".join(said or done.stderr.splitlines()[-1:]).strip() or f"{words[0]} failed"
        raise UsageError(f"{what}: {reason}; {HINT}")
    return done.stdout


def _image_of(deb):
    """The bzImage in a Debian package."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as files:
                for member in files:
                    if re.fullmatch(r"(\./)?(usr/lib/modules/[^/]+|boot)/vmlinuz[^/]*", member.name):
                        return files.extractfile(member).read()
        except tarfile.TarError:
            pass
        finally:
            process.kill()
    raise KernelError("no vmlinuz in it")


def _prepare(deb, package, folder):
    """Make the folder of a package's kernel."""
    try:
        image = _image_of(deb)
        release = release_of(image)
        memory, entry = flatten(unpack(payload_of(image)))
    except KernelError as error:
        raise UsageError(f"KERNEL: {package}: {error}") from None
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=folder.parent))
    new.chmod(0o755)
    setup = bytearray(image[:SETUP_BYTES])
    struct.pack_into("<I", setup, CODE32_START_AT, entry)
    (new / "setup").write_bytes(setup)
    (new / "kernel").write_bytes(memory)
    (new / "release").write_text(release + "\n")
    # The folder is there as a whole or not at all, whoever else prepares it meanwhile.
    try:
        new.rename(folder)
    except OSError:
        shutil.rmtree(new)


def _ready(folder):
    release = folder / "release"
    return Kernel(release.read_text().strip(), folder.name, folder) if release.is_file() else None


def _codename():
    try:
        found = re.search(r"^VERSION_CODENAME=(\w+)", OS_RELEASE.read_text(), re.MULTILINE)
    except OSError:
        found = None
    if found is None:
        raise UsageError(f"KERNEL={BACKPORTS}: {OS_RELEASE} names no Debian release; {HINT}")
    return found.group(1)


def _backports_options(cache):
    """apt's options for package lists of its own in the folder cache, of backports alone."""
    cache = cache.resolve()
    for name in ("lists/partial", "archives/partial"):
        (cache / name).mkdir(parents=True, exist_ok=True)
    source = cache / "sources.list"
    source.write_text(f"deb [signed-by={KEYRING}] {MIRROR} {_codename()}-backports main\n")
    return [word for setting in (f"Dir::Etc::sourcelist={source}", "Dir::Etc::sourceparts=/dev/null",
                                 f"Dir::State::lists={cache}/lists", f"Dir::Cache={cache}",
                                 "Dir::State::status=/dev/null", "Acquire::Languages=none")
            for word in ("-o", setting)]


def _wanted(options, what):
    """Name and version of the package that PACKAGE stands for."""
    text = _program(["apt-cache", *options, "show", "--no-all-versions", PACKAGE], what)
    found = re.search(r"^Depends:.*?\b(linux-image-[^ ,]+)(?: \(= ([^)]+)\))?", text, re.MULTILINE)
    if found is None:
        raise UsageError(f"{what}: apt knows no kernel behind {PACKAGE} (`apt-get update`, as root, "
                         f"fetches its lists); {HINT}")
    return found.group(1), found.group(2)


def _from_apt(kernels, options, what):
    name, version = _wanted(options, what)
    folder = kernels / f"{name}_{version}"
    ready = _ready(folder)
    if ready is not None:
        return ready
    kernels.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kernels) as download:
        os.chmod(download, 0o755)
        words = ["sh", "-c", 'cd "$0" && exec apt-get "$@"', download, *options, "-q", "download",
                 f"{name}={version}" if version else name]
        _program(words, what)
        debs = list(Path(download).glob("*.deb"))
        if len(debs) != 1:
            raise UsageError(f"{what}: apt-get downloaded no package {name}; {HINT}")
        _prepare(debs[0], folder.name, folder)
    return _ready(folder)


def _from_file(kernels, deb):
    if not deb.is_file():
        raise UsageError(f"KERNEL={deb}: no such file; {BACKPORTS} or the path of a Debian package "
                         "with a kernel is allowed")
    fields = _program(["dpkg-deb", "-f", str(deb), "Package", "Version"], f"KERNEL={deb}")
    name = "_".join(re.findall(r"^(?:Package|Version): (\S+)", fields, re.MULTILINE))
    folder = kernels / name
    if _ready(folder) is None:
        _prepare(deb, name, folder)
    return _ready(folder)


def find_kernel(build, choice=""):
    """The kernel by KERNEL: that of this Debian release (""), of its backports ("backports"), or of
    a package file. Fetched and unpacked unless that was done before."""
    kernels = build / "linux" / "kernel"
    if choice == BACKPORTS:
        what = f"KERNEL={BACKPORTS}"
        options = _backports_options(kernels / BACKPORTS)
        _program(["apt-get", *options, "-q", "update"], what)
        return _from_apt(kernels, options, what)
    if choice:
        return _from_file(kernels, Path(choice))
    return _from_apt(kernels, [], "the kernel for comparison")
