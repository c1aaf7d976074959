"""Signing in: POST /token, for a password or for a refresh token."""

from datetime import UTC, datetime
from typing import Any, assert_never

from aiohttp import web

from localbase.auth import directory
from localbase.auth.errors import AuthError, invalid_credentials, invalid_request
from localbase.auth.passwords import find_weakness, matches
from localbase.auth.request import AuthRequest, Fields
from localbase.auth.service import Service
from localbase.auth.sessions import Method, Refused, Session, open_session, refresh
from localbase.auth.user import User
from localbase.project import AuthConfig


async def grant(service: Service, request: AuthRequest) -> web.Response:
    match request.parameter("grant_type"):
        case "password":
            return await _grant_for_password(service, request)
        case "refresh_token":
            return await _grant_for_refresh_token(service, request)
        case _:
            raise AuthError(400, "invalid_credentials", "unsupported_grant_type")


async def _grant_for_password(service: Service, request: AuthRequest) -> web.Response:
    fields = request.fields()
    email, password = _asked_email(service.config, fields), fields.text("password")
    async with service.transaction("Database error querying schema") as connection:
        user = await directory.find_by_email(connection, email)
    # Outside any transaction: the check takes long, and as long for those who are not registered.
    right = await matches(password, user.encrypted_password if user else None)
    known = _admitted(user, right=right)
    async with service.transaction("Database error granting user") as connection:
        session = await open_session(connection, known.id, Method.PASSWORD, request)
        body = await service.session_body(connection, session)
    return web.json_response({**body, "weak_password": _weakness(password, service.config)})


async def _grant_for_refresh_token(service: Service, request: AuthRequest) -> web.Response:
    token = request.fields().text("refresh_token")
    if not token:
        raise invalid_request("refresh_token required")
    async with service.transaction("Database error refreshing session") as connection:
        outcome = await refresh(connection, token, service.config, request)
        if isinstance(outcome, Session):
            if (await directory.get(connection, outcome.user_id)).banned(datetime.now(UTC)):
                raise AuthError(400, "user_banned", "Invalid Refresh Token: User Banned")
            return web.json_response(await service.session_body(connection, outcome))
    # Only here: what was revoked stays revoked.
    raise _refusal(outcome)


def _asked_email(config: AuthConfig, fields: Fields) -> str:
    email, phone = fields.text("email"), fields.text("phone")
    if email and phone:
        raise invalid_request("Only an email address or phone number should be provided on login.")
    if phone:
        raise AuthError(422, "phone_provider_disabled", "Phone logins are disabled")
    if not email:
        raise invalid_request("missing email or phone")
    if not config.enable_email:
        raise AuthError(422, "email_provider_disabled", "Email logins are disabled")
    return email.lower()


def _admitted(user: User | None, *, right: bool) -> User:
    if user is None:
        raise invalid_credentials()
    if user.banned(datetime.now(UTC)):
        raise AuthError(400, "user_banned", "User is banned")
    if not right:
        raise invalid_credentials()
    if user.email_confirmed_at is None:
        raise AuthError(400, "email_not_confirmed", "Email not confirmed")
    return user


def _weakness(password: str, config: AuthConfig) -> dict[str, Any] | None:
    """A right password may be weak by rules that are younger than it."""
    weakness = find_weakness(password, config)
    return {"message": weakness.message, "reasons": list(weakness.reasons)} if weakness else None


def _refusal(refused: Refused) -> AuthError:
    match refused:
        case Refused.NOT_FOUND:
            message = "Invalid Refresh Token: Refresh Token Not Found"
        case Refused.ALREADY_USED:
            message = "Invalid Refresh Token: Already Used"
        case _:
            assert_never(refused)
    return AuthError(400, refused.value, message)
