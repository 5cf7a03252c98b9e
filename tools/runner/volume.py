"""What goes on the boot volume: the loader (the hypervisor is in it), trapline.conf, the guests."""

import re
from pathlib import Path

from . import UsageError

FOLDER = "trapline"
LOADER = "EFI/BOOT/BOOTX64.EFI"
CONF = f"{FOLDER}/trapline.conf"
MIB_UNIT = 2  # guest memory is a multiple of this
GUEST_MIN_MIB = 8
HOST_MIB = 320  # what a machine of 512 MiB or more keeps from its guest
ARGS_MAX = 255


def default_guest_memory(machine_mib, guests=1):
    """MiB for each guest of a machine: most of a large one for all, three eighths of a small one."""
    mib = max(machine_mib - HOST_MIB, machine_mib * 3 // 8) // guests
    return max(mib // MIB_UNIT * MIB_UNIT, GUEST_MIN_MIB)


def guest_conf(image, memory_mib, vcpus, args, on_exit, more=(), disable="", measure=""):
    """The guest's name and the text of a trapline.conf for it alone. more: (key, value) of others."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", Path(image).stem)[:31]
    if any(not " " <= c <= "~" for c in args):
        raise UsageError("ARGS: only printable ASCII text is allowed")
    if len(args) > ARGS_MAX:
        raise UsageError(f"ARGS: {len(args)} characters; at most {ARGS_MAX} are allowed")
    if '"' in args and (args[0] == '"' or "#" in args):
        raise UsageError("ARGS: a double quote may stand neither first nor together with a #")
    quoted = args if '"' in args else f'"{args}"'
    text = (f"on_exit = {on_exit}\n"
            + (f"disable = {disable}\n" if disable else "")
            + (f"measure = {measure}\n" if measure else "") +
            f"\n"
            f"[guest {name}]\n"
            f"image = \\{FOLDER}\\{name}.elf\n"
            f"memory = {memory_mib}M\n"
            f"vcpus = {vcpus}\n"
            f"args = {quoted}\n")
    text += "".join(f"{key} = {value}\n" for key, value in more)
    return name, text


def conf_images(text):
    """The image paths that a configuration names, as it names them. Lenient: the loader judges."""
    found = re.findall(r'^[ \t]*image[ \t]*=[ \t]*"?([^"#\r\n]*)', text, re.MULTILINE | re.IGNORECASE)
    return [path.strip() for path in found if path.strip()]


def conf_on_exit(text):
    """What the configuration says should happen at the end: shutdown, reset or halt."""
    found = re.search(r"^[ \t]*on_exit[ \t]*=[ \t]*(\w+)", text, re.MULTILINE | re.IGNORECASE)
    return found.group(1).lower() if found else "shutdown"


def find_guest(name, guests):
    """The ELF file that GUEST names: a path, or the name of a guest that was built."""
    for candidate in (Path(name), guests / name, guests / f"{name}.elf"):
        if candidate.is_file():
            return candidate
    built = ", ".join(sorted(path.stem for path in guests.glob("*.elf"))) or "none"
    raise UsageError(f"GUEST={name}: no such file and no such guest (built: {built})")


def conf_files(conf_text, folders, missing_ok=False):
    """{volume path: host path} for the images that the configuration names.

    folders: where to look, first to last; the path as written, then its last part alone."""
    files = {}
    for image in conf_images(conf_text):
        relative = image.replace("\\", "/").lstrip("/")
        candidates = [folder / part for folder in folders
                      for part in (relative, Path(relative).name)]
        found = next((path for path in candidates if path.is_file()), None)
        if found is not None:
            files[relative] = found
        elif not missing_ok:
            looked = ", ".join(str(folder) for folder in folders)
            raise UsageError(f"the configuration's image {image} is in none of: {looked}")
    return files


def volume_files(build, conf, images):
    """{volume path: content} of a whole boot volume. conf: bytes of trapline.conf."""
    loader = build / "BOOTX64.EFI"
    if not loader.is_file():
        raise UsageError(f"{loader} is missing: run make first")
    return {LOADER: loader, CONF: conf, **images}
