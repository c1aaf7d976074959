"""How Postgres carries out the statements inside a function: their plans, as auto_explain reports them."""

import json
import re
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg import sql
from psycopg.errors import Diagnostic

from database.servers import Session

_PLAN = re.compile(r"^duration: [\d.]+ ms  plan:\n(\{.*)", re.DOTALL)
# auto_explain tells of every statement of the session, nested ones included. ANALYZE counts the rows that
# were read; without its clocks it costs little.
_SETTINGS = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_timing": "off",
    "client_min_messages": "notice",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """A statement and the tree of how it was carried out."""

    query: str
    tree: dict[str, Any]

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Every node of the tree, in the order in which EXPLAIN shows them."""
        waiting = [self.tree]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.get("Plans", [])))


@contextmanager
def as_actor(session: Session, role: str, claims: Mapping[str, Any]) -> Iterator[None]:
    """A transaction in a role with a token's claims; nothing of it stays."""
    with session.transaction(force_rollback=True):
        token = {"role": role, "exp": int(time.time()) + 600, **claims}
        session.execute("select set_config('request.jwt.claims', %s, true)", (json.dumps(token),))
        session.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        yield


def explain(session: Session, *, generic: bool = False) -> None:
    """Make a superuser's session report plans; `generic` ones are those that know no argument's value.

    plpgsql makes a plan for each of the first five calls in a session and may keep a generic one then, so
    a query has to be good both ways.
    """
    mode = "force_generic_plan" if generic else "force_custom_plan"
    session.execute("load 'auto_explain'")
    for name, value in {**_SETTINGS, "plan_cache_mode": mode}.items():
        session.execute("select set_config(%s, %s, false)", (name, value))


def plans(
    session: Session, statement: LiteralString, arguments: Mapping[str, Any] | None = None
) -> list[Plan]:
    """Carry a statement out, in a session that `explain` has prepared.

    Returns the plans of it and of every statement inside the functions it calls, the innermost first.
    """
    found: list[Plan] = []

    def take(notice: Diagnostic) -> None:
        report = _PLAN.match(notice.message_primary or "")
        if report:
            described = json.loads(report[1])
            found.append(Plan(described["Query Text"], described["Plan"]))

    session.add_notice_handler(take)
    try:
        session.execute(statement, arguments)
        # A statement with arguments ends, and is reported, when the next one begins.
        session.execute("show server_version")
    finally:
        session.remove_notice_handler(take)
    return found


def seq_scans(found: list[Plan]) -> set[str]:
    """The tables that were read from one end to the other."""
    return {
        node["Relation Name"] for plan in found for node in plan.nodes() if node["Node Type"] == "Seq Scan"
    }


def rows_read(found: list[Plan]) -> dict[str, int]:
    """How many rows of each table were looked at, those that a filter threw away included."""
    rows: dict[str, int] = defaultdict(int)
    for plan in found:
        for node in plan.nodes():
            if "Relation Name" in node and node["Node Type"] != "ModifyTable":
                seen = node["Actual Rows"] + sum(
                    number for key, number in node.items() if key.startswith("Rows Removed by")
                )
                rows[node["Relation Name"]] += round(seen * node["Actual Loops"])
    return dict(rows)


def sorted_rows(found: list[Plan]) -> int:
    """How many rows went into the largest sort."""
    return max(
        (
            round(child["Actual Rows"] * child["Actual Loops"])
            for plan in found
            for node in plan.nodes()
            if node["Node Type"] in {"Sort", "Incremental Sort"}
            for child in node["Plans"]
        ),
        default=0,
    )
