"""Plays the clients' side of a recorded session and tells where the server did not do as recorded."""

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
from websockets.exceptions import InvalidStatus

from conformance.realtime.client import Client
from conformance.realtime.compare import differences, is_complete
from conformance.realtime.frames import topic_and_event
from conformance.realtime.placeholders import Memory, expand
from conformance.realtime.report import Finding
from conformance.realtime.session import Session, Step
from conformance.realtime.stage import Stage
from conformance.realtime.tokens import Tokens

Details = Mapping[str, Any]

# How long frames may take that the real server sent within two seconds.
_PATIENCE_S = 5.0
_PROBE_EVERY_S = 1.0
_BEAT_S = 15.0
_SWITCHED = 101
_V1 = "1.0.0"


class Player:
    """Plays one session once."""

    def __init__(self, session: Session, stage: Stage, http: httpx.AsyncClient) -> None:
        self._session = session
        self._stage = stage
        self._http = http
        self._tokens = Tokens(session.tokens, stage.jwt_secret)
        self._memory = Memory()
        self._clients: dict[str, Client] = {}
        self._received: dict[str, Any] = {}
        self._arrived = asyncio.Event()
        self._patience = _PATIENCE_S
        self._database: psycopg.AsyncConnection | None = None
        self._actions = {
            "open": self._open,
            "send": self._send,
            "close": self._close,
            "abort": self._abort,
            "sql": self._run_sql,
            "http": self._request,
            "wait": self._wait,
            "expect": self._expect,
            "probe": self._probe,
            "hook": self._restart,
        }

    async def play(self) -> list[Finding]:
        beating = asyncio.create_task(self._beat(), name="conformance-heartbeats")
        try:
            return [finding for step in self._session.steps if (finding := await self._play(step))]
        finally:
            beating.cancel()
            await asyncio.gather(*(client.close() for client in self._clients.values()))
            if self._database is not None:
                await self._database.close()

    async def _play(self, step: Step) -> Finding | None:
        self._received = {}
        found = await self._actions[step.action](step.details)
        return Finding(step, self._before(step), self._received, found) if found else None

    def _before(self, step: Step) -> list[Step]:
        earlier = reversed(self._session.steps[: step.number - 1])
        return list(itertools.takewhile(lambda other: other.action != "expect", earlier))[::-1]

    async def _open(self, details: Details) -> list[str]:
        query = {}
        if details["apikey"] is not None:
            query["apikey"] = expand(details["apikey"], self._tokens)
        if not details.get("no_vsn"):
            query["vsn"] = details.get("vsn", self._session.version)
        url = f"{self._stage.url.replace('http', 'ws', 1)}/websocket?{urlencode(query)}"
        headers = expand(details.get("headers", {}), self._tokens)
        try:
            self._clients[details["client"]] = await Client.open(url, headers, self._arrived)
        except InvalidStatus as refusal:
            status = refusal.response.status_code
        else:
            status = _SWITCHED
        return self._unless_equal("status", details["expect"]["status"], status)

    async def _send(self, details: Details) -> list[str]:
        client = self._clients.get(details["client"])
        if client is None:
            return ["not connected"]
        if "hex" in details:
            await client.send(bytes.fromhex(details["hex"]))
        elif "raw" in details:
            await client.send(expand(details["raw"], self._tokens))
        else:
            await client.send(json.dumps(expand(details["frame"], self._tokens), ensure_ascii=False))
        return []

    async def _close(self, details: Details) -> list[str]:
        await self._clients.pop(details["client"]).close()
        return []

    async def _abort(self, details: Details) -> list[str]:
        await self._clients.pop(details["client"]).abort()
        return []

    async def _run_sql(self, details: Details) -> list[str]:
        try:
            await self._execute(details["sql"])
        except psycopg.Error as error:
            return [f"failed: {error}"]
        return []

    async def _execute(self, statements: str) -> None:
        if self._database is None or self._database.closed:
            self._database = await psycopg.AsyncConnection.connect(self._stage.dsn, autocommit=True)
        await self._database.execute(statements.encode())

    async def _request(self, details: Details) -> list[str]:
        headers = expand(details.get("headers", {}), self._tokens)
        if "token" in details:
            token = self._tokens(details["token"])
            headers = {"apikey": token, "Authorization": f"Bearer {token}", **headers}
        content = {
            "json": expand(details.get("json"), self._tokens),
            "content": bytes.fromhex(details["hex"]) if "hex" in details else details.get("text"),
        }
        url = f"{self._stage.url}{details['path']}"
        response = await self._http.request(details["method"], url, headers=headers, **content)
        expected, body = details["expect"], _body(response)
        return [
            *self._unless_equal("status", expected["status"], response.status_code),
            *self._unless_equal("body", expected["body"], body),
        ]

    async def _wait(self, details: Details) -> list[str]:
        await self._listen(details["s"])
        return []

    async def _expect(self, details: Details) -> list[str]:
        expected, closing = details["frames"], details.get("close", {})
        came = await self._until(
            lambda: self._all_came(expected, closing), details.get("timeout", self._patience)
        )
        if not came:
            # Whoever has kept us waiting in vain is not waited for so long again.
            self._patience /= 2
        await self._listen(details["quiet"])
        self._received = {name: client.take() for name, client in self._clients.items()}
        may = details.get("may", {})
        found = [
            f"{name}: {difference}"
            for name in dict.fromkeys((*expected, *self._received))
            for difference in self._compare(name, expected.get(name, []), may.get(name, []))
        ]
        return [*found, *self._closed(closing)]

    def _all_came(self, expected: Details, closing: Details) -> bool:
        return all(
            client.close_code is not None
            or (name not in closing and is_complete(expected.get(name, []), client.frames))
            for name, client in self._clients.items()
        )

    def _compare(self, name: str, expected: list[Any], may: list[list[str]]) -> list[str]:
        if name not in self._received:
            return ["not connected"] if expected else []
        return differences(expected, self._received[name], self._memory, may)

    def _closed(self, closing: Details) -> list[str]:
        """Who was closed and should not, or the other way round, or with another code."""
        codes = {name: client.close_code for name, client in self._clients.items()}
        self._clients = {name: self._clients[name] for name, code in codes.items() if code is None}
        expected = {name: codes.get(name) if code == "any" else code for name, code in closing.items()}
        return [
            f"{name}: expected close code {expected.get(name)}, received {code}"
            for name, code in codes.items()
            if code != expected.get(name) or (name in closing and code is None)
        ]

    async def _probe(self, details: Details) -> list[str]:
        """Make a row again and again until one of them arrives."""
        client, wanted = self._clients[details["client"]], (details["topic"], details["event"])
        for number in range(int(details["within"] / _PROBE_EVERY_S)):
            # The database may still be on its way back.
            with suppress(psycopg.OperationalError):
                await self._execute(details["sql"].replace("{i}", str(1000 + number)))
            if await self._until(lambda: wanted in map(topic_and_event, client.frames), _PROBE_EVERY_S):
                await self._listen(_PROBE_EVERY_S)
                for other in self._clients.values():
                    other.take()
                return []
        return [f"nothing arrived within {details['within']} s"]

    async def _restart(self, details: Details) -> list[str]:
        await self._stage.restarts[details["name"]]()
        return []

    async def _beat(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(_BEAT_S)
            ref, beating = f"hb{number}", self._session.beating
            frame: Any = (
                {"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": ref}
                if self._session.version == _V1
                else [None, ref, "phoenix", "heartbeat", {}]
            )
            for name, client in list(self._clients.items()):
                if beating is True or (beating and name in beating):
                    await client.send(json.dumps(frame))

    async def _listen(self, seconds: float) -> None:
        """Let come what comes."""
        await self._until(lambda: False, seconds)

    async def _until(self, reached: Callable[[], bool], seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not reached():
                    self._arrived.clear()
                    await self._arrived.wait()
        return reached()

    def _unless_equal(self, what: str, expected: Any, received: Any) -> list[str]:
        self._received[what] = received
        return list(self._memory.differences(expected, received, what))


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text
