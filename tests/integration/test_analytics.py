"""Analytics: the summary counts every event once, figures are those of the log, each sees what is theirs."""

import json
import math
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sql import Session, acting, job_state, new_job, refused, row, rows
from support import Target

OWNER = uuid4()
HOUR = timedelta(hours=1)
KINDS = ("created", "started", "completed", "failed", "cancelled", "timeout", "retried", "released")
PLACES = 96
TENTH = 2 ** (1 / 8) + 1e-3
"""How far a percentile may be off, as a ratio, with what rounding to milliseconds adds."""


@pytest.fixture
def own(own_target: Target) -> Iterator[Session]:
    """A session of the owner on a database without jobs."""
    with own_target.connect() as session:
        yield session


def refresh(session: Session, **arguments: Any) -> dict[str, Any]:
    return row(session, "refresh_job_statistics", **arguments)


def refresh_all(session: Session, **arguments: Any) -> int:
    """Count until there is nothing more to count; how many events it were."""
    counted = 0
    while True:
        done = refresh(session, **arguments)
        counted += int(done["events"])
        if not done["more"]:
            return counted


def change(session: Session, job: dict[str, Any], *statuses: str, **arguments: Any) -> None:
    for status in statuses:
        row(session, "update_job_status", job_id=job["id"], status=status, **arguments)


def selected(session: Session, query: str, *values: Any) -> list[dict[str, Any]]:
    with session.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()


def one(session: Session, query: str, *values: Any) -> dict[str, Any]:
    (only,) = selected(session, query, *values)
    return only


def happened(session: Session, since: datetime | None = None) -> dict[str, int]:
    """What statistics say has happened in all, of what has happened at all; lately unless told since when."""
    figures = row(session, "get_job_statistics", from_time=since)
    return {kind: figures[kind] for kind in KINDS if figures[kind]}


@contextmanager
def without_triggers(session: Session, *tables: str) -> Iterator[None]:
    """Histories as they are written down here, not as the functions would make them."""
    with session.transaction():
        for table in tables:
            session.execute(
                sql.SQL("alter table public.{} disable trigger user").format(sql.Identifier(table))
            )
        yield
        for table in tables:
            session.execute(
                sql.SQL("alter table public.{} enable trigger user").format(sql.Identifier(table))
            )


# The summary against a recomputation ---------------------------------------------------------


@dataclass
class Figures:
    """What happened in an hour to jobs of a format, as Python adds it up."""

    kinds: Counter[str] = field(default_factory=Counter)
    processing: list[int] = field(default_factory=list)
    lost_ms: int = 0
    waiting: Decimal = Decimal(0)
    output_bytes: int = 0
    output_seconds: Decimal = Decimal(0)

    def add(self, other: "Figures") -> None:
        self.kinds += other.kinds
        self.processing += other.processing
        self.lost_ms += other.lost_ms
        self.waiting += other.waiting
        self.output_bytes += other.output_bytes
        self.output_seconds += other.output_seconds

    def as_row(self) -> dict[str, Any]:
        histogram = [0] * PLACES
        for duration in self.processing:
            place = math.floor(4 * math.log2(max(duration, 16) / 16))
            histogram[min(place, PLACES - 1)] += 1
        return {
            **{kind: self.kinds[kind] for kind in KINDS},
            "processing_seconds": Decimal(sum(self.processing)) / 1000,
            "lost_seconds": Decimal(self.lost_ms) / 1000,
            "waiting_seconds": self.waiting,
            "output_bytes": self.output_bytes,
            "output_seconds": self.output_seconds,
            "processing_times": histogram,
        }


def seconds(length: timedelta) -> Decimal:
    return Decimal(length // timedelta(microseconds=1)) / 1_000_000


def recomputed(session: Session) -> dict[tuple[datetime, str], Figures]:
    """The statistics of what is in the log, each event with the one before it."""
    figures: dict[tuple[datetime, str], Figures] = defaultdict(Figures)
    before: dict[UUID, dict[str, Any]] = {}
    for event in selected(
        session,
        "select job_id, type, events.status::text, data, events.created_at at time zone 'UTC' as moment, "
        "output_format from job_events as events join jobs on jobs.id = job_id "
        "where type in ('job.created', 'job.status') order by job_id, seq",
    ):
        data, earlier = event["data"], before.get(event["job_id"])
        moment = event["moment"].replace(tzinfo=UTC)
        entry = figures[moment.replace(minute=0, second=0, microsecond=0), event["output_format"]]
        before[event["job_id"]] = {**event, "moment": moment}
        if earlier is None:
            entry.kinds["created"] += 1
            continue
        since = moment - earlier["moment"]
        processed = round(since / timedelta(milliseconds=1))
        if event["status"] == "completed":
            entry.processing.append(processed)
            entry.output_bytes += data.get("output_size", 0)
            entry.output_seconds += Decimal(str(data.get("actual_duration", 0)))
        elif data["from"] == "processing":
            entry.lost_ms += processed
        match event["status"]:
            case "processing":
                entry.kinds["started"] += 1
                available = earlier["data"].get("available_at")
                waited = min(since, moment - datetime.fromisoformat(available)) if available else since
                entry.waiting += max(Decimal(0), seconds(waited))
            case "pending":
                again = data["from"] != "processing" or data.get("attempt") in {"retried", "rescued"}
                entry.kinds["retried" if again else "released"] += 1
            case ended:
                entry.kinds[ended] += 1
    return figures


def in_summary(
    session: Session, table: str = "public.job_stats_hourly"
) -> dict[tuple[datetime, str], dict[str, Any]]:
    found = selected(session, f"select * from {table}")  # noqa: S608  a name of this file
    return {(line.pop("hour").astimezone(UTC), line.pop("output_format")): line for line in found}


def expected_rows(figures: dict[tuple[datetime, str], Figures]) -> dict[tuple[datetime, str], dict[str, Any]]:
    return {key: value.as_row() for key, value in figures.items()}


NEXT: dict[str, list[str | None]] = {
    "pending": [*["processing"] * 8, "cancelled", "failed", "timeout"],
    "processing": [*["completed"] * 8, "failed", "cancelled", "timeout", "pending", "pending"],
    "failed": ["pending", None],
    "timeout": ["pending", None],
    "completed": [None],
    "cancelled": [None],
}


def invent_history(session: Session, dice: random.Random, jobs: int, begin: datetime) -> None:
    """Jobs with the lives that dice gave them, spread over three days, each life in a few transactions."""
    lives = []
    for _ in range(jobs):
        moment = begin + dice.random() * timedelta(days=3)
        status: str | None = "pending"
        size = dice.choice([None, 0, dice.randrange(10**9)])
        life: list[tuple[datetime, str, dict[str, Any]]] = [(moment, "pending", {})]
        while status and len(life) < 12 and dice.random() < 0.95:
            following = dice.choice(NEXT[status])
            if following is None:
                break
            # From a millisecond to some hours, to the microsecond, but at no half of a millisecond.
            moment += timedelta(
                milliseconds=math.floor(10 ** dice.uniform(0, 7.2)), microseconds=dice.randrange(499)
            )
            data: dict[str, Any] = {"from": status}
            if following == "completed":
                data |= {"output_size": size, "actual_duration": dice.randrange(1, 10**6) / 1000}
            elif following == "pending" and status == "processing":
                delay = dice.choice([0, 1, 10**5])
                data |= dice.choice(
                    [
                        {},
                        {"attempt": "released"},
                        {"attempt": "rescued"},
                        {
                            "attempt": "retried",
                            "available_at": (moment + timedelta(seconds=delay)).isoformat(),
                        },
                    ]
                )
            life.append(
                (moment, following, {name: value for name, value in data.items() if value is not None})
            )
            status = following
        lives.append((uuid4(), dice.choice(["mp4", "mov", "webm", "gif"]), life))
    with without_triggers(session, "jobs", "job_events"), session.cursor() as cursor:
        cursor.executemany(
            "insert into jobs (id, output_format, width, height) values (%s, %s, 64, 64)",
            [(job_id, output_format) for job_id, output_format, _ in lives],
        )
    events = [
        (job_id, seq, "job.status" if seq > 1 else "job.created", status, Jsonb(data), moment)
        for job_id, _, life in lives
        for seq, (moment, status, data) in enumerate(life, 1)
    ]
    # Committed in the order of each job's seq, and mixed among jobs.
    events.sort(key=lambda event: (event[1], event[0]))
    for begin_at in range(0, len(events), 50):
        with without_triggers(session, "job_events"), session.cursor() as cursor:
            cursor.executemany(
                "insert into job_events "
                "(job_id, seq, type, status, is_terminal, progress_percentage, data, created_at) "
                "values (%s, %s, %s, %s, false, 0, %s, %s)",
                events[begin_at : begin_at + 50],
            )


BEGIN = datetime(2026, 3, 14, 17, 30, tzinfo=UTC)


@pytest.mark.local_stack
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_summary__is_what_the_log_adds_up_to(own: Session, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  histories to add up
    invent_history(own, dice, 150, BEGIN)
    expected = expected_rows(recomputed(own))
    in_log = sum(sum(line[kind] for kind in KINDS) for line in expected.values())
    counted = 0

    assert in_summary(own, "private.uncounted_job_stats()") == expected
    more = True
    while more:
        done = refresh(own, max_events=dice.choice([1, 7, 50, 400]))
        counted, more = counted + done["events"], done["more"]
        assert sum(happened(own, BEGIN).values()) == in_log
    assert counted == in_log
    assert in_summary(own) == expected
    assert in_summary(own, "private.uncounted_job_stats()") == {}


@pytest.mark.local_stack
def test_summary__outlives_jobs_that_are_deleted_at_any_time(own: Session) -> None:
    dice = random.Random(4)  # noqa: S311
    invent_history(own, dice, 120, BEGIN)
    expected = expected_rows(recomputed(own))
    job_ids = [found["id"] for found in selected(own, "select id from jobs")]
    dice.shuffle(job_ids)

    for job_id in job_ids:
        own.execute("select private.remove_job(%s)", (job_id,))
        if dice.random() < 0.2:
            refresh(own, max_events=dice.choice([1, 5, 30]))

    assert refresh_all(own) >= 0
    assert in_summary(own) == expected
    assert selected(own, "select from private.set_aside_facts") == []


@pytest.mark.local_stack
@pytest.mark.parametrize("refreshed", [0, 200, 10**6])
def test_statistics__are_those_of_the_range_s_hours(own: Session, refreshed: int) -> None:
    dice = random.Random(5)  # noqa: S311
    invent_history(own, dice, 150, BEGIN)
    if refreshed:
        refresh(own, max_events=refreshed)
    hours = recomputed(own)
    for _ in range(8):
        start = BEGIN + dice.random() * timedelta(days=3)
        end = start + dice.random() * timedelta(days=2) + timedelta(seconds=1)
        first = start.replace(minute=0, second=0, microsecond=0)
        last = (end + HOUR - timedelta(microseconds=1)).replace(minute=0, second=0, microsecond=0)
        total, days = Figures(), defaultdict[date, Figures](Figures)
        for (hour, _), figures in hours.items():
            if first <= hour < last:
                total.add(figures)
                days[hour.date()].add(figures)

        found = row(own, "get_job_statistics", from_time=start, to_time=end)

        assert (datetime.fromisoformat(found["from_time"]), datetime.fromisoformat(found["to_time"])) == (
            first,
            last,
        )
        assert_same(found, total)
        assert [date.fromisoformat(day["day"]) for day in found["days"]] == sorted(days)
        for day in found["days"]:
            assert_same(day, days[date.fromisoformat(day["day"])])


def assert_same(found: dict[str, Any], figures: Figures) -> None:
    """A report says what Python adds up: counts and sums exactly, percentiles to within a tenth."""
    assert {kind: found[kind] for kind in KINDS} == {kind: figures.kinds[kind] for kind in KINDS}
    ended = sum(figures.kinds[kind] for kind in ("completed", "failed", "timeout"))
    assert found["success_rate"] == (
        pytest.approx(100 * figures.kinds["completed"] / ended, abs=0.006) if ended else None
    )
    assert found["output_bytes"] == figures.output_bytes
    assert found["output_seconds"] == pytest.approx(float(figures.output_seconds))
    assert found["lost_seconds"] == pytest.approx(figures.lost_ms / 1000)
    assert found["mean_processing_seconds"] == mean(sum(figures.processing) / 1000, len(figures.processing))
    assert found["mean_waiting_seconds"] == mean(float(figures.waiting), figures.kinds["started"])
    for fraction in (50, 95, 99):
        name = f"p{fraction}_processing_seconds"
        if name in found:
            assert_close(found[name], percentile(figures.processing, fraction))


def mean(total: float, count: int) -> Any:
    return pytest.approx(total / count, abs=0.0006) if count else None


def percentile(durations: list[int], fraction: int) -> float | None:
    """The least duration, in seconds, that so many percent do not exceed."""
    if not durations:
        return None
    return sorted(durations)[math.ceil(len(durations) * fraction / 100) - 1] / 1000


def assert_close(found: float | None, exact: float | None) -> None:
    if exact is None:
        assert found is None
    elif exact < 0.02:
        assert found == pytest.approx(0.017)
    else:
        assert found is not None
        assert exact / TENTH - 0.001 <= found <= exact * TENTH + 0.001


@pytest.mark.parametrize("fraction", [0.5, 0.95, 0.99])
def test_percentile__is_right_to_within_a_tenth(database: Session, fraction: float) -> None:
    dice = random.Random(6)  # noqa: S311
    durations = [math.floor(16 * 2 ** dice.uniform(0, 24)) for _ in range(1000)]

    found = one(
        database,
        "select (private.percentiles(private.histogram(%s::bigint[]), array[%s::numeric]))[1]::float8 "
        "as found",
        durations,
        fraction,
    )["found"]

    exact = percentile(durations, round(100 * fraction))
    assert exact is not None
    assert exact / TENTH <= found <= exact * TENTH


def test_daily_and_hourly_views__agree_with_the_report(database: Session) -> None:
    """Of the same moment, whatever else happens on the stack."""
    with database.transaction():
        database.execute("set transaction isolation level repeatable read")
        new_job(database)
        report = row(database, "get_job_statistics", from_time=datetime.now(UTC) - timedelta(days=1))
        days = [
            answer
            for (answer,) in database.execute(
                "select to_jsonb(days) from daily_job_stats as days where day > %s order by day",
                (date.fromisoformat(report["days"][-1]["day"]) - timedelta(days=1),),
            ).fetchall()
        ]
        hours = selected(
            database,
            "select * from hourly_throughput where hour >= %s and hour < %s",
            report["from_time"],
            report["to_time"],
        )

    assert days[-1]["day"] == report["days"][-1]["day"]
    for kind in KINDS[:-1]:
        assert sum(hour[kind] for hour in hours) == report[kind]


# Every event once, whatever happens at once --------------------------------------------------


@pytest.mark.local_stack
def test_late_commit__is_counted_when_it_comes(own_target: Target) -> None:
    with own_target.connect() as early, own_target.connect() as session:
        with early.transaction():
            new_job(early, output_format="gif")
            new_job(session)
            assert refresh(session) == {"events": 0, "more": False}
            assert happened(session) == {"created": 1}
        assert happened(session) == {"created": 2}
        assert refresh(session) == {"events": 2, "more": False}
        assert happened(session) == {"created": 2}
        assert refresh(session) == {"events": 0, "more": False}


@pytest.mark.local_stack
def test_early_commit__is_not_held_up_by_a_later_one_that_stays_open(own_target: Target) -> None:
    with own_target.connect() as late, own_target.connect() as session:
        new_job(session)
        with late.transaction():
            new_job(late)
            assert refresh(session) == {"events": 1, "more": False}
        assert refresh(session) == {"events": 1, "more": False}
        assert happened(session) == {"created": 2}


@pytest.mark.local_stack
def test_refresh_that_rolls_back__has_counted_nothing(own: Session) -> None:
    new_job(own)
    with own.transaction(force_rollback=True):
        assert refresh(own)["events"] == 1
        assert happened(own) == {"created": 1}

    assert happened(own) == {"created": 1}
    assert refresh(own)["events"] == 1


@pytest.mark.local_stack
def test_deletion__while_its_events_are_counted_counts_them_once(own_target: Target) -> None:
    with own_target.connect() as deleter, own_target.connect() as session:
        job, other = new_job(session), new_job(session)
        change(session, job, "cancelled")
        with deleter.transaction():
            row(deleter, "delete_job", job_id=job["id"])
            assert happened(deleter) == {"created": 2, "cancelled": 1}
            assert refresh(session) == {"events": 3, "more": False}
        assert happened(session) == {"created": 2, "cancelled": 1}
        assert refresh(session) == {"events": 0, "more": False}

        change(session, other, "cancelled")
        row(session, "delete_job", job_id=other["id"])
        assert happened(session) == {"created": 2, "cancelled": 2}
        assert refresh(session) == {"events": 1, "more": False}
        assert happened(session) == {"created": 2, "cancelled": 2}


@pytest.mark.local_stack
def test_job_created_and_deleted_in_one_transaction__is_counted(own: Session) -> None:
    with own.transaction():
        row(own, "delete_job", job_id=new_job(own)["id"], force=True)

    assert happened(own) == {"created": 1}
    assert refresh(own)["events"] == 1
    assert happened(own) == {"created": 1}


WRITERS, LIVES = 4, 12


@pytest.mark.local_stack
def test_concurrent_refreshes__count_every_event_once(own_target: Target) -> None:
    """Sessions that make, change and delete jobs, sessions that count, and one that reads all the while."""

    def write(number: int) -> Counter[str]:
        dice, made = random.Random(number), Counter[str]()  # noqa: S311
        with own_target.connect() as session:
            for _ in range(LIVES):
                with session.transaction(force_rollback=dice.random() < 0.1) as unit:
                    job = new_job(session, output_format=dice.choice(["mp4", "gif"]))
                    ending = dice.choice(["completed", "failed", "timeout"])
                    change(session, job, "processing", ending)
                    if delete := dice.random() < 0.3:
                        row(session, "delete_job", job_id=job["id"])
                if not unit.force_rollback:
                    made += Counter({"created": 1, "started": 1, ending: 1})
                    if not delete and dice.random() < 0.5:
                        row(session, "delete_job", job_id=job["id"])
        return made

    def count(_: int) -> int:
        with own_target.connect() as session:
            return sum(refresh(session, max_events=3)["events"] for _ in range(60))

    def read(_: int) -> list[int]:
        with own_target.connect() as session:
            return [happened(session).get("created", 0) for _ in range(40)]

    with ThreadPoolExecutor(WRITERS + 4) as pool:
        writers = [pool.submit(write, number) for number in range(WRITERS)]
        counters = [pool.submit(count, number) for number in range(3)]
        reader = pool.submit(read, 0)
        expected = sum((writer.result() for writer in writers), Counter[str]())
        counted = sum(counter.result() for counter in counters)
        seen = reader.result()

    assert seen == sorted(seen)
    with own_target.connect() as session:
        assert happened(session) == dict(expected)
        assert counted + refresh_all(session) == sum(expected.values())
        assert happened(session) == dict(expected)
        lines = selected(session, "select * from job_stats_hourly")
        assert {kind: sum(line[kind] for line in lines) for kind in expected} == dict(expected)


@pytest.mark.local_stack
def test_restored_log__is_counted_whole_and_goes_on(own: Session) -> None:
    """In another cluster transactions are numbered anew; the log is told to go on by ids."""
    new_job(own)
    refresh(own)
    own.execute("update job_events set xid = '1000000000000'")
    own.execute("update private.job_stats_cursor set xid = '1000000000000'")
    new_job(own)
    own.execute("update job_events set xid = '2000000000000' where xid < '1000000000000'")

    assert own.execute("select private.count_whole_log()").fetchone() == (1,)
    own.execute("update job_events set xid = '0'")
    new_job(own)

    assert happened(own) == {"created": 3}
    assert refresh(own) == {"events": 1, "more": False}
    assert happened(own) == {"created": 3}


@pytest.mark.local_stack
def test_kinds__are_those_of_the_queue(own: Session) -> None:
    """Failures that are tried again, jobs given back, rescued, retried by hand, called off."""
    job = new_job(own, max_retries=1)

    def claim() -> int:
        own.execute("update jobs set available_at = now() - interval '1 hour' where status = 'pending'")
        return int(rows(own, "claim_jobs", worker="w")[0]["claim"])

    failure = {"job_id": job["id"], "error_code": "broken", "error_message": "It broke."}
    row(own, "fail_job", claim=claim(), **failure)
    row(own, "release_job", job_id=job["id"], claim=claim())
    claim()
    own.execute("update job_claims set lease_expires_at = now() where ended_at is null")
    assert len(rows(own, "rescue_stalled_jobs")) == 1
    row(own, "fail_job", claim=claim(), **failure)
    row(own, "retry_job", job_id=job["id"])
    row(own, "complete_job", job_id=job["id"], claim=claim(), output_size=5, actual_duration=Decimal("1.5"))
    row(own, "cancel_job", job_id=new_job(own)["id"])

    expected = {
        "created": 2,
        "started": 5,
        "retried": 3,
        "released": 1,
        "failed": 1,
        "completed": 1,
        "cancelled": 1,
    }
    assert happened(own) == expected
    assert refresh(own)["events"] == sum(expected.values())
    assert happened(own) == expected
    figures = row(own, "get_job_statistics")
    assert (figures["output_bytes"], figures["output_seconds"], figures["success_rate"]) == (5, 1.5, 50)


# Views of jobs -------------------------------------------------------------------------------


def summary(session: Session, job_id: str) -> dict[str, Any]:
    return one(session, "select * from job_summary where id = %s", job_id)


@pytest.mark.local_stack
def test_job_summary__counts_what_belongs_to_the_job(own: Session) -> None:
    text = {"type": "text", "text_content": "x"}
    image = {"type": "image", "source_url": "https://example.com/a.png"}
    made = row(
        own,
        "create_video_job",
        output_format="mp4",
        width=64,
        height=64,
        elements=Jsonb([text, image, image, image]),
    )
    job_id = made["job"]["id"]
    new_job(own)
    row(own, "complete_processing_step", timeline_id=made["step"]["id"])
    for attempt in range(2):
        change(own, made["job"], "processing")
        step = row(own, "start_processing_step", job_id=job_id, step="download")
        row(own, "complete_processing_step", timeline_id=step["id"], success=attempt == 1)
        if attempt == 0:
            change(own, made["job"], "pending")
    states: list[dict[str, Any]] = [
        {"downloaded": True},
        {"downloaded": True, "processed": True},
        {"error_message": "Gone."},
    ]
    for element, state in zip(made["elements"][1:], states, strict=True):
        row(own, "update_element_status", element_id=element["id"], **state)
    row(own, "start_processing_step", job_id=job_id, step="encoding")
    for operation, size, success in (
        ("upload", 100, True),
        ("upload", 50, False),
        ("download", 7, True),
        ("download", 8, True),
    ):
        row(
            own,
            "log_storage_operation",
            job_id=job_id,
            operation=operation,
            bucket="b" * 3,
            key="k",
            file_size=size,
            success=success,
        )

    found = summary(own, job_id)

    assert {
        name: found[name] for name in found if name.startswith(("elements", "steps", "storage", "bytes"))
    } == {
        "elements": 4,
        "elements_pending": 1,
        "elements_downloaded": 1,
        "elements_processed": 1,
        "elements_failed": 1,
        "steps": 4,
        "steps_open": 1,
        "steps_completed": 2,
        "steps_failed": 1,
        "storage_operations": 4,
        "storage_failures": 1,
        "bytes_uploaded": 100,
        "bytes_downloaded": 15,
    }
    assert (found["attempts"], found["status"], found["output_format"]) == (2, "processing", "mp4")


@pytest.mark.local_stack
def test_job_summary__tells_how_long_a_job_waited_and_was_processed(own: Session) -> None:
    job = new_job(own)
    change(own, job, "processing", "pending", "processing", "completed")
    moments = [0, 10, 25, 100, 107.5]
    with without_triggers(own, "job_events"):
        for seq, offset in enumerate(moments, 1):
            own.execute(
                "update job_events set created_at = %s where job_id = %s and seq = %s",
                (BEGIN + timedelta(seconds=offset), job["id"], seq),
            )

    found = summary(own, job["id"])

    assert (found["attempts"], found["waited_seconds"], found["processed_seconds"]) == (
        2,
        10 + 75,
        Decimal("22.5"),
    )


def test_job_status_realtime__is_the_job_s_state(database: Session) -> None:
    job = new_job(database)
    change(database, job, "processing")
    change(database, job, "failed", error_code="broken", error_message="It broke.")
    state = job_state(database, job["id"])

    (shown,) = database.execute(
        "select to_jsonb(seen) from job_status_realtime as seen where id = %s", (job["id"],)
    ).fetchone() or ({},)

    assert shown == {name: state[name] for name in shown}
    assert {
        "id",
        "status",
        "is_terminal",
        "progress_percentage",
        "current_step",
        "error_code",
        "event_seq",
    } <= set(shown)


def add_claim(session: Session, job: dict[str, Any], worker: str, lease: timedelta) -> None:
    session.execute(
        "insert into job_claims (job_id, worker, lease_expires_at) values (%s, %s, now() + %s)",
        (job["id"], worker, lease),
    )


def health(session: Session, job: dict[str, Any]) -> str | None:
    found = session.execute(
        "select processing_health from active_jobs where id = %s", (job["id"],)
    ).fetchone()
    return found[0] if found else None


SLOW_SETTINGS = {
    "slow_after_seconds": 0,
    "slow_factor": 0,
    "stalled_after_seconds": 0,
    "slow_wait_seconds": 0,
}


@pytest.mark.parametrize(
    ("job", "state", "settings", "expected"),
    [
        ({}, "waiting", (), "healthy"),
        ({}, "waiting", ("slow_wait_seconds",), "slow"),
        ({}, "waiting", ("stalled_after_seconds", "slow_after_seconds"), "healthy"),
        ({}, "paused", ("slow_wait_seconds",), "healthy"),
        ({"available_at": datetime(2100, 1, 1, tzinfo=UTC)}, "waiting", ("slow_wait_seconds",), "healthy"),
        ({}, "processing", (), "healthy"),
        ({}, "processing", ("slow_wait_seconds", "slow_factor"), "healthy"),
        ({}, "processing", ("slow_after_seconds",), "slow"),
        ({"estimated_duration": 5}, "processing", ("slow_factor",), "slow"),
        ({"estimated_duration": 5}, "processing", ("stalled_after_seconds", "slow_factor"), "stalled"),
        ({}, "claimed", ("stalled_after_seconds",), "healthy"),
        ({}, "claimed", ("slow_after_seconds",), "slow"),
        ({}, "expired", ("slow_after_seconds",), "stalled"),
        ({}, "cancelled", (), None),
    ],
)
def test_active_jobs__tell_how_a_job_fares(
    database: Session, job: dict[str, Any], state: str, settings: tuple[str, ...], expected: str | None
) -> None:
    made = new_job(database, user_id=OWNER, **job)
    if state in {"processing", "cancelled"}:
        change(database, made, state)
    elif state in {"claimed", "expired"}:
        change(database, made, "processing")
    elif state == "paused":
        row(database, "pause_job", job_id=made["id"])
    with database.transaction(force_rollback=True):
        if state in {"claimed", "expired"}:
            add_claim(database, made, "w", HOUR if state == "claimed" else -HOUR)
        for name in settings:
            database.execute(
                "update private.settings set value = %s where name = %s", (Jsonb(SLOW_SETTINGS[name]), name)
            )

        assert health(database, made) == expected
        with acting(database, "authenticated", {"sub": str(OWNER)}):
            assert health(database, made) == expected
            workers = "select worker from active_jobs where id = %s"
            assert database.execute(workers, (made["id"],)).fetchone() in {None, (None,)}


def test_active_jobs__name_the_worker_to_backends(database: Session) -> None:
    job, worker = new_job(database), f"worker {uuid4()}"
    change(database, job, "processing")
    add_claim(database, job, worker, HOUR)

    found = one(database, "select * from active_jobs where id = %s", job["id"])

    assert (found["worker"], found["status"], found["waiting_seconds"]) == (worker, "processing", None)
    assert found["running_seconds"] >= 0
    assert found["lease_expires_at"] > found["heartbeat_at"]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM job_summary WHERE id = '00000000-0000-0000-0000-000000000000';",
        "SELECT * FROM active_jobs WHERE processing_health = 'stalled';",
        "SELECT get_job_statistics('2024-01-01', '2024-01-31');",
    ],
)
def test_documented_statement__runs_as_it_stands(database: Session, statement: str) -> None:
    assert database.execute(statement.encode()).description


# Views for operators -------------------------------------------------------------------------


@pytest.mark.local_stack
def test_operators_views__add_up_what_was_lately(own: Session) -> None:
    user_id = uuid4()
    image = {"type": "image", "source_url": "https://example.com/a.png"}
    made = [
        row(
            own,
            "create_video_job",
            output_format="mp4",
            width=64,
            height=64,
            priority=7,
            user_id=user_id,
            elements=Jsonb([image, {"type": "text", "text_content": "x"}]),
        )
        for _ in range(3)
    ]
    failed, running, waiting = (each["job"] for each in made)
    row(own, "claim_jobs", worker="one")
    change(own, running, "processing")
    own.execute("update job_claims set lease_expires_at = now()")
    change(own, failed, "timeout", error_code="too_long", error_message="It took too long.")
    row(
        own, "update_element_status", element_id=made[1]["elements"][0]["id"], downloaded=True, source_size=10
    )
    row(own, "update_element_status", element_id=made[2]["elements"][0]["id"], error_message="Gone.")
    for size, duration, success in ((1000, 10, True), (3000, 30, True), (500, 99, False)):
        row(
            own,
            "log_storage_operation",
            operation="upload",
            bucket="videos",
            key="k",
            file_size=size,
            duration_ms=duration,
            success=success,
        )
    # What is older than the views look.
    own.execute(
        "insert into storage_operations (operation, bucket, key, created_at) "
        "values ('delete', 'old', 'k', '2020-01-01')"
    )

    assert selected(own, "select * from queue_overview") == [
        {
            "priority": 7,
            "output_format": "mp4",
            "waiting": 1,
            "scheduled": 0,
            "paused": 0,
            "running": 1,
            "oldest_available_at": datetime.fromisoformat(waiting["available_at"]),
        }
    ]
    (errors,) = selected(own, "select * from error_summary")
    assert (errors["error_code"], errors["status"], errors["jobs"], errors["users"]) == (
        "too_long",
        "timeout",
        1,
        1,
    )
    assert (str(errors["last_job_id"]), errors["last_error_message"]) == (failed["id"], "It took too long.")
    (client,) = selected(own, "select * from client_activity")
    assert (client["user_id"], client["jobs"], client["active"], client["failed"]) == (user_id, 3, 2, 1)
    elements = selected(own, "select * from element_processing order by type")
    assert [(each["type"], each["source_kind"], each["elements"]) for each in elements] == [
        ("image", "web", 3),
        ("text", "none", 3),
    ]
    assert {state: elements[0][state] for state in ("pending", "downloaded", "processed", "failed")} == {
        "pending": 1,
        "downloaded": 1,
        "processed": 0,
        "failed": 1,
    }
    assert (elements[0]["source_bytes"], elements[0]["failure_rate"]) == (10, 100)
    (storage,) = selected(own, "select * from storage_performance")
    assert (storage["operation"], storage["operations"], storage["failures"], storage["bytes"]) == (
        "upload",
        3,
        1,
        4000,
    )
    assert (storage["mean_duration_ms"], storage["p50_duration_ms"], storage["p95_duration_ms"]) == (
        20,
        20,
        29,
    )
    assert storage["mean_bytes_per_second"] == 100_000
    (worker,) = selected(own, "select * from worker_activity")
    assert (worker["worker"], worker["running"], worker["stopped"], worker["completed"]) == ("one", 0, 1, 0)
    steps = selected(own, "select * from step_performance")
    assert [(step["step"], step["completed"], step["failures"]) for step in steps] == [("validation", 1, 1)]


def test_latest_metrics__has_the_newest_value_and_its_state(database: Session) -> None:
    metric = f"m{uuid4().hex}"
    row(database, "set_metric_threshold", metric=metric, warning=5)
    for value in (1, 9):
        row(database, "record_metric", metric=metric, value=value, unit="s", labels=Jsonb({"host": "a"}))

    found = one(database, "select * from latest_metrics where metric = %s", metric)

    assert (found["value"], found["unit"], found["labels"], found["state"]) == (
        9,
        "s",
        {"host": "a"},
        "warning",
    )


def add_step(
    session: Session, job: dict[str, Any], order: int, step: str, end: datetime, ms: int, **values: Any
) -> None:
    columns = {
        "job_id": job["id"],
        "step_order": order,
        "step": step,
        "success": True,
        "completed_at": end,
        "started_at": end - timedelta(milliseconds=ms),
        **values,
    }
    session.execute(
        sql.SQL("insert into processing_timeline ({}) values ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() * len(columns)),
        ),
        list(columns.values()),
    )


@pytest.mark.local_stack
def test_processing_metrics__are_those_of_steps_that_ended_in_the_range(own: Session) -> None:
    dice, job = random.Random(8), new_job(own)  # noqa: S311
    encoding = [
        (dice.randrange(1, 10**6), dice.randrange(400), dice.randrange(10**9), dice.random() < 0.7)
        for _ in range(40)
    ]
    with without_triggers(own, "processing_timeline"):
        for order, (duration, cpu, memory, success) in enumerate(encoding):
            add_step(
                own,
                job,
                order,
                "encoding",
                BEGIN + dice.random() * HOUR,
                duration,
                success=success,
                cpu_usage=cpu,
                memory_usage=memory,
            )
        add_step(own, job, 50, "upload", BEGIN, 7)
        add_step(own, job, 51, "upload", BEGIN + HOUR, 10**6)
        add_step(own, job, 52, "upload", BEGIN - timedelta(microseconds=1), 10**6)

    upload, encoded = sorted(
        rows(own, "get_processing_metrics", from_time=BEGIN, to_time=BEGIN + HOUR),
        key=lambda each: each["completed"],
    )

    durations = [duration for duration, *_ in encoding]
    failures = sum(not success for *_, success in encoding)
    assert (encoded["step"], encoded["completed"], encoded["failures"]) == ("encoding", 40, failures)
    assert encoded["failure_rate"] == pytest.approx(100 * failures / 40)
    assert encoded["mean_duration_ms"] == pytest.approx(statistics.mean(durations), abs=0.001)
    assert encoded["p50_duration_ms"] == pytest.approx(statistics.median(durations))
    assert encoded["p95_duration_ms"] == pytest.approx(
        statistics.quantiles(durations, n=20, method="inclusive")[-1]
    )
    assert encoded["mean_cpu_usage"] == pytest.approx(
        statistics.mean(cpu for _, cpu, _, _ in encoding), abs=0.01
    )
    assert encoded["peak_memory_usage"] == max(memory for _, _, memory, _ in encoding)
    assert (upload["step"], upload["completed"], upload["p95_duration_ms"], upload["mean_cpu_usage"]) == (
        "upload",
        1,
        7,
        None,
    )
    assert rows(own, "get_processing_metrics", to_time=BEGIN - HOUR) == []


def sum_hours(session: Session) -> None:
    """Sum the hours that can be."""
    while refresh(session)["more"]:
        pass


def summed_steps(session: Session) -> int:
    return int(
        one(session, "select coalesce(sum(completed), 0) as sum from private.step_stats_hourly")["sum"]
    )


def add_random_steps(session: Session, job: dict[str, Any], first: int, count: int, since: datetime) -> None:
    """Steps of two days."""
    dice = random.Random(first)  # noqa: S311
    for order in range(first, first + count):
        add_step(
            session,
            job,
            order,
            dice.choice(["download", "encoding"]),
            since + dice.random() * 48 * HOUR,
            dice.randrange(20, 10**6),
            success=dice.random() < 0.7,
            cpu_usage=dice.choice([None, dice.randrange(400)]),
            memory_usage=dice.randrange(10**9),
        )


EXACT = (
    "step",
    "completed",
    "failures",
    "failure_rate",
    "mean_duration_ms",
    "mean_cpu_usage",
    "peak_memory_usage",
)


def assert_same_figures(found: list[dict[str, Any]], exact: list[dict[str, Any]]) -> None:
    assert [{name: step[name] for name in EXACT} for step in found] == [
        {name: step[name] for name in EXACT} for step in exact
    ]


@pytest.mark.local_stack
def test_processing_metrics__are_the_same_when_hours_are_summed(own: Session) -> None:
    since = datetime.now(UTC) - timedelta(days=3)
    add_random_steps(own, new_job(own), 0, 500, since)
    ranges = [
        {},
        {"from_time": since + 7.3 * HOUR, "to_time": since + 31.7 * HOUR},
        {"from_time": since + 7.3 * HOUR, "to_time": since + 7.8 * HOUR},
    ]
    exact = [rows(own, "get_processing_metrics", **span) for span in ranges]
    view = selected(own, "select * from step_performance order by step")

    sum_hours(own)

    assert summed_steps(own) == 500
    found = [rows(own, "get_processing_metrics", **span) for span in ranges]
    for before, after in zip(exact, found, strict=True):
        assert before
        assert_same_figures(after, before)
    # Of many a percentile lies near the values beside it; of few in half an hour, nothing is summed.
    for before, after in zip(exact[0], found[0], strict=True):
        for name in ("p50_duration_ms", "p95_duration_ms"):
            assert 1 / 1.2 < after[name] / before[name] < 1.2
    assert found[2] == exact[2]
    assert_same_figures(selected(own, "select * from step_performance order by step"), view)


@pytest.mark.local_stack
def test_processing_metrics__count_steps_of_summed_hours_after_their_job(own: Session) -> None:
    job = new_job(own)
    add_random_steps(own, job, 0, 50, datetime.now(UTC) - timedelta(days=3))
    exact = rows(own, "get_processing_metrics")
    sum_hours(own)

    own.execute("delete from jobs where id = %s", (job["id"],))

    assert_same_figures(rows(own, "get_processing_metrics"), exact)


@pytest.mark.local_stack
def test_steps__written_down_after_their_hour_was_summed_are_added_to_it(own: Session) -> None:
    job, since = new_job(own), datetime.now(UTC) - timedelta(days=3)
    add_random_steps(own, job, 0, 50, since)
    sum_hours(own)

    add_random_steps(own, job, 100, 50, since)
    own.execute(
        """
        insert into processing_timeline (job_id, step, step_order, started_at)
        values (%s, 'upload', 200, now() - interval '1 day')
        """,
        (job["id"],),
    )
    own.execute(
        """
        update processing_timeline set success = true, completed_at = started_at + interval '1 minute'
        where step_order = 200
        """
    )
    own.execute("update processing_timeline set details = '{}' where false")

    found = rows(own, "get_processing_metrics")
    own.execute("truncate private.step_stats_hourly")
    own.execute("update private.hourly_sums set summed_until = '-infinity'")
    assert_same_figures(found, rows(own, "get_processing_metrics"))
    assert sum(step["completed"] for step in found) == 101


@pytest.mark.local_stack
def test_hours__are_summed_when_every_transaction_of_before_has_ended(
    own: Session, own_target: Target
) -> None:
    job = new_job(own)
    add_random_steps(own, job, 0, 50, datetime.now(UTC) - timedelta(days=3))

    with own_target.connect() as other:
        with other.transaction():
            other.execute("select pg_current_xact_id()")
            sum_hours(own)
            assert summed_steps(own) == 0
        sum_hours(own)

    assert summed_steps(own) == 50


@pytest.mark.local_stack
def test_hours__wait_for_nobody_who_writes_down_a_step_late(own: Session, own_target: Target) -> None:
    job, since = new_job(own), datetime.now(UTC) - timedelta(days=3)
    add_random_steps(own, job, 0, 50, since)

    with own_target.connect() as other:
        with other.transaction():
            add_random_steps(other, job, 100, 7, since)
            own.execute("set lock_timeout = '200ms'")
            sum_hours(own)
            assert summed_steps(own) == 0
        sum_hours(own)

    assert summed_steps(own) == 57
    assert sum(step["completed"] for step in rows(own, "get_processing_metrics")) == 57


@pytest.mark.local_stack
def test_hours__are_summed_some_at_a_time(own: Session) -> None:
    add_random_steps(own, new_job(own), 0, 100, datetime.now(UTC) - timedelta(days=3))
    exact = rows(own, "get_processing_metrics")
    counts = []

    while refresh(own, max_events=30)["more"]:
        counts.append(summed_steps(own))
        assert_same_figures(rows(own, "get_processing_metrics"), exact)

    assert len(counts) > 1
    assert summed_steps(own) == 100


@pytest.mark.local_stack
def test_hours__of_a_database_restored_into_a_younger_cluster_are_summed(own: Session) -> None:
    add_random_steps(own, new_job(own), 0, 5, datetime.now(UTC) - timedelta(days=3))
    own.execute("update private.hourly_sums set due_until = now(), due_xid = '9000000000000'")

    sum_hours(own)

    assert summed_steps(own) == 5


@pytest.mark.local_stack
def test_system_stats__tell_how_the_platform_stands(own: Session) -> None:
    later = datetime.now(UTC) + HOUR
    jobs = [new_job(own) for _ in range(5)]
    new_job(own, available_at=later)
    row(own, "pause_job", job_id=new_job(own)["id"])
    claims = rows(own, "claim_jobs", worker="w", max_jobs=3)
    row(own, "complete_job", job_id=claims[0]["job"]["id"], claim=claims[0]["claim"], output_size=1000)
    row(
        own,
        "fail_job",
        job_id=claims[1]["job"]["id"],
        claim=claims[1]["claim"],
        error_code="e",
        error_message="e",
        retryable=False,
    )
    own.execute("update job_claims set lease_expires_at = now() where ended_at is null")
    refresh(own, max_events=4)
    change(own, jobs[4], "processing")
    for operation, size in (("upload", 1000), ("delete", 10)):
        row(own, "log_storage_operation", operation=operation, bucket="bbb", key="k", file_size=size)

    stats = row(own, "get_system_stats")

    assert {
        name: stats[name]
        for name in ("pending", "waiting", "scheduled", "paused", "processing", "stalled", "slow")
    } == {
        "pending": 3,
        "waiting": 1,
        "scheduled": 1,
        "paused": 1,
        "processing": 2,
        "stalled": 1,
        "slow": 0,
    }
    assert (stats["created_24h"], stats["completed_24h"], stats["failed_24h"]) == (7, 1, 1)
    assert (stats["success_rate"], stats["jobs_per_hour"]) == (50, 0.04)
    assert (stats["produced_bytes"], stats["uploaded_bytes_24h"], stats["deleted_bytes_24h"]) == (
        1000,
        1000,
        10,
    )
    # 7 created, 3 started, 2 ended, 4 of these counted; then 1 started.
    assert (stats["uncounted_events"], stats["workers"], stats["queue_paused"]) == (9, 1, False)
    assert sum(hour["created"] for hour in stats["hours"]) == 7
    assert stats["oldest_waiting_seconds"] >= 0
    assert stats["events_per_second"] > 0
    assert stats["database_bytes"] > 0


@pytest.mark.local_stack
def test_system_stats__of_an_empty_database_are_zero_or_nothing(own: Session) -> None:
    stats = row(own, "get_system_stats")

    assert {
        stats[name]
        for name in ("pending", "processing", "workers", "created_24h", "produced_bytes", "uncounted_events")
    } == {0}
    assert (stats["success_rate"], stats["p95_processing_seconds"], stats["hours"]) == (None, None, [])


# Who sees what -------------------------------------------------------------------------------

BY_JOB = ("job_summary", "job_status_realtime", "active_jobs")
OF_WHAT_IS_SEEN = (
    "queue_overview",
    "storage_performance",
    "step_performance",
    "error_summary",
    "client_activity",
    "element_processing",
)
OF_EVERYBODY = ("daily_job_stats", "hourly_throughput", "worker_activity", "job_stats_hourly")
BACKENDS = {
    "service_account": (
        "authenticated",
        {"sub": str(UUID(int=1)), "app_metadata": {"role": "service_account"}},
    ),
    "admin": ("authenticated", {"sub": str(UUID(int=1)), "app_metadata": {"role": "admin"}}),
    "service key": ("service_role", {}),
}
ACTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "anonymous": ("anon", {}),
    "watcher": ("anon", {"watch_job_id": "JOB"}),
    "watcher of another": ("anon", {"watch_job_id": str(UUID(int=2))}),
    "owner": ("authenticated", {"sub": str(OWNER)}),
    "stranger": ("authenticated", {"sub": str(UUID(int=3))}),
    "pretender": ("authenticated", {"sub": str(UUID(int=3)), "user_metadata": {"role": "admin"}}),
    **BACKENDS,
}
SEES_THE_JOB = {"watcher", "owner", *BACKENDS}


@pytest.fixture
def job(database: Session) -> dict[str, Any]:
    """A job of the user OWNER."""
    made: dict[str, Any] = row(
        database,
        "create_video_job",
        output_format="mp4",
        width=64,
        height=64,
        user_id=OWNER,
        priority=3,
        elements=Jsonb([{"type": "text", "text_content": "x"}]),
    )["job"]
    return made


@contextmanager
def acting_as(session: Session, actor: str, job: dict[str, Any]) -> Iterator[None]:
    role, claims = ACTORS[actor]
    with acting(
        session, role, {name: job["id"] if value == "JOB" else value for name, value in claims.items()}
    ):
        yield


def count(session: Session, view: str, condition: str = "true", *values: Any) -> int:
    query = f"select count(*) from public.{view} where {condition}"  # noqa: S608  names of this file
    found = session.execute(query.encode(), values).fetchone()
    return found[0] if found else 0


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("view", BY_JOB)
def test_view_of_jobs__shows_the_jobs_that_the_actor_sees(
    database: Session, job: dict[str, Any], view: str, actor: str
) -> None:
    with acting_as(database, actor, job):
        assert count(database, view, "id = %s", job["id"]) == (actor in SEES_THE_JOB)
        if actor in {"stranger", "pretender", "watcher of another"}:
            assert count(database, view) == 0
        if actor == "watcher":
            assert count(database, view) == 1


def test_view_of_jobs__shows_its_owner_all_that_belongs_to_a_job(
    database: Session, job: dict[str, Any]
) -> None:
    backend = summary(database, job["id"])
    for actor in ("owner", "watcher"):
        with acting_as(database, actor, job):
            seen = summary(database, job["id"])
        for shown in (seen, backend):
            shown.pop("waited_seconds", None)
        assert seen == backend
        assert (seen["elements"], seen["steps"], seen["attempts"]) == (1, 1, 0)


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("view", OF_WHAT_IS_SEEN)
def test_operators_view__is_of_what_the_actor_sees(
    database: Session, job: dict[str, Any], view: str, actor: str
) -> None:
    row(database, "log_storage_operation", job_id=job["id"], operation="upload", bucket="bbb", key="k")
    change(database, job, "processing", "failed")
    new_job(database, user_id=OWNER)
    if ACTORS[actor][0] == "anon":
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(database, actor, job):
            count(database, view)
        return
    with acting_as(database, actor, job):
        assert (count(database, view) > 0) == (actor in SEES_THE_JOB)
        if view == "client_activity":
            assert count(database, view, "user_id <> %s", OWNER) == 0 or actor in BACKENDS


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("view", OF_EVERYBODY)
def test_statistics_of_everybody__are_for_backends(
    database: Session, job: dict[str, Any], view: str, actor: str
) -> None:
    change(database, job, "processing")
    add_claim(database, job, "w", HOUR)
    if view == "job_stats_hourly":
        refresh_all(database)
    if ACTORS[actor][0] == "anon":
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(database, actor, job):
            count(database, view)
        return
    with acting_as(database, actor, job):
        # What late transactions of other tests hold up is not in the table yet.
        assert (count(database, view) > 0) == (actor in BACKENDS) or view == "job_stats_hourly"
        if actor not in BACKENDS:
            assert count(database, view) == 0


@pytest.mark.parametrize("actor", ACTORS)
def test_latest_metrics__are_for_backends(database: Session, job: dict[str, Any], actor: str) -> None:
    row(database, "record_metric", metric=f"m{uuid4().hex}", value=1)
    if actor in BACKENDS:
        with acting_as(database, actor, job):
            assert count(database, "latest_metrics") > 0
    elif ACTORS[actor][0] == "anon":
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(database, actor, job):
            count(database, "latest_metrics")
    else:
        with refused("permission_denied"), acting_as(database, actor, job):
            count(database, "latest_metrics")


REPORTS = ("get_job_statistics", "get_system_stats", "get_processing_metrics", "refresh_job_statistics")


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("function", REPORTS)
def test_report__is_for_backends(database: Session, job: dict[str, Any], function: str, actor: str) -> None:
    if actor in BACKENDS:
        with acting_as(database, actor, job):
            assert isinstance(rows(database, function), list)
    elif ACTORS[actor][0] == "anon":
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting_as(database, actor, job):
            rows(database, function)
    else:
        with refused("permission_denied"), acting_as(database, actor, job):
            rows(database, function)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize(
    "table",
    [
        "public.job_stats_hourly",
        "private.job_stats_cursor",
        "private.set_aside_facts",
        "private.hourly_sums",
        "private.step_stats_hourly",
    ],
)
@pytest.mark.parametrize("verb", ["insert", "update", "delete", "truncate"])
def test_summary__can_be_written_by_nobody(database: Session, table: str, role: str, verb: str) -> None:
    found = database.execute("select has_table_privilege(%s, %s, %s)", (role, table, verb)).fetchone()

    assert found == (False,)


def api(target: Target, actor: str, path: str, job: dict[str, Any], **arguments: Any) -> httpx.Response:
    """A view, or with arguments a function, through the API."""
    role, claims = ACTORS[actor]
    claims = {name: job["id"] if value == "JOB" else value for name, value in claims.items()}
    key = target.service_role_key if actor == "service key" else target.anon_key
    token = target.token(role=role, **claims) if claims else key
    headers = {"apikey": key, "Authorization": f"Bearer {token}"}
    url = f"{target.url}/rest/v1/{path}"
    if path.startswith("rpc/"):
        return httpx.post(url, json=arguments, headers=headers)
    return httpx.get(url, headers=headers)


@pytest.mark.parametrize("actor", ACTORS)
def test_api__shows_what_the_views_show(target: Target, job: dict[str, Any], actor: str) -> None:
    for view in BY_JOB:
        response = api(target, actor, f"{view}?id=eq.{job['id']}&select=id,status", job)
        assert response.json() == ([{"id": job["id"], "status": "pending"}] if actor in SEES_THE_JOB else [])
    for view in OF_EVERYBODY:
        response = api(target, actor, f"{view}?limit=1", job)
        if ACTORS[actor][0] == "anon":
            assert response.is_client_error
        elif actor not in BACKENDS:
            assert response.json() == []
        else:
            assert response.is_success


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize("function", REPORTS)
def test_api__answers_backends_only(target: Target, job: dict[str, Any], function: str, actor: str) -> None:
    response = api(target, actor, f"rpc/{function}", job)

    if actor in BACKENDS:
        assert response.is_success, response.text
    else:
        assert response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


# Arguments -----------------------------------------------------------------------------------

YEARS = "must be a time of the years 1970 to 2999"


@pytest.mark.parametrize("function", ["get_job_statistics", "get_processing_metrics"])
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"from_time": "2026-01-02", "to_time": "2026-01-01"}, ("from_time", "must be earlier than to_time")),
        ({"from_time": "2026-01-01", "to_time": "2026-01-01"}, ("from_time", "must be earlier than to_time")),
        (
            {"from_time": "2010-01-01", "to_time": "2020-01-02"},
            ("from_time", "must be at most 10 years before to_time"),
        ),
        ({"from_time": "1980-01-01"}, ("from_time", "must be at most 10 years before to_time")),
        ({"from_time": "-infinity"}, ("from_time", YEARS)),
        ({"to_time": "infinity"}, ("to_time", YEARS)),
        ({"from_time": "1969-12-31"}, ("from_time", YEARS)),
        ({"to_time": "294276-12-31"}, ("to_time", YEARS)),
        ({"to_time": "4714-11-24 BC"}, ("to_time", YEARS)),
    ],
)
def test_range__that_is_none_is_refused(
    target: Target,
    database: Session,
    job: dict[str, Any],
    function: str,
    arguments: dict[str, str],
    problem: tuple[str, str],
) -> None:
    with refused("invalid_argument") as refusal:
        rows(database, function, **arguments)
    response = api(target, "service key", f"rpc/{function}", job, **arguments)

    assert refusal.problems == dict([problem])
    assert response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    assert json.loads(response.json()["details"])["problems"] == [
        {"argument": problem[0], "problem": problem[1]}
    ]


@pytest.mark.parametrize(
    ("arguments", "length"),
    [
        ({}, timedelta(days=30)),
        ({"from_time": None, "to_time": None}, timedelta(days=30)),
        ({"to_time": "2026-01-31"}, timedelta(days=30)),
        ({"from_time": "2025-01-01", "to_time": "2026-01-01"}, timedelta(days=365)),
        ({"from_time": "2100-01-01"}, HOUR),
        ({"from_time": "2026-01-01 00:59", "to_time": "2026-01-01 01:00:00.000001"}, 2 * HOUR),
        ({"from_time": "1970-01-01", "to_time": "1970-01-02"}, timedelta(days=1)),
    ],
)
def test_range__has_defaults_and_is_widened_to_hours(
    database: Session, arguments: dict[str, Any], length: timedelta
) -> None:
    found = row(database, "get_job_statistics", **arguments)

    first, last = (datetime.fromisoformat(found[name]) for name in ("from_time", "to_time"))
    # A range that ends now and begins within an hour has an hour more.
    assert last - first in {length, length + HOUR} if not arguments.get("to_time") else last - first == length
    assert (first.minute, first.second, last.minute, last.second) == (0, 0, 0, 0)


@pytest.mark.parametrize("max_events", [0, -1, None, 1_000_001])
def test_refresh__refuses_a_number_of_events_that_is_none(database: Session, max_events: int | None) -> None:
    with refused("invalid_argument") as refusal:
        refresh(database, max_events=max_events)

    assert refusal.problems == {"max_events": "must be 1 to 1000000"}


# Plans ---------------------------------------------------------------------------------------


@pytest.fixture
def many(own: Session) -> Session:
    """A database in which some thousand jobs have ended and some wait."""
    with without_triggers(own, "jobs", "job_events", "elements", "processing_timeline", "storage_operations"):
        own.execute(
            """
            insert into jobs (status, output_format, width, height, created_at, started_at, finished_at)
            select
                case when n > 19900 then 'pending' else 'failed' end::job_status, 'mp4', 64, 64,
                now() - n * interval '1 hour', null,
                case when n <= 19900 then now() - n * interval '1 hour' end
            from generate_series(1, 20000) as n
            """
        )
        own.execute(
            """
            insert into job_events (
                job_id, seq, type, status, is_terminal, progress_percentage, data, created_at
            )
            select
                id, seq, case seq when 1 then 'job.created' else 'job.status' end,
                case seq when 1 then 'pending' else 'failed' end::job_status, seq = 2, 0,
                '{"from": "pending"}', created_at
            from jobs, generate_series(1, 2) as seq where seq = 1 or status = 'failed'
            """
        )
        own.execute(
            """
            insert into processing_timeline (job_id, step, step_order, success, started_at, completed_at)
            select id, 'encoding', 0, true, created_at, created_at from jobs
            """
        )
        own.execute(
            """
            insert into storage_operations (job_id, operation, bucket, key, created_at)
            select id, 'upload', 'bbb', 'k', created_at from jobs
            """
        )
        own.execute(
            """
            insert into elements (job_id, type, text_content, element_order, created_at)
            select id, 'text', 'x', 0, created_at from jobs
            """
        )
    refresh_all(own)
    new_job(own)
    own.execute("analyze")
    return own


def scans(plan: Any) -> Iterator[tuple[str, str]]:
    if isinstance(plan, dict):
        if "Relation Name" in plan:
            yield plan["Node Type"], plan["Relation Name"]
        plan = list(plan.values())
    if isinstance(plan, list):
        for part in plan:
            yield from scans(part)


@pytest.mark.local_stack
def test_views__read_indexes(many: Session) -> None:
    place = one(many, "select xid::text, id from private.job_stats_cursor")
    for actor in ("service key", "service_account"):
        for query in (
            "select * from job_summary where id = '00000000-0000-0000-0000-000000000000'",
            "select * from job_status_realtime where id = '00000000-0000-0000-0000-000000000000'",
            "select * from active_jobs where processing_health = 'stalled'",
            "select * from queue_overview",
            "select * from error_summary",
            "select * from client_activity",
            "select * from step_performance",
            "select * from storage_performance",
            "select * from element_processing",
            "select * from hourly_throughput where hour >= now() - interval '1 day'",
            "select * from private.status_facts where (xid, id) > ('{xid}', {id})",
        ):
            with acting_as(many, actor, {}):
                plan = many.execute(f"explain (format json) {query.format(**place)}".encode()).fetchone()
            read = set(scans(plan and plan[0]))
            assert read, query
            whole = {relation for node, relation in read if node == "Seq Scan"}
            # The policies of these tables ask for the job of each row, and may look at all jobs for it.
            asked = {"jobs"} if "step_performance" in query or "element_processing" in query else set()
            assert whole <= asked, (actor, query)
