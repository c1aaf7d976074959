"""What a consumer was told: which place says that an event and all before it are done."""

from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import AwareDatetime, TypeAdapter

from reelbase import EventPage, EventType, JobEvent, JobStatus, read_event
from reelbase.realtime.told import Place, Told

NOW = TypeAdapter(AwareDatetime).validate_python("2026-11-20T12:00:00Z")


def event(number: int, job: int = 1) -> JobEvent:
    return read_event(
        {
            "id": number,
            "xid": 700,
            "job_id": UUID(int=job),
            "user_id": None,
            "seq": number,
            "type": EventType.JOB_PROGRESS,
            "status": JobStatus.PROCESSING,
            "is_terminal": False,
            "progress_percentage": Decimal(0),
            "current_step": None,
            "data": {},
            "created_at": NOW,
        }
    )


def page(cursor: str, *events: JobEvent) -> EventPage:
    return EventPage(items=events, next_cursor=cursor, more=False, horizon=800)


def tell(told: Told) -> int:
    event = told.ahead
    assert event is not None
    told.tell()
    return event.id


@pytest.fixture
def told() -> Told:
    """Told of the first three of four events; the ids are in no order, as in the log."""
    told = Told("start")
    told.take(page("first", event(2), event(1, job=2)))
    assert [tell(told), tell(told)] == [2, 1]
    told.take(page("second", event(5, job=2), event(4)))
    assert tell(told) == 5
    return told


def test_place__is_the_event_or_one_before_it(told: Told) -> None:
    assert list(told.places(5)) == [Place(event_id=5, job_id=UUID(int=2)), Place(cursor="first")]
    assert list(told.places(2)) == [Place(event_id=2, job_id=UUID(int=1))]
    assert list(told.places(1)) == [Place(cursor="first")]
    assert list(told.places(None)) == []


def test_committed__are_an_event_and_all_before_it(told: Told) -> None:
    told.committed(1)

    assert [number in told for number in (2, 1, 5)] == [False, False, True]
    assert list(told.places(5)) == [Place(event_id=5, job_id=UUID(int=2))]
    assert tell(told) == 4
    assert list(told.places(4)) == [Place(cursor="second")]


def test_empty_page__moves_the_place_of_the_last_event(told: Told) -> None:
    tell(told)
    told.take(page("third"))

    assert told.cursor == "third"
    assert list(told.places(4)) == [Place(cursor="third")]
    assert list(told.places(None)) == []


def test_empty_page__is_a_place_when_all_is_committed(told: Told) -> None:
    tell(told)
    told.committed(4)
    assert list(told.places(None)) == []
    told.take(page("third"))

    assert list(told.places(None)) == [Place(cursor="third")]
    told.committed(None)
    assert list(told.places(None)) == []


def test_place_of_an_empty_page__is_none_after_a_later_event() -> None:
    told = Told("start")
    told.take(page("first"))
    told.take(page("second", event(1)))
    tell(told)
    assert list(told.places(None)) == [Place(cursor="first")]

    told.committed(1)

    assert list(told.places(None)) == []


def test_event_that_is_taken_back__is_ahead_again_and_its_page_ends_where_it_did(told: Told) -> None:
    told.take_back(event(5, job=2))
    assert [tell(told), tell(told)] == [5, 4]
    told.take_back(event(4))
    told.committed(5)
    assert list(told.places(4)) == [Place(cursor="second")]
    assert tell(told) == 4
    assert told.ahead is None


def test_event_that_is_committed__is_not_taken_back(told: Told) -> None:
    told.take_back(event(5, job=2))
    told.committed(5)
    assert tell(told) == 4
    told.committed(4)
    told.take_back(event(4))
    assert told.ahead is None
