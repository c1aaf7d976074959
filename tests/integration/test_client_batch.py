"""The client's batches: typed handles, one request, all or nothing."""

# ruff: noqa: PT012  # what is expected to raise is a whole batch

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from reelbase import (
    AsyncReelbase,
    Conflict,
    InvalidArgument,
    JobSpec,
    JobStatus,
    NotFound,
    ProcessingStep,
    Reelbase,
    TransactionFailed,
)
from reelbase.execution.batch import AsyncBatch
from reelbase.execution.call import Call
from support import AnyClient, Target, done, text

Json = Any


class Recorded:
    """Carries calls on, and remembers them."""

    def __init__(self, client: AsyncReelbase) -> None:
        self._carry: Callable[[Call[Any]], Any] = client._carry
        self.calls: list[Call[Any]] = []

    async def carry(self, call: Call[Any]) -> Any:
        self.calls.append(call)
        return await self._carry(call)


async def test_batch__makes_a_job_with_what_belongs_to_it(service: AsyncReelbase) -> None:
    carrying = Recorded(service)
    async with AsyncBatch(carrying.carry) as batch:
        job = batch.jobs.create("mp4", 64, 64)
        first = batch.elements.add(job["id"], text("one"))
        second = batch.elements.add(job.ref.id, text("two", metadata={"below": [first["id"]]}))
        elements = batch.elements.list(second.ref.job_id)
        batch.elements.reorder(job["id"], [elements.ref[1].id, elements[0]["id"]])
        after = batch.elements.list(job["id"])
        assert carrying.calls == []

    assert [call.function for call in carrying.calls] == ["run_batch"]
    assert job.result() == job.result()
    assert first.result().job_id == job.result().id
    assert second.result().metadata == {"below": [str(first.result().id)]}
    assert elements.result() == [first.result(), second.result()]
    assert [element.text_content for element in after.result()] == ["two", "one"]
    assert after.result() == await service.elements.list(job.result().id)


def test_batch__is_the_same_for_synchronous_code(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key) as client:
        with client.batch() as batch:
            job = batch.jobs.create("mp4", 64, 64)
            step = batch.timeline.start(job["id"], ProcessingStep.VALIDATION)
        explicit = client.batch()
        again = explicit.jobs.get(job.result().id)
        explicit.run()

        assert step.result().job_id == job.result().id
        assert again.result().current_step is ProcessingStep.VALIDATION


async def test_whole_result__is_an_argument_too(service: AsyncReelbase) -> None:
    async with service.batch() as batch:
        job = batch.jobs.create("mp4", 64, 64)
        copy = batch.jobs.create("mp4", 64, 64, metadata={"original": job, "last": [job["id"]]})

    metadata = copy.result().metadata
    assert metadata["original"]["id"] == str(job.result().id)
    assert metadata["last"] == [str(job.result().id)]


@pytest.mark.parametrize(
    "literal",
    [
        {"$ref": "0.id"},
        {"$$ref": "0.id"},
        {"$$$$ref": {"$ref": 1}},
        {"$ref": {"$ref": {"a": [{"$ref": None}]}}},
        {"$ref": "0.id", "other": 1},
        {"ref": 1, "$": 2, "$refs": {"$ref": []}, "": {}},
    ],
)
async def test_literal_references__stay_what_they_are(service: AsyncReelbase, literal: Json) -> None:
    async with service.batch() as batch:
        job = batch.jobs.create("mp4", 64, 64, metadata=literal, request_body={"deep": [literal]})
        (many,) = [
            batch.jobs.create_many([JobSpec(output_format="mp4", width=64, height=64, metadata=literal)])
        ]
        element = batch.elements.add(job["id"], text(metadata={"inside": literal}))

    assert job.result().metadata == literal
    assert job.result().request_body == {"deep": [literal]}
    assert many.result()[0].metadata == literal
    assert element.result().metadata == {"inside": literal}


async def test_exception__leaves_nothing_sent(service: AsyncReelbase) -> None:
    carrying = Recorded(service)
    with pytest.raises(ZeroDivisionError):
        async with AsyncBatch(carrying.carry) as batch:
            job = batch.jobs.create("mp4", 64, 64)
            raise ZeroDivisionError

    assert carrying.calls == []
    with pytest.raises(TransactionFailed, match="no result of create_job: the batch was given up"):
        job.result()
    with pytest.raises(TransactionFailed, match="was given up; begin another"):
        batch.jobs.get(uuid4())


async def test_error__names_its_call_and_nothing_exists(service: AsyncReelbase) -> None:
    marker = {"marker": str(uuid4())}
    with pytest.raises(Conflict) as caught:
        async with service.batch() as batch:
            job = batch.jobs.create("mp4", 64, 64, metadata=marker)
            batch.elements.add(job["id"], text())
            batch.elements.add(job["id"], text(element_order=0))

    error = caught.value
    assert (error.error, error.call, error.function) == ("order_taken", 2, "add_job_element")
    assert error.constraint == "elements_order_unique"
    assert error.arguments["text_content"] == "Hello"
    assert (await service.jobs.list(metadata=marker)).items == ()
    with pytest.raises(TransactionFailed, match="the batch failed") as unknown:
        job.result()
    assert unknown.value.reason == "not_run"


async def test_refusals__are_those_of_single_calls(service: AsyncReelbase) -> None:
    with pytest.raises(NotFound) as missing:
        async with service.batch() as batch:
            batch.security.is_admin()
            batch.jobs.get(UUID(int=1))
    with pytest.raises(InvalidArgument) as wrong:
        async with service.batch() as batch:
            batch.security.is_admin()
            batch.jobs.create("mp4", -1, 64)

    assert (missing.value.call, missing.value.function) == (1, "get_job")
    assert (wrong.value.call, wrong.value.function) == (1, "create_job")
    assert [problem.argument for problem in wrong.value.problems] == ["calls[1].arguments.width"]


async def test_reference__to_what_is_not_there_is_named(service: AsyncReelbase) -> None:
    with pytest.raises(
        InvalidArgument, match=r"refers to 0\.wings, which is no part of that result"
    ) as caught:
        async with service.batch() as batch:
            job = batch.jobs.create("mp4", 64, 64)
            batch.jobs.get(job["wings"])

    assert caught.value.call == 1


async def test_function__that_no_batch_runs_is_refused(service: AsyncReelbase) -> None:
    with pytest.raises(InvalidArgument, match='function that a batch can run, not "cleanup_old_jobs"'):
        async with service.batch() as batch:
            batch.maintenance.cleanup_old_jobs()


async def test_limits__are_told_before_anything_is_sent(service: AsyncReelbase) -> None:
    carrying = Recorded(service)
    batch = AsyncBatch(carrying.carry)
    handles = [batch.security.is_admin() for _ in range(100)]
    with pytest.raises(InvalidArgument, match="calls must be a list of 1 to 100 calls") as caught:
        batch.security.is_admin()
    assert [problem.argument for problem in caught.value.problems] == ["calls"]
    await batch.run()
    assert all(handle.result() for handle in handles)

    large = AsyncBatch(carrying.carry)
    large.jobs.create("mp4", 64, 64, request_body={"a": "x" * 2**20})
    with pytest.raises(InvalidArgument, match="at most 1 MiB"):
        await large.run()
    assert len(carrying.calls) == 1


async def test_size__is_that_of_the_database(service: AsyncReelbase) -> None:
    def padded(length: int) -> AsyncBatch:
        batch = service.batch()
        batch.jobs.create("mp4", 64, 64, request_body={"é": "x" * length})
        return batch

    empty = len(json.dumps(padded(0)._sent, ensure_ascii=False).encode())
    await padded(2**20 - empty).run()
    with pytest.raises(InvalidArgument, match="at most 1 MiB"):
        await padded(2**20 - empty + 1).run()


async def test_batch__is_sent_once(service: AsyncReelbase) -> None:
    async with service.batch() as batch:
        job = batch.jobs.create("mp4", 64, 64)
        await batch.run()
        assert job.result().status is JobStatus.PENDING
        with pytest.raises(TransactionFailed, match="has been run; begin another"):
            await batch.run()
    with pytest.raises(TransactionFailed, match="has been run"):
        batch.jobs.get(job["id"])


async def test_result__is_not_there_before(service: AsyncReelbase) -> None:
    batch = service.batch()
    job = batch.jobs.create("mp4", 64, 64)

    with pytest.raises(TransactionFailed, match="has not been run yet") as caught:
        job.result()
    assert caught.value.reason == "not_run"
    for use in (list, bool, "{}".format, lambda reference: reference == 1, dict):
        with pytest.raises(TypeError, match="known only after the batch has run"):
            use(job.ref)  # type: ignore[operator]
    with pytest.raises(TypeError, match="not iterable"):
        list(job)  # type: ignore[call-overload]
    with pytest.raises(KeyError, match="has a dot"):
        job["a.b"]
    assert (repr(job["user_id"]), repr(job)) == ("<Reference 0.user_id>", "<Handle <Reference 0>>")


async def test_handle__of_another_batch_is_refused(service: AsyncReelbase) -> None:
    async with service.batch() as batch:
        job = batch.jobs.create("mp4", 64, 64)
    other = service.batch()

    with pytest.raises(InvalidArgument, match="a handle of another batch") as caught:
        other.jobs.get(job["id"])
    assert (caught.value.function, caught.value.arguments) == ("get_job", {"job_id": "<Reference 0.id>"})
    with pytest.raises(InvalidArgument, match="cannot be sent as JSON"):
        await service.jobs.get(job["id"])
    with pytest.raises(InvalidArgument, match="there is no JSON of object"):
        other.jobs.create("mp4", 64, 64, metadata={"a": object()})


async def test_empty_batch__sends_nothing(service: AsyncReelbase) -> None:
    carrying = Recorded(service)
    async with AsyncBatch(carrying.carry):
        pass

    assert carrying.calls == []


@pytest.mark.parametrize(
    ("add", "repeatable"),
    [
        (lambda batch: batch.jobs.get(uuid4()), True),
        (lambda batch: batch.jobs.create("mp4", 64, 64), True),
        (lambda batch: batch.elements.add(uuid4(), text()), False),
    ],
)
async def test_batch__may_be_repeated_when_its_calls_may(
    service: AsyncReelbase, add: Callable[[AsyncBatch], Any], repeatable: bool
) -> None:
    batch = service.batch()
    batch.security.is_admin()
    add(batch)

    assert batch._call().repeatable is repeatable


async def test_batch__does_not_watch(service: AsyncReelbase) -> None:
    batch: Any = service.batch()
    with pytest.raises(TypeError, match="after the batch has run"):
        batch.jobs.watch(uuid4())


async def test_batch__acts_for_the_caller(target: Target, client: AnyClient) -> None:
    foreign = await done(client.jobs.create("mp4", 64, 64))
    async with target.user() as user:
        async with user.batch() as batch:
            own = batch.jobs.create("mp4", 64, 64)
            seen = batch.jobs.list()
        with pytest.raises(NotFound):
            async with user.batch() as batch:
                batch.jobs.get(foreign.id)

    assert [job.id for job in seen.result().items] == [own.result().id]
