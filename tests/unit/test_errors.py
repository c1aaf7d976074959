"""Which class an answer becomes, and what an error tells."""

import inspect

import pytest
from postgrest import APIError

import reelbase
from reelbase import errors
from reelbase.errors import Answer, CallRefused
from reelbase.execution.translation import read_answer


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


def test_read_answer__unpacks_our_own_details() -> None:
    error = APIError(
        {
            "message": "No.",
            "code": "PT409",
            "hint": "Wait.",
            "details": '{"error": "invalid_transition", "from": "failed", "to": "completed",'
            ' "allowed": ["pending"]}',
        }
    )

    refused = errors.InvalidTransition(read_answer(error, 409))

    assert (refused.error, refused.sqlstate, refused.status) == ("invalid_transition", "PT409", 409)
    assert (refused.from_status, refused.to_status, refused.allowed) == ("failed", "completed", ("pending",))
    assert str(refused) == "No. Wait."


@pytest.mark.parametrize("details", ["Key (id)=(1) exists.", "[1]", "17"])
def test_read_answer__keeps_details_that_are_not_ours(details: str) -> None:
    assert read_answer(APIError({"code": "23505", "details": details}), 409).details == {"text": details}


def test_read_answer__takes_the_status_where_the_body_was_no_json() -> None:
    answer = read_answer(APIError({"message": "Bad Gateway", "code": "502", "details": "<html>"}), 502)

    assert (answer.sqlstate, answer.status) == (None, 502)


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
