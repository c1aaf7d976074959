"""Batches: many calls in one request and one transaction, later ones using results of earlier ones."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar
from uuid import uuid4

from reelbase.errors import CallRefused, InvalidArgument, ReelbaseError, TransactionFailed, UnexpectedAnswer
from reelbase.execution.call import Call
from reelbase.execution.handle import Handle, Reference
from reelbase.execution.invalid import invalid
from reelbase.execution.operation import Batched
from reelbase.execution.translation import sendable
from reelbase.realtime.watch import Subject
from reelbase.services.table import Services

T = TypeVar("T")

MOST_CALLS = 100
MOST_BYTES = 2**20
# A literal object with such a key alone would be taken for a reference; another dollar sign says it is none.
_LIKE_REFERENCE = re.compile(r"\$+ref")


class _Batch(Services[Batched]):
    """What both batches share: the calls so far, and what became of them.

    At most 100 calls and 1 MiB of arguments; what is beyond is refused before anything is sent.
    """

    def __init__(self) -> None:
        super().__init__(self._add, _refuse_watch)
        # Stands in for references while arguments become JSON, so that no text of a user looks like one.
        self._mark = f"{uuid4()}:"
        self._calls: list[Call[Any]] = []
        self._sent: list[dict[str, Any]] = []
        self._answers: list[Any] | None = None
        self._closed: str | None = None

    def _add(self, call: Call[T]) -> Handle[T]:
        if self._closed is not None:
            raise TransactionFailed("ended", f"The batch {self._closed}; begin another with client.batch().")
        if len(self._calls) == MOST_CALLS:
            raise _too_much(f"must be a list of 1 to {MOST_CALLS} calls")
        try:
            arguments = self._referring(sendable(call, self._marked))
        except ReelbaseError as error:
            error.function, error.arguments = call.function, call.shown_arguments()
            raise
        place = len(self._calls)
        self._calls.append(call)
        self._sent.append({"function": call.function, "arguments": arguments})
        return Handle(Reference(self, str(place)), lambda: self._result(call, place))

    def _marked(self, value: Any) -> str:
        reference = value._reference if isinstance(value, Handle) else value  # noqa: SLF001  # friends
        if not isinstance(reference, Reference):
            raise ValueError(f"there is no JSON of {type(value).__name__}")  # noqa: TRY004  # pydantic's class
        if reference._batch is not self:  # noqa: SLF001  # friends
            raise ValueError("a handle of another batch")
        return self._mark + reference._path  # noqa: SLF001  # friends

    def _referring(self, value: Any) -> Any:
        """JSON with references in the place of their marks, and with literal ones escaped."""
        if isinstance(value, str) and value.startswith(self._mark):
            return {"$ref": value.removeprefix(self._mark)}
        if isinstance(value, list):
            return [self._referring(item) for item in value]
        if isinstance(value, dict):
            inside = {name: self._referring(item) for name, item in value.items()}
            [name, *others] = inside or [""]
            return {f"${name}": inside[name]} if not others and _LIKE_REFERENCE.fullmatch(name) else inside
        return value

    def _call(self) -> Call[list[Any]]:
        """All calls as one. Nothing can be added any more."""
        if self._closed is not None:
            raise TransactionFailed("ended", f"The batch {self._closed}; begin another with client.batch().")
        if len(json.dumps(self._sent, ensure_ascii=False).encode(errors="surrogatepass")) > MOST_BYTES:
            raise _too_much("must be at most 1 MiB of JSON")
        self._closed = "has been run"
        return Call(
            "run_batch",
            {"calls": self._sent},
            list[Any],
            reads=("batch",) if all(call.reads is not None for call in self._calls) else None,
            idempotent=all(call.repeatable for call in self._calls),
            changes=tuple({change for call in self._calls for change in call.changes}),
        )

    @contextmanager
    def _running(self) -> Iterator[None]:
        """What an error tells is about the call that it came from, where that is known."""
        self._closed = "failed"
        try:
            yield
        except ReelbaseError as error:
            place = error.details.get("call") if isinstance(error, CallRefused) else None
            if isinstance(place, int) and 0 <= place < len(self._calls):
                error.call = place
                error.function = self._calls[place].function
                error.arguments = self._calls[place].shown_arguments()
            raise
        self._closed = "has been run"

    def _result(self, call: Call[T], place: int) -> T:
        if self._answers is None:
            state = "has not been run yet" if self._closed is None else self._closed
            raise TransactionFailed("not_run", f"There is no result of {call.function}: the batch {state}.")
        return call.parse(self._answers[place])

    def _outcomes(self) -> list[tuple[Call[Any], Any]]:
        """The calls with their results; None for one that does not fit, which its handle will tell."""
        outcomes = []
        for call, answer in zip(self._calls, self._answers or (), strict=True):
            try:
                outcomes.append((call, call.parse(answer)))
            except UnexpectedAnswer:
                outcomes.append((call, None))
        return outcomes

    def _drop(self) -> None:
        if self._closed is None:
            self._closed = "was given up"


class Batch(_Batch):
    """A batch of `Reelbase`: sent at the end of its `with` block, or by `run`."""

    def __init__(
        self,
        carry: Callable[[Call[list[Any]]], list[Any]],
        committed: Callable[[list[tuple[Call[Any], Any]], bool], None] | None = None,
    ) -> None:
        super().__init__()
        self._carry_batch = carry
        self._committed = committed

    def run(self) -> None:
        """Send the calls: all of them take effect, or none.

        An error of one is raised as if it had been called alone, with its place as `call`.
        """
        call = self._call()
        if self._calls:
            with self._running():
                self._answers = self._carry_batch(call)
            if self._committed is not None:
                self._committed(self._outcomes(), True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._closed is None:
            self.run()
        self._drop()


class AsyncBatch(_Batch):
    """A batch of `AsyncReelbase`: sent at the end of its `async with` block, or by `run`."""

    def __init__(
        self,
        carry: Callable[[Call[list[Any]]], Awaitable[list[Any]]],
        committed: Callable[[list[tuple[Call[Any], Any]], bool], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__()
        self._carry_batch = carry
        self._committed = committed

    async def run(self) -> None:
        """Send the calls: all of them take effect, or none.

        An error of one is raised as if it had been called alone, with its place as `call`.
        """
        call = self._call()
        if self._calls:
            with self._running():
                self._answers = await self._carry_batch(call)
            if self._committed is not None:
                await self._committed(self._outcomes(), True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._closed is None:
            await self.run()
        self._drop()


def _refuse_watch(_: Subject) -> NoReturn:
    raise TypeError("A batch cannot watch: watch through the client, after the batch has run.")


def _too_much(problem: str) -> InvalidArgument:
    return invalid("calls", problem, hint="Send several batches, or use a transaction.")
