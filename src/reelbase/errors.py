"""Everything reelbase raises.

    ReelbaseError
    ├── ConfigurationError        a setting is missing or wrong
    ├── ClientClosed              the client was closed before
    ├── WrongLoop                 the client belongs to another event loop
    ├── ConnectionFailed          no answer: refused, reset, unreachable
    │   └── PoolExhausted         all connections to the database are in use
    ├── CallTimeout               no answer in time, here or in the database
    ├── UnexpectedAnswer          an answer that does not fit the operation
    ├── EventsMissing             the log no longer goes back that far
    ├── SubscriptionOverflow      a callback is slower than its events, and its subscription ends then
    ├── JobUnfinished             a job took longer than somebody would wait; `job`
    ├── JobFailed                 a job did not end well, and was checked; `job`
    ├── TransactionFailed         a transaction or batch itself, not a call in it; `reason`, `committed`
    └── CallRefused               the server said no; `error` tells programs why
        ├── AuthenticationError   the key or token is not accepted
        ├── PermissionDenied      the caller may not do this
        ├── NotFound              no such row, or none the caller may see
        ├── InvalidArgument       `problems` lists every offending argument
        ├── Conflict              the present state does not allow it; `constraint` when one is meant
        │   ├── InvalidTransition `from_status`, `to_status`, `allowed`
        │   └── LeaseLost         what the caller held belongs to others, or to nobody
        ├── RateLimited           too many calls; `retry_after` seconds
        ├── QuotaExceeded         the user has too much already; `limit`, `used`, `requested`
        ├── TransactionConflict   two transactions got in each other's way
        └── ServerFault           the server failed; `transient` if a repeat may help

Which class an answer becomes is decided by its `error` (docs/errors.md), else its SQLSTATE, else its
SQLSTATE's class, else the HTTP status: `CallRefused.best_class`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

if TYPE_CHECKING:
    from reelbase.models.job import Job

T = TypeVar("T")

__all__ = [
    "AuthenticationError",
    "CallRefused",
    "CallTimeout",
    "ClientClosed",
    "ConfigurationError",
    "Conflict",
    "ConnectionFailed",
    "EventsMissing",
    "InvalidArgument",
    "InvalidTransition",
    "JobFailed",
    "JobUnfinished",
    "LeaseLost",
    "NotFound",
    "PermissionDenied",
    "PoolExhausted",
    "Problem",
    "QuotaExceeded",
    "RateLimited",
    "ReelbaseError",
    "ServerFault",
    "SubscriptionOverflow",
    "TransactionConflict",
    "TransactionFailed",
    "UnexpectedAnswer",
    "WrongLoop",
]


class ReelbaseError(Exception):
    """Something went wrong; `str()` is a sentence for people, with the remedy where one is known."""

    transient: bool = False
    """Whether the same call may succeed later."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.function: str | None = None
        """The SQL function that was called."""
        self.arguments: Mapping[str, Any] = {}
        """Its arguments; long texts and objects are abbreviated, they may hold what no log should."""
        self.duration: float | None = None
        """Seconds from the first attempt to the error."""
        self.retries: int = 0
        """Attempts after the first."""
        self.correlation_id: str | None = None
        """What the server saw as x-correlation-id, and stands in the log records of this client."""
        self.call: int | None = None
        """Which call of a batch it was, from 0."""

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class ConfigurationError(ReelbaseError):
    """A setting is missing or wrong; the message names it."""


class ClientClosed(ReelbaseError):
    """The client was closed, before the call or during it; then a write may have taken effect."""


class WrongLoop(ReelbaseError):
    """An AsyncReelbase was used in one event loop, and then in another: each needs its own."""


class ConnectionFailed(ReelbaseError):
    """The server could not be reached, or the connection broke before it answered."""

    transient = True


class PoolExhausted(ConnectionFailed):
    """No connection to the database became free in time: other transactions hold them all."""


class CallTimeout(ReelbaseError):
    """No answer in time. Whether a write took effect is not known."""

    transient = True


class EventsMissing(ReelbaseError):
    """The log no longer holds the events that were asked for: read the job and watch from its `event_seq`."""


class SubscriptionOverflow(ReelbaseError):
    """More events waited for a callback than its queue holds, and its subscription's overflow is `fail`."""


class JobUnfinished(ReelbaseError):
    """A job took longer than its caller would wait; it goes on. `job` is what was known of it last."""

    transient = True

    def __init__(self, message: str, job: "Job", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.job = job


class JobFailed(ReelbaseError):
    """A job ended, and not in `completed`."""

    def __init__(self, message: str, job: "Job") -> None:
        super().__init__(message)
        self.job = job


FailureReason = Literal["timeout", "connection_lost", "aborted", "busy", "ended", "not_run"]


class TransactionFailed(ReelbaseError):
    """The transaction itself failed, or was used wrongly.

    `reason` is `timeout` (it lasted longer than its time), `connection_lost`, `aborted` (an earlier call in
    it failed, and it was used on), `busy` (another task has a savepoint open), `ended` (used after its end)
    or `not_run` (a batch has not been sent). `committed` tells whether its changes are there; None when that
    could not be found out.
    """

    def __init__(
        self,
        reason: FailureReason,
        message: str,
        *,
        committed: bool | None = False,
        transient: bool = False,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.reason: FailureReason = reason
        self.committed = committed
        self.transient = transient


class UnexpectedAnswer(ReelbaseError):
    """The server's answer does not fit: most often the migrations and the client differ in version."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one argument; `argument` may be a path such as `elements[2].width`."""

    argument: str
    problem: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal as the server sent it."""

    message: str
    error: str | None = None
    sqlstate: str | None = None
    status: int | None = None
    hint: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    retry_after: float | None = None


class CallRefused(ReelbaseError):
    """The server answered, and said no."""

    _by_key: ClassVar[dict[str, type["CallRefused"]]] = {}
    _remedy: ClassVar[str | None] = None
    """For answers that name none."""

    def __init_subclass__(cls, *, answers: tuple[str, ...] = ()) -> None:
        """Register which answers the class stands for: errors, SQLSTATEs, their classes, HTTP statuses."""
        super().__init_subclass__()
        CallRefused._by_key.update(dict.fromkeys(answers, cls))

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message, hint=answer.hint or self._remedy)
        self.error = answer.error
        self.sqlstate = answer.sqlstate
        self.status = answer.status
        self.details = answer.details
        self._retry_after = answer.retry_after

    @classmethod
    def best_class(cls, answer: Answer) -> type["CallRefused"]:
        """The class for an answer, by the most specific thing that it says."""
        sqlstate = answer.sqlstate or ""
        keys = (answer.error, sqlstate, sqlstate[:2], _status(answer), f"{_status(answer)[:1]}xx")
        return next((cls._by_key[key] for key in keys if key in cls._by_key), CallRefused)

    @property
    def constraint(self) -> str | None:
        """The name of the constraint that was in the way, when one was."""
        return self._said("constraint", str)

    @property
    def retry_after(self) -> float | None:
        """In how many seconds to come again, where the server tells."""
        seconds = self.details.get("retry_after")
        return float(seconds) if isinstance(seconds, int | float) else self._retry_after

    def _said(self, name: str, kind: type[T]) -> T | None:
        """A detail; None where it is of another type, as of a server that is not ours."""
        value = self.details.get(name)
        return value if isinstance(value, kind) else None


def _status(answer: Answer) -> str:
    if answer.status is not None:
        return str(answer.status)
    # PostgREST's own SQLSTATEs carry the status: PT404.
    return answer.sqlstate[2:] if (answer.sqlstate or "").startswith("PT") and answer.sqlstate else ""


class AuthenticationError(CallRefused, answers=("PGRST301", "PGRST302", "PGRST303", "28", "401")):
    """The API key or access token is missing, wrong or expired."""

    _remedy = "Give a key of this project, and a token that has not expired."


class PermissionDenied(CallRefused, answers=("permission_denied", "client_unknown", "42501", "403")):
    """The caller may not do this."""

    _remedy = "Use a key or a token whose role may do this."


class NotFound(CallRefused, answers=("not_found",)):
    """There is no such row, or none that the caller may see."""


class InvalidArgument(
    CallRefused, answers=("invalid_argument", "invalid_cursor", "22", "23502", "23514", "422")
):
    """One or more arguments are not valid."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every offending argument with what is wrong with it; empty when the server names none."""
        listed = self.details.get("problems")
        return tuple(
            Problem(str(item.get("argument", "")), str(item.get("problem", "")))
            for item in (listed if isinstance(listed, list) else ())
            if isinstance(item, Mapping)
        )


class Conflict(
    CallRefused,
    answers=(
        "job_not_pending",
        "job_not_processing",
        "job_not_finished",
        "job_finished",
        "order_taken",
        "step_completed",
        "idempotency_conflict",
        "consumer_busy",
        "cursor_behind",
        "23",
        "409",
    ),
):
    """The present state does not allow it: another caller was first, or the order is wrong."""


class InvalidTransition(Conflict, answers=("invalid_transition",)):
    """The status cannot change like that."""

    @property
    def from_status(self) -> str | None:
        return self._said("from", str)

    @property
    def to_status(self) -> str | None:
        return self._said("to", str)

    @property
    def allowed(self) -> tuple[str, ...]:
        """What the job can become from where it is."""
        return tuple(map(str, self._said("allowed", list) or ()))


class LeaseLost(Conflict, answers=("lease_lost",)):
    """The claim or lease that the caller gave is over. Nothing was changed: stop working on it."""


class RateLimited(CallRefused, answers=("rate_limited", "429")):
    """Too many calls; `retry_after` says when there is room again."""

    transient = True


class QuotaExceeded(CallRefused, answers=("quota_exceeded",)):
    """The user would have more unfinished jobs than a user may have. Nothing was created."""

    @property
    def limit(self) -> int | None:
        """How many jobs of one user may wait or be processed at a time."""
        return self._said("limit", int)

    @property
    def used(self) -> int | None:
        """How many there were before the call."""
        return self._said("used", int)

    @property
    def requested(self) -> int | None:
        """How many the call asked for on top of them."""
        return self._said("requested", int)


# A gateway without its server (Cloudflare, in front of hosted projects, has numbers of its own), or overload.
_PASSING_STATUSES = {502, 503, 504, 520, 521, 522, 523, 524}


class ServerFault(CallRefused, answers=("08", "53", "55P03", "57", "58", "XX", "5xx")):
    """The server failed at answering."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.transient = self.status in _PASSING_STATUSES or (self.sqlstate or "")[:2] in {"08", "53", "57"}


class TransactionConflict(CallRefused, answers=("40001", "40P01")):
    """Two transactions got in each other's way; nothing was changed."""

    transient = True
