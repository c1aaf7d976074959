"""The one place where other libraries' errors become ours."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import httpx
from postgrest import APIError

from reelbase.errors import (
    Answer,
    CallRefused,
    CallTimeout,
    ConnectionFailed,
    InvalidArgument,
    ReelbaseError,
    UnexpectedAnswer,
)
from reelbase.execution.arguments import at_fault
from reelbase.execution.call import Call

last_status: ContextVar[int | None] = ContextVar("reelbase_last_status", default=None)
"""HTTP status of the newest answer in this context. postgrest's APIError forgets it, and a gateway's
JSON error (a missing key, for one) carries no code of its own."""


@contextmanager
def translated(call: Call[Any]) -> Iterator[None]:
    """Raise errors of the transport as ReelbaseError, the original as `__cause__`."""
    last_status.set(None)
    try:
        yield
    except APIError as error:
        raise refusal(read_answer(error, last_status.get()), call) from error
    except httpx.TimeoutException as error:
        raise CallTimeout(
            "The server did not answer in time.",
            hint="Set REELBASE_TIMEOUT higher, or look at the server's load.",
        ) from error
    except httpx.TransportError as error:
        raise _connection_failed(error) from error
    except (httpx.RequestError, ValueError, RecursionError) as error:
        raise _not_json(error) from error


def sendable(call: Call[Any], unknown: Callable[[Any], Any] | None = None) -> dict[str, Any]:
    """A call's arguments as JSON values. Raises InvalidArgument where there is none."""
    try:
        return call.payload(unknown)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(Answer(f"An argument cannot be sent as JSON ({error}).")) from error


def refusal(answer: Answer, call: Call[Any]) -> ReelbaseError:
    """The error that an answer becomes, whatever brought it: the Data API or a connection of our own."""
    if answer.sqlstate == "57014":
        return _statement_timeout(answer)
    return CallRefused.best_class(answer)(_named(answer, call))


def _named(answer: Answer, call: Call[Any]) -> Answer:
    """The answer, with the arguments named that Postgres could not read and our function never saw."""
    arguments = at_fault(call.payload(), answer)
    if not arguments:
        return answer
    problems = [{"argument": argument, "problem": answer.message} for argument in arguments]
    message = f"{', '.join(arguments)}: {answer.message}"
    return replace(answer, message=message, details={**answer.details, "problems": problems})


def _statement_timeout(answer: Answer) -> CallTimeout:
    """The database gave up after its own limit: a repeat would cost as much and end the same."""
    timeout = CallTimeout(answer.message, hint=answer.hint or "Ask for less, or raise statement_timeout.")
    timeout.transient = False
    return timeout


def _connection_failed(error: httpx.TransportError) -> ReelbaseError:
    reason = str(error) or type(error).__name__
    return ConnectionFailed(
        f"The server cannot be reached ({reason}).", hint="Check SUPABASE_URL and that the server runs."
    )


def _not_json(error: Exception) -> ReelbaseError:
    """Without an answer, the request could not be written; with one, it is the answer that cannot be read."""
    if last_status.get() is None:
        return InvalidArgument(Answer(f"An argument cannot be sent as JSON ({error})."))
    return UnexpectedAnswer(f"The server's answer cannot be read ({error}).", hint="Check SUPABASE_URL.")


def read_answer(error: APIError, status: int | None) -> Answer:
    """What an APIError says, with the JSON of our own functions unpacked."""
    code = error.code
    details = details_of(error.details)
    return Answer(
        message=error.message or "The server refused without saying why.",
        error=details.pop("error", None),
        sqlstate=None if _is_http_status(code) else code,
        status=int(code) if code and _is_http_status(code) else status,
        hint=error.hint or None,
        details=details,
    )


def _is_http_status(code: str | None) -> bool:
    """postgrest gives the status as the code where the body is no JSON; SQLSTATEs have five characters."""
    return code is not None and len(code) == len("404")


def details_of(details: Any) -> dict[str, Any]:
    """`detail` of our functions is a JSON object; Postgres's own is a sentence."""
    if isinstance(details, Mapping):
        return dict(details)
    try:
        parsed = json.loads(details or "")
    except (TypeError, ValueError):
        return {"text": details} if details else {}
    return parsed if isinstance(parsed, dict) else {"text": details}
