"""Operations on the processing timeline."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import ProcessingStep, TimelineStep
from reelbase.services.arguments import Number
from reelbase.services.changes import LISTS, job_and_lists


class Timeline(Service[M]):
    """Record and read what is done for a job, step by step. Writing is for backends.

    A job that a worker has claimed takes writes with the number of that `claim` only; all others raise
    LeaseLost. The job's progress follows its steps.
    """

    @operation
    def start(
        self,
        job_id: UUID,
        step: ProcessingStep,
        *,
        step_order: int | None = None,
        details: Mapping[str, Any] | None = None,
        claim: int | None = None,
    ) -> Call[TimelineStep]:
        """Begin a step, at the next place unless one is given.

        An open step of the same kind is taken over: its clock and progress start again.
        Raises Conflict when the job has ended or the place is taken.
        """
        return Call(
            "start_processing_step",
            {"job_id": job_id, "step": step, "step_order": step_order, "details": details, "claim": claim},
            TimelineStep,
            changes=job_and_lists(job_id),
        )

    @operation
    def update_progress(
        self,
        timeline_id: UUID,
        progress_percentage: Number,
        *,
        details: Mapping[str, Any] | None = None,
        claim: int | None = None,
    ) -> Call[TimelineStep]:
        """Record how far an open step is, 0 to 100; it never goes back. Details are merged."""
        return Call(
            "update_step_progress",
            {
                "timeline_id": timeline_id,
                "progress_percentage": progress_percentage,
                "details": details,
                "claim": claim,
            },
            TimelineStep,
            changes=LISTS,
        )

    @operation
    def complete(
        self,
        timeline_id: UUID,
        *,
        success: bool = True,
        progress_percentage: Number | None = None,
        details: Mapping[str, Any] | None = None,
        error_message: str | None = None,
        error_details: Mapping[str, Any] | None = None,
        cpu_usage: Number | None = None,
        memory_usage: int | None = None,
        claim: int | None = None,
    ) -> Call[TimelineStep]:
        """End an open step, well or with an error. Details are merged.

        `cpu_usage` is percent of one core averaged over the step, `memory_usage` the peak in bytes.
        Raises Conflict when the step has been completed.
        """
        return Call(
            "complete_processing_step",
            {
                "timeline_id": timeline_id,
                "success": success,
                "progress_percentage": progress_percentage,
                "details": details,
                "error_message": error_message,
                "error_details": error_details,
                "cpu_usage": cpu_usage,
                "memory_usage": memory_usage,
                "claim": claim,
            },
            TimelineStep,
            changes=LISTS,
        )

    @operation
    def get(self, job_id: UUID) -> Call[list[TimelineStep]]:
        """The steps of a job in their order. Raises NotFound for an unknown job."""
        return Call(
            "get_processing_timeline", {"job_id": job_id}, list[TimelineStep], reads=("timeline", job_id)
        )
