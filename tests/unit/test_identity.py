"""Asking for tokens: a provider that hangs is one that hangs, whoever waits for it."""

import asyncio
import base64
import json
import threading
import time

import pytest

from reelbase import AuthenticationError
from reelbase.execution.identity import Identity


def token() -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 600}).encode()).decode()
    return f"head.{claims}.sign"


class Slow:
    """A provider that answers when it is let go; the first time, with an error if one is given."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked = 0
        self.free = threading.Event()
        self._error = error

    def __call__(self) -> str:
        self.asked += 1
        assert self.free.wait(10)
        if self._error is not None and self.asked == 1:
            raise self._error
        return token()

    async def given_up(self, identity: Identity) -> None:
        """Many ask for a token, and wait no longer."""
        for _ in range(40):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(identity.fresh_async(), 0.01)
        assert self.asked == 1


async def test_provider_that_hangs__has_one_thread_of_its_own() -> None:
    provider = Slow()
    identity = Identity("key", token_provider=provider)
    waiting = asyncio.create_task(identity.fresh_async())

    await provider.given_up(identity)

    assert await asyncio.wait_for(asyncio.to_thread(lambda: "a worker is free"), 1)
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "reelbase-token"] == [True]
    provider.free.set()
    assert await waiting == identity.token
    assert provider.asked == 1


async def test_provider_that_is_slower_than_anybody_waits__is_heard_nevertheless() -> None:
    provider = Slow()
    identity = Identity("key", token_provider=provider)
    await provider.given_up(identity)
    provider.free.set()
    late = identity.fresh()

    assert await identity.fresh_async() == late
    assert provider.asked == 1


async def test_provider_that_fails_late__is_asked_again() -> None:
    provider = Slow(OSError("away"))
    identity = Identity("key", token_provider=provider)
    waiting = asyncio.create_task(identity.fresh_async())
    await provider.given_up(identity)
    provider.free.set()

    with pytest.raises(AuthenticationError, match="OSError"):
        await waiting
    await identity.fresh_async()
    assert provider.asked == 2
