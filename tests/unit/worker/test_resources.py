import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from reelbase.worker.resources import Meter

MEGABYTE = 1024 * 1024


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline


def busy(seconds: float) -> None:
    """Take that much processor time, however long it takes."""
    end = time.process_time() + seconds
    until(lambda: time.process_time() >= end)


def test_meter__counts_the_processor_time_of_this_process() -> None:
    with Meter() as meter:
        began = time.monotonic()
        busy(0.2)
        wall = time.monotonic() - began

    assert meter.cpu_usage >= 90 * 0.2 / wall


def test_meter__counts_children_that_have_ended() -> None:
    work = "import time\nwhile time.process_time() < 0.3: pass"

    with Meter() as meter:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", work], check=True)
        wall = time.monotonic() - began

    assert meter.cpu_usage >= 90 * 0.3 / wall


def test_meter__is_never_busier_than_the_machine() -> None:
    with Meter() as meter:
        time.monotonic()

    assert 0 <= meter.cpu_usage <= 100 * psutil.cpu_count()


def test_meter__keeps_the_peak_of_children() -> None:
    work = f"kept = b'x' * {200 * MEGABYTE}; print(len(kept), flush=True); input()"
    before = psutil.Process().memory_info().rss

    with (
        Meter(interval=0.01) as meter,
        subprocess.Popen([sys.executable, "-c", work], stdin=-1, stdout=-1) as child,
    ):
        assert child.stdout is not None
        until(lambda: meter.memory_usage > before + 100 * MEGABYTE)
        child.communicate(b"\n")

    assert meter.memory_usage > before + 100 * MEGABYTE


def test_meter__measures_work_that_fails() -> None:
    meter = Meter()

    with pytest.raises(LookupError), meter:
        raise LookupError

    assert meter.memory_usage > MEGABYTE
