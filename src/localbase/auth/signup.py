"""Signing up: POST /signup."""

from datetime import UTC, datetime
from uuid import uuid4

from aiohttp import web
from psycopg import AsyncConnection

from localbase.auth import directory
from localbase.auth.addresses import checked_email
from localbase.auth.directory import Changes, NewUser
from localbase.auth.errors import AuthError, already_registered, invalid_request, signup_disabled
from localbase.auth.passwords import check_strength, hash_password
from localbase.auth.request import AuthRequest, Fields
from localbase.auth.service import Service
from localbase.auth.sessions import Method, open_session
from localbase.auth.user import AUDIENCE, EMAIL, UserId, timestamp
from localbase.project import AuthConfig

_FAILURE = "Database error saving new user"


async def sign_up(service: Service, request: AuthRequest) -> web.Response:
    """With an address and a password; with neither it is an anonymous sign-in."""
    fields = request.fields()
    if not fields.text("email") and not fields.text("phone"):
        return await _sign_in_anonymously(service, request, fields)
    new = await _new_user(service.config, fields)
    async with service.transaction(_FAILURE) as connection:
        known = await directory.find_by_email(connection, new.email)
        if known and known.email_confirmed_at:
            return _registered_already(service.config, new)
        user_id = known.id if known else await _register(connection, new)
        return await _welcome(service, request, connection, user_id)


async def _sign_in_anonymously(service: Service, request: AuthRequest, fields: Fields) -> web.Response:
    if not service.config.enable_anonymous_sign_ins:
        raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
    if not service.config.enable_signup:
        raise signup_disabled()
    new = NewUser(id=uuid4(), user_metadata=fields.mapping("data") or {}, is_anonymous=True)
    async with service.transaction("Database error creating anonymous user") as connection:
        user_id = await directory.add(connection, new)
        session = await open_session(connection, user_id, Method.ANONYMOUS, request)
        return web.json_response(await service.session_body(connection, session))


async def _new_user(config: AuthConfig, fields: Fields) -> NewUser:
    if not config.enable_signup:
        raise signup_disabled()
    password, email = fields.text("password"), fields.text("email")
    if not password:
        raise invalid_request("Signup requires a valid password")
    check_strength(password, config)
    if email and fields.text("phone"):
        raise invalid_request("Only an email address or phone number should be provided on signup.")
    if not email:
        raise AuthError(400, "phone_provider_disabled", "Phone signups are disabled")
    if not config.enable_email:
        raise AuthError(400, "email_provider_disabled", "Email signups are disabled")
    return NewUser(
        id=uuid4(),
        email=checked_email(email),
        encrypted_password=await hash_password(password),
        user_metadata=fields.mapping("data") or {},
    )


async def _register(connection: AsyncConnection, new: NewUser) -> UserId:
    user_id = await directory.add(connection, new)
    data = {**new.user_metadata, **directory.identity_data(user_id, EMAIL, new.email)}
    await directory.identify(connection, user_id, EMAIL, data)
    await directory.change(connection, user_id, Changes(user_metadata=data))
    return user_id


async def _welcome(
    service: Service, request: AuthRequest, connection: AsyncConnection, user_id: UserId
) -> web.Response:
    """A session at once, or the bare user, whose address is still to be confirmed."""
    if service.config.enable_confirmations:
        return web.json_response((await directory.get(connection, user_id)).body())
    confirmed = Changes(confirm_email=True, user_metadata={"email_verified": True})
    await directory.change(connection, user_id, confirmed)
    session = await open_session(connection, user_id, Method.PASSWORD, request)
    return web.json_response(await service.session_body(connection, session))


def _registered_already(config: AuthConfig, new: NewUser) -> web.Response:
    """Where addresses are confirmed, the answer is that to a new one: nobody learns who is registered."""
    if not config.enable_confirmations:
        raise already_registered()
    moment = timestamp(datetime.now(UTC))
    return web.json_response(
        {
            "id": str(new.id),
            "aud": AUDIENCE,
            "role": "",
            "email": new.email,
            "phone": "",
            "app_metadata": {"provider": EMAIL, "providers": [EMAIL]},
            "user_metadata": new.user_metadata,
            "identities": [],
            "created_at": moment,
            "updated_at": moment,
            "is_anonymous": False,
        }
    )
