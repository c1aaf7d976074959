"""The plain supabase-py client, for what reelbase does not do: with the same key, and made when asked for."""

from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reelbase.execution.forks import forks

if TYPE_CHECKING:
    import httpx
    import supabase

HttpT = TypeVar("HttpT")
ClientT = TypeVar("ClientT")


class Plain(Generic[HttpT, ClientT]):
    """Makes the client once in a process, and remembers its connections so that they can be closed."""

    def __init__(self, make: Callable[[], tuple[HttpT, ClientT]]) -> None:
        self._make = make
        self._made: tuple[HttpT, ClientT] | None = None
        self._lock = Lock()
        forks.register(self)

    @property
    def opened(self) -> bool:
        return self._made is not None

    def get(self) -> ClientT:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made[1]

    def take(self) -> HttpT | None:
        """Its connections, to be closed."""
        with self._lock:
            made, self._made = self._made, None
        return None if made is None else made[0]

    def leave_parent(self) -> object:
        made, self._made, self._lock = self._made, None, Lock()
        return made


# Both libraries take a third of a second to import, and most programs need neither.
def plain_client(
    url: str, headers: Mapping[str, str], seconds: float
) -> Plain["httpx.Client", "supabase.Client"]:
    def make() -> tuple["httpx.Client", "supabase.Client"]:
        import httpx  # noqa: PLC0415
        import supabase  # noqa: PLC0415

        http = httpx.Client(timeout=seconds, http2=True)
        options = supabase.ClientOptions(httpx_client=http, **_options(headers))
        return http, supabase.create_client(url, headers["apikey"], options)

    return Plain(make)


def plain_async_client(
    url: str, headers: Mapping[str, str], seconds: float
) -> Plain["httpx.AsyncClient", "supabase.AsyncClient"]:
    def make() -> tuple["httpx.AsyncClient", "supabase.AsyncClient"]:
        import httpx  # noqa: PLC0415
        import supabase  # noqa: PLC0415

        http = httpx.AsyncClient(timeout=seconds, http2=True)
        options = supabase.AsyncClientOptions(httpx_client=http, **_options(headers))
        return http, supabase.AsyncClient(url, headers["apikey"], options)

    return Plain(make)


def _options(headers: Mapping[str, str]) -> dict[str, Any]:
    # Nobody signs in through these clients, so there is no session to keep or to refresh.
    return {
        "headers": {"Authorization": headers["Authorization"]},
        "auto_refresh_token": False,
        "persist_session": False,
        "postgrest_client_retry": False,
    }
