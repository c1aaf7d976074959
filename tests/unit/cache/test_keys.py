"""Two calls share a key only when they are the same call of the same identity."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from reelbase import Job, JobStatus
from reelbase.cache.identity import Identity, identify
from reelbase.cache.keys import memory_key, shared_key, tag_key
from reelbase.execution.call import Call

ONE = identify("http://localhost", "sb_secret_one")

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from(["", "1", "true", "pending", JobStatus.PENDING]),
    st.sampled_from([Decimal(1), Decimal("1.0"), datetime(2026, 1, 1, tzinfo=UTC), UUID(int=1)]),
)
arguments = st.dictionaries(
    st.sampled_from(["a", "b", "a_b"]),
    st.one_of(scalars, st.tuples(scalars), st.dictionaries(st.just("k"), scalars)),
)


def call(given_arguments: dict[str, Any], function: str = "f", result: Any = Job) -> Call[Any]:
    return Call(function, given_arguments, result, reads=("job",))


@given(arguments, arguments)
def test_keys__are_equal_only_for_the_same_request(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = call(one), call(other)
    same = json.dumps(first.payload(), sort_keys=True) == json.dumps(second.payload(), sort_keys=True)

    assert (shared_key(ONE, first) == shared_key(ONE, second)) == same
    # One request may be written in two ways that memory keeps apart; two requests never meet.
    assert same or memory_key(ONE, first) != memory_key(ONE, second)
    assert memory_key(ONE, first) == memory_key(ONE, call(dict(one)))


@given(st.text(), st.text(), st.text(), st.text())
def test_keys__of_two_identities_never_meet(key: str, token: str, other_key: str, other_token: str) -> None:
    one, other = identify("http://x", key, token), identify("http://x", other_key, other_token)
    read = call({"job_id": uuid4()})

    assert (memory_key(one, read) == memory_key(other, read)) == ((key, token) == (other_key, other_token))
    assert (shared_key(one, read) == shared_key(other, read)) == ((key, token) == (other_key, other_token))


def test_keys__differ_by_function_and_by_form_of_the_result() -> None:
    calls = [call({}), call({}, function="g"), call({}, result=list[Job])]

    assert len({memory_key(ONE, each) for each in calls}) == 3
    assert len({shared_key(ONE, each) for each in calls}) == 3


def test_shared_keys__tell_no_secret() -> None:
    token = "header.payload.signature"
    identity = identify("http://localhost", "sb_secret_key", token)

    shown = f"{identity} {shared_key(identity, call({}))} {tag_key(identity, 'job')}"

    assert "sb_secret" not in shown
    assert "signature" not in shown
    assert identity.secret.hex() not in shown


def test_tag_keys__are_of_the_project_and_not_of_an_identity() -> None:
    def of(identity: Identity) -> str:
        return tag_key(identity, "job:1")

    assert of(identify("http://one", "a")) == of(identify("http://one/", "b", "token"))
    assert of(identify("http://one", "a")) != of(identify("http://two", "a"))
