from datetime import UTC, datetime
from typing import Any

import pytest

from localbase.realtime.catalog import Column, Table
from localbase.realtime.changes import MAX_ROW, NO_KEY, TOO_LARGE, UNAUTHORIZED, describe, refusal
from localbase.realtime.pgoutput import UNCHANGED, Change, Operation, Relation

ROLES = frozenset({"anon", "service_role"})
SERVICE = frozenset({"service_role"})
NAMES = ("id", "body", "secret")


def table(*, key: bool = True, row_security: bool = False, key_readers: frozenset[str] = ROLES) -> Table:
    columns = (
        Column("id", "int4", "integer", "int4", None, key, key_readers),
        Column("body", "text", "text", "text", None, False, ROLES),
        Column("secret", "text", "text", "text", None, False, SERVICE),
    )
    return Table(1, "public", "t", row_security, columns)


def change(operation: Operation, identity: frozenset[str] = frozenset({"id"}), **rows: Any) -> Change:
    relation = Relation(1, "public", "t", NAMES, identity)
    return Change(relation, operation, datetime(2026, 1, 2, 3, 4, 5, 678900, UTC), **rows)


ROW = {"id": "1", "body": "b", "secret": "s"}
INSERT = change(Operation.INSERT, new=ROW)


def test_insert() -> None:
    assert describe(INSERT, table(), "service_role", ()) == {
        "schema": "public",
        "table": "t",
        "type": "INSERT",
        "commit_timestamp": "2026-01-02T03:04:05.678Z",
        "columns": [
            {"name": "id", "type": "int4"},
            *({"name": n, "type": "text"} for n in ("body", "secret")),
        ],
        "errors": None,
        "record": {"id": 1, "body": "b", "secret": "s"},
    }


def test_only_columns_the_role_may_read() -> None:
    data = describe(INSERT, table(), "anon", ())

    assert data["record"] == {"id": 1, "body": "b"}
    assert [column["name"] for column in data["columns"]] == ["id", "body"]


def test_selected_columns_and_always_the_key() -> None:
    assert describe(INSERT, table(), "service_role", ("secret",))["record"] == {"id": 1, "secret": "s"}


def test_update__old_key_comes_from_the_new_row_unless_it_changed() -> None:
    same = describe(change(Operation.UPDATE, new=ROW), table(), "anon", ())
    moved = describe(change(Operation.UPDATE, new=ROW, old={"id": "9"}), table(), "anon", ())

    assert (same["old_record"], moved["old_record"]) == ({"id": 1}, {"id": 9})


def test_update__unchanged_long_values_are_left_out() -> None:
    data = describe(change(Operation.UPDATE, new=ROW | {"body": UNCHANGED}), table(), "anon", ())

    assert data["record"] == {"id": 1}


@pytest.mark.parametrize(("row_security", "old"), [(False, {"id": 1, "body": "b"}), (True, {"id": 1})])
def test_delete__of_a_guarded_row_tells_its_key_only(row_security: bool, old: dict[str, Any]) -> None:
    deleted = change(Operation.DELETE, frozenset(NAMES), old=ROW)

    data = describe(deleted, table(row_security=row_security), "anon", ())

    assert data["old_record"] == old
    assert "record" not in data


@pytest.mark.parametrize(
    ("described", "error"), [(table(key=False), NO_KEY), (table(key_readers=SERVICE), UNAUTHORIZED)]
)
def test_refusal__tells_that_something_happened_but_not_what(described: Table, error: str) -> None:
    update = change(Operation.UPDATE, new=ROW)

    data = describe(update, described, "anon", ())

    assert refusal(update, described, "anon") == error
    assert data["errors"] == [error]
    assert (data["record"], data["old_record"], data["columns"]) == ({}, {}, [])
    assert data["commit_timestamp"] is None


def test_refusal__never_of_a_delete() -> None:
    deleted = change(Operation.DELETE, old=ROW)

    assert refusal(deleted, table(key=False), "anon") is None
    assert describe(deleted, table(key=False, key_readers=SERVICE), "anon", ())["old_record"] == {"body": "b"}


def test_large_rows_lose_their_long_values() -> None:
    large = change(Operation.INSERT, new=ROW | {"body": "x" * (MAX_ROW + 1)})

    data = describe(large, table(), "service_role", ())

    assert data["errors"] == [TOO_LARGE]
    assert data["record"] == {"id": 1, "secret": "s"}
