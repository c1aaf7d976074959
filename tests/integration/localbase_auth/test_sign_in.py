"""Signing in and out, and keeping a session alive, by supabase-py."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import bcrypt
import psycopg
import pytest
from supabase_auth.errors import AuthApiError

from integration.localbase_auth.conftest import PASSWORD, Connect

Start = Callable[..., Awaitable[str]]
ANN = {"email": "ann@example.com", "password": PASSWORD}


@pytest.fixture
async def ann(auth: Any) -> Any:
    """The auth client of a signed-in user."""
    await auth.sign_up(ANN)
    return auth


async def refused(call: Awaitable[Any]) -> tuple[int, str | None]:
    with pytest.raises(AuthApiError) as caught:
        await call
    return caught.value.status, caught.value.code


async def test_sign_in(ann: Any, connect: Connect) -> None:
    other = (await connect()).auth

    answer = await other.sign_in_with_password({**ANN, "email": "Ann@Example.com"})

    assert answer.user.email == "ann@example.com"
    assert answer.session.access_token != (await ann.get_session()).access_token


@pytest.mark.parametrize(
    "credentials",
    [
        {**ANN, "password": "wrong horse"},
        {**ANN, "password": PASSWORD + "x" * 80},
        {**ANN, "email": "b@c.de"},
    ],
)
async def test_wrong_credentials(ann: Any, credentials: dict[str, str]) -> None:
    with pytest.raises(AuthApiError) as caught:
        await ann.sign_in_with_password(credentials)

    assert (caught.value.status, caught.value.code) == (400, "invalid_credentials")
    assert caught.value.message == "Invalid login credentials"


async def test_banned_users_stay_out(ann: Any, admin: Any) -> None:
    user = (await ann.get_user()).user
    await admin.update_user_by_id(user.id, {"ban_duration": "1h30m"})

    assert await refused(ann.sign_in_with_password(ANN)) == (400, "user_banned")
    assert await refused(ann.refresh_session()) == (400, "user_banned")

    await admin.update_user_by_id(user.id, {"ban_duration": "none"})
    assert (await ann.sign_in_with_password(ANN)).session


async def test_users_made_by_sql_sign_in(auth: Any, database: psycopg.Connection[Any]) -> None:
    """As seeds make them, with a hash of another tool."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4, prefix=b"2a")).decode()
    database.execute(
        "insert into auth.users (id, aud, role, email, encrypted_password, email_confirmed_at)"
        " values (gen_random_uuid(), 'authenticated', 'authenticated', 'ann@example.com', %s, now())",
        (hashed,),
    )

    assert (await auth.sign_in_with_password(ANN)).user.app_metadata == {}


async def test_refresh_gives_new_tokens(ann: Any) -> None:
    before = await ann.get_session()

    after = (await ann.refresh_session()).session

    assert after.refresh_token != before.refresh_token
    assert after.user.id == before.user.id
    claims = (await ann.get_claims())["claims"]
    assert claims["amr"][0]["method"] == "password"


async def test_a_repeated_refresh_gets_the_same_answer(ann: Any) -> None:
    """The client may have lost the first one."""
    used = (await ann.get_session()).refresh_token
    first = (await ann.refresh_session(used)).session

    second = (await ann.refresh_session(used)).session

    assert second.refresh_token == first.refresh_token


async def test_refreshes_at_the_same_time_agree(ann: Any) -> None:
    used = (await ann.get_session()).refresh_token

    answers = await asyncio.gather(*(ann.refresh_session(used) for _ in range(8)))

    assert len({answer.session.refresh_token for answer in answers}) == 1


async def test_reuse_within_the_interval_is_forgiven(ann: Any) -> None:
    used = (await ann.get_session()).refresh_token
    await ann.refresh_session(used)
    newest = (await ann.refresh_session()).session.refresh_token

    assert (await ann.refresh_session(used)).session.refresh_token == newest


async def test_reuse_beyond_the_interval_revokes_the_family(
    connect: Connect, start: Start, database: psycopg.Connection[Any]
) -> None:
    auth = (await connect(url=await start(refresh_token_reuse_interval=0))).auth
    used = (await auth.sign_up(ANN)).session.refresh_token
    await auth.refresh_session()
    newest = (await auth.refresh_session()).session.refresh_token
    kept = (await auth.sign_in_with_password(ANN)).session.refresh_token

    assert await refused(auth.refresh_session(used)) == (400, "refresh_token_already_used")
    assert await refused(auth.refresh_session(newest)) == (400, "refresh_token_already_used")

    assert database.execute("select token from auth.refresh_tokens where not revoked").fetchall() == [(kept,)]
    assert (await auth.refresh_session(kept)).session


async def test_without_rotation_reuse_revokes_nothing(connect: Connect, start: Start) -> None:
    url = await start(refresh_token_reuse_interval=0, enable_refresh_token_rotation=False)
    auth = (await connect(url=url)).auth
    used = (await auth.sign_up(ANN)).session.refresh_token
    await auth.refresh_session()
    newest = (await auth.refresh_session()).session.refresh_token

    assert await refused(auth.refresh_session(used)) == (400, "refresh_token_already_used")
    assert (await auth.refresh_session(newest)).session


async def test_unknown_refresh_tokens(auth: Any) -> None:
    assert await refused(auth.refresh_session("unknown")) == (400, "refresh_token_not_found")


async def test_sign_out_ends_all_sessions(ann: Any, connect: Connect) -> None:
    other = (await connect()).auth
    session = (await other.sign_in_with_password(ANN)).session

    await ann.sign_out()

    assert await ann.get_session() is None
    assert await refused(other.get_user()) == (403, "session_not_found")
    assert await refused(other.refresh_session(session.refresh_token)) == (400, "refresh_token_not_found")


async def test_sign_out_of_this_session_only(ann: Any, connect: Connect) -> None:
    other = (await connect()).auth
    await other.sign_in_with_password(ANN)
    token = (await ann.get_session()).access_token

    await ann.sign_out({"scope": "local"})

    assert (await other.get_user()).user
    assert await refused(ann.get_user(token)) == (403, "session_not_found")


async def test_sign_out_of_the_other_sessions(ann: Any, connect: Connect) -> None:
    other = (await connect()).auth
    await other.sign_in_with_password(ANN)

    await ann.sign_out({"scope": "others"})

    assert (await ann.get_user()).user
    assert await refused(other.get_user()) == (403, "session_not_found")


async def test_sessions_are_set_from_their_tokens(ann: Any, connect: Connect) -> None:
    session = await ann.get_session()
    other = (await connect()).auth

    answer = await other.set_session(session.access_token, session.refresh_token)

    assert answer.user.email == "ann@example.com"
