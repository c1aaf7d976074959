"""One listener's feed, as a protocol without I/O: signals, pages of the log and the time in, steps out.

The log is the truth and the live connection its accelerator: the log is read at first, whenever the
connection comes up, when a row shows that others are missing, and at a beat; rows are delivered between.
"""

import random
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeAlias, TypeVar

from reelbase.models import JobEvent
from reelbase.realtime.order import Verdict
from reelbase.realtime.state import ConnectionPhase, ConnectionState

PageT_contra = TypeVar("PageT_contra", contravariant=True)

INBOX = 10_000
"""Rows that wait for a slow reader. What does not fit is read from the log."""


class Order(Protocol[PageT_contra]):
    """Judges rows and pages; see `realtime/order.py`."""

    @property
    def ended(self) -> bool: ...
    @property
    def waiting(self) -> bool: ...
    def offer(self, event: JobEvent, /) -> Verdict: ...
    def read(self, page: PageT_contra, /) -> Collection[JobEvent]: ...


@dataclass(frozen=True, slots=True)
class Beats:
    """Seconds between reads of the log: each longer than the last while nothing is found."""

    live: tuple[float, float] = (10.0, 30.0)
    connecting: tuple[float, float] = (5.0, 5.0)
    """While the live connection is about to come up."""
    polling: tuple[float, float] = (1.0, 5.0)
    waiting: tuple[float, float] = (0.02, 5.0)
    """While rows are known of that the log does not show yet: growing slowly, as they may be there soon."""
    in_vain: float = 0.5
    """The longest that is waited so when yet more such rows come."""
    failing: tuple[float, float] = (0.5, 10.0)
    """After reads that failed."""


@dataclass(slots=True)
class Counts:
    """How many events came which way."""

    pushed: int = 0
    read: int = 0


@dataclass(frozen=True, slots=True)
class Read:
    """Read the next page of the log, then say `page` or `failed`; steps go on meanwhile."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until a signal comes, or the page that is being read, or this time."""

    until: float | None


@dataclass(frozen=True, slots=True)
class End:
    """All is told."""


Step: TypeAlias = JobEvent | Read | Wait | End

_READ, _END = Read(), End()


class Feed(Generic[PageT_contra]):
    """What a listener has been told, and what has to be done to tell it the rest."""

    def __init__(
        self,
        order: Order[PageT_contra],
        now: float,
        *,
        beats: Beats | None = None,
        chance: random.Random | None = None,
        report: Callable[[ConnectionState], None] = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self._order = order
        self._beats = beats or Beats()
        self._chance = chance or random.Random()  # noqa: S311  # spreads load, guards nothing
        self._report = report
        self._inbox: deque[JobEvent] = deque()
        self._ready: deque[JobEvent] = deque()
        self._is_up = False
        self._due = now
        """When to read the log."""
        self._not_before = now
        self._reading = False
        self._again = False
        """Whether something was missed after the read that is under way began."""
        self._at_beat = False
        """Whether the next read is of the beat, with nothing known to be missing."""
        self._quiet = 0
        """How many reads in a row found nothing."""
        self._rows = 0
        """Live rows since the last read."""
        self._silent = 0
        """How many beats in a row found what the live connection had not brought."""
        self._away = (ConnectionPhase.CONNECTING, "the log is read first")
        """Phase and reason while the live connection is not up."""
        self.state = ConnectionState(*self._away, datetime.now(UTC))

    # Signals ------------------------------------------------------------------------------------

    def up(self, now: float) -> None:
        """Rows flow from now on; what came before stands in the log."""
        self._is_up, self._silent, self._quiet = True, 0, 0
        self._miss(now, "the live connection is up")

    def down(self, now: float, reason: str) -> None:
        """Rows flow no more."""
        self._is_up, self._quiet = False, 0
        self._due = min(self._due, now + self._jittered(self._beats.polling[0]))
        self._away = (ConnectionPhase.POLLING, reason)
        self._enter(*self._away)

    def row(self, now: float, event: JobEvent | None) -> None:
        """A live row; None in place of one that cannot be read."""
        self._rows += 1
        if event is None:
            self._miss(now, "a row cannot be read")
        elif len(self._inbox) < INBOX:
            self._inbox.append(event)
        else:
            self._inbox.clear()
            self._miss(now, "more rows came than were taken")

    def page(self, now: float, page: PageT_contra, *, more: bool) -> None:
        """What the log has next, and whether it has yet more. Raises EventsMissing."""
        self._reading = False
        found = self._order.read(page)
        self._ready.extend(found)
        self.counts.read += len(found)
        self._quiet = 0 if found else self._quiet + 1
        if self._is_up:
            self._judge(found)
        self._rows = 0
        self._at_beat = not more and not self._again
        pause = self._pause()
        self._not_before = now
        if self._order.waiting and not more and (self._at_beat or not found):
            self._not_before += min(pause, self._beats.in_vain)
        self._due = now + pause if self._at_beat else self._not_before
        if not self._at_beat:
            return
        if not self._is_up:
            self._enter(*self._away)
        elif self._silent <= 1:
            self._enter(ConnectionPhase.LIVE, "rows come by push")
        else:
            self._enter(ConnectionPhase.POLLING, "the live connection brings no rows")

    def failed(self, now: float, reason: str) -> None:
        """The log could not be read, for a reason that passes."""
        self._quiet += 1
        self._reading = self._at_beat = False
        self._due = self._not_before = now + self._jittered(self._grown(self._beats.failing))
        self._enter(ConnectionPhase.CATCHING_UP if self._is_up else ConnectionPhase.POLLING, reason)

    def close(self) -> None:
        self._enter(ConnectionPhase.CLOSED, "closed")

    # Steps --------------------------------------------------------------------------------------

    def step(self, now: float) -> Step:
        """What comes next. An event counts as delivered."""
        while True:
            if self._ready:
                return self._ready.popleft()
            if self._order.ended:
                return _END
            if now >= self._due and not self._reading:
                self._reading, self._again = True, False
                return _READ
            if not self._inbox:
                return Wait(None if self._reading else self._due)
            if (event := self._taken(now)) is not None:
                return event

    @property
    def has_all(self) -> bool:
        """Whether nothing more will come."""
        return self._order.ended

    @property
    def is_telling(self) -> bool:
        """Whether some of the last page is still to be told."""
        return bool(self._ready)

    @property
    def is_ready(self) -> bool:
        """Whether `step` may have an event without waiting."""
        return bool(self._ready or self._inbox)

    def _taken(self, now: float) -> JobEvent | None:
        """The next waiting row, if it is to be delivered."""
        row = self._inbox.popleft()
        verdict = self._order.offer(row)
        if verdict is Verdict.DELIVER:
            self.counts.pushed += 1
            if self._silent:
                self._silent = 0
                self._enter(ConnectionPhase.LIVE, "rows come by push again")
            return row
        if verdict is Verdict.GAP:
            self._miss(now, "rows before one that came are missing")
        return None

    def _miss(self, now: float, reason: str) -> None:
        """Something is missing: the log is read now, unless that was just in vain."""
        self._at_beat, self._again = False, True
        self._due = min(self._due, max(now, self._not_before))
        if self._is_up:
            self._enter(ConnectionPhase.CATCHING_UP, reason)

    def _judge(self, found: Collection[JobEvent]) -> None:
        """A beat that finds events although no row came: is the connection silent?"""
        if self._rows:
            self._silent = 0
        elif found and self._at_beat:
            self._silent += 1

    def _pause(self) -> float:
        if self._order.waiting:
            return self._grown(self._beats.waiting, 1.25)
        if self.state.phase is ConnectionPhase.CONNECTING:
            beat = self._beats.connecting
        else:
            beat = self._beats.live if self._is_up and not self._silent else self._beats.polling
        return self._jittered(self._grown(beat))

    def _grown(self, beat: tuple[float, float], factor: float = 2.0) -> float:
        shortest, longest = beat
        return min(longest, shortest * factor ** min(max(self._quiet - 1, 0), 50))

    def _jittered(self, seconds: float) -> float:
        # Listeners of one process began together; their reads should not come together.
        return seconds * self._chance.uniform(0.8, 1.0)

    def _enter(self, phase: ConnectionPhase, reason: str) -> None:
        if (phase, reason) != (self.state.phase, self.state.reason):
            self.state = ConnectionState(phase, reason, datetime.now(UTC))
            self._report(self.state)
