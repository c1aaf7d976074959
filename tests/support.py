"""What tests share: the stack they talk to, and small helpers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any
from uuid import UUID, uuid4

import jwt
import psycopg

from reelbase import AsyncReelbase, ElementSpec, ElementType

AnyClient = Any
"""A client of either mode; results go through `done`."""


@dataclass(frozen=True)
class Target:
    """A stack with the migrations."""

    url: str
    anon_key: str = field(repr=False)
    service_role_key: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    db_url: str = field(repr=False)

    def token(self, **claims: Any) -> str:
        """An access token as the Auth service would sign it; a user's unless the claims say otherwise."""
        now = int(time.time())
        return jwt.encode(
            {"role": "authenticated", "iat": now, "exp": now + 600, **claims}, self.jwt_secret, "HS256"
        )

    def user(self, user_id: UUID | None = None, **claims: Any) -> AsyncReelbase:
        """A client of a signed-in user, of a new one unless `user_id` says who."""
        token = self.token(sub=str(user_id or uuid4()), **claims)
        return AsyncReelbase(self.url, self.anon_key, access_token=token)

    def anonymous(self, **claims: Any) -> AsyncReelbase:
        """A client without a user; with claims, the holder of a token that has them."""
        token = self.token(**claims) if claims else None
        return AsyncReelbase(self.url, self.anon_key, access_token=token)

    def service(self) -> AsyncReelbase:
        return AsyncReelbase(self.url, self.service_role_key)

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        """A direct session of the database's owner."""
        return psycopg.connect(self.db_url, autocommit=True)


async def done(result: Any) -> Any:
    """What an operation returned, in either mode."""
    return await result if isawaitable(result) else result


def text(content: str = "Hello", **properties: Any) -> ElementSpec:
    """A text element."""
    return ElementSpec(type=ElementType.TEXT, text_content=content, **properties)


async def eventually(check: Callable[[], Awaitable[Any] | Any], seconds: float = 10.0) -> Any:
    """Try until the check raises no AssertionError; its last one is raised when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await done(check())
        except AssertionError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.02)
