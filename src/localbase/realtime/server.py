"""The service: sockets on one side, one database on the other."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from aiohttp import web
from psycopg import AsyncConnection, Error

from localbase.keys import Keys
from localbase.realtime.announcements import Announcement, from_row
from localbase.realtime.authorization import permissions
from localbase.realtime.bindings import BindingError
from localbase.realtime.channel import Channel, Permissions
from localbase.realtime.delivery import deliver
from localbase.realtime.filters import FilterError
from localbase.realtime.http import broadcast, broadcast_single, token_of, unauthorized
from localbase.realtime.identity import Identity, TokenError, identify
from localbase.realtime.joins import Replay
from localbase.realtime.outbox import Encoder
from localbase.realtime.pool import Pool
from localbase.realtime.protocol import Message, Version
from localbase.realtime.replay import earlier
from localbase.realtime.replication import Replication
from localbase.realtime.rooms import Rooms
from localbase.realtime.session import Session
from localbase.realtime.socket import Socket
from localbase.realtime.subscriptions import Subscription, Subscriptions, check

_LOG = logging.getLogger(__name__)


class RealtimeServer:
    """Realtime for the database that the (superuser) DSN names."""

    def __init__(self, dsn: str, keys: Keys) -> None:
        self._keys = keys
        self._pool = Pool(dsn)
        self._replication = Replication(dsn)
        self._subscriptions = Subscriptions()
        self._rooms = Rooms()
        self._encoder = Encoder()
        self._sockets: set[Socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscribing: dict[Channel, asyncio.Task[None]] = {}
        self._failed = False

    async def start(self) -> None:
        """Returns at once; what clients ask for waits until the database answers."""
        await self._pool.open()
        self._spawn(self._replication.run(), "realtime-replication")
        self._spawn(self._deliver(), "realtime-delivery")

    async def stop(self) -> None:
        await asyncio.gather(*(socket.shut() for socket in list(self._sockets)))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """GET /realtime/v1/websocket"""
        apikey = request.query.get("apikey") or request.headers.get("x-api-key")
        version = request.query.get("vsn", Version.V1)
        if self._failed:
            return web.Response(status=503)
        if apikey is None:
            return _unauthorized("API key is missing")
        try:
            identify(self._keys, apikey, time.time())
        except TokenError as error:
            return _unauthorized(error.reason)
        if version not in list(Version):
            return web.Response(status=403)
        return await self._serve(request, Version(version), apikey)

    async def handle_broadcast(self, request: web.Request) -> web.Response:
        """POST /realtime/v1/api/broadcast, and below it with {topic} and {event}: /{topic}/events/{event}"""
        token = token_of(request)
        try:
            identity = identify(self._keys, token or "", time.time())
        except TokenError:
            return unauthorized()
        answer = broadcast_single if "event" in request.match_info else broadcast
        return await answer(request, identity, self.authorize, self._publish)

    async def authorize(self, name: str, identity: Identity) -> Permissions:
        return await self._pool.run(partial(permissions, topic=name, identity=identity))

    async def earlier(self, channel: Channel, wanted: Replay) -> list[Message]:
        return await self._pool.run(partial(earlier, channel=channel, wanted=wanted))

    def subscribe(self, session: Session, channel: Channel) -> None:
        self._stop_subscribing(channel)
        task = self._spawn(self._subscribe(session, channel), f"realtime-subscribe-{channel.name}")
        self._subscribing[channel] = task

    def unsubscribe(self, channel: Channel) -> None:
        self._stop_subscribing(channel)
        self._subscriptions.remove(channel)

    async def _serve(self, request: web.Request, version: Version, apikey: str) -> web.StreamResponse:
        session = partial(Session, version, self._keys, apikey, self._rooms)
        socket = Socket(request, version, self._encoder, self, session)
        self._sockets.add(socket)
        try:
            await socket.run()
        finally:
            self._sockets.discard(socket)
        return socket.response

    async def _subscribe(self, session: Session, channel: Channel) -> None:
        identity = channel.identity

        async def work(connection: AsyncConnection) -> list[Subscription]:
            return await check(connection, channel, identity)

        await self._replication.streaming()  # else changes after the answer could be missed
        try:
            subscriptions = await self._pool.run(work)
        except (BindingError, FilterError) as error:
            self._subscriptions.remove(channel)
            session.subscribed(channel, str(error))
        else:
            self._subscriptions.put(channel, subscriptions)
            session.subscribed(channel)

    def _stop_subscribing(self, channel: Channel) -> None:
        if task := self._subscribing.pop(channel, None):
            task.cancel()

    async def _deliver(self) -> None:
        while True:
            changes = await self._replication.take()
            for change in changes:
                if announcement := from_row(change):
                    self._publish(announcement)
            try:
                await self._pool.run(partial(deliver, subscriptions=self._subscriptions, changes=changes))
            except Error:
                # What the database cannot decide is not sent; whatever comes next may well be decidable.
                _LOG.exception("%d changes were not delivered", len(changes))

    def _publish(self, announcement: Announcement) -> None:
        self._rooms.publish(announcement.topic, announcement.message, private=announcement.private)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _LOG.critical("%s failed, no more realtime", task.get_name(), exc_info=error)
            self._failed = True
            # Better no connection than one on which silence means nothing.
            for socket in self._sockets:
                socket.abort()


def _unauthorized(reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=401)
