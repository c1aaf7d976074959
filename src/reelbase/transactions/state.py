"""What a transaction knows of itself, without any input or output."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from reelbase.errors import ReelbaseError, TransactionFailed
from reelbase.execution.call import Call
from reelbase.realtime.watch import Subject
from reelbase.transactions import failures
from reelbase.transactions.catalog import Catalog
from reelbase.transactions.deadline import Deadline
from reelbase.transactions.pool import AsyncConnection, Connection

T = TypeVar("T")

NUMBER = "select pg_catalog.pg_current_xact_id_if_assigned()::text"
OUTCOME = "select pg_catalog.pg_xact_status(%s::pg_catalog.xid8)"
COMMIT: Call[None] = Call("commit", {}, type(None))


class State:
    """Whether a transaction can be used, what it did, and what an error means to it."""

    def __init__(
        self,
        connection: AsyncConnection | Connection,
        deadline: Deadline,
        catalog: Catalog,
        correlation_id: str,
    ) -> None:
        self.connection = connection
        self.catalog = catalog
        self.deadline = deadline
        self.correlation_id = correlation_id
        self.done: list[tuple[Call[Any], Any]] = []
        self.number: str | None = None
        self.used_directly = False
        self.ended: str | None = None
        self.savepoints: list[object] = []
        self._first_error: ReelbaseError | None = None

    @property
    def open(self) -> bool:
        """Whether there is something to roll back."""
        status = self.connection.info.transaction_status
        return status not in {TransactionStatus.IDLE, TransactionStatus.UNKNOWN}

    def check(self) -> None:
        """Raises TransactionFailed when no call can be made any more."""
        if self.ended is not None:
            raise self._over(self.ended)
        if self.connection.closed:
            raise self._lost(self._first_error or psycopg.OperationalError("closed"))
        self.check_sound()
        # Without a transaction the connection is not the caller's any more, but its owner's.
        if self.connection.info.transaction_status is TransactionStatus.IDLE:
            raise self._over("was ended through its connection")

    def statement(self, call: Call[Any], payload: dict[str, Any]) -> tuple[bytes, tuple[str, ...]]:
        """What carries a call, and its values. The catalog must know the function."""
        values = (json.dumps(payload),) if payload else ()
        return self.catalog.statement(call.function, payload), values

    def carried(self, call: Call[T], row: tuple[Any, ...] | None) -> T:
        if row is None:
            raise RuntimeError("a call always has one row")
        answer, number = row
        self.number = number or self.number
        result = call.parse(answer)
        self.done.append((call, result))
        return result

    @contextmanager
    def translated(self, call: Call[Any]) -> Iterator[None]:
        """Raise errors of psycopg as ReelbaseError, the original as `__cause__`, with what is known of the
        call."""
        began = time.monotonic()
        try:
            with failures.marked(self.correlation_id):
                try:
                    yield
                except psycopg.Error as error:
                    raise self.failure(error, call) from error
        except ReelbaseError as failure:
            failure.function, failure.arguments = call.function, call.shown_arguments()
            failure.duration = time.monotonic() - began
            raise

    def failure(self, error: psycopg.Error, call: Call[Any]) -> ReelbaseError:
        """What an error of psycopg means, to be remembered as what spoilt the transaction."""
        self.catalog.doubt(call.function, error.sqlstate)
        failure = self._failure(error, call)
        self._first_error = self._first_error or failure
        return failure

    def _failure(self, error: psycopg.Error, call: Call[Any]) -> ReelbaseError:
        if self.connection.closed:
            return self._lost(error)
        if error.sqlstate in failures.TIMED_OUT and self.deadline.over:
            return failures.timed_out(self.deadline.seconds)
        if error.sqlstate == failures.ABORTED:
            return failures.aborted(self._first_error)
        return failures.call_failed(error, call)

    def _lost(self, error: BaseException) -> TransactionFailed:
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate in failures.TIMED_OUT or self.deadline.over:
            return failures.timed_out(self.deadline.seconds)
        return failures.connection_lost(error)

    def recovered(self) -> None:
        """Rolled back to a savepoint: what failed before is undone."""
        self._first_error = None

    def check_sound(self) -> None:
        """Raises TransactionFailed when a call since the savepoint has failed."""
        if self.connection.info.transaction_status is TransactionStatus.INERROR:
            raise failures.aborted(self._first_error) from self._first_error

    def enter_savepoint(self, holder: object) -> None:
        """Savepoints nest, so those of two tasks or threads would end each other's."""
        self.check()
        if self.savepoints and self.savepoints[-1] is not holder:
            raise TransactionFailed(
                "busy",
                "Another task or thread has a savepoint open in this transaction.",
                hint="Use savepoints in one task, or a transaction for each.",
            )
        self.savepoints.append(holder)

    def leave_savepoint(self) -> None:
        self.savepoints.pop()

    def _over(self, how: str) -> TransactionFailed:
        return TransactionFailed(
            "ended",
            f"This transaction {how}; begin another with client.transaction().",
            committed=None if how == IN_DOUBT else how == COMMITTED,
        )


COMMITTED = "has been committed"
ROLLED_BACK = "has been rolled back"
IN_DOUBT = "may have been committed"
"""From when commit is sent until the answer is there, or is found out."""


def refuse_watch(_: Subject) -> NoReturn:
    raise TypeError("A transaction cannot watch: events show after its commit, to client.jobs.watch.")
