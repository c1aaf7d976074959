"""What the policies on realtime.messages allow an identity on a private topic."""

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection, Error, OperationalError, Rollback, errors

from localbase.realtime.channel import Permissions
from localbase.realtime.identity import Identity
from localbase.realtime.visibility import assume

EXTENSIONS = ("broadcast", "presence")

_LOG = logging.getLogger(__name__)
_ADD = """
insert into realtime.messages (id, topic, extension, private)
values (%(id)s, %(topic)s, %(extension)s, true)
"""
_SEE = "select true from realtime.messages where id = any (%(ids)s)"


async def permissions(connection: AsyncConnection, topic: str, identity: Identity) -> Permissions:
    """Try it: read probe messages and write one of each kind as the identity, and take all of it back."""
    write, present = [await _can_write(connection, topic, identity, kind) for kind in EXTENSIONS]
    return Permissions(await _can_read(connection, topic, identity), write, present)


async def _can_read(connection: AsyncConnection, topic: str, identity: Identity) -> bool:
    probes = [uuid.uuid4() for _ in EXTENSIONS]
    async with _attempt(connection, topic):
        for probe, extension in zip(probes, EXTENSIONS, strict=True):
            await connection.execute(_ADD, {"id": probe, "topic": topic, "extension": extension})
        await assume(connection, identity)
        return await (await connection.execute(_SEE, {"ids": probes})).fetchone() is not None
    return False


async def _can_write(connection: AsyncConnection, topic: str, identity: Identity, extension: str) -> bool:
    async with _attempt(connection, topic):
        await assume(connection, identity)
        await connection.execute(_ADD, {"id": uuid.uuid4(), "topic": topic, "extension": extension})
        return True
    return False


@asynccontextmanager
async def _attempt(connection: AsyncConnection, topic: str) -> AsyncIterator[None]:
    """A transaction that leaves nothing behind; what is not allowed ends it early."""
    try:
        async with connection.transaction() as attempt:
            await connection.execute("select set_config('realtime.topic', %s, true)", [topic])
            yield
            raise Rollback(attempt)
    except OperationalError:
        raise
    except errors.InsufficientPrivilege:
        return
    except Error as error:
        # A policy that fails or a role that does not exist: nothing is permitted, and somebody should know.
        _LOG.warning("policies of realtime.messages: %s", error)
