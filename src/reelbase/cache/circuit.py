"""When to leave a failing Redis alone."""

import logging
import threading
import time

from reelbase.cache.forking import survives_fork

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_SILENCE = 60.0


class Circuit:
    """After a failure Redis is not asked for a while, longer after each one in a row.

    It is warned of at most once a minute, so that an outage is seen and does not fill the log.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause = 0.0
        self._closed_until = 0.0
        self._silent_until = 0.0
        survives_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    @property
    def usable(self) -> bool:
        return time.monotonic() >= self._closed_until

    def failed(self, error: Exception) -> None:
        now = time.monotonic()
        with self._lock:
            if now >= self._closed_until:
                self._pause = min(max(self._pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
                self._closed_until = now + self._pause
            warn = now >= self._silent_until
            if warn:
                self._silent_until = now + _SILENCE
        if warn:
            # Not the error's text: it may name the address with its password.
            logger.warning(
                "The cache in Redis does not answer (%s). Going on without it.", type(error).__name__
            )

    def succeeded(self) -> None:
        self._pause = 0.0
