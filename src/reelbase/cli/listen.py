"""`reelbase listen`: the events of the log, delivered one after the other under a consumer's name."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from reelbase.cli.command import Command
from reelbase.cli.delivery import Delivery, Destination, GivenUp
from reelbase.cli.webhook import Webhook, signing_secrets
from reelbase.models import EventConsumer, JobEvent
from reelbase.realtime.consumer import AsyncConsumer
from reelbase.settings import Settings

Print = Callable[[str], None]

_GRACE = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """A command or a web address, and how it is dealt with: seconds for an attempt, number of attempts."""

    command: str | None
    webhook: str | None
    timeout: float
    attempts: int

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Delivery]:
        """Raises ConfigurationError for an address or a secret that is none."""
        async with self._destination() as destination:
            yield Delivery(destination, self.attempts)

    def _destination(self) -> AbstractAsyncContextManager[Destination]:
        if self.webhook is None:
            return contextlib.nullcontext(Command(self.command or "", timeout=self.timeout))
        setting = Settings.load().reelbase_webhook_secret
        secrets = signing_secrets(None if setting is None else setting.get_secret_value())
        return Webhook(self.webhook, secrets, timeout=self.timeout)


async def listen(consumer: AsyncConsumer, target: Target, start: str, say: Print) -> None:
    """Deliver each event, and keep those that cannot be delivered as dead letters; until cancelled.

    Cancelled, it finishes the attempt that is under way, or abandons it after a few seconds or when cancelled
    again, commits what is done and gives the lease up. What was abandoned comes again.
    """
    done = 0

    async def handle(event: JobEvent) -> None:
        nonlocal done
        began = time.monotonic()
        try:
            attempt = await delivery.deliver(event)
        except GivenUp as given_up:
            await consumer.dead_letter(event, attempts=given_up.attempts, error=str(given_up))
            say(f"{line(event)}  dead letter: {given_up}")
        else:
            done += 1
            again = f" at attempt {attempt}" if attempt > 1 else ""
            say(f"{line(event)}  handled{again} in {time.monotonic() - began:.2f} s")

    with contextlib.suppress(asyncio.CancelledError):
        async with target.opened() as delivery, consumer:
            say(f"{consumer.name}: {_beginning(consumer.state, start)}")
            await _gracefully(consumer, handle, delivery)
    say(f"{consumer.name}: stopped after {done} events; the next start goes on from here.")


async def _gracefully(
    consumer: AsyncConsumer, handle: Callable[[JobEvent], Awaitable[None]], delivery: Delivery
) -> None:
    running = asyncio.create_task(consumer.run(handle), name="reelbase-listen")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        consumer.stop()
        pausing = asyncio.create_task(delivery.pausing.wait(), name="reelbase-listen-pausing")
        await asyncio.wait({running, pausing}, timeout=_GRACE, return_when=asyncio.FIRST_COMPLETED)
        pausing.cancel()
        raise
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _beginning(state: EventConsumer, start: str) -> str:
    if state.committed_at is not None:
        return f"goes on after what was committed on {moment(state.committed_at)}."
    if state.lease > 1:
        return "goes on where it began, nothing is committed yet."
    where = {"beginning": "at the beginning of the log", "now": "now"}
    return f"is new and begins {where.get(start, 'at the given cursor')}."


def line(event: JobEvent) -> str:
    return f"{datetime.now(UTC):%H:%M:%S}  {event.id:>8}  {event.type:<17}  {event.job_id}"


def moment(time_: datetime) -> str:
    return f"{time_.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
