"""A Call as data: arguments to JSON, JSON to results."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from uuid import UUID

import pytest

from reelbase import ElementSpec, ElementType, InvalidArgument, JobPage, JobStatus, UnexpectedAnswer
from reelbase.execution.call import Call

ID = UUID("00000000-0000-0000-0000-000000000001")


def test_payload__leaves_out_none_and_keeps_what_is_falsy() -> None:
    call = Call("f", {"a": None, "b": 0, "c": "", "d": False, "e": {}}, dict)

    assert call.payload() == {"b": 0, "c": "", "d": False, "e": {}}


def test_payload__is_json() -> None:
    arguments = {
        "id": ID,
        "status": (JobStatus.PENDING,),
        "ip": ip_address("::1"),
        "length": Decimal("1.50"),
        "elements": [ElementSpec(type=ElementType.TEXT, text_content="x")],
    }

    assert Call("f", arguments, dict).payload() == {
        "id": str(ID),
        "status": ["pending"],
        "ip": "::1",
        "length": "1.50",
        "elements": [{"type": "text", "text_content": "x", "text_style": {}, "metadata": {}}],
    }


@pytest.mark.parametrize(
    ("duration", "written"),
    [
        (timedelta(seconds=90), "90.000000 seconds"),
        (timedelta(days=400), "34560000.000000 seconds"),
        (timedelta(microseconds=1), "0.000001 seconds"),
        (-timedelta(seconds=1), "-1.000000 seconds"),
    ],
)
def test_payload__writes_durations_as_postgres_reads_them(duration: timedelta, written: str) -> None:
    assert Call("f", {"lease": duration}, dict).payload() == {"lease": written}


@pytest.mark.parametrize("how", [lambda call: call.payload(), lambda call: call.body()])
def test_time_without_a_zone__is_refused_by_name(how: Callable[[Call[int]], object]) -> None:
    naive, aware = datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)  # noqa: DTZ001  # that is what it is about
    call = Call("f", {"from_time": naive, "to_time": aware, "at": naive}, int)

    with pytest.raises(InvalidArgument, match="from_time, at must have a time zone") as caught:
        how(call)

    assert [problem.argument for problem in caught.value.problems] == ["from_time", "at"]


def test_parse__gives_the_declared_type() -> None:
    page = Call("list_jobs", {}, JobPage).parse({"items": [], "next_cursor": None, "added_later": 1})

    assert page == JobPage(items=(), next_cursor=None)


def test_parse__of_something_else_names_function_and_place() -> None:
    with pytest.raises(UnexpectedAnswer, match=r"list_jobs is no JobPage \(see items\)\..*migrations"):
        Call("list_jobs", {}, JobPage).parse({"items": 1, "next_cursor": None})


def test_shown_arguments__abbreviate_what_may_be_large_or_private() -> None:
    shown = Call("f", {"text": "s" * 500, "metadata": {"card": "4111"}, "width": 3}, dict).shown_arguments()

    assert shown == {"text": f"{'s' * 100}… (500 characters)", "metadata": "<1 items>", "width": 3}


def test_shown_arguments__show_what_is_no_json() -> None:
    assert Call("f", {"metadata": {"x": object()}, "at": None}, dict).shown_arguments() == {
        "metadata": "<1 items>"
    }


def test_repeatable__is_what_reads_or_changes_nothing_the_second_time() -> None:
    assert Call("get_job", {}, dict, reads=("job", ID)).repeatable
    assert Call("cancel_job", {}, dict, idempotent=True).repeatable
    assert not Call("create_job", {}, dict).repeatable


def test_body__is_the_payload_as_json_text() -> None:
    arguments = {"id": ID, "status": (JobStatus.PENDING,), "lease": timedelta(seconds=90), "none": None}
    call = Call("f", arguments, dict)

    assert json.loads(call.body()) == call.payload()


def test_body__takes_numbers_of_any_size_and_texts_that_look_like_none() -> None:
    assert Call("f", {"a": 10**400, "b": "NaN and Infinity"}, dict).body() == (
        b'{"a":%d,"b":"NaN and Infinity"}' % 10**400
    )


def endless() -> dict[str, object]:
    holder: dict[str, object] = {}
    holder["itself"] = holder
    return holder


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("-inf"), "\ud800", object(), endless(), b"\xff"],
    ids=lambda value: repr(value)[:20],
)
def test_body__of_what_is_no_json_is_an_invalid_argument(value: object) -> None:
    with pytest.raises(InvalidArgument, match="cannot be sent as JSON"):
        Call("f", {"metadata": {"value": value}}, dict).body()


@pytest.mark.parametrize("answer", [b"", b"{", b"<html>", b'"\xff"', b"[" * 100_000])
def test_parse_json__of_no_json_is_an_unexpected_answer(answer: bytes) -> None:
    with pytest.raises(UnexpectedAnswer, match=r"cannot be read.*SUPABASE_URL"):
        Call("f", {}, JobPage).parse_json(answer)


def test_timeout__makes_no_other_call_of_it() -> None:
    assert Call("f", {}, dict, timeout=2) == Call("f", {}, dict)
