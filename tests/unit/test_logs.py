"""What streams make of the log when it changes while they begin."""

from typing import Any
from uuid import uuid4

from reelbase.execution.call import Call
from reelbase.models import Job
from reelbase.realtime.logs import JobLog
from reelbase.realtime.watch import Watch


async def test_job__that_ends_after_its_log_was_read_has_not_been_told_yet() -> None:
    async def carry(call: Call[Any]) -> Any:
        if call.function == "get_job":
            return Job.model_construct(is_terminal=True, event_seq=2)
        return []

    told, untold = JobLog(Watch(uuid4(), 2), broadcast=False), JobLog(Watch(uuid4(), 1), broadcast=False)
    await told.read(carry)
    await untold.read(carry)

    assert told.order.ended
    assert not untold.order.ended
