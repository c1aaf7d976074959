"""`client.health`: a checkup is many measurements, so it is no Call but a small part of the client."""

import time
from collections.abc import Callable, Collection, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from reelbase.execution.call import Call
from reelbase.execution.operation import Async, Sync
from reelbase.health.history import record
from reelbase.health.judging import judge
from reelbase.health.measuring import Measurement, Probe, measure_all
from reelbase.health.pool import PoolOf
from reelbase.health.probes import PING, Carry, probes
from reelbase.models import HealthCheckName, HealthReport, HealthThresholds
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.services.health import HealthOperations

T = TypeVar("T")

OPTIONAL = frozenset({HealthCheckName.REALTIME})
"""Without Realtime, watching goes on by polling: degraded, not down."""


class Checkup:
    """What both modes share."""

    def __init__(self, carry: Carry, endpoint: RealtimeEndpoint, pool: PoolOf) -> None:
        self._carry = carry
        self._endpoint = endpoint
        self._pool = pool

    async def check(
        self,
        *,
        timeout: float,  # noqa: ASYNC109  # of each measurement
        thresholds: HealthThresholds | None,
        optional: Collection[HealthCheckName],
        recording: bool,
    ) -> HealthReport:
        checked_at = datetime.now(UTC)
        measurements = await self._measure(timeout)
        report = judge(measurements, thresholds or HealthThresholds(), optional, checked_at)
        return await record(report, self._carry) if recording else report

    async def _measure(self, seconds: float) -> dict[Probe, Measurement]:
        """The connection by itself, so that its time is not that of the others; then all others at once."""
        others = probes(self._carry, self._endpoint, self._pool)
        trivial = {Probe.CONNECTION: others.pop(Probe.CONNECTION)}
        connection = await measure_all(trivial, seconds)
        if connection[Probe.CONNECTION].error is None:
            # The first call may have had to connect.
            connection = await measure_all(trivial, seconds)
        return {**connection, **await measure_all(others, seconds)}


class AsyncHealth(HealthOperations[Async]):
    """How the platform is, as this client sees it."""

    def __init__(self, carry: Callable[[Call[Any]], Any], checkup: Checkup) -> None:
        super().__init__(carry, _no_watch)
        self._checkup = checkup

    async def check(
        self,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109  # of each measurement, not of the whole
        thresholds: HealthThresholds | None = None,
        optional: Collection[HealthCheckName] = OPTIONAL,
        record: bool = False,
    ) -> HealthReport:
        """Measure the connection, then all else at once, each within `timeout` seconds, and judge it.

        What goes wrong is told by the report, not raised. The worst check decides; an `optional` one makes
        the whole no worse than degraded. With `record` the values are kept in `system_metrics`. What only
        backends may see is skipped for others, with the reason.
        """
        return await self._checkup.check(
            timeout=timeout, thresholds=thresholds, optional=optional, recording=record
        )

    async def ping(self) -> float:
        """Milliseconds of a trivial call there and back. Raises what a call can raise."""
        began = time.perf_counter()
        await self._carry(PING)
        return (time.perf_counter() - began) * 1000


class Health(HealthOperations[Sync]):
    """How the platform is, as this client sees it."""

    def __init__(
        self,
        carry: Callable[[Call[Any]], Any],
        checkup: Checkup,
        run: Callable[[Coroutine[Any, Any, HealthReport]], HealthReport],
    ) -> None:
        super().__init__(carry, _no_watch)
        self._checkup = checkup
        self._run = run

    def check(
        self,
        *,
        timeout: float = 5.0,
        thresholds: HealthThresholds | None = None,
        optional: Collection[HealthCheckName] = OPTIONAL,
        record: bool = False,
    ) -> HealthReport:
        """Measure the connection, then all else at once, each within `timeout` seconds, and judge it.

        What goes wrong is told by the report, not raised. The worst check decides; an `optional` one makes
        the whole no worse than degraded. With `record` the values are kept in `system_metrics`. What only
        backends may see is skipped for others, with the reason.
        """
        return self._run(
            self._checkup.check(timeout=timeout, thresholds=thresholds, optional=optional, recording=record)
        )

    def ping(self) -> float:
        """Milliseconds of a trivial call there and back. Raises what a call can raise."""
        began = time.perf_counter()
        self._carry(PING)
        return (time.perf_counter() - began) * 1000


def _no_watch(_watch: Any) -> Any:
    raise NotImplementedError
