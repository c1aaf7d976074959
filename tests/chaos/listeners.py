"""Those who follow the log, each in one of the ways that the client offers, and what they have heard."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from reelbase import AsyncReelbase, ClientClosed, EventType, JobEvent, Reelbase, ReelbaseError

PAUSE = 1.0
"""Seconds before a stream that ended, with its job or because it could not begin, is opened again."""

Entry = tuple[UUID, int]
"""A job, and the `seq` of an event of it."""


class Row(NamedTuple):
    """An event in the database."""

    job: UUID
    seq: int
    user: UUID | None
    type: str


Concern = Callable[[Row], bool]
"""Whether a listener should hear of an event."""


def of_job(job: UUID) -> Concern:
    return lambda row: row.job == job


def of_user(user: UUID) -> Concern:
    return lambda row: row.user == user


def of_type(kind: EventType) -> Concern:
    return lambda row: row.type == kind


def of_all(_row: Row) -> bool:
    return True


@dataclass(eq=False)
class Listener:
    name: str
    concern: Concern
    heard: list[Entry] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    """How often a stream ended, and why."""
    counts: Counter[str] = field(default_factory=Counter)
    """How many events its streams have pushed and read, those that are still open left out."""

    def __str__(self) -> str:
        ends = ", ".join(f"{count} × {why}" for why, count in self.ends.items())
        return f"{self.name} ({ends or 'no'} ends)"

    _known: set[Entry] = field(default_factory=set)
    """What was heard before the present stream, and which it may tell again."""

    def resume(self) -> None:
        """A stream of the log begins again at its cursor."""
        self._known = set(self.heard)

    def hear(self, event: JobEvent) -> None:
        entry = event.job_id, event.seq
        if entry not in self._known:
            self.heard.append(entry)

    def last_seq(self) -> int:
        """Of a listener to one job."""
        return self.heard[-1][1] if self.heard else 0

    def count(self, stream: Any) -> None:
        self.counts += Counter(pushed=stream.counts.pushed, read=stream.counts.read)

    def note(self, error: Exception, _event: object) -> None:
        """A subscription's error."""
        self.ends[repr(error)] += 1

    def ended(self, error: ReelbaseError | None, heard_before: int) -> None:
        """Raises what no stream may end with.

        One that cannot begin says so; once it has begun, it survives everything that passes.
        """
        self.ends["the job's end" if error is None else type(error).__name__] += 1
        if error is not None and not (error.transient and len(self.heard) == heard_before):
            raise error


async def follow_job(client: AsyncReelbase, job: UUID, listener: Listener) -> None:
    """For ever: a job that has ended may be tried again."""
    while True:
        before = len(listener.heard)
        stream = client.jobs.watch(job, after_seq=listener.last_seq())
        listener.ended(await _hear_out(stream, listener), before)
        await asyncio.sleep(PAUSE)


async def follow_job_in_thread(client: Reelbase, job: UUID, listener: Listener) -> None:
    """Until the client is closed."""
    await asyncio.to_thread(_follow_job, client, job, listener)


def _follow_job(client: Reelbase, job: UUID, listener: Listener) -> None:
    while True:
        before, error = len(listener.heard), None
        stream = client.jobs.watch(job, after_seq=listener.last_seq())
        try:
            with stream:
                for event in stream:
                    listener.hear(event)
        except ClientClosed:
            return
        except ReelbaseError as raised:
            error = raised
        finally:
            listener.count(stream)
        listener.ended(error, before)
        time.sleep(PAUSE)


async def follow_log(
    client: AsyncReelbase, listener: Listener, *, longest: float | None = None, **wanted: Any
) -> None:
    """What the caller may see and wants; in streams one after another, each of `longest` seconds at most."""
    cursor = None
    while True:
        before = len(listener.heard)
        listener.resume()
        stream = client.events.stream(after=cursor or "beginning", **wanted)
        try:
            async with asyncio.timeout(longest):
                error = await _hear_out(stream, listener)
        except TimeoutError:
            error = None
        listener.ended(error, before)
        cursor = stream.cursor or cursor
        await asyncio.sleep(PAUSE if error else 0)


async def _hear_out(stream: Any, listener: Listener) -> ReelbaseError | None:
    """To the stream's end; what ended it."""
    try:
        async with stream:
            async for event in stream:
                listener.hear(event)
    except ReelbaseError as error:
        return error
    finally:
        listener.count(stream)
    return None
