"""When a commit is one for everybody: after it is flushed, and so sent, comes the moment others see it."""

import asyncio
import logging
import time
from collections.abc import Set as AbstractSet

from psycopg import AsyncConnection

_LOG = logging.getLogger(__name__)
_SNAPSHOT = """
    select pg_snapshot_xmax(s)::text::bigint, array(select x::text::bigint from pg_snapshot_xip(s) as x)
    from pg_current_snapshot() as s
"""
_PAUSE_S = 0.0005
_PATIENCE_S = 5.0
_EPOCH = 2**32


async def visible_to_all(connection: AsyncConnection, xids: AbstractSet[int]) -> None:
    """Wait until new snapshots include the committed transactions; the numbers come without their epoch."""
    deadline = time.monotonic() + _PATIENCE_S
    while running := await _running(connection, xids):
        if time.monotonic() > deadline:
            # A commit that waits for a standby: its rows are judged as they are seen now.
            _LOG.warning("%d committed transactions are not visible yet", len(running))
            return
        await asyncio.sleep(_PAUSE_S)


async def _running(connection: AsyncConnection, xids: AbstractSet[int]) -> set[int]:
    row = await (await connection.execute(_SNAPSHOT)).fetchone()
    if row is None:
        raise RuntimeError("a snapshot is one row")
    end, in_progress = row
    full = {with_epoch(xid, end) for xid in xids}
    return {xid for xid in full if xid >= end or xid in in_progress}


def with_epoch(xid: int, near: int) -> int:
    """The full number of a transaction that is less than half an epoch away from `near`."""
    full = near - near % _EPOCH + xid
    if full - near > _EPOCH // 2:
        return full - _EPOCH
    if near - full > _EPOCH // 2:
        return full + _EPOCH
    return full
