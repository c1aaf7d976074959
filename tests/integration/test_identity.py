"""Whom a client speaks for: keys, tokens, guests, and what never shows."""

import asyncio
import io
import json
import logging
import threading
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import support
from localbase.keys import Keys
from localbase.ports import claim_port
from proxy import serving
from reelbase import (
    AsyncReelbase,
    AuthenticationError,
    Cache,
    CallTimeout,
    ConfigurationError,
    ConnectionPhase,
    InvalidArgument,
    JobStatus,
    NotFound,
    PermissionDenied,
    Reelbase,
    ReelbaseError,
    SigningKey,
    UserRole,
)
from reelbase.execution.identity import Identity
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.realtime.socket import connected
from support import AnyClient, Target, done, eventually


class Provider:
    """Hands out tokens of one user, and counts them."""

    def __init__(self, target: Target, **claims: Any) -> None:
        self.target = target
        self.user_id = uuid4()
        self.claims = claims
        self.tokens: list[str] = []

    def __call__(self) -> str:
        lifetime = self.claims.get("lifetime", 600)
        claims = {name: value for name, value in self.claims.items() if name != "lifetime"}
        exp = int(time.time()) + lifetime
        self.tokens.append(
            self.target.token(sub=str(self.user_id), exp=exp, jti=str(len(self.tokens)), **claims)
        )
        return self.tokens[-1]

    async def later(self) -> str:
        await asyncio.sleep(0)
        return self()


def make(kind: str, target: Target, **options: Any) -> AnyClient:
    return {"sync": Reelbase, "async": AsyncReelbase}[kind](target.url, target.anon_key, **options)


async def close(client: AnyClient) -> None:
    await done(client.aclose() if isinstance(client, AsyncReelbase) else client.close())


# Keys


@pytest.mark.local_stack
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_opaque_keys__are_as_good_as_jwts(target: Target, kind: str) -> None:
    keys = Keys.local(target.jwt_secret)
    factory: Any = {"sync": Reelbase, "async": AsyncReelbase}[kind]
    backend, public = factory(target.url, keys.secret_key), factory(target.url, keys.publishable_key)

    assert await done(backend.security.user_role()) is UserRole.SERVICE_ROLE
    assert await done(public.security.user_role()) is UserRole.ANON
    await close(backend)
    await close(public)


@pytest.mark.local_stack
async def test_opaque_key__also_watches(target: Target) -> None:
    async with AsyncReelbase(target.url, Keys.local(target.jwt_secret).secret_key) as client:
        job = await client.jobs.create("mp4", 64, 64)
        async with client.jobs.watch(job.id, after_seq=job.event_seq) as events:
            await client.jobs.cancel(job.id)
            assert [event.status async for event in events] == [JobStatus.CANCELLED]


# Guests


async def test_guest__speaks_for_the_user_and_its_host_does_not(client: AnyClient, target: Target) -> None:
    user_id = uuid4()
    user = client.as_user(target.token(sub=str(user_id)))

    job = await done(user.jobs.create("mp4", 64, 64))
    other = await done(client.jobs.create("mp4", 64, 64))

    assert type(user) is type(client)
    assert (job.user_id, other.user_id) == (user_id, None)
    assert await done(client.security.user_role()) is UserRole.SERVICE_ROLE
    with pytest.raises(NotFound):
        await done(user.jobs.get(other.id))
    with pytest.raises(PermissionDenied):
        await done(user.queue.state())


@pytest.mark.parametrize("nothing", ["", None])
async def test_guest_without_a_token__does_not_speak_for_its_host(client: AnyClient, nothing: Any) -> None:
    with pytest.raises(AuthenticationError):
        await done(client.as_user(nothing).security.user_role())


async def test_guest__may_close_without_its_host(client: AnyClient, target: Target) -> None:
    user = client.as_user(target.token(sub=str(uuid4())))
    job = await done(user.jobs.create("mp4", 64, 64))
    events = user.jobs.watch(job.id)
    await next_of(events)

    await close(user)

    assert (await done(client.jobs.get(job.id))).id == job.id
    await close(user)


async def test_guest__watches_as_the_user(service: AsyncReelbase, target: Target) -> None:
    user = service.as_user(target.token(sub=str(uuid4())))
    job = await user.jobs.create("mp4", 64, 64)
    others = await service.jobs.create("mp4", 64, 64)

    async with user.jobs.watch(job.id) as events:
        await user.jobs.cancel(job.id)
        assert [event.status async for event in events] == [JobStatus.PENDING, JobStatus.CANCELLED]
    with pytest.raises(NotFound):
        await anext(user.jobs.watch(others.id))


async def test_streams_of_a_guest__end_with_the_host(target: Target) -> None:
    host = target.service()
    user = host.as_user(target.token(sub=str(uuid4())))
    job = await user.jobs.create("mp4", 64, 64)
    events = user.jobs.watch(job.id)
    await anext(events)

    await host.aclose()

    assert [event async for event in events] == []


async def next_of(events: Any) -> Any:
    return await anext(events) if hasattr(events, "__anext__") else next(events)


# Renewal


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_provider__is_asked_once_for_many_calls(target: Target, kind: str) -> None:
    provider = Provider(target)
    client = make(kind, target, token_provider=provider)

    jobs = [await done(client.jobs.create("mp4", 64, 64)) for _ in range(3)]

    assert {job.user_id for job in jobs} == {provider.user_id}
    assert len(provider.tokens) == 1
    await close(client)


async def test_asynchronous_provider__is_asked_once_by_concurrent_calls(target: Target) -> None:
    provider = Provider(target)
    async with make("async", target, token_provider=provider.later) as client:
        await asyncio.gather(*(client.security.user_role() for _ in range(5)))
        guest = client.as_user(provider.later)
        await guest.security.user_role()

    assert len(provider.tokens) == 2


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_token__is_renewed_before_it_expires(target: Target, kind: str) -> None:
    provider = Provider(target, lifetime=2)
    client = make(kind, target, token_provider=provider)

    async def renewed() -> None:
        await done(client.security.user_role())
        assert len(provider.tokens) > 1

    await eventually(renewed)
    await close(client)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_refused_token__is_renewed_once(target: Target, kind: str) -> None:
    provider = Provider(target)
    expired = [target.token(sub=str(provider.user_id), exp=int(time.time()) - 100)]
    # By the clock of a client that runs late, it would be good for a while.
    tokens = iter([jwt.encode({"exp": time.time() + 600}, "x" * 32, "HS256"), provider()])
    client = make(kind, target, token_provider=lambda: next(tokens))

    job = await done(client.jobs.create("mp4", 64, 64))

    assert job.user_id == provider.user_id
    await close(client)
    hopeless = make(kind, target, token_provider=lambda: expired[0])
    with pytest.raises(AuthenticationError):
        await done(hopeless.jobs.create("mp4", 64, 64))
    await close(hopeless)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_failing_provider__is_an_authentication_error(target: Target, kind: str) -> None:
    def failing() -> str:
        raise OSError("The identity server is away.")

    client = make(kind, target, token_provider=failing)
    with pytest.raises(AuthenticationError, match="token provider failed") as caught:
        await done(client.security.user_role())
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.transient
    await close(client)


class Hanging:
    """A provider that answers when it is let go."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def __call__(self) -> str:
        assert self.free.wait(10)
        return "too late"

    async def later(self) -> str:
        await asyncio.Event().wait()
        return "never"


@pytest.mark.parametrize("way", ["__call__", "later"])
async def test_provider_that_hangs__takes_no_longer_than_the_call_may(target: Target, way: str) -> None:
    hanging = Hanging()
    async with make("async", target, token_provider=getattr(hanging, way), timeout=0.2) as client:
        with pytest.raises(CallTimeout, match="token provider did not answer in time") as caught:
            await client.jobs.list()

    hanging.free.set()
    assert caught.value.function == "list_jobs"


def test_provider_that_takes_all_the_time__leaves_none_for_the_call(target: Target) -> None:
    provider = Provider(target)

    def slow() -> str:
        threading.Event().wait(0.3)
        return provider()

    with make("sync", target, token_provider=slow) as client:
        with pytest.raises(CallTimeout, match="token provider did not answer in time"):
            client.with_timeout(0.2).jobs.create("mp4", 64, 64)
        # What it said is heard nevertheless.
        assert client.jobs.list().items == ()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_refused_token__leaves_the_repeat_the_rest_of_the_time(target: Target, kind: str) -> None:
    answered = 0

    async def refuse_slowly_then_hang(_request: web.Request) -> web.StreamResponse:
        nonlocal answered
        answered += 1
        await asyncio.sleep(0.4 if answered == 1 else 10)
        return web.json_response({"message": "expired"}, status=401)

    async with serving(refuse_slowly_then_hang) as url:
        client = {"sync": Reelbase, "async": AsyncReelbase}[kind](
            url, target.anon_key, token_provider=Provider(target), timeout=0.5
        )
        began = time.monotonic()
        with pytest.raises(CallTimeout):
            await (client.jobs.list() if kind == "async" else asyncio.to_thread(client.jobs.list))
        assert time.monotonic() - began < 0.8
        assert answered == 2
        await close(client)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_provider__that_returns_no_token_is_a_mistake(target: Target, kind: str) -> None:
    client = make(kind, target, token_provider=lambda: "letmein")
    with pytest.raises(ConfigurationError, match="no JWT") as caught:
        await done(client.security.user_role())
    assert "letmein" not in str(caught.value)
    await close(client)


def test_asynchronous_provider__is_not_for_synchronous_code(target: Target) -> None:
    client = make("sync", target, token_provider=Provider(target).later)
    with client, pytest.raises(ConfigurationError, match="asynchronous"):
        client.security.user_role()
    with pytest.raises(ConfigurationError, match="not both"):
        make("sync", target, token_provider=Provider(target), access_token="x")


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_stream__goes_on_live_past_the_expiry_of_its_token(
    service: AsyncReelbase, target: Target, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(target, lifetime=3)
    client = make(kind, target, token_provider=provider)
    job = await service.jobs.create("mp4", 64, 64, user_id=provider.user_id)
    events = client.jobs.watch(job.id)
    await next_of(events)

    async def live_past_the_first_token() -> None:
        assert len(provider.tokens) > 3

    following = asyncio.create_task(rest_of(events))
    await eventually(live_past_the_first_token)
    await service.jobs.cancel(job.id)

    assert (await following)[-1].status is JobStatus.CANCELLED
    assert "Going on by polling" not in caplog.text
    await close(client)


async def rest_of(events: Any) -> list[Any]:
    if hasattr(events, "__anext__"):
        return [event async for event in events]
    return await asyncio.to_thread(list, events)


# Watch tokens


async def test_watch_token__shows_one_job_alone(target: Target, client: AnyClient) -> None:
    job, other = [await done(client.jobs.create("mp4", 64, 64)) for _ in range(2)]
    backend = signing(target)

    viewer = client.as_user(backend.security.watch_token(job.id))

    assert (await done(viewer.jobs.get(job.id))).id == job.id
    with pytest.raises(NotFound):
        await done(viewer.jobs.get(other.id))
    with pytest.raises(PermissionDenied):
        await done(viewer.jobs.create("mp4", 64, 64))


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_watch_token__is_good_for_live_events(
    target: Target, service: AsyncReelbase, role: Any
) -> None:
    job = await service.jobs.create("mp4", 64, 64)
    token = signing(target).security.watch_token(job.id, role=role)

    async with (
        AsyncReelbase(target.url, target.anon_key, access_token=token) as viewer,
        viewer.jobs.watch(job.id) as events,
    ):
        await anext(events)
        await service.jobs.cancel(job.id)
        assert [event.status async for event in events] == [JobStatus.CANCELLED]


def signing(target: Target) -> Reelbase:
    key = SigningKey.from_secret(target.jwt_secret)
    return Reelbase(target.url, target.service_role_key, signing_key=key)


@pytest.mark.parametrize("lifetime", [timedelta(days=1, seconds=1), timedelta(0), timedelta(seconds=-1)])
def test_watch_token__lives_a_day_at_most(target: Target, lifetime: timedelta) -> None:
    with pytest.raises(InvalidArgument) as caught:
        signing(target).security.watch_token(uuid4(), expires_in=lifetime)

    assert [problem.argument for problem in caught.value.problems] == ["expires_in"]


def test_watch_token__needs_a_key_to_sign_with(target: Target) -> None:
    client = Reelbase(target.url, target.service_role_key)
    with client, pytest.raises(ConfigurationError, match="SUPABASE_JWT_SECRET"):
        client.security.watch_token(uuid4())
    guest = signing(target).as_user(target.token())
    with pytest.raises(ConfigurationError, match="no key to sign"):
        guest.security.watch_token(uuid4())


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.mark.parametrize(
    ("make_key", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
    ],
)
@pytest.mark.parametrize("form", ["pem", "jwk"])
def test_asymmetric_key__signs_what_its_public_half_verifies(
    make_key: Callable[[], Any], algorithm: str, form: str
) -> None:
    private = make_key()
    if form == "pem":
        key = SigningKey.from_private_key(pem(private), "key-1")
    else:
        kind: Any = jwt.get_algorithm_by_name(algorithm)
        jwk = kind.to_jwk(private, as_dict=True) | {"kid": "key-1", "alg": algorithm}
        key = SigningKey.from_private_key(json.dumps([jwk]))
    job_id = uuid4()

    with Reelbase("http://127.0.0.1:1", "key", signing_key=key) as client:
        token = client.security.watch_token(job_id, expires_in=timedelta(minutes=5))

    claims = jwt.decode(token, private.public_key(), [algorithm])
    assert (UUID(claims["watch_job_id"]), claims["role"]) == (job_id, "anon")
    assert claims["exp"] - claims["iat"] == 300
    assert jwt.get_unverified_header(token)["kid"] == "key-1"


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", "-----BEGIN PRIVATE KEY-----\nsecretsecret\n-----END"])
def test_unreadable_key__is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="REELBASE_SIGNING_KEY") as caught:
        SigningKey.from_private_key(text)

    assert "secretsecret" not in shown(caught.value)


def test_public_and_short_keys__sign_nothing() -> None:
    kind: Any = jwt.get_algorithm_by_name("ES256")
    public = kind.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        SigningKey.from_private_key(json.dumps(public))
    with pytest.raises(ConfigurationError, match="SUPABASE_JWT_SECRET"):
        SigningKey.from_secret("too-short")


def test_signing_key__comes_from_the_environment(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", target.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", target.service_role_key)
    monkeypatch.setenv("SUPABASE_ANON_KEY", target.anon_key)
    monkeypatch.setenv("SUPABASE_JWT_SECRET", target.jwt_secret)
    with Reelbase.from_env() as backend:
        assert claims(backend.security.watch_token(uuid4()))["role"] == "anon"
    with Reelbase.from_env("anon") as public, pytest.raises(ConfigurationError):
        public.security.watch_token(uuid4())

    key = ec.generate_private_key(ec.SECP256R1())
    monkeypatch.setenv("REELBASE_SIGNING_KEY", pem(key))
    monkeypatch.setenv("REELBASE_SIGNING_KEY_ID", "key-2")
    with Reelbase.from_env() as backend:
        token = backend.security.watch_token(uuid4())
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "key-2", "typ": "JWT"}


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


# Signing in


async def test_signing_in__never_changes_a_service_client(client: AnyClient) -> None:
    credentials = {"email": f"{uuid4()}@example.com", "password": "correct horse battery"}
    await done(client.supabase.auth.sign_up(credentials))
    session = (await done(client.supabase.auth.sign_in_with_password(credentials))).session

    assert await done(client.security.user_role()) is UserRole.SERVICE_ROLE
    assert (await done(client.supabase.rpc("user_role", {}).execute())).data == "service_role"
    user = client.as_user(session.access_token)
    assert await done(user.security.user_role()) is UserRole.AUTHENTICATED
    assert (await done(user.supabase.rpc("user_role", {}).execute())).data == "authenticated"
    await close(user)
    await done(client.supabase.auth.sign_out())
    assert await done(client.security.user_role()) is UserRole.SERVICE_ROLE


async def test_signing_in__with_a_public_key_is_for_the_plain_client(target: Target) -> None:
    async with target.anonymous() as client:
        await client.supabase.auth.sign_up({"email": f"{uuid4()}@example.com", "password": "correct horse"})

        assert (await client.supabase.rpc("user_role", {}).execute()).data == "authenticated"
        assert await client.security.user_role() is UserRole.ANON


async def test_plain_client__goes_on_with_renewed_tokens(target: Target) -> None:
    provider = Provider(target)
    async with make("async", target, token_provider=provider) as client:
        await client.security.user_role()
        first = client.supabase.options.headers["Authorization"]
        await client._identity.fresh_async(rejected=provider.tokens[-1])

        assert client.supabase.options.headers["Authorization"] != first
        assert (await client.supabase.rpc("user_role", {}).execute()).data == "authenticated"


# What never shows


def shown(error: BaseException) -> str:
    """A traceback with local variables, causes and all, from where the test calls reelbase on."""
    report = io.StringIO()
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in {__file__, support.__file__}:
        frames = frames.tb_next
    traceback.TracebackException.from_exception(error.with_traceback(frames), capture_locals=True).print(
        file=report
    )
    return f"{report.getvalue()} {error!r} {error} {error.args} {vars(error)}"


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("server", ["none", "refusing"])
async def test_keys__do_not_show(
    target: Target, kind: str, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = target.url if server == "refusing" else "http://127.0.0.1:9"
    secrets = ["sb_secret_" + uuid4().hex, target.token(sub="x", exp=1), "s" + uuid4().hex * 2]
    factory: Any = {"sync": Reelbase, "async": AsyncReelbase}[kind]
    client = factory(
        url, secrets[0], access_token=secrets[1], signing_key=SigningKey.from_secret(secrets[2]), timeout=1
    )
    said = [repr(client), repr(vars(client)), repr(client._executor.__dict__), repr(client._signing_key)]

    with pytest.raises(ReelbaseError) as caught:
        await done(client.jobs.create("mp4", 64, 64))
    said.append(shown(caught.value))
    _ = client.supabase
    said.append(repr(client.supabase))
    await close(client)

    for secret in secrets:
        assert secret not in "".join(said) + caplog.text


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("server", ["none", "refusing", "malformed"])
async def test_password_of_the_database__does_not_show(
    target: Target, kind: str, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s" + uuid4().hex
    there = urlsplit(target.db_url)
    address = {
        "none": f"postgresql://postgres:{secret}@127.0.0.1:9/postgres",
        "refusing": f"postgresql://postgres:{secret}@{there.hostname}:{there.port}/nowhere",
        "malformed": f"postgresql://postgres:{secret}%zz@127.0.0.1/postgres",
    }[server]
    factory: Any = {"sync": Reelbase, "async": AsyncReelbase}[kind]
    client = factory(target.url, target.service_role_key, database_url=address, transaction_timeout=0.5)

    with pytest.raises(ReelbaseError) as caught:
        await done(client.run_transaction(print))
    said = [repr(client), repr(vars(client)), repr(vars(client._database)), shown(caught.value)]
    await close(client)
    with pytest.raises(ConfigurationError) as wrong:
        factory(target.url, target.service_role_key, database_url=address, timeout=0)
    said.append(shown(wrong.value))

    assert secret not in "".join(said) + caplog.text


SECRET = "s3cret-" + "x" * 8
NOWHERE = "http://127.0.0.1:9"


def as_user(token: Any) -> None:
    with Reelbase(NOWHERE, "key") as client:
        client.as_user(token).jobs.list()


async def as_user_async(provider: Any) -> None:
    async with AsyncReelbase(NOWHERE, "key") as client:
        await client.as_user(provider).jobs.list()


async def later() -> str:
    return SECRET


def connection_string() -> str:
    return f"postgresql://postgres:{SECRET}@127.0.0.1:9/postgres"


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: Reelbase(NOWHERE, SECRET, timeout=-1),
        lambda: Reelbase(NOWHERE, "key", access_token=SECRET, timeout=-1),
        lambda: Reelbase(NOWHERE, "key", access_token=SECRET, token_provider=lambda: ""),
        lambda: Reelbase(NOWHERE, SECRET + "\n"),
        lambda: Reelbase(NOWHERE, "key", database_url=connection_string(), timeout=-1),
        lambda: AsyncReelbase(NOWHERE, "key", database_url=connection_string(), timeout=-1),
        lambda: as_user(SECRET + "\n"),
        lambda: as_user(lambda: SECRET),
        lambda: as_user(SECRET.encode),
        lambda: asyncio.run(as_user_async(lambda: SECRET)),
        lambda: asyncio.run(as_user_async(later)),
        lambda: SigningKey.from_secret(SECRET),
        lambda: SigningKey.from_private_key(SECRET),
        lambda: Cache(redis=f"http://:{SECRET}@127.0.0.1"),
        lambda: Cache.from_setting(f"http://:{SECRET}@127.0.0.1"),
        lambda: Cache(redis=f"redis://:{SECRET}@127.0.0.1", max_entries=0),
    ],
)
def test_mistakes_with_secrets__do_not_show_them(mistake: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        mistake()

    assert SECRET not in shown(caught.value)


def test_wrong_address__does_not_show_the_key() -> None:
    with pytest.raises(ReelbaseError) as caught, Reelbase("nowhere at all", "sb_secret_hidden") as client:
        client.security.user_role()

    assert "sb_secret_hidden" not in shown(caught.value)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_live_connection__shows_neither_key_nor_token(
    target: Target, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = target.token(sub=str(uuid4()))
    client = make(kind, target, access_token=token)
    job = await done(client.jobs.create("mp4", 64, 64))
    watching = client.subscriptions.subscribe_to_job_status_changes(print, job_id=job.id)

    def assert_live() -> None:
        assert client.subscriptions.info(watching).connection_state.phase is ConnectionPhase.LIVE

    await eventually(assert_live)
    await close(client)

    assert "reelbase" in caplog.text
    for secret in (target.anon_key, token):
        assert secret not in caplog.text


async def test_live_connection_that_fails__shows_neither() -> None:
    with pytest.raises(ReelbaseError) as caught:
        async with connected(RealtimeEndpoint(f"http://127.0.0.1:{claim_port(0)}", "sb_secret_hidden")):
            pass

    assert "cannot be reached" in str(caught.value)
    assert "sb_secret_hidden" not in shown(caught.value)


def test_scope__tells_identities_apart_and_their_tokens_not(target: Target) -> None:
    ada, bob = uuid4(), uuid4()

    def scope(**given: Any) -> str:
        return Identity("anon-key", target.token(**given)).scope

    assert scope(sub=str(ada), jti="1") == scope(sub=str(ada), jti="2", exp=1)
    different = [
        scope(sub=str(ada)),
        scope(sub=str(bob)),
        scope(sub=str(ada), app_metadata={"role": "admin"}),
    ]
    different += [Identity(key).scope for key in ("sb_secret_1", "sb_secret_2", target.service_role_key)]
    assert len(set(different)) == len(different)


def test_plain_client_of_a_guest_whose_token_is_provided__does_not_speak_as_its_host(target: Target) -> None:
    with (
        Reelbase(target.url, target.service_role_key) as host,
        host.as_user(lambda: target.token(sub=str(uuid4()))) as guest,
    ):
        assert target.service_role_key not in guest.supabase.options.headers["Authorization"]
