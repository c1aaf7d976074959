"""What a session's access token says, and where it is good."""

import asyncio
from inspect import isawaitable
from typing import Any

import httpx
import jwt
import psycopg
import pytest
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from integration.localbase_auth.conftest import PASSWORD, Connect
from localbase.pytest_plugin import LocalStack

ANN = {"email": "ann@example.com", "password": PASSWORD}
DEADLINE_S = 15


@pytest.fixture
async def ann(admin: Any, connect: Connect) -> Any:
    """The client of a signed-in user to whom an admin gave a role."""
    await admin.create_user({**ANN, "email_confirm": True, "app_metadata": {"role": "editor"}})
    client = await connect()
    await client.auth.sign_in_with_password(ANN)
    return client


async def test_claims(ann: Any, localbase: LocalStack) -> None:
    session = await ann.auth.get_session()

    claims = (await ann.auth.get_claims())["claims"]

    assert claims == jwt.decode(
        session.access_token, localbase.jwt_secret, algorithms=["HS256"], audience="authenticated"
    )
    session_id, issued = claims["session_id"], claims["iat"]
    assert claims == {
        "iss": f"{localbase.api_url}/auth/v1",
        "sub": session.user.id,
        "aud": "authenticated",
        "iat": issued,
        "exp": issued + 3600,
        "email": "ann@example.com",
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"], "role": "editor"},
        "user_metadata": {"email_verified": True},
        "role": "authenticated",
        "aal": "aal1",
        "amr": claims["amr"],
        "session_id": session_id,
        "is_anonymous": False,
    }
    (entry,) = claims["amr"]
    assert entry["method"] == "password"
    assert issued - 5 <= entry["timestamp"] <= issued
    assert session.expires_at == claims["exp"]


async def test_lifetime_and_issuer_are_settings(connect: Connect, start: Any) -> None:
    auth = (await connect(url=await start(jwt_expiry=120, jwt_issuer="https://issuer.example"))).auth

    session = (await auth.sign_up(ANN)).session

    claims = (await auth.get_claims())["claims"]
    assert (session.expires_in, claims["exp"] - claims["iat"]) == (120, 120)
    assert claims["iss"] == "https://issuer.example"


async def test_functions_know_the_caller(
    ann: Any, localbase: LocalStack, database: psycopg.Connection[Any]
) -> None:
    database.execute("""
        create function public.whoami() returns jsonb language sql stable set search_path = ''
        as $$ select jsonb_build_object(
            'uid', auth.uid(), 'email', auth.email(), 'role', auth.role(), 'user', current_user,
            'app_role', auth.jwt() -> 'app_metadata' ->> 'role'
        ) $$;
        grant execute on function public.whoami() to authenticated;
    """)
    session = await ann.auth.get_session()

    answer = await called(localbase, session.access_token, "whoami")

    assert answer == {
        "uid": session.user.id,
        "email": "ann@example.com",
        "role": "authenticated",
        "user": "authenticated",
        "app_role": "editor",
    }


async def called(stack: LocalStack, token: str, function: str) -> Any:
    """What the function says, once the Data API knows it."""
    headers = {"apikey": stack.anon_key, "Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=headers) as http, asyncio.timeout(DEADLINE_S):
        while True:
            answer = await http.post(f"{stack.api_url}/rest/v1/rpc/{function}")
            if answer.status_code != httpx.codes.NOT_FOUND:
                return answer.json()


async def test_a_signed_in_client_calls_as_the_user(
    ann: Any, localbase: LocalStack, database: psycopg.Connection[Any]
) -> None:
    """The client itself passes the session's token on to the Data API."""
    database.execute("""
        create function public.me() returns uuid language sql stable set search_path = ''
        as $$ select auth.uid() $$;
        grant execute on function public.me() to authenticated;
    """)
    session = await ann.auth.get_session()
    await called(localbase, session.access_token, "me")

    answer = (await ann.rpc("me")).execute()

    assert (await answer if isawaitable(answer) else answer).data == session.user.id


async def test_realtime_takes_the_token(localbase: LocalStack, database: psycopg.Connection[Any]) -> None:
    """A private channel, whose policy asks who is there."""
    database.execute("""
        create policy "Users hear their own channel" on realtime.messages for select to authenticated
        using (realtime.topic() = 'user:' || (select auth.uid()))
    """)
    async with httpx.AsyncClient() as http:
        options = AsyncClientOptions(auto_refresh_token=False, httpx_client=http)
        client = await acreate_client(localbase.api_url, localbase.anon_key, options)
        user = (await client.auth.sign_up({"email": "ann@example.com", "password": PASSWORD})).user
        assert user

        assert await joined(client, f"user:{user.id}") == "SUBSCRIBED"
        assert await joined(client, "user:somebody-else") == "CHANNEL_ERROR"
        await client.realtime.close()


async def joined(client: AsyncClient, topic: str) -> str:
    """How joining a private channel ends."""
    outcome: asyncio.Queue[str] = asyncio.Queue()
    channel = client.channel(topic, {"config": {"private": True}})  # type: ignore[typeddict-item]
    await channel.subscribe(lambda state, _error: outcome.put_nowait(state.value))
    async with asyncio.timeout(DEADLINE_S):
        return await outcome.get()
