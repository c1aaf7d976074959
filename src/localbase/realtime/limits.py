"""The limits of a hosted project, so that what exceeds them is noticed during development."""

from collections import deque

MAX_CHANNELS = 100
MAX_PAYLOAD = 3_000_000
PRESENCE_CALLS = 5
PRESENCE_WINDOW_S = 30.0


class Rate:
    """At most `calls` within any `window` of seconds."""

    def __init__(self, calls: int, window: float) -> None:
        self._calls = calls
        self._window = window
        self._times: deque[float] = deque()

    def exceeded(self, now: float) -> bool:
        """Count one more call and tell whether it is one too many."""
        while self._times and self._times[0] <= now - self._window:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) > self._calls
