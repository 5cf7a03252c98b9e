"""The settings of a run, from the environment (make passes its variables on)."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import UsageError, disk
from .bochs import DEFAULT_MODEL, Bochs
from .machine import Machine
from .qemu import Qemu, why_no_kvm
from .volume import (FOLDER, GUEST_MIN_MIB, MIB_UNIT, conf_files, conf_on_exit,
                     default_guest_memory, find_guest, guest_conf)

ENGINES = ("bochs", "kvm")
DEFAULT_GUEST = "bench"
DEFAULT_MEM = 512
DEFAULT_TIMEOUT = 180
MEM_MIN = 64
DEFAULT_MODELS = {"bochs": DEFAULT_MODEL, "kvm": "host", "qemu-novmx": "max"}  # by engine
VCPUS_MAX = 32
COPIES_MAX = 64
REPEAT_MAX = 1000000
GUEST_SETTINGS = ("GUEST", "ARGS", "VCPUS", "GUEST_MEM", "COPIES", "REPEAT", "PIN", "DISABLE",
                  "MEASURE")


def number(name, default, low, high):
    """The whole number in the variable name, default when it is not set."""
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text, 0)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise UsageError(f"{name}={text}: a whole number from {low} to {high} is allowed")
    return value


def cpu_list(name):
    """The list of CPUs in the variable name, as trapline.conf wants it."""
    text = os.environ.get(name, "").strip()
    if text and not re.fullmatch(r"\d+(\s*,\s*\d+)*", text):
        raise UsageError(f"{name}={text}: numbers of CPUs, separated by commas, are allowed")
    return text


def word_list(name):
    """The words in the variable name: features, or what is to be measured. Which there are is the loader's to say."""
    text = os.environ.get(name, "").strip()
    if text and not re.fullmatch(r"[a-z0-9-]+(\s*,\s*[a-z0-9-]+)*", text):
        raise UsageError(f"{name}={text}: names, separated by commas, are allowed")
    return text


def choose_disk():
    """The guest's disk by DISK: MiB of a new one, the path of a file, or None."""
    text = os.environ.get("DISK", "").strip()
    if not text:
        return None
    if text.isdigit():
        return number("DISK", 0, 1, disk.MIB_MAX)
    disk.check_file(Path(text))
    return Path(text)


def find_bochs():
    """The Bochs that BOCHS names, or the installed one."""
    return Bochs(os.environ.get("BOCHS", "").strip() or None)


def choose_engine():
    """The engine that ENGINE names, or the better one of those that work here."""
    name = os.environ.get("ENGINE", "").strip()
    if name and name not in ENGINES:
        raise UsageError(f"ENGINE={name}: {' or '.join(ENGINES)} is allowed")
    bochs = os.environ.get("BOCHS", "").strip()
    if name == "kvm" and bochs:
        raise UsageError("BOCHS= and ENGINE=kvm exclude each other")
    reason = why_no_kvm()
    if name == "kvm" and reason:
        raise UsageError(f"ENGINE=kvm: {reason}; ENGINE=bochs works everywhere")
    if name == "kvm" or (not name and not bochs and not reason):
        return Qemu("kvm")
    return find_bochs()


@dataclass
class Volume:
    """The configuration and the images that it names."""

    conf: bytes
    images: dict  # volume path: host path
    on_exit: str
    guest: str  # for the record: the guest's or the configuration's name
    args: str
    disable: str = ""


def choose_volume(build, mem, on_exit, channel=None):
    """The configuration by CONF, or the one made from GUEST and the other GUEST_SETTINGS. channel:
    of the disk that its guest has."""
    guests = build / "guests"
    conf = os.environ.get("CONF", "").strip()
    args = os.environ.get("ARGS", "")
    if conf:
        for name in GUEST_SETTINGS:
            if os.environ.get(name):
                raise UsageError(f"CONF= and {name}= exclude each other")
        try:
            data = Path(conf).read_bytes()
        except OSError as error:
            raise UsageError(f"CONF={conf}: {error.strerror}") from None
        text = data.decode("latin-1")
        images = conf_files(text, (Path(conf).resolve().parent, guests))
        return Volume(data, images, conf_on_exit(text), Path(conf).name, "")
    image = find_guest(os.environ.get("GUEST", "").strip() or DEFAULT_GUEST, guests)
    copies = number("COPIES", 1, 1, COPIES_MAX)
    memory = number("GUEST_MEM", default_guest_memory(mem, copies), GUEST_MIN_MIB, mem)
    if memory % MIB_UNIT:
        raise UsageError(f"GUEST_MEM={memory}: a multiple of {MIB_UNIT} is allowed")
    vcpus = number("VCPUS", 1, 1, VCPUS_MAX)
    repeat = number("REPEAT", 1, 1, REPEAT_MAX)
    more = [(key, value) for key, value in (("copies", copies), ("repeat", repeat)) if value > 1]
    if channel:
        if copies > 1:
            raise UsageError("DISK= and COPIES= exclude each other: a disk is for one guest")
        more.append(("disk", channel))
    cpus = cpu_list("PIN")
    if cpus:
        more.append(("cpus", cpus))
    disable = word_list("DISABLE")
    name, text = guest_conf(image, memory, vcpus, args, on_exit, more, disable, word_list("MEASURE"))
    return Volume(text.encode(), {f"{FOLDER}/{name}.elf": image}, on_exit, name, args, disable)


def machine_mem():
    """MiB of the machine, by MEM."""
    return number("MEM", DEFAULT_MEM, MEM_MIN, 1 << 20)


def choose_model(engine):
    """The CPU by MODEL, or the engine's usual one."""
    return os.environ.get("MODEL", "").strip() or DEFAULT_MODELS[engine.name]


def choose_machine(engine):
    """The machine by MODEL, CPUS and MEM, checked against what the engine offers."""
    machine = Machine(choose_model(engine), number("CPUS", 1, 1, 256), machine_mem(),
                      bool(os.environ.get("VERBOSE")), choose_disk())
    engine.check(machine)
    return machine


def choose_timeout():
    """Seconds a run may take, by TIMEOUT."""
    return number("TIMEOUT", DEFAULT_TIMEOUT, 1, 86400)
