"""Requests, their fields, and errors in both shapes."""

import json

import pytest
from multidict import CIMultiDict

from localbase.auth.errors import AuthError, error_response, invalid_credentials
from localbase.auth.request import AuthRequest
from localbase.auth.tokens import read_bearer
from localbase.tokens import sign

_SECRET = "a-secret-of-at-least-thirty-two-characters"


def request(body: bytes = b"", **headers: str) -> AuthRequest:
    return AuthRequest("POST", "/signup", headers=CIMultiDict(headers), body=body)


def test_null_is_the_same_as_absent() -> None:
    fields = request(b'{"email": null, "data": null, "email_confirm": null}').fields()

    assert fields.text("email") == fields.text("password") == ""
    assert fields.optional_text("password") is None
    assert fields.mapping("data") is None
    assert fields.flag("email_confirm") is False


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"text"', b'{"email": 1}', b'{"email": "\\ud800"}', b"\xff", b"[" * 100_000]
)
def test_what_cannot_be_read(body: bytes) -> None:
    with pytest.raises(AuthError) as caught:
        request(body).fields().text("email")

    assert (caught.value.status, caught.value.code) == (400, "bad_json")


def test_nothing_secret_is_in_the_repr() -> None:
    assert "secret" not in repr(request(b'{"password": "secret"}', Authorization="Bearer secret"))


@pytest.mark.parametrize(
    ("remote", "address"),
    [("127.0.0.1", "127.0.0.1"), ("fe80::1%eth0", "fe80::1"), ("?", None), (None, None)],
)
def test_addresses_that_postgres_can_keep(remote: str | None, address: str | None) -> None:
    assert AuthRequest("POST", "/token", remote=remote).address() == address


def body_of(error: AuthError, **headers: str) -> object:
    response = error_response(error, CIMultiDict({key.replace("_", "-"): headers[key] for key in headers}))
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


def test_errors_have_the_status_as_code_for_old_clients() -> None:
    assert body_of(invalid_credentials()) == {
        "code": 400,
        "error_code": "invalid_credentials",
        "msg": "Invalid login credentials",
    }


def test_errors_have_their_own_code_for_clients_that_name_the_version() -> None:
    assert body_of(invalid_credentials(), X_Supabase_Api_Version="2024-01-01") == {
        "code": "invalid_credentials",
        "message": "Invalid login credentials",
    }


def test_a_token_is_read_from_its_header() -> None:
    token = sign({"role": "service_role"}, _SECRET)

    assert read_bearer(request(Authorization=f"Bearer {token}"), _SECRET) == {"role": "service_role"}


@pytest.mark.parametrize("sent", ["", "Basic abc", "Bearer", "Bearer a b"])
def test_no_token(sent: str) -> None:
    with pytest.raises(AuthError) as caught:
        read_bearer(request(Authorization=sent), _SECRET)

    assert (caught.value.status, caught.value.code) == (401, "no_authorization")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("abc", "malformed"),
        (sign({"exp": 1}, _SECRET), "token is expired"),
        (sign({"nbf": 2**40}, _SECRET), "not valid yet"),
        (sign({}, _SECRET[::-1]), "signature is invalid"),
        ("eyJhbGciOiJub25lIn0.e30.", "malformed"),
    ],
)
def test_bad_tokens(token: str, reason: str) -> None:
    with pytest.raises(AuthError) as caught:
        read_bearer(request(Authorization=f"Bearer {token}"), _SECRET)

    assert (caught.value.status, caught.value.code) == (403, "bad_jwt")
    assert reason in caught.value.message
    assert token not in caught.value.message
