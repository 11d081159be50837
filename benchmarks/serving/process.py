"""A server as a child on given cores, and what it uses."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import psutil

THREAD_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SAMPLE_SECONDS = 0.25
GRACE_SECONDS = 15


@dataclass
class Usage:
    """Samples of a process tree: times on the monotonic clock, CPU seconds so far, resident bytes."""

    times: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    rss: list[int] = field(default_factory=list)

    def cores(self, begin: float, end: float) -> float:
        """Mean number of cores kept busy between two times."""
        inside = [place for place, time in enumerate(self.times) if begin <= time <= end]
        first, last = inside[0], inside[-1]
        return (self.cpu[last] - self.cpu[first]) / (self.times[last] - self.times[first])

    def peak(self, begin: float, end: float) -> int:
        """Most resident bytes between two times."""
        return max(rss for time, rss in zip(self.times, self.rss, strict=True) if begin <= time <= end)


class Child:
    """A running process tree that is watched until it stops."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._stopping = threading.Event()
        self.usage = Usage()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def ended(self) -> bool:
        """Whether the process is gone by itself."""
        return self._process.poll() is not None

    def rss(self) -> int:
        """Resident bytes of all its processes together."""
        return sum(_memory(process) for process in self._tree())

    def stop(self) -> None:
        """Ask it to end, then end it and all its processes."""
        self._stopping.set()
        self._watcher.join()
        tree = self._tree()
        self._process.terminate()
        _, alive = psutil.wait_procs(tree, GRACE_SECONDS)
        for process in alive:
            process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _watch(self) -> None:
        while not self._stopping.wait(SAMPLE_SECONDS):
            tree = self._tree()
            self.usage.cpu.append(sum(map(_cpu, tree)))
            self.usage.rss.append(sum(map(_memory, tree)))
            self.usage.times.append(monotonic())

    def _tree(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@contextmanager
def child(
    command: Sequence[str], cores: Sequence[int], log: Path, environment: Mapping[str, str] = {}
) -> Iterator[Child]:
    """Start ``command`` on ``cores``; what it says goes to ``log``, our own thread settings are left out."""
    inherited = {name: value for name, value in os.environ.items() if name not in THREAD_SETTINGS}
    on_cores = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
    with log.open("wb") as out:
        started = subprocess.Popen(
            on_cores, cwd=log.parent, env={**inherited, **environment}, stdout=out, stderr=subprocess.STDOUT
        )
        running = Child(started)
        try:
            yield running
        finally:
            running.stop()


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
