"""Tags: the names under which cached results are forgotten.

A result is known by all that its call reads, from the general to the special, and what belongs to a job by
the job's tag too: the elements of a job have `all`, `elements`, `elements:<id>`, `job`, `job:<id>`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from reelbase.models import Job

ALL = "all"
EVERY_JOB = "job"

_OF_A_JOB = frozenset({"elements", "timeline"})


def tag_name(tag: str | tuple[object, ...]) -> str:
    """A tag as text: `("job", id)` is `job:<id>`."""
    return tag if isinstance(tag, str) else ":".join(map(str, tag))


def tags_of_read(reads: tuple[object, ...]) -> tuple[str, ...]:
    """All tags of what a call reads."""
    names = [ALL, *(tag_name(reads[: length + 1]) for length in range(len(reads)))]
    if reads[0] in _OF_A_JOB and len(reads) > 1:
        names += [EVERY_JOB, tag_name(("job", *reads[1:]))]
    return tuple(names)


def tags_of_write(changes: Iterable[tuple[object, ...]], result: Any) -> frozenset[str]:
    """What a write has changed: what its operation names, and the jobs that its result tells of."""
    names = {tag_name(tag) for tag in changes}
    if not names or (isinstance(result, list) and not result):
        # An empty list is a write that found nothing to do: nobody had a job to claim.
        return frozenset()
    return frozenset(names | {tag_name(("job", job_id)) for job_id in _jobs_in(result)})


def tags_of_unknown_outcome(changes: Iterable[tuple[object, ...]]) -> frozenset[str]:
    """What a write may have changed whose answer was lost."""
    names = {tag_name(tag) for tag in changes}
    return frozenset(names | {EVERY_JOB}) if names else frozenset()


def tags_of_event(job_id: object) -> frozenset[str]:
    """What an event of a job says has changed."""
    return frozenset({tag_name(("job", job_id)), "jobs", "elements", "queue"})


def _jobs_in(result: Any) -> Iterator[object]:
    if isinstance(result, Job):
        yield result.id
    elif isinstance(result, list | tuple):
        for item in result:
            yield from _jobs_in(item)
    elif isinstance(result, BaseModel):
        job_id = getattr(result, "job_id", None)
        if job_id is not None:
            yield job_id
        job = getattr(result, "job", None)
        if isinstance(job, Job):
            yield job.id
