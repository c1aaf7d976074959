"""What the policies on realtime.messages allow an identity on a private topic."""

import uuid

from psycopg import AsyncConnection, Rollback, errors, sql

from localbase.realtime.channel import Permissions
from localbase.realtime.identity import Identity
from localbase.realtime.visibility import assume

_ADD = sql.SQL(
    "insert into realtime.messages (id, topic, extension, private)"
    " values (%(id)s, %(topic)s, %(extension)s, true)"
)
_SEE = sql.SQL("select true from realtime.messages where id = any (%(ids)s)")
EXTENSIONS = ("broadcast", "presence")


async def permissions(connection: AsyncConnection, topic: str, identity: Identity) -> Permissions:
    """Try it: read probe rows and write one of each kind as the identity, and take all of it back."""
    read = write = present = False
    async with connection.transaction():
        await connection.execute("select set_config('realtime.topic', %s, true)", [topic])
        read = await _can_read(connection, topic, identity)
        write, present = [await _can_write(connection, topic, identity, kind) for kind in EXTENSIONS]
        raise Rollback
    return Permissions(read=read, write=write, present=present)


async def _can_read(connection: AsyncConnection, topic: str, identity: Identity) -> bool:
    probes = [uuid.uuid4() for _ in EXTENSIONS]
    try:
        async with connection.transaction() as attempt:
            for probe, extension in zip(probes, EXTENSIONS, strict=True):
                await connection.execute(_ADD, {"id": probe, "topic": topic, "extension": extension})
            await assume(connection, identity)
            seen = await (await connection.execute(_SEE, {"ids": probes})).fetchone()
            raise Rollback(attempt)
    except errors.InsufficientPrivilege:
        return False
    return seen is not None


async def _can_write(connection: AsyncConnection, topic: str, identity: Identity, extension: str) -> bool:
    probe = {"id": uuid.uuid4(), "topic": topic, "extension": extension}
    try:
        async with connection.transaction() as attempt:
            await assume(connection, identity)
            await connection.execute(_ADD, probe)
            raise Rollback(attempt)
    except errors.InsufficientPrivilege:
        return False
    return True
