"""`reelbase listen`: each event to a command or a webhook, in order, from where it stopped."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
from aiohttp import web

from proxy import serving
from reelbase import AsyncReelbase, EventType, JobEvent, ReelbaseError, read_event
from reelbase.cli import listen as listening
from reelbase.cli.app import run
from reelbase.cli.command import Command
from reelbase.cli.dead_letters import DeadLetters
from reelbase.cli.delivery import Delivery, GivenUp, NotDelivered
from reelbase.cli.webhook import EndpointGone, Webhook, signing_secrets
from support import Target, eventually

SECRET = f"whsec_{base64.b64encode(bytes(range(24))).decode()}"


@pytest.fixture
def name() -> str:
    return f"test.{uuid4()}"


@pytest.fixture
def user_id() -> UUID:
    """A user whose events nobody else writes."""
    return uuid4()


@pytest.fixture
async def event(service: AsyncReelbase) -> JobEvent:
    job = await service.jobs.create("mp4", 64, 64)
    return (await service.events.read(job.id))[0]


@pytest.fixture
async def jobs(service: AsyncReelbase, name: str, user_id: UUID) -> list[UUID]:
    """Three jobs whose creation the consumer has not been told yet."""
    async with service.events.consumer(name, start="now"):
        return [(await service.jobs.create("mp4", 64, 64, user_id=user_id)).id for _ in range(3)]


@dataclass
class Receiver:
    """An endpoint that checks what it gets; `answers` are given first, and then 204."""

    answers: list[web.Response] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        headers = {key.lower(): value for key, value in request.headers.items()}
        signatures = headers["webhook-signature"].split(" ")
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(bytes(range(24)), content, hashlib.sha256).digest()
        assert f"v1,{base64.b64encode(digest).decode()}" in signatures
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
        self.messages.append(json.loads(body))
        self.headers.append(headers)
        self.times.append(time.monotonic())
        return self.answers.pop(0) if self.answers else web.Response(status=204)

    @property
    def jobs(self) -> list[UUID]:
        return [UUID(message["data"]["job_id"]) for message in self.messages]


@contextlib.asynccontextmanager
async def delivering(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]], attempts: int = 3, seconds: float = 5
) -> AsyncIterator[Delivery]:
    """Deliveries to a server of our own, with short pauses."""
    async with (
        serving(answer) as url,
        Webhook(f"{url}/hook?to=me", signing_secrets(SECRET), timeout=seconds) as webhook,
    ):
        yield Delivery(webhook, attempts, first_pause=0.01)


# Webhooks


async def test_webhook__is_signed_and_tells_the_event(event: JobEvent) -> None:
    receiver = Receiver()
    async with delivering(receiver.receive) as delivery:
        assert await delivery.deliver(event) == 1

    (message,), (headers,) = receiver.messages, receiver.headers
    assert message["type"] == EventType.JOB_CREATED
    assert message["timestamp"] == message["data"]["created_at"]
    assert read_event(message["data"]) == event
    assert headers["webhook-id"] == f"evt_{event.id}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "reelbase"


async def test_failed_attempts__are_repeated_with_the_same_id(event: JobEvent) -> None:
    receiver = Receiver([web.Response(status=status) for status in (500, 404)])
    async with delivering(receiver.receive) as delivery:
        assert await delivery.deliver(event) == 3

    assert {headers["webhook-id"] for headers in receiver.headers} == {f"evt_{event.id}"}
    assert receiver.messages == [receiver.messages[0]] * 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.Response, "HTTP 500 Internal Server Error: It broke. Sorry."),
        (lambda **_: web.Response(status=302, headers={"Location": "/"}), "HTTP 302 Found, and redirects"),
    ],
)
async def test_webhook__is_given_up_after_so_many_attempts(
    event: JobEvent, answer: Callable[..., web.Response], reason: str
) -> None:
    receiver = Receiver([answer(status=500, text="It broke.\nSorry.") for _ in range(3)])
    async with delivering(receiver.receive) as delivery:
        with pytest.raises(GivenUp) as given_up:
            await delivery.deliver(event)

    assert str(given_up.value).startswith(reason)
    assert given_up.value.attempts == 3
    assert [headers["webhook-id"] for headers in receiver.headers] == [f"evt_{event.id}"] * 3


async def test_answer__is_shown_without_what_cannot_be_printed(event: JobEvent) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Erreur \xe9\r\ncontent-length: 7\r\n\r\na\0b\x1b[1m")
        await writer.drain()
        writer.close()

    async with (
        await asyncio.start_server(answer, "127.0.0.1", 0) as server,
        Webhook(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", (), timeout=5) as webhook,
    ):
        with pytest.raises(NotDelivered) as failure:
            await webhook.deliver(event)

    assert str(failure.value) == "HTTP 500 Erreur \ufffd: a\ufffdb\ufffd[1m"


async def test_silent_endpoint__is_not_waited_for(event: JobEvent) -> None:
    async def keep_silent(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with delivering(keep_silent, attempts=1, seconds=0.1) as delivery:
        with pytest.raises(GivenUp, match=r"no answer within 0\.1 s"):
            await delivery.deliver(event)
    with pytest.raises(GivenUp, match="no answer"):
        await delivery_to_nobody(event)


async def delivery_to_nobody(event: JobEvent) -> None:
    async with Webhook("http://127.0.0.1:1/", (), timeout=5) as webhook:
        await Delivery(webhook, 1).deliver(event)


@pytest.mark.parametrize("status", [429, 503])
async def test_endpoint__is_left_alone_for_as_long_as_it_asks(event: JobEvent, status: int) -> None:
    receiver = Receiver([web.Response(status=status, headers={"Retry-After": "1"})])
    async with delivering(receiver.receive) as delivery:
        assert await delivery.deliver(event) == 2

    assert receiver.times[1] - receiver.times[0] >= 1


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("in ten minutes", 300, 600),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 0, 0),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("90", 90, 90),
    ],
)
async def test_retry_after__may_be_a_date(event: JobEvent, asked: str, least: float, most: float) -> None:
    if asked == "in ten minutes":
        asked = formatdate(time.time() + 600, usegmt=True)
    receiver = Receiver([web.Response(status=503, headers={"Retry-After": asked})])
    async with delivering(receiver.receive) as delivery:
        with pytest.raises(NotDelivered) as failure:
            await delivery.destination.deliver(event)

    assert least <= failure.value.retry_after <= most


async def test_endpoint_that_is_gone__ends_it(event: JobEvent) -> None:
    receiver = Receiver([web.Response(status=410)])
    async with delivering(receiver.receive) as delivery:
        with pytest.raises(EndpointGone, match="410 Gone"):
            await delivery.deliver(event)

    assert len(receiver.messages) == 1


# Commands


async def test_command__reads_the_event(event: JobEvent, tmp_path: Path) -> None:
    told = tmp_path / "told"
    variables = "$REELBASE_EVENT_ID $REELBASE_EVENT_TYPE $REELBASE_JOB_ID"
    await Command(f"(cat; echo {variables}) > {told}", timeout=10).deliver(event)

    first, second = told.read_text().splitlines()
    assert read_event(json.loads(first)) == event
    assert second == f"{event.id} job.created {event.job_id}"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("exit 3", "exit code 3"),
        ("no-such-command-here 2>/dev/null", "exit code 127"),
        ("kill -9 $$", "ended by signal 9"),
        ("sleep 60 & wait", r"not done within 0\.2 s"),
    ],
)
async def test_command_that_fails__is_not_delivered(event: JobEvent, command: str, reason: str) -> None:
    with pytest.raises(NotDelivered, match=reason):
        await Command(command, timeout=0.2 if "sleep" in command else 10).deliver(event)

    assert [child for child in psutil.Process().children() if "sleep" in child.name()] == []


async def test_command_that_cannot_be_started__is_not_delivered(event: JobEvent) -> None:
    with pytest.raises(NotDelivered, match="not started"):
        await Command(f"true {'x' * 2**20}", timeout=10).deliver(event)


async def test_command_that_reads_nothing__is_well(event: JobEvent) -> None:
    await Command("true", timeout=10).deliver(event)


# The command line


def settings_of(target: Target) -> dict[str, str]:
    return {
        "SUPABASE_URL": target.url,
        "SUPABASE_SERVICE_ROLE_KEY": target.service_role_key,
        "REELBASE_WEBHOOK_SECRET": SECRET,
    }


@contextlib.asynccontextmanager
async def listener(target: Target, *arguments: str) -> AsyncIterator[Process]:
    """`reelbase listen` in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reelbase", *arguments),
        env={**os.environ, **settings_of(target)},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process: Process, *, by: signal.Signals | None = None) -> tuple[str, str]:
    """What it has printed, and what went wrong."""
    if by is not None:
        process.send_signal(by)
    async with asyncio.timeout(20):
        output, errors = await process.communicate()
    return output.decode(), errors.decode()


async def place(client: AsyncReelbase, name: str, user_id: UUID) -> list[UUID]:
    """The jobs of events that are not committed."""
    (cursor,) = [each.cursor for each in await client.consumers.list() if each.name == name]
    return [event.job_id async for event in client.events.read_all(after=cursor, user_id=user_id)]


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Callable[[], list[UUID]]]:
    """The jobs that a command has appended to the file `seen`."""
    seen = tmp_path / "seen"
    seen.touch()
    return lambda: [UUID(line) for line in seen.read_text().split()]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_listener__stops_gracefully_and_goes_on_later(
    target: Target, service: AsyncReelbase, name: str, user_id: UUID, jobs: list[UUID], ending: signal.Signals
) -> None:
    receiver = Receiver()
    async with serving(receiver.receive) as url:
        options = ("listen", "--consumer", name, "--user", str(user_id), "--webhook", url)
        async with listener(target, *options, "--types", "job.created,job.paused") as process:
            await eventually(lambda: _equal(receiver.jobs, jobs))
            output, errors = await ended(process, by=ending)

        assert process.returncode == 0, errors
        assert output.splitlines()[0] == f"{name}: goes on where it began, nothing is committed yet."
        assert [line.split()[3] for line in output.splitlines()[1:4]] == [str(job) for job in jobs]
        assert "stopped after 3 events" in output
        assert await place(service, name, user_id) == []
        assert errors == ""
        (holder,) = [each.holder for each in await service.consumers.list() if each.name == name]
        assert holder is None


def _equal(found: object, expected: object) -> None:
    assert found == expected


async def test_stopped_listener__waits_for_no_pause_and_abandons_what_takes_too_long(
    service: AsyncReelbase,
    name: str,
    user_id: UUID,
    jobs: list[UUID],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], list[UUID]],
) -> None:
    monkeypatch.setattr(listening, "_GRACE", 0.2)
    append = f'echo "$REELBASE_JOB_ID" >> {tmp_path}/seen'
    for command in (f"{append}; exit 1", f"{append}; sleep 60"):
        to = listening.Target(command, None, timeout=100, attempts=8)
        consumer = service.events.consumer(name, user_id=user_id)
        task = asyncio.ensure_future(listening.listen(consumer, to, "beginning", print))
        expected = [*lines(), jobs[0]]
        await eventually(lambda expected=expected: _equal(lines()[: len(expected)], expected))
        task.cancel()
        await asyncio.wait_for(task, 5)

        assert [child for child in psutil.Process().children() if "sleep" in child.name()] == []
        assert await place(service, name, user_id) == jobs
    async with service.events.consumer(name, wait=False):
        pass


async def test_killed_listener__leaves_the_rest_to_the_next(
    target: Target,
    service: AsyncReelbase,
    name: str,
    user_id: UUID,
    jobs: list[UUID],
    tmp_path: Path,
    lines: Callable[[], list[UUID]],
) -> None:
    """The first one dies during the second event; the second one takes over when its lease is over."""
    append = f'echo "$REELBASE_JOB_ID" >> {tmp_path}/seen'
    options = ("listen", "--consumer", name, "--user", str(user_id), "--lease", "1", "--quiet", "--exec")
    hang = f"{append}; test $(wc -l < {tmp_path}/seen) -lt 2 || exec sleep 60"
    async with listener(target, *options, hang) as first:
        await eventually(lambda: _equal(lines(), jobs[:2]))

        async def committed() -> None:
            assert await place(service, name, user_id) == jobs[1:]

        await eventually(committed)
        async with listener(target, *options, append) as second:
            orphans = psutil.Process(first.pid).children(recursive=True)
            first.kill()
            # What it had started goes on without it.
            for orphan in orphans:
                orphan.kill()
            await eventually(lambda: _equal(lines(), [*jobs[:2], *jobs[1:]]))
            output, errors = await ended(second, by=signal.SIGTERM)

    assert (second.returncode, output, errors) == (0, "", "")
    assert await place(service, name, user_id) == []


async def test_failing_command__makes_a_dead_letter_and_goes_on(
    target: Target,
    service: AsyncReelbase,
    name: str,
    user_id: UUID,
    jobs: list[UUID],
    tmp_path: Path,
    lines: Callable[[], list[UUID]],
) -> None:
    fail = f'echo "$REELBASE_JOB_ID" >> {tmp_path}/seen; test "$REELBASE_JOB_ID" != {jobs[0]}'
    options = ("listen", "--consumer", name, "--user", str(user_id), "--attempts", "2", "--exec", fail)
    async with listener(target, *options) as process:
        await eventually(lambda: _equal(lines(), [jobs[0], *jobs]))
        output, errors = await ended(process, by=signal.SIGTERM)

    assert "dead letter: exit code 1" in output
    assert "attempt 2 of 2 failed, exit code 1; given up." in errors
    (letter,) = [letter async for letter in service.consumers.dead_letters(name)]
    assert (letter.event.job_id, letter.attempts, letter.error) == (jobs[0], 2, "exit code 1")
    assert await place(service, name, user_id) == []


async def test_dead_letters__are_shown_delivered_after_all_and_discarded(
    service: AsyncReelbase, name: str, user_id: UUID, jobs: list[UUID]
) -> None:
    async with service.events.consumer(name, user_id=user_id) as consumer:
        for _ in jobs:
            await consumer.dead_letter(await anext(consumer), attempts=2, error="exit code 1")
    said: list[str] = []
    letters = DeadLetters(service, name, said.append)
    first, second, third = [str(letter.event_id) async for letter in service.consumers.dead_letters(name)]

    def to(command: str) -> listening.Target:
        return listening.Target(command, None, timeout=10, attempts=1)

    assert await letters.show()
    for job, line in zip(jobs, said, strict=True):
        assert str(job) in line
        assert line.endswith("after 2 attempts: exit code 1")
    assert not await letters.redeliver(["all"], to("exit 4"))
    assert said[-1].endswith("still a dead letter: exit code 4")
    assert await letters.redeliver([second], to("true"))
    assert await letters.discard([first])
    assert [letter.event.job_id async for letter in service.consumers.dead_letters(name)] == [jobs[2]]
    assert await letters.redeliver(["all", third], to("true"))
    assert await letters.show()
    assert said[-1] == f"{name}: no dead letters."
    with pytest.raises(ReelbaseError, match=f"has no dead letter {third}"):
        await letters.discard([third])


async def test_endpoint_that_is_gone__stops_the_listener(
    target: Target,
    service: AsyncReelbase,
    name: str,
    user_id: UUID,
    jobs: list[UUID],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for setting, value in settings_of(target).items():
        monkeypatch.setenv(setting, value)
    receiver = Receiver([web.Response(), web.Response(status=410)])
    said: list[str] = []
    async with serving(receiver.receive) as url:
        consumer = service.events.consumer(name, user_id=user_id)
        with pytest.raises(EndpointGone):
            await listening.listen(consumer, listening.Target(None, url, 10, 8), "beginning", said.append)

    assert len(said) == 2
    assert await place(service, name, user_id) == jobs[1:]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("listen",), 2, "--consumer"),
        (("listen", "--consumer", "x"), 2, "Give either --exec or --webhook"),
        (("listen", "--consumer", "x", "--exec", "true", "--webhook", "http://x"), 2, "Give either"),
        (
            ("listen", "--consumer", "x", "--exec", "true", "--types", "job.craeted"),
            2,
            "job.craeted is none of",
        ),
        (("listen", "--consumer", "x", "--exec", "true", "--user", "me"), 2, "--user"),
        (("listen", "--consumer", "x", "--exec", "true", "--attempts", "0"), 2, "--attempts"),
        (("listen", "--consumer", "a b", "--exec", "true"), 1, "reelbase: name must have 1 to 100 letters"),
        (("listen", "--consumer", "x", "--exec", "true", "--start", "then"), 1, "reelbase: "),
        (("listen", "--consumer", "x", "--webhook", "here"), 1, "reelbase: here is no web address."),
        (
            ("listen", "--consumer", "x", "--webhook", "http://a..b"),
            1,
            "reelbase: http://a..b is no web address.",
        ),
        (("dead-letters", "--consumer", "x", "--exec", "true"), 2, "Say with --redeliver"),
        (("dead-letters", "--consumer", "x", "--discard", "7"), 1, "reelbase: x has no dead letter 7."),
        (("dead-letters", "--consumer", "x", "--redeliver", "7", "--discard", "7"), 2, "exclude each other"),
    ],
)
def test_bad_argument__is_named(
    target: Target,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for setting, value in {**settings_of(target), "COLUMNS": "200"}.items():
        monkeypatch.setenv(setting, value)
    monkeypatch.setattr(sys, "argv", ["reelbase", *arguments])

    with pytest.raises(SystemExit) as exited:
        run()

    # What is no number is printed by the interpreter, and counts as 1.
    said = capsys.readouterr().err + str(exited.value.code)
    assert words in said
    assert (exited.value.code if code == 2 else 1) == code
    assert "Traceback" not in said


def test_webhook_without_a_secret__is_refused(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for setting, value in settings_of(target).items():
        monkeypatch.setenv(setting, value)
    monkeypatch.delenv("REELBASE_WEBHOOK_SECRET")
    monkeypatch.setattr(
        sys, "argv", ["reelbase", "listen", "--consumer", "x", "--webhook", "http://127.0.0.1"]
    )

    with pytest.raises(SystemExit, match="REELBASE_WEBHOOK_SECRET, which signs webhooks, is not set"):
        run()
