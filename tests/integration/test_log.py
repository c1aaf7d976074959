"""The log of all jobs and its consumers: nothing skipped, one instance at a time."""

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from sql import Session, acting, new_job, refused, row, rows
from support import Target

pytestmark = pytest.mark.local_stack


@pytest.fixture
def log(own_target: Target) -> Iterator[Session]:
    """A session of the owner on a database whose log is empty."""
    with own_target.connect() as session:
        yield session


def read_on(session: Session, after: str | None = None, **arguments: Any) -> tuple[list[dict[str, Any]], str]:
    """All events after a cursor, and where to go on."""
    found: list[dict[str, Any]] = []
    while True:
        page = row(session, "read_events", after=after, **arguments)
        found += page["items"]
        after = page["next_cursor"]
        if not page["more"]:
            return found, after


def test_read__goes_through_the_whole_log_in_pages(log: Session) -> None:
    jobs = [new_job(log)["id"] for _ in range(5)]
    for job_id in jobs:
        row(log, "cancel_job", job_id=job_id)

    whole, end = read_on(log)
    in_pages, _ = read_on(log, max_events=3)

    assert [event["job_id"] for event in whole] == [*jobs, *jobs]
    assert in_pages == whole
    assert read_on(log, end)[0] == []
    job_id = new_job(log)["id"]
    assert [event["job_id"] for event in read_on(log, end)[0]] == [job_id]


def test_cursor_of_now__leaves_out_what_was_before(log: Session) -> None:
    new_job(log)
    (now,) = rows(log, "get_event_cursor")
    after = new_job(log)["id"]

    assert [event["job_id"] for event in read_on(log, now)[0]] == [after]


def test_read__can_be_narrowed(log: Session) -> None:
    user_id = str(uuid4())
    mine, other = new_job(log, user_id=user_id)["id"], new_job(log)["id"]
    for job_id in (mine, other):
        row(log, "update_job_status", job_id=job_id, status="processing")

    of_user, _ = read_on(log, user_id=user_id)
    of_type, _ = read_on(log, types=["job.created"])
    of_status, _ = read_on(log, status=["processing"])

    assert [(event["job_id"], event["type"]) for event in of_user] == [
        (mine, "job.created"),
        (mine, "job.status"),
    ]
    assert [event["job_id"] for event in of_type] == [mine, other]
    assert {event["status"] for event in of_status} == {"processing"}


def test_late_commit__is_never_skipped(own_target: Target, log: Session) -> None:
    """An event that was written first and commits last: the read ends before it, and then begins with it."""
    with own_target.connect() as slow, slow.transaction():
        late = new_job(slow)["id"]
        early = new_job(log)["id"]
        before, cursor = read_on(log)
        assert before == []
    after, _ = read_on(log, cursor)

    assert [event["job_id"] for event in after] == [late, early]


def test_reader_among_writers__gets_every_event_once_and_each_job_s_in_order(
    own_target: Target, log: Session
) -> None:
    done = threading.Event()

    def write(number: int) -> None:
        with own_target.connect() as session:
            for _ in range(15):
                with session.transaction(force_rollback=number == 3):
                    job_id = new_job(session)["id"]
                    row(session, "add_job_element", job_id=job_id, type="text", text_content="x")
                    row(session, "cancel_job", job_id=job_id)

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = None
        with own_target.connect() as session:
            while True:
                last_turn = done.is_set()
                page, cursor = read_on(session, cursor, max_events=7)
                found += page
                if last_turn:
                    return found

    with ThreadPoolExecutor(7) as pool:
        reading = pool.submit(read)
        list(pool.map(write, range(6)))
        done.set()
        seen = reading.result()

    everything = {each for (each,) in log.execute("select id from job_events").fetchall()}
    assert len(seen) == len(everything) == 5 * 15 * 3
    assert {event["id"] for event in seen} == everything
    for job_id in {event["job_id"] for event in seen}:
        assert [event["seq"] for event in seen if event["job_id"] == job_id] == [1, 2, 3]


@pytest.mark.parametrize("cursor", ["", "x", "WyJqb2JzIl0", "WyJldmVudHMiLCJ4IiwieSJd", "é"])
def test_cursor_of_something_else__is_refused(log: Session, cursor: str) -> None:
    with refused("invalid_cursor"):
        rows(log, "read_events", after=cursor)


@pytest.mark.parametrize("number", [0, 1001, None])
def test_number_of_events__is_limited(log: Session, number: int | None) -> None:
    with refused("invalid_argument") as refusal:
        rows(log, "read_events", max_events=number)
    assert list(refusal.problems) == ["max_events"]


def test_actors__read_what_they_may_see(log: Session) -> None:
    user_id = str(uuid4())
    mine, other = new_job(log, user_id=user_id)["id"], new_job(log)["id"]

    def seen_by(role: str, claims: dict[str, object]) -> set[str]:
        with acting(log, role, claims):
            return {event["job_id"] for event in row(log, "read_events")["items"]}

    assert seen_by("authenticated", {"sub": user_id}) == {mine}
    assert seen_by("authenticated", {"sub": str(uuid4())}) == set()
    assert seen_by("anon", {"watch_job_id": other}) == {other}
    assert seen_by("authenticated", {"sub": user_id, "watch_job_id": other}) == {other}
    assert seen_by("anon", {}) == set()
    assert seen_by("authenticated", {"sub": str(uuid4()), "app_metadata": {"role": "service_account"}}) == {
        mine,
        other,
    }
    assert seen_by("service_role", {}) == {mine, other}


# Consumers


def acquire(session: Session, holder: str = "one", **arguments: Any) -> dict[str, Any]:
    return row(session, "acquire_event_consumer", **{"name": "mailer", "holder": holder, **arguments})


def test_consumer__resumes_where_it_committed(log: Session) -> None:
    first = new_job(log)["id"]
    consumer = acquire(log)
    events, cursor = read_on(log, consumer["cursor"])
    row(log, "commit_event_consumer", name="mailer", lease=consumer["lease"], cursor=cursor)
    row(log, "release_event_consumer", name="mailer", lease=consumer["lease"])
    second = new_job(log)["id"]

    again = acquire(log, "two")

    assert [event["job_id"] for event in events] == [first]
    assert again["lease"] > consumer["lease"]
    assert [event["job_id"] for event in read_on(log, again["cursor"])[0]] == [second]


def test_new_consumer__can_begin_now(log: Session) -> None:
    new_job(log)
    (now,) = rows(log, "get_event_cursor")

    assert read_on(log, acquire(log, start=now)["cursor"])[0] == []
    assert len(read_on(log, acquire(log, name="other")["cursor"])[0]) == 1


def test_one_instance__holds_the_lease(own_target: Target, log: Session) -> None:
    def try_to(number: int) -> str | None:
        with own_target.connect() as session:
            try:
                return str(acquire(session, f"instance {number}")["holder"])
            except Exception as error:  # noqa: BLE001  told apart below
                assert "is held by" in str(error)  # noqa: PT017
                return None

    with ThreadPoolExecutor(8) as pool:
        holders = [holder for holder in pool.map(try_to, range(16)) if holder]

    assert len(holders) == 1
    with refused("consumer_busy") as refusal:
        acquire(log, "late")
    assert refusal.details["holder"] == holders[0]


def test_expired_lease__goes_to_the_next_and_the_former_holder_can_do_nothing(log: Session) -> None:
    former = acquire(log)
    log.execute("update event_consumers set lease_expires_at = now() - interval '1 second'")
    acquire(log, "two")

    for function in ("commit_event_consumer", "release_event_consumer"):
        with refused("lease_lost") as refusal:
            row(log, function, name="mailer", lease=former["lease"])
        assert refusal.details["holder"] == "two"


def test_commit__goes_forward_only_and_seek_back_on_purpose(log: Session) -> None:
    for _ in range(3):
        new_job(log)
    consumer = acquire(log)
    early = row(log, "read_events", max_events=1)["next_cursor"]
    late = row(log, "read_events", max_events=2)["next_cursor"]
    lease = consumer["lease"]
    row(log, "commit_event_consumer", name="mailer", lease=lease, cursor=late)

    with refused("cursor_behind"):
        row(log, "commit_event_consumer", name="mailer", lease=lease, cursor=early)
    held = row(log, "commit_event_consumer", name="mailer", lease=lease, lease_time=timedelta(hours=1))
    assert held["cursor"] == late
    moved = row(log, "seek_event_consumer", name="mailer", cursor=early)
    assert (moved["cursor"], moved["holder"]) == (early, None)
    with refused("lease_lost"):
        row(log, "commit_event_consumer", name="mailer", lease=lease, cursor=late)


def test_commit__of_an_event_is_of_all_before_it(log: Session) -> None:
    jobs = [new_job(log)["id"] for _ in range(3)]
    events, _ = read_on(log)
    lease = acquire(log)["lease"]

    committed = row(log, "commit_event_consumer", name="mailer", lease=lease, event_id=events[1]["id"])

    assert [event["job_id"] for event in read_on(log, committed["cursor"])[0]] == jobs[2:]
    again = row(log, "commit_event_consumer", name="mailer", lease=lease, event_id=events[1]["id"])
    assert again["cursor"] == committed["cursor"]
    with refused("cursor_behind"):
        row(log, "commit_event_consumer", name="mailer", lease=lease, event_id=events[0]["id"])
    with refused("lease_lost"):
        row(log, "commit_event_consumer", name="mailer", lease=lease - 1, event_id=events[2]["id"])


def test_commit__of_an_event_that_is_gone_names_it(log: Session) -> None:
    job_id = new_job(log)["id"]
    (event,), cursor = read_on(log)
    lease = acquire(log)["lease"]
    row(log, "cancel_job", job_id=job_id)
    row(log, "delete_job", job_id=job_id)

    with refused("not_found") as refusal:
        row(log, "commit_event_consumer", name="mailer", lease=lease, event_id=event["id"])

    assert refusal.details["event_id"] == event["id"]
    with refused("invalid_argument") as refusal:
        row(log, "commit_event_consumer", name="mailer", lease=lease, event_id=event["id"], cursor=cursor)
    assert refusal.problems == {"event_id": "cannot be given with a cursor"}
    row(log, "commit_event_consumer", name="mailer", lease=lease, cursor=cursor)


def test_event_that_is_ahead_of_the_readable_log__cannot_be_committed(
    own_target: Target, log: Session
) -> None:
    """What an open transaction has written before it is still to come."""
    lease = acquire(log)["lease"]
    with own_target.connect() as slow, slow.transaction():
        new_job(slow)
        job_id = new_job(log)["id"]
        (event,) = rows(log, "read_job_events", job_id=job_id)
        for function, arguments in (
            ("commit_event_consumer", {}),
            ("dead_letter_event", {"attempts": 1, "error": "It broke."}),
        ):
            with refused("invalid_argument") as refusal:
                row(log, function, name="mailer", lease=lease, event_id=event["id"], **arguments)
            assert list(refusal.problems) == ["event_id"]


# Dead letters


def give_up(session: Session, event: dict[str, Any], lease: int, **arguments: Any) -> dict[str, Any]:
    given = {"attempts": 8, "error": "It broke.", **arguments}
    return row(session, "dead_letter_event", name="mailer", lease=lease, event_id=event["id"], **given)


def test_dead_letter__is_kept_and_committed_at_once(log: Session) -> None:
    job_id = new_job(log)["id"]
    second = new_job(log)["id"]
    events, _ = read_on(log)
    lease = acquire(log)["lease"]

    consumer = give_up(log, events[0], lease)

    assert [event["job_id"] for event in read_on(log, consumer["cursor"])[0]] == [second]
    row(log, "cancel_job", job_id=job_id)
    row(log, "delete_job", job_id=job_id)
    (letter,) = row(log, "list_event_dead_letters", consumer="mailer")["items"]
    assert (letter["event"], letter["attempts"], letter["error"]) == (events[0], 8, "It broke.")
    assert row(log, "delete_event_dead_letter", consumer="mailer", event_id=events[0]["id"]) == letter
    with refused("not_found"):
        row(log, "delete_event_dead_letter", consumer="mailer", event_id=events[0]["id"])


def test_dead_letter__takes_the_lease_and_is_not_kept_without(log: Session) -> None:
    new_job(log)
    (event,), end = read_on(log)
    lease = acquire(log)["lease"]

    with refused("lease_lost"):
        give_up(log, event, lease + 1)
    row(log, "commit_event_consumer", name="mailer", lease=lease, cursor=end)
    with refused("cursor_behind"):
        give_up(log, event, lease)

    assert row(log, "list_event_dead_letters")["items"] == []


def test_dead_letter__of_an_event_given_up_again_is_the_newer_one(log: Session) -> None:
    new_job(log)
    (event,), _ = read_on(log)
    give_up(log, event, acquire(log)["lease"], attempts=3)
    row(log, "seek_event_consumer", name="mailer")
    give_up(log, event, acquire(log)["lease"], attempts=2, error="Again.")

    (letter,) = row(log, "list_event_dead_letters")["items"]

    assert (letter["attempts"], letter["error"]) == (2, "Again.")


def test_dead_letters__are_listed_in_pages_and_go_with_their_consumer(log: Session) -> None:
    for _ in range(5):
        new_job(log)
    events, _ = read_on(log)
    lease = acquire(log)["lease"]
    for event in events:
        give_up(log, event, lease)
    acquire(log, name="archive")

    listed: list[int] = []
    cursor = None
    while True:
        page = row(log, "list_event_dead_letters", page_size=2, cursor=cursor)
        listed += [letter["event_id"] for letter in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break

    assert listed == [event["id"] for event in events]
    assert row(log, "list_event_dead_letters", consumer="archive")["items"] == []
    row(log, "delete_event_consumer", name="mailer")
    assert row(log, "list_event_dead_letters")["items"] == []


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"attempts": 0}, "attempts"),
        ({"attempts": None}, "attempts"),
        ({"error": ""}, "error"),
        ({"error": None}, "error"),
        ({"error": "x" * 2001}, "error"),
        ({"lease_time": timedelta(0)}, "lease"),
    ],
)
def test_dead_letter__names_a_bad_argument(log: Session, arguments: dict[str, Any], argument: str) -> None:
    new_job(log)
    (event,), _ = read_on(log)
    with refused("invalid_argument") as refusal:
        give_up(log, event, acquire(log)["lease"], **arguments)
    assert list(refusal.problems) == [argument]


def test_consumers__are_listed_and_forgotten(log: Session) -> None:
    acquire(log)
    acquire(log, name="archive")

    assert [consumer["name"] for consumer in rows(log, "list_event_consumers")] == ["archive", "mailer"]
    row(log, "delete_event_consumer", name="mailer")
    assert [consumer["name"] for consumer in rows(log, "list_event_consumers")] == ["archive"]
    with refused("not_found"):
        row(log, "delete_event_consumer", name="mailer")


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"name": "a b"}, "name"),
        ({"holder": None}, "holder"),
        ({"holder": "x" * 201}, "holder"),
        ({"lease_time": timedelta(0)}, "lease"),
    ],
)
def test_consumer__names_a_bad_argument(log: Session, arguments: dict[str, Any], argument: str) -> None:
    with refused("invalid_argument") as refusal:
        acquire(log, **arguments)
    assert list(refusal.problems) == [argument]


@pytest.mark.parametrize(
    "function", ["list_event_consumers", "acquire_event_consumer", "seek_event_consumer"]
)
def test_consumers__are_for_backends(log: Session, function: str) -> None:
    arguments = {} if function.startswith("list") else {"name": "mailer"}
    arguments |= {"holder": "me"} if function.startswith("acquire") else {}
    with refused("permission_denied"), acting(log, "authenticated", {"sub": str(uuid4())}):
        rows(log, function, **arguments)


# Broadcast


def test_events__are_broadcast_where_the_setting_says_so(log: Session) -> None:
    user_id = uuid4()
    quiet = new_job(log, user_id=user_id)["id"]
    log.execute("update private.settings set value = 'true' where name = 'broadcast_job_events'")
    loud = new_job(log, user_id=user_id)["id"]

    sent = log.execute(
        "select topic, event, private, payload ->> 'job_id' from realtime.messages order by topic"
    ).fetchall()

    assert sent == [
        (f"job:{loud}", "job.created", True, loud),
        (f"user:{user_id}", "job.created", True, loud),
    ]
    assert UUID(quiet)


def test_topics__are_heard_by_those_who_see_the_job(log: Session) -> None:
    user_id = str(uuid4())
    job_id = new_job(log, user_id=user_id)["id"]

    def hears(role: str, claims: dict[str, object], topic: str) -> bool:
        with acting(log, role, claims):
            found = log.execute("select private.may_listen(%s)", (topic,)).fetchone()
        assert found is not None
        return bool(found[0])

    owner, stranger = {"sub": user_id}, {"sub": str(uuid4())}
    assert hears("authenticated", owner, f"job:{job_id}")
    assert hears("authenticated", owner, f"user:{user_id}")
    assert not hears("authenticated", stranger, f"job:{job_id}")
    assert not hears("authenticated", stranger, f"user:{user_id}")
    assert hears("anon", {"watch_job_id": job_id}, f"job:{job_id}")
    assert not hears("authenticated", {**owner, "watch_job_id": str(uuid4())}, f"user:{user_id}")
    for topic in ("job:", "job:x", "", "user", f"team:{user_id}", f"job:{job_id}:more"):
        assert not hears("authenticated", owner, topic)


def test_log_of_a_job__is_read_by_type(log: Session) -> None:
    job_id = new_job(log)["id"]
    row(log, "update_job_status", job_id=job_id, status="processing")
    for percent in (1, 2, 3):
        row(log, "update_job_progress", job_id=job_id, progress_percentage=percent)

    found = rows(log, "read_job_events", job_id=job_id, types=["job.progress"])

    assert [event["seq"] for event in found] == [3, 4, 5]


def test_transaction_that_began_first_and_came_late__keeps_each_job_s_order(
    own_target: Target, log: Session
) -> None:
    early, late = new_job(log)["id"], new_job(log)["id"]
    with own_target.connect() as first, first.transaction():
        row(first, "pause_job", job_id=early)
        row(log, "pause_job", job_id=late)
        row(first, "resume_job", job_id=late)

    events, _ = read_on(log)

    assert [event["seq"] for event in events if event["job_id"] == late] == [1, 2, 3]


def test_types_that_no_event_has__are_refused(log: Session) -> None:
    job_id = new_job(log)["id"]
    for function, arguments in (("read_events", {}), ("read_job_events", {"job_id": job_id})):
        with refused("invalid_argument") as refusal:
            rows(log, function, **arguments, types=["job.created", "job.craeted"])
        assert list(refusal.problems) == ["types"]


def test_place_beyond_the_log__is_no_consumer_s(log: Session) -> None:
    beyond = base64.urlsafe_b64encode(b'["events", "9999999999", "5"]').decode().rstrip("=")
    consumer = acquire(log)

    for function, arguments in (
        ("commit_event_consumer", {"name": "mailer", "lease": consumer["lease"]}),
        ("seek_event_consumer", {"name": "mailer"}),
    ):
        with refused("invalid_cursor"):
            row(log, function, **arguments, cursor=beyond)
    with refused("invalid_cursor"):
        acquire(log, name="other", start=beyond)


def test_place_beyond_the_log__is_of_another_database_and_not_waited_for(log: Session) -> None:
    """Else a reader would wait, in silence, for numbers that come in years."""
    for name, function in (("events", "read_events"), ("system_event_log", "read_system_events")):
        beyond = base64.urlsafe_b64encode(f'["{name}", "9999999999", "5"]'.encode()).decode().rstrip("=")
        with refused("invalid_cursor"):
            rows(log, function, after=beyond)


@pytest.mark.parametrize("cursor", ['["events", null, null]', "[" * 100_000])
def test_cursor_that_was_tampered_with__is_refused(log: Session, cursor: str) -> None:
    with refused("invalid_cursor"):
        rows(log, "read_events", after=base64.urlsafe_b64encode(cursor.encode()).decode().rstrip("="))
