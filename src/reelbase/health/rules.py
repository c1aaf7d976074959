"""The rules: what each check makes of what was measured."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from reelbase.health.measuring import Measurement, Probe
from reelbase.health.pool import PoolNumbers
from reelbase.models import (
    DatabaseHealth,
    HealthCheckName,
    HealthLimits,
    HealthStatus,
    HealthThresholds,
    SystemStats,
)


class Verdict(NamedTuple):
    """What one value says, in words for when it is not healthy."""

    status: HealthStatus
    problem: str
    recommendation: str


class Skip(NamedTuple):
    """A check that cannot be made, and why."""

    reason: str


class Outcome(NamedTuple):
    """What a check makes of its measurement."""

    details: dict[str, Any]
    verdicts: Iterable[Verdict]


Rule = Callable[[Any, HealthThresholds], Outcome | Skip]


def _connection(measurement: Measurement, limits: HealthThresholds) -> Outcome:
    details = {"role": measurement.value, "response_ms": measurement.duration_ms}
    return Outcome(details, [_answer_time("A trivial call", measurement, limits.response_ms)])


def _read(measurement: Measurement, limits: HealthThresholds) -> Outcome:
    details = {"response_ms": measurement.duration_ms, "rows": len(measurement.value.items)}
    return Outcome(details, [_answer_time("Listing jobs", measurement, limits.operation_ms)])


def _write(measurement: Measurement, limits: HealthThresholds) -> Outcome:
    details = {"response_ms": measurement.duration_ms}
    return Outcome(details, [_answer_time("Recording a metric", measurement, limits.operation_ms)])


def _answer_time(what: str, measurement: Measurement, limits: HealthLimits) -> Verdict:
    return Verdict(
        limits.judge(measurement.duration_ms),
        f"{what} took {measurement.duration_ms:.0f} ms.",
        "Look at the database's load (`client.maintenance.health()`) and at the distance to it.",
    )


def _realtime(loop_ms: float, limits: HealthThresholds) -> Outcome:
    verdict = Verdict(
        limits.realtime_ms.judge(loop_ms),
        f"A message through Realtime took {loop_ms:.0f} ms.",
        "Look at the number of connections and messages of the project's Realtime.",
    )
    return Outcome({"round_trip_ms": loop_ms}, [verdict])


def _pool(pool: PoolNumbers | None, limits: HealthThresholds) -> Outcome | Skip:
    if pool is None:
        return Skip("This client has no pool of database connections.")
    used = pool.size - pool.idle
    return Outcome(
        {"in_use": used, "size": pool.size, "max_size": pool.max_size, "waiting": pool.waiting},
        [
            Verdict(
                limits.pool_percent.judge(100 * used / pool.max_size),
                f"{used} of the pool's {pool.max_size} connections are in use.",
                "Make transactions shorter, or the pool larger.",
            ),
            Verdict(
                limits.pool_waiting.judge(pool.waiting),
                f"{pool.waiting} transactions wait for a connection of the pool.",
                "Make transactions shorter, or the pool larger.",
            ),
        ],
    )


def _queries(health: DatabaseHealth, limits: HealthThresholds) -> Outcome:
    connections = health.connections or {}
    most, used = connections.get("max"), connections.get("used", 0)
    percent = 100 * used / most if most else 0.0
    longest = max((query["seconds"] for query in health.long_queries or ()), default=0)
    oldest = (health.oldest_transaction or {}).get("seconds") or 0
    details = {
        "connections": used,
        "max_connections": most,
        "cache_hit_ratio": None if health.cache_hit_ratio is None else float(health.cache_hit_ratio),
        "longest_query_seconds": longest,
        "oldest_transaction_seconds": oldest,
        "slowest_query_mean_ms": max((query["mean_ms"] for query in health.slow_queries or ()), default=None),
    }
    return Outcome(
        details,
        [
            Verdict(
                limits.connections_percent.judge(percent),
                f"{used} of {most} database connections are in use.",
                "Connect through the pooler, close idle sessions, or raise max_connections.",
            ),
            Verdict(
                limits.query_seconds.judge(longest),
                f"A query has been running for {longest:.0f} s.",
                "`client.maintenance.health()` tells which: end it with pg_cancel_backend(pid).",
            ),
            Verdict(
                limits.transaction_seconds.judge(oldest),
                f"A transaction has been open for {oldest:.0f} s; it holds locks and holds up vacuum.",
                "`client.maintenance.health()` tells whose: end it with pg_terminate_backend(pid).",
            ),
            _known_problem(
                health,
                "transaction_ids_not_frozen",
                HealthStatus.UNHEALTHY,
                "The database is running out of transaction ids.",
                "Run `vacuum (freeze)`, and look why autovacuum does not get there.",
            ),
        ],
    )


def _errors(statistics: SystemStats, limits: HealthThresholds) -> Outcome:
    ended = statistics.completed_24h + statistics.failed_24h
    percent = 100 * statistics.failed_24h / ended if ended else 0.0
    details = {
        "completed_24h": statistics.completed_24h,
        "failed_24h": statistics.failed_24h,
        "error_rate_percent": round(percent, 2),
    }
    if ended < limits.fewest_jobs:
        return Outcome(details, [])
    verdict = Verdict(
        limits.error_percent.judge(percent),
        f"{percent:.1f} % of the jobs that ended in the last 24 hours failed.",
        "The view error_summary and `client.jobs.list(status=[JobStatus.FAILED])` tell why.",
    )
    return Outcome(details, [verdict])


def _disk(health: DatabaseHealth, limits: HealthThresholds) -> Outcome | Skip:
    if health.size is None:
        return Skip("The database's size cannot be measured.")
    used, capacity = health.size["database_bytes"], limits.disk_capacity_bytes
    if capacity is None:
        return Outcome({"database_bytes": used, "capacity_bytes": None}, [])
    percent = 100 * used / capacity
    verdict = Verdict(
        limits.disk_percent.judge(percent),
        f"The database fills {percent:.1f} % of its disk.",
        "Enlarge the disk, or remove what is old: `client.maintenance.enforce_retention()`.",
    )
    details = {"database_bytes": used, "capacity_bytes": capacity, "used_percent": round(percent, 2)}
    return Outcome(details, [verdict])


def _replication(health: DatabaseHealth, limits: HealthThresholds) -> Outcome | Skip:
    if health.replication is None and health.slots is None:
        return Skip("Replication cannot be measured.")
    replication, slots = health.replication or {}, health.slots or ()
    replicas = replication.get("replicas") or ()
    lags = {
        **{f"slot {slot['name']}": slot["lag_bytes"] or 0 for slot in slots},
        **{f"replica {replica['name']}": replica["lag_bytes"] or 0 for replica in replicas},
    }
    details = {
        "is_replica": replication.get("is_replica"),
        "replicas": len(replicas),
        "slots": len(slots),
        "largest_lag_bytes": max(lags.values(), default=0),
    }
    return Outcome(
        details,
        [
            *(
                Verdict(
                    limits.replication_lag_bytes.judge(lag),
                    f"The {name} is {lag / 1024 / 1024:.0f} MiB behind; its log fills the disk.",
                    "Look at its reader; drop a slot that nobody reads with pg_drop_replication_slot(name).",
                )
                for name, lag in lags.items()
            ),
            _known_problem(
                health,
                "slot_too_far_behind",
                HealthStatus.UNHEALTHY,
                "A replication slot has lost the log it needs.",
                "Drop it with pg_drop_replication_slot(name) and have its reader start anew.",
            ),
            Verdict(
                HealthStatus.UNHEALTHY if replication.get("is_replica") else HealthStatus.HEALTHY,
                "The database is a replica and takes no writes.",
                "Point SUPABASE_URL to the primary.",
            ),
        ],
    )


def _event_log(health: DatabaseHealth, limits: HealthThresholds) -> Outcome | Skip:
    if health.event_log is None:
        return Skip("The event log cannot be measured.")
    lags = {
        consumer["name"]: consumer["lag_seconds"]
        for consumer in health.consumers or ()
        if consumer["lag_seconds"] is not None
    }
    details = {
        "newest_id": health.event_log["newest_id"],
        "consumers": len(health.consumers or ()),
        "largest_lag_seconds": max(lags.values(), default=0),
    }
    return Outcome(
        details,
        [
            *(
                Verdict(
                    limits.consumer_lag_seconds.judge(lag),
                    f"The event consumer {name} is {lag:.0f} s behind.",
                    "Start it, or delete it with `client.consumers.delete(name)` if nobody needs it.",
                )
                for name, lag in lags.items()
            ),
            _known_problem(
                health,
                "event_log_from_another_cluster",
                HealthStatus.UNHEALTHY,
                "The event log was restored from another database, so its order is not to be relied on.",
                "As the owner: select private.rebase_event_log().",
            ),
        ],
    )


def _queue(health: DatabaseHealth, limits: HealthThresholds) -> Outcome | Skip:
    if health.queue is None:
        return Skip("The queue cannot be measured.")
    stalled = health.queue["stalled"] or 0
    verdict = Verdict(
        limits.stalled_jobs.judge(stalled),
        f"{stalled} jobs belong to workers that fell silent.",
        "Look at the workers; `client.queue.rescue_stalled()` frees the jobs.",
    )
    return Outcome(dict(health.queue), [verdict])


def _known_problem(
    health: DatabaseHealth, name: str, status: HealthStatus, problem: str, recommendation: str
) -> Verdict:
    return Verdict(status if name in health.problems else HealthStatus.HEALTHY, problem, recommendation)


TIMED = {Probe.CONNECTION, Probe.READ, Probe.WRITE}
"""Their rules are given the whole measurement: how long it took is what they judge."""

RULES: dict[HealthCheckName, tuple[Probe, Rule]] = {
    HealthCheckName.CONNECTION: (Probe.CONNECTION, _connection),
    HealthCheckName.READ: (Probe.READ, _read),
    HealthCheckName.WRITE: (Probe.WRITE, _write),
    HealthCheckName.REALTIME: (Probe.REALTIME, _realtime),
    HealthCheckName.POOL: (Probe.POOL, _pool),
    HealthCheckName.QUERIES: (Probe.DATABASE, _queries),
    HealthCheckName.ERRORS: (Probe.STATISTICS, _errors),
    HealthCheckName.DISK: (Probe.DATABASE, _disk),
    HealthCheckName.REPLICATION: (Probe.DATABASE, _replication),
    HealthCheckName.EVENT_LOG: (Probe.DATABASE, _event_log),
    HealthCheckName.QUEUE: (Probe.DATABASE, _queue),
}
