"""What signed-in users do with their own account: GET and PUT /user, POST /logout."""

from aiohttp import web
from psycopg import AsyncConnection

from localbase.auth import directory, sessions
from localbase.auth.addresses import checked_email
from localbase.auth.directory import Changes
from localbase.auth.errors import AuthError, address_taken, invalid_request
from localbase.auth.passwords import check_strength, hash_password, matches
from localbase.auth.request import AuthRequest, Fields
from localbase.auth.service import Service
from localbase.auth.tokens import Caller
from localbase.auth.user import EMAIL, User


async def show(service: Service, request: AuthRequest) -> web.Response:
    return web.json_response((await _caller(service, request)).user.body())


async def update(service: Service, request: AuthRequest) -> web.Response:
    """Password, address and user_metadata. A new password ends all other sessions."""
    caller, fields = await _caller(service, request), request.fields()
    email, password = fields.text("email"), fields.optional_text("password")
    _check_allowed(service, caller.user, fields)
    changes = Changes(
        encrypted_password=await _new_hash(caller.user, password) if password else None,
        user_metadata=fields.mapping("data") or {},
    )
    async with service.transaction("Error updating user") as connection:
        await directory.change(connection, caller.user.id, changes)
        if password:
            await sessions.end_all(connection, caller.user.id, but=caller.session_id)
        if email and checked_email(email) != caller.user.email:
            await _move(service, connection, caller.user, checked_email(email))
        return web.json_response((await directory.get(connection, caller.user.id)).body())


async def sign_out(service: Service, request: AuthRequest) -> web.Response:
    scope = request.parameter("scope") or "global"
    if scope not in ("global", "local", "others"):
        raise invalid_request(f'Unsupported logout scope "{scope}"')
    async with service.transaction("Error logging out user") as connection:
        caller = await service.caller(connection, request)
        if scope == "local" and caller.session_id:
            await sessions.end(connection, caller.session_id)
        else:
            kept = caller.session_id if scope == "others" else None
            await sessions.end_all(connection, caller.user.id, but=kept)
    return web.Response(status=204)


async def _caller(service: Service, request: AuthRequest) -> Caller:
    async with service.transaction("Database error loading user") as connection:
        return await service.caller(connection, request)


def _check_allowed(service: Service, user: User, fields: Fields) -> None:
    if fields.text("email"):
        checked_email(fields.text("email"))
    if fields.text("phone"):
        raise AuthError(422, "phone_provider_disabled", "Phone logins are disabled")
    password = fields.optional_text("password")
    if password is not None:
        check_strength(password, service.config)
    if fields.mapping("app_metadata") is not None:
        raise AuthError(403, "not_admin", "Updating app_metadata requires admin privileges")
    if user.is_anonymous and password and not fields.text("email"):
        raise AuthError(
            422,
            "validation_failed",
            "Updating password of an anonymous user without an email or phone is not allowed",
        )


async def _new_hash(user: User, password: str) -> str:
    if await matches(password, user.encrypted_password):
        raise AuthError(422, "same_password", "New password should be different from the old password.")
    return await hash_password(password)


async def _move(service: Service, connection: AsyncConnection, user: User, email: str) -> None:
    """Change the address: at once for an anonymous user, who becomes a permanent one.

    Everybody else would get a mail. Here is none to answer: the wish is noted, and an admin may fulfil it.
    """
    if await directory.find_by_email(connection, email):
        raise address_taken()
    if not user.is_anonymous or service.config.enable_confirmations:
        await directory.change(connection, user.id, Changes(email_change=email))
        return
    await directory.identify(connection, user.id, EMAIL, directory.identity_data(user.id, EMAIL, email))
    await directory.name_providers(connection, user.id)
    await directory.change(connection, user.id, Changes(email=email, confirm_email=True, make_permanent=True))
