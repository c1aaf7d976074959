"""What holders of the service key do with accounts, by supabase-py."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import bcrypt
import psycopg
import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from integration.localbase_auth.conftest import PASSWORD, Connect
from localbase.pytest_plugin import LocalStack

ANN = {"email": "ann@example.com", "password": PASSWORD}


async def refused(call: Any) -> tuple[int, str | None]:
    with pytest.raises(AuthApiError) as caught:
        await call
    return caught.value.status, caught.value.code


async def test_create_user(admin: Any, auth: Any) -> None:
    user_id = str(uuid4())

    user = (
        await admin.create_user(
            {
                **ANN,
                "id": user_id,
                "email_confirm": True,
                "app_metadata": {"role": "admin"},
                "user_metadata": {"name": "Ann"},
            }
        )
    ).user

    assert (user.id, user.role, user.last_sign_in_at) == (user_id, "authenticated", None)
    assert user.app_metadata == {"provider": "email", "providers": ["email"], "role": "admin"}
    assert user.user_metadata == {"name": "Ann", "email_verified": True}
    assert (await auth.sign_in_with_password(ANN)).user.id == user_id


async def test_addresses_are_not_confirmed_by_themselves(admin: Any, auth: Any) -> None:
    user = (await admin.create_user(ANN)).user
    assert user.email_confirmed_at is None
    assert await refused(auth.sign_in_with_password(ANN)) == (400, "email_not_confirmed")

    await admin.update_user_by_id(user.id, {"email_confirm": True})

    assert (await auth.sign_in_with_password(ANN)).session


async def test_create_user_with_a_hash(admin: Any, auth: Any) -> None:
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()

    await admin.create_user({"email": "ann@example.com", "password_hash": hashed, "email_confirm": True})

    assert (await auth.sign_in_with_password(ANN)).session


async def test_create_user_with_a_phone(admin: Any) -> None:
    user = (await admin.create_user({"phone": "+43 6601234567", "phone_confirm": True})).user

    assert (user.phone, user.email) == ("436601234567", "")
    assert user.app_metadata == {"provider": "phone", "providers": ["phone"]}
    assert user.phone_confirmed_at == user.confirmed_at is not None
    assert await refused(admin.create_user({"phone": "436601234567"})) == (422, "phone_exists")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, (400, "validation_failed")),
        ({"email": "nonsense"}, (400, "validation_failed")),
        ({"email": "a@b.co", "id": "nonsense"}, (400, "validation_failed")),
        ({"email": "a@b.co", "id": "00000000-0000-0000-0000-000000000000"}, (400, "validation_failed")),
        ({"email": "a@b.co", "ban_duration": "1 day"}, (400, "validation_failed")),
        ({"email": "a@b.co", "password": "x", "password_hash": "y"}, (400, "validation_failed")),
        ({"email": "a@b.co", "password_hash": "plain"}, (400, "validation_failed")),
        ({"email": "a@b.co", "app_metadata": "admin"}, (400, "bad_json")),
        ({"email": "a@b.co", "user_metadata": {"name": "\0"}}, (500, "unexpected_failure")),
    ],
)
async def test_what_is_refused(admin: Any, attributes: dict[str, Any], expected: tuple[int, str]) -> None:
    assert await refused(admin.create_user(attributes)) == expected


async def test_an_address_belongs_to_one_user(admin: Any) -> None:
    await admin.create_user(ANN)
    bob = (await admin.create_user({"email": "bob@example.com"})).user

    assert await refused(admin.create_user({"email": "ANN@example.com"})) == (422, "email_exists")
    assert await refused(admin.update_user_by_id(bob.id, {"email": "ann@example.com"})) == (
        422,
        "email_exists",
    )


async def test_update_user(admin: Any) -> None:
    user = (await admin.create_user({**ANN, "app_metadata": {"role": "admin", "team": 1}})).user

    changed = (
        await admin.update_user_by_id(
            user.id,
            {
                "email": "Ann@New.example",
                "email_confirm": True,
                "role": "service_role",
                "app_metadata": {"role": None, "plan": "pro"},
                "user_metadata": {"name": "Ann"},
                "ban_duration": "24h",
            },
        )
    ).user

    assert (changed.email, changed.role) == ("ann@new.example", "service_role")
    assert changed.app_metadata == {"provider": "email", "providers": ["email"], "team": 1, "plan": "pro"}
    assert changed.user_metadata == {"name": "Ann", "email_verified": True}
    (identity,) = changed.identities
    assert identity.identity_data["email"] == "ann@new.example"
    remaining = datetime.fromisoformat(changed.banned_until) - datetime.now(UTC)
    assert timedelta(hours=23) < remaining <= timedelta(hours=24)
    assert (await admin.get_user_by_id(user.id)).user == changed


async def test_a_new_password_ends_all_sessions(admin: Any, auth: Any) -> None:
    user = (await auth.sign_up(ANN)).user

    await admin.update_user_by_id(user.id, {"password": "battery staple"})

    assert await refused(auth.get_user()) == (403, "session_not_found")
    assert (await auth.sign_in_with_password({**ANN, "password": "battery staple"})).session


async def test_a_new_password_is_strong(admin: Any) -> None:
    user = (await admin.create_user(ANN)).user

    with pytest.raises(AuthWeakPasswordError):
        await admin.update_user_by_id(user.id, {"password": "x"})


async def test_changes_and_sign_ins_at_the_same_time(admin: Any, auth: Any) -> None:
    """They touch the same rows, and none waits for the other for ever."""
    user = (await auth.sign_up(ANN)).user
    changes = [
        admin.update_user_by_id(user.id, {"email": "ann@example.com", "app_metadata": {f"n{number}": 1}})
        for number in range(8)
    ]

    await asyncio.gather(*changes, *(auth.sign_in_with_password(ANN) for _ in range(8)))

    metadata = (await admin.get_user_by_id(user.id)).user.app_metadata
    assert {f"n{number}" for number in range(8)} < metadata.keys()


async def test_list_users_in_pages(admin: Any) -> None:
    for number in range(5):
        await admin.create_user({"email": f"user{number}@example.com"})

    first, last, beyond = [
        [user.email for user in await admin.list_users(page=page, per_page=2)] for page in (1, 3, 4)
    ]

    assert first == ["user4@example.com", "user3@example.com"]
    assert last == ["user0@example.com"]
    assert beyond == []
    assert len(await admin.list_users()) == 5


async def test_delete_user(admin: Any, auth: Any, database: psycopg.Connection[Any]) -> None:
    user = (await auth.sign_up(ANN)).user

    await admin.delete_user(user.id)

    assert await refused(admin.get_user_by_id(user.id)) == (404, "user_not_found")
    assert await refused(auth.sign_in_with_password(ANN)) == (400, "invalid_credentials")
    left = database.execute("""
        select count(*) from (
            select from auth.identities union all select from auth.sessions
            union all select from auth.refresh_tokens union all select from auth.mfa_amr_claims
        )
    """)
    assert left.fetchone() == (0,)


async def test_delete_user_softly(admin: Any, auth: Any) -> None:
    user = (await auth.sign_up(ANN)).user

    await admin.delete_user(user.id, should_soft_delete=True)

    left = (await admin.get_user_by_id(user.id)).user
    assert left.deleted_at is not None
    assert "ann" not in left.email
    assert left.app_metadata == left.user_metadata == {}
    assert left.identities[0].identity_data == {}
    assert await refused(auth.get_user()) == (403, "session_not_found")
    assert (await auth.sign_up(ANN)).user.id != user.id, "the address is free again"


async def test_users_that_others_refer_to_stay(admin: Any, database: psycopg.Connection[Any]) -> None:
    user = (await admin.create_user(ANN)).user
    database.execute("create table public.orders (owner uuid references auth.users (id))")
    database.execute("insert into public.orders values (%s)", (user.id,))

    assert await refused(admin.delete_user(user.id)) == (500, "unexpected_failure")
    assert (await admin.get_user_by_id(user.id)).user.id == user.id


async def test_unknown_users(admin: Any) -> None:
    user_id = str(uuid4())

    assert await refused(admin.get_user_by_id(user_id)) == (404, "user_not_found")
    assert await refused(admin.update_user_by_id(user_id, {"role": "x"})) == (404, "user_not_found")
    assert await refused(admin.delete_user(user_id)) == (404, "user_not_found")


async def test_others_are_no_admins(connect: Connect, auth: Any) -> None:
    stranger = (await connect()).auth.admin
    await auth.sign_up(ANN)

    assert await refused(stranger.list_users()) == (403, "not_admin")
    assert await refused(stranger.create_user(ANN)) == (403, "not_admin")
    user_id = str(uuid4())
    for call in (stranger.get_user_by_id, stranger.delete_user):
        assert await refused(call(user_id)) == (403, "not_admin")
    assert await refused(stranger.update_user_by_id(user_id, {})) == (403, "not_admin")


async def test_the_secret_key_is_an_admins(connect: Connect, localbase: LocalStack) -> None:
    admin = (await connect(localbase.secret_key)).auth.admin

    assert await admin.list_users() == []
