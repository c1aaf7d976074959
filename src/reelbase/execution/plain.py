"""The plain supabase-py client, for what reelbase does not do: with the same key, and made when asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reelbase.execution.lazy import Lazy

if TYPE_CHECKING:
    import httpx
    import supabase


# Both libraries take a third of a second to import, and most programs need neither. The connections stand
# beside the client, so that they can be closed.
def plain_client(
    url: str, headers: Mapping[str, str], seconds: float
) -> Lazy[tuple["httpx.Client", "supabase.Client"]]:
    def make() -> tuple["httpx.Client", "supabase.Client"]:
        import httpx  # noqa: PLC0415
        import supabase  # noqa: PLC0415

        http = httpx.Client(timeout=seconds, http2=True)
        options = supabase.ClientOptions(httpx_client=http, **_options(headers))
        return http, supabase.create_client(url, headers["apikey"], options)

    return Lazy(make)


def plain_async_client(
    url: str, headers: Mapping[str, str], seconds: float
) -> Lazy[tuple["httpx.AsyncClient", "supabase.AsyncClient"]]:
    def make() -> tuple["httpx.AsyncClient", "supabase.AsyncClient"]:
        import httpx  # noqa: PLC0415
        import supabase  # noqa: PLC0415

        http = httpx.AsyncClient(timeout=seconds, http2=True)
        options = supabase.AsyncClientOptions(httpx_client=http, **_options(headers))
        return http, supabase.AsyncClient(url, headers["apikey"], options)

    return Lazy(make)


def _options(headers: Mapping[str, str]) -> dict[str, Any]:
    # Nobody signs in through these clients, so there is no session to keep or to refresh.
    return {
        "headers": {"Authorization": headers["Authorization"]},
        "auto_refresh_token": False,
        "persist_session": False,
        "postgrest_client_retry": False,
    }
