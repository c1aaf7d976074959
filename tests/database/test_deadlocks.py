"""No two operations deadlock: every pair of them, many times at once on the same few jobs.

A deadlock is 40P01, which Postgres finds after deadlock_timeout; every other refusal is fine here.
"""

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from database.servers import Database, Server
from sql import Session, row, rows

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(300)]

TEXT = {"type": "text", "text_content": "x"}
VIDEO = {"output_format": "mp4", "width": 64, "height": 64}
USERS = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"]
TURNS = 2


class Stage:
    """A few jobs, with what operations on them need to know."""

    def __init__(self, session: Session) -> None:
        self.jobs: list[str] = []
        self.elements: dict[str, list[str]] = {}
        # What was asked for: asked for again, it is answered with these jobs.
        self.specs = [
            {**VIDEO, "elements": [TEXT, TEXT], "user_id": user_id, "idempotency_key": str(uuid4())}
            for user_id in USERS
        ]
        for spec in self.specs:
            made = row(session, "create_video_job", **spec)
            self.jobs.append(made["job"]["id"])
            self.elements[made["job"]["id"]] = [element["id"] for element in made["elements"]]

    def some(self, dice: random.Random) -> str:
        return dice.choice(self.jobs)

    def shuffled(self, dice: random.Random) -> list[str]:
        return dice.sample(self.jobs, len(self.jobs))


Operation = Callable[[Session, Stage, random.Random], Any]


def storage(stage: Stage, dice: random.Random) -> list[dict[str, Any]]:
    return [
        {"operation": "upload", "bucket": "videos", "key": "k", "job_id": job_id}
        for job_id in stage.shuffled(dice) * 2
    ]


def accesses(stage: Stage, dice: random.Random) -> list[dict[str, Any]]:
    return [{"url": "https://example.com/v.mp4", "job_id": job_id} for job_id in stage.shuffled(dice) * 2]


def beat(session: Session, _: Stage, dice: random.Random) -> Any:
    claims = session.execute(
        "select coalesce(array_agg(id), '{}') from job_claims where ended_at is null"
    ).fetchone()
    assert claims is not None
    return rows(session, "heartbeat_jobs", claims=dice.sample(claims[0], len(claims[0])))


def expire(session: Session, _: Stage, __: random.Random) -> Any:
    session.execute(
        "update job_claims set lease_expires_at = now() - interval '1 day' where id = any (array("
        "select id from job_claims where ended_at is null for update skip locked))"
    )
    return rows(session, "rescue_stalled_jobs")


def finish(session: Session, stage: Stage, dice: random.Random) -> Any:
    job_id = stage.some(dice)
    claim = session.execute(
        "select id from job_claims where job_id = %s and ended_at is null", (job_id,)
    ).fetchone()
    number = claim[0] if claim else 0
    if dice.random() < 0.5:
        return row(session, "release_job", job_id=job_id, claim=number)
    return row(session, "fail_job", job_id=job_id, claim=number, error_code="x", error_message="y")


def step(session: Session, stage: Stage, dice: random.Random) -> Any:
    job_id = stage.some(dice)
    claim = session.execute(
        "select max(id) from job_claims where job_id = %s and ended_at is null", (job_id,)
    ).fetchone()
    assert claim is not None
    number = {} if claim[0] is None else {"claim": claim[0]}
    started = row(session, "start_processing_step", job_id=job_id, step="encoding", **number)
    row(session, "update_step_progress", timeline_id=started["id"], progress_percentage=50, **number)
    return row(session, "complete_processing_step", timeline_id=started["id"], **number)


def try_again(session: Session, stage: Stage, dice: random.Random) -> Any:
    job_id = stage.some(dice)
    row(session, "update_job_status", job_id=job_id, status="timeout")
    return row(session, "retry_job", job_id=job_id)


OPERATIONS: dict[str, Operation] = {
    "claim": lambda session, _, dice: rows(session, "claim_jobs", worker="w", max_jobs=dice.randint(1, 2)),
    "heartbeat": beat,
    "rescue": expire,
    "finish": finish,
    "step": step,
    "pause and resume": lambda session, stage, dice: row(
        session, dice.choice(["pause_job", "resume_job"]), job_id=stage.some(dice)
    ),
    "cancel": lambda session, stage, dice: row(session, "cancel_job", job_id=stage.some(dice)),
    "set to pending": lambda session, stage, dice: row(
        session, "update_job_status", job_id=stage.some(dice), status="pending"
    ),
    "retry": try_again,
    "add elements": lambda session, stage, dice: rows(
        session, "bulk_add_elements", job_id=stage.some(dice), elements=[TEXT, TEXT]
    ),
    "reorder": lambda session, stage, dice: rows(
        session,
        "reorder_elements",
        job_id=(job_id := stage.some(dice)),
        element_ids=dice.sample(stage.elements[job_id], len(stage.elements[job_id])),
    ),
    "element state": lambda session, stage, dice: row(
        session,
        "update_element_status",
        element_id=dice.choice(stage.elements[stage.some(dice)]),
        processed=True,
    ),
    "delete element": lambda session, stage, dice: row(
        session, "delete_element", element_id=dice.choice(stage.elements[stage.some(dice)])
    ),
    "log storage": lambda session, stage, dice: rows(
        session, "log_storage_operations", operations=storage(stage, dice)
    ),
    "log accesses": lambda session, stage, dice: rows(
        session, "log_url_accesses", accesses=accesses(stage, dice)
    ),
    "create with keys": lambda session, _, dice: rows(
        session,
        "create_jobs",
        jobs=[{**VIDEO, "idempotency_key": key} for key in dice.sample(["a", "b", "c"], 3)],
    ),
    "create for users": lambda session, stage, dice: rows(
        session,
        "create_jobs",
        jobs=dice.sample([*stage.specs, *({**VIDEO, "user_id": user_id} for user_id in USERS)], 4),
    ),
    "delete": lambda session, stage, dice: row(session, "delete_job", job_id=stage.some(dice), force=True),
    "clean up": lambda session, _, __: rows(session, "cleanup_old_jobs", days=1),
}
PAIRS = list(itertools.combinations_with_replacement(OPERATIONS, 2))


@pytest.fixture(scope="module")
def shared(own_server: Server) -> Iterator[Database]:
    with own_server.migrated() as database:
        with database.connect_as_superuser() as session:
            session.execute("alter database " + session.info.dbname + " set deadlock_timeout = '100ms'")
            # More than there are: what counts is the lock.
            session.execute(
                "update private.settings set value = '1000' where name = 'max_unfinished_jobs_per_user'"
            )
        yield database


def end_long_ago(shared: Database, jobs: list[str]) -> None:
    with shared.connect() as session:
        for job_id in jobs:
            row(session, "cancel_job", job_id=job_id)
    with shared.connect_as_superuser() as session:
        session.execute("set session_replication_role = replica")
        session.execute(
            "update jobs set finished_at = now() - interval '9 days' where id = any (%s::uuid[])", (jobs,)
        )


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation__does_something(shared: Database, name: str) -> None:
    """Else the pairs would prove nothing."""
    with shared.connect() as session:
        session.execute("delete from jobs")
        stage = Stage(session)
        if name in {"finish", "heartbeat", "rescue"}:
            rows(session, "claim_jobs", worker="w", max_jobs=2)
        if name == "set to pending":
            for job_id in stage.jobs:
                row(session, "update_job_status", job_id=job_id, status="failed")
        if name == "clean up":
            end_long_ago(shared, stage.jobs)

        assert OPERATIONS[name](session, stage, random.Random(0))  # noqa: S311  repeatable


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=map(" + ".join, PAIRS))
def test_pair__never_deadlocks(shared: Database, first: str, second: str) -> None:
    deadlocks: list[str] = []
    seed = f"{first} {second}"

    def work(number: int, stages: list[Stage], barrier: threading.Barrier) -> None:
        dice = random.Random(f"{seed} {number}")  # noqa: S311  repeatable
        operation = OPERATIONS[(first, second)[number % 2]]
        with shared.connect() as session:
            for stage in stages:
                barrier.wait()
                try:
                    operation(session, stage, dice)
                except psycopg.errors.DeadlockDetected as error:
                    deadlocks.append(str(error))
                except psycopg.Error as error:
                    assert (error.sqlstate or "").startswith("PT"), error  # noqa: PT017

    with shared.connect() as session:
        session.execute("delete from jobs")
        stages = [Stage(session) for _ in range(TURNS)]
    if "clean up" in (first, second):
        end_long_ago(shared, [job_id for stage in stages for job_id in stage.jobs])
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number, stages, barrier)
        except BaseException as error:  # noqa: BLE001  raised below, in the test's own thread
            failures.append(error)
            barrier.abort()

    workers = [
        threading.Thread(target=guarded, args=(number,), name=f"{seed} {number}") for number in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [error for error in failures if not isinstance(error, threading.BrokenBarrierError)] == []
    assert deadlocks == []
