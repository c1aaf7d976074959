"""The one place where a reply becomes a result, or an error of ours."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from pydantic_core import from_json

from reelbase.errors import (
    Answer,
    CallRefused,
    CallTimeout,
    InvalidArgument,
    ReelbaseError,
    UnexpectedAnswer,
)
from reelbase.execution.arguments import at_fault
from reelbase.execution.call import Call
from reelbase.execution.transport import Reply

T = TypeVar("T")

_SHOWN_LENGTH = 1000
_SECONDS = re.compile("[0-9]{1,9}")


def read_reply(call: Call[T], reply: Reply) -> T:
    """The call's result. Raises what the server says instead of one, or UnexpectedAnswer."""
    if 200 <= reply.status < 300:  # noqa: PLR2004  # success
        return call.parse_json(reply.body)
    raise _refusal(call, reply)


def _refusal(call: Call[Any], reply: Reply) -> ReelbaseError:
    if reply.status < 400:  # noqa: PLR2004  # a redirect
        return UnexpectedAnswer(
            f"The server sent the call elsewhere (HTTP {reply.status}).", hint="Check SUPABASE_URL."
        )
    return refusal(read_answer(reply), call)


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


def read_answer(reply: Reply) -> Answer:
    """What a refusal says, with the JSON of our own functions unpacked.

    The Data API's are objects with code, message, details and hint; a gateway's are of any kind.
    """
    said = _object(reply.body)
    details = details_of(said.get("details"))
    if not said and reply.body.strip():
        details = {"text": reply.body[:_SHOWN_LENGTH].decode(errors="replace")}
    return Answer(
        message=_text(said.get("message")) or _text(said.get("msg")) or _silent(reply.status),
        error=_text(details.pop("error", None)),
        sqlstate=_text(said.get("code")),
        status=reply.status,
        hint=_text(said.get("hint")),
        details=details,
        retry_after=_retry_after(reply.headers.get("retry-after")),
    )


def _text(said: Any) -> str | None:
    return said if isinstance(said, str) and said else None


def _silent(status: int) -> str:
    return f"The server refused without saying why (HTTP {status})."


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = from_json(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def details_of(details: Any) -> dict[str, Any]:
    """`detail` of our functions is a JSON object; Postgres's own is a sentence."""
    if isinstance(details, Mapping):
        return dict(details)
    try:
        parsed = json.loads(details or "")
    except (TypeError, ValueError, RecursionError):
        return {"text": details} if details else {}
    return parsed if isinstance(parsed, dict) else {"text": details}


def _retry_after(header: str | None) -> float | None:
    """Seconds, from seconds or from an HTTP date; None from anything else."""
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
