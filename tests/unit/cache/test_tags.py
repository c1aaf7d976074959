"""What is forgotten after what."""

import inspect
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from cache_rows import a_job
from reelbase import ElementSpec, ElementType, StorageOperationType
from reelbase.cache.tags import (
    tag_name,
    tags_of_event,
    tags_of_read,
    tags_of_unknown_outcome,
    tags_of_write,
)
from reelbase.execution.call import Call
from reelbase.execution.operation import operation
from reelbase.services.table import Services

ID = uuid4()

CHANGES_NOTHING_CACHED = {
    "heartbeat_jobs",
    "check_rate_limit",
    "acquire_event_consumer",
    "commit_event_consumer",
    "release_event_consumer",
    "seek_event_consumer",
    "delete_event_consumer",
    "dead_letter_event",
    "delete_event_dead_letter",
}

EXAMPLES = {
    "element": ElementSpec(type=ElementType.TEXT, text_content="x"),
    "operation": StorageOperationType.UPLOAD,
    "per": timedelta(seconds=1),
}


def calls() -> list[Call[Any]]:
    """One call of every operation."""
    services = Services(lambda call: call, lambda watch: watch)
    return [
        _built(service, name)
        for service in vars(services).values()
        for name in dir(type(service))
        if isinstance(inspect.getattr_static(type(service), name), operation)
    ]


def _built(service: Any, name: str) -> Call[Any]:
    build = inspect.getattr_static(type(service), name).build
    arguments = {
        parameter.name: _example(parameter.name)
        for parameter in list(inspect.signature(build).parameters.values())[1:]
        if parameter.default is parameter.empty
    }
    call = build(service, **arguments)
    assert isinstance(call, Call)
    return call


def _example(name: str) -> Any:
    if name in EXAMPLES:
        return EXAMPLES[name]
    if name.endswith("_id"):
        return uuid4()
    return () if name.endswith("s") and name != "status" else 1


@pytest.mark.parametrize("call", calls(), ids=lambda call: call.function)
def test_every_operation__reads_or_says_what_it_changes(call: Call[Any]) -> None:
    assert call.reads is None or not call.changes
    assert (call.reads is None and not call.changes) == (call.function in CHANGES_NOTHING_CACHED)


@pytest.mark.parametrize("call", [call for call in calls() if call.changes], ids=lambda call: call.function)
def test_every_write__of_a_job_forgets_that_job(call: Call[Any]) -> None:
    job_id = call.arguments.get("job_id")

    logged = {"log_storage_operation", "log_url_access", "log_security_event"}
    if isinstance(job_id, UUID) and call.function not in logged:
        assert tag_name(("job", job_id)) in tags_of_write(call.changes, None)


def test_what_belongs_to_a_job__goes_with_the_job() -> None:
    assert tags_of_read(("job", ID)) == ("all", "job", f"job:{ID}")
    assert tags_of_read(("elements", ID)) == ("all", "elements", f"elements:{ID}", "job", f"job:{ID}")
    assert tags_of_read(("jobs",)) == ("all", "jobs")


def test_results__name_the_jobs_that_changed() -> None:
    jobs = [a_job(), a_job()]

    assert tags_of_write((("jobs",),), jobs) == {"jobs", *(f"job:{job.id}" for job in jobs)}


def test_a_write_that_found_nothing_to_do__changes_nothing() -> None:
    assert tags_of_write((("jobs",),), []) == frozenset()


def test_a_lost_answer__may_mean_any_job() -> None:
    assert tags_of_unknown_outcome((("jobs",),)) == {"jobs", "job"}
    assert tags_of_unknown_outcome(()) == frozenset()


def test_an_event__changes_its_job_and_the_lists() -> None:
    assert {f"job:{ID}", "jobs"} < tags_of_event(ID)
