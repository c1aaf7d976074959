"""The queue: claims that never overlap, leases, fencing, retries, rescues, pauses and limits."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from sql import Session, job_state, new_job, refused, row, rows
from support import Target

pytestmark = pytest.mark.local_stack

SECOND = timedelta(seconds=1)


@pytest.fixture
def queue(own_target: Target) -> Iterator[Session]:
    """A session of the owner on a database whose queue is empty."""
    with own_target.connect() as session:
        yield session


def claim(session: Session, worker: str = "worker", **arguments: Any) -> list[dict[str, Any]]:
    return rows(session, "claim_jobs", worker=worker, **arguments)


def claim_one(session: Session, **arguments: Any) -> tuple[str, int]:
    """A new job's id and the number of the claim on it."""
    job = new_job(session, **arguments)
    (claimed,) = claim(session)
    assert claimed["job"]["id"] == job["id"]
    return job["id"], claimed["claim"]


def setting(session: Session, name: str, value: Any) -> None:
    session.execute("update private.settings set value = %s::jsonb where name = %s", (value, name))


def expire_leases(session: Session) -> None:
    """As if the workers had been silent for a day."""
    session.execute(
        "update job_claims set lease_expires_at = now() - interval '1 day' where ended_at is null"
    )


def outcomes(session: Session, job_id: str) -> list[str]:
    found = session.execute(
        "select outcome from job_claims where job_id = %s order by id", (job_id,)
    ).fetchall()
    return [outcome for (outcome,) in found]


# Claiming


def test_claim__takes_the_highest_priority_then_the_oldest(queue: Session) -> None:
    first, urgent, second = (new_job(queue, priority=priority)["id"] for priority in (0, 5, 0))

    claimed = claim(queue, max_jobs=3)

    assert [each["job"]["id"] for each in claimed] == [urgent, first, second]
    assert {each["job"]["status"] for each in claimed} == {"processing"}
    assert [each["attempt"] for each in claimed] == [1, 1, 1]


def test_claim__finds_nothing_that_is_not_available_yet(queue: Session) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    new_job(queue, available_at=later, priority=9)
    now = new_job(queue)["id"]

    assert [each["job"]["id"] for each in claim(queue, max_jobs=9)] == [now]
    assert claim(queue) == []


def test_claim__can_be_narrowed_by_format_and_priority(queue: Session) -> None:
    new_job(queue, output_format="mp4", priority=1)
    gif = new_job(queue, output_format="gif", priority=1)["id"]
    new_job(queue, output_format="gif", priority=0)

    assert [each["job"]["id"] for each in claim(queue, max_jobs=9, formats=["gif"], min_priority=1)] == [gif]


def test_claim_of_formats__keeps_the_order_across_them(queue: Session) -> None:
    order = [("gif", 1), ("mp4", 1), ("webm", 0), ("gif", 0), ("mp4", 0), ("webm", 0), ("mov", -1)]
    made = [
        new_job(queue, output_format=output_format, priority=priority)["id"]
        for output_format, priority in order
    ]

    claimed = claim(queue, max_jobs=4, formats=["webm", "gif", "gif", "mov"])
    claimed += claim(queue, max_jobs=9)

    assert [each["job"]["id"] for each in claimed] == [made[place] for place in (0, 2, 3, 5, 1, 4, 6)]


def test_claim_of_no_format__finds_nothing(queue: Session) -> None:
    new_job(queue)

    assert rows(queue, "claim_jobs", worker="worker", formats=[]) == []


@pytest.mark.parametrize("limit", ["null", "3"])
def test_claim__goes_past_what_others_hold(own_target: Target, queue: Session, limit: str) -> None:
    setting(queue, "max_running_jobs_per_user", limit)
    user_id = uuid4()
    made = [new_job(queue, user_id=user_id, output_format=("mp4", "gif")[n % 2])["id"] for n in range(12)]

    with own_target.connect() as other, other.transaction():
        for job_id in made[:9]:
            other.execute("select private.lock_job(%s)", (job_id,))
        queue.execute("set lock_timeout = '5s'")
        first = claim(queue)
        then = claim(queue, max_jobs=9)

    assert [each["job"]["id"] for each in first + then] == made[9:]


def test_claim__leaves_the_others_what_it_does_not_take(own_target: Target, queue: Session) -> None:
    mp4, gif = (new_job(queue, output_format=output_format)["id"] for output_format in ("mp4", "gif"))

    with own_target.connect() as other, other.transaction():
        first = claim(other)
        second = claim(queue)

    assert [each["job"]["id"] for each in first + second] == [mp4, gif]


def test_claims__never_overlap(own_target: Target, queue: Session) -> None:
    made = {new_job(queue, priority=number % 3)["id"] for number in range(120)}

    def work(number: int) -> list[str]:
        with own_target.connect() as session:
            mine: list[str] = []
            while batch := claim(session, f"worker {number}", max_jobs=number % 4 + 1):
                mine += [each["job"]["id"] for each in batch]
            return mine

    with ThreadPoolExecutor(8) as pool:
        taken = [job_id for batch in pool.map(work, range(8)) for job_id in batch]

    assert len(taken) == len(made)
    assert set(taken) == made


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"worker": ""}, "worker"),
        ({"worker": None}, "worker"),
        ({"worker": "x" * 201}, "worker"),
        ({"max_jobs": 0}, "max_jobs"),
        ({"max_jobs": 101}, "max_jobs"),
        ({"lease": timedelta(0)}, "lease"),
        ({"lease": timedelta(days=2)}, "lease"),
        ({"formats": ["avi"]}, "formats"),
    ],
)
def test_claim__names_a_bad_argument(queue: Session, arguments: dict[str, Any], argument: str) -> None:
    with refused("invalid_argument") as refusal:
        rows(queue, "claim_jobs", **{"worker": "w", **arguments})
    assert list(refusal.problems) == [argument]


# Limits


def test_limit_in_all__holds_among_many_claimers(own_target: Target, queue: Session) -> None:
    setting(queue, "max_running_jobs", "5")
    for _ in range(30):
        new_job(queue)

    def work(number: int) -> int:
        with own_target.connect() as session:
            return len(claim(session, f"worker {number}", max_jobs=3))

    with ThreadPoolExecutor(8) as pool:
        taken = sum(pool.map(work, range(16)))

    assert taken == 5
    assert claim(queue) == []


def test_limit_per_user__lets_others_through(own_target: Target, queue: Session) -> None:
    setting(queue, "max_running_jobs_per_user", "2")
    greedy, modest = uuid4(), uuid4()
    for _ in range(10):
        new_job(queue, user_id=greedy)
    other = new_job(queue, user_id=modest)["id"]
    anonymous = [new_job(queue, client_ip="203.0.113.9")["id"] for _ in range(3)]

    def work(number: int) -> list[Any]:
        with own_target.connect() as session:
            return [each["job"] for each in claim(session, f"worker {number}", max_jobs=4)]

    with ThreadPoolExecutor(6) as pool:
        taken = [job for batch in pool.map(work, range(12)) for job in batch]

    assert sum(job["user_id"] == str(greedy) for job in taken) == 2
    assert {job["id"] for job in taken if job["user_id"] != str(greedy)} == {other, *anonymous}


def test_limit_per_user__takes_in_order_what_it_lets_through(queue: Session) -> None:
    setting(queue, "max_running_jobs_per_user", "2")
    first, second, third = (uuid4() for _ in range(3))
    owners = [first] * 4 + [second, None, second, third, None, second, None, None]
    made = [
        new_job(queue, user_id=owner, output_format=("mp4", "webm")[place % 2])["id"]
        for place, owner in enumerate(owners)
    ]
    urgent = new_job(queue, user_id=first, priority=1)["id"]

    claimed = claim(queue, max_jobs=5) + claim(queue, max_jobs=9)

    assert [each["job"]["id"] for each in claimed] == [urgent, *(made[n] for n in (0, 4, 5, 6, 7, 8, 10, 11))]
    row(queue, "complete_job", job_id=urgent, claim=claimed[0]["claim"])
    assert [each["job"]["id"] for each in claim(queue, max_jobs=9)] == [made[1]]


def test_limit_per_user__passes_any_number_of_one_user_s_jobs(queue: Session) -> None:
    setting(queue, "max_running_jobs_per_user", "1")
    greedy, modest = uuid4(), uuid4()
    claimed = claim_one(queue, user_id=greedy)
    later = datetime.now(UTC) + timedelta(hours=1)
    queue.execute(
        "insert into jobs (user_id, output_format, width, height) "
        "select %s, 'mp4', 64, 64 from generate_series(1, 1500)",
        (greedy,),
    )
    new_job(queue, user_id=modest, available_at=later)
    paused = new_job(queue, user_id=modest)["id"]
    row(queue, "pause_job", job_id=paused)
    nobodys = [new_job(queue, client_ip="203.0.113.9")["id"]]
    due = [new_job(queue, user_id=modest, output_format=name)["id"] for name in ("gif", "webm")]
    nobodys += [new_job(queue, client_ip="203.0.113.9")["id"] for _ in range(2)]

    taken = claim(queue, max_jobs=9, formats=["webm", "mp4"])

    assert [each["job"]["id"] for each in taken] == [nobodys[0], due[1], *nobodys[1:]]
    assert claim(queue) == []
    row(queue, "complete_job", job_id=claimed[0], claim=claimed[1])
    assert [each["job"]["user_id"] for each in claim(queue, max_jobs=9)] == [str(greedy)]


# Fencing


@pytest.mark.parametrize(
    "write",
    [
        lambda session, job, claim: row(
            session, "update_job_progress", job_id=job, progress_percentage=1, claim=claim
        ),
        lambda session, job, claim: row(
            session, "update_job_status", job_id=job, status="completed", claim=claim
        ),
        lambda session, job, claim: row(
            session, "start_processing_step", job_id=job, step="upload", claim=claim
        ),
        lambda session, job, claim: row(session, "complete_job", job_id=job, claim=claim),
        lambda session, job, claim: row(
            session, "fail_job", job_id=job, claim=claim, error_code="x", error_message="y"
        ),
        lambda session, job, claim: row(session, "release_job", job_id=job, claim=claim),
    ],
)
def test_stale_worker__changes_nothing(queue: Session, write: Callable[[Session, str, int], Any]) -> None:
    job_id, stale = claim_one(queue)
    expire_leases(queue)
    (again,) = claim(queue, "another")
    before = job_state(queue, job_id)

    with refused("lease_lost") as refusal:
        write(queue, job_id, stale)

    assert again["job"]["id"] == job_id
    assert again["claim"] > stale
    assert refusal.details["claimed_by"] == "another"
    assert job_state(queue, job_id) == before


def test_stale_worker__cannot_touch_steps_and_elements(queue: Session) -> None:
    made = row(
        queue,
        "create_video_job",
        output_format="mp4",
        width=64,
        height=64,
        elements=[{"type": "text", "text_content": "x"}],
    )
    job_id, element_id, step_id = made["job"]["id"], made["elements"][0]["id"], made["step"]["id"]
    (stale,) = claim(queue)
    expire_leases(queue)
    claim(queue, "another")

    with refused("lease_lost"):
        row(queue, "update_element_status", element_id=element_id, processed=True, claim=stale["claim"])
    (open_step,) = [
        step for step in rows(queue, "get_processing_timeline", job_id=job_id) if step["success"] is None
    ] or [{"id": step_id}]
    with refused("lease_lost"):
        row(
            queue,
            "update_step_progress",
            timeline_id=open_step["id"],
            progress_percentage=1,
            claim=stale["claim"],
        )
    with refused("lease_lost"):
        row(queue, "complete_processing_step", timeline_id=open_step["id"], claim=stale["claim"])


def test_claimed_job__takes_no_writes_without_the_number(queue: Session) -> None:
    job_id, number = claim_one(queue)

    with refused("lease_lost") as refusal:
        row(queue, "update_job_progress", job_id=job_id, progress_percentage=1)
    assert refusal.message == "The job is claimed by worker; only that claim's number writes to it."
    assert row(queue, "update_job_progress", job_id=job_id, progress_percentage=1, claim=number)


def test_number__of_another_job_s_claim_is_refused(queue: Session) -> None:
    first, _ = claim_one(queue)
    _, second_claim = claim_one(queue)

    with refused("lease_lost"):
        row(queue, "complete_job", job_id=first, claim=second_claim)


def test_late_worker__may_go_on_while_nobody_else_has_the_job(queue: Session) -> None:
    job_id, number = claim_one(queue)
    expire_leases(queue)

    assert row(queue, "complete_job", job_id=job_id, claim=number)["status"] == "completed"


# Heartbeats


def test_heartbeat__holds_the_claim_and_tells_what_became_of_each(queue: Session) -> None:
    held_job, held = claim_one(queue)
    cancelled_job, cancelled = claim_one(queue)
    paused_job, paused = claim_one(queue)
    _, ended = claim_one(queue)
    row(queue, "cancel_job", job_id=cancelled_job)
    row(queue, "pause_job", job_id=paused_job)
    row(queue, "complete_job", job_id=rows(queue, "list_jobs")[0]["items"][0]["id"], claim=ended)

    states = rows(
        queue, "heartbeat_jobs", claims=[held, cancelled, paused, ended, 10**12], lease=timedelta(hours=1)
    )

    assert [(state["state"], state["pause_requested"]) for state in states] == [
        ("held", False),
        ("cancelled", False),
        ("held", True),
        ("lost", False),
        ("lost", False),
    ]
    assert states[0]["job_id"] == held_job
    assert datetime.fromisoformat(states[0]["lease_expires_at"]) - datetime.now(UTC) > timedelta(minutes=55)


def test_heartbeat__never_waits_for_a_job_that_is_being_ended(own_target: Target, queue: Session) -> None:
    job_id, number = claim_one(queue)

    with own_target.connect() as other, other.transaction():
        row(other, "complete_job", job_id=job_id, claim=number)
        queue.execute("set lock_timeout = '2s'")
        (state,) = rows(queue, "heartbeat_jobs", claims=[number])
    assert state["state"] == "held"
    assert rows(queue, "heartbeat_jobs", claims=[number])[0]["state"] == "lost"


def test_heartbeat__names_bad_arguments(queue: Session) -> None:
    with refused("invalid_argument") as refusal:
        rows(queue, "heartbeat_jobs", claims=None)
    assert list(refusal.problems) == ["claims"]
    with refused("invalid_argument") as refusal:
        rows(queue, "heartbeat_jobs", claims=[1], lease=timedelta(seconds=-1))
    assert list(refusal.problems) == ["lease"]


# Ending


def test_complete__keeps_the_result(queue: Session) -> None:
    job_id, number = claim_one(queue)

    job = row(
        queue,
        "complete_job",
        job_id=job_id,
        claim=number,
        output_url="https://cdn.example.com/v.mp4",
        output_size=1234,
        actual_duration=Decimal("2.5"),
        s3_bucket="videos",
        s3_key="2026/v.mp4",
        s3_region="eu-central-1",
        output_url_expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    )

    assert (job["status"], job["s3_bucket"], job["s3_key"], job["output_size"]) == (
        "completed",
        "videos",
        "2026/v.mp4",
        1234,
    )
    assert outcomes(queue, job_id) == ["completed"]


def test_fail__tries_again_later_and_later_then_fails(queue: Session) -> None:
    job_id, number = claim_one(queue, max_retries=2)
    waits = []
    for _ in range(2):
        job = row(
            queue, "fail_job", job_id=job_id, claim=number, error_code="fetch", error_message="No answer."
        )
        assert (job["status"], job["error_code"]) == ("pending", None)
        waits.append((datetime.fromisoformat(job["available_at"]) - datetime.now(UTC)).total_seconds())
        assert claim(queue) == []
        queue.execute("update jobs set available_at = now() where id = %s", (job_id,))
        number = claim(queue)[0]["claim"]

    failed = row(
        queue, "fail_job", job_id=job_id, claim=number, error_code="fetch", error_message="No answer."
    )

    assert 3 < waits[0] <= 10
    assert 8 < waits[1] <= 20
    assert (failed["status"], failed["retry_count"], failed["error_message"]) == ("failed", 2, "No answer.")
    assert outcomes(queue, job_id) == ["retried", "retried", "failed"]
    told = [event for event in rows(queue, "read_job_events", job_id=job_id) if event["data"].get("attempt")]
    assert [event["data"]["error_message"] for event in told] == ["No answer.", "No answer."]


def test_fail__for_good_when_the_failure_does_not_pass(queue: Session) -> None:
    job_id, number = claim_one(queue)

    job = row(
        queue,
        "fail_job",
        job_id=job_id,
        claim=number,
        error_code="bad",
        error_message="No video.",
        retryable=False,
    )

    assert (job["status"], job["retry_count"]) == ("failed", 0)


def test_fail__at_a_time_of_the_worker_s_choice(queue: Session) -> None:
    job_id, number = claim_one(queue)

    row(
        queue,
        "fail_job",
        job_id=job_id,
        claim=number,
        error_code="x",
        error_message="y",
        retry_in=timedelta(0),
    )

    assert [each["job"]["id"] for each in claim(queue)] == [job_id]


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"retry_in": timedelta(days=31)}, "retry_in"),
        ({"retry_in": -SECOND}, "retry_in"),
        ({"claim": None}, "claim"),
        ({"error_code": "x" * 101}, "error_code"),
        ({"error_message": "x" * 10001}, "error_message"),
        ({"error_details": {"x": "y" * 100_000}}, "error_details"),
    ],
)
def test_fail__names_a_bad_argument(queue: Session, arguments: dict[str, Any], argument: str) -> None:
    job_id, number = claim_one(queue)
    before = job_state(queue, job_id)

    with refused("invalid_argument") as refusal:
        row(
            queue,
            "fail_job",
            **{"job_id": job_id, "claim": number, "error_code": "x", "error_message": "y", **arguments},
        )

    assert list(refusal.problems) == [argument]
    assert job_state(queue, job_id) == before


def test_release__gives_the_job_back_at_once(queue: Session) -> None:
    job_id, number = claim_one(queue)

    job = row(queue, "release_job", job_id=job_id, claim=number)

    assert (job["status"], job["retry_count"]) == ("pending", 0)
    assert outcomes(queue, job_id) == ["released"]
    assert claim(queue)[0]["attempt"] == 2


def test_retry__begins_anew_with_all_retries(queue: Session) -> None:
    job_id, number = claim_one(queue, max_retries=0)
    row(queue, "fail_job", job_id=job_id, claim=number, error_code="x", error_message="y")

    job = row(queue, "retry_job", job_id=job_id, priority=7)

    assert (job["status"], job["retry_count"], job["priority"], job["error_code"]) == ("pending", 0, 7, None)


@pytest.mark.parametrize("ending", ["completed", "cancelled"])
def test_retry__is_refused_where_there_is_no_way_back(queue: Session, ending: str) -> None:
    job_id, number = claim_one(queue)
    row(queue, "update_job_status", job_id=job_id, status=ending, claim=number)

    with refused("invalid_transition"):
        row(queue, "retry_job", job_id=job_id)


def test_retry__is_refused_while_the_job_goes_on(queue: Session) -> None:
    with refused("job_not_finished"):
        row(queue, "retry_job", job_id=new_job(queue)["id"])


@pytest.mark.parametrize("how", ["release", "fail", "rescue", "retry", "set to pending"])
def test_job_that_waits_again__has_elements_as_new(queue: Session, how: str) -> None:
    sources = [{"type": "image", "source_url": f"https://example.com/{n}.png"} for n in range(3)]
    made = row(
        queue, "create_video_job", output_format="mp4", width=64, height=64, max_retries=3, elements=sources
    )
    job_id, (done, broken, untouched) = made["job"]["id"], made["elements"]
    ((number, job_id),) = [(each["claim"], each["job"]["id"]) for each in claim(queue)]
    state = {"downloaded": True, "processed": True, "local_path": "scratch/a.png", "source_size": 7}
    row(queue, "update_element_status", element_id=done["id"], claim=number, **state)
    row(queue, "update_element_status", element_id=broken["id"], claim=number, error_message="No answer.")
    before = rows(queue, "read_job_events", job_id=job_id)

    if how == "release":
        row(queue, "release_job", job_id=job_id, claim=number)
    elif how == "rescue":
        expire_leases(queue)
        rows(queue, "rescue_stalled_jobs")
    else:
        error = {"error_code": "x", "error_message": "y", "retryable": how == "fail"}
        row(queue, "fail_job", job_id=job_id, claim=number, **error)
    if how == "retry":
        row(queue, "retry_job", job_id=job_id)
    elif how == "set to pending":
        row(queue, "update_job_status", job_id=job_id, status="pending")

    elements = rows(queue, "get_job_elements", job_id=job_id)
    assert [each["processing_state"] for each in elements] == ["pending"] * 3
    changed = {"updated_at", "source_size"}
    assert [{**each, **dict.fromkeys(changed)} for each in elements] == [
        {**each, **dict.fromkeys(changed)} for each in (done, broken, untouched)
    ]
    # What the source is stays known.
    assert [each["source_size"] for each in elements] == [7, None, None]
    *_, status, first, second = rows(queue, "read_job_events", job_id=job_id)[len(before) :]
    assert (status["type"], status["status"]) == ("job.status", "pending")
    assert [
        (each["type"], each["data"]["element_id"], each["data"]["processing_state"])
        for each in (first, second)
    ] == [
        ("element.updated", done["id"], "pending"),
        ("element.updated", broken["id"], "pending"),
    ]


# Rescuing


def test_silent_worker__loses_its_job_to_the_next_that_claims(queue: Session) -> None:
    job_id, number = claim_one(queue)
    expire_leases(queue)

    (claimed,) = claim(queue, "another")

    assert (claimed["job"]["id"], claimed["attempt"], claimed["job"]["rescue_count"]) == (job_id, 2, 1)
    assert outcomes(queue, job_id) == ["rescued", None]
    assert rows(queue, "heartbeat_jobs", claims=[number])[0]["state"] == "lost"


def test_job_that_silences_its_workers__ends_in_timeout(queue: Session) -> None:
    job_id, _ = claim_one(queue)
    for _ in range(3):
        expire_leases(queue)
        assert len(claim(queue)) == 1
    expire_leases(queue)

    (ended,) = rows(queue, "rescue_stalled_jobs")

    assert (ended["id"], ended["status"], ended["error_code"]) == (job_id, "timeout", "worker_lost")
    assert outcomes(queue, job_id) == ["rescued", "rescued", "rescued", "timeout"]


def test_rescues_at_once__count_each_job_once(own_target: Target, queue: Session) -> None:
    jobs = {claim_one(queue)[0] for _ in range(40)}
    expire_leases(queue)

    def work(_: int) -> list[str]:
        with own_target.connect() as session:
            return [each["id"] for each in rows(session, "rescue_stalled_jobs", max_jobs=1000)]

    with ThreadPoolExecutor(8) as pool:
        rescued = [job_id for batch in pool.map(work, range(8)) for job_id in batch]

    assert sorted(rescued) == sorted(jobs)
    assert {job_state(queue, job_id)["rescue_count"] for job_id in jobs} == {1}


# Calling off and pausing


def test_cancel__of_a_claimed_job_ends_its_claim(queue: Session) -> None:
    job_id, number = claim_one(queue)

    job = row(queue, "cancel_job", job_id=job_id, reason="Not needed.")

    assert (job["status"], job["error_code"], job["error_message"]) == (
        "cancelled",
        "cancelled",
        "Not needed.",
    )
    assert outcomes(queue, job_id) == ["cancelled"]
    with refused("lease_lost"):
        row(queue, "complete_job", job_id=job_id, claim=number)
    assert row(queue, "cancel_job", job_id=job_id, reason="Again.")["error_message"] == "Not needed."


def test_cancel__of_a_completed_job_is_refused(queue: Session) -> None:
    job_id, number = claim_one(queue)
    row(queue, "complete_job", job_id=job_id, claim=number)

    with refused("invalid_transition"):
        row(queue, "cancel_job", job_id=job_id)


def test_paused_job__is_not_claimed_until_it_is_resumed(queue: Session) -> None:
    job_id = new_job(queue)["id"]
    row(queue, "pause_job", job_id=job_id)

    assert claim(queue) == []
    row(queue, "resume_job", job_id=job_id)
    assert [each["job"]["id"] for each in claim(queue)] == [job_id]
    kinds = [event["type"] for event in rows(queue, "read_job_events", job_id=job_id)]
    assert kinds == ["job.created", "job.paused", "job.resumed", "job.status"]


def test_pause__of_a_job_that_has_ended_is_refused(queue: Session) -> None:
    job_id = new_job(queue)["id"]
    row(queue, "cancel_job", job_id=job_id)

    with refused("job_finished"):
        row(queue, "pause_job", job_id=job_id)


def test_paused_queue__lets_nobody_claim_and_what_runs_go_on(queue: Session) -> None:
    job_id, number = claim_one(queue)
    new_job(queue)

    paused = row(queue, "pause_queue")

    assert (paused["paused"], paused["waiting"], paused["running"]) == (True, 1, 1)
    assert claim(queue) == []
    assert row(queue, "complete_job", job_id=job_id, claim=number)["status"] == "completed"
    assert row(queue, "resume_queue")["paused"] is False
    assert len(claim(queue)) == 1
    audited = queue.execute("select event_type from security_events order by id").fetchall()
    assert audited == [("audit.queue_paused",), ("audit.queue_resumed",)]


def test_change_of_status_on_another_path__ends_the_claim(queue: Session) -> None:
    """A backend may still update the table; the claim never outlives the processing."""
    job_id, _ = claim_one(queue)

    queue.execute("update jobs set status = 'failed', error_message = 'By hand.' where id = %s", (job_id,))

    assert outcomes(queue, job_id) == ["failed"]
