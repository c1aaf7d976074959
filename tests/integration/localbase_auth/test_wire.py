"""What a client on the bare wire sees."""

import logging
from typing import Any

import httpx
import pytest

from integration.localbase_auth.conftest import PASSWORD
from localbase.pytest_plugin import LocalStack

ANN = {"email": "ann@example.com", "password": PASSWORD}


async def test_errors_of_old_clients(shared_http: httpx.AsyncClient) -> None:
    answer = await shared_http.post("/token", params={"grant_type": "password"}, json=ANN)

    assert answer.status_code == 400
    assert answer.json() == {
        "code": 400,
        "error_code": "invalid_credentials",
        "msg": "Invalid login credentials",
    }
    assert "x-supabase-api-version" not in answer.headers


async def test_errors_of_clients_that_name_the_version(shared_http: httpx.AsyncClient) -> None:
    answer = await shared_http.post(
        "/signup", headers={"X-Supabase-Api-Version": "2024-01-01"}, json={**ANN, "password": "x"}
    )

    assert answer.status_code == 422
    assert answer.json() == {
        "code": "weak_password",
        "message": "Password should be at least 6 characters.",
        "weak_password": {"reasons": ["length"]},
    }
    assert answer.headers["x-supabase-api-version"] == "2024-01-01"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/signup", "", 400, "bad_json"),
        ("POST", "/signup", "[]", 400, "bad_json"),
        ("POST", "/token", "{}", 400, "invalid_credentials"),
        ("POST", "/token?grant_type=password", "{}", 400, "validation_failed"),
        ("POST", "/token?grant_type=refresh_token", "{}", 400, "validation_failed"),
        (
            "POST",
            "/token?grant_type=refresh_token",
            '{"refresh_token": "\\u0000"}',
            500,
            "unexpected_failure",
        ),
        ("GET", "/user", "", 403, "bad_jwt"),
        ("POST", "/logout?scope=planet", "", 400, "validation_failed"),
        ("GET", "/admin/users", "", 403, "not_admin"),
        ("POST", "/otp", "{}", 501, "not_implemented"),
        ("POST", "/admin/generate_link", "{}", 501, "not_implemented"),
    ],
)
async def test_refusals(
    shared_http: httpx.AsyncClient, method: str, path: str, body: str, status: int, code: str
) -> None:
    answer = await shared_http.request(method, path, content=body)

    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


async def test_unknown_paths(shared_http: httpx.AsyncClient) -> None:
    assert (await shared_http.get("/nowhere")).status_code == 404


async def test_pages_of_users(http: httpx.AsyncClient, localbase: LocalStack) -> None:
    http.headers["apikey"] = localbase.service_role_key
    for number in range(3):
        await http.post("/admin/users", json={"email": f"user{number}@example.com"})

    answer = await http.get("/admin/users", params={"page": 1, "per_page": 2})

    assert answer.headers["x-total-count"] == "3"
    assert answer.headers["link"] == (
        '</admin/users?page=2&per_page=2>; rel="next", </admin/users?page=2&per_page=2>; rel="last"'
    )
    assert answer.json()["aud"] == "authenticated"
    assert [user["email"] for user in answer.json()["users"]] == ["user2@example.com", "user1@example.com"]
    found = await http.get("/admin/users", params={"filter": "user0"})
    assert [user["email"] for user in found.json()["users"]] == ["user0@example.com"]


async def test_a_password_that_became_weak_is_reported(http: httpx.AsyncClient, start: Any) -> None:
    await http.post("/signup", json=ANN)
    url = await start(minimum_password_length=20)

    answer = await http.post(f"{url}/auth/v1/token", params={"grant_type": "password"}, json=ANN)

    assert answer.json()["weak_password"]["reasons"] == ["length"]


async def test_there_are_no_keys_to_publish(localbase_shared: LocalStack) -> None:
    async with httpx.AsyncClient() as stranger:
        answer = await stranger.get(f"{localbase_shared.api_url}/auth/v1/.well-known/jwks.json")

    assert answer.json() == {"keys": []}


async def test_everything_else_needs_a_key(localbase_shared: LocalStack) -> None:
    async with httpx.AsyncClient() as stranger:
        answer = await stranger.get(f"{localbase_shared.api_url}/auth/v1/settings")

    assert (answer.status_code, answer.json()["message"]) == (401, "No API key found in request")


async def test_settings(shared_http: httpx.AsyncClient) -> None:
    settings = (await shared_http.get("/settings")).json()

    assert settings["external"]["email"] is True
    assert settings["external"]["anonymous_users"] is False
    assert (settings["disable_signup"], settings["mailer_autoconfirm"]) == (False, True)


async def test_health(shared_http: httpx.AsyncClient) -> None:
    assert (await shared_http.get("/health")).json()["name"] == "GoTrue"


async def test_large_bodies_are_refused(shared_http: httpx.AsyncClient) -> None:
    answer = await shared_http.post("/signup", content=b" " * (11 * 1024 * 1024))

    assert answer.status_code == 413


async def test_nothing_secret_is_logged(
    http: httpx.AsyncClient, localbase: LocalStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="localbase")
    session = (await http.post("/signup", json=ANN)).json()
    await http.post("/signup", json={**ANN, "email": "bob@example.com", "data": {"name": "\0"}})
    await http.get("/user", headers={"Authorization": f"Bearer {session['access_token']}x"})

    said = caplog.text
    assert "/auth/v1/signup" in said
    assert "Database error saving new user" in said
    for secret in (
        PASSWORD,
        "$2b$",
        session["access_token"],
        session["refresh_token"],
        localbase.anon_key,
        "bob@example.com",
    ):
        assert secret not in said


async def test_bytes_that_are_no_text_do_no_harm(http: httpx.AsyncClient, localbase: LocalStack) -> None:
    strange = {"User-Agent": b"\xff\xfe"}
    assert (await http.post("/signup", json=ANN, headers=strange)).status_code == 200

    http.headers["apikey"] = localbase.service_role_key
    answer = await http.get("/admin/users?filter=%ff&page=1")

    assert (answer.status_code, answer.json()["users"]) == (200, [])


async def test_scripts_in_a_browser_may_read_how_to_read_errors(shared_http: httpx.AsyncClient) -> None:
    answer = await shared_http.get("/user", headers={"Origin": "http://localhost:3000"})

    assert "X-Supabase-Api-Version" in answer.headers["access-control-expose-headers"]
