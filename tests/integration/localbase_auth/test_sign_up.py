"""Signing up, by supabase-py."""

from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from supabase_auth.errors import AuthApiError, AuthWeakPasswordError

from integration.localbase_auth.conftest import PASSWORD, Connect

Start = Callable[..., Awaitable[str]]


async def test_sign_up_opens_a_session(auth: Any) -> None:
    answer = await auth.sign_up(
        {"email": "Ann@Example.com", "password": PASSWORD, "options": {"data": {"name": "Ann"}}}
    )

    user, session = answer.user, answer.session
    assert (user.email, user.role, user.aud) == ("ann@example.com", "authenticated", "authenticated")
    assert user.app_metadata == {"provider": "email", "providers": ["email"]}
    assert user.user_metadata["name"] == "Ann"
    assert user.user_metadata["email_verified"] is True
    assert user.email_confirmed_at == user.confirmed_at == user.last_sign_in_at
    (identity,) = user.identities
    assert (identity.id, identity.provider) == (user.id, "email")
    assert identity.identity_data["name"] == "Ann"
    assert (session.token_type, session.expires_in) == ("bearer", 3600)
    assert (await auth.get_user()).user == user


async def test_an_address_is_registered_once(auth: Any) -> None:
    await auth.sign_up({"email": "ann@example.com", "password": PASSWORD})

    with pytest.raises(AuthApiError) as caught:
        await auth.sign_up({"email": "ANN@example.com", "password": "another one"})

    assert (caught.value.status, caught.value.code) == (422, "user_already_exists")
    assert caught.value.message == "User already registered"


async def test_weak_passwords_are_refused(auth: Any) -> None:
    with pytest.raises(AuthWeakPasswordError) as caught:
        await auth.sign_up({"email": "ann@example.com", "password": "short"})

    assert (caught.value.status, caught.value.reasons) == (422, ["length"])


async def test_bad_addresses_are_refused(auth: Any) -> None:
    with pytest.raises(AuthApiError) as caught:
        await auth.sign_up({"email": "ann", "password": PASSWORD})

    assert (caught.value.status, caught.value.code) == (400, "validation_failed")


async def test_phones_are_refused(auth: Any) -> None:
    with pytest.raises(AuthApiError) as caught:
        await auth.sign_up({"phone": "+436601234567", "password": PASSWORD})

    assert (caught.value.status, caught.value.code) == (400, "phone_provider_disabled")


async def test_sign_up_may_be_closed(connect: Connect, start: Start) -> None:
    client = await connect(url=await start(enable_signup=False))

    with pytest.raises(AuthApiError) as caught:
        await client.auth.sign_up({"email": "ann@example.com", "password": PASSWORD})

    assert (caught.value.status, caught.value.code) == (422, "signup_disabled")


async def test_anonymous_sign_in(connect: Connect, start: Start) -> None:
    auth = (await connect(url=await start(enable_anonymous_sign_ins=True))).auth

    answer = await auth.sign_in_anonymously({"options": {"data": {"seat": 7}}})

    assert answer.user.is_anonymous
    assert (answer.user.email, answer.user.app_metadata) == ("", {})
    assert answer.user.user_metadata == {"seat": 7}
    claims = (await auth.get_claims())["claims"]
    assert (claims["is_anonymous"], claims["amr"][0]["method"]) == (True, "anonymous")


async def test_anonymous_users_become_permanent(connect: Connect, start: Start) -> None:
    auth = (await connect(url=await start(enable_anonymous_sign_ins=True))).auth
    anonymous = (await auth.sign_in_anonymously()).user

    user = (await auth.update_user({"email": "ann@example.com", "password": PASSWORD})).user

    assert (user.id, user.email, user.is_anonymous) == (anonymous.id, "ann@example.com", False)
    assert user.app_metadata == {"provider": "email", "providers": ["email"]}
    again = await auth.sign_in_with_password({"email": "ann@example.com", "password": PASSWORD})
    assert again.user.id == anonymous.id


async def test_anonymous_users_need_an_address_for_a_password(connect: Connect, start: Start) -> None:
    auth = (await connect(url=await start(enable_anonymous_sign_ins=True))).auth
    await auth.sign_in_anonymously()

    with pytest.raises(AuthApiError) as caught:
        await auth.update_user({"password": PASSWORD})

    assert (caught.value.status, caught.value.code) == (422, "validation_failed")


async def test_anonymous_sign_in_is_off_by_default(auth: Any) -> None:
    with pytest.raises(AuthApiError) as caught:
        await auth.sign_in_anonymously()

    assert (caught.value.status, caught.value.code) == (422, "anonymous_provider_disabled")


async def test_with_confirmations_there_is_no_session_yet(connect: Connect, start: Start) -> None:
    auth = (await connect(url=await start(enable_confirmations=True))).auth

    answer = await auth.sign_up({"email": "ann@example.com", "password": PASSWORD})

    assert answer.session is None
    assert answer.user.email_confirmed_at is None
    with pytest.raises(AuthApiError) as caught:
        await auth.sign_in_with_password({"email": "ann@example.com", "password": PASSWORD})
    assert (caught.value.status, caught.value.code) == (400, "email_not_confirmed")


async def test_with_confirmations_nobody_learns_who_is_registered(
    connect: Connect, start: Start, admin: Any
) -> None:
    known = (await admin.create_user({"email": "ann@example.com", "email_confirm": True})).user
    auth = (await connect(url=await start(enable_confirmations=True))).auth

    answer = await auth.sign_up({"email": "ann@example.com", "password": PASSWORD})

    assert answer.session is None
    assert answer.user.email == "ann@example.com"
    assert answer.user.id != known.id
    assert len(await admin.list_users()) == 1


async def test_triggers_see_the_new_user(auth: Any, database: psycopg.Connection[Any]) -> None:
    """The usual profile table, made by the role postgres as a migration would."""
    database.execute("""
        create table public.profiles (
            id uuid primary key references auth.users (id) on delete cascade,
            name text
        );
        create function public.make_profile() returns trigger
        language plpgsql security definer set search_path = ''
        as $$ begin
            insert into public.profiles values (new.id, new.raw_user_meta_data ->> 'name');
            return new;
        end $$;
        create trigger make_profile after insert on auth.users
            for each row execute function public.make_profile();
    """)

    answer = await auth.sign_up(
        {"email": "ann@example.com", "password": PASSWORD, "options": {"data": {"name": "Ann"}}}
    )

    found = database.execute("select id::text, name from public.profiles").fetchall()
    assert found == [(answer.user.id, "Ann")]


async def test_a_failing_trigger_fails_the_sign_up(auth: Any, database: psycopg.Connection[Any]) -> None:
    """Its own rights being those of the service, as on a hosted project, it may not write where it likes."""
    database.execute("""
        create table public.profiles (id uuid primary key);
        create function public.make_profile() returns trigger language plpgsql
        as $$ begin insert into public.profiles values (new.id); return new; end $$;
        create trigger make_profile after insert on auth.users
            for each row execute function public.make_profile();
    """)

    with pytest.raises(AuthApiError) as caught:
        await auth.sign_up({"email": "ann@example.com", "password": PASSWORD})

    assert (caught.value.status, caught.value.code) == (500, "unexpected_failure")
    assert caught.value.message == "Database error saving new user"
    assert database.execute("select count(*) from auth.users").fetchone() == (0,)
