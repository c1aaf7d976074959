"""Elements over real HTTP, in both modes."""

from decimal import Decimal
from uuid import uuid4

import pytest

from reelbase import Conflict, ElementSpec, ElementType, FitMode, InvalidArgument, JobStatus, NotFound
from support import AnyClient, done, text


async def test_add__keeps_what_it_was_given_and_defaults_the_rest(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 640, 360))
    spec = ElementSpec(
        type=ElementType.VIDEO,
        source_url="https://example.com/a.mp4",
        element_order=7,
        track=2,
        x_position="-12.5",
        y_position="50%",
        width="640px",
        height="33.3333%",
        fit_mode=FitMode.COVER,
        start_time=Decimal("1.25"),
        duration=Decimal(3),
        metadata={"volume": 0.5},
    )

    element = await done(client.elements.add(job.id, spec))
    plain = await done(client.elements.add(job.id, text("Hi", text_style={"size": "5%"})))

    assert element.model_dump(include=spec.model_fields_set) == spec.model_dump(exclude_unset=True)
    assert (plain.element_order, plain.track, plain.x_position, plain.fit_mode) == (8, 0, "0", FitMode.AUTO)
    assert (plain.width, plain.duration, plain.text_style) == (None, None, {"size": "5%"})
    assert await done(client.elements.list(job.id)) == [element, plain]


async def test_add__refuses_a_place_that_is_taken(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 640, 360))
    await done(client.elements.add(job.id, text(element_order=3)))

    with pytest.raises(Conflict) as caught:
        await done(client.elements.add(job.id, text(element_order=3)))

    assert (caught.value.error, caught.value.constraint) == ("order_taken", "elements_order_unique")


@pytest.mark.parametrize(
    ("properties", "argument"),
    [
        ({"type": "video"}, "type"),
        ({"type": "text", "text_content": "x", "source_url": "https://example.com"}, "type"),
        ({"type": "text", "text_content": ""}, "text_content"),
        ({"type": "text", "text_content": "x", "width": "-5"}, "width"),
        ({"type": "text", "text_content": "x", "height": "0"}, "height"),
        ({"type": "text", "text_content": "x", "y_position": "5em"}, "y_position"),
        ({"type": "text", "text_content": "x", "start_time": "-1"}, "start_time"),
        ({"type": "text", "text_content": "x", "duration": "0"}, "duration"),
        ({"type": "text", "text_content": "x", "track": 1000}, "track"),
        ({"type": "text", "text_content": "x", "element_order": -1}, "element_order"),
        ({"type": "text", "text_content": "x", "metadata": {"k": "v" * 70_000}}, "metadata"),
    ],
)
async def test_add__refuses_what_breaks_a_rule(
    client: AnyClient, properties: dict[str, object], argument: str
) -> None:
    job = await done(client.jobs.create("mp4", 640, 360))

    with pytest.raises(InvalidArgument) as caught:
        await done(client.elements.add(job.id, ElementSpec.model_validate(properties)))

    assert argument in [problem.argument for problem in caught.value.problems]
    assert await done(client.elements.list(job.id)) == []


async def test_add__needs_a_job_that_waits(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 640, 360))
    await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))

    with pytest.raises(Conflict, match="The job is processing") as caught:
        await done(client.elements.add(job.id, text()))

    assert caught.value.error == "job_not_pending"


async def test_of_an_unknown_job__is_not_found(client: AnyClient) -> None:
    with pytest.raises(NotFound):
        await done(client.elements.add(uuid4(), text()))
    with pytest.raises(NotFound):
        await done(client.elements.list(uuid4()))
