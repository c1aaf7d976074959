"""One subscription: a stream, what waits of it, and the callback that it goes to."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from uuid import uuid4

from reelbase.errors import ReelbaseError, SubscriptionOverflow
from reelbase.models import JobEvent
from reelbase.realtime.backlog import AnyEvent, Backlog
from reelbase.realtime.backoff import backoff, passes
from reelbase.realtime.callbacks import Callback, Caller
from reelbase.realtime.pace import Pace
from reelbase.realtime.state import ConnectionPhase, ConnectionState
from reelbase.realtime.subscription_info import SubscriptionId, SubscriptionInfo
from reelbase.realtime.topic import Stream, Streams, Topic

logger = logging.getLogger("reelbase.subscriptions")


class Subscription:
    """Reads a stream into a backlog, and calls the callback with one event after the other."""

    def __init__(
        self,
        topic: Topic,
        backlog: Backlog,
        caller: Caller,
        callback: Callback,
        on_error: Callback | None,
    ) -> None:
        self.id = SubscriptionId(uuid4())
        self.started = asyncio.Event()
        """Set once what happens from then on will be delivered, and at the end."""
        self._topic = topic
        self._callback = callback
        self._on_error = on_error
        self._backlog = backlog
        self._caller = caller
        self._since = datetime.now(UTC)
        self._state = ConnectionState(ConnectionPhase.CONNECTING, "It has just begun.", self._since)
        self._stream: Stream | None = None
        self._stopped: str | None = None
        self._pace = Pace(time.monotonic())
        self._delivered = 0
        self._failures = 0
        self._last_error: Exception | None = None

    async def run(self, streams: Streams) -> None:
        """To the end: of the stream, or when `stop` asks for it."""
        reason = "The client was closed."
        reader = asyncio.create_task(self._read(streams), name=f"reelbase-subscription-{self.id}-reader")
        try:
            while (event := await self._backlog.take()) is not None:
                await self._deliver(event)
                # A callback that never waits should not hold up everybody else.
                await asyncio.sleep(0)
            reason = self._stopped or await self._conclusion(reader)
        finally:
            reader.cancel()
            await asyncio.wait({reader})
            self._caller.close()
            self._stream = None
            self._state = ConnectionState(ConnectionPhase.CLOSED, reason, datetime.now(UTC))
            self.started.set()

    @property
    def is_stopping(self) -> bool:
        return self._stopped is not None

    def stop(self, reason: str) -> None:
        """Begin no other call of the callback, and end soon."""
        self._stopped = self._stopped or reason
        self._backlog.discard()

    def info(self) -> SubscriptionInfo:
        return SubscriptionInfo(
            id=self.id,
            kind=self._topic.kind,
            job_id=self._topic.job_id,
            since=self._since,
            delivered=self._delivered,
            failures=self._failures,
            last_error=self._last_error,
            queued=len(self._backlog),
            dropped=self._backlog.dropped,
            rate=self._pace.rate(time.monotonic()),
            lag=self._pace.lag(),
            lag_p95=self._pace.lag_p95(),
            connection_state=self._connection_state(),
        )

    def _connection_state(self) -> ConnectionState:
        stream = self._stream
        if stream is None:
            return self._state
        state = stream.connection_state
        if state.phase is ConnectionPhase.CLOSED:
            # The subscription ends when its callback has had what was read before.
            return ConnectionState(
                ConnectionPhase.CATCHING_UP, "what was read is being delivered", state.since
            )
        return state

    async def _read(self, streams: Streams) -> None:
        """Fill the backlog to the end of the stream, which is its end too."""
        try:
            await self._follow(streams.open(self._topic))
        except SubscriptionOverflow:
            self._backlog.discard()
            raise
        finally:
            self._backlog.finish()

    async def _follow(self, stream: Stream) -> None:
        self._stream = stream
        try:
            await self._start(stream)
            self.started.set()
            async for event in stream:
                if self._topic.wants(event):
                    await self._backlog.put(event)
        finally:
            await stream.aclose()

    async def _start(self, stream: Stream) -> None:
        """Try until the stream begins. Afterwards it survives by itself what passes."""
        delays = backoff()
        while True:
            try:
                return await stream.start()
            except ReelbaseError as error:
                if not passes(error):
                    raise
                logger.warning("Subscription %s cannot begin yet: %s", self.id, error)
            await asyncio.sleep(next(delays))

    async def _conclusion(self, reader: "asyncio.Task[None]") -> str:
        """Why the stream has ended; what it raised is reported."""
        error = reader.exception()
        if error is None:
            return "The stream has ended." if self._topic.job_id is None else "The job has ended."
        if not isinstance(error, Exception):
            raise error
        await self._report(error, None)
        return str(error)

    async def _deliver(self, event: AnyEvent) -> None:
        age = (datetime.now(UTC) - event.created_at).total_seconds()
        self._pace.count(time.monotonic(), max(age, 0.0))
        try:
            await self._caller.call(self._callback, event)
        except Exception as error:  # noqa: BLE001  # whatever a user's function raises is reported
            self._failures += 1
            await self._report(error, event)
        self._delivered += 1

    async def _report(self, error: Exception, event: AnyEvent | None) -> None:
        self._last_error = error
        if self._on_error is None:
            logger.error("%s", self._explained(event), exc_info=error)
            return
        try:
            await self._caller.call(self._on_error, error, event)
        except Exception:
            logger.exception("The on_error of subscription %s raised.", self.id)

    def _explained(self, event: AnyEvent | None) -> str:
        name = f"subscription {self.id} ({self._topic.kind})"
        if event is None:
            return f"The {name} has ended."
        job = f" of job {event.job_id}" if isinstance(event, JobEvent) else ""
        return f"The callback of {name} raised on event {event.id} ({event.type}){job}."
