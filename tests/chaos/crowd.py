"""All listeners, with the clients that they share or have to themselves."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Self
from uuid import UUID

from chaos.listeners import (
    Concern,
    Listener,
    follow_job,
    follow_job_in_thread,
    follow_log,
    of_all,
    of_job,
    of_type,
    of_user,
)
from chaos.tokens import Tokens
from reelbase import AsyncReelbase, EventType, Reelbase
from reelbase.realtime.endpoint import LivePath
from support import Target

SYNCHRONOUS = 5
BROADCAST = 3
LONGEST_STREAM = 3.0


class Crowd:
    """`target` is where they connect to, `jobs` tells whose each job is. Use as `async with`."""

    def __init__(self, target: Target, tokens: Tokens, jobs: dict[UUID, UUID | None]) -> None:
        self.listeners: list[Listener] = []
        self._target = target
        self._tokens = tokens
        self._jobs = jobs
        self._owned = next((job, user) for job, user in jobs.items() if user)
        """A job that has a user."""
        self._tasks: list[asyncio.Task[None]] = []
        self._clients = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._watch_each_job()
        self._watch_synchronously()
        self._watch_by_token()
        self._stream()
        self._listen_to_broadcasts()
        self._be_called_back()
        return self

    def heard(self) -> list[Listener]:
        """What they have heard by now. Raises what ended one, if something did."""
        for task in self._tasks:
            if task.done():
                task.result()
        return self.listeners

    async def __aexit__(self, *exc_info: object) -> None:
        for task in self._tasks:
            if not task.get_name().startswith(_THREAD):
                task.cancel()
        await self._clients.aclose()
        # Those in threads end with their client.
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _watch_each_job(self) -> None:
        backend = self._client(self._target.service_role_key)
        for number, job in enumerate(self._jobs):
            self._add(f"watch {number}", of_job(job), partial(follow_job, backend, job))

    def _watch_synchronously(self) -> None:
        backend = self._synchronous(self._target.service_role_key)
        for number, job in enumerate(list(self._jobs)[:SYNCHRONOUS]):
            self._add(f"{_THREAD} {number}", of_job(job), partial(follow_job_in_thread, backend, job))

    def _watch_by_token(self) -> None:
        """An owner and a holder of a watch token whose tokens expire, and one whose token lasts."""
        job, user = self._owned
        clients = {
            "owner": self._user(sub=str(user)),
            "guest": self._user(watch_job_id=str(job)),
            "guest with one token": self._client(access_token=self._target.token(watch_job_id=str(job))),
        }
        for name, client in clients.items():
            self._add(name, of_job(job), partial(follow_job, client, job))

    def _stream(self) -> None:
        backend = self._client(self._target.service_role_key)
        _, user = self._owned
        self._add("stream", of_all, partial(follow_log, backend))
        self._add("stream, resumed", of_all, partial(follow_log, backend, longest=LONGEST_STREAM))
        for kind in (EventType.JOB_STATUS, EventType.STORAGE_OPERATION):
            self._add(f"stream of {kind}", of_type(kind), partial(follow_log, backend, types=[kind]))
        self._add("user's stream", of_user(user), partial(follow_log, self._user(sub=str(user))))
        shared = backend.as_user(self._tokens.of(sub=str(user)))
        self._add("user's stream, shared", of_user(user), partial(follow_log, shared))

    def _listen_to_broadcasts(self) -> None:
        backend = self._client(self._target.service_role_key, live="broadcast")
        for number, job in enumerate(list(self._jobs)[-BROADCAST:]):
            self._add(f"broadcast {number}", of_job(job), partial(follow_job, backend, job))
        _, user = self._owned
        owner = self._user(sub=str(user), live="broadcast")
        self._add("user's broadcast", of_user(user), partial(follow_log, owner, user_id=user))

    def _be_called_back(self) -> None:
        backend = self._client(self._target.service_role_key)
        listener = self._listener("callback", of_all)
        backend.subscriptions.subscribe_to_all_jobs(listener.hear, after="beginning", on_error=listener.note)
        _, user = self._owned
        owner = self._synchronous(self._target.anon_key, token_provider=self._tokens.of(sub=str(user)))
        listener = self._listener("callback in a thread", of_user(user))
        owner.subscriptions.subscribe_to_all_jobs(listener.hear, after="beginning", on_error=listener.note)

    def _client(self, key: str | None = None, **options: Any) -> AsyncReelbase:
        client = AsyncReelbase(self._target.url, key or self._target.anon_key, **options)
        self._clients.push_async_callback(client.aclose)
        return client

    def _synchronous(self, key: str, **options: Any) -> Reelbase:
        client = Reelbase(self._target.url, key, **options)
        self._clients.push_async_callback(asyncio.to_thread, client.close)
        return client

    def _user(self, live: LivePath = "postgres_changes", **claims: Any) -> AsyncReelbase:
        return self._client(token_provider=self._tokens.of(**claims), live=live)

    def _add(
        self, name: str, concern: Concern, follow: Callable[[Listener], Coroutine[Any, Any, None]]
    ) -> None:
        listener = self._listener(name, concern)
        self._tasks.append(asyncio.create_task(follow(listener), name=name))

    def _listener(self, name: str, concern: Concern) -> Listener:
        listener = Listener(name, concern)
        self.listeners.append(listener)
        return listener


_THREAD = "in a thread"
