"""What is measured, by plain calls: without `reads`, none is repeated, nor answered from a cache."""

from collections.abc import Awaitable, Callable
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


def probes(
    carry: Carry, endpoint: RealtimeEndpoint, pool: PoolOf
) -> dict[Probe, Callable[[], Awaitable[Any]]]:
    """All measurements of a client."""

    def calling(call: Call[Any]) -> Callable[[], Awaitable[Any]]:
        return lambda: carry(call)

    async def pool_numbers() -> PoolNumbers | None:
        return pool()

    return {
        **{probe: calling(call) for probe, call in _CALLS.items()},
        Probe.REALTIME: lambda: loop_back(endpoint),
        Probe.POOL: pool_numbers,
    }
