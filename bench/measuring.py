"""What one call costs: processor time of this process, and time on the clock."""

import statistics
import time
from collections.abc import Awaitable, Callable

CALLS = 500
WARM_UP = 50


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds a call and the median of wall seconds, after a warm-up."""
    for _ in range(WARM_UP):
        call()
    walls = []
    started = time.process_time()
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        walls.append(time.perf_counter() - began)
    return (time.process_time() - started) / CALLS, statistics.median(walls)


async def measured_async(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """The same for asyncio."""
    for _ in range(WARM_UP):
        await call()
    walls = []
    started = time.process_time()
    for _ in range(CALLS):
        began = time.perf_counter()
        await call()
        walls.append(time.perf_counter() - began)
    return (time.process_time() - started) / CALLS, statistics.median(walls)
