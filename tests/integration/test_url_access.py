"""URL access logs: masked before they are stored, read by backends alone, summed up as Python would."""

import asyncio
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import mean, quantiles
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from api import OWNER, Row, all_pages, answer, call, headers, problems, refusal
from reelbase import AsyncReelbase, Job, JobStatus
from sql import acting
from support import Target, eventually

Database = psycopg.Connection[tuple[Any, ...]]

BACKENDS = ["service_account", "admin", "service_key"]
URL = "https://cdn.example/a.mp4"
CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
)


def accesses(job: Job, count: int, **properties: Any) -> list[Row]:
    return [{"job_id": str(job.id), "url": f"{URL}?{number}", **properties} for number in range(count)]


def urls(rows: list[Row]) -> list[str]:
    return [row["url"] for row in rows]


@pytest.fixture
async def job(service: AsyncReelbase) -> Job:
    """A job of the user OWNER."""
    return await service.jobs.create("mp4", 64, 64, user_id=OWNER)


# Logging


def test_log__returns_what_was_stored(target: Target, job: Job) -> None:
    given: Row = {
        "job_id": str(job.id),
        "url": URL,
        "user_agent": CHROME,
        "referrer": "https://Blog.Example:8443/post?id=1",
        "country": "DE",
        "status_code": 206,
        "bytes_sent": 2**40,
        "latency_ms": 12.75,
        "idempotency_key": str(uuid4()),
        "accessed_at": "2026-01-15T12:00:00.123456+00:00",
    }

    logged = call(target, "log_url_access", **given, client_ip="203.0.113.77")

    assert {name: logged[name] for name in given} == given
    rest = {name: value for name, value in logged.items() if name not in given and name != "id"}
    assert rest == {
        "client_ip": "203.0.113.0/24",
        "agent_family": "Chrome",
        "referrer_host": "blog.example",
    }


def test_log__needs_no_more_than_job_and_url(target: Target, job: Job) -> None:
    before = datetime.now(UTC)

    logged = call(target, "log_url_access", job_id=job.id, url=URL)

    assert (logged["status_code"], logged["agent_family"], logged["client_ip"]) == (200, "unknown", None)
    assert abs(datetime.fromisoformat(logged["accessed_at"]) - before) < timedelta(minutes=5)


@pytest.mark.parametrize("status", list(JobStatus))
async def test_log__is_for_jobs_of_every_status(target: Target, in_status: Any, status: JobStatus) -> None:
    job = await in_status(status)

    assert call(target, "log_url_access", job_id=job.id, url=URL)["job_id"] == str(job.id)


def test_log__of_an_unknown_job_is_not_found(target: Target) -> None:
    unknown = str(uuid4())

    single = refusal(target, "log_url_access", job_id=unknown, url=URL)
    many = refusal(target, "log_url_accesses", accesses=[{"job_id": unknown, "url": URL}])

    assert single == many == {"error": "not_found", "job_id": unknown}


@pytest.mark.parametrize(
    ("argument", "value", "problem"),
    [
        ("job_id", None, "is required"),
        ("url", None, "is required"),
        ("url", "", "must not be empty"),
        ("country", "de", "must be a country code of two capital letters"),
        ("country", "Germany", "must be a country code of two capital letters"),
        ("status_code", 99, "must be an HTTP status, 100 to 599"),
        ("status_code", 600, "must be an HTTP status, 100 to 599"),
        ("bytes_sent", -1, "must be bytes, 0 to 5 TiB"),
        ("latency_ms", -0.5, "must be 0 to 86400000 milliseconds"),
        ("latency_ms", "NaN", "must be 0 to 86400000 milliseconds"),
        ("idempotency_key", "", "must have 1 to 200 characters"),
        ("idempotency_key", "k" * 201, "must have 1 to 200 characters"),
        ("accessed_at", "infinity", "must be a time of the years 2000 to 2999"),
        ("accessed_at", "1999-12-31T23:59:59Z", "must be a time of the years 2000 to 2999"),
    ],
)
def test_log__refuses_what_makes_no_sense(
    target: Target, job: Job, argument: str, value: Any, problem: str
) -> None:
    good = {"job_id": str(job.id), "url": URL}
    wrong = {**good, argument: value}

    assert problems(target, "log_url_access", **wrong) == {argument: problem}
    assert problems(target, "log_url_accesses", accesses=[good, wrong]) == {
        f"accesses[1].{argument}": problem
    }


def test_log__cuts_what_a_client_says_of_itself(target: Target, job: Job) -> None:
    """A long header must not keep its sender, and all logged with it, out of the log."""
    logged = call(
        target,
        "log_url_access",
        job_id=job.id,
        url=f"{URL}?{'x' * 10000}",
        user_agent="curl/8" + "x" * 10000,
        referrer="https://a.example/" + "x" * 10000,
    )

    assert [len(logged[name]) for name in ("url", "user_agent", "referrer")] == [4096, 1024, 2048]
    assert (logged["agent_family"], logged["referrer_host"]) == ("curl", "a.example")


# Many at once


def test_log_many__takes_1000_in_one_call_and_keeps_their_order(target: Target, job: Job) -> None:
    given = accesses(job, 1000, client_ip="203.0.113.77")

    logged = call(target, "log_url_accesses", accesses=given)

    assert urls(logged) == urls(given)
    assert {row["client_ip"] for row in logged} == {"203.0.113.0/24"}
    stored = all_pages(target, "get_url_accesses", job_id=job.id, page_size=500)
    assert sorted(urls(stored)) == sorted(urls(given))


def test_log_many__names_what_is_wrong_and_logs_nothing(target: Target, job: Job) -> None:
    given = accesses(job, 5)
    given[2] |= {"client_ip": "300.1.1.1", "referer": "https://a.example"}
    given[3]["bytes_sent"] = -1
    given[4] |= {"job_id": None, "accessed_at": "yesterdayish"}

    assert problems(target, "log_url_accesses", accesses=given) == {
        "accesses[2].client_ip": "must be an IP address",
        "accesses[2].referer": "is not known",
        "accesses[3].bytes_sent": "must be bytes, 0 to 5 TiB",
        "accesses[4].accessed_at": "must be a time, as ISO 8601 writes it",
        "accesses[4].job_id": "is required",
    }
    assert all_pages(target, "get_url_accesses", job_id=job.id) == []


@pytest.mark.parametrize("item", [None, 7, "x", []])
def test_log_many__refuses_items_that_are_no_objects(target: Target, job: Job, item: Any) -> None:
    given = [*accesses(job, 1), item]

    assert problems(target, "log_url_accesses", accesses=given) == {"accesses[1]": "must be a JSON object"}


@pytest.mark.parametrize("items", [None, {}, [], 3, [{}] * 1001])
def test_log_many__refuses_what_is_no_list_of_sensible_length(target: Target, items: Any) -> None:
    assert problems(target, "log_url_accesses", accesses=items) == {
        "accesses": "must be a JSON array of 1 to 1000 items"
    }


# Idempotency


def test_repeat__returns_the_first_row(target: Target, job: Job) -> None:
    given: Row = {"job_id": job.id, "url": URL, "idempotency_key": str(uuid4())}

    first = call(target, "log_url_access", **given)
    again = call(target, "log_url_access", **given, bytes_sent=5)

    assert again == first
    assert all_pages(target, "get_url_accesses", job_id=job.id) == [first]


def test_repeat__in_a_list_gives_the_rows_that_are_there(target: Target, job: Job) -> None:
    known, new = str(uuid4()), str(uuid4())
    first = call(target, "log_url_access", job_id=job.id, url="first", idempotency_key=known)
    given = accesses(job, 4)
    for item, key in zip(given, (new, known, None, new), strict=True):
        item["idempotency_key"] = key

    logged = call(target, "log_url_accesses", accesses=given)

    assert urls(logged) == [f"{URL}?0", "first", f"{URL}?2", f"{URL}?0"]
    assert (logged[1], logged[3]) == (first, logged[0])
    assert len(all_pages(target, "get_url_accesses", job_id=job.id)) == 3


async def test_repeat__in_two_sessions_at_once_logs_one(target: Target, job: Job) -> None:
    log = "select id from log_url_access(%s, 'x', idempotency_key => %s)"
    values = (job.id, str(uuid4()))
    with target.connect() as first, target.connect() as second, ThreadPoolExecutor(1) as thread:
        with first.transaction():
            row = first.execute(log, values).fetchone()
            repeat = thread.submit(lambda: second.execute(log, values).fetchone())
            await eventually(partial(waits_for_a_lock, target, second.info.backend_pid))

        assert repeat.result(20) == row is not None


def waits_for_a_lock(target: Target, pid: int) -> None:
    with target.connect() as observer:
        query = "select wait_event_type from pg_stat_activity where pid = %s"
        assert observer.execute(query, (pid,)).fetchone() == ("Lock",)


async def test_no_deadlock__between_lists_of_opposite_orders(target: Target, service: AsyncReelbase) -> None:
    """Two calls stopped in the middle by a third, which holds the job that both need last."""
    low, high, held = sorted([await service.jobs.create("mp4", 64, 64) for _ in range(3)], key=lambda j: j.id)
    log = "select count(*) from log_url_accesses(%s)"

    def items(*order: Job) -> tuple[str]:
        return (json.dumps([access for job in order for access in accesses(job, 1)]),)

    with (
        target.connect() as holder,
        target.connect() as up,
        target.connect() as down,
        ThreadPoolExecutor(2) as threads,
    ):
        with holder.transaction():
            holder.execute(log, items(held))
            calls = [
                threads.submit(lambda: up.execute(log, items(low, held, high)).fetchone()),
                threads.submit(lambda: down.execute(log, items(high, held, low)).fetchone()),
            ]
            for session in (up, down):
                await eventually(partial(waits_for_a_lock, target, session.info.backend_pid))

        assert [waiting.result(20) for waiting in calls] == [(3,), (3,)]


def no_events(session: Database) -> None:
    session.execute("update private.settings set value = 'false' where name = 'log_url_accesses_as_events'")


@pytest.mark.local_stack
@pytest.mark.parametrize("as_events", [True, False])
def test_access__holds_up_the_next_of_its_job_only_if_it_is_an_event(
    own_target: Target, as_events: bool
) -> None:
    log = "select from log_url_access(%s, 'x')"
    with own_target.connect() as first, own_target.connect() as second:
        job_id = first.execute("select id from create_job('mp4', 64, 64)").fetchone()
        if not as_events:
            no_events(first)
        second.execute("set lock_timeout = '200ms'")
        with first.transaction():
            first.execute(log, job_id)
            if as_events:
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    second.execute(log, job_id)
            else:
                second.execute(log, job_id)
        stored = first.execute("select count(*) from url_access_logs").fetchone()

    assert stored == (1 if as_events else 2,)


@pytest.mark.local_stack
async def test_access__that_is_no_event_of_a_job_that_goes_meanwhile_is_not_found(own_target: Target) -> None:
    log = "select from log_url_access(%s, 'x')"
    with own_target.connect() as first, own_target.connect() as second, ThreadPoolExecutor(1) as thread:
        job_id = first.execute("select id from create_job('mp4', 64, 64)").fetchone()
        no_events(first)
        with first.transaction():
            first.execute("delete from jobs where id = %s", job_id)
            logged = thread.submit(lambda: second.execute(log, job_id))
            await eventually(partial(waits_for_a_lock, own_target, second.info.backend_pid))

        with pytest.raises(psycopg.Error, match="There is no job"):
            logged.result(20)


# What is kept of an address


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.0", "203.0.113.0/24"),
        ("203.0.113.77/8", "203.0.0.0/8"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        (None, None),
    ],
)
@pytest.mark.parametrize("path", ["function", "list"])
def test_address__is_masked_on_every_path(
    target: Target, job: Job, path: str, address: str | None, kept: str | None
) -> None:
    given = {"job_id": str(job.id), "url": URL, "client_ip": address}

    if path == "function":
        call(target, "log_url_access", **given)
    else:
        call(target, "log_url_accesses", accesses=[given])

    assert [row["client_ip"] for row in all_pages(target, "get_url_accesses", job_id=job.id)] == [kept]


def test_address__is_masked_for_the_owner_of_the_schema_too(
    target: Target, job: Job, database: Database
) -> None:
    database.execute(
        "insert into url_access_logs (job_id, url, client_ip) values (%s, 'x', '203.0.113.77')", (job.id,)
    )
    database.execute("update url_access_logs set client_ip = '198.51.100.7' where job_id = %s", (job.id,))

    assert [row["client_ip"] for row in all_pages(target, "get_url_accesses", job_id=job.id)] == [
        "198.51.100.0/24"
    ]


@pytest.mark.local_stack
@pytest.mark.parametrize(("setting", "kept"), [("false", "203.0.113.77"), ("true", "203.0.113.0/24")])
async def test_address__is_stored_whole_only_if_the_setting_is_false(
    own_target: Target, setting: str, kept: str
) -> None:
    with own_target.connect() as session:
        session.execute(
            "update private.settings set value = %s where name = 'mask_client_addresses'", (setting,)
        )
        query = """
            select abbrev(logged.client_ip)
            from create_job('mp4', 64, 64) as job, log_url_access(job.id, 'x', '203.0.113.77') as logged
        """
        assert session.execute(query).fetchone() == (kept,)


# What is made of headers


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (CHROME, "Chrome"),
        (CHROME + " Edg/130.0.0.0", "Edge"),
        (CHROME + " OPR/115.0.0.0", "Opera"),
        (
            "Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0 Mobile Safari/604.1",
            "Chrome",
        ),
        (
            "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
            "Safari",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0", "Firefox"),
        (
            "Mozilla/5.0 (Linux; Android 14) SamsungBrowser/26.0 Chrome/122.0 Mobile Safari/537.36",
            "Samsung Internet",
        ),
        ("Mozilla/5.0 (Linux; Android 9; CUBOT X19) Chrome/130.0 Mobile Safari/537.36", "Chrome"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
        ("Mozilla/5.0 AppleWebKit/537.36 (compatible; bingbot/2.0) Chrome/130.0 Safari/537.36", "bot"),
        ("facebookexternalhit/1.1", "bot"),
        ("curl/8.10.1", "curl"),
        ("Wget/1.21", "Wget"),
        ("python-requests/2.32.3", "Python"),
        ("Python/3.12 aiohttp/3.10", "Python"),
        ("Lavf/61.7.100", "FFmpeg"),
        ("VLC/3.0.21 LibVLC/3.0.21", "media player"),
        ("Go-http-client/2.0", "Go"),
        ("okhttp/4.12.0", "Java"),
        ("node", "Node"),
        ("something else", "other"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_agent__has_a_family(database: Database, agent: str | None, family: str) -> None:
    assert database.execute("select private.agent_family(%s)", (agent,)).fetchone() == (family,)


@pytest.mark.parametrize(
    ("referrer", "host"),
    [
        ("https://example.com/path", "example.com"),
        ("HTTPS://user:secret@Example.COM:8443?x@y", "example.com"),
        ("https://[2001:DB8::1]:80/x", "[2001:db8::1]"),
        ("android-app://com.example.app/", "com.example.app"),
        ("/relative", None),
        ("nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_referrer__has_a_host(target: Target, job: Job, referrer: str | None, host: str | None) -> None:
    logged = call(target, "log_url_access", job_id=job.id, url=URL, referrer=referrer)

    assert logged["referrer_host"] == host


# Pages


async def test_pages__are_complete_while_others_log(target: Target, job: Job) -> None:
    before = call(target, "log_url_accesses", accesses=accesses(job, 60))

    async def read() -> list[Row]:
        return await asyncio.to_thread(all_pages, target, "get_url_accesses", job_id=job.id, page_size=7)

    async def write() -> None:
        for _ in range(5):
            await asyncio.to_thread(call, target, "log_url_accesses", accesses=accesses(job, 20))

    seen, *_ = await asyncio.gather(read(), write(), write())

    ids = [row["id"] for row in seen]
    assert len(ids) == len(set(ids))
    assert {row["id"] for row in before} <= set(ids)


def test_pages__are_newest_first_within_their_time(target: Target, job: Job) -> None:
    days = [f"2026-01-{day:02}T00:00:00+00:00" for day in range(1, 11)]
    given = [{**access, "accessed_at": day} for access, day in zip(accesses(job, 10), days, strict=True)]
    logged = call(target, "log_url_accesses", accesses=random.sample(given, 10))

    newest_first = sorted(logged, key=lambda row: row["accessed_at"], reverse=True)
    assert all_pages(target, "get_url_accesses", job_id=job.id, page_size=3) == newest_first
    assert (
        all_pages(target, "get_url_accesses", job_id=job.id, from_time=days[2], to_time=days[5])
        == newest_first[5:8]
    )


def test_page__refuses_a_size_range_or_cursor_of_its_own(target: Target) -> None:
    now = datetime.now(UTC)

    for size in (0, 501, None):
        assert problems(target, "get_url_accesses", page_size=size) == {"page_size": "must be 1 to 500"}
    assert problems(target, "get_url_accesses", from_time=now, to_time=now) == {
        "from_time": "must be earlier than to_time"
    }
    assert refusal(target, "get_url_accesses", cursor="!")["error"] == "invalid_cursor"


# Who may what


BACKENDS_ONLY: list[tuple[str, Row]] = [
    ("log_url_access", {"job_id": "JOB", "url": URL}),
    ("log_url_accesses", {"accesses": [{"job_id": "JOB", "url": URL}]}),
    ("get_url_accesses", {"job_id": "JOB"}),
    ("get_url_access_statistics", {"job_id": "JOB"}),
    ("get_url_accesses_by", {"dimension": "day", "job_id": "JOB"}),
]


@pytest.mark.parametrize(("function", "arguments"), BACKENDS_ONLY)
def test_backends__may_do_what_nobody_else_may(
    target: Target, job: Job, function: str, arguments: Row
) -> None:
    arguments = json.loads(json.dumps(arguments).replace("JOB", str(job.id)))

    for actor in BACKENDS:
        assert answer(target, function, actor, **arguments).is_success
    for actor in ("owner", "stranger", "pretender", "watching_user"):
        refused = answer(target, function, actor, job.id, **arguments)
        assert json.loads(refused.json()["details"])["error"] == "permission_denied"
    for actor in ("anonymous", "watcher"):
        refused = answer(target, function, actor, job.id, **arguments)
        assert (refused.status_code, refused.json()["code"]) == (httpx.codes.UNAUTHORIZED, "42501")


@pytest.mark.parametrize(
    ("actor", "sees"),
    [
        ("owner", False),
        ("stranger", False),
        ("pretender", False),
        ("watching_user", False),
        ("service_account", True),
        ("admin", True),
        ("service_key", True),
    ],
)
def test_table__shows_backends_alone_who_accessed_what(
    target: Target, job: Job, actor: str, sees: bool
) -> None:
    logged = call(target, "log_url_access", job_id=job.id, url=URL)

    answered = httpx.get(
        f"{target.url}/rest/v1/url_access_logs",
        params={"job_id": f"eq.{job.id}"},
        headers=headers(target, actor, job.id),
    )

    assert answered.json() == ([logged] if sees else [])


@pytest.mark.parametrize("actor", ["anonymous", "watcher"])
def test_table__is_closed_to_whoever_is_not_signed_in(target: Target, job: Job, actor: str) -> None:
    refused = httpx.get(f"{target.url}/rest/v1/url_access_logs", headers=headers(target, actor, job.id))

    assert (refused.status_code, refused.json()["code"]) == (httpx.codes.UNAUTHORIZED, "42501")


@pytest.mark.parametrize("actor", ["anonymous", "owner", "stranger", "watcher", "watching_user"])
def test_table__is_written_by_backends_alone(target: Target, job: Job, actor: str) -> None:
    table = f"{target.url}/rest/v1/url_access_logs"
    token = headers(target, actor, job.id)

    for refused in (
        httpx.post(table, json={"job_id": str(job.id), "url": URL}, headers=token),
        httpx.patch(table, params={"job_id": f"eq.{job.id}"}, json={"url": "x"}, headers=token),
        httpx.delete(table, params={"job_id": f"eq.{job.id}"}, headers=token),
    ):
        assert refused.json()["code"] == "42501"


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("verb", ["insert", "update", "delete", "truncate"])
def test_table__gives_no_blanket_rights(database: Database, role: str, verb: str) -> None:
    row = database.execute("select has_table_privilege(%s, 'url_access_logs', %s)", (role, verb))
    assert row.fetchone() == (False,)


def test_accesses__go_with_their_job(target: Target, job: Job, database: Database) -> None:
    call(target, "log_url_access", job_id=job.id, url=URL)

    database.execute("delete from jobs where id = %s", (job.id,))

    left = database.execute("select count(*) from url_access_logs where job_id = %s", (job.id,))
    assert left.fetchone() == (0,)


# Reports


def percentile(values: list[float], percent: int) -> float:
    """The percentile between the two values next to it."""
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def mixed_accesses(job: Job) -> list[Row]:
    """Accesses of three days, from some countries, with some errors and some that were not measured."""
    dice = random.Random(11)  # noqa: S311  numbers to compute with
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        {
            **access,
            "client_ip": f"203.0.{dice.randrange(5)}.{dice.randrange(256)}",
            "user_agent": dice.choice([CHROME, "curl/8", None]),
            "referrer": dice.choice(
                ["https://a.example/1", "https://a.example/2", "https://b.example", None]
            ),
            "country": dice.choice(["DE", "DE", "FR", "T1", None]),
            "status_code": dice.choice([200, 200, 206, 404, 500]),
            "bytes_sent": dice.choice([None, dice.randrange(10**9)]),
            "latency_ms": dice.choice([None, dice.randrange(10**6) / 1000]),
            "accessed_at": (today - timedelta(minutes=dice.randrange(1, 3 * 24 * 60))).isoformat(),
        }
        for access in accesses(job, 400)
    ]


def test_statistics__are_what_python_computes(target: Target, job: Job) -> None:
    given = mixed_accesses(job)
    call(target, "log_url_accesses", accesses=given)

    totals = call(target, "get_url_access_statistics", job_id=job.id)

    sizes = [item["bytes_sent"] for item in given if item["bytes_sent"] is not None]
    latencies = [item["latency_ms"] for item in given if item["latency_ms"] is not None]
    assert totals["access_count"] == len(given)
    assert totals["error_count"] == sum(item["status_code"] >= 400 for item in given)
    assert (totals["job_count"], totals["client_count"]) == (1, 5)
    assert totals["total_bytes"] == sum(sizes)
    assert totals["mean_latency_ms"] == pytest.approx(mean(latencies), abs=0.001)
    for percent in (50, 95, 99):
        assert totals[f"p{percent}_bytes"] == pytest.approx(percentile(sizes, percent), abs=0.001)
        assert totals[f"p{percent}_latency_ms"] == pytest.approx(percentile(latencies, percent), abs=0.001)


def test_statistics__of_nothing_are_zero(target: Target, job: Job) -> None:
    totals = call(target, "get_url_access_statistics", job_id=job.id)

    assert (totals["access_count"], totals["total_bytes"], totals["p50_latency_ms"]) == (0, 0, None)


def family(item: Row) -> str:
    return {CHROME: "Chrome", "curl/8": "curl"}.get(item["user_agent"], "unknown")


def referrer_host(item: Row) -> str | None:
    return None if item["referrer"] is None else str(item["referrer"]).split("/")[2]


def test_breakdowns__are_what_python_computes(target: Target, job: Job) -> None:
    given = mixed_accesses(job)
    call(target, "log_url_accesses", accesses=given)
    keys: dict[str, Any] = {
        "day": lambda item: item["accessed_at"][:10],
        "country": lambda item: item["country"],
        "referrer": referrer_host,
        "agent_family": family,
        "status_code": lambda item: str(item["status_code"]),
    }

    for dimension, key in keys.items():
        found = call(target, "get_url_accesses_by", dimension=dimension, job_id=job.id)

        counts = Counter(key(item) for item in given)
        assert {row["value"]: row["access_count"] for row in found} == counts
        order = [row["value" if dimension == "day" else "access_count"] for row in found]
        assert order == sorted(order, reverse=True)
        for row in found:
            mine = [item for item in given if key(item) == row["value"]]
            latencies = [item["latency_ms"] for item in mine if item["latency_ms"] is not None]
            assert row["error_count"] == sum(item["status_code"] >= 400 for item in mine)
            assert row["total_bytes"] == sum(item["bytes_sent"] or 0 for item in mine)
            for percent in (50, 95):
                assert row[f"p{percent}_latency_ms"] == pytest.approx(
                    percentile(latencies, percent), abs=0.001
                )
        assert (
            call(target, "get_url_accesses_by", dimension=dimension, job_id=job.id, max_rows=1) == found[:1]
        )


@pytest.mark.parametrize("dimension", [None, "", "url", "day; drop table jobs"])
def test_breakdown__by_something_else_is_refused(target: Target, dimension: str | None) -> None:
    assert problems(target, "get_url_accesses_by", dimension=dimension) == {
        "dimension": "must be one of day, country, referrer, agent_family, status_code"
    }


def test_reports__cover_the_time_they_are_asked_for(target: Target, job: Job) -> None:
    now = datetime.now(UTC)
    given = [
        {**access, "accessed_at": (now - timedelta(days=days)).isoformat()}
        for access, days in zip(accesses(job, 4), (1, 29, 31, 400), strict=True)
    ]
    call(target, "log_url_accesses", accesses=given)

    def counted(**span: Any) -> int:
        total = call(target, "get_url_access_statistics", job_id=job.id, **span)["access_count"]
        by_day = call(target, "get_url_accesses_by", dimension="day", job_id=job.id, **span)
        assert total == sum(row["access_count"] for row in by_day)
        return int(total)

    assert counted() == 2
    assert counted(from_time=now - timedelta(days=60)) == 3
    assert counted(to_time=now - timedelta(days=10)) == 2
    assert counted(from_time=now - timedelta(days=31), to_time=now - timedelta(days=29)) == 1
    assert counted(from_time=now) == 0


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("get_url_access_statistics", {}), ("get_url_accesses_by", {"dimension": "day"})],
)
def test_report__refuses_an_empty_range(target: Target, function: str, arguments: Row) -> None:
    now = datetime.now(UTC)

    assert problems(target, function, **arguments, from_time=now, to_time=now) == {
        "from_time": "must be earlier than to_time"
    }


@pytest.mark.parametrize("rows", [0, 1001, None])
def test_breakdown__refuses_a_senseless_number_of_rows(target: Target, rows: int | None) -> None:
    assert problems(target, "get_url_accesses_by", dimension="day", max_rows=rows) == {
        "max_rows": "must be 1 to 1000"
    }


# Plans


@pytest.mark.local_stack
@pytest.mark.parametrize("role", ["service_role", "authenticated"])
def test_lists_and_reports__read_what_they_return_and_no_more(own_target: Target, role: str) -> None:
    """With 20,000 rows, counts what a call reads: no scan of the table, and few rows by index."""
    hour = "from_time => now() - interval '1 hour'"
    with own_target.connect() as session:
        row = session.execute("select id from create_job('mp4', 64, 64)").fetchone()
        other = session.execute("select id from create_job('mp4', 64, 64)").fetchone()
        assert row is not None
        assert other is not None
        # The rows need no events and no masking.
        session.execute("alter table url_access_logs disable trigger user")
        session.execute(
            """
            insert into url_access_logs (job_id, url, country, latency_ms, accessed_at)
            select case when n %% 500 = 0 then %s::uuid else %s end, n, 'DE', n,
                now() - n * interval '1 minute'
            from generate_series(1, 20000) as n
            """,
            (row[0], other[0]),
        )
        session.execute("alter table url_access_logs enable trigger user")
        session.execute("analyze url_access_logs")
        for query in (
            "get_url_accesses()",
            f"get_url_accesses('{row[0]}')",
            f"get_url_accesses({hour})",
            f"get_url_access_statistics({hour})",
            f"get_url_access_statistics(job_id => '{row[0]}')",
            f"get_url_accesses_by('country', {hour})",
            f"get_url_accesses_by('day', job_id => '{row[0]}')",
        ):
            with acting(session, role, {"app_metadata": {"role": "service_account"}}):
                session.execute(f"select {query}")
                scans, read = session.execute(
                    """
                    select pg_stat_get_xact_numscans('public.url_access_logs'::regclass),
                        pg_stat_get_xact_tuples_fetched('public.url_access_logs'::regclass)
                    """
                ).fetchall()[0]
            assert scans == 0, query
            assert read <= 300, query
