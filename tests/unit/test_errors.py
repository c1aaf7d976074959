"""Which class an answer becomes, and what an error tells."""

import inspect
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reelbase
from reelbase import errors
from reelbase.errors import Answer, CallRefused
from reelbase.execution.call import Call
from reelbase.execution.translation import read_answer, refusal
from reelbase.execution.transport import Reply


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer("", error="not_found", sqlstate="PT404"), errors.NotFound),
        (Answer("", error="invalid_transition", sqlstate="PT409"), errors.InvalidTransition),
        (Answer("", error="order_taken", sqlstate="PT409"), errors.Conflict),
        (Answer("", error="idempotency_conflict", sqlstate="PT409"), errors.Conflict),
        (Answer("", error="lease_lost", sqlstate="PT409"), errors.LeaseLost),
        (Answer("", error="rate_limited", sqlstate="PT429"), errors.RateLimited),
        (Answer("", error="made_up", sqlstate="PT409"), errors.Conflict),
        (Answer("", error="made_up", sqlstate="PT422"), errors.InvalidArgument),
        (Answer("", sqlstate="42501", status=401), errors.PermissionDenied),
        (Answer("", sqlstate="23505"), errors.Conflict),
        (Answer("", sqlstate="23514"), errors.InvalidArgument),
        (Answer("", sqlstate="22P02"), errors.InvalidArgument),
        (Answer("", sqlstate="40P01"), errors.TransactionConflict),
        (Answer("", sqlstate="PGRST301"), errors.AuthenticationError),
        (Answer("", status=401), errors.AuthenticationError),
        (Answer("", status=429), errors.RateLimited),
        (Answer("", status=503), errors.ServerFault),
        (Answer("", sqlstate="53300", status=500), errors.ServerFault),
        (Answer("", sqlstate="PGRST202", status=404), CallRefused),
    ],
)
def test_best_class__goes_from_the_specific_to_the_general(answer: Answer, expected: type) -> None:
    assert CallRefused.best_class(answer) is expected


@pytest.mark.parametrize(
    ("answer", "transient"),
    [
        (Answer("", status=503), True),
        (Answer("", status=500), False),
        (Answer("", sqlstate="53300", status=500), True),
        (Answer("", sqlstate="57P01", status=500), True),
        (Answer("", sqlstate="08006", status=503), True),
        (Answer("", status=521), True),
    ],
)
def test_server_fault__is_transient_when_it_passes(answer: Answer, transient: bool) -> None:
    assert errors.ServerFault(answer).transient is transient


@pytest.mark.parametrize(
    ("details", "seconds"), [({"retry_after": 12.5}, 12.5), ({}, None), ({"retry_after": "soon"}, None)]
)
def test_rate_limited__tells_when_there_is_room_again(
    details: dict[str, object], seconds: float | None
) -> None:
    assert errors.RateLimited(Answer("", details=details)).retry_after == seconds


@pytest.mark.parametrize("listed", [None, "text", 3, [1, "x"], {"a": 1}])
def test_problems__of_details_that_are_not_ours_are_none(listed: object) -> None:
    assert errors.InvalidArgument(Answer("", details={"problems": listed})).problems == ()


def reply(status: int, body: object, **headers: str) -> Reply:
    """As the server would send it; a text as it is, all else as JSON."""
    return Reply(status, headers, body.encode() if isinstance(body, str) else json.dumps(body).encode())


def test_read_answer__unpacks_our_own_details() -> None:
    details = '{"error": "invalid_transition", "from": "failed", "to": "completed", "allowed": ["pending"]}'
    body = {"message": "No.", "code": "PT409", "hint": "Wait.", "details": details}

    refused = errors.InvalidTransition(read_answer(reply(409, body)))

    assert (refused.error, refused.sqlstate, refused.status) == ("invalid_transition", "PT409", 409)
    assert (refused.from_status, refused.to_status, refused.allowed) == ("failed", "completed", ("pending",))
    assert str(refused) == "No. Wait."


@pytest.mark.parametrize("details", ["Key (id)=(1) exists.", "[1]", "17"])
def test_read_answer__keeps_details_that_are_not_ours(details: str) -> None:
    answer = read_answer(reply(409, {"code": "23505", "details": details}))

    assert (answer.sqlstate, answer.details) == ("23505", {"text": details})


@pytest.mark.parametrize("body", ["<html>Bad Gateway</html>", "[1, 2]", '"no"', "[" * 100_000, "\x00"])
def test_read_answer__of_a_gateway_is_its_status_and_a_piece_of_its_text(body: str) -> None:
    answer = read_answer(reply(502, body))

    assert (answer.sqlstate, answer.status, answer.details) == (None, 502, {"text": body[:1000]})
    assert "502" in answer.message


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "message": anything,
            "msg": anything,
            "code": st.sampled_from(["22P02", "PT409", "57014"]) | anything,
            "hint": anything,
            "details": anything
            | st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("error", "from", "allowed", "limit", "problems"), anything)
            ),
        },
    ),
    st.integers(400, 599),
    st.text(),
)
def test_refusal__of_any_json_is_an_error_of_ours(body: object, status: int, retry_after: str) -> None:
    answer = read_answer(reply(status, body, **{"retry-after": retry_after}))

    error = refusal(answer, Call("f", {"a": 1}, int))

    assert isinstance(error, errors.ReelbaseError)
    assert str(error)
    for kind in (errors.InvalidTransition, errors.QuotaExceeded, errors.InvalidArgument, errors.RateLimited):
        told: Any = kind(answer)
        _ = [getattr(told, name, None) for name in ("allowed", "from_status", "limit", "problems")]
        assert told.retry_after is None or told.retry_after >= 0


@pytest.mark.parametrize(
    ("details", "allowed"),
    [({"allowed": None}, ()), ({"allowed": "pending"}, ()), ({"allowed": ["a"]}, ("a",))],
)
def test_details_of_another_type__are_none(details: dict[str, object], allowed: tuple[str, ...]) -> None:
    refused = errors.InvalidTransition(Answer("", details={"from": 1, **details}))

    assert (refused.allowed, refused.from_status) == (allowed, None)


def test_read_answer__of_nothing_is_the_status() -> None:
    assert (read_answer(reply(503, "")).status, read_answer(reply(503, "")).details) == (503, {})


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("soon", None),
        ("", None),
        ("-3", None),
        ("²", None),
        ("9" * 400, None),
        ("Fri, 01 Jan 2010 00:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2010 00:00:00 -0000", 0.0),
    ],
)
def test_retry_after__is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    answer = read_answer(reply(503, {"message": "Busy."}, **{"retry-after": header}))

    assert errors.ServerFault(answer).retry_after == seconds


def test_retry_after__of_a_date_to_come_is_the_time_until_then() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    seconds = errors.ServerFault(read_answer(reply(503, "", **{"retry-after": later}))).retry_after

    assert seconds is not None
    assert 3000 < seconds <= 3600


def test_retry_after__of_the_database_counts_more_than_a_gateway_s() -> None:
    body = {"code": "PT429", "details": '{"error": "rate_limited", "retry_after": 2.5}'}

    assert errors.RateLimited(read_answer(reply(429, body, **{"retry-after": "60"}))).retry_after == 2.5


def test_tree__is_drawn_and_exported_in_full() -> None:
    classes = {
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.ReelbaseError)
    }

    assert all(name in (errors.__doc__ or "") for name in classes)
    assert classes | {"Problem"} == set(errors.__all__)
    assert set(errors.__all__) <= set(reelbase.__all__)


def test_exports__are_what_the_package_says() -> None:
    public = {
        name
        for name, value in vars(reelbase).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert public == set(reelbase.__all__)
