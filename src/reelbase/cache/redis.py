"""The second level: carrying commands to Redis. When it is slow or away, nobody notices but the log."""

import asyncio
import threading
from collections.abc import Iterable
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from reelbase.cache.circuit import Circuit
from reelbase.cache.forking import survives_fork
from reelbase.cache.keys import TAG_INFIX
from reelbase.cache.shared import Command, Steps
from reelbase.cache.stats import Counter
from reelbase.cache.tags import ALL

T = TypeVar("T")

_MOST_PENDING = 10_000
_FAILURES = (RedisError, OSError, TimeoutError, ValueError)


class _Pending:
    """Invalidations that Redis has not heard of yet. They go first when it can be reached again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[str] = set()
        survives_fork(self)

    def after_fork(self) -> None:
        self._lock = threading.Lock()

    def add(self, keys: Iterable[str]) -> None:
        with self._lock:
            self._keys.update(keys)
            if len(self._keys) > _MOST_PENDING:
                self._keys = {f"{key.partition(TAG_INFIX)[0]}{TAG_INFIX}{ALL}" for key in self._keys}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def ahead_of(self, commands: list[Command]) -> tuple[frozenset[str], list[Command]]:
        with self._lock:
            keys = frozenset(self._keys)
        return keys, [("UNLINK", *keys), *commands] if keys else commands

    def done(self, keys: frozenset[str]) -> None:
        with self._lock:
            self._keys -= keys


class _Redis:
    """What both stores share: when to ask, and what is still to be said."""

    def __init__(self, timeout: float, counter: Counter) -> None:
        self._timeout = timeout
        self._counter = counter
        self._circuit = Circuit()
        self._pending = _Pending()

    @property
    def owes(self) -> bool:
        """Whether there are invalidations to be told, and Redis may listen again: `run` something."""
        return bool(self._pending) and self._circuit.usable

    def _failed(self, error: Exception) -> None:
        self._counter.failures += 1
        self._circuit.failed(error)

    def _succeeded(self, sent: frozenset[str], answers: list[Any]) -> list[Any]:
        self._circuit.succeeded()
        if not sent:
            return answers
        self._pending.done(sent)
        return answers[1:]


class RedisStore(_Redis):
    """For synchronous code; of all threads."""

    def __init__(self, url: str, timeout: float, counter: Counter) -> None:
        super().__init__(timeout, counter)
        # One repeat at once, for a connection that Redis closed while nobody looked.
        retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        self._redis = redis.Redis.from_url(url, retry=retry, **_options(timeout))

    def run(self, commands: list[Command]) -> list[Any] | None:
        """The answers, None when there are none."""
        if not self._circuit.usable:
            return None
        sent, commands = self._pending.ahead_of(commands)
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
                answers = pipeline.execute()
        except _FAILURES as error:
            self._failed(error)
            return None
        return self._succeeded(sent, answers)

    def walk(self, steps: Steps[T]) -> T | None:
        """Where the steps lead to, None when Redis fails on the way."""
        try:
            commands = next(steps)
            while (answers := self.run(commands)) is not None:
                commands = steps.send(answers)
        except StopIteration as end:
            result: T = end.value
            return result
        return None

    def drop(self, keys: Iterable[str]) -> None:
        """Delete keys, later if not now."""
        self._pending.add(keys)
        self.run([])

    def close(self) -> None:
        self._redis.close()


class AsyncRedisStore(_Redis):
    """For asyncio; of one event loop."""

    def __init__(self, url: str, timeout: float, counter: Counter) -> None:
        super().__init__(timeout, counter)
        retry = AsyncRetry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
        self._redis = redis.asyncio.Redis.from_url(url, retry=retry, **_options(timeout))

    async def run(self, commands: list[Command]) -> list[Any] | None:
        """The answers, None when there are none."""
        if not self._circuit.usable:
            return None
        sent, commands = self._pending.ahead_of(commands)
        try:
            async with asyncio.timeout(self._timeout), self._redis.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command)
                answers = await pipeline.execute()
        except _FAILURES as error:
            self._failed(error)
            return None
        return self._succeeded(sent, answers)

    async def walk(self, steps: Steps[T]) -> T | None:
        """Where the steps lead to, None when Redis fails on the way."""
        try:
            commands = next(steps)
            while (answers := await self.run(commands)) is not None:
                commands = steps.send(answers)
        except StopIteration as end:
            result: T = end.value
            return result
        return None

    async def drop(self, keys: Iterable[str]) -> None:
        """Delete keys, later if not now."""
        self._pending.add(keys)
        await self.run([])

    async def close(self) -> None:
        await self._redis.aclose()


def _options(timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "decode_responses": False,
        "protocol": 2,
        "health_check_interval": 0,
    }
