"""What is run: jobs, each one machine for some time."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable, Optional

from runner.machine import Machine
from runner.settings import Volume
from runner.trapline import run_trapline
from runner.volume import FOLDER, default_guest_memory, find_guest, guest_conf

from .workloads import TRAPLINE_WAYS, WORKLOADS, linux_ways

BENCH = "bench"
MEM = 512             # MiB of the machine, but for sweeps
SWEEP_MEM = 1792      # a gibibyte to protect, with room beside it; Bochs has to have it in memory
SWEEP_GUEST_MEM = 1408
SMP_CPUS = 4
LINUX_BOOTS = {1: 2, 2: 1, 4: 1}  # for all workloads on as many CPUs

SMP_ROWS = "add,shootdown,raise"
SMP_TRAPLINE_ROWS = "doorbell,unpark,park"
SWEEP_ROWS = "add,protn.sweep,dirty.sweep"
SWEEP_TRAPLINE_ROWS = "pt.protn.sweep"
FALLBACKS = "ve,vmfunc,pml,ept-ad"  # as on CPUs before Haswell

# A run that takes this many times what it should has not ended.
PATIENCE = 6
PATIENCE_SECONDS = 120


@dataclass
class Job:
    """A machine to boot. run(folder, on_line, on_wait) returns the records of its runs."""

    system: str
    label: str
    seconds: int  # about, by experience in Bochs on a host that has nothing else to do
    run: Optional[Callable] = None

    @property
    def timeout(self):
        """Seconds after which it is given up."""
        return self.seconds * PATIENCE + PATIENCE_SECONDS


@dataclass
class Bench:
    """Where and with what the jobs run."""

    root: Path
    build: Path
    engine: object
    model: str
    linux: object = None  # see LinuxSide; None: Trapline alone
    quick: bool = False
    trapline: bool = True

    def machine(self, cpus, mem=MEM):
        """One for a job."""
        machine = Machine(self.model, cpus, mem)
        self.engine.check(machine)
        return machine

    def bench_args(self, *words):
        """The microbenchmarks' arguments. In Bochs each round takes the ticks of the one before, so that a few tell as much
        as many."""
        quick = self.quick or self.engine.name == "bochs"
        return " ".join((["quick"] if quick else []) + [word for word in words if word])


def trapline_job(bench, label, seconds, guest, args, machine, vcpus=1, copies=1, guest_mem=None, disable="",
                 measure=""):
    """A run of a guest on Trapline."""
    def run(folder, on_line, on_wait):
        image = find_guest(guest, bench.build / "guests")
        memory = guest_mem or default_guest_memory(machine.mem, copies)
        more = [("copies", copies)] if copies > 1 else []
        name, conf = guest_conf(image, memory, vcpus, args, "shutdown", more, disable, measure)
        volume = Volume(conf.encode(), {f"{FOLDER}/{name}.elf": image}, "shutdown", name, args, disable)
        return [run_trapline(bench.engine, machine, volume, bench.build, bench.root, folder, job.timeout,
                             on_line, on_wait)]
    job = Job("trapline", f"Trapline, {label}", seconds, run)
    return job


def linux_jobs(bench, label, seconds, programs, machine):
    """A boot of Linux, with programs: (name, arguments, environment), one after the other; where mitigations are to be on
    and off, two boots."""
    for mitigations in bench.linux.mitigations if bench.linux else ():
        more = ", mitigations on" if mitigations == "on" else ""
        job = Job("linux", f"Linux, {label}{more}", seconds)
        job.run = partial(_run_linux, bench, job, machine, programs, mitigations)
        yield job


def _run_linux(bench, job, machine, programs, mitigations, folder, on_line, on_wait):
    return bench.linux.run(machine, programs, mitigations, folder, job.timeout, on_line, on_wait)


def micro_jobs(bench):
    """The microbenchmarks on one CPU, and on two of which one is kept busy by the same program; before them, what the
    CPU's own events cost."""
    one, two = bench.machine(1), bench.machine(2)
    alone, beside = bench.bench_args(), bench.bench_args("others=1")
    yield trapline_job(bench, "1 CPU", 20, BENCH, alone, one, measure="costs")
    yield trapline_job(bench, "2 CPUs", 30, BENCH, beside, two, vcpus=2,
                       measure="costs")
    yield from linux_jobs(bench, "1 CPU", 160, [(BENCH, alone, {})], one)
    yield from linux_jobs(bench, "2 CPUs", 230, [(BENCH, beside, {})], two)


def more_jobs(bench):
    """What takes longer: up to four CPUs, up to a gibibyte, CPUs without the newer features."""
    four, large = bench.machine(SMP_CPUS), bench.machine(1, SWEEP_MEM)
    smp, sweep = f"only={SMP_ROWS}", bench.bench_args(f"only={SWEEP_ROWS}")
    yield trapline_job(bench, f"{SMP_CPUS} CPUs", 30, BENCH, bench.bench_args(f"{smp},{SMP_TRAPLINE_ROWS}"), four,
                       vcpus=SMP_CPUS)
    yield trapline_job(bench, "up to 1 GiB", 60, BENCH, f"{sweep},{SWEEP_TRAPLINE_ROWS}", large,
                       guest_mem=SWEEP_GUEST_MEM)
    yield trapline_job(bench, f"1 CPU without {FALLBACKS}", 25, BENCH, bench.bench_args(), bench.machine(1),
                       disable=FALLBACKS)
    yield from linux_jobs(bench, f"{SMP_CPUS} CPUs", 130, [(BENCH, bench.bench_args(smp), {})], four)
    yield from linux_jobs(bench, "up to 1 GiB", 600, [(BENCH, sweep, {})], large)


def trapline_workload_jobs(bench):
    """A boot for each workload and way."""
    for workload in WORKLOADS:
        machine = bench.machine(workload.cpus)
        for args in workload.arguments(TRAPLINE_WAYS):
            yield trapline_job(bench, f"{workload.name} {args}", 20, workload.name, args, machine,
                               vcpus=workload.vcpus, copies=workload.guests)


def linux_workload_jobs(bench):
    """A few boots for all workloads and ways: each boot takes as long as some of them."""
    ways = linux_ways(bench.linux.release) if bench.linux else ()
    for cpus, boots in LINUX_BOOTS.items():
        machine = bench.machine(cpus)
        workloads = [workload for workload in WORKLOADS if workload.cpus == cpus]
        for boot in range(boots):
            chosen = workloads[boot::boots]
            programs = [(workload.name, args, {"VCPUS": str(workload.vcpus)})
                        for workload in chosen for args in workload.arguments(ways)]
            yield from linux_jobs(bench, ", ".join(workload.name for workload in chosen), 35 + 15 * len(programs),
                                  programs, machine)


def plan(bench):
    """All jobs, the longest first, so that machines side by side end at about the same time."""
    jobs = list(micro_jobs(bench))
    if not bench.quick:
        jobs += [*more_jobs(bench), *trapline_workload_jobs(bench), *linux_workload_jobs(bench)]
    return sorted((job for job in jobs if bench.trapline or job.system != "trapline"), key=lambda job: -job.seconds)
