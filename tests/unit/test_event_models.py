"""Each row of the log becomes an event of its class, whichever way it came."""

import json
import pickle
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from reelbase import (
    AnyJobEvent,
    AttemptFailed,
    ElementAdded,
    ElementData,
    ElementRemoved,
    ElementState,
    ElementType,
    ElementUpdated,
    EventPage,
    EventType,
    Job,
    JobCreated,
    JobCreatedData,
    JobEvent,
    JobPaused,
    JobProgressed,
    JobResumed,
    JobStatus,
    JobStatusChanged,
    JobStatusData,
    NoData,
    OtherEvent,
    ProcessingStep,
    StepCompleted,
    StepData,
    StepProgressed,
    StepStarted,
    StorageOperationData,
    StorageOperationLogged,
    StorageOperationType,
    UrlAccessData,
    UrlAccessed,
    read_event,
)
from reelbase.models import ClaimOutcome, Model, carrying

Row = dict[str, Any]

ID = "0d1f6d2e-98a3-4f0c-a5fd-7f5b6f1f8a11"

STEP = {"timeline_id": ID, "step": "encoding", "step_order": 5, "progress_percentage": 12.5}
ELEMENT = {"element_id": ID, "type": "text", "element_order": 0, "track": 2, "processing_state": "pending"}
ELEMENT_DATA = ElementData(
    element_id=UUID(ID),
    type=ElementType.TEXT,
    element_order=0,
    track=2,
    processing_state=ElementState.PENDING,
)

KINDS: list[tuple[str, Row, type[JobEvent], Model | Row]] = [
    (
        "job.created",
        {"output_format": "mp4", "width": 1280, "height": 720},
        JobCreated,
        JobCreatedData(output_format="mp4", width=1280, height=720),
    ),
    (
        "job.status",
        {
            "from": "processing",
            "output_url": "https://a.test/v.mp4",
            "output_size": 9,
            "actual_duration": 2.04,
        },
        JobStatusChanged,
        JobStatusData(
            from_status=JobStatus.PROCESSING,
            output_url="https://a.test/v.mp4",
            output_size=9,
            actual_duration=Decimal("2.04"),
        ),
    ),
    (
        "job.status",
        {
            "from": "processing",
            "attempt": "retried",
            "error_code": "no_codec",
            "error_message": "There is no codec.",
            "retry_count": 1,
            "rescue_count": 0,
            "available_at": "2026-11-20T10:00:00.5+00:00",
        },
        AttemptFailed,
        JobStatusData(
            from_status=JobStatus.PROCESSING,
            attempt=ClaimOutcome.RETRIED,
            error_code="no_codec",
            error_message="There is no codec.",
            retry_count=1,
            rescue_count=0,
            available_at=datetime(2026, 11, 20, 10, 0, 0, 500_000, UTC),
        ),
    ),
    ("job.progress", {}, JobProgressed, NoData()),
    ("job.paused", {}, JobPaused, NoData()),
    ("job.resumed", {}, JobResumed, NoData()),
    (
        "step.started",
        STEP,
        StepStarted,
        StepData(
            timeline_id=UUID(ID),
            step=ProcessingStep.ENCODING,
            step_order=5,
            progress_percentage=Decimal("12.5"),
        ),
    ),
    (
        "step.progress",
        STEP,
        StepProgressed,
        StepData(
            timeline_id=UUID(ID),
            step=ProcessingStep.ENCODING,
            step_order=5,
            progress_percentage=Decimal("12.5"),
        ),
    ),
    (
        "step.completed",
        {
            **STEP,
            "success": False,
            "error_message": "No.",
            "duration_ms": 7,
            "cpu_usage": 150.5,
            "memory_usage": 8,
        },
        StepCompleted,
        StepData(
            timeline_id=UUID(ID),
            step=ProcessingStep.ENCODING,
            step_order=5,
            progress_percentage=Decimal("12.5"),
            success=False,
            error_message="No.",
            duration_ms=7,
            cpu_usage=Decimal("150.5"),
            memory_usage=8,
        ),
    ),
    ("element.added", ELEMENT, ElementAdded, ELEMENT_DATA),
    ("element.updated", ELEMENT, ElementUpdated, ELEMENT_DATA),
    ("element.removed", ELEMENT, ElementRemoved, ELEMENT_DATA),
    (
        "storage.operation",
        {"storage_operation_id": ID, "operation": "upload", "bucket": "b", "key": "k", "success": True},
        StorageOperationLogged,
        StorageOperationData(
            storage_operation_id=UUID(ID),
            operation=StorageOperationType.UPLOAD,
            bucket="b",
            key="k",
            success=True,
        ),
    ),
    (
        "url.accessed",
        {"url_access_id": ID, "status_code": 206, "country": "DE", "bytes_sent": 5},
        UrlAccessed,
        UrlAccessData(url_access_id=UUID(ID), status_code=206, country="DE", bytes_sent=5),
    ),
    ("job.praised", {"stars": 5}, OtherEvent, {"stars": 5}),
]

EVENTS: TypeAdapter[list[AnyJobEvent]] = TypeAdapter(list[AnyJobEvent])


def row(kind: str = "job.progress", data: Any = None, **columns: Any) -> Row:
    """As the Data API writes it; columns can be given otherwise."""
    return {
        "id": 17,
        "xid": "745",
        "job_id": ID,
        "user_id": None,
        "seq": 3,
        "type": kind,
        "status": "processing",
        "is_terminal": False,
        "progress_percentage": 35.5,
        "current_step": "encoding",
        "data": {} if data is None else data,
        "created_at": "2026-11-20T10:00:00.123456+00:00",
        **columns,
    }


WAYS: Mapping[str, Callable[[Row], JobEvent]] = {
    "one row": read_event,
    "data as text": lambda given: read_event({**given, "data": json.dumps(given["data"])}),
    "JSON": lambda given: EVENTS.validate_json(json.dumps([given]))[0],
    "values": lambda given: EVENTS.validate_python([given])[0],
    "page": lambda given: EventPage.model_validate(
        {"items": [given], "next_cursor": "c", "more": False, "horizon": "900"}
    ).items[0],
    "packed": lambda given: EVENTS.validate_json(EVENTS.dump_json([read_event(given)], warnings="error"))[0],
    "dumped": lambda given: read_event(read_event(given).model_dump(mode="json")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("kind", "data", "class_", "expected"), KINDS)
def test_row__becomes_its_class_with_typed_data(
    way: str, kind: str, data: Row, class_: type[JobEvent], expected: Model | Row
) -> None:
    event = WAYS[way](row(kind, data))

    assert type(event) is class_
    assert event.data == expected
    assert (event.xid, event.progress_percentage, event.type) == (745, Decimal("35.5"), kind)


def test_every_class_and_type__has_a_row_here() -> None:
    classes = {get_args(arm)[0] for arm in get_args(get_args(AnyJobEvent)[0])}

    assert {class_ for _, _, class_, _ in KINDS} == classes
    assert {kind for kind, *_ in KINDS} == {*EventType, "job.praised"}


@pytest.mark.parametrize(
    "columns",
    [
        {"xid": 745, "progress_percentage": "35.5", "id": "17", "seq": "3"},
        {"created_at": "2026-11-20T10:00:00.123456Z"},
        {"column_of_a_newer_database": 1},
    ],
)
def test_columns__may_be_written_otherwise(columns: Row) -> None:
    assert read_event(row(**columns)) == read_event(row())


def test_data__of_a_newer_database_is_taken() -> None:
    event = read_event(row("step.started", {**STEP, "step": "dubbing", "mood": "good"}))

    assert isinstance(event, StepStarted)
    assert (event.data.step.value, event.data.step.name) == ("dubbing", "UNKNOWN")


@pytest.mark.parametrize(
    ("status", "data", "expected"),
    [
        ("failed", {"from": "processing"}, AttemptFailed),
        ("timeout", {"from": "processing"}, AttemptFailed),
        ("pending", {"from": "processing", "attempt": "rescued", "error_code": "worker_lost"}, AttemptFailed),
        ("pending", {"from": "processing", "error_message": "It broke."}, AttemptFailed),
        ("pending", {"from": "processing", "attempt": "released"}, JobStatusChanged),
        ("pending", {"from": "failed"}, JobStatusChanged),
        ("processing", {"from": "pending", "error_code": None}, JobStatusChanged),
        (
            "cancelled",
            {"from": "pending", "error_code": "cancelled", "error_message": "No."},
            JobStatusChanged,
        ),
    ],
)
def test_failure__is_told_by_status_and_error(status: str, data: Row, expected: type[JobEvent]) -> None:
    assert type(read_event(row("job.status", data, status=status))) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        None,
        row("step.started", {}),
        row(data="{"),
        row(type=["job.created"]),
        {name: value for name, value in row().items() if name != "data"},
    ],
)
def test_what_is_no_row__is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # ValidationError is one
        read_event(wrong)
    with pytest.raises(ValidationError):
        EVENTS.validate_python([wrong])


def test_match__finds_class_and_data() -> None:
    match read_event(row("step.completed", {**STEP, "success": False})):
        case StepCompleted(data=StepData(success=False, step=step)):
            assert step is ProcessingStep.ENCODING
        case other:
            pytest.fail(f"{other!r} is something else")


def test_job__is_at_hand_where_the_event_carries_it() -> None:
    event = read_event(row())
    job = Job.model_construct(id=UUID(ID))

    carrier = carrying(event, job)

    assert carrier.job is job
    assert type(carrier) is JobProgressed
    with pytest.raises(LookupError, match=rf"Event 3 of job {ID} does not carry the job.*jobs\.get"):
        _ = event.job


def test_job__takes_no_part_in_what_the_event_is() -> None:
    event = read_event(row())
    carrier = carrying(event, Job.model_construct(id=UUID(ID)))

    assert (carrier, hash(carrier), repr(carrier)) == (event, hash(event), repr(event))
    assert carrier.model_dump() == event.model_dump()
    assert pickle.loads(pickle.dumps(carrier)) == event  # noqa: S301  # our own


def test_dump__has_the_names_of_the_database() -> None:
    event = read_event(row("job.status", {"from": "pending"}))

    assert event.model_dump(mode="json", exclude_none=True)["data"] == {"from": "pending"}
    assert JobStatusData.model_validate({"from": "pending"}) == JobStatusData(from_status=JobStatus.PENDING)
