"""Asking the Data API, with plain requests: what the client makes of an answer is not to be in the way."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, its JSON (None when it is not JSON) and how far the server's clock is ahead."""

    status: int
    body: Any
    clock_ahead: float | None

    @property
    def code(self) -> str | None:
        """The SQLSTATE or PostgREST's own code, of a refusal."""
        return self.body.get("code") if self.status >= httpx.codes.BAD_REQUEST and self._is_object else None

    def word(self, name: str) -> str:
        """`message`, `hint` or `details` of a refusal; empty when it has none."""
        return str(self.body.get(name) or "") if self._is_object else ""

    @property
    def _is_object(self) -> bool:
        return isinstance(self.body, dict)


class Api:
    """A project's Data API with one key. Use as `async with`. Methods raise httpx.HTTPError."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{url}/rest/v1",
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            timeout=timeout,
        )

    async def look(self, function: str, arguments: Mapping[str, str]) -> Reply:
        """Call a function by GET, which the Data API runs in a read-only transaction: nothing can change."""
        response = await self._client.get(f"/rpc/{function}", params=dict(arguments))
        return _reply(response)

    async def read(self, function: str) -> Reply:
        """Call a function without arguments that may not be read-only, such as database_health."""
        return _reply(await self._client.post(f"/rpc/{function}", json={}))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.aclose()


def _reply(response: httpx.Response) -> Reply:
    try:
        body = response.json() if response.content else None
    except ValueError:
        body = None
    return Reply(response.status_code, body, _clock_ahead(response))


def _clock_ahead(response: httpx.Response) -> float | None:
    try:
        there = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None
    here = datetime.fromtimestamp(time.time(), UTC)
    return (there - here).total_seconds()
