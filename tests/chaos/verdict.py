"""What listeners heard, compared with the log."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from chaos.listeners import Entry, Listener, Row
from chaos.stack import Stack

_EXAMPLES = 5


def read_log(stack: Stack) -> list[Row]:
    """As it is in the database, and without gaps itself."""
    found = stack.rows("select job_id, seq, user_id, type from public.job_events order by job_id, seq")
    log = [Row(*columns) for columns in found]
    assert {row.job: row.seq for row in log} == Counter(row.job for row in log)
    return log


def judge(log: list[Row], listeners: Iterable[Listener]) -> None:
    """Raises AssertionError with what each listener has got wrong."""
    verdicts = {listener: compare(log, listener) for listener in listeners}
    wrong = {listener: verdict for listener, verdict in verdicts.items() if verdict != Verdict()}
    assert not wrong, "\n".join(f"{listener}: {verdict}" for listener, verdict in wrong.items())


@dataclass(frozen=True)
class Verdict:
    """Each event that something is wrong with."""

    lost: tuple[Entry, ...] = ()
    doubled: tuple[Entry, ...] = ()
    out_of_order: tuple[Entry, ...] = ()
    unknown: tuple[Entry, ...] = ()
    """Not in the log, or none of the listener's business."""

    def __str__(self) -> str:
        return ", ".join(
            f"{len(found)} {name.replace('_', ' ')}{_shown(found)}" for name, found in vars(self).items()
        )


def compare(log: list[Row], listener: Listener) -> Verdict:
    wanted = {(row.job, row.seq): None for row in log if listener.concern(row)}
    times = Counter(listener.heard)
    return Verdict(
        lost=tuple(entry for entry in wanted if entry not in times),
        doubled=tuple(entry for entry, count in times.items() if count > 1),
        out_of_order=tuple(_out_of_order(listener.heard)),
        unknown=tuple(entry for entry in times if entry not in wanted),
    )


def _out_of_order(heard: list[Entry]) -> Iterator[Entry]:
    """What came, for the first time, after a later event of its job."""
    latest: dict[UUID, int] = {}
    for job, seq in dict.fromkeys(heard):
        if seq < latest.get(job, 0):
            yield job, seq
        latest[job] = max(seq, latest.get(job, 0))


def _shown(found: tuple[Entry, ...]) -> str:
    shown = [f"{str(job)[:8]}:{seq}" for job, seq in found[:_EXAMPLES]]
    return f" ({', '.join(shown)}{', …' if len(found) > _EXAMPLES else ''})" if found else ""
