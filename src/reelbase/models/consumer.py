"""Dead letters: events that a consumer could not handle."""

from pydantic import AwareDatetime

from reelbase.models.base import Model, Page
from reelbase.models.event import AnyJobEvent


class EventDeadLetter(Model):
    """An event that a consumer went past after so many attempts; `error` says why the last one failed."""

    consumer: str
    event_id: int
    event: AnyJobEvent
    attempts: int
    error: str
    created_at: AwareDatetime


class EventDeadLetterPage(Page[EventDeadLetter]):
    """One page of dead letters."""
