"""Finding, adding, changing and removing accounts: the statements on auth.users and auth.identities."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from localbase.auth.errors import no_such_user
from localbase.auth.user import AUDIENCE, EMAIL, PHONE, Identity, User, UserId, user_row

_FIND = "select * from auth.users where id = %s"
_FIND_BY_EMAIL = "select * from auth.users where email = %s and aud = %s and not is_sso_user"
_FIND_BY_PHONE = "select * from auth.users where phone = %s and aud = %s and not is_sso_user"

# The empty texts are what the real service leaves there; it cannot read nulls in these columns.
_ADD = """
    insert into auth.users (
        instance_id, id, aud, role, email, phone, encrypted_password,
        raw_app_meta_data, raw_user_meta_data, is_anonymous, created_at, updated_at,
        confirmation_token, recovery_token, email_change_token_new, email_change
    )
    values (
        '00000000-0000-0000-0000-000000000000', %(id)s, %(aud)s, %(role)s,
        nullif(%(email)s, ''), nullif(%(phone)s, ''), %(encrypted_password)s,
        %(app_metadata)s, %(user_metadata)s, %(is_anonymous)s, now(), now(),
        '', '', '', ''
    )
"""

# Metadata is merged: a key with null goes, keys that are not named stay.
_CHANGE = """
    update auth.users set
        role = coalesce(%(role)s, role),
        email = coalesce(%(email)s, email),
        phone = coalesce(%(phone)s, phone),
        encrypted_password = coalesce(%(encrypted_password)s, encrypted_password),
        email_confirmed_at = case when %(confirm_email)s then now() else email_confirmed_at end,
        phone_confirmed_at = case when %(confirm_phone)s then now() else phone_confirmed_at end,
        email_change = coalesce(%(email_change)s, email_change),
        email_change_sent_at =
            case when %(email_change)s::text is null then email_change_sent_at else now() end,
        raw_app_meta_data =
            (coalesce(raw_app_meta_data, '{}') || %(app_metadata)s) - %(app_metadata_gone)s::text[],
        raw_user_meta_data =
            (coalesce(raw_user_meta_data, '{}') || %(user_metadata)s) - %(user_metadata_gone)s::text[],
        banned_until = case
            when %(ban)s::interval is null then banned_until
            when %(ban)s::interval = interval '0' then null
            else now() + %(ban)s::interval
        end,
        is_anonymous = is_anonymous and not %(make_permanent)s,
        updated_at = now()
    where id = %(id)s
"""

_IDENTIFY = """
    insert into auth.identities (
        provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at
    )
    values (%(user_id)s::text, %(user_id)s::uuid, %(data)s, %(provider)s, now(), now(), now())
    on conflict (provider_id, provider) do update
    set identity_data = identities.identity_data || excluded.identity_data, updated_at = now()
"""

_NAME_PROVIDERS = """
    update auth.users set raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || (
        select jsonb_build_object(
            'provider', min(provider), 'providers', jsonb_agg(provider order by provider)
        )
        from auth.identities where user_id = users.id
    )
    where id = %s
"""

_LIST = """
    select * from auth.users
    where aud = %(aud)s
      and (%(filter)s = '' or email like %(pattern)s or raw_user_meta_data ->> 'full_name' ilike %(pattern)s)
    order by created_at desc, id
    limit %(limit)s offset %(offset)s
"""
_COUNT = """
    select count(*) from auth.users
    where aud = %(aud)s
      and (%(filter)s = '' or email like %(pattern)s or raw_user_meta_data ->> 'full_name' ilike %(pattern)s)
"""

# What could tell who it was is made unreadable; the row stays for those that refer to it.
_CONCEAL = """
    update auth.users set
        email = %(email)s,
        phone = %(phone)s,
        email_change = '',
        phone_change = '',
        encrypted_password = null,
        confirmation_token = '',
        recovery_token = '',
        email_change_token_current = '',
        email_change_token_new = '',
        phone_change_token = '',
        raw_app_meta_data = '{}',
        raw_user_meta_data = '{}',
        deleted_at = now(),
        updated_at = now()
    where id = %(id)s and deleted_at is null
"""
_CONCEAL_IDENTITY = "update auth.identities set identity_data = '{}', provider_id = %s where id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What an account begins with, before anything is confirmed."""

    id: UUID
    email: str = ""
    phone: str = ""
    role: str = AUDIENCE
    encrypted_password: str = field(default="", repr=False)
    user_metadata: Mapping[str, Any]
    is_anonymous: bool = False

    @property
    def providers(self) -> Sequence[str]:
        return [name for name, value in ((EMAIL, self.email), (PHONE, self.phone)) if value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to change; None leaves a field alone. A ban of no length lifts one."""

    role: str | None = None
    email: str | None = None
    phone: str | None = None
    encrypted_password: str | None = field(default=None, repr=False)
    confirm_email: bool = False
    confirm_phone: bool = False
    email_change: str | None = None
    app_metadata: Mapping[str, Any] = field(default_factory=dict)
    user_metadata: Mapping[str, Any] = field(default_factory=dict)
    ban: timedelta | None = None
    make_permanent: bool = False


async def find(connection: AsyncConnection, user_id: UUID) -> User | None:
    async with connection.cursor(row_factory=user_row) as cursor:
        await cursor.execute(_FIND, (user_id,))
        user = await cursor.fetchone()
    return user and user.known_by(await _identities(connection, user.id))


async def get(connection: AsyncConnection, user_id: UUID) -> User:
    """Raises AuthError where there is none."""
    user = await find(connection, user_id)
    if user is None:
        raise no_such_user()
    return user


async def find_by_email(connection: AsyncConnection, email: str) -> User | None:
    return await _find_by(connection, _FIND_BY_EMAIL, email)


async def find_by_phone(connection: AsyncConnection, phone: str) -> User | None:
    return await _find_by(connection, _FIND_BY_PHONE, phone)


async def add(connection: AsyncConnection, user: NewUser) -> UserId:
    """Together with its identities. Raises psycopg.errors.UniqueViolation."""
    providers = user.providers
    app_metadata = {"provider": providers[0], "providers": providers} if providers else {}
    metadata = {"app_metadata": Jsonb(app_metadata), "user_metadata": Jsonb(user.user_metadata)}
    await connection.execute(_ADD, {**asdict(user), **metadata, "aud": AUDIENCE})
    user_id = UserId(user.id)
    for provider, value in ((EMAIL, user.email), (PHONE, user.phone)):
        if value:
            await identify(connection, user_id, provider, identity_data(user_id, provider, value))
    return user_id


async def change(connection: AsyncConnection, user_id: UserId, changes: Changes) -> None:
    """Raises psycopg.errors.UniqueViolation."""
    parameters = {name: getattr(changes, name) for name in Changes.__dataclass_fields__}
    for name in ("app_metadata", "user_metadata"):
        values: Mapping[str, Any] = parameters[name]
        parameters[name] = Jsonb({key: value for key, value in values.items() if value is not None})
        parameters[f"{name}_gone"] = [key for key, value in values.items() if value is None]
    await connection.execute(_CHANGE, {**parameters, "id": user_id})


def identity_data(user_id: UserId, provider: str, value: str) -> dict[str, Any]:
    return {"sub": str(user_id), provider: value, "email_verified": False, "phone_verified": False}


async def identify(
    connection: AsyncConnection, user_id: UserId, provider: str, data: Mapping[str, Any]
) -> None:
    """Add an identity, or bring the one there is up to date."""
    await connection.execute(_IDENTIFY, {"user_id": user_id, "provider": provider, "data": Jsonb(data)})


async def name_providers(connection: AsyncConnection, user_id: UserId) -> None:
    """Let app_metadata name the providers of all identities."""
    await connection.execute(_NAME_PROVIDERS, (user_id,))


async def search(
    connection: AsyncConnection, text: str, *, limit: int, offset: int
) -> tuple[Sequence[User], int]:
    """One page of the accounts, newest first, and how many there are. An empty text finds all."""
    parameters = {"aud": AUDIENCE, "filter": text, "pattern": f"%{text}%", "limit": limit, "offset": offset}
    async with connection.cursor(row_factory=user_row) as cursor:
        await cursor.execute(_LIST, parameters)
        users = await cursor.fetchall()
    async with connection.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(_COUNT, parameters)
        (total,) = await cursor.fetchall()
    return users, total


async def remove(connection: AsyncConnection, user_id: UserId) -> None:
    await connection.execute("delete from auth.users where id = %s", (user_id,))


async def conceal(connection: AsyncConnection, user: User) -> None:
    """Delete softly. Once done it changes nothing more."""
    email, phone = (value and _digest(user.id, value) for value in (user.email, user.phone))
    await connection.execute(_CONCEAL, {"id": user.id, "email": email, "phone": phone and phone[:15]})
    for identity in user.identities or ():
        concealed = _digest(user.id, f"{identity.provider}:{identity.provider_id}")
        await connection.execute(_CONCEAL_IDENTITY, (concealed, identity.id))


async def _find_by(connection: AsyncConnection, statement: str, value: str) -> User | None:
    async with connection.cursor(row_factory=user_row) as cursor:
        await cursor.execute(statement.encode(), (value, AUDIENCE))
        user = await cursor.fetchone()
    return user and user.known_by(await _identities(connection, user.id))


async def _identities(connection: AsyncConnection, user_id: UUID) -> Sequence[Identity]:
    async with connection.cursor(row_factory=class_row(Identity)) as cursor:
        await cursor.execute(
            "select id, provider_id, user_id, identity_data, provider, last_sign_in_at, created_at,"
            " updated_at, email from auth.identities where user_id = %s order by created_at, provider",
            (user_id,),
        )
        return await cursor.fetchall()


def _digest(user_id: UUID, value: str) -> str:
    digest = hashlib.sha256(f"{user_id}{value}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
