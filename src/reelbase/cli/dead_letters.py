"""`reelbase dead-letters`: events that a consumer has given up."""

from collections.abc import Sequence
from dataclasses import dataclass

from reelbase.cli.delivery import GivenUp
from reelbase.cli.listen import Print, Target, line, moment
from reelbase.client import AsyncReelbase
from reelbase.errors import ReelbaseError
from reelbase.models import EventDeadLetter

_ALL = "all"


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The dead letters of a consumer, named by their events' ids. Methods return whether all went well."""

    client: AsyncReelbase
    consumer: str
    say: Print

    async def show(self) -> bool:
        number = 0
        async for letter in self.client.consumers.dead_letters(self.consumer):
            number += 1
            event = letter.event
            self.say(
                f"{letter.event_id:>8}  {event.type:<17}  {event.job_id}  {moment(letter.created_at)}"
                f"  after {letter.attempts} attempts: {letter.error}"
            )
        if not number:
            self.say(f"{self.consumer}: no dead letters.")
        return True

    async def redeliver(self, ids: Sequence[str], target: Target) -> bool:
        """Deliver them, and throw away those that were."""
        well = True
        async with target.opened() as delivery:
            for letter in await self._chosen(ids):
                try:
                    await delivery.deliver(letter.event)
                except GivenUp as given_up:
                    well = False
                    self.say(f"{line(letter.event)}  still a dead letter: {given_up}")
                else:
                    await self.client.consumers.discard(self.consumer, letter.event_id)
                    self.say(f"{line(letter.event)}  handled")
        return well

    async def discard(self, ids: Sequence[str]) -> bool:
        for letter in await self._chosen(ids):
            await self.client.consumers.discard(self.consumer, letter.event_id)
            self.say(f"{line(letter.event)}  discarded")
        return True

    async def _chosen(self, ids: Sequence[str]) -> list[EventDeadLetter]:
        """In the order of their ids. Raises ReelbaseError for one that is not there."""
        kept = {
            str(letter.event_id): letter async for letter in self.client.consumers.dead_letters(self.consumer)
        }
        missing = set(ids) - {_ALL, *kept}
        if missing:
            raise ReelbaseError(
                f"{self.consumer} has no dead letter {', '.join(sorted(missing))}.",
                hint="Without an option this command lists what there is.",
            )
        return [letter for event_id, letter in kept.items() if _ALL in ids or event_id in ids]
