"""Runs one request as one transaction, in one round trip."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import LiteralString, TypeVar

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from localbase.rest.errors import no_connection, no_free_connection
from localbase.rest.statement import Call

# PostgREST repeats a transaction that could not be serialized without end; a development server gives up.
_MOST_TRIES = 50

T = TypeVar("T")
Pool = AsyncConnectionPool[psycopg.AsyncConnection]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the body Postgres built, and what the function wants changed."""

    # How many there are whatever the range, where that was asked for, and how many the planner expects.
    total: int | None
    rows: int
    body: str | bytes | None
    # The key of what was inserted, as JSON.
    location: str | None
    inserted: int | None
    status: str | None
    headers: str | None
    estimate: int | None = field(kw_only=True)


async def run_call(
    pool: Pool,
    call: Call,
    settings: Mapping[str, str],
    judge: Callable[[Answer], T],
    *,
    read_only: bool,
) -> T:
    """What `judge` makes of the answer; where it refuses, nothing of the call stays.

    Raises psycopg.Error for what the database refuses, ApiError when it cannot be reached.
    """
    for _ in range(_MOST_TRIES - 1):
        try:
            return await _run_once(pool, call, settings, judge, read_only=read_only)
        except psycopg.errors.SerializationFailure:
            continue
    return await _run_once(pool, call, settings, judge, read_only=read_only)


async def _run_once(
    pool: Pool,
    call: Call,
    settings: Mapping[str, str],
    judge: Callable[[Answer], T],
    *,
    read_only: bool,
) -> T:
    try:
        async with pool.connection() as connection:
            answer = await _ask(connection, call, settings, read_only=read_only)
            # Leaving the block commits what still has to be committed, and rolls back after an error.
            return judge(answer)
    except PoolTimeout as error:
        raise no_free_connection() from error
    except psycopg.OperationalError as error:
        if error.sqlstate is None:
            raise no_connection() from error
        raise


async def _ask(
    connection: psycopg.AsyncConnection, call: Call, settings: Mapping[str, str], *, read_only: bool
) -> Answer:
    async with connection.pipeline():
        await connection.execute("begin read only" if read_only else "begin", prepare=True)
        await connection.execute(_settings_statement(len(settings)), _flat(settings), prepare=True)
        cursor = await connection.execute(call.statement, call.values, prepare=True)
        planned = None
        if call.estimate is not None:
            planned = await connection.execute(call.estimate.statement, call.estimate.values)
        if read_only:
            # Nothing to lose by not looking first, and a round trip to win.
            await connection.execute("commit", prepare=True)
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("a call always has one row")
    plan = await planned.fetchone() if planned else None
    estimate = None if plan is None else plan[0][0]["Plan"]["Plan Rows"]
    return Answer(*row, estimate=estimate)


@lru_cache(maxsize=64)
def _settings_statement(count: int) -> bytes:
    one: LiteralString = "pg_catalog.set_config(%s, %s, true)"
    return sql.SQL("select {}").format(sql.SQL(", ").join([sql.SQL(one)] * count)).as_bytes()


def _flat(settings: Mapping[str, str]) -> list[str]:
    return [part for pair in settings.items() for part in pair]
