"""Carrying calls through the Data API, with supabase-py."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
import supabase
import tenacity
from supabase import AsyncClientOptions, ClientOptions

from reelbase.errors import ReelbaseError
from reelbase.execution.call import Call
from reelbase.execution.retry import RetryPolicy
from reelbase.execution.translation import last_status, translated

T = TypeVar("T")


class RestExecutor:
    """Carries calls for `Reelbase`. Owns the HTTP connections; `close` them."""

    def __init__(self, url: str, key: str, *, access_token: str | None, timeout: float) -> None:
        self._http = httpx.Client(timeout=timeout, http2=True, event_hooks={"response": [_remember_status]})
        self.supabase = supabase.create_client(
            url, key, ClientOptions(httpx_client=self._http, **_options(access_token))
        )
        self._retry = RetryPolicy()

    def run(self, call: Call[T]) -> T:
        retrying = tenacity.Retrying(**self._retry.options(call))
        with _reported(call, retrying):
            answer: T = retrying(lambda: self._send(call))
        return answer

    def _send(self, call: Call[T]) -> T:
        with translated(call):
            answer = self.supabase.rpc(call.function, call.payload()).execute()
        return call.parse(answer.data)

    def close(self) -> None:
        self._http.close()


class AsyncRestExecutor:
    """Carries calls for `AsyncReelbase`. Owns the HTTP connections; `close` them."""

    def __init__(self, url: str, key: str, *, access_token: str | None, timeout: float) -> None:
        self._http = httpx.AsyncClient(
            timeout=timeout, http2=True, event_hooks={"response": [_remember_status_async]}
        )
        self.supabase = supabase.AsyncClient(
            url, key, AsyncClientOptions(httpx_client=self._http, **_options(access_token))
        )
        self._retry = RetryPolicy()

    async def run(self, call: Call[T]) -> T:
        retrying = tenacity.AsyncRetrying(**self._retry.options(call))
        with _reported(call, retrying):
            return await retrying(self._send, call)

    async def _send(self, call: Call[T]) -> T:
        with translated(call):
            answer = await self.supabase.rpc(call.function, call.payload()).execute()
        return call.parse(answer.data)

    async def close(self) -> None:
        await self._http.aclose()


def _options(access_token: str | None) -> dict[str, Any]:
    # Nobody signs in through these clients, so there is no session to keep or to refresh.
    headers = {"Authorization": f"Bearer {access_token}"} if access_token else {}
    return {
        "headers": headers,
        "auto_refresh_token": False,
        "persist_session": False,
        "postgrest_client_retry": False,
    }


@contextmanager
def _reported(call: Call[Any], retrying: tenacity.BaseRetrying) -> Iterator[None]:
    """Put on an error what only the executor knows."""
    started = time.monotonic()
    try:
        yield
    except ReelbaseError as error:
        error.function = call.function
        error.arguments = call.shown_arguments()
        error.duration = time.monotonic() - started
        error.retries = retrying.statistics.get("attempt_number", 1) - 1
        raise


def _remember_status(response: httpx.Response) -> None:
    last_status.set(response.status_code)


async def _remember_status_async(response: httpx.Response) -> None:
    last_status.set(response.status_code)
