"""Storage operations: logged once, read by whoever sees the job, summed up as Python would."""

import asyncio
import json
import math
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import mean, quantiles
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from api import OWNER, Row, all_pages, answer, call, headers, problems, refusal
from reelbase import AsyncReelbase, Job, JobStatus
from support import Target, eventually

Database = psycopg.Connection[tuple[Any, ...]]

BACKENDS = ["service_account", "admin", "service_key"]
UPLOAD = {"operation": "upload", "bucket": "videos", "key": "a.mp4"}


def rows(target: Target, actor: str, watched: UUID | None = None, **filters: str) -> list[Row]:
    """What an actor reads from the table itself."""
    response = httpx.get(
        f"{target.url}/rest/v1/storage_operations", params=filters, headers=headers(target, actor, watched)
    )
    assert response.is_success, response.text
    return list(response.json())


def operations(count: int, **properties: Any) -> list[Row]:
    return [{**UPLOAD, "key": f"{number}.mp4", **properties} for number in range(count)]


def bucket() -> str:
    """A bucket that no other test uses."""
    return f"bucket-{uuid4()}"


@pytest.fixture
async def job(service: AsyncReelbase) -> Job:
    """A job of the user OWNER."""
    return await service.jobs.create("mp4", 64, 64, user_id=OWNER)


# Logging


def test_log__returns_what_was_logged(target: Target, job: Job) -> None:
    given: Row = {
        "job_id": str(job.id),
        "operation": "download",
        "bucket": "videos",
        "key": "2026/a b/ü.mp4",
        "region": "us-east-1",
        "success": False,
        "file_size": 2**40,
        "duration_ms": 3500,
        "error_code": "SlowDown",
        "error_message": "Please reduce your request rate.",
        "metadata": {"content_type": "video/mp4", "etag": None},
        "idempotency_key": str(uuid4()),
    }

    logged = call(target, "log_storage_operation", **given)

    assert {name: logged[name] for name in given} == given
    assert set(logged) - set(given) == {"id", "created_at"}


def test_log__needs_no_more_than_what_was_done_to_which_object(target: Target) -> None:
    logged = call(target, "log_storage_operation", **UPLOAD)

    assert (logged["success"], logged["metadata"], logged["job_id"]) == (True, {}, None)


@pytest.mark.parametrize("status", list(JobStatus))
async def test_log__is_for_jobs_of_every_status(target: Target, in_status: Any, status: JobStatus) -> None:
    """Videos are uploaded, served and cleaned up after their job has ended."""
    job = await in_status(status)

    assert call(target, "log_storage_operation", **UPLOAD, job_id=job.id)["job_id"] == str(job.id)


def test_log__of_an_unknown_job_is_not_found(target: Target) -> None:
    unknown = str(uuid4())

    single = refusal(target, "log_storage_operation", **UPLOAD, job_id=unknown)
    many = refusal(target, "log_storage_operations", operations=[{**UPLOAD, "job_id": unknown}])

    assert single == many == {"error": "not_found", "job_id": unknown}


@pytest.mark.parametrize(
    ("argument", "value", "problem"),
    [
        ("operation", None, "is required"),
        ("bucket", None, "is required"),
        ("bucket", "", "must have 1 to 255 characters"),
        ("bucket", "b" * 256, "must have 1 to 255 characters"),
        ("key", None, "is required"),
        ("key", "", "must have 1 to 1024 bytes"),
        ("key", "ü" * 513, "must have 1 to 1024 bytes"),
        ("region", "", "must have 1 to 64 characters"),
        ("file_size", -1, "must be bytes, 0 to 5 TiB"),
        ("duration_ms", -1, "must be 0 to 604800000 milliseconds"),
        ("duration_ms", 604800001, "must be 0 to 604800000 milliseconds"),
        ("error_code", "x", "belongs to an operation that failed"),
        ("error_message", "x", "belongs to an operation that failed"),
        ("metadata", [], "must be a plain JSON object of at most 64 KiB"),
        ("metadata", {"x": "y" * 70000}, "must be a plain JSON object of at most 64 KiB"),
        ("idempotency_key", "", "must have 1 to 200 characters"),
        ("idempotency_key", "k" * 201, "must have 1 to 200 characters"),
    ],
)
def test_log__refuses_what_makes_no_sense(target: Target, argument: str, value: Any, problem: str) -> None:
    wrong = {**UPLOAD, argument: value}

    assert problems(target, "log_storage_operation", **wrong) == {argument: problem}
    assert problems(target, "log_storage_operations", operations=[UPLOAD, wrong]) == {
        f"operations[1].{argument}": problem
    }


@pytest.mark.parametrize("argument", ["error_code", "error_message"])
def test_log__takes_no_endless_error(target: Target, argument: str) -> None:
    wrong = {**UPLOAD, "success": False, argument: "x" * 10001}

    assert set(problems(target, "log_storage_operation", **wrong)) == {argument}


# Many at once


def test_log_many__takes_1000_in_one_call_and_keeps_their_order(target: Target, job: Job) -> None:
    given = operations(1000, job_id=str(job.id), bucket=bucket())

    logged = call(target, "log_storage_operations", operations=given)

    assert [row["key"] for row in logged] == [item["key"] for item in given]
    newest_first = all_pages(target, "get_storage_operations", bucket=given[0]["bucket"], page_size=500)
    assert newest_first == logged[::-1]


def test_log_many__names_what_is_wrong_and_logs_nothing(target: Target) -> None:
    given = operations(6, bucket=bucket())
    given[3]["file_size"] = -1
    given[4]["operation"] = "copy"
    given[5] |= {"duration_ms": 1.5, "job_id": "none", "filesize": 1}

    assert problems(target, "log_storage_operations", operations=given) == {
        "operations[3].file_size": "must be bytes, 0 to 5 TiB",
        "operations[4].operation": "must be one of upload, download, delete, access",
        "operations[5].duration_ms": "must be a whole number that fits bigint",
        "operations[5].job_id": "must be a UUID",
        "operations[5].filesize": "is not known",
    }
    assert call(target, "get_storage_operations", bucket=given[0]["bucket"])["items"] == []


@pytest.mark.parametrize("item", [None, 7, "upload", [], [UPLOAD]])
def test_log_many__refuses_items_that_are_no_objects(target: Target, item: Any) -> None:
    assert problems(target, "log_storage_operations", operations=[UPLOAD, item]) == {
        "operations[1]": "must be a JSON object"
    }


@pytest.mark.parametrize("items", [None, {}, [], 3, [UPLOAD] * 1001])
def test_log_many__refuses_what_is_no_list_of_sensible_length(target: Target, items: Any) -> None:
    assert problems(target, "log_storage_operations", operations=items) == {
        "operations": "must be a JSON array of 1 to 1000 items"
    }


def test_log_many__takes_null_for_the_default(target: Target) -> None:
    given = {**UPLOAD, "success": None, "metadata": None, "job_id": None}

    logged = call(target, "log_storage_operations", operations=[given])

    assert [(row["success"], row["metadata"]) for row in logged] == [(True, {})]


# Idempotency


def test_repeat__returns_the_first_row(target: Target, job: Job) -> None:
    given: Row = {**UPLOAD, "job_id": job.id, "idempotency_key": str(uuid4())}

    first = call(target, "log_storage_operation", **given)
    again = call(target, "log_storage_operation", **{**given, "file_size": 5})

    assert again == first
    assert call(target, "get_storage_operations", job_id=job.id)["items"] == [first]


def test_repeat__in_a_list_gives_the_rows_that_are_there(target: Target) -> None:
    known, new = str(uuid4()), str(uuid4())
    here = bucket()
    first = call(target, "log_storage_operation", **{**UPLOAD, "bucket": here}, idempotency_key=known)

    logged = call(
        target,
        "log_storage_operations",
        operations=[
            {**UPLOAD, "bucket": here, "key": "new", "idempotency_key": new},
            {**UPLOAD, "bucket": here, "idempotency_key": known},
            {**UPLOAD, "bucket": here, "key": "plain"},
            {**UPLOAD, "bucket": here, "key": "twice", "idempotency_key": new},
        ],
    )

    assert logged[1] == first
    assert logged[3] == logged[0]
    assert [row["key"] for row in logged] == ["new", "a.mp4", "plain", "new"]
    assert len(all_pages(target, "get_storage_operations", bucket=here)) == 3


async def test_repeat__in_two_sessions_at_once_logs_one(target: Target) -> None:
    log = "select id from log_storage_operation('upload', 'videos', 'a.mp4', idempotency_key => %s)"
    key = (str(uuid4()),)
    with target.connect() as first, target.connect() as second, ThreadPoolExecutor(1) as thread:
        with first.transaction():
            row = first.execute(log, key).fetchone()
            repeat = thread.submit(lambda: second.execute(log, key).fetchone())
            await eventually(lambda: waits_for_a_lock(target, second.info.backend_pid))

        assert repeat.result(20) == row is not None


def waits_for_a_lock(target: Target, pid: int) -> None:
    with target.connect() as observer:
        query = "select wait_event_type from pg_stat_activity where pid = %s"
        assert observer.execute(query, (pid,)).fetchone() == ("Lock",)


@pytest.mark.parametrize("what", ["keys", "jobs"])
async def test_no_deadlock__between_lists_of_opposite_orders(
    target: Target, service: AsyncReelbase, what: str
) -> None:
    """Two calls stopped in the middle by a third, which holds what both need last."""
    names = sorted(str(uuid4()) for _ in range(3))
    if what == "jobs":
        names = sorted([str((await service.jobs.create("mp4", 64, 64)).id) for _ in range(3)])
    low, high, held = names
    name = "idempotency_key" if what == "keys" else "job_id"
    log = "select count(distinct id) from log_storage_operations(%s)"

    def items(order: list[str]) -> tuple[str]:
        return (json.dumps([{**UPLOAD, name: value} for value in order]),)

    with (
        target.connect() as holder,
        target.connect() as up,
        target.connect() as down,
        ThreadPoolExecutor(2) as threads,
    ):
        with holder.transaction():
            holder.execute(log, items([held]))
            calls = [
                threads.submit(lambda: up.execute(log, items([low, held, high])).fetchone()),
                threads.submit(lambda: down.execute(log, items([high, held, low])).fetchone()),
            ]
            for session in (up, down):
                await eventually(partial(waits_for_a_lock, target, session.info.backend_pid))

        assert [waiting.result(20) for waiting in calls] == [(3,), (3,)]


# Pages


def test_list__filters_by_everything_together(target: Target, job: Job) -> None:
    here = bucket()
    given = [
        {**UPLOAD, "bucket": here, "job_id": str(job.id)},
        {**UPLOAD, "bucket": here, "job_id": str(job.id), "operation": "delete"},
        {**UPLOAD, "bucket": here, "job_id": str(job.id), "operation": "delete", "success": False},
        {**UPLOAD, "bucket": here},
        {**UPLOAD, "bucket": bucket(), "job_id": str(job.id), "operation": "delete"},
    ]
    logged = call(target, "log_storage_operations", operations=given)

    def places(**filters: Any) -> list[int]:
        found = call(target, "get_storage_operations", **filters)["items"]
        return [logged.index(row) for row in found]

    assert places(job_id=job.id) == [4, 2, 1, 0]
    assert places(bucket=here) == [3, 2, 1, 0]
    assert places(bucket=here, success=True) == [3, 1, 0]
    assert places(job_id=job.id, operation="delete") == [4, 2, 1]
    assert places(job_id=job.id, operation="delete", bucket=here, success=False) == [2]
    middle = logged[2]["created_at"]
    assert places(bucket=here, from_time=middle) == [3, 2]
    assert places(bucket=here, to_time=middle) == [1, 0]
    assert places(bucket=here, from_time=logged[1]["created_at"], to_time=middle) == [1]


def test_failed__are_listed_alone(target: Target) -> None:
    here = bucket()
    logged = call(
        target,
        "log_storage_operations",
        operations=operations(7, bucket=here, success=False, error_code="AccessDenied")
        + operations(5, bucket=here)
        + operations(3, bucket=here, operation="delete", success=False),
    )
    failed = [row for row in logged if not row["success"]][::-1]

    assert all_pages(target, "get_failed_storage_operations", bucket=here, page_size=4) == failed
    assert all_pages(target, "get_failed_storage_operations", bucket=here, operation="delete") == failed[:3]
    assert all_pages(
        target, "get_failed_storage_operations", bucket=here, to_time=logged[2]["created_at"]
    ) == [logged[1], logged[0]]


async def test_pages__are_complete_while_others_log(target: Target) -> None:
    here = bucket()
    before = call(target, "log_storage_operations", operations=operations(60, bucket=here))

    async def read() -> list[Row]:
        return await asyncio.to_thread(all_pages, target, "get_storage_operations", bucket=here, page_size=7)

    async def write() -> None:
        for _ in range(5):
            await asyncio.to_thread(
                call, target, "log_storage_operations", operations=operations(20, bucket=here)
            )

    seen, *_ = await asyncio.gather(read(), write(), write())

    ids = [row["id"] for row in seen]
    assert len(ids) == len(set(ids))
    known = {row["id"] for row in before}
    assert [row["id"] for row in seen if row["id"] in known] == [row["id"] for row in before][::-1]


def test_page__refuses_a_size_range_or_cursor_of_its_own(target: Target) -> None:
    here = bucket()
    call(target, "log_storage_operations", operations=operations(2, bucket=here, success=False))
    cursor = call(target, "get_storage_operations", bucket=here, page_size=1)["next_cursor"]
    now = datetime.now(UTC)

    for function in ("get_storage_operations", "get_failed_storage_operations"):
        for size in (0, 501, None):
            assert problems(target, function, page_size=size) == {"page_size": "must be 1 to 500"}
        assert problems(target, function, from_time=now, to_time=now) == {
            "from_time": "must be earlier than to_time"
        }
        assert refusal(target, function, cursor="!")["error"] == "invalid_cursor"
    assert refusal(target, "get_failed_storage_operations", cursor=cursor)["error"] == "invalid_cursor"


# Who may what


@pytest.mark.parametrize("actor", ["owner", "watcher", "watching_user", *BACKENDS])
def test_whoever_sees_the_job__sees_its_operations(target: Target, job: Job, actor: str) -> None:
    logged = call(target, "log_storage_operation", **UPLOAD, job_id=job.id)

    page = answer(target, "get_storage_operations", actor, job.id, job_id=job.id).json()

    assert page == {"items": [logged], "next_cursor": None}
    assert rows(target, actor, job.id, job_id=f"eq.{job.id}") == [logged]


@pytest.mark.parametrize("actor", ["anonymous", "stranger", "pretender", "watcher"])
async def test_whoever_does_not_see_the_job__sees_no_operation(
    target: Target, service: AsyncReelbase, job: Job, actor: str
) -> None:
    call(target, "log_storage_operation", **UPLOAD, job_id=job.id)
    other = await service.jobs.create("mp4", 64, 64)

    page = answer(target, "get_storage_operations", actor, other.id, job_id=job.id)

    assert page.status_code == httpx.codes.NOT_FOUND
    assert rows(target, actor, other.id, job_id=f"eq.{job.id}") == []


@pytest.mark.parametrize("actor", ["anonymous", "owner", "watcher"])
def test_operations_without_a_job__are_for_backends(target: Target, job: Job, actor: str) -> None:
    logged = call(target, "log_storage_operation", **UPLOAD)

    refused = answer(target, "get_storage_operations", actor, job.id)

    assert json.loads(refused.json()["details"])["problems"] == [
        {"argument": "job_id", "problem": "is required of everyone but backends"}
    ]
    assert rows(target, actor, job.id, id=f"eq.{logged['id']}") == []


BACKENDS_ONLY: list[tuple[str, Row]] = [
    ("log_storage_operation", UPLOAD),
    ("log_storage_operations", {"operations": [UPLOAD]}),
    ("get_failed_storage_operations", {}),
    ("get_storage_statistics", {}),
    ("get_storage_usage_by_bucket", {}),
    ("get_storage_performance", {}),
]


@pytest.mark.parametrize(("function", "arguments"), BACKENDS_ONLY)
def test_backends__may_do_what_nobody_else_may(target: Target, function: str, arguments: Row) -> None:
    for actor in BACKENDS:
        assert answer(target, function, actor, **arguments).is_success
    for actor in ("owner", "stranger", "pretender", "watching_user"):
        assert refusal(target, function, actor, **arguments)["error"] == "permission_denied"
    for actor in ("anonymous", "watcher"):
        refused = answer(target, function, actor, **arguments)
        assert (refused.status_code, refused.json()["code"]) == (httpx.codes.UNAUTHORIZED, "42501")


@pytest.mark.parametrize("actor", ["anonymous", "owner", "stranger", "watcher", "watching_user"])
def test_table__is_written_by_backends_alone(target: Target, job: Job, actor: str) -> None:
    table = f"{target.url}/rest/v1/storage_operations"
    token = headers(target, actor, job.id)

    for refused in (
        httpx.post(table, json={**UPLOAD, "job_id": str(job.id)}, headers=token),
        httpx.patch(table, params={"job_id": f"eq.{job.id}"}, json={"file_size": 1}, headers=token),
        httpx.delete(table, params={"job_id": f"eq.{job.id}"}, headers=token),
    ):
        assert refused.json()["code"] == "42501"


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("verb", ["insert", "update", "delete", "truncate"])
def test_table__gives_no_blanket_rights(database: Database, role: str, verb: str) -> None:
    row = database.execute("select has_table_privilege(%s, 'storage_operations', %s)", (role, verb))
    assert row.fetchone() == (False,)


def test_operations__go_with_their_job(target: Target, job: Job, database: Database) -> None:
    logged = call(target, "log_storage_operation", **UPLOAD, job_id=job.id)

    database.execute("delete from jobs where id = %s", (job.id,))

    left = database.execute("select count(*) from storage_operations where id = %s", (logged["id"],))
    assert left.fetchone() == (0,)


# Reports


def percentile(values: list[float], percent: int) -> float:
    """The percentile between the two values next to it."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]


def mixed_operations(here: str, count: int = 300) -> list[Row]:
    """Operations of all kinds, some of which failed, and some that were not timed."""
    dice = random.Random(7)  # noqa: S311  numbers to compute with
    given = []
    for number in range(count):
        success = dice.random() > 0.2
        given.append(
            {
                "operation": dice.choice(["upload", "download", "access"]),
                "bucket": here,
                "key": str(number),
                "success": success,
                "file_size": dice.randrange(10**9),
                "duration_ms": dice.choice([None, 0, dice.randrange(5000)]),
                "error_code": None if success else "SlowDown",
            }
        )
    return given


def test_statistics__are_what_python_computes(target: Target) -> None:
    here = bucket()
    given = mixed_operations(here)
    call(target, "log_storage_operations", operations=given)

    kinds = call(target, "get_storage_statistics", bucket=here)

    assert [row["operation"] for row in kinds] == ["upload", "download", "access"]
    for row in kinds:
        mine = [item for item in given if item["operation"] == row["operation"]]
        good = [item for item in mine if item["success"]]
        times = [item["duration_ms"] for item in good if item["duration_ms"] is not None]
        assert row["operation_count"] == len(mine)
        assert row["failure_count"] == len(mine) - len(good)
        assert row["success_percentage"] == pytest.approx(100 * len(good) / len(mine), abs=0.005)
        assert row["total_bytes"] == sum(item["file_size"] for item in good)
        assert row["mean_duration_ms"] == pytest.approx(mean(times), abs=0.001)
        for percent in (50, 95, 99):
            assert row[f"p{percent}_duration_ms"] == pytest.approx(percentile(times, percent), abs=0.001)
    assert call(target, "get_storage_statistics", bucket=here, operation="upload") == kinds[:1]


def test_performance__is_what_python_computes(target: Target) -> None:
    here = bucket()
    given = mixed_operations(here)
    call(target, "log_storage_operations", operations=given)

    kinds = call(target, "get_storage_performance", bucket=here)

    assert [(row["operation"], row["bucket"]) for row in kinds] == [
        ("upload", here),
        ("download", here),
        ("access", here),
    ]
    for row in kinds:
        timed = [
            item
            for item in given
            if item["operation"] == row["operation"] and item["success"] and item["duration_ms"] is not None
        ]
        times = [item["duration_ms"] for item in timed]
        speeds = [item["file_size"] * 1000 / item["duration_ms"] for item in timed if item["duration_ms"]]
        assert row["operation_count"] == len(timed)
        for percent in (50, 95, 99):
            assert row[f"p{percent}_duration_ms"] == pytest.approx(percentile(times, percent), abs=0.001)
            assert row[f"p{percent}_bytes_per_second"] == pytest.approx(percentile(speeds, percent))
    assert call(target, "get_storage_performance", bucket=here, operation="access") == kinds[2:]


def test_usage__counts_what_is_left_by_the_last_thing_done(target: Target) -> None:
    here = bucket()
    call(
        target,
        "log_storage_operations",
        operations=[
            {"bucket": here, **item}
            for item in (
                {"operation": "upload", "key": "kept", "file_size": 10},
                {"operation": "upload", "key": "replaced", "file_size": 100},
                {"operation": "upload", "key": "replaced", "file_size": 70},
                {"operation": "upload", "key": "deleted", "file_size": 1000},
                {"operation": "delete", "key": "deleted"},
                {"operation": "upload", "key": "back", "file_size": 5},
                {"operation": "delete", "key": "back", "file_size": 5},
                {"operation": "upload", "key": "back", "file_size": 6},
                {"operation": "upload", "key": "never", "file_size": 9, "success": False},
                {"operation": "delete", "key": "kept", "success": False},
                {"operation": "download", "key": "kept", "file_size": 10},
                {"operation": "access", "key": "kept"},
            )
        ],
    )
    last = call(target, "get_storage_operations", bucket=here, page_size=1)["items"][0]

    assert call(target, "get_storage_usage_by_bucket", bucket=here) == [
        {
            "bucket": here,
            "uploaded_objects": 6,
            "uploaded_bytes": 1191,
            "downloaded_objects": 1,
            "downloaded_bytes": 10,
            "deleted_objects": 2,
            "deleted_bytes": 5,
            "stored_objects": 3,
            "stored_bytes": 86,
            "last_operation_at": last["created_at"],
        }
    ]


def stored(target: Target, here: str) -> tuple[int, int]:
    """Objects and bytes that a bucket holds."""
    found = call(target, "get_storage_usage_by_bucket", bucket=here)
    return sum(row["stored_objects"] for row in found), sum(row["stored_bytes"] for row in found)


def test_usage__knows_what_is_stored_after_its_job_and_its_log_are_gone(
    target: Target, job: Job, database: Database
) -> None:
    here = bucket()
    of_job: Row = {"bucket": here, "job_id": str(job.id), "operation": "upload", "file_size": 1000}
    of_none: Row = {"bucket": here, "operation": "upload", "file_size": 10}
    call(
        target,
        "log_storage_operations",
        operations=[{**of_job, "key": "v.mp4"}, {**of_job, "key": "w.mp4"}, {**of_none, "key": "x.mp4"}],
    )

    database.execute("delete from jobs where id = %s", (job.id,))
    database.execute("delete from storage_operations where bucket = %s", (here,))

    assert stored(target, here) == (3, 2010)
    (row,) = call(target, "get_storage_usage_by_bucket", bucket=here)
    assert row["last_operation_at"] is not None
    assert here in [row["bucket"] for row in call(target, "get_storage_usage_by_bucket")]

    call(target, "log_storage_operation", operation="delete", bucket=here, key="v.mp4")
    call(target, "log_storage_operation", operation="upload", bucket=here, key="x.mp4", file_size=30)

    assert stored(target, here) == (2, 1030)


def test_usage__of_a_time_has_the_objects_last_uploaded_then(target: Target, database: Database) -> None:
    here = bucket()
    now = datetime.now(UTC)
    for key, days, operation in (
        ("a", 3, "upload"),
        ("a", 1, "upload"),
        ("b", 3, "upload"),
        ("b", 1, "delete"),
        ("c", 3, "upload"),
    ):
        database.execute(
            "insert into storage_operations (operation, bucket, key, file_size, created_at) "
            "values (%s, %s, %s, 5, %s)",
            (operation, here, key, now - timedelta(days=days)),
        )

    (past,) = call(target, "get_storage_usage_by_bucket", bucket=here, to_time=now - timedelta(days=2))
    (lately,) = call(target, "get_storage_usage_by_bucket", bucket=here, from_time=now - timedelta(days=2))

    assert (past["uploaded_objects"], past["stored_objects"]) == (3, 1)
    assert (lately["uploaded_objects"], lately["deleted_objects"], lately["stored_objects"]) == (1, 1, 1)


@pytest.mark.parametrize("first", ["upload", "delete"])
async def test_usage__of_an_object_that_two_sessions_change_at_once_goes_by_the_last(
    target: Target, first: str
) -> None:
    here = bucket()
    log = "select from log_storage_operation(%s, %s, 'v.mp4', file_size => 7)"
    with target.connect() as one, target.connect() as other, ThreadPoolExecutor(1) as thread:
        with one.transaction():
            one.execute(log, (first, here))
            last = {"upload": "delete", "delete": "upload"}[first]
            logged = thread.submit(lambda: other.execute(log, (last, here)))
            await eventually(partial(waits_for_a_lock, target, other.info.backend_pid))
        logged.result(20)

    assert stored(target, here) == {"upload": (0, 0), "delete": (1, 7)}[first]


def test_usage__is_not_changed_by_what_is_logged_late(target: Target, database: Database) -> None:
    here = bucket()
    log = (
        "insert into storage_operations (operation, bucket, key, file_size, created_at) "
        "values (%s, %s, %s, 5, now() - %s * interval '1 minute')"
    )
    for operation, key, minutes in (
        ("upload", "a", 1),
        ("delete", "a", 2),
        ("delete", "b", 1),
        ("upload", "b", 2),
    ):
        database.execute(log, (operation, here, key, minutes))

    assert stored(target, here) == (1, 5)


@pytest.mark.local_stack
def test_stored_objects__forget_in_time_what_was_deleted(own_target: Target) -> None:
    with own_target.connect() as session:
        session.execute(
            "insert into storage_operations (operation, bucket, key, created_at) "
            "select 'delete', 'old', n, now() - interval '2 days' from generate_series(1, 10) as n"
        )
        session.execute("select from log_storage_operation('upload', 'new', 'a')")
        for number in range(8):
            session.execute("select from log_storage_operation('delete', 'new', %s::text)", (number,))

        left = session.execute(
            "select bucket, count(*) from private.stored_objects group by 1 order by 1"
        ).fetchall()

    assert left == [("new", 9)]


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("verb", ["insert", "update", "delete", "truncate"])
def test_stored_objects__are_written_by_nobody(database: Database, role: str, verb: str) -> None:
    row = database.execute("select has_table_privilege(%s, 'private.stored_objects', %s)", (role, verb))
    assert row.fetchone() == (False,)


def test_reports__cover_the_time_they_are_asked_for(target: Target, database: Database) -> None:
    here = bucket()
    now = datetime.now(UTC)
    for days in (1, 29, 31, 400):
        database.execute(
            "insert into storage_operations (operation, bucket, key, duration_ms, created_at) "
            "values ('upload', %s, %s, 5, %s)",
            (here, str(days), now - timedelta(days=days)),
        )

    def counted(function: str, field: str, **arguments: Any) -> int:
        return sum(row[field] for row in call(target, function, bucket=here, **arguments))

    for function in ("get_storage_statistics", "get_storage_performance"):
        assert counted(function, "operation_count") == 2
        assert counted(function, "operation_count", from_time=now - timedelta(days=60)) == 3
        # The 30 days before the end that is given.
        assert counted(function, "operation_count", to_time=now - timedelta(days=10)) == 2
        assert counted(function, "operation_count", from_time=now) == 0
    assert counted("get_storage_usage_by_bucket", "stored_objects") == 4
    assert counted("get_storage_usage_by_bucket", "stored_objects", from_time=now - timedelta(days=30)) == 2
    half_open = {"from_time": now - timedelta(days=31), "to_time": now - timedelta(days=29)}
    assert counted("get_storage_usage_by_bucket", "stored_objects", **half_open) == 1
    for function in ("get_storage_statistics", "get_storage_performance", "get_storage_usage_by_bucket"):
        assert problems(target, function, from_time=now, to_time=now) == {
            "from_time": "must be earlier than to_time"
        }


def test_reports__of_nothing_are_empty(target: Target) -> None:
    for function in ("get_storage_statistics", "get_storage_performance", "get_storage_usage_by_bucket"):
        assert call(target, function, bucket=bucket()) == []


def test_speed__of_what_took_no_time_is_not_infinite(target: Target) -> None:
    here = bucket()
    call(target, "log_storage_operation", **{**UPLOAD, "bucket": here}, file_size=5, duration_ms=0)

    row = call(target, "get_storage_performance", bucket=here)[0]

    assert (row["p50_duration_ms"], row["p50_bytes_per_second"]) == (0, None)
    assert math.isfinite(row["p99_duration_ms"])


# Plans


@pytest.mark.local_stack
@pytest.mark.parametrize("role", ["service_role", "authenticated"])
def test_lists_and_reports__read_what_they_return_and_no_more(own_target: Target, role: str) -> None:
    """With 20,000 rows, counts what a call reads: no scan of the table, and few rows by index."""
    claims = json.dumps({"role": role, "app_metadata": {"role": "service_account"}})
    hour = "now() - interval '1 hour'"
    with own_target.connect() as session:
        row = session.execute("select id from create_job('mp4', 64, 64)").fetchone()
        assert row is not None
        # The rows need no events.
        session.execute("alter table storage_operations disable trigger user")
        session.execute(
            """
            insert into storage_operations (job_id, operation, bucket, key, success, created_at)
            select case when n %% 500 = 0 then %s::uuid end, 'upload', 'bucket-' || n %% 100, n, n %% 200 > 0,
                now() - n * interval '1 minute'
            from generate_series(1, 20000) as n
            """,
            (row[0],),
        )
        session.execute("alter table storage_operations enable trigger user")
        session.execute("analyze storage_operations")
        for query in (
            "get_storage_operations()",
            f"get_storage_operations('{row[0]}')",
            "get_storage_operations(bucket => 'bucket-7')",
            f"get_storage_operations(from_time => now() - interval '2 hours', to_time => {hour})",
            "get_failed_storage_operations()",
            f"get_storage_statistics(from_time => {hour})",
            f"get_storage_performance(from_time => {hour})",
            "get_storage_usage_by_bucket('bucket-7')",
        ):
            with session.transaction():
                session.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
                session.execute(f"set local role {role}")
                session.execute(f"select {query}")
                scans, read = session.execute(
                    """
                    select pg_stat_get_xact_numscans('public.storage_operations'::regclass),
                        pg_stat_get_xact_tuples_fetched('public.storage_operations'::regclass)
                    """
                ).fetchall()[0]
            assert scans == 0, query
            assert read <= 300, query
