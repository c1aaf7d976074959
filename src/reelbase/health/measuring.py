"""Measurements: each with a limit of its own, all at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from reelbase.errors import CallTimeout, ReelbaseError


class Probe(Enum):
    """What is measured; several checks may look at one measurement."""

    CONNECTION = "connection"
    READ = "read"
    WRITE = "write"
    REALTIME = "realtime"
    DATABASE = "database"
    STATISTICS = "statistics"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Measurement:
    """What came of a probe: its value, or the error that it ended with."""

    duration_ms: float
    value: Any = None
    error: ReelbaseError | None = None


Measurements = Mapping[Probe, Measurement]


async def measure_all(
    probes: Mapping[Probe, Callable[[], Awaitable[Any]]], seconds: float
) -> dict[Probe, Measurement]:
    """Run all probes at once; none takes longer than `seconds`, whatever it waits for."""
    found = await asyncio.gather(*(_measure(probe, seconds) for probe in probes.values()))
    return dict(zip(probes, found, strict=True))


async def _measure(probe: Callable[[], Awaitable[Any]], seconds: float) -> Measurement:
    began = time.perf_counter()
    value: Any = None
    error: ReelbaseError | None = None
    try:
        async with asyncio.timeout(seconds):
            value = await probe()
    except TimeoutError:
        error = CallTimeout(
            f"No answer within {seconds:g} s.",
            hint="Look at the database's load and at locks, and at the network between here and there.",
        )
    except ReelbaseError as failure:
        error = failure
    return Measurement(round((time.perf_counter() - began) * 1000, 3), value, error)
