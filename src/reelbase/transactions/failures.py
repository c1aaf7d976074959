"""What errors of psycopg mean for a call, and for the transaction that it was in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from reelbase.errors import Answer, ConnectionFailed, ReelbaseError, TransactionConflict, TransactionFailed
from reelbase.execution.call import Call
from reelbase.execution.telemetry import forget_frames
from reelbase.execution.translation import details_of, refusal

TIMED_OUT = {"57014", "25P03", "25P04"}
"""statement_timeout, idle_in_transaction_session_timeout, transaction_timeout: we set all three."""
ABORTED = "25P02"


@contextmanager
def marked(correlation_id: str) -> Iterator[None]:
    """Raise errors as those of calls are, though they come from begin or commit."""
    try:
        yield
    except ReelbaseError as error:
        error.correlation_id = correlation_id
        forget_frames(error)
        raise


def answer_of(error: psycopg.Error) -> Answer:
    """What an error of Postgres says, in the words of an answer of the Data API."""
    details = details_of(error.diag.message_detail)
    if error.diag.constraint_name:
        details.setdefault("constraint", error.diag.constraint_name)
    return Answer(
        message=error.diag.message_primary or str(error) or type(error).__name__,
        error=details.pop("error", None),
        sqlstate=error.sqlstate,
        hint=error.diag.message_hint,
        details=details,
    )


def call_failed(error: psycopg.Error, call: Call[Any]) -> ReelbaseError:
    """The error of a call that Postgres refused."""
    return refusal(answer_of(error), call)


def timed_out(seconds: float) -> TransactionFailed:
    return TransactionFailed(
        "timeout",
        f"The transaction took longer than its {seconds:g} s and was rolled back.",
        hint="Do less in it, or give it more with timeout=.",
    )


def connection_lost(error: BaseException) -> TransactionFailed:
    return TransactionFailed(
        "connection_lost",
        f"The connection to the database broke, and the transaction was rolled back ({_first_line(error)}).",
        transient=True,
        hint="Run it again; client.run_transaction does so by itself.",
    )


def outcome_unknown(error: BaseException) -> TransactionFailed:
    return TransactionFailed(
        "connection_lost",
        f"The connection to the database broke during commit ({_first_line(error)}). "
        "Whether the transaction took effect could not be found out.",
        committed=None,
        hint="Look for its changes before you run it again.",
    )


def aborted(first: ReelbaseError | None) -> TransactionFailed:
    """It was used on, or was to be committed, after a call in it had failed."""
    because = f": {first.message}" if first else "."
    return TransactionFailed(
        "aborted",
        f"The transaction was rolled back, for a call in it had failed{because}",
        transient=isinstance(first, TransactionConflict),
        hint="Where such an error is expected, catch it around `tx.savepoint()`.",
    )


def unreachable(error: BaseException) -> ConnectionFailed:
    return ConnectionFailed(
        f"The database cannot be reached ({_first_line(error)}).",
        hint="Check DATABASE_URL and that the server runs.",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
