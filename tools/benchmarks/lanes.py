"""Jobs side by side, and how far they are."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from runner import UsageError
from runner.machine import make_run_folder

TICK_SECONDS = 1


def clock(seconds):
    """Seconds as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Progress:
    """Says what begins and ends and how long it will take yet; on a terminal also every second what runs."""

    def __init__(self, jobs, lanes, out=sys.stdout, now=time.monotonic):
        self._out, self._now, self._lanes = out, now, lanes
        self._terminal = out.isatty()
        self._lock = threading.Lock()
        self._start = now()
        self._left = {id(job): job for job in jobs}
        self._running = {}
        self._all = len(jobs)
        self._expected = self._took = 0  # seconds, of the jobs that have ended
        self._status = ""
        self._say(f"{self._all} machines to run, {lanes} at a time, about {clock(self.remaining())} in all")

    def _say(self, text):
        if self._status:
            self._out.write("\r" + " " * len(self._status) + "\r")
            self._status = ""
        self._out.write(text + "\n")
        self._out.flush()

    def remaining(self):
        """Seconds yet, by what the jobs that have ended took."""
        pace = self._took / self._expected if self._expected else 1
        now = self._now()
        left = [max(job.seconds * pace - (now - self._running.get(key, now)), 0) for key, job in self._left.items()]
        return max(sum(left) / self._lanes, max(left, default=0))

    def begins(self, job):
        """A job has begun."""
        with self._lock:
            self._running[id(job)] = self._now()
            self._say(f"[{clock(self._now() - self._start)}] {job.label}: about {clock(job.seconds)}")

    def ends(self, job, said):
        """A job has ended. said: how."""
        with self._lock:
            took = self._now() - self._running.pop(id(job))
            del self._left[id(job)]
            self._took += took
            self._expected += job.seconds
            done = self._all - len(self._left)
            self._say(f"[{clock(self._now() - self._start)}] {done} of {self._all}: {job.label}: {said} in "
                      f"{clock(took)}; about {clock(self.remaining())} left")

    def tick(self):
        """Time passes."""
        if not self._terminal:
            return
        with self._lock:
            running = [job.label for key, job in self._left.items() if key in self._running]
            self._status_line(f"[{clock(self._now() - self._start)}] about {clock(self.remaining())} left; "
                              f"running: {'; '.join(running)}"[:100])

    def _status_line(self, text):
        self._out.write("\r" + text + " " * (len(self._status) - len(text)))
        self._out.flush()
        self._status = text


def outcome(runs):
    """A job's end in a few words."""
    failed = [run for run in runs if run["verdict"] != "ok"]
    if failed:
        return f"FAILED: {failed[0]['guest']}: {failed[0]['reason']}"
    return f"{sum(len(run['rows']) for run in runs)} rows"


def run_jobs(jobs, lanes, folders, on_runs, progress):
    """Run all jobs, lanes at a time, each in a new folder of folders. on_runs(runs): called after each job, by one thread at a
    time. Returns the labels of the jobs that failed."""
    failed = []
    lock = threading.Lock()

    def do(job):
        with lock:
            folder = make_run_folder(folders)
        progress.begins(job)
        runs, said = [], None
        try:
            runs = job.run(folder, lambda line: None, lambda started: None)
            said = outcome(runs)
        except (UsageError, OSError) as error:
            said = f"FAILED: {error}"
        if said.startswith("FAILED"):
            said += f" (logs: {folder})"
        with lock:
            on_runs(runs)
            if "FAILED" in said:
                failed.append(job.label)
        progress.ends(job, said)

    with ThreadPoolExecutor(lanes) as pool:
        try:
            pending = [pool.submit(do, job) for job in jobs]
            waiting = iter(as_completed(pending))
            ticker = threading.Event()
            thread = threading.Thread(target=_tick, args=(progress, ticker), daemon=True)
            thread.start()
            for done in waiting:
                done.result()
            ticker.set()
            thread.join()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def _tick(progress, stop):
    while not stop.wait(TICK_SECONDS):
        progress.tick()
