"""Events: the append-only log of what happened to a job."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import JsonObject, Listing, Model, OpenEnum
from reelbase.models.job import JobStatus
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


class JobEvent(Model):
    """One row of `job_events`: what happened, and the job's state just after it.

    `seq` counts 1, 2, 3 … within a job, without gaps. `data` holds what the type adds: the step's
    columns for `step.*`, the element's for `element.*`, the error and result for `job.status`.
    """

    id: int
    job_id: UUID
    user_id: UUID | None
    seq: int
    type: EventType
    status: JobStatus
    is_terminal: bool
    progress_percentage: Decimal
    current_step: ProcessingStep | None
    data: JsonObject
    created_at: AwareDatetime


class EventPage(Listing[JobEvent]):
    """A stretch of the whole log. `next_cursor` is where to go on, also from an empty page; `more` tells
    whether there is something to read there yet. Iterating ends where the log ends for now."""

    next_cursor: str
    more: bool

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
