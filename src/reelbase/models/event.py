"""Events: the append-only log of what happened to a job."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeAlias, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, Discriminator, Tag
from pydantic_core import from_json

from reelbase.models.base import JsonObject, Listing, Model, OpenEnum
from reelbase.models.event_data import (
    ElementData,
    JobCreatedData,
    JobStatusData,
    NoData,
    StepData,
    StorageOperationData,
    UrlAccessData,
)
from reelbase.models.job import Job, JobStatus
from reelbase.models.timeline import ProcessingStep


class EventType(OpenEnum):
    JOB_CREATED = "job.created"
    JOB_STATUS = "job.status"
    JOB_PROGRESS = "job.progress"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    STEP_STARTED = "step.started"
    STEP_PROGRESS = "step.progress"
    STEP_COMPLETED = "step.completed"
    ELEMENT_ADDED = "element.added"
    ELEMENT_UPDATED = "element.updated"
    ELEMENT_REMOVED = "element.removed"
    STORAGE_OPERATION = "storage.operation"
    URL_ACCESSED = "url.accessed"


class JobEvent(Model):  # noqa: PLW1641  # pydantic gives frozen models their hash
    """One row of `job_events`: what happened, and the job's state just after it.

    Each event is of a class below, by its type, with `data` typed. `seq` counts 1, 2, 3 … within a job,
    without gaps; in the log of all jobs an event's place is (`xid`, `id`).
    """

    # A place for the job that is none of the fields.
    __slots__ = ("_job",)

    id: int
    xid: int
    job_id: UUID
    user_id: UUID | None
    seq: int
    type: EventType
    status: JobStatus
    is_terminal: bool
    progress_percentage: Decimal
    current_step: ProcessingStep | None
    data: Any
    created_at: AwareDatetime

    @property
    def job(self) -> Job:
        """The whole job, as of this event or later. Raises LookupError where the event does not carry it."""
        job: Job | None = getattr(self, "_job", None)
        if job is None:
            raise LookupError(
                f"Event {self.seq} of job {self.job_id} does not carry the job; events of jobs.watch do. "
                "Read it: jobs.get(event.job_id)."
            )
        return job

    def __eq__(self, other: object) -> bool:  # frozen models are given their hash
        # Not by the job carried.
        return type(self) is type(other) and self.__dict__ == other.__dict__


class JobCreated(JobEvent):
    """The job is there."""

    data: JobCreatedData


class JobStatusChanged(JobEvent):
    """The job's status changed. Match AttemptFailed first: it is one of these."""

    data: JobStatusData


class AttemptFailed(JobStatusChanged):
    """An attempt at the job failed: it ended as failed or timeout, or it waits for another one.

    `is_terminal` tells which. A job that was called off did not fail.
    """


class JobProgressed(JobEvent):
    """The job's progress or current step changed."""

    data: NoData


class JobPaused(JobEvent):
    """The job is not to be worked on until it is resumed."""

    data: NoData


class JobResumed(JobEvent):
    """The job may be worked on again."""

    data: NoData


class StepStarted(JobEvent):
    """A step began, for the first time or again."""

    data: StepData


class StepProgressed(JobEvent):
    """An open step changed."""

    data: StepData


class StepCompleted(JobEvent):
    """A step ended, well or not: `data.success`."""

    data: StepData


class ElementAdded(JobEvent):
    """The job has an element more."""

    data: ElementData


class ElementUpdated(JobEvent):
    """An element changed, or a worker came further with it."""

    data: ElementData


class ElementRemoved(JobEvent):
    """The job has an element less."""

    data: ElementData


class StorageOperationLogged(JobEvent):
    """Something was done with a stored object of the job."""

    data: StorageOperationData


class UrlAccessed(JobEvent):
    """Somebody fetched the finished video."""

    data: UrlAccessData


class OtherEvent(JobEvent):
    """Of a type that this version does not know."""

    data: JsonObject


_CLASSES: Mapping[str, type[JobEvent]] = {
    EventType.JOB_CREATED: JobCreated,
    EventType.JOB_STATUS: JobStatusChanged,
    EventType.JOB_PROGRESS: JobProgressed,
    EventType.JOB_PAUSED: JobPaused,
    EventType.JOB_RESUMED: JobResumed,
    EventType.STEP_STARTED: StepStarted,
    EventType.STEP_PROGRESS: StepProgressed,
    EventType.STEP_COMPLETED: StepCompleted,
    EventType.ELEMENT_ADDED: ElementAdded,
    EventType.ELEMENT_UPDATED: ElementUpdated,
    EventType.ELEMENT_REMOVED: ElementRemoved,
    EventType.STORAGE_OPERATION: StorageOperationLogged,
    EventType.URL_ACCESSED: UrlAccessed,
}


def _class_of(row: Any) -> type[JobEvent]:
    # What is no row at all is refused by whatever class.
    type_ = row.get("type") if isinstance(row, Mapping) else None
    found = _CLASSES.get(type_, OtherEvent) if isinstance(type_, str) else OtherEvent
    return AttemptFailed if found is JobStatusChanged and _tells_of_failure(row) else found


def _tells_of_failure(row: Mapping[str, Any]) -> bool:
    status, data = row.get("status"), row.get("data")
    if status in {JobStatus.FAILED, JobStatus.TIMEOUT}:
        return True
    # A job that was called off has an error too: the reason.
    return (
        status != JobStatus.CANCELLED
        and isinstance(data, Mapping)
        and (data.get("error_code") is not None or data.get("error_message") is not None)
    )


def _tag(value: Any) -> str:
    """The name of the class of an event, or of a row that is to become one."""
    return (type(value) if isinstance(value, JobEvent) else _class_of(value)).__name__


AnyJobEvent: TypeAlias = Annotated[
    Annotated[JobCreated, Tag("JobCreated")]
    | Annotated[JobStatusChanged, Tag("JobStatusChanged")]
    | Annotated[AttemptFailed, Tag("AttemptFailed")]
    | Annotated[JobProgressed, Tag("JobProgressed")]
    | Annotated[JobPaused, Tag("JobPaused")]
    | Annotated[JobResumed, Tag("JobResumed")]
    | Annotated[StepStarted, Tag("StepStarted")]
    | Annotated[StepProgressed, Tag("StepProgressed")]
    | Annotated[StepCompleted, Tag("StepCompleted")]
    | Annotated[ElementAdded, Tag("ElementAdded")]
    | Annotated[ElementUpdated, Tag("ElementUpdated")]
    | Annotated[ElementRemoved, Tag("ElementRemoved")]
    | Annotated[StorageOperationLogged, Tag("StorageOperationLogged")]
    | Annotated[UrlAccessed, Tag("UrlAccessed")]
    | Annotated[OtherEvent, Tag("OtherEvent")],
    Discriminator(_tag),
]
"""An event of whichever class."""


def read_event(row: Mapping[str, Any]) -> AnyJobEvent:
    """The event of one row of `job_events`, however it came: from the log, Realtime or a webhook.

    Raises pydantic's ValidationError, a ValueError, for what is no such row.
    """
    if isinstance(row, Mapping) and isinstance(row.get("data"), str):
        row = {**row, "data": from_json(row["data"])}
    return _class_of(row).__pydantic_validator__.validate_python(row)  # type: ignore[no-any-return]


E = TypeVar("E", bound=JobEvent)


def carrying(event: E, job: Job) -> E:
    """The same event, with the job at hand."""
    carrier = event.__copy__()
    object.__setattr__(carrier, "_job", job)
    return carrier


class EventPage(Listing[AnyJobEvent]):
    """A stretch of the whole log. `next_cursor` is where to go on, also from an empty page; `more` tells
    whether there is something to read there yet. Iterating ends where the log ends for now."""

    next_cursor: str
    more: bool
    horizon: int
    """The first transaction that was still open: what has a lower `xid` is in the log, or comes no more."""

    def onward(self) -> Mapping[str, Any] | None:
        return {"after": self.next_cursor} if self.more else None


class EventConsumer(Model):
    """A named reader of the log: how far it is, as a `cursor` for `read_all`, and who holds its lease.

    `lease` is the lease's number; `commit` and `release` take it.
    """

    name: str
    cursor: str
    lease: int
    holder: str | None
    lease_expires_at: AwareDatetime | None
    committed_at: AwareDatetime | None
