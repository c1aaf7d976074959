"""How many events a callback gets, and how late."""

import threading
from collections import deque

_WINDOW = 60
_REMEMBERED = 1000


class Pace:
    """Counts deliveries. Clients may ask from any thread."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._lock = threading.Lock()
        self._seconds: deque[list[int]] = deque()
        """Pairs of a second and how many deliveries it saw; none for seconds without any."""
        self._lags: deque[float] = deque(maxlen=_REMEMBERED)

    def count(self, now: float, lag: float) -> None:
        """A delivery now, of an event that is so many seconds old."""
        with self._lock:
            self._lags.append(lag)
            if self._seconds and self._seconds[-1][0] == int(now):
                self._seconds[-1][1] += 1
            else:
                self._seconds.append([int(now), 1])
                self._forget(now)

    def rate(self, now: float) -> float:
        """Deliveries a second over the last minute, or since the beginning if that is later."""
        with self._lock:
            self._forget(now)
            total = sum(deliveries for _, deliveries in self._seconds)
        return total / min(max(now - self._began, 1.0), _WINDOW)

    def lag(self) -> float | None:
        """Of the newest delivery."""
        with self._lock:
            return self._lags[-1] if self._lags else None

    def lag_p95(self) -> float | None:
        """What 95 of 100 deliveries did not exceed, of the last thousand."""
        with self._lock:
            lags = sorted(self._lags)
        return lags[max(0, -(-len(lags) * 95 // 100) - 1)] if lags else None

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] <= int(now) - _WINDOW:
            self._seconds.popleft()
