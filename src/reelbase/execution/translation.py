"""The one place where other libraries' errors become ours."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpx
from postgrest import APIError

from reelbase.errors import Answer, CallRefused, CallTimeout, ConnectionFailed, ReelbaseError

last_status: ContextVar[int | None] = ContextVar("reelbase_last_status", default=None)
"""HTTP status of the newest answer in this context. postgrest's APIError forgets it, and a gateway's
JSON error (a missing key, for one) carries no code of its own."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise errors of the transport as ReelbaseError, the original as `__cause__`."""
    last_status.set(None)
    try:
        yield
    except APIError as error:
        answer = read_answer(error, last_status.get())
        refused = CallTimeout(answer.message, hint=answer.hint) if answer.sqlstate == "57014" else None
        raise refused or CallRefused.best_class(answer)(answer) from error
    except httpx.TimeoutException as error:
        raise CallTimeout(
            "The server did not answer in time.",
            hint="Set REELBASE_TIMEOUT higher, or look at the server's load.",
        ) from error
    except httpx.TransportError as error:
        raise _connection_failed(error) from error


def _connection_failed(error: httpx.TransportError) -> ReelbaseError:
    reason = str(error) or type(error).__name__
    return ConnectionFailed(
        f"The server cannot be reached ({reason}).", hint="Check SUPABASE_URL and that the server runs."
    )


def read_answer(error: APIError, status: int | None) -> Answer:
    """What an APIError says, with the JSON of our own functions unpacked."""
    code = error.code
    details = _details(error.details)
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


def _details(details: Any) -> dict[str, Any]:
    """`detail` of our functions is a JSON object; Postgres's own is a sentence."""
    if isinstance(details, Mapping):
        return dict(details)
    try:
        parsed = json.loads(details or "")
    except (TypeError, ValueError):
        return {"text": details} if details else {}
    return parsed if isinstance(parsed, dict) else {"text": details}
