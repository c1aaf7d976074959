"""Results to bytes and back, and nothing else back."""

import secrets
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_rows import a_job, get_job, job_row
from reelbase import Job, JobPage, JobStatus
from reelbase.cache.codec import Stored, decode, encode
from reelbase.execution.call import Call

SECRET = b"secret"
JOB = a_job()
CALL = get_job(JOB.id)

json_values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def encoded(call: Call[Any], value: Any, generations: tuple[bytes, ...] = (b"g" * 8,)) -> bytes:
    data = encode(call, Stored(value, 1e9, generations), "key", SECRET)
    assert data is not None
    return data


@given(
    metadata=st.dictionaries(st.text(), json_values, max_size=3),
    status=st.sampled_from([*JobStatus, "of_a_newer_database"]),
    length=st.decimals(0, 10_000, places=3),
    generations=st.lists(st.binary(min_size=8, max_size=8), max_size=6).map(tuple),
)
def test_round_trip__is_exact(
    metadata: dict[str, Any], status: str, length: Any, generations: tuple[bytes, ...]
) -> None:
    job = Job.model_validate(job_row(metadata=metadata, status=str(status), actual_duration=length))

    stored = decode(CALL, encoded(CALL, job, generations), "key", SECRET)

    assert stored == Stored(job, 1e9, generations)
    assert stored is not None
    assert stored.value.status is job.status or stored.value.status.name == "UNKNOWN"


def test_round_trip__of_lists_and_pages() -> None:
    lists = Call("jobs", {}, list[Job])
    pages = Call("pages", {}, JobPage)
    page = JobPage(items=(JOB,), next_cursor="next", total=7)

    assert decode(lists, encoded(lists, [JOB]), "key", SECRET) == Stored([JOB], 1e9, (b"g" * 8,))
    assert decode(pages, encoded(pages, page), "key", SECRET) == Stored(page, 1e9, (b"g" * 8,))


def test_large_values__are_compressed() -> None:
    job = a_job(metadata={"text": "reel " * 10_000})

    data = encoded(CALL, job)

    assert len(data) < 2_000
    assert decode(CALL, data, "key", SECRET) == Stored(job, 1e9, (b"g" * 8,))


def test_what_is_too_large_or_no_json__is_not_encoded() -> None:
    huge = a_job(metadata={"noise": secrets.token_hex(2 * 1024 * 1024)})
    odd = JOB.model_copy(update={"metadata": {"x": object()}})

    assert encode(CALL, Stored(huge, 1e9, ()), "key", SECRET) is None
    assert encode(CALL, Stored(odd, 1e9, ()), "key", SECRET) is None


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_decode__refuses_every_changed_bit(place: int, bit: int) -> None:
    data = bytearray(encoded(CALL, JOB))
    data[place % len(data)] ^= 1 << bit

    assert decode(CALL, bytes(data), "key", SECRET) is None


@given(st.binary(max_size=200))
def test_decode__refuses_what_is_not_ours(data: bytes) -> None:
    assert decode(CALL, data, "key", SECRET) is None
    assert decode(CALL, b"rb1" + data, "key", SECRET) is None


@pytest.mark.parametrize(("key", "secret"), [("other", SECRET), ("key", b"other")])
def test_decode__refuses_what_another_wrote_or_what_was_moved(key: str, secret: bytes) -> None:
    assert decode(CALL, encoded(CALL, JOB), key, secret) is None


def test_decode__refuses_another_form() -> None:
    assert decode(Call("pages", {}, JobPage), encoded(CALL, JOB), "key", SECRET) is None
