"""What all endpoints need: the database, the secret and the settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from localbase.auth import directory, sessions
from localbase.auth.errors import database_errors
from localbase.auth.request import AuthRequest
from localbase.auth.sessions import Session
from localbase.auth.tokens import Caller, access_claims, find_caller, read_bearer, require_admin
from localbase.project import AuthConfig
from localbase.tokens import sign

Pool = AsyncConnectionPool[psycopg.AsyncConnection]


@dataclass(frozen=True, slots=True)
class Service:
    """`issuer` is asked for each token: the address of a stack is known only once it listens."""

    pool: Pool
    config: AuthConfig
    issuer: Callable[[], str]
    secret: str = field(repr=False)

    @asynccontextmanager
    async def transaction(self, failure: str) -> AsyncIterator[psycopg.AsyncConnection]:
        """Committed at the end, undone by an exception. `failure` is what clients are told of a fault."""
        with database_errors(failure):
            async with self.pool.connection() as connection:
                yield connection

    async def caller(self, connection: psycopg.AsyncConnection, request: AuthRequest) -> Caller:
        """The user whose token came along. Raises AuthError."""
        return await find_caller(connection, read_bearer(request, self.secret))

    def require_admin(self, request: AuthRequest) -> None:
        """Raises AuthError."""
        require_admin(request, self.secret)

    async def session_body(self, connection: psycopg.AsyncConnection, session: Session) -> dict[str, Any]:
        """The answer to a sign-in: the tokens of a session and its user."""
        user = await directory.get(connection, session.user_id)
        lifetime = self.config.jwt_expiry
        methods = await sessions.amr(connection, session.id)
        issuer = self.config.jwt_issuer or self.issuer()
        claims = access_claims(user, session.id, methods, issuer=issuer, lifetime=lifetime)
        return {
            "access_token": sign(claims, self.secret),
            "token_type": "bearer",
            "expires_in": lifetime,
            "expires_at": claims["exp"],
            "refresh_token": session.refresh_token,
            "user": user.body(),
        }
