"""Arguments that Postgres cannot read are named, though Postgres tells only the value."""

from uuid import uuid4

import pytest

from reelbase import InvalidArgument
from reelbase.execution.call import Call
from support import Target

JOB = str(uuid4())


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        ("create_job", {"output_format": "mp4", "width": "abc", "height": 64}, ["width"]),
        ("create_job", {"output_format": "mp4", "width": 1.5, "height": 64}, ["width"]),
        ("create_job", {"output_format": "mp4", "width": 64, "height": 10**12}, ["height"]),
        ("create_job", {"output_format": "mp4", "width": True, "height": 64}, ["width"]),
        ("create_job", {"output_format": "mp4", "width": 64, "height": 64, "fps": "fast"}, ["fps"]),
        ("get_job", {"job_id": "abc"}, ["job_id"]),
        ("update_job_status", {"job_id": JOB, "status": "done"}, ["status"]),
        ("list_jobs", {"status": ["pending", "done"]}, ["status[1]"]),
        ("list_jobs", {"status": "done"}, ["status"]),
        ("list_jobs", {"status": 5}, ["status"]),
        ("list_jobs", {"client_ip": "300.1.1.1"}, ["client_ip"]),
        ("list_jobs", {"from_time": "yesterdayish"}, ["from_time"]),
        ("list_jobs", {"to_time": "2026-13-45"}, ["to_time"]),
        ("list_jobs", {"oldest_first": "maybe"}, ["oldest_first"]),
        ("claim_jobs", {"worker": "w", "lease": "a while"}, ["lease"]),
        ("heartbeat_jobs", {"claims": [1, "x"]}, ["claims[1]"]),
        ("reorder_elements", {"job_id": JOB, "element_ids": [JOB, 'a"b']}, ["element_ids[1]"]),
    ],
)
async def test_mistyped_argument__is_named(
    target: Target, function: str, arguments: dict[str, object], named: list[str]
) -> None:
    async with target.service() as client:
        with pytest.raises(InvalidArgument) as caught:
            await client._executor.run(Call(function, arguments, dict))

    assert [problem.argument for problem in caught.value.problems] == named
    assert str(caught.value).startswith(f"{', '.join(named)}: ")
    assert caught.value.problems[0].problem in str(caught.value)


async def test_one_of_two_with_the_same_value__is_not_guessed(target: Target) -> None:
    async with target.service() as client:
        with pytest.raises(InvalidArgument) as caught:
            await client._executor.run(
                Call("create_job", {"output_format": "abc", "width": "abc", "height": 64}, dict)
            )

    assert [problem.argument for problem in caught.value.problems] == ["output_format", "width"]
