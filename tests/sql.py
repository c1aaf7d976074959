"""SQL as tests speak it: refusals by name, calls of functions, jobs made by the hundred."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

Session = psycopg.Connection[tuple[Any, ...]]


@dataclass
class Refusal:
    """What a function said when it refused."""

    error: str = ""
    status: str = ""
    message: str = ""
    hint: str | None = None
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong with each argument."""
        return {item["argument"]: item["problem"] for item in self.details.get("problems", ())}


@contextmanager
def refused(error: str) -> Iterator[Refusal]:
    """Expects a refusal for this cause, and tells what it said."""
    refusal = Refusal()
    with pytest.raises(psycopg.Error) as caught:
        yield refusal
    diagnosis = caught.value.diag
    assert (diagnosis.sqlstate or "").startswith("PT"), f"{diagnosis.sqlstate}: {diagnosis.message_primary}"
    refusal.details = json.loads(diagnosis.message_detail or "{}")
    refusal.error = refusal.details["error"]
    refusal.status = (diagnosis.sqlstate or "")[2:]
    refusal.message = diagnosis.message_primary or ""
    refusal.hint = diagnosis.message_hint
    assert refusal.error == error


def rows(session: psycopg.Connection[Any], function: str, **arguments: Any) -> list[dict[str, Any]]:
    """The rows of a public function as the Data API shows them, called with named arguments.

    Objects and lists of objects go as JSON.
    """
    query = sql.SQL("select to_jsonb(answer) from public.{}({}) as answer").format(
        sql.Identifier(function),
        sql.SQL(", ").join(
            sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
        ),
    )
    found = session.execute(query, {name: _sent(value) for name, value in arguments.items()}).fetchall()
    return [answer for (answer,) in found]


def row(session: psycopg.Connection[Any], function: str, **arguments: Any) -> dict[str, Any]:
    """The one row of a function."""
    (only,) = rows(session, function, **arguments)
    return only


def new_job(session: psycopg.Connection[Any], **arguments: Any) -> dict[str, Any]:
    """A small job."""
    return row(session, "create_job", **{"output_format": "mp4", "width": 64, "height": 64, **arguments})


def job_state(session: psycopg.Connection[Any], job_id: str) -> dict[str, Any]:
    return row(session, "get_job", job_id=job_id)


@contextmanager
def acting(session: psycopg.Connection[Any], role: str, claims: Mapping[str, object]) -> Iterator[None]:
    """A transaction in the role of an actor, as the Data API makes one; the token is good for ten minutes."""
    token = {"role": role, "exp": int(time.time()) + 600, **claims}
    with session.transaction():
        session.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(token),))
        session.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        yield


def _sent(value: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return Jsonb(value)
    return value
