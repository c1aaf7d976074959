"""Jobs with what belongs to them."""

from reelbase.models.base import Model
from reelbase.models.element import Element
from reelbase.models.job import Job
from reelbase.models.queue import JobClaim
from reelbase.models.storage import StorageOperation
from reelbase.models.timeline import TimelineStep


class VideoJob(Model):
    """What `create_video_job` made: the job, its elements in order and its first step."""

    job: Job
    elements: tuple[Element, ...]
    step: TimelineStep


class JobDetails(Model):
    """A job with all that belongs to it.

    `storage_operations` are the newest 500. For backends only: `claims`, the attempts at the job, and how
    often its video was fetched; None and no claims for everyone else.
    """

    job: Job
    elements: tuple[Element, ...]
    timeline: tuple[TimelineStep, ...]
    storage_operations: tuple[StorageOperation, ...]
    claims: tuple[JobClaim, ...] | None
    url_accesses: int | None
    bytes_served: int | None
