"""An account, as a row and as clients see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, NewType, Self
from uuid import UUID

from psycopg import AsyncCursor
from psycopg.rows import RowMaker

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)

AUDIENCE = "authenticated"
# What Go makes of no time. Rows that come from seeds may lack what clients insist on.
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
EMAIL, PHONE = "email", "phone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """By which means an account is known."""

    id: UUID
    provider_id: str
    user_id: UUID
    identity_data: Mapping[str, Any]
    provider: str
    last_sign_in_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    email: str | None

    def body(self) -> dict[str, Any]:
        # `id` and `identity_id` are not what they seem: older clients know the provider's id as id.
        return {
            "identity_id": str(self.id),
            "id": self.provider_id,
            "user_id": str(self.user_id),
            "identity_data": self.identity_data,
            "provider": self.provider,
            "last_sign_in_at": timestamp(self.last_sign_in_at),
            "created_at": timestamp(self.created_at or _NEVER),
            "updated_at": timestamp(self.updated_at or _NEVER),
            **({"email": self.email} if self.email else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account. `identities` is None where nobody asked for them."""

    id: UserId
    aud: str | None
    role: str | None
    email: str | None
    encrypted_password: str | None = field(repr=False)
    email_confirmed_at: datetime | None
    invited_at: datetime | None
    phone: str | None
    phone_confirmed_at: datetime | None
    confirmed_at: datetime | None
    email_change: str | None
    email_change_sent_at: datetime | None
    last_sign_in_at: datetime | None
    raw_app_meta_data: Mapping[str, Any] | None
    raw_user_meta_data: Mapping[str, Any] | None
    created_at: datetime | None
    updated_at: datetime | None
    banned_until: datetime | None
    deleted_at: datetime | None
    is_anonymous: bool
    identities: Sequence[Identity] | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{name: row[name] for name in _COLUMNS})

    def known_by(self, identities: Sequence[Identity]) -> Self:
        return replace(self, identities=identities)

    def banned(self, now: datetime) -> bool:
        return self.banned_until is not None and now < self.banned_until

    def body(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "aud": self.aud or "",
            "role": self.role or "",
            "email": self.email or "",
            "phone": self.phone or "",
            **self._optional_fields(),
            "app_metadata": self.raw_app_meta_data or {},
            "user_metadata": self.raw_user_meta_data or {},
            "identities": self.identities and [identity.body() for identity in self.identities],
            "created_at": timestamp(self.created_at or _NEVER),
            "updated_at": timestamp(self.updated_at or _NEVER),
            "is_anonymous": self.is_anonymous,
        }

    def _optional_fields(self) -> dict[str, Any]:
        values = {
            "email_confirmed_at": timestamp(self.email_confirmed_at),
            "invited_at": timestamp(self.invited_at),
            "phone_confirmed_at": timestamp(self.phone_confirmed_at),
            "confirmed_at": timestamp(self.confirmed_at),
            "new_email": self.email_change,
            "email_change_sent_at": timestamp(self.email_change_sent_at),
            "last_sign_in_at": timestamp(self.last_sign_in_at),
            "banned_until": timestamp(self.banned_until),
            "deleted_at": timestamp(self.deleted_at),
        }
        return {name: value for name, value in values.items() if value}


_COLUMNS = tuple(column.name for column in fields(User) if column.name != "identities")


def user_row(cursor: AsyncCursor[Any]) -> RowMaker[User]:
    """A row factory for rows of auth.users."""
    names = [column.name for column in cursor.description or ()]
    return lambda values: User.from_row(dict(zip(names, values, strict=True)))


def timestamp(moment: datetime | None) -> str | None:
    """As clients get it: in UTC, marked by the letter."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
