"""Creating jobs: many in one call, idempotency keys, bad arguments by name."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from sql import Session, acting, job_state, new_job, refused, row, rows
from support import Target

VIDEO = {"output_format": "mp4", "width": 64, "height": 64}
TEXT = {"type": "text", "text_content": "Hello"}


def seconds(session: Session, query: LiteralString, *parameters: Any) -> float:
    """How long the server takes for a query."""
    begin = time.perf_counter()
    session.execute(query, parameters)
    return time.perf_counter() - begin


def key() -> str:
    return f"key {uuid4()}"


# Idempotency


def test_key_given_again__returns_the_first_job_and_says_so(database: Session) -> None:
    mine = key()
    first = new_job(database, idempotency_key=mine, metadata={"b": 1, "a": [2]})

    again = new_job(database, idempotency_key=mine, metadata={"a": [2], "b": 1})

    assert (first["replays"], again["replays"]) == (0, 1)
    assert {**again, "replays": 0, "updated_at": first["updated_at"]} == first


def test_key_given_again__also_when_the_job_has_gone_on(database: Session) -> None:
    mine = key()
    job_id = new_job(database, idempotency_key=mine)["id"]
    row(database, "cancel_job", job_id=job_id)

    again = new_job(database, idempotency_key=mine)

    assert (again["id"], again["status"], again["replays"]) == (job_id, "cancelled", 1)


@pytest.mark.parametrize(
    "other",
    [
        {"width": 65},
        {"metadata": {"a": 1}},
        {"user_id": uuid4()},
        {"priority": 1},
    ],
)
def test_key_with_another_request__is_a_conflict(database: Session, other: dict[str, Any]) -> None:
    mine = key()
    first = new_job(database, idempotency_key=mine)

    with refused("idempotency_conflict") as refusal:
        new_job(database, idempotency_key=mine, **other)

    assert refusal.status == "409"
    assert refusal.details["idempotency_key"] == mine
    assert job_state(database, first["id"]) == first


def test_key_given_again__from_another_network_and_in_other_digits(database: Session) -> None:
    mine = key()
    first = new_job(database, idempotency_key=mine, client_ip="203.0.113.1", estimated_duration=5)

    again = new_job(
        database, idempotency_key=mine, client_ip="203.0.113.2", estimated_duration=Decimal("5.0")
    )

    assert again["id"] == first["id"]


def test_same_key_at_once__makes_one_job(target: Target) -> None:
    mine = key()

    def create(_: int) -> dict[str, Any]:
        with target.connect() as session:
            return new_job(session, idempotency_key=mine)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(24)))

    assert len({job["id"] for job in made}) == 1
    assert sorted(job["replays"] for job in made) == list(range(24))


def test_key_of_a_creation_that_was_undone__is_free_again(database: Session) -> None:
    mine = key()
    with database.transaction(force_rollback=True):
        undone = new_job(database, idempotency_key=mine)

    assert new_job(database, idempotency_key=mine)["id"] != undone["id"]


def test_key_of_a_deleted_job__is_free_again(database: Session) -> None:
    mine = key()
    job_id = new_job(database, idempotency_key=mine)["id"]
    row(database, "delete_job", job_id=job_id, force=True)

    assert new_job(database, idempotency_key=mine)["id"] != job_id


def test_keys__of_different_callers_do_not_meet(database: Session) -> None:
    mine = key()
    made = [new_job(database, idempotency_key=mine)["id"]]
    for _ in range(2):
        with acting(database, "authenticated", {"sub": str(uuid4())}):
            made.append(new_job(database, idempotency_key=mine)["id"])

    assert len(set(made)) == 3


def test_video_with_a_key__is_made_once_with_its_elements(database: Session) -> None:
    mine = key()
    arguments = {**VIDEO, "elements": [TEXT, TEXT], "idempotency_key": mine}
    first = row(database, "create_video_job", **arguments)

    again = row(database, "create_video_job", **arguments)

    assert again["elements"] == first["elements"]
    assert again["step"] == first["step"]
    assert again["job"]["replays"] == 1
    with refused("idempotency_conflict"):
        row(database, "create_video_job", **{**arguments, "elements": [TEXT]})


# Many


def test_create_jobs__makes_all_in_the_order_given(database: Session) -> None:
    given = [{**VIDEO, "width": 64 + number, "elements": [TEXT] * (number % 3)} for number in range(1, 60)]
    given = [{name: value for name, value in each.items() if value != []} for each in given]

    made = rows(database, "create_jobs", jobs=given)

    assert [job["width"] for job in made] == [each["width"] for each in given]
    for job, each in zip(made, given, strict=True):
        elements = rows(database, "get_job_elements", job_id=job["id"])
        assert len(elements) == len(each.get("elements", ()))
    assert job_state(database, made[1]["id"])["event_seq"] == 4  # created, two elements, the first step


def test_create_jobs__refuses_all_and_names_every_problem(database: Session) -> None:
    user_id = str(uuid4())
    given = [
        {**VIDEO, "user_id": user_id},
        {
            "output_format": "avi",
            "width": "wide",
            "user_id": user_id,
            "colour": "red",
            "response_type": "later",
        },
        {**VIDEO, "user_id": user_id, "metadata": [], "client_ip": "here", "available_at": "soon"},
        7,
    ]

    with refused("invalid_argument") as refusal:
        rows(database, "create_jobs", jobs=given)

    assert refusal.problems == {
        "jobs[1].colour": "is not known",
        "jobs[1].height": "is required",
        "jobs[1].output_format": "must be mp4, mov, webm or gif",
        "jobs[1].response_type": "must be one of immediate, async",
        "jobs[1].width": "must be a whole number that fits integer",
        "jobs[2].available_at": "must be a time, as ISO 8601 writes it",
        "jobs[2].client_ip": "must be an IP address",
        "jobs[2].metadata": "must be a plain JSON object of at most 64 KiB",
        "jobs[3]": "must be a JSON object",
    }
    assert row(database, "list_jobs", user_id=user_id)["items"] == []


def test_create_jobs__names_the_element_of_the_job(database: Session) -> None:
    with refused("invalid_argument") as refusal:
        rows(database, "create_jobs", jobs=[VIDEO, {**VIDEO, "elements": [TEXT, {"type": "video"}]}])
    assert list(refusal.problems) == ["jobs[1].elements[1].type"]


@pytest.mark.parametrize("jobs", [None, "7", "{}", "[]", json.dumps([VIDEO] * 501)])
def test_create_jobs__takes_a_list_of_a_sensible_length(database: Session, jobs: str | None) -> None:
    with refused("invalid_argument") as refusal:
        rows(database, "create_jobs", jobs=jobs)
    assert refusal.problems == {"jobs": "must be a JSON array of 1 to 500 items"}


def test_create_jobs__with_keys_returns_the_old_next_to_the_new(database: Session) -> None:
    keys = [key() for _ in range(3)]
    old = new_job(database, idempotency_key=keys[1])

    made = rows(
        database, "create_jobs", jobs=[{**VIDEO, "idempotency_key": each} for each in [*keys, keys[0]]]
    )

    assert made[1]["id"] == old["id"]
    assert made[3]["id"] == made[0]["id"]
    assert len({job["id"] for job in made}) == 3
    with refused("idempotency_conflict") as refusal:
        rows(database, "create_jobs", jobs=[VIDEO, {**VIDEO, "fps": 5, "idempotency_key": keys[2]}])
    assert refusal.details["argument"] == "jobs[1].idempotency_key"


def test_many_creations_with_the_same_keys_at_once__do_not_deadlock(target: Target) -> None:
    keys = [key() for _ in range(12)]

    def create(number: int) -> list[str]:
        order = keys if number % 2 else keys[::-1]
        with target.connect() as session:
            made = rows(session, "create_jobs", jobs=[{**VIDEO, "idempotency_key": each} for each in order])
        return sorted(job["id"] for job in made)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(24)))

    assert len(set(map(tuple, made))) == 1


# Identity and arguments


def test_user__decides_neither_owner_nor_place_in_the_queue(database: Session) -> None:
    user_id = uuid4()
    with acting(database, "authenticated", {"sub": str(user_id)}):
        job = new_job(
            database,
            user_id=uuid4(),
            client_ip="203.0.113.1",
            priority=100,
            max_retries=50,
            available_at=datetime(2020, 1, 1, tzinfo=UTC),
        )

    assert (job["user_id"], job["client_ip"], job["priority"], job["max_retries"]) == (
        str(user_id),
        None,
        0,
        3,
    )
    assert datetime.fromisoformat(job["available_at"]) > datetime.now(UTC) - timedelta(hours=1)


@pytest.mark.parametrize(
    "claims",
    [{"role": "authenticated"}, {"role": "authenticated", "sub": str(uuid4()), "watch_job_id": str(uuid4())}],
)
def test_token_that_is_no_user_s__creates_nothing(database: Session, claims: dict[str, str]) -> None:
    with refused("permission_denied"), acting(database, claims["role"], claims):
        new_job(database)


def test_anonymous_without_an_address__creates_nothing(database: Session) -> None:
    with refused("client_unknown"), acting(database, "anon", {}):
        new_job(database)


@pytest.mark.local_stack
async def test_anonymous__is_held_to_the_rate_limit(own_target: Target) -> None:
    with own_target.connect() as session:
        session.execute("update private.settings set value = '5' where name = 'anonymous_jobs_per_hour'")
    async with httpx.AsyncClient(
        base_url=f"{own_target.url}/rest/v1/rpc", headers={"apikey": own_target.anon_key}
    ) as client:
        keys = ["first", None, None, None, None, None]
        answers = [await client.post("/create_job", json={**VIDEO, "idempotency_key": key}) for key in keys]
        many = await client.post("/create_jobs", json={"jobs": [VIDEO]})
        again = await client.post("/create_job", json={**VIDEO, "idempotency_key": "first"})

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert many.status_code == 429
    assert again.json()["id"] == answers[0].json()["id"]  # what is there already takes nothing from the limit
    details = json.loads(answers[-1].json()["details"])
    assert details["error"] == "rate_limited"
    assert 0 < details["retry_after"] <= 3600
    async with own_target.service() as backend:
        assert await backend.jobs.create("mp4", 64, 64)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"width": None}, "width"),
        ({"width": -1}, "width"),
        ({"width": 2**31 - 1}, "width"),
        ({"fps": "NaN"}, "fps"),
        ({"fps": 0}, "fps"),
        ({"estimated_duration": "Infinity"}, "estimated_duration"),
        ({"output_format": ""}, "output_format"),
        ({"output_format": None}, "output_format"),
        ({"client_ip": "10.0.0.0/8"}, "client_ip"),
        ({"user_agent": "x" * 1025}, "user_agent"),
        ({"priority": 1001}, "priority"),
        ({"max_retries": -1}, "max_retries"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 201}, "idempotency_key"),
        ({"metadata": "7"}, "metadata"),
        ({"metadata": {"x": "y" * 10_000_000}}, "metadata"),
        ({"request_body": "[]"}, "request_body"),
    ],
)
def test_bad_argument__is_named(database: Session, arguments: dict[str, Any], argument: str) -> None:
    with refused("invalid_argument") as refusal:
        new_job(database, **arguments)
    assert list(refusal.problems) == [argument]


MANY = {"x": list(range(1_100_000))}


@pytest.mark.parametrize(
    ("function", "arguments", "argument"),
    [
        ("create_job", {**VIDEO, "metadata": MANY}, "metadata"),
        ("create_job", {**VIDEO, "request_body": MANY}, "request_body"),
        ("create_video_job", {**VIDEO, "elements": [TEXT], "metadata": MANY}, "metadata"),
        ("create_video_job", {**VIDEO, "elements": [{**TEXT, "metadata": MANY}]}, "elements[0].metadata"),
        ("create_jobs", {"jobs": [VIDEO, {**VIDEO, "metadata": MANY}]}, "jobs[1].metadata"),
        (
            "create_jobs",
            {"jobs": [{**VIDEO, "elements": [{**TEXT, "text_style": MANY}]}]},
            "jobs[0].elements[0].text_style",
        ),
    ],
)
def test_far_too_large__is_refused_without_much_work(
    database: Session, function: str, arguments: dict[str, Any], argument: str
) -> None:
    # How long it takes to read what comes is the measure.
    longest = max(seconds(database, "select %s::jsonb is null", Jsonb(arguments)) for _ in range(3))
    database.execute(
        sql.SQL("set statement_timeout = {}").format(sql.Literal(f"{1000 * (3 * longest + 0.5):.0f}ms"))
    )

    with refused("invalid_argument") as refusal:
        rows(database, function, **arguments)

    assert list(refusal.problems) == [argument]
    assert refusal.problems[argument].startswith("must be a plain JSON object of at most ")


def test_far_too_large__is_named_with_all_else_that_is_wrong(database: Session) -> None:
    large = {"x": "y" * 2_000_000}
    jobs = [
        {**VIDEO, "metadata": large, "width": 1},
        7,
        {**VIDEO, "request_body": large, "elements": [{"metadata": large}, "x"]},
    ]

    with refused("invalid_argument") as refusal:
        rows(database, "create_jobs", jobs=jobs)

    assert set(refusal.problems) == {
        "jobs[0].metadata",
        "jobs[0].width",
        "jobs[1]",
        "jobs[2].request_body",
    }


def test_large__as_the_rule_allows_is_taken(database: Session) -> None:
    metadata, request_body = {"x": "y" * 65_000}, {"x": "y" * 1_048_000}

    made = new_job(database, metadata=metadata, request_body=request_body)

    assert (made["metadata"], made["request_body"]) == (metadata, request_body)


@pytest.mark.parametrize("column", ["request_body", "metadata", "error_details"])
def test_json_of_a_job__is_judged_when_it_is_written_and_not_again(own_target: Target, column: str) -> None:
    update = sql.SQL("update jobs set {} = '[]' where id = %s").format(sql.Identifier(column))
    with own_target.connect() as session:
        job_id = new_job(session)["id"]
        with pytest.raises(psycopg.errors.CheckViolation) as caught:
            session.execute(update, (job_id,))
        session.execute("alter table jobs disable trigger user")
        session.execute(update, (job_id,))
        session.execute("alter table jobs enable trigger user")

        # What says nothing of it does not look at it: a large one takes long.
        session.execute("update jobs set event_seq = event_seq + 1 where id = %s", (job_id,))

    assert caught.value.diag.constraint_name == f"jobs_{column}_is_object"
    assert (caught.value.diag.schema_name, caught.value.diag.table_name) == ("public", "jobs")


# Deleting


@pytest.mark.parametrize("force", [False, True])
def test_delete__takes_all_that_belongs_to_the_job_and_leaves_an_audit(
    database: Session, force: bool
) -> None:
    made = row(database, "create_video_job", **VIDEO, elements=[TEXT])
    job_id = made["job"]["id"]
    if not force:
        row(database, "cancel_job", job_id=job_id)

    deleted = row(database, "delete_job", job_id=job_id, force=force)

    assert deleted["id"] == job_id
    for table in (
        "jobs where id",
        "elements where job_id",
        "processing_timeline where job_id",
        "job_events where job_id",
    ):
        assert database.execute(f"select count(*) from {table} = %s".encode(), (job_id,)).fetchone() == (0,)  # noqa: S608
    audit = database.execute(
        "select event_type, details ->> 'forced' from security_events where job_id = %s", (job_id,)
    ).fetchall()
    assert audit == [("audit.job_deleted", str(force).lower())]


def test_delete__of_a_job_that_goes_on_needs_force_and_force_an_admin(database: Session) -> None:
    job_id = new_job(database)["id"]
    service_account = {"sub": str(uuid4()), "app_metadata": {"role": "service_account"}}

    with refused("job_not_finished"), acting(database, "authenticated", service_account):
        row(database, "delete_job", job_id=job_id)
    with refused("permission_denied"), acting(database, "authenticated", service_account):
        row(database, "delete_job", job_id=job_id, force=True)
    assert UUID(job_state(database, job_id)["id"])


def test_cancel__is_for_owners_too_but_not_for_watchers(database: Session) -> None:
    user_id = str(uuid4())
    jobs = [new_job(database, user_id=user_id)["id"] for _ in range(2)]

    with acting(database, "authenticated", {"sub": user_id}):
        assert row(database, "cancel_job", job_id=jobs[0])["status"] == "cancelled"
    with refused("permission_denied"), acting(database, "anon", {"watch_job_id": jobs[1]}):
        row(database, "cancel_job", job_id=jobs[1])
    with refused("not_found"), acting(database, "authenticated", {"sub": str(uuid4())}):
        row(database, "cancel_job", job_id=jobs[1])
    with refused("invalid_argument") as refusal:
        row(database, "cancel_job", job_id=jobs[1], reason="x" * 10_001)
    assert list(refusal.problems) == ["reason"]
