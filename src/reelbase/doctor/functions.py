"""Whether the database has the function of an operation. No I/O: what the servers said in, a verdict out."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from reelbase.doctor.api import Reply
from reelbase.doctor.catalogue import Operation
from reelbase.doctor.diagnosis import Finding, note, problem

AREA = "operations"
MIGRATE = "Apply the migrations of this version (supabase db push, or psql -f on each)."
_NOTIFY = "notify pgrst, 'reload schema';"

_BROKEN = "42"
"""SQLSTATE class: something that a function names is not there, or not allowed."""


@dataclass(frozen=True, slots=True)
class Routine:
    """A function as Postgres has it. `columns` are those of its result, None for one that is no row."""

    name: str
    arguments: frozenset[str]
    returns_set: bool
    columns: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of one operation: the Data API's answer to `role`, and what Postgres has by that name.

    `routines` is None when there is no direct connection to look.
    """

    operation: Operation
    role: str
    reply: Reply
    routines: tuple[Routine, ...] | None


def judge(evidence: Evidence) -> Iterator[Finding]:
    """What is wrong with an operation; nothing if it can be called."""
    operation, reply = evidence.operation, evidence.reply
    if reply.code in {"PGRST202", "PGRST203"}:
        yield _not_found(evidence)
    elif reply.code == "42501" and f"function {operation.function}" in reply.word("message"):
        yield _not_granted(operation, evidence.role)
    elif (reply.code or "").startswith(_BROKEN):
        yield _problem(operation, f"{operation.function} fails: {reply.word('message')}.", MIGRATE)
    elif reply.status >= 500:  # noqa: PLR2004  # the server's own failures
        text = reply.word("message") or f"HTTP {reply.status}"
        yield note(AREA, f"{operation.name} could not be looked at: {text}", "Try again later.")
    for routine in evidence.routines or ():
        if routine.arguments == frozenset(operation.arguments):
            yield from _result_differs(operation, routine)


def _not_found(evidence: Evidence) -> Finding:
    operation, wanted = evidence.operation, frozenset(evidence.operation.arguments)
    if evidence.routines is None:
        there = _named_by_hint(operation.function, evidence.reply.word("hint"))
        if there is None:
            words = f"{operation.function} is missing, or has quite other arguments."
            return _problem(operation, words, f"{MIGRATE} If they are applied, as the owner: {_NOTIFY}")
        return _renamed(operation, wanted, there)
    if not evidence.routines:
        return _problem(operation, f"{operation.function} is missing.", MIGRATE)
    same = [routine for routine in evidence.routines if routine.arguments == wanted]
    if same:
        words = f"{operation.function} is there, but the Data API does not know it yet."
        return _problem(operation, words, f"As the owner: {_NOTIFY}")
    return _renamed(operation, wanted, evidence.routines[0].arguments)


def _named_by_hint(function: str, hint: str) -> frozenset[str] | None:
    """The arguments that the Data API has for a function of that name, if it tells."""
    found = re.search(rf"\.{function}\((?P<names>[^)]*)\)", hint)
    return frozenset(re.findall(r"\w+", found["names"])) if found else None


def _renamed(operation: Operation, wanted: frozenset[str], there: frozenset[str]) -> Finding:
    differences = [
        f"{words} {', '.join(sorted(names))}"
        for words, names in (("lacks", wanted - there), ("has instead", there - wanted))
        if names
    ]
    return _problem(
        operation,
        f"{operation.function} has other arguments: it {' and '.join(differences)}.",
        f"The database and this client differ in version. {MIGRATE}",
    )


def _not_granted(operation: Operation, role: str) -> Finding:
    return _problem(
        operation,
        f"{operation.function} is there, but the role {role} may not call it.",
        f"grant execute on function public.{operation.function} to {role};",
    )


def _result_differs(operation: Operation, routine: Routine) -> Iterator[Finding]:
    many = get_origin(operation.result) is list
    model = _row(operation.result)
    if routine.columns is None or not _is_model(model):
        return
    needed = {name for name, field in model.model_fields.items() if field.is_required()}
    lacking = sorted(needed - routine.columns)
    if lacking:
        yield _problem(operation, f"The result of {operation.function} lacks {', '.join(lacking)}.", MIGRATE)
    if routine.returns_set != many:
        words = ("many rows", "one row") if routine.returns_set else ("one row", "many rows")
        yield _problem(operation, f"{operation.function} gives {words[0]} instead of {words[1]}.", MIGRATE)


def _row(result: Any) -> Any:
    """What one row becomes. The models of a union are of the same columns: the first one speaks for all."""
    while get_args(result):
        result = get_args(result)[0]
    return result


def _is_model(result: Any) -> bool:
    return isinstance(result, type) and issubclass(result, BaseModel)


def _problem(operation: Operation, message: str, remedy: str) -> Finding:
    return problem(AREA, f"{operation.name}: {message}", remedy, subject=operation.function)
