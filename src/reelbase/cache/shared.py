"""What is asked of Redis, as steps without I/O: each yields commands and is sent their answers.

Every tag has a generation in Redis, a random number, and every result carries those of its tags from before
it was read. Invalidating a tag deletes its generation; whoever reads next gives it a new one. A result holds
only while all generations are there and the same, so whatever Redis loses is a miss, and nothing old comes
back.
"""

import os
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from reelbase.cache.codec import GENERATION_LENGTH, Stored, decode, encode
from reelbase.cache.identity import Identity
from reelbase.cache.keys import shared_key, tag_key
from reelbase.execution.call import Call

T = TypeVar("T")

Command = tuple[str | bytes | int, ...]
Steps = Generator[list[Command], list[Any], T]

_GENERATION_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What Redis knew of a read: the result if it holds, and the generations now."""

    stored: Stored[T] | None
    generations: tuple[bytes, ...]
    rejected: bool = False


def look_up(identity: Identity, call: Call[T], tags: tuple[str, ...]) -> Steps[Found[T] | None]:
    """The shared result; without one, every tag has a generation from now on. None: Redis is of no use."""
    key = shared_key(identity, call)
    tag_keys = [tag_key(identity, tag) for tag in tags]
    ((data, *generations),) = yield [("MGET", key, *tag_keys)]
    rejected = False
    if data is not None:
        stored = decode(call, data, key, identity.secret)
        rejected = stored is None
        if (
            stored is not None
            and stored.generations == tuple(generations)
            and stored.expires_at > time.time()
        ):
            return Found(stored, stored.generations)
    if None in generations:
        missing = [name for name, number in zip(tag_keys, generations, strict=True) if number is None]
        *_, generations = yield [
            *(
                ("SET", name, os.urandom(GENERATION_LENGTH), "NX", "EX", _GENERATION_SECONDS)
                for name in missing
            ),
            ("MGET", *tag_keys),
        ]
    if any(number is None or len(number) != GENERATION_LENGTH for number in generations):
        return None
    return Found(None, tuple(generations), rejected)


def storing(identity: Identity, call: Call[T], stored: Stored[T]) -> list[Command]:
    """Commands that share a result; none when it cannot be shared."""
    key = shared_key(identity, call)
    data = encode(call, stored, key, identity.secret)
    milliseconds = int((stored.expires_at - time.time()) * 1000)
    return [("SET", key, data, "PX", milliseconds)] if data is not None and milliseconds > 0 else []


def generations_of(identity: Identity, tags: tuple[str, ...]) -> list[Command]:
    """Commands whose only answer are the generations now."""
    return [("MGET", *(tag_key(identity, tag) for tag in tags))]
