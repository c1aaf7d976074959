"""Earlier broadcasts of a private topic, for those who join it later."""

from datetime import UTC, datetime

from psycopg import AsyncConnection

from localbase.realtime.announcements import replayed
from localbase.realtime.channel import Channel
from localbase.realtime.joins import Replay
from localbase.realtime.protocol import Message

_NEWEST = """
select event, payload, id
from realtime.messages
where topic = %(topic)s
  and extension = 'broadcast'
  and private
  and event is not null
  and inserted_at >= %(since)s
order by inserted_at desc
limit %(limit)s
"""


async def earlier(connection: AsyncConnection, channel: Channel, wanted: Replay) -> list[Message]:
    """The newest broadcasts within the wanted limits, oldest first."""
    # The column has no time zone; what it holds is UTC.
    since = datetime.fromtimestamp(wanted.since_ms / 1000, UTC).replace(tzinfo=None)
    values = {"topic": channel.name, "since": since, "limit": wanted.limit}
    rows = await (await connection.execute(_NEWEST, values)).fetchall()
    return [
        replayed(channel.topic, channel.join_ref, event, payload or {}, identifier)
        for event, payload, identifier in reversed(rows)
    ]
