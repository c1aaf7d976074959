"""The queue: which worker works on which job."""

from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import Model, OpenEnum
from reelbase.models.job import Job


class ClaimOutcome(OpenEnum):
    """How an attempt at a job ended. `retried`: it failed and is to be tried again; `released`: the worker
    gave the job back; `rescued`: the worker fell silent."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    RELEASED = "released"
    RESCUED = "rescued"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


class JobClaim(Model):
    """One row of `job_claims`: an attempt of a worker at a job. `outcome` is None while it is under way."""

    id: int
    job_id: UUID
    worker: str
    claimed_at: AwareDatetime
    heartbeat_at: AwareDatetime
    lease_expires_at: AwareDatetime
    ended_at: AwareDatetime | None
    outcome: ClaimOutcome | None
    error_code: str | None
    error_message: str | None


class ClaimedJob(Model):
    """A job that a worker may work on. Every write of the worker carries the number `claim`.

    `attempt` is 1 for the first claim that the job ever had.
    """

    claim: int
    lease_expires_at: AwareDatetime
    attempt: int
    job: Job


class ClaimStatus(OpenEnum):
    """What has become of a claim: still `held`, the job `cancelled`, or the claim `lost` to others."""

    HELD = "held"
    CANCELLED = "cancelled"
    LOST = "lost"


class ClaimState(Model):
    """A heartbeat's answer for one claim. With `pause_requested`, release the job soon."""

    claim: int
    job_id: UUID | None
    state: ClaimStatus
    pause_requested: bool
    lease_expires_at: AwareDatetime | None


class QueueState(Model):
    """How the queue stands, in numbers of jobs.

    `waiting` can be claimed now, `scheduled` only later; of the `running` ones, those `expired` are past
    their lease.
    """

    paused: bool
    waiting: int
    scheduled: int
    paused_jobs: int
    running: int
    expired: int
    oldest_available_at: AwareDatetime | None
