"""What a consumer was told and has not committed yet. No I/O."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from reelbase.models import AnyJobEvent, EventPage


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where everything is done: an event, which may be gone with its job, or where reading went on."""

    event_id: int | None = None
    job_id: UUID | None = None
    cursor: str | None = None


class Told:
    """Events in the order in which they were told: the ones ahead, and the ones to be committed.

    Of the latter only ids are kept. Where a page ended, its cursor is the better place: it always exists,
    and it is past all that a filter has left out.
    """

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor
        """Where to read on."""
        self._ahead: list[AnyJobEvent] = []
        self._jobs: dict[int, UUID] = {}
        self._ends: dict[int, str] = {}
        self._again: AnyJobEvent | None = None
        self._rest: str | None = None

    def take(self, page: EventPage) -> None:
        """The page after the cursor has been read; all before it has been told."""
        self.cursor = page.next_cursor
        self._ahead = list(reversed(page.items))
        if not self._ahead:
            self._end()

    @property
    def ahead(self) -> AnyJobEvent | None:
        """The event to be told next; None when the next page is to be read."""
        if self._again is not None:
            return self._again
        return self._ahead[-1] if self._ahead else None

    def tell(self) -> None:
        """The event that was ahead has been told."""
        if self._again is not None:
            self._again = None
            return
        event = self._ahead.pop()
        self._jobs[event.id] = event.job_id
        if not self._ahead:
            self._end()

    def take_back(self, event: AnyJobEvent) -> None:
        """Nothing came of telling the event: it is ahead again, unless it is committed."""
        if event.id in self:
            self._again = event

    def _end(self) -> None:
        if self._jobs:
            self._ends[next(reversed(self._jobs))] = self.cursor
        else:
            self._rest = self.cursor

    def __contains__(self, event_id: int) -> bool:
        """Whether the event was told and is not committed."""
        return event_id in self._jobs

    def places(self, event_id: int | None) -> Iterator[Place]:
        """What stands for the event and all before it, the nearest first: events may be gone meanwhile.

        Without an event, how far reading has come when all that was told is committed.
        """
        if event_id is None:
            if self._rest is not None:
                yield Place(cursor=self._rest)
            return
        told = list(self._jobs)
        for each in reversed(told[: told.index(event_id) + 1] if event_id in self._jobs else []):
            if each in self._ends:
                yield Place(cursor=self._ends[each])
                return
            yield Place(event_id=each, job_id=self._jobs[each])

    def committed(self, event_id: int | None) -> None:
        """The event and all before it are committed; without one, what `places` said."""
        self._rest = None
        if event_id not in self._jobs:
            return
        for each in list(self._jobs):
            del self._jobs[each]
            self._ends.pop(each, None)
            if self._again is not None and self._again.id == each:
                self._again = None
            if each == event_id:
                return
