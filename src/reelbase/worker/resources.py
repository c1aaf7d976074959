"""What a step of work costs: processor time and memory, of this process and those it started."""

import threading
import time
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]  # it ships no types

_INTERVAL = 0.1


class Meter:
    """Measure the work done inside `with`; the figures stand when it ends.

    `cpu_usage` is percent of one core averaged over the time (200 is two busy cores), `memory_usage` the
    peak in bytes, sampled. A child's work counts, such as ffmpeg's. Everything else that the process
    does meanwhile counts too: a worker that runs several jobs at once sees their sum.
    """

    def __init__(self, *, interval: float = _INTERVAL) -> None:
        self.cpu_usage = 0.0
        self.memory_usage = 0
        self._interval = interval
        self._process = psutil.Process()
        self._finished = threading.Event()
        self._sampler = threading.Thread(target=self._watch, name="reelbase-meter", daemon=True)

    def __enter__(self) -> Self:
        self._sample()
        self._began = time.monotonic()
        self._spent = self._cpu_seconds()
        self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finished.set()
        self._sampler.join()
        wall = time.monotonic() - self._began
        self.cpu_usage = _percent(self._cpu_seconds() - self._spent, wall)
        self._sample()

    def _watch(self) -> None:
        while not self._finished.wait(self._interval):
            self._sample()

    def _sample(self) -> None:
        self.memory_usage = max(self.memory_usage, sum(map(_memory, self._family())))

    def _cpu_seconds(self) -> float:
        """Children that have ended are in their parent's own account, so no time is lost with them."""
        return time.process_time() + sum(_cpu_seconds(process, self._process) for process in self._family())

    def _family(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0  # it ended between being listed and being asked


def _cpu_seconds(process: psutil.Process, own: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0  # it ended between being listed and being asked
    ended = float(times.children_user + times.children_system)
    # Of itself a process knows to the nanosecond what the system tells in hundredths of a second.
    return ended if process is own else ended + float(times.user + times.system)


def _percent(cpu_seconds: float, wall_seconds: float) -> float:
    """Of children only hundredths of a second are known, which a very short step would multiply."""
    if wall_seconds <= 0:
        return 0.0
    return min(max(0.0, 100 * cpu_seconds / wall_seconds), 100.0 * (psutil.cpu_count() or 1))
