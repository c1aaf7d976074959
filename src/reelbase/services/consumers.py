"""Operations on event consumers."""

from datetime import timedelta

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, listing, operation
from reelbase.models import EventConsumer, EventDeadLetter, EventDeadLetterPage


class Consumers(Service[M]):
    """Named readers of the whole log that keep their place in the database. For backends.

    One instance of a consumer at a time holds its lease, 60 seconds unless told otherwise, and reads on
    with `client.events.read_all(after=consumer.cursor)`. `client.events.consumer` does all of that.
    """

    @operation
    def acquire(
        self,
        name: str,
        holder: str,
        *,
        lease_time: timedelta | None = None,
        start: str | None = None,
    ) -> Call[EventConsumer]:
        """Become the active instance, or go on being it; `holder` names it.

        A new consumer begins at the cursor `start`, else at the beginning of the log.
        Raises Conflict (`consumer_busy`) while another instance holds the lease.
        """
        return Call(
            "acquire_event_consumer",
            {"name": name, "holder": holder, "lease_time": lease_time, "start": start},
            EventConsumer,
            idempotent=True,
        )

    @operation
    def commit(
        self,
        name: str,
        lease: int,
        *,
        cursor: str | None = None,
        event_id: int | None = None,
        lease_time: timedelta | None = None,
    ) -> Call[EventConsumer]:
        """Say that all events up to a cursor, or up to and with an event, are done with, and hold the lease
        on; without either, only that.

        Raises LeaseLost, Conflict (`cursor_behind`) for a place before the committed one, and NotFound for
        an event that is gone with its job.
        """
        return Call(
            "commit_event_consumer",
            {
                "name": name,
                "lease": lease,
                "cursor": cursor,
                "lease_time": lease_time,
                "event_id": event_id,
            },
            EventConsumer,
            idempotent=True,
        )

    @operation
    def release(self, name: str, lease: int) -> Call[EventConsumer]:
        """Give the lease up, so that another instance can go on at once. Raises LeaseLost."""
        return Call("release_event_consumer", {"name": name, "lease": lease}, EventConsumer)

    @operation
    def seek(self, name: str, *, cursor: str | None = None) -> Call[EventConsumer]:
        """Move a consumer, back or forward; without a cursor to the beginning. Its lease ends."""
        return Call("seek_event_consumer", {"name": name, "cursor": cursor}, EventConsumer, idempotent=True)

    @operation
    def delete(self, name: str) -> Call[EventConsumer]:
        """Forget a consumer and its place. Raises NotFound."""
        return Call("delete_event_consumer", {"name": name}, EventConsumer)

    @operation
    def list(self) -> Call[list[EventConsumer]]:
        """All consumers with their places."""
        return Call("list_event_consumers", {}, list[EventConsumer], reads=("consumers",))

    @operation
    def dead_letter(
        self,
        name: str,
        lease: int,
        event_id: int,
        attempts: int,
        error: str,
        *,
        lease_time: timedelta | None = None,
    ) -> Call[EventConsumer]:
        """Give an event up: keep it, with how often it was tried and why that failed, and commit it.

        Both or neither. Raises what `commit` raises.
        """
        return Call(
            "dead_letter_event",
            {
                "name": name,
                "lease": lease,
                "event_id": event_id,
                "attempts": attempts,
                "error": error,
                "lease_time": lease_time,
            },
            EventConsumer,
            idempotent=True,
        )

    @listing
    def dead_letters(
        self, name: str | None = None, *, page_size: int = 50, cursor: str | None = None
    ) -> Call[EventDeadLetterPage]:
        """One page of the events that a consumer, or any, has given up, by consumer and event."""
        return Call(
            "list_event_dead_letters",
            {"consumer": name, "page_size": page_size, "cursor": cursor},
            EventDeadLetterPage,
            reads=("consumers",),
        )

    @operation
    def discard(self, name: str, event_id: int) -> Call[EventDeadLetter]:
        """Throw a dead letter away: it was handled after all, or need not be. Raises NotFound."""
        return Call("delete_event_dead_letter", {"consumer": name, "event_id": event_id}, EventDeadLetter)
