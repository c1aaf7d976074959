"""Whatever order rows arrive in, they leave it once and in order."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from reelbase import EventType, JobEvent, JobStatus
from reelbase.realtime.sequence import Sequence, Verdict


def event(seq: int, kind: EventType = EventType.JOB_PROGRESS, *, is_terminal: bool = False) -> JobEvent:
    return JobEvent(
        id=seq,
        xid=seq,
        job_id=UUID(int=1),
        user_id=None,
        seq=seq,
        type=kind,
        status=JobStatus.COMPLETED if is_terminal else JobStatus.PROCESSING,
        is_terminal=is_terminal,
        progress_percentage=Decimal(0),
        current_step=None,
        data={},
        created_at=datetime.now(UTC),
    )


@given(log=st.integers(1, 30), after=st.integers(0, 10), arrivals=st.lists(st.integers(1, 30), max_size=200))
def test_offer__delivers_the_log_once_in_order(log: int, after: int, arrivals: list[int]) -> None:
    sequence = Sequence(after)
    delivered: list[int] = []

    def read_log() -> None:
        delivered.extend(seq for seq in range(1, log + 1) if sequence.offer(event(seq)) is Verdict.DELIVER)

    for seq in (arrival for arrival in arrivals if arrival <= log):
        match sequence.offer(event(seq)):
            case Verdict.DELIVER:
                delivered.append(seq)
            case Verdict.GAP:
                read_log()
            case Verdict.DROP:
                pass
    read_log()

    assert delivered == list(range(after + 1, log + 1))


def test_end__is_the_change_of_status_and_not_the_steps_it_closes() -> None:
    sequence = Sequence(0)

    sequence.offer(event(1, EventType.STEP_COMPLETED, is_terminal=True))
    assert not sequence.ended
    sequence.offer(event(2, EventType.JOB_STATUS, is_terminal=True))
    assert sequence.ended
