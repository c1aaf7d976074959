"""What operations change, in the words of `Call.reads`."""

from uuid import UUID

Changes = tuple[tuple[object, ...], ...]

LISTS: Changes = (("jobs",), ("elements",), ("queue",))
"""What shows many jobs at once. The jobs themselves are named by the operation, or by its result."""

EVERY_JOB: Changes = (("job",), *LISTS)
"""Jobs that nobody names, with all that belongs to them."""


def job_and_lists(job_id: UUID) -> Changes:
    """One job with all that belongs to it, and the lists that show it."""
    return (("job", job_id), *LISTS)
