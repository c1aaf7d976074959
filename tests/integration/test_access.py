"""Who may see and do what: anonymous by address, users, watch tokens, service accounts, the service key."""

import json
import time
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from reelbase import (
    AsyncReelbase,
    AuthenticationError,
    CallRefused,
    Job,
    JobStatus,
    NotFound,
    PermissionDenied,
    ProcessingStep,
)
from sql import acting
from support import Target, text

OWNER = uuid4()


@pytest.fixture
async def job(service: AsyncReelbase) -> Job:
    """A job of the user OWNER."""
    made = await service.jobs.create_video("mp4", 64, 64, elements=[text()], user_id=OWNER)
    return made.job


@pytest.fixture
async def owner(target: Target) -> AsyncIterator[AsyncReelbase]:
    async with target.user(OWNER) as client:
        yield client


async def can_read(client: AsyncReelbase, job_id: UUID) -> bool:
    """Whether every way of reading shows the job; all must agree."""
    reads = (client.jobs.get, client.elements.list, client.timeline.get, client.events.read)
    seen = set()
    for read in reads:
        try:
            await read(job_id)
            seen.add(True)
        except NotFound:
            seen.add(False)
    assert len(seen) == 1
    return seen.pop()


async def refused_writes(client: AsyncReelbase, job: Job, step_id: UUID) -> set[type]:
    """The errors of everything only a backend may do."""
    errors = set()
    for write in (
        client.jobs.update_status(job.id, JobStatus.CANCELLED),
        client.jobs.update_progress(job.id, 5),
        client.timeline.start(job.id, ProcessingStep.UPLOAD),
        client.timeline.update_progress(step_id, 5),
        client.timeline.complete(step_id),
    ):
        with pytest.raises(CallRefused) as caught:
            await write
        errors.add(type(caught.value))
    return errors


async def test_owner__sees_the_job_and_changes_nothing(
    owner: AsyncReelbase, service: AsyncReelbase, job: Job
) -> None:
    step = (await service.timeline.get(job.id))[0]

    assert await can_read(owner, job.id)
    assert [seen.id for seen in (await owner.jobs.list()).items if seen.id == job.id] == [job.id]
    assert await refused_writes(owner, job, step.id) == {PermissionDenied}
    assert await service.jobs.get(job.id) == job


async def test_owner__adds_elements_to_the_job(owner: AsyncReelbase, job: Job) -> None:
    assert (await owner.elements.add(job.id, text())).element_order == 1


async def test_stranger__sees_and_adds_nothing(target: Target, service: AsyncReelbase, job: Job) -> None:
    step = (await service.timeline.get(job.id))[0]
    async with target.user() as stranger:
        assert not await can_read(stranger, job.id)
        assert (await stranger.jobs.list()).items == ()
        assert await refused_writes(stranger, job, step.id) == {PermissionDenied}
        with pytest.raises(NotFound):
            await stranger.elements.add(job.id, text())


async def test_user__cannot_create_for_somebody_else(target: Target) -> None:
    user_id = uuid4()
    async with target.user(user_id) as user:
        made = await user.jobs.create("mp4", 64, 64, user_id=OWNER, client_ip="203.0.113.1")

    assert made.user_id == user_id
    assert str(made.client_ip) != "203.0.113.1"


async def test_user_metadata__gives_no_rights(target: Target, job: Job) -> None:
    async with target.user(user_metadata={"role": "admin"}, role_claim="admin") as pretender:
        assert not await can_read(pretender, job.id)
        with pytest.raises(PermissionDenied):
            await pretender.jobs.update_status(job.id, JobStatus.CANCELLED)


@pytest.mark.parametrize("role", ["service_account", "admin"])
async def test_app_metadata__gives_a_backend_its_rights(target: Target, job: Job, role: str) -> None:
    async with target.user(app_metadata={"role": role}) as backend:
        assert await can_read(backend, job.id)
        assert (await backend.jobs.update_status(job.id, JobStatus.PROCESSING)).status == "processing"
        step = await backend.timeline.start(job.id, ProcessingStep.UPLOAD)
        assert (await backend.timeline.complete(step.id)).success


@pytest.mark.parametrize("role", ["authenticated", "anon"])
async def test_watch_token__shows_one_job_and_allows_nothing(
    target: Target, service: AsyncReelbase, job: Job, role: str
) -> None:
    other = await service.jobs.create("mp4", 64, 64)
    async with target.anonymous(role=role, watch_job_id=str(job.id)) as watcher:
        assert await can_read(watcher, job.id)
        assert not await can_read(watcher, other.id)
        with pytest.raises(PermissionDenied):
            await watcher.elements.add(job.id, text())
        with pytest.raises(PermissionDenied):
            await watcher.jobs.update_status(job.id, JobStatus.CANCELLED)
        with pytest.raises(PermissionDenied):
            await watcher.jobs.create("mp4", 64, 64)


@pytest.mark.local_stack
async def test_anonymous__is_known_by_the_address_that_the_proxy_saw(own_target: Target) -> None:
    async with own_target.anonymous() as client:
        made = await client.jobs.create("mp4", 64, 64, client_ip="203.0.113.1", user_id=OWNER)
        assert (str(made.client_ip), made.user_id) == ("127.0.0.1", None)
        assert await can_read(client, made.id)
        assert (await client.elements.add(made.id, text())).job_id == made.id


@pytest.mark.local_stack
async def test_watch_token__shows_nothing_else_of_its_holder_s_address(own_target: Target) -> None:
    async with own_target.anonymous() as client:
        watched, other = [await client.jobs.create("mp4", 64, 64) for _ in range(2)]
    async with own_target.anonymous(role="anon", watch_job_id=str(watched.id)) as watcher:
        assert await can_read(watcher, watched.id)
        assert not await can_read(watcher, other.id)
        for job in (watched, other):
            with pytest.raises((PermissionDenied, NotFound)):
                await watcher.elements.add(job.id, text())


async def test_user__cannot_claim_an_address(target: Target) -> None:
    claims = {"sub": str(OWNER)}
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with target.connect() as session, refused, acting(session, "authenticated", claims):
        session.execute(
            "insert into jobs (user_id, client_ip, output_format, width, height) "
            "values (%s, '8.8.8.8', 'mp4', 64, 64)",
            (OWNER,),
        )


def test_owner_who_took_another_role__is_no_operator(target: Target) -> None:
    with target.connect() as session, session.transaction(force_rollback=True):
        session.execute("set local role authenticated")
        assert session.execute("select private.is_service()").fetchone() == (False,)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7/8", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("nonsense", None),
        ("", None),
    ],
)
@pytest.mark.local_stack
def test_address__is_the_one_that_the_nearest_proxy_wrote(
    own_target: Target, header: str, address: str | None
) -> None:
    with own_target.connect() as session, session.transaction():
        headers = json.dumps({"x-forwarded-for": header})
        session.execute("select set_config('request.headers', %s, true)", (headers,))
        assert session.execute("select host(private.client_ip())").fetchone() == (address,)


@pytest.mark.local_stack
async def test_anonymous__cannot_pretend_to_another_address(own_target: Target) -> None:
    async with own_target.service() as backend:
        victim = await backend.jobs.create("mp4", 64, 64, client_ip="203.0.113.1")
    forged = {"apikey": own_target.anon_key, "X-Forwarded-For": "203.0.113.1"}

    async with httpx.AsyncClient(base_url=f"{own_target.url}/rest/v1/rpc", headers=forged) as client:
        hidden = await client.post("/get_job", json={"job_id": str(victim.id)})
        made = await client.post("/create_job", json={"output_format": "mp4", "width": 64, "height": 64})

    assert hidden.status_code == httpx.codes.NOT_FOUND
    assert made.json()["client_ip"] == "127.0.0.1"


async def test_anonymous__may_do_nothing_that_backends_do(target: Target, job: Job) -> None:
    async with target.anonymous() as client:
        assert not await can_read(client, job.id)
        with pytest.raises(PermissionDenied):
            await client.jobs.update_status(job.id, JobStatus.CANCELLED)


TABLES = {"jobs": "id", "elements": "job_id", "processing_timeline": "job_id", "job_events": "job_id"}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("role", "claims", "visible"),
    [
        ("anon", {}, False),
        ("anon", {"watch_job_id": "JOB"}, True),
        ("anon", {"watch_job_id": str(UUID(int=1))}, False),
        ("authenticated", {"sub": str(OWNER)}, True),
        ("authenticated", {"sub": str(UUID(int=1))}, False),
        ("authenticated", {"watch_job_id": "JOB"}, True),
        ("authenticated", {"sub": str(UUID(int=1)), "app_metadata": {"role": "admin"}}, True),
        ("authenticated", {"sub": str(UUID(int=1)), "user_metadata": {"role": "admin"}}, False),
        ("service_role", {}, True),
    ],
)
async def test_tables__show_what_the_functions_show(
    target: Target, job: Job, table: str, role: str, claims: dict[str, object], visible: bool
) -> None:
    claims = {key: str(job.id) if value == "JOB" else value for key, value in claims.items()}
    query = sql.SQL("select count(*) > 0 from {} where {} = %s").format(
        sql.Identifier(table), sql.Identifier(TABLES[table])
    )
    with target.connect() as session, acting(session, role, claims):
        assert session.execute(query, (job.id,)).fetchone() == (visible,)


@pytest.mark.parametrize("table", [*TABLES, "job_transitions"])
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("verb", ["insert", "update", "delete", "truncate"])
def test_tables__give_no_blanket_rights(target: Target, table: str, role: str, verb: str) -> None:
    """Rights to write are on single columns, for the functions; none is on a whole table."""
    with target.connect() as session:
        row = session.execute("select has_table_privilege(%s, %s, %s)", (role, table, verb)).fetchone()
    assert row == (False,)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_event_log__cannot_be_written_by_anyone(target: Target, role: str) -> None:
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege)
    with target.connect() as session, refused, acting(session, role, {}):
        session.execute("insert into job_events (job_id, seq) values (%s, 1)", (uuid4(),))


@pytest.mark.parametrize("expiry", [None, 86_500, 10**9, "soon"])
async def test_watch_token__that_is_not_short_lived_shows_nothing(
    database: psycopg.Connection[tuple[object, ...]], job: Job, expiry: object
) -> None:
    claims: dict[str, object] = {"watch_job_id": str(job.id), "sub": str(OWNER)}
    claims["exp"] = int(time.time()) + expiry if isinstance(expiry, int) else expiry

    with acting(database, "authenticated", claims):
        assert database.execute("select count(*) from jobs").fetchone() == (0,)


@pytest.mark.parametrize("job_id", ["", "all", "1", "00000000-0000-0000-0000-000000000000"])
async def test_watch_token__for_no_job_shows_nothing(target: Target, job: Job, job_id: str) -> None:
    async with target.user(OWNER, watch_job_id=job_id) as holder:
        assert not await can_read(holder, job.id)
        assert (await holder.jobs.list()).items == ()
        with pytest.raises(PermissionDenied):
            await holder.jobs.create("mp4", 64, 64)


async def test_wrong_key__is_an_authentication_error(target: Target) -> None:
    async with AsyncReelbase(target.url, "sb_secret_wrong") as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.jobs.list()
    assert "sb_secret_wrong" not in f"{caught.value} {caught.value!r} {caught.value.arguments}"


async def test_expired_token__is_an_authentication_error(target: Target, job: Job) -> None:
    async with target.user(OWNER, exp=1) as client:
        with pytest.raises(AuthenticationError, match="expired"):
            await client.jobs.get(job.id)


async def test_forged_token__is_an_authentication_error(target: Target, job: Job) -> None:
    forger = Target(target.url, target.anon_key, "", "x" * 40, "")
    async with forger.user(OWNER) as client:
        with pytest.raises(AuthenticationError):
            await client.jobs.get(job.id)
