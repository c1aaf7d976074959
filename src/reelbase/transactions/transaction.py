"""Transactions: the services of a client on one connection to the database."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import psycopg

from reelbase.execution.call import Call
from reelbase.execution.operation import Async, Sync
from reelbase.execution.telemetry import Telemetry, correlation, current_correlation
from reelbase.execution.translation import sendable
from reelbase.services.table import Services
from reelbase.transactions.catalog import LOOKUP
from reelbase.transactions.pool import AsyncConnection, Connection
from reelbase.transactions.state import ROLLED_BACK, State, refuse_watch

T = TypeVar("T")

_SAVEPOINT: Call[None] = Call("savepoint", {}, type(None))


class AsyncTransaction(Services[Async]):
    """The services of a client in one transaction. Several tasks may share it: their calls take turns.

    A call that fails spoils the transaction, as Postgres has it: around one whose error is expected, put
    `tx.savepoint()`.
    """

    def __init__(self, state: State, connection: AsyncConnection, telemetry: Telemetry) -> None:
        super().__init__(self._carry_observed, refuse_watch)
        self._observed = telemetry.observed_async(self._carry)
        self.state = state
        self.raw = connection
        self.lock = asyncio.Lock()

    @property
    def connection(self) -> AsyncConnection:
        """The psycopg connection, with the caller's role, for what no service does.

        Its errors are psycopg's. Leave begin, commit and rollback to the transaction.
        """
        self.state.check()
        self.state.used_directly = True
        return self.raw

    async def _carry_observed(self, call: Call[T]) -> T:
        with correlation(current_correlation() or self.state.correlation_id):
            result: T = await self._observed(call)
        return result

    async def _carry(self, call: Call[T]) -> T:
        with self.state.translated(call):
            payload = sendable(call)
            async with self.lock:
                self.state.check()
                if not self.state.catalog.knows(call.function):
                    found = await self.raw.execute(LOOKUP, (call.function,))
                    self.state.catalog.learn(call.function, await found.fetchall())
                row = await (await self.raw.execute(*self.state.statement(call, payload))).fetchone()
            return self.state.carried(call, row)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What happens inside is undone when the block raises; the transaction goes on. They nest."""
        self.state.enter_savepoint(asyncio.current_task())
        try:
            block = self.raw.transaction()
            with self.state.translated(_SAVEPOINT):
                await block.__aenter__()
            try:
                yield
                self.state.check_sound()
            except BaseException as error:
                with self.state.translated(_SAVEPOINT):
                    await block.__aexit__(type(error), error, error.__traceback__)
                self.state.recovered()
                raise
            with self.state.translated(_SAVEPOINT):
                await block.__aexit__(None, None, None)
        finally:
            self.state.leave_savepoint()

    async def rollback(self) -> None:
        """Undo everything and end the transaction; leaving its block then raises nothing."""
        self.state.check()
        await self.end(ROLLED_BACK)

    async def end(self, how: str) -> None:
        async with self.lock:
            self.state.ended = how
            if not self.state.open:
                return
            with contextlib.suppress(psycopg.Error):
                try:
                    await self.raw.execute("rollback")
                except BaseException:
                    # Nobody waits for what is left of a rollback that was interrupted.
                    await self.raw.close()
                    raise


class Transaction(Services[Sync]):
    """The services of a client in one transaction. Several threads may share it: their calls take turns.

    A call that fails spoils the transaction, as Postgres has it: around one whose error is expected, put
    `tx.savepoint()`.
    """

    def __init__(self, state: State, connection: Connection, telemetry: Telemetry) -> None:
        super().__init__(self._carry_observed, refuse_watch)
        self._observed = telemetry.observed(self._carry)
        self.state = state
        self.raw = connection
        self.lock = threading.Lock()

    @property
    def connection(self) -> Connection:
        """The psycopg connection, with the caller's role, for what no service does.

        Its errors are psycopg's. Leave begin, commit and rollback to the transaction.
        """
        self.state.check()
        self.state.used_directly = True
        return self.raw

    def _carry_observed(self, call: Call[T]) -> T:
        with correlation(current_correlation() or self.state.correlation_id):
            result: T = self._observed(call)
        return result

    def _carry(self, call: Call[T]) -> T:
        with self.state.translated(call):
            payload = sendable(call)
            with self.lock:
                self.state.check()
                if not self.state.catalog.knows(call.function):
                    found = self.raw.execute(LOOKUP, (call.function,))
                    self.state.catalog.learn(call.function, found.fetchall())
                row = self.raw.execute(*self.state.statement(call, payload)).fetchone()
            return self.state.carried(call, row)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """What happens inside is undone when the block raises; the transaction goes on. They nest."""
        self.state.enter_savepoint(threading.current_thread())
        try:
            block = self.raw.transaction()
            with self.state.translated(_SAVEPOINT):
                block.__enter__()
            try:
                yield
                self.state.check_sound()
            except BaseException as error:
                with self.state.translated(_SAVEPOINT):
                    block.__exit__(type(error), error, error.__traceback__)
                self.state.recovered()
                raise
            with self.state.translated(_SAVEPOINT):
                block.__exit__(None, None, None)
        finally:
            self.state.leave_savepoint()

    def rollback(self) -> None:
        """Undo everything and end the transaction; leaving its block then raises nothing."""
        self.state.check()
        self.end(ROLLED_BACK)

    def end(self, how: str) -> None:
        with self.lock:
            self.state.ended = how
            if not self.state.open:
                return
            with contextlib.suppress(psycopg.Error):
                try:
                    self.raw.execute("rollback")
                except BaseException:
                    # Nobody waits for what is left of a rollback that was interrupted.
                    self.raw.close()
                    raise
