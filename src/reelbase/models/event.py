"""Events: the append-only log of what happened to a job."""

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import JsonObject, Model, OpenEnum
from reelbase.models.job import JobStatus
from reelbase.models.timeline import ProcessingStep


class EventType(OpenEnum):
    JOB_CREATED = "job.created"
    JOB_STATUS = "job.status"
    JOB_PROGRESS = "job.progress"
    STEP_STARTED = "step.started"
    STEP_PROGRESS = "step.progress"
    STEP_COMPLETED = "step.completed"
    ELEMENT_ADDED = "element.added"


class JobEvent(Model):
    """One row of `job_events`: what happened, and the job's state just after it.

    `seq` counts 1, 2, 3 … within a job, without gaps. `data` holds what the type adds: the step's
    columns for `step.*`, the element's for `element.*`, the error and result for `job.status`.
    """

    id: int
    job_id: UUID
    seq: int
    type: EventType
    status: JobStatus
    is_terminal: bool
    progress_percentage: Decimal
    current_step: ProcessingStep | None
    data: JsonObject
    created_at: AwareDatetime
