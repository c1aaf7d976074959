"""When a call's time is over: one time for all that is done for it, whoever does it."""

import time
from dataclasses import replace
from typing import Generic, TypeVar

from reelbase.errors import CallTimeout, ReelbaseError
from reelbase.execution.call import Call
from reelbase.execution.transport import late

T = TypeVar("T")


class Deadline(Generic[T]):
    """Of a call that begins now, and has its own time or else `timeout` seconds."""

    __slots__ = ("began", "call", "end", "seconds")

    def __init__(self, call: Call[T], timeout: float) -> None:
        self.call = call
        self.seconds = call.timeout or timeout
        self.began = time.monotonic()
        self.end = self.began + self.seconds

    @property
    def left(self) -> float:
        """Seconds; a moment when the time is over, as none at all would be no limit."""
        return max(self.end - time.monotonic(), 0.001)

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.end

    def rest(self) -> Call[T]:
        """The call, to be carried in the time that is left."""
        return replace(self.call, timeout=self.left)

    def missed(self, whom: str = "server") -> CallTimeout:
        """The error of a call that waited too long for somebody."""
        error = late(self.seconds, whom)
        self.report(error)
        return error

    def report(self, error: ReelbaseError) -> None:
        """Put on an error what it does not know of the call."""
        error.function = self.call.function
        error.arguments = self.call.shown_arguments()
        error.duration = time.monotonic() - self.began
