"""What holders of the service key do with all accounts: /admin/users."""

import secrets
from datetime import timedelta
from uuid import UUID, uuid4

from aiohttp import web
from psycopg import AsyncConnection

from localbase.auth import directory, sessions
from localbase.auth.addresses import checked_email, checked_phone
from localbase.auth.directory import Changes, NewUser
from localbase.auth.durations import parse_duration
from localbase.auth.errors import AuthError, address_taken, invalid_request
from localbase.auth.pages import read_page
from localbase.auth.passwords import check_strength, hash_password, is_hash
from localbase.auth.request import AuthRequest, Fields, parse_uuid
from localbase.auth.service import Service
from localbase.auth.user import AUDIENCE, EMAIL, PHONE, User, UserId

_CREATING = "Database error creating new user"
_UPDATING = "Error updating user"
_DELETING = "Database error deleting user"
_NO_BAN = "none"


async def list_users(service: Service, request: AuthRequest) -> web.Response:
    service.require_admin(request)
    page = read_page(request.query)
    async with service.transaction("Database error finding users") as connection:
        users, total = await directory.search(
            connection, request.parameter("filter"), limit=page.limit, offset=page.offset
        )
    body = {"users": [user.body() for user in users], "aud": AUDIENCE}
    return web.json_response(body, headers=page.headers(request.path, request.query, total))


async def create_user(service: Service, request: AuthRequest) -> web.Response:
    service.require_admin(request)
    fields = request.fields()
    new, changes = await _new_user(fields), _changes(fields)
    async with service.transaction(_CREATING) as connection:
        if new.email and await directory.find_by_email(connection, new.email):
            raise address_taken()
        user_id = await directory.add(connection, new)
        await directory.change(connection, user_id, changes)
        return web.json_response((await directory.get(connection, user_id)).body())


async def show_user(service: Service, request: AuthRequest, user_id: str) -> web.Response:
    service.require_admin(request)
    async with service.transaction("Database error loading user") as connection:
        return web.json_response((await _named(connection, user_id)).body())


async def update_user(service: Service, request: AuthRequest, user_id: str) -> web.Response:
    """A new password ends all sessions; a new address needs no confirmation."""
    service.require_admin(request)
    fields = request.fields()
    password = fields.optional_text("password")
    if password is not None:
        check_strength(password, service.config)
    hashed = await hash_password(password) if password else None
    changes = _changes(fields, hashed)
    async with service.transaction(_UPDATING) as connection:
        user = await _named(connection, user_id)
        await directory.change(connection, user.id, changes)
        await _identify(connection, user.id, changes)
        if hashed:
            await sessions.end_all(connection, user.id)
        return web.json_response((await directory.get(connection, user.id)).body())


async def delete_user(service: Service, request: AuthRequest, user_id: str) -> web.Response:
    service.require_admin(request)
    softly = bool(request.body) and request.fields().flag("should_soft_delete")
    async with service.transaction(_DELETING) as connection:
        user = await _named(connection, user_id)
        if not softly:
            await directory.remove(connection, user.id)
        elif user.deleted_at is None:
            await directory.conceal(connection, user)
            await sessions.end_all(connection, user.id)
    return web.json_response({})


async def _new_user(fields: Fields) -> NewUser:
    email, phone = fields.text("email"), fields.text("phone")
    if not email and not phone:
        raise invalid_request("Cannot create a user without either an email or phone")
    return NewUser(
        id=_checked_id(fields.text("id")) if fields.text("id") else uuid4(),
        email=checked_email(email) if email else "",
        phone=checked_phone(phone) if phone else "",
        encrypted_password=await _first_hash(fields),
        user_metadata=fields.mapping("user_metadata") or {},
    )


async def _first_hash(fields: Fields) -> str:
    """Of the password, or of one that nobody knows where there is none."""
    password, hashed = fields.text("password"), fields.text("password_hash")
    if password and hashed:
        raise invalid_request("Only a password or a password hash should be provided")
    if hashed and not is_hash(hashed):
        raise invalid_request("password_hash is no bcrypt hash; localbase reads no others")
    return hashed or await hash_password(password or secrets.token_urlsafe(48))


def _checked_id(text: str) -> UUID:
    user_id = parse_uuid(text)
    if user_id is None:
        raise invalid_request("ID must conform to the uuid v4 format")
    if not user_id.int:
        raise invalid_request("ID cannot be a nil uuid")
    return user_id


def _changes(fields: Fields, hashed: str | None = None) -> Changes:
    email, phone = fields.text("email"), fields.text("phone")
    confirm_email, confirm_phone = fields.flag("email_confirm"), fields.flag("phone_confirm")
    verified = {"email_verified": True} if confirm_email else {}
    return Changes(
        role=fields.text("role").strip() or None,
        email=checked_email(email) if email else None,
        phone=checked_phone(phone) if phone else None,
        encrypted_password=hashed,
        confirm_email=confirm_email,
        confirm_phone=confirm_phone,
        app_metadata=fields.mapping("app_metadata") or {},
        user_metadata={**verified, **(fields.mapping("user_metadata") or {})},
        ban=_ban(fields.text("ban_duration")),
        make_permanent=bool(email and confirm_email) or bool(phone and confirm_phone),
    )


def _ban(text: str) -> timedelta | None:
    if not text:
        return None
    try:
        return parse_duration("0" if text == _NO_BAN else text)
    except ValueError as error:
        raise invalid_request(f"invalid format for ban duration: {error}") from error


async def _identify(connection: AsyncConnection, user_id: UserId, changes: Changes) -> None:
    for provider, value, verified in (
        (EMAIL, changes.email, changes.confirm_email),
        (PHONE, changes.phone, changes.confirm_phone),
    ):
        if value:
            data = {**directory.identity_data(user_id, provider, value), f"{provider}_verified": verified}
            await directory.identify(connection, user_id, provider, data)


async def _named(connection: AsyncConnection, text: str) -> User:
    user_id = parse_uuid(text)
    if user_id is None:
        raise AuthError(404, "validation_failed", "user_id must be an UUID")
    return await directory.get(connection, user_id)
