"""Order out of disorder: which of the rows that arrive are the next ones."""

from enum import Enum

from reelbase.models import EventType, JobEvent


class Verdict(Enum):
    """What to do with a row that arrived live."""

    DELIVER = "the next one"
    DROP = "had already"
    GAP = "rows before it are missing: read the log"


class Sequence:
    """Where a listener is in one job's log. No I/O: rows in, verdicts out."""

    def __init__(self, after_seq: int) -> None:
        self.last_seq = after_seq
        self.ended = False

    def offer(self, event: JobEvent) -> Verdict:
        """Judge a row; one that is to be delivered counts as delivered."""
        if event.seq <= self.last_seq:
            return Verdict.DROP
        if event.seq > self.last_seq + 1:
            return Verdict.GAP
        self.last_seq = event.seq
        # The steps that an end closes are logged before it, with the job's state already terminal.
        self.ended = event.type is EventType.JOB_STATUS and event.is_terminal
        return Verdict.DELIVER
