"""Transactions on a real database: as one, for the same caller, and with a clear end whatever happens."""

# ruff: noqa: PT012  # what is expected to raise is a whole transaction

import asyncio
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from reelbase import (
    AsyncReelbase,
    AuthenticationError,
    Cache,
    CallRefused,
    CallReport,
    ConfigurationError,
    Conflict,
    ConnectionFailed,
    InvalidArgument,
    Job,
    JobStatus,
    NotFound,
    PermissionDenied,
    PoolExhausted,
    Reelbase,
    TransactionConflict,
    TransactionFailed,
    WrongLoop,
    correlation,
)
from reelbase.execution.call import Call
from reelbase.realtime.background import BackgroundLoop
from reelbase.transactions import AsyncTransaction, Transaction
from support import Target, eventually, text

Database = psycopg.Connection[tuple[Any, ...]]


def connected(target: Target, **options: Any) -> AsyncReelbase:
    """A backend's client that can do transactions."""
    return AsyncReelbase(target.url, target.service_role_key, database_url=target.db_url, **options)


@pytest.fixture
async def backend(target: Target) -> AsyncIterator[AsyncReelbase]:
    async with connected(target) as client:
        yield client


async def missing(client: AsyncReelbase, job: Job) -> bool:
    try:
        await client.jobs.get(job.id)
    except NotFound:
        return True
    return False


# As one ---------------------------------------------------------------------------------------


async def test_transaction__takes_effect_as_one(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        job = await tx.jobs.create("mp4", 64, 64)
        element = await tx.elements.add(job.id, text())
        assert await missing(backend, job)

    assert await backend.jobs.get(job.id) == job.model_copy(
        update={"event_seq": 2, "updated_at": (await backend.jobs.get(job.id)).updated_at}
    )
    assert await backend.elements.list(job.id) == [element]


def test_transaction__is_the_same_for_synchronous_code(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key, database_url=target.db_url) as client:
        with client.transaction() as tx:
            job = tx.jobs.create("mp4", 64, 64)
            with pytest.raises(NotFound):
                client.jobs.get(job.id)
            with pytest.raises(NotFound), tx.savepoint():
                tx.jobs.get(uuid4())
        with pytest.raises(ZeroDivisionError), client.transaction() as tx:
            lost = tx.jobs.create("mp4", 64, 64)
            raise ZeroDivisionError

        assert client.jobs.get(job.id) == job
        with pytest.raises(NotFound):
            client.jobs.get(lost.id)


async def test_error__rolls_all_back(backend: AsyncReelbase) -> None:
    with pytest.raises(Conflict) as caught:
        async with backend.transaction() as tx:
            job = await tx.jobs.create("mp4", 64, 64)
            await tx.jobs.delete(job.id)

    assert (caught.value.error, caught.value.function) == ("job_not_finished", "delete_job")
    assert caught.value.arguments == {"job_id": str(job.id), "force": False}
    assert await missing(backend, job)


async def test_rollback__ends_it_quietly(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        job = await tx.jobs.create("mp4", 64, 64)
        await tx.rollback()
        with pytest.raises(TransactionFailed, match="has been rolled back; begin another") as caught:
            await tx.jobs.get(job.id)

    assert (caught.value.reason, caught.value.committed) == ("ended", False)
    assert await missing(backend, job)


async def test_transaction__cannot_be_used_after_its_end(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        job = await tx.jobs.create("mp4", 64, 64)

    for use in (lambda: tx.jobs.get(job.id), tx.rollback):
        with pytest.raises(TransactionFailed, match="has been committed") as caught:
            await use()
        assert (caught.value.reason, caught.value.committed) == ("ended", True)
    with pytest.raises(TransactionFailed):
        _ = tx.connection


async def test_error_that_is_swallowed__does_not_commit_half(backend: AsyncReelbase) -> None:
    with pytest.raises(TransactionFailed, match=r"a call in it had failed: .*savepoint") as caught:
        async with backend.transaction() as tx:
            job = await tx.jobs.create("mp4", 64, 64)
            with pytest.raises(NotFound):
                await tx.jobs.get(uuid4())

    assert (caught.value.reason, caught.value.committed) == ("aborted", False)
    assert isinstance(caught.value.__cause__, NotFound)
    assert await missing(backend, job)


# Savepoints -----------------------------------------------------------------------------------


async def test_savepoints__nest(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        kept = await tx.jobs.create("mp4", 64, 64)
        async with tx.savepoint():
            inner = await tx.jobs.create("mp4", 64, 64)
            with pytest.raises(InvalidArgument):
                async with tx.savepoint():
                    undone = await tx.jobs.create("mp4", 64, 64)
                    await tx.jobs.create("mp4", -1, 64)
            assert (await tx.jobs.get(inner.id)).id == inner.id
            with pytest.raises(NotFound):
                async with tx.savepoint():
                    await tx.jobs.get(undone.id)

    assert [await missing(backend, job) for job in (kept, inner, undone)] == [False, False, True]


async def test_savepoint__does_not_keep_half(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        with pytest.raises(TransactionFailed, match="a call in it had failed"):
            async with tx.savepoint():
                undone = await tx.jobs.create("mp4", 64, 64)
                with pytest.raises(NotFound):
                    await tx.jobs.get(uuid4())
        kept = await tx.jobs.create("mp4", 64, 64)

    assert [await missing(backend, job) for job in (kept, undone)] == [False, True]


async def test_savepoints__of_two_tasks_are_refused(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx, tx.savepoint():

        async def other() -> None:
            async with tx.savepoint():
                pass

        with pytest.raises(TransactionFailed, match="Another task") as caught:
            await asyncio.create_task(other())

    assert caught.value.reason == "busy"


async def test_calls_of_many_tasks__take_turns(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        jobs = await asyncio.gather(*(tx.jobs.create("mp4", 64, 64) for _ in range(20)))

    assert len({job.id for job in jobs}) == 20
    assert not await missing(backend, jobs[19])


# For the same caller --------------------------------------------------------------------------


async def test_user__sees_own_jobs_only(target: Target, service: AsyncReelbase) -> None:
    user_id = uuid4()
    foreign = await service.jobs.create("mp4", 64, 64, user_id=uuid4())
    token = target.token(sub=str(user_id))
    async with AsyncReelbase(
        target.url, target.anon_key, access_token=token, database_url=target.db_url
    ) as client:
        async with client.transaction() as tx:
            job = await tx.jobs.create("mp4", 64, 64)
            assert (job.user_id, await tx.security.user_role()) == (user_id, "authenticated")
            assert [one.id for one in (await tx.jobs.list()).items] == [job.id]
            row = await (await tx.connection.execute("select count(*) from public.jobs")).fetchone()
            assert row == (1,)
            with pytest.raises(PermissionDenied):
                async with tx.savepoint():
                    await tx.jobs.update_status(job.id, JobStatus.PROCESSING)
            with pytest.raises(NotFound):
                async with tx.savepoint():
                    await tx.jobs.get(foreign.id)
        assert (await client.jobs.get(job.id)).user_id == user_id


async def test_watch_token__sees_one_job(target: Target, service: AsyncReelbase) -> None:
    seen, other = [await service.jobs.create("mp4", 64, 64) for _ in range(2)]
    token = target.token(role="anon", watch_job_id=str(seen.id))
    async with (
        AsyncReelbase(target.url, target.anon_key, access_token=token, database_url=target.db_url) as client,
        client.transaction() as tx,
    ):
        assert (await tx.jobs.get(seen.id)).id == seen.id
        with pytest.raises(NotFound):
            async with tx.savepoint():
                await tx.jobs.get(other.id)


async def test_anonymous_client__has_no_address_and_makes_nothing(target: Target) -> None:
    async with AsyncReelbase(target.url, target.anon_key, database_url=target.db_url) as client:
        with pytest.raises(PermissionDenied) as caught:
            async with client.transaction() as tx:
                await tx.jobs.create("mp4", 64, 64)

    assert caught.value.error == "client_unknown"


@pytest.mark.parametrize("wrong", ["signature", "expired", "nonsense"])
async def test_token__that_is_not_good_never_reaches_the_database(target: Target, wrong: str) -> None:
    good = target.token(role="service_role")
    token = {
        "signature": good[: good.rindex(".") + 1] + "A" * 43,
        "expired": target.token(role="service_role", exp=1),
        "nonsense": "eyJhbGciOiJub25lIn0.eyJyb2xlIjoicG9zdGdyZXMifQ.",
    }[wrong]
    async with AsyncReelbase(
        target.url, target.anon_key, access_token=token, database_url=target.db_url
    ) as client:
        with pytest.raises(AuthenticationError):
            async with client.transaction():
                pass
        assert client.pool_stats().requests == 0


async def test_token__is_over_for_transactions_when_its_time_is(target: Target) -> None:
    token = target.token(sub=str(uuid4()))
    async with AsyncReelbase(
        target.url, target.anon_key, access_token=token, database_url=target.db_url
    ) as client:
        async with client.transaction() as tx:
            await tx.jobs.list()
        known = client._database.transactions._known
        identity: Any = known.get(token)
        identity.claims["exp"] = 1
        assert known.get(token) is None
        async with client.transaction():
            # The Data API was asked again, and still takes the token for good.
            assert known.get(token) is not identity


async def test_proof__by_another_token_is_none(target: Target) -> None:
    """A client that says one token and calls with another one gets nowhere."""
    async with connected(target) as backend, target.user() as user:
        backend._carry = user._carry
        with pytest.raises(AuthenticationError, match="not one that stands for authenticated"):
            async with backend.transaction():
                pass


@pytest.mark.parametrize("role", ["admin", "service_account"])
async def test_backend_accounts__are_themselves(target: Target, role: str) -> None:
    token = target.token(sub=str(uuid4()), app_metadata={"role": role})
    client = AsyncReelbase(target.url, target.anon_key, access_token=token, database_url=target.db_url)
    async with client, client.transaction() as tx:
        assert await tx.security.user_role() == role


async def test_clients__that_share_connections_stay_who_they_are(target: Target) -> None:
    async with connected(target) as backend:
        token = target.token(sub=str(uuid4()))
        async with AsyncReelbase(target.url, target.anon_key, access_token=token) as user:
            user._database = backend._database
            async with backend.transaction() as tx:
                job = await tx.jobs.create("mp4", 64, 64)
            async with user.transaction() as tx:
                assert await tx.security.user_role() == "authenticated"
                with pytest.raises(NotFound):
                    async with tx.savepoint():
                        await tx.jobs.get(job.id)
        assert backend.pool_stats().size == 0


@pytest.mark.local_stack
async def test_opaque_keys__stand_for_their_roles(localbase: Any, own_target: Target) -> None:
    for key, role in ((localbase.secret_key, "service_role"), (localbase.publishable_key, "anon")):
        client = AsyncReelbase(own_target.url, key, database_url=own_target.db_url)
        async with client, client.transaction() as tx:
            assert await tx.security.user_role() == role


async def test_caller__leaves_nothing_in_the_connection(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        connection = tx.connection
    row = await (
        await connection.execute(
            "select current_user, current_setting('request.jwt.claims', true), "
            "current_setting('statement_timeout')"
        )
    ).fetchone()
    assert row is not None
    assert row[0] != "service_role"
    assert row[1] in {None, ""}


async def test_transaction__that_was_ended_through_its_connection_is_refused(backend: AsyncReelbase) -> None:
    with pytest.raises(TransactionFailed, match="ended through its connection"):
        async with backend.transaction() as tx:
            await tx.connection.execute("commit")
            await tx.security.is_admin()


# Results and refusals -------------------------------------------------------------------------


async def test_results__are_those_of_the_data_api(backend: AsyncReelbase) -> None:
    made = await backend.jobs.create_video(
        "mp4",
        64,
        64,
        fps=29.97,
        metadata={"a": [1.5, None]},
        elements=[text("a"), text("b", start_time=1.25)],
    )
    job_id = made.job.id
    async with backend.transaction() as tx:
        # The same transaction time for what looks at the clock is not to be had; these do not.
        for over_connection, over_http in (
            (tx.jobs.get(job_id), backend.jobs.get(job_id)),
            (tx.jobs.get_with_details(job_id), backend.jobs.get_with_details(job_id)),
            (tx.jobs.calculate_progress(job_id), backend.jobs.calculate_progress(job_id)),
            (tx.elements.list(job_id), backend.elements.list(job_id)),
            (tx.timeline.get(job_id), backend.timeline.get(job_id)),
            (tx.events.read(job_id), backend.events.read(job_id)),
            (tx.security.is_admin(), backend.security.is_admin()),
            (tx.access.list(job_id=job_id), backend.access.list(job_id=job_id)),
            (
                tx.jobs.list(metadata={"a": [1.5]}, page_size=1),
                backend.jobs.list(metadata={"a": [1.5]}, page_size=1),
            ),
        ):
            assert await over_connection == await over_http


def made(session: Database, name: str, signature: str, body: str) -> None:
    """A function of the API, until the test ends."""
    session.execute(f"create function public.{name}{signature} as $body${body}$body$".encode())
    session.execute(f"grant execute on function public.{name} to service_role; notify pgrst, 'reload schema'")


@pytest.mark.parametrize(
    ("signature", "body", "arguments"),
    [
        ("() returns integer", "select 7", {}),
        ("() returns text", "select null::text", {}),
        ("() returns numeric", "select 1.50", {}),
        ("(n integer) returns setof integer", "select generate_series(1, n)", {"n": 3}),
        ("(n integer) returns setof integer", "select 1 where n > 9", {"n": 3}),
        ("(n integer) returns table (a integer)", "select n", {"n": 3}),
        ("(n integer, out a text, out b int)", "select 'x', n", {"n": 3}),
        ("(n integer, out a integer)", "select n", {"n": 3}),
        ("(inout n integer)", "select n + 1", {"n": 3}),
        ("(list integer[]) returns integer[]", "select list || 1", {"list": [3]}),
        (
            "(\"a b\" text default 'x', \"C\" text default 'y') returns text",
            'select "a b" || "C"',
            {"C": "z"},
        ),
        ("(moment timestamptz) returns timestamptz", "select moment", {"moment": "2026-01-01T00:00Z"}),
        ("(given jsonb) returns jsonb", "select given", {"given": {"%s": ["%", None, 1.50]}}),
        ("(status public.job_status) returns text", "select status", {"status": "pending"}),
        (
            "(id uuid) returns setof public.jobs",
            "select * from public.jobs where false",
            {"id": str(UUID(int=1))},
        ),
        ("(id uuid) returns public.jobs", "select null::public.jobs", {"id": str(UUID(int=1))}),
    ],
)
async def test_every_kind_of_function__answers_like_the_data_api(
    backend: AsyncReelbase, database: Database, signature: str, body: str, arguments: dict[str, Any]
) -> None:
    name = f"probe_{uuid4().hex}"
    made(database, name, f"{signature} language sql", body)
    call: Call[Any] = Call(name, arguments, cast("type[Any]", Any))
    try:

        async def over_http() -> Any:
            try:
                return await backend._carry(call)
            except CallRefused as error:
                raise AssertionError from error

        expected = await eventually(over_http)
        async with backend.transaction() as tx:
            assert await tx._carry(call) == expected
    finally:
        database.execute(f"drop function public.{name}".encode())


async def test_function__that_changed_is_looked_up_again(backend: AsyncReelbase, database: Database) -> None:
    name = f"probe_{uuid4().hex}"

    async def ask(argument: str) -> Any:
        async with backend.transaction() as tx:
            return await tx._carry(Call(name, {argument: 3}, int))

    with pytest.raises(CallRefused, match=f"Could not find the function public.{name}"):
        await ask("n")
    made(database, name, "(n integer) returns integer language sql", "select n")
    assert await ask("n") == 3
    with pytest.raises(CallRefused, match="it has no m"):
        await ask("m")
    database.execute(f"drop function public.{name}".encode())
    with pytest.raises(CallRefused, match="does not exist"):
        await ask("n")
    made(database, name, "(m integer) returns integer language sql", "select m + 1")
    assert await ask("m") == 4
    database.execute(f"drop function public.{name}".encode())


async def test_wrong_type__is_named_as_by_the_data_api(backend: AsyncReelbase) -> None:
    nowhere: Any = "nowhere"
    with pytest.raises(InvalidArgument) as over_http:
        await backend.jobs.get(nowhere)
    with pytest.raises(InvalidArgument) as over_connection:
        async with backend.transaction() as tx:
            await tx.jobs.get(nowhere)

    assert over_connection.value.problems == over_http.value.problems
    assert [problem.argument for problem in over_http.value.problems] == ["job_id"]
    assert over_connection.value.sqlstate == over_http.value.sqlstate
    assert str(over_connection.value) == str(over_http.value)


@pytest.mark.parametrize(
    "use",
    [
        lambda services: services.jobs.create("mp4", -1, 0, fps=0),
        lambda services: services.jobs.get(UUID(int=1)),
        lambda services: services.jobs.list(cursor="nonsense"),
        lambda services: services.metrics.record("m", 1, idempotency_key="x" * 300),
        lambda services: services.jobs.create("mp4", 64, 64, metadata={"a": "\0"}),
        lambda services: services.jobs.create("mp4", 64, 64, metadata={"a": object()}),
    ],
)
async def test_refusals__are_those_of_the_data_api(backend: AsyncReelbase, use: Callable[[Any], Any]) -> None:
    with pytest.raises(Exception) as over_http:  # noqa: PT011  # whichever it is
        await use(backend)
    with pytest.raises(type(over_http.value)) as over_connection:
        async with backend.transaction() as tx:
            await use(tx)

    assert str(over_connection.value) == str(over_http.value)
    # What is created has a key of its own each time.
    for raised in (over_connection.value, over_http.value):
        raised.arguments = {**getattr(raised, "arguments", {}), "idempotency_key": None}
    for name in ("error", "sqlstate", "problems", "function", "arguments", "transient"):
        assert getattr(over_connection.value, name, None) == getattr(over_http.value, name, None)


async def test_transaction__does_not_watch(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        job = await tx.jobs.create("mp4", 64, 64)
        with pytest.raises(TypeError, match="after its commit"):
            tx.jobs.watch(job.id)


# What is to be seen of it ---------------------------------------------------------------------

SEEN = "select current_setting('request.headers')::json ->> 'x-correlation-id'"


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_calls__are_observed(target: Target, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "reelbase.calls")
    reports: list[CallReport] = []
    options: Any = {"database_url": target.db_url, "on_call": reports.append, "slow_call": 0}

    async def use_async() -> None:
        client = AsyncReelbase(target.url, target.service_role_key, **options)
        async with client, client.transaction() as tx:
            await tx.security.is_admin()
            with pytest.raises(NotFound):
                async with tx.savepoint():
                    await tx.jobs.get(uuid4())

    def use() -> None:
        client = Reelbase(target.url, target.service_role_key, **options)
        with client, client.transaction() as tx:
            tx.security.is_admin()
            with pytest.raises(NotFound), tx.savepoint():
                tx.jobs.get(uuid4())

    with correlation("request-9"):
        await (use_async() if kind == "async" else asyncio.to_thread(use))

    assert [(report.function, report.outcome, report.correlation_id) for report in reports] == [
        ("user_role", "ok", "request-9"),
        ("is_admin", "ok", "request-9"),
        ("get_job", "not_found", "request-9"),
    ]
    records = [record for record in caplog.records if record.name == "reelbase.calls"]
    assert [record.levelname for record in records] == ["WARNING"] * 3
    assert "slow: is_admin: ok after" in caplog.text
    assert isinstance(reports[2].error, NotFound)
    assert (reports[2].error.function, reports[2].error.correlation_id) == ("get_job", "request-9")


async def test_correlation_id__is_seen_by_the_database(backend: AsyncReelbase) -> None:
    async def seen(tx: AsyncTransaction) -> str:
        row = await (await tx.connection.execute(SEEN)).fetchone()
        assert row is not None
        return str(row[0])

    reports: list[CallReport] = []
    backend.hooks.after(reports.append)
    with correlation("request-10"):
        async with backend.transaction() as tx:
            assert await seen(tx) == "request-10"
    for _ in range(2):
        async with backend.transaction() as tx:
            await tx.security.is_admin()
            await tx.security.is_admin()
            assert await seen(tx) == reports[-1].correlation_id == reports[-2].correlation_id
            with correlation("request-11"):
                await tx.security.is_admin()
            assert reports[-1].correlation_id == "request-11"

    assert reports[-2].correlation_id != reports[-5].correlation_id


async def test_correlation_id__is_on_errors_of_begin_and_commit(target: Target) -> None:
    async with connected(target, pool_size=1) as client:

        async def begin() -> None:
            async with client.transaction(), client.transaction(timeout=0.1):
                pass

        async def commit() -> None:
            async with client.transaction() as tx:
                with pytest.raises(NotFound):
                    await tx.jobs.get(uuid4())

        for use, kind in ((begin, PoolExhausted), (commit, TransactionFailed)):
            with pytest.raises(kind) as caught, correlation("request-12"):
                await use()
            assert caught.value.correlation_id == "request-12"


# Ends that nobody wished for ------------------------------------------------------------------


async def test_slow_statement__ends_with_the_time(backend: AsyncReelbase) -> None:
    with pytest.raises(TransactionFailed, match=r"longer than its 0.2 s") as caught:
        async with backend.transaction(timeout=0.2) as tx:
            job = await tx.jobs.create("mp4", 64, 64)
            await sleep_in(tx)

    assert (caught.value.reason, caught.value.committed, caught.value.transient) == ("timeout", False, False)
    assert await missing(backend, job)


async def sleep_in(tx: AsyncTransaction) -> None:
    """What takes for ever and is no function of ours, seen as if it were one."""
    with tx.state.translated(Call("pg_sleep", {}, type(None))):
        await tx.connection.execute("select pg_sleep(60)")


async def test_idle_transaction__ends_with_the_time(backend: AsyncReelbase, database: Database) -> None:
    with pytest.raises(TransactionFailed) as caught:
        async with backend.transaction(timeout=0.2) as tx:
            job = await tx.jobs.create("mp4", 64, 64)
            pid = tx.connection.info.backend_pid
            await eventually(lambda: gone(database, pid))
            await tx.jobs.get(job.id)

    assert (caught.value.reason, caught.value.committed) == ("timeout", False)
    assert await missing(backend, job)


def gone(database: Database, pid: int) -> None:
    rows = database.execute("select from pg_stat_activity where pid = %s", (pid,)).fetchall()
    assert rows == []


async def test_killed_backend__is_told_and_nothing_stays(backend: AsyncReelbase, database: Database) -> None:
    with pytest.raises(TransactionFailed, match="connection to the database broke") as caught:
        async with backend.transaction() as tx:
            job = await tx.jobs.create("mp4", 64, 64)
            database.execute("select pg_terminate_backend(%s)", (tx.connection.info.backend_pid,))
            await tx.jobs.get(job.id)

    assert (caught.value.reason, caught.value.committed) == ("connection_lost", False)
    assert caught.value.transient
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    assert await missing(backend, job)


async def test_killed_backend__is_survived_by_run_transaction(
    backend: AsyncReelbase, database: Database
) -> None:
    pids: list[int] = []

    async def work(tx: AsyncTransaction) -> Job:
        pids.append(tx.connection.info.backend_pid)
        job = await tx.jobs.create("mp4", 64, 64)
        if len(pids) == 1:
            database.execute("select pg_terminate_backend(%s)", pids)
        return await tx.jobs.get(job.id)

    job = await backend.run_transaction(work)

    assert not await missing(backend, job)
    assert len(set(pids)) == 2
    stats = backend.pool_stats()
    assert (stats.transactions, stats.commits, stats.rollbacks, stats.retries) == (2, 1, 1, 1)


async def test_dead_connections_of_the_pool__are_replaced(backend: AsyncReelbase, database: Database) -> None:
    async def one() -> int:
        async with backend.transaction() as tx:
            await tx.security.is_admin()
            return tx.connection.info.backend_pid

    pids = await asyncio.gather(*(one() for _ in range(8)))
    database.execute("select pg_terminate_backend(pid) from unnest(%s) as pid", (list(set(pids)),))
    for pid in set(pids):
        await eventually(lambda pid=pid: gone(database, pid))  # type: ignore[misc]

    assert not {await one() for _ in range(4)} & set(pids)


async def test_cancelled_task__rolls_back(backend: AsyncReelbase) -> None:
    began = asyncio.Event()
    jobs: list[Job] = []

    async def work() -> None:
        async with backend.transaction() as tx:
            jobs.append(await tx.jobs.create("mp4", 64, 64))
            began.set()
            await tx.connection.execute("select pg_sleep(60)")

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await missing(backend, jobs[0])
    assert backend.pool_stats().rollbacks == 1

    def is_given_back() -> None:
        assert backend.pool_stats().idle == 1

    await eventually(is_given_back)


async def cancelled_at_each_await(task: asyncio.Task[Any]) -> None:
    """As anyio's scopes cancel: again and again, until the task has ended."""
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)


@pytest.mark.parametrize("where", ["between calls", "in a call", "in a savepoint", "in a rollback"])
async def test_transaction__that_is_cancelled_at_each_await_gives_its_connection_back(
    target: Target, database: Database, where: str
) -> None:
    before = asyncio.all_tasks()
    pids: list[int] = []

    async def work(client: AsyncReelbase, began: asyncio.Event) -> None:
        async with client.transaction(timeout=2) as tx:
            pids.append(tx.connection.info.backend_pid)
            await tx.jobs.create("mp4", 64, 64)
            began.set()
            match where:
                case "between calls":
                    await asyncio.sleep(60)
                case "in a call":
                    await sleep_in(tx)
                case "in a savepoint":
                    async with tx.savepoint():
                        await sleep_in(tx)
                case _:
                    await tx.rollback()

    client = connected(target, pool_size=1)
    for _ in range(3):
        began = asyncio.Event()
        task = asyncio.create_task(work(client, began))
        async with asyncio.timeout(20):
            await began.wait()
        await cancelled_at_each_await(task)
        assert task.cancelled()

    async with client.transaction() as tx:
        assert (await tx.security.user_role()) == "service_role"
        pids.append(tx.connection.info.backend_pid)
    stats = client.pool_stats()
    assert (stats.transactions, stats.commits, stats.rollbacks, stats.idle) == (4, 1, 3, 1)
    await client.aclose()
    assert asyncio.all_tasks() == before
    for pid in pids:
        await eventually(lambda pid=pid: gone(database, pid))  # type: ignore[misc]


async def test_close__waits_for_a_cancelled_transaction(target: Target, database: Database) -> None:
    before = asyncio.all_tasks()
    began = asyncio.Event()
    pids: list[int] = []

    async def work(client: AsyncReelbase) -> None:
        async with client.transaction() as tx:
            pids.append(tx.connection.info.backend_pid)
            began.set()
            await asyncio.sleep(60)

    client = connected(target)
    task = asyncio.create_task(work(client))
    await began.wait()
    await cancelled_at_each_await(task)
    await client.aclose()

    assert asyncio.all_tasks() == before
    assert client.pool_stats().rollbacks == 1
    await eventually(lambda: gone(database, pids[0]))


async def test_transaction__that_is_cancelled_anywhere_gives_its_connection_back(target: Target) -> None:
    async with connected(target, pool_size=1) as client:

        async def work() -> None:
            async with client.transaction() as tx, tx.savepoint():
                await tx.security.is_admin()

        for turns in range(0, 60, 2):
            await work()
            task = asyncio.create_task(work())
            for _ in range(turns):
                await asyncio.sleep(0)
            await cancelled_at_each_await(task)
        await work()

        stats = client.pool_stats()
        assert stats.transactions == stats.commits + stats.rollbacks
        assert (stats.size, stats.idle) == (1, 1)


async def test_statements__are_not_prepared(backend: AsyncReelbase) -> None:
    async with backend.transaction() as tx:
        for _ in range(10):
            await tx.security.is_admin()
        rows = await (await tx.connection.execute("select name from pg_prepared_statements")).fetchall()

    assert rows == []


def test_time__is_over_for_synchronous_code_too(target: Target, database: Database) -> None:
    with Reelbase(target.url, target.service_role_key, database_url=target.db_url) as client:
        with (
            pytest.raises(TransactionFailed, match=r"longer than its 0.2 s") as slow,
            client.transaction(timeout=0.2) as tx,
            tx.state.translated(Call("sleep", {}, type(None))),
        ):
            tx.connection.execute("select pg_sleep(60)")
        with pytest.raises(TransactionFailed) as killed, client.transaction() as tx:
            database.execute("select pg_terminate_backend(%s)", (tx.connection.info.backend_pid,))
            tx.jobs.list()

        assert (slow.value.reason, killed.value.reason) == ("timeout", "connection_lost")
        assert client.pool_stats().rollbacks == 2


# Conflicts ------------------------------------------------------------------------------------


async def in_opposite_orders(client: AsyncReelbase, **options: Any) -> list[Any]:
    """Two transactions that each take what the other wants next."""
    jobs = [await client.jobs.create("mp4", 64, 64) for _ in range(2)]
    both = asyncio.Barrier(2)
    attempts = [0, 0]

    async def work(number: int, tx: AsyncTransaction) -> int:
        attempts[number] += 1
        first, second = jobs if number == 0 else reversed(jobs)
        await tx.jobs.cancel(first.id)
        if attempts[number] == 1:
            await both.wait()
        await tx.jobs.cancel(second.id)
        return attempts[number]

    return await asyncio.gather(
        *(client.run_transaction(lambda tx, n=n: work(n, tx), **options) for n in range(2)),  # type: ignore[misc]
        return_exceptions=True,
    )


async def test_deadlock__is_resolved_by_running_again(backend: AsyncReelbase) -> None:
    assert sorted(await in_opposite_orders(backend)) == [1, 2]
    assert backend.pool_stats().retries == 1


async def test_deadlock__is_told_without_further_attempts(backend: AsyncReelbase) -> None:
    [conflict] = [
        outcome
        for outcome in await in_opposite_orders(backend, attempts=1)
        if isinstance(outcome, BaseException)
    ]

    assert isinstance(conflict, TransactionConflict)
    assert (conflict.sqlstate, conflict.function, conflict.retries) == ("40P01", "cancel_job", 0)


def test_deadlock__is_resolved_between_threads(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key, database_url=target.db_url) as client:
        jobs = [client.jobs.create("mp4", 64, 64) for _ in range(2)]
        both = threading.Barrier(2, timeout=30)
        attempts = [0, 0]

        def work(number: int, tx: Transaction) -> None:
            attempts[number] += 1
            first, second = jobs if number == 0 else reversed(jobs)
            tx.jobs.cancel(first.id)
            if attempts[number] == 1:
                both.wait()
            tx.jobs.cancel(second.id)

        threads = [
            threading.Thread(target=client.run_transaction, args=(lambda tx, n=n: work(n, tx),))
            for n in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert sorted(attempts) == [1, 2]
        assert [client.jobs.get(job.id).status for job in jobs] == [JobStatus.CANCELLED] * 2


async def test_isolation__is_what_was_asked_for(backend: AsyncReelbase) -> None:
    before = await backend.jobs.create("mp4", 64, 64)
    for isolation, sees in (("read committed", True), ("repeatable read", False)):
        async with backend.transaction(isolation=isolation) as tx:  # type: ignore[arg-type]
            await tx.jobs.get(before.id)
            new = await backend.jobs.create("mp4", 64, 64)
            try:
                async with tx.savepoint():
                    await tx.jobs.get(new.id)
                    seen = True
            except NotFound:
                seen = False
            assert seen is sees


async def test_serialization_failure__is_run_again(backend: AsyncReelbase) -> None:
    job = await backend.jobs.create("mp4", 64, 64)
    attempts = 0

    async def work(tx: AsyncTransaction) -> JobStatus:
        nonlocal attempts
        attempts += 1
        await tx.jobs.get(job.id)
        if attempts == 1:
            await backend.jobs.update_status(job.id, JobStatus.PROCESSING)
        return (await tx.jobs.cancel(job.id)).status

    assert await backend.run_transaction(work, isolation="serializable") is JobStatus.CANCELLED
    assert attempts == 2


# The pool -------------------------------------------------------------------------------------


async def test_fifty_transactions__share_four_connections(target: Target) -> None:
    async with connected(target, transaction_timeout=60) as client:

        async def one() -> Job:
            async with client.transaction() as tx:
                job = await tx.jobs.create("mp4", 64, 64)
                await tx.elements.add(job.id, text())
                return job

        jobs = await asyncio.gather(*(one() for _ in range(50)))

        stats = client.pool_stats()
        assert len({job.id for job in jobs}) == 50
        assert (stats.max_size, stats.idle == stats.size, stats.waiting) == (4, True, 0)
        assert 1 <= stats.size <= 4
        assert (stats.requests, stats.transactions, stats.commits, stats.rollbacks) == (50, 50, 50, 0)
        assert 0 < stats.average_duration <= stats.longest_duration <= stats.total_duration


async def test_pool__that_is_exhausted_says_so(target: Target) -> None:
    async with connected(target, pool_size=1) as client, client.transaction():
        with pytest.raises(PoolExhausted, match=r"all 1 are in transactions.*REELBASE_POOL_SIZE"):
            async with client.transaction(timeout=0.1):
                pass


def test_pool__that_is_exhausted_says_so_to_threads(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key, database_url=target.db_url, pool_size=1) as client:
        with client.transaction(), pytest.raises(PoolExhausted), client.transaction(timeout=0.1):
            pass
        assert client.pool_stats().rollbacks == 0


async def test_database__that_cannot_be_reached_is_named_without_its_password(target: Target) -> None:
    address = "postgresql://postgres:hunter2@127.0.0.1:1/postgres"
    async with AsyncReelbase(target.url, target.service_role_key, database_url=address) as client:
        with pytest.raises(ConnectionFailed, match=r"cannot be reached.*DATABASE_URL") as caught:
            async with client.transaction(timeout=0.5):
                pass

    assert "hunter2" not in str(caught.value) + repr(client)


@pytest.mark.parametrize("address", [None, "", "postgresql://u:hunter2%zz@h/d", "nonsense"])
def test_database_url__that_is_missing_or_wrong_is_a_clear_error(target: Target, address: str | None) -> None:
    client = Reelbase(target.url, target.service_role_key, database_url=address)
    with client, pytest.raises(ConfigurationError, match="DATABASE_URL") as caught:
        client.transaction()

    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_close__leaves_no_connection_and_no_task(target: Target, database: Database) -> None:
    before = asyncio.all_tasks()
    client = connected(target)
    async with client.transaction() as tx:
        pid = tx.connection.info.backend_pid
    await client.aclose()
    await client.aclose()

    await eventually(lambda: gone(database, pid))
    assert asyncio.all_tasks() == before
    with pytest.raises(TransactionFailed, match="The client is closed"):
        async with client.transaction():
            pass


def test_close__leaves_no_thread(target: Target) -> None:
    before = set(threading.enumerate())
    with Reelbase(target.url, target.service_role_key, database_url=target.db_url) as client:
        with client.transaction() as tx:
            tx.security.is_admin()
        assert client.pool_stats().commits == 1

    assert set(threading.enumerate()) <= before


def test_options__are_checked(target: Target) -> None:
    wrong: Any = "chaos"
    with Reelbase(target.url, target.service_role_key, database_url=target.db_url) as client:
        with pytest.raises(ValueError, match="isolation must be one of"):
            client.transaction(isolation=wrong)
        with pytest.raises(ValueError, match="timeout must be more than 0"):
            client.transaction(timeout=0)


async def test_another_loop__is_refused(backend: AsyncReelbase) -> None:
    async def work(tx: AsyncTransaction) -> None:
        await tx.security.is_admin()

    async def begin() -> None:
        async with backend.transaction() as tx:
            await work(tx)

    await begin()
    for use in (begin, lambda: backend.run_transaction(work)):
        with pytest.raises(WrongLoop, match="Make one in each loop"):
            await asyncio.to_thread(asyncio.run, use())
    await begin()

    assert backend.pool_stats().transactions == 2


# A network that fails -------------------------------------------------------------------------


class Wire:
    """A TCP proxy to the database that loses what is told to it."""

    def __init__(self, url: str) -> None:
        info = psycopg.conninfo.conninfo_to_dict(url)
        self._to = (str(info["host"]), int(str(info["port"])))
        self._info = info
        self.drop_commit = False
        self.drop_answer = False
        self.hold_answer = False
        self.stall = False
        self.refuse = False
        self.on_rollback: Callable[[], object] | None = None
        self.held = asyncio.Event()
        self._next = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        parts = {key: str(value) for key, value in self._info.items()}
        return psycopg.conninfo.make_conninfo(**{**parts, "host": "127.0.0.1", "port": str(port)})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._next.set()
        if self.refuse:
            writer.transport.abort()
            return
        there = await asyncio.open_connection(*self._to)
        await asyncio.gather(
            self._pump(reader, there[1], writer, asking=True),
            self._pump(there[0], writer, there[1], asking=False),
            return_exceptions=True,
        )

    async def _pump(
        self,
        source: asyncio.StreamReader,
        to: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
        *,
        asking: bool,
    ) -> None:
        try:
            while data := await source.read(65536):
                if self.stall:
                    continue
                if asking and b"rollback\0" in data and self.on_rollback:
                    # It arrives when another connection has been made, to cancel it.
                    self._next.clear()
                    self.on_rollback()
                    await self._next.wait()
                if asking and b"commit\0" in data:
                    if self.drop_commit:
                        self.drop_commit = False
                        break
                elif not asking and self.drop_answer and b"COMMIT\0" in data:
                    self.drop_answer = False
                    break
                elif not asking and self.hold_answer and b"COMMIT\0" in data:
                    self.hold_answer = False
                    self.held.set()
                    continue
                to.write(data)
                await to.drain()
        finally:
            to.transport.abort()
            back.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Wire"]:
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def wire(target: Target) -> AsyncIterator[Wire]:
    async with Wire(target.db_url).running() as wire:
        yield wire


async def test_commit__whose_answer_is_lost_is_found_out(target: Target, wire: Wire) -> None:
    async with AsyncReelbase(target.url, target.service_role_key, database_url=wire.url) as client:
        async with client.transaction() as tx:
            job = await tx.jobs.create("mp4", 64, 64)
            wire.drop_answer = True

        assert not wire.drop_answer
        assert not await missing(client, job)
        assert client.pool_stats().commits == 1


async def test_commit__that_never_arrived_is_found_out(target: Target, wire: Wire) -> None:
    async with AsyncReelbase(target.url, target.service_role_key, database_url=wire.url) as client:
        with pytest.raises(TransactionFailed) as caught:
            async with client.transaction() as tx:
                job = await tx.jobs.create("mp4", 64, 64)
                wire.drop_commit = True

        assert (caught.value.reason, caught.value.committed) == ("connection_lost", False)
        assert caught.value.transient
        assert await missing(client, job)


async def test_commit__that_cannot_be_found_out_says_so(target: Target, wire: Wire) -> None:
    async with AsyncReelbase(target.url, target.service_role_key, database_url=wire.url) as client:

        async def work(tx: AsyncTransaction) -> None:
            await tx.jobs.create("mp4", 64, 64)
            wire.drop_answer = wire.refuse = True

        with pytest.raises(TransactionFailed, match="could not be found out") as caught:
            await client.run_transaction(work)

    assert (caught.value.reason, caught.value.committed) == ("connection_lost", None)
    assert (caught.value.transient, caught.value.retries) == (False, 0)


def test_commit__is_found_out_for_synchronous_code_too(target: Target) -> None:
    """The proxy is asynchronous, so the client works in a thread."""

    async def play() -> tuple[bool, TransactionFailed]:
        async with Wire(target.db_url).running() as wire:
            return await asyncio.to_thread(use, wire)

    def use(wire: Wire) -> tuple[bool, TransactionFailed]:
        with Reelbase(target.url, target.service_role_key, database_url=wire.url) as client:
            with client.transaction() as tx:
                job = tx.jobs.create("mp4", 64, 64)
                wire.drop_answer = True
            with pytest.raises(TransactionFailed) as caught, client.transaction(timeout=0.3) as tx:
                tx.jobs.get(job.id)
                wire.stall = True
                tx.jobs.get(job.id)
            return client.jobs.get(job.id) == job, caught.value

    there, failed = asyncio.run(play())

    assert there
    assert (failed.reason, failed.committed) == ("timeout", False)


def cached(target: Target, wire: Wire) -> AsyncReelbase:
    return AsyncReelbase(target.url, target.service_role_key, database_url=wire.url, cache=Cache())


async def test_commit__that_cannot_be_found_out_leaves_nothing_stale(target: Target, wire: Wire) -> None:
    async with cached(target, wire) as client:
        job = await client.jobs.create("mp4", 64, 64)
        assert (await client.jobs.get(job.id)).status is JobStatus.PENDING
        with pytest.raises(TransactionFailed, match="could not be found out"):
            async with client.transaction() as tx:
                await tx.jobs.cancel(job.id)
                wire.drop_answer = wire.refuse = True

        assert (await client.jobs.get(job.id)).status is JobStatus.CANCELLED


async def test_commit__that_is_cancelled_leaves_nothing_stale(target: Target, wire: Wire) -> None:
    async with cached(target, wire) as client:
        job = await client.jobs.create("mp4", 64, 64)
        assert (await client.jobs.get(job.id)).status is JobStatus.PENDING

        async def work() -> None:
            async with client.transaction() as tx:
                await tx.jobs.cancel(job.id)
                wire.hold_answer = True

        task = asyncio.create_task(work())
        await wire.held.wait()
        await cancelled_at_each_await(task)

        assert task.cancelled()
        assert (await client.jobs.get(job.id)).status is JobStatus.CANCELLED


def test_commit__leaves_nothing_stale_for_synchronous_code_either(target: Target) -> None:
    async def play() -> JobStatus:
        async with Wire(target.db_url).running() as wire:
            return await asyncio.to_thread(use, wire)

    def use(wire: Wire) -> JobStatus:
        options: Any = {"database_url": wire.url, "cache": Cache()}
        with Reelbase(target.url, target.service_role_key, **options) as client:
            job = client.jobs.create("mp4", 64, 64)
            assert client.jobs.get(job.id).status is JobStatus.PENDING
            with pytest.raises(TransactionFailed), client.transaction() as tx:
                tx.jobs.cancel(job.id)
                wire.drop_answer = wire.refuse = True
            return client.jobs.get(job.id).status

    assert asyncio.run(play()) is JobStatus.CANCELLED


async def test_rollback__leaves_the_cache_alone(target: Target) -> None:
    async with connected(target, cache=Cache()) as client:
        job = await client.jobs.create("mp4", 64, 64)
        await client.jobs.get(job.id)
        with pytest.raises(ZeroDivisionError):
            async with client.transaction() as tx:
                await tx.jobs.cancel(job.id)
                raise ZeroDivisionError
        hits = client.cache.stats().memory.hits
        await client.jobs.get(job.id)
        assert client.cache.stats().memory.hits == hits + 1


def test_second_interruption__gives_the_connection_back_too(target: Target) -> None:
    """Ctrl-C twice; the second time, the rollback of the first is on its way."""
    wire, background, main = Wire(target.db_url), BackgroundLoop(), threading.get_ident()
    running = wire.running()
    background.run(running.__aenter__())
    wire.on_rollback = lambda: signal.pthread_kill(main, signal.SIGINT)
    try:
        with Reelbase(target.url, target.service_role_key, database_url=wire.url, pool_size=1) as client:
            for _ in range(2):
                with pytest.raises(KeyboardInterrupt), client.transaction() as tx:
                    tx.jobs.create("mp4", 64, 64)
                    raise KeyboardInterrupt
            with client.transaction() as tx:
                assert tx.security.is_admin()
            stats = client.pool_stats()
    finally:
        background.run(running.__aexit__(None, None, None))
        background.close()

    assert (stats.size, stats.idle, stats.commits, stats.rollbacks) == (1, 1, 1, 2)


async def test_network__that_swallows_everything_is_left_behind(target: Target, wire: Wire) -> None:
    async with AsyncReelbase(target.url, target.service_role_key, database_url=wire.url) as client:
        with pytest.raises(TransactionFailed) as caught:
            async with client.transaction(timeout=0.3) as tx:
                await tx.jobs.create("mp4", 64, 64)
                wire.stall = True
                await tx.jobs.list()

    assert (caught.value.reason, caught.value.committed) == ("timeout", False)


# Processes ------------------------------------------------------------------------------------

FORKING = """
import os, sys
from reelbase import Reelbase

with Reelbase(*sys.argv[1:3], database_url=sys.argv[3]) as client:
    def pid():
        with client.transaction() as tx:
            assert tx.security.is_admin()
            return tx.connection.info.backend_pid
    parents = pid()
    child = os.fork()
    if child == 0:
        os._exit(0 if pid() != parents and pid() != parents else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert pid() == parents
    print("well")
"""

WITHOUT_EXTRA = """
import sys
for name in ("psycopg", "psycopg_pool"):
    sys.modules[name] = None
from reelbase import ConfigurationError, Reelbase

with Reelbase(*sys.argv[1:3], database_url=sys.argv[3]) as client:
    with client.batch() as batch:
        asked = batch.security.is_admin()
    assert asked.result() is True
    for use in (client.transaction, client.pool_stats, lambda: client.run_transaction(print)):
        try:
            use()
        except ConfigurationError as error:
            assert "pip install 'reelbase[transactions]'" in str(error)
        else:
            raise AssertionError
    print("well")
"""


@pytest.mark.parametrize("program", [FORKING, WITHOUT_EXTRA], ids=["forking", "without extra"])
def test_fresh_process(target: Target, program: str) -> None:
    result = subprocess.run(
        [
            *(sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program),
            *(target.url, target.service_role_key, target.db_url),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "well\n", "")


async def test_guest_whose_token_is_provided__never_speaks_as_its_host(target: Target) -> None:
    """Its first act is a transaction, after one of its host's: nothing has asked the provider yet."""
    user_id = uuid4()
    async with connected(target) as host:
        theirs = await host.jobs.create("mp4", 64, 64)
        async with host.transaction() as tx:
            assert await tx.security.user_role() == "service_role"

        guest = host.as_user(lambda: target.token(sub=str(user_id)))
        async with guest.transaction() as tx:
            assert await tx.security.user_role() == "authenticated"
            assert not await tx.security.can_subscribe_to_job(theirs.id)


def test_guest_whose_token_is_provided__never_speaks_as_its_host_in_synchronous_code(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key, database_url=target.db_url) as host:
        with host.transaction() as tx:
            assert tx.security.user_role() == "service_role"

        guest = host.as_user(lambda: target.token(sub=str(uuid4())))
        with guest.transaction() as tx:
            assert tx.security.user_role() == "authenticated"
