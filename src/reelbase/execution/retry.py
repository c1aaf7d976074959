"""Repeating calls that failed for a passing reason, where a repeat can do no harm."""

import time
from dataclasses import dataclass
from typing import Any

import tenacity
from tenacity.stop import stop_base

from reelbase.errors import CallRefused, ReelbaseError
from reelbase.execution.call import Call


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often. Waits grow exponentially with full jitter, in seconds; a call's own time bounds them all."""

    attempts: int = 8
    first_wait: float = 0.1
    longest_wait: float = 2.0

    def allows(self, call: Call[Any], error: ReelbaseError) -> bool:
        """Whether a call that failed so is worth, and safe to make, again."""
        return call.repeatable and error.transient

    def options(self, deadline: float) -> dict[str, Any]:
        """Arguments for tenacity, for a call whose time ends at `deadline` of the monotonic clock."""
        return {
            "retry": tenacity.retry_if_exception(_passes),
            "stop": tenacity.stop_after_attempt(self.attempts) | _TooLate(deadline),
            "wait": self._wait,
            "reraise": True,
        }

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """No shorter than the server asks for."""
        jittered = tenacity.wait_random_exponential(multiplier=self.first_wait, max=self.longest_wait)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, CallRefused) else None
        return max(jittered, asked or 0.0)


class _TooLate(stop_base):
    """Ends when the wait that comes next would outlast the call's time."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def __call__(self, state: tenacity.RetryCallState) -> bool:
        return time.monotonic() + state.upcoming_sleep >= self._deadline


def _passes(error: BaseException) -> bool:
    return isinstance(error, ReelbaseError) and error.transient
