"""Errors of the Data API: status, headers and body as PostgREST gives them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import psycopg

from localbase.tokens import InvalidTokenError

# The status of an SQLSTATE, the longest matching beginning first. Everything else is the caller's mistake.
_STATUS = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "21000": 500,
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "53400": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57P01": 503,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0001": 400,
    "P0": 500,
    "XX": 500,
}
_DEFAULT_STATUS = 400
_FULL, _CLASS = 5, 2


@dataclass(eq=False)
class ApiError(Exception):
    """An answer that is not the one asked for."""

    status: int
    code: str
    message: str
    # Text, but for the list of relationships among which to choose.
    details: str | Sequence[Mapping[str, str]] | None = None
    hint: str | None = None
    headers: Sequence[tuple[str, str]] = field(default=())

    def body(self) -> bytes:
        parts = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":")).encode()


def unreadable_query(message: str, details: str) -> ApiError:
    return ApiError(400, "PGRST100", message, details)


def null_character() -> ApiError:
    """What Postgres would say; the driver does not even send it."""
    return ApiError(400, "22021", 'invalid byte sequence for encoding "UTF8": 0x00')


def unreadable_body(message: str = "Empty or invalid json") -> ApiError:
    return ApiError(400, "PGRST102", message)


def wrong_rpc_method(method: str) -> ApiError:
    return ApiError(405, "PGRST101", f"Cannot use the {method} method on RPC")


def unknown_method(method: str) -> ApiError:
    return ApiError(405, "PGRST117", f"Unsupported HTTP method: {method}")


def hidden_schema(schema: str, exposed: Sequence[str]) -> ApiError:
    hint = f"Only the following schemas are exposed: {', '.join(exposed)}"
    return ApiError(406, "PGRST106", f"Invalid schema: {schema}", hint=hint)


def no_media_type(accepted: Sequence[str]) -> ApiError:
    return ApiError(406, "PGRST107", f"None of these media types are available: {', '.join(accepted)}")


def not_single(rows: int) -> ApiError:
    return ApiError(
        406,
        "PGRST116",
        "Cannot coerce the result to a single JSON object",
        f"The result contains {rows} rows",
    )


def not_embedded(name: str) -> ApiError:
    return ApiError(
        400,
        "PGRST108",
        f"'{name}' is not an embedded resource in this request",
        hint=f"Verify that '{name}' is included in the 'select' query parameter.",
    )


def not_to_one(origin: str, target: str) -> ApiError:
    return ApiError(
        400,
        "PGRST118",
        f"A related order on '{target}' is not possible",
        f"'{origin}' and '{target}' do not form a many-to-one or one-to-one relationship",
    )


def bad_embedded_filter(name: str) -> ApiError:
    return ApiError(
        400,
        "PGRST120",
        f"Bad operator on the '{name}' embedded resource",
        "Only is null or not is null filters are allowed on embedded resources",
    )


def aggregates_not_allowed() -> ApiError:
    return ApiError(400, "PGRST123", "Use of aggregate functions is not allowed")


def bad_range(details: str, headers: Sequence[tuple[str, str]] = ()) -> ApiError:
    return ApiError(416, "PGRST103", "Requested range not satisfiable", details, headers=headers)


def no_column(table: str, column: str) -> ApiError:
    return ApiError(400, "PGRST204", f"Could not find the '{column}' column of '{table}' in the schema cache")


def bad_preferences(unknown: Sequence[str]) -> ApiError:
    return ApiError(
        400,
        "PGRST122",
        "Invalid preferences given with handling=strict",
        f"Invalid preferences: {', '.join(unknown)}",
    )


def too_many_affected(rows: int) -> ApiError:
    return ApiError(
        400,
        "PGRST124",
        "Query result exceeds max-affected preference constraint",
        f"The query affects {rows} rows",
    )


def not_a_set() -> ApiError:
    return ApiError(
        400,
        "PGRST128",
        "Function must return SETOF or TABLE when max-affected preference is used with handling=strict",
    )


def put_without_key() -> ApiError:
    return ApiError(
        405, "PGRST105", "Filters must include all and only primary key columns with 'eq' operators"
    )


def put_with_range() -> ApiError:
    return ApiError(400, "PGRST114", "limit/offset querystring parameters are not allowed for PUT")


def put_of_another() -> ApiError:
    return ApiError(400, "PGRST115", "Payload values do not match URL in primary key column(s)")


def bad_path() -> ApiError:
    return ApiError(404, "PGRST125", "Invalid path specified in request URL")


def no_table(schema: str, table: str, hint: str | None) -> ApiError:
    message = f"Could not find the table '{schema}.{table}' in the schema cache"
    return ApiError(404, "PGRST205", message, hint=hint)


def bad_response_headers() -> ApiError:
    message = (
        "response.headers guc must be a JSON array composed of objects with a single key and a string value"
    )
    return ApiError(500, "PGRST111", message)


def bad_response_status() -> ApiError:
    return ApiError(500, "PGRST112", "response.status guc must be a valid status code")


def no_connection() -> ApiError:
    return ApiError(503, "PGRST001", "Database client error. Retrying the connection.")


def no_free_connection() -> ApiError:
    return ApiError(504, "PGRST003", "Timed out acquiring connection from connection pool.")


def from_token(error: InvalidTokenError) -> ApiError:
    challenge = f'Bearer error="invalid_token", error_description="{error.message}"'
    return ApiError(401, error.code, error.message, error.details, headers=[("WWW-Authenticate", challenge)])


def from_database(error: psycopg.Error, *, anonymous: bool) -> ApiError:
    """What a client is told about an error the database raised."""
    code, diag = error.sqlstate, error.diag
    if code is None:
        return no_connection()
    message = diag.message_primary or ""
    if code == "PGRST":
        return _raised_response(message, diag.message_detail)
    status = _status_of(code, message, anonymous=anonymous)
    headers = [("WWW-Authenticate", "Bearer")] if status == 401 else []  # noqa: PLR2004  Unauthorized
    return ApiError(status, code, message, diag.message_detail, diag.message_hint, headers)


def _status_of(code: str, message: str, *, anonymous: bool) -> int:
    if code.startswith("PT"):
        return int(code[2:]) if code[2:].isdecimal() else 500
    if code == "42501":
        return 401 if anonymous else 403
    # A token may name a role that does not exist.
    if code == "22023" and message.startswith("role") and message.endswith("does not exist"):
        return 401
    if code == "21000" and message.endswith("requires a WHERE clause"):
        return 400
    return _STATUS.get(code[:_FULL]) or _STATUS.get(code[:_CLASS]) or _DEFAULT_STATUS


def _raised_response(message: str, detail: str | None) -> ApiError:
    """`raise sqlstate 'PGRST'` gives the whole answer, as JSON in message and detail."""
    said = _json_object(message)
    if said is None or not all(isinstance(said.get(key), str) for key in ("code", "message")):
        _refuse_raised(f"Invalid JSON value for MESSAGE: '{message}'", _MESSAGE_HINT)
    if detail is None:
        _refuse_raised("DETAIL is missing in the RAISE statement", _DETAIL_HINT)
    how = _json_object(detail)
    if how is None or not isinstance(how.get("status"), int) or not isinstance(how.get("headers"), dict):
        _refuse_raised(f"Invalid JSON value for DETAIL: '{detail}'", _DETAIL_HINT)
    headers = [(name, str(value)) for name, value in how["headers"].items()]
    return ApiError(
        how["status"], said["code"], said["message"], said.get("details"), said.get("hint"), headers
    )


_MESSAGE_HINT = (
    "MESSAGE must be a JSON object with obligatory keys: 'code', 'message'"
    " and optional keys: 'details', 'hint'."
)
_DETAIL_HINT = (
    "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
)


def _refuse_raised(details: str, hint: str) -> NoReturn:
    message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
    raise ApiError(500, "PGRST121", message, details, hint)


def _json_object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
