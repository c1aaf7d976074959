"""What is measured, by plain calls: without `reads`, none is repeated, nor answered from a cache."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from reelbase.execution.call import Call
from reelbase.health.measuring import Probe
from reelbase.health.pool import PoolNumbers, PoolOf
from reelbase.models import DatabaseHealth, JobPage, Metric, SystemStats, UserRole
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.realtime.loopback import loop_back

Carry = Callable[[Call[Any]], Awaitable[Any]]

PING = Call("user_role", {}, UserRole)

_CALLS: dict[Probe, Call[Any]] = {
    Probe.CONNECTION: PING,
    Probe.READ: Call("list_jobs", {"page_size": 1}, JobPage),
    Probe.WRITE: Call("record_metric", {"metric": "health.check", "value": 1}, Metric),
    Probe.DATABASE: Call("database_health", {}, DatabaseHealth),
    Probe.STATISTICS: Call("get_system_stats", {}, SystemStats),
}


# Later than the measurement's own limit, so that it is that limit which tells of the end.
_GRACE_SECONDS = 0.5


def probes(
    carry: Carry, endpoint: RealtimeEndpoint, pool: PoolOf, seconds: float
) -> dict[Probe, Callable[[], Awaitable[Any]]]:
    """All measurements of a client, each of which is given up after `seconds`."""

    def calling(call: Call[Any]) -> Callable[[], Awaitable[Any]]:
        # In a thread a call cannot be given up, and closing the client waits for it.
        limited = replace(call, timeout=seconds + _GRACE_SECONDS)
        return lambda: carry(limited)

    async def pool_numbers() -> PoolNumbers | None:
        return pool()

    return {
        **{probe: calling(call) for probe, call in _CALLS.items()},
        Probe.REALTIME: lambda: loop_back(endpoint),
        Probe.POOL: pool_numbers,
    }
