"""Jobs over real HTTP, in both modes."""

from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import ip_address
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from reelbase import (
    Conflict,
    ElementSpec,
    ElementType,
    InvalidArgument,
    InvalidTransition,
    JobStatus,
    NotFound,
    ProcessingStep,
    ResponseType,
)
from support import AnyClient, done, text


async def test_create__keeps_what_it_was_given(client: AnyClient) -> None:
    user_id = uuid4()

    job = await done(
        client.jobs.create(
            "mp4",
            1920,
            1080,
            estimated_duration=12.5,
            client_ip="203.0.113.9",
            user_agent="a browser",
            metadata={"campaign": "spring"},
            fps=Decimal("29.97"),
            response_type=ResponseType.IMMEDIATE,
            request_body={"template": 7},
            user_id=user_id,
        )
    )

    assert (job.output_format, job.width, job.height) == ("mp4", 1920, 1080)
    assert (job.estimated_duration, job.fps) == (Decimal("12.5"), Decimal("29.97"))
    assert (job.client_ip, job.user_agent, job.user_id) == (ip_address("203.0.113.9"), "a browser", user_id)
    assert (job.metadata, job.request_body) == ({"campaign": "spring"}, {"template": 7})
    assert (job.status, job.is_terminal, job.response_type) == (
        JobStatus.PENDING,
        False,
        ResponseType.IMMEDIATE,
    )
    assert job.event_seq == 1
    assert job == await done(client.jobs.get(job.id))


async def test_create__names_every_problem_at_once(client: AnyClient) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await done(client.jobs.create("avi", -1, 100_000, fps=0, estimated_duration=-3))

    assert [problem.argument for problem in caught.value.problems] == [
        "estimated_duration",
        "fps",
        "height",
        "output_format",
        "width",
    ]
    assert caught.value.function == "create_job"
    assert "output_format must be mp4, mov, webm or gif" in str(caught.value)


async def test_create_video__makes_job_elements_and_first_step(client: AnyClient) -> None:
    elements = [
        ElementSpec(type=ElementType.VIDEO, source_url="https://example.com/a.mp4", width="80%"),
        text("Title", track=1, start_time=Decimal("0.5")),
    ]

    made = await done(client.jobs.create_video("webm", 640, 360, elements=elements))

    assert made.job.output_format == "webm"
    assert [(e.element_order, e.type, e.track) for e in made.elements] == [
        (0, ElementType.VIDEO, 0),
        (1, ElementType.TEXT, 1),
    ]
    assert (made.elements[0].width, made.elements[1].start_time) == ("80%", Decimal("0.5"))
    assert (made.step.step, made.step.step_order, made.step.success) == (ProcessingStep.VALIDATION, 0, None)
    assert made.job == await done(client.jobs.get(made.job.id))
    assert list(made.elements) == await done(client.elements.list(made.job.id))
    assert [made.step] == await done(client.timeline.get(made.job.id))


async def test_create_video__refuses_all_for_one_bad_element(client: AnyClient) -> None:
    user_id = uuid4()
    elements = [text(), text(x_position="left"), ElementSpec(type=ElementType.IMAGE, width="0%")]

    with pytest.raises(InvalidArgument) as caught:
        await done(client.jobs.create_video("mp4", 640, 360, elements=elements, user_id=user_id))

    assert [problem.argument for problem in caught.value.problems] == [
        "elements[1].x_position",
        "elements[2].type",
        "elements[2].width",
    ]
    assert (await done(client.jobs.list(user_id=user_id))).items == ()


def test_create_video__refuses_a_misspelt_property(
    database: psycopg.Connection[tuple[object, ...]],
) -> None:
    elements = '[{"type": "text", "text_content": "x", "widht": "5", "x_position": "left"}]'

    with pytest.raises(psycopg.Error) as caught:
        database.execute("select create_video_job('mp4', 64, 64, %s)", (elements,))

    assert caught.value.diag.message_primary == (
        "elements[0].x_position must be pixels (640, 640px) or percent (50%); elements[0].widht is not known"
    )


async def test_create_video__needs_elements(client: AnyClient) -> None:
    with pytest.raises(InvalidArgument, match="elements must be a JSON array of 1 to 500 elements"):
        await done(client.jobs.create_video("mp4", 640, 360, elements=[]))


async def test_get__of_an_unknown_job_is_not_found(client: AnyClient) -> None:
    job_id = uuid4()

    with pytest.raises(NotFound, match=f"There is no job {job_id}"):
        await done(client.jobs.get(job_id))


async def test_list__pages_through_everything_once_in_both_directions(client: AnyClient) -> None:
    user_id = uuid4()
    made = [(await done(client.jobs.create("mp4", 64, 64, user_id=user_id))).id for _ in range(5)]

    for oldest_first, expected in ((False, made[::-1]), (True, made)):
        seen, cursor = [], None
        while True:
            page = await done(
                client.jobs.list(user_id=user_id, page_size=2, cursor=cursor, oldest_first=oldest_first)
            )
            seen += [job.id for job in page.items]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == expected


async def test_list__filters_by_status_and_address(client: AnyClient) -> None:
    user_id = uuid4()
    here = await done(client.jobs.create("mp4", 64, 64, user_id=user_id, client_ip="203.0.113.1"))
    there = await done(client.jobs.create("mp4", 64, 64, user_id=user_id, client_ip="203.0.113.2"))
    await done(client.jobs.update_status(there.id, JobStatus.CANCELLED))

    async def found(**filters: object) -> list[object]:
        return [job.id for job in (await done(client.jobs.list(user_id=user_id, **filters))).items]

    assert await found(status=[JobStatus.PENDING]) == [here.id]
    assert await found(status=[JobStatus.CANCELLED, JobStatus.FAILED]) == [there.id]
    assert await found(client_ip="203.0.113.1") == [here.id]
    assert await found(status=[]) == []


async def test_create__refuses_json_that_other_clients_cannot_read(
    client: AnyClient, database: psycopg.Connection[tuple[object, ...]]
) -> None:
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"deeper": deep}

    with pytest.raises(InvalidArgument, match="metadata must be a plain JSON object"):
        await done(client.jobs.create("mp4", 64, 64, metadata=deep))
    with pytest.raises(psycopg.Error, match="metadata must be a plain JSON object"):
        database.execute("""select create_job('mp4', 64, 64, metadata => '{"n": 1e5000}')""")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("client_ip => '10.0.0.0/8'", "client_ip must be an address without a mask"),
        ("estimated_duration => 'NaN'", "estimated_duration must be more than 0"),
        ("fps => 'NaN'", "fps must be 1 to 240"),
    ],
)
def test_create__refuses_values_that_only_sql_can_write(
    database: psycopg.Connection[tuple[object, ...]], arguments: str, words: str
) -> None:
    with pytest.raises(psycopg.Error, match=words):
        database.execute(f"select create_job('mp4', 64, 64, {arguments})".encode())


async def test_update_status__gives_an_error_to_failures_only(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))

    with pytest.raises(InvalidArgument, match="belongs to a job that ended other than well"):
        await done(client.jobs.update_status(job.id, JobStatus.COMPLETED, error_code="odd"))


@pytest.mark.parametrize(
    "cursor",
    [
        f"now_{UUID(int=0)}",
        "nonsense",
        "2026-01-01T00:00:00Z_x",
        "_",
        "9999999-01-01_0",
    ],
)
async def test_list__refuses_a_cursor_that_it_did_not_make(client: AnyClient, cursor: str) -> None:
    with pytest.raises(InvalidArgument, match="cursor was not handed out") as caught:
        await done(client.jobs.list(cursor=cursor))

    assert caught.value.error == "invalid_cursor"


@pytest.mark.parametrize("page_size", [0, 501, -1])
async def test_list__refuses_a_page_size_out_of_range(client: AnyClient, page_size: int) -> None:
    with pytest.raises(InvalidArgument, match="page_size must be 1 to 500"):
        await done(client.jobs.list(page_size=page_size))


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({"output_format": "avi"}, "output_format must be mp4"),
        (
            {"from_time": datetime(2026, 2, 1, tzinfo=UTC), "to_time": datetime(2026, 1, 1, tzinfo=UTC)},
            "from_time must not be later than to_time",
        ),
    ],
)
async def test_list__refuses_what_no_job_can_have(
    client: AnyClient, filters: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidArgument, match=named):
        await done(client.jobs.list(**filters))


async def test_update_status__takes_the_result_of_a_success(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    started = await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))
    assert (started.started_at is not None, started.finished_at) == (True, None)

    ended = await done(
        client.jobs.update_status(
            job.id,
            JobStatus.COMPLETED,
            output_url="https://example.com/v.mp4",
            output_size=5_000_000_000,
            actual_duration=3.25,
        )
    )

    assert (ended.output_url, ended.output_size) == ("https://example.com/v.mp4", 5_000_000_000)
    assert (ended.actual_duration, ended.progress_percentage) == (Decimal("3.25"), 100)
    assert ended.is_terminal
    assert ended.completed_at == ended.finished_at is not None


async def test_update_status__of_a_retry_clears_the_failure(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    failed = await done(
        client.jobs.update_status(
            job.id,
            JobStatus.FAILED,
            error_code="boom",
            error_message="It broke.",
            error_details={"at": "encoding"},
        )
    )
    assert (failed.error_code, failed.error_message) == ("boom", "It broke.")
    assert failed.error_details == {"at": "encoding"}

    waiting = await done(client.jobs.update_status(job.id, JobStatus.PENDING))

    assert (waiting.error_code, waiting.error_message, waiting.error_details) == (None, None, {})
    assert (waiting.progress_percentage, waiting.finished_at) == (0, None)


async def test_update_status__says_what_would_be_allowed(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))

    with pytest.raises(InvalidTransition) as caught:
        await done(client.jobs.update_status(job.id, JobStatus.COMPLETED))

    assert (caught.value.from_status, caught.value.to_status) == ("pending", "completed")
    assert caught.value.allowed == ("processing", "failed", "cancelled", "timeout")


async def test_update_progress__never_goes_back(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))

    reports = [(30, ProcessingStep.ENCODING), (10.5, None), (55.25, None)]
    seen = [await done(client.jobs.update_progress(job.id, p, current_step=s)) for p, s in reports]

    assert [job.progress_percentage for job in seen] == [30, 30, Decimal("55.25")]
    assert seen[-1].current_step is ProcessingStep.ENCODING


@pytest.mark.parametrize("percentage", [-1, 100.5, 10**9])
async def test_update_progress__refuses_what_is_no_percentage(client: AnyClient, percentage: float) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))

    with pytest.raises(InvalidArgument, match="progress_percentage must be 0 to 100"):
        await done(client.jobs.update_progress(job.id, percentage))


async def test_update_progress__needs_a_job_that_is_processed(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))

    with pytest.raises(Conflict, match="The job is pending") as caught:
        await done(client.jobs.update_progress(job.id, 5))

    assert caught.value.error == "job_not_processing"
