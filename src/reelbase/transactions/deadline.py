"""The client's side of a transaction's timeout.

The database ends a transaction that takes too long by itself. Should its word not arrive, for a network that
swallows everything, the connection is cut here a little later, and whatever waits for it wakes up.
"""

import asyncio
import contextlib
import socket
import threading
import time

GRACE = 1.0
"""Seconds that the database's word may take to arrive."""


class Deadline:
    """When a transaction's time is over. `cut` breaks its connection; `close` keeps it from doing so."""

    def __init__(self, seconds: float) -> None:
        self.began = time.monotonic()
        self.seconds = seconds
        self._socket: socket.socket | None = None
        self._timer: asyncio.TimerHandle | threading.Timer | None = None

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.began + self.seconds

    def watch(self, descriptor: int, loop: asyncio.AbstractEventLoop | None) -> None:
        """Cut this connection when the time and the grace are over, by the loop or by a thread."""
        # A descriptor of our own: the connection's may be another's by the time that this one is used.
        self._socket = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM)
        if loop is not None:
            self._timer = loop.call_later(self.seconds + GRACE, self._cut)
            return
        timer = threading.Timer(self.seconds + GRACE, self._cut)
        timer.daemon = True
        timer.name = "reelbase-deadline"
        timer.start()
        self._timer = timer

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if isinstance(self._timer, threading.Timer):
            self._timer.join()
        if self._socket is not None:
            self._socket.close()

    def _cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
