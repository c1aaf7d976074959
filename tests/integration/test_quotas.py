"""How many jobs of one user may wait or be processed at a time."""

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from reelbase import JobSpec, QuotaExceeded
from sql import Session, acting, new_job, refused, row, rows
from support import Target, text

pytestmark = pytest.mark.local_stack

VIDEO = {"output_format": "mp4", "width": 64, "height": 64}
MOST = 3


@pytest.fixture
def limited(own_target: Target) -> Iterator[Session]:
    """A backend's session, in a database of its own where a user may have three unfinished jobs."""
    with own_target.connect() as session:
        session.execute(
            "update private.settings set value = %s where name = 'max_unfinished_jobs_per_user'", [str(MOST)]
        )
        yield session


def unfinished(session: Session, user_id: UUID) -> int:
    counted = session.execute(
        "select count(*) from public.jobs where user_id = %s and finished_at is null", [user_id]
    ).fetchone()
    assert counted is not None
    return int(counted[0])


def wait_for_lock(session: Session, waiting: Session) -> None:
    """Until the statement that another session carries out waits for somebody's lock."""
    query = "select wait_event_type from pg_stat_activity where pid = %s"
    for _ in range(1000):
        if session.execute(query, [waiting.info.backend_pid]).fetchone() == ("Lock",):
            return
        session.execute("select pg_sleep(0.01)")
    pytest.fail("It never waited.")


def test_without_the_setting__a_user_has_any_number(database: Session) -> None:
    user_id = uuid4()

    made = rows(database, "create_jobs", jobs=[{**VIDEO, "user_id": str(user_id)}] * 50)

    assert len(made) == unfinished(database, user_id) == 50


def test_job_beyond_the_quota__is_refused_with_figures_and_remedy(limited: Session) -> None:
    user_id = uuid4()
    for _ in range(MOST):
        new_job(limited, user_id=user_id)

    with refused("quota_exceeded") as refusal:
        new_job(limited, user_id=user_id)

    assert refusal.status == "403"
    assert refusal.message == "A user may have 3 unfinished jobs: this one has 3, and the request adds 1."
    assert refusal.hint == "Wait until some have ended, or cancel some."
    assert refusal.details == {
        "error": "quota_exceeded",
        "user_id": str(user_id),
        "limit": 3,
        "used": 3,
        "requested": 1,
    }
    assert unfinished(limited, user_id) == MOST


def test_quota__is_each_user_s_own_and_holds_nobody_else(limited: Session) -> None:
    for _ in range(2):
        user_id = uuid4()
        for _ in range(MOST):
            new_job(limited, user_id=user_id)

    for _ in range(MOST + 1):
        new_job(limited, client_ip="203.0.113.7")


def test_user__is_held_to_it_like_a_backend_that_acts_for_them(limited: Session) -> None:
    user_id = uuid4()
    new_job(limited, user_id=user_id)
    with acting(limited, "authenticated", {"sub": str(user_id)}):
        new_job(limited)
        new_job(limited)

    with refused("quota_exceeded"), acting(limited, "authenticated", {"sub": str(user_id)}):
        new_job(limited)


def test_many_at_once__are_all_created_or_none(limited: Session) -> None:
    user_id, other = uuid4(), uuid4()
    new_job(limited, user_id=user_id)
    jobs = [{**VIDEO, "user_id": str(each)} for each in (other, user_id, user_id, user_id)]

    with refused("quota_exceeded") as refusal:
        rows(limited, "create_jobs", jobs=jobs)

    assert (refusal.details["used"], refusal.details["requested"]) == (1, 3)
    assert (unfinished(limited, user_id), unfinished(limited, other)) == (1, 0)
    assert len(rows(limited, "create_jobs", jobs=jobs[:3])) == 3


def test_job_that_ends__makes_room(limited: Session) -> None:
    user_id = uuid4()
    made = [new_job(limited, user_id=user_id)["id"] for _ in range(MOST)]
    row(limited, "cancel_job", job_id=made[0])

    new_job(limited, user_id=user_id)


def test_request_given_again__is_answered_though_the_quota_is_used_up(limited: Session) -> None:
    user_id = uuid4()
    first = [new_job(limited, user_id=user_id, idempotency_key=f"{user_id} {place}") for place in range(MOST)]

    again = new_job(limited, user_id=user_id, idempotency_key=f"{user_id} 0")

    assert (again["id"], again["replays"]) == (first[0]["id"], 1)


def test_refused_request__can_be_made_with_its_key_when_there_is_room(limited: Session) -> None:
    user_id, key = uuid4(), f"key {uuid4()}"
    made = [new_job(limited, user_id=user_id)["id"] for _ in range(MOST)]
    with refused("quota_exceeded"):
        new_job(limited, user_id=user_id, idempotency_key=key)

    row(limited, "cancel_job", job_id=made[0])

    assert new_job(limited, user_id=user_id, idempotency_key=key)["replays"] == 0


def test_retry__counts_as_another_job(limited: Session) -> None:
    user_id = uuid4()
    failed = new_job(limited, user_id=user_id)["id"]
    for status in ("processing", "failed"):
        row(limited, "update_job_status", job_id=failed, status=status)
    waiting = [new_job(limited, user_id=user_id)["id"] for _ in range(MOST)]

    with refused("quota_exceeded"):
        row(limited, "retry_job", job_id=failed)
    assert row(limited, "get_job", job_id=failed)["status"] == "failed"
    row(limited, "cancel_job", job_id=waiting[0])

    assert row(limited, "retry_job", job_id=failed)["status"] == "pending"


@pytest.mark.parametrize("status", ["failed", "timeout"])
def test_ended_job_set_to_pending__counts_as_another_job(limited: Session, status: str) -> None:
    user_id = uuid4()
    ended = new_job(limited, user_id=user_id)["id"]
    row(limited, "update_job_status", job_id=ended, status=status)
    waiting = [new_job(limited, user_id=user_id)["id"] for _ in range(MOST)]

    with refused("quota_exceeded") as refusal:
        row(limited, "update_job_status", job_id=ended, status="pending")
    assert (refusal.details["used"], refusal.details["requested"]) == (MOST, 1)
    assert row(limited, "get_job", job_id=ended)["status"] == status
    row(limited, "cancel_job", job_id=waiting[0])

    assert row(limited, "update_job_status", job_id=ended, status="pending")["status"] == "pending"


@pytest.mark.parametrize("how", ["release_job", "fail_job"])
def test_job_given_back__is_no_further_one(limited: Session, how: str) -> None:
    user_id = uuid4()
    for _ in range(MOST):
        new_job(limited, user_id=user_id)
    (claimed,) = rows(limited, "claim_jobs", worker="w")
    # Lowered meanwhile: who is above it already keeps what there is.
    limited.execute("update private.settings set value = '1' where name = 'max_unfinished_jobs_per_user'")
    error = {"error_code": "x", "error_message": "y"} if how == "fail_job" else {}

    job = row(limited, how, job_id=claimed["job"]["id"], claim=claimed["claim"], **error)

    assert job["status"] == "pending"


def test_callers_at_the_same_time__never_get_past_it(limited: Session, own_target: Target) -> None:
    users = [uuid4() for _ in range(4)]

    def create(number: int) -> str:
        order = users[number % 4 :] + users[: number % 4]
        with own_target.connect() as session:
            try:
                rows(session, "create_jobs", jobs=[{**VIDEO, "user_id": str(each)} for each in order])
            except psycopg.Error as error:
                return error.diag.sqlstate or ""
        return "created"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(create, range(32)))

    assert sorted(outcomes) == ["PT403"] * (32 - MOST) + ["created"] * MOST
    assert [unfinished(limited, each) for each in users] == [MOST] * 4


def test_replay_and_retry_of_one_job_at_once__both_succeed(limited: Session, own_target: Target) -> None:
    user_id, key = uuid4(), f"key {uuid4()}"
    known = {**VIDEO, "user_id": str(user_id), "idempotency_key": key}
    (failed,) = rows(limited, "create_jobs", jobs=[known])
    row(limited, "update_job_status", job_id=failed["id"], status="failed")
    new = {**VIDEO, "user_id": str(user_id)}

    with (
        own_target.connect() as retrying,
        own_target.connect() as creating,
        ThreadPoolExecutor(1) as pool,
        retrying.transaction(),
    ):
        retrying.execute("select private.lock_job(%s)", [failed["id"]])
        created = pool.submit(rows, creating, "create_jobs", jobs=[new, known])
        wait_for_lock(limited, creating)
        # Whoever holds the user's lock by now has to wait for this job, which waits for the lock.
        retried = row(retrying, "retry_job", job_id=failed["id"])

    assert retried["status"] == "pending"
    assert [job["replays"] for job in created.result()] == [0, 1]


@pytest.mark.parametrize("how", ["create", "create_video", "create_many", "retry"])
async def test_client__raises_quota_exceeded(limited: Session, own_target: Target, how: str) -> None:
    user_id = uuid4()
    failed = new_job(limited, user_id=user_id)["id"]
    for status in ("processing", "failed"):
        row(limited, "update_job_status", job_id=failed, status=status)
    for _ in range(MOST):
        new_job(limited, user_id=user_id)
    spec = JobSpec(output_format="mp4", width=64, height=64, user_id=user_id)
    calls: dict[str, Callable[[Any], Awaitable[object]]] = {
        "create": lambda jobs: jobs.create("mp4", 64, 64, user_id=user_id),
        "create_video": lambda jobs: jobs.create_video("mp4", 64, 64, elements=[text()], user_id=user_id),
        "create_many": lambda jobs: jobs.create_many([spec]),
        "retry": lambda jobs: jobs.retry(UUID(failed)),
    }

    async with own_target.service() as client:
        with pytest.raises(QuotaExceeded) as caught:
            await calls[how](client.jobs)

    error = caught.value
    assert (error.limit, error.used, error.requested, error.transient, error.retries) == (3, 3, 1, False, 0)
    assert str(error).endswith("Wait until some have ended, or cancel some.")
