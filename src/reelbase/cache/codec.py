"""How a result looks in Redis: signed, dated, and compressed when it is large."""

import hmac
import struct
import zlib
from dataclasses import dataclass
from typing import Generic, TypeVar

from reelbase.execution.call import Call

T = TypeVar("T")

GENERATION_LENGTH = 8

_MAGIC = b"rb1"
_SIGNATURE_LENGTH = 16
_HEAD = struct.Struct(">dBB")
_COMPRESS_FROM = 1024
_LONGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stored(Generic[T]):
    """A result with the time (of the clock on the wall) until which it holds, and its tags' generations."""

    value: T
    expires_at: float
    generations: tuple[bytes, ...]


def encode(call: Call[T], stored: Stored[T], key: str, secret: bytes) -> bytes | None:
    """None when the result is too large, or cannot be written exactly."""
    try:
        body = call.pack(stored.value)
    except ValueError:
        return None
    compressed = len(body) >= _COMPRESS_FROM
    if compressed:
        body = zlib.compress(body, 1)
    if len(body) > _LONGEST:
        return None
    head = _HEAD.pack(stored.expires_at, compressed, len(stored.generations))
    content = head + b"".join(stored.generations) + body
    return _MAGIC + _signature(content, key, secret) + content


def decode(call: Call[T], data: bytes, key: str, secret: bytes) -> Stored[T] | None:
    """None for whatever `encode` did not make under this key with this secret."""
    begin = len(_MAGIC) + _SIGNATURE_LENGTH
    content = data[begin:]
    signature = data[len(_MAGIC) : begin]
    if not data.startswith(_MAGIC) or not hmac.compare_digest(signature, _signature(content, key, secret)):
        return None
    expires_at, compressed, tags = _HEAD.unpack_from(content)
    body_at = _HEAD.size + tags * GENERATION_LENGTH
    generations = tuple(
        content[place : place + GENERATION_LENGTH] for place in range(_HEAD.size, body_at, GENERATION_LENGTH)
    )
    body = content[body_at:]
    try:
        value = call.unpack(zlib.decompress(body) if compressed else body)
    except ValueError:
        return None
    return Stored(value, expires_at, generations)


def _signature(content: bytes, key: str, secret: bytes) -> bytes:
    """Of the content under its key: a value that was moved to another key is no value."""
    return hmac.digest(secret, key.encode() + b"\n" + content, "sha256")[:_SIGNATURE_LENGTH]
