"""What clients leave behind that were closed: it should be nothing."""

import asyncio
import threading

import psutil

OWN_THREADS = "chaos"
"""What the names of the test's own threads begin with."""


class Leftovers:
    """What was there before is no leftover. `ports` are those that clients connect to."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports
        self._tasks = asyncio.all_tasks()
        self._threads = set(threading.enumerate())

    def check(self) -> None:
        found = [*self._new_tasks(), *self._new_threads(), *self._connections()]
        assert not found, "\n".join(["left behind:", *found])

    def _new_tasks(self) -> list[str]:
        return [repr(task) for task in asyncio.all_tasks() - self._tasks]

    def _new_threads(self) -> list[str]:
        threads = set(threading.enumerate()) - self._threads
        return [repr(thread) for thread in threads if not thread.name.startswith(OWN_THREADS)]

    def _connections(self) -> list[str]:
        connections = psutil.Process().net_connections("tcp")
        return [repr(one) for one in connections if one.raddr and one.raddr.port in self._ports]
