"""Errors of the Auth service: status and body as GoTrue gives them.

Clients that name the API version 2024-01-01 or a later one get the error's code as `code`; others get the
status there. The version is echoed so that they know.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from aiohttp import web
from psycopg_pool import PoolTimeout

VERSION_HEADER = "X-Supabase-Api-Version"
_CODES_SINCE = "2024-01-01"
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class AuthError(Exception):
    """An answer that is not the one asked for. `reasons` say why a password is weak."""

    status: int
    code: str
    message: str
    reasons: Sequence[str] = field(default=())

    def body(self, *, dated: bool) -> dict[str, Any]:
        body: dict[str, Any] = (
            {"code": self.code, "message": self.message}
            if dated
            else {"code": self.status, "error_code": self.code, "msg": self.message}
        )
        if self.reasons:
            body["weak_password"] = {"reasons": list(self.reasons)}
        return body


def error_response(error: AuthError, headers: Mapping[str, str]) -> web.Response:
    dated = headers.get(VERSION_HEADER, "") >= _CODES_SINCE
    response = web.json_response(error.body(dated=dated), status=error.status)
    if dated:
        response.headers[VERSION_HEADER] = _CODES_SINCE
    return response


@contextmanager
def database_errors(message: str) -> Iterator[None]:
    """What the database refuses becomes a bare `message`, as clients of the real service know it, but for an
    address or number that another account has.

    The log has the reason, but neither the detail nor the traceback: those may quote the row.
    """
    try:
        yield
    except PoolTimeout as error:
        raise AuthError(
            504, "request_timeout", "Processing this request timed out, please retry after a moment."
        ) from error
    except psycopg.Error as error:
        if isinstance(error, psycopg.errors.UniqueViolation) and (taken := _conflict(error)):
            raise taken from None
        _LOG.error("%s: %s (%s)", message, error.diag.message_primary or type(error).__name__, error.sqlstate)
        raise AuthError(500, "unexpected_failure", message) from None


def invalid_request(message: str) -> AuthError:
    return AuthError(400, "validation_failed", message)


def bad_json(reason: str) -> AuthError:
    return AuthError(400, "bad_json", f"Could not parse request body as JSON: {reason}")


def bad_token(reason: str) -> AuthError:
    return AuthError(403, "bad_jwt", reason)


def invalid_credentials() -> AuthError:
    return AuthError(400, "invalid_credentials", "Invalid login credentials")


def address_taken() -> AuthError:
    message = "A user with this email address has already been registered"
    return AuthError(422, "email_exists", message)


def phone_taken() -> AuthError:
    return AuthError(422, "phone_exists", "A user with this phone number has already been registered")


def _conflict(error: psycopg.errors.UniqueViolation) -> AuthError | None:
    """What an account is refused for that has the address or the number of another."""
    match error.diag.constraint_name:
        case "users_email_partial_key":
            return address_taken()
        case "users_phone_key":
            return phone_taken()
        case _:
            return None


def already_registered() -> AuthError:
    return AuthError(422, "user_already_exists", "User already registered")


def no_such_user() -> AuthError:
    return AuthError(404, "user_not_found", "User not found")


def signup_disabled() -> AuthError:
    return AuthError(422, "signup_disabled", "Signups not allowed for this instance")


def not_here(what: str) -> AuthError:
    """For what the real service can do and this one cannot."""
    return AuthError(501, "not_implemented", f"{what} is not part of localbase")
