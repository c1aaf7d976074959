"""What the doctor makes of keys, of operations and of what servers say about them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any, Literal
from uuid import UUID

import jwt
import pytest

from reelbase import Job, JobStatus
from reelbase.doctor.api import Reply
from reelbase.doctor.catalogue import Operation, example, operations
from reelbase.doctor.diagnosis import Diagnosis, Level, note, ok, problem, skipped
from reelbase.doctor.functions import Evidence, Routine, judge
from reelbase.doctor.keys import KeyKind, look_at_key

GET_JOB = Operation("jobs.get", "get_job", {"job_id": str(UUID(int=0))}, Job)
COLUMNS = frozenset(Job.model_fields)
SECRET = "x" * 32


def routine(*arguments: str, many: bool = False, columns: frozenset[str] | None = COLUMNS) -> Routine:
    return Routine("get_job", frozenset(arguments), many, columns)


def reply(code: str | None, message: str = "", hint: str = "", status: int = 404) -> Reply:
    return Reply(200 if code is None else status, {"code": code, "message": message, "hint": hint}, 0)


def told(answer: Reply, *routines: Routine, connected: bool = True) -> list[str]:
    evidence = Evidence(GET_JOB, "service_role", answer, routines if connected else None)
    return [finding.message for finding in judge(evidence)]


@pytest.mark.parametrize("code", [None, "PT404", "PT422", "25006", "22P02", "PT403"])
def test_answer_of_the_function_itself__is_well(code: str | None) -> None:
    assert told(reply(code), routine("job_id")) == []


@pytest.mark.parametrize(
    ("answer", "routines", "message"),
    [
        (reply("PGRST202"), None, "get_job is missing, or has quite other arguments."),
        (
            reply("PGRST202", hint="Perhaps you meant to call the function public.get_jobs"),
            None,
            "get_job is missing, or has quite other arguments.",
        ),
        (
            reply("PGRST202", hint="Perhaps you meant to call the function public.get_job(id, force)"),
            None,
            "get_job has other arguments: it lacks job_id and has instead force, id.",
        ),
        (reply("PGRST202"), (), "get_job is missing."),
        (reply("PGRST202"), (routine(),), "get_job has other arguments: it lacks job_id."),
        (reply("PGRST202"), (routine("job_id"),), "get_job is there, but the Data API does not know it yet."),
        (
            reply("42501", "permission denied for function get_job"),
            None,
            "get_job is there, but the role service_role may not call it.",
        ),
        (
            reply("42501", "permission denied for table jobs"),
            None,
            "get_job fails: permission denied for table jobs.",
        ),
        (reply("42883", "function x() does not exist"), None, "get_job fails: function x() does not exist."),
        (reply("XX000", "Oops.", status=500), None, "could not be looked at: Oops."),
        (reply(None), (routine("job_id", many=True),), "get_job gives many rows instead of one row."),
        (
            reply(None),
            (routine("job_id", columns=COLUMNS - {"fps", "width"}),),
            "The result of get_job lacks fps, width.",
        ),
    ],
)
def test_what_is_wrong__is_told(answer: Reply, routines: tuple[Routine, ...] | None, message: str) -> None:
    (found,) = told(answer, *(routines or ()), connected=routines is not None)

    assert found.startswith("jobs.get")
    assert found.endswith(message)


def test_catalogue__has_every_operation_with_its_arguments() -> None:
    found = {item.name: item for item in operations()}

    assert found["jobs.get"].arguments == {"job_id": str(UUID(int=0))}
    assert {"job_id", "type", "width", "text_content"} <= set(found["elements.add"].arguments)
    assert found["elements.add"].arguments["type"] == "video"
    assert found["jobs.update_status"].arguments["status"] == "pending"
    assert len({item.function for item in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (UUID | None, str(UUID(int=0))),
        (bool, "false"),
        (int | None, "1000000000"),
        (int | float | Decimal, "1000000000"),
        (str | IPv4Address | IPv6Address, "192.0.2.1"),
        (datetime | None, "2000-01-01T00:00:00Z"),
        (timedelta, "1000000000 seconds"),
        (JobStatus, "pending"),
        (Literal["above", "below"], "above"),
        (Annotated[str, "a note"], "reelbase-doctor"),
        (Mapping[str, Any] | None, "{}"),
        (tuple[JobStatus, ...], "{}"),
    ],
)
def test_examples__can_be_read_by_postgres(hint: Any, text: str) -> None:
    assert example(hint) == text


def token(**claims: Any) -> str:
    return jwt.encode(claims, SECRET, "HS256")


@pytest.mark.parametrize(
    ("kind", "key", "words"),
    [
        (KeyKind.BACKEND, "sb_publishable_abc", "SUPABASE_SERVICE_ROLE_KEY holds a key of the role anon"),
        (KeyKind.PUBLIC, "sb_secret_abc", "SUPABASE_ANON_KEY holds a key of the role service_role"),
        (KeyKind.BACKEND, token(role="anon"), "SUPABASE_SERVICE_ROLE_KEY holds a key of the role anon"),
        (
            KeyKind.PUBLIC,
            token(role="service_role"),
            "SUPABASE_ANON_KEY holds a key of the role service_role",
        ),
        (KeyKind.PUBLIC, token(role="anon", exp=1), "SUPABASE_ANON_KEY has expired"),
        (KeyKind.PUBLIC, "guess", "SUPABASE_ANON_KEY is no API key"),
        (KeyKind.PUBLIC, "a.b.c", "SUPABASE_ANON_KEY is no API key"),
        (KeyKind.PUBLIC, "a.W10.c", "SUPABASE_ANON_KEY is no API key"),
    ],
)
def test_wrong_key__is_known_by_its_looks_and_not_shown(kind: KeyKind, key: str, words: str) -> None:
    (finding,) = look_at_key(kind, key)

    assert finding.message.startswith(words)
    assert key not in finding.model_dump_json()


@pytest.mark.parametrize("key", ["sb_secret_abc", token(role="service_role", exp=4_000_000_000)])
def test_right_key__is_well(key: str) -> None:
    assert list(look_at_key(KeyKind.BACKEND, key)) == []


def test_diagnosis__is_healthy_unless_there_is_a_problem() -> None:
    harmless = (ok("a", "Fine."), note("b", "Look."), skipped("c", "Dark."))
    sick = Diagnosis(url=None, findings=(*harmless, problem("d", "Broken.", "Mend it.")))

    assert Diagnosis(url=None, findings=harmless).healthy
    assert not sick.healthy
    assert sick.count(Level.PROBLEM) == 1
