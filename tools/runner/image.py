"""The bootable disk image: GPT, one EFI system partition with FAT32. Needs mtools, no root.

The same files give the same image, byte by byte.
"""

import os
import struct
import subprocess
import uuid
import zlib
from pathlib import Path

SECTOR = 512
DISK_SECTORS = 64 * 1024 * 1024 // SECTOR
PARTITION_FIRST = 2048  # 1 MiB
PARTITION_SECTORS = 61 * 1024 * 1024 // SECTOR
TABLE_SECTORS = 32
ENTRY_SIZE = 128
ENTRY_COUNT = TABLE_SECTORS * SECTOR // ENTRY_SIZE
FAT_HEADS = 16
FAT_TRACK_SECTORS = 63
ROOM = 60 * 1024 * 1024  # bytes for files, each rounded up to sectors
FAT_SERIAL = "5452504c"
TIMESTAMP = "1700000000"

EFI_SYSTEM_PARTITION = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
DISK_GUID = uuid.UUID("5452504c-0000-4000-8000-000000000001")
PARTITION_GUID = uuid.UUID("5452504c-0000-4000-8000-000000000002")


def _protective_mbr():
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, DISK_SECTORS - 1)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def _gpt_table():
    name = "EFI system partition".encode("utf-16-le").ljust(72, b"\0")
    last = PARTITION_FIRST + PARTITION_SECTORS - 1
    entry = EFI_SYSTEM_PARTITION.bytes_le + PARTITION_GUID.bytes_le
    entry += struct.pack("<QQQ", PARTITION_FIRST, last, 0) + name
    return entry.ljust(TABLE_SECTORS * SECTOR, b"\0")


def _gpt_header(table, own, other, table_at):
    first_usable = 2 + TABLE_SECTORS
    last_usable = DISK_SECTORS - TABLE_SECTORS - 2

    def pack(crc):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, crc, 0, own, other,
                           first_usable, last_usable, DISK_GUID.bytes_le, table_at, ENTRY_COUNT,
                           ENTRY_SIZE, zlib.crc32(table))

    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")


def _write_partition_table(path):
    table = _gpt_table()
    last = DISK_SECTORS - 1
    with open(path, "wb") as disk:
        disk.truncate(DISK_SECTORS * SECTOR)
        disk.write(_protective_mbr())
        disk.write(_gpt_header(table, 1, last, 2))
        disk.write(table)
        disk.seek((last - TABLE_SECTORS) * SECTOR)
        disk.write(table)
        disk.write(_gpt_header(table, last, 1, last - TABLE_SECTORS))


def write_image(path, files):
    """Write the image to path. files: {path on the volume ("EFI/BOOT/BOOTX64.EFI"): bytes or Path}.

    Raises OSError when a file cannot be read or they do not fit."""
    path = Path(path)
    files = {name: content if isinstance(content, bytes) else Path(content).read_bytes()
             for name, content in files.items()}
    need = sum(len(content) + SECTOR for content in files.values())
    if need > ROOM:
        raise OSError(f"the files need {need >> 20} MiB; the disk image holds {ROOM >> 20} MiB")
    partial = path.with_name(path.name + ".new")
    volume = f"{partial}@@{PARTITION_FIRST * SECTOR}"
    environment = dict(os.environ, SOURCE_DATE_EPOCH=TIMESTAMP, MTOOLSRC="/dev/null", TZ="UTC")

    def mtool(*command, data=None):
        done = subprocess.run(command, input=data, env=environment, capture_output=True)
        if done.returncode != 0:
            raise OSError(f"{command[0]}: {done.stderr.decode(errors='replace').strip()}")

    _write_partition_table(partial)
    mtool("mformat", "-i", volume, "-F", "-c", "1", "-T", str(PARTITION_SECTORS), "-h",
          str(FAT_HEADS), "-s", str(FAT_TRACK_SECTORS), "-H", str(PARTITION_FIRST), "-N",
          FAT_SERIAL, "-v", "TRAPLINE", "::")
    folders = []
    for name in files:
        for parent in reversed(Path(name).parents):
            if parent.name and parent not in folders:
                folders.append(parent)
    if folders:
        mtool("mmd", "-i", volume, *(f"::{folder}" for folder in folders))
    for name, content in files.items():
        mtool("mcopy", "-i", volume, "-", f"::{name}", data=content)
    os.replace(partial, path)
