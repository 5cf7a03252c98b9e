"""Which rows are the same operation: the one place that knows the names of both systems' microbenchmarks."""

from dataclasses import dataclass

# How Trapline forbids a page, and what the column is called.
MECHANISMS = {"ept": "EPT", "pt": "page tables", "key": "protection keys"}
MPROTECT = ("mprotect", "mprotect-own")  # modes of Linux that are mprotect + SIGSEGV
ADD = "add"
CPUS = (1, 2, 3, 4)  # that a program runs on, in the rows of shootdowns
LIMITS = ("trap", "vmpup.trap", "vmpup.appel1", "vmpup.appel2")  # the operations that have a limit row


@dataclass(frozen=True)
class Operation:
    """One operation of both systems."""

    text: str        # plain words
    row: str         # the name on Linux, and of Trapline's raw hypercalls
    through: str     # the last part of the name where it is done through regions: MECHANISM.through; "" if it is not
    short: str       # for the picture and the findings, where the main operations are; "" for the others

    def rows(self, mechanism):
        """The names of a mechanism's rows, the first one that exists counts."""
        regions = (f"{mechanism}.{self.through}",) if self.through else ()
        return (self.row, *regions) if mechanism == "ept" else regions

    @property
    def limit(self):
        """The row of what the CPU itself takes; None if there is none."""
        return f"limit.{self.row.rpartition('.')[2]}" if self.row in LIMITS else None


def _same(text, row, short=""):
    """An operation that has the same name everywhere."""
    return Operation(text, row, row, short)


def _several(number, what):
    """A number of things."""
    return f"{number:,} {what}" + ("s" if number > 1 else "")


OPERATIONS = (
    Operation("an empty call", "hypercall.null", "", "empty call"),
    _same("TRAP: a forbidden access, until the program goes on", "trap", "TRAP"),
    _same("PROT1: forbid a page", "prot1", "PROT1"),
    _same("UNPROT: allow a page", "unprot", "UNPROT"),
    Operation("appel1: TRAP, PROT1, UNPROT", "vmpup.appel1", "appel1", "appel1"),
    Operation("appel2: PROTN, then TRAP, UNPROT", "vmpup.appel2", "appel2", "appel2"),
    Operation("TRAP alone, 100 pages in turn", "vmpup.trap", "", ""),
    *(_same(f"PROTN: forbid {_several(n, 'page')} in a row", f"protn.contig.{n}", "PROTN, 100" if n == 100 else "")
      for n in (1, 16, 100, 1024)),
    _same("PROTN: forbid 2 MiB at once", "protn.2m"),
    *(_same(f"PROTN: {n:,} pages here and there, each", f"protn.scattered.{n}", "PROTN, scattered" if n == 100 else "")
      for n in (16, 100, 1024)),
    _same("a set of 100 pages: forbid all", "set.100"),
    *(_same(f"DIRTY: {pages:,} pages, {percent} % written", f"dirty.{pages}.{percent}",
            "DIRTY, 16,384" if (pages, percent) == (16384, 1) else "")
      for pages in (1024, 16384) for percent in (1, 10, 100)),
    _same("first write to a tracked page, beyond a write", "dirty.write"),
    _same("MAP2: a second address for a page", "map2.1"),
    _same("MAP2: for 100 pages, each", "map2.100", "MAP2"),
    *(Operation(f"{'PROT1' if pages == 1 else f'PROTN of {pages:,} pages'}, {_several(cpus, 'CPU')} in use",
                f"shootdown.{cpus}.{pages}", "", "") for cpus in CPUS for pages in (1, 100, 1024)),
    *(Operation(f"UNPROT, {_several(cpus, 'CPU')} in use", f"raise.{cpus}", "", "") for cpus in CPUS),
)

# What Linux has no counterpart for, by rows.
ONLY_TRAPLINE = {
    "appel1 with PROT1 and UNPROT in one call": "vmpup.appel1.pair",
    "another view of the memory: switch, by VMFUNC": "view.switch",
    "a view: a forbidden access handled by a switch": "view.trap",
    "a view: forbid a page": "view.prot1",
    "a view: forbid 100 pages here and there": "view.protn.100",
    "another address space of one's own: switch": "space.switch",
    "a space: a forbidden access handled by a switch": "space.trap",
    "a space: forbid a page": "space.prot1",
    "a space: forbid 100 pages here and there": "space.prot.100",
    "a system call of the guest's own user code": "user.syscall",
    "a forbidden access of the guest's own user code": "user.trap",
    "a message's bell: until the other CPU's handler ran": "doorbell",
    "UNPARK: until a parked CPU runs": "unpark",
}


def limit_figure(operation, trapline, linux):
    """The limit of an operation: the lowest row, whichever system measured it."""
    if operation.limit is None:
        return None
    return trapline.lowest((operation.limit,)) or linux.lowest((operation.limit,))
