"""Access tokens: what they say, and who the bearer of one is."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt
from jwt.types import Options
from psycopg import AsyncConnection

from localbase.auth import directory, sessions
from localbase.auth.errors import AuthError, bad_token
from localbase.auth.request import AuthRequest, parse_uuid
from localbase.auth.user import SessionId, User
from localbase.tokens import Claims

ADMIN_ROLES = frozenset({"service_role", "supabase_admin"})
_BEARER = re.compile(r"[Bb]earer (\S+)")
# Audience and times of issue are not looked at, as on the real service; here is no leeway on `exp`.
_OPTIONS: Options = {"verify_aud": False, "verify_iat": False, "verify_sub": False}


@dataclass(frozen=True, slots=True)
class Caller:
    """A signed-in user. Tokens that no session stands behind name none."""

    user: User
    session_id: SessionId | None


def access_claims(
    user: User,
    session_id: SessionId,
    amr: Sequence[dict[str, Any]],
    *,
    issuer: str,
    lifetime: int,
) -> Claims:
    issued = int(time.time())
    return {
        "iss": issuer,
        "sub": str(user.id),
        "aud": user.aud or "",
        "exp": issued + lifetime,
        "iat": issued,
        "email": user.email or "",
        "phone": user.phone or "",
        "app_metadata": user.raw_app_meta_data or {},
        "user_metadata": user.raw_user_meta_data or {},
        "role": user.role or "",
        "aal": "aal1",
        "amr": list(amr),
        "session_id": str(session_id),
        "is_anonymous": user.is_anonymous,
    }


def read_bearer(request: AuthRequest, secret: str) -> Claims:
    """The claims of the request's token. Raises AuthError."""
    found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if not found:
        raise AuthError(401, "no_authorization", "This endpoint requires a valid Bearer token")
    try:
        return jwt.decode(found[1], secret, algorithms=["HS256"], options=_OPTIONS)
    except jwt.InvalidTokenError as error:
        reason = _reason(error)
        # The library's words may quote the token.
        raise bad_token(f"invalid JWT: unable to parse or verify signature, {reason}") from None


def require_admin(request: AuthRequest, secret: str) -> None:
    """Raises AuthError."""
    if read_bearer(request, secret).get("role") not in ADMIN_ROLES:
        raise AuthError(403, "not_admin", "User not allowed")


async def find_caller(connection: AsyncConnection, claims: Claims) -> Caller:
    """Raises AuthError where the user or the session is gone."""
    user = await directory.find(connection, _subject(claims))
    if user is None:
        raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
    session_id = _session(claims)
    if session_id and not await sessions.is_open(connection, session_id, user.id):
        raise AuthError(403, "session_not_found", "Session from session_id claim in JWT does not exist")
    return Caller(user, session_id)


def _subject(claims: Claims) -> UUID:
    subject = claims.get("sub")
    if not subject:
        raise bad_token("invalid claim: missing sub claim")
    user_id = parse_uuid(str(subject))
    if user_id is None:
        raise AuthError(400, "bad_jwt", "invalid claim: sub claim must be a UUID")
    return user_id


def _session(claims: Claims) -> SessionId | None:
    named = claims.get("session_id")
    if not named:
        return None
    session_id = parse_uuid(str(named))
    if session_id is None:
        raise bad_token("invalid claim: session_id claim must be a UUID")
    return SessionId(session_id)


def _reason(error: jwt.InvalidTokenError) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "token has invalid claims: token is expired"
        case jwt.ImmatureSignatureError():
            return "token has invalid claims: token is not valid yet"
        case jwt.InvalidSignatureError():
            return "token signature is invalid: signature is invalid"
        case _:
            return "token is malformed"
