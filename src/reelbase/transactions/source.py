"""Where transactions begin and end: for each client one source, with its pool and its proven identity."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from typing import Any, TypeVar

import psycopg
import tenacity

from reelbase.errors import ReelbaseError, TransactionConflict, TransactionFailed
from reelbase.execution.call import Call
from reelbase.execution.telemetry import correlation, current_correlation
from reelbase.models import UserRole
from reelbase.transactions import failures
from reelbase.transactions.catalog import Catalog
from reelbase.transactions.deadline import Deadline
from reelbase.transactions.identity import PROOF, Identity, Known, Speaker
from reelbase.transactions.options import Options
from reelbase.transactions.pool import AsyncConnection, AsyncPool, Connection, Pool, PoolStats
from reelbase.transactions.state import COMMIT, COMMITTED, IN_DOUBT, NUMBER, OUTCOME, ROLLED_BACK, State
from reelbase.transactions.transaction import AsyncTransaction, Transaction

T = TypeVar("T")

# How long the fate of a commit is looked for whose answer was lost, in seconds.
_LOOK_FOR = 5.0
_LOOK_AGAIN = 0.1
_BEGIN: Call[None] = Call("begin", {}, type(None))


AsyncSpeaker = Speaker[Awaitable[str], Awaitable[UserRole], Awaitable[None]]
SyncSpeaker = Speaker[str, UserRole, None]


class AsyncTransactions:
    """Begins transactions for clients of asyncio, on their common pool."""

    def __init__(self, pool: AsyncPool) -> None:
        self._pool = pool
        self._endings: set[asyncio.Task[None]] = set()
        self._catalog = Catalog()
        self._known = Known()

    @asynccontextmanager
    async def begin(self, speaker: AsyncSpeaker, options: Options) -> AsyncIterator[AsyncTransaction]:
        with correlation(current_correlation()) as correlation_id, failures.marked(correlation_id):
            identity = await self._identity(speaker)
            connection, deadline = await self._begun(options, identity, correlation_id)
        state = State(connection, deadline, self._catalog, correlation_id)
        tx = AsyncTransaction(state, connection, speaker.telemetry)
        try:
            yield tx
            with failures.marked(correlation_id):
                await self._finish(tx)
        finally:
            await self._ended(tx, speaker)

    async def run(
        self,
        speaker: AsyncSpeaker,
        work: Callable[[AsyncTransaction], Awaitable[T]],
        options: Options,
        attempts: int,
    ) -> T:
        async def once() -> T:
            async with self.begin(speaker, options) as tx:
                return await work(tx)

        retrying = tenacity.AsyncRetrying(**_again(attempts, self._pool.counts.retried))
        with _counted(retrying):
            return await retrying(once)

    def stats(self) -> PoolStats:
        return self._pool.stats()

    async def close(self) -> None:
        # In a loop that has ended, nothing goes on.
        running = asyncio.get_running_loop()
        if under_way := [ending for ending in self._endings if ending.get_loop() is running]:
            await asyncio.wait(under_way)
        await self._pool.close()

    async def _ended(self, tx: AsyncTransaction, speaker: AsyncSpeaker) -> None:
        # In a task of its own: who is cancelled again, as anyio does at each await, interrupts none of it.
        ending = asyncio.create_task(self._end(tx, speaker))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await asyncio.shield(ending)

    async def _end(self, tx: AsyncTransaction, speaker: AsyncSpeaker) -> None:
        state = tx.state
        committed = state.ended == COMMITTED
        # All of it happens, from last to first, whatever one part raises.
        async with AsyncExitStack() as parts:
            if speaker.committed is not None and state.ended in {COMMITTED, IN_DOUBT}:
                parts.push_async_callback(speaker.committed, state.done, committed)
            parts.push_async_callback(self._pool.give_back, tx.raw)
            parts.callback(self._pool.counts.ended, state.deadline.began, committed=committed)
            parts.callback(state.deadline.close)
            if state.ended is None or state.open:
                await tx.end(ROLLED_BACK)

    async def _identity(self, speaker: AsyncSpeaker) -> Identity:
        """Who the client speaks for, proven by the Data API. Raises AuthenticationError."""
        while True:
            bearer = await speaker.bearer()
            known = self._known.get(bearer)
            if known is not None:
                return known
            role = await speaker.prove(PROOF)
            # A token that was renewed meanwhile is another one, and may be what was proven.
            if await speaker.bearer() == bearer:
                return self._known.add(bearer, role)

    async def _begun(
        self, options: Options, identity: Identity, correlation_id: str
    ) -> tuple[AsyncConnection, Deadline]:
        # All connections in the pool may have died since their last use; what fails before anything has
        # happened is tried on another one.
        left = self._pool.size
        while True:
            connection = await self._pool.take(options.timeout)
            deadline = Deadline(options.timeout)
            try:
                deadline.watch(connection.fileno(), asyncio.get_running_loop())
                begin = options.begin(identity, correlation_id, connection.info.server_version)
                await connection.execute(begin)
            except psycopg.Error as error:
                deadline.close()
                lost = connection.closed and not deadline.over
                await self._discard(connection)
                if not lost or left == 0:
                    raise _not_begun(error, lost=lost) from error
                left -= 1
            except BaseException:
                deadline.close()
                await self._discard(connection)
                raise
            else:
                self._pool.counts.begun()
                return connection, deadline

    async def _discard(self, connection: AsyncConnection) -> None:
        await connection.close()
        await self._pool.give_back(connection)

    async def _finish(self, tx: AsyncTransaction) -> None:
        """Commit. Raises what the transaction failed of."""
        state, connection = tx.state, tx.raw
        if state.ended is not None:
            return
        async with tx.lock:
            state.check()
            if state.used_directly and state.number is None:
                with state.translated(COMMIT):
                    row = await (await connection.execute(NUMBER)).fetchone()
                state.number = row[0] if row else None
            state.ended = IN_DOUBT
            try:
                await connection.execute("commit")
            except psycopg.Error as error:
                failure = state.failure(error, COMMIT)
                known = not connection.closed or state.number is None
                if known or not await self._took_effect(state.number, error):
                    state.ended = ROLLED_BACK
                    raise failure from error
            state.ended = COMMITTED

    async def _took_effect(self, number: str | None, error: psycopg.Error) -> bool:
        """What became of a commit whose answer was lost, asked on another connection."""
        end = time.monotonic() + _LOOK_FOR
        status = None
        try:
            connection = await self._pool.connect()
            try:
                while status in {None, "in progress"} and time.monotonic() < end:
                    row = await (await connection.execute(OUTCOME, (number,))).fetchone()
                    status = row[0] if row else None
                    if status == "in progress":
                        await asyncio.sleep(_LOOK_AGAIN)
            finally:
                await connection.close()
        except (psycopg.Error, ReelbaseError):
            raise failures.outcome_unknown(error) from error
        if status not in {"committed", "aborted"}:
            raise failures.outcome_unknown(error) from error
        return bool(status == "committed")


class Transactions:
    """Begins transactions for clients of synchronous code, on their common pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._catalog = Catalog()
        self._known = Known()

    @contextmanager
    def begin(self, speaker: SyncSpeaker, options: Options) -> Iterator[Transaction]:
        with correlation(current_correlation()) as correlation_id, failures.marked(correlation_id):
            identity = self._identity(speaker)
            connection, deadline = self._begun(options, identity, correlation_id)
        state = State(connection, deadline, self._catalog, correlation_id)
        tx = Transaction(state, connection, speaker.telemetry)
        try:
            yield tx
            with failures.marked(correlation_id):
                self._finish(tx)
        finally:
            self._end(tx, speaker)

    def run(
        self, speaker: SyncSpeaker, work: Callable[[Transaction], T], options: Options, attempts: int
    ) -> T:
        def once() -> T:
            with self.begin(speaker, options) as tx:
                return work(tx)

        retrying = tenacity.Retrying(**_again(attempts, self._pool.counts.retried))
        with _counted(retrying):
            return retrying(once)

    def stats(self) -> PoolStats:
        return self._pool.stats()

    def close(self) -> None:
        self._pool.close()

    def _end(self, tx: Transaction, speaker: SyncSpeaker) -> None:
        state = tx.state
        committed = state.ended == COMMITTED
        # All of it happens, from last to first, whatever one part raises: Ctrl-C may come again.
        with ExitStack() as parts:
            if speaker.committed is not None and state.ended in {COMMITTED, IN_DOUBT}:
                parts.callback(speaker.committed, state.done, committed)
            parts.callback(self._pool.give_back, tx.raw)
            parts.callback(self._pool.counts.ended, state.deadline.began, committed=committed)
            parts.callback(state.deadline.close)
            if state.ended is None or state.open:
                tx.end(ROLLED_BACK)

    def _identity(self, speaker: SyncSpeaker) -> Identity:
        """Who the client speaks for, proven by the Data API. Raises AuthenticationError."""
        while True:
            bearer = speaker.bearer()
            known = self._known.get(bearer)
            if known is not None:
                return known
            role = speaker.prove(PROOF)
            # A token that was renewed meanwhile is another one, and may be what was proven.
            if speaker.bearer() == bearer:
                return self._known.add(bearer, role)

    def _begun(
        self, options: Options, identity: Identity, correlation_id: str
    ) -> tuple[Connection, Deadline]:
        # All connections in the pool may have died since their last use; what fails before anything has
        # happened is tried on another one.
        left = self._pool.size
        while True:
            connection = self._pool.take(options.timeout)
            deadline = Deadline(options.timeout)
            try:
                deadline.watch(connection.fileno(), None)
                begin = options.begin(identity, correlation_id, connection.info.server_version)
                connection.execute(begin)
            except psycopg.Error as error:
                deadline.close()
                lost = connection.closed and not deadline.over
                self._discard(connection)
                if not lost or left == 0:
                    raise _not_begun(error, lost=lost) from error
                left -= 1
            except BaseException:
                deadline.close()
                self._discard(connection)
                raise
            else:
                self._pool.counts.begun()
                return connection, deadline

    def _discard(self, connection: Connection) -> None:
        connection.close()
        self._pool.give_back(connection)

    def _finish(self, tx: Transaction) -> None:
        """Commit. Raises what the transaction failed of."""
        state, connection = tx.state, tx.raw
        if state.ended is not None:
            return
        with tx.lock:
            state.check()
            if state.used_directly and state.number is None:
                with state.translated(COMMIT):
                    row = connection.execute(NUMBER).fetchone()
                state.number = row[0] if row else None
            state.ended = IN_DOUBT
            try:
                connection.execute("commit")
            except psycopg.Error as error:
                failure = state.failure(error, COMMIT)
                known = not connection.closed or state.number is None
                if known or not self._took_effect(state.number, error):
                    state.ended = ROLLED_BACK
                    raise failure from error
            state.ended = COMMITTED

    def _took_effect(self, number: str | None, error: psycopg.Error) -> bool:
        """What became of a commit whose answer was lost, asked on another connection."""
        end = time.monotonic() + _LOOK_FOR
        status = None
        try:
            connection = self._pool.connect()
            try:
                while status in {None, "in progress"} and time.monotonic() < end:
                    row = connection.execute(OUTCOME, (number,)).fetchone()
                    status = row[0] if row else None
                    if status == "in progress":
                        time.sleep(_LOOK_AGAIN)
            finally:
                connection.close()
        except (psycopg.Error, ReelbaseError):
            raise failures.outcome_unknown(error) from error
        if status not in {"committed", "aborted"}:
            raise failures.outcome_unknown(error) from error
        return bool(status == "committed")


def _not_begun(error: psycopg.Error, *, lost: bool) -> ReelbaseError:
    return failures.unreachable(error) if lost else failures.call_failed(error, _BEGIN)


def _again(attempts: int, count: Callable[[], None]) -> dict[str, Any]:
    """Arguments for tenacity: what was surely rolled back, for a reason that passes, is run again."""

    def passes(error: BaseException) -> bool:
        return isinstance(error, TransactionConflict) or (
            isinstance(error, TransactionFailed) and error.transient and error.committed is False
        )

    return {
        "retry": tenacity.retry_if_exception(passes),
        "stop": tenacity.stop_after_attempt(attempts),
        "wait": tenacity.wait_random_exponential(multiplier=0.02, max=1.0),
        "before_sleep": lambda _: count(),
        "reraise": True,
    }


@contextmanager
def _counted(retrying: tenacity.BaseRetrying) -> Iterator[None]:
    try:
        yield
    except ReelbaseError as error:
        error.retries = retrying.statistics.get("attempt_number", 1) - 1
        raise
