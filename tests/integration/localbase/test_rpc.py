"""Functions over real HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from localbase.pytest_plugin import LocalStack
from localbase.tokens import sign

SCHEMA = """
create table public.items (id int primary key, name text not null unique);
grant all on public.items to service_role;
create function public.add(a int, b int default 10) returns int language sql stable
    as $$ select a + b $$;
create function public.many() returns setof public.items language sql stable
    as $$ select * from public.items order by id $$;
create function public.put(id int, name text) returns setof public.items language sql
    as $$ insert into public.items values (put.id, put.name) returning * $$;
create function public.put_two() returns setof public.items language sql
    as $$ insert into public.items values (1, 'a'), (2, 'b') returning * $$;
create function public.nothing() returns void language sql as $$ select null::void $$;
create function public.fail(code text, status text default null) returns void language plpgsql
    as $$ begin
        raise exception using errcode = fail.code, message = 'no', detail = '{"error": "x"}', hint = 'do y';
    end $$;
create function public.who() returns json language sql stable as $$
    select json_build_object(
        'role', current_user,
        'claims', current_setting('request.jwt.claims')::json,
        'forwarded', current_setting('request.headers')::json ->> 'x-forwarded-for',
        'timeout', current_setting('statement_timeout')
    ) $$;
create function public.slow() returns void language sql
    set statement_timeout = '100ms' as $$ select pg_sleep(30) $$;
create function public.teapot() returns text language plpgsql as $$
begin
    insert into public.items values (9, 'nine');
    return set_config('response.status', 'teapot', true);
end $$;
create function public.closed() returns int language sql as $$ select 1 $$;
revoke execute on function public.closed() from public;
"""


@pytest.fixture
async def api(localbase: LocalStack) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the service key, on a database with SCHEMA."""
    with psycopg.connect(localbase.db_url) as connection:
        connection.execute(SCHEMA.encode())
    async with httpx.AsyncClient(
        base_url=f"{localbase.api_url}/rest/v1/rpc/", headers={"apikey": localbase.secret_key}
    ) as client:
        await _until_known(client, "closed")
        yield client


async def _until_known(client: httpx.AsyncClient, function: str) -> None:
    async with asyncio.timeout(10):
        while (await client.post(function)).status_code == 404:  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(0.01)


async def test_post(api: httpx.AsyncClient) -> None:
    response = await api.post("add", json={"a": 1})

    assert (response.status_code, response.json()) == (200, 11)
    assert response.headers["content-type"] == "application/json; charset=utf-8"


async def test_get(api: httpx.AsyncClient) -> None:
    response = await api.get("add", params={"a": 1, "b": 2})

    assert response.json() == 3


async def test_void_has_no_content(api: httpx.AsyncClient) -> None:
    response = await api.post("nothing")

    assert (response.status_code, response.content) == (204, b"")


async def test_rows(api: httpx.AsyncClient) -> None:
    put = await api.post("put", json={"id": 1, "name": "one"})
    many = await api.post("many")

    assert put.json() == many.json() == [{"id": 1, "name": "one"}]


async def test_single_object(api: httpx.AsyncClient) -> None:
    single = {"Accept": "application/vnd.pgrst.object+json"}

    response = await api.post("put", json={"id": 1, "name": "[one]"}, headers=single)

    assert response.json() == {"id": 1, "name": "[one]"}


async def test_refused_answer_undoes_the_call(api: httpx.AsyncClient) -> None:
    single = {"Accept": "application/vnd.pgrst.object+json"}

    two = await api.post("put_two", headers=single)
    teapot = await api.post("teapot")

    assert (two.status_code, two.json()["code"]) == (406, "PGRST116")
    assert (teapot.status_code, teapot.json()["code"]) == (500, "PGRST112")
    assert (await api.post("many")).json() == []


@pytest.mark.parametrize(
    ("code", "status"), [("PT409", 409), ("PT422", 422), ("P0001", 400), ("23505", 409), ("57014", 500)]
)
async def test_raised_errors(api: httpx.AsyncClient, code: str, status: int) -> None:
    response = await api.post("fail", json={"code": code})

    assert response.status_code == status
    assert response.json() == {"code": code, "message": "no", "details": '{"error": "x"}', "hint": "do y"}
    assert response.headers["proxy-status"] == f"PostgREST; error={code}"


async def test_constraint(api: httpx.AsyncClient) -> None:
    await api.post("put", json={"id": 1, "name": "one"})

    response = await api.post("put", json={"id": 2, "name": "one"})

    assert (response.status_code, response.json()["details"]) == (409, "Key (name)=(one) already exists.")


async def test_unknown_function_has_a_hint(api: httpx.AsyncClient) -> None:
    response = await api.post("add", json={"a": 1, "c": 1})

    assert response.status_code == 404
    assert response.json() == {
        "code": "PGRST202",
        "message": "Could not find the function public.add(a, c) in the schema cache",
        "details": "Searched for the function public.add with parameters a, c or with a single unnamed"
        " json/jsonb parameter, but no matches were found in the schema cache.",
        "hint": "Perhaps you meant to call the function public.add(a, b)",
    }


async def test_denied(api: httpx.AsyncClient, localbase: LocalStack) -> None:
    anonymous = await api.post("closed", headers={"apikey": localbase.publishable_key})
    user = await api.post("closed", headers=_bearer(localbase, {"role": "authenticated"}))

    assert (anonymous.status_code, anonymous.headers["www-authenticate"]) == (401, "Bearer")
    assert (user.status_code, user.json()["code"]) == (403, "42501")


async def test_request_reaches_the_database(api: httpx.AsyncClient, localbase: LocalStack) -> None:
    headers = {**_bearer(localbase, {"role": "authenticated", "sub": "x"}), "X-Forwarded-For": "1.2.3.4"}

    response = await api.post("who", headers=headers)

    assert response.json() == {
        "role": "authenticated",
        "claims": {"role": "authenticated", "sub": "x"},
        "forwarded": "1.2.3.4, 127.0.0.1",
        "timeout": "8s",
    }


async def test_function_timeout_counts(api: httpx.AsyncClient) -> None:
    response = await api.post("slow")

    assert (response.status_code, response.json()["code"]) == (500, "57014")


@pytest.mark.parametrize("key", ["anon_key", "publishable_key"])
async def test_both_kinds_of_key(api: httpx.AsyncClient, localbase: LocalStack, key: str) -> None:
    apikey = getattr(localbase, key)

    # Clients send their key in both places.
    response = await api.post("who", headers={"apikey": apikey, "Authorization": f"Bearer {apikey}"})

    assert response.json()["role"] == "anon"


async def test_no_key(localbase_shared: LocalStack) -> None:
    async with httpx.AsyncClient(base_url=localbase_shared.api_url) as client:
        missing = await client.post("/rest/v1/rpc/add")
        wrong = await client.post("/rest/v1/rpc/add", headers={"apikey": "sb_secret_wrong"})

    assert (missing.status_code, missing.json()["message"]) == (401, "No API key found in request")
    assert (wrong.status_code, wrong.json()["message"]) == (401, "Invalid API key")


async def test_new_function_is_found_at_once(api: httpx.AsyncClient, localbase: LocalStack) -> None:
    with psycopg.connect(localbase.db_url) as connection:
        connection.execute("create function public.late() returns int language sql as 'select 5'")

    await _until_known(api, "late")

    assert (await api.post("late")).json() == 5


async def test_too_large_body(api: httpx.AsyncClient) -> None:
    response = await api.post("add", content=b" " * (11 * 1024 * 1024))

    assert (response.status_code, response.json()) == (413, {"message": "Request size limit exceeded"})


async def test_health_and_unknown_path(localbase_shared: LocalStack) -> None:
    async with httpx.AsyncClient(base_url=localbase_shared.api_url) as client:
        health, unknown = await client.get("/health"), await client.get("/nowhere")

    assert (health.status_code, unknown.status_code) == (200, 404)
    assert unknown.json() == {"message": "no Route matched with those values"}


def _bearer(stack: LocalStack, claims: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign(claims, stack.jwt_secret)}"}
