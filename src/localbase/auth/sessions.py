"""Sessions and their refresh tokens: opened by a sign-in, kept alive by rotation, ended by a sign-out."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection
from psycopg.rows import class_row

from localbase.auth.request import AuthRequest
from localbase.auth.user import SessionId, UserId
from localbase.project import AuthConfig

# Whatever touches an account locks its row in auth.users first, so that no two wait for each other.
_SIGN_IN = "update auth.users set last_sign_in_at = now(), updated_at = now() where id = %s"
_OPEN = """
    with identified as (
        update auth.identities set last_sign_in_at = now(), updated_at = now()
        where user_id = %(user_id)s and provider = %(provider)s
    ), opened as (
        insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
        values (%(id)s, %(user_id)s, now(), now(), 'aal1', %(user_agent)s, %(ip)s)
    )
    insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
    values (gen_random_uuid(), %(id)s, now(), now(), %(method)s)
"""
_ISSUE = """
    insert into auth.refresh_tokens (
        instance_id, token, user_id, session_id, parent, revoked, created_at, updated_at
    )
    values (
        '00000000-0000-0000-0000-000000000000', %(token)s, %(user_id)s::text, %(session_id)s, %(parent)s,
        false, now(), now()
    )
"""
_METHODS = """
    select authentication_method as method, floor(extract(epoch from updated_at))::bigint as timestamp
    from auth.mfa_amr_claims where session_id = %s order by updated_at desc
"""
# The session is locked first and alone: whoever holds it may rotate its tokens, one after the other.
_LOCK = """
    select sessions.id from auth.sessions
    where id = (select session_id from auth.refresh_tokens where token = %s)
    for update
"""
_PRESENTED = """
    select presented.token, presented.revoked, presented.session_id, session.user_id,
        active.token as active_token,
        active.token is not null and (
            active.parent = presented.token
            or now() <= presented.updated_at + make_interval(secs => %(reuse_interval)s)
        ) as reusable
    from auth.refresh_tokens as presented
    join auth.sessions as session on session.id = presented.session_id
    left join lateral (
        select token, parent from auth.refresh_tokens
        where session_id = presented.session_id and not revoked
        order by id desc limit 1
    ) as active on true
    where presented.token = %(token)s
"""
_REVOKE = "update auth.refresh_tokens set revoked = true, updated_at = now() where token = %s"
_REVOKE_FAMILY = "update auth.refresh_tokens set revoked = true where session_id = %s and not revoked"
_REFRESHED = """
    update auth.sessions
    set refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = %s, ip = %s
    where id = %s
"""


class Method(StrEnum):
    """How somebody proved who they are."""

    PASSWORD = "password"  # noqa: S105  the name of a method
    ANONYMOUS = "anonymous"


class Refused(StrEnum):
    """Why a refresh token buys nothing."""

    NOT_FOUND = "refresh_token_not_found"
    ALREADY_USED = "refresh_token_already_used"


@dataclass(frozen=True, slots=True)
class Session:
    """An open session with the refresh token that is good for it."""

    id: SessionId
    user_id: UserId
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Presented:
    token: str = field(repr=False)
    revoked: bool
    session_id: SessionId
    user_id: UserId
    active_token: str | None = field(repr=False)
    reusable: bool


async def open_session(
    connection: AsyncConnection, user_id: UserId, method: Method, request: AuthRequest
) -> Session:
    session_id = SessionId(uuid4())
    parameters = {
        "id": session_id,
        "user_id": user_id,
        "provider": "email",
        "user_agent": request.agent(),
        "ip": request.address(),
        "method": method.value,
    }
    await connection.execute(_SIGN_IN, (user_id,))
    await connection.execute(_OPEN, parameters)
    return Session(session_id, user_id, await _issue(connection, session_id, user_id, parent=None))


async def refresh(
    connection: AsyncConnection, token: str, config: AuthConfig, request: AuthRequest
) -> Session | Refused:
    """A session with the token's successor, which for a repeated request is the one it got before.

    A token that was used is good again while its successor has not been, which happens when an answer was
    lost, or for the reuse interval, which lets requests at the same time pass. Any later it may have been
    stolen: then no token of the session is good any more. The caller commits in either case.
    """
    presented = await _present(connection, token, config.refresh_token_reuse_interval)
    if presented is None:
        return Refused.NOT_FOUND
    if presented.revoked and not presented.reusable:
        if config.enable_refresh_token_rotation:
            await connection.execute(_REVOKE_FAMILY, (presented.session_id,))
        return Refused.ALREADY_USED
    await connection.execute(_REFRESHED, (request.agent(), request.address(), presented.session_id))
    return Session(presented.session_id, presented.user_id, await _successor(connection, presented))


async def amr(connection: AsyncConnection, session_id: SessionId) -> Sequence[dict[str, Any]]:
    """How the user of a session proved who they are, as the claim of that name says it."""
    found = await connection.execute(_METHODS, (session_id,))
    return [{"method": method, "timestamp": timestamp} for method, timestamp in await found.fetchall()]


async def is_open(connection: AsyncConnection, session_id: SessionId, user_id: UserId) -> bool:
    found = await connection.execute(
        "select from auth.sessions where id = %s and user_id = %s", (session_id, user_id)
    )
    return found.rowcount == 1


async def end(connection: AsyncConnection, session_id: SessionId) -> None:
    await connection.execute("delete from auth.sessions where id = %s", (session_id,))


async def end_all(connection: AsyncConnection, user_id: UserId, *, but: SessionId | None = None) -> None:
    """All sessions of a user, `but` one where it is named."""
    await connection.execute(
        "delete from auth.sessions where user_id = %s and id is distinct from %s", (user_id, but)
    )


async def _present(connection: AsyncConnection, token: str, reuse_interval: float) -> _Presented | None:
    await connection.execute(_LOCK, (token,))
    async with connection.cursor(row_factory=class_row(_Presented)) as cursor:
        await cursor.execute(_PRESENTED, {"token": token, "reuse_interval": reuse_interval})
        return await cursor.fetchone()


async def _successor(connection: AsyncConnection, presented: _Presented) -> str:
    if presented.revoked and presented.active_token is not None:
        return presented.active_token
    await connection.execute(_REVOKE, (presented.token,))
    return await _issue(connection, presented.session_id, presented.user_id, parent=presented.token)


async def _issue(
    connection: AsyncConnection, session_id: SessionId, user_id: UserId, *, parent: str | None
) -> str:
    token = secrets.token_urlsafe(16)
    await connection.execute(
        _ISSUE, {"token": token, "user_id": user_id, "session_id": session_id, "parent": parent}
    )
    return token
