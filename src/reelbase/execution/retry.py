"""Repeating calls that failed for a passing reason, where a repeat can do no harm."""

from dataclasses import dataclass
from typing import Any

import tenacity

from reelbase.errors import RateLimited, ReelbaseError
from reelbase.execution.call import Call


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long. Waits grow exponentially with full jitter, all in seconds."""

    attempts: int = 5
    first_wait: float = 0.1
    longest_wait: float = 2.0
    total: float = 15.0

    def options(self, call: Call[Any]) -> dict[str, Any]:
        """Arguments for tenacity. A call that must not be repeated gets one attempt."""
        return {
            "retry": tenacity.retry_if_exception(self._passes),
            "stop": tenacity.stop_after_attempt(self.attempts if call.repeatable else 1)
            | tenacity.stop_after_delay(self.total),
            "wait": tenacity.wait_random_exponential(multiplier=self.first_wait, max=self.longest_wait),
            "reraise": True,
        }

    def _passes(self, error: BaseException) -> bool:
        if isinstance(error, RateLimited) and (error.retry_after or 0) > self.longest_wait:
            return False
        return isinstance(error, ReelbaseError) and error.transient
